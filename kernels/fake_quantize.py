"""Fake quantisation of float32 numbers on a GPU: one compiled kernel for all formats.

Brevitas quantises a tensor by ten to twenty elementwise operators, and each of them reads and writes all of it. Here
they are one pass with the same roundings, step for step that of `hwdse/native/fake_quantize.cpp`. A format is four
numbers. They and the scale are arguments that Triton does not specialise on, and no tensor: arguments come with the
launch, while a tensor has to be copied to the GPU and read by every program there.
"""

from math import inf, nan
from typing import Any, Protocol

import torch
import triton
import triton.language as tl
from torch import Tensor

from hwdse.kernels._round import UNIFORM, between, stepped, stored_exponent

BLOCK = 1024  # numbers of a program: two loads of 16 bytes for each of its 128 threads
OPTIONS = {"enable_fp_fusion": False}  # a fused multiply-add rounds once where Brevitas rounds twice


class Quantiser(Protocol):
    """A grid times `scale`."""

    @property
    def scale(self) -> float:
        """A float32 number."""

    @property
    def low(self) -> float:
        """Of the grid, in units of `scale`."""

    @property
    def high(self) -> float:
        """Of the grid, in units of `scale`."""

    @property
    def mantissa(self) -> int | None:
        """Bits; None is an integer."""

    @property
    def smallest(self) -> int:
        """Exponent of the smallest step; 0 for an integer."""


# ---- the plain reference -------------------------------------------------------------------------


def reference(own: Quantiser, x: Tensor, inside: tuple[float, float] = (-inf, inf)) -> Tensor:
    """`x` (float32, any shape, of a CPU) clamped to `inside`, quantised and back, by operators of torch."""
    scale = x.new_tensor(own.scale)
    scaled = x.clamp(*inside) / scale
    if own.mantissa is None:
        return scaled.round().clamp(own.low, own.high) * scale
    exponent = scaled.frexp().exponent - 1
    step = torch.ldexp(torch.ones_like(x), (exponent - own.mantissa).clamp_min(own.smallest))
    rounded = (scaled / step).round() * step
    return torch.where(scaled.isinf(), nan, rounded.clamp(own.low, own.high) * scale)  # infinity, as in Brevitas


# ---- the device code -----------------------------------------------------------------------------


@triton.jit
def _quantised(x, scale, low, high, floor, ceiling, mantissa, smallest):
    scaled = tl.div_rn(between(x, floor, ceiling), scale)  # `/` is not always rounded to nearest on a GPU
    lost = (stored_exponent(scaled) == 255) & (mantissa < UNIFORM)  # Brevitas divides a minifloat's infinity by itself
    return tl.where(lost, float("nan"), between(stepped(scaled, mantissa, smallest), low, high) * scale)


@triton.jit(do_not_specialize=("count", "mantissa", "smallest"))
def kernel(
    x,
    y,
    count: tl.int64,
    scale: tl.float32,
    low: tl.float32,
    high: tl.float32,
    floor: tl.float32,
    ceiling: tl.float32,
    mantissa: tl.int32,
    smallest: tl.int32,
    block: tl.constexpr,
):
    """One program quantises `block` of the `count` numbers at `x` into `y`, which may be `x`."""
    start = tl.program_id(0).to(tl.int64) * block
    at = start + tl.arange(0, block)
    if start + block <= count:  # no mask: it would part the loads of 16 bytes, since `count` may be any number
        own = _quantised(tl.load(x + at), scale, low, high, floor, ceiling, mantissa, smallest)
        tl.store(y + at, own)
    else:
        here = tl.load(x + at, mask=at < count, other=0.0)
        own = _quantised(here, scale, low, high, floor, ceiling, mantissa, smallest)
        tl.store(y + at, own, mask=at < count)


# ---- the host ------------------------------------------------------------------------------------


def arguments(own: Quantiser, x: Tensor, y: Tensor, inside: tuple[float, float]) -> dict[str, Any]:
    """What the kernel is launched with."""
    grid = {
        "scale": own.scale,
        "low": own.low,
        "high": own.high,
        "mantissa": UNIFORM.value if own.mantissa is None else own.mantissa,
        "smallest": own.smallest,
    }
    floor, ceiling = inside
    return {"x": x, "y": y, "count": x.numel(), **grid, "floor": floor, "ceiling": ceiling, "block": BLOCK}


def run(own: Quantiser, x: Tensor, y: Tensor, inside: tuple[float, float] = (-inf, inf)) -> None:
    """Writes `x` (float32, dense), clamped to `inside`, quantised and back, to `y` (of its layout, or itself)."""
    with torch.cuda.device_of(x):  # Triton launches on the current device
        kernel[(triton.cdiv(x.numel(), BLOCK),)](**arguments(own, x, y, inside), **OPTIONS)
