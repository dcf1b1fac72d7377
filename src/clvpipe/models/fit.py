"""Which model of purchases the data support, its parameters, and how far to trust them."""

from dataclasses import dataclass, replace

import numpy as np

from clvpipe.models.arrays import FloatArray
from clvpipe.models.dropout_test import DropoutTest, check_dropout
from clvpipe.models.fit_verdict import FitVerdict, confidence, unusable
from clvpipe.models.likelihood import Dropout
from clvpipe.models.nbd import Nbd
from clvpipe.models.observations import Observations
from clvpipe.models.optimise import Optimum
from clvpipe.models.patterns import PurchasePatterns
from clvpipe.models.purchase_optima import (
    BETA_DROPOUT,
    COMMON_DROPOUT,
    COMMON_RATE_R,
    NO_DROPOUT,
    Optima,
    Search,
    fit_all,
    model_at,
)
from clvpipe.models.purchases import PurchaseModel

# A gain in ln L that no data set could tell from none.
_NO_GAIN = 0.01
_LEAST_DROPOUT = 1e-6
_MOST_ALIKE = 1e4
# From here on it is worth asking whether r has a finite estimate at all.
_LARGE_R = 1e3


@dataclass(frozen=True)
class PurchaseFit:
    """A fitted purchase model.

    Sequences follow ``parameter_names``. A parameter fixed at a limit has None for its standard error and
    interval and zeros in the covariance; without a peak all of these are None. The covariance is that of the
    logarithms of the parameters (logit for ``p``); intervals are 95 %, symmetric there.
    """

    model: PurchaseModel
    log_likelihood: float
    parameter_names: tuple[str, ...]
    estimates: tuple[float, ...]
    standard_errors: tuple[float | None, ...]
    log_covariance: tuple[tuple[float, ...], ...] | None
    ci_low: tuple[float | None, ...]
    ci_high: tuple[float | None, ...]
    verdict: FitVerdict
    nbd_log_likelihood: float
    dropout_test: DropoutTest | None


def fit_purchases(patterns: PurchasePatterns, *, seed: int) -> PurchaseFit:
    """Fit NBD, BG/NBD with common dropout and BG/NBD; return the richest that the data identify.

    1. Without dropout worth the name (likelihood ratio, by bootstrap where it is not plain) NBD.
    2. Where the spread of dropout probabilities gains nothing, one probability for all.
    3. Where the spread of rates gains nothing, one rate for all (r fixed at 1e7).

    Parameters
    ----------
    patterns : PurchasePatterns
        Every customer, one-time buyers included.
    seed : int
        Of the bootstrap.
    """
    observations = Observations.of(patterns)
    if patterns.n_customers < 2 or not float(np.sum(observations.x * observations.T)) > 0.0:
        return _without_information(observations)
    search = Search.over(observations)
    optima = fit_all(search)
    null = model_at(NO_DROPOUT, optima.none.coordinates, observations.unit_days)
    assert isinstance(null, Nbd)
    test = check_dropout(optima.dropout_ratio, null, patterns, seed)
    dropout, optimum = _identified(optima, test)

    fixed_r = False
    if optimum.coordinates[0] > np.log(_LARGE_R) or not optimum.is_peak:
        alike = fit_all(replace(search, common_rate=True))
        candidate = _like(alike, dropout)
        if optimum.value - candidate.value < _NO_GAIN:
            optimum, fixed_r = candidate, True
    return _report(observations, (dropout, optimum), optima, test, fixed_r)


def _like(optima: Optima, dropout: Dropout) -> Optimum:
    if dropout is NO_DROPOUT:
        return optima.none
    return optima.common if dropout is COMMON_DROPOUT else optima.beta


def _identified(optima: Optima, test: DropoutTest) -> tuple[Dropout, Optimum]:
    log_a, log_b = optima.beta.coordinates[-2:]
    logit_mean = log_a - log_b if optima.beta.value > optima.common.value else optima.common.coordinates[-1]
    if not test.dropout_found or logit_mean < np.log(_LEAST_DROPOUT):
        return NO_DROPOUT, optima.none
    spread_is_real = (
        optima.beta.value - optima.common.value >= _NO_GAIN
        and optima.beta.is_peak
        and float(np.exp(log_a) + np.exp(log_b)) <= _MOST_ALIKE
    )
    return (BETA_DROPOUT, optima.beta) if spread_is_real else (COMMON_DROPOUT, optima.common)


def _report(
    observations: Observations,
    chosen: tuple[Dropout, Optimum],
    optima: Optima,
    test: DropoutTest,
    fixed_r: bool,
) -> PurchaseFit:
    dropout, optimum = chosen
    coordinates = optimum.coordinates
    if fixed_r:
        coordinates = np.concatenate(([np.log(COMMON_RATE_R)], coordinates))
    model = model_at(dropout, coordinates, observations.unit_days)
    names = tuple(model.parameters)
    estimates = tuple(model.parameters.values())
    covariance = _full_covariance(optimum, fixed_r)
    boundaries = [
        label
        for label, applies in (
            ("NO_DROPOUT", dropout is NO_DROPOUT),
            ("COMMON_DROPOUT", dropout is COMMON_DROPOUT),
            ("COMMON_RATE", fixed_r),
        )
        if applies
    ]
    verdict = FitVerdict.of(optimum, "+".join(boundaries) or "NONE", optima.starts)
    errors, low, high = confidence(names, estimates, covariance)
    return PurchaseFit(
        model=model,
        log_likelihood=optimum.value + observations.log_unit_correction,
        parameter_names=names,
        estimates=estimates,
        standard_errors=errors,
        log_covariance=None if covariance is None else tuple(tuple(row) for row in covariance.tolist()),
        ci_low=low,
        ci_high=high,
        verdict=verdict,
        nbd_log_likelihood=optima.none.value + observations.log_unit_correction,
        dropout_test=test,
    )


def _full_covariance(optimum: Optimum, fixed_r: bool) -> FloatArray | None:
    if not optimum.is_peak:
        return None
    covariance = optimum.covariance()
    if not fixed_r:
        return covariance
    padded = np.zeros((covariance.shape[0] + 1,) * 2)
    padded[1:, 1:] = covariance
    return padded


def _without_information(observations: Observations) -> PurchaseFit:
    """Nobody came back, nobody was watched, or one customer: a finite model and a verdict not to use it."""
    purchases = float(np.sum(observations.weight * observations.x))
    days = float(np.sum(observations.weight * observations.T)) * observations.unit_days
    # Half a purchase in the time seen and one day more: small, positive, and finite for any data.
    model = Nbd(1.0, (days + 1.0) / (purchases + 0.5))
    patterns = observations.patterns
    by_pattern = model.log_likelihood(patterns.frequency, patterns.t_x_days, patterns.t_days)
    log_l = float(np.sum(observations.weight * by_pattern))
    return PurchaseFit(
        model=model,
        log_likelihood=log_l,
        parameter_names=("r", "alpha"),
        estimates=(model.r, model.alpha),
        standard_errors=(None, None),
        log_covariance=None,
        ci_low=(None, None),
        ci_high=(None, None),
        verdict=unusable("NO_DROPOUT"),
        nbd_log_likelihood=log_l,
        dropout_test=None,
    )
