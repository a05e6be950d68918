"""Activations in 16 bits: every code beside torch and ml_dtypes, designs of all kinds, and refused on FPGAs by name."""

import re
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hwdse import qonnx
from hwdse.accuracy import Evaluator
from hwdse.activations import Activations, SiteQuantiser, same
from hwdse.brevitas_layers import activation_layer, weight_layer
from hwdse.cli import main
from hwdse.design import Design, Folding, Quantizer, Step
from hwdse.export import export
from hwdse.formats import (
    HALVES,
    HalfFormat,
    decode,
    encode,
    family,
    integer_bits,
    known_formats,
    limits,
    magnitude,
    parse,
    quantise,
    values,
)
from hwdse.gemm import Gemm
from hwdse.lower import lower
from hwdse.matrix_vector import MatrixVector
from hwdse.network import Network, Tensor
from hwdse.onnx_graph import Grid
from hwdse.quantize import Bench
from hwdse.space import Space
from tests.hwdse.networks import bench, small_bench, split, uniform
from tests.hwdse.test_export import ALONE

CODES = np.arange(1 << 16, dtype=np.uint16)
NUMPY = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
each = pytest.mark.parametrize("fmt", HALVES, ids=lambda fmt: fmt.name)


def numbers(fmt: HalfFormat) -> NDArray[np.float64]:
    """What ml_dtypes, or numpy for float16, takes all codes for."""
    with np.errstate(invalid="ignore"):  # signalling NaNs become quiet ones
        return np.asarray(CODES.view(NUMPY[fmt.name]), np.float64)


def of_torch(fmt: HalfFormat, x: torch.Tensor) -> torch.Tensor:
    """torch's cast and back."""
    return x.to(getattr(torch, fmt.name)).to(x.dtype)


def points(fmt: HalfFormat) -> torch.Tensor:
    """All numbers of `fmt`, the middles between neighbours, the neighbours of both in float32, and what is beyond."""
    grid = np.array(values(fmt))
    ends = fmt.largest + (grid[-1] - grid[-2]) * np.array([0.25, 0.5, 0.75, 1])  # Inf from the second on
    with np.errstate(over="ignore"):  # beyond bfloat16 there is nothing in float32 either
        exact = np.concatenate((grid, (grid[1:] + grid[:-1]) / 2, ends, -ends)).astype(np.float32)
    up, down = (np.nextafter(exact, np.float32(end)) for end in (np.inf, -np.inf))
    return torch.from_numpy(np.concatenate((exact, up, down, np.array([np.inf, -np.inf, -0.0], np.float32))))


@each
def test_a_format_is_that_of_torch(fmt: HalfFormat) -> None:
    info = torch.finfo(getattr(torch, fmt.name))
    assert (fmt.bits, fmt.largest, fmt.lsb) == (info.bits, info.max, info.smallest_normal * info.eps)
    assert limits(fmt) == (-info.max, info.max)
    assert (magnitude(fmt) * fmt.lsb, integer_bits(fmt)) == (info.max, 41 if fmt.exponent == 5 else 262)
    assert (fmt.signed, fmt.uniform, fmt.unsigned, family(fmt)) == (True, False, fmt, "float")
    assert parse(fmt.name) == fmt == eval(repr(fmt))
    assert Quantizer.parse(Quantizer(fmt).name) == Quantizer(fmt) == Quantizer(fmt).numerics
    assert fmt not in known_formats(bits=range(1, 17)), "a search sweeps 2 to 8 bits"


@each
def test_every_code_decodes_as_elsewhere(fmt: HalfFormat) -> None:
    found, theirs = decode(fmt, CODES), numbers(fmt)
    np.testing.assert_array_equal(found, theirs)
    assert np.array_equal(np.signbit(found[theirs == 0]), [False, True])
    bits = torch.from_numpy(CODES.view(np.int16).copy()).view(getattr(torch, fmt.name))
    np.testing.assert_array_equal(found, bits.double().numpy())
    assert len(values(fmt)) == np.unique(theirs[np.isfinite(theirs)]).size


@each
def test_rounding_is_that_of_torch_and_ml_dtypes(fmt: HalfFormat) -> None:
    """Half of the middles are ties, of which the even one is taken; what is halfway beyond the largest is Inf."""
    x = points(fmt)
    ours, theirs = quantise(fmt, x.numpy()), of_torch(fmt, x).double().numpy()
    np.testing.assert_array_equal(ours, theirs)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(ours, x.numpy().astype(NUMPY[fmt.name]).astype(np.float64))
    assert np.isinf(quantise(fmt, [1e300, -1e300])).all(), "a cast does not saturate"


