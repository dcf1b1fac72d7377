"""Tiers with memory: stories month by month, an independent replay of one customer, and what holds always."""

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clvpipe.models.deposit_tiers import DowngradeTo, TierRules, TierStates, replay_tiers, tier_history

PRESETS = {
    "a": TierRules(1, 1, (3, 3, 6, 6), "last"),
    "b": TierRules(0, None, (6, 6, 6, 6), "last"),
    "c": TierRules(0, 3, (6, 6, 6, 6), "max_in_window"),
}

months = st.lists(st.integers(0, 3), min_size=1, max_size=40)
# Long stays at a tier, so that memories fill up: runs of equal months.
runs = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 8)), min_size=1, max_size=8).map(
    lambda parts: [tier for tier, length in parts for _ in range(length)]
)
history = st.one_of(months, runs)
some_rules = st.builds(
    TierRules,
    st.integers(0, 3),
    st.one_of(st.none(), st.integers(1, 4)),
    st.tuples(*[st.integers(1, 7)] * 4),
    st.sampled_from(["last", "max_in_window"]),
)
rules_of_any_kind = st.one_of(st.sampled_from(list(PRESETS.values())), some_rules)


def rows(states: TierStates) -> list[tuple[int, bool, int, int]]:
    columns = (states.tier, states.watch, states.months_below, states.next_tier)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def flat(histories: list[list[int]]) -> tuple[list[int], list[int]]:
    starts = np.cumsum([0, *(len(one) for one in histories)])[:-1].tolist()
    return [raw for one in histories for raw in one], starts


def one_customer(raw: list[int], rules: TierRules) -> list[tuple[int, bool, int, int]]:
    """The machine of the docstring as a bank clerk would work it: a card, and the list of past months."""

    def stands_on_the_first(card: dict, past: list[int]) -> dict:
        """What the card says when a month begins."""
        needed, misses = rules.downgrade_after[card["tier"]], card["misses"]
        if len(misses) >= needed:
            window = misses[-needed:]
            lower = window[-1] if rules.downgrade_to == "last" else max(window)
            card = {"tier": lower, "misses": []}
        lag = rules.upgrade_lag_months
        if lag > 0 and len(past) >= lag and all(tier > card["tier"] for tier in past[-lag:]):
            card = {"tier": min(past[-lag:]), "misses": []}
        return card

    card: dict = {"tier": 0, "misses": []}
    book = []
    for month, now in enumerate(raw):
        card = stands_on_the_first(card, raw[:month])
        if rules.upgrade_lag_months == 0 and now > card["tier"]:
            card = {"tier": now, "misses": []}
        card["misses"] = [*card["misses"], now] if now < card["tier"] else []
        count = len(card["misses"])
        watch = rules.watch_after is not None and count >= rules.watch_after
        coming = stands_on_the_first(dict(card), raw[: month + 1])["tier"]
        book.append((card["tier"], watch, count, coming))
    return book


