"""Layers that a technique treated before are used again, and the result is that of treating all of them."""

import random

import pytest
import torch

from hwdse.bounded import Bounded
from hwdse.design import Design, Quantizer, Step
from hwdse.plugins import load
from hwdse.quantize import Bench
from hwdse.technique import Sees, Technique
from tests.hwdse.networks import bench, few, network, split, uniform

LATE = sorted(
    name
    for name, kind in load("hwdse.techniques", Technique).items()  # type: ignore[type-abstract]
    if kind.sees is Sees.QUANTIZED_INPUTS and not kind.rebuilds
)


QUICK = {"auto_round": (("iterations", 5),), "learned_rounding": (("iterations", 5), ("lr", 0.5))}


def changed(design: Design, layer: str, weights: str) -> Design:
    """`design` with other weights in one layer."""
    layers = dict(design.weights) | {layer: Quantizer.parse(weights)}
    return Design.of(layers, dict(design.activations), {}, design.recipe, hardware=design.hardware)


@pytest.mark.parametrize(("name", "hardware"), [("mlp", True), ("cnn", False), ("resnet", True), ("vit", False)])
@pytest.mark.parametrize("technique", LATE)
def test_sharing_layers_changes_no_bit(technique: str, name: str, hardware: bool) -> None:
    on = Bench.of(network(name), few(), name, hardware=hardware)
    base = uniform(on, "int4:channel", "int6", recipe=(Step(technique, QUICK.get(technique, ())),))
    layers, choose = [layer.name for layer in on.workload.weighted], random.Random(name)
    images = split("search").images[:64]
    for design in [
        base,
        changed(base, layers[-1], "e2m1:channel"),
        changed(base, choose.choice(layers), "int3:channel"),
    ]:
        with torch.inference_mode():
            assert torch.equal(on.shell(design)(images), on.quantize(design)(images.clone()))


def test_only_layers_from_the_change_on_are_treated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    on = Bench.of(network("cnn"), few(), "cnn")
    base = uniform(on, "int4:channel", "int6", recipe=(Step("bias_correction"),))
    treated: list[tuple[str, ...]] = []
    apply = on.apply

    def counted(step, graph, layers, *, must=True):  # type: ignore[no-untyped-def]
        treated.append(tuple(layers))
        apply(step, graph, layers, must=must)

    monkeypatch.setattr(on, "apply", counted)
    layers = tuple(layer.name for layer in on.workload.weighted)
    for design in (base, changed(base, layers[-2], "int5:channel"), base):
        on.shell(design)
    assert treated == [layers, layers[-2:]]


def test_what_was_let_go_is_made_again() -> None:
    on = Bench.of(network("cnn"), few(), "cnn")
    images = split("search").images[:64]
    base = uniform(on, "int4:channel", "int6", recipe=(Step("bias_correction"),))
    with torch.inference_mode():
        expected = on.shell(base)(images)
    on.memory.treatments, on.memory.weights = Bounded(0), Bounded(0)
    with torch.inference_mode():
        assert torch.equal(on.shell(base)(images), expected)


def test_steps_follow_each_other() -> None:
    on = bench("cnn")
    twice = uniform(on, "int3:channel", "int4", recipe=(Step("bias_correction"), Step("bias_correction")))
    images = split("search").images[:64]
    with torch.inference_mode():
        assert torch.equal(on.shell(twice)(images), on.quantize(twice)(images.clone()))
