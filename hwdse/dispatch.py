"""Which kernel computes a product on a GPU, and with which tile: a pure function of shape, formats and device.

Every choice can be listed (`choices`) and forced (`Choice.parse`, then `price` or a kernel); `choose` takes the one
that the model of `hwdse.gpu_time` predicts to take the least time, or hardly more and fewer bytes of weights. Kernels
are those of `kernels/`, where a build runs them (`hwdse.gpu_products`): nothing else is priced.

- `a8`: on the tensor cores for 8-bit numbers, where they multiply the two formats exactly and the device has them;
- `a16`: on those for 16-bit numbers; `gemv`: the same products without tensor cores, for a few vectors;
- `unpack`, and for int8 `unpack8`: weights become dense numbers, which a library then multiplies. Scales of groups are
  not for it: they would round the weights. Nor are 8-bit floats, of which it rounds the sums to 16 bits; those of int8
  are 32-bit integers, which passes scale.

Weights are packed once, in tiles of some rows and words, and a kernel's tile has as many: `choose` may be held to a
layout, so that a few vectors and a thousand are multiplied by the same packed weights.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from hwdse import compiled, gpu_points
from hwdse.compiled import Compiled
from hwdse.decode_steps import OPERANDS, layout_of
from hwdse.formats import Format, HalfFormat
from hwdse.gemm import Choice, Gemm, Tile
from hwdse.gpu_time import Constants, Time, pass_over, time
from hwdse.gpu_work import dense, moved_bytes, reduction, tiled, unpacked, weight_bytes
from hwdse.packing import Layout
from hwdse.paths import paths
from hwdse.target import GpuTarget

SPLITS = (1, 2, 4, 8, 16)  # programs that share the inputs of an output
GEMV_MOST = 4  # activation vectors of `gemv`
DENSE = ("unpack", "unpack8")  # have no tile: that of the packed weights is their own
FEWEST_DENSE = 17  # activation vectors of `torch._int_mm`
WHOLE = 8  # outputs: `torch._int_mm` takes multiples of it
SCALED_BYTES = (8, 6)  # of a sum of int8: read, scaled and written as float32, then read, scaled and written as float16
NEAR = 1.02  # times the least time: closer than the model is to any GPU


@dataclass(frozen=True, slots=True)
class Price:
    """What a choice is predicted to take."""

    choice: Choice
    arithmetic: str  # of the tensor cores: int8, fp8, float16 or bfloat16
    seconds: float
    bound: str  # what takes the longest
    weight_bytes: int  # packed, with scales and zero points
    moved_bytes: int  # weights, activations and sums


# ---- what may compute a product ------------------------------------------------------------------


def arithmetic(gemm: Gemm, target: GpuTarget) -> str:
    """int8, fp8, float16 or bfloat16: the narrowest that multiplies the two formats exactly on `target`.

    ValueError for weights that no kernel packs.
    """
    if not 2 <= gemm.weights.bits <= 8:
        raise ValueError(f"packed weights have 2 to 8 bits, not those of {gemm.weights.name}; the nearest is int2")
    if isinstance(gemm.activations, HalfFormat):
        return gemm.activations.name
    terms = gemm.k if gemm.group is None else gemm.group
    return _arithmetic(gemm.weights, gemm.activations, target.fp8_tflops > 0, gemm.zero_points, terms)


@cache
def _arithmetic(weights: Format, activations: Format, fp8: bool, zero_points: bool, terms: int) -> str:
    """8-bit floats have no zero points, and an int32 holds a sum of so many `terms` only."""
    for path in paths(weights, activations):
        most = path.most_inputs(zero_points)
        if (path.arithmetic != "fp8" or (fp8 and not zero_points)) and (most is None or terms <= most):
            return path.arithmetic
    # bfloat16 holds all weights, and all activations but float16
    raise ValueError(f"float16 activations meet weights that float16 holds, unlike {weights.name}; bfloat16 holds it")


def kernels_for(gemm: Gemm, target: GpuTarget) -> tuple[str, ...]:
    """The kernels that take the formats and the shape on `target`."""
    numbers = arithmetic(gemm, target)
    if numbers in OPERANDS:
        return ("a8", "unpack8") if numbers == "int8" and _is_plain(gemm) else ("a8",)
    few = ("gemv",) if gemm.m <= GEMV_MOST else ()
    return ("a16", *few) if gemm.group is not None else ("a16", *few, "unpack")


def _is_plain(gemm: Gemm) -> bool:
    """Whether `torch._int_mm` has all of the sums: nothing corrects them afterwards, and it takes the shape."""
    found = next(path for path in paths(gemm.weights, gemm.activations) if path.arithmetic == "int8")
    corrected = gemm.zero_points or found.weights.offset or found.activations.offset
    return gemm.group is None and not corrected and gemm.m >= FEWEST_DENSE and gemm.n % WHOLE == 0


def tiles(kernel: str, gemm: Gemm, target: GpuTarget) -> tuple[Tile, ...]:
    """The tiles that `kernel` was compiled with for the formats, with every split of the inputs; none of dense ones.

    None has more columns than it needs, but for the narrowest.
    """
    return tuple(tile for tile, _ in _tiles(kernel, gemm, target))


def _tiles(kernel: str, gemm: Gemm, target: GpuTarget) -> Iterator[tuple[Tile, Compiled]]:
    """The same, each with its code."""
    rows = [row for row in _compiled(kernel, gemm, target) if row.occupancy(target) and _fits(row, gemm, target)]
    enough = min((row.tile.columns for row in rows if row.tile.columns >= gemm.m), default=None)
    for row in rows if kernel not in DENSE else ():
        if enough is None or row.tile.columns <= enough:
            splits = (split for split in SPLITS if split == 1 or split * row.inputs <= gemm.k)
            yield from ((replace(row.tile, split=split), row) for split in splits)


def choices(gemm: Gemm, target: GpuTarget, layout: Layout | None = None) -> tuple[Choice, ...]:
    """Everything that may compute the product, with weights packed in `layout` if there is one."""
    return tuple(choice for choice, _ in _choices(gemm, target, layout))


def _choices(gemm: Gemm, target: GpuTarget, layout: Layout | None) -> Iterator[tuple[Choice, Compiled]]:
    for kernel in kernels_for(gemm, target):
        for tile, row in _tiles(kernel, gemm, target):
            if layout is None or (tile.rows, tile.words) == (layout.rows, layout.words):
                yield Choice(kernel, tile), row
        if kernel in DENSE:
            yield from ((Choice(kernel), row) for row in _compiled(kernel, gemm, target))


def choose(gemm: Gemm, target: GpuTarget, layout: Layout | None = None) -> Choice:
    """The choice with the fewest bytes of weights of those predicted to take up to `NEAR` times the least time."""
    return best(gemm, target, layout).choice


@lru_cache(maxsize=65536)
def best(gemm: Gemm, target: GpuTarget, layout: Layout | None = None) -> Price:
    """The price of what `choose` chooses; ValueError where nothing computes the product."""
    constants = gpu_points.constants(target.name)
    found = [_price(gemm, choice, row, target, constants, layout) for choice, row in _choices(gemm, target, layout)]
    if not found:
        raise ValueError(_nothing(gemm, target, layout))
    return ranked(found)[0]


def ranked(prices: Sequence[Price]) -> list[Price]:
    """The one that is chosen, then the others by time, of equals the first by name."""
    least = min((one.seconds for one in prices), default=0.0)

    def late(one: Price) -> tuple[bool, int, float, str]:
        return one.seconds > NEAR * least, one.weight_bytes, one.seconds, one.choice.name

    first = min(prices, key=late, default=None)
    return sorted(prices, key=lambda one: (one is not first, one.seconds, one.choice.name))


def _nothing(gemm: Gemm, target: GpuTarget, layout: Layout | None) -> str:
    what = f"{gemm.weights.name} on {arithmetic(gemm, target)} of {target.name}"
    if layout is None:
        return f"no kernel was compiled for {what}; `python -m hwdse.kernels._table` compiles more"
    known = sorted({(choice.tile.rows, choice.tile.words) for choice in choices(gemm, target) if choice.tile})
    near = min(known, key=lambda one: (abs(one[0] - layout.rows) + abs(one[1] - layout.words), one), default=None)
    nearest = "none is compiled" if near is None else f"the nearest has {near[0]} rows and {near[1]} words"
    return f"no kernel for {what} reads tiles of {layout.rows} rows and {layout.words} words; {nearest}"


# ---- what it takes -------------------------------------------------------------------------------


def price(gemm: Gemm, choice: Choice, target: GpuTarget, constants: Constants | None = None) -> Price:
    """What `choice` is predicted to take; by default with the constants of `target`.

    ValueError for one that does not compute the product, with those that do.
    """
    own = gpu_points.constants(target.name) if constants is None else constants
    return _price(gemm, choice, _code(gemm, choice, target), target, own)


def _price(
    gemm: Gemm, choice: Choice, code: Compiled, target: GpuTarget, constants: Constants, layout: Layout | None = None
) -> Price:
    """With weights packed in `layout`, by default that of the tile; of `unpack` the one that it was compiled for."""
    tile, numbers = choice.tile or code.tile, arithmetic(gemm, target)
    packed = weight_bytes(gemm, layout or layout_of(gemm.weights, numbers, tile.rows, tile.words))
    if choice.tile is None:
        found = _unpacked(gemm, code, packed, target, constants)
    else:
        main = time(tiled(gemm, tile, code, packed, target), target, constants)
        found = replace(main, seconds=main.seconds + reduction(gemm, tile, target, constants))
    moved = moved_bytes(gemm, packed, numbers)
    return Price(choice, numbers, found.seconds, found.bound, packed, moved)


def _unpacked(gemm: Gemm, code: Compiled, packed: int, target: GpuTarget, constants: Constants) -> Time:
    first = time(unpacked(gemm, code, packed, target), target, constants)
    then = dense(gemm.m, gemm.n, gemm.k, code.activations, target, constants)
    terms = {name: first.terms[name] + then.terms[name] for name in then.terms}
    passes = SCALED_BYTES if code.activations == "int8" else ()
    scaled = sum(pass_over(each * gemm.m * gemm.n, target, constants) for each in passes)
    return Time(first.seconds + then.seconds + scaled, terms)


def _compiled(kernel: str, gemm: Gemm, target: GpuTarget) -> tuple[Compiled, ...]:
    grouped = gemm.group is not None
    return compiled.of(kernel, gemm.weights, arithmetic(gemm, target), grouped, target.architecture)


def _fits(row: Compiled, gemm: Gemm, target: GpuTarget) -> bool:
    """Whether no sub-tile has inputs of two groups, and of `a8` no two blocks the same group."""
    layout = layout_of(gemm.weights, arithmetic(gemm, target), row.tile.rows, row.tile.words)
    if gemm.group is None:
        return True
    return gemm.group % layout.inputs == 0 and (row.kernel != "a8" or layout.block % gemm.group == 0)


def _code(gemm: Gemm, choice: Choice, target: GpuTarget) -> Compiled:
    known = kernels_for(gemm, target)
    if choice.kernel not in known:
        raise ValueError(f"no kernel {choice.kernel!r} multiplies these formats; known: {', '.join(known)}")
    own = _codes(gemm, target)
    if choice.name not in own:
        listed = ", ".join(name for name in own if name.split()[0] == choice.kernel)
        raise ValueError(f"{choice.name!r} does not compute this product; known: {listed or 'none'}")
    return own[choice.name]


@lru_cache(maxsize=4096)
def _codes(gemm: Gemm, target: GpuTarget) -> dict[str, Compiled]:
    """The code of each choice, by its name."""
    return {one.name: row for one, row in _choices(gemm, target, None)}
