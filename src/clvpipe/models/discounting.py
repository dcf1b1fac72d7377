"""Purchases to come, plain and discounted, at several horizons from one set of nodes."""

from collections.abc import Sequence

import numpy as np

from clvpipe.models.arrays import FloatArray, distinct_pairs, histories
from clvpipe.models.purchases import PurchaseModel

DAYS_PER_YEAR = 365.25
HORIZON_12M_DAYS = 365.25
HORIZON_24M_DAYS = 730.5

# Measured against 30-digit arithmetic: see tests/models/test_discounting.py.
_NODES = 12
_ABSCISSAE, _WEIGHTS = np.polynomial.legendre.leggauss(_NODES)


def annual_to_daily_log_rate(annual_rate: float) -> float:
    """δ = ln(1 + annual rate) / 365.25, a day."""
    return float(np.log1p(annual_rate)) / DAYS_PER_YEAR


def _integral(
    model: PurchaseModel, x: FloatArray, T: FloatArray, segment: tuple[float, float], delta: float
) -> FloatArray:
    """∫ e^(−δt) E[Y(t) | alive] dt over the segment, shape (n,).

    E[Y(t)] bends after about a purchase, which for a frequent or new customer is days and for another years:
    in u = ln(1 + t/scale) it is smooth for both.
    """
    start, end = segment
    scale = model.time_scale_days(x, T)
    low, high = np.log1p(start / scale), np.log1p(end / scale)
    half = 0.5 * (high - low)
    total = np.zeros(x.shape)
    for abscissa, weight in zip(_ABSCISSAE, _WEIGHTS, strict=True):
        u = 0.5 * (low + high) + half * abscissa
        t = scale * np.expm1(u)
        total += weight * np.exp(u - delta * t) * model.expected_purchases_if_alive(x, T, t)
    return total * half * scale


def discounted_purchases(
    model: PurchaseModel,
    x: FloatArray,
    t_x: FloatArray,
    T: FloatArray,
    horizons_days: Sequence[float],
    annual_rate: float,
) -> tuple[FloatArray, FloatArray]:
    """E[Y(H)] and ∫₀ᴴ e^(−δt) dE[Y(t)] for each horizon H.

    By parts, ∫₀ᴴ e^(−δt) dE = e^(−δH) E[Y(H)] + δ ∫₀ᴴ e^(−δt) E[Y(t)] dt: the integral that is left is
    only a few per cent of the sum, so its quadrature error counts little, and horizons share segments.

    Parameters
    ----------
    model : PurchaseModel
        Fitted model.
    x, t_x, T : ndarray, shape (n,)
        Histories; ages in days.
    horizons_days : sequence of float, length h
        Increasing, days.
    annual_rate : float
        Discount rate a year, > −1 (0.1 is ten per cent).

    Returns
    -------
    expected, discounted : ndarray, shape (h, n)
        Purchases, and purchases weighted with their discount factor. Equal at rate 0. Times the expected
        contribution of a purchase the second is the CLV.
    """
    x, t_x, T = histories(x, t_x, T)
    delta = annual_to_daily_log_rate(annual_rate)
    # Of a million customers only some ten thousand differ in (x, T): t_x acts through P(alive) alone.
    distinct_x, distinct_T, row = distinct_pairs(x, T)
    alive = model.p_alive(x, t_x, T)
    expected = np.empty((len(horizons_days), x.size))
    discounted = np.empty_like(expected)
    integral = np.zeros(distinct_x.shape)
    previous = 0.0
    for i, horizon in enumerate(horizons_days):
        purchases = model.expected_purchases_if_alive(distinct_x, distinct_T, horizon)
        expected[i] = alive * purchases[row]
        if delta == 0.0:
            discounted[i] = expected[i]
            continue
        integral += _integral(model, distinct_x, distinct_T, (previous, horizon), delta)
        previous = horizon
        discounted[i] = alive * (np.exp(-delta * horizon) * purchases + delta * integral)[row]
    return expected, discounted
