"""What hostile files and configurations can do: each with its outcome, the last publication untouched."""

import gzip
import os
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from clvpipe.cli.main import app
from clvpipe.errors import ExitCode
from clvpipe.stages.summaries import SUMMARY_SCHEMES
from tests.support import CONFIG, HEADER, LEDGER_HEADER, Bench, ledger_csv, published

GOOD = LEDGER_HEADER + "\n".join(ledger_csv(50)) + "\n"
DAY = "2024-06-30"
KNOWN_CODES = {int(code) for code in ExitCode} - {int(ExitCode.BUG)}


def clvpipe(*arguments: str):
    """The command, in this process."""
    return CliRunner().invoke(app, list(arguments))


def run(bench: Bench, *more: str):
    return clvpipe(
        "run", "--config", str(bench.config_path), "--as-of", DAY, "--out", str(bench.folder / "out"), *more
    )


def state_of(bench: Bench):
    """What readers see."""
    current = bench.layout.current
    if not current.exists():
        return None
    return current.readlink(), {p.name: p.stat().st_mtime_ns for p in current.resolve().rglob("*")}


@pytest.fixture
def standing(bench: Bench) -> Bench:
    """A folder with a good publication."""
    bench.put("good.csv", GOOD)
    assert run(bench).exit_code == 0
    return bench


# Enough good rows that a bad one or two are within what a delivery may have.
PAD = "".join(f"p{n},2024-05-{n % 28 + 1:02d},{n + 1}\n" for n in range(60))
ROWS = "".join(f"h{n},2024-05-{n % 28 + 1:02d},{n + 1}\n" for n in range(30))

