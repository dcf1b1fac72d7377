"""What a person reads on standard output, and a pipe takes line by line."""

import sys

import typer
from rich.console import Console, RenderableType

_UNWRAPPED = 10_000


def print_plain(*content: RenderableType) -> None:
    """For a person: as wide as the terminal. For a pipe: every row or paragraph one line."""
    width = None if sys.stdout.isatty() else _UNWRAPPED
    console = Console(highlight=False, markup=False, emoji=False, width=width)
    with console.capture() as captured:
        for part in content:
            console.print(part)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())
