"""Files in, typed rows out: every line is loaded or set aside with a reason, whatever comes."""

import csv
import gzip
import io
from datetime import date

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clvpipe.config.inputs import TableInput
from clvpipe.errors import InputError, QualityGateError, UsageError
from clvpipe.extracts import find_files, read_records
from tests.support import CONFIG, HEADER, LEDGER_HEADER, Bench

INGEST = ("ingest",)
TOLERANT = "[quality]\nmaximum_reject_share = 1.0\n"
COLUMNS = ("customer_id", "posted_at", "amount")


@pytest.fixture
def bench(bench: Bench) -> Bench:
    """Most deliveries here are small and mostly bad, so their share of rejects is no gate."""
    bench.config += TOLERANT
    return bench


def _config(*lines: str, tail: str = TOLERANT) -> str:
    head = 'preset = "retail"\ncurrency = "EUR"\n[inputs.transactions]\n'
    files = "" if any(line.startswith("files") for line in lines) else 'files = ["*.csv*"]\n'
    return head + files + "\n".join(lines) + "\n" + tail


def _rows(bench: Bench, columns: str = "customer_id, posted_at::varchar, amount::double") -> list:
    return bench.warehouse(f"SELECT {columns} FROM transactions ORDER BY ALL")


def _rejects(bench: Bench) -> list:
    paths = sorted(bench.layout.rejects("transactions").glob("*.parquet"))
    frames = [pl.read_parquet(path) for path in paths]
    return (
        pl.concat(frames)
        .select("file_name", "line", "column_name", "reason")
        .sort("file_name", "line")
        .rows()
    )


def test_a_plain_file(bench):
    bench.put("a.csv", HEADER + "ann,2024-01-02,10.5\nbob,2024-01-03 12:30:00,-2\n").run(INGEST)
    assert _rows(bench) == [("ann", "2024-01-02 00:00:00", 10.5), ("bob", "2024-01-03 12:30:00", -2.0)]


def test_columns_are_bound_by_name_not_by_place(bench):
    bench.put("a.csv", "amount,extra,posted_at,Customer_ID\n10.5,x,2024-01-02,ann\n").run(INGEST)
    assert _rows(bench) == [("ann", "2024-01-02 00:00:00", 10.5)]


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_packed_files(bench, suffix):
    codec = pa.Codec("gzip" if suffix == "gz" else "zstd")
    body = (HEADER + "ann,2024-01-02,10.5\n").encode()
    bench.put(f"a.csv.{suffix}", codec.compress(body).to_pybytes()).run(INGEST)
    assert len(_rows(bench)) == 1


