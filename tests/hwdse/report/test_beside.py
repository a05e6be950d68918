"""FINN's estimate stands beside the prediction, layer by layer, and what it does not count is named."""

from dataclasses import replace

from hwdse.cost import FpgaCost, LayerCost, Resources, Term
from hwdse.report.beside import Figures, beside, notes
from hwdse.result import Result
from tests.hwdse.report.test_page import rendered, words

TRIAL = 2


def estimate(of: FpgaCost) -> FpgaCost:
    """As FINN might say it: no LUT for the first layer's unit, the other layers as predicted with a DSP more."""
    unit = Term("unit", Resources(dsps=4, brams=1), variant="MVAU_rtl")
    window = Term("window", Resources(luts=300), variant="ConvolutionInputGenerator_rtl")
    pad = Term("padding", Resources(), variant="FMPadding_rtl")
    first = LayerCost(of.layers[0].layer, (pad, window, unit), 4000, 0)
    others = (
        replace(one, terms=(Term("unit", one.area + Resources(dsps=1), variant="MVAU_hls"),)) for one in of.layers[1:]
    )
    return replace(of, layers=(first, *others), interval_cycles=4000, model="finn-plus 1.6.1", calibration="Estimates.")


def with_estimate(result: Result) -> Result:
    trial = result.trial(TRIAL)
    found = estimate(trial.evaluation.predicted)
    own = replace(trial, evaluation=replace(trial.evaluation, estimates=(found,)))
    return replace(result, trials=tuple(own if one.number == TRIAL else one for one in result.trials))


def test_only_what_was_estimated_is_shown(result: Result) -> None:
    assert beside(result) == ()
    assert "beside other estimates" not in words(rendered(result))


def test_layer_by_layer(result: Result) -> None:
    (block,) = beside(with_estimate(result))
    predicted = result.trial(TRIAL).evaluation.predicted
    assert (block.trial, [(one.how, one.name) for one in block.sources]) == (
        TRIAL,
        [("predicted", predicted.model), ("estimated", "finn-plus 1.6.1")],
    )
    assert [line.layer for line in block.lines] == [layer.layer for layer in predicted.layers]
    first = block.lines[0]
    assert first.figures[1] == Figures("4,000", "300", "4", "1")
    assert (first.nodes, first.uncounted) == (
        "FMPadding_rtl, ConvolutionInputGenerator_rtl, MVAU_rtl",
        "FMPadding_rtl, MVAU_rtl",
    )
    assert {line.uncounted for line in block.lines[1:]} == {""}
    assert block.total[0].luts == f"{predicted.area.luts:,}"


def test_a_difference_is_explained(result: Result) -> None:
    predicted = result.trial(TRIAL).evaluation.predicted
    said = list(notes(predicted, estimate(predicted)))
    first, rest = predicted.layers[0].area.luts, predicted.area.luts - predicted.layers[0].area.luts
    assert said[0].startswith(f"LUT: {predicted.area.luts:,} predicted, {rest + 300:,} by finn-plus 1.6.1 (")
    assert said[1] == (
        f"finn-plus 1.6.1 counts 0 LUT for FMPadding_rtl, MVAU_rtl, which are in 1 of {len(predicted.layers)} layers: "
        f"there {first:,} LUT are predicted, and 300 estimated."
    )
    assert any(note.startswith("DSP: 0 predicted, ") for note in said)
    assert said[-1] == (
        f"Cycles from image to image: {predicted.interval_cycles:,} predicted, 4,000 by finn-plus 1.6.1, "
        f"whose slowest layer is {predicted.layers[0].layer}."
    )
    assert len(list(notes(predicted, predicted))) == 1


def test_it_is_on_the_page(result: Result) -> None:
    text = words(rendered(with_estimate(result)))
    assert "Trial 2 beside other estimates layer" in text
    assert "estimated: finn-plus 1.6.1" in text
    assert "finn-plus 1.6.1, estimated: Estimates." in text


def test_a_measured_cost_and_ultra_rams_are_shown_too(result: Result) -> None:
    changed = with_estimate(result)
    trial = changed.trial(TRIAL)
    large = LayerCost("whole", (Term("placed", Resources(luts=3000, brams=2, urams=3)),), 2304, 0)
    measured = replace(trial.evaluation.predicted, layers=(large,), model="a flow")
    own = replace(trial, evaluation=replace(trial.evaluation, measured=(measured,)))
    (block,) = beside(replace(changed, trials=(own,)))
    assert block.sources[-1].how == "measured"
    assert block.total[-1] == Figures(f"{measured.interval_cycles:,}", "3,000", "0", "2 + 3 URAM")
    assert {line.figures[-1] for line in block.lines} == {Figures("", "", "", "")}
