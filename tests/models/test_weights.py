"""Weights: Saaty's published example, closed forms, independent arithmetic, and what must not matter."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clvpipe.models.weights import RANDOM_INDEX, ahp_weights, entropy_weights, expert_weights

judgement = st.sampled_from([1 / 9, 1 / 7, 1 / 5, 1 / 4, 1 / 3, 1 / 2, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 9.0])
rank = st.one_of(st.just(0.0), st.just(1.0), st.integers(1, 999).map(lambda k: k / 1000))


def matrix_of(above: list[float], n: int) -> np.ndarray:
    """The reciprocal matrix with these judgements above its diagonal, row by row."""
    matrix = np.ones((n, n))
    for (i, j), value in zip(zip(*np.triu_indices(n, 1), strict=True), above, strict=True):
        matrix[i, j], matrix[j, i] = value, 1 / value
    return matrix


matrices = st.integers(3, 5).flatmap(
    lambda n: st.lists(judgement, min_size=n * (n - 1) // 2, max_size=n * (n - 1) // 2).map(
        lambda above: matrix_of(above, n)
    )
)

# Saaty (1977): how far the six cities are from Philadelphia, judged by feeling.
DISTANCES = matrix_of(
    [
        *(1 / 3, 8, 3, 3, 7),  # Cairo: Tokyo, Chicago, San Francisco, London, Montreal
        *(9, 3, 3, 9),  # Tokyo
        *(1 / 6, 1 / 5, 2),  # Chicago
        *(1 / 3, 6),  # San Francisco
        6,  # London: Montreal
    ],
    6,
)


def power_iteration(matrix) -> tuple[list[float], float]:
    """Principal eigenvector (sum 1) and eigenvalue in 40 digits, without any library's eigensolver."""
    with mpmath.workdps(40):
        rows = [[mpmath.mpf(float(value)) for value in row] for row in matrix]
        vector = [mpmath.mpf(1) / len(rows)] * len(rows)
        for _ in range(400):
            product = [mpmath.fdot(row, vector) for row in rows]
            total = mpmath.fsum(product)
            vector = [value / total for value in product]
        return [float(value) for value in vector], float(total)


def test_consistent_judgements_give_back_the_weights() -> None:
    result = ahp_weights([[1.0, 2.0, 6.0], [1 / 2, 1.0, 3.0], [1 / 6, 1 / 3, 1.0]])
    assert result.weights == pytest.approx((6 / 10, 3 / 10, 1 / 10), rel=1e-14)
    assert result.principal_eigenvalue == pytest.approx(3.0, abs=1e-13)
    assert result.consistency_ratio == pytest.approx(0.0, abs=1e-13)


def test_distances_from_philadelphia() -> None:
    result = ahp_weights(DISTANCES)
    # As quoted since; Saaty worked by hand, and the first is .262. The true distances make
    # .278 .361 .032 .132 .177 .019.
    assert result.weights == pytest.approx((0.263, 0.397, 0.033, 0.116, 0.164, 0.027), abs=1.2e-3)
    assert result.principal_eigenvalue == pytest.approx(6.45, abs=6e-3)
    assert result.consistency_index == pytest.approx(0.09, abs=2e-3)
    weights, eigenvalue = power_iteration(DISTANCES)
    assert result.weights == pytest.approx(weights, rel=1e-12)
    assert result.principal_eigenvalue == pytest.approx(eigenvalue, rel=1e-13)
    assert result.consistency_ratio == pytest.approx((eigenvalue - 6) / 5 / 1.24, rel=1e-10)


@given(st.lists(judgement, min_size=3, max_size=3))
def test_three_components_in_closed_form(above: list[float]) -> None:
    """n = 3: the vector is the geometric mean of each row, λ = 1 + q + 1/q with q³ = a₁₂ a₂₃ / a₁₃."""
    a12, a13, a23 = above
    q = (a12 * a23 / a13) ** (1 / 3)
    result = ahp_weights(matrix_of(above, 3), largest_ratio=math.inf)
    means = [(a12 * a13) ** (1 / 3), (a23 / a12) ** (1 / 3), (1 / (a13 * a23)) ** (1 / 3)]
    assert result.weights == pytest.approx([m / sum(means) for m in means], rel=1e-11)
    assert result.principal_eigenvalue == pytest.approx(1 + q + 1 / q, rel=1e-12)
    assert result.consistency_ratio == pytest.approx((q + 1 / q - 2) / 2 / 0.58, abs=1e-11)


