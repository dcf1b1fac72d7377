"""What goes wrong on the way to the extracts, and why each row is then set aside."""

from collections.abc import Callable

from tools.bank_sample.deliveries import Delivery, Row, is_corrected
from tools.bank_sample.ledger import FOREIGN_CURRENCY
from tools.bank_sample.world import stream

# How many rows get which defect: `column:REASON` as the pipeline names it.
COUNTS = {
    "posted_at:DATE_FORMAT": 48,
    "posted_at:DATE_RANGE": 8,
    "posted_at:MISSING": 10,
    "amount:MISSING": 36,
    "amount:NUMBER_FORMAT": 44,
    "customer_id:MISSING": 30,
    ":FIELD_COUNT": 9,
}
FOREIGN_DEFECT = "currency:CURRENCY"
BLANK_TRANSACTION_IDS = 40
FEWER_FIELDS = 5
_BAD_DATES: tuple[Callable[[str], str], ...] = (
    lambda text: f"{text[8:10]}/{text[5:7]}/{text[:4]}",
    lambda text: f"{text[:4]}-13-{text[8:]}",
    lambda text: f"{text[:4]}-02-30{text[10:]}",
    lambda text: text[:10].replace("-", ""),
    lambda _: "无",
)


def spoil(files: list[Delivery]) -> None:
    """Spoil seeded rows of the periodic files, at most one defect a row; foreign rows are set aside, too."""
    rng = stream("defects")
    rows = [row for file in files for row in file.rows]
    for row in rows:
        if row.event.currency == FOREIGN_CURRENCY:
            row.defect = FOREIGN_DEFECT
    open_to = [row for row in rows if row.defect is None and _may_be_spoiled(row)]
    total = sum(COUNTS.values()) + BLANK_TRANSACTION_IDS
    chosen = iter(rng.choice(len(open_to), total, replace=False).tolist())
    for defect, count in COUNTS.items():
        for number in range(count):
            _spoil(open_to[next(chosen)], defect, number)
    for place in chosen:
        # Such a row is loaded all the same: without an id it stands for itself.
        open_to[place].fields["transaction_id"] = ""


def _may_be_spoiled(row: Row) -> bool:
    """Whose later correction needs the id of the first delivery stays as it is."""
    return row.event.is_purchase and not is_corrected(row.event)


def _spoil(row: Row, defect: str, number: int) -> None:
    row.defect = defect
    column, reason = defect.split(":")
    if reason == "MISSING":
        row.fields[column] = ""
    elif reason == "DATE_FORMAT":
        row.fields[column] = _BAD_DATES[number % len(_BAD_DATES)](row.fields[column])
    elif reason == "DATE_RANGE":
        row.fields[column] = "22" + row.fields[column][2:]
    elif reason == "NUMBER_FORMAT":
        row.fields[column] = _with_thousands_mark(row.fields[column])


def _with_thousands_mark(amount: str) -> str:
    whole, point, rest = amount.partition(".")
    return f"{int(whole) + (1_000 if int(whole) < 1_000 else 0):,}{point}{rest}"
