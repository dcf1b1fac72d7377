"""Commands. Everything heavy is imported inside a command, so that `--help` is quick."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from clvpipe.cli.guard import guarded
from clvpipe.cli.options import (
    AsJson,
    BackfillOptions,
    Config,
    FitOptions,
    LockTimeout,
    Out,
    PipelineName,
    PreviewOptions,
    PublishOptions,
    RunOptions,
    StageOptions,
    takes,
)
from clvpipe.errors import ExitCode, UsageError

app = typer.Typer(
    name="clvpipe",
    help="What each customer is worth, will be worth, and where each stands in the relationship.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.command()
@takes(RunOptions)
def run(pipeline: str, options: RunOptions) -> None:
    """Run a whole pipeline and publish."""
    from clvpipe.cli.execute import execute, show_plan

    (show_plan if options.dry_run else execute)(pipeline, options)


def _stage_command(stage: str, options: type[StageOptions], summary: str) -> None:
    @takes(options)
    def command(pipeline: str, options: StageOptions) -> None:
        from clvpipe.cli.execute import execute

        execute(pipeline, options, stage)

    app.command(stage, help=summary)(command)


_stage_command("ingest", StageOptions, "Read the extracts into typed parts and the table `transactions`.")
_stage_command("features", StageOptions, "Purchase days, contribution and one row of features a customer.")
_stage_command(
    "fit", FitOptions, "Fit the models and freeze cuts and thresholds, or use the calibration that stands."
)
_stage_command("score", StageOptions, "P(alive), expected purchases and contribution, lifetime value.")
_stage_command("segment", StageOptions, "Every label of every customer, and the summaries.")
_stage_command("publish", PublishOptions, "Audit, write, verify and swap.")


@app.command()
def forget(
    customers: Annotated[
        list[str] | None,
        typer.Argument(
            help="Ids as they were delivered; after -- if one begins with a dash.", show_default=False
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", help="File with an id a line, - for standard input: process lists show arguments."
        ),
    ] = None,
    pipeline: Annotated[str, typer.Option("--pipeline", help="Whose output folder.")] = "nightly",
    out: Out = None,
    config: Config = None,
    lock_timeout: LockTimeout = 0.0,
    as_json: AsJson = False,
) -> None:
    """Erase customers from everything that is kept, for good: later deliveries do not bring them back."""
    with guarded(as_json):
        from clvpipe.cli.forget import show_forget

        show_forget(customers or [], source, pipeline, out, config, lock_timeout, as_json)


@app.command()
@takes(BackfillOptions)
def backfill(pipeline: str, options: BackfillOptions) -> None:
    """Make earlier month-ends, each of what was known then, and publish them together."""
    from clvpipe.cli.execute import execute_backfill

    execute_backfill(pipeline, options)


@app.command()
@takes(StageOptions)
def calibrate(pipeline: str, options: StageOptions) -> None:
    """Make the calibration anew at once, and say what differs; nothing is published."""
    from clvpipe.cli.preview import show_calibrate

    show_calibrate(pipeline, options)


@app.command()
@takes(PreviewOptions)
def preview(pipeline: str, options: PreviewOptions) -> None:
    """Who would move between labels under another configuration; nothing is changed."""
    from clvpipe.cli.preview import show_preview

    show_preview(pipeline, options)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make ready.")] = Path(),
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Propose a config from a look at this extract.", show_default=False),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset", help="With --from: bank, wealth or retail; else retail.", show_default=False
        ),
    ] = None,
    currency: Annotated[
        str | None,
        typer.Option(
            "--currency", help="With --from: the one currency; else that of the file.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a folder that is ready to run: the bank sample, or a config proposed for your own extract."""
    with guarded(as_json):
        from clvpipe.cli.onboard import show_init

        show_init(folder, source, preset, currency, as_json)


