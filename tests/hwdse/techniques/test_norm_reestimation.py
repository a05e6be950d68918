"""Re-estimated norms give outputs the float mean and spread, as norms that are not merged would."""

from typing import Any

import brevitas.nn as qnn
import pytest
import torch
from brevitas.graph.calibrate import norm_correction_mode
from torch import Tensor, nn

from hwdse.brevitas_layers import weight_layer
from hwdse.design import Quantizer, Step
from hwdse.quantize import Bench
from hwdse.techniques.norm_reestimation import NormReestimation
from tests.hwdse.networks import bench, network, split, uniform
from tests.hwdse.techniques.floats import noise


def outputs(model: nn.Module, path: str) -> Tensor:
    """What the layer at `path` gives on the calibration images; channels first."""
    seen: list[Tensor] = []
    layer = model.get_submodule(path)
    hook = layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        model(split("calibration").images.clone())
    hook.remove()
    return seen[0].movedim(1 if isinstance(layer, nn.Conv2d) else -1, 0).flatten(1).double()


@pytest.mark.parametrize("hardware", [True, False])
@pytest.mark.parametrize("weights", ["int3:channel", "e2m1:channel", "int4:channel:mse"])
@pytest.mark.parametrize("name", ["cnn", "mlp"])
def test_all_layers_have_the_statistics_of_the_float_network(name: str, weights: str, hardware: bool) -> None:
    on = bench(name, hardware)
    model = on.quantize(uniform(on, weights, "int4", recipe=(Step("norm_reestimation"),)))
    for path in on.traced.layers.values():
        wanted, got = outputs(on.traced.graph, path), outputs(model, path)
        # one float32 rounding each of weights, scale, bias and sums of at most 288 products
        spread = wanted.std(1, correction=0)
        live = spread > 1e-3 * spread.max()
        assert ((got.mean(1) - wanted.mean(1)).abs() <= 1e-4 * wanted.abs().amax(1)).all(), path
        torch.testing.assert_close(got.std(1, correction=0)[live], spread[live], rtol=1e-3, atol=0)


@pytest.mark.parametrize("weights", ["int4:channel", "e2m1:channel", "int4:channel:mse"])
def test_the_codes_of_the_weights_stay(weights: str) -> None:
    """The gain is in the scales: weights off the grid would be what no hardware stores."""
    on = bench("resnet")
    plain = on.quantize(uniform(on, weights, "int4"))
    model = on.quantize(uniform(on, weights, "int4", recipe=(Step("norm_reestimation"),)))
    for path in on.traced.layers.values():
        before, after = codes(plain.get_submodule(path)), codes(model.get_submodule(path))
        assert torch.equal(before, after), path


def codes(layer: Any) -> Tensor:
    """The quantised weights over their scale, in 1/8 (of every format here a whole number)."""
    with torch.no_grad():
        found: Tensor = (8 * layer.quant_weight().value / layer.weight_quant.scale()).round()
    return found


class Normed(nn.Module):
    """A layer with a norm, and what makes it a network."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8, eps=1e-12)
        self.head = nn.Linear(8 * 36, 10)

    def forward(self, x: Tensor) -> Tensor:
        """The logits of `x`."""
        y: Tensor = self.head(torch.relu(self.norm(self.conv(x))).flatten(1))
        return y


@pytest.fixture
def normed() -> tuple[Normed, float]:
    """The network, its norm with the statistics of the calibration images; and biased over unbiased variance."""
    torch.manual_seed(1)
    model, images = Normed(), split("calibration").images
    nn.init.uniform_(model.norm.weight, 0.5, 2)
    nn.init.normal_(model.norm.bias)
    biased = 1 - 1 / (len(images) * 36)
    model.norm.momentum = None
    with torch.no_grad():
        model.train()(images)
        model.norm.running_var.mul_(biased)  # type: ignore[union-attr]
    return model.eval(), biased


@pytest.mark.parametrize("weights", ["int3:channel", "e2m1:channel"])
def test_equals_norms_that_are_not_merged(weights: str, normed: tuple[Normed, float]) -> None:
    model, biased = normed
    images = split("calibration").images
    on = Bench.of(model, split("calibration"), "normed", hardware=False)
    design = uniform(on, weights, "int8", recipe=(Step("norm_reestimation", scope=("conv",)),))
    ours = on.quantize(design)
    theirs = unmerged(model, on, weights)
    old = theirs[1].running_var.clone()
    with torch.no_grad(), norm_correction_mode(theirs):
        theirs(images)
    theirs.eval()  # Brevitas leaves norms in training mode
    new = outputs(theirs, "0").var(1, correction=1).float()
    torch.testing.assert_close(theirs[1].running_var, (old * new).sqrt(), rtol=1e-5, atol=0)  # Brevitas's variance
    theirs[1].running_var.copy_(new * biased)
    with torch.no_grad():
        expected, got = theirs(images), outputs(ours, "conv")
    # a handful of float32 roundings; the codes of the weights are the same
    torch.testing.assert_close(got, expected.movedim(1, 0).flatten(1).double(), rtol=1e-4, atol=1e-4)


def unmerged(model: Normed, on: Bench, weights: str) -> Any:
    """The Brevitas layer with the weights before merging, with our input quantiser, and the norm."""
    plain: Any = on.quantize(uniform(on, weights, "int8")).get_submodule("conv")
    quantizer = Quantizer.parse(weights)
    layer: qnn.QuantConv2d = weight_layer(model.conv, quantizer)
    layer.input_quant = plain.input_quant
    return nn.Sequential(layer, model.norm).eval()


def test_less_noise_at_few_bits() -> None:
    on = bench("cnn")
    plain, better = (uniform(on, "int3:channel", "int4", recipe=r) for r in ((), (Step("norm_reestimation"),)))
    assert noise(on, on.quantize(better)) < 0.8 * noise(on, on.quantize(plain))


def test_only_scales_of_channels_take_a_gain() -> None:
    method, layer = NormReestimation(), bench("mlp").workload.weighted[0]
    supported = {q: method.supports(layer, Quantizer.parse(q)) for q in ("int4", "int4:channel", "int4:channel:po2")}
    assert supported == {"int4": False, "int4:channel": True, "int4:channel:po2": False}
    assert not method.supports(layer, Quantizer.parse("e2m1:group16:po2"))
    with pytest.raises(ValueError, match=r"^step 'norm_reestimation' changed nothing in network 'mlp'$"):
        bench("mlp").quantize(uniform(bench("mlp"), "int4", "int4", recipe=(Step("norm_reestimation"),)))


def test_a_dead_channel_keeps_its_gain() -> None:
    model = network("mlp")
    with torch.no_grad():
        model.get_submodule("fc1").get_parameter("weight")[3] = 0
    on = Bench.of(model, split("calibration"), "mlp")
    design = uniform(on, "int4:channel", "int4", recipe=(Step("norm_reestimation"),))
    with torch.no_grad():
        assert torch.isfinite(on.quantize(design)(split("search").images)).all()
