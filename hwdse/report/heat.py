"""The map of sensitivities as Plotly draws it: one panel for the weights, one for the activations, on one scale."""

import math
from html import escape

import plotly.graph_objects as go

from hwdse.report.interactive import CLEAR, FONT, json_of
from hwdse.report.palette import LIGHT
from hwdse.report.plot import tick_label, ticks
from hwdse.report.sensitivity import HeatMap, Panel

DECADES = 2.5  # of the scale: a rise that is smaller than the largest by more has the palest colour
ROW, TITLE = 22, 34  # pixels: of a place, above a panel
ABOVE, BELOW, LEFT = 30, 60, 100  # pixels: Plotly's buttons, the names of the formats, those of the panels
GAP = 1  # pixel between cells
LEVEL = 12  # columns that have room for names side by side


def heat_height(found: HeatMap) -> int:
    """Pixels of the whole figure."""
    return sum(_pixels(panel) for panel in found.panels) + ABOVE + BELOW


def heat_figure(found: HeatMap) -> str:
    """The figure as JSON that can stand inside a script element."""
    traces = [_trace(found, panel, number) for number, panel in enumerate(found.panels)]
    return json_of(go.Figure(traces, _layout(found)))


def _pixels(panel: Panel) -> int:
    return TITLE + ROW * len(panel.lines)


def _axis(number: int) -> str:
    return "y" if number == 0 else f"y{number + 1}"


def _scale(found: HeatMap) -> tuple[float, float]:
    """The logarithms between which colours change."""
    top = math.log10(found.largest) if found.largest > 0 else 0.0
    return top - DECADES, top


def _trace(found: HeatMap, panel: Panel, number: int) -> go.Heatmap:
    low, high = _scale(found)
    z: list[list[float | None]] = [[None] * len(found.columns) for _ in panel.lines]
    text = [[""] * len(found.columns) for _ in panel.lines]
    for row, line in enumerate(panel.lines):
        for cell in line.cells:
            z[row][cell.column] = None if cell.rise is None else math.log10(max(cell.rise, 10**low))
            text[row][cell.column] = escape(cell.hover).replace("\n", "<br>")
    return go.Heatmap(
        z=z,
        zmin=low,
        zmax=high,
        yaxis=_axis(number),
        xgap=GAP,
        ygap=GAP,
        hoverongaps=False,
        hoverinfo="text",
        text=text,
        colorscale=[[0, LIGHT["grid"]], [0.5, LIGHT["part3"]], [1, LIGHT["bad"]]],
        showscale=number == 0,
        colorbar=_bar(low, high),
    )


def _bar(low: float, high: float) -> dict[str, object]:
    """The legend of the colours; its lowest tick stands for all that is less."""
    shown = [10**low, *(t for t in ticks(10**low, 10**high, log=True) if t > 1.5 * 10**low)]
    labels = [f"{tick_label(float(f'{value:.1g}'))}" for value in shown]
    labels[0] = f"\N{LESS-THAN OR EQUAL TO} {labels[0]}"
    title = {"text": "nat", "side": "top", "font": FONT}
    return {
        "tickvals": [math.log10(value) for value in shown],
        "ticktext": labels,
        "thickness": 12,
        "outlinewidth": 0,
        "title": title,
    }


def _layout(found: HeatMap) -> go.Layout:
    """The panels below each other over one axis of formats, whose widths are named above and parted by lines."""
    numbers = list(range(len(found.columns)))
    plain = {"zeroline": False, "showgrid": False, "automargin": True, "ticks": ""}
    x = plain | {
        "tickvals": numbers,
        "ticktext": list(found.columns),
        "tickangle": 0 if len(numbers) <= LEVEL else -60,
        "anchor": _last(found),
    }
    layout = go.Layout(
        showlegend=False,
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        margin={"l": LEFT, "r": 12, "t": ABOVE, "b": BELOW},
        modebar={"bgcolor": CLEAR, "color": LIGHT["muted"], "activecolor": LIGHT["ink"]},
        font=FONT | {"color": LIGHT["ink"]},
        hoverlabel={"align": "left", "bgcolor": LIGHT["card"], "font": FONT | {"color": LIGHT["ink"]}},
        xaxis=x | {"range": [-0.5, len(numbers) - 0.5]},
        annotations=[*_widths(found), *_titles(found)],
        shapes=_borders(found),
    )
    for number, (panel, domain) in enumerate(zip(found.panels, _domains(found), strict=True)):
        rows = len(panel.lines)
        axis = {"domain": list(domain), "tickvals": list(range(rows)), "ticktext": [line.place for line in panel.lines]}
        layout[_axis(number).replace("y", "yaxis")] = plain | axis | {"range": [rows - 0.5, -0.5], "anchor": "x"}
    return layout


def _last(found: HeatMap) -> str:
    return _axis(len(found.panels) - 1)


def _domains(found: HeatMap) -> list[tuple[float, float]]:
    """Bottom and top of each panel, as shares of the axes' height."""
    height, top, domains = sum(map(_pixels, found.panels)), 0, list[tuple[float, float]]()
    for panel in found.panels:
        top += TITLE
        domains.append((1 - (top + ROW * len(panel.lines)) / height, 1 - top / height))
        top += ROW * len(panel.lines)
    return [(max(low, 0.0), high) for low, high in domains]


def _titles(found: HeatMap) -> list[dict[str, object]]:
    """The name of each panel, above its first row, left of the cells."""
    place = {
        "xref": "paper",
        "x": 0,
        "xanchor": "right",
        "yref": "paper",
        "yanchor": "bottom",
        "xshift": -6,
        "yshift": 3,
    }
    panels = zip(found.panels, _domains(found), strict=True)
    return [place | {"y": top, "text": panel.title, "showarrow": False, "font": _muted()} for panel, (_, top) in panels]


def _widths(found: HeatMap) -> list[dict[str, object]]:
    """How many bits the columns below have, above each panel."""
    place = {"xref": "x", "yref": "paper", "yanchor": "bottom", "yshift": 3, "showarrow": False, "font": _muted()}
    return [
        place | {"x": (width.first + width.last) / 2, "y": top, "text": f"{width.bits} bits"}
        for _, top in _domains(found)
        for width in found.widths
    ]


def _borders(found: HeatMap) -> list[dict[str, object]]:
    """Lines between columns of different width."""
    line = {"color": LIGHT["muted"], "width": 1}
    return [
        {"type": "line", "x0": w.last + 0.5, "x1": w.last + 0.5, "y0": low, "y1": high, "yref": "paper", "line": line}
        for low, high in _domains(found)
        for w in found.widths[:-1]
    ]


def _muted() -> dict[str, object]:
    return FONT | {"color": LIGHT["muted"], "size": 12}
