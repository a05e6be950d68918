"""Learned rounding starts at the nearest values in every format, and its objective is the layer's output error."""

from functools import partial
from typing import Any

import pytest
import torch
from brevitas.core.function_wrapper.learned_round import LearnedRoundHardSigmoid, LearnedRoundIdentity
from brevitas.optim.sign_sgd import SignSGD
from torch import Tensor, nn

from hwdse.brevitas_layers import quantised_weight, weight_layer
from hwdse.design import Quantizer
from hwdse.formats import Format, known_formats, limits, values
from hwdse.layer_inputs import places
from hwdse.rounding_descent import Descent, Grid, grid, hard_sigmoid_start, objective
from tests.hwdse.networks import bench, uniform

FORMATS = list(known_formats(bits=range(3, 9)))
OPTIONS = ["", "channel", "channel:po2", "channel:mse"]


def layer(fmt: Format, options: str) -> Any:
    """A linear layer with random weights, some of them exactly between two values."""
    torch.manual_seed(0)
    module = nn.Linear(40, 24)
    made = weight_layer(module, Quantizer.parse(":".join((fmt.name, *options.split(":"))).removesuffix(":")))
    around = grid(made, made.weight.detach())
    middle = torch.rand(24, 40) < 0.2
    made.weight.data = torch.where(middle, (around.low + around.high) / 2, around.weight)
    return made


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_the_start_is_rounding_to_the_nearest(fmt: Format, options: str) -> None:
    """Brevitas's own start divides by the scale alone: wrong for minifloats, whose steps differ."""
    made = layer(fmt, options)
    nearest = quantised_weight(made, "fc", Quantizer(fmt, "channel" if options else "tensor"))
    around = grid(made, made.weight.detach())
    assert torch.equal(around.nearest, nearest)
    assert torch.equal(around.rounded(around.position), nearest)
    sigmoid, identity = LearnedRoundHardSigmoid().eval(), LearnedRoundIdentity()  # evaluation is hard
    up = sigmoid(hard_sigmoid_start(around.position, sigmoid))
    assert torch.equal(torch.where(up, around.high, around.low), nearest)
    up = identity.round_forward(around.position, identity(torch.zeros_like(nearest)))
    assert torch.equal(around.low + up * around.step, nearest)


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_neighbours_are_the_values_below_and_above(fmt: Format) -> None:
    made = layer(fmt, "channel")
    around, scale = grid(made, made.weight.detach()), made.weight_quant.scale().detach()
    low, high = limits(fmt, True)
    known = torch.tensor([value for value in values(fmt) if low <= value <= high]) * scale
    for weight, below, above, row in zip(around.weight, around.low, around.high, known, strict=True):
        assert bool((below <= above).all())
        places_below, places_above = torch.searchsorted(row, below), torch.searchsorted(row, above)
        assert int((places_above - places_below).max()) == 1
        inside = (row[0] <= weight) & (weight <= row[-1])
        assert bool(((below <= weight) & (weight <= above))[inside].all())


def test_a_quantiser_is_left_as_it_was() -> None:
    made = layer(FORMATS[0], "channel")
    before = made.quant_weight().value.clone()
    grid(made, made.weight.detach())
    assert torch.equal(made.quant_weight().value, before)


@pytest.mark.parametrize("network", ["cnn", "vit"])
def test_the_objective_is_the_squared_error_of_the_output(network: str) -> None:
    on = bench(network)
    model = on.quantize(uniform(on, "int3:channel", "int4"))
    for place in places(model, on, on.traced.layers, originals=True):
        around, target = grid(place.layer, place.layer.weight.detach()), objective(place)
        expected = output_errors(place.layer, place.original, around, place.inputs[0], place.original_inputs[0])
        got = target.error(around.high) - target.error(around.nearest)
        torch.testing.assert_close(got.double(), expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))


def output_errors(made: Any, original: nn.Module, around: Grid, x: Tensor, x_float: Tensor) -> Tensor:
    """Mean squared error of each output channel with all weights rounded up, less that with the nearest."""
    found: list[Tensor] = []
    wanted = original(x_float).double()
    channels = [dim for dim in range(wanted.dim()) if dim != (1 if isinstance(made, nn.Conv2d) else wanted.dim() - 1)]
    for weight in (around.high, around.nearest):
        made.weight.data = weight
        found.append((made(x).double() - wanted).square().mean(channels).detach())
    return found[0] - found[1]


def test_the_best_of_each_channel_is_kept_however_wild_the_steps() -> None:
    on = bench("cnn")
    model = on.quantize(uniform(on, "int4:channel", "int4"))
    for place in places(model, on, on.traced.layers, originals=True):
        around, target = grid(place.layer, place.layer.weight.detach()), objective(place)
        wild = partial(SignSGD, lr=100.0)
        descent = Descent(LearnedRoundIdentity(), around.position, wild, [1.0] * 5, lambda *_: 0.0)
        found = descent.run(torch.zeros_like(around.weight), around, target)
        assert bool((target.error(found) <= target.error(around.nearest)).all())
