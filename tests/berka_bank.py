"""A real bank's tables, made into the extracts that a bank delivers.

A customer is the client who owns an account. Every account has one owner and nobody owns two, so that
accounts would do as well; clients are taken because a customer holds accounts, and is not one of them.

Loans and cards are holdings beside the account. What became of a loan (its `status`) is known at the end of
the data only: it says which loans ended, years later, and nothing of a day before. So nothing is said to be
overdue, and no balance of a loan is made up.
"""

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

import polars as pl

END = date(1994, 3, 30)  # the bookings end here, accounts, loans and cards years later
MADE_BY_THE_BANK = {"UROK", "SLUZBY", "SANKC. UROK"}
FEE = "SLUZBY"
ENDED = ("A", "B")  # a loan's status: paid, or not, by the end of its term
ROUNDING = Decimal("0.20")  # balances are kept finer than they are printed
# The day on which a row of each extract happens.
DATED_BY = {
    "transactions": "posted_at",
    "customers": "opened_on",
    "holdings": "opened_on",
    "balances": "date",
    "rates": "valid_from",
}
# No rate before March 1993, two changes, and one that lies ahead of both dates.
RATES = (
    (date(1993, 3, 1), "0.06", "0.02"),
    (date(1993, 10, 1), "0.055", "0.0225"),
    (date(1994, 2, 1), "0.05", "0.025"),
    (date(1994, 7, 1), "0.01", "0.09"),
)
# Customer, account, product, day of opening, months of its term, whether the term has ended.
Holding = tuple[str, str, str, date, int | None, bool]


@dataclass(frozen=True)
class Booking:
    """One row of the bookings; `moved` has the sign that the balance sees."""

    transaction_id: str
    account_id: str
    day: date
    moved: Decimal
    balance: Decimal
    kind: str