# Month by month: raw tier, tier in force, watch (w), months below.
STORIES = {
    "a: up next month, down in month 4 to month 3's tier": (
        "a",
        [
            (1, 0, "", 0),  # qualifies for gold: still ordinary
            (1, 1, "", 0),  # gold
            (0, 1, "w", 1),
            (0, 1, "w", 2),
            (0, 1, "w", 3),
            (0, 0, "", 0),  # fourth month: what the third was
        ],
    ),
    "a: saved in the third month": (
        "a",
        [(1, 0, "", 0), (0, 1, "w", 1), (0, 1, "w", 2), (1, 1, "", 0), (0, 1, "w", 1), (1, 1, "", 0)],
    ),
    "a: month 4 qualifies, too late: down in it, up in month 5": (
        "a",
        [
            (1, 0, "", 0),
            (1, 1, "", 0),
            (0, 1, "w", 1),
            (0, 1, "w", 2),
            (0, 1, "w", 3),
            (1, 0, "", 0),
            (1, 1, "", 0),
        ],
    ),
    "a: a miss in the very month in which the tier rises": (
        "a",
        [(2, 0, "", 0), (0, 2, "w", 1), (3, 2, "", 0), (0, 3, "w", 1)],
    ),
    "a: platinum has six months, and falls two levels to the last of them": (
        "a",
        [
            (2, 0, "", 0),
            (2, 2, "", 0),
            (1, 2, "w", 1),
            (1, 2, "w", 2),
            (1, 2, "w", 3),
            (1, 2, "w", 4),
            (1, 2, "w", 5),
            (0, 2, "w", 6),
            (0, 0, "", 0),
        ],
    ),
    "a: diamond falls to platinum, and the months it already missed of that do not count": (
        "a",
        [
            (3, 0, "", 0),
            (0, 3, "w", 1),
            (0, 3, "w", 2),
            (0, 3, "w", 3),
            (0, 3, "w", 4),
            (0, 3, "w", 5),
            (2, 3, "w", 6),
            (0, 2, "w", 1),  # platinum, and the first of six
            (2, 2, "", 0),
        ],
    ),
    "a: a rise ends the count": (
        "a",
        [(1, 0, "", 0), (0, 1, "w", 1), (2, 1, "", 0), (1, 2, "w", 1), (1, 2, "w", 2)],
    ),
    "b: up at once, no watch, down after six": (
        "b",
        [
            (3, 3, "", 0),
            (2, 3, "", 1),
            (2, 3, "", 2),
            (2, 3, "", 3),
            (2, 3, "", 4),
            (2, 3, "", 5),
            (1, 3, "", 6),
            (0, 1, "", 1),  # the tier of the sixth missed month; its own balance misses that
        ],
    ),
    "b: month 7 qualifies again: down and up at once, no month shows it, and the count is new": (
        "b",
        [
            (1, 1, "", 0),
            (0, 1, "", 1),
            (0, 1, "", 2),
            (0, 1, "", 3),
            (0, 1, "", 4),
            (0, 1, "", 5),
            (0, 1, "", 6),
            (1, 1, "", 0),
            (0, 1, "", 1),
        ],
    ),
    "c: up at once, watch from the third miss, down after three more to the best of the six": (
        "c",
        [
            (3, 3, "", 0),
            (0, 3, "", 1),
            (2, 3, "", 2),
            (0, 3, "w", 3),
            (1, 3, "w", 4),
            (0, 3, "w", 5),
            (0, 3, "w", 6),
            (0, 2, "", 1),
            (0, 2, "", 2),
            (0, 2, "w", 3),
        ],
    ),
    "c: watch ends with a month that is not missed": (
        "c",
        [(2, 2, "", 0), (1, 2, "", 1), (1, 2, "", 2), (1, 2, "w", 3), (2, 2, "", 0), (3, 3, "", 0)],
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_stories(story: str) -> None:
    preset, table = STORIES[story]
    raw = [month[0] for month in table]
    states = tier_history(raw, [0], PRESETS[preset])
    told = [(tier, "w" if watch else "", below) for tier, watch, below, _ in rows(states)]
    assert told == [month[1:] for month in table]
    assert one_customer(raw, PRESETS[preset]) == rows(states)


def test_the_tier_of_the_first_of_the_next_month() -> None:
    """`next_tier` is what the completed months alone make of the month to come."""
    a = replay_tiers([1, 1, 0, 0, 0], [0], PRESETS["a"])
    assert rows(a) == [(1, True, 3, 0)]
    assert rows(replay_tiers([2], [0], PRESETS["a"])) == [(0, False, 0, 2)]
    assert rows(replay_tiers([2], [0], PRESETS["b"])) == [(2, False, 0, 2)]
    assert rows(replay_tiers([3, 1, 2, 0, 0, 0, 0], [0], PRESETS["c"])) == [(3, True, 6, 2)]


def test_longer_lags_need_every_month() -> None:
    rules = replace(PRESETS["a"], upgrade_lag_months=3)
    # Three months above in a row, to the least of them; the fourth then is above that in months 2 to 4.
    assert tier_history([2, 3, 3, 3, 3], [0], rules).tier.tolist() == [0, 0, 0, 2, 3]
    assert tier_history([2, 3, 0, 3, 3, 1, 0], [0], rules).tier.tolist() == [0, 0, 0, 0, 0, 0, 1]


@given(st.lists(history, min_size=0, max_size=6), rules_of_any_kind)
def test_equals_the_replay_of_one_customer(histories: list[list[int]], rules: TierRules) -> None:
    raw, starts = flat(histories)
    books = [one_customer(one, rules) for one in histories]
    assert rows(tier_history(raw, starts, rules)) == [month for book in books for month in book]
    assert rows(replay_tiers(raw, starts, rules)) == [book[-1] for book in books]


@given(history, rules_of_any_kind)
def test_no_month_depends_on_a_later_one(raw: list[int], rules: TierRules) -> None:
    """Any as-of day gives what the continued history has for that month."""
    whole = rows(tier_history(raw, [0], rules))
    for length in range(1, len(raw) + 1):
        assert rows(replay_tiers(raw[:length], [0], rules)) == [whole[length - 1]]


@given(history, rules_of_any_kind)
def test_next_tier_is_the_tier_on_the_first(raw: list[int], rules: TierRules) -> None:
    states = tier_history(raw, [0], rules)
    expected = states.next_tier[:-1]
    if rules.upgrade_lag_months == 0:
        expected = np.maximum(expected, raw[1:])
    assert states.tier[1:].tolist() == expected.tolist()


@given(history, rules_of_any_kind)
def test_what_holds_in_every_month(raw: list[int], rules: TierRules) -> None:
    states, months_raw = tier_history(raw, [0], rules), np.array(raw)
    tier, below = states.tier, states.months_below
    assert tier.max() <= max(raw)
    # A count runs exactly while the month is below its tier, and never past what the tier allows.
    assert ((below > 0) == (months_raw < tier)).all()
    assert (below <= np.array(rules.downgrade_after)[tier]).all()
    if rules.watch_after is None:
        assert not states.watch.any()
    # With a lag of 0 or 1 nobody is held below what the last judged month was worth.
    if rules.upgrade_lag_months == 0:
        assert (tier >= months_raw).all() and (states.next_tier >= months_raw).all()
    elif rules.upgrade_lag_months == 1:
        assert (tier[1:] >= months_raw[:-1]).all()
    # The tier falls only after a full count, and then to one of the missed months' tiers.
    for m in range(len(raw)):
        if states.next_tier[m] < tier[m]:
            window = months_raw[m - below[m] + 1 : m + 1]
            assert below[m] == rules.downgrade_after[tier[m]]
            assert states.next_tier[m] == (window[-1] if rules.downgrade_to == "last" else window.max())


@given(history, rules_of_any_kind, st.integers(0, 3))
def test_a_better_last_month_never_hurts(raw: list[int], rules: TierRules, other: int) -> None:
    low, high = sorted((raw[-1], other))
    ((tier, watch, below, following),) = rows(replay_tiers([*raw[:-1], low], [0], rules))
    ((tier2, watch2, below2, following2),) = rows(replay_tiers([*raw[:-1], high], [0], rules))
    assert tier2 >= tier and following2 >= following
    if tier2 == tier:
        assert below2 <= below and watch2 <= watch


@given(history, st.integers(0, 1), st.sampled_from(["last", "max_in_window"]))
def test_without_memory_more_is_never_less(raw: list[int], lag: int, downgrade_to: DowngradeTo) -> None:
    """Down after one miss: the tier is a rising function of the last two months."""
    rules = TierRules(lag, None, (1, 1, 1, 1), downgrade_to)
    states = tier_history(raw, [0], rules)
    before = [0, *raw[:-1]]
    expected = [max(pair) for pair in zip(before, raw, strict=True)] if lag == 0 else before
    assert states.tier.tolist() == expected


# Preset, lower history, higher history: in the last month the *richer* customer has the lower tier.
MORE_IS_LESS = {
    # A platinum month starts a count of six, whose last month is ordinary; gold alone would just have begun.
    "a": ([1, 1, 1, 1, 1, 1, 0, 0], [2, 1, 1, 1, 1, 1, 0, 0]),
    "b": ([1, 1, 1, 1, 1, 1, 0, 0], [2, 1, 1, 1, 1, 1, 0, 0]),
    # A month as diamond instead of platinum is no miss, and then no platinum month is in the window of six.
    "c": ([3, 2, 0, 0, 0, 0, 0, 0, 0], [3, 3, 0, 0, 0, 0, 0, 0, 0]),
}


@pytest.mark.parametrize("preset", PRESETS)
def test_more_can_be_less(preset: str) -> None:
    """A property that one would wish for and these rules do not have: counts start at different months."""
    lower, higher = MORE_IS_LESS[preset]
    assert sum(a < b for a, b in zip(lower, higher, strict=True)) == 1
    assert all(a <= b for a, b in zip(lower, higher, strict=True))
    poor, rich = (tier_history(raw, [0], PRESETS[preset]).tier for raw in (lower, higher))
    assert (rich[:-1] >= poor[:-1]).all() and rich[-1] < poor[-1]


@given(st.lists(history, min_size=1, max_size=6), rules_of_any_kind, st.randoms(use_true_random=False))
def test_neighbours_and_their_order_do_not_matter(
    histories: list[list[int]], rules: TierRules, random
) -> None:
    order = list(range(len(histories)))
    random.shuffle(order)
    plain = rows(replay_tiers(*flat(histories), rules))
    shuffled = rows(replay_tiers(*flat([histories[i] for i in order]), rules))
    assert shuffled == [plain[i] for i in order]


def test_nobody() -> None:
    states = replay_tiers([], [], PRESETS["a"])
    assert rows(states) == [] and states.tier.dtype == np.int64 and states.watch.dtype == np.bool_
    assert rows(tier_history([], [], PRESETS["a"])) == []


def test_inputs_are_not_changed() -> None:
    raw, starts = np.array([3, 0, 1, 2], dtype=np.int8), np.array([0, 1])
    replay_tiers(raw, starts, PRESETS["c"])
    assert raw.tolist() == [3, 0, 1, 2] and starts.tolist() == [0, 1]


def test_many_customers_take_seconds() -> None:
    """A tenth of a million customers and 36 months: about a tenth of a second; no loop over customers."""
    raw = np.random.default_rng(5).integers(0, 4, 36 * 100_000).astype(np.int8)
    started = time.perf_counter()
    replay_tiers(raw, np.arange(0, raw.size, 36), PRESETS["c"])
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("raw", "starts"),
    [([0, 4], [0]), ([-1], [0]), ([0.5], [0]), ([1, 2], [1]), ([1, 2], [0, 0]), ([1, 2], [0, 2]), ([1], [])],
)
def test_refused_histories(raw: list, starts: list[int]) -> None:
    for function in (replay_tiers, tier_history):
        with pytest.raises(ValueError, match=r"raw tiers|starts"):
            function(raw, starts, PRESETS["a"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"upgrade_lag_months": -1}, "lag"),
        ({"watch_after": 0}, "watch_after"),
        ({"downgrade_after": (1, 1, 0, 1)}, "downgrade_after"),
        ({"downgrade_after": (1, 1, 1)}, "downgrade_after"),
        ({"downgrade_to": "min"}, "downgrade_to"),
    ],
)
def test_refused_rules(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PRESETS["a"], **change)
