"""Who there is: kinds, segments, when each came, and the rates that only the simulation knows."""

from dataclasses import dataclass

import numpy as np

from tools.bank_sample.world import AS_OF_DAY, Kind, Segment, stream

KINDS = {
    Kind.BG_NBD: 4_220,
    Kind.FADING: 60,
    Kind.RETURNING: 60,
    Kind.CLOCKWORK: 50,
    Kind.ACCELERATING: 50,
    Kind.HOLDER: 500,
    Kind.REGISTERED: 60,
}
UNLISTED = 15
PROSPECTS = 160

SEGMENTS = (Segment.EVERYDAY, Segment.COUNTER, Segment.WEALTH)
SEGMENT_SHARES = (0.50, 0.33, 0.17)
# Of the gamma law of rates (a day), by segment; close enough together that one gamma describes them all.
RATE_SHAPE = {Segment.EVERYDAY: 0.95, Segment.COUNTER: 0.75, Segment.WEALTH: 0.85}
RATE_SCALE_DAYS = 42.0
# Of the beta law of leaving after a repeat purchase.
DROPOUT = (0.9, 7.5)
# Purchase days earn gamma(VALUE_SHAPE) around a mean of the customer's own; the means are inverse gamma.
VALUE_SHAPE = 4.0
MEAN_SHAPE, MEAN_SCALE = 4.5, 70.0

OLD_SHARE = 0.45
OLD_MEAN_WAIT_DAYS = 240.0
NEW_MEAN_WAIT_DAYS = 10.0
OLDEST_DAYS = 4_400


@dataclass(frozen=True, slots=True)
class Customer:
    """One person.

    Attributes:
        opened: Day of the first account; negative: before the extracts begin.
        first: Day of the first purchase; None: never buys.
        rate: Purchase days a day while active, on the day of the first purchase.
        dropout: Probability of leaving after a repeat purchase, where it is one (BG/NBD).
        mean_contribution: What a purchase day earns on average, in CNY.
        listed: Whether the `customers` extract has the person.
    """

    customer_id: str
    kind: Kind
    segment: Segment
    opened: int
    first: int | None
    rate: float
    dropout: float | None
    mean_contribution: float
    listed: bool

    @property
    def buys(self) -> bool:
        """Whether the person ever makes a purchase."""
        return self.first is not None


def population() -> list[Customer]:
    """Everybody, in order of their ids."""
    rng = stream("population")
    kinds = np.repeat([kind.value for kind in KINDS], list(KINDS.values()))
    rng.shuffle(kinds)
    numbers = 1 + np.cumsum(rng.integers(1, 4, len(kinds) + UNLISTED))
    unlisted = set(rng.choice(len(numbers), UNLISTED, replace=False).tolist())
    names = iter(kinds.tolist())
    people = []
    for place, number in enumerate(numbers.tolist()):
        kind = Kind.BG_NBD if place in unlisted else Kind(next(names))
        people.append(_person(rng, f"C{number:07d}", kind, unlisted=place in unlisted))
    prospects = [
        Customer(f"P{100 + 7 * number:07d}", Kind.PROSPECT, Segment.EVERYDAY, 0, None, 0.0, None, 0.0, False)
        for number in range(PROSPECTS)
    ]
    return people + prospects


def _person(rng: np.random.Generator, customer_id: str, kind: Kind, *, unlisted: bool) -> Customer:
    segment = SEGMENTS[int(rng.choice(len(SEGMENTS), p=SEGMENT_SHARES))]
    opened, first = _arrival(rng)
    if kind in (Kind.FADING, Kind.RETURNING, Kind.ACCELERATING, Kind.CLOCKWORK):
        # These stories need time to be told.
        opened, first = -int(rng.integers(30, OLDEST_DAYS)), int(rng.integers(0, 300))
    value = MEAN_SCALE / float(rng.gamma(MEAN_SHAPE))
    shape = RATE_SHAPE[segment]
    rate, dropout = float(rng.gamma(shape)) / RATE_SCALE_DAYS, float(rng.beta(*DROPOUT))
    if kind in (Kind.HOLDER, Kind.REGISTERED):
        return Customer(customer_id, kind, segment, opened, None, 0.0, None, 0.0, True)
    if kind is not Kind.BG_NBD:
        rate = {
            Kind.FADING: float(rng.uniform(0.03, 0.07)),
            Kind.RETURNING: float(rng.uniform(0.015, 0.035)),
            Kind.CLOCKWORK: 12 / 365.25,
            Kind.ACCELERATING: float(rng.uniform(0.006, 0.010)),
        }[kind]
        return Customer(customer_id, kind, segment, opened, first, rate, None, value, True)
    return Customer(customer_id, kind, segment, opened, first, rate, dropout, value, not unlisted)


def _arrival(rng: np.random.Generator) -> tuple[int, int]:
    """Old customers of the bank take up its payment services by and by; new ones soon after they come."""
    if rng.random() < OLD_SHARE:
        wait = AS_OF_DAY
        while wait >= AS_OF_DAY:
            wait = int(rng.exponential(OLD_MEAN_WAIT_DAYS))
        return -int(rng.integers(30, OLDEST_DAYS)), wait
    opened = int(rng.integers(0, AS_OF_DAY + 1))
    return opened, opened + int(rng.exponential(NEW_MEAN_WAIT_DAYS))
