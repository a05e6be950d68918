"""Activations quantised to any format as the kernels read them: one pass from floats to what a tensor core multiplies.

The scale is one number for all of a tensor (static), or that of the largest number of each activation vector, a token
or a pixel (dynamic). The roundings are those of Brevitas and of `formats.quantise`, at x / scale in float32. Infinity
is the largest number of the format where the scale is static. NaN, and infinity where it is dynamic, make the scale of
their vector NaN, and so all that is computed from it: integers have no NaN.
"""

from dataclasses import dataclass
from math import ldexp
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from hwdse.formats import Format, limits
from hwdse.kernels._round import stepped
from hwdse.paths import OPERANDS, Embedding, embed

DTYPES = {
    "int8": torch.int8,
    "e4m3fn": torch.float8_e4m3fn,
    "e5m2ieee": torch.float8_e5m2,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
FLOATS = (torch.float16, torch.bfloat16, torch.float32)
LONGEST = 16384  # numbers of a vector that one program keeps in registers
TOGETHER = 4096  # numbers that a program quantises at least
OF_WARP = 1024  # numbers of a warp: 32 of each thread
OPTIONS = {"enable_fp_fusion": False}  # a fused multiply-add rounds once where Brevitas rounds twice
MAGIC = tl.constexpr(12582912.0)  # 1.5 * 2**23: what is added to it is rounded to a whole number, ties to even
MAGIC_BITS = tl.constexpr(0x4B400000)
INFINITY = tl.constexpr(0x7F800000)
TINY = tl.constexpr(2.0**-126)  # the least scale: of a vector of zeros, too


@dataclass(frozen=True, slots=True, eq=False)
class Quantised:
    """`m x k` activations: `scale of the vector * (number + offset) * 2**exponent`.

    `codes`: `m x k` numbers of an operand, padded with zeros to whole blocks of packed weights; `scales`: float32, `m`.
    `sums`: int32, `m x groups`, of the numbers plus the offset, for weights with zero points.
    """

    codes: Tensor
    scales: Tensor
    fmt: Format
    k: int
    own: Embedding
    sums: Tensor | None = None

    def numbers(self) -> Tensor:
        """The `m x k` numbers plus the offset (float64, on the CPU)."""
        return self.codes[:, : self.k].cpu().double() + self.own.offset

    def dense(self) -> Tensor:
        """The `m x k` activations (float64, on the CPU)."""
        return self.numbers() * ldexp(1.0, self.own.exponent) * self.scales.double().cpu()[:, None]


# ---- the plain reference -------------------------------------------------------------------------


def reference(
    x: Tensor,
    fmt: Format,
    operand: str,
    scale: float | None = None,
    padded: int | None = None,
    group: int = 0,
    narrow: bool = True,
) -> Quantised:
    """What `run` gives, by operators of torch, on the device of `x`."""
    own = _embedding(fmt, operand)
    low, high = limits(fmt, narrow)
    wide = x.float()
    lost = wide.isnan().any(1)
    known = torch.where(wide.isnan(), -torch.inf, wide)
    if scale is None:
        largest = (known.abs() if low < 0 else known.clamp_min(0)).amax(1)
        lost |= largest.isinf()
        scales = (largest / high).clamp_min(TINY.value)
        scales[lost] = 1.0
    else:
        scales = known.new_full((len(x),), scale)
    rounded = _on_grid(known / scales[:, None], fmt, low, high) * ldexp(1.0, -own.exponent)
    room = (0, (padded or x.shape[1]) - x.shape[1])
    codes = torch.nn.functional.pad(rounded - own.offset + 0.0, room).to(DTYPES[operand])
    sums = None if operand != "int8" else _group_sums(torch.nn.functional.pad(rounded, room), group)
    return Quantised(codes, torch.where(lost, torch.nan, scales), fmt, x.shape[1], own, sums)


def _on_grid(scaled: Tensor, fmt: Format, low: float, high: float) -> Tensor:
    clipped = scaled.clamp(low, high)
    mantissa, smallest = _steps(fmt)
    if mantissa is None:
        return ((clipped / fmt.lsb).round() * fmt.lsb).clamp(low, high)
    step = torch.ldexp(torch.ones_like(scaled), (clipped.frexp().exponent - 1 - mantissa).clamp_min(smallest))
    return ((clipped / step).round() * step).clamp(low, high)


def _group_sums(numbers: Tensor, group: int) -> Tensor:
    if group:
        numbers = torch.nn.functional.pad(numbers, (0, -numbers.shape[1] % group)).unflatten(1, (-1, group))
        return numbers.sum(-1).to(torch.int32)
    return numbers.sum(1, keepdim=True).to(torch.int32)


# ---- the device code -----------------------------------------------------------------------------

# `tl.reduce` by Triton's own functions is what `tl.max` and `tl.sum` are, which its interpreter cannot call here.


@triton.jit
def _read(x, row, column, x_stride, m, k):
    """A tile as float32, 0 where there is no number."""
    at = x + row.to(tl.int64)[:, None] * x_stride + column[None, :]
    return tl.load(at, mask=(row < m)[:, None] & (column < k)[None, :], other=0.0).to(tl.float32)


@triton.jit
def _highest(x, signed: tl.constexpr):
    """Of each row the largest magnitude and the largest number, as bits: integers order them as floats, NaN on top."""
    bits = x.to(tl.int32, bitcast=True)
    magnitude = tl.reduce(bits & 0x7FFFFFFF, 1, tl.standard._elementwise_max)
    if signed:
        return magnitude, magnitude
    else:
        return magnitude, tl.maximum(tl.reduce(bits, 1, tl.standard._elementwise_max), 0)


@triton.jit
def _number(x, scale, low, high, mantissa, smallest, power, uniform: tl.constexpr):
    """Of the operand, plus the offset; the lowest for NaN. `low` and `high` in steps where the grid is `uniform`."""
    scaled = tl.div_rn(x, scale[:, None])  # `/` is not always rounded to nearest on a GPU
    if uniform:
        steps = tl.minimum(tl.maximum(scaled * smallest, low), high)
        return ((steps + MAGIC) - MAGIC) * power
    else:
        return stepped(tl.minimum(tl.maximum(scaled, low), high), mantissa, smallest) * power


@triton.jit
def _whole(number):
    """An int32; a conversion is four times as slow as an addition."""
    return (number + MAGIC).to(tl.int32, bitcast=True) - MAGIC_BITS


@triton.jit
def _kept(codes, number, row, column, stride, m, k, offset: tl.constexpr):
    """Writes a tile, and zeros beyond its numbers, which were read as 0."""
    at = codes + row.to(tl.int64)[:, None] * stride + column[None, :]
    mask = (row < m)[:, None] & (column < stride)[None, :]
    if codes.dtype.element_ty == tl.int8:
        number = _whole(number) - offset
        if offset:
            number = tl.where((column < k)[None, :], number, 0)
        tl.store(at, number.to(tl.int8), mask=mask)
    else:
        tl.store(at, (number + 0.0).to(codes.dtype.element_ty), mask=mask)


@triton.jit
def _summed(sums, number, first, row, m, groups, group: tl.constexpr):
    """Writes the sums of the groups of a tile."""
    parts: tl.constexpr = number.shape[1] // group
    own = tl.reduce(_whole(number).reshape(number.shape[0], parts, group), 2, tl.standard._sum_combine)
    at = first // group + tl.arange(0, parts)
    tl.store(sums + row[:, None] * groups + at[None, :], own, mask=(row < m)[:, None] & (at < groups)[None, :])


@triton.jit(do_not_specialize=("m", "mantissa", "smallest", "groups"))
def kernel(
    x,
    codes,
    scales,
    sums,
    m,
    k,
    x_stride,
    stride,
    groups,
    scale: tl.float32,
    low: tl.float32,
    high: tl.float32,
    greatest: tl.float32,
    power: tl.float32,
    mantissa: tl.int32,
    smallest,
    dynamic: tl.constexpr,
    uniform: tl.constexpr,
    signed: tl.constexpr,
    offset: tl.constexpr,
    group: tl.constexpr,
    rows: tl.constexpr,
    block: tl.constexpr,
    once: tl.constexpr,
):
    """One program quantises `rows` vectors, at once where a `block` is all of one, else block by block."""
    row = tl.program_id(0) * rows + tl.arange(0, rows)
    column = tl.arange(0, block)
    own = tl.full((rows,), 0.0, tl.float32) + scale
    total = tl.full((rows,), 0, tl.int32)
    here = _read(x, row, column, x_stride, m, k)
    magnitude, largest = _highest(here, signed)
    if dynamic:
        if not once:
            for first in tl.range(block, stride, block):
                other, number_ = _highest(_read(x, row, first + column, x_stride, m, k), signed)
                magnitude, largest = tl.maximum(magnitude, other), tl.maximum(largest, number_)
        own = tl.maximum(tl.div_rn(largest.to(tl.float32, bitcast=True), greatest), TINY)
        own = tl.where((magnitude > INFINITY) | (largest == INFINITY), 1.0, own)
    for first in tl.range(0, block if once else stride, block):
        if not once:
            here = _read(x, row, first + column, x_stride, m, k)
            magnitude = tl.maximum(magnitude, _highest(here, signed)[0])
        number = _number(here, own, low, high, mantissa, smallest, power, uniform)
        _kept(codes, number, row, first + column, stride, m, k, offset)
        if group:
            _summed(sums, number, first, row, m, groups, group)
        elif sums is not None:
            total += tl.reduce(_whole(number), 1, tl.standard._sum_combine)
    lost = magnitude > INFINITY
    if dynamic:
        lost = lost | (largest == INFINITY)
    tl.store(scales + row, tl.where(lost, float("nan"), own), mask=row < m)
    if sums is not None and group == 0:
        tl.store(sums + row, total, mask=row < m)


# ---- the host ------------------------------------------------------------------------------------


def shape(padded: int) -> tuple[int, int, bool]:
    """Vectors of a program, numbers of each at a time, and whether that is all of them; a pure function."""
    block = triton.next_power_of_2(padded)
    if block > LONGEST:
        return 1, TOGETHER, False
    return max(1, min(16, TOGETHER // block)), block, True


def warps(padded: int) -> int:
    """Of a program: as many as hold its numbers in their registers."""
    rows, block, _ = shape(padded)
    return min(16, max(4, rows * block // OF_WARP))


def run(
    x: Tensor,
    fmt: Format,
    operand: str,
    scale: float | None = None,
    padded: int | None = None,
    group: int = 0,
    sums: bool = False,
    narrow: bool = True,
) -> Quantised:
    """`x` (`m x k` floats, vectors contiguous) as numbers of `operand`, a name of `DTYPES`.

    `scale`: of all, or None: of each vector its own. `padded`: how many numbers a vector of the result has; the rest
    are zeros. `sums`: whether to sum up each vector, or each `group` of it, int8 alone. `narrow`: without the lone
    -2**(b-1) of an integer.
    """
    own = _embedding(fmt, operand)
    _check(x, operand, padded, group, sums)
    (m, k), stride = x.shape, padded or x.shape[1]
    codes = torch.empty(m, stride, dtype=DTYPES[operand], device=x.device)
    scales = torch.empty(m, dtype=torch.float32, device=x.device)
    groups = -(-stride // group) if group else 1
    added = torch.empty(m, groups, dtype=torch.int32, device=x.device) if sums else None
    result = Quantised(codes, scales, fmt, k, own, added)
    rows, *_ = shape(stride)
    with torch.cuda.device_of(x):
        given = arguments(x, result, scale, group if sums else 0, narrow)
        kernel[(triton.cdiv(m, rows),)](**given, num_warps=warps(stride), **OPTIONS)
    return result


def arguments(x: Tensor, result: Quantised, scale: float | None, group: int, narrow: bool) -> dict[str, Any]:
    """What the kernel is launched with."""
    fmt, power = result.fmt, ldexp(1.0, -result.own.exponent)
    (low, high), (mantissa, smallest) = limits(fmt, narrow), _steps(fmt)
    lsb = fmt.lsb if fmt.uniform else 1.0
    rows, block, once = shape(result.codes.shape[1])
    return {
        "x": x,
        "codes": result.codes,
        "scales": result.scales,
        "sums": result.sums,
        "m": x.shape[0],
        "k": x.shape[1],
        "x_stride": x.stride(0),
        "stride": result.codes.shape[1],
        "groups": 1 if result.sums is None else result.sums.shape[1],
        "scale": 1.0 if scale is None else scale,
        "low": low / lsb,
        "high": high / lsb,
        "greatest": high,
        "power": power * lsb,
        "mantissa": mantissa or 0,
        "smallest": 1.0 / lsb if fmt.uniform else smallest,
        "dynamic": scale is None,
        "uniform": fmt.uniform,
        "signed": low < 0,
        "offset": result.own.offset,
        "group": group,
        "rows": rows,
        "block": block,
        "once": once,
    }


def _steps(fmt: Format) -> tuple[int | None, int]:
    """Mantissa bits, None of a uniform grid, and the exponent of the smallest step."""
    smallest = round(ldexp(fmt.lsb, 200)).bit_length() - 201
    return (None if fmt.uniform else fmt.mantissa), smallest


def _embedding(fmt: Format, operand: str) -> Embedding:
    own = embed(fmt, operand)
    if own is None:
        known = ", ".join(name for name in OPERANDS if embed(fmt, name) is not None)
        raise ValueError(f"{fmt.name} activations are numbers of {known}, not of {operand}")
    return own


def _check(x: Tensor, operand: str, padded: int | None, group: int, sums: bool) -> None:
    """ValueError for what the kernel does not take."""
    if x.dim() != 2 or x.dtype not in FLOATS or x.stride(1) != 1:
        name = str(x.dtype).removeprefix("torch.")
        raise ValueError(
            f"activations are m x k float16, bfloat16 or float32 with contiguous vectors,"
            f" not {name} of shape {tuple(x.shape)} and strides {x.stride()}"
        )
    if padded is not None and padded < x.shape[1]:
        raise ValueError(f"vectors of {x.shape[1]} numbers are padded to at least as many, not {padded}")
    if sums and operand != "int8":
        raise ValueError(f"int8 numbers are summed up exactly, not those of {operand}")
    if group and (group & (group - 1) or group > TOGETHER):
        raise ValueError(f"a group has a power of two of inputs, at most {TOGETHER}, not {group}")
