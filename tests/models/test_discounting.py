"""Discounted purchases against direct integration at 30 digits."""

import itertools
from dataclasses import dataclass

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clvpipe.models.bgnbd import BgNbd, BgNbdCommonDropout
from clvpipe.models.discounting import (
    HORIZON_12M_DAYS,
    HORIZON_24M_DAYS,
    annual_to_daily_log_rate,
    discounted_purchases,
)
from clvpipe.models.nbd import Nbd
from clvpipe.models.purchases import PurchaseModel
from tests.models.reference_data import one

HORIZONS = [HORIZON_12M_DAYS, HORIZON_24M_DAYS]


def reference(model: BgNbd, x: float, T: float, rate: float) -> list[float]:
    """∫ e^(−δt) dE of a living customer at both horizons, from the flow of purchases itself, not by parts."""
    with mpmath.workdps(30):
        s, scale = mpmath.mpf(model.r) + x, mpmath.mpf(model.alpha) + T
        delta = mpmath.log(1 + mpmath.mpf(rate)) / mpmath.mpf("365.25")
        a, total = mpmath.mpf(model.a), mpmath.mpf(model.a) + model.b + x

        def flow(t: mpmath.mpf) -> mpmath.mpf:
            # dE/dt = s/(α+T) E_p (1 + pτ)^(−s−1)
            return s / scale * mpmath.hyp2f1(s + 1, a, total, -t / scale) * mpmath.exp(-delta * t)

        first = mpmath.quad(flow, [0, 0.1, 2, 20, HORIZON_12M_DAYS])
        return [float(first), float(first + mpmath.quad(flow, HORIZONS))]


NASTY = [
    (BgNbd(r, alpha, a, b), x, T)
    for (r, alpha), (a, b), (x, T) in itertools.product(
        [(0.25, 0.5), (0.25, 30.9), (5.0, 5.0)],
        [(0.79, 2.43), (20.0, 30.0)],
        [(0.0, 0.0), (1.0, 7.0), (30.0, 30.0)],
    )
]


@pytest.mark.slow
def test_against_direct_integration_over_a_nasty_grid() -> None:
    worst = 0.0
    for model, x, T in NASTY:
        _, ours = discounted_purchases(model, *one(x, T, T), HORIZONS, 0.1)
        alive = model.p_alive(*one(x, T, T))[0]
        for value, truth in zip(ours[:, 0], reference(model, x, T, 0.1), strict=True):
            worst = max(worst, abs(value / (alive * truth) - 1.0))
    assert worst <= 1e-8


def test_nbd_has_a_closed_form() -> None:
    model, delta = Nbd(0.4, 84.0), annual_to_daily_log_rate(0.1)
    _, ours = discounted_purchases(model, *one(3.0, 90.0, 100.0), HORIZONS, 0.1)
    flow = 3.4 / 184.0
    truth = [flow * -np.expm1(-delta * horizon) / delta for horizon in HORIZONS]
    np.testing.assert_allclose(ours[:, 0], truth, rtol=1e-10)


def test_without_discount_it_is_the_expectation() -> None:
    model = BgNbd(0.243, 30.9, 0.793, 2.426)
    history = np.array([0.0, 3.0, 40.0]), np.array([0.0, 90.0, 300.0]), np.array([50.0, 100.0, 301.0])
    expected, discounted = discounted_purchases(model, *history, HORIZONS, 0.0)
    np.testing.assert_array_equal(discounted, expected)
    for row, horizon in zip(expected, HORIZONS, strict=True):
        np.testing.assert_array_equal(row, model.expected_purchases(*history, horizon))


def test_a_year_is_365_and_a_quarter_days() -> None:
    assert np.exp(365.25 * annual_to_daily_log_rate(0.1)) == pytest.approx(1.1, rel=1e-15)


def test_horizons_do_not_disturb_each_other() -> None:
    model, history = BgNbd(0.243, 30.9, 0.793, 2.426), one(3.0, 90.0, 100.0)
    both = discounted_purchases(model, *history, HORIZONS, 0.1)
    alone = discounted_purchases(model, *history, HORIZONS[1:], 0.1)
    assert both[1][1, 0] == pytest.approx(alone[1][0, 0], rel=1e-9)


@pytest.mark.parametrize(
    "model", [BgNbd(0.243, 30.9, 0.793, 2.426), BgNbd(0.3, 9.0, 1.0, 2.0), Nbd(0.4, 84.0)]
)
def test_a_result_does_not_depend_on_the_batch(model: PurchaseModel) -> None:
    rng = np.random.default_rng(3)
    T = rng.integers(0, 700, 100).astype(float)
    x = np.floor(rng.gamma(0.3, 10.0, 100))
    t_x = np.where(x > 0, np.floor(T * rng.random(100)), 0.0)
    whole = discounted_purchases(model, x, t_x, T, HORIZONS, 0.1)
    for size in (1, 7, 64):
        parts = [
            discounted_purchases(model, x[i : i + size], t_x[i : i + size], T[i : i + size], HORIZONS, 0.1)
            for i in range(0, 100, size)
        ]
        for which in (0, 1):
            np.testing.assert_array_equal(np.concatenate([p[which] for p in parts], axis=1), whole[which])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([BgNbd(0.243, 30.9, 0.793, 2.426), BgNbdCommonDropout(0.5, 10.0, 0.1), Nbd(0.4, 84.0)]),
    st.integers(0, 300),
    st.floats(0.0, 1.0),
    st.floats(0.0, 2000.0),
    st.floats(0.0, 1.0),
)
def test_discounting_takes_away_between_nothing_and_the_whole_factor(
    model: PurchaseModel, x: int, recency: float, T: float, rate: float
) -> None:
    history = one(x, recency * T if x else 0.0, T)
    expected, discounted = discounted_purchases(model, *history, HORIZONS, rate)
    assert np.isfinite(discounted).all()
    assert (discounted <= expected * (1 + 1e-12)).all()
    factors = np.exp(-annual_to_daily_log_rate(rate) * np.array(HORIZONS))
    assert (discounted[:, 0] >= expected[:, 0] * factors * (1 - 1e-12)).all()
    # Rounding only: a customer who is sure to be gone after a year gains nothing in the second.
    assert discounted[0, 0] <= discounted[1, 0] * (1 + 1e-12)


@dataclass(frozen=True)
class _Doubled:
    """A fifth model: all that is needed is the protocol."""

    inner: Nbd
    name: str = "DOUBLED"
    dropout_identified: bool = False
    parameters: dict[str, float] | None = None

    def __getattr__(self, attribute: str) -> object:
        return getattr(self.inner, attribute)

    def expected_purchases_if_alive(
        self, x: NDArray[np.float64], T: NDArray[np.float64], horizon_days: float
    ) -> NDArray[np.float64]:
        return 2.0 * self.inner.expected_purchases_if_alive(x, T, horizon_days)


def test_another_model_can_join() -> None:
    plain = Nbd(0.4, 84.0)
    history = one(3.0, 90.0, 100.0)
    _, single = discounted_purchases(plain, *history, HORIZONS, 0.1)
    _, double = discounted_purchases(_Doubled(plain), *history, HORIZONS, 0.1)  # type: ignore[arg-type]
    np.testing.assert_allclose(double, 2.0 * single, rtol=1e-14)
