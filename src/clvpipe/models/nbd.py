"""NBD: purchases at a gamma-distributed rate, nobody ever leaves (Ehrenberg, Applied Statistics 1959)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from clvpipe.models.arrays import FloatArray, within
from clvpipe.models.gamma_rate import GammaRate


@dataclass(frozen=True)
class Nbd(GammaRate):
    """The limit a → 0 of BG/NBD: λ ~ Gamma(r, α), no dropout.

    ln L = ln Γ(r+x) − ln Γ(r) + r ln α − (r+x) ln(α+T); E[Y(t)] = (r+x)/(α+T) · t.

    Parameters
    ----------
    r : float
        Shape of the rate distribution.
    alpha : float
        Its scale, days.
    """

    r: float
    alpha: float
    name = "NBD"
    dropout_identified = False

    @property
    def parameters(self) -> dict[str, float]:
        """Parameters by name."""
        return {"r": self.r, "alpha": self.alpha}

    def log_dropout_odds(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        """Nobody leaves."""
        return np.full(x.shape, -np.inf)

    def log_no_dropout_before(self, x: FloatArray) -> FloatArray:
        """Nobody leaves."""
        return np.zeros(x.shape)

    def expected_purchases_if_alive(
        self, x: FloatArray, T: FloatArray, horizon_days: ArrayLike
    ) -> FloatArray:
        """(r+x)/(α+T) · t."""
        return (self.r + within(x)) / (self.alpha + within(T)) * within(horizon_days)
