"""Which designs no other design beats, how much they win together, and where more cost buys little.

Points are an `n x d` array with every column minimised, so this module knows nothing of metrics.
Results for a study are small (thousands of points, two to four objectives), and they are exact:
no sampling and no approximation.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

ON_THE_PLANE = 1e-12  # a distance that rounding can make of 0, where objectives run from 0 to 1


def front(points: ArrayLike) -> NDArray[np.bool_]:
    """Which rows of `points` (`n x d`) no other row dominates; equal rows stay together.

    O(n log n) for two objectives, O(n * front) for more. ValueError on numbers that are not finite.
    """
    unique, inverse = np.unique(_checked(points), axis=0, return_inverse=True)
    mask: NDArray[np.bool_] = _unbeaten(unique)[inverse.reshape(-1)]
    return mask


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """The volume that `points` (`n x d`) dominate and `reference` (`d`) bounds, in the objectives' units.

    A point that is not better than the reference in every objective contributes nothing. ValueError on
    numbers that are not finite.
    """
    array, bound = _bounded(points, reference)
    return _volume(_front_of(array[(array < bound).all(axis=1)]), bound)


def attained(points: ArrayLike, reference: ArrayLike) -> Array:
    """`n` numbers: the hypervolume of the first 1, 2, ... n rows of `points` (`n x d`), never falling.

    Only the part that each point adds is computed, so a point that is dominated costs one comparison.
    """
    array, bound = _bounded(points, reference)
    best = np.empty((0, array.shape[1]))
    added = np.zeros(len(array))
    for i, point in enumerate(array):
        if (point < bound).all() and not (best <= point).all(axis=1).any():
            added[i] = max(_exclusive(point, best, bound), 0.0)
            best = np.vstack((best[~(point <= best).all(axis=1)], point))
    return np.cumsum(added)


def knee(points: ArrayLike) -> int:
    """The row of `points` (`n x d`) where the front bulges most: beside it, a little of one costs much of another.

    With every objective of the front scaled to 0..1, it is the point farthest below the hyperplane
    through the best point of each objective (Das 1999, Structural Optimization 18:107, the maximal
    bulge of normal-boundary intersection; he solves for it on a continuous front, we pick from a finite
    one). Where there is no such point (fewer than three on the front, one point best in two objectives,
    a plane that does not fall in every objective, a front that is straight or bulges away) it is the
    one nearest to the ideal point, the origin. The first of equals. ValueError without points.
    """
    array = _checked(points)
    if not len(array):
        raise ValueError("a knee needs at least one point")
    rows = np.flatnonzero(front(array))
    scaled = _scaled(array[rows])
    below = _below_plane(scaled)
    if below is not None and below.max() > ON_THE_PLANE:
        return int(rows[below.argmax()])
    return int(rows[np.linalg.norm(scaled, axis=1).argmin()])


def _checked(points: ArrayLike) -> Array:
    """`points` as an `n x d` array of finite numbers."""
    array = np.asarray(points, np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"points are an n x d array with d of 1 or more, not of shape {array.shape}")
    if not (finite := np.isfinite(array)).all():
        row, column = np.argwhere(~finite)[0]
        raise ValueError(f"an objective is a finite number, not {array[row, column]} (row {row}, column {column})")
    return array


def _bounded(points: ArrayLike, reference: ArrayLike) -> tuple[Array, Array]:
    array, bound = _checked(points), np.asarray(reference, np.float64)
    if bound.shape != array.shape[1:]:
        raise ValueError(f"a reference point has one number per objective, {array.shape[1]}, not shape {bound.shape}")
    if not np.isfinite(bound).all():
        raise ValueError(f"a reference point is finite, not {bound.tolist()}")
    return array, bound


def _unbeaten(unique: Array) -> NDArray[np.bool_]:
    """Which rows are on the front, for rows that are sorted (first column first) and all different."""
    if unique.shape[1] == 2:  # a row is beaten by an earlier one, and only if that is as low in the second column
        lowest = np.minimum.accumulate(unique[:, 1])
        return np.concatenate(([True], unique[1:, 1] < lowest[:-1]))[: len(unique)]
    mask = np.zeros(len(unique), bool)
    left = np.arange(len(unique))
    while len(left):  # the first row that is left is beaten by none
        mask[left[0]] = True
        left = left[~(unique[left[0]] <= unique[left]).all(axis=1)]
    return mask


def _front_of(points: Array) -> Array:
    """The different rows of the front of `points` (`n x d`), sorted by the first column, then the second, ..."""
    unique: Array = np.unique(points, axis=0)
    return unique[_unbeaten(unique)]


def _volume(sorted_front: Array, bound: Array) -> float:
    """The hypervolume of a sorted front, every point of which is better than `bound`.

    WFG: the sum of what each point adds to those after it (While, Bradstreet and Barone 2012, IEEE
    Transactions on Evolutionary Computation 16:86). With the points worst first in the last objective,
    what a point adds is a slab of constant height there, so every level has one objective less, down to
    an area, which is a sum of rectangles.
    """
    if not len(sorted_front):
        return 0.0
    if len(bound) == 1:
        return float(bound[0] - sorted_front[0, 0])
    if len(bound) == 2:
        heights = np.concatenate((bound[1:], sorted_front[:-1, 1])) - sorted_front[:, 1]
        return float((bound[0] - sorted_front[:, 0]) @ heights)
    ordered = sorted_front[np.argsort(-sorted_front[:, -1], kind="stable")]
    slabs = [_exclusive(p[:-1], ordered[i + 1 :, :-1], bound[:-1]) for i, p in enumerate(ordered)]
    return float(np.dot(slabs, bound[-1] - ordered[:, -1]))


def _exclusive(point: Array, others: Array, bound: Array) -> float:
    """The volume that `point` (`d`) dominates and none of `others` (`n x d`) does: WFG's exclusive hypervolume."""
    limited = np.maximum(others, point)
    return float(np.prod(bound - point)) - _volume(_front_of(limited), bound)


def _scaled(points: Array) -> Array:
    """`points` with every column from 0 to 1, without the columns that are constant."""
    low, span = points.min(axis=0), np.ptp(points, axis=0)
    varies = span > 0
    scaled: Array = (points[:, varies] - low[varies]) / span[varies]
    return scaled


def _below_plane(scaled: Array) -> Array | None:
    """How far each row lies below the hyperplane through the best row of each column; None without such a plane."""
    d = scaled.shape[1]
    if d < 2:  # all rows are equal
        return None
    extremes = scaled[[np.lexsort((scaled.sum(axis=1), scaled[:, k]))[0] for k in range(d)]]
    if np.linalg.matrix_rank(extremes) < d:
        return None
    normal = np.linalg.solve(extremes, np.ones(d))
    if not (normal > 0).all():
        return None
    below: Array = (1.0 - scaled @ normal) / np.linalg.norm(normal)
    return below
