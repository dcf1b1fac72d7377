"""Commands around a change of what labels stand on: `calibrate` and `preview`."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from decimal import Decimal

import typer
from rich.table import Table

from clvpipe.calibration import code_version
from clvpipe.cli.execute import refusal_journaled, reported, stage_request, watched
from clvpipe.cli.interrupt import run_interruptibly
from clvpipe.cli.options import PreviewOptions, StageOptions
from clvpipe.cli.stdout import print_plain
from clvpipe.cli.watchers import Watchers
from clvpipe.config import load_pipeline, load_settings
from clvpipe.operations.calibrate import Calibrated, calibrate
from clvpipe.operations.differences import Difference, Plain
from clvpipe.operations.journal import facts_of
from clvpipe.operations.preview import Preview, preview, remove_copy


def show_calibrate(pipeline_name: str, options: StageOptions) -> None:
    """Make the calibration anew, and say what was frozen and what is not what it was.

    Raises:
        ClvpipeError: Whatever a stage raises.
    """
    pipeline = load_pipeline(pipeline_name)
    with refusal_journaled("calibrate", pipeline, options):
        request = stage_request(pipeline, options, pipeline.stages)
    with watched("calibrate", pipeline, request, options) as watch:
        done = run_interruptibly(lambda seen: calibrate(request, Watchers([watch, seen])))
    if options.as_json:
        _print_json({"exit_code": 0, **asdict(done)})
        return
    _print_calibrated(done)
    refresh = request.settings.calibration.refresh
    end = "" if refresh == "never" else f"the {refresh} is over or "
    typer.echo(
        f"the next run uses it; it serves all days from {request.as_of} until {end}a later one is made"
    )


def show_preview(pipeline_name: str, options: PreviewOptions) -> None:
    """Print who would move between labels; nothing is kept, and the journal knows nothing of it.

    Raises:
        ClvpipeError: Nothing has been published, a configuration is wrong, or whatever a stage raises.
    """
    pipeline = load_pipeline(pipeline_name)
    request = stage_request(pipeline, options, pipeline.stages)
    if options.as_of is None:
        # The day of the publication, also where the pipeline names one.
        request = replace(request, as_of=None)
    path = options.against
    other = replace(request, settings=load_settings(path), config_path=path) if path else None
    facts = facts_of("preview", pipeline.name, request.run_id, request.as_of, request.known_at)
    try:
        with reported(f"preview of {request.config_path}", facts, request, options) as watch:
            found = run_interruptibly(lambda seen: preview(request, other, Watchers([watch, seen])))
    finally:
        # What is stopped during a fit is not waited for, and leaves its copy to us.
        remove_copy(request.out, request.run_id)
    if options.as_json:
        _print_json({"exit_code": 0, **asdict(found)})
    else:
        _print_preview(found)


def _print_json(content: dict[str, object]) -> None:
    """One object; money and thresholds as texts, because a program would round them as numbers."""
    typer.echo(json.dumps(content, ensure_ascii=False, default=str))


def _print_calibrated(done: Calibrated) -> None:
    if done.before is None:
        typer.echo(f"{done.identity} was made; none stood for this day before")
        _print_differences([Difference(name, None, value) for name, value in done.frozen.items()])
    elif done.changes:
        typer.echo(f"{done.identity} was made; {done.before} stood before")
        _print_differences(done.changes)
    else:
        typer.echo(f"{done.identity} was made; nothing differs from {done.before}, which stood before")


def _print_preview(found: Preview) -> None:
    known = f", known at {found.known_at}" if found.known_at else ""
    typer.echo(f"as of {found.as_of}{known}, against {found.against}; nothing has been changed")
    if found.new_deliveries:
        typer.echo(f"{found.new_deliveries} deliveries are seen here that had not been seen there")
    if found.customers_new or found.customers_gone:
        typer.echo(
            f"{found.customers_new:,} customers are only here, {found.customers_gone:,} only there; "
            "they are not among the moves"
        )
    if found.code_version != code_version():
        typer.echo(f"that was made by clvpipe {found.code_version}, so some moves may be of the code")
    _print_moves(found)
    for scheme in found.schemes:
        worth = (
            f": current value {_money(scheme.current_value)}, "
            f"future value 12m {_money(scheme.future_value_12m)}"
        )
        typer.echo(
            f"{scheme.scheme}: {scheme.moved:,} of {scheme.compared:,} customers would move"
            + (worth if scheme.moved else "")
        )
    typer.echo("")
    if found.thresholds:
        _print_differences(found.thresholds)
    else:
        typer.echo("no threshold differs")


def _print_moves(found: Preview) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("scheme", "from", "to"):
        table.add_column(name)
    for name in ("customers", "current value", "future value 12m"):
        table.add_column(name, justify="right")
    for scheme in found.schemes:
        for move in scheme.moves:
            worth = _money(move.current_value), _money(move.future_value_12m)
            table.add_row(scheme.scheme, move.from_label, move.to_label, f"{move.customers:,}", *worth)
    typer.echo("")
    if table.row_count:
        print_plain(table)
        typer.echo("")


def _print_differences(changes: Sequence[Difference]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("name", "before", "after"):
        table.add_column(name, justify="left" if name == "name" else "right")
    for change in changes:
        table.add_row(change.name, _plain(change.before), _plain(change.after))
    print_plain(table)


def _money(value: Decimal | None) -> str:
    return "not known" if value is None else f"{value:,.2f}"


def _plain(value: Plain | None) -> str:
    """A number as it is written by hand: 0.7 instead of 0.70000000."""
    match value:
        case None:
            return "-"
        case Decimal():
            text = f"{value:f}"
            return text.rstrip("0").rstrip(".") if "." in text else text
        case float():
            return f"{value:.6g}"
        case _:
            return str(value)
