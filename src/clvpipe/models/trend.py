"""Is a customer buying less, more, or at random? Exact tests on counts, one row a customer.

Given the total, the recent count of a Poisson process with a steady rate is binomial with the share of the
days that are recent (Przyborowski & Wilenski, Biometrika 1940).
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, chdtrc

from clvpipe.models.arrays import BoolArray, FloatArray, IntArray, within

# Counts of purchase days: far above any, and safe in integer arithmetic.
_LARGEST_COUNT = 1e9


def _counts(values: ArrayLike) -> IntArray:
    return np.floor(within(values, 0.0, _LARGEST_COUNT)).astype(np.int64)


def _recent_share(recent_days: ArrayLike, base_days: ArrayLike) -> FloatArray:
    recent, base = np.broadcast_arrays(within(recent_days), within(base_days))
    total = recent + base
    # Windows without days say nothing either way.
    return np.where(total > 0.0, recent / np.where(total > 0.0, total, 1.0), 0.5)


def _at_most(k: IntArray, n: IntArray, share: FloatArray) -> FloatArray:
    """P(K <= k), K ~ Bin(n, share), as a regularised incomplete beta function; 1 for k >= n."""
    below = k < n
    # The incomplete beta needs n − k > 0.
    remaining = np.where(below, n - k, 1)
    return np.where(below, betainc(remaining.astype(np.float64), k + 1.0, 1.0 - share), 1.0)


def decline_p_value(
    recent: ArrayLike, base: ArrayLike, recent_days: ArrayLike, base_days: ArrayLike
) -> FloatArray:
    """P(K <= recent), K ~ Bin(recent + base, recent_days / (recent_days + base_days)).

    Parameters
    ----------
    recent, base : array_like, shape (n,)
        Purchase days in the recent and in the base window.
    recent_days, base_days : array_like, scalar or shape (n,)
        Lengths of the windows, days.
    """
    k, m = np.broadcast_arrays(_counts(recent), _counts(base))
    return np.clip(_at_most(k, k + m, _recent_share(recent_days, base_days)), 0.0, 1.0)


def growth_p_value(
    recent: ArrayLike, base: ArrayLike, recent_days: ArrayLike, base_days: ArrayLike
) -> FloatArray:
    """P(K >= recent) of the same binomial; see `decline_p_value`."""
    k, m = np.broadcast_arrays(_counts(recent), _counts(base))
    # As many in the recent window as k is as few in the base window as m.
    return np.clip(_at_most(m, k + m, 1.0 - _recent_share(recent_days, base_days)), 0.0, 1.0)


def smallest_detectable_fall(
    base: ArrayLike,
    recent_days: ArrayLike,
    base_days: ArrayLike,
    alpha: float,
    rate_ratio: float,
) -> tuple[FloatArray, BoolArray]:
    """The smallest fall of the rate that would be called a decline, given this much history.

    A recent count k is a decline if its p-value is below ``alpha`` and its rate at most ``rate_ratio`` of the
    base's. Both get harder as k grows, so the largest such k is found by bisection.

    Returns
    -------
    fall : ndarray, shape (n,)
        1 − (k/recent_days) / (base/base_days) at the largest such k, in (0, 1]; 0 where there is none.
    exists : ndarray[bool], shape (n,)
        False where even k = 0 would not be called a decline: too little history to see any.
    """
    m, recent, past = np.broadcast_arrays(_counts(base), within(recent_days), within(base_days))
    # k/recent <= ratio · m/past without dividing; the 1e-9 keeps an exact multiple on the right side.
    allowed = np.where(past > 0.0, rate_ratio * m * recent / np.where(past > 0.0, past, 1.0), -1.0)
    usable = (m > 0) & (recent > 0.0) & (past > 0.0)
    low = np.full(m.shape, -1, dtype=np.int64)
    high = np.where(usable, np.floor(np.minimum(allowed, _LARGEST_COUNT) + 1e-9), -1.0).astype(np.int64)
    while np.any(low < high):
        middle = (low + high + 1) // 2
        called = decline_p_value(np.maximum(middle, 0), m, recent, past) < alpha
        low, high = np.where(called, middle, low), np.where(called, high, np.maximum(middle - 1, low))
    exists = low >= 0
    rate = np.where(exists, low * past, 0.0) / np.where(usable, recent * m, 1.0)
    return np.where(exists, 1.0 - rate, 0.0), exists


def dispersion_p_value(n_periods: ArrayLike, total: ArrayLike, total_of_squares: ArrayLike) -> FloatArray:
    """Fisher's index of dispersion: P(χ²_{n−1} >= D), D = n Σy²/Σy − Σy, of the counts y in n periods.

    Small values mean purchases more bunched than a steady Poisson process; 1 where there is nothing to test
    (no purchase, or fewer than two periods).
    """
    n, s, q = np.broadcast_arrays(within(n_periods), within(total), within(total_of_squares))
    testable = (n > 1.0) & (s > 0.0)
    index = np.where(testable, n * q / np.where(testable, s, 1.0) - s, 0.0)
    freedom = np.where(testable, n - 1.0, 1.0)
    return np.where(testable, np.clip(chdtrc(freedom, np.maximum(index, 0.0)), 0.0, 1.0), 1.0)