def test_a_truncated_gz_is_refused_and_nothing_is_left(bench):
    packed = gzip.compress((HEADER + "".join(f"c{n},2024-01-02,{n}\n" for n in range(5000))).encode())
    bench.put("a.csv.gz", packed[: len(packed) // 2])
    with pytest.raises(InputError, match="cut off or damaged"):
        bench.run(INGEST)
    assert not list(bench.layout.parts("transactions").iterdir())


def test_chinese_encodings(bench):
    bench.config = _config(
        'encoding = "gb18030"', 'columns = { customer_id = "客户", posted_at = "日期", amount = "金额" }'
    )
    bench.put("a.csv", "客户,日期,金额\n张三𠀀,2024-01-02,10.5\n".encode("gb18030")).run(INGEST)
    assert _rows(bench) == [("张三𠀀", "2024-01-02 00:00:00", 10.5)]


def test_the_wrong_encoding_sets_rows_aside_and_says_so(bench):
    bench.put("a.csv", HEADER.encode() + "张,2024-01-02,1\n".encode("gb18030") + b"ann,2024-01-02,1\n").run(
        INGEST
    )
    assert _rejects(bench) == [("a.csv", 2, None, "ENCODING")]
    assert [row[0] for row in _rows(bench)] == ["ann"]


def test_byte_order_mark_crlf_blank_lines_and_no_last_line_end(bench):
    text = "\ufeff" + HEADER + "ann,2024-01-02,1\r\n\r\nbob,2024-01-02,1"
    bench.put("a.csv", text.replace("\r\n", "\n").replace("\n", "\r\n").encode()).run(INGEST)
    assert [row[0] for row in _rows(bench)] == ["ann", "bob"]
    assert _rejects(bench) == []


@pytest.mark.parametrize(
    ("record", "column", "reason"),
    [
        (",2024-01-02,1", "customer_id", "MISSING"),
        ("  ,2024-01-02,1", "customer_id", "MISSING"),
        ("ann,,1", "posted_at", "MISSING"),
        ("ann,2024-02-30,1", "posted_at", "DATE_FORMAT"),
        ("ann,2023-02-29,1", "posted_at", "DATE_FORMAT"),
        ("ann,02/01/2024,1", "posted_at", "DATE_FORMAT"),
        ("ann,infinity,1", "posted_at", "DATE_FORMAT"),
        ("ann,1899-12-31,1", "posted_at", "DATE_RANGE"),
        ("ann,2200-01-01,1", "posted_at", "DATE_RANGE"),
        ("ann,2024-01-02,", "amount", "MISSING"),
        ("ann,2024-01-02,ten", "amount", "NUMBER_FORMAT"),
        ("ann,2024-01-02,NaN", "amount", "NUMBER_FORMAT"),
        ("ann,2024-01-02,inf", "amount", "NUMBER_FORMAT"),
        ("ann,2024-01-02,1_000", "amount", "NUMBER_FORMAT"),
        ('ann,2024-01-02,"1,000.00"', "amount", "NUMBER_FORMAT"),
        ("ann,2024-01-02,1000000000000.01", "amount", "AMOUNT_RANGE"),
        ("ann,2024-01-02,1e15", "amount", "AMOUNT_RANGE"),
        ("ann,2024-01-02,1e999", "amount", "AMOUNT_RANGE"),
        ("ann,2024-01-02,1e-9", "amount", "AMOUNT_PRECISION"),
        ("ann,2024-01-02", None, "FIELD_COUNT"),
        ("ann,2024-01-02,1,2", None, "FIELD_COUNT"),
    ],
)
def test_every_reason_with_its_line(bench, record, column, reason):
    bench.put("a.csv", f"{HEADER}good,2024-01-01,1\n{record}\ngood,2024-01-01,2\n").run(INGEST)
    assert _rejects(bench) == [("a.csv", 3, column, reason)]
    assert len(_rows(bench)) == 2


@pytest.mark.parametrize(
    "amount", ["0", "-0.00", "+1.5", ".5", "5.", "1e3", "1E-2", "1000000000000", "-1e12"]
)
def test_numbers_that_are_numbers(bench, amount):
    bench.put("a.csv", f"{HEADER}ann,2024-01-01,{amount}\n").run(INGEST)
    assert _rows(bench)[0][2] == float(amount)


def test_lines_are_physical_even_after_fields_with_line_ends(bench):
    text = HEADER + '"a\nb\nc",2024-01-01,1\nbad,x,1\n\n"d\ne",2024-01-01\nbad,2024-01-01,y\n'
    bench.put("a.csv", text).run(INGEST)
    assert _rejects(bench) == [
        ("a.csv", 5, "posted_at", "DATE_FORMAT"),
        ("a.csv", 7, None, "FIELD_COUNT"),
        ("a.csv", 9, "amount", "NUMBER_FORMAT"),
    ]


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ('ann,2024-01-01,"1\nbob,2024-01-01,2\n', 2),
        ('"ann,2024-01-01,1\nbob,2024-01-01,2\n', 2),
        ('"a\nb",2024-01-01,1\nann,2024-01-01,"1\nbob,2024-01-01,2\n', 4),
    ],
)
def test_an_unclosed_quote_is_refused_with_its_line(bench, body, line):
    bench.put("a.csv", HEADER + body)
    with pytest.raises(InputError, match="never closed") as caught:
        bench.run(INGEST)
    assert str(caught.value.where).endswith(f"a.csv, line {line}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("cust,posted_at,amount\na,2024-01-01,1\n", "no column 'customer_id'"),
        ("customer_id;posted_at;amount\na;2024-01-01;1\n", "no column 'customer_id'"),
        ("customer_id,customer_id,posted_at,amount\na,a,2024-01-01,1\n", "twice"),
        (HEADER, "no row could be loaded"),
    ],
)
def test_files_that_cannot_be_read_say_why(bench, content, message):
    bench.put("a.csv", content)
    with pytest.raises(InputError, match=message) as caught:
        bench.run(INGEST)
    assert caught.value.where


def test_no_file_at_all(bench):
    with pytest.raises(InputError, match="no file matches"):
        bench.run(INGEST)


def test_decimal_comma(bench):
    bench.config = _config('delimiter = ";"', 'decimal_mark = ","')
    bench.put("a.csv", "customer_id;posted_at;amount\nann;2024-01-01;1,5\nbob;2024-01-01;1.500\n").run(INGEST)
    assert _rows(bench) == [("ann", "2024-01-01 00:00:00", 1.5)]
    assert _rejects(bench) == [("a.csv", 3, "amount", "NUMBER_FORMAT")]


