"""Commands for the first five minutes: `init` and `doctor`."""

import json
import shlex
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from clvpipe.cli.execute import config_path_of
from clvpipe.config import load_pipeline, load_settings
from clvpipe.errors import ExitCode, InputError


def show_init(
    folder: Path, source: Path | None, preset: str | None, currency: str | None, as_json: bool
) -> None:
    """Make a folder ready to run, and say what to type next.

    Raises:
        ClvpipeError: The folder is taken, or the file tells too little.
    """
    from clvpipe.onboarding.propose import propose
    from clvpipe.onboarding.scaffold import scaffold_proposal, scaffold_sample

    if source is None:
        written = scaffold_sample(folder)
        if as_json:
            typer.echo(json.dumps({"written": [str(path) for path in written]}, ensure_ascii=False))
            return
        typer.echo(f"made {folder} with {len(written)} files: a config, a pipeline, and a bank's extracts")
        typer.echo(f"next: cd {shlex.quote(str(folder))} && clvpipe doctor && clvpipe run --as-of 2024-06-30")
        return
    proposal = propose(source, preset, currency)
    written = scaffold_proposal(folder, proposal)
    guesses = {
        **proposal.general,
        **proposal.settings,
        **{f"column {ours}": guess for ours, guess in proposal.columns.items()},
    }
    if as_json:
        facts = {name: {"value": g.value, "sure": g.sure, "why": g.why} for name, g in guesses.items()}
        content = {"written": [str(written[0])], "proposal": facts, "unmapped": list(proposal.unmapped)}
        typer.echo(json.dumps(content, ensure_ascii=False))
        return
    table = Table("setting", "proposed", "how sure", "why", box=None, pad_edge=False)
    for name, guess in guesses.items():
        table.add_row(name, repr(guess.value), guess.sure, guess.why)
    console = Console(highlight=False)
    console.print(table)
    if proposal.file_date:
        console.print("\nthe day of delivery is read from the file's name")
    if proposal.column_names:
        console.print("\nthe file has no header: its columns got names by their places")
    if proposal.unmapped:
        console.print(f"\nread by nothing: {', '.join(proposal.unmapped)}", markup=False, soft_wrap=True)
    console.print(f"\nwritten: {written[0]}", markup=False, soft_wrap=True)
    console.print(
        f"next: read it, then cd {shlex.quote(str(folder))} && clvpipe doctor && clvpipe run",
        markup=False,
        soft_wrap=True,
    )


def show_doctor(pipeline_name: str, config: Path | None, as_json: bool) -> None:
    """Print what is known of every extract.

    Raises:
        InputError: An extract that is configured cannot be used.
    """
    from clvpipe.onboarding.doctor import examine

    path = config_path_of(load_pipeline(pipeline_name), config)
    findings = examine(load_settings(path), path)
    if as_json:
        typer.echo(json.dumps([finding.as_dict() for finding in findings], ensure_ascii=False))
    else:
        table = Table("extract", "state", "files", "feeds", "note", box=None, pad_edge=False)
        for finding in findings:
            missing = f"without {', '.join(finding.missing)}; " if finding.missing else ""
            table.add_row(
                finding.extract,
                finding.state.lower().replace("_", " "),
                str(finding.files or ""),
                finding.feeds,
                (missing if finding.state == "READY" else "") + finding.note,
            )
        Console(highlight=False).print(table)
    broken = [finding for finding in findings if finding.state == "BROKEN"]
    if broken and as_json:
        raise typer.Exit(int(ExitCode.INPUT))
    if broken:
        raise InputError(
            f"{len(broken)} extracts cannot be used: {', '.join(finding.extract for finding in broken)}",
            where=str(path),
            left="everything",
            next_step="see the notes above",
        )
