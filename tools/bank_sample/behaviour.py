"""When each person buys, over all simulated days, also those that nobody will be shown."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from tools.bank_sample.population import Customer
from tools.bank_sample.world import AS_OF_DAY, LAST_DAY, START, Kind, stream

# A fading customer counts as gone when the rate is below this share of what it was.
GONE_SHARE = 0.05
HIGHEST_RATE = 0.05


@dataclass(frozen=True, slots=True)
class History:
    """One person's purchase days.

    Attributes:
        days: Ascending, up to LAST_DAY.
        left: The day on which the person left for good, up to LAST_DAY.
        rate: Purchase days a day at AS_OF, if still there.
    """

    days: tuple[int, ...]
    left: int | None
    rate: float

    @property
    def alive(self) -> bool:
        """Whether the person has not left by AS_OF."""
        return self.left is None or self.left > AS_OF_DAY


def histories(people: list[Customer]) -> dict[str, History]:
    """The purchase days of everybody who ever buys."""
    rng = stream("behaviour")
    tell: dict[Kind, Callable[[np.random.Generator, Customer, int], History]] = {
        Kind.BG_NBD: _bg_nbd,
        Kind.FADING: _fading,
        Kind.RETURNING: _returning,
        Kind.CLOCKWORK: _clockwork,
        Kind.ACCELERATING: _accelerating,
    }
    return {
        person.customer_id: tell[person.kind](rng, person, person.first)
        for person in people
        if person.first is not None
    }


def _bg_nbd(rng: np.random.Generator, person: Customer, first: int) -> History:
    """Days as if by chance at a constant rate, and a toss of the coin after each repeat."""
    days, left = [first], None
    # A day either has a purchase or has none: gaps are geometric, the exponential gaps of whole days.
    chance = -float(np.expm1(-person.rate))
    while left is None and (day := days[-1] + int(rng.geometric(max(chance, 1e-9)))) <= LAST_DAY:
        days.append(day)
        if rng.random() < (person.dropout or 0.0):
            left = day
    return History(tuple(days), left, person.rate)


def _fading(rng: np.random.Generator, person: Customer, first: int) -> History:
    """A constant rate that begins to halve every so often."""
    begins = int(rng.integers(first + 200, AS_OF_DAY - 60))
    halves = float(rng.uniform(60, 150))

    def rate(day: int) -> float:
        return person.rate * float(0.5 ** (max(day - begins, 0) / halves))

    gone = begins + int(np.ceil(halves * np.log2(1 / GONE_SHARE)))
    days = _days_at(rng, first, rate)
    return History(days, gone if gone <= LAST_DAY else None, rate(AS_OF_DAY))


def _returning(rng: np.random.Generator, person: Customer, first: int) -> History:
    """Two active times with a long silence between; for every third the second begins near AS_OF."""
    silence = int(rng.integers(240, 480))
    late = rng.random() < 1 / 3
    returns = int(rng.integers(AS_OF_DAY - 80, AS_OF_DAY - 5) if late else rng.integers(700, LAST_DAY - 200))
    stops = max(returns - silence, first + 60)
    days = _days_at(rng, first, lambda day: 0.0 if stops < day < returns else person.rate)
    return History(tuple(sorted({*days, max(returns, stops + 1)})), None, person.rate)


def _clockwork(rng: np.random.Generator, person: Customer, first: int) -> History:
    """The same day each month, give or take two, with a small chance to stop."""
    days, left, due = [first], None, int(rng.integers(3, 27))
    while left is None:
        last = START + timedelta(days=days[-1])
        following = date(last.year + last.month // 12, last.month % 12 + 1, due)
        day = (following - START).days + int(rng.integers(-2, 3))
        if day > LAST_DAY:
            break
        days.append(day)
        if rng.random() < 0.004:
            left = day
    return History(tuple(days), left, person.rate)


def _accelerating(rng: np.random.Generator, person: Customer, first: int) -> History:
    """A rate that doubles every so often, up to a limit."""
    doubles = float(rng.uniform(180, 320))

    def rate(day: int) -> float:
        return min(person.rate * float(2.0 ** ((day - first) / doubles)), HIGHEST_RATE)

    return History(_days_at(rng, first, rate), None, rate(AS_OF_DAY))


def _days_at(rng: np.random.Generator, first: int, rate: Callable[[int], float]) -> tuple[int, ...]:
    later = range(first + 1, LAST_DAY + 1)
    bought = rng.random(len(later)) < np.array([rate(day) for day in later])
    return (first, *(int(day) for day in np.asarray(later)[bought]))
