"""Commands for who cares for a nightly job: `status`, `history`, `verify` and `rollback`."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.filesize import decimal
from rich.table import Table

from clvpipe.cli.execute import output_folder
from clvpipe.cli.interrupt import run_interruptibly
from clvpipe.cli.stderr import STDERR
from clvpipe.cli.stdout import print_plain
from clvpipe.cli.watchers import Watchers
from clvpipe.config import load_pipeline
from clvpipe.errors import InputError, StorageError
from clvpipe.operations.journal import Run, facts_of, journaled, runs_of
from clvpipe.operations.rollback import rollback
from clvpipe.operations.status import Published, Status, status_of
from clvpipe.publish import Layout
from clvpipe.publish.verify import CheckedVersion, Problem, check_current, check_versions
from clvpipe.publish.versions import read_manifest, readable_versions

_LONGEST_LIST = 20


def show_status(pipeline_name: str, out: Path | None, as_json: bool) -> None:
    """Print how the output folder stands.

    Raises:
        StorageError: The folder cannot be read.
    """
    layout = _layout(pipeline_name, out)
    with _reading(layout):
        status = status_of(layout)
    if as_json:
        typer.echo(json.dumps(asdict(status), ensure_ascii=False))
        return
    table = Table.grid(padding=(0, 2))
    for name, text in _status_lines(status):
        table.add_row(name, text)
    print_plain(table)


def show_history(pipeline_name: str, out: Path | None, limit: int, as_json: bool) -> None:
    """Print the newest runs and what became of their versions.

    Raises:
        StorageError: The folder cannot be read.
    """
    layout = _layout(pipeline_name, out)
    with _reading(layout):
        runs = runs_of(layout)[:limit]
        marks = _marks(layout)
    standings = [marks.get(run.version, "removed") if run.version else None for run in runs]
    if as_json:
        content = [{**asdict(run), "standing": mark} for run, mark in zip(runs, standings, strict=True)]
        typer.echo(json.dumps({"runs": content}, ensure_ascii=False))
        return
    if not runs:
        typer.echo(f"no run is in the journal of {layout.out}")
        return
    table = Table(box=None, pad_edge=False)
    for head in ("when (UTC)", "command", "as of", "outcome", "exit", "seconds", "version", "now"):
        table.add_column(head, overflow="fold")
    for run, mark in zip(runs, standings, strict=True):
        table.add_row(
            _clock(run.started_at).removesuffix(" UTC"),
            run.command,
            run.as_of,
            run.outcome,
            "" if run.exit_code is None else str(run.exit_code),
            "" if run.seconds is None else f"{run.seconds:.1f}",
            run.version,
            mark,
        )
    print_plain(table)


def show_verify(pipeline_name: str, out: Path | None, as_json: bool) -> None:
    """Check every kept version against its manifest, and print a line for each.

    Raises:
        InputError: Nothing has been published there.
        StorageError: Something is not as it was published.
    """
    layout = _layout(pipeline_name, out)
    with _reading(layout):
        versions = list(check_versions(layout))
        problems = [problem for version in versions for problem in version.problems]
        if versions or layout.current.is_symlink():
            problems += check_current(layout)
    if not versions and not problems:
        raise InputError(
            "nothing has been published here yet", where=str(layout.out), next_step="clvpipe run"
        )
    if not as_json:
        for version in versions:
            typer.echo(_verify_line(version))
    if problems:
        raise _damaged(problems)
    if as_json:
        typer.echo(json.dumps({"versions": [asdict(version) for version in versions]}, ensure_ascii=False))


def show_rollback(
    pipeline_name: str, out: Path | None, to: str | None, lock_timeout: float, as_json: bool
) -> None:
    """Show readers an earlier version again, and say from what to what.

    Raises:
        UsageError: There is no such version.
        LockedError: A run is at work.
        StorageError: The version is damaged, or the file system refuses.
    """
    pipeline = load_pipeline(pipeline_name)
    layout = Layout(output_folder(pipeline, out).absolute())
    facts = facts_of("rollback", pipeline.name, uuid.uuid4().hex)
    with journaled(layout, facts, STDERR.warn) as journal:
        done = run_interruptibly(
            lambda seen: rollback(
                layout,
                to,
                run_id=facts.run_id,
                lock_timeout_seconds=lock_timeout,
                watch=Watchers([journal, seen]),
            )
        )
        journal.publication = done.publication
    name = done.publication.folder.name
    if as_json:
        typer.echo(json.dumps({"exit_code": 0, "from": done.before, "to": name}))
    elif done.publication.unchanged:
        typer.echo(f"readers see {name} already")
    else:
        typer.echo(f"readers see {name} now, and saw {done.before or 'nothing'} before")
        typer.echo("the next run moves forward again; state/warehouse.duckdb is still that of the last run")


def _layout(pipeline_name: str, out: Path | None) -> Layout:
    return Layout(output_folder(load_pipeline(pipeline_name), out).absolute())


@contextmanager
def _reading(layout: Layout) -> Iterator[None]:
    """What the file system refuses to show, in words."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"the output folder cannot be read: {error.strerror or type(error).__name__}",
            where=str(error.filename or layout.out),
            left="everything",
            next_step="the state belongs to the user of the nightly job: run this as that user",
        ) from None


