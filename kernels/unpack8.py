"""Packed weights as a dense matrix of 8-bit operands: what a large product multiplies by the library of the GPU.

`torch._int_mm` and `torch._scaled_mm` take the `n x k` that is written here, and activations as `quantise` writes them.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from hwdse.kernels._decode8 import decoded, lanes
from hwdse.kernels._decode16 import loaded
from hwdse.kernels._fields import count, text
from hwdse.kernels._packed8 import Packed8
from hwdse.kernels.quantise import DTYPES

WARPS = 4


# ---- the plain reference -------------------------------------------------------------------------


def reference(packed: Packed8) -> Tensor:
    """The `n x inputs` operands, zero points not subtracted; on the CPU. What pads them is zero, or -`offset`."""
    numbers = packed.stored_numbers()
    room = (0, packed.inputs - packed.k)
    return torch.nn.functional.pad(numbers, room, value=-packed.own.offset).to(DTYPES[packed.own.operand])


# ---- the device code -----------------------------------------------------------------------------


@triton.jit
def kernel(
    words,
    y,
    n,
    blocks,
    stride,
    rows: tl.constexpr,
    width: tl.constexpr,
    planes: tl.constexpr,
    fields: tl.constexpr,
    rule: tl.constexpr,
    places: tl.constexpr,
    lsb: tl.constexpr,
    signed: tl.constexpr,
    operand: tl.constexpr,
):
    """One program decodes a tile: `rows` outputs of a block."""
    tile, block = tl.program_id(0), tl.program_id(1)
    row = tile * rows + tl.arange(0, rows)
    inputs = tl.arange(0, 4 * width)
    held = loaded(words + (tile.to(tl.int64) * blocks + block) * (planes * rows * width), planes, rows, width)
    out = y + row.to(tl.int64)[:, None] * stride + inputs[None, :]
    for field in tl.static_range(count(fields)):
        number = lanes(decoded(held, fields, field, rule, places, lsb, signed), operand)
        tl.store(out + (block * count(fields) + field) * (4 * width), number, mask=(row < n)[:, None])


# ---- the host ------------------------------------------------------------------------------------


def arguments(packed: Packed8, y: Tensor) -> dict[str, Any]:
    """What the kernel is launched with."""
    layout, own = packed.layout, packed.own
    return {
        "words": packed.words,
        "y": y,
        "n": packed.n,
        "blocks": packed.words.shape[1],
        "stride": y.stride(0),
        "rows": layout.rows,
        "width": layout.words,
        "planes": layout.planes,
        "fields": text(layout),
        "rule": own.rule,
        "places": own.places,
        "lsb": own.lsb,
        "signed": own.signed,
        "operand": own.operand,
    }


def run(packed: Packed8) -> Tensor:
    """The `n x inputs` operands (int8 or 8-bit floats), zero points not subtracted; not to be written to.

    Those of weights that are `ready` are their words, and no program runs.
    """
    if packed.own.ready:
        return packed.operands[: packed.n].view(DTYPES[packed.own.operand])
    y = torch.empty(packed.n, packed.inputs, dtype=DTYPES[packed.own.operand], device=packed.words.device)
    tiles, blocks, *_ = packed.words.shape
    with torch.cuda.device_of(y):
        kernel[(tiles, blocks)](**arguments(packed, y), num_warps=WARPS)
    return y
