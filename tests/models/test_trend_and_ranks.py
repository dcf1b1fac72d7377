"""Trend tests, cuts, ranks and thresholds against SciPy and brute force."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, chi2, pearsonr, spearmanr

from clvpipe.models.empirical import (
    percentile_rank,
    quantile_cuts,
    rank_reference,
    scores_from_cuts,
    theta,
)
from clvpipe.models.gamma_gamma import ValuePairs, frequency_value_correlation
from clvpipe.models.trend import (
    decline_p_value,
    dispersion_p_value,
    growth_p_value,
    smallest_detectable_fall,
)

counts = st.integers(0, 200)
days = st.integers(1, 1000)
cents = st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=60)
probability = st.integers(0, 100).map(lambda k: k / 100)


@settings(max_examples=200, deadline=None)
@given(counts, counts, days, days)
def test_trend_is_the_exact_binomial_test(recent: int, base: int, recent_days: int, base_days: int) -> None:
    share = recent_days / (recent_days + base_days)
    decline = float(decline_p_value(recent, base, recent_days, base_days))
    growth = float(growth_p_value(recent, base, recent_days, base_days))
    if recent + base == 0:
        assert decline == growth == 1.0
        return
    less = binomtest(recent, recent + base, share, alternative="less").pvalue
    greater = binomtest(recent, recent + base, share, alternative="greater").pvalue
    assert decline == pytest.approx(less, rel=1e-9, abs=1e-300)
    assert growth == pytest.approx(greater, rel=1e-9, abs=1e-300)
    assert decline + growth >= 1.0 - 1e-12


def test_trend_of_hostile_counts_is_a_probability() -> None:
    hostile = np.array([0.0, -1.0, np.nan, np.inf, 1e300, 3.0])
    a, b, c, d = (grid.ravel() for grid in np.meshgrid(hostile, hostile, hostile, hostile))
    for p in (decline_p_value(a, b, c, d), growth_p_value(a, b, c, d), dispersion_p_value(a, b, c)):
        assert ((p >= 0) & (p <= 1)).all()
    fall, _ = smallest_detectable_fall(b, c, d, 0.05, 0.7)
    assert np.isfinite(fall).all()


@settings(max_examples=150, deadline=None)
@given(counts, days, days, st.sampled_from([0.01, 0.05, 0.2]), st.sampled_from([0.5, 0.7, 1.0]))
def test_smallest_fall_by_brute_force(
    base: int, recent_days: int, base_days: int, alpha: float, ratio: float
) -> None:
    share = recent_days / (recent_days + base_days)
    called = [
        k
        for k in range(0, math.ceil(ratio * base * recent_days / base_days) + 1)
        if base > 0
        and Fraction(k, recent_days) <= Fraction(str(ratio)) * Fraction(base, base_days)
        and binom.cdf(k, k + base, share) < alpha
    ]
    fall, exists = smallest_detectable_fall(base, recent_days, base_days, alpha, ratio)
    assert bool(exists) == bool(called)
    truth = 1 - max(called) / recent_days * base_days / base if called else 0.0
    assert float(fall) == pytest.approx(truth, abs=1e-12)


def test_little_history_shows_no_fall() -> None:
    fall, exists = smallest_detectable_fall(np.array([3, 30]), 90.0, 270.0, 0.05, 0.7)
    assert exists.tolist() == [False, True]
    assert fall[0] == 0.0 and 0.3 <= fall[1] <= 1.0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=2, max_size=24))
def test_dispersion_is_fishers_index(y: list[int]) -> None:
    ours = float(dispersion_p_value(len(y), sum(y), sum(v * v for v in y)))
    if sum(y) == 0:
        assert ours == 1.0
        return
    mean = sum(y) / len(y)
    index = sum((v - mean) ** 2 for v in y) / mean
    assert ours == pytest.approx(chi2.sf(index, len(y) - 1), rel=1e-9, abs=1e-12)


def brute_quantile(values: list[int], p: float) -> int:
    ordered, share = sorted(values), Fraction(str(p))
    for rank, value in enumerate(ordered, start=1):
        if Fraction(rank, len(ordered)) >= share:
            return value
    return ordered[-1]


@given(cents, st.lists(probability, min_size=1, max_size=5))
def test_quantile_cuts_by_brute_force(values: list[int], probabilities: list[float]) -> None:
    cuts = quantile_cuts(values, None, probabilities)
    assert cuts.dtype == np.int64
    assert cuts.tolist() == [brute_quantile(values, p) for p in probabilities]
    distinct, customers = np.unique(values, return_counts=True)
    assert quantile_cuts(distinct[::-1], customers[::-1], probabilities).tolist() == cuts.tolist()
    scores = scores_from_cuts(values, cuts)
    assert scores.tolist() == [1 + sum(v > c for c in cuts.tolist()) for v in values]


def test_seven_tenths_of_ten_is_seven() -> None:
    assert 0.7 * 10 > 7 or math.ceil(0.1 * 3 * 10) == 4, "an example of what floating point does"
    assert quantile_cuts(range(1, 11), None, [0.7]).tolist() == [7]
    assert quantile_cuts(np.zeros(0), None, [0.5]).size == 0


@given(cents, st.integers(2, 40), cents)
def test_percentile_rank(values: list[int], size: int, others: list[int]) -> None:
    reference = rank_reference(values, size)
    grid, n = reference[0].tolist(), len(values)
    assert len(grid) <= size and set(grid) <= set(values)
    for value in grid:
        below, equal = sum(v < value for v in values), sum(v == value for v in values)
        assert percentile_rank(value, *reference) == pytest.approx((below + equal / 2) / n, abs=1e-12)
    asked = np.sort(np.array(values + others))
    found = percentile_rank(asked, *reference)
    assert ((found >= 0) & (found <= 1)).all() and (np.diff(found) >= 0).all()
    alone = [float(percentile_rank(value, *reference)) for value in asked]
    assert alone == found.tolist()
    for value, rank in zip(asked.tolist(), alone, strict=True):
        before = max((one for one in grid if one < value), default=None)
        if before is not None:
            assert rank >= sum(v <= before for v in values) / n - 1e-12, "above all who are below"


def test_who_has_a_little_ranks_above_the_many_who_have_nothing() -> None:
    reference = rank_reference([0] * 600 + list(range(1000, 1400)))
    assert percentile_rank([0, 1, 999, 1399, 1400], *reference).tolist() == pytest.approx(
        [0.3, 0.6, 0.6, 0.9995, 1.0], abs=1e-12
    )


@given(cents, st.integers(1, 100).map(lambda k: k / 100))
def test_pareto_by_brute_force(values: list[int], share: float) -> None:
    positive = sorted((v for v in values if v > 0), reverse=True)
    running, found = 0, 0
    for value in positive:
        running, found = running + value, value
        if Fraction(running) >= Fraction(str(share)) * sum(positive):
            break
    assert theta(values, "pareto", share) == found


def test_theta() -> None:
    values = [5, 1, 4, 2, 3]
    assert theta(values, "median") == 3 and theta(values, "mean") == 3.0
    assert theta(values, "quantile", 0.8) == 4 and theta(values, "fixed", 2.5) == 2.5
    assert theta([10, 80, 10], "pareto") == 80 and theta([10.0, 70.0, 20.0], "pareto") == 20.0
    assert theta([], "median") == 0 and theta([-1, 0], "pareto", 0.8) == 0
    # Sums of large amounts stay exact: in floating point these are all equal.
    huge = [2**62, 2**62, 2**62 + 3]
    assert theta(huge, "mean") == (3 * 2**62 + 3) / 3 and theta(huge, "pareto", 1.0) == 2**62
    with pytest.raises(ValueError, match="parameter"):
        theta(values, "quantile")


def test_correlation_is_that_of_the_expanded_customers() -> None:
    rng = np.random.default_rng(2)
    x, m = rng.integers(1, 5, 60).astype(float), rng.integers(1, 8, 60).astype(float)
    weights = rng.integers(1, 6, 60)
    pearson, spearman = frequency_value_correlation(ValuePairs(x, m, weights))
    rows, values = np.repeat(x, weights), np.repeat(m, weights)
    assert pearson == pytest.approx(pearsonr(rows, values).statistic, abs=1e-12)
    assert spearman == pytest.approx(spearmanr(rows, values).statistic, abs=1e-12)
    assert frequency_value_correlation(ValuePairs.from_customers([1.0, 2.0], [5.0, 5.0])) == (None, None)
    assert frequency_value_correlation(ValuePairs.from_customers([], [])) == (None, None)
