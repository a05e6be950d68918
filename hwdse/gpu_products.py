"""What a packed layer computes on a GPU: its input quantised in one pass, then the product by the kernel that is named.

Needs Triton. In Triton's interpreter it computes on a CPU, too.
"""

from dataclasses import dataclass
from functools import cache
from math import ldexp
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from hwdse.decode_steps import OPERANDS
from hwdse.gemm import FEWEST_INT8, WHOLE, Choice, Tile
from hwdse.kernels import _packed, _packed8, _sums, a8, a16, gemv, quantise, scale, unpack, unpack8
from hwdse.paths import Embedding, embed

if TYPE_CHECKING:
    from hwdse.gpu_layers import PackedLayer

OF_EIGHT_BITS = ("a8", "unpack8")  # kernels, on int8 or fp8


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A layer as kernels read it."""

    packed: Any  # `_packed8.Packed8` or `_packed.Packed`, whose scales are then those of the activations too
    operand: str  # what activations become
    scale: float  # of the activations
    scaling: unpack.Scaling | None  # of weights that become numbers of 16 bits
    works: dict[tuple[int, Tile], _sums.Workspace]  # by vectors and tile: where programs meet


def product(layer: "PackedLayer", x: Tensor, name: str) -> Tensor:
    """`m x rows` results (float32) of `layer` for its input `x`, by the kernel and tile called `name`."""
    choice = Choice.parse(name)
    if choice.tile is None:
        held = _held(layer, choice.arithmetic, layer.packing.tile)
        return (_dense8 if choice.kernel == "unpack8" else _dense)(layer, _codes(layer, x, held), held)
    held = _held(layer, choice.arithmetic, (choice.tile.rows, choice.tile.words))
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
    """Packs the weights for what is called `name`; ValueError where it does not take them."""
    choice = Choice.parse(name)
    if (choice.kernel in OF_EIGHT_BITS) != (choice.arithmetic in OPERANDS):
        raise ValueError(f"{choice.kernel} does not multiply as {choice.arithmetic}")
    tile = layer.packing.tile if choice.tile is None else (choice.tile.rows, choice.tile.words)
    held = _held(layer, choice.arithmetic, tile)
    if choice.kernel == "unpack8":
        _check_plain(layer, held)


# ---- weights -------------------------------------------------------------------------------------


def _held(layer: "PackedLayer", arithmetic: str, tile: tuple[int, int]) -> Held:
    """Made once for each packing, and kept."""
    key = arithmetic, tile, layer.words.device
    if key not in layer.held:
        layer.held[key] = _made(layer, arithmetic, tile)
    found: Held = layer.held[key]
    return found


def _made(layer: "PackedLayer", arithmetic: str, tile: tuple[int, int]) -> Held:
    quantizer, grid = layer.weights, layer.grid
    fmt, activations = quantizer.format, grid.quantizer.format
    own_scale = 1.0 if grid.cast is not None else float(grid.scale)
    scales = layer.scales.contiguous().cpu() if quantizer.group is not None else layer.scales[:, 0].contiguous().cpu()
    where = layer.words.device
    given: dict[str, Any] = {"group": quantizer.group, "rows": tile[0], "words": tile[1]}
    if arithmetic in OPERANDS:
        own = _packed8.pack(layer.codes, scales, fmt, activations, arithmetic=arithmetic, **given)
        return Held(own.to(where), own.path.activations.operand, own_scale, None, {})
    embedded = embed(activations, arithmetic) if grid.cast is None else None
    if embedded is None and activations.name != arithmetic:
        raise ValueError(f"{activations.name} activations are no numbers of {arithmetic}")
    factor = 1.0 if embedded is None else own_scale * ldexp(1.0, embedded.exponent)
    packed = _packed.pack(layer.codes, scales * factor, fmt, floats=arithmetic, **given)
    held = packed.to(where)
    passes = grid.cast is None or layer.bias is not None
    return Held(held, arithmetic, own_scale, unpack.scaling(held, passes), {})


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
    more = held.packed.inputs - codes.shape[1]
    if more == 0:
        return codes
    return functional.pad(codes.view(torch.int8), (0, more)).view(codes.dtype)  # padding is of no other type


def _embedded(layer: "PackedLayer", held: Held) -> Embedding:
    own = embed(layer.grid.quantizer.format, held.operand)
    assert own is not None  # as it was chosen
    return own


# ---- the library ---------------------------------------------------------------------------------


def _dense(layer: "PackedLayer", codes: Tensor, held: Held) -> Tensor:
    """The product by torch in 16 bits: `kernels/unpack.py` says where weights are rounded for it, and by how much."""
    own = held.scaling
    assert own is not None  # of 16 bits
    sums: Tensor = unpack.summed(codes, unpack.run(held.packed, own))
    return sums if own.after is None else scale.run(sums, own.after, bias=layer.bias)


def subnormal(layer: "PackedLayer", x: Tensor, name: str) -> Tensor | None:
    """What subnormal weights may add to the error of the `m x rows` results of `unpack`, in float64.

    None where it rounds none.
    """
    held = _held(layer, Choice.parse(name).arithmetic, layer.packing.tile)
    own = held.scaling
    assert own is not None  # of 16 bits
    if not own.inside:
        return None
    after = 1.0 if own.after is None else own.after.double()
    return _codes(layer, x, held).double().abs().sum(1, keepdim=True) * (unpack.SUBNORMAL[held.operand] * after)


def _dense8(layer: "PackedLayer", codes: Tensor, held: Held) -> Tensor:
    """The product by torch of 8-bit numbers: sums of int8 are exact, those of 8-bit floats as cuBLAS adds them.

    That is with few bits, as our kernel does, and from time to time in float32, since `use_fast_accum` is off; after
    how many inputs, NVIDIA does not say.
    """
    _check_plain(layer, held)
    packed = held.packed
    x, weights = _padded(codes, held), unpack8.run(packed).T
    if x.dtype == torch.int8:
        few = len(x) < FEWEST_INT8  # `pad` copies
        sums = torch._int_mm(functional.pad(x, (0, 0, 0, FEWEST_INT8 - len(x))) if few else x, weights)[: len(x)]
    else:
        one = _one(x.device)
        sums = torch._scaled_mm(x, weights, scale_a=one, scale_b=one, out_dtype=torch.float32)
    scales, offsets = packed.scales[0, : layer.rows], packed.offsets
    if offsets is not None:
        offsets = offsets[0, : layer.rows]
    return scale.run(sums, scales, factor=packed.factor * held.scale, offsets=offsets, bias=layer.bias)


@cache
def _one(device: torch.device) -> Tensor:
    return torch.ones((), dtype=torch.float32, device=device)


def _check_plain(layer: "PackedLayer", held: Held) -> None:
    """ValueError unless torch has all of the sums, in an int32 where they are such, and takes the shape."""
    packed = held.packed
    if not (packed.group is packed.zeros is None):
        raise ValueError(
            "the library takes no groups, no zero points and no uint8 weights where it adds products of 8 bits"
        )
    packed.check_sums()
    if not packed.path.plain:
        raise ValueError("cuBLAS multiplies e5m2ieee by e4m3fn, and not by itself; a8 does")
    whole = WHOLE[packed.path.arithmetic]
    if layer.rows % whole:
        raise ValueError(f"the library takes multiples of {whole} outputs, not {layer.rows}; a8 takes any number")
