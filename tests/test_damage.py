"""What is damaged is never called sound, holds nobody's erasure up, and stops no night that can go on."""

import json
import os
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from clvpipe.config import load_settings
from clvpipe.config.settings import STAGES
from clvpipe.errors import DamagedError, QualityGateError, StorageError
from clvpipe.operations.backfill import backfill
from clvpipe.operations.rollback import rollback
from clvpipe.publish.verify import check_current, check_versions
from clvpipe.publish.versions import MANIFEST, read_manifest, settle_version
from clvpipe.stages.context import Watch
from clvpipe.stages.session import Request
from tests.faults import companion
from tests.support import LEDGER_HEADER, Bench, content_hashes, ledger_csv
from tests.test_privacy import ERASED, OTHER, _files_with, _forget, _rows

NIGHTS = (date(2024, 5, 31), date(2024, 6, 30))


@pytest.fixture
def filled(bench: Bench) -> Bench:
    """Two nights of a ledger."""
    lines = "\n".join(ledger_csv(60)) + "\n" + _rows(ERASED, "e") + _rows(OTHER, "o")
    bench.put("a.csv", LEDGER_HEADER + lines)
    for night in NIGHTS:
        bench.run(as_of=night)
    return bench


def _versions(bench: Bench) -> dict[str, Path]:
    """Kept versions by their day."""
    return {path.name[:10]: path for path in bench.layout.versions.iterdir()}


def _current(bench: Bench) -> Path:
    return bench.layout.current.resolve()


def _flip(path: Path) -> None:
    """One byte in the middle of a file."""
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 0xFF
    path.unlink()  # Other versions may share the file.
    path.write_bytes(bytes(body))


def _detail(version: Path) -> Path:
    return next((version / "data" / "customer_segments").iterdir())


def _all_is_sound(bench: Bench) -> bool:
    problems = [problem for version in check_versions(bench.layout) for problem in version.problems]
    return not problems and not list(check_current(bench.layout))


# ---- publications


@pytest.mark.parametrize("name", ["manifest.json", "dictionary.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", None])
def test_the_next_night_goes_on_from_the_newest_that_can_be_read(filled, name, content):
    damaged = _current(filled) / name
    if content is None:
        damaged.unlink()
    else:
        damaged.write_text(content)
    filled.put("b.csv", LEDGER_HEADER + "new,c0001,2024-07-01,5\n")
    publish = filled.run(as_of=date(2024, 7, 1))[-1]
    assert any("is damaged" in warning for warning in publish.result.warnings)
    assert filled.layout.current.readlink().name.startswith("2024-07-01")
    assert _all_is_sound(filled), "what nobody can read is not kept"
    months = {file["as_of_date"] for file in _files(filled, "segment_history")}
    assert months == {"2024-05-31", "2024-07-01"}


def _files(bench: Bench, dataset: str) -> list[dict[str, str]]:
    files = read_manifest(_current(bench))["files"]
    return [file for file in files if file["dataset"] == dataset]


@pytest.mark.parametrize("damage", ["manifest", "dictionary", "stranger", "detail"])
def test_a_run_of_its_day_makes_a_damaged_version_anew(filled, damage):
    before, version = content_hashes(filled.folder / "out"), _current(filled)
    match damage:
        case "stranger":
            (version / "data" / "x").touch()
        case "detail":
            _flip(_detail(version))
        case name:
            (version / f"{name}.json").write_text("{")
    assert not _all_is_sound(filled)
    filled.run()
    assert _all_is_sound(filled)
    assert content_hashes(filled.folder / "out") == before


def test_readers_of_a_damaged_manifest_are_rolled_back_without_a_name(filled):
    (_current(filled) / MANIFEST).write_text("{")
    done = rollback(filled.layout, None, run_id="r", watch=Watch())
    assert done.publication.folder.name.startswith("2024-05-31")


def test_month_ends_are_not_added_to_a_damaged_publication(filled):
    damaged = _current(filled)
    _flip(_detail(damaged))
    path = filled.config_path
    request = Request(load_settings(path), path, filled.folder / "out", STAGES, date(2024, 4, 30))
    with pytest.raises(DamagedError, match="customer_segments"):
        backfill(request, [date(2024, 4, 30)], restate=True, watch=Watch())
    assert _current(filled) == damaged


def test_a_stopped_run_publishes_whole_or_not_at_all(filled):
    """Either rename comes first; the other finds nothing."""
    version, layout = _current(filled), filled.layout
    facts = {key: value for key, value in read_manifest(version).items() if key not in ("version", "files")}
    for stopped_first in (True, False):
        shutil.copytree(version, layout.staging)
        if stopped_first:
            layout.discard_staging()
            with pytest.raises(FileNotFoundError):
                settle_version(layout, date(2024, 6, 29), (), facts)
            assert len(_versions(filled)) == 2
        else:
            settle_version(layout, date(2024, 6, 29), (), facts)
            with pytest.raises(FileNotFoundError):
                layout.discard_staging()
            assert _detail(_versions(filled)["2024-06-29"]).is_file()
    assert not layout.staging.exists()


def test_a_table_that_breaks_its_contract_leaves_no_calibration(bench, monkeypatch):
    bench.put("a.csv", LEDGER_HEADER + "\n".join(ledger_csv(60)) + "\n")
    monkeypatch.setattr("clvpipe.stages.publish.problems", lambda *_: ["a column is missing"])
    with pytest.raises(QualityGateError, match="breaks its contract"):
        bench.run()
    assert list(bench.layout.calibrations.iterdir()) == []


