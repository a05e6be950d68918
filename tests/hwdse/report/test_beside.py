"""FINN's estimate stands beside the prediction, layer by layer, and what it does not count is named."""

from dataclasses import replace

from hwdse.cost import FpgaCost, LayerCost, Resources, Term
from hwdse.evaluation import Built
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
    found = estimate(trial.evaluation.fpga)
    own = replace(trial, evaluation=replace(trial.evaluation, estimates=(found,)))
    return replace(result, trials=tuple(own if one.number == TRIAL else one for one in result.trials))


def test_only_what_was_estimated_is_shown(result: Result) -> None:
    assert beside(result) == ()
    assert "beside other estimates" not in words(rendered(result))


def test_layer_by_layer(result: Result) -> None:
    (block,) = beside(with_estimate(result))
    predicted = result.trial(TRIAL).evaluation.fpga
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


def test_a_difference_is_explained_part_by_part(result: Result) -> None:
    """As of a network whose thresholds FINN stores in LUTs: the other parts do not hide it."""
    of = result.trial(TRIAL).evaluation.fpga
    stored = Term("thresholds", Resources(luts=9, brams=7), variant="searched, block RAM")
    window = Term("window", Resources(luts=100), variant="LUTs")
    products = Term("multipliers", Resources(luts=50, dsps=2), variant="DSPs")
    predicted = replace(of, layers=(LayerCost("fc1", (window, products, stored), 1000, 4),), interval_cycles=1000)
    nodes = (
        Term("padding", Resources(), variant="FMPadding_rtl"),
        Term("window", Resources(luts=300), variant="ConvolutionInputGenerator_rtl"),
        Term("unit", Resources(dsps=4, brams=1), variant="MVAU_rtl"),
        Term("thresholds", Resources(luts=5000), variant="Thresholding_rtl"),
    )
    only = LayerCost("fc1", nodes, 1200, 0)
    other = replace(predicted, layers=(only,), interval_cycles=1200, model="finn-plus 1.6.1")
    assert list(notes(predicted, other)) == [
        "LUT: 159 predicted, 5,300 by finn-plus 1.6.1 (+3233.3 %): windows 100 and 300, thresholds 9 and 5,000, "
        "units and all else 50 and 0.",
        "DSP: 2 predicted, 4 by finn-plus 1.6.1 (+100.0 %): units and all else 2 and 4.",
        "BRAM18: 7 predicted, 1 by finn-plus 1.6.1 (-85.7 %): thresholds 7 and 0, units and all else 0 and 1.",
        "finn-plus 1.6.1 counts 0 LUT for FMPadding_rtl, MVAU_rtl.",
        "Cycles from image to image: 1,000 predicted, 1,200 by finn-plus 1.6.1, whose slowest layer is fc1.",
    ]


def test_a_build_that_is_known_layer_by_layer_is_shown_with_its_device(result: Result) -> None:
    trial = result.trial(TRIAL)
    predicted = trial.evaluation.fpga
    there = replace(predicted, device="xc7z020", model="finn-plus 1.6.1")
    whole = replace(there, layers=(LayerCost("whole", (Term("placed", Resources(luts=3000)),), 2304, 0),))
    for measured, shown in ((there, 1), (whole, 0)):
        built = Built("Pynq-Z1", 100.0, there, measured, ())
        own = replace(trial, evaluation=replace(trial.evaluation, built=(built,)))
        found = beside(replace(result, trials=(own,)))
        assert len(found) == shown
        for block in found:
            assert [source.how for source in block.sources] == [
                "predicted",
                "estimated for Pynq-Z1 (xc7z020)",
                "built for Pynq-Z1 (xc7z020)",
            ]


def test_it_is_on_the_page(result: Result) -> None:
    text = words(rendered(with_estimate(result)))
    assert "Trial 2 beside other estimates layer" in text
    assert "estimated: finn-plus 1.6.1" in text
    assert "finn-plus 1.6.1, estimated: Estimates." in text


def test_a_measured_cost_and_ultra_rams_are_shown_too(result: Result) -> None:
    changed = with_estimate(result)
    trial = changed.trial(TRIAL)
    large = LayerCost("whole", (Term("placed", Resources(luts=3000, brams=2, urams=3)),), 2304, 0)
    measured = replace(trial.evaluation.fpga, layers=(large,), model="a flow")
    own = replace(trial, evaluation=replace(trial.evaluation, measured=(measured,)))
    (block,) = beside(replace(changed, trials=(own,)))
    assert block.sources[-1].how == "measured"
    assert block.total[-1] == Figures(f"{measured.interval_cycles:,}", "3,000", "0", "2 + 3 URAM")
    assert {line.figures[-1] for line in block.lines} == {Figures("", "", "", "")}
