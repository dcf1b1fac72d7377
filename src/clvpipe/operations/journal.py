"""The journal of an output folder: one line when a run begins, one when it ends.

It says what ran, for which day, and what came of it. No customers' data, no arguments, no settings.
"""

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from clvpipe.calibration import code_version
from clvpipe.errors import ClvpipeError, ExitCode, mendable
from clvpipe.publish import Layout
from clvpipe.publish.files import make_durable
from clvpipe.publish.lock import holder_of
from clvpipe.publish.versions import Publication
from clvpipe.stages.context import Context, StageRun, Watch

LONGEST_LINES = 2_000
KEPT_LINES = 1_000
_PRIVATE_FILE = 0o600
_LONGEST_SENTENCE = 500
# A line takes no time; who holds the journal longer has been suspended in the middle of one.
_PATIENCE_SECONDS = 5.0
_POLL_SECONDS = 0.01

Line = dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """What is known of a run before it begins. The fields are those of a line of the journal."""

    run_id: str
    command: str
    pipeline: str
    as_of: str | None
    known_at: str | None
    code_version: str
    started_at: str
    pid: int


@dataclass(frozen=True)
class Run:
    """A run as the journal knows it.

    Attributes:
        run_id: Its name in the manifest, the log and the lock.
        command: Of the command line.
        pipeline: Its name.
        as_of: The day that was asked for.
        known_at: The bound of knowledge that was asked for.
        code_version: The code that ran.
        started_at: Clock time in UTC.
        pid: The process.
        outcome: ok, unchanged, failed, locked, interrupted, running or died.
        exit_code: None while it runs, and where it died.
        error: Class of the error.
        what: Its sentence; none for a bug.
        seconds: From the start of the command to its end.
        version: The version that it made or found.
        unchanged: Whether that version stood already.
        is_current: Whether readers saw it when the run ended.
        stages: Name, rows by table and seconds of each stage that was done.
    """

    run_id: str
    command: str
    pipeline: str
    as_of: str | None
    known_at: str | None
    code_version: str
    started_at: str
    pid: int | None
    outcome: str
    exit_code: int | None = None
    error: str | None = None
    what: str | None = None
    seconds: float | None = None
    version: str | None = None
    unchanged: bool | None = None
    is_current: bool | None = None
    stages: list[Line] = field(default_factory=list)


def facts_of(
    command: str, pipeline: str, run_id: str, as_of: date | None = None, known_at: date | None = None
) -> Facts:
    """The facts of a run of this process that starts now."""
    return Facts(
        run_id=run_id,
        command=command,
        pipeline=pipeline,
        as_of=as_of.isoformat() if as_of else None,
        known_at=known_at.isoformat() if known_at else None,
        code_version=code_version(),
        started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        pid=os.getpid(),
    )


class Journal(Watch):
    """Writes down one run.

    Attributes:
        publication: What it published; a run that opens a context need not set it.
    """

    def __init__(self, layout: Layout, facts: Facts) -> None:
        self.publication: Publication | None = None
        self._path = layout.journal
        self._facts = facts
        self._begin = time.perf_counter()
        self._began = False
        self._context: Context | None = None
        self._stages: list[Line] = []

    def reached(self, step: str) -> None:
        """The run begins when it holds the lock; only then may the journal be shortened."""
        if step == "lock taken":
            _shorten(self._path)
            _append(self._path, {"event": "began", **asdict(self._facts)})
            self._began = True

    def opened(self, context: Context) -> None:
        """Remember where the publication will stand."""
        self._context = context

    def done(self, run: StageRun) -> None:
        """Remember a stage."""
        rows = dict(run.result.rows)
        self._stages.append({"stage": run.stage, "rows": rows, "seconds": round(run.seconds, 3)})

    def close(self, error: BaseException | None, warn: Callable[[str], None]) -> None:
        """Write how the run ended. A journal that cannot be written does not change that: it is said.

        A run that never got to make the output folder leaves no line.
        """
        if not self._began and not self._path.parent.is_dir():
            return
        try:
            _append(self._path, {"event": "ended", **asdict(self._facts), **self._ending(error)})
        except OSError as refusal:
            warn(f"the journal cannot be written ({refusal.strerror}): {self._path}")

    def _ending(self, error: BaseException | None) -> Line:
        publication = self.publication or (self._context.publication if self._context else None)
        return {
            "exit_code": int(_exit_code(error)),
            "error": type(error).__name__ if error else None,
            "what": error.what[:_LONGEST_SENTENCE] if isinstance(error, ClvpipeError) else None,
            "seconds": round(time.perf_counter() - self._begin, 3),
            "version": publication.folder.name if publication else None,
            "unchanged": publication.unchanged if publication else None,
            "is_current": publication.is_current if publication else None,
            "stages": self._stages,
        }


