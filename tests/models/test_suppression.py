"""Suppression: an attacker who knows more than is published finds no cell that is held back."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from clvpipe.models.suppression import Profiles, suppressed_cells

# A fine system, one that it is nested in, one that cuts across it, one with the same label for all, and one
# whose label says whether the value is known: the ways in which the systems of a bank hang together.
FINE, COARSE, CROSSING, LONE = 5, (0, 0, 1, 1, 2), 3, 1
OFFSETS = np.cumsum([0, FINE, 3, CROSSING, LONE])
CUSTOMER = st.tuples(st.integers(0, FINE - 1), st.integers(0, CROSSING - 1), st.booleans())


def described(kinds: list[tuple[int, int, bool]]) -> Profiles:
    """Profiles of (fine label, crossing label, whether the value is known)."""
    labels = [[f, COARSE[f], c, 0, int(known)] for f, c, known in kinds]
    return Profiles(np.array(labels, dtype=np.int64) + OFFSETS, np.array([[known] for *_, known in kinds]))


class Table:
    """A small bank: customers by member and profile, shape (n_members, n_profiles)."""

    def __init__(self, counts: np.ndarray, profiles: Profiles, minimum: int) -> None:
        self.counts, self.profiles, self.minimum = counts, profiles, minimum
        has = np.zeros((len(profiles.labels), profiles.labels.max() + 1), dtype=np.int64)
        np.put_along_axis(has, profiles.labels, 1, axis=1)
        self.weights = np.stack([has, *(has * known[:, None] for known in profiles.known.T)], axis=2)
        self.cells = np.einsum("mp,plk->mlk", counts, self.weights)

    @property
    def suppressed(self) -> np.ndarray:
        members, profiles = np.nonzero(self.counts)
        customers = self.counts[members, profiles]
        return suppressed_cells(members, profiles, customers, self.profiles, self.minimum)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    kinds = draw(st.lists(CUSTOMER, min_size=2, max_size=7, unique=True))
    members = draw(st.integers(2, 5))
    size = st.one_of(st.just(0), st.integers(0, 4), st.integers(0, 30))
    counts = np.array(
        draw(
            st.lists(
                st.lists(size, min_size=len(kinds), max_size=len(kinds)), min_size=members, max_size=members
            )
        )
    )
    counts[counts.sum(axis=1) == 0, 0] = 1
    return Table(counts, described(kinds), draw(st.integers(2, 6)))


def interval(table: Table, suppressed: np.ndarray, member: int, label: int) -> tuple[int, int]:
    """What a cell can be, for one who sees what is shown and knows the bank's customers of each profile.

    Exact: whole customers in whole profiles, so every relation between the systems is known as well.
    """
    members, profiles = table.counts.shape
    rows, right = [], []
    for profile in range(profiles):
        row = np.zeros((members, profiles))
        row[:, profile] = 1
        rows.append(row.ravel())
        right.append(table.counts[:, profile].sum())
    for m, one in zip(*np.nonzero(~suppressed), strict=True):
        for k in range(table.weights.shape[2]):
            row = np.zeros((members, profiles))
            row[m] = table.weights[:, one, k]
            rows.append(row.ravel())
            right.append(table.cells[m, one, k])
    target = np.zeros((members, profiles))
    target[member] = table.weights[:, label, 0]
    bounds = []
    for sign in (1, -1):
        result = milp(
            sign * target.ravel(),
            constraints=LinearConstraint(np.array(rows), np.array(right), np.array(right)),
            integrality=np.ones(target.size, dtype=np.int64),
            bounds=Bounds(0, np.inf),
        )
        assert result.success, result.message
        bounds.append(round(sign * result.fun))
    return bounds[0], bounds[1]


def assert_safe(table: Table) -> None:
    """No cell that is held back, and has a customer, can be worked out."""
    suppressed = table.suppressed
    for member, label in zip(*np.nonzero(suppressed & (table.cells[:, :, 0] > 0)), strict=True):
        low, high = interval(table, suppressed, member, label)
        assert low < high, (member, label, table.counts, suppressed)


@settings(deadline=None, max_examples=60)
@given(tables())
def test_no_cell_that_is_held_back_can_be_worked_out(table):
    assert_safe(table)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(tables())
def test_not_in_many_more_banks_either(table):
    assert_safe(table)


@settings(deadline=None, max_examples=300)
@given(tables())
def test_small_cells_are_held_back_and_never_alone(table):
    suppressed = table.suppressed
    small = (table.cells > 0) & (table.cells < table.minimum)
    assert not (small.any(axis=2) & ~suppressed).any()
    assert (suppressed.sum(axis=0) != 1).all()
    if not small.any() and (table.counts.sum(axis=1) >= table.minimum).all():
        assert not suppressed.any()
    remainders = np.where(suppressed[:, :, None], table.cells, 0).sum(axis=0)
    whole_bank = table.cells.sum(axis=0)
    assert ((remainders == 0) | (remainders >= table.minimum) | (remainders == whole_bank)).all()


@settings(deadline=None, max_examples=60)
@given(tables(), st.randoms(use_true_random=False))
def test_the_order_and_the_splitting_of_rows_do_not_matter(table, random):
    rows = [
        (member, profile, 1)
        for member, profile in zip(*np.nonzero(table.counts), strict=True)
        for _ in range(table.counts[member, profile])
    ]
    random.shuffle(rows)
    members, profiles, customers = np.array(rows).T
    found = suppressed_cells(members, profiles, customers, table.profiles, table.minimum)
    assert (found == table.suppressed).all()


def plain(rows: list[list[int]], minimum: int = 10) -> Table:
    """Rows are members, columns are labels of one system; in a second one all have the same. No values."""
    n_labels = len(rows[0])
    labels = np.column_stack([np.arange(n_labels), np.full(n_labels, n_labels)])
    return Table(np.array(rows), Profiles(labels, np.ones((n_labels, 0), dtype=bool)), minimum)


def simple(rows: list[list[int]], minimum: int = 10) -> np.ndarray:
    """What is held back of the first system."""
    return plain(rows, minimum).suppressed[:, :-1]


def test_large_cells_are_all_shown():
    assert not simple([[10, 20, 30], [40, 50, 60], [11, 0, 12]]).any()


def test_a_small_cell_takes_the_cheapest_square_with_it():
    found = simple([[3, 500, 20], [400, 300, 15], [900, 800, 700]])
    assert found.tolist() == [[True, False, True], [True, False, True], [False, False, False]]


def test_a_cell_with_nobody_may_have_to_help():
    """Without the second cell of the first label, its total in the bank would give the first away."""
    found = simple([[3, 500, 20], [0, 300, 15]])
    assert found[:, 0].all() and found[:, 2].all() and not found[:, 1].any()


def test_two_in_each_row_and_column_are_not_enough():
    """Two squares that one cell joins: the sums over two rows and two columns give that cell away."""
    table = plain([[2, 2, 3, 90], [2, 2, 90, 90], [90, 90, 2, 2], [90, 90, 2, 2]], 5)
    small = table.cells[:, :, 0] < 5
    assert small[:, :-1].sum(axis=0).tolist() == [2, 2, 3, 2]
    assert interval(table, small, 0, 2) == (3, 3)
    assert_safe(table)


def test_counts_of_known_values_do_not_give_a_cell_away():
    """Who has no value has no tier: among 54 customers in a system with one label, 50 values tell of four."""
    profiles = Profiles(np.array([[0, 2], [1, 2]]), np.array([[False], [True]]))
    table = Table(np.array([[4, 50], [20, 60], [30, 70]]), profiles, 10)
    shown = np.array([[True, True, False], [True, True, False], [False] * 3])
    assert interval(table, shown, 0, 0) == (4, 4)
    assert table.suppressed[0].all()
    assert_safe(table)


def test_members_that_no_exchange_can_hide_are_held_back_whole():
    """Two of fifty have a value, and in the first system all have one label: nobody differs there."""
    profiles = Profiles(
        np.array([[0, 1], [0, 2], [0, 3], [0, 3]]), np.array([[True], [False], [False], [True]])
    )
    table = Table(np.array([[2, 48, 20, 0], [30, 0, 0, 20], [70, 0, 0, 80]]), profiles, 10)
    assert table.suppressed.tolist() == [[True] * 4, [True] * 4, [False] * 4]
    assert_safe(table)


def test_a_sum_of_values_of_few_is_small_too():
    """Fifty customers, of whom two have a value: their sum would tell both of each other."""
    counts = np.array([[48, 2, 50], [0, 60, 60], [0, 70, 70]])
    profiles = Profiles(np.array([[0], [0], [1]]), np.array([[False], [True], [True]]))
    assert Table(counts, profiles, 10).suppressed[0, 0]


def test_one_member_is_no_breakdown():
    with pytest.raises(ValueError, match="one member"):
        simple([[10, 20]])


def test_a_cell_of_one_is_always_small():
    with pytest.raises(ValueError, match="at least 2"):
        simple([[10, 20], [10, 20]], 1)


def test_a_member_below_the_minimum_is_held_back_whole_with_another():
    found = simple([[4, 0, 0], [50, 50, 50], [60, 60, 60], [70, 70, 70]])
    assert found.tolist() == [[True] * 3, [True] * 3, [False] * 3, [False] * 3]


def test_small_members_hide_behind_each_other():
    found = simple([[4, 0, 0], [0, 5, 3], [60, 60, 60], [70, 70, 70]])
    assert found[:2].all()


def test_one_huge_and_many_tiny_members():
    found = simple([[100_000, 200_000], *([1, 2] for _ in range(40))])
    assert not found[0].any() and found[1:].all()


def test_thousands_of_communities_take_seconds():
    rng = np.random.default_rng(5)
    kinds = 600
    labels = np.column_stack([rng.integers(0, n, kinds) for n in (12, 5, 5, 6, 4, 5, 4, 9, 5)])
    labels = np.unique(labels, axis=0)
    labels += np.cumsum([0, 12, 5, 5, 6, 4, 5, 4, 9])
    known = rng.random((len(labels), 2)) < 0.9
    size = np.maximum(rng.lognormal(5, 1, 2000), 5).astype(np.int64)
    share = rng.dirichlet(np.full(len(labels), 0.3))
    counts = np.stack([rng.multinomial(n, share) for n in size])
    members, profiles = np.nonzero(counts)
    start = time.perf_counter()
    found = suppressed_cells(members, profiles, counts[members, profiles], Profiles(labels, known), 10)
    assert found.any() and not found.all()
    assert time.perf_counter() - start < 20
