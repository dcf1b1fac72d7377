"""The query that types the records of one file, built from what the contract says of each column.

In the templates below `x` stands for the column: `x_text` is its trimmed text, `x_digits` the text of a
number as SQL reads it, `x_size` its size, `x` its value. `$x_format` and `$x_mark` say how it is written.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import sqlglot
from sqlglot import expressions as exp

from clvpipe.contracts.extracts import (
    EXTRACTS,
    LARGEST_AMOUNT,
    LONGEST_ID,
    UNFIT_IN_ID,
    Extract,
    Field,
    Kind,
)
from clvpipe.sqlrepo.repo import DIALECT, SqlFile

RAW, TYPED = "raw_records", "typed_records"
_NUMBER = r"^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$"
# A thousands mark is not guessed: where the decimal mark is a comma, a number with a point is none.
_DIGITS = f"""
    CASE
      WHEN $x_mark = ',' AND REGEXP_MATCHES(x_text, '[.]') THEN NULL
      WHEN REGEXP_MATCHES(REPLACE(x_text, $x_mark, '.'), '{_NUMBER}') THEN REPLACE(x_text, $x_mark, '.')
    END
"""
# ISO times with an offset are moved to the bank's zone; times without one are the bank's already.
_MOMENT = """
    CASE
      WHEN $x_format <> 'iso' THEN TRY_STRPTIME(x_text, $x_format)
      WHEN REGEXP_MATCHES(x_text, '^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9:.]+ ?(Z|[+-][0-9]{2}(:?[0-9]{2})?)$')
        THEN TIMEZONE($timezone, TRY_CAST(x_text AS TIMESTAMPTZ))
      WHEN REGEXP_MATCHES(x_text, '^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9:.]+)?$')
        THEN TRY_CAST(x_text AS TIMESTAMP)
    END
"""
_DELIVERY = """
    CASE WHEN $x_format = 'iso' THEN TRY_CAST(x_text AS DATE)
         ELSE CAST(TRY_STRPTIME(x_text, $x_format) AS DATE) END
"""
_BOOLEAN = """
    CASE WHEN REGEXP_MATCHES(x_text, '^(?i:true|t|yes|y|1|是)$') THEN TRUE
         WHEN REGEXP_MATCHES(x_text, '^(?i:false|f|no|n|0|否)$') THEN FALSE END
"""
_WRONG_DATE = ("DATE_FORMAT", "x_text IS NOT NULL AND x IS NULL")
_DATE_CHECKS = (
    _WRONG_DATE,
    ("DATE_RANGE", "x < CAST('1900-01-01' AS TIMESTAMP) OR x >= CAST('2200-01-01' AS TIMESTAMP)"),
)


@dataclass(frozen=True)
class _Reading:
    """How one kind of column is read.

    Attributes:
        value: Template of the value.
        digits: Template of the text of a number; empty for what is none.
        checks: Reasons to set a record aside, with templates of their conditions, in order.
    """

    value: str = "x_text"
    digits: str = ""
    checks: tuple[tuple[str, str], ...] = ()


_READINGS: dict[Kind, _Reading] = {
    "id": _Reading(
        checks=(
            ("TOO_LONG", f"LENGTH(x) > {LONGEST_ID}"),
            ("CONTROL_CHARACTER", f"REGEXP_MATCHES(x, '{UNFIT_IN_ID}')"),
        )
    ),
    "text": _Reading(),
    "currency": _Reading(checks=(("CURRENCY", "$has_x AND (x IS NULL OR x <> $x)"),)),
    "moment": _Reading(_MOMENT, checks=_DATE_CHECKS),
    "day": _Reading(f"CAST({_MOMENT} AS DATE)", checks=_DATE_CHECKS),
    "money": _Reading(
        "TRY_CAST(x_digits AS DECIMAL(22, 8))",
        _DIGITS,
        (
            ("NUMBER_FORMAT", "x_text IS NOT NULL AND x_size IS NULL"),
            ("AMOUNT_RANGE", f"x_size IS NOT NULL AND (NOT ABS(x_size) <= {LARGEST_AMOUNT} OR x IS NULL)"),
        ),
    ),
    "rate": _Reading(
        "TRY_CAST(x_digits AS DECIMAL(9, 8))",
        _DIGITS,
        (
            ("NUMBER_FORMAT", "x_text IS NOT NULL AND x_size IS NULL"),
            ("RATE_RANGE", "x_size IS NOT NULL AND (NOT ABS(x_size) <= 1 OR x IS NULL)"),
        ),
    ),
    "integer": _Reading(
        "TRY_CAST(x_digits AS INTEGER)",
        # Spreadsheets write whole numbers beside gaps as 1980.0.
        "CASE WHEN REGEXP_MATCHES(x_text, '^[+-]?[0-9]+([.]0*)?$') THEN SPLIT_PART(x_text, '.', 1) END",
        (("INTEGER_FORMAT", "x_text IS NOT NULL AND x_size IS NULL"),),
    ),
    "boolean": _Reading(_BOOLEAN, checks=(("BOOLEAN_FORMAT", "x_text IS NOT NULL AND x IS NULL"),)),
    "delivery": _Reading(_DELIVERY, checks=(("MISSING", "$has_x AND x_text IS NULL"), _WRONG_DATE)),
}


@cache
def typing_query(name: str) -> SqlFile:
    """The typing of an extract's records: reads `raw_records`, makes `typed_records`."""
    extract = EXTRACTS[name]
    fields = extract.read_fields
    texts = [_text(field) for field in fields]
    layers = {
        "trimmed": exp.select("line", *map(_trimmed, fields)).from_(RAW),
        "digits": exp.select("line", *texts, *_digits(fields)).from_("trimmed"),
        "typed": exp.select("line", *texts, *_values(fields)).from_("digits"),
        "checked": exp.select("line", *texts, *_kept(fields), _problem(fields)).from_("typed"),
    }
    query = exp.select(
        "line",
        *(column.name for column in extract.kept_columns),
        exp.alias_(_tree("SPLIT_PART(problem, ':', 1)"), "reject_column"),
        exp.alias_(_tree("SPLIT_PART(problem, ':', 2)"), "reject_reason"),
        exp.alias_(_record(fields), "reject_text"),
    ).from_("checked")
    for layer, select in layers.items():
        query.with_(layer, as_=select, copy=False)
    header = {
        "what": f"the records of one file of {extract.name} with their types, and what is wrong with each",
        "grain": "record of one file",
        "reads": RAW,
    }
    return SqlFile(f"typed {extract.name}", header, query)


