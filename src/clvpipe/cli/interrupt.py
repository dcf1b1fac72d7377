"""Ctrl-C and SIGTERM end a run at once: the work goes on in another thread, and this one listens.

A query that runs in the main thread would keep Python from seeing the signal until it is done. Stopping
anywhere is safe, because a publication appears in one step; so what does not stop by itself is left behind.
"""

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Generic, TypeVar

from clvpipe.errors import ExitCode, StoppedError
from clvpipe.stages.context import Context, Watch

T = TypeVar("T")
_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}
# A query stops within this when told to; a fit in numpy does not, and is not waited for.
_PATIENCE_SECONDS = 1.0


class _Opened(Watch):
    """Sees which run is opened."""

    context: Context | None = None

    def opened(self, context: Context) -> None:
        """Keep it."""
        self.context = context


class _Worker(threading.Thread, Generic[T]):
    """Does the work and keeps its result or its exception.

    Attributes:
        over: Set when the work is. `is_alive` cannot tell: before Python 3.13, a signal in the middle of
            `join` makes the thread look dead.
    """

    def __init__(self, work: Callable[[Watch], T]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self.seen = _Opened()
        self.result: T | None = None
        self.error: BaseException | None = None
        self.over = threading.Event()

    @property
    def context(self) -> Context | None:
        """Of the run, once it is open."""
        return self.seen.context

    def run(self) -> None:
        try:
            self.result = self._work(self.seen)
        except BaseException as error:
            self.error = error
        finally:
            self.over.set()


def run_interruptibly(work: Callable[[Watch], T]) -> T:
    """Do the work, whose argument must look on at the run that it opens.

    Raises:
        StoppedError: By SIGINT or SIGTERM; what could not be stopped in time ends with the process.
        BaseException: Whatever the work raises.
    """
    worker = _Worker(work)
    before = {number: signal.signal(number, _raise_stopped) for number in _CODES}
    try:
        worker.start()
        while not worker.over.wait(0.1):
            pass
    except StoppedError as stopped:
        for number in _CODES:
            signal.signal(number, signal.SIG_IGN)
        if not _stop(worker):
            raise _with_what_stands(worker, stopped) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if worker.error is not None:
        raise worker.error
    return worker.result  # type: ignore[return-value]


def _raise_stopped(number: int, _: FrameType | None) -> None:
    raise StoppedError(_CODES[signal.Signals(number)])


def _stop(worker: _Worker[Any]) -> bool:
    """Interrupt the engine until the work gives up; else leave, with staging swept.

    Returns:
        Whether the signal came too late: the run had published, and has ended well.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not worker.over.is_set() and time.monotonic() < deadline:
        if worker.context is not None and not worker.context.has_published:
            worker.context.engine.interrupt()
        worker.over.wait(0.05)
    if worker.context is None or not worker.over.is_set() or worker.error is not None:
        if worker.context is not None:
            with suppress(OSError):
                worker.context.layout.discard_staging()
        return False
    return worker.context.has_published


def _with_what_stands(worker: _Worker[Any], stopped: StoppedError) -> StoppedError:
    if worker.context is not None and worker.context.has_published:
        stopped.left = "nothing: the new publication is in place; what is left is tidying up"
    return stopped
