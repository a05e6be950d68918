"""Packed layers by their plain reference: grids as Brevitas has them, and convolutions as torch has them."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hwdse.activations import same
from hwdse.design import Quantizer
from hwdse.formats import Format, decode, encode, parse
from hwdse.gpu_layers import GroupedConv2d, PackedConv2d, PackedLayer, PackedLinear, Quantise
from hwdse.weight_codes import Packing
from tests.hwdse.test_fused import FORMATS, calibrated, numbers


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_a_grid_is_that_of_brevitas(fmt: Format) -> None:
    quantizer = Quantizer.parse(fmt.name)
    module: Any = calibrated(quantizer)
    own = Quantise(fmt.name, site="x")
    with torch.no_grad():
        own.scale.copy_(module.act_quant.scale())
        x = numbers(quantizer, float(own.scale))
        assert same(own(x), module(x))


def test_floats_of_16_bits_are_cast() -> None:
    x = torch.tensor([1 / 3, 65504.0, 70000.0])
    assert torch.equal(Quantise("float16", site="x")(x), x.half().float())
    assert torch.equal(Quantise("bfloat16", site="x")(x), x.bfloat16().float())
    assert not dict(Quantise("float16", site="x").named_buffers())


def filled(layer: PackedLayer) -> Tensor:
    """Random codes, scales and a bias put into `layer`; the weights (float32, rows x inputs)."""
    torch.manual_seed(0)
    fmt = layer.weights.format
    codes = encode(fmt, 2 * torch.randn(layer.rows, layer.inputs).numpy())
    scales = torch.rand(layer.scale.shape) + 0.5
    words = torch.from_numpy(layer.packing.pack(codes))
    layer.load_state_dict({"words": words, "scale": scales, "bias": torch.randn(layer.rows)}, strict=False)
    wide = scales.reshape(-1, 1) if scales.dim() < 2 else scales.repeat_interleave(layer.inputs // scales.shape[1], 1)
    return torch.from_numpy(decode(fmt, codes)).float() * wide


@pytest.mark.parametrize("weights", ["int4", "e2m1:channel", "int3:group32"])
def test_weights_are_codes_times_scales(weights: str) -> None:
    packing = f"{'int8' if weights[0] == 'i' else 'float16'} 16:w8"
    layer = PackedLinear(96, 10, weights=weights, activations="int8", site="x", layout=packing, bias=True)
    assert torch.equal(filled(layer), layer.weight)
    x = torch.randn(2, 3, 96)
    own = layer.bias
    assert own is not None
    expected = functional.linear(layer.quantised(x).double(), layer.weight.double(), own.double())
    # Of each term weight and activation are rounded to float32 in what is expected, and the result in the other.
    bound = 4 * 2**-24 * layer.magnitudes(layer.vectors(x)).reshape(expected.shape)
    assert ((layer(x).double() - expected).abs() <= bound).all()


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "groups"),
    [
        ((3, 3), (1, 1), (1, 1), 1),
        ((2, 3), (2, 1), (0, 2), 1),
        ((1, 1), (2, 2), (0, 0), 1),
        ((3, 3), (1, 2), (1, 0), 4),
    ],
)
def test_convolutions(kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], groups: int) -> None:
    kind = PackedConv2d if groups == 1 else GroupedConv2d
    shape = {"stride": stride, "padding": padding} | ({} if groups == 1 else {"groups": groups})
    formats = {"weights": "int4", "activations": "int8", "site": "x", "layout": "int8 16:w8", "bias": True}
    layer = kind(8, 12, kernel, **shape, **formats)  # type: ignore[arg-type]
    weight = filled(layer).reshape(12, *kernel, -1).permute(0, 3, 1, 2)
    x = torch.randn(2, 8, 7, 6)
    own = layer.bias
    assert own is not None
    given = layer.quantised(x).double(), weight.double(), own.double()
    expected = functional.conv2d(*given, stride, padding, groups=groups)
    found = layer(x)
    assert found.shape == expected.shape
    # Both sum at most 72 products of float32 numbers: 80 roundings of 2**-24 of terms that are 400 together at most.
    assert torch.allclose(found.double(), expected, rtol=0, atol=80 * 2**-24 * 400)
    assert torch.equal(layer.shaped(layer.flat(found), tuple(x.shape)), found)
    assert torch.allclose(
        layer.shaped(layer.reference(layer.vectors(x)), tuple(x.shape)).double(),
        expected,
        rtol=0,
        atol=80 * 2**-24 * 400,
    )
    sizes = functional.conv2d(given[0].abs(), given[1].abs(), given[2].abs(), stride, padding, 1, groups)
    assert torch.allclose(layer.magnitudes(layer.vectors(x)), layer.flat(sizes), rtol=1e-6)


def test_a_grouped_convolution_is_not_rounded_to_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    formats = {"weights": "int4", "activations": "int8", "site": "x", "layout": "int8 16:w8", "bias": True}
    layer = GroupedConv2d(4, 4, (3, 3), stride=(1, 1), padding=(0, 0), groups=4, **formats)
    before, seen = functional.conv2d, []

    def convolution(*given: Any, **settings: Any) -> Tensor:
        seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled))
        return before(*given, **settings)

    monkeypatch.setattr(functional, "conv2d", convolution)
    found = layer(torch.randn(1, 4, 5, 5))
    assert found.shape == (1, 4, 3, 3)
    assert seen == [(False, torch.backends.cudnn.enabled)]
    assert torch.backends.cudnn.allow_tf32  # as torch has it elsewhere


def test_the_packing_says_how_many_words_there_are() -> None:
    layer = PackedLinear(100, 20, weights="int5", activations="int8", site="x", layout="int8 16:w8", bias=False)
    assert layer.words.shape == Packing(parse("int5"), "int8 16:w8").layout.shape(20, 100)
    assert layer.bias is None
