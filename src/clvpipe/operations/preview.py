"""Who would move between labels under another configuration, before anything is published.

A preview is a run without its publication, in a copy of the folder's state that is gone afterwards. The copy
lies in the folder for work, which the next run sweeps when a preview has been killed. Its ledger is hard
links: a part is never written in place, so nothing is read twice but what the other configuration reads
otherwise, and what comes of that stays in the copy. The output folder is held all the while: a run would
sweep the copy away, and an erasure would miss the customers in it.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path

from sqlglot import expressions as exp

from clvpipe.calibration import code_version
from clvpipe.contracts import PUBLISHED
from clvpipe.engine import Engine
from clvpipe.errors import ClvpipeError, ConfigError, InputError, StorageError
from clvpipe.operations.differences import Difference, Plain, differences
from clvpipe.publish import Layout
from clvpipe.publish.files import link_or_copy, sha256_of
from clvpipe.publish.versions import current_version, files_of, read_manifest, readable_versions
from clvpipe.sqlrepo import load
from clvpipe.stages.context import Context, Watch
from clvpipe.stages.erasure import finish_erasure
from clvpipe.stages.ledger import known, ledger
from clvpipe.stages.session import Request, as_only_writer, open_run, run_stage

SCHEMES = ("lifecycle_state", "quadrant", "value_tier", "deposit_tier", "rfm_group")
STAGES = ("ingest", "features", "fit", "score", "segment")

_SEGMENTS, _THRESHOLDS = "customer_segments", "thresholds"
# What is compared, and the name that the other side's has in a query.
_COMPARED = {_SEGMENTS: "segments_before", _THRESHOLDS: "thresholds_before"}
_COPY = "preview-"


@dataclass(frozen=True)
class Flow:
    """Customers with one label before and one after; who has no label has its status for one.

    Attributes:
        from_label: Label on the other side; None: they are not there.
        to_label: Label under the new configuration; None: they are not here.
        customers: How many they are.
        current_value: Sum of what they would be worth now, in money; None: of nobody is it known.
        future_value_12m: Sum of what they would be worth in the next twelve months, likewise.
    """

    from_label: str | None
    to_label: str | None
    customers: int
    current_value: Decimal | None
    future_value_12m: Decimal | None


@dataclass(frozen=True)
class SchemeMoves:
    """Who would move in one scheme.

    Attributes:
        scheme: Name of the column.
        compared: Customers on both sides.
        moved: Those of them who would move.
        current_value: Sum of theirs, as in `Flow`.
        future_value_12m: Sum of theirs.
        moves: From each label to each other one.
    """

    scheme: str
    compared: int
    moved: int
    current_value: Decimal | None
    future_value_12m: Decimal | None
    moves: tuple[Flow, ...]


@dataclass(frozen=True)
class Preview:
    """What would come of a configuration.

    Attributes:
        as_of: The day of both sides.
        known_at: The bound on the deliveries that both sides see.
        against: The version, or the configuration file, that it is compared with.
        new_deliveries: Deliveries seen here that the publication had not seen.
        code_version: Of the code that made the other side.
        customers_new: Customers who are only here.
        customers_gone: Customers who are only there.
        schemes: Moves by scheme.
        thresholds: Those that differ.
    """

    as_of: date
    known_at: date | None
    against: str
    new_deliveries: int
    code_version: str
    customers_new: int
    customers_gone: int
    schemes: tuple[SchemeMoves, ...]
    thresholds: tuple[Difference, ...]


@dataclass(frozen=True)
class _Side:
    """What the new configuration is compared with.

    Attributes:
        name: A version, or a configuration file.
        identity: How its customers go (see `Identity.fingerprint`).
        code_version: Of the code that made it.
        inputs: The deliveries that it has seen: extract, name and digest.
    """

    name: str
    identity: str
    code_version: str
    inputs: frozenset[tuple[str, str, str]]


def preview(request: Request, other: Request | None, watch: Watch) -> Preview:
    """Make the labels of a configuration and compare them; the output folder stays as it is.

    Args:
        request: As for a run; without `as_of`, of the day of the publication that readers see.
        other: The request with the configuration to compare with; None: with the publication of the day.
        watch: Who looks on.

    Raises:
        InputError: Nothing has been published here, or nothing of that day.
        ConfigError: On the two sides, customers go by other ids.
        ClvpipeError: Whatever a stage raises.
    """
    layout = Layout(request.out.absolute())
    if not layout.versions.is_dir():
        raise InputError(
            "nothing has been published here yet that a preview could be compared with",
            where=str(layout.out),
            left="everything",
            next_step="clvpipe run publishes; then preview a change of its configuration",
        )
    timeout = request.lock_timeout_seconds
    with as_only_writer(layout, request.run_id, timeout_seconds=timeout, watch=watch):
        finish_erasure(layout)
        for left in layout.work.glob(f"{_COPY}*"):
            shutil.rmtree(left)
        with _copied(layout, request.run_id) as copy:
            if other is None:
                version = _version(layout, request)
                request, side = _of_day(request, version), _published(copy, version)
            else:
                if request.as_of is None:
                    request = _of_day(request, current_version(layout))
                side = _made(copy, replace(other, as_of=request.as_of, known_at=request.known_at), watch)
            with open_run(_in_copy(request, copy), watch) as context:
                _must_match(context, side)
                _make_tables(context)
                return _compared(context, side)


def remove_copy(out: Path, run_id: str) -> None:
    """Remove what a preview that was stopped may have left, and no other's."""
    shutil.rmtree(_copy_of(Layout(out.absolute()), run_id).out, ignore_errors=True)


