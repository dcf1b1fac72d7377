"""From one customer's row and a calibration to its scores: Arrow batch in, Arrow batch out, row by row.

Nothing here looks at another row, so batches may be cut anywhere and run in any number of threads. Rows
that arrive in order of (x, t_x, T) are only faster: neighbours with the same pattern share one evaluation.
"""

from copy import copy
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clvpipe.calibration import Calibration
from clvpipe.contracts.model import VALUE_STATUSES
from clvpipe.models.discounting import (
    HORIZON_12M_DAYS,
    HORIZON_24M_DAYS,
    annual_to_daily_log_rate,
    discounted_purchases,
)
from clvpipe.models.gamma_gamma import GammaGamma
from clvpipe.models.purchases import PurchaseModel, model_from_parameters
from clvpipe.models.trend import (
    decline_p_value,
    dispersion_p_value,
    growth_p_value,
    smallest_detectable_fall,
)

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

HORIZONS = (HORIZON_12M_DAYS, HORIZON_24M_DAYS)
MONTHS = 12
# Largest money that DECIMAL(18,2) holds, in cents, less a margin for rounding.
_MAX_CENTS = 9.9e17


@dataclass(frozen=True)
class TrendSettings:
    """Numbers of the trend tests that their kernels need."""

    significance: float
    decline_rate_ratio: float
    long_recent_days: int


class _Group:
    """Values of one group of columns, each row with its (status, reason)."""

    def __init__(self, values: Floats, status: str, reason: str | None, has_purchase: Flags) -> None:
        self.values = values
        self._labels: list[tuple[str, str | None]] = [(status, reason)]
        self._index = np.zeros(len(values), dtype=np.int8)
        self.mark(~has_purchase, "NOT_AVAILABLE", "NO_PURCHASE")

    @property
    def known(self) -> Flags:
        return np.array([status in VALUE_STATUSES for status, _ in self._labels])[self._index]

    def mark(self, where: Flags, status: str, reason: str | None) -> None:
        self._labels.append((status, reason))
        self._index[where] = len(self._labels) - 1

    def with_values(self, values: Floats) -> "_Group":
        other = copy(self)
        other.values, other._labels, other._index = values, list(self._labels), self._index.copy()
        return other

    def texts(self, name: str) -> dict[str, pa.Array]:
        return {
            f"{name}_{part}": _words(self._index, [label[at] for label in self._labels])
            for at, part in enumerate(("status", "reason"))
        }

    def columns(self, name: str, value_name: str) -> dict[str, pa.Array]:
        return {value_name: pa.array(self.values, mask=~self.known), **self.texts(name)}


