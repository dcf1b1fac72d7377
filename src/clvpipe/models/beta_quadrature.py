"""Purchases to come, averaged over a Beta-distributed dropout probability, without singular parameters.

E over p ~ Beta(a, B) of f(p) = [1 − (1 + pτ)^(−s)] / p: the mean number of purchases of a living customer
with rate posterior Gamma(s, ·) over a horizon of τ posterior time scales, under BG/NBD (Fader, Hardie & Lee
2005, before their integral is turned into a hypergeometric function).

Why not Gauss–Jacobi: f falls from sτ to 1/p over a scale p ~ 1/(sτ) which can be a hundred thousand times
narrower than the weight. A polynomial rule sees that only with thousands of nodes (19 % off with 32), and its
nodes depend on B, hence on the customer. On the logit scale, y = ln(p/(1−p)), the integrand is analytic in a
strip about the real line whatever τ and s are, and decays exponentially at both ends: there the plain
trapezoidal rule converges geometrically (Trefethen & Weideman, SIAM Review 2014), doubling the nodes reuses
the old ones, and a = 1 or b = 1e9 are nothing special.
"""

import numpy as np

from clvpipe.models.arrays import BoolArray, FloatArray

_TOLERANCE = 1e-11
_FIRST_INTERVALS = 32
_MOST_DOUBLINGS = 12
# exp(-43) is below the last bit of the sum; the curvature term covers the bell-shaped case.
_TAIL = 43.0
_BLOCK = 1 << 19


def _excess_over_log(y: FloatArray) -> FloatArray:
    """φ(y) = y − ln(1+y) >= 0 for y > −1, with full relative precision near 0.

    ln(1+y) = 2 artanh(q), q = y/(2+y), and y = 2q/(1−q), so the leading terms cancel on paper.
    """
    q = y / (2.0 + y)
    q2 = q * q
    tail = np.zeros_like(q)
    for odd in (17, 15, 13, 11, 9, 7, 5, 3):
        tail = tail * q2 + 1.0 / odd
    series = 2.0 * q2 / (1.0 - q) - 2.0 * q2 * q * tail
    return np.where(np.abs(y) < 0.2, series, y - np.log1p(y))


def purchases_given_dropout(shape: FloatArray, tau: FloatArray, p: FloatArray | float) -> FloatArray:
    """f(p) = [1 − (1 + pτ)^(−s)] / p for p > 0, stable for tiny p (where it tends to sτ)."""
    purchases: FloatArray = -np.expm1(-shape * np.log1p(p * tau)) / p
    return purchases


def _summand(
    u: FloatArray, shape: FloatArray, tau: FloatArray, a: float, tail_shape: FloatArray
) -> FloatArray:
    """Weight and weighted integrand at logit offsets ``u`` from the weight's mode; see `mean_purchases`."""
    left, right = a + 1.0, tail_shape + 1.0
    mode = left / (left + right)
    grown = mode * np.expm1(u)
    p = mode * np.exp(u) / (1.0 + grown)
    weight = np.exp(left * u - (left + right) * np.log1p(grown))
    not_p = (right / (left + right)) / (1.0 + grown)

    v = p * tau
    w = v / (1.0 + v)
    # 1 − (1−w)^s (1 + sw) = −p² f'(p), of second order in p: both parts of the exponent are positive.
    curved = -np.expm1(-shape * _excess_over_log(-w) - _excess_over_log(shape * w))
    at_one = purchases_given_dropout(shape, tau, 1.0)
    slope = (purchases_given_dropout(shape, tau, p) - at_one) / not_p
    both: FloatArray = np.stack((weight, weight * (slope + curved / (p * p) / (a + tail_shape))))
    return both


def _block(shape: FloatArray, tau: FloatArray, a: float, tail_shape: FloatArray) -> FloatArray:
    left, right = a + 1.0, tail_shape + 1.0
    bell = np.sqrt(2.1 * _TAIL * (left + right) / (left * right))
    low, high = -_TAIL / left - bell, _TAIL / right + bell
    at_one = purchases_given_dropout(shape, tau, 1.0)

    def sums(rows: BoolArray, fractions: FloatArray) -> FloatArray:
        u = low[rows, None] + (high - low)[rows, None] * fractions
        column = (slice(None), None)
        total: FloatArray = _summand(
            u, shape[rows][column], tau[rows][column], a, tail_shape[rows][column]
        ).sum(axis=2)
        return total

    def mean(rows: BoolArray, total: FloatArray) -> FloatArray:
        share: FloatArray = tail_shape[rows] / (left + tail_shape[rows])
        average: FloatArray = at_one[rows] + share * total[1] / total[0]
        return average

    active = np.ones(shape.size, dtype=np.bool_)
    intervals = _FIRST_INTERVALS
    total = sums(active, np.arange(intervals + 1) / intervals)
    result = mean(active, total)
    for _ in range(_MOST_DOUBLINGS):
        if not active.any():
            break
        total[:, active] += sums(active, (np.arange(intervals) + 0.5) / intervals)
        intervals *= 2
        refined = mean(active, total[:, active])
        settled = np.abs(refined - result[active]) <= _TOLERANCE * refined
        result[active] = refined
        active[np.flatnonzero(active)[settled]] = False
    return result


def mean_purchases(shape: FloatArray, tau: FloatArray, a: float, tail_shape: FloatArray) -> FloatArray:
    """E over p ~ Beta(a, B) of [1 − (1 + pτ)^(−s)] / p.

    Two integrations by parts make the weight Beta(a+1, B+1), which has no slow tail however small a and B
    are, and leave only positive terms (f is decreasing)::

        E_{a,B} f = f(1) + B/(a+1+B) · E_{a+1,B+1}[ (f − f(1))/(1−p) − f'/(a+B) ]

    Parameters
    ----------
    shape, tau, tail_shape : ndarray, shape (n,)
        s = r + x > 0; τ = t/(α+T) >= 0; B = b + x > 0. Dimensionless.
    a : float
        First Beta parameter, > 0.

    Returns
    -------
    ndarray, shape (n,)
        Expected purchases, each with its own number of nodes, doubled until two results agree to 1e-11.
    """
    result = np.empty(shape.shape)
    # Memory only: a row's arithmetic does not depend on which rows share its block.
    rows = max(1, _BLOCK // (_FIRST_INTERVALS * 8))
    for start in range(0, shape.size, rows):
        part = slice(start, start + rows)
        result[part] = _block(shape[part], tau[part], a, tail_shape[part])
    # f <= f(0) = sτ; the bound also gives exact zero at τ = 0.
    return np.minimum(result, shape * tau)
