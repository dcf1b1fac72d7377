"""The published case: CDNOW, against the papers and three other packages' results."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from clvpipe.models.bgnbd import BgNbd
from clvpipe.models.discounting import discounted_purchases
from clvpipe.models.fit import PurchaseFit, fit_purchases
from clvpipe.models.gamma_gamma import GammaGamma, ValuePairs, fit_gamma_gamma
from clvpipe.models.likelihood import evaluate
from clvpipe.models.observations import Observations
from clvpipe.models.patterns import PurchasePatterns
from clvpipe.models.purchase_optima import NO_DROPOUT, Search
from tests.models.reference_data import Customers, read_rows

pytestmark = pytest.mark.realdata

PAPER = BgNbd(0.243, 4.414, 0.793, 2.426)
LN_7 = float(np.log(7.0))


def in_weeks(log_likelihood: float, customers: Customers) -> float:
    return log_likelihood + float(customers.x.sum()) * LN_7


def test_the_data_are_those_of_the_paper(cdnow: Customers) -> None:
    assert len(cdnow.ids) == 2357
    assert int((cdnow.x > 0).sum()) == 946
    assert cdnow.holdout.sum() == 1882


def test_maximum_likelihood(cdnow: Customers, cdnow_fit: PurchaseFit) -> None:
    assert cdnow_fit.model.name == "BG_NBD"
    assert in_weeks(cdnow_fit.log_likelihood, cdnow) == pytest.approx(-9582.4292, abs=5e-5)
    estimates = np.array(cdnow_fit.estimates) / [1, 7, 1, 1]
    np.testing.assert_allclose(estimates, [0.242594, 4.413602, 0.792920, 2.425888], rtol=5e-5)
    errors = np.array(cdnow_fit.standard_errors, dtype=float) / [1, 7, 1, 1]
    np.testing.assert_allclose(errors, [0.01256, 0.37822, 0.18573, 0.70541], atol=2e-5)
    verdict = cdnow_fit.verdict
    assert verdict.converged and verdict.hessian_positive_definite and verdict.boundary == "NONE"
    assert verdict.starts_tried >= 3 and verdict.gradient_norm < 1e-7


def test_covariance_of_r_and_alpha(cdnow_fit: PurchaseFit) -> None:
    assert cdnow_fit.log_covariance is not None
    r, alpha = cdnow_fit.estimates[:2]
    assert cdnow_fit.log_covariance[0][1] * r * alpha / 7 == pytest.approx(0.003706, abs=1e-6)


def test_nbd(cdnow: Customers, cdnow_fit: PurchaseFit) -> None:
    # Published as −9763.6577, but at the published parameters (r 0.38477, α 12.0720) it is −9763.65761.
    assert in_weeks(cdnow_fit.nbd_log_likelihood, cdnow) == pytest.approx(-9763.65761, abs=1e-5)
    search = Search.over(Observations.of(cdnow.patterns))
    optimum = search.maximise(NO_DROPOUT, [np.zeros(2)])
    r, alpha = np.exp(optimum.coordinates) * [1, search.full.unit_days / 7]
    assert r == pytest.approx(0.38477, abs=5e-6) and alpha == pytest.approx(12.0720, abs=5e-5)


@pytest.mark.parametrize(
    ("model", "expected"), [(PAPER, -9582.43048), (BgNbd(1.0, 1.0, 1.0, 1.0), -13887.71262)]
)
def test_log_likelihood_at_given_parameters(cdnow: Customers, model: BgNbd, expected: float) -> None:
    total = model.log_likelihood(cdnow.x, cdnow.t_x / 7, cdnow.T / 7).sum()
    assert total == pytest.approx(expected, abs=1e-5)


def test_holdout_and_mean_p_alive(cdnow: Customers, cdnow_fit: PurchaseFit) -> None:
    model, history = cdnow_fit.model, (cdnow.x, cdnow.t_x, cdnow.T)
    assert model.expected_purchases(*history, 273.0).sum() == pytest.approx(1653.41, abs=0.005)
    assert model.p_alive(*history).mean() == pytest.approx(0.81344, abs=5e-6)


def test_customer_1(cdnow_fit: PurchaseFit) -> None:
    history = np.array([2.0]), np.array([213.0]), np.array([272.0])
    assert cdnow_fit.model.p_alive(*history)[0] == pytest.approx(0.72662, abs=5e-6)
    assert cdnow_fit.model.expected_purchases(*history, 273.0)[0] == pytest.approx(1.22599, abs=5e-6)


def test_more_purchases_can_mean_less_alive() -> None:
    p = PAPER.p_alive(np.array([10.0, 2.0]), np.array([20.0, 20.0]), np.array([39.0, 39.0]))
    assert p[0] == pytest.approx(0.03811, abs=5e-6)
    assert p[0] < p[1]


def test_gamma_gamma(cdnow: Customers) -> None:
    fit = fit_gamma_gamma(ValuePairs.from_customers(cdnow.x, cdnow.mean_value))
    assert fit.log_likelihood == pytest.approx(-4055.9177, abs=5e-5)
    # Ours is the higher of two points on a ridge, 6e-8 apart in ln L: the reference stopped a little early.
    reference = GammaGamma(6.249349, 3.744256, 15.444307)
    kept = cdnow.x > 0
    assert fit.log_likelihood >= reference.log_likelihood(cdnow.x[kept], cdnow.mean_value[kept]).sum()
    np.testing.assert_allclose(fit.estimates, list(reference.parameters.values()), rtol=5e-4)
    np.testing.assert_allclose(np.array(fit.standard_errors, dtype=float), [1.190, 0.290, 4.160], atol=6e-4)
    assert fit.model.expected_value([2.0], [22.345])[0] == pytest.approx(24.65403, abs=5e-4)
    assert fit.verdict.converged


def test_every_customer_of_the_oracle(oracles: Path, cdnow: Customers, cdnow_fit: PurchaseFit) -> None:
    rows = {int(row["cust"]): row for row in read_rows(oracles / "cdnow_customer_oracle_bgnbd_gg.csv")}
    assert sorted(rows) == cdnow.ids

    def column(name: str) -> NDArray[np.float64]:
        return np.array([float(rows[customer][name]) for customer in cdnow.ids])

    np.testing.assert_array_equal(cdnow.x, column("x"))
    np.testing.assert_allclose(cdnow.t_x / 7, column("t_x"), atol=1e-10)
    np.testing.assert_allclose(cdnow.T / 7, column("T"), atol=1e-10)
    model, history = cdnow_fit.model, (cdnow.x, cdnow.t_x, cdnow.T)
    np.testing.assert_allclose(model.p_alive(*history), column("p_alive"), rtol=1e-4)
    np.testing.assert_allclose(model.expected_purchases(*history, 39 * 7.0), column("cet39"), rtol=1e-4)
    np.testing.assert_allclose(model.expected_purchases(*history, 52 * 7.0), column("cet52"), rtol=1e-4)
    value = fit_gamma_gamma(ValuePairs.from_customers(cdnow.x, cdnow.mean_value)).model
    np.testing.assert_allclose(
        value.expected_value(cdnow.x, cdnow.mean_value), column("gg_exp_spend"), rtol=1e-4
    )


def test_a_fit_in_weeks_gives_the_same_clv(cdnow: Customers, cdnow_fit: PurchaseFit) -> None:
    weekly = fit_purchases(PurchasePatterns.from_customers(cdnow.x, cdnow.t_x / 7, cdnow.T / 7), seed=1)
    history = cdnow.x, cdnow.t_x, cdnow.T
    _, days = discounted_purchases(cdnow_fit.model, *history, [364.0], 0.1)
    rate_of_weeks = 1.1**7 - 1.0
    weeks_history = cdnow.x, cdnow.t_x / 7, cdnow.T / 7
    _, weeks = discounted_purchases(weekly.model, *weeks_history, [52.0], rate_of_weeks)
    np.testing.assert_allclose(weeks, days, rtol=1e-6)


def without_one_time_buyers(customers: Customers) -> PurchasePatterns:
    kept = customers.x > 0
    return PurchasePatterns.from_customers(customers.x[kept], customers.t_x[kept], customers.T[kept])


def without_counts(customers: Customers) -> PurchasePatterns:
    patterns = customers.patterns
    return PurchasePatterns(
        patterns.frequency, patterns.t_x_days, patterns.t_days, np.ones_like(patterns.customers)
    )


@pytest.mark.parametrize("wrong", [without_one_time_buyers, without_counts])
def test_the_checks_catch_wrong_patterns(cdnow: Customers, wrong: object) -> None:
    """Two well-known mistakes must break the very check that a right fit passes."""
    assert callable(wrong)
    fit = fit_purchases(wrong(cdnow), seed=1)
    forecast = fit.model.expected_purchases(cdnow.x, cdnow.t_x, cdnow.T, 273.0).sum()
    assert abs(forecast / 1653.41 - 1.0) > 0.2
    assert abs(fit.estimates[0] - 0.242594) > 20 * 0.01256


def test_gamma_gamma_needs_q_above_one() -> None:
    assert GammaGamma(6.0, 0.9, 15.0).population_mean is None
    assert np.isfinite(GammaGamma(6.0, 0.9, 15.0).expected_value([0.0, 1.0], [0.0, 20.0])).all()


def test_likelihood_gradient_and_hessian_by_differences(cdnow: Customers) -> None:
    from clvpipe.models.likelihood import BetaDropout, CommonDropout, NoDropout

    observations = Observations.of(cdnow.patterns)
    for dropout, at in (
        (NoDropout(), [-1.0, -2.0]),
        (CommonDropout(), [-1.0, -2.0, -1.2]),
        (BetaDropout(), [-1.0, -2.0, 0.3, 0.9]),
    ):
        here = np.array(at)
        exact = evaluate(observations, dropout, here)
        for i in range(here.size):
            step = np.zeros(here.size)
            step[i] = 1e-5
            above = evaluate(observations, dropout, here + step)
            below = evaluate(observations, dropout, here - step)
            assert (above.value - below.value) / 2e-5 == pytest.approx(exact.gradient[i], rel=1e-6)
            slope = (above.gradient - below.gradient) / 2e-5
            np.testing.assert_allclose(
                slope, exact.hessian[i], rtol=1e-6, atol=1e-6 * np.abs(exact.hessian).max()
            )
