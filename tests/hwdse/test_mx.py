"""Groups with shared exponents follow the OCP Microscaling (MX) specification v1.0, to the last bit."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.graph.quantize import layerwise_quantize, preprocess_for_quantize
from brevitas.quant.mx_quant_ocp import MXFloat8e4m3Act, MXFloat8e4m3Weight, MXInt8Act
from numpy.typing import NDArray
from torch import Tensor, nn

from hwdse.brevitas_layers import activation_layer, quantised_weight, weight_layer
from hwdse.contractions import group_dimension
from hwdse.design import Design, Quantizer
from hwdse.export import export
from hwdse.formats import parse, values
from hwdse.quantize import Bench
from hwdse.quantizers import MX_FORMATS
from tests.hwdse.networks import bench, network, split

Floats = NDArray[np.float64]
# Of the largest power of two of each element format: OCP MX v1.0, table 1 (e2m1 to e3m2, FP8) and section 5.3.4 (INT8).
EMAX = {"e2m1": 2, "e2m3": 2, "e3m2": 4, "e4m3fn": 8, "e5m2ieee": 15, "int8": 0}
EMAX |= {"e3m0": 4, "int3": 1}  # the same rule for formats that MX has not: their largest values are 16 and 3


def elements(fmt: str) -> Floats:
    """The values of an MX element, ascending: an MX integer counts 64ths, and leaves out -2."""
    if fmt == "int8":
        return np.arange(-127, 128) / 64
    return np.array(values(parse(fmt))) if fmt != "int3" else np.arange(-3.0, 4.0)


def oracle(x: Floats, fmt: str) -> Floats:
    """`x` (groups x size) by section 6.3: scale 2**(floor(log2 max) - emax), to nearest even, saturating."""
    largest = np.abs(x).max(1, keepdims=True)
    scale = np.ldexp(1.0, np.frexp(largest)[1] - 1 - EMAX[fmt])
    positive = elements(fmt)[elements(fmt) >= 0]  # in the order of their codes, so even codes have even places
    size = np.minimum(np.abs(x) / scale, positive[-1])
    above = np.clip(np.searchsorted(positive, size), 1, len(positive) - 1)
    below = above - 1
    to_below, to_above = size - positive[below], positive[above] - size
    up = (to_above < to_below) | ((to_above == to_below) & (above % 2 == 0))
    result: Floats = np.sign(x) * np.where(up, positive[above], positive[below]) * scale
    return result


def probes(fmt: str, group: int, scale: float) -> Floats:
    """Every value, every middle of two and their neighbours, beside every value as the largest; groups x `group`."""
    grid = elements(fmt)
    middles = (grid[1:] + grid[:-1]) / 2
    near = np.concatenate([grid, middles, np.nextafter(middles.astype(np.float32), np.float32(9e9)).astype(np.float64)])
    rows = []
    for largest in grid[grid > 0]:
        inside = near[np.abs(near) <= largest]
        fill = np.resize(inside, (-(-len(inside) // (group - 1)), group - 1))
        rows.append(np.hstack([np.full((len(fill), 1), largest), fill]))
    return np.vstack(rows) * scale


@pytest.mark.parametrize("group", [16, 32])
@pytest.mark.parametrize("fmt", MX_FORMATS)
def test_all_codes_of_activations_and_weights_equal_the_specification(fmt: str, group: int) -> None:
    quantizer = Quantizer.parse(f"{fmt}:group{group}:po2")
    for scale in (1.0, 2.0**-7, 3.0):
        x = probes(fmt, group, scale).astype(np.float32)
        expected = oracle(x.astype(np.float64), fmt).astype(np.float32)
        with torch.no_grad():
            got = activation_layer(quantizer, 1)(torch.tensor(x))
            layer = nn.Linear(group, len(x), bias=False)
            layer.weight.copy_(torch.tensor(x))
            weights = quantised_weight(weight_layer(layer, quantizer), "w", quantizer)
        np.testing.assert_array_equal(got.numpy(), expected)
        np.testing.assert_array_equal(weights.numpy(), expected)


def test_values_on_the_grid_stay() -> None:
    for fmt in MX_FORMATS:
        grid = elements(fmt)
        x = torch.tensor(np.resize(grid, (len(grid), 16)).astype(np.float32))
        x[:, 0] = float(grid[-1])
        with torch.no_grad():
            assert torch.equal(activation_layer(Quantizer.parse(f"{fmt}:group16:po2"), -1)(x), x), fmt


CLIPPED = torch.tensor([[1.9, 1.0, 0.5, 0.99] * 4])


def test_integers_do_not_clip() -> None:
    """Brevitas's own `MXInt8` scales by 2**(e - 7) and loses the upper half of the range."""
    own = qnn.QuantIdentity(act_quant=MXInt8Act.let(group_size=16, group_dim=1), return_quant_tensor=False).eval()
    ours = activation_layer(Quantizer.parse("int8:group16:po2"), 1)
    with torch.no_grad():
        assert (ours(CLIPPED) - CLIPPED).abs().max() <= 2.0**-7, "half of a step of 1/64"
        assert own(CLIPPED).max() == 127 / 128, "once Brevitas is repaired, `IntScaling` is not needed"


