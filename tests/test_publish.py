"""What is published: whole, verified, self-describing, and the last one stands when anything fails."""

import hashlib
import json
from datetime import date

import polars as pl
import pyarrow.parquet as pq
import pytest

from clvpipe import stages
from clvpipe.config.rules import load_codes
from clvpipe.contracts import PUBLISHED, Column, Table
from clvpipe.errors import LockedError, QualityGateError, StorageError
from clvpipe.publish import Layout, versions
from clvpipe.publish.contract import problems
from clvpipe.stages import publish as publish_stage
from tests.support import HEADER, LEDGER_HEADER, Bench, ledger_csv, manifest


@pytest.fixture
def filled(bench: Bench) -> Bench:
    return bench.put("a.csv", LEDGER_HEADER + "\n".join(ledger_csv(60)) + "\n")


def test_the_manifest_lists_what_is_there(filled):
    filled.run()
    content = manifest(filled.folder / "out")
    version = filled.layout.current.resolve()
    listed = {file["path"]: file for file in content["files"]}
    on_disk = {str(path.relative_to(version)) for path in version.rglob("*.parquet")}
    assert set(listed) == on_disk
    for path, file in listed.items():
        body = (version / path).read_bytes()
        assert hashlib.sha256(body).hexdigest() == file["sha256"]
        assert len(body) == file["bytes"]
        assert pl.read_parquet(version / path).height == file["rows"]
        assert file["sha256"][:12] in path
    assert {file["dataset"] for file in content["files"]} == set(PUBLISHED)
    source = (filled.folder / "a.csv").read_bytes()
    assert content["inputs"] == [
        {
            "table": "transactions",
            "name": "a.csv",
            "sha256": hashlib.sha256(source).hexdigest(),
            "rows_loaded": source.count(b"\n") - 1,
            "rows_rejected": 0,
            "rows_erased": 0,
        }
    ]
    assert content["as_of"] == "2024-06-30"
    assert content["config"]["currency"] == "EUR"
    assert content["code_version"]


def test_data_folders_hold_parquet_only(filled):
    filled.run()
    version = filled.layout.current.resolve()
    assert {path.suffix for path in (version / "data").rglob("*") if path.is_file()} == {".parquet"}
    names = json.loads((version / "dictionary.json").read_text())["datasets"]
    for table in names:
        frame = filled.table(table)
        assert frame.columns == [column["name"] for column in names[table]["columns"]]
        assert "as_of_date" in frame.columns


def test_no_clock_and_no_run_id_in_any_table(filled):
    filled.run()
    run_id = manifest(filled.folder / "out")["run_id"]
    for path in (filled.layout.current / "data").resolve().rglob("*.parquet"):
        assert run_id.encode() not in path.read_bytes()
        assert run_id not in str(path)


def test_the_same_again_is_unchanged(filled):
    filled.run()
    before = {path: path.stat().st_mtime_ns for path in filled.layout.versions.rglob("*")}
    notes = filled.run()[-1].result.notes
    assert notes[0].startswith("unchanged")
    assert {path: path.stat().st_mtime_ns for path in filled.layout.versions.rglob("*")} == before
    assert not filled.layout.staging.exists()


def test_what_an_earlier_clvpipe_published_is_refused_with_what_to_do(filled):
    """As version 0.1.0 of November 2026 left it: no format in the manifest, few facts in the parts."""
    filled.run()
    path = filled.layout.current.resolve() / "manifest.json"
    content = json.loads(path.read_text())
    for key in ("format", "sequence", "identity", "volume", "supersedes"):
        del content[key]
    path.write_text(json.dumps(content))
    for part in filled.layout.parts("transactions").iterdir():
        table = pq.read_table(part)
        facts = {"source": "a.csv", "reader": "another"}
        pq.write_table(table.replace_schema_metadata({"clvpipe": json.dumps(facts)}), part)
    with pytest.raises(StorageError, match="format 1, and this clvpipe reads format 2") as caught:
        filled.run()
    assert "move `current` and `versions` aside" in str(caught.value)
    filled.layout.current.unlink()
    filled.layout.versions.rename(filled.folder / "aside")
    filled.run()
    assert filled.table("customer_segments").height


def test_a_publication_that_is_in_place_is_not_undone_by_what_comes_after(filled, monkeypatch):
    filled.config += "[publication]\nkeep_versions = 2\n"
    for day in (date(2024, 4, 30), date(2024, 5, 31)):
        filled.run(as_of=day)

    def refuse(*_):
        raise PermissionError("planted")

    monkeypatch.setattr(versions, "remove_version", refuse)
    result = filled.run()[-1].result
    assert any("could not be removed" in warning for warning in result.warnings)
    assert manifest(filled.folder / "out")["as_of"] == "2024-06-30"


