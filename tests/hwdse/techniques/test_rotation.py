"""Rotations keep the float network; those that are merged are free, and the others are named."""

import re
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from brevitas.graph.equalize import LayerwiseActivationRotation
from torch import nn

from hwdse.design import Step
from hwdse.export import export
from hwdse.hadamard import Hadamard, exists, rotated
from hwdse.quantize import Bench
from hwdse.workload import Kind
from tests.hwdse.networks import bench, network, split, uniform
from tests.hwdse.techniques.floats import distance, noise, vit_with_outliers

ONLINE = Step("rotation", (("online", True),))
# In float64 only the roundings of the rotated float32 weights are left: 2**-24 each, some 100 terms, 10 layers
SAME = 10 * 100 * 2.0**-24


def turned(on: Bench, step: Step) -> Bench:
    """The bench after the step."""
    return on.after_float_steps(uniform(on, "int4", "int4", recipe=(step,)))[0]


@pytest.mark.parametrize("hardware", [True, False])
def test_values_of_an_attention_are_rotated_for_free(hardware: bool) -> None:
    on, images = bench("vit", hardware), split("search").images[:20]
    after = turned(on, Step("rotation"))
    old, new = on.traced.graph.state_dict(), after.traced.graph.state_dict()
    changed = {key for key in old if not torch.equal(old[key], new[key])}
    names = {f"blocks.{i}.attention.{name}" for i in (0, 1) for name in ("v.weight", "v.bias", "proj.weight")}
    assert changed == names
    assert after.workload == on.workload
    assert float(distance(on.traced.graph, after.traced.graph, images).max()) < SAME
    head = old["blocks.0.attention.proj.weight"][:, 16:32]
    torch.testing.assert_close(new["blocks.0.attention.proj.weight"][:, 16:32], rotated(head))


def test_an_outlying_value_channel_costs_less() -> None:
    model = network("vit")
    with torch.no_grad():
        for attention in (block.get_submodule("attention") for block in model.get_submodule("blocks").children()):
            for tensor in attention.get_submodule("v").parameters():
                tensor[5] *= 32
            attention.get_submodule("proj").get_parameter("weight")[:, 5] /= 32
    on = Bench.of(model, split("calibration"), "vit")
    plain, turn = (uniform(on, "int8:channel", "int4", recipe=recipe) for recipe in ((), (Step("rotation"),)))
    assert noise(on, on.quantize(turn)) < 0.9 * noise(on, on.quantize(plain))


@pytest.mark.parametrize("name", ["mlp", "cnn", "vit"])
def test_online_rotations_keep_the_network_and_are_listed(name: str) -> None:
    on, images = bench(name, False), split("search").images[:20]
    after = turned(on, ONLINE)
    linear = [a.name for a in on.workload.layers if a.kind is Kind.LINEAR]
    assert [a.name for a in after.workload.layers if a.kind is Kind.ROTATION] == [f"{a}_rotation" for a in linear]
    assert [site.name for site in after.workload.sites] == [site.name for site in on.workload.sites]
    assert float(distance(on.traced.graph, after.traced.graph, images).max()) < SAME
    design = uniform(after, "int4:channel", "int8")
    with torch.no_grad():
        assert torch.equal(after.shell(design)(images), after.quantize(design)(images))


def test_online_equals_brevitas_alone() -> None:
    on, images = bench("mlp", False), split("search").images
    theirs = LayerwiseActivationRotation().apply(deepcopy(network("mlp")))
    after = turned(on, ONLINE).traced.graph
    ours = after.get_submodule("fc2").get_parameter("weight")
    assert torch.equal(ours, theirs.get_submodule("fc2").get_submodule("layer").get_parameter("weight"))
    with torch.no_grad():
        torch.testing.assert_close(after(images), theirs(images))


def test_online_rotations_tame_outliers() -> None:
    on = vit_with_outliers(hardware=False)
    step = Step("rotation", (("online", True),), ("blocks.0.fc1", "blocks.1.fc1"))
    plain, turn = (uniform(on, "int8:channel", "int4", recipe=recipe) for recipe in ((), (step,)))
    assert noise(on, on.quantize(turn)) < 0.9 * noise(on, on.quantize(plain))


@pytest.mark.parametrize("size", [16, 48, 64, 96])
def test_the_product_is_undone_by_rotated_weights(size: int) -> None:
    torch.manual_seed(size)
    x, weight = torch.randn(5, size), torch.randn(3, size)
    torch.testing.assert_close(nn.functional.linear(Hadamard(size)(x), rotated(weight)), x @ weight.T)
    assert exists(size)
    assert not exists(10)


def test_what_it_cannot_do_is_said(tmp_path: Path) -> None:
    vit, mlp = bench("vit"), bench("mlp")
    refused = "an online rotation is a product in float before each layer, which needs hardware = false"
    with pytest.raises(ValueError, match=f"^{re.escape(refused)}$"):
        vit.quantize(uniform(vit, "int4", "int4", recipe=(ONLINE,)))
    with pytest.raises(ValueError, match=r"^step 'rotation' changed nothing in network 'mlp'$"):
        mlp.quantize(uniform(mlp, "int4", "int4", recipe=(Step("rotation"),)))
    after = turned(bench("mlp", False), ONLINE)
    unknown = r"^no source for module 'fc1_rotation', Hadamard\(\): name 'Hadamard' is not defined$"
    with pytest.raises(ValueError, match=unknown):
        export(after, uniform(after, "int4", "int8"), tmp_path / "model", title="x")
