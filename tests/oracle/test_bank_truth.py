"""The second implementation is itself checked: against customers worked by hand, and what must hold."""

import csv
import tomllib
from collections import Counter
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import product
from math import isclose, prod
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from . import bank_truth as truth
from . import brute_force as oracle
from .bank_generators import bank, banks, columns_of, config_text, write
from .bank_stories import ANNUITIES, DAY, LIVES, REPLAYS, STORIES, story_bank
from .bank_truth import Answer, Balance, Bank, BankTerms, Holding, Rate, Table, Transaction
from .brute_force import Terms

COVERED = range(36)


@pytest.fixture(scope="module")
def told() -> dict[str, Answer]:
    """The stories, with all tables."""
    return truth.answers(story_bank())


@pytest.fixture(scope="module")
def alone() -> dict[str, Answer]:
    """The stories, with their transactions alone."""
    return truth.answers(truth.transactions_alone(story_bank()))


@pytest.fixture(scope="module")
def generated() -> list[tuple[Bank, dict[str, Answer]]]:
    """Seeded banks with what is true of them."""
    return [(made, truth.answers(made)) for made in map(bank, COVERED)]


# By hand


@pytest.mark.parametrize("name", STORIES)
def test_stories(told: dict[str, Answer], alone: dict[str, Answer], name: str) -> None:
    story = STORIES[name]
    for expected, found in ((story.expected, told[name]), (story.alone, alone.get(name, {}))):
        differing = {c: (v, found.get(c, "?")) for c, v in expected.items() if found.get(c, "?") != v}
        assert not differing


def test_stories_cover_every_state(told: dict[str, Answer]) -> None:
    assert {a["lifecycle_state"] for a in told.values()} == set(oracle.LABELS)
    assert set(told) == set(STORIES)


@pytest.mark.parametrize(("raws", "into_next", "expected"), REPLAYS)
def test_replays(raws: tuple[int, ...], into_next: bool, expected: dict[str, Any]) -> None:
    for name, preset in truth.PRESETS.items():
        assert truth.replay(raws, preset, into_next) == expected[name], name


def test_survival_and_annuity_by_hand() -> None:
    curve = truth.kaplan_meier(LIVES, DAY)
    assert curve.steps == ((100, Fraction(4, 5)), (200, Fraction(3, 5)))
    assert (curve.holdings, curve.closures) == (5, 2)
    assert [curve.at(Fraction(d)) for d in (0, 99, 100, 199, 200, 9999)] == [
        1, 1, Fraction(4, 5), Fraction(4, 5), Fraction(3, 5), Fraction(3, 5),
    ]  # fmt: skip
    for age, expected in ANNUITIES:
        assert isclose(truth.annuity(Fraction(12), age, curve, 0.0), expected)
    # Discounted at 10 %, nothing ever closing: sum of 1.1 ** (-k / 12) is a geometric series.
    v = 1.1 ** (-1 / 12)
    assert isclose(truth.annuity(Fraction(1), 0, truth.Survival((), 5, 0), 0.1), v * (1 - v**12) / (1 - v))
    gone = truth.Survival(((5, Fraction(0)),), 1, 1)
    assert truth.annuity(Fraction(1), 5, gone, 0.1) == 0


def test_annuity_of_a_bank_by_hand() -> None:
    """Savings of 12,000 x 0.015 / 12 = 15.00 a month; k4 aged 400 by account, k2 aged 200 by customer."""
    made = story_bank()
    rows = (
        Balance("k4", DAY, Decimal("12000"), account_id="K4"),
        Balance("k2", DAY, Decimal("12000")),
        Balance("k1", DAY, Decimal("12000"), account_id="K1"),  # closed: covered no more
        Balance("k9", DAY, Decimal("12000"), account_id="K9"),  # held by nobody
    )
    tables = {**made.tables, "holdings": Table(LIVES, ("h.csv",)), "balances": Table(rows, ("b.csv",))}
    terms = replace(made.terms, minimum_holdings=5, minimum_closures=2, discount=0.0)
    found = truth.answers(replace(made, tables=tables, terms=terms))
    assert {who: found[who]["balance_annuity_12m"] for who in ("k1", "k2", "k3", "k4", "k9")} == {
        "k1": 0.0, "k2": pytest.approx(180), "k3": 0.0, "k4": pytest.approx(180), "k9": None,
    }  # fmt: skip
    assert found["k4"]["future_value_basis"] == "ANNUITY"
    few = replace(made, tables=tables, terms=replace(terms, minimum_closures=3))
    assert all(a["balance_annuity_12m"] is None for a in truth.answers(few).values())


