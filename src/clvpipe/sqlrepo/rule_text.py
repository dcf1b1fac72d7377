"""The conditions of a rule table in words: from the syntax tree to a sentence in English or Chinese."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NamedTuple

from sqlglot import expressions as exp

from clvpipe.contracts import Column, Table
from clvpipe.sqlrepo.rules import is_everyone

Language = Literal["en", "zh"]


class Number(NamedTuple):
    """A threshold as it is configured."""

    value: Decimal
    unit: str


class _Phrase(NamedTuple):
    """How an operation is said: what stands between its operands, and what stands around all of them."""

    between: str
    around: str = "{}"


_PHRASES: dict[Language, dict[type[exp.Expr], _Phrase]] = {
    "en": {
        exp.And: _Phrase(", and "),
        exp.Or: _Phrase(", or "),
        exp.Not: _Phrase("", "it is not so that ({})"),
        exp.Is: _Phrase("", "{} is unknown"),
        exp.EQ: _Phrase(" is exactly "),
        exp.NEQ: _Phrase(" is not "),
        exp.GT: _Phrase(" is more than "),
        exp.GTE: _Phrase(" is at least "),
        exp.LT: _Phrase(" is less than "),
        exp.LTE: _Phrase(" is at most "),
        exp.Add: _Phrase(" plus "),
        exp.Sub: _Phrase(" minus "),
        exp.Mul: _Phrase(" times "),
        exp.Greatest: _Phrase(" and ", "the greatest of {}"),
        exp.Coalesce: _Phrase(" or, where that is unknown, "),
    },
    "zh": {
        exp.And: _Phrase("，且"),
        exp.Or: _Phrase("，或"),
        exp.Not: _Phrase("", "非（{}）"),
        exp.Is: _Phrase("", "{}未知"),
        exp.EQ: _Phrase("等于"),
        exp.NEQ: _Phrase("不等于"),
        exp.GT: _Phrase("大于"),
        exp.GTE: _Phrase("至少"),
        exp.LT: _Phrase("小于"),
        exp.LTE: _Phrase("至多"),
        exp.Add: _Phrase("加"),
        exp.Sub: _Phrase("减"),
        exp.Mul: _Phrase("乘以"),
        exp.Greatest: _Phrase("与", "{}中的最大者"),
        exp.Coalesce: _Phrase("，未知时取"),
    },
}
_KNOWN: dict[Language, str] = {"en": "{} is known", "zh": "{}已知"}
_EVERYONE: dict[Language, str] = {
    "en": "everybody whom no rule before this one takes",
    "zh": "以上规则均未涵盖的所有客户",
}
_TRUTH: dict[Language, tuple[str, str]] = {"en": ("false", "true"), "zh": ("否", "是")}
_QUOTED: dict[Language, str] = {"en": '"{}"', "zh": "“{}”"}
_BRACKETS: dict[Language, str] = {"en": "({})", "zh": "（{}）"}
_UNITS: dict[Language, Mapping[str, str]] = {
    "en": {"days": " days", "months": " months"},
    "zh": {"days": "天", "months": "个月"},
}
_CONNECTORS = (exp.And, exp.Or)
_LOOSE = (*_CONNECTORS, exp.Coalesce)
_STRONGER = str.maketrans(",，", ";；")
_SUMS = (exp.Add, exp.Sub, exp.Mul)


def condition_text(tree: exp.Expr, columns: Table, numbers: Mapping[str, Number], language: Language) -> str:
    """A condition as a sentence without its full stop.

    Args:
        tree: As `RuleCase.conditions` gives it: checked, with thresholds as placeholders.
        columns: What it reads, with definitions that can stand in a sentence.
        numbers: Thresholds by name.
        language: Of the sentence.
    """
    if is_everyone(tree):
        return _EVERYONE[language]
    return _Speaker(columns, numbers, language).sentence(tree)


@dataclass(frozen=True)
class _Speaker:
    """Says one condition; remembers what it has explained."""

    columns: Table
    numbers: Mapping[str, Number]
    language: Language
    explained: set[str] = field(default_factory=set)

    def sentence(self, tree: exp.Expr) -> str:
        """The whole condition. Where its parts have commas of their own, semicolons stand between them."""
        node = tree.unnest()
        if not isinstance(node, _CONNECTORS):
            return self.say(node)
        parts = list(_parts(node))
        between = _PHRASES[self.language][type(node)].between
        if any(isinstance(part, _LOOSE) for part in parts):
            between = between.translate(_STRONGER)
        return between.join(map(self.say, parts))

    def say(self, tree: exp.Expr) -> str:
        """A part of it."""
        node = tree.unnest()
        if isinstance(node, exp.Column):
            return self._column(self.columns.column(node.name))
        if isinstance(node, exp.Placeholder):
            return self._threshold(str(node.this))
        if isinstance(node, exp.Literal):
            return _QUOTED[self.language].format(node.this) if node.is_string else str(node.this)
        if isinstance(node, exp.Boolean):
            return _TRUTH[self.language][bool(node.this)]
        if isinstance(node, exp.Not):
            return self._denied(node.this.unnest())
        phrase = _PHRASES[self.language][type(node)]
        return phrase.around.format(phrase.between.join(self._operands(node)))

    def _operands(self, node: exp.Expr) -> list[str]:
        """The parts of an operation, in brackets where it would not be clear what belongs together."""
        return [self._operand(part, self._binding(node)) for part in _parts(node)]

    def _operand(self, operand: exp.Expr, outside: int) -> str:
        text = self.say(operand)
        return text if self._binding(operand) > outside else _BRACKETS[self.language].format(text)

    def _denied(self, node: exp.Expr) -> str:
        """The opposite: natural words for what is often denied."""
        if isinstance(node, exp.Is):
            return _KNOWN[self.language].format(*self._operands(node))
        if isinstance(node, exp.Column) and self.language == "en":
            return self.say(node).replace("the customer is", "the customer is not", 1)
        return _PHRASES[self.language][exp.Not].around.format(self.say(node))

    def _binding(self, node: exp.Expr) -> int:
        """How firmly a part holds together: clauses are joined loosely, names and numbers not at all."""
        if isinstance(node, _LOOSE):
            return 0
        if isinstance(node, exp.Predicate | exp.Not) or self._is_yes_or_no(node):
            return 1
        if isinstance(node, exp.Greatest):
            return 2
        return 3 if isinstance(node, _SUMS) else 4

    def _is_yes_or_no(self, node: exp.Expr) -> bool:
        return isinstance(node, exp.Column) and self.columns.column(node.name).kind == "boolean"

    def _column(self, column: Column) -> str:
        if self.language == "zh":
            return column.zh
        text = column.definition
        if column.name in self.explained:
            text = text.partition(" (")[0]
        self.explained.add(column.name)
        return f"the customer is {text}" if column.kind == "boolean" else text

    def _threshold(self, name: str) -> str:
        value, unit = self.numbers[name]
        text = f"{value:,f}{_UNITS[self.language].get(unit, '')}"
        if self.language == "en" and value == 1:
            text = text.removesuffix("s")
        return f"{text} ({name})" if self.language == "en" else f"{text}（{name}）"


def _parts(node: exp.Expr) -> Iterator[exp.Expr]:
    """What an operation joins; of AND in AND and OR in OR all parts alike. Of IS NULL: what may be NULL."""
    for child in [node.this] if isinstance(node, exp.Is) else node.iter_expressions():
        part = child.unnest()
        if isinstance(node, _CONNECTORS) and type(part) is type(node):
            yield from _parts(part)
        else:
            yield part
