"""How an output folder stands: who is at work, what readers see, how the last run ended."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from clvpipe.errors import ClvpipeError
from clvpipe.operations.journal import Run, run_at_work, runs_of
from clvpipe.privacy import Tombstones
from clvpipe.publish import Layout
from clvpipe.publish.verify import check_current
from clvpipe.publish.versions import read_manifest, readable_versions


@dataclass(frozen=True)
class Published:
    """The publication that readers see. `days_old` counts from its day to today in the bank's zone."""

    version: str
    as_of: str
    known_at: str | None
    published_at: str
    days_old: int
    customers: int
    events: int | None
    calibration: str
    code_version: str


@dataclass(frozen=True)
class Status:
    """How an output folder stands.

    Attributes:
        out: The folder.
        at_work: What the run that holds the folder says of itself.
        current: The publication that readers see.
        kept: Names of all kept versions, the newest publication first.
        last_run: The newest run that is over.
        last_success: The newest run that published, or found its publication unchanged.
        leftovers: Folders in which a run that did not end well left work; the next run sweeps them.
        erasure_pending: An erasure was cut short; the next run finishes it first.
        version_bytes: Of all kept versions; a file that several share counts once.
        state_bytes: Of what runs build on.
        problems: What is damaged, in words.
    """

    out: str
    at_work: Mapping[str, Any] | None
    current: Published | None
    kept: tuple[str, ...]
    last_run: Run | None
    last_success: Run | None
    leftovers: tuple[str, ...]
    erasure_pending: bool
    version_bytes: int
    state_bytes: int
    problems: tuple[str, ...]


def status_of(layout: Layout) -> Status:
    """Look at an output folder; nothing is changed, and no run is kept waiting."""
    runs = runs_of(layout)
    at_work = run_at_work(layout)
    problems: list[str] = []
    return Status(
        out=str(layout.out),
        at_work=at_work,
        current=_published(layout, problems),
        kept=tuple(folder.name for folder in readable_versions(layout)),
        last_run=next((run for run in runs if run.outcome != "running"), None),
        last_success=next((run for run in runs if _is_success(run)), None),
        leftovers=() if at_work is not None else _leftovers(layout),
        erasure_pending=_erasure_pending(layout, problems),
        version_bytes=size_of(layout.versions),
        state_bytes=size_of(layout.state),
        problems=tuple(problems),
    )


def size_of(folder: Path) -> int:
    """Bytes of the files below a folder; a file with several names counts once."""
    seen: dict[tuple[int, int], int] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                facts = os.lstat(Path(place, name))
            except FileNotFoundError:
                continue
            seen[facts.st_dev, facts.st_ino] = facts.st_size
    return sum(seen.values())


def _is_success(run: Run) -> bool:
    return run.outcome in ("ok", "unchanged") and run.version is not None and run.command != "rollback"


def _published(layout: Layout, problems: list[str]) -> Published | None:
    if not os.path.lexists(layout.current) and not readable_versions(layout):
        return None
    found = [f"{problem.where}: {problem.what}" for problem in check_current(layout)]
    problems += found
    if found:
        return None
    folder = layout.current.resolve()
    try:
        manifest = read_manifest(folder)
        return Published(
            version=folder.name,
            as_of=manifest["as_of"],
            known_at=manifest["known_at"],
            published_at=manifest["published_at"],
            days_old=(_today(manifest) - date.fromisoformat(manifest["as_of"])).days,
            customers=manifest["volume"]["customers"],
            events=manifest["volume"].get("events"),
            calibration=manifest["calibration"],
            code_version=manifest["code_version"],
        )
    except (ClvpipeError, KeyError, TypeError, ValueError):
        problems.append(f"{layout.versions.name}/{folder.name}: the manifest is damaged")
        return None


def _today(manifest: Mapping[str, Any]) -> date:
    return datetime.now(ZoneInfo(manifest["config"]["timezone"])).date()


def _erasure_pending(layout: Layout, problems: list[str]) -> bool:
    try:
        return Tombstones.load(layout.erased).pending
    except ClvpipeError as error:
        problems.append(error.what)
        return False


def _leftovers(layout: Layout) -> tuple[str, ...]:
    folders = (layout.work, layout.staging, layout.removed)
    return tuple(str(folder) for folder in folders if folder.is_dir() and any(folder.iterdir()))
