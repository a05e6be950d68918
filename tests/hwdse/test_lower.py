"""Networks in whole numbers beside Brevitas: every code of every tensor, and the logits."""

import re
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hwdse.data import Split
from hwdse.design import Design, Quantizer, Step
from hwdse.equality import compare
from hwdse.folding import fold
from hwdse.lower import lower
from hwdse.network import Network, Rule, Table
from hwdse.quantize import Bench
from hwdse.thresholds import Thresholds
from hwdse.workload import Kind
from tests.hwdse.networks import bench, fitting, split, uniform
from tests.hwdse.small_networks import SIZE, SMALL, images, small

FORMATS = ("int4", "int8", "e2m1", "e3m2", "e4m3")
PACE = 20_000


def folded(on: Bench, design: Design) -> Design:
    """`design` with a folding."""
    return replace(design, folding=tuple(sorted(fold(on.workload, PACE).items())))


def mixed(on: Bench, seed: int) -> Design:
    """A random format for every layer and every site."""
    random = Random(seed)
    names = ("int3", "int4:full", "int5", "int8", "e2m1", "e3m2", "e4m3", "e3m0", "e1m3", "e5m2", "int6")
    weights = {
        layer.name: Quantizer.parse(random.choice(names) + random.choice((":channel", "")))
        for layer in on.workload.weighted
    }
    sites = {s.name: fitting(on, s.name, Quantizer.parse(random.choice(names))) for s in on.workload.sites}
    return Design.of(weights, sites)


def check_equal(on: Bench, design: Design, seen: torch.Tensor) -> Network:
    """The network of `design`: the same codes as Brevitas in float64, and in float32 but for what roundings explain."""
    network = lower(on, folded(on, design))
    found = compare(on, design, network, seen)
    assert found.codes > len(seen) * on.workload.sites[0].elements
    assert (found.images, found.in_float64, found.unexplained) == (len(seen), 0, 0)
    assert found.in_float32 < found.codes / 1000
    assert found.logits < 1e-12
    return network


@pytest.mark.parametrize("formats", FORMATS)
@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet"])
def test_every_code(name: str, formats: str) -> None:
    on = bench(name)
    check_equal(on, uniform(on, f"{formats}:channel", formats), split("test").images[:50])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet"])
def test_every_code_of_all_test_images(name: str) -> None:
    on = bench(name)
    for formats in FORMATS:
        check_equal(on, uniform(on, f"{formats}:channel", formats), split("test").images)
    check_equal(on, mixed(on, 0), split("test").images)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet"])
def test_mixed_designs(name: str, seed: int) -> None:
    on = bench(name)
    check_equal(on, mixed(on, seed), split("test").images[:40])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", SMALL)
def test_networks_with_everything_else(name: str, seed: int) -> None:
    on = small(name)
    check_equal(on, mixed(on, seed), images(32))


def test_a_shortcut_becomes_a_convolution_of_ones_and_zeros() -> None:
    on = small("shortcut")
    network = lower(on, folded(on, uniform(on, "int4:channel", "int4")))
    node = network.node("add.shortcut1")
    assert (node.layer.kind, node.layer.stride, node.layer.kernel) == (Kind.CONV, (2, 2), (1, 1))
    assert node.weights is not None
    assert np.array_equal(node.weights, np.eye(8, 4, -2, dtype=np.int64))
    assert [layer.name for layer in network.workload.layers] == [one.layer.name for one in network.nodes]


def test_a_falling_function_negates_weights() -> None:
    on = small("falling")
    design = folded(on, uniform(on, "int4:channel", "int4"))
    node, kept = lower(on, design).node("conv"), on.quantize(design).get_submodule("conv")
    codes = node.weights
    assert codes is not None
    assert node.meaning is not None
    assert max(node.meaning.scales) < 0, "sums stand for what they were before"
    positive = torch.tensor(np.where(codes > 7, codes - 16, codes) > 0)
    weights = kept.get_parameter("weight").permute(0, 2, 3, 1).reshape(5, -1)
    assert not (positive & (weights > 0)).any()


def test_weights_without_a_negative_are_not_negated() -> None:
    on = small("falling")
    with pytest.raises(
        ValueError, match=r"^weights that are negated are numbers of their format, unlike those of layer 'conv'$"
    ):
        lower(on, folded(on, uniform(on, "int3:full", "int4")))


# ---- what roundings explain -----------------------------------------------------------------------


