"""The queries: portable, named for their tables, and safe against what a rule file may hold."""

import re
from dataclasses import replace

import pytest
import sqlglot

from clvpipe.contracts import PUBLISHED, WAREHOUSE
from clvpipe.contracts.model import Kind
from clvpipe.errors import ConfigError
from clvpipe.sqlrepo import RuleCase, lifecycle_rules, lint, load, sql_files
from clvpipe.sqlrepo.repo import SqlFile
from tests.support import REPOSITORY

FILES = sql_files()
SEVERITIES = {"BLOCKS", "WARNS", "INFORMS"}


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_query_is_in_the_portable_subset(name):
    assert list(lint(load(name), staging=FILES[name].parent.name == "staging")) == []


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_header_names_what_the_query_reads(name):
    file = load(name)
    tables = {table.name for table in file.tree.find_all(sqlglot.exp.Table)}
    tables -= {cte.alias for cte in file.tree.find_all(sqlglot.exp.CTE)}
    named = set(re.findall(r"[a-z_]+", re.sub(r"\(.*\)", "", file.header["reads"])))
    assert tables == named


def test_audits_say_what_a_finding_means():
    for name, path in FILES.items():
        if path.parent.name == "audits":
            assert load(name).header["severity"] in SEVERITIES


def test_every_query_is_used():
    code = "\n".join(path.read_text() for path in (REPOSITORY / "src").rglob("*.py"))
    for name, path in FILES.items():
        assert path.parent.name == "audits" or f'"{name}"' in code or name in WAREHOUSE or name in PUBLISHED


def test_contract_tables_have_every_column_in_their_query():
    for name, contract in {**WAREHOUSE, **PUBLISHED}.items():
        if name in FILES:
            assert {item.alias_or_name for item in load(name).tree.selects} == set(contract.column_names), (
                name
            )


HEADER = {"what": "x", "grain": "x", "reads": "x"}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM t",
        "SELECT t.* FROM t",
        "SELECT AVG(t.a) AS a FROM t",
        "SELECT STDDEV(t.a) AS a FROM t",
        "SELECT NTILE(5) OVER (ORDER BY t.a) AS a FROM t",
        "SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY t.a) AS a FROM t",
        "SELECT MEDIAN(t.a) AS a FROM t",
        "SELECT LIST(t.a ORDER BY t.a) AS a FROM t",
        "SELECT t.a / t.b AS a FROM t",
        "SELECT SUM(CAST(t.a AS DOUBLE)) AS a FROM t",
        "SELECT ROW_NUMBER() OVER (PARTITION BY t.a) AS a FROM t",
        "SELECT t.a AS a FROM t QUALIFY ROW_NUMBER() OVER (ORDER BY t.a) = 1",
        "SELECT t.d + INTERVAL 1 MONTH AS a FROM t",
        "SELECT DATE_TRUNC('month', t.d) AS a FROM t",
        "SELECT DAYOFWEEK(t.d) AS a FROM t",
        "SELECT RANDOM() AS a FROM t",
        "SELECT CURRENT_DATE AS a FROM t",
        "SELECT NOW() AS a FROM t",
        "SELECT t.a + 1 FROM t",
        "SELECT t.a AS a FROM READ_CSV('x') AS t",
        "SELECT TRY_STRPTIME(t.a, 'x') AS a FROM t",
        "SELECT t.a AS a FROM t LIMIT 1",
    ],
)
def test_the_lint_finds_each_trap(sql):
    tree = sqlglot.parse_one(sql, dialect="duckdb")
    assert isinstance(tree, sqlglot.exp.Query)
    assert list(lint(SqlFile("planted", HEADER, tree), staging=False)), sql


def test_the_lint_passes_plain_sql():
    sql = "SELECT t.a AS a, SUM(CAST(t.b AS DECIMAL(38, 8))) AS b FROM t GROUP BY t.a"
    tree = sqlglot.parse_one(sql, dialect="duckdb")
    assert isinstance(tree, sqlglot.exp.Query)
    assert list(lint(SqlFile("planted", HEADER, tree), staging=False)) == []


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_queries_transpile_for_spark(name):
    """Each construct has a form there, and what comes out is one query of the same columns."""
    if FILES[name].parent.name != "staging":
        tree = load(name).tree
        sql = tree.sql(dialect="spark", unsupported_level=sqlglot.ErrorLevel.RAISE)
        there = sqlglot.parse_one(sql, dialect="spark")
        assert isinstance(there, sqlglot.exp.Query)
        assert [item.alias_or_name for item in there.selects] == [item.alias_or_name for item in tree.selects]


KINDS: dict[str, Kind] = {"balance": "number", "days": "number"}


def _case(*rules):
    return RuleCase("rules.toml", [*rules, ("REST", "TRUE")], KINDS, ("limit_days",)).compile()


def test_rules_become_one_case_with_bound_thresholds():
    sql = _case(("OLD", "days > limit_days AND NOT balance > 0")).sql(dialect="duckdb")
    assert sql == "CASE WHEN days > $limit_days AND NOT balance > 0 THEN 'OLD' WHEN TRUE THEN 'REST' END"


@pytest.mark.parametrize(
    "condition",
    [
        "password = 'x'",
        "other.days > 1",
        "days > (SELECT 1)",
        "days IN (SELECT customer_id FROM transactions)",
        "READ_TEXT('/etc/passwd') = 'x'",
        "days > 1; DROP TABLE customers",
        "days > 1 --",
        "days > ",
        "GETENV('HOME') = 'x'",
        "days > 1 UNION SELECT 1",
        "CAST(days AS VARCHAR) = '1'",
        "* = 1",
        "$other > 1",
    ],
)
def test_rules_may_only_read_their_columns(condition):
    try:
        sql = _case(("BAD", condition)).sql(dialect="duckdb")
    except ConfigError as error:
        assert "BAD" in (error.where or "")
    else:
        # A comment is dropped by the parser and leaves a harmless condition.
        assert sql == "CASE WHEN days > 1 THEN 'BAD' WHEN TRUE THEN 'REST' END"


def test_rules_must_be_total():
    with pytest.raises(ConfigError, match="last rule"):
        RuleCase("rules.toml", [("A", "days > 1")], KINDS, ()).compile()


def test_the_lifecycle_rules_read_only_what_the_inputs_have():
    rules = lifecycle_rules()
    assert rules.compile()
    columns = {name: kind for name, kind in rules.columns.items() if name != "reactivated"}
    with pytest.raises(ConfigError, match="may not read"):
        replace(rules, columns=columns).compile()
