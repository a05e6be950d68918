"""Fronts, hypervolumes and knees, against brute force and against Optuna's own."""

import re
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from optuna._hypervolume import compute_hypervolume

from hwdse.pareto import attained, front, hypervolume, knee

Array = NDArray[np.float64]
GRID = 6  # coordinates of the exact tests are whole numbers below this, so that ties and repeats are common

sets = pytest.mark.parametrize(("d", "n", "seed"), list(product((1, 2, 3, 4), (0, 1, 2, 5, 40), (0, 1, 2))))


def whole_points(d: int, n: int, seed: int) -> Array:
    """`n x d` small whole numbers, some of them on the bound or beyond it."""
    return np.random.default_rng(seed).integers(0, GRID + 2, (n, d)).astype(float)


def brute_front(points: Array) -> NDArray[np.bool_]:
    """All pairs: a point is out if another is as good in every objective and better in one."""
    no_worse = (points[:, None] <= points).all(axis=2)
    better = (points[:, None] < points).any(axis=2)
    return np.logical_not((no_worse & better).any(axis=0))


def brute_volume(points: Array) -> int:
    """Counts the unit cells below `GRID` that a point dominates; exact for whole numbers."""
    cells = np.array(list(product(range(GRID), repeat=points.shape[1])))
    return int((points[:, None] <= cells).all(axis=2).any(axis=0).sum())


@sets
def test_front_against_all_pairs(d: int, n: int, seed: int) -> None:
    points = whole_points(d, n, seed)
    np.testing.assert_array_equal(front(points), brute_front(points))
    real = np.random.default_rng(seed).normal(size=(n, d))
    np.testing.assert_array_equal(front(real), brute_front(real))


def test_front_keeps_duplicates_and_drops_ties() -> None:
    points = np.array([[1, 2], [2, 1], [1, 2], [1, 3], [3, 1], [-0.0, 9], [0.0, 9]])
    assert front(points).tolist() == [True, True, True, False, False, True, True]


@sets
def test_hypervolume_against_cells(d: int, n: int, seed: int) -> None:
    points = whole_points(d, n, seed)
    assert hypervolume(points, [GRID] * d) == brute_volume(points)


