"""Every extract with the same care: typed, keyed, gated, pseudonymous, erasable; empty where it is absent."""

import json
from collections import Counter
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clvpipe.contracts.extracts import EXTRACTS, KEYED
from clvpipe.contracts.warehouse import STAGED
from clvpipe.errors import InputError, QualityGateError
from clvpipe.privacy import Identity
from clvpipe.sqlrepo import keyed_query, lint, typing_query
from tests.support import REPOSITORY, Bench, manifest, published
from tests.test_privacy import ERASED, KEY, _files_with, _forget

INGEST = ("ingest",)
TOLERANT = "[quality]\nmaximum_reject_share = 1.0\n"
HEAD = 'preset = "retail"\ncurrency = "EUR"\n[inputs.transactions]\nfiles = ["tx*.csv"]\n'
DATED = 'extract_date = { file_name = "_(?P<date>[0-9]{8})", format = "%Y%m%d" }\n'
EVENTS = "customer_id,posted_at,amount\nann,2024-01-02,10\nann,2024-03-02,20\n"
DAY, AT = date(2024, 1, 2), datetime(2024, 1, 2, 9, 30)

# Of each keyed extract one record, and what becomes of it.
RECORDS: dict[str, dict[str, tuple[str, Any]]] = {
    "customers": {
        "customer_id": ("ann", "ann"),
        "opened_on": ("2024-01-02", DAY),
        "birth_year": ("1980", 1980),
        "branch": ("East", "East"),
        "community": ("Hill", "Hill"),
        "relationship_manager": ("Joe", "Joe"),
        "referred_by": ("bob", "bob"),
        "marketing_consent": ("是", True),
        "opted_out_on": ("2024-01-02", DAY),
    },
    "holdings": {
        "customer_id": ("ann", "ann"),
        "account_id": ("a1", "a1"),
        "product_type": ("FUND", "FUND"),
        "opened_on": ("2024-01-02", DAY),
        "matures_on": ("2030-12-31", date(2030, 12, 31)),
        "closed_on": ("2024-01-02", DAY),
        "is_mobile": ("No", False),
        "activated_on": ("2024-01-02", DAY),
        "days_overdue": ("0", 0),
    },
    "balances": {
        "customer_id": ("ann", "ann"),
        "date": ("2024-01-02", DAY),
        "deposit_balance": ("-12.50", Decimal("-12.5")),
        "loan_balance": ("0", Decimal(0)),
        "investment_value": ("1e3", Decimal(1000)),
        "net_flow": ("5", Decimal(5)),
        "account_id": ("a1", "a1"),
        "product_type": ("FUND", "FUND"),
    },
    "rates": {
        "rate_key": ("DEPOSIT", "DEPOSIT"),
        "valid_from": ("2024-01-02", DAY),
        "funding_rate": ("0.021", Decimal("0.021")),
        "customer_rate": ("-1", Decimal(-1)),
        "expected_loss_rate": ("1", Decimal(1)),
    },
    "costs": {
        "cost_kind": ("CHANNEL", "CHANNEL"),
        "channel": ("BRANCH", "BRANCH"),
        "unit_cost": ("4.20", Decimal("4.2")),
        "valid_from": ("2024-01-02", DAY),
    },
    "contacts": {
        "campaign_id": ("spring", "spring"),
        "customer_id": ("ann", "ann"),
        "sent_at": ("2024-01-02 09:30:00", AT),
        "channel": ("SMS", "SMS"),
        "reached": ("T", True),
        "engaged": ("0", False),
        "converted_at": ("2024-01-02 09:30:00", AT),
        "is_control": ("n", False),
    },
    "events": {
        "customer_id": ("ann", "ann"),
        "occurred_at": ("2024-01-02 09:30:00", AT),
        "event_code": ("APP_LOGIN", "APP_LOGIN"),
    },
    "surveys": {
        "customer_id": ("ann", "ann"),
        "answered_on": ("2024-01-02", DAY),
        "nps_score": ("10", 10),
        "satisfaction": ("100", 100),
    },
}
# A column outside the key, to be corrected: twice other texts.
CORRECTED = {
    "customers": ("branch", "West", "North"),
    "holdings": ("days_overdue", "7", "9"),
    "balances": ("loan_balance", "7", "9"),
    "rates": ("funding_rate", "0.3", "0.4"),
    "costs": ("unit_cost", "7", "9"),
    "contacts": ("channel", "MAIL", "CALL"),
    "surveys": ("nps_score", "7", "9"),
}
OF_CUSTOMERS = [name for name in RECORDS if "customer_id" in EXTRACTS[name].columns]
assert set(RECORDS) == set(KEYED)


def _section(name: str, *lines: str) -> str:
    own = "" if any(line.startswith("files") for line in lines) else f'files = ["{name}*.csv"]\n'
    return f"[inputs.{name}]\n{own}" + "".join(f"{line.strip()}\n" for line in lines)


