"""Take customers out of the ledger, the warehouse and every kept version. Who they are, the tombstones say.

Whatever is killed in the middle, the next run finishes before it reads anything: the tombstones come first.
"""

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clvpipe.contracts import PUBLISHED
from clvpipe.contracts.extracts import CUSTOMER, EXTRACTS, IDENTIFIERS, MENTIONS
from clvpipe.engine import Engine
from clvpipe.errors import DamagedError
from clvpipe.privacy import Tombstones
from clvpipe.publish import Layout
from clvpipe.publish.files import make_durable
from clvpipe.publish.versions import (
    DICTIONARY,
    PublishedFile,
    clear_staging,
    files_of,
    is_sound,
    link_file,
    point_current,
    read_manifest,
    readable_versions,
    remove_version,
    settle_version,
    stage_file,
)
from clvpipe.publish.warehouse import keep_warehouse, remove_warehouse
from clvpipe.stages.ledger import read_facts

CHECK = "erased_customers"
_ERASED = "erased_ids"


@dataclass(frozen=True)
class Erasure:
    """What was rewritten.

    Attributes:
        found: Ids of erased customers that were found anywhere; not to be told.
        records: Records of the ledger that they had.
        parts: Parts rewritten.
        versions: Publications rewritten.
        removed: Damaged publications, which could not be rewritten and did not stay.
    """

    found: frozenset[str] = field(repr=False)
    records: int
    parts: int
    versions: int
    removed: int


def finish_erasure(layout: Layout) -> Tombstones:
    """Load the tombstones, and finish an erasure that was cut short.

    Raises:
        StorageError: They are damaged, or the disk refuses.
    """
    tombstones = Tombstones.load(layout.erased)
    if tombstones.pending:
        erase(layout, tombstones)
        tombstones = tombstones.finished()
    return tombstones


def identities(layout: Layout) -> set[str]:
    """By which identities the customers of kept parts and publications go (see `Identity.fingerprint`).

    Raises:
        StorageError: A publication was written by another clvpipe, and cannot be rewritten by this one; or
            a part of the ledger is damaged.
    """
    paths = _of_every_extract(layout.parts)
    facts = [read_facts(path)[0] for path in paths]
    for version in sorted(layout.versions.glob("*")):
        with suppress(DamagedError):
            facts.append(read_manifest(version))
    return {str(one.get("identity", "plain")) for one in facts}


def erase(layout: Layout, tombstones: Tombstones) -> Erasure:
    """Rewrite all that holds an erased customer, file by file, each in one step.

    Args:
        layout: The output folder, whose lock is held.
        tombstones: Who is erased.

    Raises:
        DamagedError: A part of the ledger is; it is named.
        StorageError: A version was written by another clvpipe, or the file system refuses.
    """
    _clear(layout)
    for path in _of_every_extract(layout.rejects):
        _withhold(layout, path)
    parts = {}
    for path in _of_every_extract(layout.parts):
        read_facts(path)
        if names := _erased_in(path, tombstones):
            parts[path] = names
    versions, damaged = _versions_with(layout, tombstones)
    found = {name for names in parts.values() for name in names}
    found |= {name for files in versions.values() for names in files.values() for name in names}
    database = layout.work_database
    with Engine(database, folders=layout.folders, temp_directory=layout.work / "spill", threads=1) as engine:
        warehouse = _copied_warehouse(layout, engine)
        if warehouse is not None:
            found |= set(filter(tombstones.holds, engine.distinct(warehouse, IDENTIFIERS)))
        engine.load_rows(_ERASED, {CUSTOMER: "VARCHAR"}, [(name,) for name in sorted(found)], temporary=True)
        records = sum(_rewrite_part(layout, engine, path) for path in parts)
        for version, affected in versions.items():
            _rewrite_version(layout, engine, version, affected)
        if warehouse is not None:
            engine.copy_tables(warehouse, without=_ERASED, column=CUSTOMER, blank=MENTIONS)
            engine.checkpoint()
    if warehouse is not None:
        keep_warehouse(layout)
    for version in damaged:
        remove_version(layout, version)
    _point_somewhere(layout)
    _clear(layout)
    return Erasure(frozenset(found), records, len(parts), len(versions), len(damaged))


def _copied_warehouse(layout: Layout, engine: Engine) -> Path | None:
    """A copy of the analysts' warehouse, to be read whoever has the file itself open.

    One that cannot be read is removed: it is made anew by the next run, and an erasure waits for nobody.
    """
    if not layout.warehouse.exists():
        remove_warehouse(layout)
        return None
    copy = layout.work / "warehouse-copy.duckdb"
    shutil.copyfile(layout.warehouse, copy)
    if not engine.can_read(copy):
        remove_warehouse(layout)
        return None
    return copy


def _of_every_extract(folder_of: Callable[[str], Path]) -> list[Path]:
    return [path for name in EXTRACTS for path in sorted(folder_of(name).glob("*.parquet"))]


def _clear(layout: Layout) -> None:
    layout.sweep()
    shutil.rmtree(layout.work)
    layout.prepare()


def _point_somewhere(layout: Layout) -> None:
    """Where readers saw a damaged publication that is gone, they see the newest sound one, or none."""
    if layout.current.is_symlink() and not layout.current.exists():
        left = readable_versions(layout)
        if left:
            point_current(layout, left[0])
        else:
            layout.current.unlink()