def test_times_with_an_offset_become_days_of_the_banks_zone(bench):
    bench.config = _config().replace('currency = "EUR"', 'currency = "EUR"\ntimezone = "Asia/Shanghai"')
    bench.put(
        "a.csv", HEADER + "a,2024-01-01T20:00:00Z,1\nb,2024-01-01 20:00:00,1\nc,2024-01-01T20:00:00-08:00,1\n"
    ).run(INGEST)
    days = bench.warehouse("SELECT customer_id, posted_on::varchar FROM transactions ORDER BY 1")
    assert days == [("a", "2024-01-02"), ("b", "2024-01-01"), ("c", "2024-01-02")]


def test_parquet_with_types(bench):
    bench.config = _config('files = ["*.parquet"]', 'date_format = "%d.%m.%Y"', 'decimal_mark = ","')
    frame = pl.DataFrame(
        {"customer_id": ["a", None], "posted_at": [date(2024, 1, 2)] * 2, "amount": [0.1 + 0.2, 1.0]}
    )
    frame.write_parquet(bench.folder / "a.parquet")
    bench.run(INGEST)
    assert _rows(bench, "customer_id, posted_on::varchar, amount::varchar") == [
        ("a", "2024-01-02", "0.30000000")
    ]
    assert _rejects(bench) == [("a.parquet", 2, "customer_id", "MISSING")]


def test_one_currency(bench):
    bench.put(
        "a.csv",
        "customer_id,posted_at,amount,currency\na,2024-01-01,1,EUR\nb,2024-01-01,1,USD\nc,2024-01-01,1,\n",
    ).run(INGEST)
    assert [row[0] for row in _rows(bench)] == ["a"]
    assert [row[2:] for row in _rejects(bench)] == [("currency", "CURRENCY")] * 2


def test_the_reject_share_of_each_delivery_is_a_gate(bench):
    bench.config = CONFIG
    bench.put("a.csv", LEDGER_HEADER + "".join(f"t{n},c{n},2024-06-02,5\n" for n in range(2000))).run()
    before = bench.layout.current.readlink()
    bad = "".join(f"u{n},c{n},2024-13-02,5\n" for n in range(20))
    bench.put("b.csv", LEDGER_HEADER + bad)
    with pytest.raises(
        QualityGateError, match="20 of 20 records were set aside, most for DATE_FORMAT"
    ) as caught:
        bench.run()
    assert str(caught.value.where).endswith("b.csv")
    assert bench.layout.current.readlink() == before
    # The refused delivery is not in the ledger: a mended file simply takes its place.
    bench.put("b.csv", LEDGER_HEADER + bad.replace("-13-", "-06-")).run()
    assert bench.table("customer_segments").height == 2000
    assert bench.table("rejected_rows").height == 0
    bench.config += TOLERANT
    bench.put("c.csv", LEDGER_HEADER + bad.replace("u", "v")).run()
    assert bench.table("rejected_rows")["line"].to_list() == list(range(2, 22))
    assert "raw" not in bench.table("rejected_rows").columns


def test_a_refused_delivery_leaves_no_calibration(bench):
    bench.config = CONFIG
    bench.put("a.csv", HEADER + "ann,x,1\n")
    with pytest.raises(QualityGateError, match="DATE_FORMAT in column posted_at"):
        bench.run()
    assert not list(bench.layout.calibrations.iterdir())
    assert not list(bench.layout.parts("transactions").iterdir())


def test_a_delivered_file_is_read_once_whatever_its_name(bench):
    bench.put("a.csv", HEADER + "ann,2024-01-02,1\n")
    assert "1 new of 1 files" in bench.run(INGEST)[0].result.notes[0]
    bench.put("copy.csv", HEADER + "ann,2024-01-02,1\n")
    assert "0 new of 1 files" in bench.run(INGEST)[0].result.notes[0]
    assert len(_rows(bench)) == 1


def test_a_file_that_is_gone_stays_delivered(bench):
    bench.put("a.csv", HEADER + "ann,2024-01-02,1\n").run(INGEST)
    (bench.folder / "a.csv").unlink()
    notes = bench.put("b.csv", HEADER + "bob,2024-01-02,1\n").run(INGEST)[0].result.notes
    assert [row[0] for row in _rows(bench)] == ["ann", "bob"]
    assert any("stay loaded" in note for note in notes)