def test_weights_by_hand() -> None:
    # Consistent: 1 : 2 : 4, so lambda is 3 and the ratio 0.
    weights, ratio = truth.ahp_weights([[1, "1/2", "1/4"], [2, 1, "1/2"], [4, 2, 1]])
    assert weights == pytest.approx([1 / 7, 2 / 7, 4 / 7])
    assert abs(ratio) < 1e-12
    # Saaty's own: rows 1 3 5, 1/3 1 3, 1/5 1/3 1 have lambda 3.0385, CR 0.0332, weights 0.637 0.258 0.105.
    weights, ratio = truth.ahp_weights([[1, 3, 5], ["1/3", 1, 3], ["1/5", "1/3", 1]])
    assert weights == pytest.approx([0.637, 0.258, 0.105], abs=5e-4)
    assert ratio == pytest.approx(0.0332, abs=1e-4)
    with pytest.raises(ValueError, match="inconsistent"):
        truth.ahp_weights([[1, 9, "1/9"], ["1/9", 1, 9], [9, "1/9", 1]])
    # One component alike for everybody (its entropy is 1), one that only one customer has (entropy 0).
    assert truth.entropy_weights([[1, 0], [1, 1]]) == pytest.approx([0, 1])
    assert truth.entropy_weights([[1, 1], [1, 1]]) == [0.5, 0.5]
    # Shares 1/4 and 3/4: e = (0.25 ln 4 + 0.75 ln 4/3) / ln 2 = 0.811278; 1/2 each: 1. All weight on the
    # first.
    assert truth.entropy_weights([[1, 1], [3, 1]]) == pytest.approx([1, 0])
    assert truth.entropy_weights([[1, 0], [3, 1]]) == pytest.approx(
        [0.188722 / 1.188722, 1 / 1.188722], abs=1e-6
    )


def test_ranks_and_index_by_hand() -> None:
    reference = [0, 1, 1, 5]
    assert [truth.mid_rank(v, reference) for v in (0, 1, 3, 5, 6)] == [
        Fraction(1, 8), Fraction(1, 2), Fraction(3, 4), Fraction(7, 8), 1,
    ]  # fmt: skip
    ranks = {"PRODUCTS": Fraction(1, 2), "MOBILE": None, "ASSETS": Fraction(1, 4), "RESIDUAL_CLV": None}
    weights = {"PRODUCTS": 3, "MOBILE": 5, "ASSETS": 1, "RESIDUAL_CLV": 7}
    assert truth.potential_index(ranks, weights) == (Fraction(7, 16), "PRODUCTS_ASSETS")
    assert truth.potential_index(dict.fromkeys(ranks), weights) == (None, None)


def test_standing_by_hand() -> None:
    def row(day: date) -> Balance:
        return Balance("a", day, Decimal(1))

    first, second, third = date(2025, 1, 31), date(2025, 2, 3), date(2025, 5, 1)
    found = truth.standing_on([row(first), row(second), row(third)], None, None, date(2025, 5, 20), 31)
    assert min(found) == date(2025, 1, 1)
    assert [found[second - timedelta(k)].date for k in range(4)] == [second, second, second, first]
    assert date(2025, 2, 4) not in found
    assert min(day for day in found if day > second) == date(2025, 4, 1)
    assert max(found) == date(2025, 5, 20)
    closed = truth.standing_on([row(third)], None, date(2025, 5, 3), date(2025, 5, 20), 31)
    assert max(closed) == date(2025, 5, 3)
    opened = truth.standing_on([row(third)], date(2025, 4, 21), None, date(2025, 5, 20), 31)
    assert min(opened) == date(2025, 4, 21)
    assert max(truth.standing_on([row(third)], None, None, date(2025, 9, 20), 31)) == date(2025, 6, 1)


def test_knowledge_by_hand() -> None:
    """Latest delivery by key, snapshots, what lies after the day, and attributes without a date."""
    early, late, after = DAY - timedelta(9), DAY - timedelta(2), DAY + timedelta(4)
    rows = (
        Holding("a", "1", "SAVINGS", DAY, is_mobile=True, extract=early),
        Holding("a", "1", "SAVINGS", DAY, None, after, is_mobile=False, extract=late, file=1),
        Holding("b", "2", "SAVINGS", DAY, is_mobile=True, extract=early),
        Holding("c", "3", "SAVINGS", DAY, is_mobile=True, extract=after, file=2),
        Holding("d", "4", "SAVINGS", after, is_mobile=True, extract=late, file=1),
    )

    def seen(delivery: str, known_at: date | None) -> dict[str, Any]:
        files = tuple(f"h_{day:%Y%m%d}.csv" for day in (early, late, after))
        made = Bank(DAY, {"holdings": Table(rows, files, delivery, True)}, known_at=known_at)
        return {who: a["mobile_accounts"] for who, a in truth.answers(made).items()}

    assert seen("append", DAY) == {"a": 0, "b": 1}
    assert seen("append", None) == {"a": 0, "b": 1, "c": None}
    assert seen("snapshot", DAY) == {"a": 0}
    assert seen("snapshot", None) == {"c": None}
    assert seen("snapshot", early) == {"a": 1, "b": 1}
    undated = Bank(DAY, {"holdings": Table((replace(rows[0], extract=None),), ("h",))})
    assert truth.answers(undated)["a"]["mobile_accounts"] == 1
    assert truth.answers(replace(undated, known_at=DAY))["a"]["mobile_accounts"] is None


