"""Steady buyers are seldom called declining or growing."""

from collections.abc import Iterable
from datetime import date

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom
from tools.detection_delay import CONFIG, purchases, states

PROMISED = 0.05
# One check in so many may fail by the chance of the simulation, were every true share the promised one.
CHANCE = 1e-4
# Purchase days a year. Between 8 and 25 silence and the test of counts take turns: the hardest place.
RATES = (3, 6, 9, 12, 15, 18, 24, 36, 52, 75, 100, 150)
START, END = date(2020, 10, 1), date(2024, 6, 30)
TWO_MONTHS = (date(2024, 5, 31), END)
HALF_A_YEAR = (date(2023, 12, 31), date(2024, 1, 31), date(2024, 2, 29), date(2024, 3, 31), date(2024, 4, 30))


def steady(rates: Iterable[float], rows: int) -> dict[str, pl.DataFrame]:
    """A group for each rate; slow buyers are many, so that each group has about so many rows."""
    rng = np.random.default_rng(5)
    years = (END - START).days / 365
    return {
        f"{rate}": purchases(rate, int(min(rows / (rate * years), rows / 20)), (START, END, END), rng)
        for rate in rates
    }


def called(found: pl.DataFrame, state: str) -> pl.DataFrame:
    """How many of each group are in a state at each month-end, and how many were not a month before."""
    here = pl.col("lifecycle_state") == state
    return (
        found.sort("as_of")
        .with_columns(here.alias("there"), here.shift(1).over("customer_id").alias("before"))
        .with_columns((pl.col("there") & ~pl.col("before")).alias("entered"))
        .group_by("group", "as_of")
        .agg(pl.len(), pl.sum("there", "entered"), pl.col("before").count().alias("known_before"))
        .sort("group", "as_of")
    )


def too_many(count: int, customers: int) -> bool:
    """Whether so many are more than a true share of 5 % would give by chance."""
    return bool(count > binom.isf(CHANCE, customers, PROMISED))


def broken(found: pl.DataFrame, state: str) -> list[tuple[str, date, str, float]]:
    """Groups and month-ends where more than the promised share is in the state, or new in it."""
    return [
        (row["group"], row["as_of"], what, row[what] / row[of])
        for row in called(found, state).to_dicts()
        for what, of in (("there", "len"), ("entered", "known_before"))
        if too_many(row[what], row[of])
    ]


def check(found: pl.DataFrame) -> None:
    for state in ("DECLINING", "GROWING"):
        assert broken(found, state) == []
        everybody = found.with_columns(pl.lit("all").alias("group"))
        assert broken(everybody, state) == []


@pytest.mark.slow
def test_steady_buyers_are_seldom_called_declining_or_growing(tmp_path):
    found = states(tmp_path, steady(RATES, 80_000), TWO_MONTHS)
    assert min(found["group"].value_counts()["count"]) > 200
    assert {"DECLINING", "GROWING"} <= set(found["lifecycle_state"])
    check(found)


@pytest.mark.slow
def test_so_it_is_at_each_month_end_with_more_customers(tmp_path):
    check(states(tmp_path, steady(RATES, 80_000), (*HALF_A_YEAR, *TWO_MONTHS)))


def test_own_gaps_alone_would_be_noticed(tmp_path):
    config = f"{CONFIG}lifecycle.late_longest_multiple = 0.01\n"
    found = states(tmp_path, steady((10, 12), 120_000), (END,), config)
    assert {group for group, *_ in broken(found, "DECLINING")} == {"10", "12"}
