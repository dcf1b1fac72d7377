"""Portability lint: an allow-list over the syntax tree, so that a second engine can run the same files.

The constructs left out are those whose result differs between engines, or from run to run: float
aggregates, approximate or unordered functions, implicit casts, `SELECT *`, division that may meet zero.
"""

from collections.abc import Iterator

from sqlglot import expressions as exp

from clvpipe.sqlrepo.repo import SqlFile

HEADER_KEYS = ("what", "grain", "reads")

_STRUCTURE = """
    Select Union From Join Where Group Having Order Ordered With CTE Subquery Table TableAlias Alias Column
    Identifier Literal Boolean Null Placeholder Star Paren DataType DataTypeParam Var Window Anonymous
"""
_OPERATORS = """
    And Or Not EQ NEQ GT GTE LT LTE Is In Between Add Sub Mul Div Neg IntDiv Case If Coalesce Cast TryCast
"""
_FUNCTIONS = """
    Count Sum Min Max Abs Sign Greatest Least DateDiff RowNumber Lag Concat MD5 Trim Replace Nullif Length
    SplitPart RegexpLike RegexpFullMatch
"""
# Known to sqlglot only by name; each has one meaning in both engines or is confined to staging.
_ANONYMOUS = {"rule_case"}
_STAGING_ONLY = {"try_strptime", "timezone"}
ALLOWED = frozenset(f"{_STRUCTURE} {_OPERATORS} {_FUNCTIONS}".split())


def lint(file: SqlFile, *, staging: bool) -> Iterator[str]:
    """Yield a sentence for every construct that is not in the portable subset.

    Args:
        file: The parsed query.
        staging: Whether it lies in sql/staging, where typing functions are allowed.
    """
    yield from (f"header lacks `-- {key}:`" for key in HEADER_KEYS if key not in file.header)
    for node in file.tree.walk():
        yield from _node(node, staging)
    select = file.tree.selects
    for item in select:
        if not item.alias_or_name or isinstance(item, exp.Star):
            yield f"unnamed column in the last SELECT: {item.sql(dialect='duckdb')}"


def _node(node: exp.Expr, staging: bool) -> Iterator[str]:
    kind = type(node).__name__
    if kind not in ALLOWED:
        yield f"{kind} is not in the portable subset: {node.sql(dialect='duckdb')[:60]}"
    if isinstance(node, exp.Anonymous):
        known = _ANONYMOUS | (_STAGING_ONLY if staging else set())
        if str(node.this).lower() not in known:
            yield f"function {node.this} is not in the portable subset"
    if isinstance(node, exp.Div) and not isinstance(node.expression, exp.Nullif):
        yield f"a divisor must be in NULLIF(…, 0): {node.sql(dialect='duckdb')}"
    if isinstance(node, exp.Star) and not isinstance(node.parent, exp.Count):
        yield "SELECT * hides the columns"
    if isinstance(node, exp.RowNumber):
        window = node.find_ancestor(exp.Window)
        if window is None or not window.args.get("order"):
            yield "ROW_NUMBER without ORDER BY is not deterministic"
    if isinstance(node, exp.Cast | exp.TryCast) and node.to.this in (exp.DType.FLOAT, exp.DType.DOUBLE):
        aggregate = node.find_ancestor(exp.Sum)
        if aggregate is not None:
            yield "a sum of floats differs with the number of threads"
