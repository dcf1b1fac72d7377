"""The bank sample: the run against the truth of its simulation, the generator against its shipped files."""

import gzip
import json
from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tools.bank_sample.sample import make_sample

from tests.oracle.brute_force import Terms, facts_of, on_the_edge, rules_met
from tests.support import REPOSITORY, Bench, published

SAMPLE = REPOSITORY / "data" / "sample" / "bank"
TRUTH = REPOSITORY / "tests" / "data" / "bank_truth"
AS_OF = date(2024, 6, 30)
LARGEST_SAMPLE_BYTES = 3_000_000
LARGEST_TRUTH_BYTES = 400_000
# The tables forecast 365.25 days, the truth counts 365.
YEAR_SHARE = 365 / 365.25
# Who is still there makes several purchases, who is not none: sums vary about twice as much as Poisson's.
DISPERSION = 2.0
CONFIG = f"""
currency = "CNY"
timezone = "Asia/Shanghai"

[inputs.transactions]
files = ["{SAMPLE.as_posix()}/transactions_*.csv.gz"]
extract_date = {{ file_name = "_(?P<date>[0-9]{{8}})", format = "%Y%m%d" }}

[purchases]
default = {{ purchase = false, margin_rate = 0 }}
rules = [
  {{ types = ["CARD"], purchase = true, margin_rate = 0.012 }},
  {{ types = ["PAYMENT"], purchase = true, margin_rate = 0.008 }},
  {{ types = ["TRANSFER_OUT"], purchase = true, margin_rate = 0.003 }},
  {{ types = ["FUND_BUY"], purchase = true, margin_rate = 0.015 }},
  {{ types = ["SALARY", "INTEREST", "FEE", "STANDING_ORDER", "REVERSAL"], purchase = false }},
]
"""


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((TRUTH / "counts.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The output of a run on the transactions alone, as of the sample's last day."""
    bench = Bench(tmp_path_factory.mktemp("bank"), CONFIG)
    bench.run()
    yield bench.folder / "out"


@pytest.fixture(scope="module")
def truth() -> pl.DataFrame:
    money = pl.Decimal(38, 8)
    return pl.read_csv(TRUTH / "customers.csv.gz", schema_overrides={"gross_contribution": money})


@pytest.fixture(scope="module")
def customers(out: Path, truth: pl.DataFrame) -> pl.DataFrame:
    """Everybody whom the truth or the run knows, side by side."""
    return truth.join(published(out, "customer_segments"), on="customer_id", how="full", coalesce=True)


@pytest.fixture(scope="module")
def buyers(customers: pl.DataFrame) -> pl.DataFrame:
    return customers.filter(pl.col("purchase_days") > 0)


def test_everybody_is_known_and_every_purchase_day_counted(
    customers: pl.DataFrame, facts: dict[str, Any]
) -> None:
    assert customers["kind"].null_count() == 0
    assert customers["purchase_days_total"].fill_null(0).to_list() == customers["purchase_days"].to_list()
    known = customers.filter(pl.col("purchase_days") > 0)
    assert known["frequency"].to_list() == (known["purchase_days"] - 1).to_list()
    assert known["purchase_days"].sum() == facts["purchase_days"]
    assert known["realised_purchase_days"].sum() == facts["realised_purchase_days"]


def test_contribution_is_the_truths(buyers: pl.DataFrame) -> None:
    """Corrections, partial reversals, rows delivered again: what is left is exact."""
    difference = buyers["historic_contribution"].cast(pl.Decimal(38, 8)) - buyers["gross_contribution"]
    assert difference.cast(pl.Float64).abs().max() <= 0.005  # type: ignore[operator]


def test_every_row_is_loaded_or_set_aside_for_its_reason(out: Path, facts: dict[str, Any]) -> None:
    expected = {
        (name, *reason.split(":")): count
        for name, file in facts["files"].items()
        if file["table"] == "transactions"
        for reason, count in file["set_aside"].items()
    }
    rejected = published(out, "rejected_rows").with_columns(pl.col("column_name").fill_null(""))
    counted = rejected.group_by("file_name", "column_name", "reason").len().rows()
    assert {tuple(row[:3]): row[3] for row in counted} == expected
    quality = published(out, "data_quality")
    loaded = quality.filter(pl.col("check_name") == "rows_loaded")["observed"].sum()
    assert loaded + rejected.height == facts["transactions"]["rows"]
    assert 0.003 < rejected.height / facts["transactions"]["rows"] < 0.01
    lost = quality.filter(pl.col("check_name") == "reversals_without_original")["observed"].item()
    assert lost == facts["transactions"]["reversals_of_lost_bookings"]


def test_the_model_is_bg_nbd_with_gamma_gamma(out: Path, buyers: pl.DataFrame) -> None:
    fit = {(row["model"], row["quantity"]): row for row in published(out, "model_fit").to_dicts()}
    for model in ("BG_NBD", "GAMMA_GAMMA"):
        assert fit[model, "converged"]["value"] == 1
        assert fit[model, "hessian_positive_definite"]["value"] == 1
    assert set(buyers["model_used"]) == {"BG_NBD"}
    assert set(buyers["clv_status"]) == {"OK"}


def test_the_year_after_comes_as_forecast(buyers: pl.DataFrame) -> None:
    expected = buyers["expected_purchases_12m"].to_numpy() * YEAR_SHARE
    realised = buyers["realised_purchase_days"].to_numpy()
    assert expected.sum() == pytest.approx(realised.sum(), rel=0.05)
    order = np.argsort(expected, kind="stable")
    for decile in np.array_split(order, 10):
        forecast, came = expected[decile].sum(), realised[decile].sum()
        assert abs(forecast - came) <= max(0.15 * forecast, 3 * np.sqrt(DISPERSION * forecast))


def test_p_alive_is_the_share_of_those_alive(buyers: pl.DataFrame) -> None:
    repeaters = buyers.filter(pl.col("frequency") > 0)
    p_alive, alive = repeaters["p_alive"].to_numpy(), repeaters["alive"].to_numpy()
    bins = np.minimum((p_alive * 10).astype(int), 9)
    for place in range(10):
        chosen = bins == place
        p = p_alive[chosen]
        noise = np.sqrt((p * (1 - p)).sum()) / len(p)
        assert abs(p.mean() - alive[chosen].mean()) <= 0.02 + 3 * noise


def test_expected_contribution_is_near_the_true_mean(buyers: pl.DataFrame) -> None:
    expected = buyers["expected_contribution"].cast(pl.Float64).mean()
    assert expected == pytest.approx(buyers["mean_contribution"].mean(), rel=0.03)


def test_the_generator_makes_what_is_shipped(facts: dict[str, Any]) -> None:
    sample = make_sample()
    for folder, files, limit in (
        (SAMPLE, sample.shipped, LARGEST_SAMPLE_BYTES),
        (TRUTH, sample.truth, LARGEST_TRUTH_BYTES),
    ):
        assert {path.name for path in folder.iterdir()} == {file.name for file in files}
        assert sum(path.stat().st_size for path in folder.iterdir()) < limit
        for file in files:
            shipped = (folder / file.name).read_bytes()
            # Builds of zlib differ, so contents are compared; neither clock nor name is in the header.
            if file.name.endswith(".gz"):
                assert shipped[3:8] == bytes(5), file.name
                shipped = gzip.decompress(shipped)
            assert shipped == file.text.encode(file.encoding), file.name
    assert {file.name for file in sample.shipped} == set(facts["files"])


def test_every_state_is_that_of_the_brute_force(out: Path) -> None:
    warehouse = Bench(out.parent)
    days: dict[str, dict[date, Fraction]] = {}
    for customer, day, contribution in warehouse.warehouse(
        "SELECT customer_id, purchase_day, contribution FROM purchase_days"
    ):
        days.setdefault(customer, {})[day] = Fraction(contribution)
    terms = Terms(rates={})
    states = dict(published(out, "customer_segments").select("customer_id", "lifecycle_state").rows())
    checked = 0
    for customer, state in states.items():
        facts = facts_of(days[customer], AS_OF, terms) if customer in days else None
        if not on_the_edge(facts, terms):
            assert rules_met(facts, terms)[0] == state
            checked += 1
    assert checked > 0.99 * len(states)


def test_states_tell_who_is_still_there(buyers: pl.DataFrame) -> None:
    """Of the simulated truth, the states know nothing; yet who has left is where one would look for them."""
    groups = {"there": ["ACTIVE", "MATURE", "GROWING"], "doubtful": ["DECLINING"], "gone": ["CHURNED"]}
    alive, later = {}, {}
    for name, states in groups.items():
        members = buyers.filter(pl.col("lifecycle_state").is_in(states))
        assert members.height > 50
        alive[name] = float(members["alive"].mean())  # type: ignore[arg-type]
        later[name] = float(members["realised_purchase_days"].mean())  # type: ignore[arg-type]
    assert alive["there"] > 0.75 > alive["doubtful"] > 0.35 > alive["gone"]
    assert later["there"] > later["doubtful"] > 4 * later["gone"]


def test_each_behaviour_is_seen_for_what_it_is(customers: pl.DataFrame) -> None:
    def states(kind: str, alive: bool | None = None) -> dict[str, int]:
        members = customers.filter((pl.col("kind") == kind) & pl.col("lifecycle_state").is_not_null())
        if alive is not None:
            members = members.filter(pl.col("alive") == alive)
        return dict(members.group_by("lifecycle_state").len().rows())

    assert set(states("HOLDER")) == {"PROSPECT"}, "without balances a holder is not known as one"
    assert set(states("CLOCKWORK", alive=True)) == {"MATURE"}
    # Whose gaps grow little by little is late only by the longest of them: most are seen, not all.
    fading = states("FADING")
    assert fading["DECLINING"] + fading["CHURNED"] > sum(fading.values()) / 2
    returning = states("RETURNING")
    assert max(returning, key=lambda state: returning[state]) == "REACTIVATED"
    assert not {"CHURNED", "ONE_TIME", "PROSPECT"} & set(states("ACCELERATING"))


# ---- all nine extracts


def test_the_sample_shows_everything(sample: Path) -> None:
    """Every state, label, quadrant, tier and watch status, and both kinds of months."""
    segments = published(sample, "customer_segments")
    codes = published(sample, "codes")
    for scheme in (
        "lifecycle_state", "stage5", "relationship5", "icbc6", "stage4", "quadrant", "value_tier",
        "rfm_group", "deposit_tier", "deposit_watch", "deposit_basis",
    ):  # fmt: skip
        assert set(segments[scheme].drop_nulls()) == set(codes.filter(scheme=scheme)["code"]), scheme
    tiers = segments.filter(pl.col("deposit_watch") == "WATCH")["deposit_tier"]
    assert set(tiers) == {"GOLD", "PLATINUM", "DIAMOND"}


def test_the_summaries_of_the_sample_reconcile(sample: Path) -> None:
    """Of the bank to the detail, of branches and communities to the bank; small cells are held back."""
    segments, summary = published(sample, "customer_segments"), published(sample, "segment_summary")
    bank = summary.filter(dimension="ALL")
    for scheme, status in (
        ("lifecycle_state", "lifecycle"),
        ("quadrant", "quadrant"),
        ("deposit_tier", "deposit_tier"),
    ):
        label = pl.coalesce(scheme, f"{status}_status").alias("label")
        expected = segments.group_by(label).agg(
            pl.len().cast(pl.Int64).alias("customers"), pl.sum("current_value")
        )
        found = bank.filter(scheme=scheme).select("label", "customers", "current_value")
        assert found.sort("label").equals(expected.select(found.columns).cast(found.schema).sort("label"))
    shown = summary.filter(summary_status="OK")
    for dimension, column in (("BRANCH", "branch"), ("COMMUNITY", "community")):
        parts = (
            shown.filter(dimension=dimension)
            .group_by("scheme", "label")
            .agg(pl.sum("customers"), pl.sum("current_value"), pl.sum("clv_12m"))
        )
        whole = bank.select("scheme", "label", "customers", "current_value", "clv_12m")
        assert parts.sort("scheme", "label").equals(whole.cast(parts.schema).sort("scheme", "label"))
        members = set(summary.filter(dimension=dimension, cell="MEMBER")["member"])
        assert members == set(segments[column].drop_nulls())
    assert summary.filter(summary_status="SUPPRESSED").height > 0
    smallest = shown.filter(cell="MEMBER")["customers"].min()
    assert smallest is not None and int(str(smallest)) >= 10
