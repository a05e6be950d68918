"""Packed weights as a dense matrix: what a large product multiplies by the library of the GPU.

A product of 512 rows or more takes as long as its multiplications, and decoding would only be in their way. It is done
once here, for a small part of the time.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from hwdse.kernels._decode16 import decoded, loaded, pairs
from hwdse.kernels._fields import count
from hwdse.kernels._packed import Packed, launch

WARPS = 4


# ---- the plain reference -------------------------------------------------------------------------


def reference(packed: Packed, scaled: bool = True) -> Tensor:
    """The `n x k` weights, or with `scaled` false the numbers of their grid less the zero points, as `run` rounds."""
    grid = packed.grid().float()
    return (grid * packed.scale.float() if scaled else grid).to(packed.floats)


# ---- the device code -----------------------------------------------------------------------------


@triton.jit(do_not_specialize=("blocks",))
def kernel(
    words,
    scales,
    zeros,
    zeros_again,
    y,
    n,
    k,
    blocks,
    scale_stride,
    rows: tl.constexpr,
    width: tl.constexpr,
    planes: tl.constexpr,
    fields: tl.constexpr,
    code: tl.constexpr,
    group: tl.constexpr,
    factor: tl.constexpr,
    floats: tl.constexpr,
    scaled: tl.constexpr,
    upcast: tl.constexpr,
):
    """One program decodes a tile: `rows` outputs of a block. `fields`, `code`: as `decoded` takes them."""
    tile, block = tl.program_id(0), tl.program_id(1)
    row, inputs = tl.arange(0, rows), tl.arange(0, 2 * width)
    held = loaded(words + (tile.to(tl.int64) * blocks + block) * (planes * rows * width), planes, rows, width)
    out = y + (tile * rows + row).to(tl.int64)[:, None] * k
    if scaled and group == 0:
        scale = tl.load(scales + tile * rows + row)
    for field in tl.static_range(count(fields)):
        first = block * (2 * width * count(fields)) + field * 2 * width
        of_group = (first // group if group else 0) * scale_stride + tile * rows + row
        zero = None
        if zeros is not None:
            zero = pairs(zeros, zeros_again, of_group, floats)
        number = decoded(held, fields, field, code, zero, floats, upcast).to(tl.float32) * factor
        if scaled:
            if group:
                scale = tl.load(scales + of_group)
            number = number * scale.to(tl.float32)[:, None]
        here = first + inputs
        mask = (tile * rows + row < n)[:, None] & (here < k)[None, :]
        tl.store(out + here[None, :], number.to(y.dtype.element_ty), mask=mask)


# ---- the host ------------------------------------------------------------------------------------


def arguments(packed: Packed, y: Tensor, scaled: bool) -> dict[str, Any]:
    """What the kernel is launched with."""
    return launch(packed, kernel) | {
        "y": y,
        "factor": packed.factor if scaled else packed.decoding.factor,
        "scaled": scaled,
    }


def run(packed: Packed, scaled: bool = True, dtype: torch.dtype | None = None) -> Tensor:
    """The `n x k` weights in `dtype`, by default their float: products in float32, rounded once more.

    A weight beyond the range of `dtype` becomes infinite: 448 times a scale of 200 is more than float16 holds.
    """
    y = torch.empty(packed.n, packed.k, dtype=dtype or packed.floats, device=packed.words.device)
    tiles, blocks, *_ = packed.words.shape
    with torch.cuda.device_of(y):
        kernel[(tiles, blocks)](**arguments(packed, y, scaled), num_warps=WARPS)
    return y
