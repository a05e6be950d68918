"""The GPU's cost model: what is a product, what it moves and stores, and what is outside."""

from dataclasses import replace

import numpy as np
import pytest

from hwdse import dispatch, gpu_points
from hwdse.cost_model import Run
from hwdse.cost_models.gpu import Gpu, product
from hwdse.design import Design, Quantizer
from hwdse.formats import parse
from hwdse.gemm import Gemm
from hwdse.gpu_time import Constants, pass_over
from hwdse.target import fpga, gpu, gpus
from hwdse.weight_codes import Packing
from hwdse.workload import Layer, Site, Workload
from tests.cost_models.workloads import ALL_KINDS, conv, design, linear

H200 = gpu("h200")
TOKENS = replace(linear("up", "x", (), 4096, 14336), positions=128)
NO_BIAS = replace(TOKENS, name="down", bias=False, rows=4096, dot=14336)
NETWORK = Workload("tokens", (TOKENS, NO_BIAS), (Site("x", ("x",), (), 1),), (128, 4096))


def network(*layers: Layer) -> Workload:
    """A network of layers that all read site `x`."""
    return replace(NETWORK, layers=layers)


def how(weights: str, activations: str | None = None) -> Design:
    """The same quantisers everywhere; without one, activations are float16."""
    sites = {} if activations is None else {"x": Quantizer.parse(activations)}
    return Design.of({layer.name: Quantizer.parse(weights) for layer in NETWORK.layers}, sites)


def test_it_claims_every_gpu_and_no_fpga() -> None:
    assert all(Gpu().claims(gpu(name)) for name in gpus())
    assert not Gpu().claims(fpga("xc7z020"))


@pytest.mark.parametrize("name", gpus())
def test_without_measurements_it_is_uncalibrated(name: str) -> None:
    words = Gpu().calibration(gpu(name))
    if gpu_points.fitted(name) is None:
        assert words.startswith(f"uncalibrated: nothing was measured on {name}. Not counted: ")
    assert Gpu().cost(NETWORK, how("int4:channel"), gpu(name), Run()).calibration == words


def test_a_layer_of_tokens_is_one_product() -> None:
    found = Gpu().cost(NETWORK, how("int4:group128"), H200, Run(batch=4))
    up, down = found.layers
    assert (up.m, up.n, up.k) == (4 * 128, 14336, 4096)
    assert (down.m, down.n, down.k) == (4 * 128, 4096, 14336)
    price = dispatch.best(Gemm(512, 14336, 4096, parse("int4"), parse("float16"), 128, wide_scales=True), H200)
    assert (up.kernel, up.seconds, up.bound) == (price.choice.name, price.seconds, price.bound)
    assert up.weight_bytes == price.weight_bytes + 4 * 14336  # and its bias
    assert up.moved_bytes - up.weight_bytes == 2 * 512 * (4096 + 14336)
    assert found.seconds == up.seconds + down.seconds
    assert (found.batch, found.device, found.model, found.outside) == (4, "h200", "gpu", ())
    assert (up.low, up.high) == (None, None) or gpu_points.fitted("h200") is not None


def test_decoding_sees_one_token_of_each_sequence() -> None:
    found = Gpu().cost(NETWORK, how("int4:channel"), H200, Run(batch=3, tokens="one"))
    assert [layer.m for layer in found.layers] == [3, 3]
    assert found.seconds < Gpu().cost(NETWORK, how("int4:channel"), H200, Run(batch=3)).seconds


def test_quantised_activations_are_a_pass_of_their_own() -> None:
    found = Gpu().cost(NETWORK, how("int4:channel", "int8"), H200, Run()).layers[0]
    price = dispatch.best(Gemm(128, 14336, 4096, parse("int4"), parse("int8")), H200)
    assert price.choice.arithmetic == "int8"
    # 16-bit numbers in, bytes out
    assert found.seconds == pytest.approx(price.seconds + pass_over(128 * 4096 * 3, H200, Constants()))


