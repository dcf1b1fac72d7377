"""Kaplan–Meier and the annuity factor: by hand, in fractions, and against a known truth."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clvpipe.models.survival import SurvivalCurve, annuity_factor, kaplan_meier

# Days, how it ended (True: closed), how many.
holdings = st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.integers(0, 5)), max_size=30)


def curve_of(rows: list[tuple[int, bool, int]]) -> SurvivalCurve:
    days, ended, counts = zip(*rows, strict=True) if rows else ((), (), ())
    return kaplan_meier(days, ended, counts)


def product_limit(rows: list[tuple[int, bool, int]], t: float) -> tuple[Fraction, Fraction]:
    """S(t) and Greenwood's sum, from the definition."""
    survival, greenwood = Fraction(1), Fraction(0)
    for day in sorted({day for day, ended, count in rows if ended and count and day <= t}):
        at_risk = sum(count for other, _, count in rows if other >= day)
        died = sum(count for other, ended, count in rows if ended and other == day)
        survival *= Fraction(at_risk - died, at_risk)
        if at_risk > died:
            greenwood += Fraction(died, at_risk * (at_risk - died))
    return survival, greenwood


def test_freireich_remission_by_hand() -> None:
    """Weeks in remission of 21 patients on 6-MP (Freireich 1963; every textbook). + is censored.

    6 6 6 6+ 7 9+ 10 10+ 11+ 13 16 17+ 19+ 20+ 22 23 25+ 32+ 32+ 34+ 35+. At 6 weeks, 21 are at risk: the one
    who was censored then is among them. S: 18/21, × 16/17, × 14/15, × 11/12, × 10/11, × 6/7, × 5/6.
    """
    died = [6, 6, 6, 7, 10, 13, 16, 22, 23]
    censored = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    curve = kaplan_meier(died + censored, [True] * 9 + [False] * 12)
    by_hand = [
        Fraction(18, 21),
        Fraction(18, 21) * Fraction(16, 17),
        Fraction(18, 21) * Fraction(16, 17) * Fraction(14, 15),
        Fraction(18, 21) * Fraction(16, 17) * Fraction(14, 15) * Fraction(11, 12),
        Fraction(18, 21) * Fraction(16, 17) * Fraction(14, 15) * Fraction(10, 12),
        Fraction(18, 21) * Fraction(16, 17) * Fraction(14, 15) * Fraction(10, 12) * Fraction(6, 7),
        Fraction(18, 21) * Fraction(16, 17) * Fraction(14, 15) * Fraction(10, 12) * Fraction(5, 7),
    ]
    assert curve.times.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert curve.survival == pytest.approx([float(s) for s in by_hand], rel=1e-14)
    assert (curve.observations, curve.events) == (21, 9)
    # As printed: 0.857 (0.0764), 0.807 (0.0869), 0.753 (0.0963), 0.690 (0.1068), 0.627 (0.1141),
    # 0.538 (0.1282), 0.448 (0.1346).
    assert curve.survival == pytest.approx([0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], abs=6e-4)
    printed = [0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346]
    assert curve.standard_error == pytest.approx(printed, abs=6e-5)
    variance = by_hand[1] ** 2 * (Fraction(3, 21 * 18) + Fraction(1, 17 * 16))
    assert curve.standard_error[1] == pytest.approx(math.sqrt(variance), rel=1e-14)


def test_right_continuous() -> None:
    curve = kaplan_meier([10, 20], [True, False])
    assert curve.survival_at([0, 9.999, 10, 10.001, 20, 1e6]).tolist() == [1.0, 1.0, 0.5, 0.5, 0.5, 0.5]
    assert curve.standard_error_at([0, 10]) == pytest.approx([0.0, math.sqrt(0.25 * 1 / 2)])
    # No input becomes NaN.
    assert curve.survival_at([-5.0, float("nan"), float("inf")]).tolist() == [1.0, 1.0, 0.5]


def test_censored_after_events_of_the_same_day() -> None:
    together = kaplan_meier([5, 5], [False, True])
    assert together.survival.tolist() == [0.5], "the censored one was at risk on day 5"
    before = kaplan_meier([4, 5], [False, True])
    assert before.survival.tolist() == [0.0], "who was censored a day earlier was not"


def test_no_events_and_nobody() -> None:
    for curve in (kaplan_meier([3, 9], [False, False]), kaplan_meier([], []), kaplan_meier([3], [True], [0])):
        assert curve.times.size == 0 and curve.events == 0
        assert curve.survival_at([0, 5, 100]).tolist() == [1.0, 1.0, 1.0]
        assert annuity_factor([0, 50], curve, 0.0).tolist() == [12.0, 12.0]
    assert kaplan_meier([3, 9], [False, False]).observations == 2


def test_everybody_gone() -> None:
    curve = kaplan_meier([0, 30, 30, 90], [True] * 4)
    assert curve.survival_at([0, 29, 30, 89, 90, 1000]).tolist() == [0.75, 0.75, 0.25, 0.25, 0.0, 0.0]
    assert curve.standard_error[-1] == 0.0 and np.isfinite(curve.standard_error).all()
    assert annuity_factor([90, 500], curve, 0.1).tolist() == [0.0, 0.0]
    # Without censoring S is the share that is left, and Greenwood is the binomial variance.
    n = 200
    curve = kaplan_meier(np.arange(n), np.ones(n, dtype=bool))
    left = 1 - np.arange(1, n + 1) / n
    assert curve.survival == pytest.approx(left, abs=1e-14)
    assert curve.standard_error == pytest.approx(np.sqrt(left * (1 - left) / n), abs=1e-12)


