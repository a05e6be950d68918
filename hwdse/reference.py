"""What the leaf modules compute, in Python's integers: the oracle that simulations are compared with.

Codes and sums are integer arrays; the unit of a sum is the smallest step of its format, and that of a product
the product of the smallest steps. Nothing here knows how the hardware does it.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwdse.formats import Format, decode_table, encode
from hwdse.thresholds import Thresholds, levels

Integers = NDArray[np.object_]  # Python's, so that no sum is too large
Codes = NDArray[np.int64]


def fixed_point(fmt: Format, codes: ArrayLike) -> Integers:
    """The values of `codes` (any shape, all finite) in units of `fmt.lsb`."""
    table = np.array([_whole(value / fmt.lsb) for value in decode_table(fmt)], object)
    found: Integers = table[np.asarray(codes, np.int64)]
    return found


def dot_products(weight: Format, activation: Format, weights: ArrayLike, activations: ArrayLike) -> Integers:
    """`n x rows` exact sums of `rows x terms` weights times `n x terms` activations, all given as codes."""
    w, a = fixed_point(weight, weights), fixed_point(activation, activations)
    largest = np.shape(weights)[-1] * max(abs(w).max(initial=0), 1) * max(abs(a).max(initial=0), 1)
    if largest < 2**63:  # then every sum of products is exact in int64, and quicker
        return (a.astype(np.int64) @ w.astype(np.int64).T).astype(object)
    sums: Integers = a @ w.T
    return sums


def residual_add(fmt: Format, a: ArrayLike, b: ArrayLike) -> Integers:
    """`a + b`, both codes of one format and of any shape."""
    sums: Integers = fixed_point(fmt, a) + fixed_point(fmt, b)
    return sums


def max_pool(fmt: Format, codes: ArrayLike, taps: int) -> Codes:
    """`n x lanes` codes of the largest of each `taps` in `(n * taps) x lanes` codes; -0 is less than 0."""
    array = np.asarray(codes, np.int64)
    zero = np.signbit(decode_table(fmt)) * 0.5  # half a step: sets -0 apart
    rank = (decode_table(fmt) / fmt.lsb - zero)[array].reshape(-1, taps, array.shape[1])
    best = rank.argmax(axis=1)[:, np.newaxis]
    return np.take_along_axis(array.reshape(rank.shape), best, axis=1)[:, 0]


def sum_pool(fmt: Format, codes: ArrayLike, taps: int, groups: int = 1) -> Integers:
    """`(n * groups) x lanes` sums over pixels of `(n * taps * groups) x lanes` codes, the groups innermost."""
    array = fixed_point(fmt, codes)
    sums: Integers = array.reshape(-1, taps, groups, array.shape[1]).sum(axis=1).reshape(-1, array.shape[1])
    return sums


def threshold(thresholds: Thresholds, sums: ArrayLike) -> Codes:
    """`n x channels` codes: of each sum the level above the thresholds that it reaches."""
    array = np.asarray(sums).astype(object)
    reached = np.stack(
        [np.searchsorted(np.array(row, object), array[:, i], side="right") for i, row in enumerate(thresholds.rows)],
        axis=1,
    )
    return level_codes(thresholds)[reached]


def level_codes(thresholds: Thresholds) -> Codes:
    """The code of each level, ascending: as many as a sum can reach thresholds, and one."""
    fmt, narrow = thresholds.format, thresholds.narrow
    return encode(fmt, levels(fmt, narrow), narrow=narrow).astype(np.int64)


def _whole(value: float) -> int | None:
    """A number of steps, or nothing for Inf and NaN."""
    return int(value) if np.isfinite(value) else None
