"""Minimum-data rules around the model fits: what may be said with a fit, and the naive baseline beside it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clvpipe.calibration import Estimate, Fact, FrozenFit
from clvpipe.config.settings import Clv
from clvpipe.models.crosscheck import Crosscheck
from clvpipe.models.fit import PurchaseFit, fit_purchases
from clvpipe.models.gamma_gamma import (
    ValueFit,
    ValuePairs,
    fit_gamma_gamma,
    frequency_value_correlation,
)
from clvpipe.models.patterns import PurchasePatterns

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FitData:
    """What the fits stand on.

    Attributes:
        patterns: Counts of (x, t_x, T).
        pairs: Counts of (x, m) of every repeater, also those with m <= 0.
        gap_days: Distinct gaps between purchase days, ascending.
        gap_counts: How often each occurs.
    """

    patterns: PurchasePatterns
    pairs: ValuePairs
    gap_days: NDArray[np.int64]
    gap_counts: NDArray[np.int64]

    @property
    def span_days(self) -> int:
        """Days from the first purchase of all to as_of."""
        return int(self.patterns.t_days.max(initial=0))

    @property
    def median_gap_days(self) -> int | None:
        """The (lower) median gap of all customers; None without a gap."""
        if not len(self.gap_days):
            return None
        reached = np.cumsum(self.gap_counts)
        return int(self.gap_days[np.searchsorted(reached, (reached[-1] + 1) // 2)])


def frozen_purchases(data: FitData, rules: Clv) -> tuple[FrozenFit, PurchaseFit | None]:
    """Fit the purchase model where the data allow it; the fit too, for a cross-check."""
    patterns = data.patterns
    purchases = float(np.sum(patterns.frequency * patterns.customers))
    exposure = float(np.sum(patterns.t_days * patterns.customers))
    pooled = purchases / exposure if purchases > 0 and exposure > 0 else None
    facts = [
        Fact(name="customers", kind="DATA", value=patterns.n_customers, note="customers with a purchase"),
        Fact(
            name="repeaters", kind="DATA", value=patterns.n_repeaters, note="customers with a repeat purchase"
        ),
        Fact(name="span_days", kind="DATA", value=data.span_days, note="first purchase of all to as_of"),
        Fact(
            name="median_gap_days",
            kind="DATA",
            value=data.median_gap_days,
            note="median gap of all customers",
        ),
        Fact(
            name="pooled_purchases_per_day",
            kind="BASELINE",
            value=pooled,
            note="repeat purchases a customer-day",
        ),
    ]
    reason = _too_little(data, rules)
    if reason:
        return _refused(reason, facts, pooled), None
    fit = fit_purchases(patterns, seed=rules.seed)
    facts += _purchase_facts(fit)
    reason = _untrusted(fit)
    frozen = _refused(reason, facts, pooled) if reason else _trusted(fit.model.name, fit, facts, pooled)
    return frozen, fit


def frozen_value(data: FitData, rules: Clv) -> tuple[FrozenFit, ValueFit | None]:
    """Fit Gamma-Gamma where the data allow it; the fit too, for a cross-check."""
    pairs = data.pairs
    days = float(np.sum(pairs.frequency * pairs.customers))
    total = float(np.sum(pairs.mean_value * pairs.frequency * pairs.customers))
    pooled = total / days if days > 0 else None
    usable = pairs.within_model()
    repeaters = int(usable.customers.sum())
    left_out = int(pairs.customers.sum()) - repeaters
    pearson, spearman = frequency_value_correlation(usable)
    facts = [
        Fact(
            name="repeaters_with_value", kind="DATA", value=repeaters, note="repeaters with a positive mean"
        ),
        Fact(
            name="repeaters_left_out",
            kind="DATA",
            value=left_out,
            note="repeaters with a mean of zero or less",
        ),
        Fact(name="pearson", kind="DATA", value=pearson, note="correlation of frequency and mean value"),
        Fact(
            name="spearman", kind="DATA", value=spearman, note="rank correlation of frequency and mean value"
        ),
        Fact(
            name="pooled_contribution",
            kind="BASELINE",
            value=pooled,
            note="mean contribution of a repeat day",
        ),
    ]
    if repeaters < rules.minimum_repeaters.value:
        return _refused("TOO_FEW_REPEATERS", facts, pooled), None
    limit = rules.maximum_value_correlation.value
    if pearson is None or spearman is None:
        return _refused("CORRELATION_NOT_DEFINED", facts, pooled), None
    if max(abs(pearson), abs(spearman)) > limit:
        return _refused("VALUE_CORRELATED", facts, pooled), None
    fit = fit_gamma_gamma(usable)
    facts += _verdict_facts(fit)
    reason = _untrusted(fit) or ("NO_POPULATION_MEAN" if fit.model.population_mean is None else None)
    frozen = _refused(reason, facts, pooled) if reason else _trusted("GAMMA_GAMMA", fit, facts, pooled)
    return frozen, fit


def with_crosscheck(fit: FrozenFit, check: Crosscheck) -> FrozenFit:
    """The fit with what lifetimes said of it among its facts."""
    agrees = {"AGREES": 1.0, "DISAGREES": 0.0}.get(check.outcome)
    facts = (
        Fact(
            name="crosscheck_agrees",
            kind="CROSSCHECK",
            value=agrees,
            note=f"{check.outcome}: {check.reason}" if check.reason else check.outcome,
        ),
        Fact(
            name="crosscheck_log_likelihood",
            kind="CROSSCHECK",
            value=_finite(check.log_likelihood_theirs),
            note="log-likelihood at the optimum of lifetimes",
        ),
    )
    return fit.model_copy(update={"facts": (*fit.facts, *facts)})


def _too_little(data: FitData, rules: Clv) -> str | None:
    if data.patterns.n_customers < rules.minimum_customers.value:
        return "TOO_FEW_CUSTOMERS"
    if data.patterns.n_repeaters < rules.minimum_repeaters.value:
        return "TOO_FEW_REPEATERS"
    median = data.median_gap_days
    if median is None or data.span_days < rules.minimum_span_gaps.value * median:
        return "SPAN_TOO_SHORT"
    return None


def _untrusted(fit: PurchaseFit | ValueFit) -> str | None:
    """Why the optimum is not to be trusted; None if it is."""
    if not fit.verdict.converged:
        return "NOT_CONVERGED"
    return None if fit.verdict.hessian_positive_definite else "HESSIAN_NOT_POSITIVE_DEFINITE"


def _trusted(name: str, fit: PurchaseFit | ValueFit, facts: list[Fact], pooled: float | None) -> FrozenFit:
    return FrozenFit(
        name=name, status="OK", reason=None, estimates=_estimates(fit), facts=tuple(facts), pooled=pooled
    )


def _refused(reason: str, facts: list[Fact], pooled: float | None) -> FrozenFit:
    return FrozenFit(
        name="BASELINE",
        status="BASELINE" if pooled is not None else "INSUFFICIENT_DATA",
        reason=reason,
        estimates=(),
        facts=tuple(facts),
        pooled=pooled,
    )


def _estimates(fit: PurchaseFit | ValueFit) -> tuple[Estimate, ...]:
    def known(value: float | None) -> float | None:
        return float(value) if value is not None and np.isfinite(value) else None

    return tuple(
        Estimate(
            name=name,
            value=float(value),
            standard_error=known(error),
            ci_low_95=known(low),
            ci_high_95=known(high),
        )
        for name, value, error, low, high in zip(
            fit.parameter_names, fit.estimates, fit.standard_errors, fit.ci_low, fit.ci_high, strict=True
        )
    )


def _purchase_facts(fit: PurchaseFit) -> list[Fact]:
    test = fit.dropout_test
    facts = _verdict_facts(fit)
    facts.append(
        Fact(
            name="nbd_log_likelihood",
            kind="VERDICT",
            value=_finite(fit.nbd_log_likelihood),
            note="log-likelihood of the model without dropout",
        )
    )
    if test is not None and test.p_value is not None:
        facts.append(
            Fact(
                name="dropout_p_value",
                kind="VERDICT",
                value=test.p_value,
                note="seeded bootstrap of the likelihood ratio against no dropout",
            )
        )
    return facts


def _verdict_facts(fit: PurchaseFit | ValueFit) -> list[Fact]:
    verdict = fit.verdict
    numbers = {
        "log_likelihood": (fit.log_likelihood, "at the optimum"),
        "converged": (float(verdict.converged), "1: the optimiser converged"),
        "gradient_norm": (
            verdict.gradient_norm,
            "length of the gradient in log parameters at the optimum, a customer",
        ),
        "hessian_positive_definite": (float(verdict.hessian_positive_definite), "1: it is a true optimum"),
        "condition_number": (verdict.condition_number, "of the Hessian in log parameters"),
        "boundary": (float(verdict.boundary != "NONE"), verdict.boundary),
    }
    return [
        Fact(name=name, kind="VERDICT", value=_finite(value), note=note)
        for name, (value, note) in numbers.items()
    ]


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
