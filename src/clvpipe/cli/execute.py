"""From the options of a command to a run, and from the run to what a person or a program sees."""

import json
import os
import re
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import typer

from clvpipe.cli.interrupt import run_interruptibly
from clvpipe.cli.options import (
    BackfillOptions,
    FitOptions,
    PublishOptions,
    StageOptions,
    StrictOptions,
    WorkOptions,
    WriterOptions,
)
from clvpipe.cli.stderr import STDERR
from clvpipe.cli.watchers import JsonLog, Watchers
from clvpipe.config import Pipeline, Settings, load_pipeline, load_settings
from clvpipe.errors import ConfigError, UsageError
from clvpipe.locations import resource_dir
from clvpipe.operations.journal import Facts, Journal, facts_of, journaled
from clvpipe.publish import Layout
from clvpipe.stages.context import Context, StageRun, Watch
from clvpipe.stages.session import Request, run_stages

OWN_CONFIG = Path("clvpipe.toml")


def execute(pipeline_name: str, options: StageOptions, stage: str | None = None) -> None:
    """Run a pipeline, or one stage of it.

    Raises:
        ClvpipeError: Whatever a stage raises.
    """
    command = stage or "run"
    pipeline = load_pipeline(pipeline_name)
    with refusal_journaled(command, pipeline, options):
        request = stage_request(pipeline, options, (stage,) if stage else pipeline.stages)
    with watched(command, pipeline, request, options) as watch:
        runs, context = run_interruptibly(lambda seen: run_stages(request, Watchers([watch, seen])))
        watch.ended(context)
    if options.as_json:
        _print_json(request, runs, context)


def execute_backfill(pipeline_name: str, options: BackfillOptions) -> None:
    """Make earlier month-ends.

    Raises:
        ClvpipeError: Whatever a stage raises, or there is no month-end in the span.
    """
    from clvpipe.operations.backfill import backfill, chosen_days

    pipeline = load_pipeline(pipeline_name)
    with refusal_journaled("backfill", pipeline, options):
        settings, path = _settings(pipeline, options.config)
        first, last = _day(options.first, settings, "--from"), _day(options.last, settings, "--to")
        assert first is not None and last is not None
        days = chosen_days(first, last, options.every)
        _not_in_the_future(days[-1], settings, "--to")
        request = Request(
            settings=settings,
            config_path=path,
            stages=pipeline.stages,
            as_of=days[-1],
            allow_breaking=options.allow_breaking,
            accept_volume=options.accept_volume,
            **_shared(pipeline, options),
        )
    with watched("backfill", pipeline, request, options) as watch:
        runs, context = run_interruptibly(
            lambda seen: backfill(request, days, restate=options.restate, watch=Watchers([watch, seen]))
        )
        watch.ended(context)
    if options.as_json:
        _print_json(request, runs, context)


def show_plan(pipeline_name: str, options: StageOptions) -> None:
    """Say what a run would do.

    Raises:
        ClvpipeError: The inputs are not there, or the options are wrong.
    """
    from clvpipe.onboarding.plan import plan

    pipeline = load_pipeline(pipeline_name)
    found = plan(stage_request(pipeline, options, pipeline.stages))
    if options.as_json:
        typer.echo(json.dumps(asdict(found), ensure_ascii=False))
        return
    typer.echo(f"stages: {', '.join(found.stages)}")
    typer.echo(f"files: {len(found.new_files)} to read, {found.known_files} known already")
    for name in found.new_files:
        typer.echo(f"  {name}")
    typer.echo(f"calibration: {found.calibration or 'to be made'}")
    typer.echo(f"output: {found.out}")


@contextmanager
def watched(command: str, pipeline: Pipeline, request: Request, options: WriterOptions) -> Iterator[Watch]:
    """Who looks on at a command: a person or a log, and the journal."""
    facts = facts_of(command, pipeline.name, request.run_id, request.as_of, request.known_at)
    layout = Layout(request.out.absolute())
    with (
        reported(pipeline.title, facts, request, options) as onlooker,
        journaled(layout, facts, STDERR.warn) as journal,
    ):
        yield Watchers([onlooker, journal])


@contextmanager
def reported(title: str, facts: Facts, request: Request, options: WriterOptions) -> Iterator[Watch]:
    """Who looks on from outside: a person, or a log."""
    if options.log_json:
        yield JsonLog(facts)
        return
    from clvpipe.cli.progress import Reporter

    talk = (sys.stderr.isatty() if options.progress is None else options.progress) and not options.as_json
    with Reporter(talk) as reporter:
        reporter.title(title, request.as_of)
        yield reporter


