"""Device functions: which tiles a program has, and where programs that share the inputs of an output meet in memory.

All in one launch: each writes its sums and counts itself; the last to arrive adds all of them in order, so that the
result is always the same, and sets the count back for the next product.
"""

import triton
import triton.language as tl

TOGETHER = tl.constexpr(8)  # tiles of weights whose programs are neighbours: the cache holds the activations they share


@triton.jit
def tile_pair(tiles, m_tiles):
    """Which tile of weights and which of activations this program has: activations change first, among neighbours."""
    index = tl.program_id(0)
    first = index // (TOGETHER * m_tiles) * TOGETHER
    height = tl.minimum(tiles - first, TOGETHER)
    within = index % (TOGETHER * m_tiles)
    return first + within % height, within // height


@triton.jit
def summed(partial, arrived, sums, place, places, within, size: tl.constexpr, split: tl.constexpr):
    """The total and true for the last of the `split` programs (of axis 1) to arrive at `place`; else `sums` and false.

    `within`: where in the `size` numbers of a program each of `sums` lies. Of one program these are the total.
    """
    if split == 1:
        return sums, True
    else:
        return _met(partial, arrived, sums, place, places, within, size, split)


@triton.jit
def _met(partial, arrived, sums, place, places, within, size: tl.constexpr, split: tl.constexpr):
    """The same where there are several programs."""
    at = partial + place.to(tl.int64) * size + within
    stride = places.to(tl.int64) * size
    tl.store(at + tl.program_id(1) * stride, sums, cache_modifier=".cg")
    tl.debug_barrier()  # all of it is written before the count says so
    last = tl.atomic_add(arrived + place, 1, sem="acq_rel") == split - 1
    total = sums
    if last:
        total = tl.load(at, cache_modifier=".cg")
        for other in range(1, split):
            total += tl.load(at + other * stride, cache_modifier=".cg")
        tl.store(arrived + place, 0)
    return total, last
