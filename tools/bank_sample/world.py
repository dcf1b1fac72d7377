"""The bank's calendar, its products and what they earn, and the chance behind everything."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import accumulate
from zlib import crc32

import numpy as np

SEED = 20240630
START = date(2021, 7, 1)
AS_OF = date(2024, 6, 30)
HORIZON_DAYS = 365

# Days are counted from START; the simulation goes on a year beyond what is shipped.
AS_OF_DAY = (AS_OF - START).days
LAST_DAY = AS_OF_DAY + HORIZON_DAYS
CURRENCY = "CNY"
# The bank's zone; China has no summer time.
UTC_OFFSET = timedelta(hours=8)


class Kind(StrEnum):
    """How somebody behaves."""

    BG_NBD = "BG_NBD"
    FADING = "FADING"
    RETURNING = "RETURNING"
    CLOCKWORK = "CLOCKWORK"
    ACCELERATING = "ACCELERATING"
    HOLDER = "HOLDER"
    REGISTERED = "REGISTERED"
    PROSPECT = "PROSPECT"


class Segment(StrEnum):
    """What somebody uses the bank for."""

    EVERYDAY = "EVERYDAY"
    COUNTER = "COUNTER"
    WEALTH = "WEALTH"


# Share of the amount that a purchase earns, in millionths (exact in whole numbers).
MARGIN_MILLIONTHS = {"CARD": 12_000, "PAYMENT": 8_000, "TRANSFER_OUT": 3_000, "FUND_BUY": 15_000}
REVERSAL = "REVERSAL"


def stream(concept: str) -> np.random.Generator:
    """A source of chance of its own for each concept: a change in one leaves the others as they were."""
    return np.random.default_rng([SEED, crc32(concept.encode())])


def pick(rng: np.random.Generator, names: Sequence[str], shares: Sequence[float]) -> str:
    """One of the names, by their shares (which add up to 1)."""
    toss = float(rng.random())
    return names[min(bisect_right(list(accumulate(shares)), toss), len(names) - 1)]


def day_of(day: date) -> int:
    """A date as a day of the simulation."""
    return (day - START).days


def date_of(day: int) -> date:
    """A day of the simulation as a date."""
    return START + timedelta(days=day)


def moment(day: int, second: int) -> datetime:
    """A second of a day, in the bank's zone."""
    return datetime(START.year, START.month, START.day) + timedelta(days=day, seconds=second)


def month_ends() -> list[int]:
    """The last days of the months up to AS_OF."""
    ends = [
        date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
        for year in range(START.year, AS_OF.year + 1)
        for month in range(1, 13)
    ]
    return [day_of(end) for end in ends if START <= end <= AS_OF]


def delivery_days() -> list[int]:
    """When ledgers and balances are delivered: each quarter, and each month in the last year."""
    return [end for end in month_ends() if end > AS_OF_DAY - 366 or date_of(end).month % 3 == 0]


def quarter_ends() -> list[int]:
    """When the small tables are delivered."""
    return [end for end in month_ends() if date_of(end).month % 3 == 0]
