"""What a bank's nine tables say of each customer, once more in plain Python, straight from the words.

Shares nothing with the SQL or the kernels. Money is exact (`Fraction`) and rounded once, at the end. What the
models say (`clv_12m`, `residual_clv_rank`) is given. One function a concept; where the words leave room, the
reading taken here stands in a comment that begins with READING.
"""

from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import pairwise
from math import lcm, log
from typing import Any, TypeVar

from . import brute_force as oracle
from .brute_force import Days, Facts, Row, Terms, cents

Money = Decimal | None
ZERO = Fraction(0)
TABLES = (
    "transactions", "customers", "holdings", "balances", "rates", "costs", "contacts", "events", "surveys",
)  # fmt: skip


@lru_cache(maxsize=100_000)
def exact(value: Money) -> Fraction:
    """A number as it stands in a file; an empty one is zero."""
    return Fraction(value or 0)


# The tables


@dataclass(frozen=True)
class Transaction(Row):
    """A delivered transaction: that of the oracle of purchases, with its channel."""

    channel: str = ""

    def content(self, zone: str) -> tuple[object, ...]:
        """What two deliveries of one event have in common."""
        return (*super().content(zone), self.channel)


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """A row of a file, with the date of its delivery where that is known."""

    file: int = 0
    extract: date | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """The natural key."""
        raise NotImplementedError

    def content(self) -> tuple[object, ...]:
        """Everything but where it came from."""
        return tuple(getattr(self, f.name) for f in fields(self) if f.name not in ("file", "extract"))


@dataclass(frozen=True)
class Customer(Delivered):
    customer_id: str
    opened_on: date | None = None
    birth_year: int | None = None
    branch: str | None = None
    community: str | None = None
    relationship_manager: str | None = None
    referred_by: str | None = None
    marketing_consent: bool | None = None
    opted_out_on: date | None = None

    @property
    def key(self) -> tuple[object, ...]:
        return (self.customer_id,)


@dataclass(frozen=True)
class Holding(Delivered):
    customer_id: str
    account_id: str
    product_type: str | None = None
    opened_on: date | None = None
    matures_on: date | None = None
    closed_on: date | None = None
    is_mobile: bool | None = None
    activated_on: date | None = None
    days_overdue: int | None = None

    @property
    def key(self) -> tuple[object, ...]:
        return (self.customer_id, self.account_id)


@dataclass(frozen=True)
class Balance(Delivered):
    customer_id: str
    date: date
    deposit_balance: Money = None
    loan_balance: Money = None
    investment_value: Money = None
    net_flow: Money = None
    account_id: str | None = None
    product_type: str | None = None

    @property
    def key(self) -> tuple[object, ...]:
        return (self.customer_id, self.date, self.account_id, self.product_type)

    def amount(self, column: str) -> Fraction:
        """One of the three amounts. READING: an empty one is zero."""
        return exact(getattr(self, column))


@dataclass(frozen=True)
class Rate(Delivered):
    rate_key: str
    valid_from: date
    funding_rate: Decimal
    customer_rate: Decimal
    expected_loss_rate: Money = None

    @property
    def key(self) -> tuple[object, ...]:
        return (self.rate_key, self.valid_from)


@dataclass(frozen=True)
class Cost(Delivered):
    cost_kind: str
    unit_cost: Decimal
    valid_from: date
    channel: str | None = None

    @property
    def key(self) -> tuple[object, ...]:
        return (self.cost_kind, self.channel, self.valid_from)


@dataclass(frozen=True)
class Contact(Delivered):
    campaign_id: str
    customer_id: str
    sent_at: datetime
    channel: str | None = None
    reached: bool | None = None
    engaged: bool | None = None
    converted_at: datetime | None = None
    is_control: bool | None = None

    @property
    def key(self) -> tuple[object, ...]:
        return (self.campaign_id, self.customer_id, self.sent_at)


@dataclass(frozen=True)
class Event(Delivered):
    customer_id: str
    occurred_at: datetime
    event_code: str

    @property
    def key(self) -> tuple[object, ...]:
        return (self.customer_id, self.occurred_at, self.event_code)


@dataclass(frozen=True)
class Survey(Delivered):
    customer_id: str
    answered_on: date
    nps_score: int | None = None
    satisfaction: int | None = None

    @property
    def key(self) -> tuple[object, ...]:
        return (self.customer_id, self.answered_on)


