"""What a table of timings says: ratios to cuBLAS of the same run, shares of the ceilings, and which bars are met."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from hwdse.gpu_measurements import Origin, Point, Timing, newest
from hwdse.gpu_speed.plan import (
    DECODE,
    INTEGERS,
    LLAMA,
    PAIRS,
    PREFILL,
    QUANTISED,
    REFERENCE,
    SHAPES,
    STREAM,
    Choices,
    point,
    reference,
)

# Issue 7, "Speed": ratios over torch in bfloat16, with up to 16 vectors, at the two shapes of the bars.
DECODE_BARS = {"int8": (1.75, 1.9), "int6": (2.2, 2.45), "int5": (2.5, 2.85), "int4": (2.9, 3.4), "int3": (3.4, 4.2)}
HUMMING_BARS = {"int3": 1.0, "int5": 1.0, "int6": 1.0, "int4": 0.97, "int8": 0.97}  # level: within a noise of 3 %
SIXTEEN_BARS = {512: 0.7, 2048: 0.88, 8192: 0.95}  # by vectors, fused or dequantised
EIGHT_BAR = 1.6
PASS_BAR = 0.85  # of the bandwidth of a copy
TILE_BAR = 0.95  # the best time of those tried over that of the choice
FEWEST_TILES = 3  # that make a comparison


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that is to be reached."""

    name: str
    least: float
    found: float | None  # the worst of what was measured; None: nothing was
    count: int = 0  # what was measured
    of: int = 0  # what it asks for

    @property
    def words(self) -> str:
        """`met`, `missed`, `met by 3 of 5, the rest not measured` or `not measured`."""
        if self.found is None:
            return "not measured"
        verdict = "met" if self.found >= self.least else "missed"
        return verdict if self.count == self.of else f"{verdict} by {self.count} of {self.of}; the rest is not measured"


class Speeds:
    """The timings of one device with the versions of the last run."""

    def __init__(self, timings: Sequence[Timing], choices: Choices) -> None:
        self.origin = timings[-1].origin if timings else None
        self.rows = [row for row in timings if _versions(row.origin) == _versions(self.origin)]
        self._choices = choices

    @cached_property
    def newest(self) -> dict[Point, Timing]:
        """The last row of each point."""
        return {row.point: row for row in newest(self.rows)}

    @cached_property
    def _references(self) -> dict[tuple[str, Point], float]:
        rows = (row for row in self.rows if row.point.kernel == REFERENCE and row.seconds is not None)
        return {(row.origin.start, row.point): row.seconds for row in rows if row.seconds is not None}

    @cached_property
    def starts(self) -> list[str]:
        """When the runs began that the rows are from."""
        return sorted({row.origin.start for row in self.newest.values()})

    def at(self, where: Point) -> Timing | None:
        """The row of a point, if it has a time."""
        row = self.newest.get(where)
        return row if row is not None and row.seconds is not None else None

    def seconds(self, where: Point) -> float | None:
        """The time of a point."""
        return None if (row := self.at(where)) is None else row.seconds

    def tiles(self, where: Point) -> list[Timing]:
        """All times of a product of ours, of every kernel and tile, the fastest first."""
        return self._tiles.get(_product(where), [])

    @cached_property
    def _tiles(self) -> dict[Point, list[Timing]]:
        found: dict[Point, list[Timing]] = {}
        for row in self.newest.values():
            if row.seconds is not None and _ours(row.point):
                found.setdefault(_product(row.point), []).append(row)
        return {key: sorted(rows, key=lambda row: row.seconds or 0.0) for key, rows in found.items()}

    def chosen(self, where: Point) -> Timing | None:
        """The row of the kernel and tile that are chosen for a product."""
        for choice in self._choices(where.gemm)[:1] if self.rows else ():
            return self.at(point(where.gemm, choice))
        return None

    def best(self, where: Point) -> Timing | None:
        """The fastest row of a product."""
        return next(iter(self.tiles(where)), None)

    def ratio(self, row: Timing | None) -> float | None:
        """How many times as fast as torch in bfloat16, in the same run."""
        if row is None or row.seconds is None:
            return None
        own = self._references.get((row.origin.start, reference(row.point.m, row.point.n, row.point.k)))
        return None if own is None else own / row.seconds

    def share(self, row: Timing | None, ceiling: str) -> float | None:
        """The bytes a second of a row over those of `read` or `copy`."""
        top = self.at(Point(ceiling, 1, 1, STREAM))
        rates = [None if each is None else rate(each) for each in (row, top)]
        return None if rates[0] is None or rates[1] is None else rates[0] / rates[1]


def _versions(origin: Origin | None) -> tuple[str, str] | None:
    return None if origin is None else (origin.driver, origin.versions)


def rate(row: Timing) -> float | None:
    """Bytes a second."""
    return None if row.seconds is None or row.bytes is None else row.bytes / row.seconds


