"""Runs the pipeline over a population, and puts what it published beside the brute force."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from clvpipe.config import load_settings
from clvpipe.config.settings import STAGES
from clvpipe.stages.session import Request, run_stages

from . import brute_force as oracle
from .brute_force import Row, Terms
from .generators import Population

Record = dict[str, Any]
DATASETS = ("customer_segments", "segment_summary", "thresholds", "codes", "rejected_rows")


@dataclass(frozen=True)
class Outcome:
    """What a run published, with what went in."""

    as_of: date
    terms: Terms
    rows: tuple[Row, ...]
    tables: dict[str, list[Record]]

    @cached_property
    def published(self) -> dict[str, Record]:
        """`customer_segments` by customer."""
        return {record["customer_id"]: record for record in self.tables["customer_segments"]}

    @cached_property
    def thresholds(self) -> dict[str, Decimal]:
        """Frozen cuts by name."""
        return {r["name"]: r["value"] for r in self.tables["thresholds"] if r["source"] == "CALIBRATION"}

    @cached_property
    def cuts(self) -> oracle.Cuts:
        """The frozen cuts and thresholds, as the dataset `thresholds` gives them."""
        t = self.thresholds

        def many(name: str, size: int) -> tuple[Any, ...]:
            return tuple(t[f"{name}.{k}"] for k in range(1, size + 1) if f"{name}.{k}" in t)

        return oracle.Cuts(
            recency=many("rfm.recency_cut", 4),
            frequency=many("rfm.frequency_cut", 4),
            monetary=many("rfm.monetary_cut", 4),
            clv_decile=many("clv.decile_cut", 9) or None,
            value_tier=many("value_tier.cut", 2) or None,
            current_theta=t.get("quadrants.current_theta"),
            potential_theta=t.get("quadrants.potential_theta"),
        )

    @cached_property
    def days(self) -> dict[str, oracle.Days]:
        """Purchase days by customer, by brute force."""
        return oracle.purchase_days(oracle.standing_rows(self.rows, self.terms), self.as_of, self.terms)

    @cached_property
    def fees(self) -> dict[str, Fraction]:
        """Fees on events that are no purchases, by customer."""
        return oracle.other_fees(oracle.standing_rows(self.rows, self.terms), self.as_of, self.terms)

    def own(self, name: str) -> Record:
        """What brute force says of a customer's own rows."""
        fees = self.fees.get(name, Fraction(0))
        return oracle.customer(self.days[name], self.as_of, self.terms, fees)

    @cached_property
    def people(self) -> dict[str, Record]:
        """The brute-force columns by customer, with the models' columns as published."""
        models = ("clv_12m", "potential_index", "clv_status")
        return {name: self.own(name) | {m: self.published[name][m] for m in models} for name in self.days}

    @cached_property
    def facts(self) -> dict[str, oracle.Facts | None]:
        """What the state machine looks at, by customer."""
        return {
            name: oracle.facts_of(days, self.as_of, self.terms) if days else None
            for name, days in self.days.items()
        }


def read_tables(out: Path) -> dict[str, list[Record]]:
    """The published datasets that the checks look at."""
    return read_datasets(out, DATASETS)


def read_datasets(out: Path, names: Sequence[str]) -> dict[str, list[Record]]:
    """Published datasets, through the manifest of the current version."""
    version = (out / "current").resolve()
    manifest = json.loads((version / "manifest.json").read_text(encoding="utf-8"))
    paths: dict[str, list[Path]] = {name: [] for name in names}
    for file in manifest["files"]:
        if file["dataset"] in paths:
            paths[file["dataset"]].append(version / file["path"])
    return {name: pl.read_parquet(files).to_dicts() for name, files in paths.items()}


def run(config: Path, out: Path, as_of: date) -> dict[str, list[Record]]:
    """All stages; what is then current."""
    run_stages(Request(load_settings(config), config, out, STAGES, as_of))
    return read_tables(out)


def outcomes_of(population: Population, days: Sequence[date] | None = None) -> list[Outcome]:
    """Run a population, on its day or on several days one after another in the same place."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = population.write(folder)
        return [
            Outcome(day, population.terms, population.rows, run(config, folder / "out", day))
            for day in days or [population.as_of]
        ]


def run_bank(config: Path, out: Path, as_of: date, known_at: date | None) -> dict[str, list[Record]]:
    """All stages, of what was known by a day; what is then current."""
    run_stages(Request(load_settings(config), config, out, STAGES, as_of, known_at))
    return read_tables(out)


def same(expected: Any, found: Any) -> bool:
    """Equal; floating point to 1e-9 of one."""
    if isinstance(expected, float) and isinstance(found, float):
        return abs(expected - found) <= 1e-9
    return bool(expected == found) and (expected is None) == (found is None)


def differences(expected: Record, found: Record) -> dict[str, tuple[Any, Any]]:
    """Columns that differ: brute force, published."""
    return {c: (value, found[c]) for c, value in expected.items() if not same(value, found[c])}


def story(outcome: Outcome, name: str) -> str:
    """A customer's rows, for the message of a failing test."""
    zone = outcome.terms.zone
    rows = [row for row in outcome.rows if row.customer_id == name]
    lines = sorted(
        ((outcome.as_of - row.day(zone)).days, row.posted_at, *map(str, row.content(zone)[2:]), row.file)
        for row in rows
    )
    return f"{name} as of {outcome.as_of} (days ago, row, file):\n" + "\n".join(map(str, lines[:60]))
