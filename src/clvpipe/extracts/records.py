"""Records of one file as Arrow batches of text, by column name, with the lines that they start on.

Every physical line is accounted for: header + blank lines + lines of records + lines of rejects = lines.
"""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from clvpipe.config.inputs import TableInput
from clvpipe.contracts.extracts import EXTRACTS
from clvpipe.errors import InputError, StorageError
from clvpipe.extracts.files import SourceFile
from clvpipe.extracts.text import REPLACEMENT, CleanText, last_open_quote

Lines = np.ndarray[tuple[int], np.dtype[np.int64]]
Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]
_BLOCK_BYTES = 16 << 20
# Floats hold every whole number below it.
_LARGEST_WHOLE = 2.0**53
LINE = "line"


@dataclass(frozen=True)
class RawReject:
    """A record that has not the shape of the table. `text` is private: it never leaves the state folder."""

    line: int
    reason: str
    text: str


@dataclass
class FileRecords:
    """What reading one file gives.

    Attributes:
        batches: To be consumed once: `line` (int64) and every wanted column as text.
        present: Our columns that the file has.
        typed: Those of them that have a type of their own (Parquet): dates come as ISO, numbers with a point.
        names: The file's own columns.
        rejects: Filled while the batches are consumed.
    """

    batches: Iterator[pa.RecordBatch]
    present: frozenset[str]
    typed: frozenset[str]
    names: tuple[str, ...]
    rejects: list[RawReject] = field(default_factory=list)


def read_records(
    file: SourceFile, table: TableInput, wanted: Sequence[str], required: Sequence[str]
) -> FileRecords:
    """Open one extract.

    Args:
        file: The file.
        table: How it is written.
        wanted: Our column names; those that the file lacks come as NULL.
        required: Those that must be there.

    Raises:
        InputError: The file is empty, has no usable header, is cut off, or ends inside a quoted field.
    """
    return _parquet(file, table, wanted, required) if file.is_parquet else _csv(file, table, wanted, required)


def column_sources(
    file: SourceFile, table: TableInput, wanted: Sequence[str], required: Sequence[str]
) -> dict[str, str]:
    """Our name -> the file's, of every wanted column that the file has, from its header alone.

    Raises:
        InputError: As `read_records`.
    """
    if file.is_parquet:
        with readable(file):
            names = list(pq.read_schema(file.path).names)
    else:
        names, _ = _header(file, table)
    return _match(file, table, names, wanted, required)


def _csv(file: SourceFile, table: TableInput, wanted: Sequence[str], required: Sequence[str]) -> FileRecords:
    names, header_lines = _header(file, table)
    sources = _match(file, table, names, wanted, required)
    records = FileRecords(iter(()), frozenset(sources), frozenset(), tuple(names))
    records.batches = _csv_batches(file, table, names, header_lines, sources, wanted, records.rejects)
    return records


def _header(file: SourceFile, table: TableInput) -> tuple[list[str], int]:
    if table.column_names is not None:
        return list(table.column_names), 0
    with file.open() as stream, readable(file):
        text = CleanText(stream, table.encoding, squeeze_blanks=table.delimiter == "whitespace")
        head = b""
        while b"\n" not in head and len(head) < _BLOCK_BYTES and (block := text.read(1 << 16)):
            head += block
    first = head.split(b"\n", 1)[0].decode("utf-8", "replace")
    if not first.strip():
        raise _refuse(file, "the file is empty" if not head.strip() else "the first line is blank", line=1)
    try:
        [fields] = csv.reader([first], delimiter=_delimiter(table), skipinitialspace=True)
    except csv.Error as error:
        raise _refuse(file, "the header cannot be read", line=1) from error
    names = [name.strip() for name in fields]
    _must_differ(file, table, names)
    return names, 1


def named_twice(names: Sequence[str]) -> str | None:
    """A name that two columns have. Those without one, as spreadsheets leave them, cannot be asked for."""
    return next((name for name in names if name and names.count(name) > 1), None)


