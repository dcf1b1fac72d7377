"""One row of features a customer: what it buys, holds and costs, and what it has been worth.

Reads: the tables of the extracts.
Writes: tables `customers`, `purchase_days`, `purchase_gaps`, `customer_features`, `customer_positions`,
`current_values` and what they are made of.
"""

from collections.abc import Mapping

from clvpipe.errors import InputError
from clvpipe.sqlrepo import load
from clvpipe.sqlrepo.repo import Value
from clvpipe.stages.context import Context, StageResult
from clvpipe.stages.tiers import make_tiers

# In the order in which they stand on each other. What only others are made of is not kept.
TABLES = {
    "customers": True,
    "cost_spans": False,
    "classified_events": False,
    "purchase_days": True,
    "other_fees": False,
    "purchase_gaps": True,
    "holding_features": True,
    "contact_features": False,
    "customer_attributes": True,
    "rate_spans": False,
    "balance_problems": True,
    "balance_spans": False,
    "balance_income": False,
    "balance_steps": False,
    "balance_trends": False,
    "balance_features": True,
    "annuity_inputs": True,
    "customer_features": True,
    "customer_positions": True,
    "customer_costs": False,
    "current_values": True,
}


def run(context: Context) -> StageResult:
    """Make the tables of features.

    Raises:
        InputError: Nothing had happened by `as_of`.
    """
    context.needs("ingest")
    _load_rules(context)
    parameters = feature_parameters(context)
    first, last = context.engine.extremes("transactions", "posted_on")
    if first > context.day:
        raise InputError(
            f"no event lies on or before {context.day}; the data run from {first} to {last}",
            left="the last publication",
            next_step=f"choose --as-of between these days, for instance {last}",
        )
    rows = {}
    for name, kept in TABLES.items():
        made = context.make(name, parameters, temporary=not kept)
        if kept:
            rows[name] = made
    rows["deposit_tiers"] = make_tiers(context, parameters)
    context.engine.drop(*(name for name, kept in TABLES.items() if not kept))
    context.finished("features")
    context.reached("features made")
    return StageResult(rows)


def feature_parameters(context: Context) -> dict[str, Value]:
    """The bound values of every query under sql/features and sql/balances."""
    settings = context.settings
    lifecycle = {
        name: getattr(settings.lifecycle, name).value for name in type(settings.lifecycle).model_fields
    }
    bounds = enumerate(settings.deposit_tier.bounds.value, 1)
    return {
        "as_of": context.day.isoformat(),
        "known_at": _known_at(context),
        "default_purchase": settings.purchases.default.purchase,
        "default_margin_rate": settings.purchases.default.margin_rate,
        "window_days": settings.rfm.window_days.value,
        "balance_gap_days": settings.balances.gap_days.value,
        "daily_observations": settings.balances.daily_observations.value,
        **{f"deposit_bound_{place}": str(bound) for place, bound in bounds},
        **lifecycle,
        **presence(context),
    }


def presence(context: Context) -> Mapping[str, bool]:
    """Which extracts tell anything by as_of, and of what; balances earn only where rates are known."""
    there = context.engine.ordered("extract_tables", ("table_name", "is_present"), by=("table_name",)).rows()
    bounds = {"as_of": context.day.isoformat(), "known_at": _known_at(context)}
    told = context.engine.rows(load("told").bind(bounds))
    has = {**{f"has_{name}": is_present for name, is_present in there}, **dict(told)}
    return {**has, "has_balance_income": has["has_balances"] and has["has_rates"]}


def _known_at(context: Context) -> str | None:
    return context.known_at.isoformat() if context.known_at else None


def _load_rules(context: Context) -> None:
    """The configured groups of types, as tables."""
    settings, engine = context.settings, context.engine
    engine.load_rows(
        "purchase_rules",
        {"transaction_type": "VARCHAR", "purchase": "BOOLEAN", "margin_rate": "DECIMAL(8,6)"},
        [(kind, rule.purchase, rule.margin_rate) for rule in settings.purchases.rules for kind in rule.types],
    )
    engine.load_rows(
        "product_groups",
        {"product_type": "VARCHAR", "is_asset": "BOOLEAN", "is_loan": "BOOLEAN"},
        settings.products.groups,
        temporary=True,
    )
    engine.load_rows(
        "inbound_events",
        {"event_code": "VARCHAR"},
        [(code,) for code in settings.contacts.inbound_events],
        temporary=True,
    )