@contextmanager
def refusal_journaled(command: str, pipeline: Pipeline, options: WriterOptions) -> Iterator[None]:
    """A run that is refused before it begins stands in the journal, where there is one."""
    try:
        yield
    except Exception as error:
        facts = facts_of(command, pipeline.name, uuid.uuid4().hex)
        Journal(Layout(output_folder(pipeline, options.out).absolute()), facts).close(error, STDERR.warn)
        raise


def _print_json(request: Request, runs: Sequence[StageRun], context: Context) -> None:
    publication = context.publication
    content = {
        "exit_code": 0,
        "run_id": request.run_id,
        "as_of": request.as_of.isoformat() if request.as_of else None,
        "stages": [
            {
                "stage": run.stage,
                "rows": dict(run.result.rows),
                "notes": list(run.result.notes),
                "warnings": list(run.result.warnings),
            }
            for run in runs
        ],
        "version": str(publication.folder) if publication else None,
        "unchanged": publication.unchanged if publication else None,
        "is_current": publication.is_current if publication else None,
    }
    typer.echo(json.dumps(content, ensure_ascii=False))


def stage_request(pipeline: Pipeline, options: StageOptions, stages: Sequence[str]) -> Request:
    """What the options of a command ask for.

    Raises:
        ConfigError: The configuration is wrong.
        UsageError: An option is.
    """
    settings, path = _settings(pipeline, options.config)
    last_day = _day(options.as_of or pipeline.as_of, settings, "--as-of")
    if last_day is not None:
        _not_in_the_future(last_day, settings, "--as-of")
    return Request(
        settings=settings,
        config_path=path,
        stages=stages,
        as_of=last_day,
        known_at=_day(options.known_at, settings, "--known-at"),
        strict=isinstance(options, StrictOptions) and options.strict,
        crosscheck=isinstance(options, FitOptions) and options.crosscheck,
        refit=isinstance(options, FitOptions) and options.refit,
        accept_volume=isinstance(options, PublishOptions) and options.accept_volume,
        allow_breaking=isinstance(options, PublishOptions) and options.allow_breaking,
        **_shared(pipeline, options),
    )


def _shared(pipeline: Pipeline, options: WorkOptions) -> dict[str, Any]:
    if options.memory is not None and not re.fullmatch(r"[1-9][0-9]*(\.[0-9]+)? ?[MGT]i?B", options.memory):
        raise UsageError(f"--memory: {options.memory!r} is no amount", next_step="write 500MB or 2GB")
    return {
        "out": output_folder(pipeline, options.out),
        "threads": options.threads or os.cpu_count() or 1,
        "memory": options.memory,
        "lock_timeout_seconds": options.lock_timeout,
    }


def _settings(pipeline: Pipeline, config: Path | None) -> tuple[Settings, Path]:
    path = config_path_of(pipeline, config)
    return load_settings(path), path


def _not_in_the_future(day: date, settings: Settings, option: str) -> None:
    if day > _today(settings):
        raise UsageError(
            f"{option} {day} lies in the future, where nothing has happened yet",
            left="everything",
            next_step="choose today or an earlier day",
        )


def output_folder(pipeline: Pipeline, out: Path | None) -> Path:
    """Each pipeline has its own folder, so that its deliveries never mix with another's."""
    return out or Path("out") / pipeline.name


def config_path_of(pipeline: Pipeline, config: Path | None) -> Path:
    """The configuration: as given, the pipeline's own, or ./clvpipe.toml."""
    if config is not None:
        return config
    if pipeline.config is not None:
        shipped = resource_dir("config") / f"{pipeline.config}.toml"
        return shipped if shipped.is_file() else Path(pipeline.config)
    if OWN_CONFIG.is_file():
        return OWN_CONFIG
    raise ConfigError(
        "there is no configuration",
        where=f"{OWN_CONFIG} in {Path.cwd()}",
        next_step="give --config FILE, propose one (clvpipe init --from FILE), or try clvpipe run sample",
    )


def _day(text: str | None, settings: Settings, option: str) -> date | None:
    if text is None:
        return None
    if text == "yesterday":
        return _today(settings) - timedelta(days=1)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option}: {text!r} is not a day", next_step="write YYYY-MM-DD or `yesterday`"
        ) from None


def _today(settings: Settings) -> date:
    """Today in the bank's zone: for `yesterday`, and to refuse tomorrow; it reaches no table."""
    return datetime.now(ZoneInfo(settings.timezone)).date()
