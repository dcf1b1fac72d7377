"""The ledger: one typed part a delivered file, by extract. Its presence is the record of the delivery."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyarrow import ArrowInvalid

from clvpipe.config import Settings
from clvpipe.errors import DamagedError, InputError
from clvpipe.extracts import SourceFile
from clvpipe.privacy import Identity
from clvpipe.publish import Layout
from clvpipe.sqlrepo import typing_query
from clvpipe.stages.context import Context

# Rises when the same file and settings would make another part.
PART_FORMAT = 4


@dataclass(frozen=True)
class Part:
    """One delivered file in the ledger.

    Attributes:
        path: The typed part.
        rejects: Its records that were set aside.
        source_name: Name of the file.
        reader: Digest of how it was read.
        columns: The file's own columns.
        delivered_on: The earliest extract date of its rows, if they have one.
        loaded: Rows in the part.
        rejected: Records set aside.
        erased: Records of customers who have been erased.
    """

    path: Path
    rejects: Path
    source_name: str
    reader: str
    columns: frozenset[str]
    delivered_on: date | None
    loaded: int
    rejected: int
    erased: int

    @property
    def extract(self) -> str:
        """Name of the extract that it is of."""
        return self.path.parent.name

    @property
    def sha256(self) -> str:
        """Of the file as delivered."""
        return self.path.stem.partition("-")[0]


def read_part(path: Path, rejects: Path) -> Part:
    """A part and its rejects, by what they say of themselves.

    Raises:
        DamagedError: One of them is not what was written.
    """
    facts, loaded = read_facts(path)
    beside, rejected = read_facts(rejects)
    with _whole(path):
        return Part(
            path=path,
            rejects=rejects,
            source_name=facts["source"],
            # A run that was killed between the two has left them of different readings: neither counts.
            reader=facts["reader"] if beside["reader"] == facts["reader"] else "",
            columns=frozenset(facts.get("columns", ())),
            delivered_on=date.fromisoformat(facts["delivered_on"]) if facts.get("delivered_on") else None,
            loaded=loaded,
            rejected=rejected,
            erased=facts.get("erased", 0),
        )


def read_facts(path: Path) -> tuple[dict[str, Any], int]:
    """What a part, or its file of rejects, says of itself, and its rows.

    Raises:
        DamagedError: It is not what was written.
    """
    with _whole(path):
        metadata = pq.read_metadata(path)
        return json.loads(metadata.metadata[b"clvpipe"]), metadata.num_rows


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """A part that cannot be read is named, with what mends it."""
    try:
        yield
    except (FileNotFoundError, ArrowInvalid, ValueError, KeyError, TypeError) as error:
        raise DamagedError(
            "a part of the ledger, or its file of rejects, is missing or damaged",
            where=str(path),
            left="the last publication",
            next_step="put the delivered file back and remove the named part: it is read anew",
        ) from error


def ledger(context: Context) -> list[Part]:
    """Every delivery so far of the configured extracts, by extract and in order of content hash.

    Raises:
        InputError: A part was typed under other settings and its file is gone, so it cannot be made again.
    """
    parts, stale = [], []
    for name in context.settings.inputs.configured:
        reader, own = reader_digest(context.settings, context.identity, name), parts_of(context, name)
        parts += own
        stale += [part for part in own if part.reader != reader]
    if stale:
        raise InputError(
            f"{len(stale)} earlier deliveries were read under other settings and their files are gone",
            where=", ".join(f"{part.source_name} ({part.path})" for part in stale[:5]),
            left="everything",
            next_step="put the files back, or remove the named parts from the state folder",
        )
    return parts


def parts_of(context: Context, name: str) -> list[Part]:
    """The parts of one extract, however they were read."""
    paths = sorted(context.layout.parts(name).glob("*.parquet"))
    return [read_part(path, context.layout.rejects(name) / path.name) for path in paths]


def is_known(layout: Layout, name: str, file: SourceFile, reader: str) -> bool:
    """Whether a delivered file has its part, whole and typed as it would be now."""
    path = layout.parts(name) / file.part_name
    try:
        return path.exists() and read_part(path, layout.rejects(name) / file.part_name).reader == reader
    except DamagedError:
        return False


def remove_damaged(layout: Layout, name: str, file: SourceFile) -> None:
    """Take a damaged part of a delivered file away: the file is there to be read anew."""
    path = layout.parts(name) / file.part_name
    try:
        if path.exists():
            read_part(path, layout.rejects(name) / file.part_name)
    except DamagedError:
        path.unlink()


def known(context: Context, parts: Sequence[Part]) -> list[Part]:
    """Those of the ledger that had been delivered by `known_at`."""
    until = context.known_at
    return [part for part in parts if not (until and part.delivered_on and part.delivered_on > until)]


def by_extract(parts: Sequence[Part]) -> dict[str, list[Part]]:
    """Parts by the name of their extract."""
    found: dict[str, list[Part]] = {}
    for part in parts:
        found.setdefault(part.extract, []).append(part)
    return found


def reader_digest(settings: Settings, identity: Identity, name: str) -> str:
    """What a part depends on beside its file: how the file is read."""
    table = settings.inputs.configured[name].model_dump(mode="json", exclude={"files", "delivery"})
    key = json.dumps(
        [PART_FORMAT, table, settings.currency, settings.timezone, _typing(name), identity.fingerprint],
        sort_keys=True,
    )
    return hashlib.sha256(key.encode()).hexdigest()


@cache
def _typing(name: str) -> str:
    return typing_query(name).tree.sql()


def delivery_order(part: Part) -> tuple[date, str, str]:
    """Deliveries by their date, then by name."""
    return part.delivered_on or date.min, part.source_name, part.sha256


def drift(before: frozenset[str], after: frozenset[str]) -> str:
    """In words: which columns went and came; empty if none."""
    changes = (("without", sorted(before - after)), ("with", sorted(after - before)))
    return "; ".join(f"{word} {', '.join(names)}" for word, names in changes if names)


def main_reason(rejects: Sequence[Path]) -> str | None:
    """Why most of the records that were set aside were so."""
    counts: Counter[str] = Counter()
    for path in rejects:
        counts.update(_reasons(path))
    return max(counts, key=lambda text: (counts[text], text)) if counts else None


def _reasons(path: Path) -> Iterator[str]:
    for row in pq.read_table(path, columns=["column_name", "reason"]).to_pylist():
        yield f"{row['reason']} in column {row['column_name']}" if row["column_name"] else row["reason"]
