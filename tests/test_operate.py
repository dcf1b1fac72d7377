"""The care of a nightly job: journal and log of every outcome, status, history, verify and rollback."""

import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clvpipe.errors import ExitCode, InputError, StorageError
from clvpipe.operations import journal as journal_module
from clvpipe.operations.journal import facts_of, journaled, runs_of
from clvpipe.operations.status import size_of
from clvpipe.privacy import Tombstones
from clvpipe.publish import Layout, verify
from clvpipe.publish.files import sha256_of
from clvpipe.publish.verify import Digests, check_current, check_version, check_versions
from clvpipe.publish.versions import read_manifest
from tests.commands import clvpipe
from tests.support import CONFIG, LEDGER_HEADER, REPOSITORY, Bench, ledger_csv

GOOD = LEDGER_HEADER + "\n".join(ledger_csv(40)) + "\n"
SECRET = "secret-customer"
DAY = ("--as-of", "2024-06-30")
SLEEP = "import time\ndef run(context): time.sleep(60)"
BUG = f"def run(context): raise KeyError('customer {SECRET}')"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "a bank's folder 银行"
    home.mkdir()
    (home / "clvpipe.toml").write_text(CONFIG, encoding="utf-8")
    (home / "day 1.csv").write_text(GOOD, encoding="utf-8")
    return home


def layout_of(folder: Path) -> Layout:
    return Layout(folder / "out" / "nightly")


def start(folder: Path, *arguments: str, stage: str = "") -> subprocess.Popen[str]:
    """The command, with the stage `features` replaced if code for it is given."""
    path = str(REPOSITORY / "src")
    if stage:
        patch = folder / "patch"
        patch.mkdir(exist_ok=True)
        code = f"import clvpipe.stages.features as f\n{stage}\nf.run = run\n"
        (patch / "sitecustomize.py").write_text(code)
        path = f"{patch}:{path}"
    return subprocess.Popen(
        [sys.executable, "-m", "clvpipe.cli.main", *arguments],
        cwd=folder, env={**os.environ, "PYTHONPATH": path}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def broken(folder: Path, *arguments: str, stage: str) -> subprocess.CompletedProcess[str]:
    """A command with the stage `features` replaced, and its end."""
    process = start(folder, *arguments, stage=stage)
    stdout, stderr = process.communicate(timeout=120)
    return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)


def events(stderr: str) -> list[dict[str, Any]]:
    """Every line of a JSON log; a line that is none fails."""
    return [json.loads(line) for line in stderr.splitlines()]


def journal_lines(layout: Layout) -> list[dict[str, Any]]:
    return [json.loads(line) for line in layout.journal.read_text().splitlines()]


@contextmanager
def locked(layout: Layout):
    layout.prepare()
    with layout.lock.open("a+") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        holder.write(json.dumps({"pid": os.getpid(), "run_id": "other", "since": "2024-07-01T04:30:00"}))
        holder.flush()
        yield


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# ---- the journal


def test_the_journal_of_a_good_run(folder):
    clvpipe(folder, "run", *DAY)
    layout = layout_of(folder)
    began, ended = journal_lines(layout)
    manifest = read_manifest(layout.current)
    assert (began["event"], ended["event"]) == ("began", "ended")
    assert began["run_id"] == ended["run_id"] == manifest["run_id"]
    assert began["command"] == "run" and began["pipeline"] == "nightly" and began["pid"] > 0
    assert (began["as_of"], began["known_at"]) == ("2024-06-30", None)
    assert ended["code_version"] == manifest["code_version"]
    assert (ended["exit_code"], ended["error"], ended["what"]) == (0, None, None)
    assert (ended["version"], ended["unchanged"], ended["is_current"]) == (manifest["version"], False, True)
    assert [stage["stage"] for stage in ended["stages"]][::5] == ["ingest", "publish"]
    assert ended["stages"][-1]["rows"]["customer_segments"] == 40
    assert 0 < sum(stage["seconds"] for stage in ended["stages"]) <= ended["seconds"]
    assert stat.S_IMODE(layout.journal.stat().st_mode) == 0o600
    clvpipe(folder, "run", *DAY)
    assert [run.outcome for run in runs_of(layout)] == ["unchanged", "ok"]


