"""The summary by branch and community: from a small `customer_segments` to the rows as they are published."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clvpipe.config.rules import load_codes, load_lifecycle
from clvpipe.contracts import PUBLISHED
from clvpipe.engine import Engine
from clvpipe.publish.contract import problems
from clvpipe.sqlrepo import Query, load
from clvpipe.stages.summaries import SUMMARY_SCHEMES, make_summary
from tests.support import LEDGER_HEADER, Bench, ledger_csv

DAY = date(2024, 6, 30)
STATES = {state.code: state for state in load_lifecycle().state}
COLUMNS = {
    "customer_id": "VARCHAR",
    "branch": "VARCHAR",
    "community": "VARCHAR",
    **dict.fromkeys(("lifecycle_state", "stage5", "relationship5", "icbc6", "stage4"), "VARCHAR"),
    **dict.fromkeys(("quadrant", "quadrant_status", "value_tier", "value_tier_status"), "VARCHAR"),
    **dict.fromkeys(("deposit_tier", "deposit_tier_status", "rfm_group", "rfm_status"), "VARCHAR"),
    "current_value": "DECIMAL(18,2)",
    "clv_12m": "DECIMAL(18,2)",
}
NUMBERS = ("customers", "current_value", "current_value_known", "clv_12m", "clv_12m_known")


@dataclass(frozen=True)
class Customer:
    """What the summary looks at; those without a purchase have no value and no label that needs one."""

    branch: str | None = None
    community: str | None = None
    state: str = "ACTIVE"
    tier: str = "LOW"
    value: Decimal = Decimal("10.01")

    def row(self, number: int) -> tuple[Any, ...]:
        """As it stands in `customer_segments`."""
        state = STATES[self.state]
        buys = self.state not in ("CONTACTED", "PROSPECT")
        status = "OK" if buys else "NOT_AVAILABLE"
        return (
            f"c{number}", self.branch, self.community,
            state.code, state.stage5, state.relationship5, state.icbc6, state.stage4,
            "BEST" if buys and self.tier == "HIGH" else "GENERAL" if buys else None, status,
            self.tier if buys else None, status,
            "ORDINARY" if buys else None, status,
            "ORDINARY_KEEP" if buys else None, status,
            self.value if buys else None, 2 * self.value if buys else None,
        )  # fmt: skip


def many(count: int, **facts: Any) -> list[Customer]:
    """Customers who look alike."""
    return list(repeat(Customer(**facts), count))


@dataclass
class Desk:
    """An engine on a folder of its own."""

    engine: Engine
    folder: Path

    def summarise(self, customers: list[Customer], minimum: int = 10) -> pl.DataFrame:
        """The summary of these customers, held against its contract and the audit."""
        rows = [customer.row(number) for number, customer in enumerate(customers)]
        self.engine.load_rows("customer_segments", COLUMNS, rows)
        written = make_summary(self.engine, self.folder, DAY, minimum)
        contract = PUBLISHED["segment_summary"]
        path = self.folder / "summary.parquet"
        self.engine.write_parquet(path, contract.name, columns=contract.column_names, order_by=contract.key)
        codes = load_codes()
        schemes = {scheme: codes.of(scheme) for scheme in codes.schemes}
        assert list(problems(path, contract, schemes, written)) == []
        assert self.offences() == []
        return pl.read_parquet(path)

    def offences(self) -> list[tuple[Any, ...]]:
        """What the audit finds."""
        return self.engine.rows(load("summary_reconciles").bind({}))


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("summary")
    with Engine(folder / "x.duckdb", folders=[folder], temp_directory=folder, threads=2) as engine:
        yield Desk(engine, folder)


def part(summary: pl.DataFrame, dimension: str, **where: Any) -> pl.DataFrame:
    """Rows of a dimension."""
    return summary.filter(pl.col("dimension") == dimension, *(pl.col(k) == v for k, v in where.items()))


def of(summary: pl.DataFrame, member: str, scheme: str = "lifecycle_state") -> dict[str, int | None]:
    """A branch's customers by label; None: suppressed."""
    rows = part(summary, "BRANCH", member=member, scheme=scheme)
    return dict(zip(rows["label"], rows["customers"], strict=True))


