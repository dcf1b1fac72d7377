"""From a look at one file to a proposed configuration, each guess with how sure it is."""

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pyarrow.parquet as pq

from clvpipe.errors import InputError
from clvpipe.extracts import SourceFile, find_files, readable
from clvpipe.extracts.records import as_text, is_readable, named_twice

SURE, LIKELY, GUESS = "sure", "likely", "a guess"
_LOOK_BYTES = 1 << 18
_LOOK_RECORDS = 2_000
# A little dirt is no reason against a guess.
_ENOUGH = 0.95
_DELIMITERS = (",", ";", "\t", "|")
_DATE_FORMATS = (
    "iso", "%Y%m%d", "%d.%m.%Y", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%y%m%d", "%d-%m-%Y", "%Y%m%d%H%M%S",
    "%d.%m.%Y %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S",
    "%d.%m.%Y %H:%M", "%Y/%m/%d %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M",
)  # fmt: skip
_YEARS = range(1970, 2101)
# Words in column names by which a role is known, best first; English, Chinese, German, Czech.
_WORDS = {
    role: tuple(words.split())
    for role, words in {
        "transaction_id": "transaction_id trans_id txn_id tx_id booking_id order_id 流水号 交易号",
        "customer_id": (
            "customer_id cust_id client_id customer client kunde 客户 user_id account_id account acct konto"
        ),
        "posted_at": "posted_at posting_date booking_date transaction_date date datum 日期 时间 time",
        "amount": "amount amt betrag sum value price 金额 castka",
        "transaction_type": "transaction_type txn_type type kind operation art umsatzart buchungsart 类型",
        "channel": "channel 渠道 kanal",
        "currency": "currency ccy 币种 waehrung",
        "fee_amount": "fee_amount fee 手续费",
        "reverses_id": "reverses_id reversal_of original_id 冲正",
    }.items()
}
_REQUIRED = ("customer_id", "posted_at", "amount")


@dataclass(frozen=True)
class Guess:
    """A proposed value, how sure it is, and why."""

    value: str
    sure: str
    why: str


@dataclass(frozen=True)
class Proposal:
    """A configuration for one file of transactions.

    Attributes:
        general: Preset and currency.
        settings: Encoding, delimiter, decimal mark, date format.
        columns: Our name -> the file's.
        column_names: For a file without a header: names made up for its columns.
        unmapped: Columns of the file that play no role.
        file_date: Where the day of delivery stands in the file's name, and its format; None: nowhere.
    """

    path: Path
    general: dict[str, Guess]
    settings: dict[str, Guess]
    columns: dict[str, Guess]
    column_names: tuple[str, ...] | None
    unmapped: tuple[str, ...]
    file_date: tuple[str, str] | None


@dataclass(frozen=True)
class _Sample:
    names: list[str]
    columns: list[list[str]]


def propose(path: Path, preset: str | None = None, currency: str | None = None) -> Proposal:
    """Look at the beginning of a file.

    Args:
        path: The file.
        preset: What a purchase is, which no file tells; None: retail, as a guess.
        currency: The one currency; None: that of the file.

    Raises:
        InputError: It cannot be read, holds no records, or lacks something that looks like a required column.
    """
    file = find_files([str(path.absolute())], path.absolute().parent, None)[0]
    settings: dict[str, Guess] = {}
    names_made: tuple[str, ...] | None = None
    if file.is_parquet:
        sample = _look_at_parquet(file)
    else:
        text, settings["encoding"] = _decode(file)
        records, settings["delimiter"] = _split(text)
        sample, names_made = _named(path, records)
        if not sample.columns or not sample.columns[0]:
            raise InputError("the file holds no records to learn from", where=str(path), left="everything")
    columns = _roles(sample)
    missing = [role for role in _REQUIRED if role not in columns]
    if "amount" in missing and any(map(_is_marked_money, sample.columns)):
        raise InputError(
            "amounts stand with marks between thousands or signs of a currency, which are not read",
            where=str(path),
            left="everything",
            next_step="ask for the extract with plain numbers, as in 1234.56",
        )
    if missing:
        raise InputError(
            f"no column looks like `{missing[0]}`; the file has: {', '.join(sample.names[:30])}",
            where=str(path),
            left="everything",
            next_step="write the column map by hand: see the README",
        )
    days = sample.columns[sample.names.index(columns["posted_at"].value)]
    amounts = sample.columns[sample.names.index(columns["amount"].value)]
    formats = _date_formats(days)
    settings["date_format"] = _format_guess(formats)
    settings["decimal_mark"] = _decimal_guess(amounts)
    used = {guess.value for guess in columns.values()}
    unmapped = tuple(name for name in sample.names if name and name not in used)
    general = {
        "preset": Guess(preset, SURE, "as given")
        if preset
        else Guess("retail", GUESS, "no file tells what a purchase is; --preset says it"),
        "currency": _currency_guess(currency, sample, columns),
    }
    return Proposal(path, general, settings, columns, names_made, unmapped, _file_date(path.name))


