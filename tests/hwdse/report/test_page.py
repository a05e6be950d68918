"""What `write` leaves in the folder; the page stands alone and says what it must."""

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hwdse.cost import Clock, LayerCost, Resources, Term
from hwdse.design import Quantizer
from hwdse.evaluation import Built
from hwdse.report import write
from hwdse.report.breakdown import breakdown, made_of
from hwdse.report.built import blocks, in_words, lines
from hwdse.report.claim import Claim
from hwdse.report.convergence import hypervolume
from hwdse.report.figures import plots
from hwdse.report.interactive import library
from hwdse.report.page import caption, checks, choices, constraints, render
from hwdse.report.rows import rows
from hwdse.report.strip import Swatch, strip
from hwdse.result import Constraint, Objective, Result

OUTSIDE = tuple(f"encoder.layers.encoder_layer_{i}.self_attention.softmax" for i in range(9))
LOADS = {"src", "href", "srcset", "action", "formaction", "data", "poster", "background", "ping"}


class Tags(HTMLParser):
    """The attributes that make a browser load something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [(tag, name) for name, _ in attrs if name in LOADS]


@pytest.fixture(scope="module")
def page(result: Result) -> str:
    """The page of the whole study."""
    return rendered(result)


def rendered(result: Result) -> str:
    """The page of a result."""
    return render(result, plots(result), rows(result))


def words(page: str) -> str:
    """The page's text without scripts, styles and tags, every run of white space one space."""
    text = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


def test_files(result: Result, tmp_path: Path) -> None:
    path = write(result, tmp_path / "new" / "run")
    assert path == tmp_path / "new" / "run" / "report.html"
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "bits.svg",
        "front.svg",
        "hypervolume.svg",
        "pareto.csv",
        "report.html",
        "trials.csv",
    ]
    lines = (path.parent / "pareto.csv").read_text().splitlines()
    assert [int(line.split(",")[0]) for line in lines[1:]] == list(result.front)
    assert len((path.parent / "trials.csv").read_text().splitlines()) == 1 + len(result.trials)


def test_grey_is_explained_where_it_is_seen(result: Result, page: str) -> None:
    grey = "Grey is a float of 16 bits, which nothing quantises."
    assert not strip(result).floats
    assert grey not in page
    assert "float16" not in words(page)
    best = result.trial(result.best)
    design = best.evaluation.design
    sites = dict(design.activations) | {"act2": Quantizer.parse("float16")}
    half = replace(design, activations=tuple(sorted(sites.items())))
    changed = result.having(replace(best, evaluation=replace(best.evaluation, design=half)))
    assert strip(changed).floats
    assert f"the stronger the colour. {grey}" in words(rendered(changed))


def test_the_same_bytes(result: Result, page: str) -> None:
    assert rendered(replace(result)) == page


def test_nothing_is_loaded(page: str) -> None:
    tags = Tags()
    tags.feed(page)
    assert tags.found == []
    ours = page.replace(library(), "")
    assert page.count(library()) == 1
    assert len(ours) < 200_000
    assert "http:" not in ours
    assert "https:" not in ours
    assert "url(" not in ours
    assert "@import" not in ours
    policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy}">' in page


def test_the_answer_stands_first(page: str) -> None:
    text = words(page)
    said = (
        "Study toy toy-cnn on small7 at 100 MHz "
        "Which number formats should the digit reader on the small7 board use? "
        "Build trial 2 on small7: an integer design with 5.14 bits per weight "
        "(weights int8, 3 x int5, int8; activations uint8, 3 x uint5, uint8). "
        "Of the 8 designs on the front it is the cheapest that lost at most 2.00 points of top-1 on the search split. "
        "Accuracy loses 2.20 points"
    )
    assert text.startswith(f"toy: hwdse report {said}")
    assert "Calibration Uncalibrated: invented for tests. Outside the accelerator softmax; not in any cost." in text
    assert "LUT 2,880 of 20,000 FF 520 of 40,000 DSP 0 of 90 BRAM18 2 of 50" in text


def test_failures_and_manifest_are_shown_and_escaped(page: str) -> None:
    assert "Failed trials (1) trial why 30 the <scale> of layer 'conv3' is not finite" in words(page)
    assert "<scale>" not in page
    manifest = "device source an invented part, for tests hwdse 0.1.0 commit 0123abc seed 0 study file studies/toy.toml"
    assert manifest in words(page)


