"""What the page of the benchmark shows: cells of tables, from a table of timings."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from hwdse.gpu_measurements import Origin, Point, Timing
from hwdse.gpu_speed.plan import (
    INTEGERS,
    LARGE,
    LLAMA,
    MINIFLOATS,
    PAIRS,
    REFERENCE,
    SHAPES,
    STREAM,
    VECTORS,
    reference,
)
from hwdse.gpu_speed.verdict import Bar, Speeds, Sum, bars, product, rate, sums

SUMMED = (1, 16, 512, 8192)  # vectors of the sums
RATED = (1, 16)  # vectors at which bytes a second are shown: beyond, they say nothing
FASTER = 1.01  # a tile is called faster than the choice from here


@dataclass(frozen=True, slots=True)
class Row:
    """One pair of formats on one shape, by numbers of vectors."""

    name: str
    cells: tuple[str, ...]
    rates: tuple[str, ...]  # at `RATED`: GB/s, and the share of reading


@dataclass(frozen=True, slots=True)
class Shape:
    """A table."""

    title: str
    vectors: tuple[int, ...]
    rated: tuple[int, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Pass:
    """What quantises, on one format."""

    name: str
    fmt: str
    numbers: str
    us: str
    rate: str
    share: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Points of a kernel that have no time for one reason."""

    kernel: str
    count: int
    why: str


@dataclass(frozen=True, slots=True)
class Device:
    """All that is said of one GPU."""

    origin: Origin
    starts: tuple[str, ...]
    count: int
    clocks: str
    noise: float
    ceilings: tuple[tuple[str, str], ...]
    bars: tuple[Bar, ...]
    shapes: tuple[Shape, ...]
    sums: tuple[Sum, ...]
    passes: tuple[Pass, ...]
    failures: tuple[Failure, ...]

    @property
    def is_h200(self) -> bool:
        """Whether the bars bind."""
        return self.origin.device == "h200"


def device(speeds: Speeds) -> Device:
    """The tables of `speeds`, which has rows."""
    rows = list(speeds.newest.values())
    assert speeds.origin is not None
    return Device(
        speeds.origin,
        tuple(speeds.starts),
        len(rows),
        _clocks(rows),
        median([abs(row.noise) for row in rows if row.noise is not None] or [0.0]),
        tuple(_ceilings(speeds)),
        tuple(bars(speeds)),
        tuple(_shapes(speeds)),
        tuple(sums(speeds, SUMMED)),
        tuple(_passes(speeds)),
        tuple(_failures(rows)),
    )


def _clocks(rows: Sequence[Timing]) -> str:
    found = sorted(row.mhz for row in rows if row.mhz is not None)
    if not found:
        return "The driver did not say the clock."
    return f"The multiprocessors ran at {found[0]} to {found[-1]} MHz, {median(found):.0f} in the median."


def _ceilings(speeds: Speeds) -> Iterator[tuple[str, str]]:
    if (row := speeds.at(Point("launch", 1, 1, 1))) is not None:
        yield "launching nothing", f"{1e6 * (row.seconds or 0.0):.2f} us"
    for name in ("read", "copy"):
        row = speeds.at(Point(name, 1, 1, STREAM))
        if row is not None and (found := rate(row)) is not None:
            yield {"read": "reading", "copy": "copying, read and written"}[name], f"{found / 1e12:.2f} TB/s"
    for kernel, weights in ((REFERENCE, "bfloat16"), ("torch._int_mm", "int8"), ("torch._scaled_mm", "e4m3fn")):
        seconds = speeds.seconds(Point(kernel, LARGE, LARGE, LARGE, weights, weights))
        if seconds is not None:
            yield f"{kernel}, {weights}, {LARGE} cubed", f"{2e-12 * LARGE**3 / seconds:.0f} T/s"


def _shapes(speeds: Speeds) -> Iterator[Shape]:
    of_layers = {(own.n, own.k): f"Llama-3-{own.model} {own.layer}" for own in LLAMA}
    for n, k in dict.fromkeys((*SHAPES, *of_layers)):
        rows = [_reference_row(speeds, n, k)]
        pairs = [*((name, "float16") for name in (*INTEGERS, *MINIFLOATS)), ("int4", "bfloat16"), *PAIRS]
        rows += [_row(speeds, n, k, *pair) for pair in pairs]
        rows += [_rival_row(speeds, "humming", n, k, name) for name in INTEGERS]
        kept = tuple(row for row in rows if any(cell != "-" for cell in row.cells))
        if kept:
            layer = of_layers.get((n, k))
            yield Shape(f"{n} x {k}" + (f", {layer}" if layer else ""), VECTORS, RATED, kept)


def _reference_row(speeds: Speeds, n: int, k: int) -> Row:
    rows = [speeds.at(reference(m, n, k)) for m in VECTORS]
    return Row("torch, bfloat16", tuple(_cell(row, None) for row in rows), _rates(speeds, rows))


def _row(speeds: Speeds, n: int, k: int, weights: str, activations: str) -> Row:
    wanted = [product(m, n, k, weights, activations) for m in VECTORS]
    rows = [speeds.chosen(one) for one in wanted]
    cells = tuple(
        _cell(row, speeds.ratio(row)) + _better(speeds, one, row) for one, row in zip(wanted, rows, strict=True)
    )
    return Row(f"{weights} x {activations}", cells, _rates(speeds, rows))


def _rival_row(speeds: Speeds, kernel: str, n: int, k: int, name: str) -> Row:
    rows = [speeds.at(Point(kernel, m, n, k, name, "float16")) for m in VECTORS]
    return Row(
        f"{kernel}, {name} x float16", tuple(_cell(row, speeds.ratio(row)) for row in rows), _rates(speeds, rows)
    )


def _cell(row: Timing | None, ratio: float | None) -> str:
    if row is None or row.seconds is None:
        return "-"
    return _us(row.seconds) + ("" if ratio is None else f", {ratio:.2f}x")


def _better(speeds: Speeds, wanted: Point, row: Timing | None) -> str:
    best = speeds.best(wanted)
    if best is None or best.seconds is None or row is best:
        return ""
    slower = row is None or row.seconds is None or row.seconds > FASTER * best.seconds
    return f" ({_us(best.seconds)})" if slower else ""


def _rates(speeds: Speeds, rows: Sequence[Timing | None]) -> tuple[str, ...]:
    return tuple(_rate(speeds, row) for m, row in zip(VECTORS, rows, strict=True) if m in RATED)


def _rate(speeds: Speeds, row: Timing | None) -> str:
    found, share = None if row is None else rate(row), speeds.share(row, "read")
    if found is None:
        return "-"
    return f"{found / 1e9:,.0f}" + ("" if share is None else f", {100 * share:.0f} %")


def _passes(speeds: Speeds) -> Iterator[Pass]:
    for row in speeds.newest.values():
        if row.point.kernel in ("quantise", "fake_quantize") and row.seconds is not None:
            found, share = rate(row), speeds.share(row, "copy")
            cells = "-" if found is None else f"{found / 1e9:,.0f}", "-" if share is None else f"{100 * share:.0f}"
            where = row.point
            yield Pass(where.kernel, where.activations, f"{where.m} x {where.k}", _us(row.seconds), *cells)


def _failures(rows: Sequence[Timing]) -> Iterator[Failure]:
    found = Counter((row.point.kernel, row.note) for row in rows if row.seconds is None)
    for (kernel, why), count in found.items():
        yield Failure(kernel, count, why.replace("|", "/"))


def _us(seconds: float) -> str:
    micro = 1e6 * seconds
    return f"{micro:.1f}" if micro < 100 else f"{micro:,.0f}"
