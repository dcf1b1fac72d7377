"""Who looks on at a command. `Watch` explains the methods."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date

from clvpipe.cli.stderr import STDERR
from clvpipe.operations.journal import Facts
from clvpipe.stages.context import Context, StageRun, Watch


class Watchers(Watch):
    """Several who look on."""

    def __init__(self, watches: Sequence[Watch]) -> None:
        self._watches = watches

    def opened(self, context: Context) -> None:
        for watch in self._watches:
            watch.opened(context)

    def turned_to(self, day: date) -> None:
        for watch in self._watches:
            watch.turned_to(day)

    def started(self, stage: str) -> None:
        for watch in self._watches:
            watch.started(stage)

    def tell(self, text: str) -> None:
        for watch in self._watches:
            watch.tell(text)

    def reached(self, step: str) -> None:
        for watch in self._watches:
            watch.reached(step)

    def done(self, run: StageRun) -> None:
        for watch in self._watches:
            watch.done(run)

    def ended(self, context: Context) -> None:
        for watch in self._watches:
            watch.ended(context)


class JsonLog(Watch):
    """The run as events on standard error, for programs; the guard adds the last one, `run_ended`."""

    def __init__(self, facts: Facts) -> None:
        STDERR.run_id = facts.run_id
        known = asdict(facts)
        del known["run_id"]
        STDERR.event("info", "run_began", **known)

    def turned_to(self, day: date) -> None:
        STDERR.event("info", "day_began", day=day.isoformat())

    def started(self, stage: str) -> None:
        STDERR.event("info", "stage_began", stage=stage)

    def tell(self, text: str) -> None:
        STDERR.event("debug", "progress", text=text)

    def reached(self, step: str) -> None:
        STDERR.event("debug", "step", step=step)

    def done(self, run: StageRun) -> None:
        for warning in run.result.warnings:
            STDERR.event("warning", "warning", stage=run.stage, text=warning)
        STDERR.event(
            "info",
            "stage_done",
            stage=run.stage,
            rows=dict(run.result.rows),
            seconds=round(run.seconds, 3),
            notes=list(run.result.notes),
        )

    def ended(self, context: Context) -> None:
        if context.publication is not None:
            publication = context.publication
            STDERR.event(
                "info",
                "published",
                version=publication.folder.name,
                unchanged=publication.unchanged,
                is_current=publication.is_current,
            )