# ---- erasures


def test_an_erasure_calls_no_damage_sound(filled):
    damaged = _versions(filled)["2024-05-31"]
    _flip(_detail(damaged))
    assert _forget(filled, ERASED).erasure.removed == 1
    assert sorted(_versions(filled)) == ["2024-06-30"]
    assert _all_is_sound(filled) and _files_with(filled, ERASED) == []


def test_a_publication_of_another_clvpipe_is_not_damaged_and_stays(filled):
    version = _versions(filled)["2024-05-31"]
    content = json.loads((version / MANIFEST).read_text())
    (version / MANIFEST).write_text(json.dumps({**content, "format": 1}))
    with pytest.raises(StorageError, match="format 1"):
        _forget(filled, ERASED)
    assert len(_versions(filled)) == 2
    assert not list(filled.layout.erased.glob("*")), "nothing has been promised either"
    filled.run(as_of=date(2024, 6, 30))


def test_an_analyst_who_may_write_holds_up_neither_erasure_nor_night(filled):
    with companion("writer", filled.layout.warehouse) as analyst:
        assert analyst.ask({"sql": "SELECT count(*) > 0 FROM transactions"}) == [[True]]
        assert _forget(filled, ERASED).known == 1
        filled.run()
        assert analyst.ask({"sql": "SELECT count(*) > 0 FROM transactions"}) == [[True]]
    assert _files_with(filled, ERASED) == []


def _die_writing(database: Path, sql: str) -> None:
    code = "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]); c.execute(sys.argv[2]); os._exit(0)"
    subprocess.run([sys.executable, "-c", code, str(database), sql], check=True)


def test_what_an_analyst_wrote_and_never_settled_is_erased_too(filled):
    warehouse = filled.layout.warehouse
    mine = f"CREATE TABLE mine AS FROM transactions WHERE customer_id IN ('{ERASED}', '{OTHER}')"
    _die_writing(warehouse, mine)
    assert ERASED.encode() in filled.layout.warehouse_log.read_bytes()
    assert _forget(filled, ERASED).known == 1
    assert not filled.layout.warehouse_log.exists()
    assert _files_with(filled, ERASED) == []
    _die_writing(warehouse, mine)
    filled.put("b.csv", LEDGER_HEADER + "new,c0001,2024-06-30,5\n").run()
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM transactions WHERE transaction_id = 'new'").fetchall()


def test_a_warehouse_that_nobody_can_read_holds_up_no_erasure(filled):
    filled.layout.warehouse.write_bytes(b"no database" * 1000)
    assert _forget(filled, ERASED).known == 1
    assert not filled.layout.warehouse.exists()
    filled.put("b.csv", LEDGER_HEADER + "new,c0001,2024-06-30,5\n").run()
    assert filled.layout.warehouse.is_file() and _files_with(filled, ERASED) == []


# ---- the ledger


def _part(bench: Bench) -> Path:
    return next(bench.layout.parts("transactions").iterdir())


@pytest.mark.parametrize("which", ["part", "rejects"])
@pytest.mark.parametrize("damage", ["cut", "garbage", "gone"])
def test_a_damaged_part_is_read_anew_from_its_file_or_named(filled, which, damage):
    before = content_hashes(filled.folder / "out")
    path = _part(filled) if which == "part" else filled.layout.rejects("transactions") / _part(filled).name
    match damage:
        case "cut":
            os.truncate(path, 200)
        case "garbage":
            path.write_bytes(b"PAR1" + b"x" * 500 + b"PAR1")
        case "gone":
            path.unlink()
    if (which, damage) != ("part", "gone"):
        source = (filled.folder / "a.csv").rename(filled.folder / "aside")
        filled.put("other.csv", LEDGER_HEADER + "t0-0,c0000,2024-06-30,5\n")
        with pytest.raises(DamagedError) as caught:
            filled.run()
        assert _part(filled).name in str(caught.value.where)
        (filled.folder / "other.csv").unlink()
        for other in filled.layout.parts("transactions").iterdir():
            if other.name != path.name:
                other.unlink()
        source.rename(filled.folder / "a.csv")
    filled.run()
    assert content_hashes(filled.folder / "out") == before


def test_a_reading_that_is_refused_changes_nothing_of_one_that_stands(filled):
    before, config = filled.table("data_quality"), filled.config
    filled.config += 'date_format = "%d/%m/%Y"\n'
    with pytest.raises(QualityGateError, match="were set aside") as caught:
        filled.run()
    place = str(caught.value.next_step).rpartition(" ")[2]
    assert pq.read_table(place)["reason"].unique().to_pylist() == ["DATE_FORMAT"]
    filled.config = config
    filled.run()
    assert filled.table("data_quality").equals(before)
    assert filled.table("rejected_rows").is_empty()


def test_rejects_of_another_reading_than_their_part_are_read_anew(filled):
    """As a run that was killed between the two leaves them."""
    before = filled.table("data_quality")
    rejects = filled.layout.rejects("transactions") / _part(filled).name
    kept = rejects.read_bytes()
    filled.config = filled.config.replace('currency = "EUR"', 'currency = "CHF"')
    filled.run()
    foreign = rejects.read_bytes()
    assert foreign != kept
    filled.config = filled.config.replace('currency = "CHF"', 'currency = "EUR"')
    filled.run()
    rejects.write_bytes(foreign)
    filled.run()
    assert rejects.read_bytes() == kept and filled.table("data_quality").equals(before)
