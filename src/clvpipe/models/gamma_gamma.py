"""Gamma-Gamma model of a purchase's value (Fader, Hardie & Lee, JMR 2005; Fader & Hardie, note 2013)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma, gammaln, polygamma

from clvpipe.models.arrays import FloatArray, IntArray, as_floats, within
from clvpipe.models.fit_verdict import FitVerdict, confidence, unusable
from clvpipe.models.likelihood import Evaluation
from clvpipe.models.optimise import Optimum, best_of, climb

_SMALLEST_VALUE = 1e-300
_START_SAMPLE = 20_000


@dataclass(frozen=True)
class ValuePairs:
    """Distinct (x, m) with counts: all that the likelihood depends on.

    Attributes
    ----------
    frequency : ndarray[float64], shape (n,)
        x, repeat purchase days.
    mean_value : ndarray[float64], shape (n,)
        m, mean contribution of a repeat purchase, money.
    customers : ndarray[int64], shape (n,)
        How many customers share the pair.
    """

    frequency: FloatArray
    mean_value: FloatArray
    customers: IntArray

    @classmethod
    def from_customers(cls, frequency: ArrayLike, mean_value: ArrayLike) -> "ValuePairs":
        """Group one row a customer into sorted distinct pairs with counts."""
        x, m = as_floats(frequency), as_floats(mean_value)
        order = np.lexsort((m, x))
        x, m = x[order], m[order]
        is_new = np.ones(x.size, dtype=np.bool_)
        is_new[1:] = (x[1:] != x[:-1]) | (m[1:] != m[:-1])
        starts = np.flatnonzero(is_new)
        return cls(x[starts], m[starts], np.diff(np.append(starts, x.size)).astype(np.int64))

    @property
    def n_customers(self) -> int:
        """Number of customers behind the pairs."""
        return int(self.customers.sum())

    def within_model(self) -> "ValuePairs":
        """Keep x > 0 and m > 0; the model knows no other."""
        kept = (self.frequency > 0) & (self.mean_value > 0)
        return ValuePairs(self.frequency[kept], self.mean_value[kept], self.customers[kept])


@dataclass(frozen=True)
class GammaGamma:
    """Mean of x purchases ~ Gamma(px, νx), ν ~ Gamma(q, γ).

    Parameters
    ----------
    p, q : float
        Shapes: of a purchase's value, and of its scale across customers.
    gamma : float
        Scale of ν, money.
    """

    p: float
    q: float
    gamma: float
    name = "GAMMA_GAMMA"

    @property
    def parameters(self) -> dict[str, float]:
        """Parameters by name."""
        return {"p": self.p, "q": self.q, "gamma": self.gamma}

    @property
    def population_mean(self) -> float | None:
        """pγ/(q−1); None for q <= 1, where it does not exist."""
        return self.p * self.gamma / (self.q - 1.0) if self.q > 1.0 else None

    def log_likelihood(self, x: ArrayLike, m: ArrayLike) -> FloatArray:
        """Return ln L of each mean m > 0 of x > 0 purchases.

        ln Γ(px+q) − ln Γ(px) − ln Γ(q) + q ln γ + (px−1) ln m + px ln x − (px+q) ln(γ + m x)
        """
        xs, ms = within(x, 1e-12), within(m, _SMALLEST_VALUE)
        px = self.p * xs
        total = self.gamma + ms * xs
        return (
            gammaln(px + self.q)
            - gammaln(px)
            - gammaln(self.q)
            + self.q * np.log(self.gamma / total)
            + px * np.log(ms * xs / total)
            - np.log(ms)
        )

    def expected_value(self, x: ArrayLike, m: ArrayLike) -> FloatArray:
        """E[M | x, m] = p (γ + m x) / (p x + q − 1), money a purchase.

        With x = 0 that is the population mean. For q <= 1 the population has none; a one-time buyer then gets
        pγ/q, the value of a purchase at the mean of ν, which at least is finite and positive.
        """
        xs, ms = within(x), within(m)
        denominator = self.p * xs + self.q - 1.0
        usable = denominator > 0.0
        return np.where(
            usable,
            self.p * (self.gamma + ms * xs) / np.where(usable, denominator, 1.0),
            self.p * self.gamma / self.q,
        )


@dataclass(frozen=True)
class ValueFit:
    """A fitted Gamma-Gamma model; sequences follow ``parameter_names``, see `PurchaseFit`."""

    model: GammaGamma
    log_likelihood: float
    parameter_names: tuple[str, ...]
    estimates: tuple[float, ...]
    standard_errors: tuple[float | None, ...]
    log_covariance: tuple[tuple[float, ...], ...] | None
    ci_low: tuple[float | None, ...]
    ci_high: tuple[float | None, ...]
    verdict: FitVerdict


def evaluate_value(x: FloatArray, m: FloatArray, weight: FloatArray, coordinates: FloatArray) -> Evaluation:
    """Log-likelihood, gradient and Hessian at (ln p, ln q, ln γ); m and γ in the same unit."""
    p, q, gamma = np.exp(coordinates)
    counts, index = np.unique(x, return_inverse=True)
    px = p * counts
    total = gamma + m * x
    prior_share, data_share = gamma / total, m * x / total
    log_prior, log_data = np.log(prior_share), np.log(data_share)

    def mean(values: FloatArray) -> float:
        return float(np.sum(weight * values))

    def tabulated(values: FloatArray) -> float:
        return mean(values[index])

    n = float(np.sum(weight))
    value = tabulated(gammaln(px + q) - gammaln(px)) - n * gammaln(q) + q * mean(log_prior)
    value += p * mean(x * log_data) - mean(np.log(m))
    d_p = tabulated(counts * (digamma(px + q) - digamma(px))) + mean(x * log_data)
    d_q = tabulated(digamma(px + q)) - n * digamma(q) + mean(log_prior)
    # By ln γ: the shares move by ± prior_share · data_share.
    d_gamma = mean(q * data_share - p * x * prior_share)
    d_pp = tabulated(counts**2 * (polygamma(1, px + q) - polygamma(1, px)))
    d_pq = tabulated(counts * polygamma(1, px + q))
    d_qq = tabulated(polygamma(1, px + q)) - n * float(polygamma(1, q))
    d_p_gamma, d_q_gamma = -mean(x * prior_share), mean(data_share)
    d_gamma_gamma = -mean((p * x + q) * prior_share * data_share)
    gradient = np.array([p * d_p, q * d_q, d_gamma])
    hessian = np.array(
        [
            [p * p * d_pp + p * d_p, p * q * d_pq, p * d_p_gamma],
            [p * q * d_pq, q * q * d_qq + q * d_q, q * d_q_gamma],
            [p * d_p_gamma, q * d_q_gamma, d_gamma_gamma],
        ]
    )
    return Evaluation(float(value), gradient, hessian)


def fit_gamma_gamma(pairs: ValuePairs) -> ValueFit:
    """Maximum likelihood on the customers with x > 0 and m > 0; the others are outside the model."""
    kept = pairs.within_model()
    n = float(np.sum(kept.customers))
    if kept.frequency.size == 0:
        return _without_information(1.0)
    weight = kept.customers.astype(np.float64)
    # Geometric mean: γ is then of order one whatever the currency.
    unit = float(np.exp(np.sum(weight * np.log(kept.mean_value)) / n))
    if kept.frequency.size < 2:
        return _without_information(unit)
    x, m = kept.frequency, kept.mean_value / unit
    starts = [np.log([p, q, (q - 1.0) / p]) for p, q in ((1.0, 2.0), (6.0, 4.0), (0.5, 10.0))]
    every = slice(None, None, max(1, x.size // _START_SAMPLE))

    def rough(coordinates: FloatArray) -> Evaluation:
        return evaluate_value(x[every], m[every], weight[every], coordinates)

    def everything(coordinates: FloatArray) -> Evaluation:
        return evaluate_value(x, m, weight, coordinates)

    thinned_n = float(np.sum(weight[every]))
    near = best_of([climb(rough, start, thinned_n) for start in starts])
    optimum = climb(everything, near.coordinates, n)
    return _report(optimum, unit, weight, len(starts))


def _report(optimum: Optimum, unit: float, weight: FloatArray, starts: int) -> ValueFit:
    p, q, gamma = (float(v) for v in np.exp(optimum.coordinates))
    model = GammaGamma(p, q, gamma * unit)
    names = tuple(model.parameters)
    estimates = tuple(model.parameters.values())
    covariance = optimum.covariance() if optimum.is_peak else None
    errors, low, high = confidence(names, estimates, covariance)
    return ValueFit(
        model=model,
        # A density of money: it changes with the unit.
        log_likelihood=optimum.value - float(np.sum(weight)) * float(np.log(unit)),
        parameter_names=names,
        estimates=estimates,
        standard_errors=errors,
        log_covariance=None if covariance is None else tuple(tuple(row) for row in covariance.tolist()),
        ci_low=low,
        ci_high=high,
        verdict=FitVerdict.of(optimum, "NONE", starts),
    )


def _without_information(unit: float) -> ValueFit:
    """Fewer than two distinct pairs: a finite model around the one value seen, and a verdict against it."""
    model = GammaGamma(1.0, 2.0, unit)
    nothing = (None, None, None)
    names, estimates = tuple(model.parameters), tuple(model.parameters.values())
    return ValueFit(model, 0.0, names, estimates, nothing, None, nothing, nothing, unusable("NONE"))


def _mid_ranks(values: FloatArray, weight: FloatArray) -> FloatArray:
    """Mean rank of each value among the customers, as if every customer had a row."""
    distinct, inverse = np.unique(values, return_inverse=True)
    count = np.bincount(inverse, weights=weight, minlength=distinct.size)
    return (np.cumsum(count) - 0.5 * (count - 1.0))[inverse]


def _pearson(x: FloatArray, y: FloatArray, weight: FloatArray) -> float | None:
    n = float(np.sum(weight))
    dx = x - float(np.sum(weight * x)) / n
    dy = y - float(np.sum(weight * y)) / n
    spread = float(np.sqrt(np.sum(weight * dx * dx)) * np.sqrt(np.sum(weight * dy * dy)))
    if not spread > 0.0 or np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        return None
    return float(np.clip(np.sum(weight * dx * dy) / spread, -1.0, 1.0))


def frequency_value_correlation(pairs: ValuePairs) -> tuple[float | None, float | None]:
    """Pearson and Spearman correlation of x and m over customers with x > 0 and m > 0; None if undefined."""
    kept = pairs.within_model()
    if kept.frequency.size < 2:
        return None, None
    weight = kept.customers.astype(np.float64)
    # In units of the greatest value, so that squares of money stay finite.
    x, m = kept.frequency / kept.frequency.max(), kept.mean_value / kept.mean_value.max()
    return _pearson(x, m, weight), _pearson(_mid_ranks(x, weight), _mid_ranks(m, weight), weight)
