"""What the family shares: purchases Poisson(λ) while alive, λ ~ Gamma(r, α).

Given x purchases by age T and being alive, λ ~ Gamma(r + x, α + T). Every function here is elementwise.
"""

import numpy as np
from numpy.typing import ArrayLike

from clvpipe.models.arrays import FloatArray, histories, within
from clvpipe.models.rising import log_rising


def log_rate_likelihood(r: float, alpha: float, x: FloatArray, T: FloatArray) -> FloatArray:
    """Return ln of Γ(r+x)/Γ(r) · α^r / (α+T)^(r+x), arranged so that it stays exact for large r and α."""
    return log_rising(r, x) - x * np.log(alpha + T) - r * np.log1p(T / alpha)


def log_silence(r: float, alpha: float, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
    """(r+x) · ln[(α+T)/(α+t_x)] >= 0: minus the log chance that a living customer was silent since t_x."""
    return (r + x) * np.log1p((T - t_x) / (alpha + t_x))


class GammaRate:
    """Mixin: the predictions that follow from P(alive) and from the expectation of a living customer."""

    r: float
    alpha: float

    def time_scale_days(self, x: FloatArray, T: FloatArray) -> FloatArray:
        """(α+T)/(1+r+x): a purchase at about the posterior mean rate, and at most α+T."""
        return (self.alpha + T) / (1.0 + self.r + x)

    def log_dropout_odds(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        """Return ln of the odds of having left after the last purchase against living on; −inf for never."""
        raise NotImplementedError

    def log_no_dropout_before(self, x: FloatArray) -> FloatArray:
        """Return ln P(no dropout at each of x repeat purchases)."""
        raise NotImplementedError

    def expected_purchases_if_alive(
        self, x: FloatArray, T: FloatArray, horizon_days: ArrayLike
    ) -> FloatArray:
        """E[Y(horizon) | x, T, alive at T]."""
        raise NotImplementedError

    def log_likelihood(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        """Return ln L = rate part + ln P(no dropout before) + ln(1 + odds of dropout since t_x)."""
        x, t_x, T = histories(x, t_x, T)
        rate = log_rate_likelihood(self.r, self.alpha, x, T)
        return rate + self.log_no_dropout_before(x) + np.logaddexp(0.0, self.log_dropout_odds(x, t_x, T))

    def log_p_alive(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        """Return ln P(alive) = −ln(1 + odds)."""
        return -np.logaddexp(0.0, self.log_dropout_odds(*histories(x, t_x, T)))

    def p_alive(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        """P(alive) = 1 / (1 + odds)."""
        return np.exp(self.log_p_alive(x, t_x, T))

    def p_active(self, x: FloatArray, t_x: FloatArray, T: FloatArray, horizon_days: ArrayLike) -> FloatArray:
        """1 − P(Y = 0) = P(alive) · [1 − ((α+T)/(α+T+t))^(r+x)]."""
        x, t_x, T = histories(x, t_x, T)
        horizon = within(horizon_days)
        return self.p_alive(x, t_x, T) * -np.expm1(-(self.r + x) * np.log1p(horizon / (self.alpha + T)))

    def expected_purchases(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, horizon_days: ArrayLike
    ) -> FloatArray:
        """E[Y] = P(alive) · E[Y | alive]."""
        x, t_x, T = histories(x, t_x, T)
        return self.p_alive(x, t_x, T) * self.expected_purchases_if_alive(x, T, horizon_days)

    def log_expected_purchases(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, horizon_days: ArrayLike
    ) -> FloatArray:
        """Return ln E[Y] = ln P(alive) + ln E[Y | alive]; the least float stands for ln 0 at horizon 0."""
        x, t_x, T = histories(x, t_x, T)
        alive = np.maximum(self.expected_purchases_if_alive(x, T, horizon_days), np.finfo(np.float64).tiny)
        return self.log_p_alive(x, t_x, T) + np.log(alive)
