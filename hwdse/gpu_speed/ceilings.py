"""What the GPU allows, timed as everything else: launching, reading and copying. Its products are baselines."""

from functools import partial
from importlib import import_module

import torch
from torch import Tensor

from hwdse.gpu_measurements import Point
from hwdse.gpu_speed.work import Count, Work

KERNEL = "hwdse.kernels.stream"  # imported when it is needed, because it needs Triton


def work(point: Point, _: Count, device: torch.device) -> Work:
    """A ceiling: `launch`, `read` or `copy` of `point.k` bytes."""
    if point.kernel == "copy":
        x = words(point.k // 4, device)
        return Work((partial(copy, x, torch.empty_like(x)),), 2 * point.k)
    stream = import_module(KERNEL)
    if point.kernel == "launch":
        nothing, one = (torch.zeros(size, dtype=torch.int32, device=device) for size in (0, 1))
        return Work((partial(stream.run, nothing, one),), 0)
    processors = torch.cuda.get_device_properties(device).multi_processor_count
    sums = torch.empty(stream.PROGRAMS * processors, dtype=torch.int32, device=device)
    return Work((partial(stream.run, words(point.k // 4, device), sums),), point.k)


def words(count: int, device: torch.device) -> Tensor:
    """`count` random words."""
    return torch.randint(-(1 << 31), (1 << 31) - 1, (count,), dtype=torch.int32, device=device)


def copy(x: Tensor, y: Tensor) -> Tensor:
    """torch's copy between two tensors."""
    return y.copy_(x)
