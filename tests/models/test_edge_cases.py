"""Hard single customers against 40-digit arithmetic; both forms of the expectation; hostile inputs."""

from pathlib import Path

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clvpipe.models.beta_quadrature import mean_purchases
from clvpipe.models.bgnbd import (
    BgNbd,
    BgNbdCommonDropout,
    purchases_if_alive,
    purchases_if_alive_closed_form,
    purchases_if_alive_series,
)
from clvpipe.models.nbd import Nbd
from clvpipe.models.purchases import PurchaseModel, model_from_parameters
from tests.models.reference_data import one, read_rows

SMALLEST = float(np.finfo(np.float64).tiny)

MODELS: list[PurchaseModel] = [
    BgNbd(0.243, 30.9, 0.793, 2.426),
    BgNbd(0.243, 30.9, 1.0, 2.426),
    BgNbd(1e-3, 0.5, 1e-6, 1e-2),
    BgNbd(50.0, 3000.0, 20.0, 5e6),
    BgNbdCommonDropout(0.5, 10.0, 1e-9),
    BgNbdCommonDropout(1e7, 3e8, 0.999),
    Nbd(0.38, 84.0),
]


def reference(r: float, a: float, b: float, x: float, tau: float) -> float:
    """E[Y | alive] as published (Fader, Hardie & Lee 2005, eq. 10), untransformed, at 60 digits."""
    with mpmath.workdps(60):
        # At a = 1 the formula is 0/0; 1e-25 away its value is the limit to 25 digits.
        shape, first = mpmath.mpf(r) + x, mpmath.mpf(a) + (mpmath.mpf("1e-25") if a == 1.0 else 0)
        total, z = first + b + x - 1, mpmath.mpf(tau) / (1 + mpmath.mpf(tau))
        series = mpmath.hyp2f1(shape, mpmath.mpf(b) + x, total, z)
        return float(total / (first - 1) * (1 - (1 - z) ** shape * series))


@pytest.mark.realdata
def test_edge_cases_to_ten_digits(oracles: Path) -> None:
    rows = read_rows(oracles / "bgnbd_edge_cases_mpmath.csv")
    assert len(rows) == 30
    for row in rows:
        model = BgNbd(*(float(row[name]) for name in ("r", "alpha", "a", "b")))
        history = one(float(row["x"]), float(row["t_x"]), float(row["T"]))
        horizon = float(row["t"])
        log_likelihood = model.log_likelihood(*history)[0]
        assert log_likelihood == pytest.approx(float(row["loglik"]), rel=1e-10, abs=1e-10), row["case"]
        with mpmath.workdps(40):
            log_alive = float(mpmath.log(mpmath.mpf(row["p_alive"])))
            expected = mpmath.mpf(row["cet"])
            log_expected = float(mpmath.log(expected)) if expected > 0 else None
        assert model.log_p_alive(*history)[0] == pytest.approx(log_alive, rel=1e-10, abs=1e-10), row["case"]
        if log_expected is None:
            assert model.expected_purchases(*history, horizon)[0] == 0.0
            continue
        ours = model.log_expected_purchases(*history, horizon)[0]
        assert ours == pytest.approx(log_expected, rel=1e-10, abs=1e-10), row["case"]
        if log_expected > np.log(SMALLEST):
            assert model.p_alive(*history)[0] == pytest.approx(float(row["p_alive"]), rel=1e-9), row["case"]


TRAPS = [
    # r, α, a, b, x, T, t: 32 Gauss-Jacobi nodes err by 19 % and by 0.3 %.
    (5.0, 0.5, 0.1, 0.5, 30.0, 1.0, 730.5),
    (0.25, 1.0, 0.79, 2.43, 0.0, 0.0, 730.5),
]