def test_text_cannot_become_script(result: Result) -> None:
    name = "</script><b>"
    trials = tuple(replace(trial, origin=name) for trial in result.trials)
    page = rendered(replace(result, question=name, study=name, trials=trials, failures=((30, name),)))
    assert name not in page
    assert "<b>" not in page.replace(library(), "")


def test_choices(result: Result) -> None:
    found = choices(result)
    assert [choice.roles for choice in found] == ["best", "knee", "most accurate, baseline", "float model"]
    assert found[0].loss == Claim("loses 2.20 points", "95 % interval -3.24 to -1.15")
    assert found[2].loss == Claim("no difference shown", "-0.50 points, 95 % interval -1.18 to +0.18")
    assert (found[3].test, found[3].costs) == ("97.50 %", ("", "", ""))
    (untested, *_) = choices(replace(result, best=5, front=(), baseline=None))
    assert (untested.test, untested.loss) == ("", Claim("not tested", ""))


def test_a_single_trial(result: Result, tmp_path: Path) -> None:
    alone = replace(
        result,
        trials=result.trials[:1],
        failures=(),
        front=(0,),
        best=0,
        knee=0,
        hypervolume=((0, 0.5),),
    )
    path = write(alone, tmp_path)
    text = words(path.read_text())
    assert "It is the only design on the front; it lost at most 2.00 points of top-1 on the search split." in text
    assert "is the baseline The chosen design is the baseline itself, so there is no saving." in text
    assert "Failed trials" not in text
    assert "The last trial added 100.0 % of the final hypervolume." in text


def test_no_feasible_trial_and_no_baseline(result: Result, tmp_path: Path) -> None:
    nothing = replace(result, front=(), best=13, knee=13, baseline=None, hypervolume=(), constraints=())
    trials = tuple(replace(trial, feasible=False) for trial in result.trials)
    path = write(replace(nothing, trials=trials), tmp_path)
    text = words(path.read_text())
    assert "Trial 13 was chosen for small7, but it breaks a constraint: a minifloat design" in text
    assert "The front is empty: no trial met the constraints." in text
    assert "no baseline The study names no baseline, so no saving is stated." in text
    assert (tmp_path / "pareto.csv").read_text().count("\n") == 1
    assert not (tmp_path / "hypervolume.svg").exists()


def test_three_objectives(result: Result, tmp_path: Path) -> None:
    objectives = (*result.objectives, Objective("weight_bits", "minimize"))
    path = write(replace(result, objectives=objectives, reference_point=(-0.1, 20_000.0, 70_000.0)), tmp_path)
    assert "Top-1 accuracy against weight memory" in words(path.read_text())
    assert (tmp_path / "front-weight_bits.svg").exists()


def test_captions(result: Result) -> None:
    assert caption(result, hypervolume(result)) == (
        "Reference point: top-1 accuracy 10.00 %, LUT 20,000. The last 13 trials added 1.7 % of the final hypervolume."
    )
    limits = (Constraint("lut", low=10, high=50_000), Constraint("latency", high=1e-3))
    assert constraints(replace(result, constraints=limits)) == (
        "LUT at least 10 and at most 50,000",
        "latency at most 1 ms",
    )


def test_measured_costs_stand_beside_the_predicted(result: Result) -> None:
    trial = result.trial(2)
    built = LayerCost("all", (Term("placed", Resources(luts=3000, ffs=520)),), 2304, 0)
    measured = replace(trial.evaluation.fpga, layers=(built,), model="a flow")
    trial = replace(trial, evaluation=replace(trial.evaluation, measured=(measured,)))
    changed = replace(result, trials=tuple(trial if t.number == 2 else t for t in result.trials))
    assert [(c.resource, c.predicted, c.measured, c.error) for c in checks(changed)] == [
        ("LUT", 2880, 3000, "-4.0 %"),
        ("FF", 520, 520, "+0.0 %"),
        ("BRAM18", 2, 0, ""),
    ]
    assert "Predicted and measured trial measured by" in words(rendered(changed))


