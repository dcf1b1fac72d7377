"""History by month-ends: taken along from run to run, and made later as it would have been made then."""

import json
import os
from datetime import date

import polars as pl
import pytest

from clvpipe.config import load_settings
from clvpipe.config.settings import STAGES
from clvpipe.contracts import PUBLISHED
from clvpipe.errors import InputError, QualityGateError, StorageError, UsageError
from clvpipe.operations.backfill import backfill, chosen_days
from clvpipe.operations.forget import forget
from clvpipe.publish.files import sha256_of
from clvpipe.publish.history import is_month_end, month_ends
from clvpipe.publish.versions import files_of
from clvpipe.stages import publish as publish_stage
from clvpipe.stages.context import Watch
from clvpipe.stages.session import Request
from tests.support import LEDGER_HEADER, Bench, ledger_csv, manifest

DATED = 'extract_date = { file_name = "(?P<date>[0-9]{8})", format = "%Y%m%d" }\n'
MINIMA = "[clv]\nminimum_customers = 100\nminimum_repeaters = 50\n"
LINES = ledger_csv(500, seed=5)
SPAN = [date(2024, 1, 31), date(2024, 2, 29), date(2024, 3, 31), date(2024, 4, 30), date(2024, 5, 31)]


def _posted(line: str) -> date:
    return date.fromisoformat(line.split(",")[2])


def _deliver(bench: Bench, until: date | None = None) -> Bench:
    """One file a month, delivered on its last day; a correction and a reversal come late."""
    first = date(2023, 12, 31)
    bench.put("t20231231.csv", _csv(line for line in LINES if _posted(line) <= first))
    before = first
    for day in [*SPAN, date(2024, 6, 30)]:
        if until is None or day <= until:
            rows = [line for line in LINES if before < _posted(line) <= day]
            corrected = [_doubled(line) for line in LINES if _posted(line) <= before][day.month :: 40]
            bench.put(f"t{day:%Y%m%d}.csv", _csv([*rows, *corrected]))
        before = day
    return bench


def _csv(lines) -> str:
    return LEDGER_HEADER + "\n".join(lines) + "\n"


def _doubled(line: str) -> str:
    head, amount = line.rsplit(",", 1)
    return f"{head},{2 * float(amount):.2f}"


def _bench(folder) -> Bench:
    folder.mkdir(exist_ok=True)
    bench = Bench(folder)
    bench.config += DATED + MINIMA
    return bench


def _backfill(bench: Bench, days=SPAN, *, restate=False, **options):
    path = bench.config_path
    request = Request(
        settings=load_settings(path), config_path=path, out=bench.folder / "out", stages=STAGES,
        as_of=days[-1], **options,
    )  # fmt: skip
    return backfill(request, days, restate=restate, watch=Watch())


def _history(bench: Bench) -> dict[str, str]:
    """SHA-256 by day of segment_history."""
    return {
        file.as_of_date: file.sha256
        for file in files_of(manifest(bench.folder / "out"))
        if file.dataset == "segment_history"
    }


@pytest.fixture(scope="module")
def lived(tmp_path_factory) -> dict[str, dict[str, str]]:
    """What runs made at each month-end, with only the files delivered by then: all hashes, by day."""
    folder = tmp_path_factory.mktemp("lived")
    found = {}
    for day in SPAN:
        bench = _deliver(_bench(folder), until=day)
        bench.run(as_of=day)
        found[str(day)] = {
            file.dataset: file.sha256
            for file in files_of(manifest(folder / "out"))
            if file.as_of_date == str(day)
        }
    assert set(_history(bench)) == {str(day) for day in SPAN}
    return found


# ---- which days


def test_month_ends():
    assert month_ends(date(2024, 1, 31), date(2024, 4, 29)) == SPAN[:3]
    assert month_ends(date(2024, 2, 1), date(2024, 2, 28)) == []
    assert [day for day in range(1, 30) if is_month_end(date(2024, 2, day))] == [29]
    assert chosen_days(date(2023, 12, 1), date(2024, 7, 1), "quarter") == [
        date(2023, 12, 31), date(2024, 3, 31), date(2024, 6, 30),
    ]  # fmt: skip
    with pytest.raises(UsageError, match="no month ends"):
        chosen_days(date(2024, 2, 1), date(2024, 2, 28), "month")
    with pytest.raises(UsageError, match="not known"):
        chosen_days(date(2024, 2, 1), date(2024, 2, 29), "week")


# ---- history from run to run


