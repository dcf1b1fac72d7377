"""What is said of every fit, whichever model: how it ended, and how uncertain the parameters are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clvpipe.models.arrays import FloatArray
from clvpipe.models.optimise import Optimum

NORMAL_95 = 1.959963984540054

Ends = tuple[float | None, ...]


@dataclass(frozen=True)
class FitVerdict:
    """How the optimisation ended, always present.

    Attributes
    ----------
    converged : bool
        A peak with nothing left to gain.
    gradient_norm : float
        Of the mean log-likelihood, in log (logit) parameters.
    hessian_positive_definite : bool
        Of the negative log-likelihood.
    condition_number : float
        Of the same; the largest float if not positive definite.
    boundary : str
        NONE, or which limit the estimate is at: NO_DROPOUT, COMMON_DROPOUT, COMMON_RATE, joined by '+'.
    starts_tried, iterations : int
        Starting points, and iterations to the chosen optimum.
    """

    converged: bool
    gradient_norm: float
    hessian_positive_definite: bool
    condition_number: float
    boundary: str
    starts_tried: int
    iterations: int

    @classmethod
    def of(cls, optimum: Optimum, boundary: str, starts_tried: int) -> "FitVerdict":
        """Read it off an optimum."""
        return cls(
            converged=optimum.converged,
            gradient_norm=optimum.gradient_norm,
            hessian_positive_definite=optimum.is_peak,
            condition_number=optimum.condition_number,
            boundary=boundary,
            starts_tried=starts_tried,
            iterations=optimum.iterations,
        )


def unusable(boundary: str) -> FitVerdict:
    """Verdict on data without information: nothing was tried."""
    return FitVerdict(False, 0.0, False, float(np.finfo(np.float64).max), boundary, 0, 0)


def confidence(
    names: Sequence[str], estimates: Sequence[float], covariance: FloatArray | None
) -> tuple[Ends, Ends, Ends]:
    """Standard errors on the natural scale, and both ends of the 95 % intervals.

    The covariance is of logarithms (of the logit for a probability ``p`` of dropout, named 'p' beside an
    'alpha'). The delta method is exact at an optimum. Zero variance marks a fixed parameter: None.
    """
    if covariance is None:
        nothing: Ends = (None,) * len(names)
        return nothing, nothing, nothing
    errors: list[float | None] = []
    low: list[float | None] = []
    high: list[float | None] = []
    for name, value, variance in zip(names, estimates, np.diag(covariance).tolist(), strict=True):
        deviation = float(np.sqrt(variance))
        fixed = deviation == 0.0
        is_logit = name == "p" and "alpha" in names
        # d p / d logit p = p (1 − p); d θ / d ln θ = θ.
        rest = 1.0 - value if is_logit else 1.0
        errors.append(None if fixed else deviation * value * rest)
        for ends, reach in ((low, -NORMAL_95 * deviation), (high, NORMAL_95 * deviation)):
            moved = value * float(np.exp(np.clip(reach, -300.0, 300.0)))
            end = moved / (rest + moved) if is_logit else moved
            ends.append(None if fixed else end)
    return tuple(errors), tuple(low), tuple(high)
