"""Our own kernels with random packed weights.

Packing gigabytes on the host would take longer than all timings. Every word of packed integers is a legal one, so that
words are drawn; of minifloats, which have a -0 that nobody packs, one tile is packed and repeated. What the words stand
for is read from them by the specification of the format, for some of the outputs.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from math import isfinite
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from hwdse.decoding import FLOATS
from hwdse.formats import Format, IntFormat, values
from hwdse.gemm import Gemm, Tile
from hwdse.gpu_measurements import Point
from hwdse.gpu_speed.ceilings import words
from hwdse.gpu_speed.library import ACCURATE, TYPES, numbers
from hwdse.gpu_speed.work import TOLERANCE, AbsentError, Call, Count, Expected, Work, exactly, sampled
from hwdse.packing import Layout
from hwdse.paths import path

KERNELS = ("a16", "gemv", "a8", "unpack", "unpack8")  # that multiply; the last two for a library
DENSE = Tile(64, 16, 32, 1)  # of the packed weights of these two, which have no tile of their own
OUTPUTS = 16  # that are compared, each from some tile: together they are the rows of a small one

Load = Callable[[str], ModuleType]


def kernel(name: str) -> ModuleType:
    """A file in `kernels/`."""
    return import_module(f"hwdse.kernels.{name}")


def arithmetic(own: Gemm) -> str:
    """What multiplies: int8, fp8, float16 or bfloat16."""
    return path(own.weights, own.activations).arithmetic


def work(point: Point, count: Count, device: torch.device, load: Load = kernel) -> Work:
    """A product by one of `KERNELS` with the tile of the point."""
    own, tile = point.gemm, Tile.parse(point.tile) if point.tile else DENSE
    make = _sixteen if arithmetic(own) in FLOATS else _eight
    return make(point.kernel, own, tile, count, device, load)


# ---- 16 bits -------------------------------------------------------------------------------------


def _sixteen(name: str, own: Gemm, tile: Tile, count: Count, device: torch.device, load: Load) -> Work:
    floats = arithmetic(own)
    packed = random16(own, tile, device)
    x = numbers(own.m, own.k, TYPES[floats], device)
    calls = _calls(load(name), name, x, _copies(packed, count), tile)
    columns = spread(own.n, device)
    return Work(calls, packed.nbytes, exactly(x, some(packed, columns), columns), TOLERANCE[TYPES[floats]])


def _calls(module: ModuleType, name: str, x: Tensor, copies: list[Any], tile: Tile) -> tuple[Call, ...]:
    if name == "unpack":
        return tuple(partial(_dequantised, module, x, packed) for packed in copies)
    work = module.Workspace.of(len(x), copies[0], tile)  # where programs meet: the layers of a network share one
    return tuple(partial(module.run, x, packed, tile, work=work) for packed in copies)


def _dequantised(module: ModuleType, x: Tensor, packed: Any) -> Tensor:
    """Dequantised, then the library's product."""
    dense: Tensor = module.run(packed)
    return torch.mm(x, dense.T)


def random16(own: Gemm, tile: Tile, device: torch.device) -> Any:
    """A `Packed` of random words and scales."""
    small = _small(partial(kernel("_packed").pack, floats=arithmetic(own)), own, tile)
    return _grown(small, own, small.decoding.factor, device)


# ---- 8 bits --------------------------------------------------------------------------------------


def _eight(name: str, own: Gemm, tile: Tile, count: Count, device: torch.device, load: Load) -> Work:
    if name not in ("a8", "unpack8"):
        raise AbsentError(f"{name} does not decode for {arithmetic(own)}")
    packed = random8(own, tile, device)
    if name == "unpack8" and not (own.group is packed.zeros is packed.offsets is None):
        raise AbsentError("unpack8 leaves the product to a library, which takes no groups, no zero points and no uint8")
    x = load("a8").activations(numbers(own.m, own.k, torch.float16, device), packed)
    calls = _calls8(load, name, x, _copies(packed, count), tile)
    rows, columns = sampled(own.m, device), spread(own.n, device)
    # torch does not take rows of every 8-bit float, but it does of bytes.
    few = replace(x, codes=x.codes.view(torch.uint8)[rows].view(x.codes.dtype), scales=x.scales[rows], sums=None)
    expected = Expected(rows, columns, few.dense().to(device) @ some(packed, columns).T)
    # A Hopper GPU adds fp8 products with about 14 bits, 128 of them at a time: arXiv 2412.19437, section 3.3.2.
    tolerance = TOLERANCE[torch.float16 if arithmetic(own) == "int8" else torch.bfloat16]
    note = "activations quantised before" if name == "a8" or arithmetic(own) == "int8" else ACCURATE
    return Work(calls, packed.nbytes, expected, tolerance, note)


