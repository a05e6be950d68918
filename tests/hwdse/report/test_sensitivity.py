"""The map of sensitivities, and what is said of it."""

import json
from dataclasses import replace

import pytest

from hwdse.report.heat import ABOVE, BELOW, DECADES, heat_figure, heat_height
from hwdse.report.sensitivity import Width, heat_map, in_words, ranking
from hwdse.result import Result

PLACES = ["conv1", "conv2", "conv3", "conv4", "fc"], ["image", "act1", "act2", "act3", "act4"]


def test_places_by_formats(sensitive: Result) -> None:
    found = heat_map(sensitive)
    assert found is not None
    assert found.columns == ("int4", "e2m1", "int8")
    assert found.widths == (Width(4, 0, 1), Width(8, 2, 2))
    assert [panel.title for panel in found.panels] == ["weights of", "activations at"]
    assert tuple([line.place for line in panel.lines] for panel in found.panels) == PLACES
    line = found.panels[1].lines[2]  # the eighth place: 0.07 for each bit
    assert [(cell.column, cell.rise) for cell in line.cells] == [
        (2, 0.0),
        (0, pytest.approx(0.28)),  # differences of floats
        (1, pytest.approx(0.35)),
    ]
    assert line.cells[2].hover.splitlines() == [
        "activations at act2 as ue2m2",
        "cross entropy +0.3500 nat against the baseline",
        "top-1 62.00 %, search split",
        "SQNR of the logits -5.0 dB",
    ]
    assert found.largest == pytest.approx(0.45)


def test_no_map_without_sensitivities(result: Result, sensitive: Result) -> None:
    assert heat_map(result) is None
    assert heat_map(replace(sensitive, baseline=None)) is None
    assert in_words(result) == ()


def test_weights_of_two_granularities_have_their_own_columns(sensitive: Result) -> None:
    one = sensitive.sensitivities[1]
    other = replace(one, written="int4", quantizer="int4")
    found = heat_map(replace(sensitive, sensitivities=(*sensitive.sensitivities, other)))
    assert found is not None
    assert found.columns == ("int4", "int4:channel", "e2m1", "e2m1:channel", "int8", "int8:channel")
    assert [width.bits for width in found.widths] == [4, 8]


def test_the_most_and_the_least_sensitive(sensitive: Result) -> None:
    assert [(one.kind, one.place) for one in ranking(sensitive)][:2] == [
        ("activations", "act4"),
        ("activations", "act3"),
    ]
    assert in_words(sensitive) == (
        "Most sensitive: activations at act4 (+0.27), activations at act3 (+0.24), activations at act2 (+0.21).",
        "Least sensitive: weights of conv1 (+0), weights of conv2 (+0.03), weights of conv3 (+0.06).",
    )
    two = replace(sensitive, sensitivities=sensitive.sensitivities[:6])
    assert in_words(two) == ("Most sensitive: weights of conv2 (+0.03), weights of conv1 (+0).",)


def test_places_with_fewer_formats_are_not_ranked(sensitive: Result) -> None:
    without = tuple(one for one in sensitive.sensitivities if (one.place, one.quantizer) != ("act4", "uint8"))
    assert "act4" not in [one.place for one in ranking(replace(sensitive, sensitivities=without))]


def test_what_was_not_evaluated_is_blank_and_said(sensitive: Result) -> None:
    first, *others = sensitive.sensitivities
    failed = replace(first, loss=None, top1=None, sqnr_db=None)
    result = replace(sensitive, sensitivities=(failed, *others))
    found = heat_map(result)
    assert found is not None
    cell = found.panels[0].lines[0].cells[0]
    assert (cell.rise, cell.hover) == (None, "weights of conv1 as int8:channel\ncould not be evaluated")
    assert in_words(result)[-1] == "1 of 30 could not be evaluated and are left blank."
    assert json.loads(heat_figure(found))["data"][0]["z"][0][2] is None


def test_the_figure(sensitive: Result) -> None:
    found = heat_map(sensitive)
    assert found is not None
    figure = json.loads(heat_figure(found))
    weights, activations = figure["data"]
    assert (weights["type"], weights["yaxis"], activations["yaxis"]) == ("heatmap", "y", "y2")
    assert (len(weights["z"]), len(weights["z"][0])) == (5, 3)
    assert {one["zmax"] - one["zmin"] for one in figure["data"]} == {DECADES}
    assert activations["z"][4][1] == activations["zmax"], "the largest rise"
    assert weights["z"][0] == [weights["zmin"]] * 3, "no rise at all"
    assert [weights["showscale"], activations["showscale"]] == [True, False]
    layout = figure["layout"]
    assert layout["xaxis"]["ticktext"] == ["int4", "e2m1", "int8"]
    assert layout["yaxis2"]["ticktext"] == PLACES[1]
    (low, high), (bottom, top) = layout["yaxis"]["domain"], layout["yaxis2"]["domain"]
    assert 0 <= bottom < top < low < high < 1
    height = heat_height(found) - ABOVE - BELOW
    assert ((high - low) * height, (top - bottom) * height) == (pytest.approx(110), pytest.approx(110))  # 5 rows of 22


def test_a_map_without_any_rise(sensitive: Result) -> None:
    flat = heat_map(replace(sensitive, sensitivities=sensitive.sensitivities[:3]))
    assert flat is not None
    figure = json.loads(heat_figure(flat))
    assert len(figure["data"]) == 1
    assert figure["data"][0]["z"] == [[-DECADES] * 3]