def _erased_in(path: Path, tombstones: Tombstones) -> list[str]:
    """The ids of erased customers in a Parquet file, of the ledger or of a sound version."""
    columns = [name for name in IDENTIFIERS if name in pq.read_schema(path).names]
    named = {name for column in columns for name in _distinct(path, column)}
    return sorted(name for name in named if tombstones.holds(name))


def _distinct(path: Path, column: str) -> list[str]:
    values = pq.read_table(path, columns=[column]).column(column)
    texts: list[str] = pc.unique(pc.drop_null(values)).to_pylist()
    return texts


def _versions_with(
    layout: Layout, tombstones: Tombstones
) -> tuple[dict[Path, dict[str, list[str]]], list[Path]]:
    """Versions that hold an erased customer, and in which files; and those that are not what was published.

    Of a damaged one nobody knows what it holds, and to write it anew would call the damage sound.
    """
    seen: dict[int, list[str]] = {}
    result, damaged = {}, []
    for version in sorted(layout.versions.glob("*")):
        if not is_sound(version):
            damaged.append(version)
        elif affected := _affected(version, tombstones, seen):
            result[version] = affected
    return result, damaged


def _affected(version: Path, tombstones: Tombstones, seen: dict[int, list[str]]) -> dict[str, list[str]]:
    """Files of a version with the erased ids in them; one that several versions share is read once."""
    affected = {}
    for file in files_of(read_manifest(version)):
        path = version / file.path
        inode = path.stat().st_ino
        if inode not in seen:
            seen[inode] = _erased_in(path, tombstones)
        if seen[inode]:
            affected[file.path] = seen[inode]
    return affected


def _rewrite_part(layout: Layout, engine: Engine, path: Path) -> int:
    """The part as ingest would have made it without these customers; the records that went."""
    facts, before = read_facts(path)
    staged = layout.work / "part.parquet"
    engine.view_parquet("part", [path])
    columns = list(engine.describe("part"))
    engine.drop_rows_of(_ERASED, CUSTOMER, source="part", target="kept", blank=MENTIONS)
    after = engine.count("kept")
    facts["erased"] = facts.get("erased", 0) + before - after
    engine.write_parquet(staged, "kept", columns=columns, order_by=("line",), metadata=facts)
    make_durable(staged, path)
    return before - after


def _withhold(layout: Layout, rejects: Path) -> None:
    """Drop the raw text of rejected records: anybody may be named in it, in any way of writing."""
    table = pq.read_table(rejects)
    if table.column("raw").null_count == table.num_rows:
        return
    place = table.schema.get_field_index("raw")
    table = table.set_column(place, pa.field("raw", pa.string()), pa.nulls(table.num_rows, pa.string()))
    staged = layout.work / "rejects.parquet"
    pq.write_table(table, staged, compression="zstd")
    make_durable(staged, rejects)


def _rewrite_version(layout: Layout, engine: Engine, version: Path, affected: dict[str, list[str]]) -> None:
    """The same publication without these customers; its aggregates stay, beside the count of the erased.

    How many of its events were theirs is not known, so the next run is held against its customers alone.
    """
    manifest = read_manifest(version)
    clear_staging(layout)
    shutil.copyfile(version / DICTIONARY, layout.staging / DICTIONARY)
    files = files_of(manifest)
    details = [file for file in files if file.dataset == "customer_segments"]
    gone = sum(len(affected.get(file.path, ())) for file in details)
    erased = gone + sum(file.erased for file in details)
    rewritten = []
    for file in files:
        if file.path in affected:
            rewritten.append(_without(layout, engine, version, file))
        elif file.dataset == "data_quality":
            rewritten.append(_counted(layout, engine, version, file, erased))
        else:
            rewritten.append(link_file(layout, file, version / file.path))
    facts: dict[str, Any] = {key: manifest[key] for key in manifest if key not in ("version", "files")}
    facts["supersedes"] = [*manifest["supersedes"], version.name]
    facts["volume"] = {"customers": manifest["volume"]["customers"] - gone}
    folder = settle_version(layout, date.fromisoformat(manifest["as_of"]), rewritten, facts)
    if layout.current.exists() and layout.current.resolve() == version.resolve():
        point_current(layout, folder)
    remove_version(layout, version)


def _without(layout: Layout, engine: Engine, version: Path, file: PublishedFile) -> PublishedFile:
    engine.view_parquet("published", [version / file.path])
    engine.drop_rows_of(_ERASED, CUSTOMER, source="published", target="kept")
    return _restage(layout, engine, file, file.rows)


def _counted(
    layout: Layout, engine: Engine, version: Path, file: PublishedFile, erased: int
) -> PublishedFile:
    engine.view_parquet("published", [version / file.path])
    engine.replace_values(
        "published", target="kept", values={"observed": erased}, where=("check_name", CHECK)
    )
    return _restage(layout, engine, file, file.rows)


def _restage(layout: Layout, engine: Engine, file: PublishedFile, rows: int) -> PublishedFile:
    written = layout.staging / f"{file.dataset}.parquet"
    key = PUBLISHED[file.dataset].key if file.dataset in PUBLISHED else (CUSTOMER,)
    left = engine.write_parquet(written, "kept", columns=list(engine.describe("kept")), order_by=key)
    staged = stage_file(layout, file.dataset, date.fromisoformat(file.as_of_date), written, left)
    return replace(staged, erased=file.erased + rows - left)
