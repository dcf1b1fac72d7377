"""How the ledger reaches the extracts: which file, when, and what is delivered late, again, or corrected."""

from dataclasses import dataclass, field, replace
from datetime import date
from itertools import pairwise

from tools.bank_sample.ledger import Event
from tools.bank_sample.world import AS_OF_DAY, UTC_OFFSET, date_of, day_of, delivery_days, stream

COLUMNS = (
    "transaction_id", "customer_id", "posted_at", "amount", "transaction_type", "channel", "currency",
    "fee_amount", "reverses_id",
)  # fmt: skip

# The counters' bookings of ten days in February came with a delay.
LATE_FROM, LATE_UNTIL = day_of(date(2024, 2, 5)), day_of(date(2024, 2, 16))
LATE_DELIVERED = day_of(date(2024, 4, 8))
# Some payments of three days in January were booked at ten times their amount, and put right later.
WRONG_FROM, WRONG_UNTIL = day_of(date(2024, 1, 9)), day_of(date(2024, 1, 11))
CORRECTED_DELIVERED = day_of(date(2024, 2, 20))
# One quarter's file gives its times in UTC.
UTC_DELIVERED = day_of(date(2022, 9, 30))
AGAIN_A_FILE, TWICE_A_FILE = 12, 2


@dataclass(slots=True)
class Row:
    """One line of a file: the booking behind it, its fields as text, and what is wrong with it."""

    event: Event
    fields: dict[str, str]
    defect: str | None = None


@dataclass(slots=True)
class Delivery:
    """One file."""

    day: int
    rows: list[Row] = field(default_factory=list)
    again: int = 0
    twice: int = 0
    mended: int = 0

    @property
    def name(self) -> str:
        """The file's name, with the day of its delivery."""
        return f"transactions_{date_of(self.day):%Y%m%d}.csv.gz"


def yuan(cents: int) -> str:
    """Cents as an amount, without needless zeros; whole numbers only on the way."""
    sign, (whole, rest) = "-" if cents < 0 else "", divmod(abs(cents), 100)
    return f"{sign}{whole}" if not rest else f"{sign}{whole}.{rest:02d}"


def as_fields(event: Event, *, utc: bool = False) -> dict[str, str]:
    """One booking as the bank writes it."""
    at = f"{event.at - UTC_OFFSET:%Y-%m-%dT%H:%M:%SZ}" if utc else f"{event.at:%Y-%m-%d %H:%M:%S}"
    return {
        "transaction_id": event.transaction_id,
        "customer_id": event.customer_id,
        "posted_at": at,
        "amount": yuan(event.cents),
        "transaction_type": event.kind,
        "channel": event.channel,
        "currency": event.currency,
        "fee_amount": yuan(event.fee_cents) if event.fee_cents else "",
        "reverses_id": event.reverses.transaction_id if event.reverses else "",
    }


def regular_deliveries(events: list[Event]) -> list[Delivery]:
    """The periodic files: each booking up to AS_OF in the first file after it, but for the late ones."""
    files = [Delivery(day) for day in delivery_days()]
    place = 0
    for event in events:
        if event.day > AS_OF_DAY:
            break
        while event.day > files[place].day:
            place += 1
        if not is_late(event):
            row = Row(event, as_fields(event, utc=files[place].day == UTC_DELIVERED))
            if is_corrected(event):
                row.fields["amount"] = yuan(10 * event.cents)
            files[place].rows.append(row)
    return files


def special_deliveries(events: list[Event]) -> list[Delivery]:
    """The late file and the corrected one."""
    late = Delivery(LATE_DELIVERED, [Row(event, as_fields(event)) for event in events if is_late(event)])
    right = [Row(event, as_fields(event)) for event in events if is_corrected(event)]
    return [Delivery(CORRECTED_DELIVERED, right), late]


def is_late(event: Event) -> bool:
    """Whether the booking belongs to the delayed ones."""
    return event.channel == "BRANCH" and LATE_FROM <= event.day <= LATE_UNTIL


def is_corrected(event: Event) -> bool:
    """Whether the booking was first delivered with a wrong amount."""
    return event.kind == "PAYMENT" and WRONG_FROM <= event.day <= WRONG_UNTIL


def deliver_again(files: list[Delivery]) -> None:
    """Each file repeats some rows of the end of the one before, and has a few twice; defects get mended."""
    rng = stream("again")
    for before, after in pairwise(files):
        sound = [row for row in before.rows if row.defect is None and row.fields["transaction_id"]]
        tail = sound[-200:]
        chosen = sorted(rng.choice(len(tail), AGAIN_A_FILE, replace=False).tolist())
        repeated = [replace(tail[place]) for place in chosen]
        own = [row for row in after.rows if row.defect is None and row.fields["transaction_id"]]
        picked = rng.choice(len(own), TWICE_A_FILE, replace=False).tolist()
        doubled = [replace(own[place]) for place in picked]
        mendable = [row for row in before.rows if row.defect in ("posted_at:DATE_FORMAT", "amount:MISSING")]
        mended = [Row(row.event, as_fields(row.event)) for row in mendable[:1]]
        after.again, after.twice, after.mended = len(repeated), len(doubled), len(mended)
        after.rows += [*repeated, *doubled, *mended]
