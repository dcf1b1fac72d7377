"""One writer: a lock that the kernel holds for a living process, and drops when it dies."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from clvpipe.errors import LockedError

# Even "at once" looks twice: `clvpipe status` holds the lock, shared, for the blink of an eye.
_SHORTEST_WAIT_SECONDS = 0.2
_POLL_SECONDS = 0.05


@contextmanager
def only_writer(
    path: Path,
    holder: dict[str, Any],
    *,
    timeout_seconds: float = 0.0,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[None]:
    """Hold the lock file while the block runs.

    Args:
        path: The lock file; it is never removed, so that nobody can lock a file that another has replaced.
        holder: What others are told about this process.
        timeout_seconds: How long to wait for another holder.
        tell: Told once when waiting begins.

    Raises:
        LockedError: Another process holds it.
    """
    with path.open("a+", encoding="utf-8") as file:
        deadline = time.monotonic() + max(timeout_seconds, _SHORTEST_WAIT_SECONDS)
        if not _try(file, fcntl.LOCK_EX):
            if timeout_seconds:
                tell(f"waiting for the run that holds the folder: {in_words(_holder(file))}")
            while not _try(file, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise LockedError(
                        f"another run is at work here: {in_words(_holder(file))}",
                        where=str(path),
                        left="everything",
                        next_step="wait until it is done (--lock-timeout SECONDS waits), or stop it",
                    )
                time.sleep(_POLL_SECONDS)
        file.seek(0)
        file.truncate()
        file.write(json.dumps({"pid": os.getpid(), **holder}))
        file.flush()
        yield


def holder_of(path: Path) -> str | None:
    """What the living holder says of itself, None if nobody holds the lock; for people: it may change."""
    try:
        with path.open("r", encoding="utf-8") as file:
            return None if _try(file, fcntl.LOCK_SH) else _holder(file)
    except FileNotFoundError:
        return None


def in_words(holder: str) -> str:
    """What a holder says of itself, for people."""
    try:
        facts = json.loads(holder)
        named = {"process": facts["pid"], "run": facts.get("run_id"), "since": facts.get("since")}
    except (ValueError, KeyError, TypeError, AttributeError):
        return "a process that does not say which"
    return ", ".join(f"{word} {fact}" for word, fact in named.items() if fact)


def _try(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return file.read().strip() or "unknown"
