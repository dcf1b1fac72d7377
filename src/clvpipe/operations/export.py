"""One published dataset as a file for people with spreadsheets: CSV or XLSX.

The rule on text, for both (see `guarded`). Spreadsheets run text that starts like a formula, so a customer id
can be an attack. Such text gets an apostrophe in front:

- it starts with = + - @ or one of their twins (full width, small, minus sign), also behind white space,
  invisible characters and quotes, which spreadsheets and people who tidy up take away;
- it starts with a tab or a line break;
- it starts with an apostrophe, so that taking one away always gives back what was published.

The same holds within a text behind ; and line breaks: where the list separator is a semicolon, a spreadsheet
splits a comma file there and heeds no quotes. Numbers are numbers and never changed, negative ones neither.
"""

import os
import stat
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import polars as pl
import xlsxwriter
from xlsxwriter.exceptions import XlsxFileError

from clvpipe.errors import StorageError, UsageError
from clvpipe.publish import Layout
from clvpipe.publish.files import make_durable
from clvpipe.publish.layout import PUBLIC_FILE
from clvpipe.publish.versions import current_version, files_of, read_dictionary, read_manifest

Format = Literal["csv", "xlsx"]

XLSX_MAXIMUM_ROWS = 1_048_575
"""Rows of a sheet, less the header."""

# What a spreadsheet keeps of a number.
_SIGNIFICANT_DIGITS = 15
_ROWS_AT_A_TIME = 10_000
_LEFT = "the target as it was before"
_MEND = "clvpipe rollback shows readers the publication before; running the day again makes this one anew"

_FORMULA = r"=+\-@＝＋－＠﹦﹢﹣﹫−"
_SKIPPED = r"""[\s\p{C}\p{Z}"'`´‘’“”«»＂＇--\r\n]*"""
_INNER_START = rf"([;\r\n])({_SKIPPED}[{_FORMULA}'])"
_START = rf"^([\t\r\n']|{_SKIPPED}[{_FORMULA}])"


@dataclass(frozen=True)
class Exported:
    """What was written. `version` is the name of the version that it came from."""

    file: Path
    dataset: str
    version: str
    rows: int


@dataclass(frozen=True)
class _Source:
    """A dataset of one version, found through the manifest.

    Attributes:
        folder: The version's folder, `current` resolved once.
        as_of: The version's day.
        dataset: The dataset's name.
        files: Its files, in the order of the manifest.
        rows: Their rows.
        columns: Its columns as the version's own dictionary has them.
    """

    folder: Path
    as_of: date
    dataset: str
    files: tuple[Path, ...]
    rows: int
    columns: Sequence[Mapping[str, Any]]

    def scan(self) -> pl.LazyFrame:
        """Its rows in published order, with every text guarded."""
        return guarded(pl.scan_parquet(list(self.files), glob=False))


