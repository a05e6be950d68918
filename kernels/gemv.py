"""Products of packed weights with one to four vectors, without tensor cores.

A tensor core multiplies by eight or sixteen vectors, however few there are, and waits for the activations to pass
through shared memory. For a few of them plain multiply-adds may be as fast: this is the second candidate. Programs that
share an output meet as in `a16`.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from hwdse.gemm import Tile
from hwdse.kernels import a16
from hwdse.kernels._decode16 import decoded, loaded, pairs
from hwdse.kernels._fields import count
from hwdse.kernels._packed import Packed, launch
from hwdse.kernels._split import summed
from hwdse.kernels._sums import Workspace, workspace

MOST = 4  # vectors


# ---- the plain reference -------------------------------------------------------------------------

reference = a16.reference


# ---- the device code -----------------------------------------------------------------------------


@triton.jit(do_not_specialize=("blocks", "tiles"))
def kernel(
    x,
    words,
    scales,
    zeros,
    zeros_again,
    bias,
    y,
    partial,
    arrived,
    n,
    k,
    x_stride,
    blocks,
    tiles,
    scale_stride,
    rows: tl.constexpr,
    width: tl.constexpr,
    planes: tl.constexpr,
    fields: tl.constexpr,
    code: tl.constexpr,
    group: tl.constexpr,
    factor: tl.constexpr,
    floats: tl.constexpr,
    whole: tl.constexpr,
    split: tl.constexpr,
    stages: tl.constexpr,
    upcast: tl.constexpr,
):
    """One program: `rows` outputs of one vector, over its share of the blocks.

    Products are summed up in float32 for each place of a sub-tile, and these across it at the end: groups' scales
    multiply what a sub-tile adds.
    """
    tile, vector = tl.program_id(0), tl.program_id(2)
    row, inputs = tile * rows + tl.arange(0, rows), tl.arange(0, 2 * width)
    share = (blocks + split - 1) // split
    first = tl.program_id(1) * share
    own_x = x + vector.to(tl.int64) * x_stride
    own_tiles = tile.to(tl.int64) * blocks
    places = tl.full((rows, 2 * width), 0.0, tl.float32)
    for block in tl.range(first, tl.minimum(first + share, blocks), num_stages=stages):
        held = loaded(words + (own_tiles + block) * (planes * rows * width), planes, rows, width)
        for field in tl.static_range(count(fields)):
            start = block * (2 * width * count(fields)) + field * (2 * width)
            of_group = (start // group if group > 0 else 0) * scale_stride + row
            zero = None
            if zeros is not None:
                zero = pairs(zeros, zeros_again, of_group, floats)
            here = start + inputs
            mask = None if whole else here < k
            own = tl.load(own_x + here, mask=mask, eviction_policy="evict_last").to(tl.float32)
            if not whole:
                own = tl.where(here < k, own, 0.0)
            products = decoded(held, fields, field, code, zero, floats, upcast).to(tl.float32) * own[None, :]
            if group > 0:
                products = products * tl.load(scales + of_group).to(tl.float32)[:, None]
            places += products
    sums = tl.reduce(places, 1, tl.standard._sum_combine)  # `tl.sum`, which the interpreter cannot call
    place, all_places = tile + vector * tiles, tiles * tl.num_programs(2)
    sums, done = summed(partial, arrived, sums, place, all_places, tl.arange(0, rows), rows, split)
    if done:
        scale = tl.full((rows,), 1.0, tl.float32) if group > 0 else tl.load(scales + row)
        sums = sums * (scale * factor)
        if bias is not None:
            sums += tl.load(bias + row, mask=row < n, other=0.0).to(tl.float32)
        tl.store(y + vector.to(tl.int64) * n + row, sums.to(y.dtype.element_ty), mask=row < n)


# ---- the host ------------------------------------------------------------------------------------


def arguments(x: Tensor, packed: Packed, tile: Tile, bias: Tensor | None, y: Tensor, work: Workspace) -> dict[str, Any]:
    """What the kernel is launched with."""
    return launch(packed, kernel) | {
        "x": x,
        "bias": bias,
        "y": y,
        "partial": work.partial,
        "arrived": work.arrived,
        "k": x.shape[1],
        "x_stride": x.stride(0),
        "tiles": packed.words.shape[0],
        "factor": packed.factor,
        "whole": x.shape[1] % packed.layout.block == 0,
        "split": tile.split,
        "stages": tile.stages,
    }


def run(
    x: Tensor,
    packed: Packed,
    tile: Tile,
    *,
    bias: Tensor | None = None,
    out: Tensor | None = None,
    work: Workspace | None = None,
) -> Tensor:
    """`m x n` sums plus `bias` (`n`) in `out`, by default a new tensor of the type of `x` (`m x k`); m is at most 4."""
    if tile.columns != 1:
        raise ValueError(f"a tile of one vector has 1 column, not {tile.columns}: {tile.name}")
    if len(x) > MOST:
        raise ValueError(f"vectors are multiplied one by one up to {MOST}, not {len(x)}; a16 takes any number")
    y = a16.checked(x, packed, tile, bias, out)
    work = workspace(work, len(x), packed, tile)
    if not len(x):
        return y
    x = a16.aligned(x)
    given = arguments(x, packed, tile, bias, y, work)
    with torch.cuda.device_of(x):
        kernel[(packed.words.shape[0], tile.split, len(x))](**given, num_warps=tile.warps)
    return y
