"""Every label of every customer, as a function of its own row and the calibration; then the summaries.

Reads: the tables of features and scores, the standing calibration, the rule tables.
Writes: tables `lifecycle_inputs`, `lifecycle`, `values_and_ranks` and the published datasets.
"""

from decimal import Decimal
from typing import Any

from clvpipe.calibration import Calibration, standing
from clvpipe.config.rules import load_codes, load_lifecycle, load_rfm_groups
from clvpipe.contracts import PUBLISHED
from clvpipe.sqlrepo import lifecycle_rules, load
from clvpipe.sqlrepo.repo import Value
from clvpipe.stages.context import Context, StageResult
from clvpipe.stages.features import feature_parameters
from clvpipe.stages.provenance import explain
from clvpipe.stages.summaries import make_summary


def run(context: Context) -> StageResult:
    """Make the published datasets, but for the quality of the data."""
    context.needs("score")
    calibration = standing(context.layout, context.settings, context.day, context.known_at)
    parameters = {
        **feature_parameters(context),
        **_cut_parameters(calibration),
        "assets_by": context.settings.potential.assets,
    }
    parameters["has_months"] = parameters["has_deposits"] and context.engine.count("deposit_months") > 0
    _load_rule_tables(context)
    context.make("lifecycle_inputs", parameters)
    labelled = load("lifecycle").bind(parameters, rules={"lifecycle": lifecycle_rules().compile()})
    context.engine.create_table("lifecycle", labelled)
    context.engine.create_table("values_and_ranks", load("values_and_ranks").bind(parameters))
    rows = {
        name: context.make(name, parameters, PUBLISHED[name])
        for name in ("customer_segments", "segment_history")
    }
    day = context.day
    minimum = context.settings.publication.minimum_cell.value
    rows["segment_summary"] = make_summary(context.engine, context.layout.work, day, minimum)
    rows |= explain(context, calibration)
    context.finished("segment")
    context.reached("segments made")
    return StageResult(rows)


def _load_rule_tables(context: Context) -> None:
    context.engine.load_rows(
        "lifecycle_labels",
        {
            **dict.fromkeys(
                ("code", "stage5", "relationship5", "icbc6", "stage4", "icbc6_when_paid_back"), "VARCHAR"
            ),
            "paid_back_needs_repeat": "BOOLEAN",
        },
        [
            (
                s.code,
                s.stage5,
                s.relationship5,
                s.icbc6,
                s.stage4,
                s.icbc6_when_paid_back,
                s.paid_back_needs_repeat,
            )
            for s in load_lifecycle().state
        ],
    )
    context.engine.load_rows(
        "rfm_codes",
        {
            **dict.fromkeys(("r_score", "f_score", "m_score"), "INTEGER"),
            "rfm_code": "VARCHAR",
            "rfm_group": "VARCHAR",
        },
        [(*map(int, code), code, group) for code, group in sorted(load_rfm_groups().by_code())],
    )
    context.engine.load_rows(
        "tier_codes",
        {"level": "INTEGER", "code": "VARCHAR"},
        list(enumerate(load_codes().of("deposit_tier"))),
        temporary=True,
    )


def _numbered(name: str, cuts: tuple[Any, ...] | None, size: int) -> dict[str, Value]:
    values = [cut if not isinstance(cut, Decimal) else str(cut) for cut in cuts or ()] or [None] * size
    return {f"{name}_{place}": value for place, value in enumerate(values, 1)}


def _cut_parameters(calibration: Calibration) -> dict[str, Value]:
    return {
        **_numbered("recency_cut", calibration.recency_cuts, 4),
        **_numbered("frequency_cut", calibration.frequency_cuts, 4),
        **_numbered("monetary_cut", calibration.monetary_cuts, 4),
        **_numbered("clv_decile_cut", calibration.clv_decile_cuts, 9),
        **_numbered("value_tier_cut", calibration.value_tier_cuts, 2),
        "current_theta": None if calibration.current_theta is None else str(calibration.current_theta),
        "potential_theta": calibration.potential_theta,
        "calibration_id": calibration.identity,
    }
