"""Reads memory and adds it up: how fast a GPU reads when nothing else is to be done, and how long a launch takes.

It is the ceiling of every kernel that reads packed weights. Nobody needs the sums: without them the compiler would
leave the loads out. Over no words at all it is a launch.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 4096  # words of a step of a program: four loads of 16 bytes for each of its 256 threads
OPTIONS = {"num_warps": 8, "enable_fp_fusion": False}
PROGRAMS = 4  # of a multiprocessor


# ---- the plain reference -------------------------------------------------------------------------


def reference(x: Tensor, programs: int) -> Tensor:
    """For each of `programs`, the sum, modulo 2**32, of every programs-th block of `x` (int32, whole blocks)."""
    blocks = x.view(-1, BLOCK).long().sum(1)
    sums = torch.stack([blocks[own::programs].sum() for own in range(programs)])
    wrapped: Tensor = (sums + (1 << 31)) % (1 << 32) - (1 << 31)
    return wrapped.int()


# ---- the device code -----------------------------------------------------------------------------


@triton.jit
def kernel(x, y, count, block: tl.constexpr):
    """Each program adds up every programs-th block of the `count` words at `x`, and writes the sum to `y`."""
    total = tl.full([block], 0, tl.int32)
    for start in range(tl.program_id(0) * block, count, tl.num_programs(0) * block):
        total += tl.load(x + start + tl.arange(0, block))
    all_of_it = tl.reduce(total, 0, tl.standard._sum_combine)  # `tl.sum`, which the interpreter cannot call
    tl.store(y + tl.program_id(0), all_of_it)


# ---- the host ------------------------------------------------------------------------------------


def run(x: Tensor, y: Tensor) -> Tensor:
    """Writes to `y` (int32), one for each program, the sums of `x` (int32, dense, whole blocks)."""
    with torch.cuda.device_of(x):
        kernel[(len(y),)](x, y, x.numel(), BLOCK, **OPTIONS)
    return y
