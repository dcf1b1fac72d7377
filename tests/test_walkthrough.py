"""Every row, value and sum on the page that walks three customers through is the loaded or published one."""

import re
from datetime import date
from decimal import Decimal
from fractions import Fraction

import duckdb
import polars as pl
import pytest

from tests.oracle.bank_truth import Holding, annuity, kaplan_meier
from tests.pages import holds, rows, same, sums
from tests.support import REPOSITORY, published

AS_OF = date(2024, 6, 30)
PAGE = (REPOSITORY / "docs" / "walkthrough.md").read_text(encoding="utf-8")
PARTS = re.split(r"^## (C\d+): ", PAGE, flags=re.MULTILINE)
SHARED, SECTIONS = PARTS[0], dict(zip(PARTS[1::2], PARTS[2::2], strict=True))
ROWS = [(who, *row[:2]) for who, text in SECTIONS.items() for row in rows(text)]
THRESHOLDS = re.findall(r"^\| ([a-z_]+\.[a-z_.0-9]+) \| ([0-9.]+) \|$", SHARED, flags=re.MULTILINE)
# Raw rows: the header on the page, and what the warehouse has under it.
RAW = {
    "| id | booked | amount | type | channel | fee | reverses |": """
        SELECT transaction_id, posted_on, amount, transaction_type, channel, fee_amount, reverses_id
        FROM transactions WHERE customer_id = ? AND posted_on <= ? ORDER BY posted_on, transaction_id""",
    "| account | product | opened | due | mobile | overdue |": """
        SELECT account_id, product_type, opened_on, matures_on, is_mobile, days_overdue
        FROM holdings WHERE customer_id = ? AND opened_on <= ? ORDER BY account_id""",
    "| day | deposits | loans | investments | net flow |": """
        SELECT date, deposit_balance, loan_balance, investment_value, net_flow
        FROM balances WHERE customer_id = ? AND date <= ? AND account_id IS NULL ORDER BY date""",
}
MEASURES = {
    "products held": ("products_held", "products_rank"),
    "mobile accounts": ("mobile_accounts", "mobile_rank"),
    "financial assets": ("financial_assets", "assets_rank"),
}


@pytest.fixture(scope="module")
def segments(sample):
    return published(sample, "customer_segments")


@pytest.fixture(scope="module")
def warehouse(sample):
    with duckdb.connect(str(sample / "state" / "warehouse.duckdb"), read_only=True) as connection:
        yield connection


def table(text: str, header: str) -> list[list[str]]:
    """Cells of the table under a header, of as many columns as the header has."""
    body = text.partition(f"\n{header}")[2].partition("\n")[2].partition("\n\n")[0]
    lines = body.strip().split("\n")[1:]
    return [[cell.strip() for cell in line.split("|")[1 : header.count("|")]] for line in lines]


def written(value: object) -> str:
    """As the page writes it."""
    if isinstance(value, Decimal):
        return f"{value:,.2f}".replace("-", "−")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def test_the_page_is_read_whole():
    assert len(SECTIONS) == 3 and len(ROWS) > 120 and len(THRESHOLDS) == 13
    tables = PAGE.split("| column | value | how |\n")[1:]
    assert len(ROWS) == sum(one.partition("\n\n")[0].strip().count("\n") for one in tables)


@pytest.mark.parametrize(("customer", "column", "value"), ROWS)
def test_each_value(segments, customer, column, value):
    assert same(segments.row(by_predicate=pl.col("customer_id") == customer, named=True)[column], value)


@pytest.mark.parametrize("span", sums(PAGE))
def test_each_sum(span):
    assert holds(span)


@pytest.mark.parametrize(("name", "value"), THRESHOLDS)
def test_each_threshold(sample, name, value):
    found = published(sample, "thresholds").filter(pl.col("name") == name)
    assert found["value"].to_list() == [Decimal(value)]


def test_the_weights(sample):
    found = published(sample, "weights").select("component", "weight").rows()
    assert sorted((name, float(weight)) for name, weight in table(SHARED, "| component | weight |")) == found


@pytest.mark.parametrize("customer", SECTIONS)
@pytest.mark.parametrize("header", RAW)
def test_raw_rows(warehouse, customer, header):
    """All rows that there are, and no other."""
    found = warehouse.execute(RAW[header], [customer, AS_OF]).fetchall()
    assert table(SECTIONS[customer], header) == [[written(value) for value in row] for row in found]


def test_rates_and_costs(warehouse):
    rates = table(SHARED, "| rate key | valid from | funding | customer | expected loss |")
    assert rates == [
        [key, str(day), f"{funding:.4f}", f"{paid:.4f}", "" if loss is None else f"{loss:.3f}"]
        for key, day, funding, paid, loss in warehouse.execute(
            "SELECT rate_key, valid_from, funding_rate, customer_rate, expected_loss_rate FROM rates "
            "WHERE rate_key IN ('DEPOSIT', 'LOAN') AND valid_from >= '2022-09-15' ORDER BY 1, 2"
        ).fetchall()
    ]
    costs = {tuple(row) for row in table(SHARED, "| kind | channel | valid from | cost |")}
    found = warehouse.execute("SELECT cost_kind, channel, valid_from, unit_cost FROM costs").fetchall()
    there = {tuple(written(value) for value in row) for row in found}
    assert {row for row in there if row[1] != "BRANCH"} == costs


@pytest.mark.parametrize("title", MEASURES)
def test_ranks(segments, title):
    """How many of those with a relationship have as much, and what rank that is."""
    measure, rank = MEASURES[title]
    people = segments.filter(pl.col("relationship_days").is_not_null())
    assert f"share of the {people.height:,} customers" in SHARED
    lines = table(SHARED, f"| {title} | customers | rank |")
    assert lines
    for value, customers, told in lines:
        alike = people.filter(pl.col(measure) == Decimal(value))
        assert f"{alike.height:,}" == customers
        assert {f"{found:.4f}" for found in alike[rank]} == {told.strip("`").rpartition(" ")[2]}
    less = people.filter(pl.col("financial_assets") < Decimal("150421.68")).height
    assert f"{less:,} of the {people.height:,} have less" in PAGE


def test_annuity_factors(warehouse):
    """By the second implementation of the curve and of the annuity, over the holdings as loaded."""
    found = warehouse.execute(
        "SELECT account_id, opened_on, CASE WHEN closed_on <= ? THEN closed_on END FROM holdings "
        "WHERE opened_on <= ?",
        [AS_OF, AS_OF],
    ).fetchall()
    lives = [Holding("", account, None, opened, closed_on=closed) for account, opened, closed in found]
    curve = kaplan_meier(lives, AS_OF)
    ended = sum(one.closed_on is not None for one in lives)
    assert f"Of {len(lives):,} holdings {ended:,} had ended" in SHARED
    factors = table(SHARED, "| age in days | factor |")
    assert len(factors) == 2
    for age, factor in factors:
        assert f"{annuity(Fraction(1), int(age), curve, 0.10):.6f}" == factor


def test_what_the_master_data_say(warehouse):
    for customer, text in SECTIONS.items():
        branch, manager, referrer, consent, out = warehouse.execute(
            "SELECT branch, relationship_manager, referred_by, marketing_consent, opted_out_on "
            "FROM customer_records WHERE customer_id = ?",
            [customer],
        ).fetchone()
        told = " ".join(text.partition("In the master data:")[2].split(". ")[0].split())
        assert f"branch {branch}," in told and "consent to marketing" in told and consent and out is None
        assert (f"looked after by {manager}" if manager else "no relationship manager") in told
        assert ("brought by another customer" in told) == (referrer is not None)
