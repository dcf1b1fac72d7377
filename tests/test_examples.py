"""Customers worked by hand on a page: every table, sum and list of rules on it is what is published."""

import re

import pytest

from clvpipe.config.rules import load_codes, load_lifecycle
from tests.oracle.bank_stories import STORIES, story_bank
from tests.oracle.test_bank import Side, both
from tests.pages import holds, rows, same, sums
from tests.support import REPOSITORY

PAGE = (REPOSITORY / "docs" / "examples.md").read_text(encoding="utf-8")
PARTS = re.split(r"^## `(\w+)`: ", PAGE, flags=re.MULTILINE)
SECTIONS = dict(zip(PARTS[1::2], PARTS[2::2], strict=True))
ROWS = [(who, *row) for who, text in SECTIONS.items() for row in rows(text)]
STATES = [state.code for state in load_lifecycle().state]
# Kinds that must not go missing.
KINDS = {
    "one_time_120", "one_time_400", "saver_stopped", "ten_in_thirty", "returned_300", "weekly_four_years",
    "halving", "reached", "holder", "three_million", "negative", "loan_on_time", "loan_overdue",
}  # fmt: skip
LABELS = ("lifecycle_state", "stage5", "relationship5", "icbc6", "stage4")
SCHEMES = {
    **{name: name for name in (*LABELS, "quadrant", "value_tier", "deposit_tier", "deposit_watch")},
    "deposit_tier_raw": "deposit_tier",
}
GRIDS = {
    "products held": "products_rank",
    "mobile accounts": "mobile_rank",
    "financial assets": "assets_rank",
    "clv_12m, of the 14 buyers": "residual_clv_rank",
}
MEASURES = dict(zip(GRIDS, ("products_held", "mobile_accounts", "financial_assets", "clv_12m"), strict=True))


@pytest.fixture(scope="module")
def side() -> Side:
    return both(story_bank())


def test_the_page_is_read_whole():
    assert len(SECTIONS) == 18 and set(SECTIONS) <= set(STORIES) and set(SECTIONS) >= KINDS
    assert PAGE.startswith("# Eighteen customers")
    tables = PAGE.split("| column | value | how |\n")[1:]
    assert len(ROWS) == sum(table.partition("\n\n")[0].strip().count("\n") for table in tables)
    for text in SECTIONS.values():
        assert {name for name, *_ in rows(text)} >= {*LABELS, "quadrant", "current_value"}


def test_every_state_occurs():
    assert {value for _, name, value, _ in ROWS if name == "lifecycle_state"} == set(STATES)
    assert {value for _, name, value, _ in ROWS if name == "quadrant"} == {
        *(code for code, _, _ in load_codes().schemes["quadrant"].codes), "NULL",
    }  # fmt: skip


@pytest.mark.parametrize(("who", "column", "value", "how"), ROWS)
def test_each_value(side, who, column, value, how):
    assert same(side.published[who][column], value)
    if column in SCHEMES and value != "NULL":
        labels = {code: (en, zh) for code, en, zh in load_codes().schemes[SCHEMES[column]].codes}
        assert how.partition(":")[0] == " ".join(labels[value])


@pytest.mark.parametrize("span", sums(PAGE))
def test_each_sum(span):
    assert holds(span)


@pytest.mark.parametrize("who", SECTIONS)
def test_each_list_of_rules(side, who):
    """The rules in their order, up to the first that holds; the second implementation agrees."""
    text = SECTIONS[who].partition("\nState: ")[2].partition("\n\n")[0]
    tried = re.findall(r"`([A-Z_]+)`\s(no|yes)\b", text)
    state = side.published[who]["lifecycle_state"]
    assert [code for code, _ in tried] == STATES[: STATES.index(state) + 1]
    assert [verdict for _, verdict in tried] == ["no"] * STATES.index(state) + ["yes"]
    assert side.true[who]["rules_met"][0] == state


@pytest.mark.parametrize("title", GRIDS)
def test_each_distribution(side, title):
    """How many of those with a relationship have as much, and what rank that is."""
    table = PAGE.partition(f"\n| {title} | customers | rank |\n")[2].partition("\n\n")[0]
    people = [row for row in side.published.values() if row[GRIDS[title]] is not None]
    lines = re.findall(r"^\| (\S+) \| (\d+) \| `.* ≈ (\S+)` \|$", table, re.MULTILINE)
    assert len(lines) == table.count("\n")
    for value, customers, rank in lines:
        alike = [row for row in people if same(row[MEASURES[title]], value.replace("none", "0"))]
        assert len(alike) == int(customers)
        assert all(same(row[GRIDS[title]], rank) for row in alike)


def test_what_the_calibration_froze(side):
    people = side.published.values()
    buyers = [row for row in people if row["purchase_days_total"]]
    known = [row for row in people if row["relationship_days"] is not None]
    repeats = [row for row in buyers if row["frequency"]]
    numbers = {
        "Of the {} customers": len(people),
        "bank {} have a relationship": len(known),
        "and {} have bought": len(buyers),
        "made {} repeat purchases": sum(row["frequency"] for row in buyers),
        "in {:,} customer-days": sum(row["t_days"] for row in buyers),
        "these earned {:,}": sum(row["mean_repeat_contribution"] * row["frequency"] for row in repeats),
        "`TOO_FEW_HOLDINGS`, {} holdings": len(side.bank.tables["holdings"].rows),
    }
    plain = " ".join(PAGE.split())
    for text, number in numbers.items():
        assert text.format(number) in plain
    assert {row["value_tier"] for row in people} == {"LOW", None}
    assert {row["annuity_reason"] for row in known} == {"TOO_FEW_HOLDINGS"}
    high = [row["current_value"] for row in known if row["quadrant"] in ("BEST", "GENERAL")]
    assert len(high) == 11 and str(min(high)) == "99.00"
