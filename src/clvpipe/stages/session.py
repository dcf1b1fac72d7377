"""One writer, one working database, stages in order; and the tidying up, whatever happens."""

import importlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from clvpipe.config import Settings
from clvpipe.engine import Engine
from clvpipe.errors import ClvpipeError, UsageError, mendable
from clvpipe.potential import written_weights
from clvpipe.privacy import load_identity
from clvpipe.publish import Layout
from clvpipe.publish.lock import only_writer
from clvpipe.publish.versions import restore_current
from clvpipe.publish.warehouse import keep_warehouse
from clvpipe.stages.context import Context, StageRun, Watch
from clvpipe.stages.erasure import finish_erasure
from clvpipe.stages.gates import check_names


@dataclass(frozen=True)
class Request:
    """What a person or cron asked for. `Context` explains what the two share.

    Attributes:
        tidies: Whether the work is over when the run is, although it publishes nothing; else later stages
            may go on from it.
    """

    settings: Settings
    config_path: Path
    out: Path
    stages: Sequence[str]
    as_of: date | None
    known_at: date | None = None
    threads: int = 2
    memory: str | None = None
    lock_timeout_seconds: float = 0.0
    crosscheck: bool = False
    refit: bool = False
    strict: bool = False
    allow_breaking: bool = False
    accept_volume: bool = False
    tidies: bool = False
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)


def run_stages(request: Request, watch: Watch | None = None) -> tuple[list[StageRun], Context]:
    """Run the stages in order, as the only writer of the output folder.

    Raises:
        ClvpipeError: The first failure; later stages are not run.
    """
    runs = []
    with open_run(request, watch or Watch()) as context:
        for stage in request.stages:
            runs.append(run_stage(context, stage))
    return runs, context


def run_stage(context: Context, stage: str) -> StageRun:
    """Run one stage.

    Raises:
        ClvpipeError: Whatever the stage raises, or there is no `as_of`.
    """
    context.watch.started(stage)
    if stage != "ingest" and context.as_of is None:
        raise _missing_as_of(context)
    begin = time.perf_counter()
    module = importlib.import_module(f"clvpipe.stages.{stage}")
    run = StageRun(stage, module.run(context), time.perf_counter() - begin)
    context.watch.done(run)
    return run


@contextmanager
def open_run(request: Request, watch: Watch) -> Iterator[Context]:
    """Hold the output folder and a working database while the block runs; keep the warehouse if it publishes.

    Raises:
        LockedError: Another run is at work.
        StorageError: The file system refuses.
    """
    layout = Layout(request.out.absolute())
    check_names(request.settings.quality)
    written_weights(request.settings.potential.weights)
    with as_only_writer(layout, request.run_id, timeout_seconds=request.lock_timeout_seconds, watch=watch):
        watch.reached("lock taken")
        identity = load_identity(request.settings.privacy, request.config_path.absolute().parent)
        tombstones = finish_erasure(layout)
        _ready_work(layout, fresh="ingest" in request.stages, first=request.stages[0])
        with Engine(
            layout.work_database,
            folders=layout.folders,
            temp_directory=layout.work / "spill",
            threads=request.threads,
            memory=request.memory,
        ) as engine:
            context = Context(
                settings=request.settings,
                config_path=request.config_path.absolute(),
                layout=layout,
                engine=engine,
                threads=request.threads,
                as_of=request.as_of,
                known_at=request.known_at,
                crosscheck=request.crosscheck,
                refit=request.refit,
                strict=request.strict,
                publishes="publish" in request.stages,
                allow_breaking=request.allow_breaking,
                accept_volume=request.accept_volume,
                run_id=request.run_id,
                started_at=datetime.now(UTC),
                watch=watch,
                identity=identity,
                tombstones=tombstones,
            )
            watch.opened(context)
            yield context
        if context.keeps_warehouse:
            keep_warehouse(layout)
            watch.reached("warehouse kept")
        if context.publication is not None or request.tidies:
            _clear_work(layout)


@contextmanager
def as_only_writer(
    layout: Layout, run_id: str, *, timeout_seconds: float = 0.0, watch: Watch | None = None
) -> Iterator[None]:
    """Hold the output folder; what is written is private until it is published.

    Raises:
        LockedError: Another run is at work.
        StorageError: The file system, or the memory, refuses.
    """
    holder = {"run_id": run_id, "since": datetime.now(UTC).isoformat()}
    tell = (watch or Watch()).tell
    with _storage_errors(layout), _private_files():
        layout.prepare()
        with only_writer(layout.lock, holder, timeout_seconds=timeout_seconds, tell=tell):
            restore_current(layout)
            yield


def _missing_as_of(context: Context) -> UsageError:
    from clvpipe.stages.ingest import latest_day

    latest = latest_day(context) if context.engine.has_table("transactions") else None
    suggestion = (
        f"the latest day in the data is {latest}: add --as-of {latest}"
        if latest
        else "add --as-of YYYY-MM-DD"
    )
    return UsageError(
        "--as-of is required: the last day, inclusive, whose events are seen",
        left="the last publication; what was read is kept and will not be read again",
        next_step=f"{suggestion} (or --as-of yesterday)",
    )


def _ready_work(layout: Layout, *, fresh: bool, first: str) -> None:
    """Sweep what an interrupted run left; a later stage's own command goes on with the database."""
    keep = set() if fresh else {layout.work_database, layout.made_calibrations}
    if not fresh and not layout.work_database.exists():
        raise UsageError(
            f"`{first}` goes on from earlier stages, and no work is in hand here (a whole run leaves none)",
            where=str(layout.work),
            next_step=f"clvpipe ingest, and every stage up to `{first}`",
        )
    _clear_work(layout, keep)
    layout.sweep()


def _clear_work(layout: Layout, keep: Set[Path] = frozenset()) -> None:
    for path in layout.work.iterdir():
        if path not in keep:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def _private_files() -> Iterator[None]:
    """Files are private until they are published."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def _storage_errors(layout: Layout) -> Iterator[None]:
    try:
        yield
    except ClvpipeError:
        raise
    except Exception as error:
        known = mendable(error, where=str(layout.out))
        if known is None:
            raise
        raise known from error
