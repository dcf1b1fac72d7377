"""What each person holds: accounts and products with their dates, and the whole relation's end."""

from dataclasses import dataclass, field

import numpy as np

from tools.bank_sample.behaviour import History
from tools.bank_sample.population import Customer
from tools.bank_sample.world import AS_OF_DAY, Kind, Segment, stream

CLOSED, OVERDUE, PRIVATE = 110, 26, 4
DEPOSIT_SHARE = {Segment.EVERYDAY: 0.20, Segment.COUNTER: 0.30, Segment.WEALTH: 0.55}
MEDIAN_DEPOSIT = {Segment.EVERYDAY: 9_000, Segment.COUNTER: 18_000, Segment.WEALTH: 120_000}
# Product: share of each segment, longest life in days (None: open-ended), whether it needs an activation.
PRODUCTS: dict[str, tuple[dict[Segment, float], int | None]] = {
    "CREDIT_CARD": ({Segment.EVERYDAY: 0.22, Segment.COUNTER: 0.08, Segment.WEALTH: 0.25}, None),
    "TERM_DEPOSIT": ({Segment.EVERYDAY: 0.04, Segment.COUNTER: 0.16, Segment.WEALTH: 0.22}, 365),
    "FUND": ({Segment.EVERYDAY: 0.02, Segment.COUNTER: 0.02, Segment.WEALTH: 0.45}, None),
    "WEALTH_PRODUCT": ({Segment.EVERYDAY: 0.01, Segment.COUNTER: 0.03, Segment.WEALTH: 0.20}, 180),
    "CONSUMER_LOAN": ({Segment.EVERYDAY: 0.07, Segment.COUNTER: 0.05, Segment.WEALTH: 0.02}, 730),
    "MORTGAGE": ({Segment.EVERYDAY: 0.02, Segment.COUNTER: 0.02, Segment.WEALTH: 0.06}, 7_300),
}
LOANS = ("CONSUMER_LOAN", "MORTGAGE")
INVESTMENTS = ("FUND", "WEALTH_PRODUCT")


@dataclass(slots=True)
class Holding:
    """One account or product; days as in `world`, None where there is none."""

    account_id: str
    product_type: str
    opened: int
    matures: int | None = None
    closed: int | None = None
    is_mobile: bool = False
    activated: int | None = None
    overdue_since: int | None = None

    def is_open(self, day: int) -> bool:
        """Whether it is held at the end of the day."""
        return self.opened <= day and (self.closed is None or self.closed > day)


@dataclass(slots=True)
class Relation:
    """One customer's holdings and where the balances start.

    Attributes:
        closes: The day on which everything was closed.
        deposit_cents, investment_cents, loan_cents: Levels at the start; 0: none.
    """

    customer: Customer
    closes: int | None = None
    deposit_cents: int = 0
    investment_cents: int = 0
    loan_cents: int = 0
    holdings: list[Holding] = field(default_factory=list)

    def is_open(self, day: int) -> bool:
        """Whether the customer has an account at the end of the day."""
        return self.customer.opened <= day and (self.closes is None or self.closes > day)


def relations(people: list[Customer], told: dict[str, History]) -> dict[str, Relation]:
    """By customer id: everybody listed who has an account."""
    rng = stream("relations")
    known = {
        person.customer_id: Relation(person)
        for person in people
        if person.listed and person.kind is not Kind.REGISTERED and person.opened <= AS_OF_DAY
    }
    for relation in known.values():
        _levels(rng, relation)
    _close(rng, known, told)
    for relation in known.values():
        _hold(rng, relation)
    _private(rng, known)
    _fall_overdue(rng, known)
    accounts = [holding for relation in known.values() for holding in relation.holdings]
    for number, holding in enumerate(accounts):
        holding.account_id = f"A{200_000 + 3 * number}"
    return known


