"""Weights of the components of an index: written by experts, from pairwise judgements, or from the data.

Saaty, "A Scaling Method for Priorities in Hierarchical Structures", J. Math. Psychology 15 (1977). For
Shannon's entropy: Hwang & Yoon, "Multiple Attribute Decision Making" (1981).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr

from clvpipe.models.arrays import FloatArray, within

# Mean consistency index of random reciprocal matrices of order 1..10.
RANDOM_INDEX = (0.0, 0.0, 0.58, 0.90, 1.12, 1.24, 1.32, 1.41, 1.45, 1.49)
LARGEST_CONSISTENCY_RATIO = 0.1

_TOLERANCE = 1e-9


@dataclass(frozen=True)
class ExpertWeights:
    """Weights in the order given, sum 1."""

    weights: tuple[float, ...]


@dataclass(frozen=True)
class AhpWeights:
    """Weights in the order of the matrix, sum 1, and how consistent the judgements are (0: perfectly)."""

    weights: tuple[float, ...]
    principal_eigenvalue: float
    consistency_index: float
    consistency_ratio: float


@dataclass(frozen=True)
class EntropyWeights:
    """Weights in the order of the columns, sum 1, the entropies they come from (1: says nothing), and n."""

    weights: tuple[float, ...]
    entropies: tuple[float, ...]
    customers: int


def expert_weights(weights: Sequence[float]) -> ExpertWeights:
    """w_j / Σ w of the decimals that were written: (3, 1) and (0.3, 0.1) give the same bits.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, or none is above zero.
    """
    if not all(math.isfinite(w) and w >= 0 for w in weights):
        raise ValueError("weights must be finite and not negative")
    exact = [Fraction(str(float(w))) for w in weights]
    total = sum(exact)
    if total == 0:
        raise ValueError("at least one weight must be above zero")
    return ExpertWeights(tuple(float(w / total) for w in exact))


def ahp_weights(matrix: ArrayLike, largest_ratio: float = LARGEST_CONSISTENCY_RATIO) -> AhpWeights:
    """Principal right eigenvector of a reciprocal matrix; CI = (λ − n)/(n − 1), CR = CI / RI(n).

    Parameters
    ----------
    matrix : array_like, shape (n, n), 1 ≤ n ≤ 10
        a_ij > 0: how many times component i matters as much as j; a_ij a_ji = 1 and a_ii = 1, within 1e-9.
    largest_ratio : float
        The greatest consistency ratio that is accepted.

    Returns
    -------
    AhpWeights
        CI and CR are 0 for n ≤ 2, where judgements cannot contradict one another.

    Raises
    ------
    ValueError
        If the matrix is not of that form, or its consistency ratio is above ``largest_ratio`` (the message
        names the pair that agrees least with the others).
    """
    judgements = _reciprocal(matrix)
    n = judgements.shape[0]
    values, vectors = np.linalg.eig(judgements)
    # By Perron and Frobenius the eigenvalue of greatest modulus is real, simple, and its vector has one sign.
    first = int(np.argmax(values.real))
    vector = np.abs(vectors[:, first].real)
    weights = vector / math.fsum(vector.tolist())
    if n <= 2:
        return AhpWeights(tuple(weights.tolist()), float(n), 0.0, 0.0)
    # λ ≥ n, with equality where the judgements are consistent; less is a rounding error.
    eigenvalue = max(float(values[first].real), float(n))
    index = (eigenvalue - n) / (n - 1)
    ratio = index / RANDOM_INDEX[n - 1]
    if ratio > largest_ratio:
        i, j, implied = _least_consistent(judgements, weights)
        raise ValueError(
            f"consistency ratio {ratio:.3f} is above {largest_ratio:g}; least in agreement with the others "
            f"is row {i + 1}, column {j + 1}: {judgements[i, j]:g}, where they imply about {implied:.2g}"
        )
    return AhpWeights(tuple(weights.tolist()), eigenvalue, index, ratio)


def _reciprocal(matrix: ArrayLike) -> FloatArray:
    judgements = np.asarray(matrix, dtype=np.float64)
    if judgements.ndim != 2 or judgements.shape[0] != judgements.shape[1]:
        raise ValueError("the pairwise matrix must be square")
    if not 1 <= judgements.shape[0] <= len(RANDOM_INDEX):
        raise ValueError(f"the pairwise matrix must have 1 to {len(RANDOM_INDEX)} rows")
    if not np.all(np.isfinite(judgements)) or np.any(judgements <= 0.0):
        raise ValueError("pairwise judgements must be finite and above zero")
    if np.any(np.abs(np.diagonal(judgements) - 1.0) > _TOLERANCE):
        raise ValueError("a component compared with itself must be 1")
    off = np.abs(judgements * judgements.T - 1.0)
    if np.any(off > _TOLERANCE):
        i, j = (int(place) for place in np.unravel_index(int(np.argmax(off)), off.shape))
        raise ValueError(
            f"row {i + 1}, column {j + 1} is {judgements[i, j]:.12g}, which is not the reciprocal of "
            f"{judgements[j, i]:.12g}"
        )
    return judgements


def _least_consistent(judgements: FloatArray, weights: FloatArray) -> tuple[int, int, float]:
    implied = weights[:, None] / weights[None, :]
    # Above the diagonal only: below it stands the same judgement again.
    error = np.triu(np.abs(np.log(judgements / implied)), k=1)
    i, j = (int(place) for place in np.unravel_index(int(np.argmax(error)), error.shape))
    return i, j, float(implied[i, j])


def entropy_weights(ranks: ArrayLike) -> EntropyWeights:
    """p_ij = r_ij / Σᵢ r_ij; e_j = −Σᵢ p_ij ln p_ij / ln n; w_j = (1 − e_j) / Σ_k (1 − e_k).

    A component weighs more the more it tells customers apart. One that is the same for all, or 0 for all, has
    e = 1 and weight 0; where that is so of every component, or there are no two customers, weights are equal.

    Parameters
    ----------
    ranks : array_like, shape (n, k)
        Percentile ranks in [0, 1] of the customers who have all k components.

    Returns
    -------
    EntropyWeights
        The same bits for any order of the customers.

    Raises
    ------
    ValueError
        If ``ranks`` is not a table with at least one column.
    """
    table = within(ranks, 0.0, 1.0)
    if table.ndim != 2 or table.shape[1] == 0:
        raise ValueError("ranks must be a table: a row a customer, a column a component")
    n, k = table.shape
    entropies = tuple(_entropy(table[:, j]) for j in range(k))
    diversities = [1.0 - entropy for entropy in entropies]
    total = math.fsum(diversities)
    weights = tuple(d / total for d in diversities) if total > 0.0 else (1.0 / k,) * k
    return EntropyWeights(weights, entropies, n)


def _entropy(column: FloatArray) -> float:
    # Sorted, because NumPy's loops may round differently at another place; exactly rounded sums besides.
    ordered = np.sort(column)
    if ordered.size <= 1 or ordered[0] == ordered[-1]:
        return 1.0
    shares = ordered / math.fsum(ordered.tolist())
    return min(max(math.fsum(entr(shares).tolist()) / math.log(ordered.size), 0.0), 1.0)
