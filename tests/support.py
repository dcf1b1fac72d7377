"""How tests make a small run: files and a config in a folder, the stages, and the published tables."""

import json
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from clvpipe.config import load_settings
from clvpipe.config.settings import STAGES
from clvpipe.publish import Layout
from clvpipe.stages.context import StageRun
from clvpipe.stages.session import Request, run_stages

REPOSITORY = Path(__file__).parents[1]
HEADER = "customer_id,posted_at,amount\n"
CONFIG = """
preset = "retail"
currency = "EUR"
[inputs.transactions]
files = ["*.csv*"]
"""
# Datasets that speak of files are exempt from independence of how rows are split and ordered.
ABOUT_FILES = ("data_quality", "rejected_rows")


def shared() -> Path:
    """The folder of oracles and real data; its absence fails in CI and skips elsewhere."""
    folder = Path(os.environ.get("CLVPIPE_SHARED", REPOSITORY.parent / "shared")).resolve()
    if not (folder / "oracles").is_dir():
        reason = "no shared folder: set CLVPIPE_SHARED"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@dataclass
class Bench:
    """A folder with extracts, a config and an output."""

    folder: Path
    config: str = CONFIG
    as_of: date | None = date(2024, 6, 30)
    files: dict[str, bytes] = field(default_factory=dict)

    def put(self, name: str, content: str | bytes) -> "Bench":
        """Deliver a file."""
        (self.folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return self

    @property
    def config_path(self) -> Path:
        """The config as a file."""
        path = self.folder / "clvpipe.toml"
        path.write_text(self.config, encoding="utf-8")
        return path

    @property
    def layout(self) -> Layout:
        """Where its output lies."""
        return Layout(self.folder / "out")

    def run(self, stages: Sequence[str] = STAGES, **options: Any) -> list[StageRun]:
        """Run stages in this process."""
        path = self.config_path
        request = Request(
            settings=load_settings(path),
            config_path=path,
            out=self.folder / "out",
            stages=stages,
            **{"as_of": self.as_of, "threads": 2, **options},
        )
        return run_stages(request)[0]

    def table(self, dataset: str) -> pl.DataFrame:
        """A published dataset, through the manifest of `current`."""
        return published(self.folder / "out", dataset)

    def warehouse(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the analysts' warehouse."""
        import duckdb

        path = self.layout.warehouse if self.layout.warehouse.exists() else self.layout.work_database
        with duckdb.connect(str(path), read_only=True) as connection:
            return connection.execute(sql).fetchall()


def manifest(out: Path) -> dict[str, Any]:
    """The manifest of the current version."""
    content: dict[str, Any] = json.loads((out / "current" / "manifest.json").read_text())
    return content


def published(out: Path, dataset: str) -> pl.DataFrame:
    """One dataset of the current version."""
    files = [file["path"] for file in manifest(out)["files"] if file["dataset"] == dataset]
    return pl.read_parquet(out / "current" / files[0])


def content_hashes(out: Path) -> Mapping[str, str]:
    """SHA-256 by dataset, without those that speak of files."""
    return {
        file["dataset"]: file["sha256"]
        for file in manifest(out)["files"]
        if file["dataset"] not in ABOUT_FILES
    }


def ledger_csv(customers: int, *, seed: int = 7, end: date = date(2024, 6, 30)) -> list[str]:
    """Lines of a seeded ledger with ids, by the story of BG/NBD and Gamma-Gamma, with clear dropout."""
    rng = random.Random(seed)
    lines = []
    for number in range(customers):
        ago = rng.randrange(200, 700)
        rate, leaving, scale = (
            rng.gammavariate(0.7, 1 / 25),
            rng.betavariate(0.9, 2.5),
            rng.gammavariate(4, 10),
        )
        day, place = float(ago), 0
        while day >= 0:
            amount = max(rng.gammavariate(6, scale / 6), 0.01)
            lines.append(f"t{number}-{place},c{number:04d},{end - timedelta(days=int(day))},{amount:.2f}")
            if place and rng.random() < leaving:
                break
            day, place = day - rng.expovariate(rate), place + 1
    return lines


LEDGER_HEADER = "transaction_id,customer_id,posted_at,amount\n"
