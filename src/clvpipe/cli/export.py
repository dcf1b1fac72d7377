"""The command that takes a published table to a spreadsheet."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType

import typer

from clvpipe.errors import ExitCode, StoppedError, UsageError


def show_export(
    pipeline_name: str, out: Path | None, dataset: str, csv: Path | None, xlsx: Path | None, as_json: bool
) -> None:
    """Write a published dataset to a CSV or XLSX file, and say so on a terminal.

    Raises:
        UsageError: Not exactly one target, no such dataset, or no fit target.
        InputError: Nothing has been published there.
        StorageError: The file system refuses.
        StoppedError: By SIGTERM.
    """
    from clvpipe.cli.execute import output_folder
    from clvpipe.config import load_pipeline
    from clvpipe.operations.export import export
    from clvpipe.publish import Layout

    target = csv or xlsx
    if target is None or (csv and xlsx):
        raise UsageError(
            "an export is either CSV or XLSX", left="everything", next_step="give --csv FILE or --xlsx FILE"
        )
    layout = Layout(output_folder(load_pipeline(pipeline_name), out).absolute())
    with _swept_when_terminated():
        written = export(layout, dataset, target, "csv" if csv else "xlsx")
    if as_json:
        typer.echo(json.dumps({**asdict(written), "file": str(written.file)}, ensure_ascii=False))
    elif sys.stderr.isatty():
        typer.echo(
            f"{written.file}: {written.rows} rows of {written.dataset}, version {written.version}", err=True
        )


@contextmanager
def _swept_when_terminated() -> Iterator[None]:
    """SIGTERM unwinds as Ctrl-C does, so that half a file with customers' data does not stay behind."""
    before = signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise_terminated(_: int, __: FrameType | None) -> None:
    raise StoppedError(ExitCode.TERMINATED)