def _record(name: str, **changes: str) -> dict[str, str]:
    return {column: text for column, (text, _) in RECORDS[name].items()} | changes


def _csv(name: str, *records: dict[str, str]) -> str:
    columns = RECORDS[name]
    lines = [",".join(record[column] for column in columns) for record in records or (_record(name),)]
    return "\n".join([",".join(columns), *lines]) + "\n"


def _expected(name: str) -> dict[str, object]:
    row = {column: value for column, (_, value) in RECORDS[name].items()}
    days = {f"{column.removesuffix('_at')}_on": value for column, value in row.items() if value is AT}
    return row | dict.fromkeys(days, DAY) | {"extract_date": None}


def _rows(bench: Bench, name: str) -> list[dict[str, object]]:
    columns = [column.name for column in EXTRACTS[name].kept_columns]
    rows = bench.warehouse(f"SELECT {', '.join(columns)} FROM {STAGED[name].name} ORDER BY ALL")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _rejects(bench: Bench, name: str) -> list[tuple[object, ...]]:
    frames = [pl.read_parquet(path) for path in sorted(bench.layout.rejects(name).glob("*.parquet"))]
    columns = ("table_name", "file_name", "line", "column_name", "reason")
    return pl.concat(frames).select(columns).sort("file_name", "line").rows()


def _bench(folder, *sections: str) -> Bench:
    folder.mkdir(exist_ok=True)
    return Bench(folder, HEAD + "".join(sections) + TOLERANT).put("tx.csv", EVENTS)


@pytest.fixture
def make(tmp_path):
    """A folder with transactions, and sections for other extracts."""
    return lambda *sections: _bench(tmp_path, *sections)


# ---- reading


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_a_good_file(make, name):
    bench = make(_section(name)).put(f"{name}.csv", _csv(name))
    bench.run(INGEST)
    assert _rows(bench, name) == [_expected(name)]
    assert _rejects(bench, name) == []
    present = dict(bench.warehouse("SELECT table_name, is_present FROM extract_tables"))
    assert present == {other: other in ("transactions", name) for other in EXTRACTS}


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_columns_re_cased_reordered_and_more_of_them(make, name):
    record = _record(name)
    header = ",".join(["Extra", *(column.upper() for column in reversed(record))])
    line = ",".join(["x", *(f" {text} " for text in reversed(record.values()))])
    bench = make(_section(name)).put(f"{name}.csv", f"{header}\n{line}\n")
    bench.run(INGEST)
    assert _rows(bench, name) == [_expected(name)]


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_only_required_columns_must_be_there(make, name):
    required = [column for column in RECORDS[name] if column in EXTRACTS[name].required]
    # A CHANNEL cost needs its channel, so here it is another one.
    record = _record(name, cost_kind="NEW") if name == "costs" else _record(name)
    text = ",".join(required) + "\n" + ",".join(record[column] for column in required) + "\n"
    bench = make(_section(name)).put(f"{name}.csv", text)
    bench.run(INGEST)
    row = _rows(bench, name)[0]
    assert {column for column, value in row.items() if value is not None} >= set(required)
    assert all(row[column] is None for column in RECORDS[name] if column not in required)
    for column in required:
        bench.put(f"{name}.csv", text.replace(column, "something"))
        with pytest.raises(InputError, match=f"no column '{column}'"):
            bench.run(INGEST)


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_chinese_headers_in_gb18030(make, name):
    theirs = {column: f"第{place}列㙍" for place, column in enumerate(RECORDS[name])}
    mapping = ", ".join(f'{ours} = "{header}"' for ours, header in theirs.items())
    header = ",".join(theirs.values())
    body = _csv(name).split("\n", 1)[1]
    bench = make(_section(name, 'encoding = "gb18030"', f"columns = {{ {mapping} }}"))
    bench.put(f"{name}.csv", f"{header}\n{body}".encode("gb18030")).run(INGEST)
    assert _rows(bench, name) == [_expected(name)]


@pytest.mark.parametrize("name", sorted(RECORDS))
@pytest.mark.parametrize("typed", [True, False])
def test_parquet(make, name, typed):
    """Typed columns need no format; a column of text has the one of the configuration."""
    formats = ('date_format = "%d.%m.%Y"', 'decimal_mark = ","') if typed else ()
    columns = {column: [value if typed else text] for column, (text, value) in RECORDS[name].items()}
    bench = make(_section(name, f'files = ["{name}.parquet"]', *formats))
    pl.DataFrame(columns).write_parquet(bench.folder / f"{name}.parquet")
    bench.run(INGEST)
    assert _rows(bench, name) == [_expected(name)]


