"""Array types and the one place where inputs are brought into the models' domain."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# Long enough for any history in days, short enough that powers and products of ages stay finite.
LARGEST = 1e12


def as_floats(values: ArrayLike) -> FloatArray:
    """Return contiguous float64 (NumPy's vector loops give equal bits only on equal layouts)."""
    return np.asarray(values, dtype=np.float64, order="C")


def within(values: ArrayLike, low: float = 0.0, high: float = LARGEST) -> FloatArray:
    """Clamp to ``[low, high]``; what is not a number becomes ``low``.

    Rejecting bad rows is the contracts' business, where they can be counted and shown; a kernel only
    promises that no input can turn into NaN or Inf further down.
    """
    array = as_floats(values)
    return np.where(np.isnan(array), low, np.clip(array, low, high))


def histories(x: ArrayLike, t_x: ArrayLike, T: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Broadcast and clamp to the domain ``x >= 0``, ``0 <= t_x <= T`` (days)."""
    xs, recencies, ages = np.broadcast_arrays(
        np.asarray(x, dtype=np.float64), np.asarray(t_x, dtype=np.float64), np.asarray(T, dtype=np.float64)
    )
    xs, recencies, ages = np.atleast_1d(xs, recencies, ages)
    age = within(ages)
    return within(xs), np.minimum(within(recencies), age), age


def distinct_pairs(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray, NDArray[np.intp]]:
    """Distinct ``(first, second)`` pairs and, for every row, the index of its pair.

    A complex number sorts by real part, then by imaginary part, which makes one fast sort of the two
    columns (``np.unique(..., axis=0)`` sorts byte strings and takes several times as long).
    """
    packed = np.empty(first.shape, dtype=np.complex128)
    packed.real = first
    packed.imag = second
    pairs: NDArray[Any]
    pairs, inverse = np.unique(packed, return_inverse=True)
    return (
        np.ascontiguousarray(pairs.real, dtype=np.float64),
        np.ascontiguousarray(pairs.imag, dtype=np.float64),
        inverse.reshape(first.shape),
    )
