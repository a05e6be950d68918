"""What is drawn, point by point."""

from dataclasses import replace

import pytest

from hwdse.energy import Energy, Stated
from hwdse.report.convergence import hypervolume
from hwdse.report.figures import bits, front, hover, lowest, plots, points, undominated
from hwdse.report.plot import Plot, Series
from hwdse.result import Objective, Result, Trial


def against(result: Result, cost: Objective) -> Plot:
    """Accuracy against a cost."""
    return front(result, cost, points(result))


def series(plot: Plot, name: str) -> Series:
    """The series called `name`."""
    return next(one for one in plot.series if one.name == name)


def test_every_trial_is_drawn_once(result: Result) -> None:
    for plot in (against(result, result.objectives[1]), bits(result, points(result))):
        drawn = [len(series(plot, name).marks) for name in ("integer", "minifloat", "mixed")]
        assert sum(drawn) == len(result.trials) == 53


def test_families_differ_in_shape_and_colour(result: Result) -> None:
    found = [series(against(result, result.objectives[1]), name) for name in ("integer", "minifloat", "mixed")]
    assert [(one.symbol, one.colour) for one in found] == [
        ("circle", "integer"),
        ("diamond", "minifloat"),
        ("square", "mixed"),
    ]


def test_the_front_is_a_step_line_through_its_trials(result: Result) -> None:
    steps = series(against(result, result.objectives[1]), "front")
    trials = [result.trial(number) for number in result.front]
    assert [(mark.x, mark.y) for mark in steps.marks[::2]] == [(t.values[1], 100 * t.values[0]) for t in trials]
    assert steps.dash == "solid"


def test_fp32_is_a_level_across_the_plot(result: Result) -> None:
    plot = against(result, result.objectives[1])
    level = series(plot, "FP32")
    assert [mark.y for mark in level.marks] == [97.5, 97.5]
    assert tuple(mark.x for mark in level.marks) == plot.everything[0]


def test_named_designs_are_outlined(result: Result) -> None:
    plot = against(result, result.objectives[1])
    assert [one.name for one in plot.series if (one.symbol or "").endswith("-open")] == [
        "best (trial 2)",
        "knee (trial 23)",
        "most accurate (trial 0)",
        "baseline (trial 0)",
    ]


def test_infeasible_trials_are_faint(result: Result) -> None:
    plot = against(result, result.objectives[1])
    marks = [mark for name in ("integer", "minifloat", "mixed") for mark in series(plot, name).marks]
    assert sum(mark.faded for mark in marks) == sum(not trial.feasible for trial in result.trials) > 0


def test_hover_shows_the_design(result: Result) -> None:
    assert hover(result, result.trial(2)).splitlines() == [
        "trial 2 (uniform)",
        "weights int8, 3 x int5, int8",
        "activations uint8, 3 x uint5, uint8",
        "top-1 95.50 % (search split; 93.00 % to 97.13 %)",
        "2,880 LUT, 0 DSP, 2 BRAM18",
        "43,403 frame/s, 43,456 weight bits",
    ]
    infeasible = next(trial for trial in result.trials if not trial.feasible)
    assert hover(result, infeasible).splitlines()[0].endswith(", breaks a constraint")


def test_the_axes_say_what_they_show(result: Result) -> None:
    plot = against(result, result.objectives[1])
    assert (plot.title, plot.x_label) == ("Top-1 accuracy against LUT", "LUT on small7")
    assert plot.y_label == "top-1 accuracy (%), search split"


def test_one_plot_per_cost(result: Result) -> None:
    costs = (Objective("lut", "minimize"), Objective("latency", "minimize"), Objective("throughput", "maximize"))
    found = plots(replace(result, objectives=(result.objectives[0], *costs)))
    assert [plot.name for plot in found] == ["front", "front-latency", "front-throughput", "bits", "hypervolume"]
    assert found[1].x_label == "latency (us) on small7"


def test_an_axis_of_energies(result: Result) -> None:
    def spending(trial: Trial) -> Trial:
        cost = trial.evaluation.fpga
        layers = tuple(replace(layer, energy=Energy(products_pj=2e3)) for layer in cost.layers)
        stated = replace(cost, layers=layers, stated=Stated("a guess"))
        return replace(trial, evaluation=replace(trial.evaluation, predicted=stated))

    spent = replace(result, trials=tuple(spending(trial) for trial in result.trials))
    plot = against(spent, Objective("energy", "minimize"))
    assert plot.x_label == "stated energy per frame (nJ) on small7"
    drawn = [mark.x for one in plot.series for mark in one.marks if one.name != "FP32"]
    assert drawn == pytest.approx([10.0] * len(drawn), rel=1e-14)  # nJ


