"""Layers are met in the order they run, with the inputs that a forward pass of the whole network gives them."""

from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

from hwdse.data import Split
from hwdse.layer_inputs import original_weights, places
from hwdse.quantize import Bench
from tests.hwdse.networks import bench, split, uniform


def inputs(model: fx.GraphModule, paths: dict[str, str], images: Tensor) -> dict[str, Tensor]:
    """What a forward pass calls the layers with."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
            seen[name] = next(iter((*args, *kwargs.values()))).clone()

        return hook

    hooks = [
        model.get_submodule(path).register_forward_pre_hook(keep(name), with_kwargs=True)
        for name, path in paths.items()
    ]
    with torch.no_grad():
        model(images.clone())
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("hardware", [True, False])
@pytest.mark.parametrize("network", ["cnn", "resnet", "vit"])
def test_inputs_are_those_of_a_forward_pass(network: str, hardware: bool) -> None:
    on, images = bench(network, hardware), split("calibration").images
    model = on.quantize(uniform(on, "int4", "int4"))
    quantised, floating = (inputs(graph, on.traced.layers, images) for graph in (model, on.traced.graph))
    seen = []
    for place in places(model, on, on.traced.layers, originals=True):
        seen.append(place.name)
        assert torch.equal(torch.cat(list(place.inputs)), quantised[place.name])
        assert torch.equal(torch.cat(list(place.original_inputs)), floating[place.name])
    assert seen == list(on.traced.layers)


def test_a_layer_that_was_changed_is_run_as_it_is_now() -> None:
    on = bench("mlp")
    model = on.quantize(uniform(on, "int4", "int4"))
    for place in places(model, on, on.traced.layers):
        assert place.original_inputs == ()
        if place.name != "fc1":
            assert all(bool((x == x[0]).all()) for x in place.inputs)
        place.layer.weight.data.zero_()


class InPlace(nn.Module):
    """Works in place on its input and on what a layer gives; calls a layer by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 16)
        self.second = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(nn.functional.hardtanh(x.flatten(1), 0.2, 0.4, inplace=True))
        z: Tensor = self.second(input=nn.functional.relu(y, inplace=True))
        return z


def test_networks_that_work_in_place_and_several_batches() -> None:
    torch.manual_seed(0)
    images = split("calibration").images.repeat(2, 1, 1, 1)[:300]
    kept = images.clone()
    on = Bench.of(InPlace().eval(), Split("calibration", images, torch.zeros(300, dtype=torch.int64)), "net")
    model = on.quantize(uniform(on, "int4", "int4"))
    expected = [inputs(model, on.traced.layers, batch) for batch in images.split(256)]
    for place in places(model, on, on.traced.layers):
        assert len(place.inputs) == 2
        assert all(torch.equal(x, batch[place.name]) for x, batch in zip(place.inputs, expected, strict=True))
    assert torch.equal(images, kept)


def test_original_weights_are_there_for_a_while() -> None:
    on = bench("mlp")
    model = on.quantize(uniform(on, "int4", "int4"))
    layer = model.get_submodule("fc1")
    keys = set(model.state_dict())
    with original_weights(model, on):
        original = on.traced.graph.get_submodule("fc1").get_parameter("weight")
        assert torch.equal(layer.get_buffer("weight_orig"), original)
    assert set(model.state_dict()) == keys
