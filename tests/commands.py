"""The command line as cron and people meet it: a process of its own for each command, but not its imports."""

import os
import subprocess
from functools import cache
from pathlib import Path

from tests.faults import Companion

WIDE_ENOUGH = "200"


@cache
def _forks() -> Companion:
    return Companion("commands")


def clvpipe(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, with an empty standard input, and wait for its end."""
    # What a test has set with monkeypatch counts for the command too.
    environment = {**os.environ, "COLUMNS": WIDE_ENOUGH}
    done = _forks().ask({"folder": str(folder), "arguments": arguments, "environment": environment})
    return subprocess.CompletedProcess(arguments, done["code"], done["stdout"], done["stderr"])
