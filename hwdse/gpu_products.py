"""What a packed layer computes on a GPU: its input quantised in one pass, then the product by the kernel that is named.

Needs Triton. In Triton's interpreter it computes on a CPU, too.
"""

from dataclasses import dataclass
from math import ldexp
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from hwdse.gemm import Choice, Tile
from hwdse.kernels import _packed, _packed8, _sums, a8, a16, gemv, quantise, unpack, unpack8
from hwdse.paths import Embedding, embed
from hwdse.weight_codes import EIGHT_BITS, SIXTEEN_BITS, Packing

if TYPE_CHECKING:
    from hwdse.gpu_layers import PackedLayer

NO_GROUPS = "the library multiplies weights with a scale for each channel, not for each group"
OF_EIGHT_BITS = ("a8", "unpack8")  # kernels


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A layer as kernels read it."""

    packed: Any  # `_packed8.Packed8` or `_packed.Packed`, whose scales are then those of the activations too
    operand: str  # what activations become
    scale: float  # of the activations
    works: dict[tuple[int, Tile], _sums.Workspace]  # by vectors and tile: where programs meet


def product(layer: "PackedLayer", x: Tensor, name: str) -> Tensor:
    """`m x rows` results (float32) of `layer` for its input `x`, by the kernel and tile called `name`."""
    choice = Choice.parse(name)
    if choice.tile is None:
        held = _held(layer, choice.kernel, layer.packing.tile)
        return (_dense8 if choice.kernel == "unpack8" else _dense)(layer, _codes(layer, x, held), held)
    held = _held(layer, choice.kernel, (choice.tile.rows, choice.tile.words))
    codes = _codes(layer, x, held)
    given: dict[str, Any] = {
        "bias": layer.bias,
        "out": torch.empty(len(codes), layer.rows, dtype=torch.float32, device=codes.device),
        "work": _work(held, len(codes), choice.tile),
    }
    if choice.kernel == "a8":
        return a8.run(_quantised(layer, codes, held), held.packed, choice.tile, **given)
    return (a16.run if choice.kernel == "a16" else gemv.run)(codes, held.packed, choice.tile, **given)


def prepare(layer: "PackedLayer", name: str) -> None:
    """Packs the weights for what is called `name`; ValueError where it does not multiply the two formats exactly."""
    choice = Choice.parse(name)
    if choice.tile is None and layer.weights.group is not None:
        raise ValueError(NO_GROUPS)
    tile = layer.packing.tile if choice.tile is None else (choice.tile.rows, choice.tile.words)
    _held(layer, choice.kernel, tile)


# ---- weights -------------------------------------------------------------------------------------


def _held(layer: "PackedLayer", kernel: str, tile: tuple[int, int]) -> Held:
    """Made once for each packing, and kept."""
    operand = layer.packing.operand
    if (kernel in OF_EIGHT_BITS) != (operand in EIGHT_BITS):
        operand = _other(layer, kernel)
    name = f"{operand} {tile[0]}:w{tile[1]}"
    key = name, layer.words.device
    if key not in layer.held:
        layer.held[key] = _made(layer, Packing(layer.packing.fmt, name))
    found: Held = layer.held[key]
    return found


def _other(layer: "PackedLayer", kernel: str) -> str:
    """The operand of a kernel that was not chosen for the layer, but is forced."""
    fmt, activations = layer.packing.fmt, layer.grid.quantizer.format
    if kernel in OF_EIGHT_BITS:
        return _packed8.exact(fmt, activations).weights.operand
    both = [one for one in SIXTEEN_BITS if embed(fmt, one) is not None and embed(activations, one) is not None]
    if not both:
        raise ValueError(f"no numbers of 16 bits hold both {fmt.name} and {activations.name}")
    return both[0]


def _made(layer: "PackedLayer", packing: Packing) -> Held:
    quantizer, grid = layer.weights, layer.grid
    scale = 1.0 if grid.cast is not None else float(grid.scale)
    rows, words = packing.tile
    scales = layer.scales.contiguous().cpu() if quantizer.group is not None else layer.scales[:, 0].contiguous().cpu()
    where = layer.words.device
    if packing.operand in EIGHT_BITS:
        own = _packed8.pack(
            layer.codes, scales, packing.fmt, grid.quantizer.format, group=quantizer.group, rows=rows, words=words
        )
        return Held(own.to(where), own.path.activations.operand, scale, {})
    embedded = embed(grid.quantizer.format, packing.operand) if grid.cast is None else None
    factor = 1.0 if embedded is None else scale * ldexp(1.0, embedded.exponent)
    packed = _packed.pack(
        layer.codes,
        scales * factor,
        packing.fmt,
        floats=packing.operand,
        group=quantizer.group,
        rows=rows,
        words=words,
    )
    return Held(packed.to(where), packing.operand, scale, {})


def _work(held: Held, vectors: int, tile: Tile) -> _sums.Workspace:
    """Made once: it has to be cleared at first, and is left clear by every product."""
    if (vectors, tile) not in held.works:
        held.works[vectors, tile] = _sums.Workspace.of(vectors, held.packed, tile)
    return held.works[vectors, tile]


# ---- activations ---------------------------------------------------------------------------------


def _codes(layer: "PackedLayer", x: Tensor, held: Held) -> Tensor:
    """`m x inputs` numbers of the operand: the input quantised pixel by pixel, and then gathered into vectors."""
    grid, pixels, quantizer = layer.grid, layer.pixels(x), layer.grid.quantizer
    if pixels.stride(1) != 1:  # of one channel, which torch calls contiguous whatever its stride
        pixels = pixels.clone(memory_format=torch.contiguous_format)
    if grid.cast is not None:
        codes = pixels.to(grid.cast)
    else:
        codes = quantise.run(pixels, quantizer.format, held.operand, held.scale, narrow=quantizer.narrow).codes
    return layer.gathered(codes, tuple(x.shape))


def _quantised(layer: "PackedLayer", codes: Tensor, held: Held) -> quantise.Quantised:
    """The same as `a8` takes them: padded to whole blocks of weights."""
    padded = _padded(codes, held)
    scales = torch.full((len(codes),), held.scale, dtype=torch.float32, device=codes.device)
    return quantise.Quantised(padded, scales, layer.grid.quantizer.format, layer.inputs, _embedded(layer, held))


def _padded(codes: Tensor, held: Held) -> Tensor:
    bytes_ = codes.view(torch.int8)  # padding is of no other type
    return functional.pad(bytes_, (0, held.packed.inputs - codes.shape[1])).view(codes.dtype)


def _embedded(layer: "PackedLayer", held: Held) -> Embedding:
    own = embed(layer.grid.quantizer.format, held.operand)
    assert own is not None  # as it was chosen
    return own


# ---- the library ---------------------------------------------------------------------------------


def _dense(layer: "PackedLayer", codes: Tensor, held: Held) -> Tensor:
    """The product by torch, with weights that are decoded to numbers of the format: so nothing is rounded before."""
    if layer.weights.group is not None:
        raise ValueError(NO_GROUPS)
    numbers = unpack.run(held.packed, scaled=False)
    exact = codes.is_cuda  # a CPU has no sums in float32 of numbers of 16 bits
    sums = torch.mm(codes, numbers.T, out_dtype=torch.float32) if exact else codes.float() @ numbers.float().T
    factor = 1.0 if layer.grid.cast is not None else held.scale * ldexp(1.0, _embedded(layer, held).exponent)
    result = sums * (layer.scales[:, 0] * factor)
    return result if layer.bias is None else result + layer.bias


def _dense8(layer: "PackedLayer", codes: Tensor, held: Held) -> Tensor:
    """The product by torch of int8 numbers, whose sums are exact."""
    packed = held.packed
    if packed.path.arithmetic != "int8" or not (packed.group is packed.zeros is packed.offsets is None):
        raise ValueError("the library adds products of int8 exactly, without groups, and none of uint8 or 8-bit floats")
    sums = torch._int_mm(_padded(codes, held), unpack8.run(packed).T)
    result: Tensor = sums * (packed.scales[0, : layer.rows] * (packed.factor * held.scale))
    return result if layer.bias is None else result + layer.bias