def _currency_guess(given: str | None, sample: _Sample, columns: dict[str, Guess]) -> Guess:
    if given is not None:
        return Guess(given, SURE, "as given")
    if "currency" not in columns:
        return Guess("EUR", GUESS, "no column tells; --currency says otherwise")
    values = [value for value in sample.columns[sample.names.index(columns["currency"].value)] if value]
    [(code, times)] = Counter(values).most_common(1)
    why = f"in {times} of {len(values)} records; others are set aside"
    return Guess(code, SURE if times == len(values) else LIKELY, why)


def _file_date(name: str) -> tuple[str, str] | None:
    """The day in a file's name, where there is just one: the pattern that finds it, and its format."""
    for digits, format_ in ((r"[0-9]{8}", "%Y%m%d"), (r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "%Y-%m-%d")):
        found = re.findall(rf"(?<![0-9]){digits}(?![0-9])", name)
        if len(found) == 1 and _day(found[0], "iso" if "-" in format_ else format_):
            return rf"(?<![0-9])(?P<date>{digits})(?![0-9])", format_
    return None


def _is_marked_money(values: Sequence[str]) -> bool:
    """Whether these are numbers with marks between thousands, or with the sign of a currency."""
    sign, digits = r"[^\w.,+-]?\s?", r"(\d{1,3}([,.' ]\d{3})+|\d+)([.,]\d{1,2})?"
    marked = re.compile(rf"{sign}[+-]?{sign}{digits}\s?{sign}")
    given = [value for value in values if value and not _number(value)]
    return bool(given) and _share(given, lambda value: bool(marked.fullmatch(value))) >= _ENOUGH


def _look_at_parquet(file: SourceFile) -> _Sample:
    with readable(file):
        batch = next(pq.ParquetFile(file.path).iter_batches(batch_size=_LOOK_RECORDS), None)
    if batch is None:
        raise InputError("the file holds no records to learn from", where=str(file.path), left="everything")
    _must_differ(file.path, batch.schema.names)
    names = [field.name for field in batch.schema if is_readable(field.type)]
    columns = [[text or "" for text in as_text(batch.column(name)).to_pylist()] for name in names]
    return _Sample(names, columns)


def _must_differ(path: Path, names: Sequence[str]) -> None:
    twice = named_twice(names)
    if twice is not None:
        raise InputError(
            f"the header names the column {twice!r} twice",
            where=str(path),
            left="everything",
            next_step="give the columns of the file different names",
        )


