"""Does the fit find the truth, say how sure it is, and admit what the data cannot tell?"""

import dataclasses
import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from clvpipe.models.bgnbd import BgNbd
from clvpipe.models.crosscheck import crosscheck_purchases, crosscheck_value
from clvpipe.models.dropout_test import check_dropout
from clvpipe.models.fit import PurchaseFit, fit_purchases
from clvpipe.models.gamma_gamma import ValueFit, ValuePairs, fit_gamma_gamma
from clvpipe.models.nbd import Nbd
from clvpipe.models.patterns import PurchasePatterns
from clvpipe.models.simulate import simulate_bgnbd, simulate_gamma_gamma, simulate_nbd
from tests.models.reference_data import Customers

TRUTH = BgNbd(0.5, 20.0, 0.8, 2.5)
TRUE_VALUES = (TRUTH.r, TRUTH.alpha, TRUTH.a, TRUTH.b)


def ages(n: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(100.0, 500.0, n)


def numbers_in(value: object) -> list[float]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [n for field in dataclasses.fields(value) for n in numbers_in(getattr(value, field.name))]
    if isinstance(value, tuple):
        return [n for item in value for n in numbers_in(item)]
    return [float(value)] if isinstance(value, int | float) else []


def assert_usable(fit: PurchaseFit) -> None:
    assert all(math.isfinite(number) for number in numbers_in(fit))
    json.dumps(dataclasses.asdict(fit), allow_nan=False)
    history = np.array([0.0, 2.0]), np.array([0.0, 30.0]), np.array([40.0, 40.0])
    assert np.isfinite(fit.model.expected_purchases(*history, 365.25)).all()


def coverage(estimates: list[NDArray[np.float64]], covered: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    assert len(estimates) == 200
    share: NDArray[np.float64] = np.mean(covered, axis=0)
    return share


def covers(fit: PurchaseFit | ValueFit, truth: Sequence[float]) -> NDArray[np.float64]:
    return np.array(
        [
            low is not None and high is not None and low <= value <= high
            for low, high, value in zip(fit.ci_low, fit.ci_high, truth, strict=True)
        ]
    )


@pytest.mark.slow
def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    estimates, covered = [], []
    for seed in range(200):
        history = simulate_bgnbd(*TRUE_VALUES, ages(1500, seed), seed=1000 + seed)
        fit = fit_purchases(PurchasePatterns.from_customers(*history), seed=seed)
        assert fit.verdict.converged and fit.model.name == "BG_NBD"
        estimates.append(np.array(fit.estimates))
        covered.append(covers(fit, TRUE_VALUES))
    share = coverage(estimates, covered)
    assert ((share >= 0.90) & (share <= 0.99)).all(), share
    np.testing.assert_allclose(np.median(estimates, axis=0), TRUE_VALUES, rtol=0.06)


def test_value_intervals_cover_the_truth_as_often_as_they_say() -> None:
    truth, covered, estimates = (6.25, 3.74, 15.44), [], []
    for seed in range(200):
        x = np.random.default_rng(seed).integers(1, 8, 1000)
        pairs = ValuePairs.from_customers(x, simulate_gamma_gamma(*truth, x, seed=seed))
        fit = fit_gamma_gamma(pairs)
        assert fit.verdict.converged
        estimates.append(np.array(fit.estimates))
        covered.append(covers(fit, truth))
    share = coverage(estimates, covered)
    assert ((share >= 0.90) & (share <= 0.99)).all(), share


@pytest.mark.parametrize("mistake", ["one-time buyers dropped", "counts forgotten"])
def test_the_coverage_check_fails_on_wrong_patterns(mistake: str) -> None:
    x, t_x, T = simulate_bgnbd(*TRUE_VALUES, np.ceil(ages(20_000)), seed=5, whole_days=True)
    right = PurchasePatterns.from_customers(x, t_x, T)
    if mistake == "counts forgotten":
        wrong = dataclasses.replace(right, customers=np.ones_like(right.customers))
    else:
        wrong = PurchasePatterns.from_customers(x[x > 0], t_x[x > 0], T[x > 0])
    assert not covers(fit_purchases(wrong, seed=1), TRUE_VALUES).all()
    r = fit_purchases(right, seed=1).estimates[0]
    assert abs(r / TRUTH.r - 1) < 0.05 < abs(fit_purchases(wrong, seed=1).estimates[0] / TRUTH.r - 1)


def test_counts_are_the_same_as_rows() -> None:
    x, t_x, T = simulate_bgnbd(0.5, 20.0, 0.8, 2.5, np.ceil(ages(3000)), seed=5, whole_days=True)
    grouped = PurchasePatterns.from_customers(x, t_x, T)
    rows = PurchasePatterns(x, t_x, T, np.ones(x.size, dtype=np.int64))
    assert grouped.frequency.size < x.size and grouped.n_customers == x.size
    assert grouped.n_repeaters == int((x > 0).sum())
    one, other = fit_purchases(grouped, seed=1), fit_purchases(rows, seed=1)
    np.testing.assert_allclose(one.estimates, other.estimates, rtol=1e-6)
    assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-6)


def test_much_data_is_thinned_only_to_find_a_start() -> None:
    patterns = PurchasePatterns.from_customers(*simulate_bgnbd(0.5, 20.0, 0.8, 2.5, ages(60_000), seed=2))
    assert patterns.frequency.size > 30_000
    fit = fit_purchases(patterns, seed=1)
    assert fit.verdict.converged and fit.verdict.gradient_norm < 1e-7
    assert fit.log_covariance is not None
    deviations = np.sqrt([fit.log_covariance[k][k] for k in range(4)])
    z = (np.log(fit.estimates) - np.log(TRUE_VALUES)) / deviations
    assert (np.abs(z) < 4).all()


def test_the_same_data_and_seed_give_the_same_bits() -> None:
    patterns = PurchasePatterns.from_customers(*simulate_nbd(0.5, 30.0, ages(1000), seed=3))
    assert fit_purchases(patterns, seed=9) == fit_purchases(patterns, seed=9)


@pytest.mark.slow
def test_without_dropout_nbd_is_kept_about_nineteen_times_in_twenty() -> None:
    names = []
    for seed in range(40):
        patterns = PurchasePatterns.from_customers(*simulate_nbd(0.5, 30.0, ages(600, seed), seed=seed))
        fit = fit_purchases(patterns, seed=seed)
        assert fit.verdict.converged
        names.append(fit.model.name)
    false_alarms = len(names) - names.count("NBD")
    # Binomial(40, 0.05) exceeds 6 once in 300.
    assert false_alarms <= 6


def test_nbd_data() -> None:
    fit = fit_purchases(PurchasePatterns.from_customers(*simulate_nbd(0.5, 30.0, ages(2000), seed=5)), seed=1)
    assert fit.model.name == "NBD" and fit.verdict.boundary == "NO_DROPOUT" and fit.verdict.converged
    assert not fit.model.dropout_identified
    assert fit.log_likelihood == fit.nbd_log_likelihood
    assert_usable(fit)


def test_a_weak_but_real_dropout_is_found_by_the_bootstrap() -> None:
    patterns = PurchasePatterns.from_customers(*simulate_bgnbd(0.5, 30.0, 2.0, 500.0, ages(300, 1), seed=1))
    fit = fit_purchases(patterns, seed=1)
    assert fit.dropout_test is not None and fit.dropout_test.decided_by == "BOOTSTRAP"
    assert fit.dropout_test.p_value is not None and fit.dropout_test.p_value < 0.05
    assert fit.dropout_test.replicates == 199
    assert fit.model.dropout_identified


def test_bootstrap_p_values_are_those_of_its_replicates() -> None:
    patterns = PurchasePatterns.from_customers(*simulate_nbd(0.5, 30.0, ages(300), seed=5))
    test = check_dropout(0.01, Nbd(0.5, 30.0), patterns, seed=1)
    assert test.exceedances == 9 and test.p_value == 10 / (test.replicates + 1)
    assert not test.dropout_found


def test_common_dropout_data() -> None:
    # Half of such samples show by chance a spread worth more than the 0.01 that calls for a Beta.
    fits = [
        fit_purchases(
            PurchasePatterns.from_customers(*simulate_bgnbd(0.5, 10.0, 2e7, 8e7, ages(2000, s), seed=s)),
            seed=1,
        )
        for s in range(12)
    ]
    common = [fit for fit in fits if fit.model.name == "BG_NBD_COMMON_DROPOUT"]
    assert 2 <= len(common) <= 10
    for fit in common:
        assert fit.verdict.boundary == "COMMON_DROPOUT" and fit.verdict.converged
        assert fit.parameter_names == ("r", "alpha", "p")
        low, high, error = fit.ci_low[2], fit.ci_high[2], fit.standard_errors[2]
        assert low is not None and high is not None and error is not None
        assert abs(fit.estimates[2] - 0.2) < 4 * error and low < fit.estimates[2] < high
        assert_usable(fit)


@pytest.mark.parametrize("dropout", [False, True])
def test_customers_with_one_rate(dropout: bool) -> None:
    r, alpha = 1e6, 3e7
    T = ages(3000)
    history = simulate_bgnbd(r, alpha, 1e6, 9e6, T, seed=6) if dropout else simulate_nbd(r, alpha, T, seed=3)
    fit = fit_purchases(PurchasePatterns.from_customers(*history), seed=1)
    assert fit.estimates[0] / fit.estimates[1] == pytest.approx(1 / 30.0, rel=0.03)
    assert fit.verdict.boundary.endswith("COMMON_RATE") and fit.verdict.converged
    assert fit.model.dropout_identified is dropout
    assert fit.standard_errors[0] is None and fit.ci_low[0] is None
    assert fit.standard_errors[1] is not None
    assert fit.log_covariance is not None and fit.log_covariance[0][0] == 0.0
    assert_usable(fit)


EMPTY = np.zeros(0)
DEGENERATE = {
    "nobody": (EMPTY, EMPTY, EMPTY),
    "one customer": ([3.0], [20.0], [39.0]),
    "nobody watched": (np.zeros(5), np.zeros(5), np.zeros(5)),
    "nobody came back": (np.zeros(50), np.zeros(50), np.full(50, 300.0)),
    "repeat on day zero": ([1.0, 0.0], [0.0, 0.0], [0.0, 0.0]),
}


@pytest.mark.parametrize("history", DEGENERATE.values(), ids=DEGENERATE.keys())
def test_data_without_information(history: tuple[NDArray[np.float64], ...]) -> None:
    fit = fit_purchases(PurchasePatterns.from_customers(*history), seed=1)
    assert not fit.verdict.converged
    assert_usable(fit)


@pytest.mark.parametrize(
    "history",
    [
        ([3.0, 0.0], [39.0, 0.0], [39.0, 40.0]),
        ([3.0, 3.0], [20.0, 20.0], [39.0, 39.0]),
        ([1.0, 2.0, 3.0], [10.0, 20.0, 30.0], [10.0, 20.0, 30.0]),
        ([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], [900.0, 900.0, 900.0]),
    ],
)
def test_hardly_any_data(history: tuple[list[float], ...]) -> None:
    assert_usable(fit_purchases(PurchasePatterns.from_customers(*history), seed=1))


def test_everybody_of_one_age() -> None:
    history = simulate_bgnbd(*TRUE_VALUES, np.full(3000, 270.0), seed=4)
    fit = fit_purchases(PurchasePatterns.from_customers(*history), seed=1)
    assert fit.verdict.converged
    assert_usable(fit)


def test_value_data_without_information() -> None:
    for x, m in (([], []), ([2.0], [10.0]), ([2.0, 2.0], [10.0, 10.0]), ([0.0, 1.0], [0.0, -5.0])):
        fit = fit_gamma_gamma(ValuePairs.from_customers(x, m))
        assert not fit.verdict.converged
        assert all(math.isfinite(number) for number in numbers_in(fit))
        assert np.isfinite(fit.model.expected_value([0.0, 2.0], [0.0, 10.0])).all()


def test_lifetimes_agrees_on_cdnow(cdnow: Customers, cdnow_fit: PurchaseFit) -> None:
    check = crosscheck_purchases(cdnow.patterns, cdnow_fit)
    assert check.outcome == "AGREES", check.reason
    pairs = ValuePairs.from_customers(cdnow.x, cdnow.mean_value)
    check = crosscheck_value(pairs, fit_gamma_gamma(pairs))
    assert check.outcome == "AGREES", check.reason


def test_lifetimes_disagrees_with_wrong_results(cdnow: Customers, cdnow_fit: PurchaseFit) -> None:
    r, alpha, a, b = cdnow_fit.estimates
    moved = dataclasses.replace(
        cdnow_fit, model=BgNbd(r * 1.02, alpha, a, b), estimates=(r * 1.02, alpha, a, b)
    )
    assert crosscheck_purchases(cdnow.patterns, moved).outcome == "DISAGREES"
    pairs = ValuePairs.from_customers(cdnow.x, cdnow.mean_value)
    fit = fit_gamma_gamma(pairs)
    wrong = dataclasses.replace(fit, model=dataclasses.replace(fit.model, p=fit.model.p * 1.5))
    assert crosscheck_value(pairs, wrong).outcome == "DISAGREES"


def test_crosscheck_on_a_sample_and_where_it_does_not_apply() -> None:
    patterns = PurchasePatterns.from_customers(*simulate_bgnbd(*TRUE_VALUES, ages(8000), seed=4))
    fit = fit_purchases(patterns, seed=1)
    check = crosscheck_purchases(patterns, fit, max_patterns=2000, seed=5)
    assert check.outcome == "AGREES", check.reason
    assert check == crosscheck_purchases(patterns, fit, max_patterns=2000, seed=5)
    nbd = dataclasses.replace(fit, model=Nbd(0.5, 20.0))
    assert crosscheck_purchases(patterns, nbd).outcome == "NOT_APPLICABLE"


@pytest.mark.filterwarnings("error")
def test_crosscheck_is_silent_and_reports_refusals(
    cdnow: Customers, cdnow_fit: PurchaseFit, capfd: pytest.CaptureFixture[str]
) -> None:
    backwards = PurchasePatterns(cdnow.x, cdnow.T + 1, cdnow.T, np.ones(cdnow.x.size, dtype=np.int64))
    check = crosscheck_purchases(backwards, cdnow_fit)
    assert check.outcome == "REFUSED" and "ValueError" in check.reason
    assert crosscheck_purchases(cdnow.patterns, cdnow_fit).outcome == "AGREES"
    assert capfd.readouterr() == ("", "")


def test_predictions_equal_those_of_lifetimes(cdnow: Customers, cdnow_fit: PurchaseFit) -> None:
    import pandas as pd
    from lifetimes import BetaGeoFitter, GammaGammaFitter

    theirs = BetaGeoFitter()
    theirs.params_ = pd.Series(cdnow_fit.model.parameters)
    history = (cdnow.x, cdnow.t_x, cdnow.T)
    np.testing.assert_allclose(
        cdnow_fit.model.p_alive(*history), theirs.conditional_probability_alive(*history), rtol=1e-10
    )
    for horizon in (30.0, 365.25, 730.5):
        ours = cdnow_fit.model.expected_purchases(*history, horizon)
        predicted = theirs.conditional_expected_number_of_purchases_up_to_time(horizon, *history)
        np.testing.assert_allclose(ours, predicted, rtol=1e-8)
    value = fit_gamma_gamma(ValuePairs.from_customers(cdnow.x, cdnow.mean_value)).model
    gamma_gamma = GammaGammaFitter()
    gamma_gamma.params_ = pd.Series({"p": value.p, "q": value.q, "v": value.gamma})
    expected = gamma_gamma.conditional_expected_average_profit(cdnow.x, cdnow.mean_value)
    np.testing.assert_allclose(value.expected_value(cdnow.x, cdnow.mean_value), expected, rtol=1e-12)


def test_simulated_customers_have_the_model_s_moments() -> None:
    n = 200_000
    x, t_x, T = simulate_bgnbd(*TRUE_VALUES, np.full(n, 300.0), seed=11)
    new = np.zeros(1), np.zeros(1), np.zeros(1)
    mean, silent = TRUTH.expected_purchases(*new, 300.0)[0], 1.0 - TRUTH.p_active(*new, 300.0)[0]
    assert x.mean() == pytest.approx(mean, abs=5 * x.std() / np.sqrt(n))
    assert (x == 0).mean() == pytest.approx(silent, abs=0.005)
    assert ((t_x > 0) == (x > 0)).all() and (t_x <= T).all()
    days = simulate_bgnbd(*TRUE_VALUES, np.full(1000, 300.0), seed=11, whole_days=True)
    assert (days[1] == np.floor(days[1])).all() and ((days[1] > 0) == (days[0] > 0)).all()