CLASSES: Mapping[str, type[Delivered]] = {
    "customers": Customer, "holdings": Holding, "balances": Balance, "rates": Rate, "costs": Cost,
    "contacts": Contact, "events": Event, "surveys": Survey,
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """One table as delivered: its rows, the names of its files, and whether a file is the whole table."""

    rows: tuple[Any, ...] = ()
    files: tuple[str, ...] = ()
    delivery: str = "append"
    dated: bool = False

    def known_by(self, known_at: date | None) -> bool:
        """Whether any of its files had been delivered by then; the date stands at the end of the name."""
        if known_at is None or not self.dated:
            return True
        return any(name.removesuffix(".csv")[-8:] <= f"{known_at:%Y%m%d}" for name in self.files)


@dataclass(frozen=True)
class Preset:
    """A bank's published rules for its deposit tiers; tiers are numbered from ORDINARY, 0."""

    upgrade_lag_months: int
    watch_after: int | None
    downgrade_after: tuple[int, int, int, int]
    downgrade_to: str


PRESETS = {
    "a": Preset(1, 1, (0, 3, 6, 6), "last"),
    "b": Preset(0, None, (0, 6, 6, 6), "last"),
    "c": Preset(0, 3, (0, 6, 6, 6), "max_in_window"),
}
TIERS = ("ORDINARY", "GOLD", "PLATINUM", "DIAMOND")
COMPONENTS = ("PRODUCTS", "MOBILE", "ASSETS", "RESIDUAL_CLV")


@dataclass(frozen=True)
class BankTerms:
    """The definitions of a bank, beside those of purchases."""

    purchases: Terms = field(default_factory=lambda: Terms(rates={}))
    max_gap_days: int = 31
    terminated_days: int = 365
    live_balance: Fraction = Fraction(1000)
    decline_share: Fraction = Fraction(7, 10)
    decline_amount: Fraction = Fraction(10000)
    product_days: int = 180
    asset_types: tuple[str, ...] = ("SAVINGS", "TERM", "WEALTH", "FUND")
    loan_types: tuple[str, ...] = ("MORTGAGE", "CREDIT")
    inbound: tuple[str, ...] = ("APPLICATION", "CREDIT_CHECK", "CALL_IN")
    tier_bounds: tuple[int, int, int] = (50_000, 500_000, 5_000_000)
    preset: str = "a"
    daily_observations: int = 20
    assets: str = "amount"
    weights: Mapping[str, Fraction] = field(default_factory=lambda: dict.fromkeys(COMPONENTS, Fraction(1)))
    minimum_holdings: int = 50
    minimum_closures: int = 10
    discount: float = 0.1


@dataclass(frozen=True)
class Bank:
    """What a run is given. A table that is not here has no extract."""

    as_of: date
    tables: Mapping[str, Table]
    terms: BankTerms = field(default_factory=BankTerms)
    known_at: date | None = None

    def has(self, *names: str) -> bool:
        """Whether there are such extracts, with a file that was known.

        READING: one without rows is there, but of balances, rates and costs nothing is known before their
        first day.
        """
        return all(
            name in self.tables
            and self.tables[name].known_by(self.known_at)
            and (name not in ("balances", "rates", "costs") or self._has_begun(name))
            for name in names
        )

    def _has_begun(self, name: str) -> bool:
        """READING: what nobody has told of balances for a year is not known any more."""
        rows = known_rows(self.tables[name], self.known_at)
        oldest = self.as_of - timedelta(364) if name == "balances" else date.min
        return any(oldest <= getattr(row, DATED_BY[name]) <= self.as_of for row in rows)


# What is known, and what exists on the day

D = TypeVar("D", bound=Delivered)


def known_rows(table: Table, known_at: date | None) -> list[Any]:
    """Rows delivered by then; of snapshots, those of the latest one."""
    rows = [r for r in table.rows if known_at is None or r.extract is None or r.extract <= known_at]
    if table.delivery == "snapshot" and rows:
        # READING: the latest date on which a row came; an empty later snapshot leaves no trace.
        latest = max(r.extract or date.min for r in rows)
        rows = [r for r in rows if (r.extract or date.min) == latest]
    return rows


def standing_by_key(rows: Iterable[D]) -> list[D]:
    """Of several rows with one key, the latest delivery. READING: chosen before anyone looks at the day."""
    found: dict[tuple[object, ...], D] = {}
    for row in rows:
        other = found.get(row.key)
        if other is None or (row.extract or date.min) > (other.extract or date.min):
            found[row.key] = row
        elif row.extract == other.extract and row.content() != other.content():
            raise ValueError("the oracle leaves ties by content alone")
    return list(found.values())


def attributes_stand(row: Delivered, bank: Bank) -> bool:
    """Whether attributes without a date of their own were so on the day.

    READING: it is the standing row that is asked; an earlier delivery, dated in time, does not step in.
    """
    if row.extract is None:
        return bank.known_at is None
    return row.extract <= bank.as_of


def _not_after(day: Any, limit: date) -> bool:
    """On the day or before; unknown days are not after anything."""
    if isinstance(day, datetime):
        day = day.date()
    return day is None or day <= limit


DATED_BY = {
    "customers": "opened_on", "holdings": "opened_on", "balances": "date", "rates": "valid_from",
    "costs": "valid_from", "contacts": "sent_at", "events": "occurred_at", "surveys": "answered_on",
}  # fmt: skip
LATER_IS_NULL = {
    "customers": ("opted_out_on",), "holdings": ("closed_on", "activated_on"), "contacts": ("converted_at",),
}  # fmt: skip
UNDATED = {
    "customers": (
        "birth_year", "branch", "community", "relationship_manager", "referred_by", "marketing_consent",
    ),
    "holdings": ("is_mobile", "days_overdue"),
}  # fmt: skip


def existing(name: str, rows: Iterable[D], bank: Bank) -> list[D]:
    """The rows that exist on the day, with what comes later, or is not dated, left out."""
    found = []
    for row in rows:
        if not _not_after(getattr(row, DATED_BY[name]), bank.as_of):
            continue
        changes: dict[str, Any] = {
            column: None
            for column in LATER_IS_NULL.get(name, ())
            if not _not_after(getattr(row, column), bank.as_of)
        }
        if not attributes_stand(row, bank):
            changes |= dict.fromkeys(UNDATED.get(name, ()))
        found.append(replace(row, **changes))
    return found


def set_aside(balances: Sequence[Balance], holdings: Sequence[Holding]) -> list[tuple[str, Balance]]:
    """Balance rows that contradict the holdings or one another.

    READING: "held" looks at the known holdings that exist on D, closed ones too, but not ones opened after it
    (no look-ahead); a row set aside as ACCOUNT_OF_ANOTHER no longer makes the customer's own row of that day
    an OVERLAP.
    """
    holders: dict[str, set[str]] = defaultdict(set)
    for holding in holdings:
        holders[holding.account_id].add(holding.customer_id)
    found = [
        ("ACCOUNT_OF_ANOTHER", row)
        for row in balances
        if row.account_id is not None
        and holders[row.account_id]
        and row.customer_id not in holders[row.account_id]
    ]
    gone = {row.key for _, row in found}
    by_account = {
        (row.customer_id, row.date) for row in balances if row.account_id is not None and row.key not in gone
    }
    found += [
        ("OVERLAP", row)
        for row in balances
        if row.account_id is None and (row.customer_id, row.date) in by_account
    ]
    return found


@dataclass(frozen=True)
class World:
    """Everything that exists on the day, by table."""

    bank: Bank
    transactions: list[Transaction]
    customers: dict[str, Customer]
    holdings: dict[str, list[Holding]]
    balances: dict[str, list[Balance]]
    rates: list[Rate]
    costs: list[Cost]
    contacts: dict[str, list[Contact]]
    events: dict[str, list[Event]]
    aside: list[tuple[str, Balance]]
    names: tuple[str, ...]

    @cached_property
    def frontier(self) -> date:
        """The last day of which the bank has told any balance. READING: what was told then still stands."""
        return max((row.date for rows in self.balances.values() for row in rows), default=self.bank.as_of)

    @cached_property
    def purchase_days(self) -> dict[str, Days]:
        """Contribution by purchase day, of everybody who has one."""
        found: dict[str, Days] = defaultdict(dict)
        for who, day, contribution in qualifying_events(self):
            found[who][day] = found[who].get(day, ZERO) + contribution
        return found

    @cached_property
    def fees(self) -> dict[str, Fraction]:
        """Fees on other events in the window, by customer."""
        return fees_on_other_events(self)


def world_of(bank: Bank) -> World:
    """The rows that are known, stand, are not set aside, and exist on the day."""
    known = {name: known_rows(table, bank.known_at) for name, table in bank.tables.items()}
    keyed = {name: standing_by_key(known.get(name, [])) for name in CLASSES}
    seen: dict[str, list[Any]] = {name: existing(name, rows, bank) for name, rows in keyed.items()}
    aside = set_aside(seen["balances"], seen["holdings"])
    gone = {row.key for _, row in aside}
    zone = bank.terms.purchases.zone
    transactions = [
        row
        for row in oracle.standing_rows(known.get("transactions", []), bank.terms.purchases)
        if row.day(zone) <= bank.as_of
    ]
    # Rows set aside still name their customer: nobody is dropped.
    names = {row.customer_id for row in transactions}
    for name in ("customers", "holdings", "balances", "contacts", "events", "surveys"):
        names |= {row.customer_id for row in seen[name]}
    return World(
        bank=bank,
        transactions=transactions,  # type: ignore[arg-type]
        customers={row.customer_id: row for row in seen["customers"]},
        holdings=_by_customer(seen["holdings"]),
        balances=_by_customer(row for row in seen["balances"] if row.key not in gone),
        rates=seen["rates"],
        costs=seen["costs"],
        contacts=_by_customer(seen["contacts"]),
        events=_by_customer(seen["events"]),
        aside=aside,
        names=tuple(sorted(names)),
    )


def _by_customer(rows: Iterable[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.customer_id].append(row)
    return found


# Purchases with their channel's cost, and fees on other events


def cost_in_force(world: World, kind: str, day: date, channel: str | None = None) -> Fraction:
    """The unit cost of that day; zero where there is none."""
    rows = [
        row
        for row in world.costs
        if row.cost_kind == kind and row.channel == channel and row.valid_from <= day
    ]
    return exact(max(rows, key=lambda row: row.valid_from).unit_cost) if rows else ZERO


def _with_reversals(world: World) -> list[tuple[Transaction, list[Transaction]]]:
    """Every event that is no reversal, with the reversals of it."""
    by_original: dict[str, list[Transaction]] = defaultdict(list)
    for row in world.transactions:
        if row.reverses_id:
            by_original[row.reverses_id].append(row)
    return [
        (row, [r for r in by_original.get(row.transaction_id or "", []) if r.customer_id == row.customer_id])
        for row in world.transactions
        if not row.reverses_id
    ]


def qualifying_events(world: World) -> list[tuple[str, date, Fraction]]:
    """Purchases: customer, day, contribution less the channel's cost (a partial reversal leaves it)."""
    found = []
    terms = world.bank.terms.purchases
    for row, reversals in _with_reversals(world):
        for who, day, contribution in oracle.purchase_events([row, *reversals], world.bank.as_of, terms):
            cost = cost_in_force(world, "CHANNEL", day, row.channel) if row.channel else ZERO
            found.append((who, day, contribution - cost))
    return found


def fees_on_other_events(world: World) -> dict[str, Fraction]:
    """Fees in the window on events that are no purchases and are not fully reversed.

    READING: with the fees of its partial reversals, as of a purchase.
    """
    return oracle.other_fees(world.transactions, world.bank.as_of, world.bank.terms.purchases)


# Balances as a step function


@dataclass(frozen=True)
class Series:
    """The observations of one account and product, or of the customer as a whole, in order."""

    account_id: str | None
    product_type: str | None
    closed_on: date | None
    observations: tuple[Balance, ...]
    standing: Mapping[date, Balance]
    position: Balance | None = None  # what stands on the day, by the newest word


def standing_on(
    observations: Sequence[Balance],
    opened_on: date | None,
    closed_on: date | None,
    as_of: date,
    max_gap: int,
    stands_on: bool = True,
) -> dict[date, Balance]:
    """The observation that stands for a day, by covered day.

    READING: the first observation, with none before it, stands for `max_gap` days back like any other, but
    not before the account's opening; one made before the opening stands for its own day. `closed_on` bounds
    only the days after the last observation: an observation made after the closing stands as it is. The day
    of closing is still covered.
    """
    found: dict[date, Balance] = {}
    previous = date.min
    for row in observations:
        first = max(previous + timedelta(1), row.date - timedelta(max_gap - 1))
        if opened_on is not None:
            first = max(first, min(opened_on, row.date))
        for back in range((row.date - first).days + 1):
            found[row.date - timedelta(back)] = row
        previous = row.date
    last = min(previous + timedelta(max_gap if stands_on else 0), as_of, closed_on or date.max)
    for ahead in range(1, (last - previous).days + 1):
        found[previous + timedelta(ahead)] = observations[-1]
    return found


def series_of(world: World, who: str) -> list[Series]:
    """A customer's series.

    READING: a row that does not tell its product has that of its account, where holdings tell it; the series
    are made of the rows as delivered, and the closing is that of the customer's own holding.
    """
    held = {holding.account_id: holding for holding in world.holdings.get(who, [])}
    groups: dict[tuple[str | None, str | None], list[Balance]] = defaultdict(list)
    for row in world.balances.get(who, []):
        groups[row.account_id, row.product_type].append(row)
    found = []
    terms, day = world.bank.terms, world.bank.as_of
    newest = {account: max(r.date for r in world.balances.get(who, []) if r.account_id == account)
              for account, _ in groups}  # fmt: skip
    for (account, product), rows in groups.items():
        holding = held.get(account) if account is not None else None
        opened = holding.opened_on if holding else None
        closed = holding.closed_on if holding else None
        ordered = tuple(sorted(rows, key=lambda row: row.date))
        last = ordered[-1].date
        # A total gives way to newer accounts, accounts to a newer total, a product to a newer name of it.
        others = [d for other, d in newest.items() if (other is None) != (account is None)]
        stands = last == newest[account] and all(d <= last for d in others)
        fresh = closed is None and (world.frontier - last).days <= terms.max_gap_days
        found.append(
            Series(
                account,
                product if product is not None else (holding.product_type if holding else None),
                closed,
                ordered,
                standing_on(ordered, opened, closed, day, terms.max_gap_days, stands),
                ordered[-1] if stands and (last == day or fresh) else None,
            )
        )
    return found


AMOUNTS = ("deposit_balance", "loan_balance", "investment_value")


def position(series: Sequence[Series], column: str) -> Fraction:
    """Sum of what stands on the day, by the newest word of each series."""
    return sum((s.position.amount(column) for s in series if s.position is not None), ZERO)


def latest(series: Sequence[Series], as_of: date, column: str) -> Fraction:
    """Sum over the series that stand on the day; what ended uncovered before it is nothing."""
    return sum((s.standing[as_of].amount(column) for s in series if as_of in s.standing), ZERO)


def window_days(as_of: date, length: int, end: int = 0) -> list[date]:
    """The `length` days that end `end` days before the day."""
    return [as_of - timedelta(back) for back in range(end + length - 1, end - 1, -1)]


def standing_days(one: Series, days: Iterable[date]) -> list[tuple[Balance, int]]:
    """The observations of a series that stand for some of these days, with their number."""
    rows = [one.standing[day] for day in days if day in one.standing]
    counts = Counter(row.date for row in rows)
    return [(row, counts[row.date]) for row in {row.date: row for row in rows}.values()]


def covered_days(series: Sequence[Series], days: Iterable[date]) -> int:
    """Days on which at least one series stands."""
    return sum(any(day in s.standing for s in series) for day in days)


def average(series: Sequence[Series], days: Sequence[date], column: str) -> Fraction:
    """Sum of balance by covered day of each series, over the customer's covered days; zero of nothing."""
    covered = covered_days(series, days)
    if not covered:
        return ZERO
    return sum((row.amount(column) * n for s in series for row, n in standing_days(s, days)), ZERO) / covered


# Rates, and what balances earn


def rate_in_force(rates: Sequence[Rate], product: str | None, otherwise: str, day: date) -> Rate | None:
    """The product's own rate of that day; until it has one, the general rate; None if none."""
    for key in (product, otherwise):
        rows = [rate for rate in rates if rate.rate_key == key and rate.valid_from <= day]
        if rows:
            return max(rows, key=lambda rate: rate.valid_from)
    return None


def margin(rate: Rate, column: str) -> Fraction:
    """What a unit of a balance earns in a year."""
    if column == "deposit_balance":
        return Fraction(rate.funding_rate) - Fraction(rate.customer_rate)
    loss = Fraction(rate.expected_loss_rate or 0)
    return Fraction(rate.customer_rate) - Fraction(rate.funding_rate) - loss


OTHERWISE = {"deposit_balance": "DEPOSIT", "loan_balance": "LOAN"}


def balance_income(
    rates: Sequence[Rate], series: Sequence[Series], days: Sequence[date], column: str
) -> tuple[Fraction, set[date]]:
    """What the deposits, or the loans, earned in these days, and the days for which there was no rate.

    READING: a day without a rate counts once for the customer, and only if there is a balance to earn on.
    """
    total = ZERO
    missing: set[date] = set()
    changes = sorted({rate.valid_from for rate in rates})
    for one in series:
        for since, until in pairwise([date.min, *changes, date.max]):
            alike = [day for day in days if since <= day < until]
            rate = rate_in_force(rates, one.product_type, OTHERWISE[column], since)
            if rate is not None:
                for row, n in standing_days(one, alike):
                    total += row.amount(column) * margin(rate, column) * n
            else:
                missing |= {d for d in alike if d in one.standing and one.standing[d].amount(column)}
    return total / 365, missing


# Relationship, holdings, events


def relationship_start(days: Days, holdings: Sequence[Holding]) -> date | None:
    """The earliest purchase or opening."""
    found = [*days, *(h.opened_on for h in holdings if h.opened_on is not None)]
    return min(found) if found else None


def open_holdings(holdings: Sequence[Holding]) -> list[Holding]:
    """Those not closed by the day (a later closing is not known yet)."""
    return [holding for holding in holdings if holding.closed_on is None]


def products_held(holdings: Sequence[Holding]) -> int:
    """Distinct products that are open."""
    return len({h.product_type for h in open_holdings(holdings)} - {None})


def product_opened(holdings: Sequence[Holding], start: date | None, as_of: date, days: int) -> bool:
    """A product in the last days. READING: not the one with which the relationship began."""
    opened = [h.opened_on for h in holdings if h.opened_on is not None]
    return any((as_of - day).days < days and start is not None and day > start for day in opened)


def closed_days(holdings: Sequence[Holding], as_of: date) -> int | None:
    """Since the last of them was closed, if none is open."""
    closings = [h.closed_on for h in holdings if h.closed_on is not None]
    return None if open_holdings(holdings) or not closings else (as_of - max(closings)).days


def debts_settled(world: World, who: str, series: Sequence[Series]) -> bool:
    """Both extracts are there; nothing is open, and all three sums are zero."""
    return (
        world.bank.has("balances", "holdings")
        and not any(position(series, column) for column in AMOUNTS)
        and not open_holdings(world.holdings.get(who, []))
    )


def live(world: World, who: str, series: Sequence[Series]) -> bool:
    """Enough deposits and investments, or a loan that is known to be on time. Unknown is false."""
    terms = world.bank.terms
    assets = position(series, "deposit_balance") + position(series, "investment_value")
    performing = any(
        h.product_type in terms.loan_types and h.days_overdue == 0
        for h in open_holdings(world.holdings.get(who, []))
    )
    return (world.bank.has("balances") and assets >= terms.live_balance) or performing


def contacted(world: World, who: str) -> bool:
    """Reached or engaged by a contact, or came in on their own."""
    return any(c.reached or c.engaged for c in world.contacts.get(who, [])) or any(
        e.event_code in world.bank.terms.inbound for e in world.events.get(who, [])
    )


# Falling balances


def revaluations(series: Sequence[Series]) -> dict[date, Fraction]:
    """By observation day of the customer: the change since the one before that no money moved.

    READING: it is dated on the later of the two days. Where a row of that day does not tell its flow, there
    is no revaluation (the change counts as flow); taking the flow as zero would hide every withdrawal.
    """
    rows: dict[date, list[Balance]] = defaultdict(list)
    for one in series:
        for row in one.observations:
            rows[row.date].append(row)
    found = {}
    for before, after in pairwise(sorted(rows)):
        flows = [row.net_flow for row in rows[after]]
        if any(flow is None for flow in flows):
            found[after] = ZERO
        else:
            flow = sum((Fraction(f) for f in flows if f is not None), ZERO)
            found[after] = total_on(series, after) - total_on(series, before) - flow
    return found


def total_on(series: Sequence[Series], day: date) -> Fraction:
    """Deposits and investments on a day."""
    return latest(series, day, "deposit_balance") + latest(series, day, "investment_value")


def _mean_of_cents(values: Sequence[Fraction]) -> Fraction:
    """Exact mean; in whole units of the finest of the values, which is quick."""
    unit = lcm(*(value.denominator for value in values))
    return Fraction(sum(v.numerator * (unit // v.denominator) for v in values), unit * len(values))


def adjusted_means(
    series: Sequence[Series], as_of: date
) -> tuple[tuple[Fraction, int] | None, tuple[Fraction, int] | None]:
    """Mean of the adjusted total, with its days, over the last 90 days and the 365 days before.

    READING: means are over the covered days alone.
    """
    changes = revaluations(series)
    first = as_of - timedelta(455)
    gathered = ZERO
    ordered = sorted(day for day in changes if first < day <= as_of)
    adjusted: dict[date, Fraction] = {}
    totals: dict[tuple[object, ...], Fraction] = {}  # the same observations, the same total
    for day in window_days(as_of, 455):
        while ordered and ordered[0] <= day:
            gathered += changes[ordered.pop(0)]
        if any(day in s.standing for s in series):
            alike = gathered, *(s.standing[day].date if day in s.standing else None for s in series)
            if alike not in totals:
                totals[alike] = total_on(series, day) - gathered
            adjusted[day] = totals[alike]
    means = []
    for days in (window_days(as_of, 90), window_days(as_of, 365, 90)):
        values = [adjusted[day] for day in days if day in adjusted]
        means.append((_mean_of_cents(values), len(values)) if values else None)
    return means[0], means[1]


def balances_falling(series: Sequence[Series], as_of: date, terms: BankTerms) -> bool:
    """Deposits and investments net of revaluation fell by share and by amount."""
    if not series:
        return False
    recent, prior = adjusted_means(series, as_of)
    if recent is None or prior is None or recent[1] < 60 or prior[1] < 180:
        return False
    return recent[0] <= terms.decline_share * prior[0] and prior[0] - recent[0] >= terms.decline_amount


# Costs and payback


def maintenance(world: World, start: date, days: Iterable[date]) -> Fraction:
    """The yearly cost, day by day, of the days after the new customer's ones."""
    after = start + timedelta(world.bank.terms.purchases.new)
    charged = [day for day in days if day > after]
    total = ZERO
    changes = sorted({cost.valid_from for cost in world.costs})
    for since, until in pairwise([date.min, *changes, date.max]):
        total += cost_in_force(world, "MAINTAIN", since) * sum(since <= day < until for day in charged)
    return total / 365


def cost_12m(world: World, start: date, days: Sequence[date], end: date) -> Fraction:
    """Onboarding if it falls into the window, and maintenance up to the end."""
    onboarding = cost_in_force(world, "NEW", start) if start in days else ZERO
    return onboarding + maintenance(world, start, [day for day in days if day <= end])


def cumulative_cost(world: World, start: date, end: date) -> Fraction:
    """Onboarding, and maintenance up to the end."""
    days = window_days(end, (end - start).days + 1)
    return cost_in_force(world, "NEW", start) + maintenance(world, start, days)


def last_costly_day(world: World, s: "Situation") -> date:
    """READING: who is terminated costs nothing after the last purchase or closing; all others cost on."""
    if not is_terminated(s, world.bank.terms):
        return world.bank.as_of
    ends = [days for days in (s.facts.silence if s.facts else None, s.closed_days) if days is not None]
    return world.bank.as_of - timedelta(min(ends))


# Potential value


def mid_rank(value: Any, reference: Sequence[Any]) -> Fraction | None:
    """Share of the reference below, half of the ties with it."""
    if value is None or not reference:
        return None
    below, equal = sum(r < value for r in reference), sum(r == value for r in reference)
    return Fraction(2 * below + equal, 2 * len(reference))


def potential_index(
    ranks: Mapping[str, Any], weights: Mapping[str, Any]
) -> tuple[Fraction | None, str | None]:
    """Weighted mean of the ranks that there are, and their names."""
    there = [c for c in COMPONENTS if ranks.get(c) is not None and weights[c] > 0]
    total = sum((Fraction(weights[c]) for c in there), ZERO)
    if not total:
        return None, None
    index = sum((Fraction(weights[c]) * Fraction(ranks[c]) for c in there), ZERO) / total
    return index, "_".join(there)


def entropy_weights(rows: Sequence[Sequence[Any]]) -> list[float]:
    """Weights of components by how much they tell apart: a row a customer that has all of them."""
    if not rows:
        raise ValueError("no customers")
    size, n = len(rows[0]), len(rows)
    tells = []
    for place in range(size):
        total = sum(float(row[place]) for row in rows)
        shares = [float(row[place]) / total for row in rows] if total else []
        entropy = -sum(p * log(p) for p in shares if p > 0) / log(n) if n > 1 and shares else 1.0
        tells.append(1 - entropy)
    if sum(tells) <= 1e-12:
        return [1 / size] * size
    return [t / sum(tells) for t in tells]


RANDOM_INDEX = ("0", "0", ".58", ".90", "1.12", "1.24", "1.32", "1.41", "1.45", "1.49")


def ahp_weights(matrix: Sequence[Sequence[Any]]) -> tuple[list[float], float]:
    """Weights (principal right eigenvector, by power iteration) and consistency ratio; refused above 0.1."""
    rows = [[Fraction(value) for value in row] for row in matrix]
    n, grid = len(rows), 10**30
    weights = [Fraction(1, n)] * n
    for _ in range(1000):
        product = [sum((a * w for a, w in zip(row, weights, strict=True)), ZERO) for row in rows]
        new = [Fraction(round(p / sum(product) * grid), grid) for p in product]
        moved, weights = max(abs(a - b) for a, b in zip(new, weights, strict=True)), new
        if moved < Fraction(1, 10**25):
            break
    largest = sum(
        sum((a * w for a, w in zip(row, weights, strict=True)), ZERO) / weights[i]
        for i, row in enumerate(rows)
    ) / Fraction(n)
    index = Fraction(RANDOM_INDEX[n - 1])
    ratio = float((largest - n) / (n - 1) / index) if index else 0.0
    if ratio > 0.1:
        raise ValueError(f"inconsistent: {ratio}")
    return [float(w) for w in weights], ratio


# Balance annuity


@dataclass(frozen=True)
class Survival:
    """A Kaplan-Meier curve: what is left after each day on which something closed."""

    steps: tuple[tuple[int, Fraction], ...]
    holdings: int
    closures: int

    def at(self, days: Fraction) -> Fraction:
        """Share still open after so many days; the last value stands for ever."""
        left = Fraction(1)
        for day, share in self.steps:
            if day <= days:
                left = share
        return left


def kaplan_meier(holdings: Iterable[Holding], as_of: date) -> Survival:
    """Survival of holdings: those that end on a day are at risk on it."""
    lives = [
        (((h.closed_on or as_of) - h.opened_on).days, h.closed_on is not None)
        for h in holdings
        if h.opened_on is not None
    ]
    left, steps = Fraction(1), []
    for day in sorted({length for length, closed in lives if closed}):
        at_risk = sum(length >= day for length, _ in lives)
        left *= 1 - Fraction(sum(length == day and closed for length, closed in lives), at_risk)
        steps.append((day, left))
    return Survival(tuple(steps), len(lives), sum(closed for _, closed in lives))


@dataclass(frozen=True)
class Curves:
    """The curves of a bank. READING: the pooled one needs the same minimum as that of a product."""

    pooled: Survival | None
    by_product: Mapping[str | None, Survival]

    def of(self, product: str | None) -> Survival | None:
        """The product's, else the pooled one."""
        return self.by_product.get(product, self.pooled)


def curves_of(world: World) -> Curves:
    """Kaplan-Meier by product and over all."""
    terms = world.bank.terms
    groups: dict[str | None, list[Holding]] = defaultdict(list)
    for rows in world.holdings.values():
        for holding in rows:
            groups[holding.product_type].append(holding)

    def enough(curve: Survival) -> bool:
        return curve.holdings >= terms.minimum_holdings and curve.closures >= terms.minimum_closures

    pooled = kaplan_meier([h for rows in groups.values() for h in rows], world.bank.as_of)
    curves = {product: kaplan_meier(rows, world.bank.as_of) for product, rows in groups.items()}
    return Curves(
        pooled if enough(pooled) else None,
        {product: curve for product, curve in curves.items() if product is not None and enough(curve)},
    )


def annuity(month: Fraction, age: int, curve: Survival, discount: float) -> float:
    """Twelve monthly margins, each by the chance that the holding is still there, discounted."""
    now = curve.at(Fraction(age))
    if not now:
        return 0.0
    step = Fraction(36525, 1200)
    left = [float(month * curve.at(age + k * step) / now) for k in range(1, 13)]
    return float(sum(value * (1 + discount) ** (-k / 12) for k, value in enumerate(left, 1)))


def balance_annuity(world: World, who: str, series: Sequence[Series], curves: Curves) -> float | None:
    """The next twelve months of a customer's standing balances.

    READING: the rate is that of the series' product (the holding's, where the row does not tell), the curve
    that of the holding's product. What stands on an account that no open holding names, or at customer level
    without an open holding (no age), earns no annuity. Without any curve it is unknown for everybody.
    """
    bank = world.bank
    if not bank.has("balances", "holdings", "rates") or curves.pooled is None:
        return None
    opened = {h.account_id: h for h in open_holdings(world.holdings.get(who, [])) if h.opened_on is not None}
    total = 0.0
    for one in series:
        if one.position is None:
            continue
        row, month = one.position, ZERO
        for column, otherwise in OTHERWISE.items():
            rate = rate_in_force(world.rates, one.product_type, otherwise, bank.as_of)
            if rate is not None:
                month += row.amount(column) * margin(rate, column) / 12
        if one.account_id is None:
            starts = [h.opened_on for h in opened.values() if h.opened_on is not None]
            start, curve = min(starts, default=None), curves.pooled
        else:
            holding = opened.get(one.account_id)
            start = holding.opened_on if holding else None
            curve = curves.of(holding.product_type if holding else None) or curves.pooled
        if start is not None:
            total += annuity(month, (bank.as_of - start).days, curve, bank.terms.discount)
    return total


# Deposit tiers


def month_end(year: int, month: int) -> date:
    """The last day of a month."""
    return date(year, month, monthrange(year, month)[1])


def complete_months(first: date, as_of: date, frontier: date) -> list[date]:
    """Last days of the months from that of `first` to the last that is complete by the day.

    READING: a month of which the bank has told nothing yet is none.
    """
    found = []
    end = month_end(first.year, first.month)
    while end <= as_of and end.replace(day=1) <= frontier:
        found.append(end)
        following = end + timedelta(1)
        end = month_end(following.year, following.month)
    return found


def month_balance(series: Sequence[Series], end: date, terms: BankTerms) -> tuple[Fraction, str]:
    """Average daily deposits of a month observed daily, else what stands on its last day.

    READING: twenty different days on which the customer has an observation, on whatever account.
    """
    days = window_days(end, end.day)
    observed = {row.date for s in series for row in s.observations}
    if sum(day in observed for day in days) < terms.daily_observations:
        return latest(series, end, "deposit_balance"), "MONTH_END"
    total = sum(
        (row.amount("deposit_balance") * n for s in series for row, n in standing_days(s, days)), ZERO
    )
    return total / end.day, "DAILY"


def raw_tier(balance: Fraction, bounds: Sequence[int]) -> int:
    """The highest tier whose bound the balance reaches."""
    return sum(balance >= bound for bound in bounds)


def replay(raws: Sequence[int], preset: Preset, into_next_month: bool) -> tuple[int, str, int]:
    """Tier, status and months below, in force on the day, by replaying the complete months.

    READING: the first month is entered as ORDINARY. With a lag, rises and falls alike take force on the first
    day of the next month ("up next month", "down in month 4"): on any day of that month but not on the last
    day of the month that earned them (`into_next_month`: the day lies after the last complete month). With no
    lag both take force in the month itself. A fall sets the months below to zero when it takes force.
    """
    tier, misses, pending = 0, 0, None
    for place, raw in enumerate(raws):
        if pending is not None:
            tier, misses, pending = pending, 0, None
        if raw > tier:
            misses = 0
            if preset.upgrade_lag_months:
                pending = raw
            else:
                tier = raw
        elif raw < tier:
            misses += 1
            patience = preset.downgrade_after[tier]
            if misses >= patience:
                pending = (
                    raw if preset.downgrade_to == "last" else max(raws[place + 1 - patience : place + 1])
                )
        else:
            misses = 0
    if pending is not None and into_next_month:
        tier, misses = pending, 0
    watched = preset.watch_after is not None and misses >= preset.watch_after
    return tier, "WATCH" if watched else "NORMAL", misses


def deposit_tier(series: Sequence[Series], as_of: date, frontier: date, terms: BankTerms) -> dict[str, Any]:
    """The published columns of the tiers.

    READING: a customer without a balance in a complete month, where others have one, held nothing then: zero,
    ORDINARY, by the month-end proxy.
    """
    first = min((row.date for s in series for row in s.observations), default=as_of + timedelta(1))
    ends = complete_months(first, as_of, frontier)
    months = [month_balance(series, end, terms) for end in ends] or [(ZERO, "MONTH_END")]
    raws = [raw_tier(balance, terms.tier_bounds) for balance, _ in months]
    into_next = not ends or as_of > ends[-1]
    tier, status, misses = replay(raws, PRESETS[terms.preset], into_next)
    return {
        "deposit_tier": TIERS[tier],
        "deposit_tier_raw": TIERS[raws[-1]],
        "deposit_tier_status_code": status,
        "deposit_months_below": misses,
        "deposit_adb": cents(months[-1][0]),
        "deposit_basis": months[-1][1],
    }


# The state machine


@dataclass(frozen=True)
class Situation:
    """What the rules look at. `products` is None where holdings are not known."""

    facts: Facts | None
    has_relationship: bool
    relationship_days: int | None
    closed_days: int | None
    debts_settled: bool
    live: bool
    balances_falling: bool
    products: int | None
    product_opened: bool
    contacted: bool


def gone_silent(s: Situation) -> bool:
    """Had a purchase, and no more for longer than the churn gap."""
    return s.facts is not None and s.facts.silence > s.facts.churn_gap


def is_terminated(s: Situation, terms: BankTerms) -> bool:
    """READING: who has only held is silent since the last closing."""
    silence = s.facts.silence if s.facts is not None else s.closed_days
    return s.has_relationship and silence is not None and silence >= terms.terminated_days and s.debts_settled


def is_mature(s: Situation, terms: BankTerms) -> bool:
    """Steady use for a year, of two products where that is known, that pays."""
    f, t = s.facts, terms.purchases
    if f is None or s.relationship_days is None:
        return False
    p = f.dispersion_p
    return (
        s.relationship_days >= t.mature_days
        and sum(count > 0 for count in f.months) >= t.mature_months
        and f.silence <= max(Fraction(t.mature_silence), t.mature_multiple * (f.own_gap or ZERO))
        and ((p is not None and p >= t.level) or f.variation_at_most(t.variation))
        and (s.products is None or s.products >= 2)
        and f.contribution_window > 0
    )


Rule = Callable[[Situation, BankTerms], bool]
# READING: rules 4 and 6 do not ask for a relationship; who is known by balances alone can be DECLINING or a
# HOLDER. Falling balances count at any silence. "Within 90 days" is fewer than 90 days ago.
RULES: tuple[tuple[str, Rule], ...] = (
    ("TERMINATED", is_terminated),
    ("REACTIVATED", lambda s, t: s.facts is not None and s.facts.returned),
    ("CHURNED", lambda s, t: gone_silent(s) and not s.live),
    (
        "DECLINING",
        lambda s, t: (s.facts is not None and oracle._declining(s.facts, t.purchases)) or s.balances_falling,
    ),
    ("NEW", lambda s, t: s.relationship_days is not None and s.relationship_days < t.purchases.new),
    ("HOLDER", lambda s, t: s.live and (s.facts is None or gone_silent(s))),
    ("ONE_TIME", lambda s, t: s.facts is not None and len(s.facts.ago) == 1),
    ("MATURE", is_mature),
    (
        "GROWING",
        lambda s, t: (s.facts is not None and oracle._growing(s.facts, t.purchases)) or s.product_opened,
    ),
    ("ACTIVE", lambda s, t: s.has_relationship),
    ("CONTACTED", lambda s, t: s.contacted),
    ("PROSPECT", lambda s, t: True),
)


def rules_met(s: Situation, terms: BankTerms) -> list[str]:
    """All the rules that a customer meets on their own, in their order; the first is the state."""
    return [state for state, rule in RULES if rule(s, terms)]


def labels_of(state: str, facts: Facts | None, paid_back: bool) -> dict[str, str]:
    """The four label systems; the growth period is earned by income."""
    labels = dict(zip(oracle.LABEL_SYSTEMS, oracle.LABELS[state], strict=True))
    if state in ("REACTIVATED", "HOLDER", "GROWING", "ACTIVE"):
        labels["icbc6"] = "GROWTH" if paid_back else "DEVELOPMENT"
    if state == "NEW":
        repeated = facts is not None and len(facts.ago) > 1
        labels["icbc6"] = "GROWTH" if repeated and paid_back else "DEVELOPMENT"
    return labels


def marketing_allowed(customer: Customer | None) -> bool | None:
    """Consent, and no objection by the day. READING: an objection forbids whether or not consent is known."""
    if customer is not None and customer.opted_out_on is not None:
        return False
    return None if customer is None else customer.marketing_consent


# One customer, then all


def situation_of(world: World, who: str, series: Sequence[Series]) -> Situation:
    """What the state machine looks at."""
    bank = world.bank
    days, holdings = world.purchase_days.get(who, {}), world.holdings.get(who, [])
    start = relationship_start(days, holdings)
    return Situation(
        facts=oracle.facts_of(days, bank.as_of, bank.terms.purchases) if days else None,
        has_relationship=bool(days or holdings),
        relationship_days=None if start is None else (bank.as_of - start).days,
        closed_days=closed_days(holdings, bank.as_of),
        debts_settled=debts_settled(world, who, series),
        live=live(world, who, series),
        balances_falling=balances_falling(series, bank.as_of, bank.terms),
        products=products_held(holdings) if bank.has("holdings") else None,
        product_opened=product_opened(holdings, start, bank.as_of, bank.terms.product_days),
        contacted=contacted(world, who),
    )


Answer = dict[str, Any]


def current_value(world: World, who: str, series: Sequence[Series], s: Situation) -> Answer:
    """The four parts, their sum and what went in; `reasons` says why a part is missing.

    `exact` holds the unrounded numbers, for who wants to know how near to half a cent they are.
    READING: averages and covered days are told of everybody, the value only of who has a relationship. The
    sum is rounded once, so it may differ by a cent from the sum of the rounded parts.
    """
    bank = world.bank
    days = window_days(bank.as_of, bank.terms.purchases.window)
    exact: dict[str, Fraction | None] = {}
    reasons: dict[str, str] = {}
    missing: int | None = None
    with_balances = bank.has("balances", "rates")
    start = relationship_start(world.purchase_days.get(who, {}), world.holdings.get(who, []))
    known = s.has_relationship and start is not None
    names = ("asset_value_12m", "liability_value_12m", "intermediary_value_12m", "cost_12m", "current_value")
    exact |= dict.fromkeys(names)
    if known and start is not None:
        if with_balances:
            asset, no_loan_rate = balance_income(world.rates, series, days, "loan_balance")
            liability, no_deposit_rate = balance_income(world.rates, series, days, "deposit_balance")
            exact |= {"asset_value_12m": asset, "liability_value_12m": liability}
            missing = len(no_loan_rate | no_deposit_rate)
        window = s.facts.contribution_window if s.facts else ZERO
        intermediary = window + world.fees.get(who, ZERO)
        exact["intermediary_value_12m"] = intermediary
        if bank.has("costs"):
            exact["cost_12m"] = cost_12m(world, start, days, last_costly_day(world, s))
        exact["current_value"] = (
            (exact["asset_value_12m"] or ZERO)
            + (exact["liability_value_12m"] or ZERO)
            + intermediary
            - (exact["cost_12m"] or ZERO)
        )
    if not with_balances:
        why = "NO_RATES" if bank.has("balances") else "NO_BALANCES"
        reasons |= {"asset_value_12m": why, "liability_value_12m": why}
    if not bank.has("costs"):
        reasons["cost_12m"] = "NO_COSTS"
    for name, column in zip(("deposit", "loan", "investment"), AMOUNTS, strict=True):
        key = f"average_{name}_12m"
        exact[key] = average(series, days, column) if tells(world, column) else None
        if exact[key] is None:
            reasons[key] = "NOT_DELIVERED" if bank.has("balances") else "NO_BALANCES"
    for name, column in (("asset_value_12m", "loan_balance"), ("liability_value_12m", "deposit_balance")):
        if name not in reasons and not tells(world, column):
            exact[name], reasons[name] = None, "NOT_DELIVERED"
    basis = "CONTRIBUTION" + "_BALANCES" * with_balances + "_COSTS" * bank.has("costs")
    return {
        **{name: None if value is None else cents(value) for name, value in exact.items()},
        "current_value_basis": basis if known else None,
        "balance_covered_days": covered_days(series, days) if bank.has("balances") else None,
        "rates_missing_days": missing,
        "exact": exact,
        "reasons": reasons,
    }


def tells(world: World, column: str) -> bool:
    """READING: an amount that no balance of the last year tells is not known of anybody."""
    bank = world.bank
    if not bank.has("balances"):
        return False
    rows = standing_by_key(known_rows(bank.tables["balances"], bank.known_at))
    year = (bank.as_of - timedelta(364), bank.as_of)
    return any(year[0] <= row.date <= year[1] and getattr(row, column) is not None for row in rows)


def holdings_columns(world: World, who: str, series: Sequence[Series]) -> Answer:
    """Products, mobile accounts, financial assets.

    READING: one open holding whose `is_mobile` is not dated or not told makes the number of mobile accounts
    unknown; and who holds nothing has none only where somebody's is known.
    """
    bank = world.bank
    found: Answer = {
        "products_held": None, "mobile_accounts": None, "financial_asset_accounts": None,
        "latest_deposits": None, "latest_loans": None, "latest_investments": None, "financial_assets": None,
    }  # fmt: skip
    if bank.has("holdings"):
        opened = open_holdings(world.holdings.get(who, []))
        found["products_held"] = products_held(opened)
        known = standing_by_key(known_rows(bank.tables["holdings"], bank.known_at))
        begun = [h for h in known if h.opened_on <= bank.as_of]
        told = any(h.is_mobile is not None and attributes_stand(h, bank) for h in begun)
        if told and all(attributes_stand(h, bank) and h.is_mobile is not None for h in opened):
            found["mobile_accounts"] = sum(h.is_mobile is True for h in opened)
        found["financial_asset_accounts"] = sum(h.product_type in bank.terms.asset_types for h in opened)
    if bank.has("balances"):
        for name, column in zip(("deposits", "loans", "investments"), AMOUNTS, strict=True):
            found[f"latest_{name}"] = cents(position(series, column)) if tells(world, column) else None
        assets = [found[f"latest_{name}"] for name in ("deposits", "investments")]
        if any(one is not None for one in assets):
            found["financial_assets"] = sum(one or 0 for one in assets)
    return found


def payback(world: World, who: str, s: Situation) -> Answer:
    """Whether income has passed what was put in; without costs, whether there is any income."""
    start = relationship_start(world.purchase_days.get(who, {}), world.holdings.get(who, []))
    income = s.facts.contribution_total if s.facts else ZERO
    if not world.bank.has("costs"):
        return {"paid_back": income > 0, "payback_reached": None, "payback_reason": "NO_COSTS"}
    if start is None:
        return {"paid_back": False, "payback_reached": None, "payback_reason": None}
    reached = income > cumulative_cost(world, start, last_costly_day(world, s))
    return {"paid_back": reached, "payback_reached": reached, "payback_reason": None}


def attributes(world: World, who: str) -> Answer:
    """Attributes of the customer, and whether marketing is allowed."""
    row = world.customers.get(who)
    found: Answer = {column: getattr(row, column) if row else None for column in UNDATED["customers"]}
    found["attributes_reason"] = "NOT_DATED" if row and not attributes_stand(row, world.bank) else None
    allowed = marketing_allowed(row)
    return {
        **found,
        "marketing_allowed": allowed,
        "marketing_reason": "NO_CONSENT_DATA" if allowed is None else None,
    }


def no_month(world: World) -> bool:
    """READING: no tier before the first month of balances is complete, nor where none tells deposits."""
    if not tells(world, "deposit_balance"):
        return True
    days = {row.date for rows in world.balances.values() for row in rows}
    return not any(
        (day.replace(day=1) + timedelta(32)).replace(day=1) - timedelta(1) <= world.bank.as_of for day in days
    )


def answer_of(world: World, who: str, curves: Curves) -> Answer:
    """The published columns of one customer that depend on its own rows (and the curves) alone."""
    bank = world.bank
    series = series_of(world, who)
    s = situation_of(world, who, series)
    met = rules_met(s, bank.terms)
    paid = payback(world, who, s)
    days = world.purchase_days.get(who, {})
    start = relationship_start(days, world.holdings.get(who, []))
    age = s.relationship_days
    none = dict.fromkeys(
        ("deposit_tier", "deposit_tier_raw", "deposit_tier_status_code", "deposit_months_below",
         "deposit_adb", "deposit_basis")
    )  # fmt: skip
    earns = balance_annuity(world, who, series, curves) if s.has_relationship else None
    return {
        **oracle.customer(days, bank.as_of, bank.terms.purchases),
        **current_value(world, who, series, s),
        **holdings_columns(world, who, series),
        **(none if no_month(world) else deposit_tier(series, bank.as_of, world.frontier, bank.terms)),
        **paid,
        **attributes(world, who),
        "customer_id": who,
        "has_relationship": s.has_relationship,
        "relationship_start": start,
        "relationship_days": age,
        "is_new": age is not None and age <= bank.terms.purchases.new,
        "is_existing": age is not None and age > bank.terms.purchases.new and met[0] != "TERMINATED",
        "live": s.live,
        "debts_settled": s.debts_settled,
        "balances_falling": s.balances_falling,
        "product_opened": s.product_opened,
        "contacted": s.contacted,
        "balance_annuity_12m": earns,
        "lifecycle_state": met[0],
        "rules_met": met,
        "on_the_edge": oracle.on_the_edge(s.facts, bank.terms.purchases),
        **labels_of(met[0], s.facts, paid["paid_back"]),
    }


RANKED = {"PRODUCTS": "products_rank", "MOBILE": "mobile_rank", "ASSETS": "assets_rank"}


def rank_columns(
    people: Mapping[str, Answer], terms: BankTerms, residual: Mapping[str, Any]
) -> dict[str, Answer]:
    """Ranks among customers with a relationship, the index and its basis; prospects have none."""
    source = {
        "PRODUCTS": "products_held",
        "MOBILE": "mobile_accounts",
        "ASSETS": "financial_assets" if terms.assets == "amount" else "financial_asset_accounts",
    }
    related = [p for p in people.values() if p["has_relationship"]]
    reference = {c: [p[column] for p in related if p[column] is not None] for c, column in source.items()}
    found: dict[str, Answer] = {}
    for who, person in people.items():
        ranks: dict[str, Any] = dict.fromkeys(COMPONENTS)
        if person["has_relationship"]:
            ranks = {c: mid_rank(person[column], reference[c]) for c, column in source.items()}
            ranks["RESIDUAL_CLV"] = residual.get(who)
        index, basis = potential_index(ranks, terms.weights)
        found[who] = {
            **{column: ranks[c] for c, column in RANKED.items()},
            "residual_clv_rank": ranks["RESIDUAL_CLV"],
            "potential_index": index,
            "potential_basis": basis,
        }
    return found


def quadrant_of(current: Any, potential: Any, current_theta: Any, potential_theta: Any) -> str | None:
    """High is at or above the threshold, and above zero."""
    if None in (current, potential, current_theta, potential_theta):
        return None
    now = current >= current_theta and current > 0
    later = potential >= potential_theta and potential > 0
    return {
        (True, True): "BEST", (True, False): "GENERAL", (False, True): "SECOND_BEST",
        (False, False): "LOW_VALUE",
    }[now, later]  # fmt: skip


def future_value(clv: Money, earned: float | None, has_purchase: bool) -> Answer:
    """The two sources of future value, and which of them there are.

    READING: who has bought, and whose purchases cannot be valued, has none: the annuity alone would be too
    little.
    """
    parts = [name for name, value in (("CLV", clv), ("ANNUITY", earned)) if value is not None]
    if not parts or (has_purchase and clv is None):
        return {"future_value_12m": None, "future_value_basis": None}
    total = Fraction(clv or 0) + Fraction(earned or 0)
    return {"future_value_12m": cents(total), "future_value_basis": "_".join(parts)}


def answers(
    bank: Bank,
    residual: Mapping[str, Any] | None = None,
    clv: Mapping[str, Money] | None = None,
) -> dict[str, Answer]:
    """Everything, by customer; what the models say is given, by customer, or left out.

    READING: the thresholds of the quadrants are medians of the rounded current value and of the index, over
    customers with a relationship.
    """
    world = world_of(bank)
    curves = curves_of(world)
    people = {who: answer_of(world, who, curves) for who in world.names}
    ranks = rank_columns(people, bank.terms, residual or {})
    related = [who for who in people if people[who]["has_relationship"]]
    now = oracle.median(
        [people[w]["current_value"] for w in related if people[w]["current_value"] is not None]
    )
    later = oracle.median(
        [ranks[w]["potential_index"] for w in related if ranks[w]["potential_index"] is not None]
    )
    for who, person in people.items():
        person.update(ranks[who])
        person["quadrant"] = quadrant_of(person["current_value"], person["potential_index"], now, later)
        person["is_potential"] = (
            None
            if person["potential_index"] is None
            else person["potential_index"] >= later and person["potential_index"] > 0
        )
        has_purchase = person["frequency"] is not None
        person.update(future_value((clv or {}).get(who), person["balance_annuity_12m"], has_purchase))
    return people


def near_half_cent(value: Fraction | None, within: Fraction = Fraction(1, 10**6)) -> bool:
    """Whether a sum kept to eight decimals may round the other way."""
    if value is None:
        return False
    rest = abs(value) * 100 % 1
    return abs(rest - Fraction(1, 2)) <= within * 100


def without(bank: Bank, *names: str) -> Bank:
    """The same bank without some extracts."""
    return replace(bank, tables={n: t for n, t in bank.tables.items() if n not in names})


def transactions_alone(bank: Bank) -> Bank:
    """The same bank with its transactions only."""
    return without(bank, *(name for name in TABLES if name != "transactions"))
