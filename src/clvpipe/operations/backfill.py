"""Earlier month-ends: each as a run on that day would have made it, and one publication at the end."""

import time
from collections.abc import Sequence
from datetime import date

from clvpipe.errors import UsageError
from clvpipe.publish.history import month_ends
from clvpipe.stages.context import Context, StageRun, Watch
from clvpipe.stages.ingest import load_tables
from clvpipe.stages.publish import extend_history, keep_history
from clvpipe.stages.session import Request, open_run, run_stage

EVERY = {"month": range(1, 13), "quarter": (3, 6, 9, 12)}
WORK = ("features", "fit", "score", "segment")


def chosen_days(first: date, last: date, every: str) -> list[date]:
    """The month-ends of a span, or those that end a quarter.

    Raises:
        UsageError: There is none, or `every` is neither.
    """
    if every not in EVERY:
        raise UsageError(f"--every {every!r} is not known", next_step=f"choose {' or '.join(EVERY)}")
    days = [day for day in month_ends(first, last) if day.month in EVERY[every]]
    if not days:
        raise UsageError(
            f"no {every} ends between {first} and {last}", next_step="choose a span that holds a month-end"
        )
    return days


def backfill(
    request: Request, days: Sequence[date], *, restate: bool, watch: Watch
) -> tuple[list[StageRun], Context]:
    """Make the tables of each day, keep its history, and publish once.

    Where readers already see a later day, that publication stays as it is and gets the new month-ends; else
    the last of the days is published whole.

    Args:
        request: As for a run; its `as_of` is the last of the days.
        days: Month-ends, ascending.
        restate: Use all that is known today, instead of what had been delivered by each day.
        watch: Who looks on.

    Raises:
        ClvpipeError: The first failure; nothing is published.
    """
    runs = []
    with open_run(request, watch) as context:
        context.known_at = None if restate else days[0]
        runs.append(run_stage(context, "ingest"))
        for day in days:
            context.as_of, context.known_at = day, None if restate else day
            watch.turned_to(day)
            load_tables(context)
            runs += [run_stage(context, stage) for stage in WORK]
            context.history[day] = keep_history(context)
        runs.append(_publish(context))
    return runs, context


def _publish(context: Context) -> StageRun:
    begin = time.perf_counter()
    extended = extend_history(context)
    if extended is None:
        return run_stage(context, "publish")
    run = StageRun("publish", extended, time.perf_counter() - begin)
    context.watch.done(run)
    return run
