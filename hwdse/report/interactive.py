"""A plot as Plotly draws it: a figure in JSON, and the library that the page carries along."""

import math
from html import escape

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from hwdse.report.palette import LIGHT
from hwdse.report.plot import Plot, Range, Series

CLEAR = "rgba(0,0,0,0)"  # the page's own background shows through
FONT = {"family": "system-ui, sans-serif", "size": 13}
FADED, PLAIN = 0.2, 0.85  # opacity of points that break a constraint, and of the others


def library() -> str:
    """Plotly's JavaScript."""
    return str(get_plotlyjs())


def figure(plot: Plot) -> str:
    """The figure as JSON that can stand inside a script element: `page.js` draws it and swaps the colours."""
    return json_of(go.Figure([_trace(series) for series in plot.series], _layout(plot)))


def json_of(drawn: go.Figure) -> str:
    """A figure in JSON that cannot end a script element."""
    return str(drawn.to_json()).replace("<", "\\u003c")


def _trace(series: Series) -> go.Scatter:
    modes = ["lines"] * (series.dash is not None) + ["markers"] * (series.symbol is not None)
    silent = not any(mark.hover for mark in series.marks)
    return go.Scatter(
        name=series.name,
        x=[mark.x for mark in series.marks],
        y=[mark.y for mark in series.marks],
        mode="+".join(modes),
        hoverinfo="skip" if silent else "text",
        text=None if silent else [escape(mark.hover).replace("\n", "<br>") for mark in series.marks],
        line={"color": LIGHT[series.colour], "width": 1.6, "dash": series.dash or "solid"},
        marker=_marker(series),
    )


def _marker(series: Series) -> go.scatter.Marker:
    outlined = series.symbol is not None and series.symbol.endswith("-open")
    edge = {"color": LIGHT[series.colour if outlined else "card"], "width": 2.2 if outlined else 0.6}
    opacity = [FADED if mark.faded else PLAIN for mark in series.marks]
    shape = series.symbol or "circle"
    return go.scatter.Marker(color=LIGHT[series.colour], symbol=shape, size=series.size, line=edge, opacity=opacity)


def ranges(plot: Plot, x: Range, y: Range) -> dict[str, list[float]]:
    """What Plotly is told to show these ranges."""
    return {"xaxis.range": [math.log10(end) if plot.log_x else end for end in x], "yaxis.range": list(y)}


def _layout(plot: Plot) -> go.Layout:
    axis = {"gridcolor": LIGHT["grid"], "linecolor": LIGHT["muted"], "zeroline": False, "automargin": True}
    shown = ranges(plot, *plot.first)
    x_kind = {"type": "log" if plot.log_x else "linear", "tickformat": "~s", "range": shown["xaxis.range"]}
    return go.Layout(
        showlegend=False,  # the page has its own, which wraps on a phone
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        margin={"l": 8, "r": 12, "t": 30, "b": 8},
        modebar={"bgcolor": CLEAR, "color": LIGHT["muted"], "activecolor": LIGHT["ink"]},
        font=FONT | {"color": LIGHT["ink"]},
        hoverlabel={"align": "left", "bgcolor": LIGHT["card"], "font": FONT | {"color": LIGHT["ink"]}},
        xaxis=axis | x_kind | {"title": {"text": plot.x_label, "standoff": 10, "font": FONT}},
        yaxis=axis | {"range": shown["yaxis.range"], "title": {"text": plot.y_label, "standoff": 8, "font": FONT}},
    )
