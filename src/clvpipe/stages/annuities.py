"""Balance annuities: what the balances of open accounts are expected to earn while these last.

Reads: tables `annuity_inputs`, `holdings`, and which extracts there are. Writes: table `balance_annuities`.
"""

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from clvpipe.calibration import Calibration, FrozenCurve
from clvpipe.contracts import WAREHOUSE
from clvpipe.models.survival import SurvivalCurve, annuity_factor, kaplan_meier
from clvpipe.scoring import cents_of, money_of
from clvpipe.sqlrepo import load
from clvpipe.stages.context import Context
from clvpipe.stages.features import presence

MONTHS = 12
# Without one of these extracts there is no annuity, and this is the reason.
NEEDED = {"has_balances": "NO_BALANCES", "has_holdings": "NO_HOLDINGS", "has_rates": "NO_RATES"}


def freeze_curves(context: Context) -> tuple[FrozenCurve, ...]:
    """Survival of holdings by product, and of all together, where there are enough of them."""
    rule = context.settings.annuity
    counts = context.engine.frame(load("survival_counts").bind({"as_of": context.day.isoformat()}))
    groups = [(None, counts), *((str(key[0]), group) for key, group in counts.group_by("product_type"))]
    curves = [_curve(product, group) for product, group in groups]
    enough = [
        curve
        for curve in curves
        if curve.holdings >= rule.minimum_holdings.value and curve.closures >= rule.minimum_closures.value
    ]
    return tuple(sorted(enough, key=lambda curve: curve.product_type or ""))


def _curve(product: str | None, counts: pl.DataFrame) -> FrozenCurve:
    curve = kaplan_meier(
        counts["duration_days"].to_numpy(), counts["has_ended"].to_numpy(), counts["holdings"].to_numpy()
    )
    return FrozenCurve(
        product_type=product,
        times_days=tuple(curve.times.tolist()),
        survival=tuple(curve.survival.tolist()),
        standard_error=tuple(curve.standard_error.tolist()),
        holdings=curve.observations,
        closures=curve.events,
    )


def annuity_reason(context: Context, calibration: Calibration) -> str | None:
    """Why nobody has an annuity; None: everybody with a relationship has."""
    has = presence(context)
    missing = next((reason for name, reason in NEEDED.items() if not has[name]), None)
    return missing or ("TOO_FEW_HOLDINGS" if _pooled(calibration) is None else None)


def make_annuities(context: Context, calibration: Calibration) -> int:
    """Discounted margins of twelve months, by customer; none without a curve of all products."""
    contract = WAREHOUSE["annuity_inputs"]
    inputs = context.engine.ordered(contract.name, contract.column_names, by=contract.key)
    pooled = _pooled(calibration)
    if pooled is None:
        inputs = inputs.clear()
    curves = {curve.product_type: curve for curve in calibration.curves}
    worth = np.zeros(inputs.height)
    products = inputs["product_type"].fill_null("").to_numpy()
    for product in np.unique(products):
        rows = products == product
        curve = curves.get(str(product) or None, pooled)
        assert curve is not None
        factor = annuity_factor(
            inputs["age_days"].to_numpy()[rows],
            survival_curve(curve),
            context.settings.clv.annual_discount_rate.value,
            MONTHS,
        )
        worth[rows] = inputs["margin_a_year"].cast(pl.Float64).to_numpy()[rows] / MONTHS * factor
    ids, starts = np.unique(inputs["customer_id"].to_numpy(), return_index=True)
    sums = _sums(worth, starts)
    money = money_of(cents_of(sums), np.ones(len(sums), dtype=np.bool_))
    table = pa.table({"customer_id": pa.array(ids, pa.string()), "balance_annuity_12m": money})
    return context.engine.load_arrow("balance_annuities", table, WAREHOUSE["balance_annuities"])


def _pooled(calibration: Calibration) -> FrozenCurve | None:
    return next((curve for curve in calibration.curves if curve.product_type is None), None)


def survival_curve(curve: FrozenCurve) -> SurvivalCurve:
    """A frozen curve as the kernel takes it."""
    return SurvivalCurve(
        np.array(curve.times_days, dtype=np.int64),
        np.array(curve.survival),
        np.array(curve.standard_error),
        curve.holdings,
        curve.closures,
    )


def _sums(worth: NDArray[np.float64], starts: NDArray[np.intp]) -> NDArray[np.float64]:
    """By customer: a few accounts each, in the order of their product and age."""
    return np.add.reduceat(worth, starts) if len(starts) else worth
