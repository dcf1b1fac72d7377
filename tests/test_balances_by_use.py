"""What use has found in the whole bank: late balances, new names and levels, late rates, pure holders."""

from datetime import date

import polars as pl
import pytest

from tests.support import Bench

EVENTS = "customer_id,posted_at,amount\nann,2023-05-05,5\nbob,2024-06-05,5\n"
HELD = "customer_id,account_id,product_type,opened_on,closed_on\n"
ENDS = [f"2023-{month:02d}-28" for month in range(7, 13)] + [f"2024-{month:02d}-28" for month in range(1, 7)]


@pytest.fixture
def bank(bench: Bench) -> Bench:
    bench.config = bench.config.replace('["*.csv*"]', '["a.csv"]')
    for name in ("holdings", "balances", "rates"):
        bench.config += f'[inputs.{name}]\nfiles = ["{name}.csv"]\n'
    bench.put("a.csv", EVENTS).put("holdings.csv", HELD + "ann,a1,FUND,2020-01-01,\n")
    bench.put("rates.csv", "rate_key,valid_from,funding_rate,customer_rate\nDEPOSIT,2020-01-01,0.03,0.01\n")
    return bench


def _balances(bench: Bench, *lines: str) -> Bench:
    return bench.put(
        "balances.csv", "customer_id,date,deposit_balance,account_id,product_type\n" + "\n".join(lines)
    )


def _ann(bench: Bench):
    return next(row for row in bench.table("customer_segments").to_dicts() if row["customer_id"] == "ann")


def test_a_month_without_a_delivery_of_balances_is_no_month_without_balances(bank):
    """What was told last still stands; else month-ends of a late extract would empty all accounts."""
    _balances(bank, *(f"ann,{day},9000,a1,FUND" for day in ENDS))
    bank.run(as_of=date(2024, 7, 15))
    assert _ann(bank)["lifecycle_state"] == "HOLDER"
    bank.run(as_of=date(2024, 8, 5))
    found = _ann(bank)
    assert (found["deposits"], found["balances_status"]) != (0, "OK")
    assert found["lifecycle_state"] == "HOLDER"


def test_before_the_first_balance_none_is_known(bank):
    _balances(bank, "ann,2024-06-28,9000,a1,FUND")
    bank.run(as_of=date(2024, 6, 5))
    found = _ann(bank)
    assert (found["balances_status"], found["deposit_tier_status"]) == ("NOT_AVAILABLE", "NOT_AVAILABLE")


def test_what_nobody_has_told_for_a_year_is_not_known(bank):
    _balances(bank, "ann,2023-06-28,9000,a1,FUND").run(as_of=date(2024, 6, 26))
    assert _ann(bank)["deposits"] == 9000
    bank.run(as_of=date(2024, 6, 27))
    found = _ann(bank)
    assert (found["deposits"], found["balances_status"]) == (None, "NOT_AVAILABLE")


@pytest.mark.parametrize(
    ("before", "after"), [("ann,{},9000,,", "ann,{},9000,a1,"), ("ann,{},9000,a1,FND", "ann,{},9000,a1,FUND")]
)
def test_a_bank_that_begins_to_tell_accounts_or_renames_a_product_has_no_more_money(bank, before, after):
    """The old series must not stand on beside the new one."""
    _balances(bank, *(before.format(day) for day in ENDS[:-1]), after.format(ENDS[-1]))
    bank.run(as_of=date(2024, 6, 28))
    assert _ann(bank)["deposits"] == 9000
    assert _ann(bank)["average_deposit_12m"] == 9000


def test_until_a_product_has_rates_of_its_own_it_earns_by_the_general_ones(bank):
    _balances(bank, *(f"ann,{day},10000,a1,FUND" for day in ENDS))
    bank.run(as_of=date(2024, 6, 28))
    before = _ann(bank)["liability_value_12m"]
    rates = "DEPOSIT,2020-01-01,0.03,0.01\nFUND,2024-06-28,0.03,0.01\n"
    bank.put("rates.csv", "rate_key,valid_from,funding_rate,customer_rate\n" + rates).run(
        as_of=date(2024, 6, 28)
    )
    assert _ann(bank)["liability_value_12m"] == before