# What must hold of any bank

Checked = settings(
    max_examples=5, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),
)  # fmt: skip


def test_banks_are_rich(generated: list[tuple[Bank, dict[str, Answer]]]) -> None:
    """Every state, quadrant, tier, watch status, basis and reason occurs, and rules contend."""
    people = [a for _, found in generated for a in found.values()]
    seen = {column: Counter(a[column] for a in people) for column in people[0] if column in COUNTED}
    for column, expected in COUNTED.items():
        assert set(seen[column]) >= expected, column
    states = seen["lifecycle_state"]
    assert set(states) == set(oracle.LABELS)
    assert min(states.values()) >= 5, states
    assert {reason for a in people for reason in a["reasons"].values()} == {
        "NO_BALANCES", "NO_RATES", "NO_COSTS", "NOT_DELIVERED",
    }  # fmt: skip
    aside = Counter(reason for made, _ in generated for reason, _ in truth.world_of(made).aside)
    assert set(aside) == {"ACCOUNT_OF_ANOTHER", "OVERLAP"}
    assert {made.terms.preset for made, _ in generated} == {"a", "b", "c"}
    contests = {(a["rules_met"][0], other) for a in people for other in a["rules_met"][1:]}
    assert contests >= {
        ("TERMINATED", "CHURNED"), ("CHURNED", "ONE_TIME"), ("DECLINING", "HOLDER"), ("DECLINING", "NEW"),
        ("NEW", "HOLDER"), ("HOLDER", "ONE_TIME"), ("HOLDER", "GROWING"), ("ONE_TIME", "GROWING"),
        ("MATURE", "GROWING"), ("ACTIVE", "CONTACTED"), ("HOLDER", "CONTACTED"),
    }  # fmt: skip


COUNTED: dict[str, set[Any]] = {
    "quadrant": {"BEST", "GENERAL", "SECOND_BEST", "LOW_VALUE", None},
    "deposit_tier": {*truth.TIERS, None},
    "deposit_tier_raw": {*truth.TIERS, None},
    "deposit_tier_status_code": {"NORMAL", "WATCH", None},
    "deposit_basis": {"DAILY", "MONTH_END", None},
    "current_value_basis": {
        "CONTRIBUTION",
        "CONTRIBUTION_BALANCES",
        "CONTRIBUTION_COSTS",
        "CONTRIBUTION_BALANCES_COSTS",
        None,
    },
    "potential_basis": {"PRODUCTS_MOBILE_ASSETS", "PRODUCTS_ASSETS", "PRODUCTS_MOBILE", "ASSETS", None},
    "future_value_basis": {"ANNUITY", None},
    "payback_reached": {True, False, None},
    "payback_reason": {"NO_COSTS", None},
    "attributes_reason": {"NOT_DATED", None},
    "marketing_allowed": {True, False, None},
    "lifecycle_state": set(oracle.LABELS),
    "icbc6": {"POTENTIAL", "DEVELOPMENT", "GROWTH", "MATURITY", "DECLINE", "TERMINATION"},
    "live": {True, False},
    "debts_settled": {True, False},
    "balances_falling": {True, False},
    "product_opened": {True, False},
    "contacted": {True, False},
}


def test_states_are_total_and_exclusive(generated: list[tuple[Bank, dict[str, Answer]]]) -> None:
    """One state each; the last rule takes everybody; labels follow; nobody is dropped."""
    for made, found in generated:
        assert set(found) == set(truth.world_of(made).names)
        for answer in found.values():
            met = answer["rules_met"]
            assert met[-1] == "PROSPECT"
            assert answer["lifecycle_state"] == met[0]
            assert ("ACTIVE" in met) == answer["has_relationship"]
            assert (answer["current_value"] is not None) == answer["has_relationship"]
            stage5, relationship5, _, stage4 = oracle.LABELS[met[0]]
            assert (answer["stage5"], answer["relationship5"], answer["stage4"]) == (
                stage5, relationship5, stage4,
            )  # fmt: skip
            assert not (answer["is_new"] and answer["is_existing"])