LARGE = [
    *many(40, branch="A"), *many(30, branch="A", state="NEW"), *many(20, branch="A", state="CHURNED"),
    *many(50, branch="B"), *many(60, branch="B", state="NEW"), *many(70, branch="B", state="CHURNED"),
    *many(55, branch="C"), *many(65, branch="C", state="NEW"), *many(75, branch="C", state="CHURNED"),
]  # fmt: skip


def test_large_cells_are_all_shown(desk):
    summary = desk.summarise(LARGE)
    assert set(summary["summary_status"]) == {"OK"} and "REMAINDER" not in set(summary["cell"])
    assert of(summary, "A") == {"ACTIVE": 40, "NEW": 30, "CHURNED": 20}
    shares = part(summary, "BRANCH", member="A", scheme="lifecycle_state", label="ACTIVE")
    assert shares["customer_share"].to_list() == [40 / 90]
    assert shares["current_value"].to_list() == [40 * Decimal("10.01")]
    assert part(summary, "COMMUNITY").is_empty()
    assert part(summary, "ALL")["member"].null_count() == part(summary, "ALL").height


def test_a_small_cell_goes_with_another_branch_and_another_label(desk):
    summary = desk.summarise([*LARGE, *many(3, branch="B", state="TERMINATED")])
    for scheme in ("lifecycle_state", "icbc6"):
        hidden = part(summary, "BRANCH", scheme=scheme, summary_status="SUPPRESSED")
        assert set(hidden["summary_reason"]) == {"SMALL_CELL"}
        assert min(Counter(hidden["member"]).values()) >= 2 and min(Counter(hidden["label"]).values()) >= 2
        rest = part(summary, "BRANCH", scheme=scheme, cell="REMAINDER")
        assert sorted(rest["label"]) == sorted(set(hidden["label"]))
    assert of(summary, "B")["TERMINATED"] is None
    # The same five stages as before: a terminated customer and a churned one are both CHURNED.
    assert None not in of(summary, "B", "stage5").values()


def test_the_coarser_system_does_not_give_the_finer_away(desk):
    """MATURE is a stage of its own: if the state goes, so does the stage, and the period."""
    summary = desk.summarise([*LARGE, *many(3, branch="B", state="MATURE")])
    for scheme, label in {"lifecycle_state": "MATURE", "stage5": "MATURE", "icbc6": "MATURITY"}.items():
        assert of(summary, "B", scheme)[label] is None


def test_nor_do_customers_without_a_value(desk):
    """Without a tier, without a group and without a value are the same customers: none of it may be shown."""
    summary = desk.summarise([*LARGE, *many(4, branch="B", state="PROSPECT")])
    for scheme in ("value_tier", "quadrant", "rfm_group"):
        assert of(summary, "B", scheme)["NOT_AVAILABLE"] is None
    for scheme in SUMMARY_SCHEMES:
        rows = part(summary, "BRANCH", member="B", scheme=scheme)
        assert rows["clv_12m_known"].null_count() > 0, "the sum of the known would tell how many are not"


def test_a_branch_below_the_minimum_shows_nothing(desk):
    summary = desk.summarise([*LARGE, *many(4, branch="D")])
    rows = part(summary, "BRANCH", member="D")
    assert set(rows["summary_status"]) == {"SUPPRESSED"} and set(rows["scheme"]) == set(SUMMARY_SCHEMES)
    assert set(part(summary, "BRANCH", member="A")["summary_status"]) == {"SUPPRESSED"}
    assert set(part(summary, "BRANCH", member="C")["summary_status"]) == {"OK"}


def test_one_huge_and_many_tiny_branches(desk):
    tiny = chain.from_iterable(many(1 + n % 3, branch=f"T{n:02d}", state="NEW") for n in range(30))
    summary = desk.summarise([*many(500, branch="A"), *many(400, branch="A", state="NEW"), *tiny])
    assert of(summary, "A") == {"ACTIVE": 500, "NEW": 400}
    assert of(summary, "T00")["NEW"] is None
    rest = part(summary, "BRANCH", cell="REMAINDER", scheme="lifecycle_state", label="NEW")
    assert rest["customers"].to_list() == [60]


