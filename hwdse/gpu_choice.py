"""Which kernels a design needs on a GPU: for every layer the product it is, how its weights are packed, and by what.

Weights are packed once, for the batch that was asked for; for more and for fewer vectors the kernels are those that
read the same words. Refused is what no kernel takes, with the layer's name and the nearest that one does.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from hwdse import dispatch
from hwdse.cost_model import Run
from hwdse.cost_models.gpu import prices, product, stored_bytes
from hwdse.decode_steps import OPERANDS
from hwdse.decoding import MANTISSAS
from hwdse.design import Design, Quantizer
from hwdse.formats import Format
from hwdse.gemm import Choice, Gemm, Tile
from hwdse.gpu_layers import LIBRARY
from hwdse.gpu_source import Place
from hwdse.packing import Layout
from hwdse.stored import stored
from hwdse.target import GpuTarget
from hwdse.weight_codes import Packing, read_by_torch
from hwdse.workload import Layer, Workload

MOST = 1 << 14  # vectors: beyond, a product fills any GPU, and what computes it stays the same
NARROW = 32  # vectors up to which a tile of 16 is as good as a wider one
FEWEST_BITS = 2  # of a code that is packed


@dataclass(frozen=True, slots=True)
class Chosen:
    """A layer and what computes it: kernels, by the vectors that each multiplies at most."""

    place: Place
    weights: Quantizer
    activations: Quantizer
    gemm: Gemm  # for the batch that was asked for
    bias: bool
    kernels: tuple[tuple[int, str], ...]  # none for a layer that torch computes

    @property
    def kernel(self) -> str:
        """For the batch that was asked for."""
        return next((name for most, name in self.kernels if self.gemm.m <= most), LIBRARY)

    @property
    def nbytes(self) -> tuple[int, int]:
        """Of weights and bias: packed, as the cost model counts them, and as float32."""
        packed = stored_bytes(self.gemm, self.place.packing.layout, self.bias)
        return packed, 4 * self.gemm.n * (self.gemm.k + self.bias)


def chosen(workload: Workload, design: Design, target: GpuTarget, run: Run) -> tuple[Chosen, ...]:
    """For every layer with weights; ValueError names the first that no kernel takes."""
    return tuple(_chosen(layer, design, target, run) for layer in workload.weighted)


def _chosen(layer: Layer, design: Design, target: GpuTarget, run: Run) -> Chosen:
    weights, site = dict(design.weights)[layer.name], layer.inputs[0]
    activations = dict(design.activations)[site]
    _check_format(weights.format, f"the weights of {layer.name!r}")
    _check_format(activations.format, f"the activations at {site!r}")
    if activations.granularity != "tensor":
        raise ValueError(f"on a GPU activations share a scale per tensor, unlike {activations.name} at {site!r}")
    gemm = product(layer, design, run)
    try:
        inside = prices(layer)
        packing = _packing(gemm, best(gemm, target), target) if inside else read_by_torch(weights.format)
        kernels = tuple(_kernels(gemm, packing, target)) if inside else ()
    except ValueError as error:
        raise ValueError(f"layer {layer.name!r}: {error}") from None
    return Chosen(Place(layer.name, layer.name, site, packing), weights, activations, gemm, layer.bias, kernels)


def _check_format(fmt: Format, where: str) -> None:
    if fmt.bits < FEWEST_BITS:
        raise ValueError(f"a kernel takes {FEWEST_BITS} bits or more, not {fmt.name} of {where}; the nearest is int2")


@cache
def best(gemm: Gemm, target: GpuTarget, layout: Layout | None = None) -> Choice:
    """What the dispatcher chooses.

    Where no kernel was compiled for the formats nothing is predicted, and the tile is one that every GPU has room for.
    """
    if dispatch.choices(gemm, target, layout):
        return dispatch.choose(gemm, target, layout)
    numbers = dispatch.arithmetic(gemm, target)
    return Choice("a8" if numbers in OPERANDS else "a16", _usual(gemm, numbers, layout))


def _usual(gemm: Gemm, arithmetic: str, layout: Layout | None) -> Tile:
    words = gemm.group // 4 if arithmetic in OPERANDS and gemm.group is not None else 16
    rows, words = (64, words) if layout is None else (layout.rows, layout.words)
    return Tile(rows, 16 if gemm.m <= NARROW else 64, words, 2)


# ---- how weights are packed ----------------------------------------------------------------------


def _packing(gemm: Gemm, choice: Choice, target: GpuTarget) -> Packing:
    numbers = dispatch.arithmetic(gemm, target)
    operand = next(one for one in OPERANDS.get(numbers, (numbers,)) if _holds(gemm.weights, one))
    tile = choice.tile or _usual(gemm, numbers, None)  # of decoding alone: it reads any
    return Packing(gemm.weights, f"{operand} {tile.rows}:w{tile.words}")


def _holds(fmt: Format, operand: str) -> bool:
    return operand in MANTISSAS or stored(fmt, operand) is not None


def _kernels(gemm: Gemm, packing: Packing, target: GpuTarget) -> Iterator[tuple[int, str]]:
    """What multiplies 1, 2, 4, ... vectors with the packed weights, neighbours that are the same taken together."""
    sizes = [1 << power for power in range(MOST.bit_length())]
    names = [best(replace(gemm, m=size), target, packing.layout).name for size in sizes]
    for size, name, following in zip(sizes, names, [*names[1:], None], strict=True):
        if name != following:
            yield (size if following is not None else sys.maxsize), name