def test_other_settings_read_a_file_anew_or_refuse_if_it_is_gone(bench):
    bench.put("a.csv", HEADER + "ann,2024-01-02,1\n").run(INGEST)
    bench.config = _config('columns = { customer_id = "posted_at", posted_at = "posted_at" }')
    with pytest.raises(InputError, match="mapped twice"):
        bench.run(INGEST)
    bench.config = _config(tail="[purchases]\ndefault = { purchase = true, margin_rate = 0.5 }\n")
    assert "0 new" in bench.run(INGEST)[0].result.notes[0]
    bench.config = _config('decimal_mark = ","')
    assert "1 new" in bench.run(INGEST)[0].result.notes[0]
    (bench.folder / "a.csv").unlink()
    bench.put("b.csv", HEADER + "bob,2024-01-02,1\n")
    bench.config = _config()
    with pytest.raises(InputError, match="read under other settings"):
        bench.run(INGEST)


def test_equal_rows_without_ids(bench):
    """Two in one file are two events; across files the largest count of any one file stands."""
    bench.put("a.csv", HEADER + "ann,2024-01-02,1\n" * 2 + "bob,2024-01-02,1\n")
    bench.put("b.csv", HEADER + "ann,2024-01-02,1\n" * 3)
    bench.put("c.csv", HEADER + "ann,2024-01-02,1\n")
    bench.run(INGEST)
    assert [row[0] for row in _rows(bench)] == ["ann"] * 3 + ["bob"]


def test_a_changed_file_of_the_same_name_is_a_new_delivery_and_that_is_said(bench):
    bench.put("a.csv", HEADER + "ann,2024-01-02,1\n").run(INGEST)
    result = bench.put("a.csv", HEADER + "ann,2024-01-02,2\n").run(INGEST)[0].result
    assert len(_rows(bench)) == 2
    assert "a.csv was delivered before with other content" in result.warnings[0]


DATED = 'extract_date = { file_name = "_(?P<date>[0-9]{8})", format = "%Y%m%d" }'


def test_of_several_rows_with_one_id_the_latest_delivery_stands(bench):
    bench.config = _config(DATED)
    bench.put("x_20240103.csv", LEDGER_HEADER + "t1,ann,2024-01-02,3\n")
    bench.put("x_20240105.csv", LEDGER_HEADER + "t1,ann,2024-01-02,5\n")
    bench.put("x_20240104.csv", LEDGER_HEADER + "t1,ann,2024-01-02,4\nt2,bob,2024-01-02,4\n")
    bench.run(INGEST)
    assert _rows(bench) == [("ann", "2024-01-02 00:00:00", 5.0), ("bob", "2024-01-02 00:00:00", 4.0)]
    bench.run(INGEST, known_at=date(2024, 1, 4))
    assert _rows(bench)[0][2] == 4.0
    bench.run(INGEST, known_at=date(2024, 1, 3))
    assert _rows(bench) == [("ann", "2024-01-02 00:00:00", 3.0)]


def test_a_snapshot_replaces_what_came_before(bench):
    bench.config = _config('delivery = "snapshot"', DATED)
    bench.put("x_20240103.csv", LEDGER_HEADER + "t1,ann,2024-01-02,3\nt2,bob,2024-01-02,3\n")
    bench.put("x_20240104.csv", LEDGER_HEADER + "t1,ann,2024-01-02,4\n")
    bench.run(INGEST)
    assert _rows(bench) == [("ann", "2024-01-02 00:00:00", 4.0)]
    bench.run(INGEST, known_at=date(2024, 1, 3))
    assert len(_rows(bench)) == 2


def test_the_same_bytes_on_another_day_are_another_delivery(bench):
    """A correction that is taken back: the first content comes again, and stands."""
    bench.config = _config(DATED)
    first = LEDGER_HEADER + "t1,ann,2024-01-02,10\n"
    bench.put("x_20240110.csv", first).put("x_20240111.csv", LEDGER_HEADER + "t1,ann,2024-01-02,99\n")
    bench.run(INGEST)
    assert _rows(bench)[0][2] == 99.0
    bench.put("x_20240112.csv", first).run(INGEST)
    assert _rows(bench)[0][2] == 10.0
    bench.run(INGEST, known_at=date(2024, 1, 11))
    assert _rows(bench)[0][2] == 99.0


def test_a_snapshot_with_the_bytes_of_an_earlier_day(bench):
    bench.config = _config('delivery = "snapshot"', DATED)
    both = LEDGER_HEADER + "t1,ann,2024-01-02,3\nt2,bob,2024-01-02,3\n"
    bench.put("x_20240110.csv", both).put("x_20240111.csv", LEDGER_HEADER + "t1,ann,2024-01-02,3\n")
    bench.put("x_20240112.csv", both).run(INGEST)
    assert len(_rows(bench)) == 2


