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
from hwdse.decode_steps import OPERANDS, operand_of
from hwdse.design import Design, Quantizer
from hwdse.formats import Format
from hwdse.gemm import Choice, Gemm, Tile
from hwdse.gpu_layers import LIBRARY
from hwdse.gpu_source import Place
from hwdse.target import GpuTarget
from hwdse.weight_codes import Packing, read_by_torch
from hwdse.workload import Layer, Workload

MOST = 1 << 14  # vectors: beyond, a product fills any GPU, and what computes it stays the same
FEW = (1, 16, 64)  # vectors: what else a model that is built for many may be asked for
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
        packing = packing_of(gemm, target) if inside else read_by_torch(weights.format)
        kernels = tuple(_kernels(gemm, packing, target)) if inside else ()
    except ValueError as error:
        raise ValueError(f"layer {layer.name!r}: {error}") from None
    return Chosen(Place(layer.name, layer.name, site, packing), weights, activations, gemm, layer.bias, kernels)


def _check_format(fmt: Format, where: str) -> None:
    if fmt.bits < FEWEST_BITS:
        raise ValueError(f"a kernel takes {FEWEST_BITS} bits or more, not {fmt.name} of {where}; the nearest is int2")


@cache
def best(gemm: Gemm, target: GpuTarget, packing: Packing | None = None) -> Choice:
    """What the dispatcher chooses.

    Where no kernel was compiled for the formats nothing is predicted, and the tile is one that every GPU has room for.
    """
    if dispatch.choices(gemm, target, packing):
        return dispatch.choose(gemm, target, packing)
    known = dispatch.arithmetics(gemm, target)
    own = next(one for one in known if packing is None or operand_of(gemm.weights, one) == packing.operand)
    return _usual(gemm, own, packing)


def _usual(gemm: Gemm, arithmetic: str, packing: Packing | None) -> Choice:
    words = gemm.group // 4 if arithmetic in OPERANDS and gemm.group is not None else 16
    rows, words = (64, words) if packing is None else packing.tile
    tile = Tile(rows, 16 if gemm.m <= NARROW else 64, words, 2)
    return Choice("a8" if arithmetic in OPERANDS else "a16", arithmetic, tile)


# ---- how weights are packed ----------------------------------------------------------------------


def packing_of(gemm: Gemm, target: GpuTarget) -> Packing:
    """As the choice reads them; where that decodes any tile, as is best for a few vectors on the same numbers."""
    choice = best(gemm, target)
    if choice.tile is not None:
        return _packed(gemm, choice)
    few = [replace(gemm, m=size) for size in FEW]
    known = (one for own in few for one in dispatch.choices(own, target) if one.arithmetic == choice.arithmetic)
    packings = dict.fromkeys(_packed(gemm, one) for one in known if one.tile is not None)
    if not packings:
        return _packed(gemm, _usual(gemm, choice.arithmetic, None))
    return min(packings, key=lambda packing: sum(dispatch.best(own, target, packing).seconds for own in few))


def _packed(gemm: Gemm, choice: Choice) -> Packing:
    assert choice.tile is not None
    return Packing(
        gemm.weights, f"{operand_of(gemm.weights, choice.arithmetic)} {choice.tile.rows}:w{choice.tile.words}"
    )


def _kernels(gemm: Gemm, packing: Packing, target: GpuTarget) -> Iterator[tuple[int, str]]:
    """What multiplies 1, 2, 4, ... vectors, and those of the batch, with the packed weights.

    Neighbours that are the same are taken together.
    """
    sizes = sorted({gemm.m, *(1 << power for power in range(MOST.bit_length()))})
    names = [best(replace(gemm, m=size), target, packing).name for size in sizes]
    for size, name, following in zip(sizes, names, [*names[1:], None], strict=True):
        if name != following:
            yield (size if following is not None else sys.maxsize), name