def test_parquet_with_types_and_texts_side_by_side(make):
    bench = make(_section("holdings", 'files = ["h.parquet"]', 'date_format = "%d.%m.%Y"'))
    record = {column: [value] for column, (_, value) in RECORDS["holdings"].items()}
    pl.DataFrame({**record, "closed_on": ["02.01.2024"]}).write_parquet(bench.folder / "h.parquet")
    bench.run(INGEST)
    assert _rows(bench, "holdings") == [_expected("holdings")]


@pytest.mark.parametrize(
    ("name", "changes", "column", "reason"),
    [
        ("customers", {"customer_id": " "}, "customer_id", "MISSING"),
        ("customers", {"customer_id": "x" * 256}, "customer_id", "TOO_LONG"),
        ("customers", {"referred_by": "x" * 256}, "referred_by", "TOO_LONG"),
        ("customers", {"referred_by": "b\x01b"}, "referred_by", "CONTROL_CHARACTER"),
        ("customers", {"opened_on": "2024-02-30"}, "opened_on", "DATE_FORMAT"),
        ("customers", {"opened_on": "1899-12-31"}, "opened_on", "DATE_RANGE"),
        ("customers", {"opted_out_on": "no"}, "opted_out_on", "DATE_FORMAT"),
        ("customers", {"birth_year": "1849"}, "birth_year", "INTEGER_RANGE"),
        ("customers", {"birth_year": "2200"}, "birth_year", "INTEGER_RANGE"),
        ("customers", {"birth_year": "99999999999999999999"}, "birth_year", "INTEGER_RANGE"),
        ("customers", {"birth_year": "1980.5"}, "birth_year", "INTEGER_FORMAT"),
        ("customers", {"birth_year": "eighty"}, "birth_year", "INTEGER_FORMAT"),
        ("customers", {"marketing_consent": "maybe"}, "marketing_consent", "BOOLEAN_FORMAT"),
        ("customers", {"marketing_consent": "2"}, "marketing_consent", "BOOLEAN_FORMAT"),
        ("holdings", {"account_id": ""}, "account_id", "MISSING"),
        ("holdings", {"product_type": ""}, "product_type", "MISSING"),
        ("holdings", {"opened_on": ""}, "opened_on", "MISSING"),
        ("holdings", {"matures_on": "2200-01-01"}, "matures_on", "DATE_RANGE"),
        ("holdings", {"matures_on": "2024-01-01"}, "matures_on", "DATE_ORDER"),
        ("holdings", {"closed_on": "2024-01-01"}, "closed_on", "DATE_ORDER"),
        ("holdings", {"activated_on": "2024-01-01"}, "activated_on", "DATE_ORDER"),
        ("holdings", {"is_mobile": "ja"}, "is_mobile", "BOOLEAN_FORMAT"),
        ("holdings", {"days_overdue": "-1"}, "days_overdue", "INTEGER_RANGE"),
        ("holdings", {"days_overdue": "100001"}, "days_overdue", "INTEGER_RANGE"),
        ("balances", {"date": ""}, "date", "MISSING"),
        ("balances", {"date": "31.12.23"}, "date", "DATE_FORMAT"),
        ("balances", {"deposit_balance": "12.5O"}, "deposit_balance", "NUMBER_FORMAT"),
        ("balances", {"loan_balance": "1e13"}, "loan_balance", "AMOUNT_RANGE"),
        ("balances", {"net_flow": "-1e13"}, "net_flow", "AMOUNT_RANGE"),
        ("balances", {"account_id": "x" * 256}, "account_id", "TOO_LONG"),
        ("rates", {"rate_key": ""}, "rate_key", "MISSING"),
        ("rates", {"valid_from": "soon"}, "valid_from", "DATE_FORMAT"),
        ("rates", {"funding_rate": ""}, "funding_rate", "MISSING"),
        ("rates", {"funding_rate": "2.1%"}, "funding_rate", "NUMBER_FORMAT"),
        ("rates", {"customer_rate": "1.01"}, "customer_rate", "RATE_RANGE"),
        ("rates", {"expected_loss_rate": "-1e999"}, "expected_loss_rate", "RATE_RANGE"),
        ("costs", {"cost_kind": ""}, "cost_kind", "MISSING"),
        ("costs", {"cost_kind": "new"}, "cost_kind", "UNKNOWN_CODE"),
        ("costs", {"channel": ""}, "channel", "MISSING"),
        ("costs", {"unit_cost": ""}, "unit_cost", "MISSING"),
        ("costs", {"unit_cost": "1e-9"}, "unit_cost", "AMOUNT_PRECISION"),
        ("costs", {"valid_from": "2200-01-01"}, "valid_from", "DATE_RANGE"),
        ("contacts", {"campaign_id": ""}, "campaign_id", "MISSING"),
        ("contacts", {"sent_at": "0000-00-00"}, "sent_at", "DATE_FORMAT"),
        ("contacts", {"reached": "?"}, "reached", "BOOLEAN_FORMAT"),
        ("contacts", {"engaged": "?"}, "engaged", "BOOLEAN_FORMAT"),
        ("contacts", {"converted_at": "2024-01-02 09:29:59"}, "converted_at", "DATE_ORDER"),
        ("contacts", {"is_control": "?"}, "is_control", "BOOLEAN_FORMAT"),
        ("events", {"occurred_at": ""}, "occurred_at", "MISSING"),
        ("events", {"event_code": ""}, "event_code", "MISSING"),
        ("surveys", {"answered_on": "1899-01-01"}, "answered_on", "DATE_RANGE"),
        ("surveys", {"nps_score": "11"}, "nps_score", "INTEGER_RANGE"),
        ("surveys", {"nps_score": "ten"}, "nps_score", "INTEGER_FORMAT"),
        ("surveys", {"satisfaction": "101"}, "satisfaction", "INTEGER_RANGE"),
    ],
)
def test_every_reason_with_its_line_and_column(make, name, changes, column, reason):
    bench = make(_section(name)).put(f"{name}.csv", _csv(name, _record(name), _record(name, **changes)))
    bench.run(INGEST)
    assert _rejects(bench, name) == [(name, f"{name}.csv", 3, column, reason)]
    assert _rows(bench, name) == [_expected(name)]


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_records_of_another_shape(make, name):
    bench = make(_section(name)).put(f"{name}.csv", _csv(name) + "only one\n")
    bench.run(INGEST)
    assert _rejects(bench, name) == [(name, f"{name}.csv", 3, None, "FIELD_COUNT")]