def _copy_of(layout: Layout, run_id: str) -> Layout:
    return Layout(layout.work / f"{_COPY}{run_id}")


def _before(copy: Layout, dataset: str) -> Path:
    """Where the other side's table lies in the copy, so that the engine may read it."""
    return copy.state / "before" / f"{dataset}.parquet"


@contextmanager
def _copied(layout: Layout, run_id: str) -> Iterator[Layout]:
    """What a run builds on, in a folder of its own that is gone when the block ends."""
    copy = _copy_of(layout, run_id)
    try:
        for folder in (layout.state / "parts", layout.state / "rejects", layout.calibrations, layout.erased):
            if folder.is_dir():
                shutil.copytree(folder, copy.state / folder.name, copy_function=link_or_copy)
        _before(copy, _SEGMENTS).parent.mkdir()
        yield copy
    except ClvpipeError as error:
        _tell_of_the_folder(error, layout, copy)
        raise
    finally:
        shutil.rmtree(copy.out, ignore_errors=True)


def _tell_of_the_folder(error: ClvpipeError, layout: Layout, copy: Layout) -> None:
    """Nobody can look into the copy any more, so no message points there."""
    error.left = "everything"
    if error.where:
        error.where = error.where.replace(str(copy.out), str(layout.out))
    if error.next_step and str(copy.out) in error.next_step:
        error.next_step = (
            "mend the file or the settings; a run would be refused, too, and keep the records aside"
        )


def _version(layout: Layout, request: Request) -> Path:
    """The publication to compare with: what readers see, or else the newest one that is kept of the day."""
    current = current_version(layout)
    if request.as_of is None:
        return current
    asked = {"as_of": request.as_of.isoformat()}
    if request.known_at:
        asked["known_at"] = request.known_at.isoformat()
    for version in (current, *readable_versions(layout)):
        if asked.items() <= read_manifest(version).items():
            return version
    raise InputError(
        f"no publication that is kept is of {' known at '.join(asked.values())}",
        where=str(layout.versions),
        left="everything",
        next_step="leave out --as-of for the one that readers see, or compare with --against OLD_CONFIG",
    )


def _of_day(request: Request, version: Path) -> Request:
    """The request for the day of a publication, and for what it knew."""
    manifest = read_manifest(version)
    known_at = manifest["known_at"]
    return replace(
        request,
        as_of=date.fromisoformat(manifest["as_of"]),
        known_at=date.fromisoformat(known_at) if known_at else None,
    )


def _published(copy: Layout, version: Path) -> _Side:
    """A publication as the other side.

    Raises:
        StorageError: It is damaged.
    """
    manifest = read_manifest(version)
    for file in files_of(manifest):
        if file.dataset not in _COMPARED:
            continue
        source = version / file.path
        if not source.is_file() or sha256_of(source) != file.sha256:
            raise StorageError(
                "a published file is missing or damaged",
                where=str(source),
                next_step="clvpipe verify; running the day again makes the version anew",
            )
        link_or_copy(source, _before(copy, file.dataset))
    return _Side(
        version.name,
        manifest["identity"],
        manifest["code_version"],
        frozenset((part["table"], part["name"], part["sha256"]) for part in manifest["inputs"]),
    )


