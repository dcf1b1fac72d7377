"""An extract that is not there changes the columns that it feeds, and no others."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from . import bank_truth as truth
from .bank_generators import bank, write
from .bank_truth import Bank
from .harness import run_bank

Records = Mapping[str, dict[str, Any]]

LABELS = ("lifecycle_state", "stage5", "relationship5", "icbc6", "stage4", "is_existing")
FUTURE = ("balance_annuity_12m", "annuity", "future_value", "value_tier")
CURRENT = ("current_value", "quadrant")
POTENTIAL = ("potential", "quadrant", "is_potential")
# By extract: beginnings of the names of columns that it feeds, in a run whose calibration is its own.
FEEDS = {
    "customers": ("branch", "community", "relationship_manager", "marketing"),
    "holdings": (
        "relationship_start", "relationship_days", "relationship_status", "relationship_reason", "is_new",
        "products", "financial_asset", "holdings", "mobile", "deposits", "loans", "investments", "average_",
        "balance", "asset_value", "liability_value", "rates_missing", "cost", "intermediary", "assets_rank",
        "residual_clv_rank", "deposit_", "payback", *CURRENT, *FUTURE, *POTENTIAL, *LABELS,
    ),
    "balances": (
        "deposits", "loans", "investments", "financial_assets", "average_", "balance", "asset_value",
        "liability_value", "rates_missing", "cost", "payback", "assets_rank", "deposit_", *CURRENT, *FUTURE,
        *POTENTIAL, *LABELS,
    ),
    "rates": ("asset_value", "liability_value", "rates_missing", "balance_income", *CURRENT, *FUTURE),
    "costs": (
        "cost", "payback", "historic_contribution", "mean_repeat", "rfm", "m_score", "expected_contribution",
        "contribution", "clv", "intermediary", "residual_clv_rank", *CURRENT, *FUTURE, *POTENTIAL, *LABELS,
    ),
    "contacts": LABELS,
    "events": LABELS,
    "surveys": (),
}  # fmt: skip


@pytest.fixture(scope="module")
def whole() -> Bank:
    return bank(17, customers=120, full=True, known_at=False)


def _published(made: Bank) -> Records:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tables = run_bank(write(made, folder), folder / "out", made.as_of, made.known_at)
    return {record["customer_id"]: record for record in tables["customer_segments"]}


@pytest.fixture(scope="module")
def complete(whole: Bank) -> Records:
    return _published(whole)


def _changed(before: Records, after: Records) -> Iterator[str]:
    """Columns in which a customer who is seen in both differs."""
    for who in before.keys() & after.keys():
        for column, value in before[who].items():
            if column != "calibration_id" and after[who][column] != value:
                yield column


@pytest.mark.parametrize("name", FEEDS)
def test_only_what_an_extract_feeds_changes(whole: Bank, complete: Records, name: str) -> None:
    changed = set(_changed(complete, _published(truth.without(whole, name))))
    assert {column for column in changed if not column.startswith(FEEDS[name])} == set()
    assert bool(changed) == bool(FEEDS[name])


def test_every_extract_is_tried() -> None:
    assert {"transactions", *FEEDS} == set(truth.TABLES)