# name: (content, exit code, rows set aside, words of the error)
CORPUS: dict[str, tuple[bytes, int, int, str]] = {
    "header only": (HEADER.encode(), 0, 0, ""),
    "empty": (b"", 11, 0, "empty"),
    "columns in another order": (b"amount,posted_at,customer_id\n5,2024-05-01,h1\n", 0, 0, ""),
    "contents swapped": ((HEADER + "5,h1,2024-05-01\n" * 30).encode(), 12, 30, "set aside"),
    "a column missing": (b"customer_id,posted_at\nh1,2024-05-01\n", 11, 0, "no column 'amount'"),
    "a column more": (b"customer_id,posted_at,amount,colour\nh1,2024-05-01,5,red\n", 0, 0, ""),
    "columns re-cased": (b"CUSTOMER_ID,Posted_At,AMOUNT\nh1,2024-05-01,5\n", 0, 0, ""),
    "wrong encoding": (HEADER.encode() + "张三,2024-05-01,5\n".encode("gb18030") * 30, 12, 30, "ENCODING"),
    "NUL in an id": ((HEADER + PAD + "h\x001,2024-05-01,5\nh2,2024-05-01,5\n").encode(), 0, 1, ""),
    "unterminated quote": ((HEADER + ROWS + '"h1,2024-05-01,5\n').encode(), 11, 0, "never closed"),
    "byte order mark": (b"\xef\xbb\xbf" + (HEADER + ROWS).encode(), 0, 0, ""),
    "CRLF": ((HEADER + ROWS).replace("\n", "\r\n").encode(), 0, 0, ""),
    "an id of 1 MB": (
        (HEADER + PAD + f"{'x' * 1_000_000},2024-05-01,5\nh2,2024-05-01,5\n").encode(),
        0,
        1,
        "",
    ),
    "a field of 1 MB nobody reads": (
        f"customer_id,posted_at,amount,n\nh1,2024-05-01,5,{'x' * 1_000_000}\n".encode(),
        0,
        0,
        "",
    ),
    "a field of 20 MB": (
        (HEADER + f'"{"x" * 20_000_000}",2024-05-01,5\n').encode(),
        11,
        0,
        "longer than 16 MB",
    ),
    "future dates": ((HEADER + "h1,2024-07-01,5\nh1,2199-12-31,5\n").encode(), 0, 0, ""),
    "leap days": ((HEADER + PAD + "h1,2024-02-29,5\nh1,2023-02-29,5\n").encode(), 0, 1, ""),
    "two currencies": (
        b"customer_id,posted_at,amount,currency\n" + b"h1,2024-05-01,5,EUR\n" * 40 + b"h2,2024-05-01,5,USD\n",
        0,
        1,
        "",
    ),
    "amounts of 1e15 and 1e-9": (
        (HEADER + PAD + "h1,2024-05-01,1e15\nh1,2024-05-01,1e-9\nh1,2024-05-01,1\n").encode(),
        0,
        2,
        "",
    ),
    "negative and zero amounts": ((HEADER + "h1,2024-05-01,-5\nh1,2024-05-02,0\n").encode(), 0, 0, ""),
    "binary rubbish": (bytes(range(256)) * 50, 11, 0, "column"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\x00" * 100, 11, 0, "column"),
    "one line without an end": (b"x" * 100_000, 11, 0, "column"),
    "only line ends": (b"\n" * 1000, 11, 0, "empty"),
    "a tab at the end of an id": ((HEADER + PAD + "h1\t,2024-05-01,5\nh2,2024-05-01,5\n").encode(), 0, 1, ""),
    "amounts too small to be numbers": ((HEADER + PAD + "h1,2024-05-01,1e-400\n").encode(), 0, 1, ""),
    "a delimiter in a quoted column name": (
        b'customer_id,posted_at,amount,"note, free"\nh1,2024-05-01,5,"x, y"\n',
        0,
        0,
        "",
    ),
    "columns without names": (b"customer_id,posted_at,amount,,\nh1,2024-05-01,5,,\n", 0, 0, ""),
    "a column twice": (b"customer_id,posted_at,amount,amount\nh1,2024-05-01,5,6\n", 11, 0, "twice"),
    "quotes within fields": ((HEADER + 'h"1,2024-05-01,5\nh"2,2024-05-01,5\n').encode(), 0, 0, ""),
}


@pytest.mark.parametrize("name", sorted(CORPUS))
def test_hostile_files(standing, name):
    content, code, rejected, words = CORPUS[name]
    before = state_of(standing)
    standing.put("hostile.csv", content)
    done = run(standing)
    assert done.exit_code == code, done.output
    assert words in " ".join(done.output.split())
    if code:
        assert state_of(standing) == before
    else:
        aside = published(standing.folder / "out", "rejected_rows")
        assert aside.height == rejected
        assert set(aside["file_name"]) <= {"hostile.csv"}


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"amount": pa.array([{"euros": 5}])}, "of type struct"),
        ({"amount": pa.array([[5]])}, "of type list"),
        ({"customer_id": pa.array([b"\xff"])}, "of type binary"),
        ({}, "twice"),
    ],
)
def test_hostile_parquet(standing, columns, words):
    before = state_of(standing)
    standing.config = standing.config.replace('["*.csv*"]', '["*.csv*", "*.parquet"]')
    good = {"customer_id": pa.array(["h1"]), "posted_at": pa.array(["2024-05-01"]), "amount": pa.array([5.0])}
    names = [*good, *(() if columns else ("amount",))]
    arrays = [{**good, **columns}[name] for name in names]
    pq.write_table(pa.Table.from_arrays(arrays, names=names), standing.folder / "hostile.parquet")
    done = run(standing)
    assert (done.exit_code, words in " ".join(done.output.split())) == (ExitCode.INPUT, True), done.output
    assert state_of(standing) == before


