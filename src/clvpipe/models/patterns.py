"""What a purchase model is fitted on: distinct histories and how many customers share each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from clvpipe.models.arrays import FloatArray, IntArray, as_floats


@dataclass(frozen=True)
class PurchasePatterns:
    """Distinct ``(x, t_x, T)`` with counts: all that the likelihood depends on.

    Attributes
    ----------
    frequency : ndarray[float64], shape (n,)
        x, repeat purchase days.
    t_x_days : ndarray[float64], shape (n,)
        Age at the last purchase, days.
    t_days : ndarray[float64], shape (n,)
        T, age at the end of observation, days.
    customers : ndarray[int64], shape (n,)
        How many customers share the triple.
    """

    frequency: FloatArray
    t_x_days: FloatArray
    t_days: FloatArray
    customers: IntArray

    @classmethod
    def from_customers(cls, frequency: ArrayLike, t_x: ArrayLike, t: ArrayLike) -> "PurchasePatterns":
        """Group one row a customer into sorted distinct triples with counts."""
        x, recency, age = as_floats(frequency), as_floats(t_x), as_floats(t)
        order = np.lexsort((age, recency, x))
        x, recency, age = x[order], recency[order], age[order]
        is_new = np.ones(x.size, dtype=np.bool_)
        is_new[1:] = (x[1:] != x[:-1]) | (recency[1:] != recency[:-1]) | (age[1:] != age[:-1])
        starts = np.flatnonzero(is_new)
        counts = np.diff(np.append(starts, x.size)).astype(np.int64)
        return cls(x[starts], recency[starts], age[starts], counts)

    @property
    def n_customers(self) -> int:
        """Number of customers behind the patterns."""
        return int(self.customers.sum())

    @property
    def n_repeaters(self) -> int:
        """Number of customers with at least one repeat purchase."""
        return int(self.customers[self.frequency > 0].sum())

    def systematic_sample(self, size: int, offset: float) -> "PurchasePatterns":
        """Take ``size`` customers at equal steps through the sorted customers, from ``offset`` in [0, 1).

        Every customer has the same chance, and because the patterns are sorted the sample's mix of
        frequencies is that of the whole to within one customer in each.
        """
        total = self.n_customers
        if size >= total:
            return self
        ranks = np.floor((np.arange(size) + offset) * (total / size))
        chosen = np.searchsorted(np.cumsum(self.customers), ranks, side="right")
        index, hits = np.unique(chosen, return_counts=True)
        return PurchasePatterns(
            self.frequency[index], self.t_x_days[index], self.t_days[index], hits.astype(np.int64)
        )
