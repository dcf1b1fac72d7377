"""What the labels stand on: codes, thresholds, weights and fitted models, as small published datasets.

Reads: the configuration, the standing calibration.
Writes: tables `codes`, `thresholds`, `weights`, `model_fit`.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from clvpipe.calibration import Calibration, FrozenCurve, FrozenFit
from clvpipe.config.base import Threshold, unit_of
from clvpipe.config.rules import load_codes, load_rfm_groups
from clvpipe.config.settings import COMPONENTS, DepositTier, Settings
from clvpipe.contracts import PUBLISHED
from clvpipe.engine.duckdb_engine import table_columns
from clvpipe.models.fit_verdict import NORMAL_95
from clvpipe.stages.annuities import survival_curve
from clvpipe.stages.context import Context

YEAR_DAYS = 365
NOT_ESTIMATED = (None, None, None, "NOT_AVAILABLE", "NOT_A_PARAMETER")


def explain(context: Context, calibration: Calibration) -> dict[str, int]:
    """Make the four tables; their rows."""
    settings, day = context.settings, context.day
    contents = {
        "codes": list(_codes(day)),
        "thresholds": list(_thresholds(settings, calibration, day)),
        "weights": list(_weights(settings, calibration, day)),
        "model_fit": list(_model_fit(calibration, day)),
    }
    for name, rows in contents.items():
        context.engine.load_rows(name, table_columns(PUBLISHED[name]), rows)
    return {name: len(rows) for name, rows in contents.items()}


def _codes(day: date) -> Iterator[tuple[Any, ...]]:
    schemes = load_codes().schemes
    for scheme, content in sorted(schemes.items()):
        for place, (code, english, chinese) in enumerate(content.codes, 1):
            yield day, scheme, code, None, english, chinese, place, content.source
    groups = schemes["rfm_group"]
    labels = {code: (english, chinese) for code, english, chinese in groups.codes}
    for place, (code, group) in enumerate(sorted(load_rfm_groups().by_code()), 1):
        yield day, "rfm_code", code, group, *labels[group], place, groups.source


def _thresholds(settings: Settings, calibration: Calibration, day: date) -> Iterator[tuple[Any, ...]]:
    """Every number that makes a label, in order of name."""
    rows = [*_configured(settings), *_calibrated(settings, calibration)]
    for name, value, comparison, unit, source, method, provenance, version in sorted(rows):
        yield day, name, value, comparison, unit, source, method or None, provenance, version


def _configured(settings: Settings) -> Iterator[tuple[Any, ...]]:
    sections = (
        "balances", "rfm", "clv", "annuity", "value_tier", "deposit_tier", "lifecycle", "quality",
        "publication",
    )  # fmt: skip
    version = settings.digest(*sections)[:12]
    for section in sections:
        group = getattr(settings, section)
        for field in type(group).model_fields:
            threshold = getattr(group, field)
            if not isinstance(threshold, Threshold) or field not in getattr(group, "in_use", (field,)):
                continue
            values = threshold.value if isinstance(threshold.value, tuple) else (threshold.value,)
            for place, value in enumerate(values, 1):
                name = f"{section}.{field}" + (f".{place}" if len(values) > 1 else "")
                number = Decimal(str(value))
                yield name, number, "rule", unit_of(field), "CONFIG", "", threshold.provenance, version
    yield from _memory(settings.deposit_tier, version)


def _memory(tiers: DepositTier, version: str) -> Iterator[tuple[Any, ...]]:
    """The numbers of the chosen memory of deposit tiers."""
    rules = tiers.rules
    months = {
        "upgrade_lag_months": rules.upgrade_lag_months,
        "watch_after_months": rules.watch_after,
        **{f"downgrade_after_months.{tier}": count for tier, count in rules.downgrade_after.items()},
    }
    for name, count in months.items():
        if count is not None:
            provenance = f"memory {tiers.memory}: {rules.provenance}"
            yield (
                f"deposit_tier.{name}", Decimal(count), "rule", "months", "CONFIG", rules.downgrade_to,
                provenance, version,
            )  # fmt: skip


def _calibrated(settings: Settings, calibration: Calibration) -> Iterator[tuple[Any, ...]]:
    version = calibration.identity
    shares = "frozen order statistics; a score is 1 plus the cuts that the value has passed"
    cuts: list[tuple[str, tuple[Any, ...] | None, str, str, str, str]] = [
        ("rfm.recency_cut", calibration.recency_cuts, "<", "days", "order statistic", shares),
        ("rfm.frequency_cut", calibration.frequency_cuts, ">", "purchases", "order statistic", shares),
        ("rfm.monetary_cut", calibration.monetary_cuts, ">", "money", "order statistic", shares),
        ("clv.decile_cut", calibration.clv_decile_cuts, ">", "money", "order statistic", shares),
        (
            "value_tier.cut",
            calibration.value_tier_cuts,
            ">",
            "money",
            settings.value_tier.by,
            "what MID and HIGH are above: a cent below the bounds of pareto and bands",
        ),
    ]
    for name, values, comparison, unit, method, provenance in cuts:
        for place, value in enumerate(values or (), 1):
            yield (
                f"{name}.{place}",
                Decimal(value),
                comparison,
                unit,
                "CALIBRATION",
                method,
                provenance,
                version,
            )
    for axis, theta, unit, rule in (
        ("current", calibration.current_theta, "money", settings.quadrants.current_theta),
        ("potential", calibration.potential_theta, "share", settings.quadrants.potential_theta),
    ):
        if theta is not None:
            number = Decimal(repr(theta) if isinstance(theta, float) else theta).quantize(Decimal("1e-8"))
            yield (
                f"quadrants.{axis}_theta",
                number,
                ">=",
                unit,
                "CALIBRATION",
                rule.method,
                rule.provenance,
                version,
            )


def _weights(settings: Settings, calibration: Calibration, day: date) -> Iterator[tuple[Any, ...]]:
    """In order of the component's name; none where there was nobody to calibrate on."""
    frozen = calibration.weights
    if frozen is None:
        return
    for name, place in sorted((name, place) for place, name in enumerate(COMPONENTS)):
        entropy = frozen.entropies[place] if frozen.entropies else None
        yield (
            day, name, frozen.weights[place], frozen.method, frozen.consistency_ratio, entropy,
            frozen.customers, settings.potential.weights.provenance, calibration.identity,
        )  # fmt: skip