def _calls8(load: Load, name: str, x: Any, copies: list[Any], tile: Tile) -> tuple[Call, ...]:
    module = load(name)
    if name == "unpack8":
        return tuple(partial(_dequantised8, module, x, packed) for packed in copies)
    work = module.Workspace.of(len(x.codes), copies[0], tile)
    return tuple(partial(module.run, x, packed, tile, work=work) for packed in copies)


def _dequantised8(module: ModuleType, x: Any, packed: Any) -> Tensor:
    """Dequantised, then the library's product of 8 bits, then the scales, of int8 in two passes."""
    dense, scales = module.run(packed), packed.scales[0, : packed.n] * packed.factor
    if dense.dtype == torch.int8:
        sums = torch._int_mm(x.codes, dense.T) * x.scales[:, None]
        return torch.mul(sums, scales, out=torch.empty_like(sums, dtype=torch.float16))
    rows, columns = x.scales[:, None], scales[None]
    return torch._scaled_mm(x.codes, dense.T, scale_a=rows, scale_b=columns, out_dtype=torch.bfloat16)


def random8(own: Gemm, tile: Tile, device: torch.device) -> Any:
    """A `Packed8` of random words and scales."""
    return _grown(_small(partial(kernel("_packed8").pack, activations=own.activations), own, tile), own, 1.0, device)


# ---- random weights ------------------------------------------------------------------------------


def _small(pack: Callable[..., Any], own: Gemm, tile: Tile) -> Any:
    """Packed weights that say how all of them are stored: one tile of random codes, or one where words are drawn."""
    n, k = (1, own.group or 1) if isinstance(own.weights, IntFormat) else (tile.rows, own.k)
    finite = [code for code in range(1 << own.weights.bits) if isfinite(own.weights.decode(code))]
    codes = torch.tensor(finite, dtype=torch.uint8)[torch.randint(len(finite), (n, k))]
    scales = torch.ones(n, dtype=torch.float32) if own.group is None else torch.ones(n, -(-k // own.group)).half()
    return pack(codes, scales, own.weights, group=own.group, rows=tile.rows, words=tile.words)


def _grown(small: Any, own: Gemm, factor: float, device: torch.device) -> Any:
    """`small` with words and scales of all weights, whose products with normal numbers are about one."""
    layout: Layout = small.layout
    shape = tiles, blocks, *_ = layout.shape(own.n, own.k)
    if isinstance(own.weights, IntFormat):
        drawn = words(layout.nbytes(own.n, own.k) // 4, device).view(shape)
    else:
        drawn = small.words.to(device).expand(shape).contiguous()
    groups = 1 if own.group is None else -(-blocks * layout.block // own.group)
    scales = (torch.rand(groups, tiles * layout.rows, device=device) + 0.5) * factor
    scales /= deviation(own.weights) * own.k**0.5
    return replace(small, words=drawn, scales=scales.to(small.scales.dtype), n=own.n, k=own.k)


def _copies(packed: Any, count: Count) -> list[Any]:
    more = range(count(packed.nbytes) - 1)
    return [packed, *(replace(packed, words=packed.words.clone(), scales=packed.scales.clone()) for _ in more)]


def deviation(fmt: Format) -> float:
    """The root of the mean square of the values of a format, each as likely as the others."""
    return float((sum(value * value for value in values(fmt)) / len(values(fmt))) ** 0.5)


# ---- what comes out ------------------------------------------------------------------------------


def spread(n: int, device: torch.device) -> Tensor:
    """Outputs that are compared: the first, the last and some between, in different rows of their tiles."""
    return torch.linspace(0, n - 1, OUTPUTS, device=device).round().long()


def some(packed: Any, columns: Tensor) -> Tensor:
    """The weights of `OUTPUTS` outputs (`columns x k`, float64), from their words."""
    layout: Layout = packed.layout
    own = packed.words[columns // layout.rows, :, :, columns % layout.rows].permute(1, 2, 0, 3)  # a tile of its own
    few = replace(
        packed,
        words=own.unsqueeze(0).contiguous(),
        scales=packed.scales[:, columns],
        layout=replace(layout, rows=OUTPUTS),
        n=OUTPUTS,
    )
    dense: Tensor = few.dense()
    return dense.to(columns.device)
