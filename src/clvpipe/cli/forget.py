"""The command that erases customers."""

import json
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from clvpipe.cli.execute import config_path_of, output_folder
from clvpipe.cli.interrupt import run_interruptibly
from clvpipe.cli.stderr import STDERR
from clvpipe.cli.watchers import Watchers
from clvpipe.config import load_pipeline, load_settings
from clvpipe.errors import InputError, StoppedError
from clvpipe.operations.journal import facts_of, journaled
from clvpipe.publish import Layout


def show_forget(
    customers: Sequence[str],
    source: Path | None,
    pipeline_name: str,
    out: Path | None,
    config: Path | None,
    lock_timeout: float,
    as_json: bool,
) -> None:
    """Erase, and say what was found; the message names nobody.

    Raises:
        ClvpipeError: No customer is named, a run is at work, or the file system refuses.
    """
    from clvpipe.operations.forget import forget

    pipeline = load_pipeline(pipeline_name)
    path = config_path_of(pipeline, config)
    settings = load_settings(path)
    names = [*customers, *(_listed(source) if source else ())]
    layout = Layout(output_folder(pipeline, out).absolute())
    facts = facts_of("forget", pipeline.name, uuid.uuid4().hex)
    with _what_stands(), journaled(layout, facts, STDERR.warn) as journal:
        done = run_interruptibly(
            lambda seen: forget(
                layout,
                settings,
                path.absolute().parent,
                names,
                run_id=facts.run_id,
                lock_timeout_seconds=lock_timeout,
                watch=Watchers([journal, seen]),
            )
        )
    erasure = done.erasure
    counts = {name: getattr(erasure, name) for name in ("records", "parts", "versions", "removed")}
    if as_json:
        typer.echo(json.dumps({"exit_code": 0, "named": done.named, "known": done.known, **counts}))
        return
    typer.echo(
        f"{done.known} of {done.named} customers were known; {erasure.records} records in {erasure.parts} "
        f"deliveries and {erasure.versions} publications were rewritten without them"
    )
    if erasure.removed:
        typer.echo(f"{erasure.removed} damaged publications could not be rewritten, and were removed")
    typer.echo("delivered files, exports and back-ups are not clvpipe's to erase: see to them yourself")


@contextmanager
def _what_stands() -> Iterator[None]:
    """An erasure that is stopped is half done until the next run, and that must be said."""
    try:
        yield
    except StoppedError as stopped:
        stopped.left = "what has been erased stays erased"
        stopped.next_step = "the next run, of whatever command, finishes the erasure first"
        raise


def _listed(source: Path) -> list[str]:
    """Ids from a file, one a line; `-` is standard input."""
    try:
        text = (
            sys.stdin.read().removeprefix("\ufeff")
            if str(source) == "-"
            else source.read_text(encoding="utf-8-sig")
        )
    except (OSError, UnicodeDecodeError):
        raise InputError(
            "the list of customers cannot be read as UTF-8 text", where=str(source), left="everything"
        ) from None
    return [line for line in text.split("\n") if line.strip()]
