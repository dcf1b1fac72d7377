"""Who a customer is in the tables, and that an erased one is nowhere, in no file, and does not come back."""

import hashlib
import hmac
import json
import os
import subprocess
import sys
from datetime import date

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clvpipe.config import load_settings
from clvpipe.errors import ConfigError, LockedError, StorageError, UsageError
from clvpipe.operations.forget import forget
from clvpipe.privacy import Identity, Tombstones
from clvpipe.privacy.identity import canonical
from clvpipe.publish.versions import files_of, read_manifest, readable_versions
from clvpipe.stages import erasure
from clvpipe.stages.context import Watch
from tests.support import LEDGER_HEADER, REPOSITORY, Bench, ledger_csv, manifest, published

KEY = "0123456789abcdef0123456789abcdef"
ERASED = "Zoë-Ωmega-77120"
OTHER = "Zoë-Ωmega-7712"  # an id that the erased one begins with
HMAC = '[privacy]\nidentifiers = "hmac"\nkey_file = "key"\n'
DATED = 'extract_date = { file_name = "(?P<date>[0-9]{8})", format = "%Y%m%d" }\n'


def _rows(customer: str, tag: str) -> str:
    days = ("2023-12-05", "2024-01-03", "2024-03-07", "2024-05-11", "2024-06-12")
    return "".join(f"{tag}{n},{customer},{day},{20 + n}.50\n" for n, day in enumerate(days))


def _body(*more: str) -> str:
    return LEDGER_HEADER + "\n".join(ledger_csv(60)) + "\n" + "".join(more)


@pytest.fixture
def filled(bench: Bench) -> Bench:
    return bench.put("a.csv", _body(_rows(ERASED, "e"), _rows(OTHER, "o")))


def _forget(bench: Bench, *customers: str):
    return forget(
        bench.layout,
        load_settings(bench.config_path),
        bench.folder,
        customers,
        run_id="r",
        watch=Watch(),
    )


