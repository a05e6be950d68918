"""Fake quantisation in one pass over the memory: one compiled function for all formats.

Brevitas quantises a tensor by about ten elementwise operators for an integer and twenty for a minifloat. Here they are
one loop in C++ (`native/fake_quantize.cpp`), compiled by g++ when it is first needed and kept in a cache, and on a GPU
one kernel in Triton (`hwdse.kernels.fake_quantize`). Both round as Brevitas does, bit for bit, which every quantiser
proves on its own grid when it is made; without g++, or without Triton, Brevitas's modules are called.
"""

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hwdse.build import BuildPlan, Command, run
from hwdse.design import Quantizer
from hwdse.formats import FloatFormat, limits, values

CACHE = Path.home() / ".cache" / "hwdse"
SOURCE, LIBRARY = "fake_quantize.cpp", "fake_quantize.so"
KERNEL = "hwdse.kernels.fake_quantize"  # imported when it is needed, because it needs Triton
# No fast math: it would change roundings. The last two only say that nobody reads errno or the flags of the processor.
OPTIONS = ("-O3", "-std=c++17", "-shared", "-fPIC", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
COMPILE_SECONDS = 120.0
PART = 1 << 19  # numbers that are worth a thread of their own


@dataclass(frozen=True, slots=True)
class Fused:
    """A calibrated quantiser of activations: a grid times `scale`."""

    scale: float  # a float32 number
    low: float  # of the grid, in units of `scale`, as `high`
    high: float
    mantissa: int | None  # bits; None is an integer
    smallest: int  # exponent of the smallest step of a minifloat

    @classmethod
    def of(cls, quantizer: Quantizer, scale: float) -> "Fused":
        """What quantises like `quantizer` with this scale."""
        fmt = quantizer.format
        low, high = limits(fmt, quantizer.narrow)
        if isinstance(fmt, FloatFormat):
            return cls(scale, low, high, fmt.mantissa, 1 - fmt.bias - fmt.mantissa)
        return cls(scale, low, high, None, 0)

    def __call__(self, x: Tensor, *, inside: tuple[float, float] = (-inf, inf), in_place: bool = False) -> Tensor:
        """`x` (float32, any shape), clamped to `inside`, quantised and back; `in_place` writes the result over `x`."""
        if not (x.is_cpu or x.is_cuda):
            raise ValueError(f"the fused quantisers work on cpu and on cuda, not on {x.device.type}")
        if not torch.ops.aten.is_non_overlapping_and_dense(x):
            x, in_place = x.contiguous(), True
        y = x if in_place else torch.empty_like(x)
        count, threads = x.numel(), torch.get_num_threads()
        if x.is_cuda:
            import_module(KERNEL).run(self, x, y, inside)
        elif threads == 1 or count < 2 * PART:
            self._run(x.data_ptr(), y.data_ptr(), count, inside)
        else:
            self._share(x.data_ptr(), y.data_ptr(), count, inside, threads)
        return y

    def _run(self, x: int, y: int, count: int, inside: tuple[float, float]) -> None:
        library = _library()
        if self.mantissa is None:
            library.quantize_integer(x, y, count, self.scale, self.low, self.high, *inside)
        else:
            grid = (self.mantissa, self.smallest, self.low, self.high)
            library.quantize_minifloat(x, y, count, self.scale, *grid, *inside)

    def _share(self, x: int, y: int, count: int, inside: tuple[float, float], threads: int) -> None:
        """Parts of the numbers in threads: ctypes lets go of the interpreter while it calls."""
        size = max(PART, -(-count // threads))
        starts = range(0, count, size)
        parts = [(x + 4 * i, y + 4 * i, min(size, count - i), inside) for i in starts]
        list(_pool(threads).map(lambda part: self._run(*part), parts))


def available(device: str = "cpu") -> bool:
    """Whether there is what compiles it for tensors of a type of device."""
    if device == "cuda":
        return find_spec("triton") is not None
    return device == "cpu" and shutil.which("g++") is not None


def probe(quantizer: Quantizer, scale: float) -> Tensor:
    """Where a wrong rounding would show: the grid, its midpoints, their neighbours in float32, far beyond both ends."""
    grid = torch.tensor(values(quantizer.format), dtype=torch.float64)
    points = torch.cat((grid, (grid[1:] + grid[:-1]) / 2, 3 * grid[[0, -1]], torch.linspace(-2, 2, 101).double()))
    exact = (points * scale).float()
    up, down = (torch.nextafter(exact, torch.full_like(exact, end)) for end in (inf, -inf))
    far = torch.tensor([1e30, 1e38, 3e38, inf])
    return torch.cat((exact, up, down, far, -far))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


@cache
def _library() -> Any:  # ctypes finds out at run time what is in it
    library = ctypes.CDLL(str(run(_plan(), CACHE, {"g++": ("g++",)}) / LIBRARY))
    number, pointer = ctypes.c_float, ctypes.c_void_p
    head, ends = (pointer, pointer, ctypes.c_int64, number), (number, number)
    _declare(library.quantize_integer, (*head, *ends, *ends))
    _declare(library.quantize_minifloat, (*head, ctypes.c_int32, ctypes.c_int32, *ends, *ends))
    return library


def _declare(function: Any, arguments: Sequence[Any]) -> None:
    function.argtypes, function.restype = list(arguments), None


def _plan() -> BuildPlan:
    source = (files("hwdse") / "native" / SOURCE).read_bytes()
    compiler = [("g++", option) for option in ("-dumpfullversion", "-dumpmachine")]
    version = " ".join(subprocess.run(c, capture_output=True, text=True, check=True).stdout.strip() for c in compiler)
    command = Command(("g++", *OPTIONS, SOURCE, "-o", LIBRARY), COMPILE_SECONDS, "g++.log")
    return BuildPlan(((SOURCE, source),), (command,), (("g++", version),), (LIBRARY,))
