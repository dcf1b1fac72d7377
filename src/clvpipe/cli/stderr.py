"""Standard error: words for people, or with --log-json one JSON object a line."""

import json
import sys
import threading
import warnings
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TextIO


class StandardError:
    """The one of this process. It never holds customers' data, and nothing fails because nobody reads it.

    Attributes:
        run_id: Of the run, once there is one.
    """

    def __init__(self) -> None:
        self.run_id: str | None = None
        self._as_json = False
        self._over = False
        self._lock = threading.Lock()

    def begin(self, as_json: bool) -> None:
        """A command begins."""
        self.run_id, self._as_json, self._over = None, as_json, False
        if as_json:
            warnings.showwarning = self._library_warns

    def event(self, level: str, event: str, **facts: Any) -> None:
        """Write an event, if events are wanted."""
        if not self._as_json or self._over:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "level": level, "run_id": self.run_id, "event": event, **facts}
        with self._lock, suppress(OSError, ValueError):
            sys.stderr.write(json.dumps(line) + "\n")
            sys.stderr.flush()

    def warn(self, text: str) -> None:
        """Say what must be said in any case."""
        self.event("warning", "warning", text=text)
        self._print(f"clvpipe: warning: {text}")

    def end(self, exit_code: int, words: str = "", error: dict[str, Any] | None = None) -> None:
        """The last that is said: how the command ends."""
        self.event("error" if error else "info", "run_ended", exit_code=exit_code, error=error)
        self._over = True
        self._print(words)

    def _print(self, words: str) -> None:
        if words and not self._as_json:
            with suppress(OSError, ValueError):
                sys.stderr.write(words + "\n")
                sys.stderr.flush()

    def _library_warns(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """What a library warns of; its message may hold data, so only the place is told."""
        self.event("warning", "warning", text=f"{category.__name__} at {filename}:{lineno}")


STDERR = StandardError()