def test_where_brevitas_differs_from_the_specification() -> None:
    """It takes floor(log2 max) in float32, and takes no group for smaller than 1e-10."""
    below = np.nextafter(np.float32(8), np.float32(0))
    x = np.full((1, 16), below, np.float32)
    layer = activation_layer(Quantizer.parse("e2m1:group16:po2"), 1)
    with torch.no_grad():
        assert layer(torch.tensor(x))[0, 0] == 8, "its logarithm rounds up to 3"
        assert oracle(x.astype(np.float64), "e2m1")[0, 0] == 6
        assert torch.equal(layer(torch.full((1, 16), 2.0**-40)), torch.zeros(1, 16))
    assert (oracle(np.full((1, 16), 2.0**-40), "e2m1") == 2.0**-40).all()


# ---- in networks ---------------------------------------------------------------------------------

FIRST = {"conv1", "depthwise", "conv", "patches"}  # one input each: no groups
WHOLE = {"input", "conv1.input", "patches.input", "relu4", "patches"}  # not one dimension, or one channel
WHOLE |= {f"blocks.{i}.attention.matmul_1" for i in (0, 1)}  # three heads are summed over at once


def grouped(on: Bench, mx: str, whole: str = "int8") -> Design:
    """The design with groups wherever they fit."""
    weights = {a.name: mx if a.name not in FIRST else f"{whole}:channel" for a in on.workload.weighted}
    sites = {s.name: mx if s.name not in WHOLE else whole for s in on.workload.sites}
    return Design.of(
        {name: Quantizer.parse(q) for name, q in weights.items()},
        {name: Quantizer.parse(q) for name, q in sites.items()},
        hardware=on.workload.hardware,
    )


@pytest.mark.filterwarnings("ignore:Group dim is being selected:UserWarning")  # of a user's conv; ours is told
@pytest.mark.parametrize("name", ["cnn", "mlp"])
def test_equals_a_layerwise_model_made_with_brevitas_alone(name: str) -> None:
    on = bench(name, False)
    options = {"bit_width": 6, "exponent_bit_width": 3, "mantissa_bit_width": 2, "group_size": 16}
    model = preprocess_for_quantize(network(name))
    kinds = {nn.Conv2d: qnn.QuantConv2d, nn.Linear: qnn.QuantLinear}
    settings = {"bias_quant": None, "return_quant_tensor": False, "weight_quant": MXFloat8e4m3Weight.let(**options)}
    settings["input_quant"] = MXFloat8e4m3Act.let(**options)
    plain = {layer for layer in on.traced.layers if layer in FIRST or layer == "conv1"}
    layers = {kind: (ours, settings) for kind, ours in kinds.items()}
    theirs = layerwise_quantize(model, layers, name_blacklist=list(plain)).eval()
    mine = on.quantize(grouped(on, "e3m2:group16:po2"))
    for layer in plain:  # float in theirs, eight bits in ours: compared with the same ones
        theirs.set_submodule(layer, mine.get_submodule(on.traced.layers[layer]))
    images = split("search").images[:100]
    with torch.no_grad():
        assert torch.equal(mine(images), theirs(images))


@pytest.mark.parametrize("hardware", [True, False])
@pytest.mark.parametrize(("name", "mx"), [("vit", "e2m1:group16:po2"), ("cnn", "int8:group16:po2")])
def test_sums_run_along_the_groups_and_the_shell_is_equal(name: str, mx: str, hardware: bool) -> None:
    on = bench(name, hardware)
    design = grouped(on, mx)
    model = on.quantize(design)
    images = split("search").images[:40]
    with torch.no_grad():
        assert torch.equal(on.shell(design)(images), model(images))
        if name == "vit" and hardware:
            check_tokens(model, images)


def check_tokens(model: nn.Module, images: Tensor) -> None:
    """The values of an attention are summed over tokens, so their groups are tokens, not channels."""
    seen: list[tuple[Any, Any]] = []
    for module in model.modules():
        if isinstance(module, qnn.QuantIdentity):
            module.register_forward_hook(lambda m, args, result: seen.append((args[0], result)))
    model(images)
    shapes = [(16, 48), (48, 16)]
    matched = set()
    for x, y in seen:
        if tuple(x.shape[1:]) != (16, 48):
            continue
        for shape, dimension in zip(shapes, (2, 1), strict=True):
            rows = x.movedim(dimension, -1).reshape(-1, 16).numpy().astype(np.float64)
            expected = torch.tensor(oracle(rows, "e2m1").astype(np.float32))
            if torch.equal(y.movedim(dimension, -1).reshape(-1, 16), expected):
                matched.add(shape)
    assert matched == set(shapes)


