"""The calibration: model parameters, cuts, thresholds and reference distributions, frozen.

Reads: the tables of features. Writes: a calibration, unless one that still stands is there already; a whole
run keeps it when it has passed its gates.
"""

from datetime import date
from decimal import Decimal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clvpipe.calibration import (
    Calibration,
    FrozenFit,
    code_version,
    current,
    save,
    settings_digest,
)
from clvpipe.config.settings import Theta, ValueTier
from clvpipe.errors import ModelGateError
from clvpipe.fitting import FitData, frozen_purchases, frozen_value, with_crosscheck
from clvpipe.models.crosscheck import Crosscheck, crosscheck_purchases, crosscheck_value
from clvpipe.models.empirical import quantile_cuts, theta
from clvpipe.models.fit import PurchaseFit
from clvpipe.models.gamma_gamma import ValueFit, ValuePairs
from clvpipe.models.patterns import PurchasePatterns
from clvpipe.potential import (
    MEASURES,
    index_of,
    measured_weights,
    ranks_of,
    references_of,
    written_weights,
)
from clvpipe.sqlrepo import load
from clvpipe.stages.annuities import freeze_curves
from clvpipe.stages.context import Context, StageResult
from clvpipe.stages.score import potential_inputs, value_customers

Cents = NDArray[np.int64]
CENT = Decimal("0.01")
DECILES = tuple(k / 10 for k in range(1, 10))


def run(context: Context) -> StageResult:
    """Use the calibration that stands, or make one; optionally cross-check a fit of today's data.

    Raises:
        ModelGateError: The cross-check disagrees, or a model is refused and the run is strict. No calibration
            is made.
    """
    context.needs("features")
    standing = None if context.refit else _standing(context)
    if standing is not None and not context.crosscheck:
        _strict(context, standing.purchases, standing.value)
        context.finished("fit")
        return StageResult({}, (f"calibration {standing.identity} stands", *_verdict(standing)))
    data = fit_data(context)
    context.tell("fitting the purchase model")
    purchases, purchase_fit = frozen_purchases(data, context.settings.clv)
    context.tell("fitting the value model")
    value, value_fit = frozen_value(data, context.settings.clv)
    checked: tuple[str, ...] = ()
    if context.crosscheck:
        context.tell("cross-checking with lifetimes")
        checks = _crosscheck(data, purchase_fit, value_fit, context.settings.clv.seed)
        checked = _agreed(checks)
        purchases = with_crosscheck(purchases, checks["purchases"])
        value = with_crosscheck(value, checks["value"])
    _strict(context, purchases, value)
    rows = {"patterns": len(data.patterns.frequency)}
    if standing is not None:
        context.finished("fit")
        return StageResult(rows, (f"calibration {standing.identity} stands", *checked))
    _, knew_until = context.engine.extremes("transactions", "extract_date")
    bare = calibration_of_fits(context, purchases, value, knew_until)
    calibration = _freeze_cuts(context, bare.model_copy(update={"curves": freeze_curves(context)}))
    save(context.layout, calibration, kept=not context.publishes)
    context.finished("fit")
    return StageResult(rows, (f"calibration {calibration.identity} made", *_verdict(calibration), *checked))


def _standing(context: Context) -> Calibration | None:
    return current(context.layout, context.settings, context.day, context.known_at)


def _strict(context: Context, *fits: FrozenFit) -> None:
    """With --strict a model that the minimum-data rules refuse fails the run."""
    refused = [f"{fit.status} ({fit.reason})" for fit in fits if fit.status != "OK"]
    if context.strict and refused:
        raise ModelGateError(
            f"a model is refused: {', '.join(refused)}",
            left="the last publication and the calibrations",
            next_step="run without --strict to publish the baselines, with their status",
        )


def fit_data(context: Context) -> FitData:
    """Counts from the warehouse, in a fixed order."""
    pairs = context.engine.frame(load("value_pairs").bind({}))
    gaps = context.engine.frame(load("gap_counts").bind({}))
    frequency = pairs["frequency"].to_numpy().astype(np.float64)
    return FitData(
        purchase_patterns(context),
        ValuePairs(
            frequency,
            pairs["repeat_contribution"].to_numpy().astype(np.float64) / frequency,
            pairs["customers"].to_numpy().astype(np.int64),
        ),
        gaps["gap_days"].to_numpy().astype(np.int64),
        gaps["occurrences"].to_numpy().astype(np.int64),
    )


def purchase_patterns(context: Context) -> PurchasePatterns:
    """How many customers share each (x, t_x, T)."""
    frame = context.engine.frame(load("purchase_patterns").bind({}))
    return PurchasePatterns(
        frequency=frame["frequency"].to_numpy().astype(np.float64),
        t_x_days=frame["t_x_days"].to_numpy().astype(np.float64),
        t_days=frame["t_days"].to_numpy().astype(np.float64),
        customers=frame["customers"].to_numpy().astype(np.int64),
    )


def _crosscheck(
    data: FitData, purchase_fit: PurchaseFit | None, value_fit: ValueFit | None, seed: int
) -> dict[str, Crosscheck]:
    none = Crosscheck("NOT_APPLICABLE", "no fit was made", {}, None, None, None)
    return {
        "purchases": crosscheck_purchases(data.patterns, purchase_fit, seed=seed) if purchase_fit else none,
        "value": crosscheck_value(data.pairs.within_model(), value_fit, seed=seed) if value_fit else none,
    }