def test_labels_are_those_of_the_device(result: Result) -> None:
    trial, target = result.trial(2), replace(result.fpga, bram_kib=4)
    trial = replace(trial, evaluation=replace(trial.evaluation, measured=(trial.evaluation.fpga,)))
    changed = replace(result, target=target, trials=tuple(trial if t.number == 2 else t for t in result.trials))
    assert [check.resource for check in checks(changed)] == ["LUT", "FF", "BRAM4"]


def on_board(result: Result, luts: int, mhz: float, board_mhz: float) -> Built:
    """Trial 2 as it might be built for a board with other block RAMs than the device of the study."""
    predicted = replace(result.trial(2).evaluation.fpga, device="ice40_hx8k")
    area = Resources(luts=luts, ffs=650, brams=8)
    layer = LayerCost("whole", (Term("placed", area),), 2304, 0)
    measured = replace(predicted, layers=(layer,), clock_mhz=mhz, interval_cycles=2304)
    taken = (("yosys", 12.34), ("nextpnr-ice40", 1800.0))
    return Built("hx8k_breakout", board_mhz, replace(predicted, interval_cycles=2300), measured, taken)


def test_a_build_stands_beside_the_prediction_for_its_board(result: Result) -> None:
    clock = Clock(40.0, 30.0, 50.0)
    built = on_board(result, 3000, 44.44, 12.0)
    layers = tuple(replace(layer, clock=clock) for layer in built.predicted.layers)
    built = replace(built, predicted=replace(built.predicted, layers=layers))
    trial = result.trial(2)
    trial = replace(trial, evaluation=replace(trial.evaluation, built=(built,)))
    changed = replace(result, trials=tuple(trial if t.number == 2 else t for t in result.trials))
    assert checks(changed) == ()
    text = words(rendered(changed))
    title = "Built trial board what predicted built error available used"
    of = "2 hx8k_breakout (ice40_hx8k)"
    said = (
        f"{title} {of} LUT 2,880 3,000 -4.0 % 7,680 39.06 % {of} FF 520 650 -20.0 % 7,680 8.46 % "
        f"{of} BRAM4 2 8 -75.0 % 32 25.00 % {of} clock, MHz 40.0 44.4 -10.0 % 12 needed met "
        f"{of} cycles from image to image 2,300 2,304 -0.2 % {of} wall time of yosys, s 12.3 "
        f"{of} wall time of nextpnr-ice40, s 1,800.0 Predicted for the device of the board"
    )
    assert said in text
    assert (
        f"Trial 2 on hx8k_breakout (ice40_hx8k), predicted by {built.predicted.model}: {built.predicted.calibration}"
        in text
    )
    assert title not in words(rendered(result))


def test_a_build_of_a_prediction_without_flip_flops_says_nothing_of_them(result: Result) -> None:
    own = on_board(result, 3000, 44.44, 12.0)
    layer = LayerCost("fc", (Term("MVAU_rtl_0", Resources(luts=2000)),), 2300, 0)
    part = "xck26-sfvc784-2LV-c"
    for device in (own.measured.device, part):  # of FINN, for a device that hwdse knows, and for another
        predicted = replace(own.predicted, layers=(layer,), device=device)
        found = lines(replace(own, predicted=predicted, measured=replace(own.measured, device=device)))
        told = {line.what: (line.predicted, line.built, line.error) for line in found}
        assert told["FF"] == ("", "650", "")
        assert told["LUT"] == ("2,000", "3,000", "-33.3 %")


def test_a_build_in_words(result: Result) -> None:
    built = on_board(result, 3000, 44.44, 48.0)
    area = "3,000 of 7,680 LUT (39.06 %), 650 of 7,680 FF (8.46 %), 8 of 32 BRAM4 (25.00 %)"
    pace = "44.4 MHz of 48, 2,304 cycles from image to image"
    took = " Wall time: yosys 12.3 s, nextpnr-ice40 1,800.0 s."
    assert in_words(built) == f"Built for hx8k_breakout: {area}; {pace}.{took}"
    assert in_words(replace(built, seconds=())) == f"Built for hx8k_breakout: {area}; {pace}."