def quantised_twice(outer: str, inner: str, seed: int) -> tuple[Bench, Design]:
    """`Again`, with a format for the ReLU and one for everything else; half of a code is often right between two."""
    torch.manual_seed(seed)
    model = SMALL["again"]()
    with torch.no_grad():
        model.get_parameter("first.bias").add_(0.5)
    shown = images(48)
    on = Bench.of(model.eval(), Split("calibration", shown, torch.zeros(len(shown), dtype=torch.int64)), "again")
    design = folded(on, uniform(on, "int4:channel", outer))
    return on, Design.of(
        dict(design.weights), dict(design.activations) | {"relu": Quantizer.parse(inner)}, dict(design.folding)
    )


TWICE = [("int8:full", "uint4", 1), ("int8:full", "uint4", 4), ("e4m3", "e2m1", 2)]


@pytest.mark.parametrize(("outer", "inner", "seed"), TWICE)
def test_ties_of_a_table_are_explained(outer: str, inner: str, seed: int) -> None:
    """A code of one format times its scale over the other's is right between two codes, but in float32 beside it."""
    on, design = quantised_twice(outer, inner, seed)
    found = compare(on, design, lower(on, design), images(48))
    assert (found.in_float64, found.unexplained) == (0, 0)
    assert found.in_float32 > 50


@pytest.mark.parametrize("layer", ["first", "relu"])
def test_a_wrong_step_is_not_explained(layer: str) -> None:
    """A table, or thresholds, with one number too high or too low."""
    on, design = quantised_twice("int8:full", "uint4", 1)
    network = lower(on, design)
    before = compare(on, design, network, images(8))

    def wrong(rule: Rule) -> Rule:
        if isinstance(rule, Table):
            return Table(tuple(min(code + 1, 15) for code in rule.codes))
        assert isinstance(rule, Thresholds)
        return replace(rule, rows=tuple(tuple(sum_ + 1 for sum_ in row) for row in rule.rows))

    nodes = tuple(
        replace(node, outputs=tuple((name, wrong(rule)) for name, rule in node.outputs))
        if node.layer.name == layer
        else node
        for node in network.nodes
    )
    found = compare(on, design, replace(network, nodes=nodes), images(8))
    assert before.unexplained == 0
    assert found.unexplained > 0.9 * (found.in_float32 - before.in_float32) > 0


# ---- what is refused ------------------------------------------------------------------------------


def on_images(model: nn.Module) -> Bench:
    """The bench of a network for images of `small_networks`."""
    torch.manual_seed(0)
    return Bench.of(model.eval(), Split("calibration", images(16), torch.zeros(16, dtype=torch.int64)), "network")


def test_weights_halfway_between_two_codes_in_float32_alone() -> None:
    """They are those of float32: in float64 the same weight over the same scale lies beside the middle."""
    scale = torch.tensor(1.0) / 127
    halfway = (torch.arange(126) + 0.5) * scale
    chosen = (halfway / scale).round() != (halfway.double() / scale.double()).round()
    assert chosen.sum() >= 8
    model = nn.Sequential(nn.Conv2d(4, 5, 1), nn.Flatten(), nn.Linear(5 * SIZE * SIZE, 3))
    with torch.no_grad():
        weights = model.get_parameter("0.weight").flatten()
        weights[0], weights[1:9] = 1, halfway[chosen][:8]
    on = on_images(model)
    check_equal(on, uniform(on, "int8", "int8"), images(8))


