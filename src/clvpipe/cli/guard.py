"""The one place where an exception becomes a message and an exit code."""

import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from clvpipe.cli.stderr import STDERR
from clvpipe.errors import ClvpipeError, ExitCode, StoppedError, StorageError, mendable

DEBUG = "CLVPIPE_DEBUG"


@contextmanager
def guarded(as_json: bool, log_json: bool = False) -> Iterator[None]:
    """Run a command; say what went wrong on standard error and exit by the table in errors.py.

    Args:
        as_json: An error is one JSON object on standard output, too.
        log_json: Standard error holds JSON alone; its last line says how the command ended.
    """
    STDERR.begin(log_json)
    try:
        yield
        STDERR.end(ExitCode.OK)
    except typer.Exit as end:
        STDERR.end(end.exit_code)
        raise
    except KeyboardInterrupt:
        STDERR.end(ExitCode.INTERRUPTED, error=StoppedError(ExitCode.INTERRUPTED).as_dict())
        raise typer.Exit(int(ExitCode.INTERRUPTED)) from None
    except BrokenPipeError:
        # The reader of our output has left (`clvpipe schema | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        STDERR.end(ExitCode.OK)
        raise typer.Exit(int(ExitCode.OK)) from None
    except Exception as error:
        known = mendable(error)
        if known is not None:
            raise _failed(known, as_json) from None
        if isinstance(error, OSError):
            raise _standard_output_refuses(error) from None
        raise _bug(error, log_json) from None


def _failed(error: ClvpipeError, as_json: bool) -> typer.Exit:
    """What a person can mend."""
    if as_json:
        typer.echo(json.dumps(error.as_dict(), ensure_ascii=False))
    STDERR.end(error.exit_code, f"clvpipe: error: {error}", error.as_dict())
    return typer.Exit(int(error.exit_code))


def _standard_output_refuses(error: OSError) -> typer.Exit:
    """An error of the system that names no file is about what we print."""
    refused = StorageError(
        f"standard output refuses: {error.strerror or type(error).__name__}",
        left="nothing; if the command published, the publication is in place",
        next_step="check where the output goes",
    )
    STDERR.end(refused.exit_code, f"clvpipe: error: {refused}", refused.as_dict())
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return typer.Exit(int(refused.exit_code))


def _bug(error: Exception, log_json: bool) -> typer.Exit:
    """A defect of ours. The message of an unknown exception may hold data, so only its place is told."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown place"
    what = f"{type(error).__name__} at {place}"
    left = "the last publication"
    next_step = f"please report it; {DEBUG}=1 shows the whole traceback (it may hold customers' data)"
    told = {"error": type(error).__name__, "exit_code": int(ExitCode.BUG), "what": "a defect of clvpipe"}
    told |= {"where": place, "left": left, "next": next_step}
    if os.environ.get(DEBUG) and log_json:
        told["traceback"] = "".join(traceback.format_exception(error))
    words = f"clvpipe: bug: {what}\n  left as it was: {left}\n  next: {next_step}"
    STDERR.end(ExitCode.BUG, words, told)
    if os.environ.get(DEBUG) and not log_json:
        traceback.print_exception(error)
    return typer.Exit(int(ExitCode.BUG))
