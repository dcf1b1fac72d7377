"""CDNOW as customers, and rows of oracle files."""

import csv
from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from clvpipe.models.patterns import PurchasePatterns

CALIBRATION_END = date(1997, 9, 30)


@dataclass(frozen=True)
class Customers:
    """One row a customer; times in days, value of repeat purchases in dollars."""

    ids: list[int]
    x: NDArray[np.float64]
    t_x: NDArray[np.float64]
    T: NDArray[np.float64]
    mean_value: NDArray[np.float64]
    holdout: NDArray[np.float64]

    @property
    def patterns(self) -> PurchasePatterns:
        return PurchasePatterns.from_customers(self.x, self.t_x, self.T)


def read_cdnow() -> Customers:
    resource = files("lifetimes") / "datasets" / "CDNOW_sample.txt"
    days: dict[int, dict[date, float]] = defaultdict(lambda: defaultdict(float))
    for line in resource.read_text().splitlines():
        if len(fields := line.split()) == 5:
            day = date(int(fields[2][:4]), int(fields[2][4:6]), int(fields[2][6:]))
            days[int(fields[1])][day] += float(fields[4])
    rows = []
    for customer in sorted(days):
        purchases = sorted(days[customer])
        seen = [day for day in purchases if day <= CALIBRATION_END]
        repeat = [days[customer][day] for day in seen[1:]]
        rows.append(
            (
                len(repeat),
                (seen[-1] - seen[0]).days,
                (CALIBRATION_END - seen[0]).days,
                sum(repeat) / len(repeat) if repeat else 0.0,
                len(purchases) - len(seen),
            )
        )
    columns = np.array(rows, dtype=np.float64).T
    return Customers(sorted(days), *columns)


def read_rows(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


Column = NDArray[np.float64]


@overload
def one(first: float, /) -> tuple[Column]: ...
@overload
def one(first: float, second: float, /) -> tuple[Column, Column]: ...
@overload
def one(first: float, second: float, third: float, /) -> tuple[Column, Column, Column]: ...
def one(*values: float) -> tuple[Column, ...]:
    """One customer: an array of length one for each value."""
    return tuple(np.array([value], dtype=np.float64) for value in values)
