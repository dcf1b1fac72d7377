"""Log-likelihood of the NBD family with gradient and Hessian, in unconstrained parameters.

ln L = ln[Γ(r+x)/Γ(r)] − x ln(α+T) − r ln(1+T/α) + W(x) + 1{x>0} ln(1 + e^D),
D = κ(x) + (r+x) ln[(α+T)/(α+t_x)].

W is ln P(no dropout before) and κ the prior log odds of leaving; which function of x they are is all that
tells the models apart. Coordinates are ln r, ln α and the dropout's own. Everything that depends on x alone
is tabulated once an evaluation.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import expit

from clvpipe.models.arrays import FloatArray
from clvpipe.models.observations import Observations
from clvpipe.models.rising import prefix_sums


@dataclass(frozen=True)
class Evaluation:
    """Value, gradient (k,) and Hessian (k, k) of a log-likelihood."""

    value: float
    gradient: FloatArray
    hessian: FloatArray


@dataclass(frozen=True)
class DropoutTables:
    """W and κ with first (k, n_x) and second (k, k, n_x) derivatives, for x = 0..max_x."""

    log_survival: FloatArray
    log_survival_1: FloatArray
    log_survival_2: FloatArray
    log_odds: FloatArray
    log_odds_1: FloatArray
    log_odds_2: FloatArray


class Dropout(Protocol):
    """A way of leaving: how many coordinates it has and its tables."""

    size: int

    def tables(self, coordinates: FloatArray, max_x: int) -> DropoutTables:
        """Tables at the coordinates."""
        ...


class NoDropout:
    """NBD."""

    size = 0

    def tables(self, coordinates: FloatArray, max_x: int) -> DropoutTables:
        """W = 0, κ = −∞."""
        n = max_x + 1
        one, two = np.zeros((0, n)), np.zeros((0, 0, n))
        return DropoutTables(np.zeros(n), one, two, np.full(n, -np.inf), one, two)


class CommonDropout:
    """One probability p for all; coordinate logit p. W = x ln(1−p), κ = logit p."""

    size = 1

    def tables(self, coordinates: FloatArray, max_x: int) -> DropoutTables:
        """Tables at logit p."""
        (logit,) = coordinates
        x = np.arange(max_x + 1, dtype=np.float64)
        p, q = expit(logit), expit(-logit)
        return DropoutTables(
            log_survival=-x * np.logaddexp(0.0, logit),
            log_survival_1=(-x * p)[None],
            log_survival_2=(-x * p * q)[None, None],
            log_odds=np.full(x.shape, logit),
            log_odds_1=np.ones((1, x.size)),
            log_odds_2=np.zeros((1, 1, x.size)),
        )


class BetaDropout:
    """p ~ Beta(a, b); coordinates ln a, ln b. W = −Σ_{j<x} ln(1 + a/(b+j)), κ = ln a − ln(b+x−1)."""

    size = 2

    def tables(self, coordinates: FloatArray, max_x: int) -> DropoutTables:
        """Tables at (ln a, ln b)."""
        a, b = np.exp(coordinates)
        j = np.arange(max_x, dtype=np.float64)
        bj, abj = b + j, a + b + j
        w_a = -a * prefix_sums(1.0 / abj)
        w_b = b * prefix_sums(a / (bj * abj))
        w_aa = a * a * prefix_sums(1.0 / (abj * abj)) + w_a
        w_ab = a * b * prefix_sums(1.0 / (abj * abj))
        w_bb = w_b - b * b * prefix_sums(a * (bj + abj) / (bj * abj) ** 2)
        # At x = 0 there is no odds term; 1 keeps the table finite.
        x = np.maximum(np.arange(max_x + 1, dtype=np.float64), 1.0)
        before = b + x - 1.0
        zeros = np.zeros(x.shape)
        return DropoutTables(
            log_survival=-prefix_sums(np.log1p(a / bj)),
            log_survival_1=np.stack((w_a, w_b)),
            log_survival_2=np.stack((np.stack((w_aa, w_ab)), np.stack((w_ab, w_bb)))),
            log_odds=np.log(a) - np.log(before),
            log_odds_1=np.stack((np.ones(x.shape), -b / before)),
            log_odds_2=np.stack((np.stack((zeros, zeros)), np.stack((zeros, -b * (x - 1.0) / before**2)))),
        )


def _sum(values: FloatArray) -> float:
    return float(np.sum(values))


def _rate_part(obs: Observations, r: float, alpha: float) -> Evaluation:
    """Everything without dropout: a sum over counts and a sum over ages. Derivatives by r and α."""
    j = np.arange(obs.max_x, dtype=np.float64)
    n_x, T, n, bought = obs.count_by_x, obs.ages, obs.customers_by_age, obs.purchases_by_age
    log_age = np.log1p(T / alpha)
    total = alpha + T
    rising, rising_1, rising_2 = (
        prefix_sums(np.log(r + j)),
        prefix_sums(1.0 / (r + j)),
        prefix_sums(-1.0 / (r + j) ** 2),
    )
    excess = bought - r * n * T / alpha
    value = _sum(n_x * rising) - _sum(bought * np.log(total)) - r * _sum(n * log_age)
    d_r = _sum(n_x * rising_1) - _sum(n * log_age)
    d_alpha = -_sum(excess / total)
    d_rr = _sum(n_x * rising_2)
    d_ra = _sum(n * T / (alpha * total))
    d_aa = _sum(excess / total**2) - _sum(r * n * T / (alpha * alpha * total))
    return Evaluation(value, np.array([d_r, d_alpha]), np.array([[d_rr, d_ra], [d_ra, d_aa]]))


def evaluate(obs: Observations, dropout: Dropout, coordinates: FloatArray) -> Evaluation:
    """Log-likelihood at (ln r, ln α, dropout coordinates), scaled time.

    Gradient and Hessian are by the coordinates themselves.
    """
    r, alpha = (float(v) for v in np.exp(coordinates[:2]))
    k = 2 + dropout.size
    rate = _rate_part(obs, r, alpha)
    value = rate.value
    gradient = np.zeros(k)
    hessian = np.zeros((k, k))
    gradient[:2] = rate.gradient
    hessian[:2, :2] = rate.hessian

    if dropout.size:
        tables = dropout.tables(coordinates[2:], obs.max_x)
        value += _add_dropout(obs, tables, (r, alpha), gradient, hessian)

    scale = np.ones(k)
    scale[:2] = r, alpha
    gradient = gradient * scale
    hessian = hessian * scale[:, None] * scale[None, :]
    hessian[0, 0] += gradient[0]
    hessian[1, 1] += gradient[1]
    return Evaluation(value, gradient, hessian)


def _add_dropout(
    obs: Observations,
    tables: DropoutTables,
    rate: tuple[float, float],
    gradient: FloatArray,
    hessian: FloatArray,
) -> float:
    """Add W and ln(1 + e^D); derivatives of ln(1+e^D) are πD_i and πD_ij + π(1−π)D_iD_j, π = e^D/(1+e^D)."""
    r, alpha = rate
    index, w = obs.repeat_index, obs.repeat_weight
    at_end, at_last = alpha + obs.ages, alpha + obs.last_days
    silence = np.log(at_end)[obs.repeat_age] - np.log(at_last)[obs.repeat_last]
    end, last = (1.0 / at_end)[obs.repeat_age], (1.0 / at_last)[obs.repeat_last]
    shape = r + obs.repeat_x
    d = tables.log_odds[index] + shape * silence
    # One exponential serves π = e^D/(1+e^D), 1−π and ln(1+e^D).
    small = np.exp(-np.abs(d))
    larger = 1.0 / (1.0 + small)
    left = np.where(d > 0.0, larger, small * larger)
    w_left = w * left
    w_both = w * small * larger * larger
    n_x = obs.max_x + 1

    by_alpha_unit = end - last
    by_alpha = shape * by_alpha_unit
    gradient[0] += _sum(w_left * silence)
    gradient[1] += _sum(w_left * by_alpha)
    both_silence, both_alpha = w_both * silence, w_both * by_alpha
    hessian[0, 0] += _sum(both_silence * silence)
    cross = _sum(w_left * by_alpha_unit) + _sum(both_silence * by_alpha)
    hessian[0, 1] += cross
    hessian[1, 0] += cross
    hessian[1, 1] += _sum(both_alpha * by_alpha) - _sum(w_left * by_alpha * (end + last))

    def per_x(values: FloatArray) -> FloatArray:
        return np.bincount(index, weights=values, minlength=n_x).astype(np.float64)

    # Nobody with x = 0 can have left; their W is 0.
    count_x = obs.count_by_x
    left_x, both_x = per_x(w_left), per_x(w_both)
    both_silence_x, both_alpha_x = per_x(both_silence), per_x(both_alpha)
    for i, (survival, odds) in enumerate(zip(tables.log_survival_1, tables.log_odds_1, strict=True), start=2):
        gradient[i] += _sum(count_x * survival) + _sum(left_x * odds)
        for rate_index, mixed in enumerate((both_silence_x, both_alpha_x)):
            hessian[rate_index, i] = hessian[i, rate_index] = _sum(mixed * odds)
        for j, other in enumerate(tables.log_odds_1, start=2):
            second = count_x * tables.log_survival_2[i - 2, j - 2] + left_x * tables.log_odds_2[i - 2, j - 2]
            hessian[i, j] = _sum(second) + _sum(both_x * odds * other)
    return _sum(count_x * tables.log_survival) + _sum(w * (np.maximum(d, 0.0) + np.log1p(small)))
