"""Our own kernels with random packed weights.

Packing gigabytes on the host would take longer than all timings. Words are drawn where every word is one that packing
may give: of integers, unless they are multiplied as 8-bit floats. These and minifloats are sign and magnitude, with a
-0 that nobody packs, and one tile of them is packed and repeated. What the words stand for is read from them by the
specification of the format, for some of the outputs.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from hwdse.decoding import FLOATS
from hwdse.formats import Format, HalfFormat, IntFormat, limits, values
from hwdse.gemm import Gemm, Tile
from hwdse.gpu_measurements import Point
from hwdse.gpu_speed.ceilings import words
from hwdse.gpu_speed.library import ACCURATE, FEW_BITS, TYPES, numbers, sums
from hwdse.gpu_speed.work import TOLERANCE, AbsentError, Call, Count, Expected, Work, exactly, sampled
from hwdse.packing import Layout

KERNELS = ("a16", "gemv", "a8", "unpack", "unpack8")  # that multiply; the last two for a library
DENSE = Tile(64, 1, 16, 1)  # of the packed weights of these two, which have no tile: what they are compiled with
OUTPUTS = 16  # that are compared, each from some tile: together they are the rows of a small one

Load = Callable[[str], ModuleType]


def kernel(name: str) -> ModuleType:
    """A file in `kernels/`."""
    return import_module(f"hwdse.kernels.{name}")


def work(point: Point, count: Count, device: torch.device, load: Load = kernel) -> Work:
    """A product by one of `KERNELS` with the arithmetic and the tile of the point."""
    tile = Tile.parse(point.tile) if point.tile else DENSE
    make = _sixteen if point.arithmetic in FLOATS else _eight
    return make(point, tile, count, device, load)


# ---- 16 bits -------------------------------------------------------------------------------------


def _sixteen(point: Point, tile: Tile, count: Count, device: torch.device, load: Load) -> Work:
    own, floats = point.gemm, point.arithmetic
    packed = random16(own, floats, tile, device)
    x = numbers(own.m, own.k, TYPES[floats], device)
    passes = not isinstance(own.activations, HalfFormat)  # that scales what was quantised
    calls = _calls(load, point.kernel, x, _copies(packed, count), tile, passes)
    columns = spread(own.n, device)
    return Work(calls, packed.nbytes, exactly(x, some(packed, columns), columns), TOLERANCE[TYPES[floats]])


def _calls(load: Load, name: str, x: Tensor, copies: list[Any], tile: Tile, passes: bool) -> tuple[Call, ...]:
    module = load(name)
    if name == "unpack":
        scale, scaling = load("scale"), module.scaling(copies[0], passes)
        return tuple(partial(_dequantised, module, scale, x, packed, scaling) for packed in copies)
    work = module.Workspace.of(len(x), copies[0], tile)  # where programs meet: the layers of a network share one
    return tuple(partial(module.run, x, packed, tile, work=work) for packed in copies)


def _dequantised(module: ModuleType, scale: ModuleType, x: Tensor, packed: Any, scaling: Any) -> Tensor:
    """Dequantised, then the library's product, then a pass over its sums where there is one; results are of 16 bits."""
    weights = module.run(packed, scaling)
    if scaling.after is None:
        return torch.mm(x, weights.T)
    scaled: Tensor = scale.run(module.summed(x, weights), scaling.after, dtype=x.dtype)
    return scaled


def random16(own: Gemm, floats: str, tile: Tile, device: torch.device) -> Any:
    """A `Packed` of random words and scales, for products with `floats`."""
    drawn = isinstance(own.weights, IntFormat)
    small = _small(partial(kernel("_packed").pack, floats=floats), own, tile, drawn)
    return _grown(small, own, small.decoding.factor, drawn, device)


# ---- 8 bits --------------------------------------------------------------------------------------


