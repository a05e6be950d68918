"""One bit, -1 or 1: as Brevitas has it, in designs of FINN's networks, and refused by name where nothing takes it."""

from dataclasses import replace
from pathlib import Path

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.graph.calibrate import calibration_mode
from brevitas.quant.binary import SignedBinaryActPerTensorConst, SignedBinaryWeightPerTensorConst

from hwdse import pricing
from hwdse.brevitas_layers import activation_layer, weight_layer
from hwdse.cli import main
from hwdse.design import Design, Folding, Quantizer, Step
from hwdse.export import export
from hwdse.formats import BinaryFormat, decode, encode, family, known_formats, parse, quantise, values
from hwdse.lower import lower
from hwdse.pricing import Question
from hwdse.qonnx import graph, grids, input_codes
from hwdse.quantize import Bench
from tests.hwdse.finn_networks import large_digits, tfc
from tests.hwdse.networks import bench, uniform

BINARY = parse("binary")
POINTS = torch.tensor([-torch.inf, -3e38, -1.5, -1.0, -1e-30, -0.0, 0.0, 1e-30, 0.3, 1.0, 3e38, torch.inf])


def test_the_format() -> None:
    assert BINARY == BinaryFormat() == parse(BINARY.name) == BINARY.unsigned
    assert (BINARY.bits, BINARY.signed, values(BINARY)) == (1, True, (-1.0, 1.0))
    assert decode(BINARY, [0, 1]).tolist() == [-1, 1]
    assert encode(BINARY, [-0.1, 0.0, 7]).tolist() == [0, 1, 1]
    assert family(BINARY) == "integer"
    assert BINARY not in known_formats(bits=range(1, 9)), "a search sweeps 2 to 8 bits"
    with pytest.raises(ValueError, match=r"^NaN has no nearest value$"):
        quantise(BINARY, np.nan)
    with pytest.raises(ValueError, match=r"^only a signed integer has a full range beside its narrow one, not binary$"):
        Quantizer.parse("binary:full")


def test_activations_are_those_of_brevitas() -> None:
    theirs = qnn.QuantIdentity(act_quant=SignedBinaryActPerTensorConst, return_quant_tensor=False).eval()
    ours = activation_layer(Quantizer(BINARY))
    with torch.no_grad(), calibration_mode(ours):
        ours(torch.tensor([0.25, -1.0, 0.5]))  # the largest, 1, is Brevitas's constant scale
    with torch.no_grad():
        assert torch.equal(ours(POINTS), theirs(POINTS))
        assert np.array_equal(ours(POINTS).numpy(), quantise(BINARY, POINTS.numpy()))


@pytest.mark.parametrize("options", ["", ":mse", ":po2", ":channel", ":channel:mse", ":percentile60"])
def test_weights_are_those_of_brevitas(options: str) -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(32, 8)
    with torch.no_grad():
        linear.weight[2, 3] = 0.0
    ours = weight_layer(linear, Quantizer.parse(f"binary{options}"))
    scale = ours.weight_quant.scale().detach()
    assert scale.numel() == (8 if "channel" in options else 1)
    signs = (ours.quant_weight().detach() / scale).round()
    assert np.array_equal(signs.numpy(), quantise(BINARY, linear.weight.detach().numpy()))
    if not options:
        constant = SignedBinaryWeightPerTensorConst.let(scaling_const=float(linear.weight.detach().abs().max()))
        theirs = qnn.QuantLinear(32, 8, weight_quant=constant, return_quant_tensor=False).eval()
        with torch.no_grad():
            theirs.weight.copy_(linear.weight)
            assert torch.equal(theirs.quant_weight().value, ours.quant_weight())


def test_the_least_squared_error_is_at_the_mean() -> None:
    """Rastegari et al. 2016 (arXiv 1603.05279), equation 6; Brevitas tries tenths of the largest weight."""
    torch.manual_seed(0)
    linear = torch.nn.Linear(512, 1)
    sizes = linear.weight.detach().abs()
    scale = float(weight_layer(linear, Quantizer.parse("binary:mse")).weight_quant.scale().detach())
    assert abs(scale - float(sizes.mean())) <= float(sizes.max()) / 20, "the error is a parabola: the nearest is best"


