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
from hwdse.kernels._split import summed, tile_pair
from hwdse.kernels._sums import Workspace, takes, wide, workspace

DEPTH = tl.constexpr(64)  # inputs of a product, of 128 bytes: a row of activations is then as wide as shared memory
ALIGNED = 16  # inputs: whole loads of 16 bytes


# ---- the plain reference -------------------------------------------------------------------------


def reference(x: Tensor, packed: Packed, bias: Tensor | None = None) -> Tensor:
    """`m x n` sums (float64, on the CPU) of `x` (`m x k`) and `bias` (`n`)."""
    sums = x.double().cpu() @ packed.dense().T
    return sums if bias is None else sums + bias.double().cpu()


# ---- the device code -----------------------------------------------------------------------------


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
def _inputs(at, start, inputs, k, whole: tl.constexpr):
    """The activations of some sub-tiles; 0 beyond `k`, which `whole` blocks do not reach."""
    if whole:
        return tl.load(at + start, eviction_policy="evict_last")
    else:
        return tl.load(at + start, mask=(start + inputs < k)[:, None], other=0.0, eviction_policy="evict_last")


@triton.jit
def _of_groups(at, stride, groups: tl.constexpr):
    """A number of each row for each group of a block, a tuple: asked for before the products, and there after them."""
    found = ()
    for index in tl.static_range(groups):
        found += (tl.load(at + index * stride),)  # type: ignore[assignment]
    return found


@triton.jit
def _beside(left, right):
    """`rows x 2 * inputs` of two of `rows x inputs`: a tensor core has them in two sets of registers, so none moves."""
    return tl.join(left, right).permute(0, 2, 1).reshape(left.shape[0], 2 * left.shape[1])


@triton.jit
def _decoded(
    held,
    fields: tl.constexpr,
    first: tl.constexpr,
    some: tl.constexpr,
    code: tl.constexpr,
    zero,
    floats: tl.constexpr,
    upcast: tl.constexpr,
):
    """`some` fields, a power of two, side by side: one product, which is waited for once."""
    parts = ()
    for index in tl.static_range(some):
        part = decoded(held, fields, first + index, code, zero, floats, upcast)
        parts += (part,)  # type: ignore[assignment]
    for level in tl.static_range(some):
        if some >> level > 1:
            wider = ()
            for index in tl.static_range(0, some >> level, 2):
                wider += (_beside(parts[index], parts[index + 1]),)  # type: ignore[assignment]
            parts = wider
    return parts[0]  # type: ignore[misc]


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
    upcast: tl.constexpr,
):
    """One program: `rows` outputs of `columns` vectors, over its share of the blocks."""
    m_tiles = (m + columns - 1) // columns
    tile, m_tile = tile_pair(tiles, m_tiles)
    row = tile * rows + tl.arange(0, rows)
    column = m_tile * columns + tl.arange(0, columns)
    some: tl.constexpr = min(steps, max(1, DEPTH // (2 * width)))
    inputs = tl.arange(0, some * 2 * width)
    share = (blocks + split - 1) // split
    first = tl.program_id(1) * share
    there = tl.minimum(column, m - 1)  # for a vector that there is not one that there is, which is not written
    own_x = x + there.to(tl.int64)[None, :] * x_stride + inputs[:, None]
    own_tiles = tile.to(tl.int64) * blocks
    grouped: tl.constexpr = group > 0
    sums = tl.full((rows, columns), 0.0, tl.float32)
    for block in tl.range(first, tl.minimum(first + share, blocks), num_stages=stages):
        held = loaded(words + (own_tiles + block) * (planes * rows * width), planes, rows, width)
        part = sums
        of_group = (block * (2 * width * count(fields)) // group if grouped else 0) * scale_stride + row
        own_scales = _of_groups(scales + of_group, scale_stride, count(fields) // steps if grouped else 0)
        for field in tl.static_range(0, count(fields), some):
            start = block * (2 * width * count(fields)) + field * (2 * width)
            if field % steps == 0:
                zero = None
                if zeros is not None:
                    zero = pairs(zeros, zeros_again, of_group + field // steps * scale_stride, floats)
                if grouped:
                    part = tl.full((rows, columns), 0.0, tl.float32)
            a = _decoded(held, fields, field, some, code, zero, floats, upcast)
            b = _inputs(own_x, start, inputs, k, whole)
            part = tl.dot(a, b.to(a.dtype), part)
            if grouped and (field + some) % steps == 0:
                sums += part * own_scales[field // steps].to(tl.float32)[:, None]
        if not grouped:
            sums = part

    place, within = tile * m_tiles + m_tile, tl.arange(0, rows)[:, None] * columns + tl.arange(0, columns)[None, :]
    sums, done = summed(partial, arrived, sums, place, tiles * m_tiles, within, rows * columns, split)
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
