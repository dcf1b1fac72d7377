"""The published datasets against the brute force, on populations made for the hard places and on CDNOW."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import product

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from lifetimes.datasets import load_dataset
from lifetimes.utils import summary_data_from_transaction_data
from scipy.stats import binom

from clvpipe.config.rules import load_lifecycle, load_rfm_groups
from clvpipe.locations import resource_dir

from . import brute_force as oracle
from . import checks
from .brute_force import Comparison, Row, Terms
from .generators import LEAP_DAYS, RATES, Population, population
from .harness import Outcome, outcomes_of, run

Check = Callable[[Outcome], None]
CDNOW_DAY = date(1998, 3, 31)
FIXED = {
    "ids": {"seed": 1, "as_of": date(2024, 2, 29), "edges": 1.0, "randoms": 60, "stale": 1},
    "restated": {
        "seed": 2, "as_of": date(2025, 2, 28), "delivery": "restated", "zone": "Asia/Shanghai", "edges": 0.7,
    },
    "no_ids": {"seed": 3, "as_of": date(2020, 3, 1), "delivery": "no_ids", "edges": 0.7, "stale": 501},
}  # fmt: skip
OTHER_TERMS = Terms(
    rates={**RATES, "SHOP": "0.333333", "CARD": None},
    new=300, returned=200, churn=120, churn_multiple=3, late_multiple=4, late_days=30,
    late_longest=Fraction(2), mature_months=7,
)  # fmt: skip
TERMS = {"default": Terms(rates=RATES), "other": OTHER_TERMS}


@pytest.fixture(scope="module")
def fixed() -> dict[str, Outcome]:
    """The fixed populations, each run once."""
    found = {name: outcomes_of(population(**given))[0] for name, given in FIXED.items()}  # type: ignore[arg-type]
    return {**found, "other_terms": _other_terms()}


def _other_terms() -> Outcome:
    made = population(4, date(2024, 3, 1), edges=0.6, randoms=100, terms=OTHER_TERMS)
    return outcomes_of(replace(made, minimum_customers=100_000))[0]


@pytest.fixture(scope="module")
def cdnow(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The CDNOW sample in the middle of its log."""
    tables = run(resource_dir("config") / "cdnow.toml", tmp_path_factory.mktemp("cdnow"), CDNOW_DAY)
    rows = tuple(
        Row(str(sample_id), f"{str(day)[:4]}-{str(day)[4:6]}-{str(day)[6:]}", str(amount), currency="USD")
        for sample_id, day, amount in _cdnow_log().itertuples(index=False)
    )
    return Outcome(CDNOW_DAY, Terms(rates={}, currency="USD"), rows, tables)


def _cdnow_log() -> pd.DataFrame:
    names = ["master_id", "sample_id", "date", "units", "amount"]
    log = load_dataset("CDNOW_sample.txt", header=None, sep=r"\s+", names=names, dtype=str)
    return pd.DataFrame(log[["sample_id", "date", "amount"]])


@pytest.mark.parametrize("name", [*FIXED, "other_terms"])
@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_fixed_populations(fixed: dict[str, Outcome], name: str, check: Check) -> None:
    check(fixed[name])


@pytest.mark.parametrize("name", [*FIXED, "other_terms"])
def test_thetas_are_medians(fixed: dict[str, Outcome], name: str) -> None:
    checks.thetas(fixed[name])


def test_theta_of_an_even_number_is_between_two_customers() -> None:
    """Values 10, 20, ... 240: half of the customers are above 125, and half below."""
    day = date(2024, 2, 29)
    rows = tuple(
        Row(
            f"c{place}",
            str(day - timedelta(7 * place + again)),
            f"{5 * place}.00",
            transaction_id=f"{place}-{again}",
        )
        for place in range(1, 25)
        for again in (0, 1)
    )
    outcome = outcomes_of(Population(day, Terms(rates=RATES), rows, ("tx.csv",), has_ids=True, dated=False))[
        0
    ]
    assert outcome.cuts.current_theta == 125
    for check in (checks.thetas, checks.own_columns, checks.scores_and_axes):
        check(outcome)


def test_thetas_of_cdnow_are_medians(cdnow: Outcome) -> None:
    checks.thetas(cdnow)


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_cdnow(cdnow: Outcome, check: Check) -> None:
    check(cdnow)


