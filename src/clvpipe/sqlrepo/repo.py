"""Read a SQL file, bind its parameters, and cast its columns to a contract, all through the syntax tree."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path

import sqlglot
from sqlglot import expressions as exp

from clvpipe.contracts import Table
from clvpipe.errors import ConfigError
from clvpipe.locations import resource_dir

DIALECT = "duckdb"
_RATIO = sqlglot.parse_one(
    "SIGN(money) * CAST((2 * CAST(ABS(money) * 100000000 AS HUGEINT) + (divisor) * 1000000)"
    " // NULLIF(2 * (divisor) * 1000000, 0) AS DECIMAL(20, 0)) * CAST(0.01 AS DECIMAL(3, 2))",
    dialect=DIALECT,
)
Value = str | int | float | bool | Decimal | date | datetime | None


@dataclass(frozen=True)
class Query:
    """One statement and the values bound to its parameters."""

    sql: str
    parameters: Mapping[str, Value]


@dataclass(frozen=True)
class SqlFile:
    """One query of the repository.

    Attributes:
        name: The file's stem, which is the table that it makes.
        header: The comment lines at its top (`-- what:`, `-- grain:`, `-- reads:`).
        tree: The parsed SELECT.
    """

    name: str
    header: Mapping[str, str]
    tree: exp.Query
    _statements: dict[Table | None, tuple[str, frozenset[str]]] = field(default_factory=dict, compare=False)

    def bind(
        self,
        parameters: Mapping[str, Value],
        *,
        contract: Table | None = None,
        rules: Mapping[str, exp.Expr] | None = None,
    ) -> Query:
        """The statement with its rule placeholders filled, its columns cast, and just the values it names.

        Args:
            parameters: At least every parameter of the query; others are ignored.
            contract: Cast to this table's columns, in its order.
            rules: Compiled rule tables, put in place of `rule_case('name')`.

        Raises:
            ConfigError: A parameter or a rule table is missing.
        """
        sql, names = self._statement(contract) if rules is None else self._with_rules(contract, rules)
        missing = sorted(names - set(parameters))
        if missing:
            raise ConfigError(f"the query has no value for ${missing[0]}", where=f"sql/{self.name}.sql")
        return Query(sql, {name: parameters[name] for name in sorted(names)})

    def _statement(self, contract: Table | None) -> tuple[str, frozenset[str]]:
        """The text without rules; made once, because copying a tree costs more than most queries."""
        if contract not in self._statements:
            self._statements[contract] = _render(self.tree.copy(), contract)
        return self._statements[contract]

    def _with_rules(
        self, contract: Table | None, rules: Mapping[str, exp.Expr]
    ) -> tuple[str, frozenset[str]]:
        tree = self.tree.copy()
        for call in list(tree.find_all(exp.Anonymous)):
            if str(call.this).lower() == "rule_case":
                call.replace(rules[str(call.expressions[0].this)].copy())
        return _render(tree, contract)


def _render(tree: exp.Query, contract: Table | None) -> tuple[str, frozenset[str]]:
    """The statement's text and the names of its parameters. The tree is used up: it need not be copied."""
    query = cast_to(contract, tree) if contract else tree
    names = frozenset(str(node.this) for node in query.find_all(exp.Placeholder))
    return query.sql(dialect=DIALECT, copy=False), names


def sql_files() -> dict[str, Path]:
    """Every file under sql/, by the name of the table that it makes."""
    return {path.stem: path for path in sorted(resource_dir("sql").rglob("*.sql"))}


@cache
def load(name: str) -> SqlFile:
    """Read and parse one query, once.

    Raises:
        ConfigError: No such file, or it does not parse as one SELECT.
    """
    path = sql_files().get(name)
    if path is None:
        raise ConfigError(f"there is no query {name!r}", where="sql/")
    text = path.read_text(encoding="utf-8")
    try:
        tree = sqlglot.parse_one(text, dialect=DIALECT)
    except sqlglot.ParseError as error:
        raise ConfigError(f"does not parse: {error}", where=str(path)) from error
    if not isinstance(tree, exp.Query):
        raise ConfigError("is not one SELECT", where=str(path))
    for node in tree.walk():
        node.comments = None
    return SqlFile(name, _header(text), _with_ratios(tree))


def _with_ratios(tree: exp.Query) -> exp.Query:
    """Put `rounded_ratio(money, days)` in words that every engine has.

    The quotient of exact money and a whole number to the cent, half away from zero, in whole numbers of 1e-8:
    (2 |money| + n cents) // (2 n cents). NULL where the divisor is 0.
    """
    for call in list(tree.find_all(exp.Anonymous)):
        if str(call.this).lower() == "rounded_ratio":
            arguments = dict(zip(("money", "divisor"), call.expressions, strict=True))
            ratio = _RATIO.copy()
            for column in list(ratio.find_all(exp.Column)):
                column.replace(arguments[column.name].copy())
            call.replace(ratio)
    return tree


def cast_to(contract: Table, tree: exp.Query) -> exp.Select:
    """SELECT every column of the contract, cast to its type, from the query, which becomes a part of it."""
    columns = [
        exp.alias_(
            exp.cast(exp.column(column.name, table="source"), _type(column.type), copy=False),
            column.name,
            copy=False,
        )
        for column in contract.columns
    ]
    return exp.select(*columns, copy=False).from_(tree.subquery("source", copy=False), copy=False)


@cache
def _parsed_type(name: str) -> exp.DataType:
    return exp.DataType.build(name, dialect=DIALECT)


def _type(name: str) -> exp.DataType:
    """A type of a contract. A few stand for hundreds of columns, and a copy costs less than parsing."""
    return _parsed_type(name).copy()


def _header(text: str) -> dict[str, str]:
    header: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        body = line.removeprefix("--").strip()
        word, colon, rest = body.partition(":")
        if colon and word.isidentifier():
            key = word
            header[key] = rest.strip()
        elif key:
            header[key] += f" {body}"
    return header
