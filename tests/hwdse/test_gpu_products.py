"""Products of packed layers by the kernels as Python: within their bounds, and whatever torch's default type."""

import sys
from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.nn import functional

pytest.importorskip("triton", reason="needs triton")

from hwdse import gpu_products, gpu_run
from hwdse.formats import parse
from hwdse.gpu_layers import PackedLayer, PackedLinear
from hwdse.paths import path, paths
from tests.hwdse.test_gpu_layers import filled
from tests.kernels.interpreted import interpreted

NAMES = (
    "a8 int8 16x16:w8:s2:k2:t4",
    "a16 float16 16x16:w8:s2:k2:t4",
    "gemv float16 16x1:w8:s2:k2:t4",
    "unpack float16",
)


@pytest.fixture
def _as_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels in Triton's interpreter."""
    for name in ("a8", "a16", "gemv", "quantise", "scale", "unpack", "unpack8"):
        monkeypatch.setattr(gpu_products, name, interpreted(name))


@pytest.fixture
def _wide() -> Iterator[None]:
    """Another default type, as some programs set."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def products(dtype: torch.dtype) -> list[torch.Tensor]:
    """Of one layer and input, by each kernel, while `dtype` is the default."""
    torch.set_default_dtype(torch.float32)
    layer = PackedLinear(140, 18, weights="int4:channel", activations="int8", site="x", layout="int8 16:w8", bias=True)
    filled(layer)
    x = torch.randn(3, 140)
    torch.set_default_dtype(dtype)
    return [gpu_products.product(layer, x, name) for name in NAMES]


@pytest.mark.usefixtures("_as_python", "_wide")
def test_products_are_the_same_whatever_the_default_type() -> None:
    expected, found = products(torch.float32), products(torch.float64)
    for one, other, name in zip(expected, found, NAMES, strict=True):
        assert (one.dtype, other.dtype) == (torch.float32, torch.float32), name
        assert torch.equal(one, other), name


@pytest.mark.usefixtures("_wide")
def test_layers_are_of_float32_whatever_the_default_type() -> None:
    layer = PackedLinear(140, 18, weights="int4:channel", activations="int8", site="x", layout="int8 16:w8", bias=True)
    assert {one.dtype for one in layer.buffers()} == {torch.float32, torch.int32}


# ---- weights that are made dense -----------------------------------------------------------------

FORMATS = (
    ("int4", "float16", "float16"),
    ("int3", "bfloat16", "bfloat16"),
    ("uint5", "bfloat16", "bfloat16"),
    ("e2m1", "int8", "int8"),  # forced: it is packed for 8 bits
    ("e3m2", "float16", "float16"),
    ("e5m2", "e5m2", "float16"),  # float16 holds neither's largest values
    ("e6m1", "bfloat16", "bfloat16"),
)


def unpacked(weights: str, activations: str, operand: str, *, bias: bool = True) -> PackedLayer:
    """A layer of 18 outputs and 256 inputs whose product is left to torch."""
    shape = {"weights": weights, "activations": activations, "site": "x", "layout": f"{operand} 16:w8", "bias": bias}
    layer = PackedLinear(256, 18, **shape)
    filled(layer)
    layer.choices = {sys.maxsize: f"unpack {'float16' if operand == 'int8' else operand}"}
    return layer


def worst(layer: PackedLayer, x: torch.Tensor) -> float:
    """The sum that is furthest from the reference, in units of the bound of `run.py`."""
    result, ((_, kernel, found),) = gpu_run.check(nn.Sequential(layer), x)
    assert kernel.startswith("unpack ")
    assert result.dtype == torch.float32
    assert result.isfinite().all()
    return found


@pytest.mark.usefixtures("_as_python")
@pytest.mark.parametrize(("weights", "activations", "operand"), FORMATS)
@pytest.mark.parametrize("scales", ["channel", "group32", "group64", "group128", "group32:po2"])
def test_dense_products_are_within_their_bound(weights: str, activations: str, operand: str, scales: str) -> None:
    layer = unpacked(f"{weights}:{scales}", activations, operand)
    assert worst(layer, torch.randn(7, 256)) <= 1
    spread = 10 ** (9 * torch.rand(layer.scale.shape) - 6)
    spread.view(-1)[0] = 0
    layer.scale.copy_(spread)
    layer.held.clear()
    assert worst(layer, torch.randn(7, 256)) <= 1


@pytest.mark.usefixtures("_as_python")
@pytest.mark.parametrize(("weights", "activations", "operand"), FORMATS)
def test_the_bound_is_as_large_as_it_has_to_be(weights: str, activations: str, operand: str) -> None:
    """Of one input each sum is a weight, and where weights are rounded the worst is about half a step away.

    So a bound without the term of the weights is too small. Bfloat16 is cut off here, as its bound on a CPU has it.
    Weights with a scale for each output are rounded where no pass follows, in float16.
    """
    for scales in ("group32", "channel"):
        layer = unpacked(f"{weights}:{scales}", activations, operand, bias=False)
        found = worst(layer, torch.eye(256))
        assert 0.6 < found <= 1 if scales == "group32" or activations == "float16" else found < 0.1


@pytest.mark.usefixtures("_as_python")
def test_rows_are_scaled_once_for_all_products() -> None:
    layer = unpacked("int4:group32", "float16", "float16")
    gpu_products.prepare(layer, "unpack float16")
    (held,) = [one for one in layer.held.values() if isinstance(one, gpu_products.Held)]
    first = held.scaling
    layer(torch.randn(3, 256))
    layer(torch.randn(5, 256))
    (held,) = [one for one in layer.held.values() if isinstance(one, gpu_products.Held)]
    assert held.scaling is first


def test_groups_are_prepared_for_the_library() -> None:
    gpu_products.prepare(unpacked("int4:group32", "float16", "float16"), "unpack float16")


def layer_of(weights: str, activations: str, bias: bool = True, inputs: int = 140) -> PackedLinear:
    """32 outputs."""
    operand = path(parse(weights), parse(activations)).weights.operand
    layout = f"{operand} 16:w8"
    layer = PackedLinear(
        inputs, 32, weights=f"{weights}:channel", activations=activations, site="x", layout=layout, bias=bias
    )
    filled(layer)
    layer.grid.scale.fill_(0.3)
    return layer


@pytest.mark.usefixtures("_as_python")
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "plain"])
@pytest.mark.parametrize(
    ("weights", "activations"), [("int8", "int8"), ("int4", "int8"), ("e2m3", "int5"), ("int8", "uint8")]
)
def test_a_library_gives_the_bits_of_our_own_kernel(weights: str, activations: str, bias: bool) -> None:
    """Sums of int8 are exact, and what follows rounds alike."""
    layer, x = layer_of(weights, activations, bias), torch.randn(19, 140)
    found = gpu_products.product(layer, x, "unpack8 int8")
    assert found.dtype == torch.float32
    assert torch.equal(found, gpu_products.product(layer, x, "a8 int8 16x16:w8:s2:k1:t4"))


@pytest.mark.usefixtures("_as_python")
@pytest.mark.parametrize(
    ("weights", "activations"), [("e4m3fn", "e4m3fn"), ("e3m2", "e4m3fn"), ("e4m3fn", "e5m2ieee"), ("int4", "e4m3fn")]
)
def test_a_library_multiplies_8_bit_floats(weights: str, activations: str) -> None:
    layer, x = layer_of(weights, activations), torch.randn(19, 140)
    found = gpu_products.product(layer, x, "unpack8 fp8")
    exact = layer.reference(x).double()
    # 140 products, the conversions, the scales and the bias round: half an ulp each of all magnitudes.
    magnitudes = (layer.quantised(x).double().abs() @ layer.weight.double().abs().T) + exact.abs()
    assert ((found.double() - exact).abs() <= magnitudes * 150 * 2.0**-24).all()


CORRECTED = "the library takes no groups, no zero points and no uint8 weights where it adds products of 8 bits"


@pytest.mark.parametrize(
    ("weights", "activations", "name", "message"),
    [
        ("int4:group32", "int8", "int8", CORRECTED),
        ("uint8", "int8", "int8", CORRECTED),
        ("e5m2ieee", "e5m2ieee", "fp8", "cuBLAS multiplies e5m2ieee by e4m3fn, and not by itself; a8 does"),
        ("int4", "int8", "int8", "the library takes multiples of 8 outputs, not 18; a8 takes any number"),
        ("e3m2", "e4m3fn", "fp8", "the library takes multiples of 16 outputs, not 18; a8 takes any number"),
    ],
)
def test_what_a_library_does_not_multiply(weights: str, activations: str, name: str, message: str) -> None:
    layer = unpacked(weights, activations, "int8" if name == "int8" else activations)
    with pytest.raises(ValueError, match=f"^{message}$"):
        gpu_products.prepare(layer, f"unpack8 {name}")


def test_what_an_int32_does_not_sum_up() -> None:
    shape = {"weights": "int8", "activations": "int8", "site": "x", "layout": "int8 16:w8", "bias": False}
    layer = PackedLinear(140_000, 8, **shape)
    with pytest.raises(ValueError, match=r"^an int32 sums up to 131071 products of these formats, not 140000; take"):
        gpu_products.prepare(layer, "unpack8 int8")


@pytest.mark.usefixtures("_as_python")
def test_few_vectors_are_padded_to_what_a_library_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU `torch._int_mm` takes no fewer than 17."""
    seen, padded, own, pad = list[int](), list[int](), torch._int_mm, functional.pad

    def watched(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return own(x, weights)

    def copied(x: torch.Tensor, room: tuple[int, ...]) -> torch.Tensor:
        padded.append(len(x))
        found: torch.Tensor = pad(x, room)
        return found

    monkeypatch.setattr(torch, "_int_mm", watched)
    monkeypatch.setattr(functional, "pad", copied)
    layer = layer_of("int4", "int8", inputs=128)
    for vectors in (3, 19):
        x = torch.randn(vectors, 128)
        found = gpu_products.product(layer, x, "unpack8 int8")
        assert torch.equal(found, gpu_products.product(layer, x, "a8 int8 16x16:w8:s2:k1:t4"))
    assert seen == [17, 19]
    assert padded == [3]  # what fills blocks and is enough is not copied


# ---- on a GPU ------------------------------------------------------------------------------------

PAIRS = (("int8", "int8"), ("int8", "uint8"), ("int4", "int8"), ("e2m1", "e2m1"))
FLOAT_PAIRS = (("e4m3fn", "e4m3fn"), ("e4m3fn", "e5m2ieee"), ("e3m2", "e4m3fn"), ("e2m1", "e2m3"))
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@gpu
@pytest.mark.parametrize(("weights", "activations"), PAIRS)
@pytest.mark.parametrize("vectors", [3, 19])
def test_a_gpu_adds_int8_by_its_library_as_by_our_kernel(weights: str, activations: str, vectors: int) -> None:
    layer, x = layer_of(weights, activations).cuda(), torch.randn(vectors, 140).cuda()
    found = gpu_products.product(layer, x, "unpack8 int8")
    assert torch.equal(found, gpu_products.product(layer, x, "a8 int8 64x16:w8:s2:k1:t4"))


@gpu
@pytest.mark.parametrize(("weights", "activations"), [*PAIRS, *FLOAT_PAIRS])
def test_a_gpu_computes_layers_within_their_bound(weights: str, activations: str) -> None:
    """By every kernel that takes the pair, with a bias."""
    layer, x = layer_of(weights, activations).cuda(), torch.randn(19, 140).cuda()
    ada = torch.cuda.get_device_capability() >= (8, 9)  # and later ones, which have 8-bit floats
    for numbers in ("int8", *("fp8",) * ada, "float16"):
        names = (f"unpack {numbers}", f"a16 {numbers} 64x16:w8:s2:k2:t4")
        if numbers != "float16":
            names = (f"unpack8 {numbers}", f"a8 {numbers} 64x16:w8:s2:k2:t4")
        if numbers in {one.arithmetic for one in paths(parse(weights), parse(activations))}:
            for name in names:
                layer.choices = {sys.maxsize: name}
                assert gpu_run.check(nn.Sequential(layer), x)[1][0][2] <= 1, name


@gpu
@pytest.mark.parametrize(("weights", "activations", "operand"), FORMATS)
@pytest.mark.parametrize("scales", ["channel", "group32", "group128"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "plain"])
def test_a_gpu_multiplies_dense_weights_within_their_bound(
    weights: str, activations: str, operand: str, scales: str, bias: bool
) -> None:
    layer = unpacked(f"{weights}:{scales}", activations, operand, bias=bias).cuda()
    assert worst(layer, torch.randn(7, 256).cuda()) <= 1