def _product(where: Point) -> Point:
    return replace(where, kernel="", tile="", arithmetic="")


def _ours(where: Point) -> bool:
    return where.kernel not in ("humming", "gemlite") and not where.kernel.startswith("torch.") and where.weights != ""


def product(m: int, n: int, k: int, weights: str, activations: str, group: int | None = None) -> Point:
    """A product, without a kernel."""
    return Point("", m, n, k, weights, activations, group)


# ---- bars ----------------------------------------------------------------------------------------


def bars(speeds: Speeds) -> list[Bar]:
    """All of them."""
    return [*_decode(speeds), *_humming(speeds), *_prefill(speeds), *_passes(speeds), _tiles(speeds)]


def _bar(name: str, least: float, found: Iterable[float | None]) -> Bar:
    all_of = list(found)
    there = [each for each in all_of if each is not None]
    return Bar(name, least, min(there, default=None), len(there), len(all_of))


def _decode(speeds: Speeds) -> Iterator[Bar]:
    for name, least in DECODE_BARS.items():
        for (n, k), own in zip(SHAPES, least, strict=True):
            rows = (speeds.chosen(product(m, n, k, name, "float16")) for m in DECODE)
            yield _bar(f"{name} x float16 over torch, M <= 16, {n} x {k}", own, map(speeds.ratio, rows))


def _humming(speeds: Speeds) -> Iterator[Bar]:
    for name, least in HUMMING_BARS.items():
        rivals = [Point("humming", m, n, k, name, "float16") for m in DECODE for n, k in SHAPES]
        yield _bar(f"{name} x float16 over Humming, M <= 16", least, (_over(speeds, rival) for rival in rivals))


def _over(speeds: Speeds, rival: Point) -> float | None:
    """How many times as fast as `rival`: by their times in one run, else by what each is over torch in its own run."""
    own, other = speeds.chosen(rival), speeds.at(rival)
    if own is None or other is None or own.seconds is None or other.seconds is None:
        return None
    if own.origin.start == other.origin.start:
        return other.seconds / own.seconds
    ratios = speeds.ratio(own), speeds.ratio(other)
    return None if ratios[0] is None or ratios[1] is None else ratios[0] / ratios[1]


def _prefill(speeds: Speeds) -> Iterator[Bar]:
    eight = [product(m, n, k, *pair) for pair in PAIRS[:3] for m in PREFILL for n, k in SHAPES]
    yield _bar("8-bit activations over torch, M >= 512", EIGHT_BAR, (speeds.ratio(speeds.best(own)) for own in eight))
    for m, least in SIXTEEN_BARS.items():
        own = [product(m, n, k, name, "float16") for name in ("int4", "int8") for n, k in SHAPES]
        yield _bar(f"float16 activations over torch, M = {m}", least, (speeds.ratio(speeds.best(one)) for one in own))


def _passes(speeds: Speeds) -> Iterator[Bar]:
    words = {"quantise": "quantising activations", "fake_quantize": "fake quantisation"}
    for kernel, text in words.items():
        rows = [[row for row in speeds.newest.values() if row.point.kernel == kernel and row.seconds is not None]]
        shares = [speeds.share(row, "copy") for row in rows[0]]
        yield _bar(f"{text} over a copy", PASS_BAR, shares + [None] * (len(QUANTISED) - len(shares)))


def _tiles(speeds: Speeds) -> Bar:
    swept = [rows for rows in speeds._tiles.values() if len(rows) >= FEWEST_TILES]
    return _bar("the best tile's time over the choice's", TILE_BAR, (_of_best(speeds, rows) for rows in swept))


def _of_best(speeds: Speeds, rows: Sequence[Timing]) -> float | None:
    own = speeds.chosen(rows[0].point)
    if own is None or own.seconds is None or rows[0].seconds is None:
        return None
    return rows[0].seconds / own.seconds


# ---- sums ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sum:
    """The products of a layer of a transformer, one after the other."""

    model: str
    m: int
    name: str
    seconds: float
    ratio: float  # over torch in bfloat16


def sums(speeds: Speeds, vectors: Sequence[int], names: Sequence[str] = INTEGERS) -> Iterator[Sum]:
    """Those of which every product was timed."""
    for model in dict.fromkeys(own.model for own in LLAMA):
        for name in names:
            for m in vectors:
                if (found := _sum(speeds, model, m, name)) is not None:
                    yield found


def _sum(speeds: Speeds, model: str, m: int, name: str) -> Sum | None:
    rows = [speeds.chosen(product(m, own.n, own.k, name, "float16")) for own in LLAMA if own.model == model]
    ratios = [speeds.ratio(row) for row in rows]
    times = [row.seconds for row in rows if row is not None and row.seconds is not None]
    if len(times) < len(rows) or None in ratios:
        return None
    others = [time * ratio for time, ratio in zip(times, ratios, strict=True) if ratio is not None]
    return Sum(model, m, name, sum(times), sum(others) / sum(times))
