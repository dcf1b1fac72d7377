"""Whatever kills a run, whenever: the next makes what it would have made, and readers see whole versions."""

import json
import os
import random
import signal
import subprocess
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from clvpipe.config import load_settings
from clvpipe.config.settings import STAGES
from clvpipe.contracts import PUBLISHED
from clvpipe.publish import Layout
from clvpipe.publish.lock import holder_of
from clvpipe.stages.context import STEPS, Watch
from clvpipe.stages.session import Request, run_stages
from tests.faults import (
    CLEAN,
    KEPT,
    KILLED,
    NEW_DAY,
    Companion,
    Folder,
    broken_files,
    companion,
    contents,
    prepared,
    with_history,
)
from tests.killable import fingerprint
from tests.support import LEDGER_HEADER, REPOSITORY

FIRST_NIGHT = date(2024, 5, 20)
NIGHTS = 50
LONG_ENOUGH_SECONDS = 120


@pytest.fixture(scope="module")
def runner():
    with companion("runs") as process:
        yield process


@pytest.fixture(scope="module")
def standing(tmp_path_factory, runner) -> Folder:
    """Two publications stand, as many as are kept, each of a month-end; a new delivery has arrived."""
    return with_history(prepared(tmp_path_factory.mktemp("standing") / "it"), runner)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, runner, standing) -> dict[str, Any]:
    """What the night makes when nothing happens."""
    folder = standing.copy(tmp_path_factory.mktemp("undisturbed") / "it")
    assert runner.ask(folder.order(NEW_DAY))["code"] == CLEAN
    return contents(folder.out)


# ---- killed at each step


def test_a_run_reaches_every_step_and_the_starting_point_is_not_trivial(tmp_path, standing, undisturbed):
    folder = standing.copy(tmp_path / "it")
    before = contents(folder.out)
    steps = []

    class Notes(Watch):
        def reached(self, step: str) -> None:
            steps.append(step)

    settings = load_settings(folder.config)
    run_stages(Request(settings, folder.config, folder.out, STAGES, NEW_DAY), Notes())
    assert set(steps) == set(STEPS)
    after = contents(folder.out)
    assert after == undisturbed
    # A version went, one came; a calibration and a part came; history was taken along.
    assert set(before["manifests"]) - set(after["manifests"])
    assert {name.split("/")[1] for name in after["files"].keys() - before["files"].keys()} >= {
        "calibration",
        "parts",
        "rejects",
    }
    history = [
        file["as_of_date"]
        for file in after["manifests"][folder.current]["files"]
        if file["dataset"] == "segment_history"
    ]
    assert history == ["2024-04-30", "2024-05-31", "2024-06-30"]
    assert after["warehouse"]["rejected_rows"][1] == "2"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "time_"),
    [*((step, 1) for step in STEPS), ("dataset staged", 2), ("dataset staged", len(PUBLISHED))],
)
def test_killed_at_a_step_the_next_run_makes_the_same(tmp_path, runner, standing, undisturbed, step, time_):
    folder = standing.copy(tmp_path / "it")
    old = folder.current
    assert runner.ask(folder.order(NEW_DAY, kill_at=[step, time_]))["code"] == KILLED
    new = undisturbed["current"].removeprefix("versions/")
    swapped = STEPS.index(step) >= STEPS.index("current swapped")
    assert folder.current == (new if swapped else old)
    for version in (folder.out / "versions").iterdir():
        assert broken_files(version) == []
    assert runner.ask(folder.order(NEW_DAY))["code"] == CLEAN
    assert contents(folder.out) == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("step", ["part kept", "version in place", "current swapped"])
def test_the_very_first_run_may_be_killed_too(tmp_path, runner, step):
    clean, killed = prepared(tmp_path / "clean"), prepared(tmp_path / "killed")
    assert runner.ask(clean.order(FIRST_NIGHT))["code"] == CLEAN
    assert runner.ask(killed.order(FIRST_NIGHT, kill_at=[step, 1]))["code"] == KILLED
    assert killed.current == (clean.current if step == "current swapped" else None)
    assert runner.ask(killed.order(FIRST_NIGHT))["code"] == CLEAN
    assert contents(killed.out) == contents(clean.out)


@pytest.mark.parametrize(
    "order", [{"as_of": str(NEW_DAY), "kill_at": ["version in place", 1]}, {"as_of": "2024-04-15"}]
)
def test_a_publication_that_never_became_current_does_not_push_out_the_one_that_readers_had(
    tmp_path, runner, standing, order
):
    folder = standing.copy(tmp_path / "it")
    had = folder.current
    assert runner.ask({**folder.order(NEW_DAY), **order})["code"] in (CLEAN, KILLED)
    assert folder.current == had
    folder.deliver("c.csv", LEDGER_HEADER, ["late,c0001,2024-06-02,5"])
    assert runner.ask(folder.order(NEW_DAY))["code"] == CLEAN
    assert folder.current != had
    # Readers who resolved `current` a moment ago are still at it: it was current until this very run.
    assert (folder.out / "versions" / str(had)).is_dir()


# ---- fifty nights, under readers


