"""Products of packed weights and 8-bit activations on the 8-bit tensor cores, `y = x W^T`.

A tensor core multiplies 8-bit operands twice as fast as 16-bit ones, and activations of 8 bits are half as many bytes.
`hwdse/paths.py` says which formats it multiplies exactly. Sums of int8 products are exact in int32, whatever their
order. Those of 8-bit floats are cut off: Ada and Hopper keep 13 bits after the point of the largest (SageAttention2,
arXiv:2411.10958; MMA-Sim, arXiv:2511.10909, which has 25 bits for Blackwell). So a sum goes on in float32: on Hopper
after `IMPRECISE` inputs, or those of a field where it has fewer, which Triton sees to for `wgmma`; on Ada, for which it
does nothing, after `IMPRECISE` inputs, those of a block where it has fewer, or of a field where it has more (256).

Weights are the left operand: decoded in registers, they are multiplied from there. Those that are stored as operands go
from memory to shared memory, and tensor cores read them there. (Of one field in registers, Triton would make two
products of half as many inputs, none of which reaches `IMPRECISE`, and no sum would go on in float32.) A `wgmma` takes
64 rows and four warps: where a tile has fewer, Hopper multiplies 8-bit floats as float16, which are as exact.
"""

from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from hwdse.gemm import Tile
from hwdse.kernels import _sums, quantise
from hwdse.kernels._decode8 import decoded, lanes
from hwdse.kernels._decode16 import loaded
from hwdse.kernels._fields import count, text
from hwdse.kernels._packed8 import Packed8
from hwdse.kernels._split import summed, tile_pair
from hwdse.kernels._sums import Workspace, takes, wide, workspace
from hwdse.kernels.quantise import Quantised
from hwdse.packing import Layout

IMPRECISE = tl.constexpr(128)  # inputs, four instructions of 32: DeepSeek-V3, arXiv:2412.19437, section 3.3.2
FROM_SHARED = 90  # the first architecture whose tensor cores read both operands from shared memory: PTX ISA, wgmma
OPTIONS = {"enable_fp_fusion": False}  # the same roundings whatever Triton's version takes by default


# ---- the plain reference -------------------------------------------------------------------------


def reference(x: Quantised, packed: Packed8, bias: Tensor | None = None) -> Tensor:
    """The `m x n` product in float64, on the CPU."""
    y = x.dense() @ packed.dense().T
    return y if bias is None else y + bias.double().cpu()


# ---- the device code -----------------------------------------------------------------------------


@triton.jit
def _added(a, b, sums, operand: tl.constexpr):
    if operand == "int8":
        return tl.dot(a, b, sums, out_dtype=tl.int32)
    else:
        return tl.dot(a, b, sums, max_num_imprecise_acc=min(a.shape[1], IMPRECISE))


@triton.jit
def _corrected(sums, zeros, offsets, x_sums, at, columns, groups, of_group):
    """`sums` of one group less what the zero points of the weights add, and with what activations less 128 lack."""
    if offsets is not None:
        sums += tl.load(offsets + at)[:, None]
    if zeros is not None:
        sums -= tl.load(zeros + at).to(tl.int32)[:, None] * tl.load(x_sums + columns * groups + of_group)[None, :]
    return sums


@triton.jit
def _written(y, sums, x_scales, bias, n, m, row, column, factor):
    """The last steps of all: the factor, the scale of each activation vector, the bias; rounded once more."""
    out = sums * factor * tl.load(x_scales + tl.minimum(column, m - 1))[None, :]
    if bias is not None:
        out += tl.load(bias + row, mask=row < n, other=0.0).to(tl.float32)[:, None]
    at = y + column.to(tl.int64)[None, :] * n + row[:, None]
    tl.store(at, out.to(y.dtype.element_ty), mask=(row < n)[:, None] & (column < m)[None, :])


@triton.jit
def _finished(y, sums, own, x_scales, bias, n, m, row, column, there, groups, factor, group: tl.constexpr):
    """Writes results; without groups an output is one, whose corrections and scale, of `own`, come first."""
    if group == 0:
        scales, zeros, offsets, x_sums = own
        whole = _corrected(sums, zeros, offsets, x_sums, row, there, groups, 0).to(tl.float32)
        _written(y, whole * tl.load(scales + row)[:, None], x_scales, bias, n, m, row, column, factor)
    else:
        _written(y, sums, x_scales, bias, n, m, row, column, factor)