def test_an_empty_snapshot_is_refused(bench):
    bench.config = _config('delivery = "snapshot"', DATED)
    bench.put("x_20240110.csv", LEDGER_HEADER + "t1,ann,2024-01-02,3\n").run(INGEST)
    bench.put("x_20240111.csv", LEDGER_HEADER)
    with pytest.raises(InputError, match="would empty the table"):
        bench.run(INGEST)


def test_known_at_before_all_deliveries_says_so(bench):
    bench.config = _config(DATED)
    bench.put("x_20240110.csv", LEDGER_HEADER + "t1,ann,2024-01-02,3\n")
    with pytest.raises(InputError, match="the first delivery is of 2024-01-10"):
        bench.run(INGEST, known_at=date(2024, 1, 9))


def test_the_extract_date_may_be_a_column(bench):
    bench.config = _config('extract_date = { column = "delivered" }')
    bench.put(
        "a.csv",
        "transaction_id,customer_id,posted_at,amount,delivered\nt1,a,2024-01-01,1,2024-01-05\nt1,a,2024-01-01,2,2024-01-06\nt2,a,2024-01-01,2,soon\nt3,a,2024-01-01,2,\n",
    )
    bench.run(INGEST)
    assert _rows(bench) == [("a", "2024-01-01 00:00:00", 2.0)]
    assert [row[1:] for row in _rejects(bench)] == [
        (4, "extract_date", "DATE_FORMAT"),
        (5, "extract_date", "MISSING"),
    ]


def test_known_at_without_delivery_dates_is_refused(bench):
    bench.put("a.csv", HEADER + "ann,2024-01-02,1\n")
    with pytest.raises(UsageError, match="delivery dates"):
        bench.run(INGEST, known_at=date(2024, 1, 1))


def test_a_file_without_a_date_in_its_name_is_refused(bench):
    bench.config = _config(DATED)
    bench.put("x_yesterday.csv", HEADER + "ann,2024-01-02,1\n")
    with pytest.raises(InputError, match="no extract date"):
        bench.run(INGEST)


def test_headerless_columns_in_runs_of_blanks(bench):
    bench.config = _config(
        'delimiter = "whitespace"',
        'column_names = ["n", "customer_id", "posted_at", "amount"]',
        'date_format = "%Y%m%d"',
    )
    bench.put("a.csv", b" 00004  0001 19970101   29.33 \r\n\r\n 00004 0002 19970118 2 3\r\n").run(INGEST)
    assert _rows(bench) == [("0001", "1997-01-01 00:00:00", 29.33)]
    assert _rejects(bench) == [("a.csv", 3, None, "FIELD_COUNT")]


FIELD = st.text(st.sampled_from(list('ab,"\n\r 客\x00')), max_size=6)


@settings(max_examples=150)
@given(rows=st.lists(st.lists(FIELD, min_size=1, max_size=4), max_size=12))
def test_reading_agrees_with_pythons_own_reader(tmp_path_factory, rows):
    """Written with full quoting, any fields come back as they were, on the right lines."""
    folder = tmp_path_factory.mktemp("csv")
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(COLUMNS)
    expected, wrong, line = [], 0, 2
    for row in rows:
        clean = [field.replace("\r\n", "\n").replace("\r", "\n") for field in row]
        writer.writerow(clean)
        if len(clean) != 3:
            # One field on a line of its own that holds nothing is a blank line.
            wrong += 1
        elif any(field.strip(" \t\n\r\x0b\x0c") for field in clean):
            expected.append((line, *clean))
        line += 1 + sum(field.count("\n") for field in clean)
    (folder / "a.csv").write_bytes(buffer.getvalue().encode())
    file = find_files(["a.csv"], folder, None)[0]
    records = read_records(file, TableInput(files=("a.csv",)), COLUMNS, COLUMNS)
    got = [tuple(row.values()) for batch in records.batches for row in batch.to_pylist()]
    assert got == expected
    assert len(records.rejects) == wrong


def test_parts_hold_who_made_them_and_rejects_stay_private(bench):
    bench.put("a.csv", HEADER + "secret-id,2024-13-02,1\nann,2024-01-02,1\n").run(INGEST)
    part = next(bench.layout.parts("transactions").glob("*.parquet"))
    assert b'"source": "a.csv"' in pq.read_metadata(part).metadata[b"clvpipe"]
    rejects = next(bench.layout.rejects("transactions").glob("*.parquet"))
    assert "secret-id" in pl.read_parquet(rejects)["raw"][0]
    assert oct(rejects.stat().st_mode & 0o777) == "0o600"
    assert oct(bench.layout.state.stat().st_mode & 0o777) == "0o700"
