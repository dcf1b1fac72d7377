"""Frozen cuts, ranks and thresholds: a customer's score then depends on its own value alone.

Integers (money in cents) stay integers: nothing is added up or compared in floating point.
"""

import math
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clvpipe.models.arrays import FloatArray, IntArray

ThetaMethod = Literal["median", "mean", "quantile", "pareto", "fixed"]


def _numbers(values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values)
    is_whole = np.issubdtype(array.dtype, np.integer)
    return np.ravel(array.astype(np.int64 if is_whole else np.float64))


def _rank(probability: float, n: int) -> int:
    """⌈probability · n⌉ for the decimal that was written: 0.7 of 10 is 7, not 8 by a rounding error."""
    return min(max(math.ceil(Fraction(str(float(probability))) * n), 1), n)


def quantile_cuts(values: ArrayLike, customers: ArrayLike | None, probabilities: ArrayLike) -> NDArray[Any]:
    """Inverse-CDF quantiles: the smallest value that at least the given share does not exceed.

    Parameters
    ----------
    values : array_like, shape (n,)
        In any order, int64 or float64.
    customers : array_like of int, shape (n,), or None
        How many customers have each value; None for one each.
    probabilities : array_like, shape (k,)
        In [0, 1].

    Returns
    -------
    ndarray, shape (k,), dtype of ``values``
        Values that occur in the data; empty if there are no data.
    """
    numbers = _numbers(values)
    counts = (
        np.ones(numbers.size, dtype=np.int64) if customers is None else np.asarray(customers, dtype=np.int64)
    )
    order = np.argsort(numbers, kind="stable")
    upper = np.cumsum(counts[order])
    if upper.size == 0 or upper[-1] <= 0:
        return numbers[:0]
    ranks = [_rank(p, int(upper[-1])) for p in np.ravel(np.asarray(probabilities, dtype=np.float64))]
    return numbers[order][np.searchsorted(upper, ranks, side="left")]


def scores_from_cuts(values: ArrayLike, cuts: ArrayLike) -> IntArray:
    """1 + #{cut : value > cut}: equal values get equal scores, whatever the order of rows."""
    return 1 + np.searchsorted(np.sort(_numbers(cuts)), np.asarray(values), side="left").astype(np.int64)


def mid_rank_reference(values: ArrayLike, size: int = 1001) -> tuple[NDArray[Any], FloatArray]:
    """At most ``size`` distinct values, spread evenly over the customers, and their mid-ranks in (0, 1).

    The mid-rank of v is (#{value < v} + ½ #{value = v}) / n; least and greatest value are always kept.
    """
    distinct, counts = np.unique(_numbers(values), return_counts=True)
    n = int(counts.sum())
    if n == 0:
        return distinct, np.empty(0)
    upper = np.cumsum(counts)
    ranks = (upper - 0.5 * counts) / n
    if distinct.size > size:
        wanted = np.linspace(1, n, size)
        kept = np.unique(np.searchsorted(upper, wanted, side="left"))
        distinct, ranks = distinct[kept], ranks[kept]
    return distinct, ranks


def percentile_rank(values: ArrayLike, grid_values: ArrayLike, mid_ranks: ArrayLike) -> FloatArray:
    """Rank in [0, 1] by linear interpolation between the reference's values; 0 below them, 1 above.

    Non-decreasing in the value, and a function of it alone. Without a reference everybody is in the middle.
    """
    numbers = np.asarray(values, dtype=np.float64)
    grid = np.asarray(grid_values, dtype=np.float64)
    if grid.size == 0:
        return np.full(numbers.shape, 0.5)
    ranks = np.interp(numbers, grid, np.asarray(mid_ranks, dtype=np.float64), left=0.0, right=1.0)
    return np.clip(ranks, 0.0, 1.0)


def _pareto(numbers: NDArray[Any], share: float) -> int | float:
    """Value of the last customer, in descending order, whom ``share`` of the positive sum needs."""
    positive = np.sort(numbers[numbers > 0])[::-1]
    if positive.size == 0:
        return 0
    if np.issubdtype(positive.dtype, np.integer):
        # Python's integers where 64 bits might not hold the sum.
        fits = int(positive[0]) * positive.size < 2**62
        running = np.cumsum(positive if fits else positive.astype(object))
        target: int | float = math.ceil(Fraction(str(float(share))) * int(running[-1]))
    else:
        running = np.cumsum(positive)
        target = share * float(running[-1])
    last = min(int(np.searchsorted(running, target, side="left")), positive.size - 1)
    found: int | float = positive[last].item()
    return found


def theta(values: ArrayLike, method: ThetaMethod, parameter: float | None = None) -> int | float:
    """Threshold between low and high.

    Parameters
    ----------
    values : array_like, shape (n,)
        One a customer, int64 or float64.
    method : {'median', 'mean', 'quantile', 'pareto', 'fixed'}
        The median of an even number is the mean of the two in the middle; the quantile is a value that
        occurs (inverse CDF); 'pareto' is the value of the last customer needed, from the top, for
        ``parameter`` (0.8 if None) of the positive sum.
    parameter : float or None
        Probability of the quantile, share of pareto, or the fixed value itself.

    Returns
    -------
    int or float
        Integer where the values are and the method chooses one of them; 0 if there are no values.

    Raises
    ------
    ValueError
        If 'quantile' or 'fixed' lacks its parameter, or the method is unknown.
    """
    if method in ("quantile", "fixed") and parameter is None:
        raise ValueError(f"threshold method {method!r} needs a parameter")
    if method == "fixed" and parameter is not None:
        return parameter
    numbers = _numbers(values)
    if numbers.size == 0:
        return 0
    chosen: int | float
    match method:
        case "median":
            chosen = _median(np.sort(numbers))
        case "quantile":
            chosen = quantile_cuts(numbers, None, [parameter or 0.0])[0].item()
        case "mean":
            chosen = _mean(np.sort(numbers))
        case "pareto":
            chosen = _pareto(numbers, 0.8 if parameter is None else parameter)
        case _:
            raise ValueError(f"unknown threshold method {method!r}")
    return chosen


def _median(ordered: NDArray[Any]) -> int | float:
    low: int | float = ordered[(ordered.size - 1) // 2].item()
    high: int | float = ordered[ordered.size // 2].item()
    return low if low == high else (low + high) / 2


def _mean(ordered: NDArray[Any]) -> float:
    if np.issubdtype(ordered.dtype, np.integer):
        total: int = sum(ordered.tolist())
        return total / ordered.size
    return float(np.sum(ordered)) / ordered.size
