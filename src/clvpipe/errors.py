"""The one exception tree and the one exit-code table.

Every failure that a person can mend is a `ClvpipeError`: it says what failed, where, what was left as it
was, and what to do next. Anything else that escapes is a bug and exits 1.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process says to cron. The README prints this table; a test holds the two together."""

    OK = 0
    BUG = 1
    USAGE = 2
    CONFIG = 10
    INPUT = 11
    QUALITY_GATE = 12
    MODEL_GATE = 13
    LOCKED = 14
    STORAGE = 15
    INTERRUPTED = 130
    TERMINATED = 143


class ClvpipeError(Exception):
    """A failure with its place, what it left untouched, and the next step.

    Args:
        what: What failed, one sentence, without customers' data.
        where: File, line, column or setting.
        left: What was left as it was.
        next_step: What the reader should do.
    """

    exit_code = ExitCode.BUG

    def __init__(
        self, what: str, *, where: str | None = None, left: str | None = None, next_step: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.left = left
        self.next_step = next_step

    def as_dict(self) -> dict[str, str | int | None]:
        """The error as data, for `--json`."""
        return {
            "error": type(self).__name__,
            "exit_code": int(self.exit_code),
            "what": self.what,
            "where": self.where,
            "left": self.left,
            "next": self.next_step,
        }

    def __str__(self) -> str:
        lines = [self.what]
        for label, text in (("where", self.where), ("left as it was", self.left), ("next", self.next_step)):
            if text:
                lines.append(f"  {label}: {text}")
        return "\n".join(lines)


class UsageError(ClvpipeError):
    """The command line cannot be carried out as typed."""

    exit_code = ExitCode.USAGE


class ConfigError(ClvpipeError):
    """A configuration, rule or pipeline file is wrong."""

    exit_code = ExitCode.CONFIG


class InputError(ClvpipeError):
    """An extract cannot be read as configured, or breaks a contract."""

    exit_code = ExitCode.INPUT


class QualityGateError(ClvpipeError):
    """A data-quality check that blocks publication failed."""

    exit_code = ExitCode.QUALITY_GATE


class ModelGateError(ClvpipeError):
    """A model check that blocks publication failed."""

    exit_code = ExitCode.MODEL_GATE


class LockedError(ClvpipeError):
    """Another run holds the state folder."""

    exit_code = ExitCode.LOCKED


class StorageError(ClvpipeError):
    """The disk is full, read-only or otherwise refuses."""

    exit_code = ExitCode.STORAGE


class DamagedError(StorageError):
    """A file of clvpipe's own is missing, or is not what it was."""


def storage_refuses(error: OSError, where: str | None = None) -> StorageError:
    """What the file system says, as an error for people.

    Args:
        error: Its own.
        where: The place, if the error does not name one.
    """
    return StorageError(
        f"the file system refuses: {error.strerror or type(error).__name__}",
        where=str(error.filename or where or "") or None,
        left="the last publication",
        next_step="check space, permissions and the path, and run again",
    )


def mendable(error: BaseException, where: str | None = None) -> ClvpipeError | None:
    """A failure as one that a person can mend; None: it is a defect of ours.

    Args:
        error: Any exception.
        where: The place, if the error does not name one.
    """
    match error:
        case ClvpipeError():
            return error
        case MemoryError():
            what, next_step = "there is not enough memory", "give the job more memory, or fewer --threads"
        case RuntimeError() if "can't start new thread" in str(error):
            what = "there is no room for another thread"
            next_step = "give the job more memory or processes, or fewer --threads"
        case ImportError() if "map segment" in str(error) or "allocate memory" in str(error):
            what, next_step = "there is not enough memory to load a library", "give the job more memory"
        case OSError() if error.filename or where:
            return storage_refuses(error, where)
        case _:
            return None
    return StorageError(what, left="the last publication", next_step=f"{next_step}, and run again")


class StoppedError(ClvpipeError):
    """SIGINT or SIGTERM ended the run.

    Args:
        code: INTERRUPTED or TERMINATED.
    """

    exit_code = ExitCode.INTERRUPTED

    def __init__(self, code: ExitCode) -> None:
        super().__init__(
            code.name.lower(),
            left="the publication that readers see",
            next_step="run again; nothing has to be cleaned up",
        )
        self.exit_code = code