def _must_differ(file: SourceFile, table: TableInput, names: Sequence[str]) -> None:
    twice = named_twice(names)
    if twice is not None:
        which = f"the column {twice!r}" if _is_header(names, table) else "a column"
        raise _refuse(file, f"the header names {which} twice", line=1)


def _match(
    file: SourceFile, table: TableInput, names: Sequence[str], wanted: Sequence[str], required: Sequence[str]
) -> dict[str, str]:
    """Our name -> the file's. Exact names first; else the only one that differs by case alone."""
    folded: dict[str, list[str]] = {}
    for name in names:
        folded.setdefault(name.casefold(), []).append(name)
    found: dict[str, str] = {}
    for ours in wanted:
        theirs = table.columns.get(ours, ours)
        candidates = [theirs] if theirs in names else folded.get(theirs.casefold(), [])
        if len(candidates) == 1:
            found[ours] = candidates[0]
        elif ours in table.columns or ours in required:
            raise _refuse(
                file,
                f"there is no column {theirs!r} (it feeds `{ours}`); {_told(names, table)}",
                line=1,
            )
    twice = [name for name in found.values() if list(found.values()).count(name) > 1]
    if twice:
        raise _refuse(file, f"the column {twice[0]!r} is mapped twice", line=1)
    return found


def _told(names: Sequence[str], table: TableInput) -> str:
    """The file's columns; a first line that is a record holds a customer's data, and is not told."""
    if _is_header(names, table):
        return f"the file has: {', '.join(names[:30])}"
    return "its first line holds none of the expected names: has the file a header?"


def _is_header(names: Sequence[str], table: TableInput) -> bool:
    """Whether the first line holds any name that this or another extract goes by."""
    known = {*table.columns.values(), *(name for extract in EXTRACTS.values() for name in extract.columns)}
    return bool({name.casefold() for name in names} & {name.casefold() for name in known})


def _csv_batches(
    file: SourceFile,
    table: TableInput,
    names: Sequence[str],
    header_lines: int,
    sources: dict[str, str],
    wanted: Sequence[str],
    rejects: list[RawReject],
) -> Iterator[pa.RecordBatch]:
    shape = _ShapeWatch()
    with file.open() as stream, readable(file):
        text = CleanText(stream, table.encoding, squeeze_blanks=table.delimiter == "whitespace")
        keys = [f"c{index}" for index in range(len(names))]
        reader = pacsv.open_csv(
            pa.PythonFile(text, mode="r"),
            read_options=pacsv.ReadOptions(
                use_threads=False, block_size=_BLOCK_BYTES, skip_rows=header_lines, column_names=keys
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=_delimiter(table),
                newlines_in_values=True,
                ignore_empty_lines=False,
                invalid_row_handler=shape,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(keys, pa.string()), strings_can_be_null=False
            ),
        )
        row, extra_lines = 0, 0
        for batch in reader:
            lines, row, extra_lines = shape.lines(batch, row, extra_lines, header_lines)
            columns = {
                ours: batch.column(names.index(sources[ours]))
                if ours in sources
                else pa.nulls(batch.num_rows, pa.string())
                for ours in wanted
            }
            blank, damaged = _blank(batch), _damaged(batch)
            whole = pa.RecordBatch.from_pydict({LINE: pa.array(lines), **columns})
            good, bad = whole.filter(pa.array(~(blank | damaged))), _raw_rejects(lines, damaged, batch)
            rejects.extend(bad)
            yield good
        shape.finish(row, extra_lines, header_lines)
        rejects.extend(shape.rejects)
        if text.quotes % 2:
            with file.open() as again:
                line = last_open_quote(again, table.encoding)
            what = "a quoted field is never closed, so the records after it cannot be told apart"
            raise _refuse(file, what, line=line)
        if text.lines != shape.lines_accounted + header_lines:
            raise _refuse(file, "the lines read and the lines in the file differ: the quoting is broken")


