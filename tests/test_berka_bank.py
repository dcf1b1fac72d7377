"""A real bank with accounts, owners, loans, cards and balances, at two dates within what its files hold.

What is expected is computed from the bookings in plain Python, day by day.
"""

from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.berka_bank import (
    END,
    FEE,
    RATES,
    ROUNDING,
    bookings,
    closing_balances,
    cut,
    day_of,
    days_between,
    extracts,
    is_daily,
    owners,
    read,
)
from tests.oracle.bank_truth import PRESETS, TIERS, complete_months, raw_tier, replay
from tests.oracle.brute_force import cents
from tests.support import Bench, content_hashes, shared

pytestmark = pytest.mark.realdata

YEAR = 365
GAP = 31  # days that an observation stands for at most
DAILY_OBSERVATIONS = 20
BOUNDS = (20_000, 40_000, 80_000)
PURCHASES = ("VYBER", "VYBER KARTOU")
MARGIN_RATE = Fraction(1, 100)
CONFIG = f"""
preset = "retail"
currency = "CZK"
[inputs]
{{inputs}}
[purchases]
default = {{{{ purchase = false, margin_rate = 0 }}}}
rules = [{{{{ types = ["{PURCHASES[0]}", "{PURCHASES[1]}"], purchase = true, margin_rate = 0.01 }}}}]
[products]
asset_types = ["CURRENT_ACCOUNT"]
loan_types = ["LOAN"]
[deposit_tier]
bounds = {list(BOUNDS)}
"""

Tables = Mapping[str, pl.DataFrame]


@pytest.fixture(scope="module")
def folder() -> Path:
    return shared() / "data" / "berka"


@pytest.fixture(scope="module")
def tables(folder) -> Tables:
    return extracts(folder)


@pytest.fixture(params=[date(1993, 12, 31), date(1994, 3, 30)], ids=str)
def day(request):
    return request.param


@pytest.fixture(scope="module")
def bank(tables, tmp_path_factory):
    """The whole files, run at each date once."""
    made = {}

    def run(day: date) -> Bench:
        if day not in made:
            made[day] = run_bank(tmp_path_factory.mktemp("bank"), tables, day)
        return made[day]

    return run


def run_bank(folder: Path, tables: Tables, day: date) -> Bench:
    """The pipeline on these extracts."""
    for name, table in tables.items():
        table.write_csv(folder / f"{name}.csv")
    inputs = "\n".join(f'{name} = {{ files = ["{name}.csv"] }}' for name in tables)
    bench = Bench(folder, CONFIG.format(inputs=inputs), as_of=day)
    bench.run()
    return bench


@pytest.fixture
def segments(bank, day):
    return bank(day).table("customer_segments")


@pytest.fixture
def balances(folder, day) -> dict[str, dict[date, Decimal]]:
    """By owner: the balance that stands on each covered day up to the date."""
    return known_balances(folder, day)


@cache
def known_balances(folder: Path, as_of: date) -> dict[str, dict[date, Decimal]]:
    owner = owners(folder)
    return {
        owner[account]: standing(is_daily(account), carried(closings), as_of)
        for account, closings in closing_balances(folder).items()
        if min(closings) <= as_of
    }


def carried(closings: Mapping[date, Decimal]) -> dict[date, Decimal]:
    """The balance at the end of every day: that of the last booking by then."""
    found: dict[date, Decimal] = {}
    for day in days_between(min(closings), END):
        found[day] = closings[day] if day in closings else found[day - timedelta(1)]
    return found


def observed_days(daily: bool, first: date, as_of: date) -> list[date]:
    """The days whose balance the bank has told by then."""
    return [one for one in days_between(first, as_of) if daily or (one + timedelta(1)).day == 1]


