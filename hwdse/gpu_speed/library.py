"""torch's own products as baselines: 16 bits by cuBLAS, int8, fp8 and packed int4."""

from functools import cache, partial

import torch
from torch import Tensor

from hwdse.gemm import FEWEST_INT8
from hwdse.gpu_measurements import Point
from hwdse.gpu_speed.work import TOLERANCE, AbsentError, Count, Work, product

TYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "int8": torch.int8, "e4m3fn": torch.float8_e4m3fn}
# Of torch._scaled_mm: sums go on in float32 after some inputs, as in our kernels. With `use_fast_accum` cuBLAS leaves
# that out, which is faster and less exact; it is not timed. Neither are scales of each vector and output, for which
# torch has a kernel of its own, which is slower without fast accumulation than cuBLAS (pytorch/pytorch, issue 147971).
ACCURATE = "activations quantised before; use_fast_accum=False"
# Relative error of sums of 8-bit floats, in the norm: a Hopper GPU adds them with about 14 bits, 128 of them at a time
# (arXiv 2412.19437, section 3.3.2).
FEW_BITS = TOLERANCE[torch.bfloat16]
INNER_TILES = 8  # of the layout of torch's int4 kernel: what torch's own users ask for


def numbers(m: int, k: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """`m x k` random normal numbers."""
    return torch.randn(m, k, device=device).to(dtype)


def weights(n: int, k: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """`n x k` random numbers whose products with `numbers` are about one."""
    return torch.empty(n, k, dtype=dtype, device=device).normal_(0.0, k**-0.5)


def rotated(dense: Tensor, count: Count) -> list[Tensor]:
    """Copies of `dense`, itself the first one."""
    return [dense, *(dense.clone() for _ in range(count(dense.nbytes) - 1))]


def mm(point: Point, count: Count, device: torch.device) -> Work:
    """`torch.mm` of 16 bits, which is cuBLAS."""
    dtype = TYPES[point.weights]
    x, dense = numbers(point.m, point.k, dtype, device), weights(point.n, point.k, dtype, device)
    y = torch.empty(point.m, point.n, dtype=dtype, device=device)
    calls = tuple(partial(torch.mm, x, own.T, out=y) for own in rotated(dense, count))
    return Work(calls, dense.nbytes, product(x, dense), TOLERANCE[dtype])


def int_mm(point: Point, count: Count, device: torch.device) -> Work:
    """`torch._int_mm`: int8 with sums in int32, which it gives."""
    if point.m < FEWEST_INT8:
        raise AbsentError(f"torch._int_mm takes {FEWEST_INT8} vectors or more, not {point.m}")
    x, dense = (
        torch.randint(-128, 128, (size, point.k), dtype=torch.int8, device=device) for size in (point.m, point.n)
    )
    calls = tuple(partial(sums, x, own) for own in rotated(dense, count))
    return Work(calls, dense.nbytes, product(x, dense), TOLERANCE[torch.int32], "sums in int32, without scales")


def scaled_mm(point: Point, count: Count, device: torch.device) -> Work:
    """`torch._scaled_mm`: fp8 with sums in float32, which it gives; see `ACCURATE`."""
    x = numbers(point.m, point.k, torch.float8_e4m3fn, device)
    dense = (8 * torch.randn(point.n, point.k, device=device)).to(torch.float8_e4m3fn)
    calls = tuple(partial(sums, x, own) for own in rotated(dense, count))
    return Work(calls, dense.nbytes, product(x.float(), dense.float()), FEW_BITS, ACCURATE)


def sums(x: Tensor, dense: Tensor) -> Tensor:
    """`m x n` sums of `x` (`m x k`) times `dense` (`n x k`), by torch as builds call it.

    Of int8 in int32; of 8-bit floats in float32, with one scale of each side, which is 1.
    """
    if dense.dtype == torch.int8:
        return torch._int_mm(x, dense.T)
    one = _one(x.device)
    return torch._scaled_mm(x, dense.T, scale_a=one, scale_b=one, out_dtype=torch.float32)


@cache
def _one(device: torch.device) -> Tensor:
    return torch.ones((), dtype=torch.float32, device=device)


def int4pack_mm(point: Point, count: Count, device: torch.device) -> Work:
    """`torch._weight_int4pack_mm`: int4 in groups, with offsets, times bfloat16."""
    group = point.group
    if group is None or device.type != "cuda":
        raise AbsentError("torch._weight_int4pack_mm takes groups, on a GPU")
    codes = torch.randint(0, 16, (point.n, point.k), dtype=torch.uint8, device=device)
    scales = ((torch.rand(point.n, point.k // group, device=device) + 0.5) * point.k**-0.5 / 4.6).bfloat16()
    # A pair of each group and output: the scale, and what is added; a code of 8 is zero (aten/native/cuda/int4mm.cu).
    pairs = torch.stack((scales, torch.zeros_like(scales)), -1).transpose(0, 1).contiguous()
    packed = torch._convert_weight_to_int4pack(codes[:, ::2] << 4 | codes[:, 1::2], INNER_TILES)
    dense = (codes.float() - 8) * scales.float().repeat_interleave(group, 1)
    x = numbers(point.m, point.k, torch.bfloat16, device)
    expected, moved = product(x, dense), packed.nbytes + pairs.nbytes
    copies = count(moved)
    made = zip([packed.clone() for _ in range(copies)], [pairs.clone() for _ in range(copies)], strict=True)
    calls = tuple(partial(torch._weight_int4pack_mm, x, own, group, pair) for own, pair in made)
    # It multiplies codes by scales and adds in bfloat16, so that a weight is off by a half-step of the sum's size.
    return Work(calls, moved, expected, 2 * TOLERANCE[torch.bfloat16])
