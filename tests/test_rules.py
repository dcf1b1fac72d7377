"""The lifecycle rule table: what it refuses, and how it reads in words."""

import json
import re
from dataclasses import replace
from decimal import Decimal
from typing import get_args

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import expressions as exp

from clvpipe.config.base import unit_of
from clvpipe.config.load import default_lifecycle
from clvpipe.config.rules import SYSTEMS, check_labels, load_codes, load_lifecycle
from clvpipe.contracts.lifecycle import LIFECYCLE_INPUTS
from clvpipe.contracts.model import Column, Table
from clvpipe.errors import ConfigError, ExitCode
from clvpipe.sqlrepo import RuleCase, lifecycle_rules
from clvpipe.sqlrepo.rule_text import Language, Number, condition_text
from tests.commands import clvpipe

COLUMNS = Table(
    "inputs",
    "customer",
    ("name",),
    (
        Column("name", "VARCHAR", "the name", "姓名"),
        Column("open", "BOOLEAN", "open (not closed)", "开户"),
        Column("silent", "BOOLEAN", "silent", "沉默"),
        Column("days", "INTEGER", "the age (in days)", "天数"),
        Column("gap", "DECIMAL(10,1)", "the gap", "间隔"),
        Column("money", "DECIMAL(38,8)", "the money", "金额"),
        Column("p", "DOUBLE", "the chance", "概率"),
        Column("born", "DATE", "the birthday", "生日"),
        Column("left", "DATE", "the last day", "末日"),
    ),
)
KINDS = {column.name: column.kind for column in COLUMNS.columns}
NUMBERS = {
    "limit_days": Number(Decimal(1), "days"),
    "multiple": Number(Decimal("2.5"), "ratio"),
    "limit_money": Number(Decimal(1000), "count"),
}
LANGUAGES = get_args(Language)


def _rules(*conditions: str) -> RuleCase:
    """Rules A, B, … with these conditions."""
    return RuleCase("rules.toml", list(zip("ABCDEFG", conditions, strict=False)), KINDS, NUMBERS)


def _text(condition: str, language: Language) -> str:
    _, tree = _rules(condition, "TRUE").conditions()[0]
    return condition_text(tree, COLUMNS, NUMBERS, language)