def _model_fit(calibration: Calibration, day: date) -> Iterator[tuple[Any, ...]]:
    for model, fit in (("purchases", calibration.purchases), ("value", calibration.value)):
        name = fit.name if fit.status == "OK" else f"{model.upper()}_BASELINE"
        yield from sorted(_fit_rows(name, fit, calibration.identity, day), key=lambda row: row[2])
    for curve in calibration.curves:
        yield from _curve_rows(curve, calibration.identity, day)


def _fit_rows(name: str, fit: FrozenFit, version: str, day: date) -> Iterator[tuple[Any, ...]]:
    for one in fit.estimates:
        known = one.standard_error is not None
        error = (one.standard_error, one.ci_low_95, one.ci_high_95)
        status = ("OK", None) if known else ("NOT_IDENTIFIED", "AT_BOUNDARY")
        yield day, name, one.name, "PARAMETER", one.value, "OK", None, *error, *status, "estimate", version
    for fact in fit.facts:
        status = ("OK", None) if fact.value is not None else ("NOT_AVAILABLE", "NOT_DEFINED")
        yield day, name, fact.name, fact.kind, fact.value, *status, *NOT_ESTIMATED, fact.note, version
    verdict = ("OK", None)
    yield (
        day, name, "status_ok", "VERDICT", float(fit.status == "OK"), *verdict,
        *NOT_ESTIMATED, fit.reason or fit.status, version,
    )  # fmt: skip


def _curve_rows(curve: FrozenCurve, version: str, day: date) -> Iterator[tuple[Any, ...]]:
    """How many holdings of a product are still open after a year, with Greenwood's error."""
    product = curve.product_type or "ALL"
    for quantity, count in (("closures", curve.closures), ("holdings", curve.holdings)):
        note = f"{quantity} behind the survival curve of {product}"
        yield (
            day, "KAPLAN_MEIER", f"{product}.{quantity}", "DATA", float(count), "OK", None,
            *NOT_ESTIMATED, note, version,
        )  # fmt: skip
    kernel = survival_curve(curve)
    value, error = (
        float(found) for found in (kernel.survival_at(YEAR_DAYS), kernel.standard_error_at(YEAR_DAYS))
    )
    low, high = max(0.0, value - NORMAL_95 * error), min(1.0, value + NORMAL_95 * error)
    # Where all are open, or none, Greenwood's error is 0 and says nothing.
    known = (
        (error, low, high, "OK", None) if error > 0 else (None, None, None, "NOT_IDENTIFIED", "AT_BOUNDARY")
    )
    note = f"share of {product} still open after {YEAR_DAYS} days"
    yield (
        day, "KAPLAN_MEIER", f"{product}.survival_12m", "PARAMETER", value, "OK", None, *known, note, version,
    )  # fmt: skip
