"""Customers from the models themselves: the truth for tests and for the parametric bootstrap."""

import numpy as np
from numpy.typing import ArrayLike

from clvpipe.models.arrays import FloatArray, IntArray, as_floats

History = tuple[FloatArray, FloatArray, FloatArray]


def _histories_until_dropout(
    rate: FloatArray, last_purchase: FloatArray, T: FloatArray, rng: np.random.Generator, whole_days: bool
) -> History:
    """Purchases at ``rate`` up to T or to the ``last_purchase``-th, whichever is first.

    Given n purchases of a Poisson process in (0, T) their times are n uniforms, so only the last one that
    counts is drawn: the k-th of n is Beta(k, n+1−k) · T. No loop over purchases.
    """
    n = rng.poisson(rate * T).astype(np.float64)
    x = np.minimum(n, last_purchase)
    # The Beta needs positive parameters; rows with x = 0 are overwritten below.
    t_x = T * rng.beta(np.maximum(x, 1.0), np.maximum(n + 1.0 - x, 1.0))
    t_x = np.where(x > 0, t_x, 0.0)
    if whole_days:
        # A day is rounded up, so that a repeat purchase never falls on the first day (T is whole).
        t_x = np.minimum(np.ceil(t_x), T)
    return x, t_x, T


def simulate_bgnbd(
    r: float, alpha: float, a: float, b: float, T: ArrayLike, seed: int, *, whole_days: bool = False
) -> History:
    """One history for each age in ``T`` (days) from BG/NBD(r, α, a, b).

    Returns
    -------
    x, t_x, T : ndarray[float64], shape (n,)
        Continuous times, or whole days (rounded up) with ``whole_days``; T is returned as given.
    """
    rng = np.random.default_rng(seed)
    ages = as_floats(T)
    rate = rng.gamma(r, 1.0 / alpha, ages.size)
    # A probability of exactly 0 would mean no last purchase at all; the least float is as good.
    p = np.clip(rng.beta(a, b, ages.size), 1e-300, 1.0)
    # Purchases until dropout are geometric: ceil(E / −ln(1−p)), E standard exponential.
    with np.errstate(divide="ignore"):
        last = np.maximum(np.ceil(rng.exponential(size=ages.size) / -np.log1p(-p)), 1.0)
    return _histories_until_dropout(rate, last, ages, rng, whole_days)


def simulate_nbd(r: float, alpha: float, T: ArrayLike, seed: int, *, whole_days: bool = False) -> History:
    """One history for each age in ``T`` (days) from NBD(r, α); see `simulate_bgnbd`."""
    rng = np.random.default_rng(seed)
    ages = as_floats(T)
    rate = rng.gamma(r, 1.0 / alpha, ages.size)
    return _histories_until_dropout(rate, np.full(ages.size, np.inf), ages, rng, whole_days)


def simulate_gamma_gamma(p: float, q: float, gamma: float, x: ArrayLike, seed: int) -> FloatArray:
    """Mean value of ``x`` >= 1 purchases for each customer: Gamma(px, νx), ν ~ Gamma(q, γ)."""
    rng = np.random.default_rng(seed)
    counts = as_floats(x)
    nu = rng.gamma(q, 1.0 / gamma, counts.size)
    return rng.gamma(p * counts, 1.0 / (nu * counts))


def resampled_ages(t_days: FloatArray, customers: IntArray, size: int, seed: int) -> FloatArray:
    """``size`` ages drawn with replacement from the customers behind the patterns."""
    upper = np.cumsum(customers)
    ranks = np.random.default_rng(seed).integers(0, int(upper[-1]), size)
    return t_days[np.searchsorted(upper, ranks, side="right")]