@dataclass
class Readers:
    """Two processes that read without pause, and what they said at the end."""

    versions: Companion
    globs: Companion

    def reports(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.versions.ask({}), self.globs.ask({})


@dataclass
class Chain:
    """Fifty nights in sequence.

    Attributes:
        folder: Where.
        days: Their dates.
        states: What the folder held after each.
        contents_of: Fingerprints of what readers may have seen, by dataset.
        seconds: How long each run took.
        reports: What the readers saw.
    """

    folder: Folder
    days: list[date]
    states: list[dict[str, Any]]
    contents_of: dict[str, set[str]]
    seconds: list[float]
    reports: tuple[dict[str, Any], dict[str, Any]]


def _deliver(folder: Folder, night: int) -> date:
    """A file of one row."""
    day = FIRST_NIGHT + timedelta(days=night)
    folder.deliver(f"night-{day}.csv", LEDGER_HEADER, [f"n{night},c{night % 150:04d},{day},{night + 1}.25"])
    return day


def _readable(folder: Folder) -> dict[str, str]:
    return {
        dataset: fingerprint(pl.read_parquet(folder.out / "current" / "data" / dataset / "*.parquet"))
        for dataset in ("customer_segments", "segment_history")
    }


def _start(folder: Folder, runner: Companion) -> None:
    """The first publications, before anybody reads."""
    for before in (2, 1):
        assert runner.ask(folder.order(FIRST_NIGHT - timedelta(days=before)))["code"] == CLEAN


def _readers(stack: ExitStack, folder: Folder) -> Readers:
    return Readers(*(stack.enter_context(companion(kind, folder.out)) for kind in ("versions", "globs")))


@pytest.fixture(scope="module")
def chain(tmp_path_factory, runner) -> Chain:
    folder = prepared(tmp_path_factory.mktemp("chain") / "it")
    _start(folder, runner)
    days, states, seconds = [], [], []
    readable: dict[str, set[str]] = {name: {value} for name, value in _readable(folder).items()}
    with ExitStack() as stack:
        readers = _readers(stack, folder)
        for night in range(NIGHTS):
            days.append(_deliver(folder, night))
            done = runner.ask(folder.order(days[-1]))
            assert done["code"] == CLEAN
            seconds.append(done["seconds"])
            states.append(contents(folder.out))
            for name, value in _readable(folder).items():
                readable[name].add(value)
        reports = readers.reports()
    return Chain(folder, days, states, readable, seconds, reports)


def _hold_readers_to(reports: tuple[dict[str, Any], dict[str, Any]], readable: dict[str, set[str]]) -> None:
    by_version, by_glob = reports
    assert by_version["violations"] == []
    assert by_version["reads"] > NIGHTS
    assert len(by_version["seen"]) > NIGHTS // 2
    assert by_glob["violations"] == []
    assert by_glob["reads"] > NIGHTS
    for dataset, seen in by_glob["seen"].items():
        assert len(seen) > NIGHTS // 2
        assert set(seen) <= readable[dataset], f"{dataset}: something was read that was never published"


@pytest.mark.slow
def test_fifty_publications_leave_the_newest_and_nothing_else_lying_about(chain):
    last = chain.states[-1]
    assert last["current"].startswith(f"versions/{chain.days[-1]}-")
    assert sorted(last["manifests"]) == sorted(
        state["current"].removeprefix("versions/") for state in chain.states[-KEPT:]
    )
    assert {name for name in last["names"] if "/" not in name} == {"current", "state", "versions"}
    assert len({state["current"] for state in chain.states}) == NIGHTS
    assert not [name for name in last["names"] if name.startswith("state/work/")]
    parts = [name for name in last["files"] if name.startswith("state/parts/")]
    assert len(parts) == NIGHTS + 1
    calibrations = [name for name in last["files"] if name.startswith("state/calibration/")]
    assert len(calibrations) == len({(day.year, day.month) for day in chain.days})


@pytest.mark.slow
def test_readers_of_fifty_publications_see_whole_versions_only(chain):
    _hold_readers_to(chain.reports, chain.contents_of)


@pytest.mark.slow
def test_killed_at_fifty_random_moments_under_readers_every_night_ends_as_if_nothing_had_happened(
    tmp_path, runner, chain
):
    chance = random.Random(20240630)
    usual = sorted(chain.seconds)[NIGHTS // 2]
    folder = prepared(tmp_path / "it")
    _start(folder, runner)
    killed = 0
    with ExitStack() as stack:
        readers = _readers(stack, folder)
        for night, state in enumerate(chain.states):
            old, new = folder.current, state["current"].removeprefix("versions/")
            day = _deliver(folder, night)
            moment = chance.uniform(0, usual)
            code = runner.ask(folder.order(day, kill_after=moment))["code"]
            assert code in (CLEAN, KILLED)
            killed += code == KILLED
            assert folder.current in (old, new)
            for version in (folder.out / "versions").iterdir():
                assert broken_files(version) == [], f"night {night}, killed after {moment} s"
            assert runner.ask(folder.order(day))["code"] == CLEAN
            assert contents(folder.out) == state, f"night {night}, killed after {moment} s"
        reports = readers.reports()
    assert killed > NIGHTS // 4
    _hold_readers_to(reports, chain.contents_of)


# ---- two at once


@pytest.fixture(scope="module")
def single(tmp_path_factory, runner) -> tuple[Folder, dict[str, Any]]:
    """A folder ready for its first run, and what a single run makes of it."""
    root = tmp_path_factory.mktemp("single")
    folder = prepared(root / "clean")
    assert runner.ask(folder.order(FIRST_NIGHT))["code"] == CLEAN
    return prepared(root / "ready"), contents(folder.out)


def _begin(folder: Folder, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        folder.run_command(FIRST_NIGHT, *more),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _end(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=LONG_ENOUGH_SECONDS)
    return process.returncode, said


def _begin_and_wait_until_it_holds_the_lock(folder: Folder) -> subprocess.Popen[str]:
    process = _begin(folder)
    lock = Layout(folder.out).lock
    deadline = time.monotonic() + LONG_ENOUGH_SECONDS
    while str(process.pid) not in (holder_of(lock) or ""):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return process


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(3))
def test_of_two_runs_at_once_one_writes(tmp_path, single, round_):
    ready, expected = single
    folder = ready.copy(tmp_path / "it")
    both = [_begin(folder), _begin(folder)]
    ends = [_end(process) for process in both]
    codes = [code for code, _ in ends]
    assert sorted(codes) in ([0, 0], [0, 14])
    if 14 in codes:
        refused = codes.index(14)
        assert f"process {both[1 - refused].pid}," in ends[refused][1]
    assert contents(folder.out) == expected


def test_a_second_run_is_refused_while_the_first_holds_the_folder_and_its_process_is_named(tmp_path, single):
    ready, expected = single
    folder = ready.copy(tmp_path / "it")
    first = _begin_and_wait_until_it_holds_the_lock(folder)
    os.kill(first.pid, signal.SIGSTOP)
    code, said = _end(_begin(folder))
    os.kill(first.pid, signal.SIGCONT)
    assert (code, f"process {first.pid}," in said) == (14, True), said
    assert _end(first)[0] == 0
    assert contents(folder.out) == expected


def test_a_second_run_with_patience_waits_for_the_first(tmp_path, single):
    ready, expected = single
    folder = ready.copy(tmp_path / "it")
    first = _begin_and_wait_until_it_holds_the_lock(folder)
    os.kill(first.pid, signal.SIGSTOP)
    second = _begin(folder, "--lock-timeout", "60", "--progress")
    assert second.stderr is not None
    waits = next(line for line in second.stderr if "waiting" in line)
    os.kill(first.pid, signal.SIGCONT)
    assert f"process {first.pid}," in waits
    assert _end(first)[0] == 0
    assert _end(second)[0] == 0
    assert contents(folder.out) == expected


def test_a_dead_holder_blocks_nobody(tmp_path, single):
    ready, expected = single
    folder = ready.copy(tmp_path / "it")
    first = _begin_and_wait_until_it_holds_the_lock(folder)
    first.kill()
    second = _begin(folder)
    assert _end(second)[0] == 0
    assert _end(first)[0] == KILLED
    assert contents(folder.out) == expected


def test_runs_that_make_the_folders_at_the_same_moment_do_not_stumble_over_each_other(tmp_path):
    together = threading.Barrier(4)
    failures: list[OSError] = []

    def prepare() -> None:
        for number in range(200):
            together.wait(LONG_ENOUGH_SECONDS)
            try:
                Layout(tmp_path / f"{number}" / "out").prepare()
            except OSError as error:
                failures.append(error)

    threads = [threading.Thread(target=prepare) for _ in range(together.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


# ---- an analyst at the warehouse


def test_an_analyst_who_holds_the_warehouse_open_hinders_no_run_and_keeps_what_was_opened(
    tmp_path, runner, standing, undisturbed
):
    folder = standing.copy(tmp_path / "it")
    warehouse = Layout(folder.out).warehouse
    # All of two tables, so that the rows cannot come from what a count had read already.
    asked = {"sql": "SELECT count(*), sum(hash(t)), max(posted_on)::VARCHAR FROM transactions t"}
    with companion("analyst", warehouse) as early:
        before = early.ask(asked)
        assert runner.ask(folder.order(NEW_DAY))["code"] == CLEAN
        with companion("analyst", warehouse) as late:
            assert late.ask(asked) != before
            folder.deliver("c.csv", LEDGER_HEADER, ["late,c0001,2024-06-02,5"])
            assert contents(folder.out) == undisturbed
            assert runner.ask(folder.order(NEW_DAY))["code"] == CLEAN
            assert late.ask({"sql": "SELECT count(*) FROM customers"}) != []
        assert early.ask(asked) == before
        latest = {"sql": "SELECT max(as_of_date)::VARCHAR FROM customer_segments"}
        assert early.ask(latest) == [["2024-05-31"]]
    assert json.loads((folder.out / "current" / "manifest.json").read_text())["as_of"] == str(NEW_DAY)
