"""What the commands of a run take, each option once, and the decorator that makes them a command line."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from clvpipe.cli.guard import guarded

PipelineName = Annotated[
    str, typer.Argument(help="A shipped pipeline (sample, cdnow, nightly) or a .toml file.")
]


def _path(text: str) -> Path:
    """A path. An empty one is a variable that somebody forgot to set, and not the folder that we are in."""
    if not text.strip():
        raise typer.BadParameter("the path is empty")
    return Path(text)


Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Output folder; default out/<pipeline>.",
        show_default=False,
        parser=_path,
        metavar="PATH",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="Your configuration; default ./clvpipe.toml.",
        show_default=False,
        parser=_path,
        metavar="PATH",
    ),
]
LockTimeout = Annotated[
    float,
    typer.Option("--lock-timeout", min=0, help="Seconds to wait for another run; else exit 14 at once."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


# The fields of the last base come first, in --help as in the signature.


@dataclass(frozen=True, kw_only=True)
class DayOptions:
    """Of which day, and of what was known when."""

    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of", help="Last day, inclusive, whose events are seen: YYYY-MM-DD or `yesterday`."
        ),
    ] = None
    known_at: Annotated[
        str | None,
        typer.Option("--known-at", help="See only what had been delivered by this day: YYYY-MM-DD."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class SpanOptions:
    """Of which month-ends."""

    first: Annotated[str, typer.Option("--from", help="First day of the span: YYYY-MM-DD.")]
    last: Annotated[str, typer.Option("--to", help="Last day of the span: YYYY-MM-DD or `yesterday`.")]
    every: Annotated[str, typer.Option("--every", help="month or quarter: which month-ends of the span.")] = (
        "month"
    )
    restate: Annotated[
        bool, typer.Option("--restate", help="With all that is known today, not what was known then.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class GateOptions:
    """What somebody has looked at and found right."""

    accept_volume: Annotated[
        bool, typer.Option("--accept-volume", help="Publish although customers or events fell this much.")
    ] = False
    allow_breaking: Annotated[
        bool, typer.Option("--allow-breaking", help="Publish a schema that may break readers.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class WriterOptions:
    """Of every command that writes into the output folder."""

    out: Out = None
    config: Config = None
    lock_timeout: LockTimeout = 0.0
    as_json: AsJson = False
    progress: Annotated[
        bool | None,
        typer.Option(
            "--progress/--quiet", help="Talk or be quiet; default: talk on a terminal.", show_default=False
        ),
    ] = None
    log_json: Annotated[
        bool, typer.Option("--log-json", help="One JSON object an event on standard error.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class WorkOptions(WriterOptions):
    """Of every command that works on the data."""

    threads: Annotated[
        int | None, typer.Option("--threads", min=1, max=256, help="Worker threads; default: all cores.")
    ] = None
    memory: Annotated[
        str | None,
        typer.Option("--memory", help="Memory of the engine, as in 2GB; beyond it, it spills to disk."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class StageOptions(WorkOptions, DayOptions):
    """Of a stage's own command."""


@dataclass(frozen=True, kw_only=True)
class StrictOptions(StageOptions):
    """Of commands that may refuse what they could go on with."""

    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exit 13 where the data cannot carry a model, 12 where a check warns."),
    ] = False


@dataclass(frozen=True, kw_only=True)
class FitOptions(StrictOptions):
    """Of `fit`."""

    crosscheck: Annotated[
        bool, typer.Option("--crosscheck", help="Compare the fit with lifetimes; exit 13 if they differ.")
    ] = False
    refit: Annotated[bool, typer.Option("--refit", help="Make the calibration anew even if one stands.")] = (
        False
    )


@dataclass(frozen=True, kw_only=True)
class PreviewOptions(StrictOptions):
    """Of `preview`."""

    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            help="Compare with this configuration; default: with what is published.",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class PublishOptions(GateOptions, StrictOptions):
    """Of commands that publish."""


@dataclass(frozen=True, kw_only=True)
class RunOptions(PublishOptions):
    """Of `run`."""

    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the work; write nothing.")] = False


@dataclass(frozen=True, kw_only=True)
class BackfillOptions(GateOptions, WorkOptions, SpanOptions):
    """Of `backfill`."""


O = TypeVar("O", bound=WriterOptions)  # noqa: E741
Command = Callable[..., None]


def takes(options: type[O]) -> Callable[[Callable[[str, O], None]], Command]:
    """Make of `command(pipeline, options)` what Typer can read; failures become exit codes."""

    def decorate(command: Callable[[str, O], None]) -> Command:
        def run(pipeline: str = "nightly", **given: object) -> None:
            with guarded(bool(given["as_json"]), log_json=bool(given["log_json"])):
                command(pipeline, options(**given))  # type: ignore[arg-type]

        kind = inspect.Parameter.KEYWORD_ONLY
        parameters = [
            inspect.Parameter(
                field.name,
                kind,
                annotation=field.type,
                default=inspect.Parameter.empty if field.default is MISSING else field.default,
            )
            for field in fields(options)
        ]
        first = inspect.Parameter(
            "pipeline",
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            annotation=PipelineName,
            default="nightly",
        )
        run.__signature__ = inspect.Signature([first, *parameters])  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in (first, *parameters)}
        run.__doc__ = command.__doc__
        run.__name__ = command.__name__
        return run

    return decorate