def typing_parameters(
    extract: Extract, *, typed: Iterable[str], date_format: str, delivery_format: str, decimal_mark: str
) -> dict[str, str]:
    """How each column of a file is written.

    Args:
        extract: The extract.
        typed: Columns that come with a type of their own: as ISO, with a point.
        date_format: Of days and moments.
        delivery_format: Of the column that says when a row was delivered.
        decimal_mark: Of numbers.
    """
    own = frozenset(typed)
    parameters = {}
    for field in extract.read_fields:
        written = delivery_format if field.kind == "delivery" else date_format
        parameters[f"{field.name}_format"] = "iso" if field.name in own else written
        parameters[f"{field.name}_mark"] = "." if field.name in own else decimal_mark
    return parameters


def _trimmed(field: Field) -> exp.Expr:
    return exp.alias_(exp.func("NULLIF", exp.func("TRIM", exp.column(field.name)), _word("")), _text(field))


def _text(field: Field) -> str:
    return f"{field.name}_text"


def _digits(fields: Iterable[Field]) -> Iterator[exp.Expr]:
    for field in fields:
        if template := _READINGS[field.kind].digits:
            yield exp.alias_(_tree(template, field.name), f"{field.name}_digits")


def _values(fields: Iterable[Field]) -> Iterator[exp.Expr]:
    for field in fields:
        if _READINGS[field.kind].digits:
            size = _tree("TRY_CAST(x_digits AS DOUBLE)", field.name)
            yield exp.alias_(size, f"{field.name}_size")
        yield exp.alias_(_tree(_READINGS[field.kind].value, field.name), field.name)


def _kept(fields: Iterable[Field]) -> Iterator[exp.Expr]:
    for field in fields:
        for column in field.columns():
            if column.name == field.day_name:
                yield exp.alias_(_tree("CAST(x AS DATE)", field.name), column.name)
            else:
                yield exp.column(column.name)


def _problem(fields: Iterable[Field]) -> exp.Expr:
    """The first thing that is wrong, as `column:REASON`."""
    case = exp.Case()
    for field in fields:
        for reason, condition in _checks(field):
            case.when(condition, _word(f"{field.name}:{reason}"), copy=False)
    return exp.alias_(case, "problem", copy=False)


def _checks(field: Field) -> Iterator[tuple[str, exp.Expr]]:
    value, size = exp.column(field.name), exp.column(f"{field.name}_size")
    if field.required:
        yield "MISSING", _tree("x_text IS NULL", field.name)
    if field.required_with:
        other, word = field.required_with
        yield "MISSING", exp.and_(_tree("x_text IS NULL", field.name), exp.column(other).eq(word))
    for reason, template in _READINGS[field.kind].checks:
        yield reason, _tree(template, field.name)
    if field.required and field.kind == "money":
        # What must be there must not vanish; a fee so small may.
        yield "AMOUNT_PRECISION", _tree("x = 0 AND REGEXP_MATCHES(x_text, '^[^eE]*[1-9]')", field.name)
    if field.codes:
        yield "UNKNOWN_CODE", value.isin(*field.codes).not_()
    if field.bounds:
        low, high = field.bounds
        yield "INTEGER_RANGE", exp.or_(size < low, size > high)
    if field.not_before:
        yield "DATE_ORDER", value < exp.column(field.not_before)


def _record(fields: Iterable[Field]) -> exp.Expr:
    """The texts of a record that is set aside; not where customers go by pseudonyms."""
    parts: list[exp.Expr] = []
    for field in fields:
        parts += [_word(" | ")] if parts else []
        parts.append(_tree("COALESCE(x_text, '')", field.name))
    return exp.Case().when(_tree("$keep_raw AND NOT problem IS NULL"), exp.func("CONCAT", *parts))


def _word(text: str) -> exp.Expr:
    return exp.Literal.string(text)


@cache
def _parsed(template: str) -> exp.Expr:
    return sqlglot.parse_one(template, dialect=DIALECT)


def _tree(template: str, column: str = "") -> exp.Expr:
    """A template with the column's name in the place of `x`."""
    tree = _parsed(template).copy()
    for node in list(tree.find_all(exp.Identifier, exp.Placeholder)):
        words = str(node.this).split("_")
        node.set("this", "_".join(column if word == "x" else word for word in words))
    return tree