def test_where_groups_run() -> None:
    vit, apart = bench("vit"), bench("vit", False)
    attention = "blocks.0.attention"
    assert group_dimension(vit.traced, "blocks.0.norm1", 16) == 2
    assert group_dimension(vit.traced, f"{attention}.k", 16) == 2, "of each head"
    assert group_dimension(vit.traced, f"{attention}.v", 16) == 1, "tokens"
    assert group_dimension(apart.traced, f"{attention}.matmul.input1", 16) == 2, "keys, transposed"
    assert group_dimension(bench("cnn").traced, "relu2", 16) == 1
    assert group_dimension(bench("resnet").traced, "relu", 16) == 1
    assert group_dimension(vit.traced, "blocks.0.fc1", 32) == 2, "only a GELU reads it"


def sentence(name: str, weights: str, activations: str, hardware: bool = True) -> str:
    on = bench(name, hardware)
    design = Design.of(
        {a.name: Quantizer.parse(weights) for a in on.workload.weighted},
        {s.name: Quantizer.parse(activations) for s in on.workload.sites},
        hardware=hardware,
    )
    with pytest.raises(ValueError, match=r".") as caught:
        on.quantize(design)
    return str(caught.value)


def test_what_has_no_groups_is_named() -> None:
    assert sentence("cnn", "e2m1:group16:po2", "int8") == (
        "layer 'conv1': a group of 16 divides the inputs of a layer, not 1"
    )
    assert sentence("cnn", "int8:channel", "e2m1:group16:po2") == (
        "a group of 16 divides what the readers of 'input' sum over, not 1"
    )
    assert sentence("mlp", "int8", "e2m1:group16:po2") == (
        "the groups of a tensor run along what all its readers sum over, unlike at 'input'"
    )
    assert sentence("mlp", "int8", "e2m1:group24:po2", False) == (
        "a group of 24 divides what the readers of 'fc1.input' sum over, not 64"
    )
    formats = "activations in groups are MX: e2m1, e2m3, e3m2, e4m3fn, e5m2ieee, int8 with po2"
    assert sentence("mlp", "int8", "e2m1:group16", False) == f"{formats}, not e2m1:group16"
    assert sentence("mlp", "int8", "int4:group16:po2", False) == f"{formats}, not int4:group16:po2"
    assert sentence("mlp", "int4:group16:po2:mse", "int8") == (
        "layer 'fc1': the scale of a group is of its largest value, not mse"
    )
    assert sentence("mlp", "int8:group16:po2:full", "int8") == (
        "layer 'fc1': an integer with shared exponents leaves out its lone -2**(b-1), unlike int8:group16:po2:full"
    )
    assert sentence("mlp", "int8", "int8:channel") == (
        "activations share a scale per tensor or MX group, not per channel"
    )


@pytest.mark.parametrize("weights", ["int4:group16", "e2m1:group32", "e3m0:group16:po2", "int3:group16:po2"])
def test_weights_of_any_format_have_groups(weights: str) -> None:
    quantizer = Quantizer.parse(weights)
    on = bench("mlp")
    got = on.weight("fc1", quantizer)  # on its grid, or it raises
    wanted = on.traced.graph.get_submodule("fc1").get_parameter("weight")
    groups = wanted.detach().reshape(-1, quantizer.group or 1)
    if quantizer.scale == "float":
        tensor = on.weight("fc1", Quantizer(quantizer.format))
        assert (got - wanted).norm() < (tensor - wanted).norm()
        largest = groups.abs().amax(1)
        top = max(values(quantizer.format))
        assert torch.equal(got.reshape(groups.shape).abs().amax(1), largest / top * top)
    else:
        expected = oracle(groups.double().numpy(), quantizer.format.name)
        assert torch.equal(got.reshape(groups.shape), torch.tensor(expected.astype(np.float32)))


@pytest.mark.parametrize("name", ["e1m2:group16:po2", "e1m4:group32:po2", "e1m2:group16"])
def test_integers_in_disguise_have_equal_groups(name: str) -> None:
    quantizer = Quantizer.parse(name)
    assert quantizer.numerics != quantizer
    assert torch.equal(bench("mlp").weight("fc1", quantizer), bench("mlp").weight("fc1", quantizer.numerics))


def test_the_export_has_groups(tmp_path: Path) -> None:
    on = bench("cnn", False)
    design = grouped(on, "e2m3:group16:po2")
    folder = export(on, design, tmp_path / "model", title="MX")
    images = split("search").images[:20]
    torch.save(images, tmp_path / "images.pt")
    code = "import torch, model, sys; torch.save(model.load()(torch.load(sys.argv[1])).detach(), sys.argv[2])"
    files = str(tmp_path / "images.pt"), str(tmp_path / "logits.pt")
    command = [sys.executable, "-W", "ignore", "-c", code, *files]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    with torch.no_grad():
        assert torch.equal(torch.load(files[1]), on.quantize(design)(images))
