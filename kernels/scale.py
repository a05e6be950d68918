"""Sums of a library's product as results, in one pass: times the scales, plus the bias, in the type that is wanted.

The steps and the roundings are those of `a8`, so that both give the same bits for the same sums and scales: what
activations that are stored less 128 lack is added to the int32; that becomes float32, then it is multiplied by the
scale of its output, by the factor and by the scale of its vector, then the bias is added; each of these is rounded to
the nearest float32, and what comes out is rounded once more to the type of the result.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from hwdse.kernels._sums import OUTPUTS

SUMS = (torch.int32, torch.float32)
VECTORS, COLUMNS = 4, 512  # of a program: sums of 16 bytes for each thread, four times
WARPS = 4
OPTIONS = {"enable_fp_fusion": False}  # a fused multiply-add rounds once where `a8` rounds twice


# ---- the plain reference -------------------------------------------------------------------------


def reference(
    sums: Tensor,
    scales: Tensor,
    *,
    factor: float = 1.0,
    x_scales: Tensor | None = None,
    offsets: Tensor | None = None,
    bias: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """What `run` gives, by operators of torch, on the device of `sums`."""
    y = (sums if offsets is None else sums + offsets).float() * scales * factor
    if x_scales is not None:
        y = y * x_scales[:, None]
    if bias is not None:
        y = y + bias.float()
    return y.to(dtype)


# ---- the device code -----------------------------------------------------------------------------


@triton.jit(do_not_specialize=("m",))
def kernel(
    sums, scales, x_scales, offsets, bias, y, m, n, factor: tl.float32, vectors: tl.constexpr, columns: tl.constexpr
):
    """One program: `vectors` times `columns` sums."""
    vector = tl.program_id(0) * vectors + tl.arange(0, vectors)
    column = tl.program_id(1) * columns + tl.arange(0, columns)
    there = column < n
    at = vector.to(tl.int64)[:, None] * n + column[None, :]
    mask = (vector < m)[:, None] & there[None, :]
    own = tl.load(sums + at, mask=mask, other=0)
    if offsets is not None:
        own += tl.load(offsets + column, mask=there, other=0)[None, :]
    out = own.to(tl.float32) * tl.load(scales + column, mask=there, other=0.0)[None, :] * factor
    if x_scales is not None:
        out = out * tl.load(x_scales + vector, mask=vector < m, other=0.0)[:, None]
    if bias is not None:
        out += tl.load(bias + column, mask=there, other=0.0).to(tl.float32)[None, :]
    tl.store(y + at, out.to(y.dtype.element_ty), mask=mask)


# ---- the host ------------------------------------------------------------------------------------


def run(
    sums: Tensor,
    scales: Tensor,
    *,
    factor: float = 1.0,
    x_scales: Tensor | None = None,
    offsets: Tensor | None = None,
    bias: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """`m x n` results of `dtype`, one of `OUTPUTS`, of as many `sums` (int32 or float32, dense).

    `scales`: float32, `n`; `factor`: of all, beside them; `x_scales`: float32, `m`; `offsets`: int32, `n`, for sums of
    int32; `bias`: `n` floats.
    """
    _check(sums, scales, x_scales, offsets, bias, dtype)
    (m, n), y = sums.shape, torch.empty(sums.shape, dtype=dtype, device=sums.device)
    if m == 0:
        return y
    with torch.cuda.device_of(sums):
        given = arguments(sums, scales, factor, x_scales, offsets, bias, y)
        kernel[(triton.cdiv(m, VECTORS), triton.cdiv(n, COLUMNS))](**given, num_warps=WARPS, **OPTIONS)
    return y


def arguments(
    sums: Tensor,
    scales: Tensor,
    factor: float,
    x_scales: Tensor | None,
    offsets: Tensor | None,
    bias: Tensor | None,
    y: Tensor,
) -> dict[str, Any]:
    """What the kernel is launched with."""
    return {
        "sums": sums,
        "scales": scales,
        "x_scales": x_scales,
        "offsets": offsets,
        "bias": bias,
        "y": y,
        "m": sums.shape[0],
        "n": sums.shape[1],
        "factor": factor,
        "vectors": VECTORS,
        "columns": COLUMNS,
    }


def _check(
    sums: Tensor,
    scales: Tensor,
    x_scales: Tensor | None,
    offsets: Tensor | None,
    bias: Tensor | None,
    dtype: torch.dtype,
) -> None:
    """ValueError for what the kernel does not take."""
    if sums.dim() != 2 or sums.dtype not in SUMS or not sums.is_contiguous():
        raise ValueError(
            f"sums are dense m x n int32 or float32,"
            f" not {_name(sums.dtype)} of {tuple(sums.shape)} and strides {sums.stride()}"
        )
    if dtype not in OUTPUTS:
        raise ValueError(f"results are {', '.join(map(_name, OUTPUTS))}, not {_name(dtype)}")
    if offsets is not None and sums.dtype != torch.int32:
        raise ValueError(f"offsets are added to int32, not to {_name(sums.dtype)}")
    (m, n), where = sums.shape, sums.device
    _check_part("scales of outputs", scales, n, (torch.float32,), where)
    _check_part("scales of vectors", x_scales, m, (torch.float32,), where)
    _check_part("offsets", offsets, n, (torch.int32,), where)
    _check_part("numbers of a bias", bias, n, OUTPUTS, where)


def _check_part(name: str, own: Tensor | None, size: int, known: tuple[torch.dtype, ...], where: torch.device) -> None:
    if own is None:
        return
    if own.shape != (size,) or own.dtype not in known or not own.is_contiguous():
        raise ValueError(
            f"there are {size} dense {name} of {', '.join(map(_name, known))},"
            f" not {_name(own.dtype)} of {tuple(own.shape)} and strides {own.stride()}"
        )
    if own.device != where:
        raise ValueError(f"{name} are on the device of the sums, {where}, not on {own.device}")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