def read(folder: Path, name: str) -> list[dict[str, str]]:
    """The rows of one table, as text."""
    with gzip.open(folder / f"{name}.asc.gz", "rt", newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


def day_of(text: str) -> date:
    """`930705`, with or without a time behind it."""
    return datetime.strptime(text[:6], "%y%m%d").date()


@cache
def bookings(folder: Path) -> tuple[Booking, ...]:
    """All bookings. Their kind is the operation, but for those that the bank has made itself."""
    return tuple(
        Booking(
            row["trans_id"],
            row["account_id"],
            day_of(row["date"]),
            Decimal(row["amount"]) * (1 if row["type"] == "PRIJEM" else -1),
            Decimal(row["balance"]),
            row["k_symbol"] if row["k_symbol"] in MADE_BY_THE_BANK else row["operation"],
        )
        for row in read(folder, "trans")
    )


@cache
def closing_balances(folder: Path) -> Mapping[str, Mapping[date, Decimal]]:
    """By account and day with a booking, in order: the balance after the day's last booking."""
    days: dict[tuple[str, date], list[Booking]] = defaultdict(list)
    for booking in bookings(folder):
        days[booking.account_id, booking.day].append(booking)
    found: dict[str, dict[date, Decimal]] = defaultdict(dict)
    for account, day in sorted(days):
        before = next(reversed(found[account].values()), Decimal(0))
        found[account][day] = _last_balance(before, days[account, day])
    return found


def _last_balance(balance: Decimal, left: list[Booking]) -> Decimal:
    """Follow a day's bookings, each of which tells the balance after it; the file has them in any order."""
    left = list(left)
    while left:
        following = min(left, key=lambda one: abs(balance + one.moved - one.balance))
        if abs(balance + following.moved - following.balance) > ROUNDING:
            raise ValueError(f"booking {following.transaction_id} follows from nothing")
        left.remove(following)
        balance = following.balance
    return balance


@cache
def owners(folder: Path) -> Mapping[str, str]:
    """The client who owns each account."""
    return {row["account_id"]: row["client_id"] for row in read(folder, "disp") if row["type"] == "OWNER"}


def is_daily(account_id: str) -> bool:
    """Whether the account's balance is delivered every day; else at the end of each month."""
    return int(account_id) % 2 == 0


def extracts(folder: Path) -> dict[str, pl.DataFrame]:
    """The five extracts, each with all that the files hold, whenever it was."""
    return {
        "transactions": _transactions(folder),
        "customers": _customers(folder),
        "holdings": _holdings(folder),
        "balances": _balances(folder),
        "rates": pl.DataFrame(
            [("DEPOSIT", *rate) for rate in RATES],
            schema=["rate_key", "valid_from", "funding_rate", "customer_rate"],
            orient="row",
        ),
    }


def cut(tables: Mapping[str, pl.DataFrame], day: date) -> dict[str, pl.DataFrame]:
    """What the files would have held on that day."""
    found = {name: table.filter(pl.col(DATED_BY[name]) <= day) for name, table in tables.items()}
    closed = pl.col("closed_on")
    known = pl.when(closed <= day).then(closed).alias("closed_on")
    return {**found, "holdings": found["holdings"].with_columns(known)}


def _transactions(folder: Path) -> pl.DataFrame:
    owner = owners(folder)
    return pl.DataFrame(
        [
            (
                booking.transaction_id,
                owner[booking.account_id],
                booking.day,
                abs(booking.moved),
                booking.kind,
                abs(booking.moved) if booking.kind == FEE else None,
            )
            for booking in bookings(folder)
        ],
        schema=["transaction_id", "customer_id", "posted_at", "amount", "transaction_type", "fee_amount"],
        orient="row",
        infer_schema_length=None,
    )


def _customers(folder: Path) -> pl.DataFrame:
    owner = owners(folder)
    return pl.DataFrame(
        [
            (owner[row["account_id"]], day_of(row["date"]), row["district_id"])
            for row in read(folder, "account")
        ],
        schema=["customer_id", "opened_on", "branch"],
        orient="row",
    )


def _holdings(folder: Path) -> pl.DataFrame:
    """What is held; a loan that has ended was closed at the end of its term."""
    frame = pl.DataFrame(
        [*_accounts(folder), *_loans(folder), *_cards(folder)],
        schema=["customer_id", "account_id", "product_type", "opened_on", "months", "has_ended"],
        orient="row",
        infer_schema_length=None,
    )
    matures = pl.col("opened_on").dt.offset_by(pl.format("{}mo", "months")).alias("matures_on")
    closed = pl.when("has_ended").then("matures_on").alias("closed_on")
    return frame.with_columns(matures).with_columns(closed).drop("months", "has_ended")


def _accounts(folder: Path) -> Iterator[Holding]:
    owner = owners(folder)
    for row in read(folder, "account"):
        account = row["account_id"]
        yield owner[account], account, "CURRENT_ACCOUNT", day_of(row["date"]), None, False


def _loans(folder: Path) -> Iterator[Holding]:
    owner = owners(folder)
    for row in read(folder, "loan"):
        customer, has_ended = owner[row["account_id"]], row["status"] in ENDED
        yield customer, f"L{row['loan_id']}", "LOAN", day_of(row["date"]), int(row["duration"]), has_ended


def _cards(folder: Path) -> Iterator[Holding]:
    owner = owners(folder)
    account_of = {row["disp_id"]: row["account_id"] for row in read(folder, "disp")}
    for row in read(folder, "card"):
        customer, product = owner[account_of[row["disp_id"]]], f"CREDIT_CARD_{row['type'].upper()}"
        yield customer, f"K{row['card_id']}", product, day_of(row["issued"]), None, False


def _balances(folder: Path) -> pl.DataFrame:
    """End-of-day balances of half of the accounts on every day since their opening, else on months' ends.

    A balance stands from its booking on until the next one. An observation, however, stands for the days
    before it: bookings' days alone would give the balance after a booking to the days before the booking.
    """
    owner = owners(folder)
    closings = pl.DataFrame(
        [
            (owner[account], account, is_daily(account), day, balance)
            for account, days in closing_balances(folder).items()
            for day, balance in days.items()
        ],
        schema=["customer_id", "account_id", "daily", "date", "deposit_balance"],
        orient="row",
    )
    accounts = closings.group_by("customer_id", "account_id", "daily").agg(
        pl.col("date").min().alias("first")
    )
    days = pl.DataFrame({"date": pl.date_range(date(1993, 1, 1), END, eager=True)})
    is_month_end = pl.col("date").dt.month_end() == pl.col("date")
    observed = (
        accounts.join(days, how="cross")
        .filter(pl.col("date") >= pl.col("first"), pl.col("daily") | is_month_end)
        .select("customer_id", "account_id", "date")
        .sort("date", "account_id")
    )
    balances = closings.select("account_id", "date", "deposit_balance").sort("date")
    # Both sides are sorted; that cannot be checked within accounts.
    return observed.join_asof(balances, on="date", by="account_id", check_sortedness=False)


def days_between(first: date, last: date) -> list[date]:
    """Both included."""
    return [first + timedelta(place) for place in range((last - first).days + 1)]
