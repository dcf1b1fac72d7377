"""A second opinion on a fit: the same likelihood in lifetimes, an independent implementation.

Never on the way to a result: the outcome is recorded beside the fit.
"""

import contextlib
import io
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from clvpipe.models.bgnbd import BgNbd
from clvpipe.models.fit import PurchaseFit, fit_purchases
from clvpipe.models.gamma_gamma import ValueFit, ValuePairs, fit_gamma_gamma
from clvpipe.models.patterns import PurchasePatterns

Outcome = Literal["AGREES", "DISAGREES", "REFUSED", "NOT_APPLICABLE"]

# Same formula, other arithmetic; then how much better, and how far off, their optimum may be.
_LIKELIHOOD_TOLERANCE = 1e-5
_LARGEST_GAIN = 0.01
_LARGEST_DISTANCE = 0.1


@dataclass(frozen=True)
class Crosscheck:
    """Outcome of fitting the same data with lifetimes.

    Attributes
    ----------
    outcome : str
        REFUSED if lifetimes raised, NOT_APPLICABLE if it has no such model or there is nothing to compare.
    reason : str
        One sentence.
    their_parameters : mapping
        By our names, days and money; empty unless they fitted.
    log_likelihood_ours, log_likelihood_theirs : float or None
        Each by our formula, at its own optimum, on the data that both saw.
    largest_difference_in_standard_errors : float or None
        Over the parameters, in units of our standard errors.
    """

    outcome: Outcome
    reason: str
    their_parameters: Mapping[str, float] = field(default_factory=dict)
    log_likelihood_ours: float | None = None
    log_likelihood_theirs: float | None = None
    largest_difference_in_standard_errors: float | None = None


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Hush: lifetimes prints its failures and warns of much; both are ours to report, in one sentence."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        np.errstate(all="ignore"),
    ):
        warnings.simplefilter("ignore")
        yield


def crosscheck_purchases(
    patterns: PurchasePatterns, fit: PurchaseFit, max_patterns: int = 200_000, seed: int = 0
) -> Crosscheck:
    """Compare a BG/NBD fit with lifetimes' on the same patterns and counts.

    Above ``max_patterns`` both are fitted on one seeded systematic sample of that many customers.
    """
    if patterns.frequency.size > max_patterns:
        offset = float(np.random.default_rng(seed).random())
        patterns = patterns.systematic_sample(max_patterns, offset)
        fit = fit_purchases(patterns, seed=seed)
    model = fit.model
    if not isinstance(model, BgNbd):
        return Crosscheck("NOT_APPLICABLE", f"lifetimes has no {model.name}")
    weight = patterns.customers.astype(np.float64)

    def our_log_likelihood(parameters: Mapping[str, float]) -> float:
        by_pattern = BgNbd(**parameters).log_likelihood(
            patterns.frequency, patterns.t_x_days, patterns.t_days
        )
        return float(np.sum(weight * by_pattern))

    try:
        with _quietly():
            from lifetimes import BetaGeoFitter

            fitter: Any = BetaGeoFitter()
            fitter.fit(patterns.frequency, patterns.t_x_days, patterns.t_days, weights=patterns.customers)
            theirs = {name: float(fitter.params_[name]) for name in ("r", "alpha", "a", "b")}
            # Their formula at our optimum, theirs being the mean of the negative.
            logs = np.log([model.r, model.alpha, model.a, model.b])
            x = patterns.frequency.astype(int)
            at_ours = fitter._negative_log_likelihood(
                logs, x, patterns.t_x_days, patterns.t_days, weight, 0.0
            )
            their_formula = -float(at_ours) * float(np.sum(weight))
    except Exception as error:
        return _refused(error)
    return _judge(
        fit, our_log_likelihood(model.parameters), their_formula, theirs, our_log_likelihood(theirs)
    )


def crosscheck_value(pairs: ValuePairs, fit: ValueFit, max_pairs: int = 200_000, seed: int = 0) -> Crosscheck:
    """Compare a Gamma-Gamma fit with lifetimes' on the same pairs and counts; see `crosscheck_purchases`."""
    kept = pairs.within_model()
    if kept.frequency.size == 0:
        return Crosscheck("NOT_APPLICABLE", "no customer with a positive mean value")
    if kept.frequency.size > max_pairs:
        chosen = np.sort(np.random.default_rng(seed).choice(kept.frequency.size, max_pairs, replace=False))
        kept = ValuePairs(kept.frequency[chosen], kept.mean_value[chosen], kept.customers[chosen])
        fit = fit_gamma_gamma(kept)
    model = fit.model
    weight = kept.customers.astype(np.float64)

    def our_log_likelihood(parameters: Mapping[str, float]) -> float:
        by_pair = type(model)(**parameters).log_likelihood(kept.frequency, kept.mean_value)
        return float(np.sum(weight * by_pair))

    try:
        with _quietly():
            from lifetimes import GammaGammaFitter

            fitter: Any = GammaGammaFitter()
            fitter.fit(kept.frequency, kept.mean_value, weights=kept.customers)
            theirs = {"p": float(fitter.params_["p"]), "q": float(fitter.params_["q"])}
            theirs["gamma"] = float(fitter.params_["v"])
            logs = np.log([model.p, model.q, model.gamma])
            at_ours = fitter._negative_log_likelihood(logs, kept.frequency, kept.mean_value, weight, 0.0)
            their_formula = -float(at_ours) * float(np.sum(weight))
    except Exception as error:
        return _refused(error)
    return _judge(
        fit, our_log_likelihood(model.parameters), their_formula, theirs, our_log_likelihood(theirs)
    )


def _refused(error: Exception) -> Crosscheck:
    # The type only: their messages quote the data or the optimiser's whole state.
    return Crosscheck("REFUSED", f"lifetimes raised {type(error).__name__}")


def _judge(
    fit: PurchaseFit | ValueFit,
    ours: float,
    their_formula: float,
    their_parameters: Mapping[str, float],
    theirs: float,
) -> Crosscheck:
    distances = [
        abs(their_parameters[name] - value) / error
        for name, value, error in zip(fit.parameter_names, fit.estimates, fit.standard_errors, strict=True)
        if error is not None
    ]
    distance = max(distances) if distances else None
    if not all(math.isfinite(v) for v in (ours, theirs, their_formula, *their_parameters.values())):
        return Crosscheck("REFUSED", "lifetimes returned a number that is not finite")
    outcome: Outcome = "DISAGREES"
    if abs(their_formula - ours) > _LIKELIHOOD_TOLERANCE * max(1.0, abs(ours)):
        reason = f"at our optimum their likelihood is {their_formula:.6f}, ours {ours:.6f}"
    elif theirs > ours + _LARGEST_GAIN:
        reason = f"their optimum is better by {theirs - ours:.4f} in log-likelihood"
    elif distance is None:
        outcome, reason = (
            "NOT_APPLICABLE",
            "our optimum is no peak: there are no standard errors to compare by",
        )
    elif distance > _LARGEST_DISTANCE:
        reason = f"a parameter differs by {distance:.2f} standard errors"
    else:
        outcome, reason = "AGREES", f"parameters within {distance:.1e} standard errors"
    return Crosscheck(outcome, reason, their_parameters, ours, theirs, distance)