def _status_lines(status: Status) -> Iterator[tuple[str, str]]:
    yield "folder", status.out
    yield "at work", _work_line(status.at_work)
    if status.current is not None:
        yield from _published_lines(status.current)
    elif not status.problems:
        yield "published", "nothing yet"
    for problem in status.problems:
        yield "damaged", f"{problem}: clvpipe verify"
    if status.kept:
        yield "kept", f"{len(status.kept)} versions, {decimal(status.version_bytes)}"
    yield "state", decimal(status.state_bytes)
    yield "last run", _run_line(status.last_run)
    if status.last_success != status.last_run:
        yield "last success", _run_line(status.last_success)
    if status.leftovers:
        yield "leftovers", f"{', '.join(status.leftovers)}: harmless, the next run sweeps them"
    if status.erasure_pending:
        yield "erasure", "was cut short; the next run finishes it first"


def _work_line(holder: Any) -> str:
    if holder is None:
        return "nobody"
    since = f" since {_clock(holder['since'])}" if "since" in holder else ""
    return f"process {holder.get('pid', 'unknown')}, run {holder.get('run_id', 'unknown')}{since}"


def _published_lines(current: Published) -> Iterator[tuple[str, str]]:
    days = "1 day" if current.days_old == 1 else f"{current.days_old} days"
    yield "version", current.version
    yield "as of", f"{current.as_of} ({days} ago)"
    if current.known_at:
        yield "known at", current.known_at
    yield "published", f"{_clock(current.published_at)} by clvpipe {current.code_version}"
    with_events = f" with {current.events:,} events" if current.events is not None else ""
    yield "customers", f"{current.customers:,}{with_events}"
    yield "calibration", current.calibration


def _run_line(run: Run | None) -> str:
    if run is None:
        return "none in the journal"
    ended = "" if run.exit_code is None else f", exit {run.exit_code}"
    what = f": {run.what}" if run.what else f": {run.error}" if run.error else ""
    return f"{_clock(run.started_at)} {run.command}: {run.outcome}{ended}{what}"


def _marks(layout: Layout) -> dict[str, str]:
    """What became of a version: current, kept, or superseded by an erasure."""
    marks: dict[str, str] = {}
    for folder in readable_versions(layout):
        marks |= dict.fromkeys(read_manifest(folder)["supersedes"], "superseded by an erasure")
        marks[folder.name] = "kept"
    if layout.current.exists():
        marks[layout.current.resolve().name] = "current"
    return marks


def _verify_line(version: CheckedVersion) -> str:
    if version.problems:
        return f"{version.name}  DAMAGED, {len(version.problems)} problems"
    return f"{version.name}  sound, {version.files} files, {decimal(version.bytes)}"


def _damaged(problems: list[Problem]) -> StorageError:
    listed = [f"{problem.where}: {problem.what}" for problem in problems[:_LONGEST_LIST]]
    if len(problems) > _LONGEST_LIST:
        listed.append(f"and {len(problems) - _LONGEST_LIST} more")
    return StorageError(
        f"what was published is not as it was: {len(problems)} problems",
        where="; ".join(listed),
        left="everything",
        next_step="if `current` is concerned, clvpipe rollback; running the day again makes its version anew",
    )


def _clock(text: str) -> str:
    """A moment to the second, as it is in the journal: UTC."""
    return text[:19].replace("T", " ") + " UTC"