def standing(daily: bool, ends: Mapping[date, Decimal], as_of: date) -> dict[date, Decimal]:
    """What is known of each day.

    Of accounts told daily, the balance itself: no rule of the pipeline is needed. A month's end stands for
    the days since the one before, and the last one for another month.
    """
    first = min(ends)
    if daily:
        return {one: balance for one, balance in ends.items() if one <= as_of}
    found = {}
    observed = observed_days(daily, first, as_of)
    for one in days_between(first, as_of):
        ahead = [end for end in observed if 0 <= (end - one).days < GAP]
        if ahead:
            found[one] = ends[ahead[0]]
        elif observed and 0 < (one - observed[-1]).days <= GAP:
            found[one] = ends[observed[-1]]
    return found


def year_of(balances: Mapping[date, Decimal], as_of: date) -> dict[date, Decimal]:
    """The covered days of the last year."""
    return {one: balance for one, balance in balances.items() if (as_of - one).days < YEAR}


def check(segments: pl.DataFrame, expected: Mapping[str, Mapping[str, Any]]) -> None:
    """All customers have what is expected of them, to the cent."""
    assert set(segments["customer_id"]) == set(expected)
    for row in segments.to_dicts():
        wanted = expected[row["customer_id"]]
        assert {name: row[name] for name in wanted} == wanted, row["customer_id"]


def test_every_days_last_balance_follows_from_the_bookings(folder):
    """The balances that all else is measured by: yesterday's and what was booked, but for rounding."""
    moved: dict[tuple[str, date], Decimal] = defaultdict(Decimal)
    for booking in bookings(folder):
        moved[booking.account_id, booking.day] += booking.moved
    for account, days in closing_balances(folder).items():
        before = Decimal(0)
        for one, balance in days.items():
            assert abs(before + moved[account, one] - balance) <= ROUNDING
            before = balance


def test_rows_reconcile_and_nobody_is_dropped(bank, tables, day, segments):
    quality = bank(day).table("data_quality").filter(pl.col("check_name") == "rows_loaded")
    # A subject is a file, its digest and its extract.
    loaded = {row["subject"].split()[-1]: row["observed"] for row in quality.to_dicts()}
    assert loaded == {name: table.height for name, table in tables.items()}
    assert bank(day).table("rejected_rows").is_empty()
    opened = tables["customers"].filter(pl.col("opened_on") <= day)
    assert sorted(segments["customer_id"]) == sorted(opened["customer_id"])
    assert segments.height > 1000


def test_neither_what_lies_ahead_nor_the_order_of_rows_matters(bank, tables, day, tmp_path):
    """Files that end on the date, turned upside down, give the same bytes as those that go on for years."""
    turned = {name: table.reverse() for name, table in cut(tables, day).items()}
    known, full = run_bank(tmp_path, turned, day), bank(day)
    assert known.table("customer_segments").equals(full.table("customer_segments"))
    assert content_hashes(known.folder / "out") == content_hashes(full.folder / "out")


def test_loans_and_cards_are_held_from_their_day_on(folder, bank, day, segments):
    owner = owners(folder)
    account_of = {row["disp_id"]: row["account_id"] for row in read(folder, "disp")}
    later = [(row["account_id"], "LOAN", day_of(row["date"])) for row in read(folder, "loan")]
    later += [
        (account_of[row["disp_id"]], row["type"], day_of(row["issued"])) for row in read(folder, "card")
    ]
    products = defaultdict(set)
    for account, product, since in later:
        if since <= day:
            products[owner[account]].add(product)
    held = dict(segments.select("customer_id", "products_held").rows())
    assert held == {customer: 1 + len(products[customer]) for customer in held}
    assert set(held.values()) >= {1, 2}
    ahead = {owner[account] for account, _, since in later if since > day} & set(held)
    assert len(ahead) > 100
    recent = {owner[account] for account, _, since in later if 0 <= (day - since).days < 180}
    opened = bank(day).warehouse("SELECT customer_id FROM customer_positions WHERE product_opened")
    # An account's own opening is the first holding, which counts only beside an older one.
    assert {customer for (customer,) in opened} == recent & set(held)
    assert set(segments["financial_asset_accounts"]) == {1}