def _made(copy: Layout, request: Request, watch: Watch) -> _Side:
    """Another configuration as the other side: its tables are made in the same copy, before ours."""
    with open_run(_in_copy(request, copy), watch) as context:
        _make_tables(context)
        for name in _COMPARED:
            contract = PUBLISHED[name]
            context.engine.write_parquet(
                _before(copy, name), name, columns=contract.column_names, order_by=contract.key
            )
        name, identity = str(request.config_path), context.identity.fingerprint
        return _Side(name, identity, code_version(), _seen(context))


def _in_copy(request: Request, copy: Layout) -> Request:
    return replace(request, out=copy.out, stages=STAGES)


def _make_tables(context: Context) -> None:
    for stage in STAGES:
        run_stage(context, stage)


def _must_match(context: Context, side: _Side) -> None:
    if context.identity.fingerprint != side.identity:
        raise ConfigError(
            f"customers go by other ids than in {side.name}, so that nobody could be compared",
            where="section [privacy]",
            next_step="preview with the same ids on both sides: --against OLD_CONFIG under the same key",
        )


def _seen(context: Context) -> frozenset[tuple[str, str, str]]:
    parts = known(context, ledger(context))
    return frozenset((part.extract, part.source_name, part.sha256) for part in parts)


def _compared(context: Context, side: _Side) -> Preview:
    """Hold the tables of the run against the other side's."""
    engine = context.engine
    for name, view in _COMPARED.items():
        engine.view_parquet(view, [_before(context.layout, name)])
    flows = {scheme: _flows(engine, scheme) for scheme in _schemes(engine)}
    of_all = flows[SCHEMES[0]]
    return Preview(
        as_of=context.day,
        known_at=context.known_at,
        against=side.name,
        new_deliveries=len(_seen(context) - side.inputs),
        code_version=side.code_version,
        customers_new=sum(flow.customers for flow in of_all if flow.from_label is None),
        customers_gone=sum(flow.customers for flow in of_all if flow.to_label is None),
        schemes=tuple(_moves(scheme, found) for scheme, found in flows.items()),
        thresholds=differences(*(_values(engine, name) for name in (_COMPARED[_THRESHOLDS], _THRESHOLDS))),
    )


def _schemes(engine: Engine) -> list[str]:
    """Those of both sides: a publication of an earlier schema may lack one."""
    both = engine.describe(_COMPARED[_SEGMENTS]).keys() & engine.describe(_SEGMENTS).keys()
    return [scheme for scheme in SCHEMES if scheme in both]


def _flows(engine: Engine, scheme: str) -> list[Flow]:
    """How many customers there are of each pair of labels."""
    labels = {"label_before": _label("b", scheme), "label_after": _label("a", scheme)}
    return [Flow(*row) for row in engine.rows(load("moves").bind({}, rules=labels))]


def _label(side: str, scheme: str) -> exp.Expr:
    """The label; where there is none, the status that says why, as in `segment_summary`."""
    label, status = exp.column(scheme, table=side), PUBLISHED[_SEGMENTS].column(scheme).status
    return exp.func("COALESCE", label, exp.column(status, table=side)) if status else label


def _moves(scheme: str, flows: Sequence[Flow]) -> SchemeMoves:
    both = [flow for flow in flows if flow.from_label is not None and flow.to_label is not None]
    moves = tuple(flow for flow in both if flow.from_label != flow.to_label)
    return SchemeMoves(
        scheme,
        sum(flow.customers for flow in both),
        sum(flow.customers for flow in moves),
        _sum(move.current_value for move in moves),
        _sum(move.future_value_12m for move in moves),
        moves,
    )


def _sum(values: Iterable[Decimal | None]) -> Decimal | None:
    """The sum of what is known; None if nothing is."""
    found = [value for value in values if value is not None]
    return sum(found, Decimal(0)) if found else None


def _values(engine: Engine, table: str) -> dict[str, Plain]:
    return dict(engine.ordered(table, ("name", "value"), by=("name",)).rows())
