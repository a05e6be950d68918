"""What is synthesised to calibrate the cost model: units of every kind, with every factor varied against the others.

Pairs of formats are stratified: all equal pairs, all integers with each other, then minifloats and mixed ones at
random. Sizes are drawn per unit. The same seed and RTL give the same sample.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, product
from random import Random

from hwdse import units
from hwdse.arithmetic import lane
from hwdse.design import Folding
from hwdse.formats import Format, IntFormat, known_formats
from hwdse.matrix_vector import EXPONENT_BITS, MatrixVector, Style, table_bits
from hwdse.netlist import Unit
from hwdse.serial_window import window_serial
from hwdse.target import FpgaTarget
from hwdse.thresholds import Thresholds, levels
from hwdse.window import Window, window_parallel

# LUTs of the lanes of one unit, at most: the time of a synthesis grows faster than its netlist.
LARGEST_LUTS = 1000
# Of weights: with fewer words some bit of them is often the same in all, and synthesis simplifies what it multiplies.
FEWEST_WORDS = 8


@dataclass(frozen=True, slots=True)
class Point:
    """A unit on a device."""

    unit: Unit
    device: str


Draw = Callable[[Random, FpgaTarget], Unit]


def points(target: FpgaTarget, runs: int, seed: int = 0, matrices: int | None = None) -> tuple[Point, ...]:
    """`runs` units for `target`: `matrices` of them matrix-vector units, half if None; of each other kind equally many.

    Every kind is a sequence of its own, so that a smaller sample is a part of a larger one.
    """
    few = runs // 2 if matrices is None else matrices
    first = islice(_matrices(Random(f"{seed} {target.family}"), target), few)
    others = [_drawn(draw, target, f"{seed} {target.family} {kind}") for kind, draw in _OTHERS.items()]
    found = [*first, *islice(chain.from_iterable(zip(*others, strict=True)), runs - few)]
    Random(seed).shuffle(found)  # so that whatever is measured first is a sample too
    return tuple(Point(unit, target.name) for unit in found)


def _drawn(draw: Draw, target: FpgaTarget, seed: str) -> Iterator[Unit]:
    random = Random(seed)
    while True:
        yield draw(random, target)


# ---- matrix-vector units -------------------------------------------------------------------------


def weights() -> tuple[Format, ...]:
    """The formats of weights that hardware is built for: signed, of 3 to 8 bits."""
    return tuple(fmt for fmt in known_formats(bits=range(3, 9)) if fmt.exponent <= EXPONENT_BITS)


def activations() -> tuple[Format, ...]:
    """Of activations: those of weights, and unsigned ones."""
    unsigned = known_formats(bits=range(3, 9), signed=False)
    return weights() + tuple(fmt for fmt in unsigned if fmt.exponent <= EXPONENT_BITS)


def _pairs(random: Random) -> Iterator[tuple[Format, Format]]:
    """Equal pairs and pairs of integers once, then others without end, mixed and not."""
    integers = [fmt for fmt in weights() if isinstance(fmt, IntFormat)]
    first = [*((fmt, fmt) for fmt in weights()), *product(integers, integers)]
    random.shuffle(first)
    yield from dict.fromkeys(first)
    while True:
        yield random.choice(weights()), random.choice(activations())


def _matrices(random: Random, target: FpgaTarget) -> Iterator[Unit]:
    for weight, activation in _pairs(random):
        folding = _folding(random, weight, activation, target)
        yield matrix(random, target, weight, activation, folding, style=_style(random, weight, activation, target))


def _folding(random: Random, weight: Format, activation: Format, target: FpgaTarget) -> Folding:
    """PE and SIMD whose lanes stay below the largest netlist."""
    most = LARGEST_LUTS / (lane(weight, activation, target.lut_inputs) + 10)
    sizes = [(pe, simd) for pe in (1, 2, 3, 4, 8) for simd in (1, 2, 3, 4, 5, 8, 9, 12, 16, 32) if pe * simd <= most]
    return Folding(*random.choice(sizes))


def _style(random: Random, weight: Format, activation: Format, target: FpgaTarget) -> Style:
    """Mostly the shift of significands; a table where it fits, and DSPs where the device has them."""
    styles: list[Style] = ["shift"] * 6
    styles += ["table"] * 2 if table_bits(weight, activation) <= 6 else []
    styles += ["dsp"] if target.dsps else []
    styles += ["decode"] if max(weight.exponent, activation.exponent) <= 3 else []
    return random.choice(styles)


def matrix(
    random: Random, target: FpgaTarget, weight: Format, activation: Format, folding: Folding, *, style: Style
) -> Unit:
    """A matrix-vector unit of a random size with random weights."""
    sizes = [(p, t) for p in (1, 2, 3, 4, 8) for t in (1, 2, 3, 4, 8, 9, 16, 36) if p * t >= FEWEST_WORDS]
    passes, terms = random.choice(sizes)
    deep = passes * terms > 64 or random.random() < 0.2
    value = MatrixVector(
        weight,
        activation,
        rows=passes * folding.pe,
        dot=terms * folding.simd,
        folding=folding,
        shared=random.random() < 0.9,
        style=style,
        block=deep and target.brams > 0,
        lut_inputs=target.lut_inputs,
        dsp=target.dsp if style == "dsp" else None,
    )
    bits = folding.pe * folding.simd * weight.bits
    return value.unit([random.getrandbits(bits) for _ in range(value.words)])


# ---- the other kinds -----------------------------------------------------------------------------


def _format(random: Random) -> Format:
    return random.choice(activations())


def _thresholds(random: Random, target: FpgaTarget, *, parallel: bool) -> Unit:
    """Random thresholds, spread over the sums; of few levels if all are compared at once."""
    fmt = random.choice([fmt for fmt in activations() if not parallel or fmt.bits <= 4])
    acc, lanes, words = random.randint(8, 32), random.choice((1, 2, 4)), random.choice((1, 4, 8, 16, 64))
    count, top = len(levels(fmt)) - 1, 1 << acc - 1
    rows = tuple(tuple(sorted(random.randrange(-top, top) for _ in range(count))) for _ in range(words * lanes))
    block = 129 if target.brams else None  # as the accelerator does: memories of more than 128 words
    value = Thresholds(fmt, acc, rows)
    return value.parallel(lanes, block_words=block) if parallel else value.search(lanes, block_words=block)


def _search(random: Random, target: FpgaTarget) -> Unit:
    return _thresholds(random, target, parallel=False)


def _compare(random: Random, target: FpgaTarget) -> Unit:
    return _thresholds(random, target, parallel=True)


def _window(random: Random, *, parallel: bool) -> Window:
    """A kernel on an image that it fits in; in half of the cases with every beat a group of its own."""
    size, taps, stride = random.choice((6, 8, 12, 16, 28, 32)), random.choice((1, 2, 3, 3, 3, 5)), random.choice((1, 2))
    pad = (taps - 1) // 2 if random.random() < 0.6 else 0
    lanes, beats = random.choice((1, 2, 4, 8, 16)), random.choice((1, 2, 4, 8))
    groups = beats if random.random() < 0.5 and not parallel else 1
    bits = random.randint(3, 8)
    kernel = (max(taps, 2), max(taps, 2)) if parallel else (taps, taps)
    return Window(size, size, kernel, (stride, stride), (pad, pad), lanes, bits, beats, groups)


def _serial(random: Random, target: FpgaTarget) -> Unit:
    window = _window(random, parallel=False)
    return window_serial(window, block=target.brams > 0 and random.random() < 0.5)


def _parallel(random: Random, target: FpgaTarget) -> Unit:
    window = _window(random, parallel=True)
    return window_parallel(window, block=target.brams > 0 and random.random() < 0.5)


def _fifo(random: Random, target: FpgaTarget) -> Unit:
    depth = random.choice((1, 2, 4, 16, 32, 33, 64, 100, 128, 512, 1024))
    return units.fifo(random.choice((4, 8, 16, 24, 32, 64)), depth, block=depth > 128 and target.brams > 0)


def _width(random: Random, target: FpgaTarget) -> Unit:
    few, factor = random.choice((1, 2, 3, 4, 8)), random.choice((2, 3, 4, 8, 9))
    ends = (few, few * factor) if random.random() < 0.5 else (few * factor, few)
    return units.width(random.randint(3, 8), *ends)


def _residual(random: Random, target: FpgaTarget) -> Unit:
    return units.residual_add(_format(random), random.choice((1, 2, 4, 8)))


def _max_pool(random: Random, target: FpgaTarget) -> Unit:
    return units.max_pool(_format(random), random.choice((1, 2, 4, 8, 16)), random.choice((4, 9)))


def _sum_pool(random: Random, target: FpgaTarget) -> Unit:
    groups = random.choice((1, 1, 4, 16, 64))
    return units.sum_pool(_format(random), random.choice((1, 2, 4, 8)), random.choice((4, 16, 49, 64)), groups)


def _table(random: Random, target: FpgaTarget) -> Unit:
    bits, out = random.randint(3, 8), random.randint(3, 8)
    codes = [random.getrandbits(out) for _ in range(1 << bits)]
    return units.code_table(codes, out, random.choice((1, 2, 4, 8)))


def _branch(random: Random, target: FpgaTarget) -> Unit:
    return units.branch(random.choice((4, 8, 16, 32, 64)))


_OTHERS: dict[str, Draw] = {
    "search": _search,
    "serial": _serial,
    "compare": _compare,
    "parallel": _parallel,
    "search again": _search,  # thresholds are the largest part beside the products
    "residual": _residual,
    "max pool": _max_pool,
    "sum pool": _sum_pool,
    "fifo": _fifo,
    "width": _width,
    "table": _table,
    "branch": _branch,
}
KINDS = len(_OTHERS)  # beside matrix-vector units