def _decode(file: SourceFile) -> tuple[str, Guess]:
    try:
        with file.open() as stream:
            raw = stream.read(_LOOK_BYTES)
    except (OSError, EOFError) as error:
        raise InputError("the file cannot be unpacked", where=str(file.path), left="everything") from error
    # The look may end inside a character, so the last line is left out.
    whole = raw if len(raw) < _LOOK_BYTES else raw[: raw.rfind(b"\n") + 1]
    if whole.startswith(b"\xef\xbb\xbf"):
        return whole.decode("utf-8-sig", "replace"), Guess("utf-8", SURE, "byte order mark")
    for encoding in ("utf-8", "gb18030", "cp1250"):
        try:
            text = whole.decode(encoding)
        except UnicodeDecodeError:
            continue
        if text.isascii():
            return text, Guess("utf-8", SURE, "nothing but ASCII in the part looked at")
        if encoding == "utf-8":
            return text, Guess(encoding, SURE, "valid UTF-8")
        if encoding == "gb18030" and _looks_chinese(whole):
            return text, Guess(encoding, LIKELY, "valid GB18030, mostly common Chinese characters")
        if encoding == "cp1250":
            return text, Guess(encoding, GUESS, "neither UTF-8 nor Chinese; cp1252 and latin-1 fit as well")
    return whole.decode("latin-1"), Guess("latin-1", GUESS, "no other encoding fits")


def _looks_chinese(raw: bytes) -> bool:
    """Common characters are two high bytes; an umlaut before a letter is valid GB18030 too, but not that."""
    paired = 2 * len(re.findall(rb"[\xa1-\xf7][\xa1-\xfe]", raw))
    return paired > 0.6 * sum(byte > 127 for byte in raw)


def _split(text: str) -> tuple[list[list[str]], Guess]:
    lines = [line for line in text.splitlines() if line.strip()][:_LOOK_RECORDS]
    best: tuple[float, int, list[list[str]], str] | None = None
    for delimiter in _DELIMITERS:
        records = list(csv.reader(lines, delimiter=delimiter))
        width, share = _usual_width(records)
        if width > 1 and (best is None or (share, width) > best[:2]):
            best = (share, width, records, delimiter)
    if best is not None and best[0] >= _ENOUGH:
        share, width, records, delimiter = best
        return records, Guess(delimiter, SURE, f"{width} fields in {share:.0%} of the lines")
    blanks = [line.split() for line in lines]
    width, share = _usual_width(blanks)
    if width > 1 and share >= _ENOUGH:
        return blanks, Guess(
            "whitespace", LIKELY, f"{width} fields between blanks in {share:.0%} of the lines"
        )
    if best is None:
        return [[line] for line in lines], Guess(",", GUESS, "one field a line")
    return best[2], Guess(best[3], GUESS, f"{best[1]} fields in {best[0]:.0%} of the lines")


def _usual_width(records: Sequence[Sequence[str]]) -> tuple[int, float]:
    if not records:
        return 0, 0.0
    width, count = Counter(len(record) for record in records).most_common(1)[0]
    return width, count / len(records)


def _named(path: Path, records: list[list[str]]) -> tuple[_Sample, tuple[str, ...] | None]:
    width, _ = _usual_width(records)
    records = [[field.strip() for field in record] for record in records if len(record) == width]
    if not records:
        return _Sample([], []), None
    first = records[0]
    names = [field for field in first if field]
    if names and not any(_number(field) or _any_date(field) for field in names):
        _must_differ(path, names)
        body = records[1:]
        return _Sample(first, [list(column) for column in zip(*body, strict=True)]), None
    made = tuple(f"column_{place}" for place in range(1, width + 1))
    return _Sample(list(made), [list(column) for column in zip(*records, strict=True)]), made


def _roles(sample: _Sample) -> dict[str, Guess]:
    """Give each role the column that fits it best; a column has one role."""
    left = dict(zip(sample.names, sample.columns, strict=True))
    found: dict[str, Guess] = {}
    for role in ("posted_at", "transaction_id", "customer_id", "amount", *_WORDS):
        if role in found:
            continue
        by_name = next((name for word in _WORDS[role] for name in left if _is_word(word, name)), None)
        name, sure, why = by_name, LIKELY, "by its name"
        if by_name is not None and _fits(role, left[by_name]):
            sure, why = SURE, "by its name and its content"
        elif role in _REQUIRED and (by_name is None or not _fits(role, left[by_name])):
            by_content = next((other for other, values in left.items() if _tells(role, values)), None)
            name, sure, why = by_content, GUESS, "by its content alone"
        if name is not None and (role in _REQUIRED or _fits(role, left[name])):
            found[role] = Guess(name, sure, why)
            del left[name]
    return {role: found[role] for role in _WORDS if role in found}


