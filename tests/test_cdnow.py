"""The whole job on CDNOW against published numbers, an independent oracle, and the kernels."""

import importlib.resources
from datetime import date

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from clvpipe.models.bgnbd import BgNbd
from clvpipe.models.discounting import discounted_purchases
from clvpipe.models.gamma_gamma import GammaGamma
from tests.support import published, shared

CALIBRATION_WEEKS_TO_DAYS = 7.0
HOLDOUT_DAYS = 39 * 7
TOLERANCE = 5e-4


@pytest.fixture(scope="module")
def segments(cdnow):
    return published(cdnow, "customer_segments")


@pytest.fixture(scope="module")
def fit(cdnow):
    rows = published(cdnow, "model_fit").to_dicts()
    return {(row["model"], row["quantity"]): row for row in rows}


def _model(fit):
    return BgNbd(*(fit["BG_NBD", name]["value"] for name in ("r", "alpha", "a", "b")))


def _floats(frame, *names):
    return [frame[name].cast(pl.Float64).to_numpy() for name in names]


def test_parameters_and_errors_are_the_published_ones(fit):
    scale = {"alpha": CALIBRATION_WEEKS_TO_DAYS}
    expected = {
        "r": (0.242594, 0.01256),
        "alpha": (4.413602, 0.37822),
        "a": (0.792920, 0.18573),
        "b": (2.425888, 0.70541),
    }
    for name, (value, error) in expected.items():
        row = fit["BG_NBD", name]
        assert row["value"] / scale.get(name, 1) == pytest.approx(value, abs=TOLERANCE)
        assert row["standard_error"] / scale.get(name, 1) == pytest.approx(error, abs=TOLERANCE)
        assert row["ci_low_95"] < row["value"] < row["ci_high_95"]
    for name, value in {"p": 6.249349, "q": 3.744256, "gamma": 15.444307}.items():
        assert fit["GAMMA_GAMMA", name]["value"] == pytest.approx(value, rel=TOLERANCE)


def test_log_likelihood_in_weeks(fit, segments):
    repeat_purchases = segments["frequency"].sum()
    in_weeks = fit["BG_NBD", "log_likelihood"]["value"] + repeat_purchases * np.log(7)
    assert in_weeks == pytest.approx(-9582.4292, abs=1e-4)
    assert fit["GAMMA_GAMMA", "log_likelihood"]["value"] == pytest.approx(-4055.9177, abs=1e-3)
    assert fit["BG_NBD", "converged"]["value"] == 1
    assert fit["BG_NBD", "hessian_positive_definite"]["value"] == 1
    assert fit["BG_NBD", "boundary"]["note"] == "NONE"


def test_counts(segments, fit):
    assert segments.height == 2357
    assert segments.filter(pl.col("frequency") > 0).height == 946
    assert fit["GAMMA_GAMMA", "repeaters_with_value"]["value"] == 946


def test_lifetimes_agrees(fit):
    assert fit["BG_NBD", "crosscheck_agrees"]["value"] == 1
    assert fit["GAMMA_GAMMA", "crosscheck_agrees"]["value"] == 1


def test_holdout_sum_of_39_weeks(fit, segments):
    expected = _model(fit).expected_purchases(
        *_floats(segments, "frequency", "t_x_days", "t_days"), HOLDOUT_DAYS
    )
    assert expected.sum() == pytest.approx(1653.41, abs=0.05)


def test_customer_1(fit, segments):
    one = segments.filter(pl.col("customer_id") == "0001").row(0, named=True)
    assert (one["frequency"], one["t_x_days"], one["t_days"]) == (2, 213, 272)
    assert one["p_alive"] == pytest.approx(0.72662, abs=1e-5)
    assert float(one["expected_contribution"]) == pytest.approx(24.65, abs=0.005)
    x, t_x, t = (np.array([float(one[name])]) for name in ("frequency", "t_x_days", "t_days"))
    assert _model(fit).expected_purchases(x, t_x, t, HOLDOUT_DAYS)[0] == pytest.approx(1.22599, abs=1e-5)