def _agreed(checks: dict[str, Crosscheck]) -> tuple[str, ...]:
    """What each cross-check said; a disagreement stops the run."""
    notes = tuple(
        f"cross-check of {name} with lifetimes: {check.outcome}"
        + (f" ({check.reason})" if check.reason else "")
        for name, check in checks.items()
    )
    if any(check.outcome == "DISAGREES" for check in checks.values()):
        raise ModelGateError(
            "; ".join(notes),
            left="the last publication and the calibrations",
            next_step="compare both fits with a third implementation before trusting either",
        )
    return notes


def calibration_of_fits(
    context: Context, purchases: FrozenFit, value: FrozenFit, knew_until: date | None = None
) -> Calibration:
    """A calibration with its fits alone, by which the reference distribution is scored."""
    return Calibration(
        as_of=context.day,
        known_at=context.known_at,
        knew_until=knew_until,
        code_version=code_version(),
        config_digest=settings_digest(context.settings),
        purchases=purchases,
        value=value,
        recency_cuts=(),
        frequency_cuts=(),
        monetary_cuts=(),
        clv_decile_cuts=None,
        value_tier_cuts=None,
        potential_references=(None,) * len(MEASURES),
        weights=None,
        curves=(),
        current_theta=None,
        potential_theta=None,
    )


def _freeze_cuts(context: Context, bare: Calibration) -> Calibration:
    """Add what is read off the distribution of features, scores and holdings."""
    context.tell("valuing customers for the reference distributions")
    value_customers(context, bare)
    settings = context.settings
    values = context.engine.frame(load("calibration_values").bind({}))
    if values.is_empty():
        return bare
    inputs = potential_inputs(context)
    references = references_of(inputs)
    ranks = ranks_of(inputs, references)
    weights = written_weights(settings.potential.weights) or measured_weights(ranks)
    # Sorted, so that no sum depends on their order.
    index = np.sort(index_of(ranks, weights)[0])
    index = index[~np.isnan(index)]
    found: dict[str, object] = {
        **_rfm_cuts(values, settings.rfm.cut_shares.value),
        "current_theta": _theta_money(
            _sorted(values["current_value_cents"]), settings.quadrants.current_theta
        ),
        "potential_references": references,
        "weights": weights,
    }
    clv, future = _sorted(values["clv_cents"]), _sorted(values["future_value_cents"])
    if len(clv):
        found["clv_decile_cuts"] = tuple(_money(cut) for cut in quantile_cuts(clv, None, DECILES))
    if len(future):
        found["value_tier_cuts"] = _tier_cuts(future, settings.value_tier)
    if len(index):
        found["potential_theta"] = _theta_index(index, settings.quadrants.potential_theta)
    return Calibration.model_validate({**bare.model_dump(), **found})


def _rfm_cuts(values: pl.DataFrame, shares: tuple[float, ...]) -> dict[str, object]:
    """Of who has bought. 5 is best and a short silence is best, so recency is cut on its negative."""
    recency, days, money = (
        _sorted(values[name]) for name in ("recency_days", "rfm_purchase_days", "rfm_contribution_cents")
    )
    return {
        "recency_cuts": tuple(-int(cut) for cut in quantile_cuts(-recency, None, shares)),
        "frequency_cuts": tuple(int(cut) for cut in quantile_cuts(days, None, shares)),
        "monetary_cuts": tuple(_money(cut) for cut in quantile_cuts(money, None, shares)),
    }


def _tier_cuts(future: Cents, rule: ValueTier) -> tuple[Decimal, Decimal]:
    """What a value must be above to be MID, and to be HIGH: a cent below the bounds of pareto and bands."""
    if rule.by == "bands":
        mid, high = rule.bands.value
        return mid - CENT, high - CENT
    if rule.by == "pareto":
        high_share, both = (float(share) for share in rule.pareto_shares.value)
        bounds = [int(theta(future, "pareto", share)) for share in (both, high_share)]
        return _money(bounds[0]) - CENT, _money(bounds[1]) - CENT
    top, middle = rule.high_share.value, rule.mid_share.value
    cuts = quantile_cuts(future, None, (float(1 - top - middle), float(1 - top)))
    return _money(cuts[0]), _money(cuts[1])


def _sorted(values: pl.Series) -> Cents:
    """What is known of a column, in order."""
    return np.sort(values.drop_nulls().to_numpy().astype(np.int64))


def _money(cents: int | np.integer) -> Decimal:
    return Decimal(int(cents)).scaleb(-2)


def _theta_money(cents: Cents, rule: Theta) -> Decimal | None:
    if rule.method == "fixed":
        return rule.parameter
    value = theta(cents.astype(np.int64), rule.method, float(rule.parameter) if rule.parameter else None)
    return None if value is None else (Decimal(str(value)) / 100).quantize(Decimal("1e-8"))


def _theta_index(index: NDArray[np.float64], rule: Theta) -> float | None:
    value = theta(index, rule.method, float(rule.parameter) if rule.parameter is not None else None)
    # Published with eight decimals: rounded down here, so that the published number is the one that is used.
    return None if value is None else float(np.floor(value * 1e8) / 1e8)


def _verdict(calibration: Calibration) -> tuple[str, ...]:
    lines = []
    for title, fit in (("purchases", calibration.purchases), ("value", calibration.value)):
        numbers = ", ".join(f"{e.name} {e.value:.6g}" for e in fit.estimates)
        lines.append(
            f"{title}: {fit.name} ({numbers})"
            if fit.status == "OK"
            else f"{title}: {fit.status}, {fit.reason}"
        )
    return tuple(lines)
