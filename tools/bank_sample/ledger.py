"""What the purchases, the salaries, the interest and the reversals leave in the bank's books."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

import numpy as np

from tools.bank_sample.behaviour import History
from tools.bank_sample.population import VALUE_SHAPE, Customer
from tools.bank_sample.relations import Relation
from tools.bank_sample.world import (
    AS_OF_DAY,
    CURRENCY,
    LAST_DAY,
    MARGIN_MILLIONTHS,
    REVERSAL,
    Segment,
    date_of,
    moment,
    pick,
    stream,
)

TYPES = tuple(MARGIN_MILLIONTHS)
TYPE_SHARES = {
    Segment.EVERYDAY: (0.50, 0.38, 0.10, 0.02),
    Segment.COUNTER: (0.34, 0.22, 0.42, 0.02),
    Segment.WEALTH: (0.36, 0.20, 0.14, 0.30),
}
CHANNELS = {
    "CARD": (("POS", "ONLINE"), (0.8, 0.2)),
    "PAYMENT": (("MOBILE", "ONLINE"), (0.75, 0.25)),
    "TRANSFER_OUT": (("MOBILE", "BRANCH", "ATM"), (0.5, 0.3, 0.2)),
    "FUND_BUY": (("MOBILE", "BRANCH"), (0.7, 0.3)),
}
# People transfer and invest round sums.
STEP_CENTS = {"CARD": 100, "PAYMENT": 10, "TRANSFER_OUT": 10_000, "FUND_BUY": 10_000}
TWO_EVENTS_SHARE = 0.08
FEE_SHARE = {"TRANSFER_OUT": 0.4, "CARD": 0.03}
FULLY_REVERSED_SHARE, PARTLY_REVERSED_SHARE = 0.008, 0.007
SALARIES, STANDING_ORDERS, FOREIGN = 420, 110, 60
FOREIGN_CURRENCY = "USD"


@dataclass(slots=True, eq=False)
class Event:
    """One booking. Money is in cents; `at` is in the bank's zone."""

    customer_id: str
    day: int
    at: datetime
    cents: int
    kind: str
    channel: str = ""
    fee_cents: int = 0
    currency: str = CURRENCY
    reverses: "Event | None" = None
    transaction_id: str = field(default="")

    @property
    def is_purchase(self) -> bool:
        """Whether the type is one that a customer initiates."""
        return self.kind in MARGIN_MILLIONTHS


def ledger(people: list[Customer], told: dict[str, History], relations: dict[str, Relation]) -> list[Event]:
    """Every booking up to LAST_DAY in order of time, with its id."""
    money = stream("money")
    purchases = [
        event
        for person in people
        if person.buys
        for event in _purchases(money, person, told[person.customer_id])
    ]
    events = [*purchases, *_reversals(purchases), *_system(people, relations), *_foreign(people)]
    events.sort(key=lambda event: (event.at, event.customer_id, event.kind, event.cents))
    for number, event in enumerate(events, 1):
        event.transaction_id = f"T{number:06d}"
    return events


def _purchases(rng: np.random.Generator, person: Customer, history: History) -> Iterator[Event]:
    """A purchase day earns a gamma amount, whatever it consists of."""
    for day in history.days:
        earned = float(rng.gamma(VALUE_SHAPE)) / VALUE_SHAPE * person.mean_contribution
        parts = 2 if rng.random() < TWO_EVENTS_SHARE else 1
        for _ in range(parts):
            kind = pick(rng, TYPES, TYPE_SHARES[person.segment])
            channel = pick(rng, *CHANNELS[kind])
            fee = 0
            if rng.random() < FEE_SHARE.get(kind, 0.0):
                fee = min(50 * round(earned / parts * 0.6), 1_500)
            step = STEP_CENTS[kind]
            money = (earned / parts * 100 - fee) / MARGIN_MILLIONTHS[kind] * 1_000_000
            cents = step * max(round(money / step), 1)
            yield Event(person.customer_id, day, _daytime(rng, day), cents, kind, channel, fee)