def test_deposits_are_those_of_the_bookings(segments, balances, day):
    expected = {}
    for customer, known in balances.items():
        year = year_of(known, day)
        average = Fraction(sum(year.values())) / len(year) if year else Fraction(0)
        expected[customer] = {
            "deposits": known.get(day, Decimal("0.00")),
            "financial_assets": known.get(day, Decimal("0.00")),
            "average_deposit_12m": cents(average),
            "balance_covered_days": len(year),
        }
    check(segments, expected)


def test_deposits_earn_by_the_rate_of_each_day(folder, segments, balances, day):
    intermediary = intermediary_values(folder, day)
    expected = {}
    for customer, known in balances.items():
        earned_365, unrated = Decimal(0), 0
        for one, balance in year_of(known, day).items():
            margin = margin_on(one)
            earned_365 += balance * (margin or 0)
            unrated += margin is None and balance != 0
        earned = Fraction(earned_365) / YEAR
        expected[customer] = {
            "liability_value_12m": cents(earned),
            "asset_value_12m": None,
            "rates_missing_days": unrated,
            "intermediary_value_12m": cents(intermediary[customer]),
            "current_value": cents(intermediary[customer] + earned),
            "current_value_basis": "CONTRIBUTION_BALANCES",
        }
    check(segments, expected)


def margin_on(day: date) -> Decimal | None:
    """What a deposit earns a year, by the last rate that has begun."""
    margins = [Decimal(funding) - Decimal(paid) for since, funding, paid in RATES if since <= day]
    return margins[-1] if margins else None


def intermediary_values(folder: Path, as_of: date) -> dict[str, Fraction]:
    """What withdrawals and fees of the last year earned, by owner."""
    owner = owners(folder)
    found: dict[str, Fraction] = defaultdict(Fraction)
    for booking in bookings(folder):
        if 0 <= (as_of - booking.day).days < YEAR:
            rate = MARGIN_RATE if booking.kind in PURCHASES else Fraction(booking.kind == FEE)
            found[owner[booking.account_id]] += abs(Fraction(booking.moved)) * rate
    return found


def test_deposit_tiers_are_those_of_the_bookings(folder, segments, balances, day):
    account_of = {customer: account for account, customer in owners(folder).items()}
    expected = {
        customer: deposit_tier(is_daily(account_of[customer]), known, day)
        for customer, known in balances.items()
    }
    check(segments, expected)
    for column, least in (("deposit_tier", 3), ("deposit_tier_raw", 4), ("deposit_basis", 2)):
        assert segments[column].n_unique() >= least
    assert set(segments["deposit_watch"]) == {"NORMAL", "WATCH"}


def deposit_tier(daily: bool, known: Mapping[date, Decimal], as_of: date) -> dict[str, Any]:
    """The tier that the months since the opening have led to, and what the last complete one had."""
    months = complete_months(min(known), as_of, as_of) if known else []
    deposits = [month_deposits(daily, known, end) for end in months] or [(Fraction(0), "MONTH_END")]
    raws = [raw_tier(average, BOUNDS) for average, _ in deposits]
    tier, watch, below = replay(raws, PRESETS["a"], not months or as_of > months[-1])
    return {
        "deposit_tier": TIERS[tier],
        "deposit_tier_raw": TIERS[raws[-1]],
        "deposit_watch": watch,
        "deposit_months_below": below,
        "deposit_average": cents(deposits[-1][0]),
        "deposit_basis": deposits[-1][1],
    }


def month_deposits(daily: bool, known: Mapping[date, Decimal], end: date) -> tuple[Fraction, str]:
    """Average over the month's days, with nothing on those before the opening; or what stood at its end."""
    first = end.replace(day=1)
    if len(observed_days(daily, max(first, min(known)), end)) < DAILY_OBSERVATIONS:
        return Fraction(known[end]), "MONTH_END"
    total = sum(known.get(one, Decimal(0)) for one in days_between(first, end))
    return Fraction(total) / monthrange(end.year, end.month)[1], "DAILY"


