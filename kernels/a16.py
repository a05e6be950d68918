"""Products of packed weights with 16-bit activations: `y = x W^T`, for one vector or thousands.

The weights are the left operand: on Hopper a tensor core then takes them from registers, where they are decoded, and
they never pass through shared memory again. Few activations leave most of the GPU idle, so that several programs share
the inputs of one output; the last of them to arrive adds their sums in order, which makes the result always the same.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from hwdse.gemm import Tile
from hwdse.kernels import _sums
from hwdse.kernels._decode16 import decoded, loaded, pairs
from hwdse.kernels._fields import count
from hwdse.kernels._packed import Packed, launch
from hwdse.kernels._split import summed
from hwdse.kernels._sums import Workspace, takes, wide, workspace

TOGETHER = 8  # tiles of weights whose programs are neighbours, so that the cache holds the activations they share
ALIGNED = 16  # inputs: whole loads of 16 bytes


# ---- the plain reference -------------------------------------------------------------------------


def reference(x: Tensor, packed: Packed, bias: Tensor | None = None) -> Tensor:
    """`m x n` sums (float64, on the CPU) of `x` (`m x k`) and `bias` (`n`)."""
    sums = x.double().cpu() @ packed.dense().T
    return sums if bias is None else sums + bias.double().cpu()


# ---- the device code -----------------------------------------------------------------------------


@triton.jit
def _place(tiles, m_tiles, together: tl.constexpr):
    """Which tile of weights and which of activations this program has: activations change first, among neighbours."""
    index = tl.program_id(0)
    first = index // (together * m_tiles) * together
    height = tl.minimum(tiles - first, together)
    within = index % (together * m_tiles)
    return first + within % height, within // height


@triton.jit
def _stored(y, sums, scales, bias, n, m, row, column, factor: tl.constexpr, grouped: tl.constexpr):
    """Scales `rows x columns` sums, by all that is not yet in them, and writes them to the `m x n` of `y`."""
    scale = tl.full(row.shape, 1.0, tl.float32) if grouped else tl.load(scales + row)
    sums = sums * (scale * factor)[:, None]
    if bias is not None:
        sums += tl.load(bias + row, mask=row < n, other=0.0).to(tl.float32)[:, None]
    at = y + column.to(tl.int64)[None, :] * n + row[:, None]
    tl.store(at, sums.to(y.dtype.element_ty), mask=(row < n)[:, None] & (column < m)[None, :])


@triton.jit
def _together(partial, arrived, sums, place, places, rows: tl.constexpr, columns: tl.constexpr, split: tl.constexpr):
    """The sums over all inputs, and whether this program is the one that has them."""
    if split == 1:
        return sums, True
    else:
        within = tl.arange(0, rows)[:, None] * columns + tl.arange(0, columns)[None, :]
        return summed(partial, arrived, sums, place, places, within, rows * columns, split)


@triton.jit
def _inputs(at, start, inputs, there, k, whole: tl.constexpr):
    """The activations of a sub-tile; 0 where there is no vector, and beyond `k`, which `whole` blocks do not reach."""
    here = there
    if not whole:
        here = here & (start + inputs < k)[:, None]
    return tl.load(at + start, mask=here, other=0.0, eviction_policy="evict_last")


@triton.jit(do_not_specialize=("m", "blocks", "tiles"))
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
    m,
    n,
    k,
    x_stride,
    blocks,
    tiles,
    scale_stride,
    rows: tl.constexpr,
    columns: tl.constexpr,
    width: tl.constexpr,
    planes: tl.constexpr,
    fields: tl.constexpr,
    code: tl.constexpr,
    group: tl.constexpr,
    steps: tl.constexpr,
    factor: tl.constexpr,
    floats: tl.constexpr,
    whole: tl.constexpr,
    split: tl.constexpr,
    stages: tl.constexpr,
    together: tl.constexpr,
    upcast: tl.constexpr,
):
    """One program: `rows` outputs of `columns` vectors, over its share of the blocks."""
    m_tiles = (m + columns - 1) // columns
    tile, m_tile = _place(tiles, m_tiles, together)
    row = tile * rows + tl.arange(0, rows)
    column = m_tile * columns + tl.arange(0, columns)
    inputs = tl.arange(0, 2 * width)
    share = (blocks + split - 1) // split
    first = tl.program_id(1) * share
    own_x = x + column.to(tl.int64)[None, :] * x_stride + inputs[:, None]
    there = (column < m)[None, :] & (inputs >= 0)[:, None]
    own_tiles = tile.to(tl.int64) * blocks
    grouped: tl.constexpr = group > 0
    sums = tl.full((rows, columns), 0.0, tl.float32)
    for block in tl.range(first, tl.minimum(first + share, blocks), num_stages=stages):
        held = loaded(words + (own_tiles + block) * (planes * rows * width), planes, rows, width)
        part = sums
        for field in tl.static_range(count(fields)):
            start = block * (2 * width * count(fields)) + field * (2 * width)
            if field % steps == 0:
                of_group = (start // group if grouped else 0) * scale_stride + row
                zero = None
                if zeros is not None:
                    zero = pairs(zeros, zeros_again, of_group, floats)
                if grouped:
                    scale = tl.load(scales + of_group)
                    part = tl.full((rows, columns), 0.0, tl.float32)
            a = decoded(held, fields, field, code, zero, floats, upcast)
            b = _inputs(own_x, start, inputs, there, k, whole)
            part = tl.dot(a, b.to(a.dtype), part)
            if grouped and field % steps == steps - 1:
                sums += part * scale.to(tl.float32)[:, None]
        if not grouped:
            sums = part

    place, places = tile * m_tiles + m_tile, tiles * m_tiles
    sums, done = _together(partial, arrived, sums, place, places, rows, columns, split)
    if done:
        _stored(y, sums, scales, bias, n, m, row, column, factor, grouped)


# ---- the host ------------------------------------------------------------------------------------


def checked(x: Tensor, packed: Packed, tile: Tile, bias: Tensor | None, out: Tensor | None) -> Tensor:
    """Where sums are to be written; ValueError where these arguments do not belong together."""
    takes(packed, tile)
    if x.dim() != 2 or x.dtype != packed.floats or x.shape[1] != packed.k:
        name, own = (str(one).removeprefix("torch.") for one in (x.dtype, packed.floats))
        raise ValueError(f"these weights multiply m x {packed.k} {own} activations, not {name} of {tuple(x.shape)}")
    _sums.near("the activations", packed, x)
    _sums.bias(bias, packed)
    return _sums.result(len(x), packed, out, x.dtype)


def arguments(x: Tensor, packed: Packed, tile: Tile, bias: Tensor | None, y: Tensor, work: Workspace) -> dict[str, Any]:
    """What the kernel is launched with; `steps` are the fields of a block that share a scale."""
    layout = packed.layout
    return launch(packed, kernel) | {
        "x": x,
        "bias": bias,
        "y": y,
        "partial": work.partial,
        "arrived": work.arrived,
        "m": x.shape[0],
        "k": x.shape[1],
        "x_stride": x.stride(0),
        "tiles": packed.words.shape[0],
        "columns": tile.columns,
        "steps": layout.fields if packed.group is None else min(packed.group // layout.inputs, layout.fields),
        "factor": packed.factor,
        "whole": x.shape[1] % layout.block == 0,
        "split": tile.split,
        "stages": tile.stages,
        "together": TOGETHER,
    }


def aligned(x: Tensor) -> Tensor:
    """`x`, or a copy of it whose rows are as a GPU reads them 16 bytes at a time: padded with 0."""
    k = x.shape[1]
    if x.stride(1) == 1 and x.stride(0) % ALIGNED == 0 and k % ALIGNED == 0 and x.data_ptr() % 16 == 0:
        return x
    return torch.nn.functional.pad(x, (0, -k % ALIGNED)).contiguous()


def run(
    x: Tensor,
    packed: Packed,
    tile: Tile,
    *,
    bias: Tensor | None = None,
    out: Tensor | None = None,
    work: Workspace | None = None,
) -> Tensor:
    """`m x n` sums plus `bias` (`n`) in `out`, by default a new tensor of the type of `x` (`m x k`, as packed for).

    Scales of groups multiply sums, never weights: these stay exact, and no product of the two leaves float16's range.
    """
    y = checked(x, packed, tile, bias, out)
    wide(tile)
    work = workspace(work, len(x), packed, tile)
    if len(x) == 0:
        return y
    x = aligned(x)
    given = arguments(x, packed, tile, bias, y, work)
    places = packed.words.shape[0] * -(-len(x) // tile.columns)
    with torch.cuda.device_of(x):
        kernel[(places, tile.split)](**given, num_warps=tile.warps)
    return y