def test_a_build_for_another_part_says_so_and_knows_no_limits(result: Result) -> None:
    own = on_board(result, 3000, 44.44, 12.0)
    other = replace(own.predicted, device="xczu3eg")
    part = replace(own.measured, device="xck26-sfvc784-2LV-c")
    built = replace(own, board="KV260_SOM", predicted=other, measured=part, seconds=(), frames_per_second=98765.4)
    trial = result.trial(2)
    trial = replace(trial, evaluation=replace(trial.evaluation, built=(built,)))
    (block,) = blocks(replace(result, trials=(trial,)))
    assert block.place == "KV260_SOM (xck26-sfvc784-2LV-c, predicted for xczu3eg)"
    assert {(line.what, line.predicted, line.built, line.limit) for line in block.lines} == {
        ("LUT", "2,880", "3,000", ""),
        ("FF", "520", "650", ""),
        ("DSP", "0", "0", ""),
        ("BRAM18", "2", "8", ""),
        ("URAM", "0", "0", ""),
        ("clock, MHz", "", "44.4", "12 needed"),
        ("cycles from image to image", "2,300", "2,304", ""),
        ("frames/s, measured on the board", "", "98,765", ""),
    }
    pace = "44.4 MHz of 12, 2,304 cycles from image to image; 98,765 frames/s on the board"
    assert in_words(built) == f"Built for KV260_SOM: 3,000 LUT, 650 FF, 8 BRAM18; {pace}."
    open_family = replace(built, predicted=replace(other, device="ice40_hx8k"))
    (luts,) = (line for line in lines(open_family) if line.what == "LUT")
    assert (luts.predicted, luts.error) == ("", ""), "LUTs of four inputs predict nothing of those of six"


def test_a_clock_that_is_missed_and_was_not_predicted(result: Result) -> None:
    (line,) = (line for line in lines(on_board(result, 3000, 44.44, 48.0)) if line.what == "clock, MHz")
    assert (line.predicted, line.built, line.error, line.limit, line.share) == ("", "44.4", "", "48 needed", "MISSED")


def test_many_layers_outside_are_counted_and_listed(result: Result) -> None:
    trial = result.trial(2)
    cost = replace(trial.evaluation.fpga, outside=OUTSIDE)
    trial = replace(trial, evaluation=replace(trial.evaluation, predicted=cost))
    text = words(rendered(replace(result, trials=tuple(trial if t.number == 2 else t for t in result.trials))))
    listed = f"The layers outside, by name {', '.join(OUTSIDE)}"
    assert f"Outside the accelerator 9 layers; not in any cost. {listed} The alternatives" in text


def test_strip(result: Result) -> None:
    found = strip(result)
    assert [(column.roles, column.trial) for column in found.columns] == [
        ("best", 2),
        ("knee", 23),
        ("most accurate", 0),
    ]
    assert found.weights[1].swatches == (
        Swatch("int5", "int5:channel", "integer", 5),
        Swatch("e2m2", "e2m2:channel", "minifloat", 5),
        Swatch("int8", "int8:channel", "integer", 8),
    )
    assert [line.name for line in found.activations] == ["image", "act1", "act2", "act3", "act4"]
    (one,) = strip(replace(result, best=0, knee=0)).columns
    assert one.roles == "best, knee, most accurate"


def test_breakdown_adds_up(result: Result) -> None:
    cost = result.trial(2).evaluation.fpga
    found = breakdown(cost)
    assert sum(part.luts for bar in found.bars for part in bar.parts) == cost.area.luts == found.total.luts
    assert [part.name for part in found.legend] == ["thresholds", "weights", "multipliers", "window", "adder tree"]
    assert sum(part.share for part in found.legend) == pytest.approx(1)  # five quotients, rounded
    assert [bar.layer for bar in found.bars if bar.slowest] == ["conv2", "conv4"]
    assert (found.bars[1].folding, found.bars[1].accumulator) == ("4x8", "16")


def test_many_parts_end_in_other(result: Result) -> None:
    cost = result.trial(2).evaluation.fpga
    terms = tuple(Term(f"part {i}", Resources(luts=100 - i)) for i in range(10))
    layer = LayerCost("add", terms, 10, 1)
    found = breakdown(replace(cost, layers=(layer,)))
    assert [part.name for part in found.legend] == [*(f"part {i}" for i in range(6)), "other"]
    assert found.legend[-1].luts == 94 + 93 + 92 + 91
    assert (found.bars[0].folding, found.bars[0].accumulator) == ("", "")


