"""The folders under one output folder."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from clvpipe.contracts.extracts import EXTRACTS
from clvpipe.errors import UsageError

PRIVATE_DIRECTORY = 0o700
PUBLIC_DIRECTORY = 0o750
PUBLIC_FILE = 0o640


@dataclass(frozen=True)
class Layout:
    """Paths of one output folder; nothing of clvpipe is written anywhere else.

    `state` is private (0700): typed parts, rejected lines, calibrations, the warehouse. `versions` and
    `current` are what readers use.
    """

    out: Path

    @property
    def versions(self) -> Path:
        """Every kept publication, one folder each."""
        return self.out / "versions"

    @property
    def current(self) -> Path:
        """The symlink to the latest publication."""
        return self.out / "current"

    @property
    def staging(self) -> Path:
        """A publication in the making; swept at the next start."""
        return self.out / ".staging"

    @property
    def removed(self) -> Path:
        """Versions on their way out; swept at once, or at the next start."""
        return self.out / ".removed"

    @property
    def state(self) -> Path:
        """What runs build on."""
        return self.out / "state"

    def parts(self, extract: str) -> Path:
        """One typed part a delivered file, named by its content: the ledger of an extract's deliveries."""
        return self.state / "parts" / extract

    def rejects(self, extract: str) -> Path:
        """Records set aside, one file a part."""
        return self.state / "rejects" / extract

    @property
    def calibrations(self) -> Path:
        """Frozen parameters and cuts, one file a date."""
        return self.state / "calibration"

    @property
    def work(self) -> Path:
        """The database of the run in hand, and what it spills."""
        return self.state / "work"

    @property
    def made_calibrations(self) -> Path:
        """Calibrations of the run in hand; kept when it has passed its gates."""
        return self.work / "calibration"

    @property
    def work_database(self) -> Path:
        """The warehouse while it is being built."""
        return self.work / "warehouse.duckdb"

    @property
    def warehouse(self) -> Path:
        """The warehouse of the last publication, for analysts."""
        return self.state / "warehouse.duckdb"

    @property
    def warehouse_log(self) -> Path:
        """What a session that wrote into the warehouse has left beside it."""
        return self.state / f"{self.warehouse.name}.wal"

    @property
    def lock(self) -> Path:
        """Held by the one writer."""
        return self.state / "lock"

    @property
    def erased(self) -> Path:
        """Keyed hashes of erased customers."""
        return self.state / "erased"

    @property
    def journal(self) -> Path:
        """One line a run that began, one line a run that ended."""
        return self.state / "runs.jsonl"

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where the engine may read and write: `state` may be a link to another disk."""
        return (self.out, self.state.resolve(), self.versions.resolve())

    def sweep(self) -> None:
        """Remove what nobody sees: a publication that was never finished, versions on their way out."""
        for folder in (self.staging, self.removed):
            if folder.exists():
                shutil.rmtree(folder)

    def discard_staging(self) -> None:
        """Take an unfinished publication away from a writer that may still be at it.

        Of this rename and the one that makes a version of it, one comes first, and the other finds nothing.
        """
        self.removed.mkdir(exist_ok=True)
        self.staging.replace(Path(tempfile.mkdtemp(dir=self.removed)) / self.staging.name)
        self.sweep()

    def prepare(self) -> None:
        """Make the private folders.

        Raises:
            UsageError: The engine would read the path as a pattern.
        """
        if set(str(self.out)) & set("*?[]"):
            raise UsageError(
                "the output folder's path may not contain * ? [ or ]",
                where=str(self.out),
                left="everything",
                next_step="choose another folder with --out",
            )
        for folder in (*reversed(self.out.parents), self.out):
            if not folder.exists():
                folder.mkdir(exist_ok=True)  # Another run may have been faster.
                folder.chmod(PUBLIC_DIRECTORY)
        ledgers = [folder for name in EXTRACTS for folder in (self.parts(name), self.rejects(name))]
        parents = (self.state / "parts", self.state / "rejects")
        for folder in (self.state, *parents, *ledgers, self.calibrations, self.work):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(PRIVATE_DIRECTORY)
