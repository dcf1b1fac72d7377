"""Potential value: from what a customer holds and may yet bring, and frozen references, to ranks and index.

One row and a calibration to its index: no other row is in sight.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clvpipe.calibration import FrozenWeights, Reference
from clvpipe.config.settings import COMPONENTS, Weights
from clvpipe.errors import ConfigError
from clvpipe.models.empirical import percentile_rank, rank_reference
from clvpipe.models.weights import ahp_weights, entropy_weights, expert_weights

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# The columns of sql/scores/potential_inputs.sql behind the components, in their order.
MEASURES = ("products_held", "mobile_accounts", "financial_assets", "clv_cents")
RANKS = ("products_rank", "mobile_rank", "assets_rank", "residual_clv_rank")


@dataclass(frozen=True)
class Ranks:
    """Percentile ranks in [0, 1], shape (n, 4), in the order of `COMPONENTS`, and which of them are known."""

    values: Floats
    known: Flags


def references_of(inputs: pl.DataFrame) -> tuple[Reference | None, ...]:
    """The distribution of each measure over the customers that have it; None where nobody has."""
    found: list[Reference | None] = []
    for name in MEASURES:
        values = inputs[name].drop_nulls().to_numpy().astype(np.float64)
        if not len(values):
            found.append(None)
            continue
        grid, below, up_to = (tuple(map(float, one)) for one in rank_reference(values))
        found.append(Reference(grid=grid, below=below, up_to=up_to))
    return tuple(found)


def ranks_of(inputs: pl.DataFrame, references: Sequence[Reference | None]) -> Ranks:
    """Where each customer stands among those of the calibration."""
    values = np.zeros((inputs.height, len(MEASURES)))
    known = np.zeros(values.shape, dtype=np.bool_)
    for place, (name, reference) in enumerate(zip(MEASURES, references, strict=True)):
        if reference is None:
            continue
        known[:, place] = inputs[name].is_not_null().to_numpy()
        measures = inputs[name].fill_null(0).to_numpy().astype(np.float64)
        values[:, place] = percentile_rank(measures, reference.grid, reference.below, reference.up_to)
    return Ranks(values, known)


def written_weights(rule: Weights) -> FrozenWeights | None:
    """The weights that stand in the configuration; None where the data give them.

    Raises:
        ConfigError: The pairwise judgements contradict each other.
    """
    if rule.method == "EXPERT" and rule.expert is not None:
        written = expert_weights([float(weight) for weight in rule.expert])
        return FrozenWeights(method="EXPERT", weights=written.weights)
    if rule.method == "AHP" and rule.pairwise is not None:
        try:
            judged = ahp_weights(rule.pairwise)
        except ValueError as error:
            raise ConfigError(
                f"the pairwise judgements cannot be used: {error}",
                where="setting `potential.weights.pairwise`",
                left="everything",
                next_step="make them agree with each other, or use another method",
            ) from error
        return FrozenWeights(method="AHP", weights=judged.weights, consistency_ratio=judged.consistency_ratio)
    return None


def measured_weights(ranks: Ranks) -> FrozenWeights:
    """The weights by entropy, over the customers who have all that anybody has."""
    there = ranks.known.any(axis=0)
    complete = ranks.known[:, there].all(axis=1)
    weights, entropies = np.zeros(len(COMPONENTS)), np.ones(len(COMPONENTS))
    if there.any():
        measured = entropy_weights(ranks.values[complete][:, there])
        weights[there], entropies[there] = measured.weights, measured.entropies
    return FrozenWeights(
        method="ENTROPY",
        weights=tuple(weights.tolist()),
        entropies=tuple(entropies.tolist()),
        customers=int(complete.sum()),
    )


def index_of(ranks: Ranks, weights: FrozenWeights) -> tuple[Floats, list[str | None]]:
    """The weighted mean of the ranks that are known and count, NaN where there is none, and their names."""
    given = np.array(weights.weights)
    counts = ranks.known & (given > 0)
    total, weight = np.zeros(len(counts)), np.zeros(len(counts))
    for place, one in enumerate(given):
        total += np.where(counts[:, place], one * ranks.values[:, place], 0.0)
        weight += np.where(counts[:, place], one, 0.0)
    index = np.divide(total, weight, out=np.full(len(total), np.nan), where=weight > 0)
    names = [
        "_".join(name for at, name in enumerate(COMPONENTS) if pattern >> at & 1) or None
        for pattern in range(1 << len(COMPONENTS))
    ]
    patterns = counts @ (1 << np.arange(len(COMPONENTS)))
    # A weighted mean of numbers in [0, 1] lies there; the last bit may not.
    return np.clip(index, 0.0, 1.0), [names[pattern] for pattern in patterns]


def potentials(
    inputs: pl.DataFrame, references: Sequence[Reference | None], weights: FrozenWeights
) -> pl.DataFrame:
    """Ranks, index and basis of each customer; NULL where not known."""
    ranks = ranks_of(inputs, references)
    index, basis = index_of(ranks, weights)
    columns = {
        name: pl.Series(np.where(ranks.known[:, place], ranks.values[:, place], np.nan)).fill_nan(None)
        for place, name in enumerate(RANKS)
    }
    return pl.DataFrame(
        {
            "customer_id": inputs["customer_id"],
            **columns,
            "potential_index": pl.Series(index).fill_nan(None),
            "potential_basis": pl.Series(basis, dtype=pl.String),
        }
    )