def _daytime(rng: np.random.Generator, day: int) -> datetime:
    """Mostly between eight and ten in the evening."""
    second = int(rng.normal(14.5, 3.6) * 3_600)
    return moment(day, second if 0 <= second < 86_400 else int(rng.integers(0, 86_400)))


def _reversals(purchases: list[Event]) -> Iterator[Event]:
    """Bookings that take back all or a part of a purchase, within weeks."""
    rng = stream("reversals")
    for event in purchases:
        toss = rng.random()
        if toss >= FULLY_REVERSED_SHARE + PARTLY_REVERSED_SHARE:
            continue
        day = event.day + min(int(rng.geometric(0.15)), 40)
        if day > LAST_DAY:
            continue
        full = toss < FULLY_REVERSED_SHARE
        cents = event.cents if full else 10 * max(int(event.cents * rng.uniform(0.2, 0.7)) // 10, 1)
        yield Event(
            event.customer_id,
            day,
            _daytime(rng, day),
            -cents,
            REVERSAL,
            event.channel,
            -event.fee_cents if full else 0,
            reverses=event,
        )


def _system(people: list[Customer], relations: dict[str, Relation]) -> Iterator[Event]:
    """Bookings that nobody decides on the day: salaries, interest, fees, standing orders."""
    rng = stream("system")
    buyers = [person for person in people if person.buys and person.listed]
    chosen = rng.permutation(len(buyers))
    for place in chosen[:SALARIES].tolist():
        salary = 10_000 * int(rng.lognormal(4.3, 0.4))
        yield from _monthly(buyers[place], relations, "SALARY", salary, int(rng.integers(5, 16)))
    for place in chosen[-STANDING_ORDERS:].tolist():
        yield from _monthly(buyers[place], relations, "STANDING_ORDER", 5_000 * int(rng.integers(1, 60)), 1)
    for person in people:
        relation = relations.get(person.customer_id)
        if relation is None or not person.listed:
            continue
        if relation.deposit_cents and rng.random() < 0.6:
            yield from _interest(rng, person, relation)
        if rng.random() < 0.3:
            for day in range(198, AS_OF_DAY, 365):
                if relation.is_open(day):
                    yield Event(person.customer_id, day, moment(day, 3_600), 1_000, "FEE", "", 1_000)


@cache
def _month_days(due: int) -> list[int]:
    return [day for day in range(AS_OF_DAY + 1) if date_of(day).day == due]


def _monthly(
    person: Customer, relations: dict[str, Relation], kind: str, cents: int, due: int
) -> Iterator[Event]:
    relation = relations[person.customer_id]
    for day in _month_days(due):
        if relation.is_open(day):
            yield Event(person.customer_id, day, moment(day, 32_400), cents, kind)


def _interest(rng: np.random.Generator, person: Customer, relation: Relation) -> Iterator[Event]:
    for day in _month_days(21):
        if date_of(day).month % 3 == 0 and relation.is_open(day):
            cents = max(int(relation.deposit_cents * 0.0005 * rng.uniform(0.8, 1.2)), 1)
            yield Event(person.customer_id, day, moment(day, 1_800), cents, "INTEREST")


def _foreign(people: list[Customer]) -> Iterator[Event]:
    """A few also pay in another currency; these rows are no purchases of the CNY books."""
    rng = stream("foreign")
    payers = [person for person in people if person.buys and person.listed and person.opened < 0]
    for place in rng.choice(len(payers), FOREIGN, replace=False).tolist():
        customer_id = payers[place].customer_id
        for day in rng.integers(0, AS_OF_DAY + 1, 2).tolist():
            cents = 100 * int(rng.lognormal(4, 1))
            at = _daytime(rng, day)
            yield Event(customer_id, day, at, cents, "CARD", "POS", currency=FOREIGN_CURRENCY)