@pytest.mark.parametrize("name", ["dangling.csv", b"b\xff.csv"])
def test_deliveries_that_are_no_files_or_have_no_name(standing, name):
    """What the pattern finds and nobody can read is a missing delivery, not a quiet day."""
    before = state_of(standing)
    if name == "dangling.csv":
        (standing.folder / name).symlink_to("nothing")
    else:
        (standing.folder / "good.csv").rename(standing.folder / os.fsdecode(name))
    done = run(standing)
    assert done.exit_code == ExitCode.INPUT and "left as it was" in done.output
    assert state_of(standing) == before


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ('encoding = "base64"', ExitCode.CONFIG),
        ('encoding = "idna"', ExitCode.INPUT),
        ('files = ["."]', ExitCode.CONFIG),
        ('files = ["x/"]', ExitCode.CONFIG),
    ],
)
def test_inputs_that_cannot_be_meant(standing, setting, code):
    lines = [line for line in standing.config.splitlines() if not line.startswith(setting.split()[0])]
    standing.config = "\n".join([*lines, setting]) + "\n"
    standing.put("good.csv", GOOD + "more,2024-06-01,5,,\n")
    assert run(standing).exit_code == code


def test_truncated_gz(standing):
    before = state_of(standing)
    standing.put("hostile.csv.gz", gzip.compress((HEADER + ROWS * 100).encode())[:-20])
    done = run(standing)
    assert done.exit_code == ExitCode.INPUT and "cut off or damaged" in " ".join(done.output.split())
    assert state_of(standing) == before


def test_a_gz_that_is_none(standing):
    standing.put("hostile.csv.gz", HEADER + ROWS)
    assert run(standing).exit_code == ExitCode.INPUT


def test_a_parquet_that_is_none(bench):
    bench.config = CONFIG.replace("*.csv*", "*.parquet")
    bench.put("a.parquet", HEADER + ROWS)
    assert run(bench).exit_code == ExitCode.INPUT


def test_as_of_before_all_data(standing):
    before = state_of(standing)
    done = clvpipe(
        "run",
        "--config",
        str(standing.config_path),
        "--as-of",
        "1999-01-01",
        "--out",
        str(standing.folder / "out"),
    )
    assert done.exit_code == ExitCode.INPUT and "no event lies on or before" in " ".join(done.output.split())
    assert state_of(standing) == before


IDS = [
    "it's",
    'say ""hi""',
    "a\nb",
    "客户😀",
    "'; DROP TABLE customers; --",
    "$as_of",
    "{x}",
    "%s",
    "NULL",
    "-",
    "1e5",
]


def test_ids_of_every_kind_come_out_as_they_went_in(bench):
    bench.put("a.csv", HEADER + "".join(f'"{name}",2024-05-0{k},5\n' for name in IDS for k in (1, 9))).run()
    expected = sorted(name.replace('""', '"') for name in IDS)
    assert sorted(bench.table("customer_segments")["customer_id"]) == expected
    assert set(bench.table("customer_segments")["frequency"]) == {1}


def test_one_customer(bench):
    bench.put("a.csv", HEADER + "only,2024-05-01,5\nonly,2024-06-01,5\n").run()
    row = bench.table("customer_segments").row(0, named=True)
    assert (row["clv_status"], row["purchases_reason"]) == ("BASELINE", "TOO_FEW_CUSTOMERS")
    assert bench.table("segment_summary")["customers"].to_list() == [1] * len(SUMMARY_SCHEMES)


def test_everybody_with_the_same_age(bench):
    bench.config += "[clv]\nminimum_customers = 50\nminimum_repeaters = 20\n"
    lines = [f"c{n},2023-07-01,{5 + n % 7}\n" for n in range(300)]
    lines += [f"c{n},2023-{8 + n % 5:02d}-{n % 28 + 1:02d},{5 + n % 11}\n" for n in range(0, 300, 2)]
    bench.put("a.csv", HEADER + "".join(lines)).run()
    table = bench.table("customer_segments")
    assert table["clv_12m"].null_count() == 0 and set(table["t_days"]) == {365}


