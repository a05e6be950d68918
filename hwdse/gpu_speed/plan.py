"""What is timed, the most important first, so that a run of any length says the most that it can."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from hwdse.formats import parse
from hwdse.gemm import Choice, Gemm
from hwdse.gpu_measurements import Point

SHAPES = ((8192, 8192), (28672, 8192))  # n x k of the bars
DECODE, PREFILL, BETWEEN = (1, 2, 4, 8, 16), (512, 2048, 8192), (32, 64, 128, 256)
VECTORS = (*DECODE, *BETWEEN, *PREFILL)
INTEGERS = ("int4", "int3", "int8", "int6", "int5")  # of the bars
MINIFLOATS = ("e2m1", "e3m2", "e2m3", "e2m2", "e3m1", "e2m0", "e1m1", "e4m3", "e3m3", "int7")
GROUPS = (128, 64, 32)
PAIRS = (  # weights and activations of 8-bit tensor cores; the first three are the bars'
    ("int8", "int8"),
    ("int4", "int8"),
    ("e4m3fn", "e4m3fn"),
    ("int6", "int8"),
    ("int3", "int8"),
    ("e2m1", "int8"),
    ("e2m3", "int8"),
    ("e3m2", "e4m3fn"),
    ("e2m1", "e4m3fn"),
    ("e2m3", "e2m3"),
)
QUANTISED = ("int8", "e4m3fn", "int4", "e2m1", "e3m2", "int6")  # what quantises is timed with
NUMBERS = (8192, 8192)  # that it quantises
SWEEP = 12  # tiles of a product that are compared
FIRST = 4  # of these are those that are predicted to be fastest
STREAM = 1 << 30  # bytes of a stream: much more than any L2
LARGE = 8192  # m, n and k of a product that no overhead touches
REFERENCE = "torch.mm"  # what all products are compared with, in bfloat16
CEILINGS = ("launch", "read", "copy")


@dataclass(frozen=True, slots=True)
class Matrix:
    """The weights of a fused layer of a transformer."""

    model: str
    layer: str
    n: int
    k: int


# Hidden, intermediate and key-value sizes of config.json of meta-llama/Meta-Llama-3-8B and -70B.
LLAMA = (
    Matrix("8B", "qkv", 6144, 4096),
    Matrix("8B", "o", 4096, 4096),
    Matrix("8B", "gate_up", 28672, 4096),
    Matrix("8B", "down", 4096, 14336),
    Matrix("70B", "qkv", 10240, 8192),
    Matrix("70B", "o", 8192, 8192),
    Matrix("70B", "gate_up", 57344, 8192),
    Matrix("70B", "down", 8192, 28672),
)

TUNED = tuple(
    own for own in LLAMA if (own.model, own.layer) in (("8B", "gate_up"), ("8B", "down"))
)  # in gemlite's table

Choices = Callable[[Gemm], Sequence[Choice]]  # of a product, the one that is to be taken first


def plan(choices: Choices) -> tuple[Point, ...]:
    """All points, each once."""
    first = (_ceilings(), _decode(choices), _prefill(choices), _passes(), _others(choices))
    sections = (*first, _llama(choices), _untuned())
    return tuple(dict.fromkeys(point for section in sections for point in section))


def gemm(m: int, n: int, k: int, weights: str, activations: str, group: int | None = None) -> Gemm:
    """A product by the names of its formats."""
    return Gemm(m, n, k, parse(weights), parse(activations), group)


def point(of: Gemm, choice: Choice) -> Point:
    """A product by one kernel with one tile."""
    tile = "" if choice.tile is None else choice.tile.name
    formats = of.weights.name, of.activations.name
    return Point(choice.kernel, of.m, of.n, of.k, *formats, of.group, tile, choice.arithmetic)


def reference(m: int, n: int, k: int) -> Point:
    """What a product is compared with: cuBLAS in bfloat16."""
    return Point(REFERENCE, m, n, k, "bfloat16", "bfloat16")


def _chosen(choices: Choices, of: Gemm, most: int = 1) -> Iterator[Point]:
    """The first choice of a product, or more that differ; none where no kernel takes it."""
    yield from (point(of, choice) for choice in varied(choices(of))[:most])


def varied(ranked: Sequence[Choice]) -> list[Choice]:
    """The first ones, then the first of each shape of tile, then the rest: a model that errs does so for a shape."""
    shapes: dict[object, Choice] = {}
    for choice in ranked:
        tile, by = choice.tile, (choice.kernel, choice.arithmetic)
        shapes.setdefault((by, tile and (tile.rows, tile.columns, tile.words, tile.warps)), choice)
    return list(dict.fromkeys([*ranked[:FIRST], *shapes.values(), *ranked]))


def _of_each_kernel(choices: Choices, of: Gemm) -> Iterator[Point]:
    """The first choice of each kernel and arithmetic: fused, and dequantised for a library."""
    firsts: dict[tuple[str, str], Choice] = {}
    for choice in choices(of):
        firsts.setdefault((choice.kernel, choice.arithmetic), choice)
    yield from (point(of, first) for first in firsts.values())


def _as_chosen(choices: Choices) -> Choices:
    """Of `choices` those that multiply as the first does."""

    def alike(of: Gemm) -> Sequence[Choice]:
        ranked = choices(of)
        return [one for one in ranked if one.arithmetic == ranked[0].arithmetic]

    return alike


def _ceilings() -> Iterator[Point]:
    yield Point("launch", 1, 1, 1)
    yield from (Point(kernel, 1, 1, STREAM) for kernel in ("read", "copy"))
    yield reference(LARGE, LARGE, LARGE)
    yield Point("torch._int_mm", LARGE, LARGE, LARGE, "int8", "int8")
    yield Point("torch._scaled_mm", LARGE, LARGE, LARGE, "e4m3fn", "e4m3fn")


def _decode(choices: Choices) -> Iterator[Point]:
    """The bars up to 16 vectors: what is chosen, then Humming, then other tiles, then the other numbers of vectors."""
    ends = (DECODE[-1], DECODE[0])
    for m in ends:
        yield from (reference(m, n, k) for n, k in SHAPES)
        yield from _each(choices, (m,), INTEGERS)
    for m in ends:
        yield from (Point("humming", m, n, k, name, "float16") for n, k in SHAPES for name in INTEGERS)
        yield from _each(choices, (m,), INTEGERS, SWEEP)
    for m in DECODE[1:-1]:
        yield from (reference(m, n, k) for n, k in SHAPES)
        yield from _each(choices, (m,), INTEGERS)
        yield from (Point("humming", m, n, k, name, "float16") for n, k in SHAPES for name in INTEGERS)


def _each(choices: Choices, vectors: Iterable[int], names: Iterable[str], most: int = 1) -> Iterator[Point]:
    """Products with float16 of the shapes of the bars."""
    for m in vectors:
        for n, k in SHAPES:
            for name in names:
                yield from _chosen(choices, gemm(m, n, k, name, "float16"), most)


def _prefill(choices: Choices) -> Iterator[Point]:
    """The bars from 512 vectors; with the most, which take the longest, in the chosen arithmetic alone."""
    of = dict.fromkeys(PREFILL, choices) | {PREFILL[-1]: _as_chosen(choices)}
    for n, k in SHAPES:
        for m in reversed(PREFILL):
            yield reference(m, n, k)
            for pair in (("int4", "float16"), ("int8", "float16"), *PAIRS[:3]):
                yield from _of_each_kernel(of[m], gemm(m, n, k, *pair))
            yield Point("torch._int_mm", m, n, k, "int8", "int8")
            yield Point("torch._scaled_mm", m, n, k, "e4m3fn", "e4m3fn")
    for m in (PREFILL[0], PREFILL[-1]):
        for weights, activations in (("int4", "float16"), *PAIRS[:2]):
            yield from _chosen(of[m], gemm(m, *SHAPES[0], weights, activations), SWEEP)
        yield from (Point("humming", m, *SHAPES[0], *pair) for pair in (("int4", "float16"), *PAIRS[:3]))


def _passes() -> Iterator[Point]:
    """What reads numbers and writes them quantised: activations for products, and fake quantisation."""
    m, k = NUMBERS
    for name in QUANTISED:
        yield Point("quantise", m, 1, k, activations=name)
        yield Point("fake_quantize", m, 1, k, activations=name)


def _others(choices: Choices) -> Iterator[Point]:
    """Other formats, groups and bfloat16 on the shapes of the bars, and other people's kernels."""
    m = DECODE[-1]
    yield from _each(choices, (m,), MINIFLOATS)
    yield from (Point("humming", m, *SHAPES[0], name, "float16") for name in MINIFLOATS)
    for n, k in SHAPES:
        yield from _chosen(choices, gemm(m, n, k, "int4", "bfloat16"))
        for group in GROUPS:
            yield from _chosen(choices, gemm(m, n, k, "int4", "float16", group))
        yield from _chosen(choices, gemm(m, n, k, "int3", "float16", GROUPS[0]))
        yield Point("humming", m, n, k, "int4", "float16", GROUPS[0])
        yield Point("torch._weight_int4pack_mm", m, n, k, "int4", "bfloat16", GROUPS[0])
        for pair in PAIRS:
            yield from _of_each_kernel(choices, gemm(m, n, k, *pair))
    for vectors in (1, m, BETWEEN[-1]):
        for own in TUNED:
            yield reference(vectors, own.n, own.k)
            yield from _chosen(choices, gemm(vectors, own.n, own.k, "int4", "float16", GROUPS[0]))
            yield Point("gemlite", vectors, own.n, own.k, "int4", "float16", GROUPS[0])
    for pair in (*PAIRS[3:], ("int4", "bfloat16")):
        yield from _of_each_kernel(choices, gemm(PREFILL[1], *SHAPES[0], *pair))