@given(matrices)
def test_against_power_iteration(matrix: np.ndarray) -> None:
    n = len(matrix)
    result = ahp_weights(matrix, largest_ratio=math.inf)
    weights, eigenvalue = power_iteration(matrix)
    assert result.weights == pytest.approx(weights, rel=1e-9)
    ratio = (eigenvalue - n) / (n - 1) / RANDOM_INDEX[n - 1]
    assert result.consistency_ratio == pytest.approx(ratio, abs=1e-9) and result.consistency_ratio >= 0
    assert min(result.weights) > 0 and math.fsum(result.weights) == pytest.approx(1.0, abs=1e-15)
    assert ahp_weights(matrix, largest_ratio=math.inf) == result
    assume(abs(ratio - 0.1) > 1e-9)
    if ratio > 0.1:
        with pytest.raises(ValueError, match="consistency ratio"):
            ahp_weights(matrix)
    else:
        assert ahp_weights(matrix) == result


@given(matrices, st.randoms(use_true_random=False))
def test_renaming_components_renames_weights(matrix: np.ndarray, random) -> None:
    order = list(range(len(matrix)))
    random.shuffle(order)
    plain = ahp_weights(matrix, largest_ratio=math.inf)
    renamed = ahp_weights(matrix[np.ix_(order, order)], largest_ratio=math.inf)
    assert renamed.weights == pytest.approx([plain.weights[i] for i in order], rel=1e-10)
    assert renamed.consistency_ratio == pytest.approx(plain.consistency_ratio, abs=1e-10)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=10))
def test_ratios_of_weights_give_back_the_weights(parts: list[int]) -> None:
    result = ahp_weights([[a / b for b in parts] for a in parts])
    assert result.weights == pytest.approx([part / sum(parts) for part in parts], rel=1e-11)
    assert result.consistency_ratio == pytest.approx(0.0, abs=1e-11)


def test_one_and_two_components_cannot_contradict() -> None:
    assert ahp_weights([[1]]).weights == (1.0,)
    two = ahp_weights([[1.0, 4.0], [0.25, 1.0]])
    assert two.weights == pytest.approx((0.8, 0.2)) and two.consistency_ratio == 0.0


