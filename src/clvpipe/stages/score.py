"""Scores: P(alive), expected purchases and contribution, lifetime value, test p-values; streamed, row by row.

Reads: the tables of features, the standing calibration.
Writes: tables `customer_scores`, `balance_annuities`, `future_values`, `customer_potentials`.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import expressions as exp

from clvpipe.calibration import Calibration, FrozenWeights, standing
from clvpipe.config.settings import COMPONENTS
from clvpipe.contracts import WAREHOUSE
from clvpipe.potential import potentials
from clvpipe.scoring import Scorer, TrendSettings
from clvpipe.sqlrepo import load
from clvpipe.sqlrepo.repo import SqlFile
from clvpipe.stages.annuities import annuity_reason, make_annuities
from clvpipe.stages.context import Context, StageResult

BATCH_ROWS = 65_536


def run(context: Context) -> StageResult:
    """Score every customer of `customer_features`."""
    context.needs("fit")
    calibration = standing(context.layout, context.settings, context.day, context.known_at)
    rows = value_customers(context, calibration)
    rows["customer_potentials"] = _potentials(context, calibration)
    context.finished("score")
    context.reached("scores made")
    return StageResult(rows)


def value_customers(context: Context, calibration: Calibration) -> dict[str, int]:
    """Scores, annuities and future values: what asks for nothing but fits and curves; rows by table."""
    rows = {
        "customer_scores": _score(context, calibration),
        "balance_annuities": make_annuities(context, calibration),
    }
    rows["future_values"] = context.make(
        "future_values", {"annuity_reason": annuity_reason(context, calibration)}
    )
    return rows


def _score(context: Context, calibration: Calibration) -> int:
    path = context.layout.work / "scores.parquet"
    total = context.engine.count("customer_features")
    writer: pq.ParquetWriter | None = None
    done = 0
    try:
        for batch in score_batches(context, calibration):
            writer = writer or pq.ParquetWriter(path, batch.schema, compression="lz4")
            writer.write_batch(batch)
            done += batch.num_rows
            context.tell(f"scored {done:,} of {total:,}")
    finally:
        if writer is not None:
            writer.close()
    context.engine.view_parquet("scored", [path])
    contract = WAREHOUSE["customer_scores"]
    everything = exp.select(*(exp.column(name) for name in contract.column_names)).from_("scored")
    rows = context.engine.create_table(
        "customer_scores", SqlFile("scored", {}, everything).bind({}, contract=contract)
    )
    path.unlink()
    return rows


def potential_inputs(context: Context) -> pl.DataFrame:
    """What potential value is ranked by, of who has a relationship."""
    by = {"assets_by": context.settings.potential.assets}
    return context.engine.frame(load("potential_inputs").bind(by))


def _potentials(context: Context, calibration: Calibration) -> int:
    inputs = potential_inputs(context)
    weights = calibration.weights or FrozenWeights(method="EXPERT", weights=(0.0,) * len(COMPONENTS))
    found = potentials(inputs, calibration.potential_references, weights)
    return context.engine.load_arrow(
        "customer_potentials", found.to_arrow(), WAREHOUSE["customer_potentials"]
    )


def score_batches(context: Context, calibration: Calibration) -> Iterator[pa.RecordBatch]:
    """Scored batches in the order of the input, whatever the number of threads."""
    lifecycle = context.settings.lifecycle
    scorer = Scorer(
        calibration,
        context.settings.clv.annual_discount_rate.value,
        TrendSettings(
            float(lifecycle.significance.value),
            float(lifecycle.decline_rate_ratio.value),
            lifecycle.long_recent_days.value,
        ),
    )
    waiting: deque[Future[pa.RecordBatch]] = deque()
    with ThreadPoolExecutor(context.threads) as pool:
        for batch in context.engine.batches(load("score_inputs").bind({}), BATCH_ROWS):
            waiting.append(pool.submit(scorer.score, batch))
            if len(waiting) > 2 * context.threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