def _llama(choices: Choices) -> Iterator[Point]:
    """The fused layers, at all numbers of vectors, and the larger shape of the bars at those that have none."""
    shapes = list(dict.fromkeys([*((own.n, own.k) for own in LLAMA), *SHAPES]))
    for m in (16, 1, 64, 256, 2048, 8, 128, 32, 4, 512, 8192, 2):
        for n, k in shapes:
            yield reference(m, n, k)
            for name in (*INTEGERS, "e2m1", "e3m2"):
                yield from _chosen(choices, gemm(m, n, k, name, "float16"))
            if m >= 64:
                for pair in PAIRS[:3]:
                    yield from _chosen(choices, gemm(m, n, k, *pair))


def _untuned() -> Iterator[Point]:
    """gemlite on shapes that it has to tune itself for, which takes minutes."""
    for m in (1, 16):
        yield Point("gemlite", m, *SHAPES[0], "int4", "float16", GROUPS[0])
        yield Point("gemlite", m, *SHAPES[0], "int8", "float16")
    yield Point("gemlite", PREFILL[1], *SHAPES[0], "int8", "int8")


def compile_keys(points: Iterable[Point]) -> tuple[Point, ...]:
    """Points that compile what all of `points` need; what torch has compiled and what tunes itself is left out."""
    found: dict[tuple[object, ...], Point] = {}
    for one in points:
        if one.kernel == "humming":  # compiles for a shape and a number of vectors
            found.setdefault((one,), one)
        elif one.weights and not one.kernel.startswith("torch.") and one.kernel != "gemlite":
            # Triton compiles apart for a size of 1, and for one that 16 does not divide.
            kind = "one" if one.m == 1 else one.m % 16 == 0
            own = one.kernel, one.arithmetic, one.tile, one.weights, one.activations, one.group, kind
            found.setdefault(own, one)
    return tuple(found.values())
