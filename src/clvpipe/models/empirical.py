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


def rank_reference(values: ArrayLike, size: int = 1001) -> tuple[NDArray[Any], FloatArray, FloatArray]:
    """At most ``size`` distinct values, spread evenly over the customers; least and greatest are always kept.

    Parameters
    ----------
    values : array_like, shape (n,)
        One a customer, int64 or float64; n > 0.
    size : int
        How many are kept at most.

    Returns
    -------
    grid : ndarray, shape (k,)
        The values, increasing.
    below, up_to : ndarray, shape (k,)
        #{value < v} / n and #{value ≤ v} / n.
    """
    distinct, counts = np.unique(_numbers(values), return_counts=True)
    n = int(counts.sum())
    upper = np.cumsum(counts)
    kept = np.arange(distinct.size)
    if distinct.size > size:
        kept = np.unique(np.searchsorted(upper, np.linspace(1, n, size), side="left"))
    return distinct[kept], ((upper - counts) / n)[kept], (upper / n)[kept]


def percentile_rank(values: ArrayLike, grid: ArrayLike, below: ArrayLike, up_to: ArrayLike) -> FloatArray:
    """Rank in [0, 1] among the customers of a reference.

    The mid-rank (#{value < v} + ½ #{value = v}) / n of a value that was kept; between two of them by linear
    interpolation from the share up to the lower to the share below the upper one, so that who is just above
    many equal ones ranks above them all; 0 below the least, 1 above the greatest. Non-decreasing in the
    value, and a function of it alone.

    Parameters
    ----------
    values : array_like, shape (n,)
    grid, below, up_to : array_like, shape (k,), k > 0
        As `rank_reference` gives them.
    """
    numbers, known = np.asarray(values, dtype=np.float64), np.asarray(grid, dtype=np.float64)
    low, high = np.asarray(below, dtype=np.float64), np.asarray(up_to, dtype=np.float64)
    at = np.searchsorted(known, numbers, side="left")
    here = np.minimum(at, known.size - 1)
    before = np.maximum(at - 1, 0)
    gap = known[here] - known[before]
    share = np.divide(numbers - known[before], gap, out=np.zeros_like(gap), where=gap > 0)
    between = high[before] + share * (low[here] - high[before])
    ranks = np.where(known[here] == numbers, 0.5 * (low[here] + high[here]), between)
    return np.clip(np.where(numbers < known[0], 0.0, np.where(numbers > known[-1], 1.0, ranks)), 0.0, 1.0)


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
