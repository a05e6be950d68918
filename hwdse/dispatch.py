"""Which kernel computes a product on a GPU, and with which tile: a pure function of shape, formats and device.

Every choice can be listed (`choices`) and forced (`Choice.parse`, then `price` or a kernel); `choose` takes the one
that the model of `hwdse.gpu_time` predicts to take the least time, or hardly more and fewer bytes of weights. Kernels
are those of `kernels/`, where a build runs them (`hwdse.gpu_products`): nothing else is priced.

- `a8`: on the tensor cores for 8-bit integers or floats, where they multiply the two formats exactly and the device has
  them;
- `a16`: on those for 16-bit numbers; `gemv`: the same products without tensor cores, for a few vectors;
- `unpack`, and for 8-bit numbers `unpack8`: weights become dense numbers, which a library then multiplies. `unpack`
  may round them to 16 bits with their scales in them, as other projects do (`kernels/unpack.py` says when, and bounds
  it). `unpack8` rounds nothing and takes no groups; its sums have 32 bits, and a pass scales them.

Weights are packed once, in tiles of some rows and words, and a kernel's tile has as many: `choose` may be held to
what they are packed for, so that a few vectors and a thousand are multiplied by the same packed weights.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from hwdse import compiled, gpu_points
from hwdse.compiled import Compiled
from hwdse.decode_steps import OPERANDS, layout_of, operand_of, ready
from hwdse.formats import Format, HalfFormat
from hwdse.gemm import FEWEST_INT8, WHOLE, Choice, Gemm, Tile
from hwdse.gpu_time import Constants, Time, pass_over, time
from hwdse.gpu_work import dense, moved_bytes, reduction, tiled, unpacked, weight_bytes
from hwdse.paths import paths
from hwdse.target import GpuTarget
from hwdse.weight_codes import Packing

SPLITS = (1, 2, 4, 8, 16)  # programs that share the inputs of an output
GEMV_MOST = 4  # activation vectors of `gemv`
DENSE = ("unpack", "unpack8")  # have no tile: that of the packed weights is their own
# Of a sum of 32 bits: read, scaled and written as float16; of 16-bit numbers also the 2 that a library writes more.
SCALED_BYTES = {"int8": 6, "fp8": 6, "float16": 8, "bfloat16": 8}
NEAR = 1.02  # times the least time: closer than the model is to any GPU


@dataclass(frozen=True, slots=True)
class Price:
    """What a choice is predicted to take."""

    choice: Choice
    seconds: float
    bound: str  # what takes the longest
    rough: bool  # whether more is rounded than sums in float32: weights of `unpack`, or sums of fp8
    weight_bytes: int  # packed, with scales and zero points
    moved_bytes: int  # weights, activations and sums


# ---- what may compute a product ------------------------------------------------------------------


def arithmetics(gemm: Gemm, target: GpuTarget) -> tuple[str, ...]:
    """What multiplies the two formats exactly on `target`: int8, whose sums are exact too, fp8, and one of 16 bits.

    8-bit floats have neither zero points nor the full range of integers, since weights on them are sign and magnitude.
    ValueError for weights that no kernel packs.
    """
    if not 2 <= gemm.weights.bits <= 8:
        raise ValueError(f"packed weights have 2 to 8 bits, not those of {gemm.weights.name}; the nearest is int2")
    if isinstance(gemm.activations, HalfFormat):
        return (gemm.activations.name,)
    terms = gemm.k if gemm.group is None else gemm.group
    fp8 = target.fp8_tflops > 0 and not gemm.zero_points and not gemm.full
    return _arithmetics(gemm.weights, gemm.activations, fp8, gemm.zero_points, terms)


@cache
def _arithmetics(weights: Format, activations: Format, fp8: bool, zero_points: bool, terms: int) -> tuple[str, ...]:
    """The same by what they depend on: whether there is fp8, and how many `terms` a sum of int8 has in an int32."""
    found = []
    for path in paths(weights, activations):
        most = path.most_inputs(zero_points)
        if (path.arithmetic != "fp8" or fp8) and (most is None or terms <= most):
            found.append(path.arithmetic)
    # bfloat16 does what float16 does where both do it
    return tuple(one for one in found if one != "bfloat16" or "float16" not in found)


def kernels_for(gemm: Gemm, target: GpuTarget) -> tuple[tuple[str, str], ...]:
    """The kernels that take the formats and the shape on `target`, each with its arithmetic."""
    return tuple((kernel, own) for own in arithmetics(gemm, target) for kernel in _kernels_for(gemm, own))


def _kernels_for(gemm: Gemm, arithmetic: str) -> tuple[str, ...]:
    if arithmetic in OPERANDS:
        return ("a8", "unpack8") if _is_plain(gemm, arithmetic) else ("a8",)
    few = ("gemv",) if gemm.m <= GEMV_MOST else ()
    return ("a16", *few, "unpack")


def _is_plain(gemm: Gemm, numbers: str) -> bool:
    """Whether torch has all of the sums, and takes the shape.

    So few vectors that it does not take int8 are left to `a8` of 8-bit floats, too.
    """
    found = next(path for path in paths(gemm.weights, gemm.activations) if path.arithmetic == numbers)
    added = found.plain and gemm.group is None and not gemm.zero_points
    return added and gemm.m >= FEWEST_INT8 and gemm.n % WHOLE[numbers] == 0


def _tiles(
    kernel: str, arithmetic: str, gemm: Gemm, target: GpuTarget, packing: Packing | None
) -> Iterator[tuple[Tile, Compiled]]:
    """The tiles that `kernel` was compiled with for the formats, with every split of the inputs; none of dense ones.

    With a `packing` they are those that read it. None has more columns than it needs, but for the narrowest. Each comes
    with its code.
    """
    some = _compiled(kernel, arithmetic, gemm, target)
    some = tuple(row for row in some if packing is None or (row.tile.rows, row.tile.words) == packing.tile)
    rows = [row for row in some if row.occupancy(target) and _fits(row, arithmetic, gemm)]
    enough = min((row.tile.columns for row in rows if row.tile.columns >= gemm.m), default=None)
    for row in rows if kernel not in DENSE else ():
        if enough is None or row.tile.columns <= enough:
            splits = (split for split in SPLITS if split == 1 or split * row.inputs <= gemm.k)
            yield from ((replace(row.tile, split=split), row) for split in splits)


def choices(gemm: Gemm, target: GpuTarget, packing: Packing | None = None) -> tuple[Choice, ...]:
    """Everything that may compute the product, with weights packed as `packing` says if there is one."""
    return tuple(choice for choice, _ in _choices(gemm, target, packing))


def _choices(gemm: Gemm, target: GpuTarget, packing: Packing | None) -> Iterator[tuple[Choice, Compiled]]:
    for kernel, arithmetic in kernels_for(gemm, target):
        if packing is not None and packing.operand != operand_of(gemm.weights, arithmetic):
            continue
        for tile, row in _tiles(kernel, arithmetic, gemm, target, packing):
            yield Choice(kernel, arithmetic, tile), row
        if kernel in DENSE:
            rows = _compiled(kernel, arithmetic, gemm, target)
            yield from ((Choice(kernel, arithmetic), row) for row in rows)


def choose(gemm: Gemm, target: GpuTarget, packing: Packing | None = None) -> Choice:
    """Of the choices predicted to take up to `NEAR` times the least time, the one that `ranked` has first."""
    return best(gemm, target, packing).choice


@lru_cache(maxsize=65536)
def best(gemm: Gemm, target: GpuTarget, packing: Packing | None = None) -> Price:
    """The price of what `choose` chooses; ValueError where nothing computes the product."""
    constants = gpu_points.constants(target.name)
    found = [_price(gemm, choice, row, target, constants, packing) for choice, row in _choices(gemm, target, packing)]
    if not found:
        raise ValueError(_nothing(gemm, target, packing))
    return ranked(found)[0]


def ranked(prices: Sequence[Price]) -> list[Price]:
    """The one that is chosen, then the others by time, of equals the first by name.

    Chosen is, of those near the least time, one that is not rough; of these, that of the fewest bytes.
    """
    least = min((one.seconds for one in prices), default=0.0)

    def late(one: Price) -> tuple[bool, bool, int, float, str]:
        return one.seconds > NEAR * least, one.rough, one.weight_bytes, one.seconds, one.choice.name

    first = min(prices, key=late, default=None)
    return sorted(prices, key=lambda one: (one is not first, one.seconds, one.choice.name))


def _nothing(gemm: Gemm, target: GpuTarget, packing: Packing | None) -> str:
    what = f"{gemm.weights.name} on {' or '.join(arithmetics(gemm, target))} of {target.name}"
    if packing is None:
        return f"no kernel was compiled for {what}; `python -m hwdse.kernels._table` compiles more"
    rows, words = packing.tile
    operands = {own: operand_of(gemm.weights, own) for own in arithmetics(gemm, target)}
    tiled = (one for one in choices(gemm, target) if one.tile and operands[one.arithmetic] == packing.operand)
    known = sorted({(choice.tile.rows, choice.tile.words) for choice in tiled if choice.tile})
    near = min(known, key=lambda one: (abs(one[0] - rows) + abs(one[1] - words), one), default=None)
    nearest = "none is compiled" if near is None else f"the nearest has {near[0]} rows and {near[1]} words"
    return f"no kernel for {what} reads {packing.operand} tiles of {rows} rows and {words} words; {nearest}"


# ---- what it takes -------------------------------------------------------------------------------


def price(gemm: Gemm, choice: Choice, target: GpuTarget, constants: Constants | None = None) -> Price:
    """What `choice` is predicted to take; by default with the constants of `target`.

    ValueError for one that does not compute the product, with those that do.
    """
    own = gpu_points.constants(target.name) if constants is None else constants
    return _price(gemm, choice, _code(gemm, choice, target), target, own)


def _price(
    gemm: Gemm, choice: Choice, code: Compiled, target: GpuTarget, constants: Constants, packing: Packing | None = None
) -> Price:
    """With weights packed as they are, by default as the tile is; of `unpack` as the one that it was compiled for."""
    tile, numbers = choice.tile or code.tile, choice.arithmetic
    layout = layout_of(gemm.weights, numbers, tile.rows, tile.words) if packing is None else packing.layout
    packed = weight_bytes(gemm, layout)
    if choice.tile is None:
        found = _unpacked(gemm, code, packed, target, constants)
    else:
        main = time(tiled(gemm, tile, code, packed, target), target, constants)
        found = replace(main, seconds=main.seconds + reduction(gemm, tile, target, constants))
    rough = numbers == "fp8" or (choice.kernel == "unpack" and (gemm.group is not None or not _passes(gemm, numbers)))
    return Price(choice, found.seconds, found.bound, rough, packed, moved_bytes(gemm, packed, numbers))


def _passes(gemm: Gemm, arithmetic: str) -> bool:
    """Whether a pass follows the library: it scales sums of 8 bits, by the activations' scale, or adds a bias.

    That of bfloat16 keeps the scales of outputs from rounding the weights (`kernels/unpack.py`). One that weights need
    which are small for float16 is not foreseen.
    """
    scaled = arithmetic in OPERANDS or not isinstance(gemm.activations, HalfFormat)
    return scaled or gemm.bias or (arithmetic == "bfloat16" and gemm.group is None)


def _unpacked(gemm: Gemm, code: Compiled, packed: int, target: GpuTarget, constants: Constants) -> Time:
    then = dense(gemm.m, gemm.n, gemm.k, code.activations, target, constants)
    if _passes(gemm, code.activations):
        bytes_ = SCALED_BYTES[code.activations] * gemm.m * gemm.n
        then = replace(then, seconds=then.seconds + pass_over(bytes_, target, constants))
    if ready(gemm.weights, code.activations):
        return then
    first = time(unpacked(gemm, code, packed, target), target, constants)
    terms = {name: first.terms[name] + then.terms[name] for name in then.terms}
    return Time(first.seconds + then.seconds, terms)


def _compiled(kernel: str, arithmetic: str, gemm: Gemm, target: GpuTarget) -> tuple[Compiled, ...]:
    return compiled.of(kernel, gemm.weights, arithmetic, gemm.group is not None, target.architecture)


def _fits(row: Compiled, arithmetic: str, gemm: Gemm) -> bool:
    """Whether no sub-tile has inputs of two groups, and of `a8` no two blocks the same group."""
    layout = layout_of(gemm.weights, arithmetic, row.tile.rows, row.tile.words)
    if gemm.group is None:
        return True
    return gemm.group % layout.inputs == 0 and (row.kernel != "a8" or layout.block % gemm.group == 0)


def _code(gemm: Gemm, choice: Choice, target: GpuTarget) -> Compiled:
    kernels = kernels_for(gemm, target)
    if (choice.kernel, choice.arithmetic) not in kernels:
        known = ", ".join(map(" ".join, kernels))
        asked = f"{choice.kernel} {choice.arithmetic}"
        raise ValueError(f"no kernel {asked!r} multiplies these formats; known: {known}")
    own = _codes(gemm, target)
    if choice.name not in own:
        listed = ", ".join(name for name in own if name.split()[:2] == choice.name.split()[:2])
        raise ValueError(f"{choice.name!r} does not compute this product; known: {listed or 'none'}")
    return own[choice.name]


@lru_cache(maxsize=4096)
def _codes(gemm: Gemm, target: GpuTarget) -> dict[str, Compiled]:
    """The code of each choice, by its name."""
    return {one.name: row for one, row in _choices(gemm, target, None)}
