"""Rule tables as data: conditions from config become one CASE, through the syntax tree and an allow-list."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import sqlglot
from sqlglot import expressions as exp

from clvpipe.contracts.model import Kind
from clvpipe.errors import ConfigError


class _Operator(NamedTuple):
    """What an operator is called, takes and gives.

    Attributes:
        name: As a rule writes it.
        takes: Kind of every operand; None: any kind, if all have the same.
        gives: Kind of the result; None: the kind of the operands.
    """

    name: str
    takes: Kind | None
    gives: Kind | None


# With columns, literals and IS NULL, all that a rule may use.
_OPERATORS: dict[type[exp.Expr], _Operator] = {
    exp.And: _Operator("AND", "boolean", "boolean"),
    exp.Or: _Operator("OR", "boolean", "boolean"),
    exp.Not: _Operator("NOT", "boolean", "boolean"),
    exp.EQ: _Operator("=", None, "boolean"),
    exp.NEQ: _Operator("<>", None, "boolean"),
    exp.GT: _Operator(">", None, "boolean"),
    exp.GTE: _Operator(">=", None, "boolean"),
    exp.LT: _Operator("<", None, "boolean"),
    exp.LTE: _Operator("<=", None, "boolean"),
    exp.Add: _Operator("+", "number", "number"),
    exp.Sub: _Operator("-", "number", "number"),
    exp.Mul: _Operator("*", "number", "number"),
    exp.Greatest: _Operator("GREATEST", "number", "number"),
    exp.Coalesce: _Operator("COALESCE", None, None),
    exp.Paren: _Operator("()", None, None),
}
_IN_WORDS: dict[Kind, str] = {
    "boolean": "true or false",
    "number": "a number",
    "text": "a text",
    "date": "a date",
}


@dataclass(frozen=True)
class RuleCase:
    """Ordered (code, condition) pairs; the first condition that is true gives the code.

    Attributes:
        source: File that the rules come from, for messages.
        rules: Codes with their conditions, in order. The last condition is `TRUE`, and no other: rules are
            total, and each may be met.
        columns: Columns that a condition may read, with their kinds.
        parameters: Thresholds that a condition may name, all numbers; bound, not written into the SQL.
    """

    source: str
    rules: Sequence[tuple[str, str]]
    columns: Mapping[str, Kind]
    parameters: Collection[str]

    def compile(self) -> exp.Case:
        """Build the CASE expression.

        Raises:
            ConfigError: As `conditions` does.
        """
        case = exp.Case()
        for code, condition in self.conditions():
            case = case.when(condition, exp.Literal.string(code))
        return case

    def conditions(self) -> list[tuple[str, exp.Expr]]:
        """Codes with the trees of their conditions, in which thresholds are placeholders.

        Raises:
            ConfigError: A condition does not parse, names something unknown or mixes kinds, the rules are not
                total, or one stands where it can never be met.
        """
        conditions = [(code, self._condition(code, text)) for code, text in self.rules]
        everyone = [is_everyone(tree) for _, tree in conditions]
        if not everyone or not everyone[-1]:
            raise ConfigError(
                'the last rule must be `when = "TRUE"`, so that nobody is left out', where=self.source
            )
        if True in everyone[:-1]:
            code, _ = conditions[everyone.index(True)]
            raise ConfigError(
                "the rules after this one can never be met: only the last may be `TRUE`",
                where=self._where(code),
            )
        return conditions

    def _condition(self, code: str, text: str) -> exp.Expr:
        try:
            tree = sqlglot.parse_one(text, dialect="duckdb")
        except sqlglot.errors.SqlglotError as error:
            raise ConfigError("the condition does not parse", where=self._where(code)) from error
        try:
            found = self._kind(tree)
            if found != "boolean":
                raise _UnfitError(
                    f"{_quoted(tree)} is {_IN_WORDS[found]}, where a condition is true or false"
                )
        except _UnfitError as error:
            raise ConfigError(str(error), where=self._where(code)) from None
        for column in list(tree.find_all(exp.Column)):
            if column.name in self.parameters:
                # Replaced in place; the root is never a bare threshold, which would not be a condition.
                column.replace(exp.Placeholder(this=column.name))
        return tree

    def _kind(self, node: exp.Expr) -> Kind:
        """The kind of a part, whose own parts fit together."""
        if isinstance(node, exp.Column):
            return self._kind_of_column(node)
        if isinstance(node, exp.Literal):
            return "text" if node.is_string else "number"
        if isinstance(node, exp.Boolean):
            return "boolean"
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            self._kind(node.this)
            return "boolean"
        if type(node) not in _OPERATORS:
            hint = ": write IS NULL or IS NOT NULL" if isinstance(node, exp.Null | exp.Is) else ""
            raise _UnfitError(f"a rule may not use {type(node).__name__}{hint}")
        return self._kind_of_operation(node, _OPERATORS[type(node)])

    def _kind_of_operation(self, node: exp.Expr, operator: _Operator) -> Kind:
        operands = list(node.iter_expressions())
        kinds = [self._kind(operand) for operand in operands]
        wanted = operator.takes or kinds[0]
        for operand, kind in zip(operands, kinds, strict=True):
            if kind != wanted:
                as_first = "" if operator.takes else f", as {_quoted(operands[0])} is"
                raise _UnfitError(
                    f"{_quoted(operand)} is {_IN_WORDS[kind]}, "
                    f"where {operator.name} needs {_IN_WORDS[wanted]}{as_first}"
                )
        return operator.gives or wanted

    def _kind_of_column(self, column: exp.Column) -> Kind:
        if not column.table and column.name in self.parameters:
            return "number"
        if not column.table and column.name in self.columns:
            return self.columns[column.name]
        raise _UnfitError(f"a rule may not read {column.sql()!r}")

    def _where(self, code: str) -> str:
        return f"{self.source}, rule {code}"


class _UnfitError(Exception):
    """A part of a condition that cannot stand where it does."""


def is_everyone(tree: exp.Expr) -> bool:
    """Whether a condition is just TRUE."""
    root = tree.unnest()
    return isinstance(root, exp.Boolean) and bool(root.this)


def _quoted(node: exp.Expr) -> str:
    return f"`{node.sql(dialect='duckdb', comments=False)}`"
