"""How long holdings last: Kaplan–Meier from whole days, and what a month's margin is worth on such a curve.

Kaplan & Meier, "Nonparametric Estimation from Incomplete Observations", JASA 53 (1958); Greenwood (1926).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from clvpipe.models.arrays import FloatArray, IntArray, within
from clvpipe.models.discounting import DAYS_PER_YEAR


@dataclass(frozen=True)
class SurvivalCurve:
    """S(t) = P(duration > t), right-continuous steps: 1 before the first event, flat after the last.

    Attributes
    ----------
    times : ndarray[int64], shape (k,)
        Distinct durations at which something ended, increasing, days.
    survival : ndarray, shape (k,)
        S from that day on, in [0, 1], decreasing.
    standard_error : ndarray, shape (k,)
        Greenwood's standard error of S. 0 where S is 0: the formula has no value there.
    observations, events : int
        Holdings that were observed, and how many of them ended.
    """

    times: IntArray
    survival: FloatArray
    standard_error: FloatArray
    observations: int
    events: int

    def survival_at(self, times: ArrayLike) -> FloatArray:
        """S(t), shape of ``times`` (days; fractions are allowed). An event on day t has happened at t."""
        return np.concatenate(([1.0], self.survival))[self._steps(times)]

    def standard_error_at(self, times: ArrayLike) -> FloatArray:
        """Greenwood's standard error of `survival_at`; 0 before the first event."""
        return np.concatenate(([0.0], self.standard_error))[self._steps(times)]

    def _steps(self, times: ArrayLike) -> IntArray:
        return np.searchsorted(self.times, within(times), side="right").astype(np.int64)


def kaplan_meier(durations: ArrayLike, events: ArrayLike, counts: ArrayLike | None = None) -> SurvivalCurve:
    """S(t) = Π_{tᵢ ≤ t} (nᵢ − dᵢ)/nᵢ; var S(t) = S(t)² Σ_{tᵢ ≤ t} dᵢ / (nᵢ (nᵢ − dᵢ)).

    dᵢ holdings ended after exactly tᵢ days; nᵢ had lasted at least tᵢ days. Who was last seen open at tᵢ days
    is among the nᵢ: at equal durations events come before censoring. A holding closed on the day it was
    opened is an event at 0 days.

    Parameters
    ----------
    durations : array_like of int, shape (n,)
        Days from opening to closing, or to the last day seen; 0 or more.
    events : array_like of bool, shape (n,)
        True: it ended then. False: it was still open (censored).
    counts : array_like of int, shape (n,), or None
        How many holdings each row stands for; None for one each.

    Returns
    -------
    SurvivalCurve
        The same bits for any order of the rows, and for rows that are counted or repeated.

    Raises
    ------
    ValueError
        If shapes differ, or a duration or count is negative.
    """
    days = np.ravel(np.asarray(durations, dtype=np.int64))
    ended = np.ravel(np.asarray(events, dtype=np.bool_))
    weights = np.ones_like(days) if counts is None else np.ravel(np.asarray(counts, dtype=np.int64))
    if not days.shape == ended.shape == weights.shape:
        raise ValueError("durations, events and counts differ in length")
    if np.any(days < 0) or np.any(weights < 0):
        raise ValueError("durations and counts cannot be negative")

    distinct, row = np.unique(days, return_inverse=True)
    seen, died = np.zeros_like(distinct), np.zeros_like(distinct)
    np.add.at(seen, row, weights)
    np.add.at(died, row, weights * ended)
    at_risk = seen[::-1].cumsum()[::-1]

    step = died > 0
    n, d = at_risk[step], died[step]
    left = n - d
    survival = np.cumprod(left / n)
    hazard_variance = np.cumsum(
        np.where(left > 0, d / (n * np.where(left > 0, left, 1).astype(np.float64)), 0.0)
    )
    return SurvivalCurve(
        times=distinct[step],
        survival=survival,
        standard_error=survival * np.sqrt(hazard_variance),
        observations=int(seen.sum()),
        events=int(d.sum()),
    )


def annuity_factor(
    age_days: ArrayLike, curve: SurvivalCurve, annual_discount_rate: float, months: int = 12
) -> FloatArray:
    """Σ_{k=1..months} S(age + k · 365.25/12) / S(age) · (1 + d)^(−k/12).

    A monthly margin times this factor is the present value of the months to come, paid at the end of each
    month by holdings that are still open then. Beyond the last observed duration S stays at its last value.

    Parameters
    ----------
    age_days : array_like, shape (n,)
        Age of each open holding, days.
    curve : SurvivalCurve
        Of its product.
    annual_discount_rate : float
        d a year, > −1 (0.1 is ten per cent).
    months : int
        How many.

    Returns
    -------
    ndarray, shape (n,)
        In [0, months] where d ≥ 0; 0 where S(age) = 0: nothing of that age was ever seen open.
    """
    given = within(age_days)
    # Of a million holdings only some thousands differ in age.
    ages, row = np.unique(given, return_inverse=True)
    alive = curve.survival_at(ages)
    total = np.zeros(ages.shape)
    for k in range(1, months + 1):
        # 365.25/12 = 487/16 days: ages stay exact in binary, so that no step is missed by a rounding error.
        later = curve.survival_at(ages + k * (DAYS_PER_YEAR / 12))
        total += later * (1.0 + annual_discount_rate) ** (-k / 12)
    factor = np.where(alive > 0.0, total / np.where(alive > 0.0, alive, 1.0), 0.0)
    return factor[row].reshape(given.shape)