@pytest.mark.realdata
def test_every_customer_of_the_oracle(fit, segments):
    oracle = pl.read_csv(shared() / "oracles" / "cdnow_customer_oracle_bgnbd_gg.csv").sort("cust")
    ours = segments.with_columns(pl.col("customer_id").cast(pl.Int64).alias("cust")).sort("cust")
    assert ours["cust"].to_list() == oracle["cust"].to_list()
    x, t_x, t = _floats(ours, "frequency", "t_x_days", "t_days")
    np.testing.assert_array_equal(x, oracle["x"].to_numpy())
    np.testing.assert_allclose(t_x / 7, oracle["t_x"].to_numpy(), rtol=1e-12)
    np.testing.assert_allclose(
        t / 7, oracle["T.cal" if "T.cal" in oracle.columns else "T"].to_numpy(), rtol=1e-12
    )
    repeaters = ours["frequency"].to_numpy() > 0
    mean = ours["mean_repeat_contribution"].cast(pl.Float64).to_numpy()
    np.testing.assert_allclose(mean[repeaters], oracle["m_x"].to_numpy()[repeaters], atol=0.00501)
    alive = ours["p_alive"].to_numpy()
    np.testing.assert_allclose(alive[repeaters], oracle["p_alive"].to_numpy()[repeaters], rtol=1e-4)
    assert np.isnan(alive[~repeaters].astype(float)).all()
    model = _model(fit)
    for column, weeks in (("cet39", 39), ("cet52", 52)):
        expected = model.expected_purchases(x, t_x, t, weeks * 7.0)
        np.testing.assert_allclose(expected, oracle[column].to_numpy(), rtol=1e-4)
    spend = ours["expected_contribution"].cast(pl.Float64).to_numpy()
    np.testing.assert_allclose(spend, oracle["gg_exp_spend"].to_numpy(), rtol=1e-4, atol=0.0051)


def test_the_published_table_is_what_the_kernels_say(fit, segments, cdnow):
    model = _model(fit)
    x, t_x, t = _floats(segments, "frequency", "t_x_days", "t_days")
    expected, discounted = discounted_purchases(model, x, t_x, t, (365.25, 730.5), 0.10)
    np.testing.assert_array_equal(segments["expected_purchases_12m"].to_numpy(), expected[0])
    np.testing.assert_array_equal(segments["expected_purchases_24m"].to_numpy(), expected[1])
    np.testing.assert_array_equal(segments["p_active_12m"].to_numpy(), model.p_active(x, t_x, t, 365.25))
    repeaters = x > 0
    np.testing.assert_array_equal(
        segments["p_alive"].to_numpy()[repeaters], model.p_alive(x, t_x, t)[repeaters]
    )
    value = GammaGamma(*(fit["GAMMA_GAMMA", name]["value"] for name in ("p", "q", "gamma")))
    with duckdb.connect(str(cdnow / "state" / "warehouse.duckdb"), read_only=True) as warehouse:
        query = "SELECT repeat_contribution::double FROM customer_features ORDER BY customer_id"
        repeat = np.array(warehouse.execute(query).fetchall())[:, 0]
    mean = np.divide(repeat, x, out=np.ones_like(x), where=repeaters)
    clv = segments["clv_12m"].cast(pl.Float64).to_numpy()
    np.testing.assert_allclose(clv, discounted[0] * value.expected_value(x, mean), rtol=0, atol=0.0050001)


def test_one_time_buyers_have_no_p_alive(segments):
    once = segments.filter(pl.col("frequency") == 0)
    assert once["p_alive"].null_count() == once.height == 1411
    assert set(once["p_alive_status"]) == {"NOT_IDENTIFIED"}
    assert set(once["p_alive_reason"]) == {"ONE_PURCHASE"}
    assert once["clv_12m"].null_count() == 0


def test_the_summary_of_lifetimes_is_ours(segments):
    from lifetimes.utils import summary_data_from_transaction_data

    path = importlib.resources.files("lifetimes") / "datasets" / "CDNOW_sample.txt"
    log = pd.read_csv(str(path), sep=r"\s+", header=None, dtype={1: str})
    log["day"] = pd.to_datetime(log[2].astype(str))
    theirs = summary_data_from_transaction_data(
        log, 1, "day", monetary_value_col=4, observation_period_end=pd.Timestamp(date(1997, 9, 30)), freq="D"
    )
    ours = segments.sort("customer_id").to_pandas().set_index("customer_id")
    theirs = theirs.sort_index()
    assert list(ours.index) == list(theirs.index)
    np.testing.assert_array_equal(ours["frequency"], theirs["frequency"])
    np.testing.assert_array_equal(ours["t_x_days"], theirs["recency"])
    np.testing.assert_array_equal(ours["t_days"], theirs["T"])
    mean = ours["mean_repeat_contribution"].astype(float).fillna(0)
    np.testing.assert_allclose(mean, theirs["monetary_value"], atol=0.00501)


def test_nothing_is_lost(cdnow, segments):
    quality = {row["check_name"]: row for row in published(cdnow, "data_quality").to_dicts()}
    assert quality["rows_loaded"]["observed"] == 6919
    assert quality["reject_share"]["observed"] == 0
    assert all(row["passed"] for row in quality.values())
    summary = published(cdnow, "segment_summary").filter(pl.col("dimension") == "ALL")
    for scheme in summary["scheme"].unique():
        part = summary.filter(pl.col("scheme") == scheme)
        assert part["customers"].sum() == segments.height
        assert part["clv_12m"].sum() == segments["clv_12m"].sum()
        assert part["current_value"].sum() == segments["current_value"].sum()