def test_numbers_hang_together(generated: list[tuple[Bank, dict[str, Answer]]]) -> None:
    for made, found in generated:
        for answer in found.values():
            exact = answer["exact"]
            if exact["current_value"] is not None:
                parts = ("asset_value_12m", "liability_value_12m", "intermediary_value_12m")
                assert exact["current_value"] == sum(exact[p] or 0 for p in parts) - (exact["cost_12m"] or 0)
            if made.has("balances"):
                assert 0 <= answer["balance_covered_days"] <= 365
                assert answer["balance_covered_days"] or answer["average_deposit_12m"] == 0
            index = answer["potential_index"]
            assert index is None or 0 < index < 1
            if answer["deposit_tier_status_code"] == "WATCH":
                assert answer["deposit_months_below"] >= (1 if made.terms.preset == "a" else 3)
                assert made.terms.preset != "b"
            if answer["deposit_months_below"]:
                assert truth.TIERS.index(answer["deposit_tier_raw"]) < truth.TIERS.index(
                    answer["deposit_tier"]
                )


def test_without_other_tables_it_is_the_oracle_of_purchases(
    generated: list[tuple[Bank, dict[str, Answer]]],
) -> None:
    """All but the fees on other events, which belong to the current value now."""
    for made, _ in generated[:6]:
        bare = truth.transactions_alone(made)
        world = truth.world_of(bare)
        rows = oracle.standing_rows(truth.known_rows(bare.tables["transactions"], bare.known_at), TERMS)
        days = oracle.purchase_days(rows, bare.as_of, TERMS)
        found = truth.answers(bare)
        assert set(found) == set(days)
        for who, own in days.items():
            expected = oracle.customer(own, bare.as_of, TERMS)
            fees = world.fees.get(who, Fraction(0))
            if own:
                value = oracle.facts_of(own, bare.as_of, TERMS).contribution_window + fees
                expected["current_value"] = oracle.cents(value)
            assert {c: found[who][c] for c in expected} == expected


TERMS = bank(0).terms.purchases


@given(made=banks())
@Checked
def test_nothing_after_the_day_is_seen(made: Bank) -> None:
    """Rows of later days change nothing."""
    limit = made.as_of
    tables = {
        name: replace(
            table,
            rows=tuple(
                row
                for row in table.rows
                if (
                    row.day("UTC")
                    if isinstance(row, Transaction)
                    else _day(getattr(row, truth.DATED_BY[name]))
                )
                <= limit
            ),
        )
        for name, table in made.tables.items()
    }
    assert truth.answers(made) == truth.answers(replace(made, tables=tables))


def _day(value: Any) -> date:
    if value is None:
        return date.min
    day: date = value.date() if isinstance(value, datetime) else value
    return day


@given(
    seed=st.integers(0, 2**32 - 1),
    balance=st.decimals(0, 10**7, places=2),
    more=st.decimals(0, 10**7, places=2),
    daily=st.booleans(),
)
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
def test_a_higher_balance_never_lowers_the_raw_tier(
    seed: int, balance: Decimal, more: Decimal, daily: bool
) -> None:
    random = Random(seed)
    end = truth.month_end(2024, random.randrange(1, 13))
    days = truth.window_days(end, end.day if daily else 3)
    picked = random.choice(days)

    def raw(raised: Decimal) -> int:
        rows = [Balance("a", day, balance + (raised if day == picked else 0)) for day in days]
        series = truth.Series(None, None, None, tuple(rows), truth.standing_on(rows, None, None, end, 31))
        amount, basis = truth.month_balance([series], end, BankTerms())
        assert basis == ("DAILY" if daily else "MONTH_END")
        return truth.raw_tier(amount, BankTerms().tier_bounds)

    assert raw(Decimal(0)) <= raw(more)


@given(
    raws=st.lists(st.integers(0, 3), min_size=1, max_size=24),
    preset=st.sampled_from(sorted(truth.PRESETS)),
    into_next=st.booleans(),
)
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_tiers_keep_their_rules(raws: list[int], preset: str, into_next: bool) -> None:
    rules = truth.PRESETS[preset]
    tier, status, misses = truth.replay(raws, rules, into_next)
    assert 0 <= tier <= max(raws)
    watched = rules.watch_after is not None and misses >= rules.watch_after
    assert (status == "WATCH") == watched
    assert misses == 0 or (misses <= rules.downgrade_after[tier] and all(r < tier for r in raws[-misses:]))
    if raws[-1] >= tier:
        assert misses == 0
    if rules.upgrade_lag_months == 0:
        assert tier >= raws[-1]
    # The months before the first one count for nothing: ordinary ones may be put in front.
    assert truth.replay([0, 0, *raws], rules, into_next) == (tier, status, misses)