def _eight(point: Point, tile: Tile, count: Count, device: torch.device, load: Load) -> Work:
    name, own = point.kernel, point.gemm
    if name not in ("a8", "unpack8"):
        raise AbsentError(f"{name} does not decode for {point.arithmetic}")
    packed = random8(own, point.arithmetic, tile, device)
    if packed.zeros is not None:
        raise AbsentError("weights that are drawn are not uint8, which have zero points")
    if own.group is not None and (name == "unpack8" or packed.offsets is not None):
        raise AbsentError("weights that are drawn have no groups where a library or uint8 activations multiply them")
    if packed.offsets is not None:
        packed = replace(packed, offsets=_offsets(packed, load("unpack8").run(packed)))
    x = load("a8").activations(numbers(own.m, own.k, torch.float16, device), packed)
    calls = _calls8(load, name, x, _copies(packed, count), tile)
    rows, columns = sampled(own.m, device), spread(own.n, device)
    # torch does not take rows of every 8-bit float, but it does of bytes.
    few = replace(x, codes=x.codes.view(torch.uint8)[rows].view(x.codes.dtype), scales=x.scales[rows], sums=None)
    expected = Expected(rows, columns, few.dense().to(device) @ some(packed, columns).T)
    exact = point.arithmetic == "int8"
    note = "activations quantised before" if name == "a8" or exact else ACCURATE
    return Work(calls, packed.nbytes, expected, TOLERANCE[torch.float16] if exact else FEW_BITS, note)


def _offsets(packed: Any, numbers: Tensor) -> Tensor:
    """What corrects uint8 activations, which are stored less 128: so many times the sum of each output's weights."""
    offsets = torch.zeros_like(packed.scales, dtype=torch.int32)
    offsets[0, : packed.n] = numbers[:, : packed.k].sum(1, dtype=torch.int32) * packed.path.activations.offset
    return offsets


def _calls8(load: Load, name: str, x: Any, copies: list[Any], tile: Tile) -> tuple[Call, ...]:
    module = load(name)
    if name == "unpack8":
        return tuple(partial(_dequantised8, module, load("scale"), x, packed) for packed in copies)
    work = module.Workspace.of(len(x.codes), copies[0], tile)
    return tuple(partial(module.run, x, packed, tile, work=work) for packed in copies)


def _dequantised8(module: ModuleType, scale: ModuleType, x: Any, packed: Any) -> Tensor:
    """Dequantised, then the library's product of 8 bits with sums of 32, then the scales."""
    found, scales = sums(x.codes, module.run(packed)), packed.scales[0, : packed.n]
    offsets = None if packed.offsets is None else packed.offsets[0, : packed.n]
    own = {"factor": packed.factor, "x_scales": x.scales, "offsets": offsets}
    scaled: Tensor = scale.run(found, scales, **own, dtype=torch.float16)
    return scaled


def random8(own: Gemm, arithmetic: str, tile: Tile, device: torch.device) -> Any:
    """A `Packed8` of random words and scales, for products on int8 or fp8."""
    held = kernel("_packed8")
    pack = partial(held.pack, activations=own.activations, arithmetic=arithmetic)
    drawn = isinstance(own.weights, IntFormat) and arithmetic == "int8"
    found = _grown(_small(pack, own, tile, drawn), own, 1.0, drawn, device)
    return replace(found, words=held.ordered(found.words, found.own))


# ---- random weights ------------------------------------------------------------------------------


def _small(pack: Callable[..., Any], own: Gemm, tile: Tile, drawn: bool) -> Any:
    """Packed weights that say how all of them are stored: one tile of random codes, or one where words are drawn."""
    n, k = (1, own.group or 1) if drawn else (tile.rows, own.k)
    low, high = limits(own.weights, narrow=True)  # sign and magnitude have no -2**(b-1)
    known = [code for code in range(1 << own.weights.bits) if low <= own.weights.decode(code) <= high]
    codes = torch.tensor(known, dtype=torch.uint8)[torch.randint(len(known), (n, k))]
    scales = torch.ones(n, dtype=torch.float32) if own.group is None else torch.ones(n, -(-k // own.group)).half()
    return pack(codes, scales, own.weights, group=own.group, rows=tile.rows, words=tile.words)


def _grown(small: Any, own: Gemm, factor: float, drawn: bool, device: torch.device) -> Any:
    """`small` with words and scales of all weights, whose products with normal numbers are about one."""
    layout: Layout = small.layout
    shape = tiles, blocks, *_ = layout.shape(own.n, own.k)
    if drawn:
        made = words(layout.nbytes(own.n, own.k) // 4, device).view(shape)
    else:
        made = small.words.to(device).expand(shape).contiguous()
    groups = 1 if own.group is None else -(-blocks * layout.block // own.group)
    scales = (torch.rand(groups, tiles * layout.rows, device=device) + 0.5) * factor
    scales /= deviation(own.weights) * own.k**0.5
    return replace(small, words=made, scales=scales.to(small.scales.dtype), n=own.n, k=own.k)


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