@pytest.mark.parametrize("text", ["true", "T", "Yes", "Y", "1", "是", "FALSE", "f", "no", "N", "0", "否"])
def test_yes_and_no(make, text):
    bench = make(_section("customers"))
    bench.put("customers.csv", _csv("customers", _record("customers", marketing_consent=text))).run(INGEST)
    assert _rows(bench, "customers")[0]["marketing_consent"] is (
        text.lower() in ("true", "t", "yes", "y", "1", "是")
    )


@pytest.mark.parametrize("text", ["1980", "+1980", "1980.", "1980.00", "01980"])
def test_whole_numbers(make, text):
    bench = make(_section("customers"))
    bench.put("customers.csv", _csv("customers", _record("customers", birth_year=text))).run(INGEST)
    assert _rows(bench, "customers") == [_expected("customers")]


def test_a_cost_that_is_no_channels_needs_no_channel(make):
    bench = make(_section("costs"))
    bench.put("costs.csv", _csv("costs", _record("costs", cost_kind="NEW", channel=""))).run(INGEST)
    assert [row["channel"] for row in _rows(bench, "costs")] == [None]


def test_moments_move_to_the_banks_zone(make):
    bench = make(_section("events"))
    bench.config = bench.config.replace('"EUR"', '"EUR"\ntimezone = "Asia/Shanghai"')
    record = _record("events", occurred_at="2024-01-02T20:00:00Z")
    bench.put("events.csv", _csv("events", record)).run(INGEST)
    assert _rows(bench, "events")[0]["occurred_on"] == date(2024, 1, 3)


def test_a_decimal_comma(make):
    bench = make(_section("rates", 'delimiter = ";"', 'decimal_mark = ","'))
    bench.put("rates.csv", _csv("rates").replace(",", ";").replace(".", ",")).run(INGEST)
    assert _rows(bench, "rates") == [_expected("rates")]


# ---- gates


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_a_delivery_with_too_many_rejects_is_not_entered(make, name):
    bench = make(_section(name))
    bench.config = bench.config.replace(TOLERANT, "")
    first = EXTRACTS[name].required[0]
    bench.put(f"{name}.csv", _csv(name, _record(name, **{first: ""})))
    with pytest.raises(QualityGateError, match=f"MISSING in column {first}"):
        bench.run(INGEST)
    assert not list(bench.layout.parts(name).iterdir())
    bench.put(f"{name}.csv", _csv(name)).run(INGEST)
    assert _rows(bench, name) == [_expected(name)]


def test_frozen_columns_keep_a_drifted_delivery_out_of_its_ledger(make):
    bench = make(_section("surveys"))
    bench.config += 'schema_drift = "freeze"\n'
    bench.put("surveys1.csv", _csv("surveys")).run(INGEST)
    bench.put("surveys2.csv", "customer_id,answered_on\nann,2024-02-02\n")
    with pytest.raises(QualityGateError, match="without nps_score, satisfaction"):
        bench.run(INGEST)
    assert len(list(bench.layout.parts("surveys").iterdir())) == 1


def test_drift_is_said_for_its_table(make):
    bench = make(_section("surveys")).put("surveys1.csv", _csv("surveys"))
    bench.put("surveys2.csv", "customer_id,answered_on\nann,2024-02-02\n").run()
    quality = bench.table("data_quality").filter(pl.col("check_name") == "schema_drift")
    assert dict(quality.select("subject", "passed").rows()) == {"transactions": True, "surveys": False}