def _is_word(word: str, name: str) -> bool:
    plain = re.sub(r"[^0-9a-z\u4e00-\u9fff]+", "_", name.casefold()).strip("_")
    return word == plain or (word in plain.split("_")) or (not word.isascii() and word in plain)


def _fits(role: str, values: Sequence[str]) -> bool:
    """Whether a column's content can play the role; a little dirt is no reason against it."""
    given = [value for value in values if value]
    test = _TESTS.get(role)
    return bool(given) and (test is None or test(given, len(given) / len(values)))


def _tells(role: str, values: Sequence[str]) -> bool:
    """Whether the content alone speaks for the role, without a name to go by."""
    if role == "customer_id" and len(set(values)) == len(values):
        # An id that never comes back is no customer's.
        return False
    if role == "amount" and not any(re.search(r"[.,]\d", value) for value in values):
        # A fraction somewhere tells money from counts and codes.
        return False
    return _fits(role, values)


def _looks_like_money(values: Sequence[str]) -> bool:
    return _share(values, lambda value: bool(re.fullmatch(r"[+-]?\d+[.,]\d{1,2}", value))) > 0.5


def _share(values: Sequence[str], test: Callable[[str], bool]) -> float:
    return sum(test(value) for value in values) / len(values)


def _number(text: str) -> bool:
    return bool(re.fullmatch(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?", text))


def _any_date(text: str) -> bool:
    return any(_day(text, format_) for format_ in _DATE_FORMATS)


def _day(text: str, format_: str) -> date | None:
    try:
        day = datetime.fromisoformat(text) if format_ == "iso" else datetime.strptime(text, format_)
    except ValueError:
        return None
    # Python's own ISO reader also takes 20240131; for us that is another format.
    if format_ == "iso" and not re.match(r"\d{4}-\d\d-\d\d", text):
        return None
    return day.date() if day.year in _YEARS else None


def _date_formats(values: Sequence[str]) -> list[str]:
    """Every format that fits nearly all values, the likeliest first."""
    given = [value for value in values if value]

    def fits(format_: str) -> bool:
        return _share(given, lambda value: _day(value, format_) is not None) >= _ENOUGH

    return [format_ for format_ in _DATE_FORMATS if fits(format_)] if given else []


def _format_guess(formats: list[str]) -> Guess:
    if len(formats) > 1:
        return Guess(formats[0], GUESS, f"as well as {', '.join(formats[1:])}")
    return Guess(formats[0], SURE, "the only known format that fits")


def _decimal_guess(values: Sequence[str]) -> Guess:
    points, commas = sum("." in value for value in values), sum("," in value for value in values)
    if commas > points:
        return Guess(",", SURE if not points else GUESS, f"a comma in {commas} of {len(values)} amounts")
    return Guess(".", SURE if not commas else GUESS, f"a point in {points} of {len(values)} amounts")


# What a role's values must look like: (values that are there, share that is there) -> fits.
_TESTS: dict[str, Callable[[Sequence[str], float], bool]] = {
    "posted_at": lambda given, _: bool(_date_formats(given)),
    "amount": lambda given, _: _share(given, _number) >= _ENOUGH,
    "fee_amount": lambda given, _: _share(given, _number) >= _ENOUGH,
    "transaction_id": lambda given, there: there >= _ENOUGH and len(set(given)) >= _ENOUGH * len(given),
    "customer_id": lambda given, there: there >= _ENOUGH and not _looks_like_money(given),
    "currency": lambda given, _: _share(given, lambda v: bool(re.fullmatch(r"[A-Z]{3}", v))) >= _ENOUGH,
}