def add_holding(relation: Relation, product_type: str, day: int) -> None:
    """A product that a campaign has sold."""
    number = int(relation.customer.customer_id[1:])
    relation.holdings.append(Holding(f"K{number}-{len(relation.holdings)}", product_type, day))


def _levels(rng: np.random.Generator, relation: Relation) -> None:
    segment = relation.customer.segment
    holder = relation.customer.kind is Kind.HOLDER
    if holder or rng.random() < DEPOSIT_SHARE[segment]:
        relation.deposit_cents = int(100 * MEDIAN_DEPOSIT[segment] * rng.lognormal(0.0, 1.3))


def _close(rng: np.random.Generator, known: dict[str, Relation], told: dict[str, History]) -> None:
    """Some who left long ago have closed what they had; their balances are known to be nil."""
    gone = [
        relation
        for name, relation in known.items()
        if name in told and (told[name].left or AS_OF_DAY) < AS_OF_DAY - 380
    ]
    for place in sorted(rng.choice(len(gone), CLOSED, replace=False).tolist()):
        relation = gone[place]
        left = told[relation.customer.customer_id].left or 0
        relation.closes = min(left + int(rng.integers(30, 300)), AS_OF_DAY - 20)
        relation.deposit_cents = relation.deposit_cents or int(100 * rng.lognormal(7, 1))


def _hold(rng: np.random.Generator, relation: Relation) -> None:
    person, closes = relation.customer, relation.closes
    mobile = bool(rng.random() < (0.45 if person.segment is Segment.COUNTER else 0.75))
    current = Holding("", "CURRENT_ACCOUNT", person.opened, closed=closes, is_mobile=mobile)
    if mobile and rng.random() < 0.8:
        current.activated = person.opened + int(rng.exponential(20))
    relation.holdings.append(current)
    for product, (shares, life) in PRODUCTS.items():
        if rng.random() >= shares[person.segment]:
            continue
        latest = AS_OF_DAY if closes is None else closes - 1
        earliest = max(person.opened, latest - 1_500)
        opened = int(rng.integers(earliest, max(latest, earliest) + 1))
        holding = Holding("", product, opened, is_mobile=product in INVESTMENTS and mobile)
        if life is not None:
            holding.matures = opened + life * int(rng.integers(1, 4))
            holding.closed = holding.matures if holding.matures <= AS_OF_DAY else None
        if closes is not None:
            holding.closed = min(holding.closed or closes, closes)
        if product == "CREDIT_CARD" and rng.random() < 0.85:
            holding.activated = opened + int(rng.exponential(15))
        if holding.is_mobile:
            holding.activated = opened
        relation.holdings.append(holding)
        if product in INVESTMENTS and closes is None:
            relation.investment_cents += int(100 * rng.lognormal(10.3, 0.9))
        if product in LOANS:
            median = 11.0 if product == "CONSUMER_LOAN" else 13.3
            relation.loan_cents = int(100 * rng.lognormal(median, 0.5))


def _private(rng: np.random.Generator, known: dict[str, Relation]) -> None:
    """A handful with more than five million."""
    rich = [r for r in known.values() if r.customer.segment is Segment.WEALTH and r.closes is None]
    for place in rng.choice(len(rich), PRIVATE, replace=False).tolist():
        rich[place].deposit_cents = int(100 * rng.uniform(6e6, 1.4e7))


def _fall_overdue(rng: np.random.Generator, known: dict[str, Relation]) -> None:
    """A few do not pay their loans; most of them have little else."""
    borrowers = [
        (relation, holding)
        for relation in known.values()
        for holding in relation.holdings
        if holding.product_type in LOANS and holding.is_open(AS_OF_DAY) and holding.opened < AS_OF_DAY - 250
    ]
    for place in rng.choice(len(borrowers), OVERDUE, replace=False).tolist():
        relation, holding = borrowers[place]
        holding.overdue_since = AS_OF_DAY - int(rng.integers(3, 200))
        if rng.random() < 0.7:
            relation.deposit_cents = min(relation.deposit_cents, 40_000)