LUT = Resources(luts=10)


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        ((Term("adder tree", LUT),), ""),
        (
            (
                Term("window", LUT, variant="block RAM"),
                Term("weights", LUT, variant="LUTs; block RAM"),
                Term("multipliers", LUT, variant="DSPs, 2 products each"),
                Term("thresholds", LUT, variant="searched, LUTs"),
            ),
            "DSPs, 2 products each; window in block RAM; weights in LUTs and block RAM; thresholds searched, LUTs",
        ),
    ],
)
def test_what_a_layer_is_made_of(terms: tuple[Term, ...], text: str) -> None:
    assert made_of(terms) == text


def test_the_breakdown_shows_what_layers_are_made_of_and_their_clocks(result: Result, page: str) -> None:
    footnote = "placement: cells that place and route adds to carry chains."
    text = words(page)
    assert "cycles MHz made of conv1" in text
    assert footnote not in text
    trial = result.trial(2)
    cost = trial.evaluation.fpga
    terms = (Term("multipliers", LUT, variant="DSPs"), Term("weights", LUT, variant="LUTs"), Term("placement", LUT))
    first = replace(cost.layers[0], terms=terms, clock=Clock(71.6, 60.0, 80.0))
    changed = replace(cost, layers=(first, *cost.layers[1:]))
    (bar, other, *_), total = breakdown(changed).bars, breakdown(changed).mhz
    assert (bar.mhz, bar.made_of) == ("72", "DSPs; weights in LUTs")
    assert (other.mhz, other.made_of, total) == ("-", "", "-")  # the slowest is not known
    trial = replace(trial, evaluation=replace(trial.evaluation, predicted=changed))
    text = words(rendered(replace(result, trials=tuple(trial if t.number == 2 else t for t in result.trials))))
    assert f" {first.cycles:,} 72 DSPs; weights in LUTs conv2 " in text
    assert f"sets the pace. {footnote} All trials" in text
    timed = replace(changed, layers=tuple(replace(one, clock=Clock(50.0, 40.0, 60.0)) for one in changed.layers))
    assert breakdown(timed).mhz == "50"


def test_the_reasons_stand_below_the_plots_of_the_front(result: Result, page: str) -> None:
    text = words(page)
    head = "Why each design is on the front trial LUT top-1, search changed from the row above LUT, more"
    assert head in text
    assert text.index(head) < text.index("Search convergence")
    first = result.front[0]
    assert f"{first} {result.trial(first).evaluation.fpga.area.luts:,}" in text
    assert "the cheapest of the front" in text


def test_what_was_not_asked_for_is_not_there(page: str) -> None:
    for title in ("How sensitive each layer is", "What the techniques do", "Dropped early", "Hollow points"):
        assert title not in page


def test_races_are_explained(raced: Result) -> None:
    page = rendered(raced)
    text = words(page)
    assert "Dropped early 10 of 53 designs saw fewer than all 400 images: at a confidence of 95 % they" in text
    hollow = "Hollow points were dropped early: their accuracy is that of their first images, and none is on the front."
    assert text.count(hollow) == 2
    assert "dropped early: fewer than 400 images" in text
    assert '<td class="number" data-key="64">64</td>' in page
    assert 'id="plot-hypervolume-time"' in page


def test_techniques_are_compared(recipes: Result) -> None:
    text = words(rendered(recipes))
    assert "What the techniques do recipe designs on the front best top-1 accuracy with LUT up to 2,880 pairs" in text
    assert "gptq + bias_correction 3 0" in text
    assert "3 +1.00 points +0.00 to +2.00" in text


def test_sensitivities_are_a_map(sensitive: Result) -> None:
    page = rendered(sensitive)
    assert "How sensitive each layer is Most sensitive: activations at act4 (+0.27)," in words(page)
    assert '<script type="application/json" data-figure="sensitivity">{"data":[{' in page


def test_names_of_places_cannot_become_script(sensitive: Result) -> None:
    bad = "</script><b>"
    changed = tuple(replace(one, place=bad) for one in sensitive.sensitivities)
    page = rendered(replace(sensitive, sensitivities=changed))
    assert bad not in page
    assert "<b>" not in page.replace(library(), "").replace('"<b', "")