@each
def test_a_quantiser_of_brevitas_is_the_cast(fmt: HalfFormat) -> None:
    module, x = activation_layer(Quantizer(fmt)), points(fmt)
    with_nan = torch.cat((x, torch.tensor([torch.nan])))
    found = module(with_nan)
    assert same(found, of_torch(fmt, with_nan))
    assert torch.equal(found.signbit()[:-1], with_nan.signbit()[:-1]), "of -0 too"
    assert torch.equal(found[:-1].double(), torch.from_numpy(quantise(fmt, x.numpy())))


@each
def test_nothing_is_calibrated(fmt: HalfFormat) -> None:
    def watch(sites: object, visit: object) -> None:
        raise AssertionError("a cast has nothing to observe")

    activations, quantizer = Activations(watch, lambda site, own: None), Quantizer(fmt)
    activations.calibrate([("in", quantizer)])
    found, x = activations.quantiser("in", quantizer), points(fmt)
    assert isinstance(found, SiteQuantiser)
    assert (found.name, found.fused) == (fmt.name, None)
    assert torch.equal(found(x, inside=(0.0, 6.0)), of_torch(fmt, x.clamp(0, 6)))


# ---- designs -------------------------------------------------------------------------------------


def mixed(on: Bench) -> Design:
    """Sites in int8, float16 and bfloat16, one after the other."""
    design, formats = uniform(on, "int4:channel", "int8"), ("int8", "float16", "bfloat16")
    chosen = {
        site: own if formats[i % 3] == "int8" else Quantizer.parse(formats[i % 3])
        for i, (site, own) in enumerate(design.activations)
    }
    return Design.of(dict(design.weights), chosen, hardware=on.workload.hardware)


@pytest.mark.parametrize("hardware", [True, False])
@pytest.mark.parametrize("name", ["vit", "mlp"])
def test_the_shell_has_the_logits_of_the_brevitas_model(name: str, hardware: bool) -> None:
    on, images = small_bench(name, hardware), split("search").images[:40]
    seen = []
    for design in (*(uniform(on, "int4:channel", fmt.name) for fmt in HALVES), mixed(on)):
        assert Design.parse(design.text) == design == design.numerics
        with torch.no_grad():
            logits = on.quantize(design)(images.clone())
        assert torch.equal(logits, on.shell(design)(images))
        assert torch.isfinite(logits).all()
        seen.append(logits)
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])


def test_a_network_is_that_of_torch_alone() -> None:
    """A multilayer perceptron by hand: casts, and layers with Brevitas's weights."""
    on, x = small_bench("mlp"), split("search").images[:40]
    design = uniform(on, "int4:channel", "float16")
    logits, x = on.shell(design)(x), x.flatten(1)
    for number, (layer, quantizer) in enumerate(design.weights):  # fc1, fc2, ...: in the order they run
        x = of_torch(HALVES[0], x.relu() if number else x)
        x = torch.nn.functional.linear(x, on.weight(layer, quantizer), on.traced.graph.get_parameter(f"{layer}.bias"))
    assert torch.equal(logits, x)


def test_designs_share_what_is_upstream_of_them() -> None:
    on = small_bench("mlp")
    evaluator = Evaluator(on, {"search": split("search")})
    one, other = uniform(on, "int4:channel", "float16"), mixed(on)
    apart = [Evaluator(on, {"search": split("search")}, trace_bytes=0).accuracy(d, "search") for d in (one, other)]
    assert [evaluator.accuracy(design, "search") for design in (one, other)] == apart
    keys = [on.shell(design).keys for design in (one, one, other)]
    assert keys[0] == keys[1] != keys[2]


def test_a_site_without_negative_values_keeps_its_format() -> None:
    on = small_bench("mlp")
    assert on.nonnegative
    pairs = ((Quantizer.parse("int4"), Quantizer.parse("float16")),)
    menu = Quantizer.parse("int4"), Quantizer.parse("int5")
    space = Space(on.workload, menu, (Quantizer.parse("float16"),), pairs, on.nonnegative, ())
    design = space.design(space.choices(pairs[0]))
    assert {quantizer.name for _, quantizer in design.activations} == {"float16"}
    assert {quantizer.name for _, quantizer in design.weights} == {"int4"}


@pytest.mark.parametrize("hardware", [True, False])
@pytest.mark.parametrize("technique", ["gptq", "gpfq", "qronos", "bias_correction", "learned_rounding"])
def test_techniques_see_what_is_cast(technique: str, hardware: bool) -> None:
    on, images = small_bench("mlp", hardware), split("search").images[:40]
    design = uniform(on, "int3:channel", "float16", recipe=(Step(technique),))
    with torch.no_grad():
        assert torch.equal(on.quantize(design)(images.clone()), on.shell(design)(images))


