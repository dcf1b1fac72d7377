"""No room, no memory, no rights: a run makes the same or says why not, and readers keep what they had."""

import json
import os
import random
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from clvpipe.errors import ExitCode
from tests.faults import CLEAN, NEW_DAY, Folder, broken_files, companion, contents, prepared, with_history
from tests.support import CONFIG, LEDGER_HEADER, REPOSITORY

LONG_ENOUGH_SECONDS = 240
HUNG_SECONDS = 15
# The working database of the small ledger takes some 6 MB, what is published 100 KB.
FILE_SIZES = (0, 4_000, 16_000, 128_000, 512_000, 3_000_000, 16_000_000)
FREE_BYTES = (0, 64_000, 600_000, 3_000_000, 5_000_000, 20_000_000)
ADDRESS_SPACES = (60_000_000, 120_000_000, 250_000_000, 500_000_000, 800_000_000, 8_000_000_000)
MANY = 60_000
# $0 stays writable; then the rest of the command line is run.
READ_ONLY_BUT_FOR = """
set -e
mount --bind "$0" "$0"
while read -r _ place type _; do
  case "$place $type" in
    "$0 "*|*" proc"|*" sysfs"|*" dev"*|*" mqueue"|*" cgroup"*) ;;
    *) mount -o remount,bind,ro "$place" 2>/dev/null || true ;;
  esac
done </proc/self/mounts
exec "$@"
"""


@dataclass(frozen=True)
class Starting:
    """A folder with a publication where a delivery waits, and what a clean run makes of it."""

    folder: Folder
    expected: dict[str, Any]


@pytest.fixture(scope="module")
def runner():
    with companion("runs") as process:
        yield process


@pytest.fixture(scope="module")
def small(tmp_path_factory, runner) -> Starting:
    root = tmp_path_factory.mktemp("small")
    folder = with_history(prepared(root / "it"), runner)
    clean = folder.copy(root / "clean")
    assert runner.ask(clean.order(NEW_DAY))["code"] == CLEAN
    return Starting(folder, contents(clean.out))


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Starting:
    """A ledger that does not fit into a small memory: the new delivery is the large one."""
    root = tmp_path_factory.mktemp("large")
    folder = Folder(root / "it")
    folder.root.mkdir()
    folder.config.write_text(CONFIG, encoding="utf-8")
    folder.deliver("a.csv", LEDGER_HEADER, ["early,c00001,2024-05-30,5.00"])
    assert _run(folder, as_of="2024-05-31")[0] == CLEAN
    folder.deliver("b.csv", LEDGER_HEADER, _many_lines())
    clean = folder.copy(root / "clean")
    assert _run(clean)[0] == CLEAN
    return Starting(folder, contents(clean.out))


def _many_lines() -> list[str]:
    rng = random.Random(5)
    days = [str(NEW_DAY - timedelta(days=ago)) for ago in range(701)]
    lines = []
    for customer in range(MANY):
        choice, scale = days[: rng.randrange(100, 701)], rng.uniform(5, 200)
        lines += [
            f"t{customer}-{place},c{customer:05d},{rng.choice(choice)},{rng.uniform(0.3, 2) * scale:.2f}"
            for place in range(min(int(rng.expovariate(0.3)) + 1, 40))
        ]
    return lines


