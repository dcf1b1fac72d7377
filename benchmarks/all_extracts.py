"""The whole pipeline over a bank, with its transactions alone and with all nine extracts, in one run."""

import os
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.copied_bank import write_bank, write_config
from clvpipe.config import load_pipeline, load_settings
from clvpipe.contracts.extracts import EXTRACTS
from clvpipe.engine import Engine
from clvpipe.stages import ingest
from clvpipe.stages.parts import make_part
from clvpipe.stages.session import Request, run_stages

FACTOR = 3.0
SHOWN = 20


@dataclass(frozen=True)
class Run:
    """What one run has taken.

    Attributes:
        stages: Seconds by stage.
        steps: Seconds by table that it made; the reading of an extract's files is a step too.
        processor: Seconds of all processors, which other work on the machine disturbs less.
        memory: Its highest use of memory, in bytes.
    """

    stages: dict[str, float]
    steps: dict[str, float]
    processor: float
    memory: int

    @property
    def seconds(self) -> float:
        """All stages together."""
        return sum(self.stages.values())


def compare(customers: int, memory: str | None) -> int:
    """Print the ratio, and where the time goes; how many promised ratios are missed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = write_bank(folder, customers)
        alone, together = (
            _in_own_process(write_config(folder, names), folder / f"out-{len(names)}", memory)
            for names in (("transactions",), tuple(EXTRACTS))
        )
    print(
        f"{customers:,} customers, copies of the bank sample, {os.cpu_count()} cores, Parquet files of texts:"
    )
    print("  " + ", ".join(f"{number:,} {name}" for name, number in rows.items()))
    ratio, busy = together.seconds / alone.seconds, together.processor / alone.processor
    print(
        f"  all extracts / transactions alone: {ratio:.2f} (promised: at most {FACTOR:.0f}); "
        f"of processor time {busy:.2f}"
    )
    print(f"  peak memory: {alone.memory / 2**30:.1f} GiB alone, {together.memory / 2**30:.1f} GiB with all")
    print("  shares of the time of the transactions alone:    alone    with all")
    _print_shares(alone.stages, together.stages, alone.seconds)
    print("  of these, by table, and for the reading of an extract's files:")
    _print_shares(alone.steps, together.steps, alone.seconds)
    return int(ratio > FACTOR)


def _print_shares(alone: dict[str, float], together: dict[str, float], whole: float) -> None:
    """The longest first."""
    for name in sorted(together, key=together.__getitem__, reverse=True)[:SHOWN]:
        print(f"    {name:40}  {alone.get(name, 0) / whole:10.1%}  {together[name] / whole:10.1%}")


def _in_own_process(config: Path, out: Path, memory: str | None) -> Run:
    """A run that finds nothing in memory, and whose own memory can be told."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_run, config, out, memory).result()


def _run(config: Path, out: Path, memory: str | None) -> Run:
    pipeline = load_pipeline("sample")
    assert pipeline.as_of is not None
    request = Request(
        settings=load_settings(config),
        config_path=config,
        out=out,
        stages=pipeline.stages,
        as_of=date.fromisoformat(pipeline.as_of),
        threads=os.cpu_count() or 1,
        memory=memory,
    )
    steps: defaultdict[str, float] = defaultdict(float)
    with ExitStack() as stack:
        reading = _timed(steps, make_part, lambda _, delivery, *rest: f"reading {delivery.extract.name}")
        stack.enter_context(patch.object(ingest, "make_part", reading))
        making = _timed(steps, Engine.create_table, lambda _, name, *rest: name)
        stack.enter_context(patch.object(Engine, "create_table", making))
        runs, _ = run_stages(request)
    used = resource.getrusage(resource.RUSAGE_SELF)
    stages = {run.stage: run.seconds for run in runs}
    return Run(stages, dict(steps), used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def _timed(
    steps: defaultdict[str, float], work: Callable[..., Any], name_of: Callable[..., str]
) -> Callable[..., Any]:
    """The work, its seconds noted under a name that its arguments give."""

    def timed(*arguments: Any, **options: Any) -> Any:
        begin = time.perf_counter()
        result = work(*arguments, **options)
        steps[name_of(*arguments)] += time.perf_counter() - begin
        return result

    return timed