@contextmanager
def journaled(layout: Layout, facts: Facts, warn: Callable[[str], None]) -> Iterator[Journal]:
    """Keep the journal of the block, in which the journal must look on at the run.

    Args:
        layout: The output folder.
        facts: Of the run.
        warn: Told when the end cannot be written down.
    """
    journal = Journal(layout, facts)
    try:
        yield journal
    except BaseException as error:
        journal.close(error, warn)
        raise
    journal.close(None, warn)


def runs_of(layout: Layout) -> list[Run]:
    """Every run that the journal knows, the newest first; lines that a power cut has torn are passed over."""
    at_work = run_at_work(layout)
    found: dict[str, Line] = {}
    for line in _lines(layout.journal):
        found.setdefault(line["run_id"], {}).update(line)
    return [_run(line, at_work) for line in reversed(found.values())]


def run_at_work(layout: Layout) -> Line | None:
    """What the run that holds the folder says of itself; None if there is none."""
    holder = holder_of(layout.lock)
    if holder is None:
        return None
    try:
        content = json.loads(holder)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _run(line: Line, at_work: Line | None) -> Run:
    runs = at_work is not None and at_work.get("run_id") == line["run_id"]
    known = {name: line.get(name) for name in Run.__dataclass_fields__ if name not in ("outcome", "stages")}
    return Run(**known, outcome=_outcome(line, runs), stages=line.get("stages", []))  # type: ignore[arg-type]


def _outcome(line: Line, runs: bool) -> str:
    if line["event"] == "began":
        return "running" if runs else "died"
    match line.get("exit_code"):
        case ExitCode.OK:
            return "unchanged" if line.get("unchanged") else "ok"
        case ExitCode.LOCKED:
            return "locked"
        case ExitCode.INTERRUPTED | ExitCode.TERMINATED:
            return "interrupted"
        case _:
            return "failed"


def _exit_code(error: BaseException | None) -> ExitCode:
    """As the guard of the command line has it."""
    if error is None or isinstance(error, BrokenPipeError):
        return ExitCode.OK
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    known = mendable(error)
    return known.exit_code if known else ExitCode.BUG


def _lines(path: Path) -> Iterator[Line]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    for text in content.split(b"\n"):
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("run_id"), str) and "event" in line:
            yield line


def _append(path: Path, line: Mapping[str, Any]) -> None:
    """Add a line in one write; behind a torn one, on a line of its own."""
    text = json.dumps(line).encode("ascii") + b"\n"
    with _opened(path) as handle:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            text = b"\n" + text
        if os.write(handle, text) != len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _shorten(path: Path) -> None:
    """Keep the newest lines where there are too many."""
    with _opened(path):
        lines = path.read_bytes().splitlines(keepends=True)
        if len(lines) <= LONGEST_LINES:
            return
        staged = path.with_name(f".{path.name}")
        staged.touch(_PRIVATE_FILE)
        staged.write_bytes(b"".join(lines[-KEPT_LINES:]))
        make_durable(staged, path)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """The journal for appending, while nobody else puts a shorter one in its place."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, _PRIVATE_FILE)
        try:
            _hold(handle, path, deadline)
            if os.fstat(handle).st_ino == path.stat().st_ino:
                yield handle
                return
        finally:
            os.close(handle)


def _hold(handle: int, path: Path, deadline: float) -> None:
    """Lock the open journal, without waiting for ever: a run that is refused must end.

    Raises:
        OSError: Another process does not let go of it.
    """
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise OSError(errno.EAGAIN, "another process holds it", str(path)) from error
        time.sleep(_POLL_SECONDS)
