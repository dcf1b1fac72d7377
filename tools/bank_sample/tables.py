"""The eight tables beside the ledger as files."""

from collections import Counter
from datetime import date
from itertools import pairwise

from tools.bank_sample import balances, profiles, relations, terms, touches
from tools.bank_sample.behaviour import History
from tools.bank_sample.files import FileCounts, SampleFile, csv_text
from tools.bank_sample.population import Customer
from tools.bank_sample.world import Kind, date_of, day_of, delivery_days, quarter_ends, stream

HOLDING_COLUMNS = (
    "customer_id", "account_id", "product_type", "opened_on", "matures_on", "closed_on", "is_mobile",
    "activated_on", "days_overdue",
)  # fmt: skip
# The whole tables of customers and holdings, at each quarter's end of the last year.
SNAPSHOTS = 5
# Table -> (column, what stands in it, why it is set aside, how many).
BLEMISHES: dict[str, tuple[tuple[str, str, str, int], ...]] = {
    "holdings": (("opened_on", "2023-02-31", "DATE_FORMAT", 2), ("customer_id", "", "MISSING", 2)),
    "balances": (
        ("deposit_balance", "12,5O0.00", "NUMBER_FORMAT", 2),
        ("date", "31.12.23", "DATE_FORMAT", 1),
    ),
    "contacts": (("sent_at", "0000-00-00", "DATE_FORMAT", 1),),
    "events": (("customer_id", "", "MISSING", 2),),
    "surveys": (("nps_score", "11", "INTEGER_RANGE", 1), ("nps_score", "ten", "INTEGER_FORMAT", 1)),
}
# A file with fewer lines has no blemish.
BLEMISHED_FROM = 50
Line = dict[str, str]


def other_tables(
    people: list[Customer],
    told: dict[str, History],
    known: dict[str, relations.Relation],
    counts: FileCounts,
) -> list[SampleFile]:
    """The files of every table but `transactions`."""
    lines = profiles.profiles(people)
    prospects = [person.customer_id for person in people if person.kind is Kind.PROSPECT]
    sent = touches.contacts(lines, known, prospects)
    happened = touches.events(lines, told, prospects)
    files = []
    for day in quarter_ends()[-SNAPSHOTS:]:
        seen = [profile.as_of(day) for profile in lines if profile.known_from <= day]
        header = tuple(profiles.COLUMNS.values())
        files.append(_file("customers", day, header, seen, counts, encoding="gb18030"))
        held = [
            _holding(relation, h, day)
            for relation in known.values()
            for h in relation.holdings
            if h.opened <= day
        ]
        files.append(_file("holdings", day, HOLDING_COLUMNS, held, counts))
    files += _dated("balances", delivery_days(), balances.COLUMNS, balances.balances(known), counts)
    files += _dated("contacts", quarter_ends(), touches.CONTACT_COLUMNS, sent, counts)
    files += _dated("events", quarter_ends(), touches.EVENT_COLUMNS, happened, counts)
    answered = touches.surveys(lines, told, happened)
    files += _dated("surveys", quarter_ends(), touches.SURVEY_COLUMNS, answered, counts)
    for table, columns, announced in (
        ("rates", terms.RATE_COLUMNS, terms.RATES),
        ("costs", terms.COST_COLUMNS, terms.COSTS),
    ):
        for announced_on, rows in announced.items():
            as_lines = [dict(zip(columns, row, strict=True)) for row in rows]
            files.append(_file(table, day_of(date.fromisoformat(announced_on)), columns, as_lines, counts))
    return files


def _holding(relation: relations.Relation, holding: relations.Holding, day: int) -> Line:
    """A holding as it read on a day."""

    def past(when: int | None) -> str:
        return date_of(when).isoformat() if when is not None and when <= day else ""

    since = holding.overdue_since
    loan = holding.product_type in relations.LOANS and holding.is_open(day)
    return {
        "customer_id": relation.customer.customer_id,
        "account_id": holding.account_id,
        "product_type": holding.product_type,
        "opened_on": past(holding.opened),
        "matures_on": date_of(holding.matures).isoformat() if holding.matures is not None else "",
        "closed_on": past(holding.closed),
        "is_mobile": "true" if holding.is_mobile else "false",
        "activated_on": past(holding.activated),
        "days_overdue": str(max(day - since, 0) if since is not None else 0) if loan else "",
    }


def _dated(
    table: str,
    days: list[int],
    columns: tuple[str, ...],
    lines: list[tuple[int, Line]],
    counts: FileCounts,
) -> list[SampleFile]:
    """The lines cut into files by the day of their delivery."""
    bounds = [-1, *days]
    parts = [
        (until, [line for day, line in lines if after < day <= until]) for after, until in pairwise(bounds)
    ]
    return [_file(table, until, columns, part, counts) for until, part in parts if part]


def _file(
    table: str,
    day: int,
    columns: tuple[str, ...],
    lines: list[Line],
    counts: FileCounts,
    *,
    encoding: str = "utf-8",
) -> SampleFile:
    name = f"{table}_{date_of(day):%Y%m%d}.csv.gz"
    rng = stream(name)
    spoiled: Counter[str] = Counter()
    enough = len(lines) >= BLEMISHED_FROM
    plan = [part for part in BLEMISHES.get(table, ()) if enough for _ in range(part[3])]
    places = rng.choice(len(lines), len(plan), replace=False).tolist()
    for place, (column, text, reason, _) in zip(places, plan, strict=True):
        lines[place] = {**lines[place], column: text}
        spoiled[f"{column}:{reason}"] += 1
    counts.add(table, name, len(lines), spoiled)
    return SampleFile(name, table, csv_text(columns, lines), encoding)