# ---- what is refused


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("days", "`days` is a number, where a condition is true or false"),
        ("limit_days", "`limit_days` is a number, where a condition is true or false"),
        ("1", "`1` is a number"),
        ("'yes'", "`'yes'` is a text"),
        ("born", "`born` is a date"),
        ("GREATEST(days, 1)", "`GREATEST(days, 1)` is a number"),
        ("COALESCE(days, 1)", "`COALESCE(days, 1)` is a number"),
        ("open AND days", "`days` is a number, where AND needs true or false"),
        ("open OR days + 1", "`days + 1` is a number, where OR needs true or false"),
        ("NOT days", "`days` is a number, where NOT needs true or false"),
        ("open AND (silent OR name)", "`name` is a text, where OR needs true or false"),
        ("days > '1'", "`'1'` is a text, where > needs a number, as `days` is"),
        ("name = 1", "`1` is a number, where = needs a text, as `name` is"),
        ("name <> born", "`born` is a date, where <> needs a text"),
        ("open >= 1", "`1` is a number, where >= needs true or false"),
        ("days < open", "`open` is true or false, where < needs a number"),
        ("born <= limit_days", "`limit_days` is a number, where <= needs a date"),
        ("days + open > 1", "`open` is true or false, where + needs a number"),
        ("born - left > 1", "`born` is a date, where - needs a number"),
        ("days * name > 1", "`name` is a text, where * needs a number"),
        ("GREATEST(days, born) > 1", "`born` is a date, where GREATEST needs a number"),
        ("GREATEST(name, name) = name", "`name` is a text, where GREATEST needs a number"),
        ("COALESCE(days, name) > 1", "`name` is a text, where COALESCE needs a number, as `days` is"),
        ("(days AND open) IS NULL", "`days` is a number, where AND needs true or false"),
        ("days = NULL", "may not use Null: write IS NULL or IS NOT NULL"),
        ("NULL", "may not use Null"),
        ("open IS TRUE", "may not use Is: write IS NULL"),
        ("days / 2 > 1", "may not use Div"),
        ("other.days > 1", "may not read"),
        ("other.limit_days > 1", "may not read"),
        ("Days > 1", "may not read 'Days'"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(condition, words):
    with pytest.raises(ConfigError) as refused:
        _rules(condition, "TRUE").compile()
    assert words in refused.value.what
    assert refused.value.where == "rules.toml, rule A"


@pytest.mark.parametrize("conditions", [(), ("open",), ("open", "NOT FALSE"), ("open", "open OR TRUE")])
def test_the_last_rule_takes_everybody(conditions):
    with pytest.raises(ConfigError, match="the last rule must be"):
        _rules(*conditions).compile()


@pytest.mark.parametrize("everybody", ["TRUE", "true", "(TRUE)"])
def test_no_rule_stands_behind_one_that_takes_everybody(everybody):
    with pytest.raises(ConfigError, match="can never be met") as refused:
        _rules("open", everybody, "silent", "TRUE").compile()
    assert refused.value.where == "rules.toml, rule B"
    assert _rules("open", everybody).compile()


@pytest.mark.parametrize(
    ("place", "scheme"),
    [
        ("code", "lifecycle_state"),
        *((system, system) for system in SYSTEMS),
        ("icbc6_when_paid_back", "icbc6"),
    ],
)
def test_every_label_is_a_code_of_its_scheme(place, scheme):
    rules, codes = load_lifecycle(), load_codes()
    check_labels(rules, codes, "lifecycle.toml")
    first, *others = rules.state
    wrong = rules.model_copy(update={"state": (first.model_copy(update={place: "NOPE"}), *others)})
    with pytest.raises(ConfigError, match=f"'NOPE' is no code of the scheme {scheme}") as refused:
        check_labels(wrong, codes, "lifecycle.toml")
    assert "lifecycle.toml, rule" in (refused.value.where or "")
    without = codes.model_copy(update={"schemes": {**codes.schemes}})
    del without.schemes[scheme]
    with pytest.raises(ConfigError, match=f"is no code of the scheme {scheme}"):
        check_labels(rules, without, "lifecycle.toml")


# ---- conditions by chance

BOOLEANS = ["open", "silent"]
LITERALS = ["0", "1", "3.25", "1000"]
NAMED = [*NUMBERS, *LITERALS]
MEASURES = ["days", "gap", "money", "p"]
COMPARISONS = st.sampled_from(["=", "<>", ">", ">=", "<", "<="])


def _joined(pattern: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda texts: pattern.format(*texts))


# A product has one measure: no type of a bank's numbers holds the fourth power of another.
PRODUCTS = _joined("({} * {})", st.sampled_from(MEASURES), st.sampled_from(NAMED))
NUMERIC = st.recursive(
    st.sampled_from([*MEASURES, *NAMED]) | PRODUCTS,
    lambda inner: (
        _joined("({} {} {})", inner, st.sampled_from("+-"), inner)
        | _joined("GREATEST({}, {})", inner, inner)
        | _joined("COALESCE({}, {}, {})", inner, inner, inner)
    ),
    max_leaves=5,
)
TEXTS = st.sampled_from(["name", "'x'", "COALESCE(name, '')"])
DATES = st.sampled_from(["born", "left", "COALESCE(left, born)"])
CLAUSES = (
    st.sampled_from([*BOOLEANS, "TRUE", "FALSE"])
    | _joined("{} {} {}", NUMERIC, COMPARISONS, NUMERIC)
    | _joined("{} {} {}", TEXTS, COMPARISONS, TEXTS)
    | _joined("{} {} {}", DATES, COMPARISONS, DATES)
    | _joined("{} IS NULL", NUMERIC | TEXTS | DATES)
    | _joined("{} IS NOT NULL", NUMERIC | TEXTS | DATES)
)
CONDITIONS = st.recursive(
    CLAUSES,
    lambda inner: (
        _joined("({}) AND ({})", inner, inner)
        | _joined("({}) OR ({})", inner, inner)
        | _joined("NOT ({})", inner)
        | _joined("({}) IS NOT NULL", inner)
        | _joined("({}) = ({})", inner, inner)
        | _joined("COALESCE({}, {})", inner, inner)
    ),
    max_leaves=6,
)
# Something of a wrong kind, in places that take only another.
MISFITS = (
    NUMERIC
    | TEXTS
    | DATES
    | _joined("NOT {}", NUMERIC | TEXTS | DATES)
    | _joined("({}) + ({}) > 1", NUMERIC, CONDITIONS | TEXTS | DATES)
    | _joined("{} {} {}", NUMERIC, COMPARISONS, TEXTS | DATES)
    | _joined("{} {} ({})", TEXTS, COMPARISONS, NUMERIC | DATES | CONDITIONS)
    | _joined("GREATEST({}, {}) > 0", NUMERIC, TEXTS | DATES)
    | _joined("COALESCE({}, {}) IS NULL", NUMERIC, TEXTS | DATES)
)


@pytest.fixture(scope="module")
def database():
    with duckdb.connect() as connection:
        types = ", ".join(f'"{column.name}" {column.type}' for column in COLUMNS.columns)
        connection.execute(f"CREATE TABLE inputs ({types})")
        known = (
            "('x', TRUE, FALSE, 400, 12.5, 123456789.12345678, 0.04, DATE '2020-01-31', DATE '2024-02-29')"
        )
        unknown = f"({', '.join(['NULL'] * len(COLUMNS.columns))})"
        connection.execute(f"INSERT INTO inputs VALUES {known}, {unknown}")
        yield connection


@given(condition=CONDITIONS)
@settings(max_examples=200)
def test_what_fits_compiles_and_runs(database, condition):
    case = _rules(f"({condition}) AND open", "TRUE").compile()
    bound = {str(node.this): NUMBERS[str(node.this)].value for node in case.find_all(exp.Placeholder)}
    query = exp.select(exp.alias_(case, "code")).from_("inputs").sql(dialect="duckdb")
    codes = [code for (code,) in database.execute(query, bound).fetchall()]
    assert codes in (["A", "B"], ["B", "B"])


@given(condition=CONDITIONS)
def test_what_fits_can_be_said(condition):
    condition = f"({condition}) AND open"
    assert set("姓开沉天间金概生末") & set(_text(condition, "zh"))
    for language in LANGUAGES:
        assert not re.search(
            r"\b(AND|OR|NOT|NULL|GREATEST|COALESCE|TRUE|FALSE)\b", _text(condition, language)
        )


@given(misfit=MISFITS, condition=CONDITIONS, pattern=st.sampled_from(["{}", "({1}) AND ({0})", "NOT ({})"]))
def test_what_does_not_fit_is_refused_wherever_it_stands(misfit, condition, pattern):
    with pytest.raises(ConfigError):
        _rules(pattern.format(misfit, condition), "TRUE").compile()


# ---- in words


@pytest.mark.parametrize(
    ("condition", "english", "chinese"),
    [
        ("open", "the customer is open (not closed)", "开户"),
        ("NOT open", "the customer is not open (not closed)", "非（开户）"),
        ("NOT (open AND silent)",
         "it is not so that (the customer is open (not closed), and the customer is silent)",
         "非（开户，且沉默）"),
        ("days >= limit_days",
         "the age (in days) is at least 1 day (limit_days)",
         "天数至少1天（limit_days）"),
        ("money > limit_money", "the money is more than 1,000 (limit_money)", "金额大于1,000（limit_money）"),
        ("days < 5 OR days = 9 OR days <> 7",
         "the age (in days) is less than 5, or the age is exactly 9, or the age is not 7",
         "天数小于5，或天数等于9，或天数不等于7"),
        ("open AND (silent OR days <= 3)",
         "the customer is open (not closed); and the customer is silent, or the age (in days) is at most 3",
         "开户；且沉默，或天数至多3"),
        ("open AND (silent OR (days <= 3 AND p < 1))",
         "the customer is open (not closed); and the customer is silent, "
         "or (the age (in days) is at most 3, and the chance is less than 1)",
         "开户；且沉默，或（天数至多3，且概率小于1）"),
        ("open AND (silent AND p < 1)",
         "the customer is open (not closed), and the customer is silent, and the chance is less than 1",
         "开户，且沉默，且概率小于1"),
        ("days > GREATEST(limit_days, multiple * gap)",
         "the age (in days) is more than the greatest of 1 day (limit_days) and 2.5 (multiple) times the gap",
         "天数大于1天（limit_days）与2.5（multiple）乘以间隔中的最大者"),
        ("(days + 1) * 2 - gap > 0",
         "((the age (in days) plus 1) times 2) minus the gap is more than 0",
         "（（天数加1）乘以2）减间隔大于0"),
        ("gap IS NULL OR name IS NOT NULL",
         "the gap is unknown, or the name is known",
         "间隔未知，或姓名已知"),
        ("open IS NULL", "(the customer is open (not closed)) is unknown", "（开户）未知"),
        ("COALESCE(gap, 7) > 3",
         "(the gap or, where that is unknown, 7) is more than 3",
         "（间隔，未知时取7）大于3"),
        ("COALESCE(silent, FALSE)",
         "the customer is silent or, where that is unknown, false",
         "沉默，未知时取否"),
        ("open AND COALESCE(silent, FALSE)",
         "the customer is open (not closed); and the customer is silent or, where that is unknown, false",
         "开户；且沉默，未知时取否"),
        ("silent = TRUE", "(the customer is silent) is exactly true", "（沉默）等于是"),
        ("name = 'x{}'", 'the name is exactly "x{}"', "姓名等于“x{}”"),
        ("TRUE", "everybody whom no rule before this one takes", "以上规则均未涵盖的所有客户"),
    ],
)  # fmt: skip
def test_conditions_in_words(condition, english, chinese):
    if condition == "TRUE":
        (_, tree), *_ = _rules("TRUE").conditions()
        assert condition_text(tree, COLUMNS, NUMBERS, "en") == english
        assert condition_text(tree, COLUMNS, NUMBERS, "zh") == chinese
    else:
        assert (_text(condition, "en"), _text(condition, "zh")) == (english, chinese)


def _shipped(language):
    """(code, text) of the shipped rules with the shipped numbers."""
    lifecycle = default_lifecycle()
    numbers = {
        name: Number(Decimal(getattr(lifecycle, name).value), unit_of(name))
        for name in type(lifecycle).model_fields
    }
    return [
        (code, condition_text(tree, LIFECYCLE_INPUTS, numbers, language))
        for code, tree in lifecycle_rules().conditions()
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_shipped_rules_read_as_sentences(language):
    thresholds = "|".join(type(default_lifecycle()).model_fields)
    texts = _shipped(language)
    assert [code for code, _ in texts] == list(load_codes().of("lifecycle_state"))
    assert len({text for _, text in texts}) == len(texts)
    for code, text in texts:
        without = re.sub(rf"[(（]({thresholds})[)）]", "", text)
        assert not re.search(r"_|[<>=*$]|\b(AND|OR|NOT|NULL|GREATEST|TRUE)\b|[{}]", without), (code, text)
        assert text.count("(") == text.count(")") and text.count("（") == text.count("）"), text
        if language == "zh":
            assert not re.search(r"[A-Za-oq-z]|[(),;]", without), (code, text)


def test_the_shipped_rules_say_their_numbers():
    english, chinese = dict(_shipped("en")), dict(_shipped("zh"))
    assert "is at least 365 days (terminated_days)" in english["TERMINATED"]
    assert "至少365天（terminated_days）" in chinese["TERMINATED"]
    assert "less than 0.05 (significance)" in english["DECLINING"]
    assert "至少9个月（mature_active_months）" in chinese["MATURE"]


def test_what_rules_read_has_words():
    for column in LIFECYCLE_INPUTS.columns:
        assert column.zh and column.definition and not column.definition.endswith("."), column.name
        assert column.zh.count("且") == 0, "would be read as a part of the rule"
    assert len({column.zh for column in LIFECYCLE_INPUTS.columns}) == len(LIFECYCLE_INPUTS.columns)


def test_a_threshold_wins_over_a_column_of_its_name():
    rules = replace(_rules("days > 1", "TRUE"), parameters=("days",))
    assert rules.compile().sql(dialect="duckdb") == "CASE WHEN $days > 1 THEN 'A' WHEN TRUE THEN 'B' END"


# ---- the command


def test_the_command_prints_every_state(tmp_path):
    for language, place in (("en", 0), ("zh", 1)):
        done = clvpipe(tmp_path, "schema", "--rules", "--lang", language)
        assert (done.returncode, done.stderr) == (0, "")
        for number, (code, text) in enumerate(_shipped(language), 1):
            label = load_codes().label("lifecycle_state", code)[place]
            assert f"\n{number}. {code} {label}\n    {text}\n" in done.stdout
        assert "icbc6" in done.stdout
    assert "icbc6：开发期（收入大于投入且有复购后为成长期）" in done.stdout


def test_the_command_has_your_numbers(tmp_path):
    own = 'preset = "retail"\ncurrency = "EUR"\n[inputs.transactions]\nfiles = ["*.csv"]\n'
    (tmp_path / "my.toml").write_text(f"{own}[lifecycle]\nterminated_days = 500\n", encoding="utf-8")
    told = clvpipe(tmp_path, "schema", "--rules", "--config", "my.toml")
    assert "Numbers: my.toml." in told.stdout and "at least 500 days (terminated_days)" in told.stdout
    assert "Numbers: the shipped defaults." in clvpipe(tmp_path, "schema", "--rules").stdout
    (tmp_path / "my.toml").rename(tmp_path / "clvpipe.toml")
    content = json.loads(clvpipe(tmp_path, "schema", "--rules", "--json").stdout)
    assert content["config"] == "clvpipe.toml"
    first = content["states"][0]
    assert (first["code"], first["label_zh"]) == ("TERMINATED", "终止")
    assert "500" in first["condition_en"] and "至少500天" in first["condition_zh"]
    assert first["relationship5"]["label_zh"] == "关系衰退或流失阶段"
    assert first["icbc6_when_paid_back"] is None
    assert content["states"][1]["icbc6_when_paid_back"]["code"] == "GROWTH"


def test_the_command_takes_rules_or_a_dataset(tmp_path):
    assert clvpipe(tmp_path, "schema", "codes", "--rules").returncode == ExitCode.USAGE
    assert clvpipe(tmp_path, "schema", "--rules", "--config", "no.toml").returncode == ExitCode.CONFIG
    assert clvpipe(tmp_path, "schema", "--rules", "--lang", "fr").returncode == ExitCode.USAGE