def _run(
    folder: Folder,
    *options: str,
    as_of: object = NEW_DAY,
    out: Path | None = None,
    before: Callable[[], None] | None = None,
    prefix: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
    cwd: Path = REPOSITORY,
) -> tuple[int, str]:
    """The command's exit code and what it said; nothing of it may look like a defect."""
    done = subprocess.run(
        [*prefix, *folder.run_command(as_of, *options, out=out)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LONG_ENOUGH_SECONDS,
        preexec_fn=before,
        check=False,
    )
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
    return done.returncode, done.stderr


def _state_of_current(out: Path) -> tuple[str, str]:
    version = (out / "current").resolve(strict=True)
    assert broken_files(version) == []
    return version.name, (version / "manifest.json").read_text()


def _ended_or_refused(
    out: Path, before: tuple[str, str], ended: tuple[int, str], expected: dict[str, Any]
) -> None:
    """Either all is as it would have been, or readers have what they had and the reason is told."""
    code, said = ended
    if code == CLEAN:
        assert contents(out) == expected
        return
    assert code == ExitCode.STORAGE, said
    assert _state_of_current(out) == before
    assert "clvpipe: error: " in said
    assert "\n  next: " in said


# ---- files that may not grow


@pytest.mark.slow
@pytest.mark.parametrize("size", FILE_SIZES)
def test_where_files_may_not_grow_a_run_is_refused_or_the_same(tmp_path, runner, small, size):
    folder = small.folder.copy(tmp_path / "it")
    before = _state_of_current(folder.out)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    ended = _run(folder, before=limit)
    _ended_or_refused(folder.out, before, ended, small.expected)
    if size in (FILE_SIZES[0], FILE_SIZES[-1]):
        assert ended[0] == (ExitCode.STORAGE if size == FILE_SIZES[0] else CLEAN)
    assert runner.ask(folder.order(NEW_DAY))["code"] == CLEAN
    assert contents(folder.out) == small.expected


# ---- a disk that is full, or may not be written


@contextmanager
def _disk(place: Path, size: str) -> Iterator[Path]:
    """A file system of that size; skips where none may be mounted."""
    place.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _fill(place: Path, free: int) -> Path:
    """Take all but so many bytes."""
    ballast = place / "ballast"
    found = os.statvfs(place)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(found.f_bavail * found.f_frsize - free, 1))
    return ballast


@pytest.mark.slow
@pytest.mark.parametrize("free", FREE_BYTES)
def test_on_a_full_disk_a_run_is_refused_or_the_same(tmp_path, runner, small, free):
    with _disk(tmp_path / "disk", "30m") as disk:
        shutil.copytree(small.folder.out, disk / "out", symlinks=True)
        out = disk / "out"
        before = _state_of_current(out)
        ballast = _fill(disk, free)
        ended = _run(small.folder, out=out)
        _ended_or_refused(out, before, ended, small.expected)
        if free in (FREE_BYTES[0], FREE_BYTES[-1]):
            assert ended[0] == (ExitCode.STORAGE if free == FREE_BYTES[0] else CLEAN)
        # Half-made files of a refused run do not stand in the way of the next.
        ballast.unlink()
        assert runner.ask(small.folder.order(NEW_DAY, out=str(out)))["code"] == CLEAN
        assert contents(out) == small.expected


def test_a_disk_too_small_for_anything_is_no_defect(tmp_path, small):
    with _disk(tmp_path / "disk", "16k") as disk:
        code, said = _run(small.folder, out=disk / "out")
        assert (code, "\n  next: " in said) == (ExitCode.STORAGE, True), said
        assert not (disk / "out" / "current").exists()


def test_a_disk_that_may_only_be_read_refuses_the_run_and_serves_readers(tmp_path, small):
    with _disk(tmp_path / "disk", "30m") as disk:
        shutil.copytree(small.folder.out, disk / "out", symlinks=True)
        before = contents(disk / "out")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        code, said = _run(small.folder, out=disk / "out")
        assert (code, "\n  next: " in said) == (ExitCode.STORAGE, True), said
        assert contents(disk / "out") == before


# ---- little memory


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["200MB", "50MB", "10MB"])
def test_with_little_memory_for_the_engine_a_run_is_refused_or_the_same(tmp_path, large, memory):
    folder = large.folder.copy(tmp_path / "it")
    before = _state_of_current(folder.out)
    ended = _run(folder, "--memory", memory)
    _ended_or_refused(folder.out, before, ended, large.expected)
    if memory in ("200MB", "10MB"):
        assert ended[0] == (CLEAN if memory == "200MB" else ExitCode.STORAGE)


