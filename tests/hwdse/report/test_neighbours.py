"""Why each design is on the front, in words."""

from dataclasses import replace

import pytest

from hwdse.design import Design, Folding, Quantizer, Step
from hwdse.report.neighbours import Gain, changed, cost_label, reasons
from hwdse.result import Objective, Result

BASE = ("int4", "int4", "int4")


def of(result: Result, **quantizers: str) -> Design:
    """Trial 3, every inner tensor int4, with some of its quantisers replaced."""
    design = result.trial(3).evaluation.design
    chosen = {name: Quantizer.parse(text) for name, text in quantizers.items()}
    weights = {name: chosen.get(name, q) for name, q in design.weights}
    activations = {name: chosen.get(name, q) for name, q in design.activations}
    return Design.of(weights, activations, dict(design.folding))


def test_one_row_for_each_design_of_the_front(result: Result) -> None:
    found = reasons(result)
    assert [reason.trial for reason in found] == list(result.front)
    first, *others = found
    assert (first.changed, first.more, first.search, first.test) == (
        "the cheapest of the front", "", Gain("", "", False), Gain("", "", False),
    )  # fmt: skip
    assert all(reason.changed and reason.more.startswith("+") for reason in others)
    (best,) = (reason for reason in found if reason.trial == result.best)
    assert (best.roles, best.cost, best.quality) == ("best", "2,880", "95.50 %")
    assert cost_label(result) == "LUT"


def test_what_a_row_says(result: Result) -> None:
    before, row = reasons(result)[-2:]
    assert (before.trial, row.trial) == (result.front[-2], 0)
    old, new = (result.trial(number).evaluation.fpga.area.luts for number in result.front[-2:])
    assert row.more == f"+{new - old:,} ({100 * (new / old - 1):+.1f} %)"
    assert row.roles == "most accurate, baseline"
    points = 100 * (result.trial(0).values[0] - result.trial(before.trial).values[0])
    assert row.search.points == f"{points:+.2f}"
    assert not row.search.shown
    assert row.search.interval.startswith("[-")


def test_gains_that_are_shown(result: Result) -> None:
    shown = [gain for reason in reasons(result)[1:] for gain in (reason.search, reason.test) if gain.shown]
    assert shown, "the study is too small to test this"
    assert all(gain.interval.startswith("[+") for gain in shown)


def test_a_front_without_the_test_split(result: Result) -> None:
    bare = tuple(
        replace(t, evaluation=replace(t.evaluation, accuracies=t.evaluation.accuracies[:1])) for t in result.trials
    )
    found = reasons(replace(result, trials=bare))
    assert {reason.test for reason in found} == {Gain("", "", False)}
    assert found[1].search.points


@pytest.mark.parametrize(
    ("quantizers", "text"),
    [
        ({"conv2": "e2m1:channel"}, "weights of conv2: int4 to e2m1"),
        (
            {"conv2": "int3:channel", "conv4": "int3:channel", "act3": "uint6"},
            "weights of conv2, conv4: int4 to int3; activations at act3: uint4 to uint6",
        ),
        ({"conv2": "int4"}, "weights of conv2: int4:channel to int4"),
        ({}, "nothing that is named here"),
    ],
)
def test_few_changes_are_all_named(result: Result, quantizers: dict[str, str], text: str) -> None:
    assert changed(result, of(result), of(result, **quantizers)) == text


def test_of_many_changes_the_most_sensitive_are_named(result: Result, sensitive: Result) -> None:
    old, new = of(result), result.trial(0).evaluation.design
    assert changed(result, old, new) == "6 of 10 tensors; the first: weights of conv2, conv3, conv4: int4 to int8"
    assert changed(sensitive, old, new) == (
        "6 of 10 tensors; the most sensitive: activations at act3, act2, act1: uint4 to uint8"
    )


def test_recipe_and_folding(result: Result) -> None:
    old = of(result)
    treated = replace(old, recipe=(Step("gptq"), Step("bias_correction")))
    assert changed(result, old, treated) == "recipe none to gptq + bias_correction"
    one = replace(old, folding=tuple((n, Folding(2, 8) if n == "fc" else f) for n, f in old.folding))
    assert changed(result, old, one) == "folding of fc 4x8 to 2x8"
    every = replace(old, folding=tuple((name, Folding(1, 1)) for name, _ in old.folding))
    assert changed(result, treated, every) == "recipe gptq + bias_correction to none; the folding of 5 layers"


def test_costs_in_their_own_unit(result: Result) -> None:
    objectives = (Objective("top1", "maximize"), Objective("latency", "minimize"))
    found = reasons(replace(result, objectives=objectives))
    assert cost_label(replace(result, objectives=objectives)) == "latency"
    assert (found[0].cost, found[1].more) == ("27.05 us", "+0 ns (+0.0 %)")


def test_without_a_front_there_are_no_rows(result: Result) -> None:
    assert reasons(replace(result, front=())) == ()
