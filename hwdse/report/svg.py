"""A plot as an SVG file for papers: no browser, no fonts to install, the same bytes every time."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from hwdse.report.palette import LIGHT
from hwdse.report.plot import Plot, Series, tick_label, ticks
from hwdse.report.templates import template

WIDTH, HEIGHT = 760, 400  # pixels of the whole file
LEFT, TOP, RIGHT, BOTTOM = 64, 16, 212, 52  # around the axes; the legend stands on the right


@dataclass(frozen=True, slots=True)
class Scale:
    """Data to pixels along one axis."""

    low: float
    high: float
    start: float  # the pixel of `low`
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of `value`, to a hundredth."""
        bend: Callable[[float], float] = math.log10 if self.log else float
        share = (bend(value) - bend(self.low)) / (bend(self.high) - bend(self.low))
        return round(self.start + share * (self.end - self.start), 2)

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Pixels and labels of the ticks."""
        return tuple((self.at(value), tick_label(value)) for value in ticks(self.low, self.high, log=self.log))


def draw(plot: Plot) -> str:
    """The plot as the text of an SVG file."""
    x_range, y_range = plot.first
    x = Scale(*x_range, LEFT, WIDTH - RIGHT, plot.log_x)
    y = Scale(*y_range, HEIGHT - BOTTOM, TOP)
    drawn = [_Drawn(series, tuple((x.at(m.x), y.at(m.y), m.faded) for m in series.marks)) for series in plot.series]
    frame = _Frame(WIDTH, HEIGHT, LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)
    return template("plot.svg.j2").render(plot=plot, x=x, y=y, drawn=drawn, frame=frame, colours=LIGHT, outline=outline)


@dataclass(frozen=True, slots=True)
class _Frame:
    width: int
    height: int
    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True)
class _Drawn:
    series: Series
    points: tuple[tuple[float, float, bool], ...]  # x, y, faded

    @property
    def path(self) -> str:
        """The points joined."""
        return "M" + "L".join(f"{x:g},{y:g}" for x, y, _ in self.points)


def outline(symbol: str, size: int) -> str:
    """The path of a symbol about the origin, as large as Plotly draws it."""
    r = size / 2
    if symbol.startswith("circle"):
        return f"M{-r:g},0a{r:g},{r:g} 0 1 0 {size:g},0a{r:g},{r:g} 0 1 0 {-size:g},0Z"
    corners = {
        "square": ((-r, -r), (r, -r), (r, r), (-r, r)),
        "diamond": ((0, -1.3 * r), (1.3 * r, 0), (0, 1.3 * r), (-1.3 * r, 0)),
        "triangle-up": ((0, -r), (r * math.sqrt(3) / 2, r / 2), (-r * math.sqrt(3) / 2, r / 2)),
    }
    name = symbol.removesuffix("-open")
    if name == "x-thin":
        return f"M{-r:g},{-r:g}L{r:g},{r:g}M{-r:g},{r:g}L{r:g},{-r:g}"
    return "M" + "L".join(f"{x:.4g},{y:.4g}" for x, y in corners[name]) + "Z"
