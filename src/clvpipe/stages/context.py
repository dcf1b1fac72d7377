"""What every stage gets and gives back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from clvpipe.config import Settings
from clvpipe.contracts import WAREHOUSE, Table
from clvpipe.engine import Engine
from clvpipe.errors import UsageError
from clvpipe.privacy import Identity, Tombstones
from clvpipe.publish import Layout
from clvpipe.publish.versions import Publication
from clvpipe.sqlrepo import load
from clvpipe.sqlrepo.repo import Value

STAGE_LOG = "stage_log"

# The moments after which something stands that did not stand before. A run may be killed after each of
# them (tests do), and the next run makes the same bytes as if nothing had happened.
STEPS = (
    "lock taken",
    "rejects kept",
    "part kept",
    "extracts loaded",
    "features made",
    "scores made",
    "segments made",
    "checks passed",
    "dataset staged",
    "calibration kept",
    "warehouse settled",
    "version staged",
    "version in place",
    "current swapped",
    "old versions moved aside",
    "warehouse kept",
)


_NO_RETURN = ("version in place", "current swapped")


@dataclass(frozen=True)
class Check:
    """One row of `data_quality`."""

    name: str
    subject: str
    severity: str
    passed: bool
    observed: int
    limit: str | None
    detail: str


@dataclass(frozen=True)
class StageResult:
    """What a stage says of its work.

    Attributes:
        rows: Rows made, by table.
        notes: Sentences for a person who looks on.
        warnings: Sentences that must be said in any case.
    """

    rows: Mapping[str, int]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class StageRun:
    """A stage that has been run."""

    stage: str
    result: StageResult
    seconds: float


class Watch:
    """Who looks on at a run: a terminal, a log, a test. Methods may be overridden; none changes the run."""

    def opened(self, context: "Context") -> None:
        """The run holds the lock; its engine may be interrupted from another thread."""

    def turned_to(self, day: date) -> None:
        """A backfill begins with one of its days."""

    def started(self, stage: str) -> None:
        """A stage begins."""

    def tell(self, text: str) -> None:
        """Progress inside a stage."""

    def reached(self, step: str) -> None:
        """One of `STEPS` is behind us."""

    def done(self, run: StageRun) -> None:
        """A stage is done."""

    def ended(self, context: "Context") -> None:
        """The run is over, and went well."""


@dataclass(kw_only=True)
class Context:
    """One run: its inputs, its folders, its database.

    Attributes:
        settings: The validated configuration.
        config_path: File that it came from; relative globs start at its folder.
        layout: Where everything lies.
        engine: The run's own database.
        threads: Worker threads; no result depends on it.
        identity: Turns customer ids of the source into those of the tables.
        tombstones: Customers who were erased.
        as_of: The last day whose events are seen. Ingest alone does without.
        known_at: Only deliveries up to this day are seen; None: all.
        crosscheck: Whether the fit is compared with lifetimes.
        refit: Whether a calibration that still stands is made anew.
        strict: Whether a model that is refused, or a warning about the data, fails the run.
        publishes: Whether the run goes on to publish; else each stage keeps what it makes.
        allow_breaking: Whether the published schema may break with that of the last publication.
        accept_volume: Whether a fall in volume that the gate refuses is right this once.
        run_id: Names the run in logs and manifest, never in a table.
        started_at: Clock time, for logs and manifest only.
        watch: Who looks on.
        history: Month-ends that this run has made beside its own day: their file of `segment_history`.
        publication: What the stage `publish` made.
        has_published: Whether there is no way back: readers see the publication, or do in a moment.
        keeps_warehouse: Whether the working database holds what readers now see.
    """

    settings: Settings
    config_path: Path
    layout: Layout
    engine: Engine
    threads: int
    identity: Identity
    tombstones: Tombstones
    as_of: date | None = None
    known_at: date | None = None
    crosscheck: bool = False
    refit: bool = False
    strict: bool = False
    publishes: bool = False
    allow_breaking: bool = False
    accept_volume: bool = False
    run_id: str = ""
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    watch: Watch = field(default_factory=Watch)
    history: dict[date, Path] = field(default_factory=dict)
    publication: Publication | None = None
    has_published: bool = False
    keeps_warehouse: bool = False

    @property
    def day(self) -> date:
        """as_of, which every stage but ingest needs."""
        if self.as_of is None:
            raise UsageError("--as-of is required")
        return self.as_of

    def tell(self, text: str) -> None:
        """Progress, for a person."""
        self.watch.tell(text)

    def reached(self, step: str) -> None:
        """A named step is behind us."""
        assert step in STEPS, step
        self.has_published |= step in _NO_RETURN
        self.watch.reached(step)

    def make(
        self,
        name: str,
        parameters: Mapping[str, Value],
        contract: Table | None = None,
        *,
        temporary: bool = False,
    ) -> int:
        """Make the table that a SQL file is named after, cast to its contract; its rows.

        A temporary one is for this run of the stage alone.
        """
        query = load(name).bind(parameters, contract=contract or WAREHOUSE[name])
        return self.engine.create_table(name, query, temporary=temporary)

    def finished(self, stage: str) -> None:
        """Note in the database that a stage is done, and with which inputs."""
        columns = {"stage": "VARCHAR", "inputs": "VARCHAR"}
        rows = [row for row in self._log() if row[0] != stage]
        self.engine.load_rows(STAGE_LOG, columns, [*rows, (stage, self._inputs(stage))])

    def needs(self, stage: str) -> None:
        """Refuse to go on unless an earlier stage was done with the same inputs.

        Raises:
            UsageError: It was not.
        """
        done = dict(self._log())
        if stage not in done:
            raise UsageError(
                f"`{stage}` has not been run yet", next_step=f"clvpipe {stage}, or clvpipe run for all"
            )
        if done[stage] != self._inputs(stage):
            raise UsageError(
                f"`{stage}` was run with another configuration or date",
                next_step=f"run `clvpipe {stage}` again with these options, or clvpipe run for all",
            )

    def _log(self) -> list[tuple[str, str]]:
        if not self.engine.has_table(STAGE_LOG):
            return []
        return self.engine.ordered(STAGE_LOG, ("stage", "inputs"), by=("stage",)).rows()

    def _inputs(self, stage: str) -> str:
        as_of = None if stage == "ingest" else self.day.isoformat()
        known_at = self.known_at.isoformat() if self.known_at else None
        return json.dumps({"as_of": as_of, "known_at": known_at, "config": self.settings.digest()})