def test_a_convolution_is_unfolded() -> None:
    wide = replace(conv("wide", "x", (), (64, 128), 32), bias=False)
    own = Design.of({"wide": Quantizer.parse("int4:channel")}, {})
    found = Gpu().cost(network(wide), own, H200, Run(batch=2)).layers[0]
    assert (found.m, found.n, found.k) == (2 * 32 * 32, 128, 9 * 64)
    price = dispatch.best(Gemm(2048, 128, 576, parse("int4"), parse("float16")), H200)
    moved = 2 * 2 * 64 * 32 * 32 + 2 * 2048 * 576  # the image once, each window, in 16 bits
    assert found.seconds == pytest.approx(price.seconds + pass_over(moved, H200, Constants()))


def test_a_convolution_of_one_pixel_is_not_unfolded() -> None:
    one = replace(conv("one", "x", (), (64, 128), 32, kernel=1), bias=False)
    own = Design.of({"one": Quantizer.parse("int4:channel")}, {})
    price = dispatch.best(Gemm(1024, 128, 64, parse("int4"), parse("float16")), H200)
    assert Gpu().cost(network(one), own, H200, Run()).layers[0].seconds == price.seconds


def test_everything_else_is_outside() -> None:
    found = Gpu().cost(ALL_KINDS, design("int4:channel", "int8", {}), H200, Run())
    assert [layer.layer for layer in found.layers] == ["conv", "strided", "linear"]
    assert {*found.outside} == {layer.name for layer in ALL_KINDS.layers} - {"conv", "strided", "linear"}
    packed = 0
    for layer in (ALL_KINDS.layer("depthwise"), ALL_KINDS.layer("grouped")):  # as torch reads them
        words = Packing(parse("int4"), "float16 16:w8").pack(np.zeros((layer.rows, layer.dot), np.uint8))
        packed += words.nbytes + 4 * layer.rows * (1 + layer.bias)  # scales, and biases
    assert found.outside_bytes == packed
    assert found.weight_bytes == sum(layer.weight_bytes for layer in found.layers) + packed


@pytest.mark.parametrize(
    ("layer", "weights", "run", "message"),
    [
        (TOKENS, "int4:group48", Run(), "layer 'up': a group has 32, 64, 128 inputs, not 48; the nearest is 32"),
        (
            replace(conv("up", "x", (), (64, 128), 32)),
            "int4:channel",
            Run(tokens="one"),
            "one token at a time is decoding, but layer 'up' is a conv",
        ),
        (
            TOKENS,
            "binary",
            Run(),
            "layer 'up': packed weights have 2 to 8 bits, not those of binary; the nearest is int2",
        ),
        (replace(TOKENS, name="left out"), "int4", Run(), "layer 'left out' has no weight quantizer"),
    ],
)
def test_what_has_no_price_is_named(layer: Layer, weights: str, run: Run, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Gpu().cost(network(layer), how(weights), H200, run)


def test_products_of_a_design() -> None:
    assert product(TOKENS, how("e2m1:group32", "e4m3fn"), Run(2)) == Gemm(
        256, 14336, 4096, parse("e2m1"), parse("e4m3fn"), 32, wide_scales=True, bias=True
    )


def test_padding_is_what_no_weight_needs() -> None:
    """Of 10 x 64 weights of 4 bits; and none of 14336 x 4096, which are whole tiles of every layout."""
    small = replace(TOKENS, rows=10, dot=64)
    few = Gpu().cost(network(small), how("int4:channel"), H200, Run())
    stored = 10 * 64 // 2 + 10 * 4 + 10 * 4  # codes; scales and biases in float32
    assert few.layers[0].padding_bytes == few.weight_bytes - stored > 0
    assert few.padding == (few.weight_bytes - stored) / few.weight_bytes
    large = Gpu().cost(network(TOKENS), how("int3:group128"), H200, Run())
    assert (large.layers[0].padding_bytes, large.padding) == (0, 0.0)
    assert large.weight_bytes == 14336 * (4096 * 3 // 8 + 4096 // 128 * 4 + 4)  # all scales in float32


def test_fewer_bits_are_fewer_bytes() -> None:
    sizes = [Gpu().cost(NETWORK, how(f"int{bits}:channel"), H200, Run()).weight_bytes for bits in range(3, 9)]
    assert sizes == sorted(sizes)
    weights = 2 * 4096 * 14336
    assert all(size < 1.05 * bits * weights / 8 for size, bits in zip(sizes, range(3, 9), strict=True))
