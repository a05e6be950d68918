"""Families and formats in words."""

from dataclasses import replace

import pytest

from hwdse.cost import Clock
from hwdse.design import Design, Quantizer
from hwdse.report.describe import (
    FAMILY_RULE,
    HALVES_RULE,
    activation_quantizers,
    brief,
    clock_in_words,
    consumers_in_words,
    family_of,
    family_rule,
    formats_in_words,
    most_accurate,
    roles,
    runs,
)
from hwdse.result import Result
from hwdse.workload import Site


def changed(result: Result, weights: dict[str, str], activations: dict[str, str] | None = None) -> Design:
    """The int5 design of trial 2 with other quantisers in some places."""
    design = result.trial(2).evaluation.design
    new_weights = dict(design.weights) | {name: Quantizer.parse(text) for name, text in weights.items()}
    new_activations = dict(design.activations) | {n: Quantizer.parse(text) for n, text in (activations or {}).items()}
    return Design.of(new_weights, new_activations)


def all_inner(fmt: str, unsigned: str) -> tuple[dict[str, str], dict[str, str]]:
    """One format in every layer and site that counts."""
    return {f"conv{i}": fmt for i in (2, 3, 4)}, {f"act{i}": unsigned for i in (1, 2, 3)}


def test_family(result: Result) -> None:
    work = result.workload
    assert family_of(changed(result, {}), work) == "integer"
    assert family_of(changed(result, {"conv3": "e2m1"}), work) == "mixed"
    assert family_of(changed(result, {}, {"act2": "ue2m2"}), work) == "mixed"
    assert family_of(changed(result, *all_inner("e2m1", "ue2m2")), work) == "minifloat"


def test_e1_is_an_integer(result: Result) -> None:
    assert family_of(changed(result, *all_inner("e1m2", "ue1m3")), result.workload) == "integer"


def test_only_an_8_bit_integer_at_the_edge_does_not_count(result: Result) -> None:
    weights, activations = all_inner("e2m1", "ue2m2")
    assert family_of(changed(result, weights | {"fc": "int7"}, activations), result.workload) == "mixed"
    assert family_of(changed(result, weights, activations | {"act4": "uint4"}), result.workload) == "mixed"
    assert family_of(changed(result, weights | {"conv3": "int8"}, activations), result.workload) == "mixed"
    assert family_of(changed(result, weights | {"fc": "e4m3"}, activations), result.workload) == "minifloat"


def test_activations_that_are_not_quantised_do_not_count(result: Result) -> None:
    halves = {f"act{i}": "float16" for i in range(1, 5)}
    assert family_of(changed(result, {}, halves), result.workload) == "integer"
    weights, _ = all_inner("e2m1", "ue2m2")
    assert family_of(changed(result, weights, halves), result.workload) == "minifloat"
    assert family_of(changed(result, {"conv3": "e2m1"}, halves), result.workload) == "mixed"


def test_16_bits_are_in_the_rule_where_a_design_has_them(result: Result) -> None:
    assert family_rule(result) == FAMILY_RULE
    trial = result.trials[5]
    half = replace(trial.evaluation, design=changed(result, {}, {"act2": "bfloat16"}))
    trials = (*result.trials[:5], replace(trial, evaluation=half), *result.trials[6:])
    with_half = replace(result, trials=trials)
    assert family_rule(with_half) == family_rule(result, with_half) == f"{FAMILY_RULE} {HALVES_RULE}"


def test_a_network_of_edges_counts_all_of_them(result: Result) -> None:
    edges = ("conv1", "fc")
    layers = tuple(layer for layer in result.workload.layers if layer.name in edges)
    workload = replace(result.workload, layers=layers, sites=(Site("image", ("image",), ("conv1",), 64),))
    design = Design.of({name: Quantizer.parse("int8") for name in edges}, {"image": Quantizer.parse("uint8")})
    assert family_of(design, workload) == "integer"


def test_order_is_that_of_the_network(result: Result) -> None:
    names = [name for name, _ in activation_quantizers(result.trial(2).evaluation.design, result.workload)]
    assert names == ["image", "act1", "act2", "act3", "act4"]


def test_words(result: Result) -> None:
    text = formats_in_words(changed(result, {"conv3": "e2m1"}, {"act1": "ue2m2"}), result.workload)
    assert text == "weights int8, int5, e2m1, int5, int8; activations uint8, ue2m2, 2 x uint5, uint8"


def test_long_lists_are_counted() -> None:
    many = tuple((str(i), Quantizer.parse("int4" if i % 3 else "e2m1")) for i in range(20))
    assert runs(many[:5]) == "e2m1, 2 x int4, e2m1, int4"
    assert brief(many[:5]) == "e2m1, 2 x int4, e2m1, int4"
    assert brief(many) == "13 x int4, 7 x e2m1"


def test_roles(result: Result) -> None:
    assert [(role, trial.number) for role, trial in roles(result)] == [
        ("best", 2),
        ("knee", 23),
        ("most accurate", 0),
        ("baseline", 0),
    ]
    assert len(roles(replace(result, baseline=None))) == 3
    assert most_accurate(replace(result, front=())) == result.best


@pytest.mark.parametrize(
    ("clocks", "text"),
    [
        ((None,), "100 MHz (assumed)"),
        ((150.0, None), "100 MHz (assumed)"),
        (
            (150.0, 120.4),
            "an assumed 100 MHz, below the 120 MHz that the slowest layer is predicted to reach "
            "(90 % of single units: 96 to 144)",
        ),
        (
            (72.0, 150.0),
            "an assumed 100 MHz, ABOVE the 72 MHz that the slowest layer is predicted to reach "
            "(90 % of single units: 58 to 86)",
        ),
    ],
)
def test_the_clock_is_assumed_and_perhaps_predicted(
    result: Result, clocks: tuple[float | None, ...], text: str
) -> None:
    cost = result.trial(2).evaluation.fpga
    layers = tuple(
        replace(layer, clock=None if mhz is None else Clock(mhz, 0.8 * mhz, 1.2 * mhz))
        for layer, mhz in zip(cost.layers, clocks, strict=False)
    )
    assert clock_in_words(replace(cost, layers=layers)) == text


@pytest.mark.parametrize(
    ("consumers", "text"), [(("conv1",), "read by conv1"), (("a", "b"), "read by a, b"), ((), "the output")]
)
def test_consumers(consumers: tuple[str, ...], text: str) -> None:
    assert consumers_in_words(Site("s", ("t",), consumers, 1)) == text
