"""Maximum likelihood of NBD, common-dropout and full BG/NBD on one set of patterns."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from clvpipe.models.arrays import FloatArray
from clvpipe.models.bgnbd import BgNbd, BgNbdCommonDropout
from clvpipe.models.likelihood import (
    BetaDropout,
    CommonDropout,
    Dropout,
    Evaluation,
    NoDropout,
    evaluate,
)
from clvpipe.models.nbd import Nbd
from clvpipe.models.observations import Observations
from clvpipe.models.optimise import Objective, Optimum, best_of, climb
from clvpipe.models.purchases import PurchaseModel

NO_DROPOUT = NoDropout()
COMMON_DROPOUT = CommonDropout()
BETA_DROPOUT = BetaDropout()

# A relative spread of rates of 1/sqrt(1e7): the Poisson model to seven digits, yet the same formulas.
COMMON_RATE_R = 1e7

# Starting points need no more data than this; the optimum itself is found on all of it.
_START_SAMPLE = 20_000


@dataclass(frozen=True)
class Search:
    """Observations, a thinned copy to choose starting points on, and where to look."""

    full: Observations
    thin: Observations
    common_rate: bool = False

    @classmethod
    def over(cls, full: Observations) -> "Search":
        """Thin when there is much."""
        sample = full.patterns
        if sample.frequency.size > _START_SAMPLE:
            sample = sample.systematic_sample(_START_SAMPLE, 0.5)
            thin = Observations.of(sample, full.unit_days)
        else:
            thin = full
        return cls(full, thin)

    def objective(self, observations: Observations, dropout: Dropout) -> Objective:
        """Log-likelihood by the free coordinates; without the first, ln r, if the rate is common."""
        if not self.common_rate:
            return lambda c: evaluate(observations, dropout, c)
        log_r = np.log(COMMON_RATE_R)

        def with_fixed_rate(coordinates: FloatArray) -> Evaluation:
            at = evaluate(observations, dropout, np.concatenate(([log_r], coordinates)))
            return Evaluation(at.value, at.gradient[1:], at.hessian[1:, 1:])

        return with_fixed_rate

    def maximise(self, dropout: Dropout, starts: list[FloatArray]) -> Optimum:
        """Climb from every start on the thinned data, then finish on everything from the best."""
        rough = self.objective(self.thin, dropout)
        thin_n = float(np.sum(self.thin.weight))
        near = best_of([climb(rough, start, thin_n) for start in starts])
        if self.thin is self.full:
            return near
        everything = self.objective(self.full, dropout)
        return climb(everything, near.coordinates, float(np.sum(self.full.weight)))


@dataclass(frozen=True)
class Optima:
    """The three nested models' optima on the same data."""

    none: Optimum
    common: Optimum
    beta: Optimum
    starts: int

    @property
    def dropout_ratio(self) -> float:
        """2 (ln L with dropout − ln L of NBD), dropout in whichever form fits better."""
        # A limit of the others, NBD may come out better by what rounding leaves.
        return max(0.0, 2.0 * (max(self.common.value, self.beta.value) - self.none.value))


def log_rate_of(observations: Observations) -> float:
    """Return ln of purchases a unit of scaled time, over everybody."""
    purchases = float(np.sum(observations.weight * observations.x))
    return float(np.log(purchases / float(np.sum(observations.weight * observations.T))))


def fit_all(search: Search) -> Optima:
    """NBD from moment starts, common dropout from NBD, Beta dropout from common dropout."""
    log_rate = log_rate_of(search.thin)
    if search.common_rate:
        none_starts = [np.array([np.log(COMMON_RATE_R) - log_rate])]
    else:
        none_starts = [np.array([np.log(r), np.log(r) - log_rate]) for r in (0.3, 1.0, 10.0)]
    none = search.maximise(NO_DROPOUT, none_starts)
    common_starts = [np.append(none.coordinates, logit) for logit in (-4.0, -1.5, 0.0)]
    common = search.maximise(COMMON_DROPOUT, common_starts)
    beta_starts = beta_from_common(common.coordinates, (0.5, 3.0, 30.0))
    beta = search.maximise(BETA_DROPOUT, beta_starts)
    return Optima(none, common, beta, len(none_starts) + len(common_starts) + len(beta_starts))


def beta_from_common(common: FloatArray, concentrations: tuple[float, ...]) -> list[FloatArray]:
    """Starts with the common model's mean dropout, at several a + b."""
    # A dropout near 0 gives no slope to climb by.
    p = float(np.clip(expit(common[-1]), 0.01, 0.9))
    return [
        np.concatenate((common[:-1], [np.log(p * total), np.log((1.0 - p) * total)]))
        for total in concentrations
    ]


def model_at(dropout: Dropout, coordinates: FloatArray, unit_days: float) -> PurchaseModel:
    """The model at (ln r, ln α, dropout coordinates) of scaled time."""
    r, alpha = float(np.exp(coordinates[0])), float(np.exp(coordinates[1])) * unit_days
    if dropout is NO_DROPOUT:
        return Nbd(r, alpha)
    if dropout is COMMON_DROPOUT:
        return BgNbdCommonDropout(r, alpha, float(expit(coordinates[2])))
    a, b = (float(v) for v in np.exp(coordinates[2:]))
    return BgNbd(r, alpha, a, b)