class _ShapeWatch:
    """Takes rows with the wrong number of fields from Arrow and keeps count of the physical lines.

    Arrow numbers invalid rows among all rows from 1 and skips them; good rows come without numbers. Between
    two invalid rows the good ones are consecutive, which gives every row its place.
    """

    def __init__(self) -> None:
        self._invalid: deque[tuple[int, str]] = deque()
        self.rejects: list[RawReject] = []
        self.lines_accounted = 0

    def __call__(self, row: pacsv.InvalidRow) -> str:
        self._invalid.append((row.number, row.text))
        return "skip"

    def lines(
        self, batch: pa.RecordBatch, row: int, extra_lines: int, header_lines: int
    ) -> tuple[Lines, int, int]:
        """Start lines of a batch's records; then the rows and extra lines (inside fields) so far."""
        inside = np.zeros(batch.num_rows, dtype=np.int64)
        for column in batch.columns:
            inside += pc.count_substring(column, "\n").to_numpy(zero_copy_only=False)
        result = np.empty(batch.num_rows, dtype=np.int64)
        done = 0
        while done < batch.num_rows:
            row, extra_lines = self._take_invalid(row, extra_lines, header_lines)
            until = self._invalid[0][0] - header_lines - 1 if self._invalid else row + batch.num_rows
            take = min(batch.num_rows - done, until - row)
            before = np.cumsum(inside[done : done + take]) - inside[done : done + take]
            result[done : done + take] = np.arange(row, row + take) + before + extra_lines + header_lines + 1
            extra_lines += int(inside[done : done + take].sum())
            row += take
            done += take
        return result, row, extra_lines

    def finish(self, row: int, extra_lines: int, header_lines: int) -> None:
        """Place the invalid rows after the last good one."""
        row, extra_lines = self._take_invalid(row, extra_lines, header_lines)
        self.lines_accounted = row + extra_lines

    def _take_invalid(self, row: int, extra_lines: int, header_lines: int) -> tuple[int, int]:
        while self._invalid and self._invalid[0][0] - header_lines - 1 <= row:
            _, text = self._invalid.popleft()
            if text.strip():
                self.rejects.append(RawReject(row + extra_lines + header_lines + 1, "FIELD_COUNT", text))
            extra_lines += text.count("\n")
            row += 1
        return row, extra_lines


def _blank(batch: pa.RecordBatch) -> Flags:
    """Records without any data: blank lines, which are neither loaded nor set aside."""
    blank = np.ones(batch.num_rows, dtype=bool)
    for column in batch.columns:
        blank &= pc.equal(pc.utf8_trim_whitespace(column), "").to_numpy(zero_copy_only=False)
    return blank


def _damaged(batch: pa.RecordBatch) -> Flags:
    """Records with bytes that the encoding does not know."""
    damaged = np.zeros(batch.num_rows, dtype=bool)
    for column in batch.columns:
        damaged |= pc.match_substring(column, REPLACEMENT).to_numpy(zero_copy_only=False)
    return damaged


def _raw_rejects(lines: Lines, damaged: Flags, batch: pa.RecordBatch) -> list[RawReject]:
    rows = np.flatnonzero(damaged)
    records = batch.take(pa.array(rows)).to_pylist() if len(rows) else []
    return [
        RawReject(int(lines[row]), "ENCODING", "\t".join(record.values()))
        for row, record in zip(rows, records, strict=True)
    ]


