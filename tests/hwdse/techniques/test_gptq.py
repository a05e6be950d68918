"""GPTQ keeps clear of the two ways in which it silently fails with Brevitas's ready-made quantisers."""

from dataclasses import replace
from typing import Any

import brevitas.graph.gptq as brevitas_gptq
import brevitas.nn as qnn
import pytest
import torch
from brevitas.core.zero_point import ParameterFromStatsFromParameterZeroPoint
from brevitas.quant.scaled_int import Int8WeightPerChannelFloat
from brevitas.quant.shifted_scaled_int import ShiftedUint8WeightPerChannelFloat
from torch import nn

from hwdse.brevitas_layers import weight_layer
from hwdse.design import Quantizer, Step
from hwdse.formats import known_formats
from hwdse.layer_inputs import Place, places
from hwdse.layer_solver import observe, solve
from hwdse.quantize import technique
from hwdse.workload import Kind
from tests.hwdse.networks import bench, uniform
from tests.hwdse.techniques.layer_errors import nearest_model, trained

PARAMETER = {"scaling_impl_type": "parameter_from_stats"}
ZERO = {"zero_point_impl": ParameterFromStatsFromParameterZeroPoint}


def layer_of(module: nn.Module, quantiser: Any) -> Any:
    """`module` as a Brevitas layer with any quantiser of weights."""
    options = {"bias": module.bias is not None, "weight_quant": quantiser, "return_quant_tensor": False}
    layer: Any
    if isinstance(module, nn.Conv2d):
        shape = (module.in_channels, module.out_channels, module.kernel_size)
        layer = qnn.QuantConv2d(*shape, stride=module.stride, padding=module.padding, groups=module.groups, **options)
    else:
        assert isinstance(module, nn.Linear)
        layer = qnn.QuantLinear(module.in_features, module.out_features, **options)
    with torch.no_grad():
        layer.weight.copy_(module.weight)
        if module.bias is not None:
            layer.bias.copy_(module.bias)
        layer.eval().quant_weight()
    return layer


def error(place: Place) -> float:
    """Squared distance of the layer's output from the float layer's."""
    with torch.no_grad():
        return sum(float((place.layer(x) - place.original(x)).square().sum()) for x in place.inputs)


def treat(place: Place) -> tuple[float, float]:
    """What share of the weights GPTQ moves, and what it makes of the error: 1 is as before."""
    before, nearest = error(place), place.layer.quant_weight().value.detach().clone()
    solver = brevitas_gptq.GPTQ(place.layer, place.name, False, 1, False, 100)
    observe(solver, place)
    solve(solver, place)
    return float((place.layer.quant_weight().value != nearest).float().mean()), error(place) / before


@pytest.fixture
def dense() -> list[Place]:
    """The layers of digits-cnn with more than nine inputs to an output, behind 8-bit inputs."""
    on = trained("digits-cnn").bench
    chosen = {name: path for name, path in on.traced.layers.items() if on.workload.layer(name).dot > 9}
    return list(places(nearest_model("digits-cnn", "int4"), on, chosen))


def test_a_scale_that_follows_the_weights_lets_gptq_move_nothing(dense: list[Place]) -> None:
    """Brevitas's default recomputes the scale on each column by itself, which then has no error to spread."""
    zoo = Int8WeightPerChannelFloat.let(bit_width=4, narrow_range=True)
    for place in dense:
        moved, left = treat(replace(place, layer=layer_of(place.original, zoo)))
        assert moved < 0.1
        assert left == pytest.approx(1, abs=0.02)
        moved, left = treat(replace(place, layer=weight_layer(place.original, Quantizer.parse("int4:channel"))))
        assert moved > 0.1
        assert left < 0.5


def test_an_asymmetric_default_collapses_and_a_fixed_zero_point_does_not(dense: list[Place]) -> None:
    default = ShiftedUint8WeightPerChannelFloat.let(bit_width=4)
    fixed = ShiftedUint8WeightPerChannelFloat.let(bit_width=4, **PARAMETER, **ZERO)
    for place in dense:
        assert treat(replace(place, layer=layer_of(place.original, default)))[1] > 50
        assert treat(replace(place, layer=layer_of(place.original, fixed)))[1] < 0.5


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_no_quantiser_of_weights_is_asymmetric(granularity: str) -> None:
    """So that the collapse cannot happen here; and no scale follows the weights."""
    module = nn.Linear(4, 3)
    for fmt in known_formats():
        quantiser = weight_layer(module, Quantizer(fmt, granularity)).weight_quant.tensor_quant
        before, scale, zero_point, *_ = quantiser(module.weight)
        assert bool((zero_point == 0).all())
        assert torch.equal(quantiser(2 * module.weight)[1], scale)
        assert torch.equal(quantiser(-before)[0], -before)


def test_a_matrix_that_cannot_be_inverted_is_an_error() -> None:
    """Brevitas warns and leaves the layer as it was."""
    on = bench("mlp")
    rule = "the inputs of a layer have a covariance that can be inverted, unlike those of 'fc1'"
    for step in ("gptq(damping=-2.0)", "qronos(alpha=-2.0)"):
        with pytest.raises(ValueError, match=rf"^{rule}: use more calibration images or more damping$"):
            on.quantize(uniform(on, "int4", "int4", recipe=(Step.parse(step),)))


@pytest.mark.parametrize("name", ["gptq", "gpfq", "qronos", "learned_rounding", "auto_round"])
def test_supports_layers_with_weights_that_share_a_scale_per_tensor_or_channel(name: str) -> None:
    method, workload = technique(Step(name)), bench("vit").workload
    int4, group = Quantizer.parse("int4"), Quantizer.parse("int4:group16")
    assert {layer.kind for layer in workload.layers if method.supports(layer, int4)} == {Kind.CONV, Kind.LINEAR}
    assert not any(method.supports(layer, group) for layer in workload.layers)
