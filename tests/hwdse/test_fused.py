"""The fused quantiser gives the numbers of Brevitas's modules, bit for bit."""

import sys
from math import inf, nan

import pytest
import torch
from brevitas.graph.calibrate import calibration_mode
from torch import Tensor, nn

from hwdse import fused
from hwdse.activations import Activations, SiteQuantiser, same
from hwdse.brevitas_layers import activation_layer
from hwdse.design import Quantizer
from hwdse.formats import known_formats, parse
from hwdse.fused import Fused, probe
from tests.hwdse.networks import bench

FORMATS = (
    *known_formats(bits=range(2, 9)),
    *known_formats(bits=range(3, 9), signed=False),
    *map(parse, ("e4m3fn", "e5m2ieee")),
)
compiled = pytest.mark.skipif(not fused.available(), reason="needs g++")


def calibrated(quantizer: Quantizer) -> nn.Module:
    """Brevitas's module, calibrated on 4,000 random numbers."""
    module: nn.Module = activation_layer(quantizer)
    x = 3 * torch.randn(4000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), calibration_mode(nn.ModuleList([module])):
        module(x if quantizer.format.signed else x.abs())
    return module.eval()


def numbers(quantizer: Quantizer, scale: float) -> Tensor:
    """Grid points, midpoints, their neighbours, and random numbers of all sizes."""
    random = torch.randn(4, 5000, generator=torch.Generator().manual_seed(1))
    sizes = torch.tensor([[1e-30], [1e-3], [2.0], [1e4]])
    return torch.cat((probe(quantizer, scale), (random * sizes).flatten()))


@compiled
@pytest.mark.parametrize("options", ["", ":po2"])
@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_equals_brevitas_on_every_format(fmt: object, options: str) -> None:
    quantizer = Quantizer.parse(f"{fmt.name}{options}")  # type: ignore[attr-defined]
    module = calibrated(quantizer)
    with torch.no_grad():
        scale = float(module.act_quant.scale())  # type: ignore[union-attr,operator]
        x = numbers(quantizer, scale)
        assert same(Fused.of(quantizer, scale)(x), module(x))


@compiled
@pytest.mark.parametrize("fmt", ["int4", "uint4", "e2m1", "ue3m1"])
def test_relu_goes_first_and_the_input_stays(fmt: str) -> None:
    own, x = Fused.of(Quantizer.parse(fmt), 0.3), torch.randn(1000)
    before = x.clone()
    assert torch.equal(own(x, inside=(0.0, inf)), own(x.relu()))
    assert torch.equal(own(x, inside=(0.0, 6.0)), own(x.clamp(0, 6)))
    assert torch.equal(x, before)
    result = own(x, in_place=True)
    assert result.data_ptr() == x.data_ptr()
    assert torch.equal(x, own(before))


@compiled
@pytest.mark.parametrize("view", ["transposed", "sliced", "expanded"])
def test_any_layout(view: str) -> None:
    x = torch.randn(6, 8)
    y = {"transposed": x.T, "sliced": x[:, ::2], "expanded": x[:1].expand(3, 8)}[view]
    own, before = Fused.of(Quantizer.parse("int3"), 0.2), y.clone()
    assert torch.equal(own(y), own(before))
    assert torch.equal(y, before)


@compiled
def test_threads_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    own, x = Fused.of(Quantizer.parse("e3m2"), 0.01), torch.randn(100_003)
    expected = own(x)
    monkeypatch.setattr(fused, "PART", 1000)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert torch.equal(own(x), expected)


@compiled
@pytest.mark.parametrize("fmt", ["int4", "e2m1"])
def test_nan_stays_nan(fmt: str) -> None:
    assert bool(Fused.of(Quantizer.parse(fmt), 0.1)(torch.tensor([nan])).isnan().all())


@compiled
def test_a_wrong_rounding_is_found_when_a_quantiser_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    on = bench("cnn")
    site, quantizer = on.workload.sites[0].name, Quantizer.parse("uint4")
    activations = Activations(on._watch, on.dimension)
    activations.calibrate([(site, quantizer)])
    monkeypatch.setattr(Fused, "_run", lambda self, x, y, count, inside: None)
    with pytest.raises(AssertionError, match=f"^the fused quantiser uint4 at '{site}' differs from Brevitas's$"):
        activations.quantiser(site, quantizer)


def test_without_a_compiler_brevitas_quantises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwdse.activations.available", lambda device: False)
    on = bench("cnn")
    activations = Activations(on._watch, on.dimension)
    pairs = [(site.name, Quantizer.parse("uint5")) for site in on.workload.sites]
    activations.calibrate(pairs)
    made = [activations.quantiser(*pair) for pair in pairs]
    assert all(isinstance(own, SiteQuantiser) and own.fused is None for own in made)
    x = torch.rand(100)
    for (site, quantizer), own in zip(pairs, made, strict=True):  # modules of their own: one scale each
        assert torch.equal(own(x, inside=(0.0, 0.5)), activations.module(site, quantizer)(x.clamp(0.0, 0.5)))


def test_other_devices_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)  # what Python takes for a module that is not there
    assert not fused.available("cuda")
    assert not fused.available("meta")


def test_numbers_on_another_device_are_refused() -> None:
    x = torch.empty(3, device="meta")
    with pytest.raises(ValueError, match=r"^the fused quantisers work on cpu and on cuda, not on meta$"):
        Fused.of(Quantizer.parse("int4"), 0.1)(x)
    own = SiteQuantiser("int4", nn.Identity(), None, "cpu")
    with pytest.raises(RuntimeError, match=r"^the quantiser int4 was made for tensors on cpu, not on meta$"):
        own(x)


@pytest.mark.parametrize("options", ["", ":po2", ":mse", ":percentile99.5"])
@pytest.mark.parametrize("fmt", ["int3", "int8:full", "uint6", "e2m1", "ue3m2", "e4m3fn"])
def test_one_observation_serves_all_formats(fmt: str, options: str) -> None:
    """What a module learns that is calibrated alone."""
    on, quantizer = bench("cnn"), Quantizer.parse(fmt + options)
    on.activations.calibrate((site.name, quantizer) for site in on.workload.sites)
    for site in on.workload.sites[:3]:
        alone = activation_layer(quantizer)
        with torch.no_grad(), calibration_mode(nn.ModuleList([alone])):
            on._watch([site.name], lambda _, x, alone=alone: alone(x))
        module = on.activations.module(site.name, quantizer)
        assert torch.equal(module.act_quant.scale(), alone.eval().act_quant.scale())  # type: ignore[union-attr,operator]