def _parquet(
    file: SourceFile, table: TableInput, wanted: Sequence[str], required: Sequence[str]
) -> FileRecords:
    with readable(file):
        source = pq.ParquetFile(file.path)
    schema = source.schema_arrow
    names = schema.names
    _must_differ(file, table, names)
    sources = _match(file, table, names, wanted, required)
    kinds = {ours: schema.field(theirs).type for ours, theirs in sources.items()}
    for ours, kind in kinds.items():
        if not is_readable(kind):
            raise _refuse(
                file, f"the column {sources[ours]!r} holds values of type {kind}, which cannot be read"
            )
    # A whole number may be a day written without marks, and an id anyhow.
    typed = {ours for ours, kind in kinds.items() if not (_is_text(kind) or pa.types.is_integer(kind))}
    return FileRecords(
        _parquet_batches(file, source, sources, wanted), frozenset(sources), frozenset(typed), tuple(names)
    )


def _parquet_batches(
    file: SourceFile, source: pq.ParquetFile, sources: dict[str, str], wanted: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    row = 1
    with readable(file):
        for batch in source.iter_batches(columns=list(sources.values())):
            lines = pa.array(np.arange(row, row + batch.num_rows, dtype=np.int64))
            row += batch.num_rows
            yield pa.RecordBatch.from_pydict(
                {
                    LINE: lines,
                    **{
                        ours: as_text(batch.column(sources[ours]))
                        if ours in sources
                        else pa.nulls(batch.num_rows, pa.string())
                        for ours in wanted
                    },
                }
            )


def as_text(column: pa.Array) -> pa.Array:
    """A column as text. Who keeps whole numbers beside gaps as floats means neither `1e+15` nor `nan`."""
    text = pc.cast(column, pa.string())
    if not pa.types.is_floating(column.type):
        return text
    values = column.to_numpy(zero_copy_only=False).astype(np.float64)
    whole = np.abs(values) < _LARGEST_WHOLE
    whole[whole] = values[whole] == np.trunc(values[whole])
    integers = pc.cast(pa.array(np.where(whole, values, 0.0).astype(np.int64)), pa.string())
    missing = pa.array(np.isnan(values))
    return pc.if_else(missing, pa.scalar(None, pa.string()), pc.if_else(pa.array(whole), integers, text))


def _is_text(kind: pa.DataType) -> bool:
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(
        pa.types.is_string(values) or pa.types.is_large_string(values) or pa.types.is_string_view(values)
    )


def is_readable(kind: pa.DataType) -> bool:
    """Whether a column of that type has a text that means what it says."""
    known = (
        pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean,
        pa.types.is_date, pa.types.is_timestamp, pa.types.is_null,
    )  # fmt: skip
    return _is_text(kind) or any(is_of(kind) for is_of in known)


def _delimiter(table: TableInput) -> str:
    return " " if table.delimiter == "whitespace" else table.delimiter


def _refuse(file: SourceFile, what: str, *, line: int | None = None) -> InputError:
    return InputError(
        what,
        where=str(file.path) + (f", line {line}" if line else ""),
        left="the last publication, and everything read from other files",
        next_step="mend the file or the table's settings, or move the file out of the folder, and run again",
    )


@contextmanager
def readable(file: SourceFile) -> Iterator[None]:
    """Turn what Arrow, gzip and the codecs say of a broken file into an InputError."""
    try:
        yield
    except UnicodeError:
        # Most codecs replace what they do not know, and the record is set aside; some give up.
        raise _refuse(file, "the file is not in the configured encoding") from None
    except (pa.ArrowException, OSError, EOFError) as error:
        if _is_of_the_machine(error):
            raise StorageError(
                "the machine has no room, or no thread, to read the file with",
                where=str(file.path),
                left="the last publication, and everything read from other files",
                next_step="give the job more memory, check the disk, and run again",
            ) from error
        if "straddling" in str(error):
            raise _refuse(file, "a record is longer than 16 MB: a quoted field is never closed") from None
        raise _refuse(file, "the file is cut off or damaged and cannot be read to its end") from None


def _is_of_the_machine(error: Exception) -> bool:
    """Whether a failure to read says nothing of the file: no memory, a system call refused, no thread."""
    refused = isinstance(error, MemoryError) or getattr(error, "errno", None) is not None
    return refused or "worker thread" in str(error)
