"""Deposit tiers: the calendar months of the balances, replayed by the bank's rules of memory.

Reads: `balance_spans`. Writes: tables `deposit_months` and `deposit_tiers`.
"""

from calendar import monthrange
from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clvpipe.config.settings import TierMemory
from clvpipe.contracts import WAREHOUSE
from clvpipe.models.deposit_tiers import TierRules, replay_tiers
from clvpipe.sqlrepo import load
from clvpipe.sqlrepo.repo import Value
from clvpipe.stages.context import Context

Integers = NDArray[np.int64]


def make_tiers(context: Context, parameters: Mapping[str, Value]) -> int:
    """Make both tables; the rows of `deposit_tiers`: everybody else has always been ORDINARY."""
    engine, day = context.engine, context.day
    _, oldest = engine.extremes("balance_spans", "first_days_ago")
    frontier, _ = engine.extremes("balance_spans", "days_ago")
    days = [day - timedelta(back) for back in range((oldest or 0) + 1)]
    months = {first: place for place, first in enumerate(sorted({one.replace(day=1) for one in days}))}
    engine.load_rows(
        "calendar_days",
        {"days_ago": "INTEGER", "month_number": "INTEGER"},
        [(back, months[one.replace(day=1)]) for back, one in enumerate(days)],
        temporary=True,
    )
    # A month of which the bank has told nothing yet is not one of empty accounts.
    told = day - timedelta(days=frontier or 0)
    complete = [
        (number, first, _end(first))
        for first, number in months.items()
        if _end(first) <= day and first <= told
    ]
    engine.load_rows(
        "calendar_months",
        {"month_number": "INTEGER", "first_days_ago": "INTEGER", "last_days_ago": "INTEGER"},
        [(number, (day - first).days, (day - last).days) for number, first, last in complete],
        temporary=True,
    )
    context.make("deposit_months", {**parameters, "last_month": len(complete) - 1})
    engine.drop("calendar_days", "calendar_months")
    raised = engine.frame(load("raised_months").bind({}))
    ids, starts = np.unique(raised["customer_id"].to_numpy(), return_index=True)
    states = tiers_on_day(
        raised["month_number"].to_numpy().astype(np.int64),
        raised["raw_tier"].to_numpy().astype(np.int64),
        starts.astype(np.int64),
        last_month=len(complete) - 1,
        month_has_begun=not complete or complete[-1][2] < day,
        rules=tier_rules(context.settings.deposit_tier.rules),
    )
    table = pa.table({"customer_id": pa.array(ids, pa.string()), **states})
    return engine.load_arrow("deposit_tiers", table, WAREHOUSE["deposit_tiers"])


def tier_rules(memory: TierMemory) -> TierRules:
    """The machine's parameters from the configuration."""
    after = memory.downgrade_after
    return TierRules(
        memory.upgrade_lag_months,
        memory.watch_after,
        # ORDINARY cannot be missed; its number is not used.
        (1, after["GOLD"], after["PLATINUM"], after["DIAMOND"]),
        memory.downgrade_to,
    )


def tiers_on_day(
    months: Integers,
    raw: Integers,
    starts: Integers,
    *,
    last_month: int,
    month_has_begun: bool,
    rules: TierRules,
) -> dict[str, NDArray[np.int64] | NDArray[np.bool_]]:
    """What is in force on a day, from the months whose raw tier is above ORDINARY.

    Args:
        months: Number of each such month, increasing within a customer.
        raw: Its raw tier, 1 to 3.
        starts: Where each customer's months begin.
        last_month: Number of the last complete month.
        month_has_begun: Whether the day lies in the month after it, when what was earned is in force.
        rules: The machine's parameters.

    Returns:
        `tier`, `watch` and `months_below`, one a customer.
    """
    firsts = months[starts]
    lengths = last_month - firsts + 1
    begins = np.concatenate(([0], np.cumsum(lengths)[:-1])) if len(starts) else np.zeros(0, np.int64)
    owner = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(months))))
    history = np.zeros(int(lengths.sum()), dtype=np.int64)
    history[begins[owner] + months - firsts[owner]] = raw
    states = replay_tiers(history, begins, rules)
    if not month_has_begun:
        return {"tier": states.tier, "watch": states.watch, "months_below": states.months_below}
    same = states.next_tier == states.tier
    return {
        "tier": states.next_tier,
        "watch": states.watch & same,
        "months_below": np.where(same, states.months_below, 0),
    }


def _end(day: date) -> date:
    """The last day of its month."""
    return day.replace(day=monthrange(day.year, day.month)[1])
