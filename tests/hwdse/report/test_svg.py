"""The files for papers: well-formed, complete, the same every time."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from hwdse.report.figures import plots
from hwdse.report.plot import SYMBOLS, Mark, Plot, Series
from hwdse.report.svg import Scale, draw, outline
from hwdse.result import Result

NAMESPACE = "{http://www.w3.org/2000/svg}"


def groups(svg: str, kind: str) -> list[ElementTree.Element]:
    """The groups of a class."""
    return [g for g in ElementTree.fromstring(svg).iter(f"{NAMESPACE}g") if g.get("class") == kind]


def test_every_point_is_there(result: Result) -> None:
    for plot in plots(result):
        drawn = groups(draw(plot), "series")
        points = [sum("transform" in path.attrib for path in group) for group in drawn]
        assert points == [len(s.marks) if s.symbol is not None else 0 for s in plot.series]


def test_words(result: Result) -> None:
    svg = draw(plots(result)[0])
    texts = ["".join(text.itertext()) for text in ElementTree.fromstring(svg).iter(f"{NAMESPACE}text")]
    assert texts == [
        *("2k", "2.5k", "3k", "3.5k", "4k", "4.5k", "LUT on small7", "top-1 accuracy (%), search split"),
        *("88", "90", "92", "94", "96", "98"),
        *("mixed", "integer", "minifloat", "front", "FP32"),
        *("best (trial 2)", "knee (trial 23)", "most accurate (trial 0)", "baseline (trial 0)"),
        "8 trials lie outside the axes",
    ]


def test_the_same_bytes(result: Result) -> None:
    assert [draw(plot) for plot in plots(result)] == [draw(plot) for plot in plots(replace(result))]


def test_text_is_escaped() -> None:
    plot = Plot("p", "a < b", "x & y", "<y>", (Series("<s>", (Mark(1, 2),), "ink", "circle"),))
    svg = draw(plot)
    assert "a &lt; b" in svg
    assert "x &amp; y" in svg
    assert "&lt;s&gt;" in svg


def test_scale() -> None:
    assert Scale(0, 10, 100, 200).at(5) == 150
    assert Scale(1, 100, 0, 200, log=True).at(10) == 100
    assert Scale(0, 10, 200, 100).ticks[1] == (180, "2")


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_symbol_has_an_outline(symbol: str) -> None:
    assert outline(symbol, 8).startswith("M")
    assert outline(f"{symbol}-open", 8) == outline(symbol, 8)


def test_square() -> None:
    assert outline("square", 8) == "M-4,-4L4,-4L4,4L-4,4Z"
