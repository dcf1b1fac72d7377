"""Small banks from a seed: all nine tables, as real deliveries bring them, with their files and config."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import strategies as st

from .bank_truth import (
    CLASSES,
    COMPONENTS,
    PRESETS,
    TABLES,
    Balance,
    Bank,
    BankTerms,
    Contact,
    Cost,
    Customer,
    Delivered,
    Event,
    Holding,
    Rate,
    Survey,
    Table,
    Transaction,
    month_end,
)
from .brute_force import Terms
from .generators import LEAP_DAYS, random_history

RATES: dict[str, str | None] = {"FEE": None, "INTEREST": None, "CARD": "0.013", "LOSS": "-0.5"}
CHANNELS = ("", "", "APP", "BRANCH", "CALL")
DEPOSIT_PRODUCTS = ("SAVINGS", "SAVINGS", "TERM")
ASSET_PRODUCTS = ("WEALTH", "FUND")
LOAN_PRODUCTS = ("MORTGAGE", "CREDIT")
LEVELS = ("0", "0.01", "900", "999.99", "1000", "20000", "49999.99", "50000", "80000", "600000", "7000000")
SWINGS = ("1000", "60000", "60000", "700000", "6000000")
TRANSACTION_COLUMNS = (
    "transaction_id", "customer_id", "posted_at", "amount", "transaction_type", "channel", "currency",
    "fee_amount", "reverses_id",
)  # fmt: skip
DATED_PATTERN = r"_(?P<date>\d{8})"


class Bankers:
    """Makes the rows of a bank, before anything is said of their delivery."""

    def __init__(self, random: Random, as_of: date) -> None:
        self.random, self.as_of = random, as_of
        self.rows: dict[str, list[Any]] = {name: [] for name in TABLES}
        self.known: list[str] = []  # accounts there are, for rows that name the account of another

    def day(self, ago: int) -> date:
        """The day so many days before."""
        return self.as_of - timedelta(ago)

    def chance(self, share: float) -> bool:
        """True that often."""
        return self.random.random() < share

    def moment(self, ago: int) -> datetime:
        """A moment of that day, midnight more often than not."""
        midnight = datetime.combine(self.day(ago), datetime.min.time())
        return midnight + timedelta(seconds=self.random.choice((0, 0, 1, 43200, 86399)))

    def amount(self, high: int) -> str:
        """A positive amount with cents."""
        return f"{self.random.randrange(1, high)}.{self.random.randrange(100):02d}"

    # Purchases

    def purchases(self, who: str, ago: Iterable[int], *, high: int = 200, sign: str = "") -> None:
        """Events on these days; some with fees, some reversed in part or whole, with what is no purchase."""
        for number, back in enumerate(ago):
            name = f"{who}-{number}"
            amount = self.amount(high)
            kind = self.random.choice(("", "", "SHOP", "CARD")) if not sign else ""
            fee = self.random.choice(("", "", "0.35", "-0.20"))
            channel = self.random.choice(CHANNELS)
            self.transaction(name, who, back, f"{sign}{amount}", kind, fee, channel)
            if self.chance(0.02):
                part = self.random.choice((amount, f"{Decimal(amount) / 4:.2f}"))
                self.transaction(f"{name}-r", who, max(back - 2, -3), f"-{part}", kind, "-0.10", "", name)

    def other_events(self, who: str) -> None:
        """Fees and interest: no purchases."""
        for number in range(self.random.randrange(1, 4)):
            name, back = f"{who}-x{number}", self.random.randrange(-5, 500)
            kind = self.random.choice(("FEE", "INTEREST"))
            self.transaction(
                name, who, back, "3.00", kind, self.random.choice(("", "1.25", "4.99")), "BRANCH"
            )
            if self.chance(0.2):
                undone = self.random.choice(("3.00", "1.00"))
                self.transaction(f"{name}-r", who, back - 1, undone, "", "-0.50", "", name)

    def transaction(
        self,
        name: str,
        who: str,
        back: int,
        amount: str,
        kind: str,
        fee: str,
        channel: str,
        reverses: str = "",
    ) -> None:
        """One row, on that day."""
        self.rows["transactions"].append(
            Transaction(who, str(self.day(back)), amount, kind, fee, reverses, name, channel=channel)
        )

    def history(self, kind: str) -> list[int]:
        """Days ago of the purchases of a kind of customer."""
        r = self.random
        if kind == "once":
            return [r.choice((5, 89, 90, 91, 120, 179, 180, 181, 300, 364, 365, 400))]
        if kind == "steady":
            step = r.choice((7, 14, 30))
            return list(range(r.choice((364, 365, 400, 730, 1100)), r.randrange(step), -step))
        if kind == "halving":
            return [*range(r.randrange(456, 700), 90, -3), *range(89, 0, -r.choice((6, 9)))]
        if kind == "rising":
            return [*range(560, 180, -10), *range(179, 0, -r.choice((3, 5)))]
        if kind == "stopped":
            last, step = r.choice((70, 95, 150, 181, 240, 364, 365, 366, 500)), r.choice((10, 30))
            return list(range(last + step * r.randrange(3, 15), last - 1, -step))
        if kind == "returned":
            back = r.randrange(0, 89)
            return [*range(back + 300, back + 180, -20), *range(back, -1, -30)]
        if kind == "burst":
            return sorted(r.sample(range(60), r.randrange(2, 11)), reverse=True)
        if kind == "negative":
            return list(range(610, 5, -30))
        return random_history(r)

    # Holdings and balances

    def holding(self, who: str, products: Sequence[str], opened: int, closed: int | None = None) -> Holding:
        """An account."""
        account = f"{who}/{len(self.known)}"
        self.known.append(account)
        product = self.random.choice(products)
        made = Holding(
            who,
            account,
            product,
            self.day(opened),
            self.day(self.random.randrange(-700, min(0, opened))) if product == "TERM" else None,
            None if closed is None else self.day(closed),
            self.random.choice((True, False, False, None)),
            self.day(self.random.randrange(-5, opened)) if self.chance(0.5) and opened > 0 else None,
            self.random.choice((0, 0, 0, 1, 45, None)) if product in LOAN_PRODUCTS else None,
        )
        self.rows["holdings"].append(made)
        return made

    def observed(self, oldest: int) -> list[date]:
        """Days of observation: month-ends, days, both, with gaps; some after the day, not to be seen."""
        r = self.random
        style = r.choice(("month", "month", "month", "daily", "mixed", "gaps", "ended"))
        days: set[date] = set()
        back = oldest
        while style != "daily" and back > -40:
            end = month_end(self.day(back).year, self.day(back).month)
            days.add(end)
            back = (self.as_of - end).days - 1
        if style in ("daily", "mixed"):
            last = r.choice((0, 0, 3, 20))
            days |= {self.day(b) for b in range(last, r.choice((25, 62, 120)))}
        if style == "gaps":
            days -= set(r.sample(sorted(days), len(days) // 3))
            days |= {self.day(r.randrange(0, oldest + 1)) for _ in range(4)}
        if style == "ended":
            last = r.randrange(0, 200)
            days = {day for day in days if (self.as_of - day).days >= last}
        return sorted(days)

    def path(self, days: Sequence[date]) -> list[Decimal]:
        """A balance by day, constant within a calendar month unless it breaks."""
        r = self.random
        kind = r.choice(("flat", "flat", "fall", "drop", "swing", "misses", "rise", "negative"))
        level = Decimal(r.choice(LEVELS))
        turn = self.day(r.choice((60, 89, 90, 91, 120, 150)))
        missed = r.randrange(1, 8)
        by_month: dict[tuple[int, int], Decimal] = {}
        values = []
        for day in days:
            months = (self.as_of.year - day.year) * 12 + self.as_of.month - day.month
            value = level
            if kind in ("fall", "drop") and day >= turn:
                value = level * (Decimal("0.4") if kind == "drop" else Decimal("0.7"))
            elif kind == "swing":
                value = by_month.setdefault((day.year, day.month), Decimal(r.choice(SWINGS)))
            elif kind == "misses":
                high, low = (Decimal(x) for x in (("700000", "60000"), ("60000", "100"))[level < 50000])
                value = low if months < missed else high
            elif kind == "rise":
                value = level + 1000 * max(0, 24 - months)
            elif kind == "negative" and months % 5 == 0:
                value = Decimal("-120.55")
            values.append(value.quantize(Decimal("0.01")))
        return values

    def balances(self, who: str, holding: Holding | None, oldest: int) -> None:
        """The rows of an account, or of the customer as a whole."""
        r = self.random
        column = "deposit_balance"
        if holding and holding.product_type in LOAN_PRODUCTS:
            column = "loan_balance"
        elif holding and holding.product_type in ASSET_PRODUCTS:
            column = "investment_value"
        elif not holding:
            column = r.choice(("deposit_balance", "deposit_balance", "investment_value"))
        days = self.observed(oldest)
        if holding and holding.closed_on and self.chance(0.8):
            days = [day for day in days if day <= holding.closed_on]
        flows = r.choice(("moved", "moved", "still", "unknown", "some"))
        product = holding.product_type if holding else r.choice((None, None, "SAVINGS"))
        tells = self.chance(0.7)
        before: Decimal | None = None
        for day, value in zip(days, self.path(days), strict=True):
            change = value - before if before is not None else Decimal(0)
            flow = {"moved": change, "still": Decimal(0), "unknown": None}.get(flows, change / 2)
            if flows == "some" and self.chance(0.1):
                flow = None
            amounts: dict[str, Any] = {column: value}
            if not holding and self.chance(0.05):
                amounts["loan_balance"] = Decimal("5000.00")
            self.rows["balances"].append(
                Balance(
                    who,
                    day,
                    **amounts,
                    net_flow=None if flow is None else flow.quantize(Decimal("0.01")),
                    account_id=holding.account_id if holding else None,
                    product_type=product if tells else None,
                )
            )
            before = value

    def relations(self, who: str, kind: str) -> None:
        """Holdings and balances of a kind of customer."""
        r = self.random
        old = r.choice((30, 89, 90, 91, 200, 365, 500, 800, 1200))
        if kind == "by_customer":
            self.balances(who, None, r.choice((100, 400, 500)))
            if self.chance(0.5):
                self.holding(who, DEPOSIT_PRODUCTS, old)
        elif kind == "loan":
            self.balances(who, self.holding(who, LOAN_PRODUCTS, old), min(old, 500))
        elif kind == "closed":
            closed = r.choice((0, 10, 100, 400, -10))
            held = self.holding(who, DEPOSIT_PRODUCTS, max(old, closed) + 5, closed)
            self.balances(who, held, 500)
        else:
            count = {"one": 1, "two": 2, "several": 4}[kind]
            for number in range(count):
                products = r.choice((DEPOSIT_PRODUCTS, DEPOSIT_PRODUCTS, ASSET_PRODUCTS, ("CARD",)))
                opened = old if number == 0 or self.chance(0.5) else r.choice((10, 100, 179, 180, 181, -5))
                held = self.holding(who, products, opened)
                if held.product_type != "CARD" and self.chance(0.8):
                    self.balances(who, held, r.choice((opened, 480)) if opened > 0 else 60)
            if self.chance(0.2):  # customer-level rows as well, on days of account rows among others
                self.balances(who, None, 200)
        if self.known and self.chance(0.05):
            other = r.choice(self.known)
            if not other.startswith(f"{who}/"):
                self.rows["balances"].append(
                    Balance(who, self.day(3), Decimal("777.00"), account_id=other, product_type="SAVINGS")
                )

    # Contacts, events, surveys, attributes

    def encounters(self, who: str, campaigns: int) -> None:
        """Campaigns with a control group, events, surveys."""
        r = self.random
        for campaign in range(r.randrange(1, campaigns + 1)):
            back = r.randrange(-5, 300)
            control = self.chance(0.3)
            reached = not control and self.chance(0.6)
            self.rows["contacts"].append(
                Contact(
                    f"C{campaign}",
                    who,
                    self.moment(back),
                    None if control else r.choice(("SMS", "CALL")),
                    r.choice((reached, reached, None)),
                    reached and self.chance(0.4),
                    self.moment(back - r.randrange(1, 20)) if self.chance(0.2) else None,
                    control,
                )
            )
        for _ in range(r.randrange(0, 3)):
            code = r.choice(("APPLICATION", "CALL_IN", "COMPLAINT", "APP_LOGIN", "CREDIT_CHECK"))
            self.rows["events"].append(Event(who, self.moment(r.randrange(-5, 400)), code))
        if self.chance(0.3):
            score, liked = r.randrange(11), r.choice((None, 0, 80, 100))
            self.rows["surveys"].append(Survey(who, self.day(r.randrange(-5, 300)), score, liked))

    def person(self, who: str, known: Sequence[str]) -> None:
        """The attributes of a customer."""
        r = self.random
        self.rows["customers"].append(
            Customer(
                who,
                r.choice((None, self.day(700), self.day(10), self.day(0), self.day(-3))),
                r.choice((None, 1949, 1980, 2004)),
                r.choice((None, "North", "South")),
                r.choice((None, "湖滨", "Hill")),
                r.choice((None, "RM1", "RM2")),
                r.choice((None, *known[-3:])),
                r.choice((None, True, True, False)),
                r.choice((None, None, self.day(30), self.day(0), self.day(-1))),
            )
        )

    def terms_of_business(self) -> None:
        """Rates and costs, changing within the window, missing for some days, some only in future."""
        r = self.random
        for key in ("DEPOSIT", "LOAN", "TERM", "MORTGAGE", "FUND", "SAVINGS"):
            if key in ("DEPOSIT", "LOAN") or self.chance(0.4):
                starts = r.sample((2000, 900, 365, 364, 200, 100, 1, 0, -1, -10), r.randrange(1, 4))
                if key in ("DEPOSIT", "LOAN") and self.chance(0.8):
                    starts.append(3000)
                for start in starts:
                    funding, other = Decimal(r.randrange(100, 400)), Decimal(r.randrange(0, 700))
                    self.rows["rates"].append(
                        Rate(
                            key,
                            self.day(start),
                            funding / 10000,
                            other / 10000,
                            r.choice((None, Decimal("0.0125"))),
                        )
                    )
        kinds = (("NEW", None), ("MAINTAIN", None), ("CHANNEL", "APP"), ("CHANNEL", "BRANCH"))
        for kind, channel in kinds:
            if self.chance(0.85):
                for start in r.sample((3000, 2000, 200, 50, 0, -5), r.randrange(1, 4)):
                    cost = Decimal(self.amount(3 if kind == "CHANNEL" else 120))
                    self.rows["costs"].append(Cost(kind, cost, self.day(start), channel))


HISTORIES = (
    "none", "none", "none", "once", "once", "steady", "steady", "halving", "rising", "stopped", "stopped",
    "returned", "burst", "negative", "random",
)  # fmt: skip
RELATIONS = ("none", "none", "one", "two", "two", "several", "loan", "by_customer", "closed")


def bank(
    seed: int,
    as_of: date | None = None,
    *,
    customers: int | None = None,
    full: bool | None = None,
    known_at: bool | None = None,
    **terms: Any,
) -> Bank:
    """A bank from a seed.

    Args:
        seed: Of everything random.
        as_of: Its last day; a random one by default, often a month's last.
        customers: Number of ids that are made up; 5 to 60 by default.
        full: All nine tables with rows; else some are missing or empty at random.
        known_at: Whether the run looks at what was delivered by its day only.
        terms: Definitions other than those of `BankTerms`.
    """
    random = Random(seed)
    if as_of is None:
        as_of = random.choice((*LEAP_DAYS, date(2021, 1, 1) + timedelta(random.randrange(1800))))
        if random.random() < 0.4:
            as_of = month_end(as_of.year, as_of.month)
    made = Bankers(random, as_of)
    made.terms_of_business()
    names = [f"c{n:03d}" for n in range(random.randrange(5, 61) if customers is None else customers)]
    for who in names:
        kind, relation = random.choice(HISTORIES), random.choice(RELATIONS)
        if kind != "none":
            made.purchases(who, made.history(kind), sign="-" if kind == "negative" else "")
        if made.chance(0.3):
            made.other_events(who)
        if relation != "none":
            made.relations(who, relation)
        if made.chance(0.4):
            made.encounters(who, 3)
        if made.chance(0.6):
            made.person(who, names[: names.index(who)])
    chosen: dict[str, Any] = {
        "preset": random.choice(sorted(PRESETS)),
        "assets": random.choice(("amount", "count")),
        "minimum_holdings": 20,
        "minimum_closures": 2,
    }
    definitions = BankTerms(purchases=Terms(rates=RATES), **{**chosen, **terms})
    if full is None:
        full = random.random() < 0.4
    if known_at is None:
        known_at = random.random() < 0.3
    tables = {}
    for name in TABLES:
        absent = not full and name != "transactions" and random.random() < 0.2
        if not absent:
            rows = [] if not full and name != "transactions" and random.random() < 0.08 else made.rows[name]
            tables[name] = delivered(name, _unique(rows), random, as_of)
    return Bank(as_of, tables, definitions, as_of if known_at else None)


def banks(**given: Any) -> st.SearchStrategy[Bank]:
    """Banks for Hypothesis; shrinks to few customers."""
    return st.builds(
        lambda seed, customers, full, known_at: bank(
            seed, customers=customers, full=full, known_at=known_at, **given
        ),
        seed=st.integers(0, 2**32 - 1),
        customers=st.integers(5, 60),
        full=st.booleans(),
        known_at=st.booleans(),
    )


def _unique(rows: Sequence[Any]) -> list[Any]:
    """One row a key: ties by content are not for the oracle."""
    found: dict[Any, Any] = {}
    for row in rows:
        key = row.transaction_id if isinstance(row, Transaction) else row.key
        found.setdefault(key, row)
    return list(found.values())


def delivered(name: str, rows: Sequence[Any], random: Random, as_of: date) -> Table:
    """How a table came: one file, or three dated ones, as additions with corrections or as snapshots."""
    style = random.choice(("one", "one_dated", "append", "append", "snapshot"))
    if not rows or style in ("one", "one_dated"):
        dated = style != "one"
        extract = as_of - timedelta(random.choice((0, 5))) if dated else None
        found = [replace(row, file=0, extract=extract) for row in rows]
        file = f"{name}_{extract:%Y%m%d}.csv" if extract else f"{name}.csv"
        return Table(tuple(found), (file,), "append", dated)
    days = (as_of - timedelta(60), as_of, as_of + timedelta(30))
    files = tuple(f"{name}_{day:%Y%m%d}.csv" for day in days)
    found = []
    if style == "snapshot" and name != "transactions":
        for place, day in enumerate(days):
            kept = [r for r in rows if place == 1 or random.random() < 0.9] or list(rows[:1])
            found += [
                replace(corrected(row, random) if place == 0 else row, file=place, extract=day)
                for row in kept
            ]
        return Table(tuple(found), files, "snapshot", True)
    for row in rows:
        places = sorted(random.sample(range(3), random.choice((1, 1, 1, 2, 3))))
        if places == [2] and random.random() < 0.7:
            places = [1]
        for place in places:
            last = place == places[-1]
            version = row if last else corrected(row, random)
            found.append(replace(version, file=place, extract=days[place]))
            if random.random() < 0.02 and name != "transactions":
                found.append(found[-1])  # the same row twice in a file
    random.shuffle(found)
    return Table(tuple(found), files, "append", True)


def corrected(row: Any, random: Random) -> Any:
    """What an earlier delivery may have said of the same key."""
    if random.random() < 0.5:
        return row
    if isinstance(row, Transaction):
        return replace(row, amount="77.77")
    changes: Mapping[type[Delivered], dict[str, Any]] = {
        Customer: {"marketing_consent": True, "opted_out_on": None, "branch": "East"},
        Holding: {"closed_on": None, "is_mobile": None, "days_overdue": 3},
        Balance: {"deposit_balance": Decimal("123456.00")},
        Rate: {"customer_rate": Decimal("0.3")},
        Cost: {"unit_cost": Decimal("9.99")},
        Contact: {"reached": None, "engaged": None, "converted_at": None},
        Survey: {"nps_score": 5},
    }
    return replace(row, **changes.get(type(row), {}))


# Files and config


def cell(value: Any) -> str:
    """A value as it stands in a file."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ") if value.time() != datetime.min.time() else value.date().isoformat()
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def columns_of(name: str) -> tuple[str, ...]:
    """The canonical columns of a table."""
    if name == "transactions":
        return TRANSACTION_COLUMNS
    return tuple(f.name for f in fields(CLASSES[name]) if f.name not in ("file", "extract"))