@pytest.mark.parametrize("hardware", [True, False])
def test_the_exported_model_runs_alone(hardware: bool, tmp_path: Path) -> None:
    on = small_bench("vit", hardware)
    design = mixed(on)
    folder = export(on, design, tmp_path / "model", title="Weights alone")
    text = (folder / "model.py").read_text()
    assert "act_quant=NoneActQuant.let(dtype=torch.bfloat16, tensor_quant=Cast)" in text
    assert Design.parse((folder / "design.toml").read_text()) == design
    images = split("search").images[:20]
    torch.save(images, tmp_path / "images.pt")
    command = [sys.executable, "-W", "ignore", "-c", ALONE, str(tmp_path / "images.pt"), str(tmp_path / "logits.pt")]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    with torch.no_grad():
        assert torch.equal(torch.load(tmp_path / "logits.pt"), on.quantize(design)(images))


def test_other_exported_models_have_no_cast(tmp_path: Path) -> None:
    on = small_bench("mlp")
    assert "Cast" not in (export(on, uniform(on, "int4", "int8"), tmp_path / "m", title="x") / "model.py").read_text()


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["po2", "tensor", "channel", "group32", "mse", "absmax", "percentile99", "full"])
def test_there_are_no_options(option: str) -> None:
    rule = "float16 is a cast, without a scale to choose, so that it has no options"
    with pytest.raises(ValueError, match=f"^{rule}, unlike 'float16:{option}'$"):
        Quantizer.parse(f"float16:{option}")


def test_there_are_no_options_in_code_either() -> None:
    rule = "bfloat16 is a cast, without a scale to choose, so that it has no options, unlike 'bfloat16:po2'"
    with pytest.raises(ValueError, match=f"^{rule}$"):
        Quantizer(HALVES[1], scale="po2")
    with pytest.raises(ValueError, match=r"^a float of 16 bits has 5 exponent bits or 8, not 6$"):
        HalfFormat(6)


@each
def test_weights_are_refused(fmt: HalfFormat) -> None:
    rule = f"{fmt.name} is a format of activations, not of"
    with pytest.raises(ValueError, match=f"^{rule} the weights of 'fc1'$"):
        Design.of({"fc1": Quantizer(fmt)}, {})
    with pytest.raises(ValueError, match=f"^{rule} weights$"):
        weight_layer(torch.nn.Linear(4, 4), Quantizer(fmt))
    with pytest.raises(ValueError, match=f"^{rule} weights$"):
        Gemm(1, 1, 1, fmt, fmt)


@each
def test_numbers_that_have_no_code(fmt: HalfFormat) -> None:
    with pytest.raises(ValueError, match=f"^a code is a byte at most, which {fmt.name} does not fit$"):
        encode(fmt, 1.0)
    with pytest.raises(ValueError, match=r"^NaN has no nearest value$"):
        quantise(fmt, np.nan)


def test_an_accelerator_has_no_unit() -> None:
    on = small_bench("mlp")
    design = uniform(on, "int4", "float16")
    folded = Design.of(
        dict(design.weights), dict(design.activations), {a.name: Folding() for a in on.workload.weighted}
    )
    rule = "an accelerator has no unit for floats of 16 bits, unlike 'input' with float16"
    with pytest.raises(ValueError, match=f"^{rule}$"):
        lower(on, folded)


def test_netlists_have_no_stream() -> None:
    """What a flow builds and what Vitis HLS is given is made of a network in whole numbers, which holds none."""
    on = bench("mlp")
    tensor = Tensor("x", Quantizer(HALVES[0]), 1.0, (64,))
    rule = "a stream is of codes of at most 8 bits, unlike 'x' with float16"
    with pytest.raises(ValueError, match=f"^{rule}$"):
        Network(on.workload, uniform(on, "int4", "float16"), (tensor,), (), "x")


def test_a_qonnx_file_has_no_grid() -> None:
    on = small_bench("mlp")
    design = uniform(on, "int4", "bfloat16")
    rule = "a QONNX file is of formats of at most 8 bits, unlike bfloat16"
    with pytest.raises(ValueError, match=f"^{rule} of 'input'$"):
        qonnx.graph(on, design, on.quantize(design))
    with pytest.raises(ValueError, match=f"^{rule}$"):
        Grid.of(Quantizer(HALVES[1]))


def test_a_unit_has_no_operand() -> None:
    unit = MatrixVector(parse("int4"), HALVES[0], 4, 4, Folding())
    with pytest.raises(ValueError, match=r"^hardware is built for at most 8 bits, not for float16$"):
        unit.unit()


COSTS = {
    "dataflow": "floats of 16 bits have no FPGA price, but layer 'fc1' has 'float16'",
    "finn": "FINN maps activations that are integers with one scale, unlike float16 at site 'input' of layer 'fc1'",
}


@pytest.mark.parametrize("model", COSTS)
def test_there_is_no_price(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["digits-mlp", "--device", "xczu3eg", "--weights", "int4", "--activations", "float16"]
    assert main(["cost", *asked, "--cost-model", model]) == 2
    assert re.fullmatch(rf"hwdse: {re.escape(COSTS[model])}\n", capsys.readouterr().err)
