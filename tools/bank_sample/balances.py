"""Balances at the ends of months, and each day of the last year for a few."""

from collections.abc import Iterator

import numpy as np

from tools.bank_sample.deliveries import yuan
from tools.bank_sample.relations import LOANS, Relation
from tools.bank_sample.world import AS_OF_DAY, date_of, month_ends, stream

COLUMNS = ("customer_id", "date", "deposit_balance", "loan_balance", "investment_value", "net_flow")
DAILY_CUSTOMERS, DAILY_DAYS = 25, 366
# Share of customers whose deposits drop, rise or run off towards the end.
TRENDS = (("DROP", 0.04), ("SURGE", 0.03), ("RUN_OFF", 0.05))
RECENT_DAYS = 85


def balances(relations: dict[str, Relation]) -> list[tuple[int, dict[str, str]]]:
    """(day, line), in order of day and customer."""
    rng = stream("balances")
    market: list[float] = np.cumprod(1 + rng.normal(0.00012, 0.0045, AS_OF_DAY + 1)).tolist()
    holders = [r for r in relations.values() if r.deposit_cents or r.investment_cents or r.loan_cents]
    with_much = [p for p, r in enumerate(holders) if r.deposit_cents > 2_000_000 and r.customer.opened < 0]
    daily = set(rng.choice(with_much, DAILY_CUSTOMERS, replace=False).tolist())
    lines = [
        line
        for place, relation in enumerate(holders)
        for line in _series(rng, relation, market, place in daily)
    ]
    return sorted(lines, key=lambda line: (line[0], line[1]["customer_id"]))


def _series(
    rng: np.random.Generator,
    relation: Relation,
    market: list[float],
    daily: bool,
) -> Iterator[tuple[int, dict[str, str]]]:
    days = set(month_ends())
    if daily:
        days |= set(range(AS_OF_DAY - DAILY_DAYS + 1, AS_OF_DAY + 1))
    trend = _trend(rng)
    deposit, investment, before = relation.deposit_cents, relation.investment_cents, -31
    flow = deposit + investment if relation.customer.opened >= 0 else 0
    for day in sorted(day for day in days if day >= relation.customer.opened):
        length = max(day - before, 1)
        if relation.closes is not None and day >= relation.closes:
            flow, deposit, investment = -(deposit + investment), 0, 0
        elif before >= 0:
            growth = market[day] / market[before]
            investment = round(investment * growth)
            moved = _deposit_flow(rng, deposit, length, day, trend)
            bought = (
                10_000 * round(investment * 0.2 * float(rng.normal()) / 10_000) if rng.random() < 0.04 else 0
            )
            bought = max(bought, -investment)
            deposit, investment, flow = deposit + moved, investment + bought, moved + bought
        yield (
            day,
            {
                "customer_id": relation.customer.customer_id,
                "date": date_of(day).isoformat(),
                "deposit_balance": yuan(deposit),
                "loan_balance": yuan(_loan(relation, day)),
                "investment_value": yuan(investment),
                "net_flow": yuan(flow),
            },
        )
        before, flow = day, 0


def _trend(rng: np.random.Generator) -> str:
    toss, total = float(rng.random()), 0.0
    for name, share in TRENDS:
        total += share
        if toss < total:
            return name
    return "STEADY"


def _deposit_flow(rng: np.random.Generator, deposit: int, length: int, day: int, trend: str) -> int:
    """Round sums in and out; in most months nothing moves."""
    months = length / 30.4
    if trend == "DROP" and day > AS_OF_DAY - RECENT_DAYS:
        share = -0.35 * months
    elif trend == "SURGE" and day > AS_OF_DAY - RECENT_DAYS:
        share = 0.45 * months
    elif trend == "RUN_OFF" and day > AS_OF_DAY - 400:
        share = -0.13 * months
    elif rng.random() < 0.45 * min(months, 1.0):
        share = float(rng.normal(0.01, 0.09))
    else:
        share = 0.0
    return max(10_000 * round(deposit * share / 10_000), -deposit)


def _loan(relation: Relation, day: int) -> int:
    """What is left of the loans, paid back month by month to their ends."""
    left = 0
    loans = [holding for holding in relation.holdings if holding.product_type in LOANS]
    for loan in loans:
        if loan.is_open(day) and loan.matures is not None:
            whole = (loan.matures - loan.opened) // 30
            paid = 0 if loan.overdue_since is not None and day >= loan.overdue_since else None
            at = loan.overdue_since if paid is not None and loan.overdue_since is not None else day
            months = max(whole - (at - loan.opened) // 30, 1)
            left += relation.loan_cents // len(loans) * months // whole
    return left