def test_codes_and_grids_of_a_file() -> None:
    on = tfc()
    design = uniform(on, "binary:channel", "binary")
    found = graph(on, design, on.quantize(design))
    assert found.input_datatype == "BIPOLAR"
    assert {node.op for node in found.nodes} == {"Mul", "Flatten", "BipolarQuant", "MatMul", "Add", "Clip"}
    assert [grid.name for one in grids(on, design) for grid in (one.weights, *one.inputs) if grid] == [
        "BIPOLAR up to 1"
    ] * 8
    codes = input_codes(on.quantize(design), large_digits("test").images[:5])
    assert codes.unique().tolist() == [-1, 1]


def test_a_constant_is_refused() -> None:
    on = bench("mlp")
    rule = r"^calibration saw no negative value at 'input', so that binary is constant$"
    with pytest.raises(ValueError, match=rule):
        on.quantize(uniform(on, "int4", "binary"))


def test_groups_are_refused() -> None:
    on = bench("mlp")
    rule = r"^layer 'fc1': binary has a scale per tensor or channel, unlike binary:group16$"
    with pytest.raises(ValueError, match=rule):
        on.quantize(uniform(on, "binary:group16", "int4"))


@pytest.mark.parametrize("technique", ["auto_round", "learned_rounding"])
def test_there_is_no_rounding_to_learn(technique: str) -> None:
    on = tfc()
    with pytest.raises(ValueError, match=rf"^step '{technique}' changed nothing in network 'finn-tfc'$"):
        on.quantize(uniform(on, "binary", "int4", recipe=(Step(technique),)))


@pytest.mark.parametrize("technique", ["gptq", "gpfq", "qronos", "bias_correction"])
def test_other_techniques_stay_on_the_grid(technique: str) -> None:
    """They bring the logits nearer to those of the float network."""
    on, images = tfc(), large_digits("calibration").images
    with torch.no_grad():
        wanted = on.traced.graph(images.clone())
        errors = [
            float((on.quantize(design)(images.clone()) - wanted).square().mean())
            for design in (uniform(on, "binary:mse", "int8", recipe=recipe) for recipe in ((), (Step(technique),)))
        ]
    assert errors[1] < errors[0]


def test_a_model_of_bits_needs_nothing_of_this_project(tmp_path: Path) -> None:
    """`export` compares what it has written with the model of the design."""
    on = tfc()
    folder = export(on, uniform(on, "binary:channel:mse", "binary"), tmp_path / "model", title="Bits")
    assert "quant_type='BINARY'" in (folder / "model.py").read_text()


def folded(on: Bench, weights: str, activations: str) -> Design:
    """A design with a folding."""
    folding = {layer.name: Folding() for layer in on.workload.weighted}
    return replace(uniform(on, weights, activations), folding=tuple(sorted(folding.items())))


def test_our_accelerator_has_no_unit() -> None:
    on = tfc()
    with pytest.raises(ValueError, match=r"^an accelerator has no unit for single bits, unlike 'fc1' with binary$"):
        lower(on, folded(on, "binary", "int4"))
    with pytest.raises(ValueError, match=r"^an accelerator has no unit for single bits, unlike 'input' with binary$"):
        lower(on, folded(on, "int4", "binary"))


def test_our_accelerator_has_no_price(capsys: pytest.CaptureFixture[str]) -> None:
    rule = "single bits have no price, but layer 'fc1' has 'binary'"
    for weights, activations in (("binary", "int4"), ("int4", "binary")):
        with pytest.raises(ValueError, match=f"^{rule}$"):
            pricing.price(Question("finn-tfc", "xczu3eg"), (Quantizer.parse(weights), Quantizer.parse(activations)))
    assert main(["cost", "finn-tfc", "--device", "xczu3eg", "--weights", "binary"]) == 2
    assert capsys.readouterr().err == f"hwdse: {rule}\n"