def test_an_empty_file_of_an_extract_is_a_quiet_day(make):
    bench = make(_section("events")).put("events.csv", _csv("events").split("\n", 1)[0] + "\n")
    bench.run(INGEST)
    assert _rows(bench, "events") == []
    assert bench.warehouse("SELECT is_present FROM extract_tables WHERE table_name = 'events'") == [(True,)]


def test_an_empty_snapshot_is_refused(make):
    bench = make(_section("holdings", 'delivery = "snapshot"', DATED))
    bench.put("holdings_20240102.csv", _csv("holdings").split("\n", 1)[0] + "\n")
    with pytest.raises(InputError, match="would empty the table"):
        bench.run(INGEST)


def test_an_extract_whose_files_are_missing_is_refused(make):
    with pytest.raises(InputError, match="no file matches"):
        make(_section("balances")).run(INGEST)


# ---- keys and knowledge


@pytest.mark.parametrize("name", sorted(CORRECTED))
def test_of_several_rows_with_one_key_the_latest_delivered_stands(make, name):
    column, second, third = CORRECTED[name]
    bench = make(_section(name, DATED)).put(f"{name}_20240110.csv", _csv(name))
    bench.put(f"{name}_20240130.csv", _csv(name, _record(name, **{column: third})))
    bench.put(f"{name}_20240120.csv", _csv(name, _record(name, **{column: second})))

    _date_transactions(bench)
    first = RECORDS[name][column][0]

    def standing(known_at: date | None = None) -> list[object]:
        bench.run(INGEST, known_at=known_at)
        return [row[column] for row in _rows(bench, name)]

    assert standing() == [_value(name, third)]
    assert standing(date(2024, 1, 29)) == [_value(name, second)]
    assert standing(date(2024, 1, 19)) == [_value(name, first)]
    assert standing(date(2024, 1, 9)) == []
    present = bench.warehouse(f"SELECT is_present FROM extract_tables WHERE table_name = '{name}'")
    assert present == [(False,)], "nothing of it had been delivered by then"
    # The first content comes again: it stands, and it did not stand before.
    bench.put(f"{name}_20240131.csv", _csv(name))
    assert standing() == [_value(name, first)]
    assert standing(date(2024, 1, 30)) == [_value(name, third)]


def _value(name: str, text: str) -> object:
    """A text of the corrected column as the table gives it back."""
    kind = type(RECORDS[name][CORRECTED[name][0]][1])
    return kind(text)


def _date_transactions(bench: Bench) -> None:
    """A run with `known_at` needs them dated."""
    bench.config = bench.config.replace('["tx*.csv"]\n', '["tx*.csv"]\n' + DATED)
    (bench.folder / "tx.csv").rename(bench.folder / "tx_20240101.csv")


def _with_other(name: str, column: str) -> dict[str, str]:
    """The record with another value in a column of its key."""
    others = {"cost_kind": "NEW", "sent_at": "2024-01-01 09:30:00"}
    text, value = RECORDS[name][column]
    dated = {date: "2024-01-03", datetime: "2024-01-03 09:30:00"}.get(type(value))
    return _record(name, **{column: others.get(column) or dated or f"{text}2"})


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_other_keys_are_other_rows_and_equal_ones_are_one(make, name):
    others = [_with_other(name, column) for column in EXTRACTS[name].key]
    bench = make(_section(name)).put(f"{name}1.csv", _csv(name, _record(name), *others, _record(name)))
    bench.put(f"{name}2.csv", _csv(name, *others)).run(INGEST)
    assert len(_rows(bench, name)) == 1 + len(others)


@pytest.mark.parametrize("column", ["account_id", "product_type"])
def test_in_the_key_of_balances_nothing_equals_nothing(make, column):
    bench = make(_section("balances", DATED))
    for day, loan in ((10, "1"), (11, "2")):
        record = _record("balances", loan_balance=loan, **{column: ""})
        bench.put(f"balances_202401{day}.csv", _csv("balances", record))
    bench.run(INGEST)
    assert [row["loan_balance"] for row in _rows(bench, "balances")] == [2]


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_a_snapshot_is_the_table_and_an_append_adds_to_it(tmp_path, name):
    column = EXTRACTS[name].key[0]
    other = _with_other(name, column)
    for delivery, expected in (("snapshot", 1), ("append", 2)):
        bench = _bench(tmp_path / delivery, _section(name, f'delivery = "{delivery}"', DATED))
        bench.put(f"{name}_20240110.csv", _csv(name)).put(f"{name}_20240111.csv", _csv(name, other))
        bench.run(INGEST)
        assert len(_rows(bench, name)) == expected
        assert other[column] in [row[column] for row in _rows(bench, name)]