def write(bank: Bank, folder: Path, *, config: Mapping[str, Any] | None = None, extra: str = "") -> Path:
    """The files of each extract, and the config; the path of the config."""
    for name, table in bank.tables.items():
        columns = columns_of(name)
        for number, file_name in enumerate(table.files):
            with (folder / file_name).open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(columns)
                writer.writerows(
                    [cell(getattr(r, c)) for c in columns] for r in table.rows if r.file == number
                )
    path = folder / "bank.toml"
    path.write_text(config_text(bank, sections=config, extra=extra), encoding="utf-8")
    return path


def config_text(bank: Bank, *, sections: Mapping[str, Any] | None = None, extra: str = "") -> str:
    """TOML of the bank's inputs and definitions.

    Args:
        bank: The bank.
        sections: Further sections, each a mapping of keys to TOML text, in place of those made here.
        extra: Text at the end.
    """
    t = bank.terms
    rules = [
        f'{{types=["{kind}"], purchase={"false" if rate is None else f"true, margin_rate={rate}"}}}'
        for kind, rate in t.purchases.rates.items()
    ]
    lines = ['preset = "retail"', f'currency = "{t.purchases.currency}"', f'timezone = "{t.purchases.zone}"']
    for name, table in bank.tables.items():
        lines += [f"[inputs.{name}]", f'files = ["{name}*.csv"]']
        if name != "transactions" or table.delivery != "append":
            lines.append(f'delivery = "{table.delivery}"')
        if table.dated:
            lines += [f"[inputs.{name}.extract_date]", f"file_name = '{DATED_PATTERN}'", 'format = "%Y%m%d"']
    made: dict[str, Mapping[str, Any]] = {
        "purchases": {"rules": f"[{', '.join(rules)}]"},
        "products": {"asset_types": _list(t.asset_types), "loan_types": _list(t.loan_types)},
        "contacts": {"inbound_events": _list(t.inbound)},
        "potential": {"assets": f'"{t.assets}"'},
        "potential.weights": {
            "method": '"EXPERT"',
            "expert": f"[{', '.join(str(float(t.weights[c])) for c in COMPONENTS)}]",
        },
        "deposit_tier": {"bounds": f"[{', '.join(map(str, t.tier_bounds))}]", "memory": f'"{t.preset}"'},
        "annuity": {"minimum_holdings": t.minimum_holdings, "minimum_closures": t.minimum_closures},
    }
    for section, keys in {**made, **(sections or {})}.items():
        if keys:
            lines += [f"[{section}]", *(f"{key} = {value}" for key, value in keys.items())]
    return "\n".join([*lines, extra, ""])


def _list(values: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"