def test_who_only_held_and_left_is_terminated_and_costs_nothing(bank):
    bank.put("holdings.csv", HELD + "eve,e1,FUND,2015-01-01,2020-01-01\n")
    _balances(bank, *(f"ann,{day},10000,a1,FUND" for day in ENDS)).run()
    rows = {row["customer_id"]: row["lifecycle_state"] for row in bank.table("customer_segments").to_dicts()}
    assert rows["eve"] == "TERMINATED"


def test_an_amount_that_no_balance_tells_is_known_of_nobody(bank):
    """The file has deposits alone."""
    _balances(bank, *(f"ann,{day},10000,a1,FUND" for day in ENDS)).run(as_of=date(2024, 6, 28))
    found = _ann(bank)
    assert (found["deposits"], found["deposits_status"], found["liability_value_status"]) == (
        10000,
        "OK",
        "OK",
    )
    for column, group in (
        ("loans", "loans"),
        ("average_loan_12m", "loans"),
        ("asset_value_12m", "asset_value"),
        ("investments", "investments"),
        ("average_investment_12m", "investments"),
    ):
        told = (found[column], found[f"{group}_status"], found[f"{group}_reason"])
        assert told == (None, "NOT_AVAILABLE", "NOT_DELIVERED"), column
    assert (found["financial_assets"], found["current_value"] is None) == (10000, False)


def test_before_the_first_complete_month_nobody_has_a_tier(bank):
    _balances(bank, "ann,2024-06-10,9000000,a1,FUND").run(as_of=date(2024, 6, 28))
    found = _ann(bank)
    told = (found["deposit_tier"], found["deposit_tier_status"], found["deposit_tier_reason"])
    assert told == (None, "NOT_AVAILABLE", "NO_COMPLETE_MONTH")
    bank.run(as_of=date(2024, 6, 30))
    assert (_ann(bank)["deposit_tier_raw"], _ann(bank)["deposit_tier_status"]) == ("DIAMOND", "OK")


def test_mobile_use_that_a_later_delivery_told_ranks_nobody(bank):
    """Who holds nothing would be a distribution of their own."""
    dated = 'files = ["holdings.csv"]\nextract_date = { column = "told" }'
    bank.config = bank.config.replace('files = ["holdings.csv"]', dated)
    held = "customer_id,account_id,product_type,opened_on,closed_on,is_mobile,told\n"
    bank.put("holdings.csv", held + "ann,a1,FUND,2020-01-01,,1,2024-06-28\n")
    _balances(bank, *(f"ann,{day},10000,a1,FUND" for day in ENDS))
    for day, reason in ((date(2024, 6, 15), "NOT_DATED"), (date(2024, 6, 28), None)):
        bank.run(as_of=day, refit=True)
        rows = bank.table("customer_segments").filter(pl.col("relationship_status") == "OK")
        assert set(rows["mobile_reason"]) == set(rows["mobile_rank_reason"]) == {reason}
        assert set(rows["potential_basis"].str.contains("MOBILE")) == {reason is None}


def test_nobody_takes_back_what_another_has_bought(bench):
    header = "transaction_id,customer_id,posted_at,amount,reverses_id\n"
    bench.put("a.csv", header + "1,ann,2024-06-01,5,\n2,bob,2024-06-02,5,\n3,bob,2024-06-03,-5,1\n")
    warnings = bench.run()[-1].result.warnings
    assert any("another customer's" in warning for warning in warnings)
    rows = bench.table("customer_segments").select("customer_id", "purchase_days_total").rows()
    assert rows == [("ann", 1), ("bob", 1)]
