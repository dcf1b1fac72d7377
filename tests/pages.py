"""What a page of worked examples says, read back: its tables, and the sums in its text.

A sum is a code span with a relation in it, such as `40 × 2.50 − 3 = 97.00` or `120 < 365`. Dates are days, so
that `2024-06-30 − 2024-04-10 = 81`; `≈` is equal when the left side is rounded, half away from zero, to the
places that are written on the right.
"""

import ast
import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any

_ROW = re.compile(r"^\| ([a-z]\w*) \| ([^|]+?) \| ([^|]*?) ?\|$", re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]*\d[^`\n]*)`")
_RELATION = re.compile(r" (=|≈|<|>|≤|≥) ")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_SIGNS = str.maketrans({"×": "*", "−": "-", "^": "**"})

_HOLDS: Mapping[str, Callable[[Fraction, Fraction], bool]] = {
    "=": lambda one, other: one == other,
    "<": lambda one, other: one < other,
    ">": lambda one, other: one > other,
    "≤": lambda one, other: one <= other,
    "≥": lambda one, other: one >= other,
}
_BINARY: Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: lambda one, other: one + other,
    ast.Sub: lambda one, other: one - other,
    ast.Mult: lambda one, other: one * other,
    ast.Div: lambda one, other: one / other,
    ast.Pow: lambda one, other: one ** int(other),
}


def rows(text: str) -> list[tuple[str, str, str]]:
    """Column, value and explanation of each row of the tables of published values."""
    return [row for row in _ROW.findall(text) if row[0] != "column"]


def same(found: Any, value: str) -> bool:
    """Whether a published value is the one on the page; floating point to the places on the page."""
    plain = value.replace(",", "").replace("−", "-")
    if found is None:
        return value == "NULL"
    if isinstance(found, bool):
        return str(found).lower() == value
    if isinstance(found, float):
        return f"{found:.{len(plain.partition('.')[2])}f}" == plain
    if isinstance(found, Decimal):
        return found == Decimal(plain)
    return str(found) == (plain if isinstance(found, int) else value)


def sums(text: str) -> list[str]:
    """The code spans that say how numbers relate."""
    return [span for span in _SPAN.findall(text) if _RELATION.search(span)]


def holds(span: str) -> bool:
    """Whether a sum is right, and every relation of a chain."""
    parts = _RELATION.split(span)
    return all(
        _rounded(_number(left), right) == _number(right)
        if relation == "≈"
        else _HOLDS[relation](_number(left), _number(right))
        for left, relation, right in zip(parts[::2], parts[1::2], parts[2::2], strict=False)
    )


def _rounded(number: Fraction, like: str) -> Fraction:
    scale = 10 ** len(like.partition(".")[2])
    return Fraction(floor(abs(number) * scale + Fraction(1, 2)), scale) * (-1 if number < 0 else 1)


def _number(text: str) -> Fraction:
    days = _DATE.sub(lambda found: str(date.fromisoformat(found[0]).toordinal()), text)
    quoted = _NUMBER.sub(lambda found: f"'{found[0].replace(',', '')}'", days)
    return _value(ast.parse(quoted.translate(_SIGNS).strip(), mode="eval").body)


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=str(text)):
            return Fraction(text)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_value(left), _value(right))
        case ast.Call(func=ast.Name(id="max"), args=args):
            return max(map(_value, args))
    raise ValueError(f"no sum: {ast.unparse(node)}")
