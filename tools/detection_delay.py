"""`python -m tools.detection_delay`: how often the steady are called declining, how soon others.

Prints the tables of docs/models.md. Customers of known rates go through the whole pipeline: steady ones with
several values of `late_longest_multiple`, and those whose rate changes with the defaults, at every month-end
of the year after. The tests take their steady customers from here too.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from clvpipe.config import load_settings
from clvpipe.config.settings import STAGES
from clvpipe.publish import Layout
from clvpipe.stages.session import Request, run_stages

CONFIG = """
preset = "retail"
currency = "EUR"
inputs.transactions.files = ["*.csv"]
# States never come from the purchase model, so none is fitted.
clv.minimum_customers = 1_000_000
"""
SEED = 20240630
# Values of late_longest_multiple, the first as good as none.
MULTIPLES = {
    0.01: "3 own gaps alone",
    1: "and the longest",
    1.25: "and 1.25 times it",
    1.5: "and 1.5 times it",
}
# Where the choice of the multiple matters: often enough to be late within the churn gap, seldom enough for
# three own gaps to be beyond late_minimum_days.
SLOW_RATES = (6, 9, 12, 15, 18, 21, 24, 36)
SLOW_CUSTOMERS = 5000
RATES = (6, 12, 24, 52, 100, 150)
CUSTOMERS = 600
START, CHANGE = date(2021, 1, 1), date(2023, 12, 31)
MONTH_ENDS = tuple(
    date(2024, month, day) for month, day in enumerate((31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), 1)
)
SHOWN_MONTHS = (1, 2, 3, 4, 6, 9, 12)
# What becomes of the rate after the change.
STORIES = {"halved": 0.5, "stopped": 0.0, "steady": 1.0}
SEEN = ("DECLINING", "CHURNED")


def main() -> None:
    """Print all tables."""
    sys.stdout.write("\n".join(tables()) + "\n")


def tables() -> Iterator[str]:
    """Lines of Markdown."""
    rng = np.random.default_rng(SEED)
    yield from false_alarms(rng)
    yield from delays(rng)


def false_alarms(rng: np.random.Generator) -> Iterator[str]:
    """Share of steady customers called DECLINING on a day, by rate and multiple."""
    days = (START, CHANGE, CHANGE)
    customers = {f"{rate}": purchases(rate, SLOW_CUSTOMERS, days, rng) for rate in SLOW_RATES}
    shares: dict[tuple[str, float], str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for multiple in MULTIPLES:
            config = f"{CONFIG}lifecycle.late_longest_multiple = {multiple}\n"
            found = states(Path(folder), customers, [CHANGE], config)
            called = found.group_by("group").agg((pl.col("lifecycle_state") == "DECLINING").mean())
            shares |= {(group, multiple): f"{100 * share:.1f}" for group, share in called.rows()}
    yield f"| purchase days a year | {' | '.join(MULTIPLES.values())} |"
    yield "|---" * (len(MULTIPLES) + 1) + "|"
    for rate in SLOW_RATES:
        yield f"| {rate} | {' | '.join(shares[f'{rate}', m] for m in MULTIPLES)} |"
    yield ""


def delays(rng: np.random.Generator) -> Iterator[str]:
    """Share called DECLINING or CHURNED by months since the change: at the month-end, and at one so far."""
    days = (START, CHANGE, MONTH_ENDS[-1])
    customers = {
        f"{story} {rate}": purchases(rate, CUSTOMERS, days, rng, after=factor)
        for story, factor in STORIES.items()
        for rate in RATES
    }
    with tempfile.TemporaryDirectory() as folder:
        found = states(Path(folder), customers, MONTH_ENDS).sort("as_of")
    now = pl.col("lifecycle_state").is_in(SEEN)
    seen = found.with_columns(now.alias("now"), now.cum_max().over("customer_id").alias("so_far"))
    shares = {
        (group, day.month): f"{100 * now:.0f} ({100 * so_far:.0f})"
        for group, day, now, so_far in seen.group_by("group", "as_of").agg(pl.mean("now", "so_far")).rows()
    }
    for story in STORIES:
        yield f"| {story}: purchase days a year | {' | '.join(f'{m} mo.' for m in SHOWN_MONTHS)} |"
        yield "|---" * (len(SHOWN_MONTHS) + 1) + "|"
        for rate in RATES:
            yield f"| {rate} | {' | '.join(shares[f'{story} {rate}', m] for m in SHOWN_MONTHS)} |"
        yield ""


def purchases(
    rate: float, customers: int, days: tuple[date, date, date], rng: np.random.Generator, after: float = 1.0
) -> pl.DataFrame:
    """Poisson customers with so many expected purchase days a year.

    Args:
        rate: Expected purchase days a year, below 365.
        customers: Number of customers.
        days: The first day, the last day at that rate, and the last day of all.
        rng: The chance.
        after: Factor on the rate from the change on.

    Returns:
        Columns `customer` (number), `posted_at`; one row a purchase day.
    """
    first, change, last = days
    count = (last - first).days + 1
    factors = np.where(np.arange(count) <= (change - first).days, 1.0, after)
    customer, day = np.nonzero(rng.random((customers, count)) < factors * rate / 365)
    posted_at = np.datetime64(first) + day.astype("timedelta64[D]")
    return pl.DataFrame({"customer": customer, "posted_at": posted_at})


def states(
    folder: Path, groups: Mapping[str, pl.DataFrame], days: Sequence[date], config: str = CONFIG
) -> pl.DataFrame:
    """What the pipeline calls them: `group`, `customer_id`, `as_of`, `lifecycle_state`.

    Args:
        folder: For the files; may hold those of an earlier call.
        groups: Purchases by the name of a group.
        days: Each is a run.
        config: TOML.
    """
    rows = [
        frame.select(pl.format("{}/{}", pl.lit(name), "customer").alias("customer_id"), "posted_at")
        for name, frame in groups.items()
    ]
    pl.concat(rows).with_columns(pl.lit(10).alias("amount")).write_csv(folder / "purchases.csv")
    path = folder / "clvpipe.toml"
    path.write_text(config, encoding="utf-8")
    found = [_states_on(day, path).with_columns(pl.lit(day).alias("as_of")) for day in days]
    return pl.concat(found).with_columns(pl.col("customer_id").str.split("/").list.first().alias("group"))


def _states_on(day: date, config: Path) -> pl.DataFrame:
    out = config.parent / "out"
    request = Request(settings=load_settings(config), config_path=config, out=out, stages=STAGES, as_of=day)
    run_stages(request)
    (path,) = Layout(out).current.rglob("customer_segments*.parquet")
    return pl.read_parquet(path, columns=["customer_id", "lifecycle_state"])


if __name__ == "__main__":
    main()