def _files_with(bench: Bench, *texts: str) -> list[str]:
    """Files under the output folder that hold one of the texts, packed or not."""
    found = []
    for path in sorted((bench.folder / "out").rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        body = path.read_bytes()
        if path.suffix == ".parquet":
            body += repr(pl.read_parquet(path).rows()).encode()
        if path.suffix == ".duckdb":
            with duckdb.connect(str(path), read_only=True) as connection:
                for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
                    body += repr(connection.execute(f'FROM "{name}"').fetchall()).encode()
        found += [str(path) for text in texts if text.encode() in body]
    return found


# ---- identity


def test_ids_are_plain_by_default(filled):
    filled.run()
    assert ERASED in filled.table("customer_segments")["customer_id"].to_list()


def test_pseudonyms_are_hmac_sha256_of_the_trimmed_id(filled):
    filled.config += HMAC
    (filled.folder / "key").write_text(KEY + "\n")
    (filled.folder / "key").chmod(0o600)
    filled.put("b.csv", LEDGER_HEADER + f"x1,  {ERASED} ,2024-06-20,1\n").run()
    table = filled.table("customer_segments")
    expected = hmac.new(KEY.encode(), ERASED.encode(), hashlib.sha256).hexdigest()
    row = table.filter(pl.col("customer_id") == expected)
    assert row["purchase_days_total"].to_list() == [6]
    assert table["customer_id"].str.len_chars().unique().to_list() == [64]
    assert _files_with(filled, ERASED, KEY) == []


def test_pseudonyms_change_names_and_nothing_else(tmp_path, monkeypatch):
    tables = {}
    for name, extra in (("plain", ""), ("hmac", HMAC.replace('key_file = "key"', 'key_env = "CLV_KEY"'))):
        monkeypatch.setenv("CLV_KEY", KEY)
        (tmp_path / name).mkdir()
        bench = Bench(tmp_path / name).put("a.csv", _body())
        bench.config += extra
        bench.run()
        tables[name] = bench.table("customer_segments")
    mac = Identity(KEY.encode()).one
    plain = (
        tables["plain"].with_columns(pl.col("customer_id").map_elements(mac, pl.String)).sort("customer_id")
    )
    assert plain.equals(tables["hmac"])


def test_with_pseudonyms_no_raw_line_is_kept(filled):
    filled.config += HMAC + "[quality]\nmaximum_reject_share = 1\n"
    (filled.folder / "key").write_text(KEY)
    (filled.folder / "key").chmod(0o600)
    filled.put(
        "b.csv",
        LEDGER_HEADER + f"x1,{ERASED},2024-02-30,1\nx2,{ERASED},2024-02-01\nx3,a\x01{ERASED},2024-02-01,1\n",
    )
    filled.run()
    assert filled.table("rejected_rows")["reason"].to_list() == [
        "DATE_FORMAT",
        "FIELD_COUNT",
        "CONTROL_CHARACTER",
    ]
    assert _files_with(filled, ERASED) == []


@pytest.mark.parametrize(
    ("key", "mode", "words"),
    [("short", 0o600, "fewer than 16"), (KEY, 0o644, "read by others"), (None, 0o600, "cannot be read")],
)
def test_a_key_that_is_none_is_refused_and_not_told(filled, key, mode, words):
    filled.config += HMAC
    if key is not None:
        (filled.folder / "key").write_text(key)
        (filled.folder / "key").chmod(mode)
    with pytest.raises(ConfigError, match=words) as caught:
        filled.run()
    assert key is None or key not in str(caught.value)


def test_the_key_is_in_no_manifest_log_or_repr(filled, monkeypatch):
    monkeypatch.setenv("CLV_KEY", KEY)
    filled.config += HMAC.replace('key_file = "key"', 'key_env = "CLV_KEY"')
    filled.run()
    assert KEY not in json.dumps(manifest(filled.folder / "out")) and _files_with(filled, KEY) == []
    identity = Identity(KEY.encode())
    assert KEY not in repr(identity) + identity.fingerprint


def test_another_key_reads_the_files_anew(filled, monkeypatch):
    filled.config += HMAC.replace('key_file = "key"', 'key_env = "CLV_KEY"')
    tables = []
    for key in (KEY, KEY[::-1]):
        monkeypatch.setenv("CLV_KEY", key)
        filled.run()
        tables.append(set(filled.table("customer_segments")["customer_id"]))
    assert not tables[0] & tables[1] and len(tables[0]) == len(tables[1])


@given(st.text(max_size=12))
def test_ids_are_trimmed_as_sql_trims_them(text):
    assert canonical(text) == (duckdb.execute("SELECT trim(?)", [text]).fetchall()[0][0])


def test_nulls_stay_nulls():
    column = pa.array(["a", None, "", "a"])
    assert Identity(KEY.encode()).identify(column).to_pylist()[1:3] == [None, ""]
    assert Tombstones(REPOSITORY).mask(column).to_pylist() == [False] * 4


# ---- erasure


@pytest.fixture
def published_twice(filled: Bench) -> Bench:
    """Two days, the earlier a month-end, and rejects that name the customer."""
    filled.config += "[quality]\nmaximum_reject_share = 1\n"
    bad = f"x1,{ERASED},2024-02-30,1\nx2,{ERASED},2024-02-01\n,,call-{ERASED}back,\nof {ERASED}0,,,\n"
    filled.put("b.csv", LEDGER_HEADER + bad).run(as_of=date(2024, 5, 31))
    filled.run()
    return filled


def test_no_byte_of_an_erased_customer_is_left(published_twice):
    bench = published_twice
    assert _files_with(bench, ERASED)
    done = _forget(bench, ERASED)
    assert (done.named, done.known) == (1, 1)
    assert (done.erasure.records, done.erasure.versions, done.erasure.removed) == (5, 2, 0)
    assert _files_with(bench, ERASED, Identity().one(ERASED)) == []
    assert _files_with(bench, OTHER)
    bench.run()
    assert _files_with(bench, ERASED) == []


def test_nor_of_the_pseudonym(filled, monkeypatch):
    monkeypatch.setenv("CLV_KEY", KEY)
    filled.config += HMAC.replace('key_file = "key"', 'key_env = "CLV_KEY"')
    filled.run(as_of=date(2024, 5, 31))
    filled.run()
    pseudonym = Identity(KEY.encode()).one(ERASED)
    assert _files_with(filled, pseudonym)
    _forget(filled, ERASED)
    assert _files_with(filled, ERASED, pseudonym) == []


def test_everybody_else_stays_as_published(published_twice):
    bench = published_twice
    before = bench.table("customer_segments")
    summary = bench.table("segment_summary")
    _forget(bench, ERASED)
    after = bench.table("customer_segments")
    assert after.equals(before.filter(pl.col("customer_id") != ERASED))
    assert bench.table("segment_summary").equals(summary)
    with duckdb.connect(str(bench.layout.warehouse), read_only=True) as warehouse:
        assert warehouse.execute("SELECT count(*) FROM customers").fetchall() == [(after.height,)]
        assert warehouse.execute(
            "SELECT count(*) FROM transactions WHERE customer_id = ?", [OTHER]
        ).fetchall() == [(5,)]


def test_detail_plus_erased_is_the_summary_in_every_version(published_twice):
    bench = published_twice
    _forget(bench, ERASED)
    _forget(bench, OTHER)
    for version in readable_versions(bench.layout):
        content = read_manifest(version)
        files = {file.dataset: file for file in files_of(content) if file.dataset != "segment_history"}
        detail = pl.read_parquet(version / files["customer_segments"].path).height
        quality = pl.read_parquet(version / files["data_quality"].path)
        erased = quality.filter(pl.col("check_name") == "erased_customers")["observed"].to_list()
        assert erased == [2] and files["customer_segments"].erased == 2
        summary = pl.read_parquet(version / files["segment_summary"].path)
        summary = summary.filter(pl.col("dimension") == "ALL")
        totals = summary.group_by("scheme").agg(pl.col("customers").sum())["customers"].unique().to_list()
        assert totals == [detail + 2]
        assert len(content["supersedes"]) == 2
        for name in content["supersedes"]:
            assert not (bench.layout.versions / name).exists()
        for file in files_of(content):
            body = (version / file.path).read_bytes()
            assert hashlib.sha256(body).hexdigest() == file.sha256
    history = [file for file in files_of(manifest_of(bench)) if file.dataset == "segment_history"]
    assert [(file.as_of_date, file.erased) for file in history] == [("2024-05-31", 2), ("2024-06-30", 2)]


def manifest_of(bench: Bench):
    return manifest(bench.folder / "out")


def test_a_later_delivery_does_not_bring_them_back(published_twice):
    bench = published_twice
    _forget(bench, ERASED)
    again = (
        _rows(ERASED, "again")
        + f"z1,{ERASED},not a day,1\nz2,{ERASED},2024-01-01\nz3, {ERASED} ,2024-06-02,1\n"
    )
    bench.put("c.csv", LEDGER_HEADER + "new,fresh,2024-06-01,5\n" + again).run()
    assert _files_with(bench, ERASED) == []
    assert "fresh" in bench.table("customer_segments")["customer_id"].to_list()
    detail = (
        bench.table("data_quality").filter(pl.col("subject").str.starts_with("c.csv"))["detail"].to_list()
    )
    assert detail == ["1 loaded + 1 set aside + 7 erased = 9 delivered"]
    assert [row["rows_erased"] for row in manifest_of(bench)["inputs"] if row["name"] == "c.csv"] == [7]


def test_files_read_again_under_other_settings_do_not_bring_them_back(published_twice):
    _forget(published_twice, ERASED)
    published_twice.config = published_twice.config.replace('"EUR"', '"EUR"\ntimezone = "Europe/Prague"')
    published_twice.run()
    assert _files_with(published_twice, ERASED) == []


def test_a_rewritten_part_is_the_part_that_ingest_would_have_made(filled, tmp_path):
    filled.run(("ingest",))
    _forget(filled, ERASED)
    parts = filled.layout.parts("transactions")
    rewritten = {path.name: path.read_bytes() for path in parts.iterdir()}
    for path in parts.iterdir():
        path.unlink()
    filled.run(("ingest",))
    assert {path.name: path.read_bytes() for path in parts.iterdir()} == rewritten


def test_the_next_run_is_that_of_a_ledger_without_them(filled, tmp_path):
    filled.run(as_of=date(2024, 3, 15))
    _forget(filled, ERASED)
    filled.run()
    clean = tmp_path / "clean"
    clean.mkdir()
    other = Bench(clean).put("a.csv", _body(_rows(OTHER, "o")))
    other.run()
    ours, theirs = (published(b.folder / "out", "customer_segments") for b in (filled, other))
    assert ours.equals(theirs)


def test_who_was_erased_is_not_missed_by_the_volume_gate(bench):
    rows = "".join(_rows(f"c{n}", f"t{n}-") for n in range(10))
    bench.put("a.csv", LEDGER_HEADER + rows).run()
    _forget(bench, *(f"c{n}" for n in range(4)))
    assert manifest_of(bench)["volume"] == {"customers": 6}
    bench.run()
    assert bench.table("customer_segments").height == 6


def test_ids_that_nobody_knows_are_kept_out_all_the_same(filled):
    filled.run()
    assert _forget(filled, "nobody-1").known == 0
    filled.put("b.csv", LEDGER_HEADER + "n1,nobody-1,2024-06-01,5\nn2,somebody,2024-06-01,5\n").run()
    ids = filled.table("customer_segments")["customer_id"].to_list()
    assert "somebody" in ids and "nobody-1" not in ids


def test_forget_before_anything_was_published(filled):
    filled.run(("ingest",))
    assert _forget(filled, ERASED).erasure.records == 5
    filled.run()
    assert _files_with(filled, ERASED) == []


MOMENTS = (
    "_withhold", "_rewrite_part", "_rewrite_version", "settle_version", "point_current", "remove_version",
    "make_durable",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_erasure_that_is_cut_short_is_finished_by_the_next_run(published_twice, monkeypatch, moment):
    bench = published_twice

    def cut(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(erasure, moment, cut)
        _forget(bench, ERASED)
    assert Tombstones.load(bench.layout.erased).pending
    assert bench.layout.current.exists()
    bench.run()
    assert not Tombstones.load(bench.layout.erased).pending
    assert _files_with(bench, ERASED) == []


def test_without_its_tombstones_nothing_runs(filled):
    filled.run()
    _forget(filled, ERASED)
    (filled.layout.erased / "key").unlink()
    with pytest.raises(StorageError, match="erased customers is damaged"):
        filled.run()


def test_forget_under_another_key_is_refused(filled, monkeypatch):
    """The pseudonyms of another key would not be found, and it must not be said that they were."""
    monkeypatch.setenv("CLV_KEY", KEY)
    plain = filled.config
    filled.config += HMAC.replace('key_file = "key"', 'key_env = "CLV_KEY"')
    filled.run(as_of=date(2024, 5, 31))
    monkeypatch.setenv("CLV_KEY", KEY[::-1])
    with pytest.raises(ConfigError, match="another key"):
        _forget(filled, ERASED)
    filled.config = plain
    with pytest.raises(ConfigError, match="another key"):
        _forget(filled, ERASED)
    assert not filled.layout.erased.exists()
    monkeypatch.setenv("CLV_KEY", KEY)
    filled.config += HMAC.replace('key_file = "key"', 'key_env = "CLV_KEY"')
    assert _forget(filled, ERASED).known == 1


def test_plain_months_do_not_stand_beside_pseudonyms(filled, monkeypatch):
    filled.run(as_of=date(2024, 5, 31))
    monkeypatch.setenv("CLV_KEY", KEY)
    filled.config += HMAC.replace('key_file = "key"', 'key_env = "CLV_KEY"')
    warnings = filled.run()[-1].result.warnings
    assert any("other ids" in warning for warning in warnings)
    version = filled.layout.current.resolve()
    history = pl.read_parquet(version / "data" / "segment_history" / "*.parquet")
    assert history["as_of_date"].unique().to_list() == [date(2024, 6, 30)]
    assert history["customer_id"].str.len_chars().unique().to_list() == [64]


@pytest.mark.parametrize("damage", ["missing", "cut off", "empty", "a file is gone"])
def test_a_publication_that_cannot_be_rewritten_does_not_stay(published_twice, damage):
    bench = published_twice
    version = next(path for path in bench.layout.versions.iterdir() if path.name.startswith("2024-05-31"))
    found = version / "manifest.json"
    if damage == "missing":
        found.unlink()
    elif damage == "cut off":
        found.write_bytes(found.read_bytes()[:100])
    elif damage == "empty":
        found.write_text("{}")
    else:
        next((version / "data" / "codes").iterdir()).unlink()
    assert _forget(bench, ERASED).erasure.removed == 1
    assert _files_with(bench, ERASED) == []
    bench.run()


def test_readers_of_a_damaged_publication_see_the_newest_sound_one(published_twice):
    bench = published_twice
    (bench.layout.current / "manifest.json").unlink()
    _forget(bench, ERASED)
    assert manifest_of(bench)["as_of"] == "2024-05-31"
    assert _files_with(bench, ERASED) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ['a"b', "a,b", "a''b", "x;y", "=cmd|' /C calc'!A0", "a\\b", "%s{}", "张三 李四"]
)
def test_odd_ids_are_erased_from_rejects_too(bench, name):
    quoted = '"' + name.replace('"', '""') + '"'
    bad = f"x1,{quoted},2024-02-30,1\nx2,{quoted},2024-02-01,1,more\n"
    bench.config += "[quality]\nmaximum_reject_share = 1\n"
    bench.put("a.csv", _body(f"y1,{quoted},2024-02-01,1\n", bad)).run()
    assert _forget(bench, name).known == 1
    bench.put("b.csv", LEDGER_HEADER + "y2,other,2024-02-01,1\n" + bad).run()
    assert _files_with(bench, name, name.replace('"', '""')) == []


def test_everybody_may_be_erased_from_a_snapshot(bench):
    bench.config += DATED + 'delivery = "snapshot"\n'
    bench.put("a20240601.csv", LEDGER_HEADER + _rows("solo", "s")).run()
    _forget(bench, "solo")
    bench.put("a20240602.csv", LEDGER_HEADER + _rows("solo", "s") + "z,new,2024-06-02,1\n").run()
    bench.put("a20240603.csv", LEDGER_HEADER + _rows("solo", "s")).run(("ingest",))


def test_a_mistyped_folder_is_not_made(filled):
    with pytest.raises(UsageError, match="nothing is kept here"):
        _forget(filled, ERASED)
    assert not filled.layout.out.exists()


def test_nobody_is_a_usage_error(filled):
    for names in ((), ("",), ("  ", "a")):
        with pytest.raises(UsageError, match="no customer"):
            _forget(filled, *names)


def test_forget_waits_for_no_run(filled):
    import fcntl

    filled.run()
    with filled.layout.lock.open("a+") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(LockedError):
            _forget(filled, ERASED)


def test_the_command_takes_ids_from_standard_input_and_names_nobody(published_twice):
    bench = published_twice
    command = [
        sys.executable,
        "-m",
        "clvpipe.cli.main",
        "forget",
        "--from",
        "-",
        "--out",
        str(bench.folder / "out"),
    ]
    done = subprocess.run(
        [*command, "--config", str(bench.config_path)],
        input=f"\ufeff{ERASED}\n{OTHER}\n", capture_output=True, text=True, check=False, cwd=bench.folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 of 2 customers were known; 10 records" in done.stdout
    assert OTHER not in done.stdout + done.stderr
    assert _files_with(bench, ERASED, OTHER) == []