class Mixer(nn.Module):
    """A function of the input in place of a network."""

    def __init__(self, function: Callable[[Any, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.conv, self.same = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.head = nn.BatchNorm2d(4), nn.Linear(4, 3)
        self.plain = nn.BatchNorm2d(4, affine=False)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        logits: torch.Tensor = self.head(self.function(self, x).mean((2, 3)))
        return logits


class Tokens(nn.Module):
    """The mean of what a linear layer makes of each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.each, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        logits: torch.Tensor = self.head(self.each(x.flatten(2).transpose(1, 2)).mean(1))
        return logits


REFUSED: dict[str, tuple[nn.Module, str]] = {
    "softmax": (
        nn.Sequential(nn.Conv2d(4, 3, 6), nn.Flatten(), nn.Linear(3, 3), nn.Softmax(1), nn.Linear(3, 3)),
        "an accelerator has no softmax, which layer '3' is",
    ),
    "function at the end": (
        nn.Sequential(nn.Conv2d(4, 3, 6), nn.Flatten(), nn.Linear(3, 3), nn.ReLU()),
        "an accelerator ends in sums that are logits, unlike after layer '2'",
    ),
    "sums of pixels": (
        nn.Sequential(nn.Conv2d(4, 3, 3)),
        "an accelerator ends in one sum for each class, unlike layer '0'",
    ),
    "mean of tokens": (
        Tokens(),
        "in an accelerator a layer of kind avg_pool reads images of C x H x W, unlike 'mean'",
    ),
    "linear layer of an image": (
        nn.Sequential(nn.Linear(SIZE, SIZE), nn.Flatten(), nn.Linear(4 * SIZE * SIZE, 3)),
        "in an accelerator a layer of kind linear reads vectors or tokens x features, unlike '0'",
    ),
    "joined": (
        Mixer(lambda own, x: own.same(torch.cat([own.conv(x)[:, :2], x[:, :2]], 1))),
        "an accelerator joins no streams but by adding them, unlike 'cat'",
    ),
    "turned": (
        Mixer(lambda own, x: own.same(own.conv(x).transpose(2, 3))),
        "an accelerator moves no values in the way in which layer 'same' reads them",
    ),
    "falling norm": (
        Mixer(lambda own, x: own.same(own.norm(nn.functional.avg_pool2d(own.conv(x), 2) * -1))),
        "a sum is compared with rising thresholds, but after layer 'avg_pool2d' they fall",
    ),
    "norm again": (
        Mixer(lambda own, x: (y := own.conv(x)) + own.same(own.norm(y))),
        "a table is the same for every channel, but 'norm' comes after a norm",
    ),
    "norm without gains": (
        Mixer(lambda own, x: (y := own.conv(x)) + own.same(own.plain(y))),
        "a table is the same for every channel, but 'plain' comes after a norm",
    ),
    "padded pool": (
        Mixer(lambda own, x: own.same(nn.functional.max_pool2d(own.conv(x), 3, 1, 1))),
        "a max pool with padding reads no negative numbers, unlike layer 'max_pool2d'",
    ),
    "scaled image": (
        Mixer(lambda own, x: own.conv(x / 2)),
        "an accelerator takes images as they are quantised, but here something is done before",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_accelerator_has(name: str) -> None:
    model, message = REFUSED[name]
    on = on_images(model)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        lower(on, folded(on, uniform(on, "int4:channel", "int4")))


def test_a_design_without_a_folding() -> None:
    on = small("falling")
    with pytest.raises(ValueError, match=r"^an accelerator is folded, but this design has no folding$"):
        lower(on, uniform(on, "int4:channel", "int4"))


@pytest.mark.parametrize(
    ("weights", "activations", "message"),
    [
        ("int4:group4", "int4", "an accelerator has no scale for each group, unlike 'conv' with int4:group4"),
        ("e6m1", "int4", "an accelerator is built for at most 5 exponent bits, not for e6m1 of 'conv'"),
    ],
)
def test_formats_that_no_accelerator_has(weights: str, activations: str, message: str) -> None:
    on = small("falling")
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        lower(on, folded(on, uniform(on, weights, activations)))


def test_what_a_technique_puts_into_the_network() -> None:
    on = bench("mlp")
    design = folded(on, uniform(on, "int4:channel", "int4", recipe=(Step("svd_quant"),)))
    with pytest.raises(
        ValueError, match=r"^an accelerator has no unit for what step 'svd_quant' puts into the network$"
    ):
        lower(on, design)


@pytest.mark.parametrize("recipe", ["bias_correction", "channel_splitting", "norm_reestimation", "gptq"])
def test_techniques_that_leave_layers_as_they_are(recipe: str) -> None:
    on = bench("cnn")
    steps = (Step(recipe),)
    design = uniform(on, "int4:channel", "int4", recipe=steps)
    design = replace(design, folding=tuple(sorted(fold(on.charged(steps), PACE).items())))
    found = compare(on, design, lower(on, design), split("test").images[:20])
    assert (found.in_float64, found.unexplained) == (0, 0)


def test_layers_that_are_quantised_by_themselves() -> None:
    on = bench("mlp", hardware=False)
    design = uniform(on, "int4", "int4")
    with pytest.raises(
        ValueError, match=r"^an accelerator quantises every tensor where it is made, as hardware = true"
    ):
        lower(on, design)


# ---- what an average sees -------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 4])
def test_an_average_of_as_many_pixels_as_an_image_has_is_not_of_the_image(stride: int) -> None:
    """A padded window of 3 x 3 pixels sees less of an image of 3 x 3, even where it is the only one."""

    def pooled(own: Any, x: torch.Tensor) -> torch.Tensor:
        small = nn.functional.max_pool2d(own.conv(x), 2)
        y: torch.Tensor = own.same(nn.functional.avg_pool2d(small, 3, stride, 1))
        return y

    on = on_images(Mixer(pooled))
    check_equal(on, uniform(on, "int4:channel", "int4"), images(16))
