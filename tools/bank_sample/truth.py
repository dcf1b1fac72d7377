"""What only the simulation knows, and what the contract makes of the rows that were really delivered."""

from collections import Counter
from collections.abc import Iterable

from tools.bank_sample.behaviour import History
from tools.bank_sample.deliveries import Delivery
from tools.bank_sample.files import csv_text
from tools.bank_sample.ledger import Event
from tools.bank_sample.population import Customer
from tools.bank_sample.world import AS_OF_DAY, CURRENCY, LAST_DAY, MARGIN_MILLIONTHS, date_of

COLUMNS = (
    "customer_id", "kind", "segment", "listed", "rate_per_day", "dropout_probability", "alive", "left_on",
    "purchase_days", "realised_purchase_days", "gross_contribution", "mean_contribution",
)  # fmt: skip
UNIT = 100_000_000
# Customer -> purchase day -> what it earned before channel costs, in 1e-8 CNY.
Days = dict[str, dict[int, int]]


def purchase_days_known(files: Iterable[Delivery]) -> Days:
    """Purchase days up to AS_OF by the contract, from the rows that are not set aside.

    A reversal takes back a booking by its id, so a booking whose id was lost on the way stays.
    """
    sound = {id(row.event): row.event for file in files for row in file.rows if row.defect is None}
    with_id = {
        id(row.event)
        for file in files
        for row in file.rows
        if row.defect is None and row.fields["transaction_id"]
    }
    return _days(sound.values(), with_id, AS_OF_DAY)


def purchase_days_realised(events: Iterable[Event]) -> Days:
    """Purchase days in the HORIZON_DAYS after AS_OF, as the books show them at the end."""
    booked = list(events)
    days = _days(booked, {id(event) for event in booked}, LAST_DAY)
    return {
        customer: {day: earned for day, earned in own.items() if day > AS_OF_DAY}
        for customer, own in days.items()
    }


def lost_originals(files: Iterable[Delivery]) -> int:
    """Reversals that were delivered soundly while the booking that they take back was not."""
    rows = [row for file in files for row in file.rows if row.defect is None]
    named = {id(row.event) for row in rows if row.fields["transaction_id"]}
    reversals = {id(row.event): row.event.reverses for row in rows if row.event.reverses is not None}
    return sum(id(original) not in named for original in reversals.values())


def _days(events: Iterable[Event], with_id: set[int], until: int) -> Days:
    booked = [event for event in events if event.day <= until]
    taken_back: Counter[int] = Counter()
    for event in booked:
        if event.reverses is not None and id(event.reverses) in with_id:
            taken_back[id(event.reverses)] += abs(event.cents)
    days: Days = {}
    for event in booked:
        left = event.cents - taken_back[id(event)]
        if event.is_purchase and event.currency == CURRENCY and left > 0:
            own = days.setdefault(event.customer_id, {})
            earned = left * MARGIN_MILLIONTHS[event.kind] + event.fee_cents * 1_000_000
            own[event.day] = own.get(event.day, 0) + earned
    return days


def truth_csv(people: list[Customer], told: dict[str, History], known: Days, realised: Days) -> str:
    """One line a person."""
    lines = (_line(person, told.get(person.customer_id), known, realised) for person in people)
    return csv_text(COLUMNS, lines)


def _line(person: Customer, history: History | None, known: Days, realised: Days) -> dict[str, str]:
    earned = sum(known.get(person.customer_id, {}).values())
    left = history.left if history is not None else None
    return {
        "customer_id": person.customer_id,
        "kind": person.kind,
        "segment": person.segment,
        "listed": "true" if person.listed else "false",
        "rate_per_day": f"{history.rate:.6g}" if history else "",
        "dropout_probability": f"{person.dropout:.6g}" if person.dropout is not None else "",
        "alive": ("true" if history.alive else "false") if history else "",
        "left_on": date_of(left).isoformat() if left is not None else "",
        "purchase_days": str(len(known.get(person.customer_id, ()))),
        "realised_purchase_days": str(len(realised.get(person.customer_id, ()))),
        "gross_contribution": f"{earned // UNIT}.{earned % UNIT:08d}",
        "mean_contribution": f"{person.mean_contribution:.4f}" if history else "",
    }