def test_without_a_cost_objective_the_cost_is_lut(result: Result) -> None:
    found = plots(replace(result, objectives=(Objective("loss", "minimize"),), hypervolume=()))
    assert [plot.title for plot in found] == ["Cross entropy against LUT", "Cross entropy against weight bits"]
    assert found[0].low is None
    assert [mark.y for mark in series(found[0], "FP32").marks] == [result.float_accuracy("search").loss] * 2


def test_the_float_model_has_no_sqnr(result: Result) -> None:
    found = against(replace(result, objectives=(Objective("sqnr", "maximize"),)), Objective("lut", "minimize"))
    assert "FP32" not in [one.name for one in found.series]


@pytest.mark.parametrize(
    ("direction", "kept"),
    [("minimize", [(1, 5), (2, 7), (4, 9)]), ("maximize", [(5, 8), (4, 9)])],
)
def test_undominated(direction: str, kept: list[tuple[float, float]]) -> None:
    pairs: list[tuple[float, float]] = [(2, 7), (1, 5), (3, 6), (4, 9), (5, 8), (1, 4)]
    assert undominated(pairs, Objective("lut", direction), Objective("top1", "maximize")) == kept


def test_costs_over_decades_are_logarithmic(result: Result) -> None:
    assert not against(result, result.objectives[1]).log_x
    assert not against(result, Objective("dsp", "minimize")).log_x  # all zero
    first, *others = result.trials
    layer = first.evaluation.fpga.layers[0]
    layer = replace(layer, terms=layer.terms * 100)
    large = replace(first.evaluation, predicted=replace(first.evaluation.fpga, layers=(layer,)))
    changed = replace(result, trials=(replace(first, evaluation=large), *others))
    assert against(changed, result.objectives[1]).log_x


def test_what_is_seen_at_first(result: Result) -> None:
    assert lowest(result) == pytest.approx(87.5)  # 10 points below FP32: 97.5 - 10, of floats
    assert lowest(replace(result, knee=4)) == pytest.approx(87.25)  # a named design is always seen
    good: tuple[Trial, ...] = tuple(trial for trial in result.trials if trial.values[0] >= 0.875)
    assert lowest(replace(result, trials=good, front=(2, 0))) is None


def test_many_points_are_small(result: Result) -> None:
    many = replace(result, trials=result.trials * 3)
    assert {one.size for one in against(result, result.objectives[1]).series[:3]} == {9}
    assert {one.size for one in against(many, result.objectives[1]).series[:3]} == {6}


def test_bits_has_the_best_of_every_family(result: Result) -> None:
    steps = series(bits(result, points(result)), "best integer")
    assert steps.marks[0].x == pytest.approx(27_328 / 8456)  # the int3 design: bits of all weights over weights
    assert [mark.y for mark in steps.marks] == sorted(mark.y for mark in steps.marks)


def test_hypervolume_ends_at_all_of_it(result: Result) -> None:
    marks = hypervolume(result).series[0].marks
    assert (marks[-1].x, marks[-1].y) == (53, 100.0)
    nothing = replace(result, hypervolume=((0, 0.0), (1, 0.0)))
    assert {mark.y for one in hypervolume(nothing).series for mark in one.marks} == {0.0}


def test_trials_that_lost_a_race_are_hollow_and_no_family_is_best_by_them(raced: Result) -> None:
    for plot in (against(raced, raced.objectives[1]), bits(raced, points(raced))):
        first, *others = plot.series
        assert (first.name, first.symbol) == ("dropped early: fewer than 400 images", "circle-open")
        assert len(first.marks) == 10
        assert sum(len(one.marks) for one in others if one.name in ("integer", "minifloat", "mixed")) == 43
    best = max(first.marks, key=lambda mark: mark.y)
    assert "top-1 100.00 % (dropped after 64 of 400 images; 94.34 % to 100.00 %)" in best.hover
    lines = [one for one in bits(raced, points(raced)).series if one.name.startswith("best ")]
    assert max(mark.y for one in lines for mark in one.marks) < 100
    everything = replace(against(raced, raced.objectives[1]), low=101.0)
    assert replace(everything, low=None).hidden == 0


def test_hover_names_the_recipe(recipes: Result) -> None:
    treated = next(trial for trial in recipes.trials if trial.evaluation.design.recipe)
    assert "recipe gptq + bias_correction" in hover(recipes, treated)
