"""BG/NBD (Fader, Hardie & Lee, Marketing Science 2005) and its limit of one dropout probability for all."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import hyp2f1

from clvpipe.models.arrays import FloatArray, within
from clvpipe.models.beta_quadrature import mean_purchases, purchases_given_dropout
from clvpipe.models.gamma_rate import GammaRate, log_silence
from clvpipe.models.rising import log_beta_ratio

# Where the closed form keeps 1e-10, measured on 90,000 random cases against the quadrature (which itself is
# within 2e-15 of 40-digit arithmetic). Elsewhere hyp2f1 cancels, loses digits near z = 1, or returns NaN.
_CLOSEST_TO_ONE = 1e-3
_LARGEST_B = 1e3
_LARGEST_R = 1e4
_LARGEST_TAU = 300.0
_LARGEST_CANCELLATION = 1000.0

# A geometric series with at most this ratio, cut where its terms are below the last bit.
_SERIES_RATIO = 0.25
_SERIES_TERMS = 25


def purchases_if_alive_series(r: float, a: float, b: float, x: FloatArray, tau: FloatArray) -> FloatArray:
    """E[Y | alive] for short horizons: sτ · [1 − q₀(1 − q₁(1 − …))], s = r + x, from the binomial series.

    q_k = (s+k+1)/(k+2) · τ · (a+k)/(a+b+x+k), from E p^k of Beta(a, b+x). For max(s, 1)·τ <= 1/4 each q is
    at most 1/4; no cancellation, where the closed form is a small difference of two ones.
    """
    shape = r + x
    total = np.ones(x.shape)
    for k in range(_SERIES_TERMS - 1, -1, -1):
        total = 1.0 - (shape + k + 1.0) / (k + 2.0) * tau * ((a + k) / (a + b + x + k)) * total
    series: FloatArray = shape * tau * total
    return series


def purchases_if_alive_closed_form(
    r: float, a: float, b: float, x: FloatArray, tau: FloatArray
) -> FloatArray:
    """E[Y | alive] in closed form, after Euler's transformation.

    (a+b+x−1)/(a−1) · [1 − (1−z)^(a−1) · ₂F₁(a+b−1−r, a−1; a+b+x−1; z)], z = τ/(1+τ), τ = t/(α+T).

    0/0 at a = 1. May be NaN or wrong where SciPy's series fails: `purchases_if_alive` guards it.
    """
    z = tau / (1.0 + tau)
    with np.errstate(all="ignore"):
        series = hyp2f1(a + b - 1.0 - r, a - 1.0, a + b + x - 1.0, z)
        bracket = 1.0 - np.exp((1.0 - a) * np.log1p(tau)) * series
        closed: FloatArray = (a + b + x - 1.0) / (a - 1.0) * bracket
    return closed


def purchases_if_alive(r: float, a: float, b: float, x: FloatArray, tau: FloatArray) -> FloatArray:
    """E[Y | x, T, alive] over a horizon of τ = t/(α+T), by whichever form is exact there, row by row."""
    shape, tail_shape = r + x, b + x
    result = np.empty(x.shape)
    short = np.maximum(shape, 1.0) * tau <= _SERIES_RATIO
    result[short] = purchases_if_alive_series(r, a, b, x[short], tau[short])
    remaining = ~short
    if abs(a - 1.0) >= _CLOSEST_TO_ONE and b <= _LARGEST_B and r <= _LARGEST_R:
        closed = np.flatnonzero(remaining & (tau <= _LARGEST_TAU))
        value = purchases_if_alive_closed_form(r, a, b, x[closed], tau[closed])
        factor = np.abs((a + b + x[closed] - 1.0) / (a - 1.0))
        # False for NaN, too.
        sound = np.isfinite(value) & (factor < _LARGEST_CANCELLATION * value)
        result[closed[sound]] = value[sound]
        remaining[closed[sound]] = False
    result[remaining] = mean_purchases(shape[remaining], tau[remaining], a, tail_shape[remaining])
    return result


@dataclass(frozen=True)
class BgNbd(GammaRate):
    """λ ~ Gamma(r, α); after each repeat purchase the customer leaves with probability p ~ Beta(a, b).

    Parameters
    ----------
    r, alpha : float
        Shape and scale (days) of the rate distribution.
    a, b : float
        Of the dropout distribution.
    """

    r: float
    alpha: float
    a: float
    b: float
    name = "BG_NBD"
    dropout_identified = True

    @property
    def parameters(self) -> dict[str, float]:
        """Parameters by name."""
        return {"r": self.r, "alpha": self.alpha, "a": self.a, "b": self.b}

    def log_dropout_odds(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        """ln[a/(b+x−1)] + (r+x) ln[(α+T)/(α+t_x)] for x > 0, −inf for x = 0."""
        # A one-time buyer has had no occasion to leave; the 1 only keeps the logarithm defined.
        repeats = np.maximum(x, 1.0)
        odds = np.log(self.a / (self.b + repeats - 1.0)) + log_silence(self.r, self.alpha, x, t_x, T)
        return np.where(x > 0, odds, -np.inf)

    def log_no_dropout_before(self, x: FloatArray) -> FloatArray:
        """Return ln B(a, b+x) − ln B(a, b)."""
        return log_beta_ratio(self.a, self.b, x)

    def expected_purchases_if_alive(
        self, x: FloatArray, T: FloatArray, horizon_days: ArrayLike
    ) -> FloatArray:
        """E over p ~ Beta(a, b+x) of [1 − (1 + p t/(α+T))^−(r+x)] / p; see `purchases_if_alive`."""
        xs, tau = np.broadcast_arrays(within(x), within(horizon_days) / (self.alpha + within(T)))
        return purchases_if_alive(self.r, self.a, self.b, xs, tau)


@dataclass(frozen=True)
class BgNbdCommonDropout(GammaRate):
    """BG/NBD in the limit a, b → ∞ at a/(a+b) = p: everyone leaves with the same probability.

    Parameters
    ----------
    r, alpha : float
        Shape and scale (days) of the rate distribution.
    p : float
        Probability of leaving after a repeat purchase, 0 < p < 1.
    """

    r: float
    alpha: float
    p: float
    name = "BG_NBD_COMMON_DROPOUT"
    dropout_identified = True

    @property
    def parameters(self) -> dict[str, float]:
        """Parameters by name."""
        return {"r": self.r, "alpha": self.alpha, "p": self.p}

    def log_dropout_odds(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        """ln[p/(1−p)] + (r+x) ln[(α+T)/(α+t_x)] for x > 0, −inf for x = 0."""
        odds = np.log(self.p / (1.0 - self.p)) + log_silence(self.r, self.alpha, x, t_x, T)
        return np.where(x > 0, odds, -np.inf)

    def log_no_dropout_before(self, x: FloatArray) -> FloatArray:
        """Return x ln(1−p)."""
        survival: FloatArray = x * np.log1p(-self.p)
        return survival

    def expected_purchases_if_alive(
        self, x: FloatArray, T: FloatArray, horizon_days: ArrayLike
    ) -> FloatArray:
        """[1 − (1 + pτ)^−(r+x)] / p, τ = t/(α+T)."""
        tau = within(horizon_days) / (self.alpha + within(T))
        return purchases_given_dropout(self.r + within(x), tau, self.p)