def test_what_is_missing_is_not_available(segments):
    for group, reason in (
        ("cost", "NO_COSTS"),
        ("payback", "NO_COSTS"),
        ("marketing", "NO_CONSENT_DATA"),
        # No loan has come to its end yet, and no account is ever closed: how long they last is unknown.
        ("annuity", "TOO_FEW_HOLDINGS"),
        # The bookings tell what lies on an account, and nothing of loans or investments.
        ("loans", "NOT_DELIVERED"),
        ("asset_value", "NOT_DELIVERED"),
        ("investments", "NOT_DELIVERED"),
    ):
        assert set(segments[f"{group}_status"]) == {"NOT_AVAILABLE"}
        assert set(segments[f"{group}_reason"]) == {reason}
    known = ("branch", "relationship", "holdings", "deposits", "liability_value", "balances", "current_value")
    for group in (*known, "balance_income", "financial_assets"):
        assert set(segments[f"{group}_status"]) == {"OK"}
    assert segments["branch"].null_count() == 0
    assert segments["cost_12m"].null_count() == segments.height


def test_no_number_is_nan(bank, day):
    for dataset in ("customer_segments", "segment_summary", "model_fit", "thresholds"):
        for column in bank(day).table(dataset).select(pl.col(pl.Float64)):
            assert np.isfinite(column.drop_nulls().to_numpy()).all(), column.name


def test_lifecycle_states_sum_up(bank, day, segments):
    states = Counter(segments["lifecycle_state"])
    summary = bank(day).table("segment_summary").filter(scheme="lifecycle_state", dimension="ALL")
    assert dict(summary.filter(pl.col("customers") > 0).select("label", "customers").rows()) == states
    assert sum(states.values()) == segments.height
    assert {"NEW", "HOLDER", "ACTIVE"} <= set(states)
    assert not {"PROSPECT", "CONTACTED", "TERMINATED"} & set(states), "everybody holds an account"


def test_holders_have_money_and_take_none(folder, segments, balances, day):
    owner = owners(folder)
    opened = {owner[account]: min(days) for account, days in closing_balances(folder).items()}
    last: dict[str, date] = {}
    for booking in bookings(folder):
        if booking.day <= day and booking.kind in PURCHASES:
            last[owner[booking.account_id]] = booking.day
    states = dict(segments.select("customer_id", "lifecycle_state").rows())
    rich = {customer for customer, known in balances.items() if known.get(day, 0) >= 1000}
    for customer in (one for one, state in states.items() if state == "HOLDER"):
        assert customer in rich
        assert customer not in last or (day - last[customer]).days > 180
    waiting = {one for one in rich - set(last) if (day - opened[one]).days >= 90}
    assert {states[one] for one in waiting} <= {"HOLDER", "DECLINING"}


def test_a_balance_of_anothers_account_is_set_aside(bank, tables, tmp_path):
    """The first customer is given, on top of the file, a balance of an account that only the last one has."""
    balances = tables["balances"]
    stray = balances.tail(1).with_columns(customer_id=pl.lit(tables["customers"]["customer_id"][0]))
    assert stray["customer_id"][0] != balances["customer_id"][-1]
    bench = run_bank(tmp_path, {**tables, "balances": pl.concat([stray, balances])}, END)
    rejected = bench.table("rejected_rows").drop("as_of_date").rows()
    assert rejected == [("balances", "balances.csv", 2, "account_id", "ACCOUNT_OF_ANOTHER")]
    quality = {row["check_name"]: row for row in bench.table("data_quality").to_dicts()}
    assert quality["accounts_of_another"]["observed"] == 1
    assert bench.table("customer_segments").equals(bank(END).table("customer_segments"))