@given(holdings, st.lists(st.integers(0, 50), min_size=1, max_size=10))
def test_by_brute_force_in_fractions(rows: list[tuple[int, bool, int]], times: list[int]) -> None:
    curve = curve_of(rows)
    for t, ours, error in zip(times, curve.survival_at(times), curve.standard_error_at(times), strict=True):
        survival, greenwood = product_limit(rows, t)
        assert ours == pytest.approx(float(survival), rel=1e-13, abs=0)
        assert error == pytest.approx(float(survival) * math.sqrt(greenwood), rel=1e-12, abs=0)
    assert curve.observations == sum(count for _, _, count in rows)
    assert curve.events == sum(count for _, ended, count in rows if ended)


@given(holdings, st.randoms(use_true_random=False))
def test_order_and_grouping_of_rows_change_no_bit(rows: list[tuple[int, bool, int]], random) -> None:
    expanded = [(day, ended, 1) for day, ended, count in rows for _ in range(count)]
    random.shuffle(expanded)
    one, other = curve_of(rows), curve_of(expanded)
    assert one.times.tolist() == other.times.tolist()
    assert one.survival.tolist() == other.survival.tolist()
    assert one.standard_error.tolist() == other.standard_error.tolist()


@given(
    holdings,
    st.lists(st.integers(0, 60), min_size=1, max_size=8),
    st.sampled_from([0.0, 0.08, -0.02]),
    st.sampled_from([0, 1, 12, 24]),
)
def test_annuity_by_brute_force(
    rows: list[tuple[int, bool, int]], ages: list[int], rate: float, months: int
) -> None:
    # Months of 30.4375 days: the same holdings on a scale on which months matter.
    rows = [(day * 30, ended, count) for day, ended, count in rows]
    ages = [age * 30 for age in ages]
    ours = annuity_factor(ages, curve_of(rows), rate, months)
    for age, factor in zip(ages, ours, strict=True):
        alive, _ = product_limit(rows, age)
        expected = 0.0
        for k in range(1, months + 1):
            if alive:
                later, _ = product_limit(rows, age + k * 30.4375)
                expected += float(later / alive) * (1 + rate) ** (-k / 12)
        assert factor == pytest.approx(expected, rel=1e-12, abs=0)
    alone = [float(annuity_factor(age, curve_of(rows), rate, months)) for age in ages]
    assert alone == ours.tolist()


def test_annuity_by_hand() -> None:
    # Half close after exactly 60 days; the month after next ends at 60.875 days.
    curve = kaplan_meier([60, 400], [True, False])
    assert annuity_factor([0], curve, 0.0).tolist() == [1 + 11 * 0.5]
    assert annuity_factor([60, 399, 10_000], curve, 0.0).tolist() == [12.0, 12.0, 12.0]
    one_month = annuity_factor([0], curve, 0.21, months=1)
    assert one_month[0] == pytest.approx(1.21 ** (-1 / 12))
    # An event on the very day on which a month ends (age 0, 16 months are 487 days) has happened.
    exact = kaplan_meier([487], [True])
    assert annuity_factor([0], exact, 0.0, months=16).tolist() == [15.0]
    assert annuity_factor([0], kaplan_meier([488], [True]), 0.0, months=16).tolist() == [16.0]


def test_exponential_truth_lies_within_greenwoods_intervals() -> None:
    """95 % intervals of 400 simulated samples with random censoring cover S(t) about 95 % of the time."""
    rng = np.random.default_rng(20)
    times, covered = np.array([100.0, 400.0, 900.0]), np.zeros(3)
    for _ in range(400):
        life = rng.exponential(700.0, 500)
        seen = rng.uniform(0.0, 2000.0, 500)
        # Whole days elapsed: T days floored are > t exactly if T >= t + 1.
        curve = kaplan_meier(np.floor(np.minimum(life, seen)), life <= seen)
        error = np.abs(curve.survival_at(times) - np.exp(-(times + 1) / 700.0))
        covered += error <= 1.96 * curve.standard_error_at(times)
    # Three standard deviations of a binomial share: sqrt(.95 * .05 / 400) = 0.011.
    assert np.all(np.abs(covered / 400 - 0.95) < 0.033), covered / 400


def test_large_sample_recovers_the_curve() -> None:
    rng = np.random.default_rng(7)
    life, seen = rng.exponential(700.0, 200_000), rng.uniform(0.0, 2000.0, 200_000)
    curve = kaplan_meier(np.floor(np.minimum(life, seen)), life <= seen)
    times = np.arange(0, 1800, 50)
    error = np.abs(curve.survival_at(times) - np.exp(-(times + 1) / 700.0))
    assert np.all(error <= 4 * curve.standard_error_at(times)) and error.max() < 0.01


def test_refusals() -> None:
    with pytest.raises(ValueError, match="length"):
        kaplan_meier([1, 2], [True])
    with pytest.raises(ValueError, match="negative"):
        kaplan_meier([-1], [True])
    with pytest.raises(ValueError, match="negative"):
        kaplan_meier([1], [True], [-1])