def test_a_run_takes_month_ends_along_and_drops_other_days(bench):
    _deliver(bench)
    for day in (date(2024, 4, 30), date(2024, 5, 17), date(2024, 5, 31), date(2024, 6, 3)):
        bench.run(as_of=day)
    assert list(_history(bench)) == ["2024-04-30", "2024-05-31", "2024-06-03"]
    folder = bench.layout.current.resolve() / "data" / "segment_history"
    frame = pl.read_parquet(folder / "*.parquet")
    assert frame.columns == list(PUBLISHED["segment_history"].column_names)
    assert frame.group_by("as_of_date").len().height == 3
    latest = frame.filter(pl.col("as_of_date") == date(2024, 6, 3)).drop("as_of_date")
    assert latest.equals(bench.table("customer_segments").select(latest.columns))


def test_earlier_month_ends_are_hard_links_of_the_version_before(bench):
    _deliver(bench).run(as_of=date(2024, 5, 31))
    first = next((bench.layout.current.resolve() / "data" / "segment_history").iterdir())
    bench.run(as_of=date(2024, 6, 30))
    second = bench.layout.current.resolve() / "data" / "segment_history" / first.name
    assert second.stat().st_ino == first.stat().st_ino


def test_where_links_cannot_be_made_the_bytes_are_copied(bench, monkeypatch):
    _deliver(bench).run(as_of=date(2024, 5, 31))
    before = _history(bench)

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    bench.run(as_of=date(2024, 6, 30))
    assert _history(bench).items() >= before.items()


def test_a_missing_month_end_is_said_with_the_command_that_makes_it(bench):
    _deliver(bench)
    bench.run(as_of=date(2024, 3, 31))
    warnings = bench.run(as_of=date(2024, 6, 15))[-1].result.warnings
    assert any("backfill --from 2024-04-30 --to 2024-05-31" in warning for warning in warnings)


def test_a_damaged_month_end_is_not_taken_along(bench):
    _deliver(bench).run(as_of=date(2024, 5, 31))
    standing = bench.layout.current.resolve()
    file = next((standing / "data" / "segment_history").iterdir())
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(StorageError, match="missing or damaged") as caught:
        bench.run(as_of=date(2024, 6, 30))
    assert "backfill --from 2024-05-31" in str(caught.value)
    assert bench.layout.current.resolve() == standing


def test_a_month_end_of_an_older_schema_gets_the_new_column(bench):
    """As if `value_tier_reason` and the deposit tier had been added since; a NULL stands beside a status."""
    _deliver(bench).run(as_of=date(2024, 5, 31))
    version = bench.layout.current.resolve()
    content = json.loads((version / "manifest.json").read_text())
    for file in content["files"]:
        if file["dataset"] == "segment_history":
            path = version / file["path"]
            added = ("deposit_tier", "deposit_tier_status", "deposit_tier_reason", "value_tier_reason")
            pl.read_parquet(path).drop(added).write_parquet(path)
            file["bytes"], file["sha256"] = path.stat().st_size, sha256_of(path)
    (version / "manifest.json").write_text(json.dumps(content))
    bench.run(as_of=date(2024, 6, 30))
    frame = pl.read_parquet(bench.layout.current.resolve() / "data" / "segment_history" / "*.parquet")
    old = frame.filter(pl.col("as_of_date") == date(2024, 5, 31))
    assert old.height and old["value_tier_reason"].null_count() == old.height
    tiers = set(old.select("deposit_tier", "deposit_tier_status", "deposit_tier_reason").rows())
    assert tiers == {(None, "NOT_AVAILABLE", "NOT_COMPUTED")}


# ---- backfill


def test_a_backfilled_month_is_what_a_run_at_that_month_made(tmp_path, lived):
    bench = _deliver(_bench(tmp_path))
    _backfill(bench)
    assert _history(bench) == {day: hashes["segment_history"] for day, hashes in lived.items()}
    last = str(SPAN[-1])
    ours = {
        file.dataset: file.sha256 for file in files_of(manifest(tmp_path / "out")) if file.as_of_date == last
    }
    assert ours == lived[last]
    assert len(list(bench.layout.versions.iterdir())) == 1


def test_one_month_alone_equals_the_run_of_that_month(tmp_path, lived):
    """The first of a quarter makes the calibration of the quarter, then as now."""
    bench = _deliver(_bench(tmp_path))
    _backfill(bench, [SPAN[3]])
    assert _history(bench) == {str(SPAN[3]): lived[str(SPAN[3])]["segment_history"]}


def test_a_later_publication_stays_and_gets_the_month_ends(tmp_path, lived):
    bench = _deliver(_bench(tmp_path))
    bench.run(as_of=date(2024, 6, 30))
    before = {file.dataset: file for file in files_of(manifest(tmp_path / "out"))}
    warehouse = bench.warehouse("SELECT max(last_purchase_day) FROM customer_features")
    _, context = _backfill(bench)
    assert context.publication.is_current and not context.publication.unchanged
    after = files_of(manifest(tmp_path / "out"))
    assert manifest(tmp_path / "out")["as_of"] == "2024-06-30"
    assert {file for file in after if file.as_of_date == "2024-06-30"} == set(before.values())
    assert _history(bench).items() >= {day: one["segment_history"] for day, one in lived.items()}.items()
    assert bench.warehouse("SELECT max(last_purchase_day) FROM customer_features") == warehouse
    assert list(bench.layout.work.iterdir()) == []
    again = _backfill(bench)[1]
    assert again.publication.unchanged
    bench.run(as_of=date(2024, 6, 30))
    assert files_of(manifest(tmp_path / "out")) == after