@triton.jit(do_not_specialize=("m", "blocks", "tiles", "groups"))
def kernel(
    x,
    words,
    scales,
    zeros,
    offsets,
    x_scales,
    x_sums,
    bias,
    y,
    partial,
    arrived,
    m,
    n,
    x_stride,
    blocks,
    tiles,
    groups,
    scale_stride,
    factor: tl.float32,
    rows: tl.constexpr,
    columns: tl.constexpr,
    width: tl.constexpr,
    planes: tl.constexpr,
    fields: tl.constexpr,
    rule: tl.constexpr,
    places: tl.constexpr,
    lsb: tl.constexpr,
    signed: tl.constexpr,
    operand: tl.constexpr,
    ready: tl.constexpr,
    group: tl.constexpr,
    apart: tl.constexpr,  # inputs whose sum begins at 0, and then is added to that of those before; 0: there are none
    split: tl.constexpr,
    stages: tl.constexpr,
):
    """One program: `rows` outputs of `columns` vectors, over its share of the blocks; activations fill whole blocks."""
    straight: tl.constexpr = words.dtype.element_ty != tl.int32  # operands, to be read from shared memory
    inputs: tl.constexpr = 4 * width  # of a field
    own_sums: tl.constexpr = tl.int32 if operand == "int8" else tl.float32
    m_tiles = (m + columns - 1) // columns
    tile, m_tile = tile_pair(tiles, m_tiles)
    row = tile * rows + tl.arange(0, rows)
    column = m_tile * columns + tl.arange(0, columns)
    there = tl.minimum(column, m - 1)  # for a vector that there is not one that there is, which is not written
    own_x = x + there.to(tl.int64)[None, :] * x_stride + tl.arange(0, inputs)[:, None]
    own_words = words + tile.to(tl.int64) * blocks * (planes * rows * width)
    own_rows = words + row.to(tl.int64)[:, None] * (blocks * inputs) + tl.arange(0, inputs)[None, :]
    share = (blocks + split - 1) // split
    first = tl.program_id(1) * share
    sums = tl.full((rows, columns), 0, tl.float32 if group else own_sums)
    for block in tl.range(first, tl.minimum(first + share, blocks), num_stages=stages):
        at_block = own_words + block * (width if ready else planes * rows * width)
        held = () if straight else loaded(at_block, planes, rows, width, blocks * width if ready else None)
        part = sums
        for field in tl.static_range(count(fields)):
            if apart and field * inputs % apart == 0:
                part = tl.full((rows, columns), 0, own_sums)
            start = block * (inputs * count(fields)) + field * inputs
            if straight:
                a = tl.load(own_rows + start, eviction_policy="evict_first")
            else:
                a = lanes(decoded(held, fields, field, rule, places, lsb, signed), operand)
            part = _added(a, tl.load(own_x + start, eviction_policy="evict_last"), part, operand)
            if group and (field + 1) * inputs % group == 0:
                at = start // group * scale_stride + row
                part = _corrected(part, zeros, offsets, x_sums, at, there, groups, start // group)
                sums = tl.fma(part.to(tl.float32), tl.load(scales + at).to(tl.float32)[:, None], sums)
            elif apart and (field + 1) * inputs % apart == 0:
                sums += part
        sums = sums if apart else part

    place, within = tile * m_tiles + m_tile, tl.arange(0, rows)[:, None] * columns + tl.arange(0, columns)[None, :]
    sums, done = summed(partial, arrived, sums, place, tiles * m_tiles, within, rows * columns, split)
    if done:
        own = scales, zeros, offsets, x_sums
        _finished(y, sums, own, x_scales, bias, n, m, row, column, there, groups, factor, group)


# ---- the host ------------------------------------------------------------------------------------


def activations(x: Tensor, packed: Packed8, scale: float | None = None, narrow: bool = True) -> Quantised:
    """`x` (`m x k` floats) as `packed` multiplies it; by one `scale`, or each vector by its own."""
    operand, sums = packed.path.activations.operand, packed.zeros is not None
    return quantise.run(x, packed.activations, operand, scale, packed.inputs, packed.group or 0, sums, narrow)


def run(
    x: Quantised,
    packed: Packed8,
    tile: Tile,
    *,
    bias: Tensor | None = None,
    out: Tensor | None = None,
    work: Workspace | None = None,
) -> Tensor:
    """`m x n` sums, plus `bias` (`n` floats), in `out`, by default a new float16 tensor."""
    _check(x, packed, tile)
    m = len(x.codes)
    y, work = _sums.result(m, packed, out, torch.float16), workspace(work, m, packed, tile)
    _sums.bias(bias, packed)
    if m == 0:
        return y
    places = packed.words.shape[0] * -(-m // tile.columns)
    given = arguments(x, packed, tile, bias, y, work, _from_shared(y.device))
    with torch.cuda.device_of(y):
        kernel[(places, tile.split)](**given, num_warps=tile.warps, **OPTIONS)
    return y


@cache
def _from_shared(device: torch.device) -> bool:
    """Whether tensor cores read weights from shared memory; others read registers, which words fill better."""
    return device.type != "cuda" or torch.cuda.get_device_capability(device) >= divmod(FROM_SHARED, 10)


def arguments(
    x: Quantised, packed: Packed8, tile: Tile, bias: Tensor | None, y: Tensor, work: Workspace, shared: bool = True
) -> dict[str, Any]:
    """What the kernel is launched with; `shared`: where tensor cores may read weights that nothing decodes.

    Elsewhere the kernel itself goes on with sums of 8-bit floats in float32, which there the compiler does.
    """
    layout, own = packed.layout, packed.own
    straight = own.ready and shared
    exact = packed.path.arithmetic == "int8" and packed.group is None
    return {
        "x": x.codes,
        "words": packed.operands.view(quantise.DTYPES[own.operand]) if straight else packed.words,
        "scales": packed.scales,
        "zeros": packed.zeros,
        "offsets": packed.offsets,
        "x_scales": x.scales,
        "x_sums": x.sums,
        "bias": bias,
        "y": y,
        "partial": work.partial.view(torch.int32) if exact else work.partial,
        "arrived": work.arrived,
        "m": len(x.codes),
        "n": packed.n,
        "x_stride": x.codes.stride(0),
        "blocks": packed.words.shape[1],
        "tiles": packed.words.shape[0],
        "groups": 1 if x.sums is None else x.sums.shape[1],
        "scale_stride": packed.scales.shape[1],
        "factor": packed.factor,
        "rows": layout.rows,
        "columns": tile.columns,
        "width": layout.words,
        "planes": layout.planes,
        "fields": text(layout),
        "rule": own.rule,
        "places": own.places,
        "lsb": own.lsb,
        "signed": own.signed,
        "operand": own.operand,
        "ready": own.ready,
        "group": packed.group or 0,
        "apart": packed.group or (0 if shared or own.operand == "int8" else _apart(layout)),
        "split": tile.split,
        "stages": tile.stages,
    }


def _apart(layout: Layout) -> int:
    """Inputs after which a sum goes on in float32: `IMPRECISE`, in whole fields of one block."""
    return max(layout.inputs, min(layout.block, int(IMPRECISE.value)))


def _check(x: Quantised, packed: Packed8, tile: Tile) -> None:
    """ValueError for what the kernel does not take."""
    takes(packed, tile)
    wide(tile)
    if x.fmt != packed.activations:
        raise ValueError(f"these weights multiply {packed.activations.name} activations, not {x.fmt.name}")
    _sums.vectors(x.codes, x.scales, quantise.DTYPES[packed.path.activations.operand])
    if x.k != packed.k or x.codes.shape[1] != packed.inputs:
        raise ValueError(
            f"these weights have {packed.k} inputs, padded to {packed.inputs}, not {x.k} padded to {x.codes.shape[1]}"
        )
    _sums.near("the activations", packed, x.codes, x.scales, x.sums)
    packed.check_sums()
    groups = len(packed.scales)
    if packed.zeros is not None and (x.sums is None or x.sums.shape[1] != groups):
        have = "none" if x.sums is None else x.sums.shape[1]
        raise ValueError(f"weights with zero points take {groups} sums of an activation vector, not {have}")