def _break_config(folder: Path) -> None:
    (folder / "clvpipe.toml").write_text(f'nothing = "{SECRET}"')


def _no_header(folder: Path) -> None:
    """The first record stands where the names should, the customer in it twice."""
    (folder / "day 1.csv").write_text(f"{SECRET},2024-06-01,5\nb,2024-06-01,6\n")
    (folder / "day 2.csv").write_text(f"{SECRET},{SECRET},5\nb,2024-06-01,6\n")


def _no_rows(folder: Path) -> None:
    (folder / "empty.csv").write_text("")


def _bad_rows(folder: Path) -> None:
    (folder / "day 2.csv").write_text(LEDGER_HEADER + f"{SECRET},{SECRET},2024-13-45,{SECRET}\n" * 500)


def _no_versions(folder: Path) -> None:
    layout_of(folder).versions.write_text("")


def _nothing(folder: Path) -> None:
    """The command itself is wrong."""


FAILURES = [
    pytest.param(_nothing, ("--as-of", "30.6.2024"), "", ExitCode.USAGE, "UsageError", id="usage"),
    pytest.param(_nothing, (), "", ExitCode.USAGE, "UsageError", id="no day"),
    pytest.param(_break_config, DAY, "", ExitCode.CONFIG, "ConfigError", id="config"),
    pytest.param(_no_rows, DAY, "", ExitCode.INPUT, "InputError", id="input"),
    pytest.param(_no_header, DAY, "", ExitCode.INPUT, "InputError", id="no header"),
    pytest.param(_bad_rows, DAY, "", ExitCode.QUALITY_GATE, "QualityGateError", id="quality"),
    pytest.param(_nothing, (*DAY, "--strict"), "", ExitCode.MODEL_GATE, "ModelGateError", id="model"),
    pytest.param(_no_versions, DAY, "", ExitCode.STORAGE, "StorageError", id="storage"),
    pytest.param(_nothing, DAY, BUG, ExitCode.BUG, "KeyError", id="bug"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("prepare", "arguments", "stage", "code", "error"), FAILURES)
def test_every_failure_is_in_journal_log_and_status_and_names_nobody(
    folder, prepare, arguments, stage, code, error
):
    (folder / "day 1.csv").write_text(
        LEDGER_HEADER + "\n".join(ledger_csv(3)) + f"\nt,{SECRET},2024-06-01,5\n"
    )
    layout_of(folder).prepare()
    prepare(folder)
    done = (
        broken(folder, "run", *arguments, "--log-json", stage=stage)
        if stage
        else clvpipe(folder, "run", *arguments, "--log-json")
    )
    assert done.returncode == code
    log = events(done.stderr)
    assert log[-1]["event"] == "run_ended" and log[-1]["level"] == "error"
    assert log[-1]["error"]["error"] == error
    assert log[-1]["exit_code"] == log[-1]["error"]["exit_code"] == code
    last = runs_of(layout_of(folder))[0]
    assert (last.outcome, last.exit_code, last.error) == ("failed", code, error)
    assert last.what == (None if code == ExitCode.BUG else log[-1]["error"]["what"])
    assert log[-1]["run_id"] in (last.run_id, None)
    status, history = clvpipe(folder, "status"), clvpipe(folder, "history")
    assert f"failed, exit {int(code)}" in status.stdout and "failed" in history.stdout
    for text in (done.stderr, status.stdout, history.stdout, layout_of(folder).journal.read_text()):
        assert SECRET not in text


def test_a_run_that_is_refused_by_the_lock(folder):
    layout = layout_of(folder)
    with locked(layout):
        done = clvpipe(folder, "run", *DAY, "--log-json")
        assert done.returncode == ExitCode.LOCKED
        assert events(done.stderr)[-1]["error"]["error"] == "LockedError"
        assert [line["event"] for line in journal_lines(layout)] == ["ended"]
        assert runs_of(layout)[0].outcome == "locked"
        assert str(os.getpid()) in clvpipe(folder, "status").stdout
        assert clvpipe(folder, "rollback").returncode == ExitCode.LOCKED


def test_a_refused_run_makes_no_folder(folder):
    assert clvpipe(folder, "run", "--as-of", "never").returncode == ExitCode.USAGE
    assert not (folder / "out").exists()


def test_a_killed_run_is_running_and_then_died(folder):
    layout = layout_of(folder)
    run = start(folder, "run", *DAY, "--log-json", stage=SLEEP)
    assert run.stderr is not None
    seen = [json.loads(run.stderr.readline()) for _ in range(3)]
    wait_until(lambda: any(layout.work.glob("*")))
    status = json.loads(clvpipe(folder, "status", "--json").stdout)
    assert status["at_work"]["pid"] == run.pid and status["at_work"]["run_id"] == seen[0]["run_id"]
    assert status["last_run"] is None and status["leftovers"] == []
    assert "running" in clvpipe(folder, "history").stdout
    run.send_signal(signal.SIGKILL)
    run.communicate()
    died = runs_of(layout)[0]
    assert (died.outcome, died.exit_code, died.run_id) == ("died", None, seen[0]["run_id"])
    status = json.loads(clvpipe(folder, "status", "--json").stdout)
    assert status["at_work"] is None and status["leftovers"] == [str(layout.work)]
    assert "died" in clvpipe(folder, "status").stdout
    assert clvpipe(folder, "run", *DAY).returncode == 0
    assert [run.outcome for run in runs_of(layout)] == ["ok", "died"]
    assert json.loads(clvpipe(folder, "status", "--json").stdout)["leftovers"] == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_in_journal_and_log(folder, number, code):
    run = start(folder, "run", *DAY, "--log-json", stage=SLEEP)
    assert run.stderr is not None
    while json.loads(run.stderr.readline()).get("stage") != "features":
        pass
    run.send_signal(number)
    _, stderr = run.communicate(timeout=30)
    assert run.returncode == code
    last = events(stderr)[-1]
    assert (last["event"], last["exit_code"], last["error"]["error"]) == ("run_ended", code, "StoppedError")
    assert (runs_of(layout_of(folder))[0].outcome, runs_of(layout_of(folder))[0].exit_code) == (
        "interrupted",
        code,
    )


def record(layout: Layout, run_id: str, error: Exception | None = None) -> None:
    """A run in the journal, and nothing else."""
    with journaled(layout, facts_of("run", "nightly", run_id), pytest.fail) as journal:
        journal.reached("lock taken")
        if error:
            raise error


def test_a_torn_line_is_passed_over_and_hurts_no_other(tmp_path):
    layout = Layout(tmp_path)
    layout.prepare()
    record(layout, "first")
    whole = layout.journal.read_bytes()
    layout.journal.write_bytes(whole + b'{"event": "began", "run_id": "to')
    record(layout, "second")
    layout.journal.write_bytes(layout.journal.read_bytes() + b"\xff\x00\n[1]\n{}\n\n")
    assert [(run.run_id, run.outcome) for run in runs_of(layout)] == [("second", "ok"), ("first", "ok")]


def test_the_journal_stays_bounded(tmp_path):
    layout = Layout(tmp_path)
    layout.prepare()
    record(layout, "one")
    pattern = layout.journal.read_text()
    old = [pattern.replace('"one"', f'"old {number}"') for number in range(1_000)]
    layout.journal.write_text("".join(old))
    record(layout, "at the limit")
    assert len(journal_lines(layout)) == journal_module.LONGEST_LINES + 2
    record(layout, "beyond")
    lines = journal_lines(layout)
    assert len(lines) == journal_module.KEPT_LINES + 2
    assert [line["run_id"] for line in lines[-4:]] == ["at the limit"] * 2 + ["beyond"] * 2
    assert stat.S_IMODE(layout.journal.stat().st_mode) == 0o600
    assert not list(layout.state.glob(".*"))


def test_lines_of_many_writers_do_not_mix_nor_get_lost(tmp_path):
    layout = Layout(tmp_path)
    layout.prepare()
    code = (
        "import sys; from pathlib import Path\n"
        "from clvpipe.operations import journal as j; from clvpipe.publish import Layout\n"
        "j.LONGEST_LINES, j.KEPT_LINES = 150, 140\n"
        "for n in range(40):\n"
        "    if sys.argv[2] == '0': j._shorten(Path(sys.argv[1]))\n"
        "    j._append(Path(sys.argv[1]), {'event': 'x', 'run_id': f'{sys.argv[2]}-{n}', 'y': 'y' * 5000})\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    command = [sys.executable, "-c", code, str(layout.journal)]
    writers = [subprocess.Popen([*command, str(number)], env=environment) for number in range(4)]
    assert [writer.wait(timeout=60) for writer in writers] == [0] * 4
    assert 140 <= len(journal_lines(layout)) <= 160
    newest = {line["run_id"] for line in journal_lines(layout)}
    assert all(f"{number}-39" in newest for number in range(4))


def test_a_journal_that_cannot_be_written_does_not_hide_the_outcome(tmp_path, monkeypatch):
    layout = Layout(tmp_path)
    layout.prepare()
    said: list[str] = []

    def refuse(*_):
        raise OSError(28, "No space left on device")

    with journaled(layout, facts_of("run", "nightly", "a"), said.append) as journal:
        journal.reached("lock taken")
        monkeypatch.setattr(journal_module, "_append", refuse)
    assert len(said) == 1 and "No space left on device" in said[0]
    with (
        pytest.raises(InputError, match="the run's own"),
        journaled(layout, facts_of("run", "nightly", "b"), said.append),
    ):
        raise InputError("the run's own")
    assert len(said) == 2


@pytest.mark.slow
def test_a_process_suspended_in_the_middle_of_a_line_does_not_hold_up_one_that_is_refused(folder):
    layout = layout_of(folder)
    with locked(layout), layout.journal.open("a") as suspended:
        fcntl.flock(suspended, fcntl.LOCK_EX)
        refused = clvpipe(folder, "run", *DAY)
    assert refused.returncode == ExitCode.LOCKED
    assert "another process holds it" in refused.stderr and f"process {os.getpid()}," in refused.stderr
    assert clvpipe(folder, "run", *DAY).returncode == ExitCode.OK


def test_a_journal_that_cannot_be_begun_is_a_storage_error(folder):
    layout = layout_of(folder)
    layout.prepare()
    layout.journal.mkdir()
    done = clvpipe(folder, "run", *DAY)
    assert done.returncode == ExitCode.STORAGE
    assert done.stderr.startswith("clvpipe: warning: the journal cannot be written")
    log = events(clvpipe(folder, "run", *DAY, "--log-json").stderr)
    assert [event["event"] for event in log[-2:]] == ["warning", "run_ended"]


# ---- the log


def test_the_log_of_a_good_run(folder):
    twice = f"x1,{SECRET},2024-06-02,5\nx1,{SECRET}-too,2024-06-03,5\n"
    (folder / "day 2.csv").write_text(LEDGER_HEADER + twice)
    done = clvpipe(folder, "run", *DAY, "--log-json", "--json", "--progress")
    assert done.returncode == 0, done.stderr
    log = events(done.stderr)
    names = [event["event"] for event in log]
    run_id = json.loads(done.stdout)["run_id"]
    assert names[0] == "run_began" and names[-3:] == ["step", "published", "run_ended"]
    assert {event["run_id"] for event in log} == {run_id}
    assert all({"time", "level", "run_id", "event"} <= set(event) for event in log)
    assert all(event["time"].endswith("+00:00") for event in log)
    assert [event["time"] for event in log] == sorted(event["time"] for event in log)
    stages = ["ingest", "features", "fit", "score", "segment", "publish"]
    for name in ("stage_began", "stage_done"):
        assert [event["stage"] for event in log if event["event"] == name] == stages
    last = [event for event in log if event["event"] == "stage_done"][-1]
    assert last["rows"]["customer_segments"] > 40 and last["seconds"] > 0 and last["notes"]
    assert {"lock taken", "current swapped"} <= {event.get("step") for event in log}
    warnings = [event for event in log if event["event"] == "warning"]
    assert warnings and {event["level"] for event in warnings} == {"warning"}
    published = log[-2]
    assert (published["unchanged"], published["is_current"]) == (False, True)
    assert (log[-1]["exit_code"], log[-1]["error"], log[-1]["level"]) == (0, None, "info")
    assert SECRET not in done.stderr + layout_of(folder).journal.read_text()


def test_the_log_of_a_backfill(folder):
    done = clvpipe(
        folder, "backfill", "--from", "2024-05-01", "--to", "2024-06-30", "--restate", "--log-json"
    )
    assert done.returncode == 0, done.stderr
    assert [event["event"] for event in events(done.stderr)][-2:] == ["published", "run_ended"]
    assert runs_of(layout_of(folder))[0].command == "backfill"
    done = clvpipe(folder, "backfill", "--from", "2024-05-01", "--to", "2024-05-02", "--log-json")
    assert done.returncode == ExitCode.USAGE
    assert [event["event"] for event in events(done.stderr)] == ["run_ended"]
    assert [run.outcome for run in runs_of(layout_of(folder))] == ["failed", "ok"]


# ---- status and history


def test_status_and_history_of_nothing(folder):
    done = clvpipe(folder, "status")
    assert done.returncode == 0 and "nothing yet" in done.stdout
    status = json.loads(clvpipe(folder, "status", "--json").stdout)
    assert status["current"] is None and status["kept"] == [] and status["problems"] == []
    done = clvpipe(folder, "history")
    assert done.returncode == 0 and "no run" in done.stdout
    assert json.loads(clvpipe(folder, "history", "--json").stdout) == {"runs": []}
    assert clvpipe(folder, "verify").returncode == ExitCode.INPUT
    assert clvpipe(folder, "rollback").returncode == ExitCode.USAGE
    assert not (folder / "out").exists()


@pytest.fixture(scope="module")
def three_nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three publications: May's month-end, and June's twice, with a correction between."""
    home = tmp_path_factory.mktemp("nights")
    (home / "clvpipe.toml").write_text(CONFIG, encoding="utf-8")
    (home / "day 1.csv").write_text(GOOD, encoding="utf-8")
    assert clvpipe(home, "run", "--as-of", "2024-05-31").returncode == 0
    assert clvpipe(home, "run", *DAY).returncode == 0
    (home / "day 2.csv").write_text(LEDGER_HEADER + "x1,c9999,2024-06-02,5\n")
    assert clvpipe(home, "run", *DAY).returncode == 0
    return home


@pytest.fixture
def nights(three_nights: Path, tmp_path: Path) -> Path:
    """A copy of them, hard links included."""
    subprocess.run(["cp", "-a", str(three_nights), str(tmp_path / "nights")], check=True)
    return tmp_path / "nights"


def names(folder: Path) -> list[str]:
    """Kept versions, the newest publication first."""
    kept: list[str] = json.loads(clvpipe(folder, "status", "--json").stdout)["kept"]
    return kept


def test_status_and_history(nights):
    layout = layout_of(nights)
    status = json.loads(clvpipe(nights, "status", "--json").stdout)
    manifest = read_manifest(layout.current)
    current = status["current"]
    assert current["version"] == manifest["version"] == status["kept"][0]
    assert (current["as_of"], current["customers"]) == ("2024-06-30", 41)
    assert current["calibration"] == manifest["calibration"] and current["days_old"] > 500
    assert len(status["kept"]) == 3 and status["at_work"] is None and status["erasure_pending"] is False
    assert status["last_run"] == status["last_success"] and status["last_run"]["exit_code"] == 0
    apart = sum(path.stat().st_size for path in layout.versions.rglob("*") if path.is_file())
    assert 0 < status["version_bytes"] < apart and status["state_bytes"] > 0
    clvpipe(nights, "run", "--as-of", "never")
    text = clvpipe(nights, "status").stdout
    assert "last success" in text and "'never' is not a day" in text and "3 versions" in text
    shutil.rmtree(layout.versions / status["kept"][2])
    history = json.loads(clvpipe(nights, "history", "--json").stdout)["runs"]
    assert [run["outcome"] for run in history] == ["failed", "ok", "ok", "ok"]
    assert [run["standing"] for run in history] == [None, "current", "kept", "removed"]
    lines = clvpipe(nights, "history", "--limit", "2").stdout.splitlines()
    assert len(lines) == 3 and "failed" in lines[1] and lines[2].endswith("current")


def test_status_says_what_is_amiss(nights):
    layout = layout_of(nights)
    Tombstones(layout.erased).bury(["c0001"])
    (layout.staging / "data").mkdir(parents=True)
    text = clvpipe(nights, "status").stdout
    assert "was cut short" in text and ".staging" in text
    (layout.current / "manifest.json").write_text("{")
    done = clvpipe(nights, "status")
    assert done.returncode == 0 and "manifest is damaged: clvpipe verify" in done.stdout
    shutil.rmtree(layout.current.resolve())
    assert "which is not there: clvpipe verify" in clvpipe(nights, "status").stdout
    (layout.erased / "tombstones.json").write_text("{")
    assert "list of erased customers is damaged" in clvpipe(nights, "status").stdout


def test_history_knows_what_an_erasure_superseded(nights):
    before = names(nights)
    assert clvpipe(nights, "forget", "c9999").returncode == 0
    standings = [run["standing"] for run in json.loads(clvpipe(nights, "history", "--json").stdout)["runs"]]
    assert "superseded by an erasure" in standings
    assert before[0] not in names(nights)
    assert clvpipe(nights, "verify").returncode == 0


def test_hard_links_count_once(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 1000)
    os.link(tmp_path / "a", tmp_path / "b")
    assert size_of(tmp_path) == 1000


# ---- verify


@pytest.fixture(scope="module")
def one_night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bench = Bench(tmp_path_factory.mktemp("night")).put("a.csv", GOOD)
    bench.run()
    return bench.layout.out


@pytest.fixture
def published(one_night: Path, tmp_path: Path) -> Layout:
    shutil.copytree(one_night, tmp_path / "out", symlinks=True)
    return Layout(tmp_path / "out")


def found(layout: Layout) -> list[str]:
    problems = [problem for version in check_versions(layout) for problem in version.problems]
    return [f"{problem.where}: {problem.what}" for problem in [*problems, *check_current(layout)]]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit(version: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((version / "manifest.json").read_text())
    change(manifest)
    (version / "manifest.json").write_text(json.dumps(manifest))


def segments(version: Path) -> Path:
    return next((version / "data" / "customer_segments").iterdir())


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def replace_by_link(path: Path) -> None:
    path.rename(path.parents[4] / "elsewhere")
    path.symlink_to(path.parents[4] / "elsewhere")


DEFECTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "flipped byte": (lambda v: flip(segments(v)), "customer_segments-"),
    "truncated": (lambda v: truncate(segments(v)), "bytes, not"),
    "missing": (lambda v: segments(v).unlink(), "missing"),
    "link": (lambda v: replace_by_link(segments(v)), "does not belong here"),
    "extra file": (lambda v: (v / "data" / "codes" / "more.parquet").write_text(""), "codes/more.parquet"),
    "extra beside": (lambda v: (v / "notes.txt").write_text(""), "notes.txt: does not belong here"),
    "extra folder": (lambda v: (v / "data" / "more").mkdir(), "data/more: does not belong here"),
    "no dictionary": (lambda v: (v / "dictionary.json").unlink(), "dictionary.json: missing"),
    "poor dictionary": (lambda v: (v / "dictionary.json").write_text('{"datasets": {}}'), "does not explain"),
    "no manifest": (lambda v: (v / "manifest.json").unlink(), "the manifest is missing or damaged"),
    "torn manifest": (lambda v: (v / "manifest.json").write_text("{"), "the manifest is missing or damaged"),
    "empty manifest": (
        lambda v: (v / "manifest.json").write_text("{}"),
        "the manifest is missing or damaged",
    ),
    "older manifest": (lambda v: edit(v, lambda m: m.update(format=1)), "published in format 1"),
    "other manifest": (
        lambda v: (v / "manifest.json").write_text("[]"),
        "the manifest is missing or damaged",
    ),
    "edited rows": (lambda v: edit(v, lambda m: m["files"][0].update(rows=7)), "7 rows, which it has not"),
    "edited bytes": (lambda v: edit(v, lambda m: m["files"][0].update(bytes=7)), "bytes, not 7"),
    "edited day": (lambda v: edit(v, lambda m: m.update(as_of="2024-01-01")), "make the version 2024-01-01"),
    "edited name": (lambda v: edit(v, lambda m: m.update(version="x")), "names another version"),
    "edited hash": (lambda v: edit(v, lambda m: m["files"][0].update(sha256="0" * 64)), "make the version"),
    "edited dataset": (lambda v: edit(v, lambda m: m["files"][0].update(dataset="codes")), "no name of"),
    "file unlisted": (lambda v: edit(v, lambda m: m["files"].pop()), "make the version"),
    "path outside": (
        lambda v: edit(v, lambda m: m["files"][0].update(path="../../../clvpipe.toml")),
        "no name of a published file",
    ),
}


def test_what_was_published_is_sound(published):
    (version,) = check_versions(published)
    assert version.problems == () and version.files == len(read_manifest(published.current)["files"])
    assert found(published) == []


@pytest.mark.parametrize("defect", DEFECTS)
def test_verify_finds(published, defect):
    damage, words = DEFECTS[defect]
    damage(published.current.resolve())
    assert any(words in problem for problem in found(published)), found(published)


def test_verify_finds_a_renamed_version_and_what_is_no_version(published):
    version = published.current.resolve()
    version.rename(version.with_name("2024-06-30-000000000000"))
    (published.versions / "stray").write_text("")
    words = "\n".join(found(published))
    assert f"its files make the version {version.name}" in words
    assert f"current: points to versions/{version.name}, which is not there" in words
    assert "versions/stray/manifest.json" in words


def test_verify_finds_a_wrong_current(published, tmp_path):
    version = published.current.resolve()
    published.current.unlink()
    assert found(published) == ["current: missing"]
    shutil.copytree(version, published.current)
    assert found(published) == ["current: is no symlink"]
    shutil.move(published.current, tmp_path / "copy")
    published.current.symlink_to(tmp_path / "copy")
    assert len(found(published)) == 1 and "which is no version" in found(published)[0]


def test_a_shared_file_is_read_once(nights, monkeypatch):
    read: list[Path] = []

    def digest(path: Path) -> str:
        read.append(path)
        return sha256_of(path)

    monkeypatch.setattr(verify, "sha256_of", digest)
    assert found(layout_of(nights)) == []
    files = list(layout_of(nights).versions.rglob("*.parquet"))
    assert len(read) == len({path.stat().st_ino for path in files}) < len(files)


def test_a_version_that_is_pruned_meanwhile_is_no_problem(published, monkeypatch):
    def prune(folder, digests):
        checked = check_version(folder, digests)
        shutil.rmtree(folder)
        return verify.CheckedVersion(checked.name, 0, 0, (verify.Problem("x", "missing"),))

    monkeypatch.setattr(verify, "check_version", prune)
    assert list(check_versions(published)) == []
    assert check_version(published.versions / "gone", Digests()).problems


def test_the_command_verify(nights):
    done = clvpipe(nights, "verify")
    assert done.returncode == 0 and done.stdout.count("sound") == 3
    versions = json.loads(clvpipe(nights, "verify", "--json").stdout)["versions"]
    assert sorted(version["name"] for version in versions) == sorted(names(nights))
    flip(segments(layout_of(nights).current.resolve()))
    done = clvpipe(nights, "verify")
    assert done.returncode == ExitCode.STORAGE
    assert done.stdout.count("sound") == 2 and done.stdout.count("DAMAGED") == 1
    assert "customer_segments-" in done.stderr and "clvpipe rollback" in done.stderr
    assert json.loads(clvpipe(nights, "verify", "--json").stdout)["exit_code"] == ExitCode.STORAGE


# ---- rollback


def test_rollback_and_the_run_after_it(nights):
    layout = layout_of(nights)
    newest, june, may = names(nights)
    done = clvpipe(nights, "rollback")
    assert (done.returncode, done.stderr) == (0, "")
    assert newest in done.stdout and june in done.stdout and "next run moves forward" in done.stdout
    assert layout.current.resolve().name == june
    assert runs_of(layout)[0].command == "rollback" and runs_of(layout)[0].version == june
    done = clvpipe(nights, "rollback", "--json")
    assert json.loads(done.stdout) == {"exit_code": 0, "from": june, "to": may}
    done = clvpipe(nights, "rollback")
    assert done.returncode == ExitCode.USAGE and all(name in done.stderr for name in (newest, june, may))
    assert "last success" in clvpipe(nights, "status").stdout
    assert clvpipe(nights, "run", *DAY).returncode == 0
    assert layout.current.resolve().name == newest
    assert runs_of(layout)[0].outcome == "unchanged"


def test_rollback_to_a_version_or_a_day(nights):
    layout = layout_of(nights)
    newest, june, may = names(nights)
    assert clvpipe(nights, "rollback", "--to", "2024-05-31").returncode == 0
    assert layout.current.resolve().name == may
    assert clvpipe(nights, "rollback", "--to", june).returncode == 0
    assert layout.current.resolve().name == june
    done = clvpipe(nights, "rollback", "--to", june)
    assert done.returncode == 0 and "already" in done.stdout
    done = clvpipe(nights, "rollback", "--to", "2024-06-30")
    assert done.returncode == ExitCode.USAGE and "2 kept versions are of 2024-06-30" in done.stderr
    done = clvpipe(nights, "rollback", "--to", "2020-01-01")
    assert done.returncode == ExitCode.USAGE and newest in done.stderr
    assert layout.current.resolve().name == june


def test_rollback_takes_no_damaged_version_and_leaves_one(nights):
    layout = layout_of(nights)
    _, june, may = names(nights)
    flip(segments(layout.versions / june))
    standing = layout.current.readlink()
    done = clvpipe(nights, "rollback")
    assert done.returncode == ExitCode.STORAGE and "damaged" in done.stderr
    assert layout.current.readlink() == standing
    (layout.current / "manifest.json").write_text("{")
    assert clvpipe(nights, "rollback").returncode == 0
    assert layout.current.resolve().name == may


def test_rollback_finishes_an_erasure_first(nights):
    layout = layout_of(nights)
    Tombstones.load(layout.erased).bury(["c0001"])
    assert clvpipe(nights, "rollback").returncode == 0
    assert not Tombstones.load(layout.erased).pending
    assert clvpipe(nights, "verify").returncode == 0


def test_a_folder_that_cannot_be_read_is_said(published, monkeypatch):
    from clvpipe.cli import operate

    def refuse(_):
        raise PermissionError(13, "Permission denied", "state")

    monkeypatch.setattr(operate, "status_of", refuse)
    with pytest.raises(StorageError, match="Permission denied"):
        operate.show_status("nightly", published.out, False)