def test_what_has_no_delivery_date_is_always_known(make):
    bench = make(_section("events")).put("events.csv", _csv("events"))
    _date_transactions(bench)
    bench.run(INGEST, known_at=date(2024, 1, 1))
    assert len(_rows(bench, "events")) == 1


def test_a_bar_in_a_text_moves_nothing_between_columns(tmp_path):
    """Two contents that read the same when run together are told apart, whatever comes first."""
    standing = set()
    for place, order in enumerate(([("a|", "b"), ("a", "|b")], [("a", "|b"), ("a|", "b")])):
        records = [_record("customers", branch=branch, community=town) for branch, town in order]
        bench = _bench(tmp_path / str(place), _section("customers"))
        bench.put("customers.csv", _csv("customers", *records)).run(INGEST)
        standing.add((_rows(bench, "customers")[0]["branch"], _rows(bench, "customers")[0]["community"]))
    assert len(standing) == 1


def _variants(name: str) -> list[dict[str, str]]:
    """Records of two keys with three contents each, where there is anything outside the key."""
    keyed = [_record(name), _with_other(name, EXTRACTS[name].key[-1])]
    if name not in CORRECTED:
        return keyed
    column, second, third = CORRECTED[name]
    texts = (RECORDS[name][column][0], second, third)
    return [{**record, column: text} for record in keyed for text in texts]