def test_midnights_that_do_not_exist(bench):
    """A day is what is written; a time with an offset moves to the zone, also over a clock change."""
    bench.config = CONFIG.replace('currency = "EUR"', 'currency = "EUR"\ntimezone = "America/Sao_Paulo"')
    rows = "a,2018-11-04,5\nb,2018-11-04 00:30:00,5\nc,2018-11-04T02:59:59Z,5\nd,2018-11-04T03:00:00Z,5\n"
    bench.put("a.csv", HEADER + rows).run()
    days = dict(bench.table("customer_segments").select("customer_id", "first_purchase_day").rows())
    assert days == {
        "a": date(2018, 11, 4),
        "b": date(2018, 11, 4),
        "c": date(2018, 11, 3),
        "d": date(2018, 11, 4),
    }


@pytest.mark.parametrize("name", ['it\'s a "bank"', "银行 $HOME", "a;b--c", "%(x)s{y}"])
def test_folders_with_any_name(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    bench = Bench(folder).put("a 'file'.csv", GOOD)
    bench.config = CONFIG.replace('"*.csv*"', "\"a 'file'.csv\"")
    done = run(bench)
    assert done.exit_code == 0, done.output
    assert published(folder / "out", "customer_segments").height == 50


def test_an_output_folder_that_is_a_pattern_is_refused(bench):
    bench.put("a.csv", GOOD)
    done = clvpipe(
        "run", "--config", str(bench.config_path), "--as-of", DAY, "--out", str(bench.folder / "[a]*")
    )
    assert done.exit_code == ExitCode.USAGE and "may not contain" in " ".join(done.output.split())
    assert not (bench.folder / "[a]*").exists()


def test_extracts_in_a_folder_that_looks_like_a_pattern(tmp_path):
    folder = tmp_path / "[a]*?"
    folder.mkdir()
    (folder / "a.csv").write_text(GOOD)
    (folder / "clvpipe.toml").write_text(CONFIG)
    out = tmp_path / "out"
    done = clvpipe("run", "--config", str(folder / "clvpipe.toml"), "--as-of", DAY, "--out", str(out))
    assert done.exit_code == 0, done.output


# ---- injection: refused with exit 10, nothing read or written outside the folders

SQL = "x'); COPY (SELECT 1) TO 'stolen.csv'; --"
INJECTIONS = {
    "column": f'[inputs.transactions.columns]\ncustomer_id = "{SQL}"\n',
    "column quote": "[inputs.transactions.columns]\ncustomer_id = '\"x\"'\n",
    "our column": f'[inputs.transactions.columns]\n"{SQL}" = "amount"\n',
    "column names": f'column_names = ["{SQL}", "b"]\n',
    "type": f'[purchases]\nrules = [{{ types = ["{SQL}"], purchase = true }}]\n',
    "threshold": f'[lifecycle]\nchurn_days = "{SQL}"\n',
    "date format": 'date_format = "%Y\\u0000"\n',
    "extract column": f'extract_date = {{ column = "{SQL}" }}\n',
    "zone": f'[x]\ny = "{SQL}"\n',
    "files above": None,
    "files sample": None,
    "files newline": None,
    "files package": None,
}
FILES = {
    "files above": "../../../../etc/passwd",
    "files sample": "sample:../../pyproject.toml",
    "files newline": "a\\nb.csv",
    "files package": "package:lifetimes/../../../../../../etc/passwd",
}


@pytest.mark.parametrize("name", sorted(INJECTIONS))
def test_injection_is_refused(standing, name):
    before = state_of(standing)
    extra = INJECTIONS[name]
    standing.config = CONFIG.replace("*.csv*", FILES[name]) if extra is None else CONFIG + extra
    done = run(standing)
    assert done.exit_code == ExitCode.CONFIG, done.output
    assert state_of(standing) == before
    assert not list(standing.folder.rglob("stolen*")) and not Path("stolen.csv").exists()


def test_currency_and_zone_are_checked(standing):
    for old, new in (('"EUR"', f'"{SQL}"'), ('currency = "EUR"', f'currency = "EUR"\ntimezone = "{SQL}"')):
        standing.config = CONFIG.replace(old, new)
        assert run(standing).exit_code == ExitCode.CONFIG


# ---- fuzzing: no traceback, no exit 1

FUZZ = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
CELL = st.one_of(
    st.sampled_from(
        ["", "a", "2024-05-01", "2024-02-30", "5", "-5.25", "1e400", "NaN", '"', "'", "\x00", "客户", "😀"]
    ),
    st.text(max_size=12),
)


def _assert_sane(done):
    assert done.exit_code in KNOWN_CODES, done.output
    assert "Traceback" not in done.output and "bug:" not in done.output


@pytest.mark.slow
@FUZZ
@given(
    header=st.sampled_from(
        [HEADER, "customer_id,posted_at,amount,currency,transaction_id,reverses_id,fee_amount\n"]
    ),
    rows=st.lists(st.lists(CELL, min_size=1, max_size=7), max_size=20),
)
def test_fuzzed_records(tmp_path_factory, header, rows):
    bench = Bench(tmp_path_factory.mktemp("fuzz"))
    bench.config += "[quality]\nmaximum_reject_share = 1.0\n"
    bench.put(
        "a.csv", (header + "".join(",".join(row) + "\n" for row in rows)).encode("utf-8", "surrogatepass")
    )
    bench.put("good.csv", HEADER + "z,2024-05-01,5\n")
    _assert_sane(run(bench))


@FUZZ
@given(content=st.binary(max_size=2000))
def test_fuzzed_bytes(tmp_path_factory, content):
    bench = Bench(tmp_path_factory.mktemp("fuzz"))
    _assert_sane(run(bench.put("a.csv", content)))
    bench.put("a.csv.gz", content)
    _assert_sane(run(bench))


VALUE = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(
        [
            "true",
            "[]",
            "{}",
            '""',
            "'x'",
            '"\\u0000"',
            "nan",
            "inf",
            "1979-05-27",
            '["a", 1]',
            "{ value = 1 }",
        ]
    ),
)
SETTING = st.sampled_from(
    [
        "preset",
        "currency",
        "timezone",
        "inputs.transactions.files",
        "inputs.transactions.delimiter",
        "inputs.customers",
        "inputs.transactions.encoding",
        "inputs.transactions.date_format",
        "inputs.transactions.decimal_mark",
        "inputs.transactions.delivery",
        "inputs.transactions.column_names",
        "inputs.transactions.columns.amount",
        "inputs.transactions.extract_date",
        "purchases.default",
        "purchases.rules",
        "rfm.window_days",
        "rfm.cut_shares",
        "clv.annual_discount_rate",
        "clv.seed",
        "clv.minimum_span_gaps",
        "quadrants.current_theta",
        "value_tier.high_share",
        "quadrants.potential_theta.parameter",
        "lifecycle.churn_days",
        "lifecycle.recent_days",
        "lifecycle.significance",
        "lifecycle.churn_gap_multiple",
        "calibration.refresh",
        "quality.maximum_reject_share",
        "surprise",
    ]
)


@FUZZ
@given(changes=st.lists(st.tuples(SETTING, VALUE), min_size=1, max_size=2))
def test_fuzzed_configuration(tmp_path_factory, changes):
    bench = Bench(tmp_path_factory.mktemp("fuzz"))
    bench.config = "".join(f"{key} = {value}\n" for key, value in changes) + CONFIG
    _assert_sane(run(bench.put("a.csv", GOOD)))


def test_names_in_errors_are_not_markup(bench):
    """A file named like a style of the terminal is printed as it is."""
    bench.config = CONFIG.replace("*.csv*", "[red]x[/red].csv")
    done = run(bench)
    assert "[red]x[/red].csv" in done.output


def test_rejects_are_counted_with_their_columns(standing):
    standing.put("hostile.csv", HEADER + PAD + "h,2024-05-01,ten\n")
    assert run(standing).exit_code == 0
    frame = published(standing.folder / "out", "rejected_rows")
    assert frame.select("file_name", "line", "column_name", "reason").rows() == [
        ("hostile.csv", 62, "amount", "NUMBER_FORMAT")
    ]
    assert frame.schema["line"] == pl.Int64
