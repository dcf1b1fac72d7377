"""What is said of balances that would be read wrongly."""

from datetime import date

import pytest

from tests.support import Bench


@pytest.fixture
def banking(bench: Bench) -> Bench:
    """One who buys; the balances are the test's."""
    bench.config = bench.config.replace('["*.csv*"]', '["a.csv"]')
    bench.config += '[inputs.balances]\nfiles = ["balances.csv"]\n'
    return bench.put("a.csv", "customer_id,posted_at,amount\nann,2024-06-01,5\n")


def _failed(bench: Bench) -> set[str]:
    return {row["check_name"] for row in bench.table("data_quality").to_dicts() if not row["passed"]}


def test_balances_that_no_longer_stand_are_said(banking):
    banking.put("balances.csv", "customer_id,date,deposit_balance\nann,2024-05-31,9\nann,2024-06-30,9\n")
    banking.run(as_of=date(2024, 7, 31))
    assert "balances_are_stale" not in _failed(banking)
    banking.run(as_of=date(2024, 8, 1))
    assert "balances_are_stale" in _failed(banking)


@pytest.mark.parametrize(("loan", "said"), [("-100", True), ("100", False)])
def test_loans_of_the_other_sign_are_said(banking, loan, said):
    lines = f"ann,2024-05-31,{loan}\nann,2024-06-30,{loan}\nbob,2024-06-30,0\n"
    banking.put("balances.csv", "customer_id,date,loan_balance\n" + lines).run()
    assert ("loans_are_negative" in _failed(banking)) is said