@given(
    ranks=st.lists(st.one_of(st.none(), st.fractions(0, 1)), min_size=4, max_size=4),
    weights=st.lists(st.integers(1, 9), min_size=4, max_size=4),
    factor=st.integers(1, 1000),
)
@settings(max_examples=50, deadline=None, derandomize=True, database=None)
def test_scaled_weights_give_the_same_index(
    ranks: list[Fraction | None], weights: list[int], factor: int
) -> None:
    one = dict(zip(truth.COMPONENTS, ranks, strict=True))
    plain = dict(zip(truth.COMPONENTS, weights, strict=True))
    scaled = {c: w * factor for c, w in plain.items()}
    assert truth.potential_index(one, plain) == truth.potential_index(one, scaled)


@given(weights=st.lists(st.integers(1, 9), min_size=2, max_size=5))
@settings(max_examples=20, deadline=None, derandomize=True, database=None)
def test_a_consistent_matrix_gives_back_its_weights(weights: list[int]) -> None:
    matrix = [[Fraction(a, b) for b in weights] for a in weights]
    found, ratio = truth.ahp_weights(matrix)
    assert found == pytest.approx([w / sum(weights) for w in weights])
    assert abs(ratio) < 1e-9


def test_survival_without_open_ones_is_the_share_left() -> None:
    lives = [
        Holding(f"a{n}", "x", "S", DAY - timedelta(100), closed_on=DAY - timedelta(n)) for n in range(100)
    ]
    curve = truth.kaplan_meier(lives, DAY)
    for day in range(1, 101):
        assert curve.at(Fraction(day)) == 1 - Fraction(day, 100)
    assert prod(share for _, share in curve.steps) == 0


def test_a_rate_of_the_product_hides_the_general_one_from_its_first_day_on() -> None:
    rates = [
        Rate("DEPOSIT", date(2024, 1, 1), Decimal("0.03"), Decimal("0.01")),
        Rate("DEPOSIT", date(2024, 6, 1), Decimal("0.04"), Decimal("0.01")),
        Rate("TERM", date(2024, 3, 1), Decimal("0.05"), Decimal("0.01")),
    ]
    for name, day, expected in (
        (None, date(2023, 12, 31), None), (None, date(2024, 1, 1), rates[0]),
        ("X", date(2024, 6, 1), rates[1]),
        ("X", date(2024, 5, 31), rates[0]), ("TERM", date(2024, 2, 29), rates[0]),
        ("TERM", date(2024, 3, 1), rates[2]),
    ):  # fmt: skip
        assert truth.rate_in_force(rates, name, "DEPOSIT", day) == expected


def test_quadrants() -> None:
    found = {
        (now, later): truth.quadrant_of(now, later, 0, Fraction(1, 2))
        for now, later in product((-1, 0, 1), (Fraction(1, 4), Fraction(1, 2)))
    }
    assert found == {
        (-1, Fraction(1, 4)): "LOW_VALUE", (-1, Fraction(1, 2)): "SECOND_BEST",
        (0, Fraction(1, 4)): "LOW_VALUE", (0, Fraction(1, 2)): "SECOND_BEST",
        (1, Fraction(1, 4)): "GENERAL", (1, Fraction(1, 2)): "BEST",
    }  # fmt: skip


# The files


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_files_hold_the_rows(tmp_path: Path, seed: int) -> None:
    made = bank(seed, customers=8)
    path = write(made, tmp_path)
    text = tomllib.loads(path.read_text(encoding="utf-8"))
    assert text == tomllib.loads(config_text(made))
    assert set(text["inputs"]) == set(made.tables)
    for name, table in made.tables.items():
        found = 0
        for file_name in table.files:
            with (tmp_path / file_name).open(encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file)
                found += len(list(reader))
                assert tuple(reader.fieldnames or ()) == columns_of(name)
            assert any((tmp_path / file_name).match(p) for p in text["inputs"][name]["files"])
        assert found == len(table.rows)
        for row in table.rows:
            if row.extract:
                assert f"{row.extract:%Y%m%d}" in table.files[row.file]


def test_seeds_repeat() -> None:
    assert bank(5) == bank(5)
    assert isinstance(bank(5).terms.purchases, Terms)