def guarded(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Put an apostrophe before what a spreadsheet would run; the module says when.

    To read such text back, drop the apostrophe at its start, and those right behind ; and line breaks.
    """
    return frame.with_columns(
        pl.col(pl.String).str.replace_all(_INNER_START, "${1}'${2}").str.replace(_START, "'${1}")
    )


def export(layout: Layout, dataset: str, target: Path, kind: Format) -> Exported:
    """Write a dataset of the current version to a file, whole or not at all.

    Raises:
        UsageError: No such dataset, no fit target, or more than a sheet can hold.
        InputError: Nothing has been published.
        StorageError: The file system refuses, or a published file is damaged.
    """
    try:
        target = _checked(target, layout)
        source = _find(layout, dataset)
        # Half a file lies where only its owner looks, beside the target, and is swept at the end.
        with tempfile.TemporaryDirectory(prefix=".clvpipe-export-", dir=target.parent) as folder:
            staged = Path(folder) / "staged"
            _WRITERS[kind](source, staged)
            staged.chmod(PUBLIC_FILE)
            make_durable(staged, target)
    except (OSError, XlsxFileError) as error:
        raise StorageError(
            f"the file system refuses: {_reason(error)}",
            where=str(target),
            left=_LEFT,
            next_step="check space and permissions of the folder, then run again",
        ) from error
    except pl.exceptions.PolarsError as error:
        raise StorageError(
            f"the published table cannot be read: {type(error).__name__}",
            where=str(layout.current),
            left=_LEFT,
            next_step=_MEND,
        ) from error
    return Exported(target, dataset, source.folder.name, source.rows)


def _checked(target: Path, layout: Layout) -> Path:
    """The target with its folder resolved, if a file may be put there.

    Raises:
        UsageError: It is in what clvpipe keeps, or something else than a file is there.
    """
    target = target.parent.resolve() / target.name
    kept = (layout.versions, layout.state, layout.current, layout.staging)
    if any(target.is_relative_to(folder.resolve()) for folder in kept):
        raise UsageError(
            "an export may not lie among the files that clvpipe keeps",
            where=str(target),
            left="everything",
            next_step="choose another folder",
        )
    if os.path.lexists(target) and not stat.S_ISREG(target.lstat().st_mode):
        raise UsageError(
            "the target is there and no ordinary file (a folder, link or device)",
            where=str(target),
            left="everything",
            next_step="choose another name",
        )
    return target


def _find(layout: Layout, dataset: str) -> _Source:
    folder = current_version(layout)
    manifest = read_manifest(folder)
    published = files_of(manifest)
    names = dict.fromkeys(file.dataset for file in published)
    if dataset not in names:
        raise UsageError(f"there is no dataset {dataset!r}", next_step=f"choose one of {', '.join(names)}")
    listed = [file for file in published if file.dataset == dataset]
    files = tuple(folder / file.path for file in listed)
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        raise StorageError("a published file is missing", where=str(missing), next_step=_MEND)
    return _Source(
        folder,
        date.fromisoformat(manifest["as_of"]),
        dataset,
        files,
        sum(file.rows for file in listed),
        _columns(folder, dataset),
    )


def _columns(folder: Path, dataset: str) -> list[Mapping[str, Any]]:
    """What the dictionary of a version says of a dataset's columns."""
    known = read_dictionary(folder)["datasets"].get(dataset)
    if known is None:
        raise StorageError(f"the dictionary does not explain {dataset!r}", where=str(folder), next_step=_MEND)
    columns: list[Mapping[str, Any]] = known["columns"]
    return columns


def _write_csv(source: _Source, staged: Path) -> None:
    """CSV by RFC 4180, which asks for CRLF: so a line break in a text and the end of a row stay apart.

    UTF-8 with a byte order mark, without which spreadsheets garble Chinese. Decimals as published, days as
    YYYY-MM-DD, NULL as nothing (an empty text is ""). A spreadsheet takes ids of digits for numbers when it
    opens a CSV file; XLSX keeps them as text.
    """
    source.scan().sink_csv(staged, include_bom=True, line_terminator="\r\n", date_format="%Y-%m-%d")


def _write_xlsx(source: _Source, staged: Path) -> None:
    """A workbook of two sheets: the rows, and the dictionary of their columns.

    Cells are typed, never formulas or links. Numbers of more than 15 significant digits are written as text,
    because a spreadsheet would round them. The only date in the file is `as_of`, so the same version gives
    the same bytes.

    Raises:
        UsageError: There are more rows, or longer texts, than a sheet can hold.
    """
    if source.rows > XLSX_MAXIMUM_ROWS:
        raise _too_much(f"{source.rows} rows are more than the {XLSX_MAXIMUM_ROWS} of a sheet")
    options = {
        "constant_memory": True,
        "tmpdir": str(staged.parent),
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    book = xlsxwriter.Workbook(str(staged), options)
    book.use_zip64()
    book.set_properties(
        {"title": f"{source.dataset} {source.folder.name}", "created": datetime.combine(source.as_of, time())}
    )
    _write_sheet(book, source.dataset, source.scan(), source.rows)
    _write_dictionary(book, source)
    book.close()


def _write_dictionary(book: Any, source: _Source) -> None:
    names = {"name": "column", "type": "type", "unit": "unit", "status_column": "status_column"}
    names |= {"label_zh": "label_zh", "definition": "definition"}
    columns = {name: [column[key] for column in source.columns] for key, name in names.items()}
    about = {"dataset": source.dataset, "version": source.folder.name, "as_of": source.as_of.isoformat()}
    frame = pl.LazyFrame(columns, schema=dict.fromkeys(columns, pl.String()))
    _write_sheet(book, "dictionary", guarded(frame), len(source.columns), about)


def _write_sheet(
    book: Any, name: str, frame: pl.LazyFrame, rows: int, about: Mapping[str, str] | None = None
) -> None:
    """A sheet with a frozen header and a filter; above the header, what it is about."""
    sheet = book.add_worksheet(name)
    bold = book.add_format({"bold": True})
    about = about or {}
    header = len(about) + 1 if about else 0
    schema = frame.collect_schema()
    for row, (fact, value) in enumerate(about.items()):
        sheet.write_string(row, 0, fact, bold)
        sheet.write_string(row, 1, value)
    for place, column in enumerate(schema):
        sheet.set_column(place, place, min(max(len(column) + 3, 12), 40))
        sheet.write_string(header, place, column, bold)
    sheet.freeze_panes(header + 1, 0)
    sheet.autofilter(header, 0, header + rows, len(schema) - 1)
    writers = [_cell_writer(book, sheet, kind) for kind in schema.values()]
    row = header
    for batch in frame.collect_batches(chunk_size=_ROWS_AT_A_TIME, maintain_order=True):
        for values in batch.iter_rows():
            row += 1
            for place, (write, value) in enumerate(zip(writers, values, strict=True)):
                if value is not None:
                    write(row, place, value)


def _cell_writer(book: Any, sheet: Any, kind: pl.DataType) -> Callable[[int, int, Any], None]:
    """How cells of a type are written."""
    form = book.add_format({"num_format": _number_format(kind)})
    surely_fits = 10 ** (_SIGNIFICANT_DIGITS - (kind.scale if isinstance(kind, pl.Decimal) else 0))

    def write_text(row: int, place: int, value: str) -> None:
        if sheet.write_string(row, place, value, form):
            raise _too_much("a text is longer than a cell can hold")

    def write_exact(row: int, place: int, value: int | Decimal) -> None:
        if abs(value) < surely_fits or _significant_digits(value) <= _SIGNIFICANT_DIGITS:
            sheet.write_number(row, place, value, form)
        else:
            sheet.write_string(row, place, str(value), form)

    if kind == pl.String:
        return write_text
    if kind.is_decimal() or kind.is_integer():
        return write_exact
    by_kind = {pl.Boolean: sheet.write_boolean, pl.Date: sheet.write_datetime}
    write = by_kind.get(type(kind), sheet.write_number)
    return lambda row, place, value: write(row, place, value, form)


def _number_format(kind: pl.DataType) -> str:
    """Two decimals for money, days as ISO days, texts as texts (also when edited), the rest as it is."""
    if isinstance(kind, pl.Decimal) and kind.scale <= 2:
        return "#,##0." + "0" * kind.scale
    if kind == pl.Date:
        return "yyyy-mm-dd"
    return "@" if kind == pl.String else "General"


def _significant_digits(value: int | Decimal) -> int:
    digits = "".join(map(str, Decimal(value).as_tuple().digits))
    return len(digits.strip("0"))


def _reason(error: OSError | XlsxFileError) -> str:
    """What the system said; xlsxwriter wraps it, polars says it without a number."""
    cause = error if isinstance(error, OSError) else error.__context__
    return getattr(cause, "strerror", None) or str(cause)


def _too_much(what: str) -> UsageError:
    return UsageError(what, left=_LEFT, next_step="take --csv instead of --xlsx")


_WRITERS: Mapping[Format, Callable[[_Source, Path], None]] = {"csv": _write_csv, "xlsx": _write_xlsx}
