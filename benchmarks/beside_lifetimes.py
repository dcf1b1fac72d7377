"""Fit and scores of simulated customers, clvpipe beside lifetimes, in one run."""

import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from clvpipe.config import load_settings
from clvpipe.contracts import WAREHOUSE
from clvpipe.engine import Engine
from clvpipe.fitting import frozen_purchases, frozen_value
from clvpipe.locations import resource_dir
from clvpipe.models.fit import fit_purchases
from clvpipe.models.simulate import simulate_bgnbd, simulate_gamma_gamma
from clvpipe.privacy import Identity, Tombstones
from clvpipe.publish import Layout
from clvpipe.sqlrepo import Query
from clvpipe.stages.context import Context
from clvpipe.stages.fit import calibration_of_fits, fit_data, purchase_patterns
from clvpipe.stages.score import score_batches

FIT_FACTOR = 20.0
SCORE_FACTOR = 10.0
# CDNOW's parameters in days, entries over a year, observed for two.
TRUTH = {"r": 0.243, "alpha": 30.9, "a": 0.793, "b": 2.426}
VALUE_TRUTH = {"p": 6.25, "q": 3.74, "gamma": 15.44}


def compare(customers: int, rounds: int) -> int:
    """Print the ratios; how many of the promised ones are missed."""
    warnings.simplefilter("ignore")
    history = _history(customers)
    with tempfile.TemporaryDirectory() as folder, _warehouse(Path(folder), history) as context:
        sides = [(_ours(context), _theirs(history)) for _ in range(rounds)]
    print(f"{customers:,} simulated customers, {os.cpu_count()} cores, best of {rounds} rounds")
    missed = 0
    for work, title, factor in (
        ("fit", "fit of BG/NBD, grouping included, beside BetaGeoFitter.fit", FIT_FACTOR),
        ("clv", "all scores at 12 and 24 months, beside the 12-month CLV of lifetimes", SCORE_FACTOR),
    ):
        ours, theirs = (min(side[work] for side in column) for column in zip(*sides, strict=True))
        missed += theirs / ours < factor
        print(f"  {title}: {theirs / ours:.0f} times faster (promised: {factor:.0f})")
    for name in TRUTH:
        ours, theirs = (side["parameters"][name] for side in sides[0])
        print(f"  {name}: ours {ours:.6g}, lifetimes {theirs:.6g}")
    return missed


def _history(customers: int) -> dict[str, np.ndarray[Any, Any]]:
    ages = np.random.default_rng(1).integers(365, 731, customers).astype(np.float64)
    x, t_x, t = simulate_bgnbd(**TRUTH, T=ages, seed=2, whole_days=True)
    mean = np.zeros(customers)
    mean[x > 0] = simulate_gamma_gamma(**VALUE_TRUTH, x=x[x > 0], seed=3)
    return {"x": x, "t_x": t_x, "t": t, "mean": np.round(mean, 2)}


@contextmanager
def _warehouse(folder: Path, history: dict[str, np.ndarray[Any, Any]]) -> Iterator[Context]:
    layout = Layout(folder)
    layout.prepare()
    config = resource_dir("config") / "cdnow.toml"
    threads = os.cpu_count() or 1
    with Engine(
        layout.work_database, folders=layout.folders, temp_directory=layout.work / "spill", threads=threads
    ) as engine:
        _load(engine, folder, history)
        yield Context(
            settings=load_settings(config),
            config_path=config,
            layout=layout,
            engine=engine,
            threads=threads,
            identity=Identity(),
            tombstones=Tombstones.load(layout.erased),
            as_of=date(2024, 12, 31),
        )


def _ours(context: Context) -> dict[str, Any]:
    _, to_fit = _timed(lambda: fit_purchases(purchase_patterns(context), seed=1))
    data = fit_data(context)
    purchases, _ = frozen_purchases(data, context.settings.clv)
    value, _ = frozen_value(data, context.settings.clv)
    calibration = calibration_of_fits(context, purchases, value)
    rows, to_score = _timed(lambda: sum(batch.num_rows for batch in score_batches(context, calibration)))
    assert rows == context.engine.count("customer_features")
    return {"fit": to_fit, "clv": to_score, "parameters": purchases.parameters}


def _load(engine: Engine, folder: Path, history: dict[str, np.ndarray[Any, Any]]) -> None:
    """The history as the tables that the stages read; what they do not read here stays NULL."""
    n = len(history["x"])
    frame = pl.DataFrame(
        {
            "customer_id": [f"{number:08d}" for number in np.random.default_rng(4).permutation(n)],
            "frequency": history["x"].astype(np.int32),
            "t_x_days": history["t_x"].astype(np.int32),
            "t_days": history["t"].astype(np.int32),
            "repeat_contribution": np.round(history["mean"] * history["x"], 2),
        }
    )
    known = set(frame.columns)
    rest = [column for column in WAREHOUSE["customer_features"].columns if column.name not in known]
    frame = frame.with_columns(pl.lit(None).alias(column.name) for column in rest)
    frame.write_parquet(folder / "features.parquet")
    engine.view_parquet("simulated", [folder / "features.parquet"])
    types = {column.name: column.type for column in WAREHOUSE["customer_features"].columns}
    select = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in types.items())
    engine.create_table("customer_features", Query(f"SELECT {select} FROM simulated", {}))
    engine.load_rows("purchase_days", {"gap_days": "INTEGER"}, [(30,)])


def _theirs(history: dict[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    from lifetimes import BetaGeoFitter, GammaGammaFitter

    frame = pd.DataFrame(history)
    model = BetaGeoFitter()
    _, to_fit = _timed(lambda: model.fit(frame["x"], frame["t_x"], frame["t"]))
    value = GammaGammaFitter()
    value.params_ = pd.Series({"p": 6.25, "q": 3.74, "v": 15.44})
    _, to_score = _timed(
        lambda: value.customer_lifetime_value(
            model, frame["x"], frame["t_x"], frame["t"], frame["mean"], time=12, discount_rate=0.008, freq="D"
        )
    )
    return {"fit": to_fit, "clv": to_score, "parameters": dict(model.params_)}


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begin
