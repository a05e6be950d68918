"""A plot as a value: what is drawn, decided once, so that the page (Plotly) and the papers (SVG) show the same."""

import math
from dataclasses import dataclass
from itertools import pairwise

from hwdse.report.palette import LIGHT

PAD = 0.07  # of the range, free on every side: half of the largest mark of a small plot


@dataclass(frozen=True, slots=True)
class Mark:
    """One point."""

    x: float
    y: float
    hover: str = ""  # lines separated by newlines
    faded: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """Points that look alike and share one entry of the legend."""

    name: str
    marks: tuple[Mark, ...]
    colour: str  # a role of the palette
    symbol: str | None = None  # one of `SYMBOLS`, '-open' for an outline; None draws no points
    size: int = 9  # pixels across
    dash: str | None = None  # solid, dash or dot joins the points in their order; None draws no line
    ring: bool = False  # around points of other series

    def __post_init__(self) -> None:
        if self.colour not in LIGHT:
            raise ValueError(f"no colour {self.colour!r}; known: {', '.join(LIGHT)}")
        if self.symbol is not None and self.symbol.removesuffix("-open") not in SYMBOLS:
            raise ValueError(f"no symbol {self.symbol!r}; known: {', '.join(SYMBOLS)}")


SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x-thin")


Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Plot:
    """Points over two axes; the points below `low` are out of sight at first, None is none of them."""

    name: str  # of the file and of the page's element
    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log_x: bool = False
    low: float | None = None
    shared_y: Range | None = None  # of plots that stand side by side; None: its own

    @property
    def everything(self) -> tuple[Range, Range]:
        """The x and y axis that hold every point."""
        return self._ranges(-math.inf)

    @property
    def first(self) -> tuple[Range, Range]:
        """The x and y axis that hold what is seen at first."""
        x, y = self._ranges(-math.inf if self.low is None else self.low)
        return x, y if self.shared_y is None else self.shared_y

    def _ranges(self, low: float) -> tuple[Range, Range]:
        xs = [mark.x for one in self.series if one.symbol is not None for mark in one.marks if mark.y >= low]
        ys = [mark.y for one in self.series for mark in one.marks if mark.y >= low]
        return (padded_log if self.log_x else padded)(min(xs), max(xs)), padded(min(ys), max(ys))

    @property
    def hidden(self) -> int:
        """How many trials lie outside the axes seen at first; rings are around trials that are already there."""
        (left, right), (bottom, _) = self.first
        filled = [one for one in self.series if one.symbol is not None and not one.ring]
        return sum(mark.y < bottom or not left <= mark.x <= right for one in filled for mark in one.marks)

    @property
    def hidden_in_words(self) -> str:
        """`3 trials lie outside the axes`."""
        return f"{self.hidden} {'trial lies' if self.hidden == 1 else 'trials lie'} outside the axes"


def padded(low: float, high: float) -> tuple[float, float]:
    """The range with a little air; a range of one point gets a width of its own."""
    room = PAD * ((high - low) or abs(low) or 1.0)
    return low - room, high + room


def padded_log(low: float, high: float) -> tuple[float, float]:
    """`padded` on a logarithmic axis."""
    ends = padded(math.log10(low), math.log10(high)) if high > low else (math.log10(low) - PAD, math.log10(low) + PAD)
    return 10 ** ends[0], 10 ** ends[1]


def spans_decades(values: list[float]) -> bool:
    """Whether a logarithmic axis shows `values` better: all positive, and the largest at least 4 times the smallest."""
    return min(values) > 0 and max(values) >= 4 * min(values)


def ticks(low: float, high: float, *, log: bool = False, wanted: int = 6) -> tuple[float, ...]:
    """About `wanted` round numbers between `low` and `high`: 1, 2 or 5 times powers of ten."""
    return _log_ticks(low, high, wanted) if log else _linear_ticks(low, high, wanted)


def _linear_ticks(low: float, high: float, wanted: int) -> tuple[float, ...]:
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    first, last = math.ceil(round(low / step, 9)), math.floor(round(high / step, 9))
    return tuple(round(i * step, 12) for i in range(first, last + 1))


def _log_ticks(low: float, high: float, wanted: int) -> tuple[float, ...]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [m * 10.0**d for d in decades for m in (1, 2, 5) if low <= m * 10.0**d <= high]
    coarse = [tick for tick in fine if round(math.log10(tick), 9).is_integer()]
    if len(fine) < 2:
        return _linear_ticks(low, high, wanted)
    return tuple(fine if len(fine) <= 2 * wanted else coarse)


def tick_label(value: float) -> str:
    """`value` in few characters: 500, 20k, 1.5M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def staircase(points: list[tuple[float, float]]) -> tuple[Mark, ...]:
    """The points joined by steps, along x first: what is reached at a cost stays reached until the next point."""
    corners = [(after[0], before[1]) for before, after in pairwise(points)]
    steps = [point for pair in zip(points, corners, strict=False) for point in pair] + points[-1:]
    return tuple(Mark(x, y) for x, y in steps)
