"""`segment_history`: a file a month-end, taken along from version to version, and one of the latest day."""

import calendar
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from clvpipe.contracts import PUBLISHED
from clvpipe.errors import DamagedError
from clvpipe.publish.contract import POLARS_TYPES
from clvpipe.publish.layout import Layout
from clvpipe.publish.versions import (
    PublishedFile,
    files_of,
    link_file,
    read_manifest,
    sound_file,
    stage_file,
)

DATASET = "segment_history"
# What stands in a status and a reason of columns that a month-end was published without.
_UNTOLD = {"status": "NOT_AVAILABLE", "reason": "NOT_COMPUTED"}


def is_month_end(day: date) -> bool:
    """Whether the day is the last of its month."""
    return day.day == calendar.monthrange(day.year, day.month)[1]


def month_ends(first: date, last: date) -> list[date]:
    """The month-ends from `first` to `last`, both inclusive."""
    days = []
    day = first
    while day <= last:
        end = day.replace(day=calendar.monthrange(day.year, day.month)[1])
        if end <= last:
            days.append(end)
        day = end + timedelta(days=1)
    return days


def kept_days(version: Path, *, before: date) -> dict[date, PublishedFile]:
    """The month-ends before a day that a version holds."""
    found = {
        date.fromisoformat(file.as_of_date): file
        for file in files_of(read_manifest(version))
        if file.dataset == DATASET
    }
    return {day: file for day, file in sorted(found.items()) if day < before and is_month_end(day)}


def take_along(
    layout: Layout, version: Path, *, before: date, without: Collection[date]
) -> Iterator[PublishedFile]:
    """Stage the month-ends of an earlier version, but for those that are made anew.

    A file that was written before a column was added gets the column, empty beside a status that says so:
    there is one schema. Where a breaking change has been allowed, months that cannot be read with it stay
    behind, in the version before.

    Raises:
        DamagedError: A file is not what its manifest says.
    """
    for day, file in kept_days(version, before=before).items():
        if day in without:
            continue
        try:
            source = sound_file(version, file)
        except DamagedError as error:
            error.next_step = f"clvpipe verify; then clvpipe backfill --from {day} --to {day} makes it anew"
            raise
        wanted = {column.name: POLARS_TYPES[column.type] for column in PUBLISHED[DATASET].columns}
        found = pl.read_parquet_schema(source)
        if list(found.items()) == list(wanted.items()):
            yield link_file(layout, file, source)
        elif found.items() <= wanted.items():
            yield replace(_evolved(layout, day, source, wanted), erased=file.erased)


def missing_month_ends(days: Collection[date]) -> list[date]:
    """Month-ends between the first and the last day that are not among them."""
    return [day for day in month_ends(min(days), max(days)) if day not in days] if days else []


def _untold(name: str, there: Collection[str]) -> str | None:
    """What a new column holds: a new status and its reason say why; beside an old status, nothing."""
    group, _, kind = name.rpartition("_")
    return _UNTOLD.get(kind) if f"{group}_status" not in there else None


def _evolved(layout: Layout, day: date, source: Path, wanted: dict[str, pl.DataType]) -> PublishedFile:
    frame = pl.read_parquet(source)
    frame = frame.select(
        pl.col(name) if name in frame.columns else pl.lit(_untold(name, frame.columns), kind).alias(name)
        for name, kind in wanted.items()
    )
    written = layout.staging / "evolved.parquet"
    frame.write_parquet(written, compression="zstd", statistics=True)
    return stage_file(layout, DATASET, day, written, frame.height)
