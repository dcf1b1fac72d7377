"""Weights, thresholds and tiers by every method, through the pipeline, against plain arithmetic."""

import tempfile
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from clvpipe.errors import ConfigError

from . import bank_truth as truth
from .bank_generators import bank, write
from .bank_truth import COMPONENTS, Bank
from .brute_force import median
from .harness import Record, read_datasets, run_bank

# How many times as much a row matters as a column.
CONSISTENT = ((1, 2, 4, 4), (0.5, 1, 2, 2), (0.25, 0.5, 1, 1), (0.25, 0.5, 1, 1))
NEARLY = ((1, 2, 5, 4), (0.5, 1, 2, 3), (0.2, 0.5, 1, 1), (0.25, 1 / 3, 1, 1))
CONTRADICTING = ((1, 9, 1 / 9, 9), (1 / 9, 1, 9, 1 / 9), (9, 1 / 9, 1, 9), (1 / 9, 9, 1 / 9, 1))
RANKS = ("products_rank", "mobile_rank", "assets_rank", "residual_clv_rank")
PROVENANCE = '"judged by the board"'


@pytest.fixture(scope="module")
def made() -> Bank:
    return bank(5, customers=150, full=True, known_at=False, assets="amount")


def _run(made: Bank, sections: Mapping[str, Mapping[str, str]]) -> dict[str, list[Record]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        out = folder / "out"
        run_bank(write(made, folder, config=sections), out, made.as_of, None)
        return read_datasets(out, ("customer_segments", "weights", "thresholds"))


@pytest.fixture(scope="module")
def plain(made: Bank) -> dict[str, list[Record]]:
    return _run(made, {})


def _weights(method: str, **keys: Any) -> dict[str, dict[str, str]]:
    texts = {
        key: repr([list(row) if isinstance(row, tuple) else row for row in value])
        for key, value in keys.items()
    }
    return {"potential.weights": {"method": f'"{method}"', "provenance": PROVENANCE, **texts}}


def _indices(tables: dict[str, list[Record]]) -> dict[str, float]:
    return {
        record["customer_id"]: record["potential_index"]
        for record in tables["customer_segments"]
        if record["potential_index"] is not None
    }


def _by_hand(tables: dict[str, list[Record]], weights: Mapping[str, Any]) -> dict[str, float]:
    """The weighted mean of the published ranks."""
    columns = dict(
        zip(COMPONENTS, ("products_rank", "mobile_rank", "assets_rank", "residual_clv_rank"), strict=True)
    )
    found = {}
    for record in tables["customer_segments"]:
        index, basis = truth.potential_index({c: record[name] for c, name in columns.items()}, weights)
        assert record["potential_basis"] == basis
        if index is not None:
            found[record["customer_id"]] = float(index)
    return found


@pytest.mark.parametrize("matrix", [CONSISTENT, NEARLY])
def test_ahp(made: Bank, matrix: Any) -> None:
    tables = _run(made, _weights("AHP", pairwise=matrix))
    expected, ratio = truth.ahp_weights(matrix)
    rows = {record["component"]: record for record in tables["weights"]}
    assert [rows[c]["weight"] for c in COMPONENTS] == pytest.approx(expected, abs=1e-9)
    assert {record["method"] for record in rows.values()} == {"AHP"}
    assert rows["ASSETS"]["consistency_ratio"] == pytest.approx(ratio, abs=1e-9)
    assert rows["ASSETS"]["provenance"] == PROVENANCE.strip('"')
    given = {c: Fraction(rows[c]["weight"]) for c in COMPONENTS}
    assert _indices(tables) == pytest.approx(_by_hand(tables, given), abs=1e-12)


def test_judgements_that_contradict_each_other_are_refused(made: Bank) -> None:
    with pytest.raises(ConfigError, match="consistency ratio"):
        _run(made, _weights("AHP", pairwise=CONTRADICTING))


def test_entropy(made: Bank) -> None:
    tables = _run(made, _weights("ENTROPY"))
    everybody = [[record[name] for name in RANKS] for record in tables["customer_segments"]]
    complete = [ranks for ranks in everybody if None not in ranks]
    rows = {record["component"]: record for record in tables["weights"]}
    assert [rows[c]["weight"] for c in COMPONENTS] == pytest.approx(truth.entropy_weights(complete), abs=1e-9)
    assert {record["customers"] for record in rows.values()} == {len(complete)}
    assert _indices(tables) == pytest.approx(
        _by_hand(tables, {c: rows[c]["weight"] for c in COMPONENTS}), abs=1e-12
    )


def test_scaled_weights_rank_alike(made: Bank) -> None:
    one, other = (
        _run(made, _weights("EXPERT", expert=weights)) for weights in ([1, 2, 3, 4], [0.5, 1, 1.5, 2])
    )
    for record in (*one["customer_segments"], *other["customer_segments"]):
        del record["calibration_id"]
    assert one["customer_segments"] == other["customer_segments"]


def _thresholds(tables: dict[str, list[Record]]) -> dict[str, Decimal]:
    return {record["name"]: record["value"] for record in tables["thresholds"]}


@pytest.mark.parametrize("method", ["median", "mean", "quantile", "pareto", "fixed"])
def test_theta(made: Bank, method: str) -> None:
    parameter = {"quantile": "0.75", "pareto": "0.8", "fixed": "12.5"}.get(method)
    keys = f'{{ method = "{method}"{f", parameter = {parameter}" if parameter else ""}, provenance = "x" }}'
    tables = _run(made, {"quadrants": {"current_theta": keys}})
    values = sorted(r["current_value"] for r in tables["customer_segments"] if r["current_value"] is not None)
    found = _thresholds(tables)["quadrants.current_theta"]
    if method == "mean":
        assert abs(found - sum(values) / len(values)) < Decimal("1e-7")
    elif method == "median":
        assert found == median(values)
    elif method == "fixed":
        assert found == Decimal("12.5")
    elif method == "quantile":
        assert found in values
        assert sum(v <= found for v in values) >= 0.75 * len(values) > sum(v < found for v in values)
    else:
        positive = [v for v in values if v > 0]
        assert sum(v for v in positive if v >= found) >= Decimal("0.8") * sum(positive)
        assert sum(v for v in positive if v > found) < Decimal("0.8") * sum(positive)
    for record in tables["customer_segments"]:
        if record["quadrant"] is not None:
            high = record["current_value"] >= found and record["current_value"] > 0
            assert (record["quadrant"] in ("BEST", "GENERAL")) == high


def test_value_tiers_by_bands(made: Bank) -> None:
    tables = _run(made, {"value_tier": {"by": '"bands"', "bands": "[10, 250.5]"}})
    for record in tables["customer_segments"]:
        value = record["future_value_12m"]
        expected = (
            None
            if value is None
            else "HIGH"
            if value >= Decimal("250.5")
            else "MID"
            if value >= 10
            else "LOW"
        )
        assert record["value_tier"] == expected


def test_value_tiers_by_pareto(made: Bank) -> None:
    tables = _run(made, {"value_tier": {"by": '"pareto"'}})
    tiers: dict[str | None, list[Decimal]] = {}
    for record in tables["customer_segments"]:
        if record["future_value_12m"] is not None:
            tiers.setdefault(record["value_tier"], []).append(record["future_value_12m"])
    high, both = sum(tiers["HIGH"]), sum(tiers["HIGH"]) + sum(tiers["MID"])
    total = sum(value for values in tiers.values() for value in values if value > 0)
    assert (
        high >= Decimal("0.8") * total > high - min(tiers["HIGH"]) * tiers["HIGH"].count(min(tiers["HIGH"]))
    )
    assert both >= Decimal("0.95") * total
    assert min(tiers["HIGH"]) > max(tiers["MID"]) and min(tiers["MID"]) > max(tiers["LOW"])


@pytest.mark.parametrize(
    ("section", "wrong"),
    [
        ({"value_tier": {"by": '"amounts"'}}, "shares"),
        ({"value_tier": {"bands": "[2, 1]"}}, "rise"),
        ({"value_tier": {"pareto_shares": "[0.9, 0.8]"}}, "rise"),
        ({"potential.weights": {"method": '"EXPERT"', "expert": "[0, 0, 0, 0]"}}, "above zero"),
        ({"potential.weights": {"method": '"AHP"'}}, "pairwise"),
        ({"deposit_tier": {"memory": '"z"'}}, "memory"),
        ({"deposit_tier": {"bounds": "[5, 5, 6]"}}, "rise"),
    ],
)
def test_choices_that_make_no_sense_are_refused(made: Bank, section: Any, wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong):
        _run(made, section)


def test_who_has_no_relationship_has_no_potential(made: Bank, plain: dict[str, list[Record]]) -> None:
    for record in plain["customer_segments"]:
        if record["relationship_start"] is None:
            assert record["potential_index"] is None and record["quadrant"] is None
            assert record["potential_reason"] == "NO_RELATIONSHIP"