def test_a_month_stands_on_the_calibration_that_the_nights_of_its_quarter_stood_on(tmp_path):
    """The first night of the quarter, in its middle, froze it; a backfill finds it and makes no other."""
    bench = _deliver(_bench(tmp_path), until=SPAN[2])
    bench.run(as_of=date(2024, 4, 10))
    _deliver(bench, until=SPAN[3]).run(as_of=SPAN[3])
    lived_through = _history(bench)[str(SPAN[3])]
    _deliver(bench).run(as_of=SPAN[4])
    _, context = _backfill(bench, [SPAN[3]])
    assert context.publication.unchanged
    assert _history(bench)[str(SPAN[3])] == lived_through


def test_a_backfill_says_that_the_months_are_there_now(tmp_path):
    bench = _deliver(_bench(tmp_path))
    bench.run(as_of=SPAN[0])
    assert any(
        "backfill --from" in warning for warning in bench.run(as_of=date(2024, 6, 30))[-1].result.warnings
    )
    _backfill(bench, SPAN[1:])
    row = bench.table("data_quality").filter(pl.col("check_name") == "history_complete").to_dicts()[0]
    assert row["passed"] and row["observed"] == 0 and "every month-end" in row["detail"]


def test_a_backfill_does_not_go_round_the_schema(tmp_path):
    bench = _deliver(_bench(tmp_path))
    bench.run(as_of=date(2024, 6, 30))
    path = bench.layout.current.resolve() / "dictionary.json"
    path.write_text(path.read_text().replace('"customer_segments"', '"customer_segments_before"'))
    with pytest.raises(InputError, match="another schema"):
        _backfill(bench)


def test_what_a_version_supersedes_is_kept_by_a_backfill(tmp_path):
    bench = _deliver(_bench(tmp_path))
    bench.run(as_of=date(2024, 6, 30))
    forget(bench.layout, load_settings(bench.config_path), bench.folder, ["c0001"], run_id="r", watch=Watch())
    superseded = manifest(tmp_path / "out")["supersedes"]
    _backfill(bench)
    assert superseded and manifest(tmp_path / "out")["supersedes"] == superseded


def test_a_backfill_leaves_the_nightly_calibration_alone(tmp_path):
    bench = _deliver(_bench(tmp_path))
    bench.run(as_of=date(2024, 4, 2))
    nightly = bench.table("customer_segments")["calibration_id"].unique().to_list()
    _backfill(bench, SPAN[3:])
    bench.run(as_of=date(2024, 6, 30))
    assert bench.table("customer_segments")["calibration_id"].unique().to_list() == nightly


@pytest.mark.slow
def test_restated_months_know_what_is_known_today(tmp_path, lived):
    bench = _deliver(_bench(tmp_path))
    bench.run(as_of=date(2024, 6, 30))
    _backfill(bench)
    known_then = _history(bench)
    _backfill(bench, restate=True)
    restated = _history(bench)
    assert list(restated) == list(known_then)
    assert all(restated[str(day)] != known_then[str(day)] for day in SPAN)
    whole = _bench(tmp_path / "whole")
    _deliver(whole).run(as_of=SPAN[0])
    assert restated[str(SPAN[0])] == _history(whole)[str(SPAN[0])]


def test_without_delivery_dates_only_restating_is_honest(tmp_path):
    bench = Bench(tmp_path).put("a.csv", _csv(LINES))
    with pytest.raises(UsageError, match="delivery dates"):
        _backfill(bench)
    _backfill(bench, restate=True)
    assert list(_history(bench)) == [str(day) for day in SPAN]


def test_a_month_that_fails_publishes_nothing(tmp_path, monkeypatch):
    bench = _deliver(_bench(tmp_path))
    bench.run(as_of=date(2024, 6, 30))
    standing = bench.layout.current.readlink()
    real = publish_stage.problems  # type: ignore[attr-defined]

    def broken(path, table, codes, rows):
        return iter(["planted"]) if "2024-04-30" in path.name else real(path, table, codes, rows)

    monkeypatch.setattr(publish_stage, "problems", broken)
    with pytest.raises(QualityGateError, match="planted"):
        _backfill(bench)
    assert bench.layout.current.readlink() == standing
    assert len(list(bench.layout.versions.iterdir())) == 1