@pytest.mark.parametrize(("r", "alpha", "a", "b", "x", "T", "t"), TRAPS)
def test_quadrature_traps_by_both_forms(
    r: float, alpha: float, a: float, b: float, x: float, T: float, t: float
) -> None:
    tau = t / (alpha + T)
    truth = reference(r, a, b, x, tau)
    assert mean_purchases(*one(r + x, tau), a, *one(b + x))[0] == pytest.approx(truth, rel=1e-10)
    assert purchases_if_alive_closed_form(r, a, b, *one(x, tau))[0] == pytest.approx(truth, rel=1e-10)
    model = BgNbd(r, alpha, a, b)
    assert model.expected_purchases_if_alive(*one(x, T), t)[0] == pytest.approx(truth, rel=1e-10)


HARD = [
    (0.25, 1.0, 2.4, 0.0, 1461.0),  # a = 1, new customer, α = 0.5, two years
    (0.25, 1.0 + 1e-7, 2.4, 3.0, 5.0),
    (0.25, 1.0 - 1e-7, 2.4, 300.0, 0.7),
    (0.25, 0.8, 5e6, 2.0, 2.0),
    (0.7, 1222.8, 9043.8, 3.0, 1.4),
    (0.05, 0.5, 3000.0, 0.0, 1000.0),  # SciPy's hyp2f1 is NaN near here
    (1.4, 0.0153, 155.3, 2.0, 4465.0),  # ... and 4e-8 off here
    (0.01, 1e-6, 0.01, 1.0, 30.0),
    (2e4, 0.5, 3.0, 10.0, 1e-3),
    (0.5, 0.3, 3.0, 20000.0, 0.33),
    (0.25, 0.79, 2.43, 0.0, 1e-4),
    (0.25, 50.0, 0.5, 1.0, 1e-4),
]


@pytest.mark.parametrize(("r", "a", "b", "x", "tau"), HARD)
def test_expectation_of_hard_customers(r: float, a: float, b: float, x: float, tau: float) -> None:
    truth = reference(r, a, b, x, tau)
    assert mean_purchases(*one(r + x, tau), a, *one(b + x))[0] == pytest.approx(truth, rel=1e-12)
    assert purchases_if_alive(r, a, b, *one(x, tau))[0] == pytest.approx(truth, rel=1e-10)


def test_common_dropout_is_the_limit_of_alike_customers() -> None:
    history = one(5.0, 30.0, 40.0)
    nearly = BgNbd(0.5, 10.0, 1e8, 9e8)
    limit = BgNbdCommonDropout(0.5, 10.0, 0.1)
    for method in ("log_likelihood", "p_alive"):
        assert getattr(nearly, method)(*history)[0] == pytest.approx(
            getattr(limit, method)(*history)[0], rel=1e-7
        )
    near, at = nearly.expected_purchases(*history, 52.0)[0], limit.expected_purchases(*history, 52.0)[0]
    assert near == pytest.approx(at, rel=1e-7)


def test_tiny_common_dropout_is_nbd() -> None:
    history = one(5.0, 30.0, 40.0)
    nearly = BgNbdCommonDropout(0.5, 10.0, 1e-13).expected_purchases(*history, 52.0)[0]
    assert nearly == pytest.approx(Nbd(0.5, 10.0).expected_purchases(*history, 52.0)[0], rel=1e-10)


def test_nbd_likelihood_for_nearly_equal_rates_is_poisson() -> None:
    rate = 0.03
    x = np.array([0.0, 1.0, 4.0, 30.0])
    T = np.full(4, 200.0)
    model = Nbd(1e10, 1e10 / rate)
    np.testing.assert_allclose(model.log_likelihood(x, T, T), x * np.log(rate) - rate * T, rtol=1e-6)