def test_an_unknown_branch_is_one_more_member(desk):
    unknown = [*many(25), *many(12, state="NEW")]
    rows = part(desk.summarise([*LARGE, *unknown]), "BRANCH", cell="UNKNOWN", scheme="lifecycle_state")
    assert dict(zip(rows["label"], rows["customers"], strict=True)) == {"ACTIVE": 25, "NEW": 12}
    assert rows["member"].null_count() == 2
    assert rows.filter(pl.col("label") == "NEW")["customer_share"].to_list() == [12 / (len(LARGE) + 37)]
    few = part(desk.summarise([*LARGE, *many(2)]), "BRANCH", cell="UNKNOWN")
    assert set(few["summary_status"]) == {"SUPPRESSED"}


def test_a_branch_called_unknown_is_another(desk):
    summary = desk.summarise([*LARGE, *many(25), *many(35, branch="UNKNOWN"), *many(45, branch="")])
    rows = part(summary, "BRANCH", scheme="stage5", label="ACTIVE")
    found = {(row["cell"], row["member"]): row["customers"] for row in rows.to_dicts()}
    assert found["UNKNOWN", None] == 25 and found["MEMBER", "UNKNOWN"] == 35 and found["MEMBER", ""] == 45


@pytest.mark.parametrize("branch", [None, "A"])
def test_a_breakdown_into_one_is_none(desk, branch):
    summary = desk.summarise([replace(customer, branch=branch) for customer in LARGE])
    assert set(summary["dimension"]) == {"ALL"}


def test_nobody_at_all(desk):
    assert desk.summarise([]).is_empty()


CUSTOMERS = st.lists(
    st.builds(
        Customer,
        branch=st.sampled_from([None, "A", "B", "C"]),
        community=st.sampled_from([None, "x", "y"]),
        state=st.sampled_from(sorted(STATES)),
        tier=st.sampled_from(["HIGH", "MID", "LOW"]),
        value=st.decimals(-1000, 1000, places=2),
    ),
    max_size=60,
)
QUICKLY = settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@QUICKLY
@given(CUSTOMERS, st.integers(2, 5))
def test_each_dimension_adds_up_to_the_bank(desk, customers, minimum):
    """Beside the audit, which `summarise` asks: by hand, to the cent, label by label."""
    summary = desk.summarise(customers, minimum)
    sums: dict[Any, Any] = defaultdict(Counter)
    for row in summary.filter(pl.col("summary_status") == "OK").to_dicts():
        sums[row["dimension"]][row["scheme"], row["label"]] += 1
        for name in NUMBERS:
            sums[row["dimension"], name][row["scheme"], row["label"]] += row[name]
    for dimension in set(summary["dimension"]):
        assert set(sums[dimension]) == set(sums["ALL"])
        for name in NUMBERS:
            assert sums[dimension, name] == sums["ALL", name]


@pytest.mark.slow
@QUICKLY
@given(CUSTOMERS, st.randoms(use_true_random=False))
def test_the_order_of_the_customers_does_not_matter(desk, customers, random):
    before = desk.summarise(customers, 3)
    random.shuffle(customers)
    assert desk.summarise(customers, 3).equals(before)


@pytest.mark.parametrize(
    "change", ["customers = customers + 1", "clv_12m = clv_12m - 0.01", "label = 'OTHER'"]
)
@pytest.mark.parametrize("cell", ["REMAINDER", "ALL", "MEMBER"])
def test_the_audit_finds_a_cent(desk, change, cell):
    desk.summarise([*LARGE, *many(3, branch="B", state="TERMINATED")])
    column, value = change.split(" = ")
    kept = [name for name in PUBLISHED["segment_summary"].column_names if name != column]
    wrong = (
        f"CASE WHEN cell = '{cell}' AND scheme = 'stage4' OR '{cell}' = 'REMAINDER' AND cell = 'REMAINDER' "
    )
    wrong += f"THEN {value} ELSE {column} END AS {column}"
    query = Query(f"SELECT {', '.join(kept)}, {wrong} FROM segment_summary", {})
    desk.engine.create_table("segment_summary", query)
    assert desk.offences()


def test_a_run_publishes_its_minimum_and_takes_another(bench: Bench):
    bench.put("a.csv", LEDGER_HEADER + "\n".join(ledger_csv(40)) + "\n")
    bench.config += "[publication]\nminimum_cell = 7\n"
    bench.run()
    row = bench.table("thresholds").filter(pl.col("name") == "publication.minimum_cell").row(0, named=True)
    assert (row["value"], row["unit"]) == (7, "count")
    assert set(bench.table("segment_summary")["dimension"]) == {"ALL"}