@settings(max_examples=5)
@given(data=st.data())
@pytest.mark.parametrize("name", sorted(RECORDS))
def test_order_splitting_and_repetition_of_deliveries_change_nothing(tmp_path_factory, name, data):
    """The records of each day in any order, in any number of files, some twice."""
    record = st.sampled_from(_variants(name))
    days = data.draw(st.lists(st.lists(record, min_size=1, max_size=5), min_size=1, max_size=2))
    tables = []
    for _ in range(2):
        bench = _bench(tmp_path_factory.mktemp("shuffled"), _section(name, DATED))
        for number, records in enumerate(days, 1):
            shuffled = data.draw(st.permutations([*records, *records[: len(records) // 2]]))
            cut = data.draw(st.integers(0, len(shuffled) - 1))
            for half, rows in enumerate((shuffled[:cut], shuffled[cut:])):
                if rows:
                    bench.put(f"{name}{half}_2024020{number}.csv", _csv(name, *rows))
        bench.run(INGEST)
        tables.append(_rows(bench, name))
    assert tables[0] == tables[1]


# ---- tables that are not there, and everybody seen


def test_extracts_that_are_not_there_are_empty_tables_of_the_same_schema(make, tmp_path):
    bench = make()
    bench.run()
    full = _bench(tmp_path / "full", *(_section(name) for name in RECORDS))
    for name in RECORDS:
        full.put(f"{name}.csv", _csv(name))
    full.run()
    for name, contract in STAGED.items():
        expected = [(column.name, column.type) for column in contract.columns]
        for own in (bench, full):
            found = own.warehouse(
                f"SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = '{contract.name}'"
            )
            assert found == expected, name
    assert bench.warehouse("SELECT count(*) FROM extract_tables WHERE is_present") == [(1,)]
    assert full.warehouse("SELECT count(*) FROM extract_tables WHERE is_present") == [(9,)]
    assert bench.warehouse("SELECT * FROM customers") == [("ann", DAY, 2)]
    assert {row["table"] for row in manifest(full.folder / "out")["inputs"]} == set(EXTRACTS)


def test_a_missing_extract_changes_nothing_else(tmp_path):
    def run(folder: str, without: str) -> Bench:
        names = [name for name in RECORDS if name != without]
        bench = _bench(tmp_path / folder, *map(_section, names))
        for name in names:
            bench.put(f"{name}.csv", _csv(name))
        bench.run(INGEST)
        return bench

    whole = run("whole", "")
    for name in RECORDS:
        bench = run(name, name)
        assert _rows(bench, name) == []
        for other in RECORDS:
            assert other == name or _rows(bench, other) == _rows(whole, other)


def test_everybody_named_anywhere_is_a_customer(make):
    """Each is known by one table only; who only brought somebody, or comes later, is nobody."""
    dates = {
        "customers": ("opened_on", ""), "holdings": ("opened_on", ""), "balances": ("date", ""),
        "contacts": ("sent_at", " 09:00:00"), "events": ("occurred_at", " 09:00:00"),
        "surveys": ("answered_on", ""),
    }  # fmt: skip
    empty = {"opted_out_on": "", "closed_on": "", "activated_on": "", "matures_on": "", "converted_at": ""}
    bench = make(*(_section(name) for name in dates))
    for name, (column, clock) in dates.items():
        changes = {key: text for key, text in empty.items() if key in RECORDS[name]}
        if "account_id" in RECORDS[name]:
            changes["account_id"] = name
        soon = {**changes, "customer_id": name, column: f"2024-06-30{clock}"}
        later = {**changes, "customer_id": f"{name}-later", column: f"2024-07-01{clock}"}
        records = [_record(name, **soon), _record(name, **later)]
        if name == "customers":
            records.append(_record(name, **{**changes, "customer_id": "registered", "opened_on": ""}))
        bench.put(f"{name}.csv", _csv(name, *records))
    bench.run()
    seen = bench.warehouse("SELECT customer_id, first_seen_on, events FROM customers ORDER BY 1")
    last = date(2024, 6, 30)
    expected = [("ann", DAY, 2), *((name, last, 0) for name in dates), ("registered", None, 0)]
    assert seen == sorted(expected)
    segments = dict(bench.table("customer_segments").select("customer_id", "frequency").rows())
    assert segments == {"ann": 1, **dict.fromkeys(dates), "registered": None}


# ---- balances beside holdings and beside each other


def _with_balances(bench: Bench, *balances: tuple[str, str, str]) -> Bench:
    records = [
        _record("balances", customer_id=customer, account_id=account, date=day)
        for customer, account, day in balances
    ]
    held = [
        _record("holdings", customer_id=customer, account_id=account)
        for customer, account in (("ann", "a1"), ("bob", "b1"), ("ann", "joint"), ("bob", "joint"))
    ]
    bench.put("holdings.csv", _csv("holdings", *held)).put("balances.csv", _csv("balances", *records))
    return bench


def _set_aside(bench: Bench) -> set[tuple[str, str]]:
    return set(bench.warehouse("SELECT customer_id, reason FROM balance_problems"))


def test_balances_of_an_account_of_another_are_set_aside(make):
    bench = make(_section("balances"), _section("holdings"))
    day = "2024-02-01"
    _with_balances(
        bench, ("ann", "a1", day), ("ann", "b1", day), ("bob", "joint", day), ("eve", "b1", day),
        ("bob", "unheard", day), ("bob", "", "2024-02-02"),
    ).run()  # fmt: skip
    assert _set_aside(bench) == {("ann", "ACCOUNT_OF_ANOTHER"), ("eve", "ACCOUNT_OF_ANOTHER")}
    found = bench.table("rejected_rows").select("table_name", "file_name", "line", "column_name", "reason")
    reason = ("account_id", "ACCOUNT_OF_ANOTHER")
    assert found.rows() == [("balances", "balances.csv", line, *reason) for line in (3, 5)]
    quality = {row["check_name"]: row for row in bench.table("data_quality").to_dicts()}
    check = quality["accounts_of_another"]
    assert (check["subject"], check["severity"], check["observed"], check["passed"]) == (
        "balances", "WARNS", 2, False,
    )  # fmt: skip
    # Who is known by such a row alone is a customer all the same.
    assert "eve" in bench.table("customer_segments")["customer_id"].to_list()


def test_a_total_beside_its_accounts_is_set_aside(make):
    bench = make(_section("balances"), _section("holdings"))
    first, second, third = "2024-02-01", "2024-02-02", "2024-02-03"
    _with_balances(
        bench, ("ann", "", first), ("ann", "a1", first), ("ann", "", second), ("bob", "", first),
        # The account of another does not stand, so the total does.
        ("ann", "b1", third), ("ann", "", third),
    ).run()  # fmt: skip
    found = bench.table("rejected_rows").select("line", "reason").rows()
    assert found == [(2, "OVERLAP"), (6, "ACCOUNT_OF_ANOTHER")]


def test_without_holdings_every_account_is_its_customers(make):
    bench = make(_section("balances"))
    _with_balances(bench, ("ann", "b1", "2024-02-01")).run()
    assert _set_aside(bench) == set()


def test_who_will_hold_an_account_sets_nothing_aside(make):
    """Neither bob's account of the day after nor ann's: nothing that lies ahead is seen."""
    bench = make(_section("balances"), _section("holdings"))
    _with_balances(bench, ("ann", "later", "2024-02-01"))
    bench.put(
        "holdings_more.csv",
        _csv("holdings", _record("holdings", customer_id="bob", account_id="later", opened_on="2024-07-01")),
    ).run()
    assert _set_aside(bench) == set()


# ---- persons


def _named(name: str, customer: str) -> str:
    """A sound record of a customer, and two that are not."""
    first = _record(name, customer_id=customer)
    return _csv(name, _record(name), first, {**first, **_wrong(name)}) + f"{customer}\n"


def _wrong(name: str) -> dict[str, str]:
    dated = {"customers": "opened_on", "balances": "date", "surveys": "answered_on", "holdings": "opened_on"}
    return {dated.get(name) or ("sent_at" if name == "contacts" else "occurred_at"): "2024-02-30"}


@pytest.fixture
def peopled(make):
    """Every extract that names customers, each with one who is to be protected."""
    bench = make(*(_section(name) for name in OF_CUSTOMERS))
    for name in OF_CUSTOMERS:
        bench.put(f"{name}.csv", _named(name, ERASED))
    brought = _record("customers", customer_id="carl", referred_by=ERASED)
    return bench.put("customers2.csv", _csv("customers", brought))


def test_pseudonyms_in_every_table(peopled, monkeypatch):
    monkeypatch.setenv("CLV_KEY", KEY)
    peopled.config += '[privacy]\nidentifiers = "hmac"\nkey_env = "CLV_KEY"\n'
    peopled.run()
    mac = Identity(KEY.encode()).one
    for name in OF_CUSTOMERS:
        assert mac(ERASED) in {row["customer_id"] for row in _rows(peopled, name)}
    referred = {row["customer_id"]: row["referred_by"] for row in _rows(peopled, "customers")}
    assert referred[mac("carl")] == mac(ERASED)
    assert _files_with(peopled, ERASED) == []


def test_an_erased_customer_is_in_no_table_and_does_not_come_back(peopled):
    peopled.run()
    assert all(ERASED in {row["customer_id"] for row in _rows(peopled, name)} for name in OF_CUSTOMERS)
    assert _files_with(peopled, ERASED)
    before = {name: _rows(peopled, name) for name in OF_CUSTOMERS}
    done = _forget(peopled, ERASED)
    counts = (done.known, done.erasure.records, done.erasure.parts)
    assert counts == (1, len(OF_CUSTOMERS), len(OF_CUSTOMERS) + 1)
    assert _files_with(peopled, ERASED) == []
    for name in OF_CUSTOMERS:
        left = [
            {**row, **({"referred_by": None} if row.get("referred_by") == ERASED else {})}
            for row in before[name]
            if row["customer_id"] != ERASED
        ]
        assert _rows(peopled, name) == left
    assert ("carl", None) in [(row["customer_id"], row["referred_by"]) for row in _rows(peopled, "customers")]
    rewritten = _part_bytes(peopled)
    peopled.run(accept_volume=True)
    assert _files_with(peopled, ERASED) == []
    # Other bytes of the same rows: they are read anew, left out, and counted; nobody is dropped with them.
    for path in peopled.folder.glob("*.csv"):
        if path.name != "tx.csv":
            path.write_text(path.read_text() + "\n")
    peopled.run()
    assert _files_with(peopled, ERASED) == []
    quality = peopled.table("data_quality").filter(pl.col("check_name") == "rows_loaded")
    details = [row["detail"] for row in quality.to_dicts() if row["subject"].startswith("surveys.csv")]
    assert "1 loaded + 1 set aside + 2 erased = 4 delivered" in details
    assert "carl" in peopled.table("customer_segments")["customer_id"].to_list()
    assert rewritten.items() <= _part_bytes(peopled).items()


def test_a_part_rewritten_without_an_erased_one_is_what_ingest_makes(peopled):
    for name in OF_CUSTOMERS:
        peopled.put(f"{name}.csv", _csv(name, _record(name), _record(name, customer_id=ERASED)))
    peopled.run(INGEST)
    _forget(peopled, ERASED)
    rewritten = _part_bytes(peopled)
    for path in peopled.layout.state.glob("parts/*/*.parquet"):
        path.unlink()
    peopled.run(INGEST)
    assert _part_bytes(peopled) == rewritten


def _part_bytes(bench: Bench) -> dict[str, bytes]:
    parts = bench.layout.state / "parts"
    return {str(path.relative_to(parts)): path.read_bytes() for path in parts.glob("*/*.parquet")}


# ---- the bank sample


def test_the_dirt_of_the_sample_is_accounted_for(sample):
    files = json.loads((REPOSITORY / "tests" / "data" / "bank_truth" / "counts.json").read_text())["files"]
    expected = {
        (file["table"], name, *reason.split(":")): count
        for name, file in files.items()
        for reason, count in file["set_aside"].items()
    }
    rejected = published(sample, "rejected_rows").with_columns(pl.col("column_name").fill_null(""))
    counted = Counter(rejected.select("table_name", "file_name", "column_name", "reason").rows())
    assert counted == expected
    for part in manifest(sample)["inputs"]:
        file = files[part["name"]]
        assert (part["table"], part["rows_loaded"] + part["rows_rejected"]) == (file["table"], file["rows"])
    quality = published(sample, "data_quality")
    shares = quality.filter(pl.col("check_name") == "reject_share")
    assert set(shares["subject"]) == set(EXTRACTS) and shares["passed"].all()


# ---- the queries that are built


@pytest.mark.parametrize("name", sorted(EXTRACTS))
def test_built_queries_are_in_the_portable_subset(name):
    assert list(lint(typing_query(name), staging=True)) == []
    if name in KEYED:
        assert list(lint(keyed_query(name), staging=False)) == []
        assert keyed_query(name).tree.sql(dialect="spark")