HOSTILE = [0.0, -1.0, 1.0, 0.5, 3.0, 1e-300, 20_000.0, 1e9, 1e300, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_no_input_gives_nan_or_inf_or_an_exception(model: PurchaseModel) -> None:
    x, t_x, T = (grid.ravel() for grid in np.meshgrid(HOSTILE, HOSTILE, HOSTILE))
    for horizon in (0.0, 365.25, 730.5):
        for result in (
            model.log_likelihood(x, t_x, T),
            model.log_p_alive(x, t_x, T),
            model.p_alive(x, t_x, T),
            model.p_active(x, t_x, T, horizon),
            model.expected_purchases(x, t_x, T, horizon),
            model.log_expected_purchases(x, t_x, T, horizon),
        ):
            assert np.isfinite(result).all()
        for probability in (model.p_alive(x, t_x, T), model.p_active(x, t_x, T, horizon)):
            assert ((probability >= 0) & (probability <= 1)).all()


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_result_does_not_depend_on_the_batch(model: PurchaseModel) -> None:
    rng = np.random.default_rng(7)
    T = rng.uniform(0, 700, 500)
    x = np.floor(rng.gamma(0.3, 10.0, 500))
    t_x = np.where(x > 0, T * rng.random(500), 0.0)
    functions = (
        model.log_likelihood,
        model.p_alive,
        lambda *h: model.p_active(h[0], h[1], h[2], 365.25),
        lambda *h: model.expected_purchases(h[0], h[1], h[2], 365.25),
    )
    for function in functions:
        whole = function(x, t_x, T)
        for size in (1, 3, 7, 64, 499):
            parts = [
                function(x[i : i + size], t_x[i : i + size], T[i : i + size]) for i in range(0, 500, size)
            ]
            np.testing.assert_array_equal(np.concatenate(parts), whole)
        np.testing.assert_array_equal(function(x[::-1], t_x[::-1], T[::-1])[::-1], whole)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_model_survives_its_record(model: PurchaseModel) -> None:
    assert model_from_parameters(model.name, model.parameters) == model


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ValueError, match="PARETO"):
        model_from_parameters("PARETO_NBD", {"r": 1.0})
    with pytest.raises(ValueError, match="NBD"):
        model_from_parameters("NBD", {"r": 1.0, "beta": 2.0})


positive = st.floats(-3.0, 2.0).map(lambda e: 10.0**e)


@settings(max_examples=150, deadline=None)
@given(positive, positive, positive, st.integers(0, 200), st.floats(-5.0, 3.0).map(lambda e: 10.0**e))
def test_every_form_agrees_where_it_is_sound(r: float, a: float, b: float, x: int, tau: float) -> None:
    exact = mean_purchases(*one(r + x, tau), a, *one(b + x))[0]
    assert purchases_if_alive(r, a, b, *one(x, tau))[0] == pytest.approx(exact, rel=2e-10)
    if max(r + x, 1.0) * tau <= 0.25:
        assert purchases_if_alive_series(r, a, b, *one(x, tau))[0] == pytest.approx(exact, rel=1e-12)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(MODELS),
    st.integers(0, 300),
    st.floats(0.0, 1.0),
    st.floats(0.0, 2000.0),
    st.floats(0.0, 800.0),
    st.floats(0.0, 800.0),
)
def test_longer_horizons_never_mean_less(
    model: PurchaseModel, x: int, recency: float, T: float, first: float, more: float
) -> None:
    history = one(x, recency * T if x else 0.0, T)
    sooner, later = (
        model.expected_purchases(*history, first)[0],
        model.expected_purchases(*history, first + more)[0],
    )
    assert 0.0 <= sooner <= later * (1 + 1e-9)
    assert model.p_active(*history, first)[0] <= model.p_active(*history, first + more)[0] * (1 + 1e-12)
    # P(at least one) <= E, and nobody is expected to buy more than a customer who cannot leave.
    assert model.p_active(*history, first)[0] <= sooner * (1 + 1e-9)
    r, alpha = model.parameters["r"], model.parameters["alpha"]
    assert sooner <= (r + x) / (alpha + T) * first * (1 + 1e-9)