@pytest.mark.slow
def test_without_address_space_a_run_is_refused_or_the_same(tmp_path, runner, small):
    codes = []
    for more_bytes in ADDRESS_SPACES:
        folder = small.folder.copy(tmp_path / str(more_bytes))
        before = _state_of_current(folder.out)
        order = folder.order(NEW_DAY, more_bytes=more_bytes, kill_after=HUNG_SECONDS)
        code = runner.ask(order)["code"]
        codes.append(code)
        # Libraries of others abort, or hang, where no memory is to be had. That is as if the kernel had ended
        # the run: nothing is lost, but what we say ourselves must be right.
        if code == CLEAN:
            assert contents(folder.out) == small.expected
        else:
            assert code == ExitCode.STORAGE or code < 0
            assert _state_of_current(folder.out) == before
        assert runner.ask(folder.order(NEW_DAY))["code"] == CLEAN
        assert contents(folder.out) == small.expected
    assert codes[-1] == CLEAN
    assert ExitCode.STORAGE in codes


# ---- nothing outside


def test_nothing_is_written_outside_the_output_folder(tmp_path, small):
    folder = small.folder.copy(tmp_path / "it")
    empty = [tmp_path / name for name in ("home", "temporary", "here")]
    for place in empty:
        place.mkdir()
    deliveries = {path: path.read_bytes() for path in folder.root.iterdir() if path.is_file()}
    code, said = _run(
        folder, environment={**_bare(), "HOME": str(empty[0]), "TMPDIR": str(empty[1])}, cwd=empty[2]
    )
    assert (code, said) == (CLEAN, "")
    assert contents(folder.out) == small.expected
    assert [path for place in empty for path in place.rglob("*")] == []
    assert {path: path.read_bytes() for path in folder.root.iterdir() if path.is_file()} == deliveries


def test_a_home_and_a_folder_for_temporaries_need_not_exist(tmp_path, small):
    folder = small.folder.copy(tmp_path / "it")
    nowhere = str(tmp_path / "nowhere")
    ended = _run(folder, environment={**_bare(), "HOME": nowhere, "TMPDIR": nowhere}, cwd=Path("/"))
    assert ended == (CLEAN, "")
    assert contents(folder.out) == small.expected
    assert not Path(nowhere).exists()


@pytest.mark.slow
def test_a_run_that_spills_needs_no_place_but_the_output_folder(tmp_path, large):
    """All file systems but the output folder can only be read; what is too large for memory is spilled."""
    folder = large.folder.copy(tmp_path / "it")
    sealed = ("unshare", "--mount", "sh", "-c", READ_ONLY_BUT_FOR, str(folder.out))
    probe = subprocess.run(
        [*sealed, "sh", "-c", f"! touch {tmp_path}/x && touch {folder.out}/x && rm {folder.out}/x"],
        capture_output=True,
        text=True,
        check=False,
    )
    if probe.returncode:
        pytest.skip(f"file systems cannot be made read-only here: {probe.stderr.strip()}")
    code, said = _run(folder, "--memory", "200MB", prefix=sealed, environment=_bare(), cwd=Path("/"))
    assert code == CLEAN, said
    assert contents(folder.out) == large.expected


def _bare() -> dict[str, str]:
    """An environment without a word of where to write."""
    kept = ("PATH", "LANG", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
    return {**{name: os.environ[name] for name in kept if name in os.environ}, "PYTHONDONTWRITEBYTECODE": "1"}


def test_the_starting_point_is_a_publication_of_an_earlier_day(small):
    manifest = json.loads((small.folder.out / "current" / "manifest.json").read_text())
    assert manifest["as_of"] < str(NEW_DAY)
    assert small.expected["current"] != str((small.folder.out / "current").readlink())