@pytest.mark.slow
@given(
    seed=st.integers(0, 2**32 - 1),
    as_of=st.one_of(st.sampled_from(LEAP_DAYS), st.dates(date(2019, 1, 1), date(2026, 12, 31))),
    zone=st.sampled_from(("UTC", "Asia/Shanghai")),
    delivery=st.sampled_from(("ids", "restated", "no_ids")),
    edges=st.sampled_from((0.0, 0.1, 0.3)),
    randoms=st.integers(5, 60),
    minimum_customers=st.sampled_from((500, 500, 500, 20)),
    terms=st.sampled_from(("default", "other")),
)
@settings(
    max_examples=7, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),  # a failure prints the rows of the customer; shrinking populations is slow
)  # fmt: skip
def test_any_population(
    seed: int,
    as_of: date,
    zone: str,
    delivery: str,
    edges: float,
    randoms: int,
    minimum_customers: int,
    terms: str,
) -> None:
    made = population(
        seed, as_of, zone=zone, delivery=delivery, edges=edges, randoms=randoms, terms=TERMS[terms]
    )
    outcome = outcomes_of(replace(made, minimum_customers=minimum_customers))[0]
    for check in checks.CHECKS:
        check(outcome)


def test_cuts_stay_frozen_and_labels_follow_them() -> None:
    """A month on in the same quarter: the cuts of the first day, the facts of the second."""
    first_day = date(2024, 1, 31)
    made = population(5, first_day + timedelta(60), edges=0.3, randoms=80)
    first, second = outcomes_of(made, [first_day, made.as_of])
    assert second.cuts == first.cuts
    assert second.cuts.recency != oracle.cuts_of(list(second.people.values())).recency
    checks.cuts(first)
    for check in (checks.own_columns, checks.states, checks.scores_and_axes, checks.statuses, checks.summary):
        check(second)


def test_every_state_and_contest_is_met(fixed: dict[str, Outcome]) -> None:
    """The populations are hard enough: every state occurs, and where two rules hold, the order decides."""
    seen: Counter[str] = Counter()
    contests: set[tuple[str, str]] = set()
    for outcome in fixed.values():
        for facts in outcome.facts.values():
            met = oracle.rules_met(facts, outcome.terms)
            seen[met[0]] += 1
            contests |= {(met[0], other) for other in met[1:]}
    assert set(seen) == set(oracle.LABELS) - {"TERMINATED", "HOLDER", "CONTACTED"}
    assert min(seen.values()) >= 5
    assert contests >= {
        ("REACTIVATED", "CHURNED"), ("REACTIVATED", "DECLINING"), ("REACTIVATED", "NEW"),
        ("CHURNED", "ONE_TIME"), ("CHURNED", "NEW"), ("DECLINING", "NEW"), ("DECLINING", "MATURE"),
        ("NEW", "ONE_TIME"), ("MATURE", "GROWING"),
    }  # fmt: skip


def test_boundaries_are_stood_on(fixed: dict[str, Outcome]) -> None:
    """Each threshold has a customer exactly at it, and one on either side."""
    terms = Terms(rates=RATES)
    buyers = [f for n in FIXED for f in fixed[n].facts.values() if f is not None]
    assert {89, 90, 91, 179, 180, 181, 364, 365, 366} <= {f.age for f in buyers}
    assert {89, 90, 91, 179, 180, 181, 364, 365, 366} <= {f.silence for f in buyers}
    gapped = [f for f in buyers if f.own_gap is not None]
    assert {-1, 0, 1} <= {f.silence - f.churn_gap for f in gapped if f.churn_gap > terms.churn}
    assert any(f.churn_gap.denominator == 1 and f.own_gap.denominator == 2 for f in gapped if f.own_gap)
    assert {59, 60, 61} <= {f.silence for f in gapped if len(f.gaps) >= 5 and f.own_gap and f.own_gap <= 20}
    trends = [f.trend for f in buyers if f.trend]
    assert {90, 180} == {c.window for c in trends}
    assert any(c.before * 90 == 10 * c.exposure for c in trends)
    assert {6, 7} <= {c.before for c in trends}
    assert any(len(f.ago) == 7 and f.growth is None and f.age == 360 for f in buyers)
    assert {180, 181, 365} <= {c.exposure for c in trends}
    assert any(c.ratio_at_most(terms.decline) and c.ratio == terms.decline for c in trends)
    assert any(f.growth and f.growth.ratio == terms.growth for f in buyers)
    assert {8, 9, 10} <= {sum(c > 0 for c in f.months) for f in buyers}
    assert fixed["no_ids"].cuts.current_theta == 0
    for level, tails in (
        ("fall", [c.p_fall() for c in trends if c.ratio_at_most(terms.decline)]),
        ("rise", [f.growth.p_rise() for f in buyers if f.growth and f.growth.ratio_at_least(terms.growth)]),
    ):
        assert any(0.04 < p < 0.05 for p in tails), level
        assert any(0.05 < p < 0.06 for p in tails), level
    for column in ("historic_contribution", "current_value"):
        values = [r[column] for r in fixed["ids"].published.values()]
        assert any(v is not None and v < 0 for v in values)
        assert any(v == Decimal(0) for v in values)