def test_the_message_names_the_worst_judgement() -> None:
    # Weights 8:4:2:1, and one judgement the wrong way round.
    matrix = np.array([[a / b for b in (8, 4, 2, 1)] for a in (8, 4, 2, 1)])
    for i, j in ((0, 3), (1, 2)):
        wrong = matrix.copy()
        wrong[i, j], wrong[j, i] = 1 / 8, 8
        with pytest.raises(ValueError, match=rf"above 0\.1; .* row {i + 1}, column {j + 1}: 0\.125"):
            ahp_weights(wrong)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 2, 3], [0.5, 1, 2]], "square"),
        ([1, 2], "square"),
        (np.ones((11, 11)), "1 to 10"),
        (np.ones((0, 0)), "1 to 10"),
        ([[1, -2], [-0.5, 1]], "above zero"),
        ([[1, 0], [0, 1]], "above zero"),
        ([[1, float("nan")], [1, 1]], "finite"),
        ([[1, float("inf")], [0, 1]], "finite"),
        ([[2, 1], [1, 0.5]], "itself"),
        ([[1, 3], [0.3333, 1]], "reciprocal of"),
    ],
)
def test_refused_matrices(matrix, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ahp_weights(matrix)
    assert ahp_weights([[1.0, 3.0], [0.3333333333, 1.0]]).weights == pytest.approx((0.75, 0.25), abs=1e-9)


def test_expert_weights() -> None:
    assert expert_weights([3, 1]).weights == (0.75, 0.25)
    assert expert_weights([0.3, 0.1]).weights == (0.75, 0.25), "0.3 / (0.3 + 0.1) is not 0.75 in binary"
    assert expert_weights([0, 5, 0]).weights == (0.0, 1.0, 0.0)
    for wrong in ([], [0, 0], [1, -1], [1, float("nan")], [1, float("inf")]):
        with pytest.raises(ValueError, match="weight"):
            expert_weights(wrong)


@given(
    st.lists(st.integers(0, 10_000), min_size=1, max_size=6),
    st.sampled_from([10, 100, 1000]),
    st.floats(0.01, 100),
)
def test_scaled_expert_weights_are_the_same(parts: list[int], decimals: int, factor: float) -> None:
    assume(any(parts))
    plain = expert_weights(parts)
    assert expert_weights([part / decimals for part in parts]) == plain, (
        "the same bits at another decimal point"
    )
    assert expert_weights([part * factor for part in parts]).weights == pytest.approx(
        plain.weights, rel=1e-13
    )
    assert math.fsum(plain.weights) == pytest.approx(1.0, abs=1e-15)


def brute_entropy(column: list[float]) -> float:
    with mpmath.workdps(40):
        total, n = mpmath.fsum(column), len(column)
        if n < 2 or total == 0:
            return 1.0
        shares = [mpmath.mpf(value) / total for value in column if value > 0]
        return float(-mpmath.fsum(p * mpmath.log(p) for p in shares) / mpmath.log(n))


def test_entropy_by_hand() -> None:
    # Four customers: all equal; two share everything (ln 2 / ln 4 = ½); one has all (0).
    result = entropy_weights([[0.5, 0.5, 1.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.0], [0.5, 0.0, 0.0]])
    assert result.entropies == pytest.approx((1.0, 0.5, 0.0), abs=1e-15)
    assert result.weights == pytest.approx((0.0, 1 / 3, 2 / 3), abs=1e-15) and result.customers == 4
    assert result.weights[0] == 0.0


@given(st.integers(1, 5).flatmap(lambda k: st.lists(st.lists(rank, min_size=k, max_size=k), min_size=1)))
def test_entropy_by_brute_force(rows: list[list[float]]) -> None:
    result = entropy_weights(rows)
    k, entropies = len(rows[0]), [brute_entropy(list(column)) for column in zip(*rows, strict=True)]
    assert result.entropies == pytest.approx(entropies, abs=1e-13)
    assert all(0 <= e <= 1 for e in result.entropies) and min(result.weights) >= 0
    assert math.fsum(result.weights) == pytest.approx(1.0, abs=1e-14)
    for column, weight in zip(zip(*rows, strict=True), result.weights, strict=True):
        if len(set(column)) == 1 and sum(1 - e for e in result.entropies) > 0:
            assert weight == 0.0
    total = sum(1 - e for e in entropies)
    if total > 1e-6:
        assert result.weights == pytest.approx([(1 - e) / total for e in entropies], abs=1e-7)
    if all(len(set(column)) == 1 for column in zip(*rows, strict=True)):
        assert result.weights == (1 / k,) * k


@given(
    st.integers(2, 40).flatmap(
        lambda n: st.tuples(
            st.lists(st.lists(rank, min_size=3, max_size=3), min_size=n, max_size=n),
            st.permutations(range(n)),
        )
    ),
    st.permutations(range(3)),
)
def test_order_of_customers_changes_no_bit(shuffled, order: list[int]) -> None:
    rows, people = shuffled
    table = np.array(rows)
    plain = entropy_weights(table)
    assert entropy_weights(table[people]) == plain
    assert entropy_weights(np.asfortranarray(table)) == plain
    renamed = entropy_weights(table[:, order])
    assert renamed.weights == tuple(plain.weights[j] for j in order)
    assert renamed.entropies == tuple(plain.entropies[j] for j in order)


def test_order_of_many_customers_changes_no_bit() -> None:
    rng = np.random.default_rng(3)
    table = rng.beta(0.7, 2.0, (100_003, 4))
    plain = entropy_weights(table)
    assert entropy_weights(rng.permutation(table)) == plain
    assert entropy_weights(table[::-1, ::-1]).weights == plain.weights[::-1]


def test_entropy_of_nothing() -> None:
    assert entropy_weights([[0.2, 0.9]]).weights == (0.5, 0.5)
    assert entropy_weights(np.zeros((0, 4))).weights == (0.25,) * 4
    assert entropy_weights(np.zeros((9, 2))).weights == (0.5, 0.5)
    # A zero column beside one that says something.
    assert entropy_weights([[0.0, 0.1], [0.0, 0.9]]).weights == (0.0, 1.0)
    # 0.1 + 0.1 + … is not n · 0.1: a constant column still says exactly nothing.
    assert entropy_weights(np.full((1001, 3), 0.1)).weights == (1 / 3,) * 3
    for wrong in (np.zeros(3), np.zeros((3, 0))):
        with pytest.raises(ValueError, match="table"):
            entropy_weights(wrong)