def test_state_may_lie_on_another_disk(filled):
    elsewhere = filled.folder / "elsewhere"
    elsewhere.mkdir()
    filled.layout.out.mkdir()
    filled.layout.state.symlink_to(elsewhere)
    filled.run()
    assert (elsewhere / "warehouse.duckdb").is_file()


def test_a_damaged_version_is_made_anew_by_a_run_of_its_day(filled):
    filled.run()
    file = filled.layout.current.resolve() / manifest(filled.folder / "out")["files"][0]["path"]
    whole = file.read_bytes()
    file.write_bytes(whole[:-8] + b"\0" * 8)
    assert filled.run()[-1].result.notes[0].startswith("published")
    assert file.read_bytes() == whole
    assert filled.run()[-1].result.notes[0].startswith("unchanged")


def test_an_older_day_does_not_move_current_back(filled):
    filled.run()
    standing = filled.layout.current.readlink()
    result = filled.run(as_of=date(2024, 5, 31))[-1].result
    assert filled.layout.current.readlink() == standing
    assert any("stays with a later day" in warning for warning in result.warnings)
    assert len(list(filled.layout.versions.iterdir())) == 2


def test_less_knowledge_of_the_same_day_does_not_move_current_back(filled):
    dated = 'extract_date = { file_name = "(?P<date>[0-9]{8})", format = "%Y%m%d" }\n'
    filled.config += dated
    (filled.folder / "a.csv").rename(filled.folder / "a20240101.csv")
    filled.put("b20240615.csv", LEDGER_HEADER + "new,c9999,2024-06-01,5\n").run()
    standing = filled.layout.current.readlink()
    filled.run(known_at=date(2024, 6, 1))
    assert filled.layout.current.readlink() == standing
    assert len(list(filled.layout.versions.iterdir())) == 2


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("t1,ann,2024-01-02,5\n", "days that nobody delivered"),
        ("t1,ann,2024-06-02,-5\nt2,ann,2024-06-03,-5\n", "negative amount"),
        ("t1,ann,2024-06-02,5\nt1,bob,2024-06-03,5\n", "more than one customer"),
    ],
)
def test_what_looks_wrong_is_said(bench, rows, words):
    warnings = bench.put("a.csv", LEDGER_HEADER + rows).run()[-1].result.warnings
    assert any(words in warning for warning in warnings)
    failed = bench.table("data_quality").filter(~pl.col("passed"))
    assert set(failed["severity"]) == {"WARNS"}


def test_permissions(filled):
    filled.run()
    version = filled.layout.current.resolve()
    assert {oct(path.stat().st_mode & 0o777) for path in version.rglob("*") if path.is_file()} == {"0o640"}
    assert {
        oct(path.stat().st_mode & 0o777) for path in (version, version / "data", filled.layout.versions)
    } == {"0o750"}
    private = [path for path in filled.layout.state.rglob("*") if path.is_file()]
    assert {oct(path.stat().st_mode & 0o777) for path in private} == {"0o600"}


def test_readers_can_reach_an_output_folder_that_the_run_has_made(tmp_path):
    layout = Layout(tmp_path / "a" / "b" / "out")
    layout.prepare()
    modes = [folder.stat().st_mode & 0o777 for folder in (layout.out, *layout.out.parents[:2])]
    assert modes == [0o750] * 3


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["ingest", "features", "fit", "score", "segment", "publish"])
def test_a_failure_in_any_stage_leaves_the_last_publication(filled, monkeypatch, stage):
    filled.run()
    standing, hashes = filled.layout.current.readlink(), manifest(filled.folder / "out")["files"]
    filled.put("b.csv", LEDGER_HEADER + "new,c9999,2024-06-01,5\n")

    def fail(context):
        raise RuntimeError("planted")

    __import__(f"clvpipe.stages.{stage}")
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="planted"):
        patch.setattr(getattr(stages, stage), "run", fail)
        filled.run()
    assert filled.layout.current.readlink() == standing
    assert manifest(filled.folder / "out")["files"] == hashes
    filled.run()
    assert "c9999" in filled.table("customer_segments")["customer_id"].to_list()


def test_a_table_that_breaks_its_contract_is_not_published(filled, monkeypatch):
    filled.run()
    standing = filled.layout.current.readlink()
    monkeypatch.setattr(publish_stage, "problems", lambda *_: iter(["planted problem"]))
    filled.put("b.csv", LEDGER_HEADER + "new,c9999,2024-06-01,5\n")
    with pytest.raises(QualityGateError, match="planted problem"):
        filled.run()
    assert filled.layout.current.readlink() == standing