def test_125_codes_have_one_group_each() -> None:
    expected = {(f"{r}{f}{m}", oracle.rfm_group(r, f, m)) for r, f, m in product(range(1, 6), repeat=3)}
    found = list(load_rfm_groups().by_code())
    assert len(found) == 125
    assert set(found) == expected


def test_labels_of_all_twelve_states() -> None:
    """Also of the states that transactions alone never reach."""
    states = load_lifecycle().state
    assert [s.code for s in states] == [state for state, _ in oracle.RULES]
    earned = {"REACTIVATED", "HOLDER", "GROWING", "ACTIVE", "NEW"}
    for state in states:
        stage5, relationship5, icbc6, stage4 = oracle.LABELS[state.code]
        assert (state.stage5, state.relationship5, state.stage4) == (stage5, relationship5, stage4)
        assert state.icbc6 == ("DEVELOPMENT" if state.code in earned else icbc6)
        assert state.icbc6_when_paid_back == ("GROWTH" if state.code in earned else None)
        assert state.paid_back_needs_repeat == (state.code == "NEW")


@given(
    window=st.sampled_from((90, 180)),
    recent=st.integers(0, 60),
    before=st.integers(0, 120),
    exposure=st.integers(180, 365),
)
@settings(max_examples=50, deadline=None)
def test_the_oracles_exact_tails_are_scipys(window: int, recent: int, before: int, exposure: int) -> None:
    one = Comparison(window, recent, before, exposure)
    share, n = window / (window + exposure), recent + before
    assert abs(float(one.p_fall()) - binom.cdf(recent, n, share)) < 1e-9
    assert abs(float(one.p_rise()) - binom.sf(recent - 1, n, share)) < 1e-9


def _lifetimes(outcome: Outcome, events: pd.DataFrame) -> None:
    found = summary_data_from_transaction_data(
        events, "customer", "day", "value", freq="D", observation_period_end=pd.Timestamp(outcome.as_of)
    )
    buyers = {name: r for name, r in outcome.published.items() if r["purchase_days_total"]}
    assert set(found.index) == set(buyers)
    for name, x, t_x, age, mean in found.itertuples():
        record = buyers[name]
        assert (record["frequency"], record["t_x_days"], record["t_days"]) == (x, t_x, age), name
        if x:
            assert abs(float(record["mean_repeat_contribution"]) - mean) < 0.005 + 1e-6, name
        else:
            assert record["mean_repeat_contribution"] is None


def test_cdnow_summary_is_that_of_lifetimes(cdnow: Outcome) -> None:
    log = _cdnow_log().rename(columns={"sample_id": "customer"})
    log = log.assign(day=pd.to_datetime(log["date"], format="%Y%m%d"), value=log["amount"].astype(float))
    _lifetimes(cdnow, log)


@pytest.mark.parametrize("name", [*FIXED, "other_terms"])
def test_generated_summary_is_that_of_lifetimes(fixed: dict[str, Outcome], name: str) -> None:
    outcome = fixed[name]
    rows = oracle.standing_rows(outcome.rows, outcome.terms)
    events = oracle.purchase_events(rows, outcome.as_of, outcome.terms)
    frame = pd.DataFrame(
        [(who, pd.Timestamp(day), float(value)) for who, day, value in events],
        columns=["customer", "day", "value"],
    )
    _lifetimes(outcome, frame)
