"""Purchase patterns laid out for the likelihood: sums by count and by day, tables of distinct days.

Days are whole numbers, so a million customers have a few hundred distinct ages: whatever depends on an age
alone is computed once an age, and whatever adds up over customers of one count or one age is added up once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clvpipe.models.arrays import FloatArray, histories
from clvpipe.models.patterns import PurchasePatterns

Index = NDArray[np.intp]

# A table of whole days up to here costs less than sorting the values.
_LARGEST_DAY_TABLE = 1 << 16


@dataclass(frozen=True)
class Observations:
    """Patterns in units of ``unit_days``, so that no parameter is huge.

    Attributes
    ----------
    x, T, weight : ndarray, shape (n,)
        Repeat purchases, scaled age, customers of each pattern.
    count_by_x : ndarray, shape (max_x + 1,)
        Customers by number of repeat purchases.
    ages, customers_by_age, purchases_by_age : ndarray, shape (n_ages,)
        Scaled ages that occur (or may), and who and what is of each.
    repeat_x, repeat_weight : ndarray, shape (n_repeat,)
        Patterns with a repeat purchase.
    repeat_index, repeat_age : ndarray of indices, shape (n_repeat,)
        Into tables by x, and into ``ages``.
    last_days : ndarray, shape (n_last,)
        Scaled ages at the last purchase that occur (or may).
    repeat_last : ndarray of indices, shape (n_repeat,)
        Into ``last_days``.
    """

    patterns: PurchasePatterns
    unit_days: float
    x: FloatArray
    T: FloatArray
    weight: FloatArray
    max_x: int
    count_by_x: FloatArray
    ages: FloatArray
    customers_by_age: FloatArray
    purchases_by_age: FloatArray
    repeat_x: FloatArray
    repeat_weight: FloatArray
    repeat_index: Index
    repeat_age: Index
    last_days: FloatArray
    repeat_last: Index

    @classmethod
    def of(cls, patterns: PurchasePatterns, unit_days: float | None = None) -> "Observations":
        """Scale time by the greatest age, or by ``unit_days``."""
        unit = unit_days or float(np.max(patterns.t_days, initial=0.0)) or 1.0
        x, t_x, T = histories(np.floor(patterns.frequency), patterns.t_x_days, patterns.t_days)
        weight = patterns.customers.astype(np.float64)
        max_x = int(np.max(x, initial=0.0))
        index = x.astype(np.intp)
        ages, age_index = _levels(T)
        repeats = x > 0
        last_days, last_index = _levels(t_x[repeats])
        return cls(
            patterns=patterns,
            unit_days=unit,
            x=x,
            T=T / unit,
            weight=weight,
            max_x=max_x,
            count_by_x=np.bincount(index, weights=weight, minlength=max_x + 1).astype(np.float64),
            ages=ages / unit,
            customers_by_age=np.bincount(age_index, weights=weight, minlength=ages.size).astype(np.float64),
            purchases_by_age=np.bincount(age_index, weights=weight * x, minlength=ages.size).astype(
                np.float64
            ),
            repeat_x=x[repeats],
            repeat_weight=weight[repeats],
            repeat_index=index[repeats],
            repeat_age=age_index[repeats],
            last_days=last_days / unit,
            repeat_last=last_index,
        )

    @property
    def log_unit_correction(self) -> float:
        """What turns ln L of scaled times into ln L in days: a density a purchase changes unit."""
        return -float(np.sum(self.purchases_by_age)) * float(np.log(self.unit_days))


def _levels(days: FloatArray) -> tuple[FloatArray, Index]:
    """Return distinct values (or every whole day up to the greatest) and each row's index among them."""
    greatest = float(np.max(days, initial=0.0))
    if greatest < _LARGEST_DAY_TABLE and bool(np.all(days == np.floor(days))):
        return np.arange(int(greatest) + 1, dtype=np.float64), days.astype(np.intp)
    levels, index = np.unique(days, return_inverse=True)
    return levels, index.reshape(days.shape)
