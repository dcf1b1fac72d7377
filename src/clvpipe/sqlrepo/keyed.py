"""The query of the rows of a keyed extract as they are known: of several with one key the latest stands."""

from collections.abc import Sequence
from functools import cache

import sqlglot
from sqlglot import expressions as exp

from clvpipe.contracts import Column
from clvpipe.contracts.extracts import EXTRACT_DATE, EXTRACTS, Extract
from clvpipe.sqlrepo.repo import DIALECT, SqlFile

_PLACE = ("source_file", "line")
_KNOWN = "$known_at IS NULL OR extract_date IS NULL OR extract_date <= CAST($known_at AS DATE)"
_DELIVERED = """
    $delivery = 'append'
    OR extract_date = (SELECT MAX(latest.extract_date) AS extract_date FROM known AS latest)
"""
_EARLIEST = "COALESCE(extract_date, CAST('0001-01-01' AS DATE))"


@cache
def keyed_query(name: str) -> SqlFile:
    """The current rows of an extract, and where they came from: reads `<name>_parts`."""
    extract = EXTRACTS[name]
    columns = [*(column.name for column in extract.kept_columns), *_PLACE]
    layers = {
        "known": exp.select(*columns).from_(f"{name}_parts").where(_tree(_KNOWN)),
        "delivered": exp.select(*columns).from_("known").where(_tree(_DELIVERED)),
        "repeated": exp.select(*extract.key).from_("delivered").group_by(*extract.key).having("COUNT(*) > 1"),
        "marked": _marked(extract, columns),
        "ranked": exp.select(*columns, _standing(extract)).from_("marked").where("is_repeated"),
    }
    query: exp.Query = exp.union(
        exp.select(*columns).from_("marked").where("NOT is_repeated"),
        exp.select(*columns).from_("ranked").where("standing = 1"),
        distinct=False,
    )
    for layer, select in layers.items():
        query = query.with_(layer, as_=select)
    header = {
        "what": f"the rows of {name} as they were known by known_at, each key once",
        "grain": extract.grain,
        "reads": f"{name}_parts",
    }
    return SqlFile(f"current {name}", header, query)


def _marked(extract: Extract, columns: Sequence[str]) -> exp.Select:
    """Most keys come once: only the rows of the others are ranked, which costs far more than to count."""
    same = exp.and_(
        *(_key(extract, name, "delivered").eq(_key(extract, name, "repeated")) for name in extract.key)
    )
    is_repeated = exp.column(extract.key[0], table="repeated").is_(exp.null()).not_()
    return (
        exp.select(
            *(exp.column(name, table="delivered") for name in columns), exp.alias_(is_repeated, "is_repeated")
        )
        .from_("delivered")
        .join("repeated", on=same, join_type="left")
    )


def _key(extract: Extract, name: str, table: str) -> exp.Expr:
    """A column of the key, in which nothing equals nothing; no text is empty."""
    column = exp.column(name, table=table)
    if name in extract.required:
        return column
    return exp.func("COALESCE", column, exp.Literal.string(""))


def _standing(extract: Extract) -> exp.Expr:
    """1 for the row that stands. The content decides between two of one delivery, so that order does not."""
    content: list[exp.Expr] = []
    for column in extract.kept_columns:
        if column.name not in (*extract.key, EXTRACT_DATE.name):
            content += [_canonical(column), exp.Literal.string("|")]
    window = exp.Window(
        this=exp.func("ROW_NUMBER"),
        partition_by=[exp.column(name) for name in extract.key],
        order=exp.Order(
            expressions=[
                _tree(_EARLIEST).desc(),
                exp.func("MD5", exp.func("CONCAT", *content)).desc(),
                *map(exp.column, _PLACE),
            ]
        ),
    )
    return exp.alias_(window, "standing")


def _canonical(column: Column) -> exp.Expr:
    """A value as text in which no bar stands."""
    value: exp.Expr = exp.column(column.name)
    if column.type != "VARCHAR":
        value = exp.cast(value, "VARCHAR")
    else:
        for mark, escaped in (("~", "~~"), ("|", "~!")):
            value = exp.func("REPLACE", value, exp.Literal.string(mark), exp.Literal.string(escaped))
    return exp.func("COALESCE", value, exp.Literal.string(""))


def _tree(text: str) -> exp.Expr:
    return sqlglot.parse_one(text, dialect=DIALECT)
