"""Packed weights as a dense matrix: what a large product multiplies by the library of the GPU.

A product of 512 rows or more takes as long as its multiplications, and decoding would only be in their way. It is done
once here, for a small part of the time. What is dense are

- the numbers that `a16` multiplies, exact, where outputs have a scale each and a pass over the sums is made in any
  case, for a bias or the scale of the activations, or where bfloat16 would round too much; the pass scales them;
- or the weights with their scales, so that the library's sums are the result, or all but. Other projects do so, too.
  For that a weight is rounded to 16 bits: in float32 it is off by 2**-24 of itself, and then by half a step, 2**-11 of
  itself as float16, 2**-8 as bfloat16.

A float16 below 2**-14 is a subnormal, which is off by 2**-25 at most. The largest weights that rows may have lie
between 2**-8 and 2**15, so that this is 2**-17 of them. Where they do not, outputs with a scale each get exact numbers;
with scales of groups each row is multiplied by a power of two, which is exact and makes its largest lie between 2**14
and 2**15, and a pass divides its sums by it. Bfloat16 has the exponents of float32, so that rows between 2**-100 and
2**100 need nothing.
"""

from dataclasses import dataclass
from math import frexp
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from hwdse.formats import limits
from hwdse.kernels._decode16 import decoded, loaded, pairs
from hwdse.kernels._fields import count
from hwdse.kernels._packed import Packed, launch

WARPS = 4
# By powers of two: where the largest weights that rows may have lie without further ado, and where they are put else.
WITHIN = {"float16": (-8, 15), "bfloat16": (-100, 100)}
TOP = {"float16": 15, "bfloat16": 0}
SUBNORMAL = {"float16": 2.0**-25, "bfloat16": 2.0**-133}  # by which one is off; Triton's interpreter cuts bfloat16 off
EXPONENTS = 126  # of powers that float32 holds with their inverses; of rows that are so small none is larger


# ---- the plain reference -------------------------------------------------------------------------


def reference(packed: Packed, own: "Scaling") -> Tensor:
    """What `run` gives, on the CPU."""
    if not own.inside:
        return (packed.grid() / packed.decoding.factor).to(packed.floats)
    weights = packed.dense() if own.after is None else packed.dense() / own.after.double().cpu()[:, None]
    return weights.float().to(packed.floats)


# ---- the device code -----------------------------------------------------------------------------


@triton.jit
def _scale(scales, before, at, row):
    """Of each row of a tile, its power of two in it."""
    scale = tl.load(scales + at).to(tl.float32)
    if before is not None:
        scale *= tl.load(before + row)
    return scale


@triton.jit(do_not_specialize=("blocks",))
def kernel(
    words,
    scales,
    zeros,
    zeros_again,
    before,
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
    floats: tl.constexpr,
    inside: tl.constexpr,
    upcast: tl.constexpr,
):
    """One program decodes a tile: `rows` outputs of a block. `fields`, `code`: as `decoded` takes them.

    `inside`: whether scales are multiplied in; `before`: powers of two, by which rows then are multiplied.
    """
    tile, block = tl.program_id(0), tl.program_id(1)
    row, inputs = tl.arange(0, rows), tl.arange(0, 2 * width)
    held = loaded(words + (tile.to(tl.int64) * blocks + block) * (planes * rows * width), planes, rows, width)
    out = y + (tile * rows + row).to(tl.int64)[:, None] * k
    if inside and group == 0:
        scale = _scale(scales, before, tile * rows + row, tile * rows + row)
    for field in tl.static_range(count(fields)):
        first = block * (2 * width * count(fields)) + field * 2 * width
        of_group = (first // group if group else 0) * scale_stride + tile * rows + row
        zero = None
        if zeros is not None:
            zero = pairs(zeros, zeros_again, of_group, floats)
        number = decoded(held, fields, field, code, zero, floats, upcast)
        if inside:
            if group:
                scale = _scale(scales, before, of_group, tile * rows + row)
            number = number.to(tl.float32) * scale[:, None]
        here = first + inputs
        mask = (tile * rows + row < n)[:, None] & (here < k)[None, :]
        tl.store(out + here[None, :], number.to(y.dtype.element_ty), mask=mask)


# ---- the host ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """What dense weights have in them, and what their sums are still to be multiplied by."""

    inside: bool = True  # scales: then they are rounded
    before: Tensor | None = None  # float32, with the scales: powers of two, as many as rows of whole tiles
    after: Tensor | None = None  # float32, the `n` sums of a vector; None: no pass is made


def scaling(packed: Packed, passes: bool) -> Scaling:
    """How to scale, on the device of `packed`; `passes`: whether a pass over the sums is made in any case.

    It looks at all scales, and at nothing else.
    """
    largest, floats = _largest(packed), packed.decoding.floats
    low, high = WITHIN[floats]
    lie = bool(((largest == 0) | ((largest >= 2.0**low) & (largest < 2.0**high))).all())
    if packed.group is None and (passes or floats == "bfloat16" or not lie):
        return Scaling(False, None, packed.scales[0, : packed.n] * packed.factor)
    if lie:
        factor = None if packed.factor == 1.0 else torch.full_like(largest, packed.factor).float()
        return Scaling(True, factor, torch.ones_like(largest[: packed.n]).float() if passes else None)
    most = EXPONENTS - frexp(packed.factor)[1]  # what is multiplied by the factor, too
    exponents = (TOP[floats] - largest.frexp().exponent).clamp(-EXPONENTS, most)
    return Scaling(True, _powers(exponents) * packed.factor, _powers(-exponents[: packed.n]))


def _largest(packed: Packed) -> Tensor:
    """Of each row, those of whole tiles, the largest absolute weight that its scales allow (float64)."""
    codes = max(map(abs, limits(packed.fmt, narrow=False))) / packed.decoding.factor
    twice = 1 if packed.zeros is None else 2  # a code and its zero point may be at the two ends
    return twice * codes * packed.factor * packed.scales.double().abs().amax(0)


def _powers(exponents: Tensor) -> Tensor:
    """Of two, as float32 by its bits: exact on every device."""
    return ((exponents + 127) << 23).to(torch.int32).view(torch.float32)


def arguments(packed: Packed, y: Tensor, own: Scaling) -> dict[str, Any]:
    """What the kernel is launched with."""
    return launch(packed, kernel) | {"before": own.before, "y": y, "inside": own.inside}


def run(packed: Packed, own: Scaling, dtype: torch.dtype | None = None) -> Tensor:
    """The `n x k` weights as `own`, of `scaling`, says, in `dtype`, by default their float."""
    y = torch.empty(packed.n, packed.k, dtype=dtype or packed.floats, device=packed.words.device)
    tiles, blocks, *_ = packed.words.shape
    with torch.cuda.device_of(y):
        kernel[(tiles, blocks)](**arguments(packed, y, own), num_warps=WARPS)
    return y


def summed(x: Tensor, weights: Tensor) -> Tensor:
    """`m x n` sums (float32) of products of `x` (`m x k`) and dense weights (`n x k`), by the library."""
    if x.is_cuda:
        return torch.mm(x, weights.T, out_dtype=torch.float32)
    return x.float() @ weights.float().T  # a CPU has no sums in float32 of numbers of 16 bits