@app.command()
def doctor(
    pipeline: PipelineName = "nightly",
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Which extract feeds which output, what is there, what is missing, and what that costs."""
    with guarded(as_json):
        from clvpipe.cli.onboard import show_doctor

        show_doctor(pipeline, config, as_json)


@app.command()
def schema(
    dataset: Annotated[str | None, typer.Argument(help="A dataset; default: all, in short.")] = None,
    rules: Annotated[
        bool, typer.Option("--rules", help="The lifecycle rules in words instead, with your numbers.")
    ] = False,
    lang: Annotated[
        Literal["en", "zh"], typer.Option("--lang", help="Of --rules: English or Chinese.")
    ] = "en",
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """The data dictionary: every published table and column; or the lifecycle rules in words."""
    with guarded(as_json):
        from clvpipe.cli.show import show_rules, show_schema

        if rules and dataset is not None:
            raise UsageError("--rules are of the lifecycle, not of a dataset", next_step="leave one away")
        if rules:
            show_rules(config, lang, as_json)
        else:
            show_schema(dataset, as_json)


@app.command()
def export(
    pipeline: PipelineName = "nightly",
    out: Out = None,
    dataset: Annotated[str, typer.Option("--dataset", help="Which published dataset.")] = "customer_segments",
    csv: Annotated[Path | None, typer.Option("--csv", help="Write a CSV file.", show_default=False)] = None,
    xlsx: Annotated[
        Path | None, typer.Option("--xlsx", help="Write an XLSX file; ids stay text.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a published table for a spreadsheet; text that would run as a formula is guarded."""
    with guarded(as_json):
        from clvpipe.cli.export import show_export

        show_export(pipeline, out, dataset, csv, xlsx, as_json)


@app.command()
def path(
    pipeline: PipelineName = "nightly",
    out: Out = None,
    dataset: Annotated[str, typer.Option("--dataset", help="Which published dataset.")] = "customer_segments",
    version: Annotated[
        bool, typer.Option("--version-folder", help="The folder of the whole version.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Where the published table lies, resolved once: what it prints stays one version."""
    with guarded(as_json):
        from clvpipe.cli.show import show_path

        show_path(pipeline, out, dataset, version, as_json)


@app.command()
def status(pipeline: PipelineName = "nightly", out: Out = None, as_json: AsJson = False) -> None:
    """Who is at work, what readers see, how the last run ended."""
    with guarded(as_json):
        from clvpipe.cli.operate import show_status

        show_status(pipeline, out, as_json)


@app.command()
def history(
    pipeline: PipelineName = "nightly",
    out: Out = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many runs.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The runs, newest first, and what became of what they published."""
    with guarded(as_json):
        from clvpipe.cli.operate import show_history

        show_history(pipeline, out, limit, as_json)


@app.command()
def verify(pipeline: PipelineName = "nightly", out: Out = None, as_json: AsJson = False) -> None:
    """Hold every kept version against its manifest, byte for byte; exit 15 if one is damaged."""
    with guarded(as_json):
        from clvpipe.cli.operate import show_verify

        show_verify(pipeline, out, as_json)


@app.command()
def rollback(
    pipeline: PipelineName = "nightly",
    out: Out = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", help="A kept version or its day; default: the publication before.", show_default=False
        ),
    ] = None,
    lock_timeout: LockTimeout = 0.0,
    as_json: AsJson = False,
) -> None:
    """Show readers an earlier publication again, until the next run."""
    with guarded(as_json):
        from clvpipe.cli.operate import show_rollback

        show_rollback(pipeline, out, to, lock_timeout, as_json)


def main() -> None:
    """Entry point of the `clvpipe` command.

    One thread of linear algebra is enough, and more would fail where memory is bounded.
    Leaves without Python's own finalisation: a stopped or refused run may have reader threads under way, and
    these abort the process when the interpreter is taken from under them.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        app()
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))
    except KeyboardInterrupt:
        os._exit(int(ExitCode.INTERRUPTED))


if __name__ == "__main__":
    main()