@pytest.mark.parametrize(("d", "n", "seed"), list(product((2, 3, 4), (1, 10, 100), (0, 1))))
@pytest.mark.parametrize("bound", [10, 2000])  # many ties, few ties; 2000**4 and every sum on the way is exact
def test_hypervolume_against_optuna(d: int, n: int, seed: int, bound: int) -> None:
    points = np.random.default_rng(seed).integers(0, bound, (n, d)).astype(float)
    points = np.vstack((points, points[: n // 2]))
    assert hypervolume(points, [bound] * d) == compute_hypervolume(points, np.full(d, float(bound)))


def test_hypervolume_of_known_sets() -> None:
    assert hypervolume([[1, 3], [2, 2], [3, 1]], [4, 4]) == 6
    assert hypervolume([[0, 0, 0]], [2, 3, 4]) == 24
    assert hypervolume([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [2, 2, 2]) == 7


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_points_on_or_beyond_the_reference_add_nothing(d: int) -> None:
    inside, edge, beyond = [0.5] * d, [0.0] * (d - 1) + [1.0], [-9.0] * (d - 1) + [1.5]
    assert hypervolume([edge, beyond], [1] * d) == 0
    assert hypervolume([edge, inside, beyond], [1] * d) == 0.5**d
    assert attained([edge, inside, beyond], [1] * d).tolist() == [0, 0.5**d, 0.5**d]


@sets
def test_attained_is_the_hypervolume_of_every_start(d: int, n: int, seed: int) -> None:
    points = whole_points(d, n, seed)
    curve = attained(points, [GRID] * d)
    assert curve.tolist() == [hypervolume(points[: i + 1], [GRID] * d) for i in range(n)]


@pytest.mark.parametrize("d", [2, 3, 4])
def test_attained_never_falls(d: int) -> None:
    points = np.random.default_rng(d).random((200, d))  # nothing is exact here
    assert (np.diff(attained(points, np.ones(d))) >= 0).all()


@pytest.mark.parametrize("d", [2, 3])
def test_nothing_depends_on_the_order(d: int) -> None:
    points = whole_points(d, 40, 7)
    order = np.random.default_rng(7).permutation(40)
    np.testing.assert_array_equal(front(points)[order], front(points[order]))
    assert hypervolume(points, [GRID] * d) == hypervolume(points[order], [GRID] * d)
    np.testing.assert_array_equal(points[knee(points)], points[order][knee(points[order])])


def brute_knee(points: Array) -> int:
    """Two objectives, in plain loops: the front point most below the line between the ends of the front."""
    rows = [i for i in range(len(points)) if brute_front(points)[i]]
    (x0, y0), (x1, y1) = points[rows].min(axis=0), points[rows].max(axis=0)
    sums = {i: (points[i, 0] - x0) / (x1 - x0) + (points[i, 1] - y0) / (y1 - y0) for i in rows}
    return min(sums, key=lambda i: sums[i])


@pytest.mark.parametrize("seed", range(5))
def test_knee_against_loops(seed: int) -> None:
    x = np.random.default_rng(seed).uniform(0.1, 10, 30)
    points = np.column_stack((x, 1000 / x))  # bulges towards the origin; the scales differ
    assert knee(points) == brute_knee(points)


@pytest.mark.parametrize(
    ("points", "row"),
    [
        ([[0, 10], [1, 2], [2, 1.9], [10, 0]], 1),  # farthest below the line from (0, 10) to (10, 0)
        ([[9, 9], [0, 100], [1, 20], [1, 20], [10, 0]], 2),  # the first of two equal rows
        ([[0, 0, 4], [0, 4, 0], [4, 0, 0], [1, 1, 1]], 3),  # below the plane through the first three
        ([[0, 7, 4, 1], [2, 7, 1, 1], [4, 7, 0, 1]], 1),  # constant objectives do not count
        ([[0, 3], [3, 0]], 0),  # two points: both as near to the ideal, so the first
        ([[0, 2], [1, 1], [2, 0]], 1),  # straight
        ([[0, 4], [3, 3], [4, 0]], 0),  # bulges away: the ends are nearest to the ideal
        ([[0, 0, 3], [3, 3, 0], [1, 2, 1]], 2),  # one point is best in two objectives
        ([[0, 10, 10], [1, 0, 1], [10, 10, 0], [0.5, 5, 0.5]], 1),  # the plane rises with the second objective
        ([[3, 0, 1], [1, 3, 1], [1, 1, 2], [4, 2, 0], [1, 0, 4]], 1),  # of equally good extremes, the least sum
        ([[5, 5]], 0),
        ([[3], [1], [1], [2]], 1),
    ],
)
def test_knee(points: list[list[float]], row: int) -> None:
    assert knee(points) == row


FUNCTIONS: list[Callable[[object], object]] = [
    lambda points: front(points),  # type: ignore[arg-type]  # bad input on purpose
    lambda points: hypervolume(points, [1, 1]),  # type: ignore[arg-type]
    lambda points: attained(points, [1, 1]),  # type: ignore[arg-type]
    lambda points: knee(points),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=["front", "hypervolume", "attained", "knee"])
@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[0, 1], [2, np.nan]], "an objective is a finite number, not nan (row 1, column 1)"),
        ([[-np.inf, 1]], "an objective is a finite number, not -inf (row 0, column 0)"),
        ([1, 2], "points are an n x d array with d of 1 or more, not of shape (2,)"),
        ([[], []], "points are an n x d array with d of 1 or more, not of shape (2, 0)"),
    ],
)
def test_bad_points(function: Callable[[object], object], points: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        function(points)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ([1, 1, 1], "a reference point has one number per objective, 2, not shape (3,)"),
        ([1, np.inf], "a reference point is finite, not [1.0, inf]"),
    ],
)
def test_bad_reference(reference: list[float], message: str) -> None:
    for function in (hypervolume, attained):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            function([[0, 0]], reference)


def test_no_knee_without_points() -> None:
    with pytest.raises(ValueError, match=r"^a knee needs at least one point$"):
        knee(np.empty((0, 2)))