def test_a_customer_who_vanishes_stops_the_run(filled):
    filled.run(("ingest", "features", "fit", "score", "segment"))
    import duckdb

    with duckdb.connect(str(filled.layout.work_database)) as connection:
        connection.execute("DELETE FROM customer_segments WHERE customer_id = 'c0003'")
    with pytest.raises(QualityGateError, match="customers in = customers out"):
        filled.run(("publish",))
    assert not filled.layout.current.exists()


def test_the_warehouse_is_kept_for_analysts_and_may_stay_open(filled):
    import duckdb

    filled.run()
    with duckdb.connect(str(filled.layout.warehouse), read_only=True) as analyst:
        rows = analyst.execute("SELECT count(*) FROM transactions").fetchall()
        filled.put("b.csv", LEDGER_HEADER + "new,c9999,2024-06-01,5\n").run()
        assert analyst.execute("SELECT count(*) FROM transactions").fetchall() == rows
    assert filled.warehouse("SELECT count(*) FROM transactions")[0][0] == rows[0][0] + 1


def test_a_second_writer_is_refused_and_told_who_holds_the_folder(filled):
    import fcntl
    import os

    filled.layout.prepare()
    with filled.layout.lock.open("a+") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        holder.write(f'{{"pid": {os.getpid()}}}')
        holder.flush()
        with pytest.raises(LockedError, match=str(os.getpid())):
            filled.run()
    filled.run()


# ---- verification: every planted defect is found

CODES = {"scheme": ["A", "B"], "status": list(load_codes().of("status")), "reason": ["R"]}
TABLE = Table(
    "planted",
    "row",
    ("id",),
    (
        Column("id", "VARCHAR", "Key."),
        Column("share", "DOUBLE", "A share.", status="share_status", bounds=(0, 1)),
        Column("share_status", "VARCHAR", "Status.", scheme="status"),
        Column("share_reason", "VARCHAR", "Reason.", optional=True, scheme="reason"),
        Column("code", "VARCHAR", "A code.", scheme="scheme"),
    ),
)
GOOD = {
    "id": ["a", "b", "c"],
    "share": [0.0, 1.0, None],
    "share_status": ["OK", "BASELINE", "NOT_AVAILABLE"],
    "share_reason": [None, "R", "R"],
    "code": ["A", "B", "A"],
}


def _found(tmp_path, changes, rows=3):
    path = tmp_path / "t.parquet"
    pl.DataFrame({**GOOD, **changes}).write_parquet(path)
    return list(problems(path, TABLE, CODES, rows))


def test_a_good_table_has_no_problems(tmp_path):
    assert _found(tmp_path, {}) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": ["a", "a", "c"]}, "not unique"),
        ({"id": ["a", None, "c"]}, "NULL where none may stand"),
        ({"share": [0.0, float("nan"), None]}, "not finite"),
        ({"share": [0.0, float("inf"), None]}, "not finite"),
        ({"share": [0.0, 1.01, None]}, "out of bounds"),
        ({"share": [None, 1.0, None]}, "contradict"),
        ({"share": [0.0, 1.0, 0.5]}, "contradict"),
        ({"share_status": ["OK", "FINE", "NOT_AVAILABLE"]}, "unknown code"),
        ({"share_reason": ["R", "R", "R"]}, "reason and status"),
        ({"share_reason": [None, None, "R"]}, "reason and status"),
        ({"code": ["A", "C", "A"]}, "unknown code"),
        ({"code": [1, 2, 3]}, "type is"),
        ({"more": [1, 2, 3]}, "columns"),
    ],
)
def test_planted_defects_are_found(tmp_path, changes, message):
    assert any(message in problem for problem in _found(tmp_path, changes))


def test_a_file_of_other_length_is_found(tmp_path):
    assert any("rows" in problem for problem in _found(tmp_path, {}, rows=4))


def test_every_code_in_the_contracts_has_labels():
    schemes = load_codes().schemes
    for table in PUBLISHED.values():
        for column in table.columns:
            assert not column.scheme or column.scheme in schemes, column.name
            assert column.zh, f"{table.name}.{column.name} has no Chinese label"
    for name, scheme in schemes.items():
        assert all(english and chinese for _, english, chinese in scheme.codes), name


def test_header_only_extracts_publish_nothing(bench):
    bench.put("a.csv", HEADER)
    with pytest.raises(Exception, match="no row could be loaded"):
        bench.run()
    assert not bench.layout.current.exists()
