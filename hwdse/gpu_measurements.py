"""Timed kernels as a table: what the speeds of a GPU are read from, and what its cost model is fitted to.

A table is a CSV file in `cost_models/data/`, one for each GPU, a row for each point that was timed or failed. It grows
while a benchmark runs, so that a run that was cut off goes on. Rows of one run have the same start: ratios are between
those alone.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from hwdse.csv_rows import rows_of
from hwdse.formats import Format, parse
from hwdse.gemm import FLOATS, Gemm

_POINT = ("device", "kernel", "arithmetic", "tile", "m", "n", "k", "weights", "activations", "group")
_RESULT = ("seconds", "noise", "bytes", "error", "mhz", "note")
COLUMNS = (*_POINT, *_RESULT, "start", "driver", "versions")


@dataclass(frozen=True, slots=True)
class Point:
    """What is timed. Of a product all is used; of another kernel what it has, and '' or 1 for the rest."""

    kernel: str  # a file in `kernels/`, a baseline such as `torch.mm`, or a ceiling such as `copy`
    m: int  # vectors; of a copy 1
    n: int  # outputs; of what quantises 1
    k: int  # terms of an output; of a copy its bytes
    weights: str = ""  # the name of a format, or `float16`, `bfloat16`
    activations: str = ""
    group: int | None = None
    tile: str = ""  # the text form of a `gemm.Tile`
    arithmetic: str = ""  # of a product of ours: int8, fp8, float16 or bfloat16

    @property
    def gemm(self) -> Gemm:
        """The product. ValueError where the weights are no format."""
        return Gemm(self.m, self.n, self.k, parse(self.weights), parse(self.activations), self.group)

    @property
    def name(self) -> str:
        """For a person: `a16 16x8192x8192 int4 x float16 g128, float16 128x16:w16:s3:k4:t4`."""
        formats = " x ".join(filter(None, (self.weights, self.activations)))
        group = "" if self.group is None else f"g{self.group}"
        words = (self.kernel, f"{self.m}x{self.n}x{self.k}", formats, group)
        how = " ".join(filter(None, (self.arithmetic, self.tile)))
        return " ".join(filter(None, words)) + (f", {how}" if how else "")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row comes from: all that were timed in one run have the same."""

    device: str  # a name of `hwdse.target.gpus()`, or what the driver calls it
    start: str  # of the run: ISO 8601, UTC
    driver: str
    versions: str  # of what ran: `torch 2.11.0+cu130, triton 3.6.0`


@dataclass(frozen=True, slots=True)
class Timing:
    """One row: a point with its time, or without one and why."""

    point: Point
    origin: Origin
    seconds: float | None  # the median; None: it failed, or is not installed
    noise: float | None = None  # of a second series of runs, relative to the first
    bytes: int | None = None  # that have to be moved: packed weights with scales; of a copy those read and written
    error: float | None = None  # of the result: norm of the difference over the norm of the float64 reference
    mhz: int | None = None  # the clock of the multiprocessors while it ran
    note: str = ""  # why there is no time, or what the time contains


def result_key(timing: Timing) -> tuple[str, str, Point]:
    """What makes a row the same: it is not timed again with the versions that it was timed with."""
    return timing.origin.device, timing.origin.versions, timing.point


def read(file: Path) -> tuple[Timing, ...]:
    """The rows of a table; ValueError names a row that is none."""
    return tuple(_parsed(file, number, row) for number, row in rows_of(file, COLUMNS, "GPU timings"))


def append(file: Path, timings: Iterable[Timing]) -> None:
    """Adds rows to a table, which is made where there is none, and does not keep any of them back."""
    head = not file.exists()
    with file.open("a", newline="", encoding="utf-8") as lines:
        lines.write(text(timings, head=head))


def text(timings: Iterable[Timing], *, head: bool = True) -> str:
    """The rows as CSV."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if head:
        writer.writerow(COLUMNS)
    writer.writerows(_row(timing) for timing in timings)
    return out.getvalue()


def newest(timings: Iterable[Timing]) -> tuple[Timing, ...]:
    """The last row of each point on each device with each set of versions."""
    return tuple({result_key(timing): timing for timing in timings}.values())


def formats(timings: Iterable[Timing]) -> tuple[Format, ...]:
    """The weight formats in a table, by width and name."""
    names = {timing.point.weights for timing in timings} - {"", *(fmt.name for fmt in FLOATS)}
    return tuple(sorted(map(parse, names), key=lambda fmt: (fmt.bits, fmt.name)))


def _row(timing: Timing) -> Sequence[str]:
    point, origin = timing.point, timing.origin
    sizes = (str(size) for size in (point.m, point.n, point.k))
    formats = (point.weights, point.activations, _text(point.group))
    times = (f"{time:.6e}" if time is not None else "" for time in (timing.seconds, timing.noise))
    facts = (_text(timing.bytes), "" if timing.error is None else f"{timing.error:.3e}", _text(timing.mhz))
    note = " ".join(timing.note.split())  # a row is a line
    head = (origin.device, point.kernel, point.arithmetic, point.tile)
    return (*head, *sizes, *formats, *times, *facts, note, origin.start, origin.driver, origin.versions)


def _text(value: int | None) -> str:
    return "" if value is None else str(value)


def _parsed(file: Path, number: int, row: list[str]) -> Timing:
    try:
        of = dict(zip(COLUMNS, row, strict=True))
        m, n, k = (int(of[name]) for name in ("m", "n", "k"))
        group, moved, mhz = (int(of[name]) if of[name] else None for name in ("group", "bytes", "mhz"))
        seconds, noise, error = (float(of[name]) if of[name] else None for name in ("seconds", "noise", "error"))
    except ValueError as reason:
        raise ValueError(f"line {number} of {file} is no GPU timing: {reason}") from None
    formats = of["weights"], of["activations"]
    point = Point(of["kernel"], m, n, k, *formats, group, of["tile"], of["arithmetic"])
    origin = Origin(of["device"], of["start"], of["driver"], of["versions"])
    return Timing(point, origin, seconds, noise, moved, error, mhz, of["note"])