class Scorer:
    """Scores batches by one calibration.

    Args:
        calibration: Frozen parameters.
        annual_discount_rate: Effective rate a year.
        trend: Numbers of the trend tests.
    """

    def __init__(self, calibration: Calibration, annual_discount_rate: float, trend: TrendSettings) -> None:
        self._calibration = calibration
        self._rate = annual_discount_rate
        self._trend = trend
        fit = calibration.purchases
        self._model: PurchaseModel | None = (
            model_from_parameters(fit.name, fit.parameters) if fit.status == "OK" else None
        )
        self._value = GammaGamma(**calibration.value.parameters) if calibration.value.status == "OK" else None

    def score(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Scores of a batch with the columns of sql/features/score_inputs.sql."""
        has_purchase = ~_nulls(batch, "frequency")
        x, t_x, t = (_floats(batch, name) for name in ("frequency", "t_x_days", "t_days"))
        expected, discounted, p_alive, p_active = self._purchases(x, t_x, t, has_purchase)
        contribution = self._contribution(x, _floats(batch, "repeat_contribution"), has_purchase)
        clv_12m, clv_24m = (self._clv(discounted[h], contribution) for h in (0, 1))
        _mark_beyond(contribution, contribution.values)
        # Both values of a lifetime go by one status.
        _mark_beyond(clv_12m, np.maximum(np.abs(clv_12m.values), np.abs(clv_24m.values)))
        cents_12m, cents_24m = cents_of(clv_12m.values), cents_of(clv_24m.values)
        known = clv_12m.known
        return pa.RecordBatch.from_pydict(
            {
                "customer_id": batch.column("customer_id"),
                **p_alive.columns("p_alive", "p_alive"),
                **p_active.columns("p_active", "p_active_12m"),
                "expected_purchases_12m": pa.array(expected[0].values, mask=~expected[0].known),
                **expected[1].columns("purchases", "expected_purchases_24m"),
                "expected_contribution": money_of(cents_of(contribution.values), contribution.known),
                **contribution.texts("contribution"),
                "clv_12m": money_of(cents_12m, known),
                "clv_24m": money_of(cents_24m, known),
                "model_used": _words(
                    (~known).astype(np.int8), [self._model.name if self._model else "BASELINE", None]
                ),
                **clv_12m.texts("clv"),
                **self._tests(batch),
            }
        )

    def _purchases(
        self, x: Floats, t_x: Floats, t: Floats, has_purchase: Flags
    ) -> tuple[list[_Group], list[Floats], _Group, _Group]:
        """Expected and discounted purchases for each horizon, P(alive) and P(active)."""
        fit, n = self._calibration.purchases, len(x)
        pattern, back = _runs(x, t_x, t, has_purchase)
        if self._model is not None:
            expected, discounted = discounted_purchases(self._model, *pattern, HORIZONS, self._rate)
            alive = self._model.p_alive(*pattern)[back]
            active = self._model.p_active(*pattern, HORIZONS[0])[back]
            groups = [_Group(expected[h][back], "OK", None, has_purchase) for h in (0, 1)]
            p_alive = _Group(alive, "OK", None, has_purchase)
            silent = has_purchase & (x == 0) if self._model.dropout_identified else has_purchase
            reason = "ONE_PURCHASE" if self._model.dropout_identified else "DROPOUT_NOT_IDENTIFIED"
            p_alive.mark(silent, "NOT_IDENTIFIED", reason)
            p_active = _Group(active, "OK", None, has_purchase)
            return groups, [discounted[h][back] for h in (0, 1)], p_alive, p_active
        unknown = _Group(np.zeros(n), "INSUFFICIENT_DATA", fit.reason, has_purchase)
        if fit.pooled is None:
            return [unknown, unknown], [np.zeros(n), np.zeros(n)], unknown, unknown
        delta = annual_to_daily_log_rate(self._rate)
        flat = [
            _Group(np.full(n, fit.pooled * days), "BASELINE", fit.reason, has_purchase) for days in HORIZONS
        ]
        worth = [days if delta == 0 else -np.expm1(-delta * days) / delta for days in HORIZONS]
        return flat, [np.full(n, fit.pooled * factor) for factor in worth], unknown, unknown

    def _contribution(self, x: Floats, repeat_contribution: Floats, has_purchase: Flags) -> _Group:
        fit = self._calibration.value
        mean = np.divide(repeat_contribution, x, out=np.zeros_like(x), where=x > 0)
        if self._value is not None:
            positive = np.where((x > 0) & (mean > 0), mean, 1.0)
            group = _Group(
                self._value.expected_value(np.where(mean > 0, x, 0.0), positive), "OK", None, has_purchase
            )
        elif fit.pooled is not None:
            group = _Group(np.full(len(x), fit.pooled), "BASELINE", fit.reason, has_purchase)
        else:
            group = _Group(np.zeros(len(x)), "INSUFFICIENT_DATA", fit.reason, has_purchase)
        losing = has_purchase & (x > 0) & (mean <= 0)
        group.values = np.where(losing, mean, group.values)
        group.mark(losing, "BASELINE", "NON_POSITIVE_MEAN")
        return group

    def _clv(self, discounted: Floats, contribution: _Group) -> _Group:
        fit = self._calibration.purchases
        group = contribution.with_values(discounted * contribution.values)
        if fit.status != "OK":
            status = "BASELINE" if fit.pooled is not None else "INSUFFICIENT_DATA"
            group.mark(group.known, status, fit.reason)
        return group

    def _tests(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """p-values of the rows that have a baseline; the kernels see only these."""
        trend, rows = self._trend, batch.num_rows
        tested = np.flatnonzero(~_nulls(batch, "trend_window_days"))
        recent, base, window, base_days = _columns_at(
            batch,
            tested,
            "trend_purchases",
            "trend_baseline_purchases",
            "trend_window_days",
            "trend_baseline_days",
        )
        fall, detectable = smallest_detectable_fall(
            base, window, base_days, alpha=trend.significance, rate_ratio=trend.decline_rate_ratio
        )
        grown = np.flatnonzero(~_nulls(batch, "growth_baseline_days"))
        risen, before, before_days = _columns_at(
            batch, grown, "growth_purchases", "growth_baseline_purchases", "growth_baseline_days"
        )
        long_window = np.full(len(grown), float(trend.long_recent_days))
        bought = np.flatnonzero(_floats(batch, "month_purchases") > 0)
        total, squares = _columns_at(batch, bought, "month_purchases", "month_purchases_squared")
        return {
            "decline_p_value": _spread(decline_p_value(recent, base, window, base_days), tested, rows),
            "smallest_detectable_fall": _spread(fall[detectable], tested[detectable], rows),
            "growth_p_value": _spread(growth_p_value(risen, before, long_window, before_days), grown, rows),
            "dispersion_p_value": _spread(dispersion_p_value(MONTHS, total, squares), bought, rows),
        }


def _mark_beyond(group: _Group, values: Floats) -> None:
    """Where money is beyond what its column can hold, it is not published as the most that it can."""
    group.mark(group.known & ~(np.abs(values) * 100 < _MAX_CENTS), "INSUFFICIENT_DATA", "OUT_OF_RANGE")


def _columns_at(batch: pa.RecordBatch, rows: NDArray[np.int64], *names: str) -> list[Floats]:
    if not len(rows):
        return [np.zeros(0) for _ in names]
    return [_floats(batch, name)[rows] for name in names]


def _words(index: NDArray[np.int8], words: list[str | None]) -> pa.Array:
    """A few words for millions of rows, dictionary-encoded; None is NULL."""
    absent = np.array([word is None for word in words])[index]
    return pa.DictionaryArray.from_arrays(
        pa.array(index, mask=absent), pa.array([word or "" for word in words])
    )


def _spread(values: Floats, at: NDArray[np.int64], rows: int) -> pa.Array:
    """Values at some rows, NULL at the others."""
    full, missing = np.zeros(rows), np.ones(rows, dtype=bool)
    full[at], missing[at] = values, False
    return pa.array(full, mask=missing)


def _runs(
    x: Floats, t_x: Floats, t: Floats, wanted: Flags
) -> tuple[tuple[Floats, Floats, Floats], NDArray[np.int64]]:
    """Patterns with equal neighbours collapsed, and for each row the index of its pattern."""
    if not len(x):
        return (x, t_x, t), np.zeros(0, dtype=np.int64)
    triple = [np.where(wanted, column, 0.0) for column in (x, t_x, t)]
    starts = np.ones(len(x), dtype=bool)
    starts[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in triple])
    at = np.flatnonzero(starts)
    return (triple[0][at], triple[1][at], triple[2][at]), np.cumsum(starts) - 1


def cents_of(values: Floats) -> NDArray[np.int64]:
    """Money rounded half away from zero, once."""
    size = np.minimum(np.floor(np.abs(values) * 100 + 0.5), _MAX_CENTS)
    return (np.sign(values) * size).astype(np.int64)


def money_of(cents: NDArray[np.int64], known: Flags) -> pa.Array:
    """Cents as DECIMAL(18,2), NULL where not known: a 128-bit integer is the cents and their sign."""
    words = np.stack([cents, cents >> 63], axis=1)
    mask = pa.array(known).buffers()[1]
    return pa.Array.from_buffers(pa.decimal128(18, 2), len(cents), [mask, pa.py_buffer(words.tobytes())])


def _floats(batch: pa.RecordBatch, name: str) -> Floats:
    column = batch.column(name)
    column = column.fill_null(0) if column.null_count else column
    return column.to_numpy(zero_copy_only=False).astype(np.float64)  # type: ignore[no-any-return]


def _nulls(batch: pa.RecordBatch, name: str) -> Flags:
    column = batch.column(name)
    if column.null_count in (0, len(column)):
        return np.full(len(column), column.null_count > 0)
    return column.is_null().to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
