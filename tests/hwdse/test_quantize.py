"""The quantised network equals Brevitas's own, bit for bit."""

import random
from typing import Any

import brevitas.nn as qnn
import pytest
import torch
from brevitas.core.function_wrapper.ops_ste import CeilSte
from brevitas.graph.calibrate import bias_correction_mode, calibration_mode
from brevitas.graph.quantize import layerwise_quantize, preprocess_for_quantize
from brevitas.quant.float import Fp8e4m3ActPerTensorFloat, Fp8e4m3WeightPerChannelFloat, Fp8e4m3WeightPerTensorFloat
from brevitas.quant.scaled_int import (
    Int8ActPerTensorFloat,
    Int8ActPerTensorFloatMSE,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloat,
)
from torch import Tensor, fx, nn

from hwdse.brevitas_layers import check_grid
from hwdse.design import Design, Quantizer, Step
from hwdse.formats import known_formats, parse, values
from hwdse.plugins import names
from hwdse.quantize import Bench
from tests.hwdse.networks import NETWORKS, bench, fitting, network, split, uniform

MAX = {"scaling_stats_op": "max"}
PO2 = {"restrict_scaling_type": "power_of_two", "restrict_value_float_to_int_impl": CeilSte}


def minifloat(e: int, m: int, *, signed: bool = True) -> dict[str, Any]:
    """Options of Brevitas's `Fp8e4m3*` classes for any split."""
    return {"bit_width": signed + e + m, "exponent_bit_width": e, "mantissa_bit_width": m, "signed": signed}


def integer(bits: int, *, signed: bool = True, narrow: bool = True) -> dict[str, Any]:
    """Options of Brevitas's `Int8*` classes for any width."""
    return {"bit_width": bits, "signed": signed, "narrow_range": narrow and signed}


# our quantisers of weights and activations (all inputs of these networks are >= 0), and Brevitas's own, unaided
ORACLES = {
    "int4": ("int4:channel", "uint4", Int8WeightPerChannelFloat.let(**integer(4)),
             Int8ActPerTensorFloat.let(**integer(4, signed=False), **MAX)),
    "int8 full": ("int8:full", "uint8", Int8WeightPerTensorFloat.let(**integer(8, narrow=False)),
                  Int8ActPerTensorFloat.let(**integer(8, signed=False), **MAX)),
    "int5 po2": ("int5:channel:po2", "int5:po2:full", Int8WeightPerChannelFloat.let(**integer(5), **PO2),
                 Int8ActPerTensorFloat.let(**integer(5, narrow=False), **MAX, **PO2)),
    "int6 mse": ("int6", "int6:mse", Int8WeightPerTensorFloat.let(**integer(6)),
                 Int8ActPerTensorFloatMSE.let(**integer(6))),
    "int8 percentile": ("int8", "int8:percentile99.5", Int8WeightPerTensorFloat.let(**integer(8)),
                        Int8ActPerTensorFloat.let(**integer(8), high_percentile_q=99.5)),
    "e2m1": ("e2m1:channel", "ue2m2", Fp8e4m3WeightPerChannelFloat.let(**minifloat(2, 1)),
             Fp8e4m3ActPerTensorFloat.let(**minifloat(2, 2, signed=False))),
    "e3m0": ("e3m0", "e3m0", Fp8e4m3WeightPerTensorFloat.let(**minifloat(3, 0)),
             Fp8e4m3ActPerTensorFloat.let(**minifloat(3, 0))),
    "e4m3 po2": ("e4m3:channel:po2", "e4m3:po2", Fp8e4m3WeightPerChannelFloat.let(**minifloat(4, 3), **PO2),
                 Fp8e4m3ActPerTensorFloat.let(**minifloat(4, 3), **PO2)),
}  # fmt: skip


def brevitas_model(model: nn.Module, weights: Any, activations: Any) -> nn.Module:
    """What a user of Brevitas alone would write."""
    options = {"weight_quant": weights, "input_quant": activations, "bias_quant": None, "return_quant_tensor": False}
    layers = {nn.Conv2d: (qnn.QuantConv2d, options), nn.Linear: (qnn.QuantLinear, options)}
    quantised: nn.Module = layerwise_quantize(preprocess_for_quantize(model), layers).eval()
    with torch.no_grad():
        images = split("calibration").images
        quantised(images[:8])
        with calibration_mode(quantised):
            quantised(images)
    return quantised


@pytest.mark.parametrize("name", ["mlp", "cnn"])
@pytest.mark.parametrize("oracle", ORACLES)
def test_equals_a_layerwise_model_made_with_brevitas_alone(name: str, oracle: str) -> None:
    ours_w, ours_a, theirs_w, theirs_a = ORACLES[oracle]
    on = bench(name, False)
    design = Design.of(
        {layer.name: Quantizer.parse(ours_w) for layer in on.workload.weighted},
        {site.name: Quantizer.parse(ours_a) for site in on.workload.sites},
        hardware=False,
    )
    theirs = brevitas_model(network(name), theirs_w, theirs_a)
    images = split("search").images
    with torch.no_grad():
        assert torch.equal(on.quantize(design)(images), theirs(images))


@pytest.mark.parametrize("hardware", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_shell_equals_the_brevitas_model_on_random_mixed_designs(name: str, hardware: bool) -> None:
    on, choose = bench(name, hardware), random.Random(name)
    choices = known_formats(bits=range(3, 9))
    for _ in range(4):
        design = Design.of(
            {layer.name: Quantizer(choose.choice(choices), "channel") for layer in on.workload.weighted},
            {s.name: fitting(on, s.name, Quantizer(choose.choice(choices))) for s in on.workload.sites},
            hardware=hardware,
        )
        with torch.no_grad():
            images = split("search").images
            assert torch.equal(on.shell(design)(images), on.quantize(design)(images))


class Recorder(fx.Interpreter):
    """Keeps what every node computes."""

    def run_node(self, n: fx.Node) -> Any:
        self.seen = getattr(self, "seen", {})
        self.seen[n] = super().run_node(n)
        return self.seen[n]


@pytest.mark.parametrize("fmt", ["int4", "e2m1", "e3m0", "e4m3fn"])
@pytest.mark.parametrize("name", ["resnet", "vit"])
def test_hardware_quantises_every_operand_once_and_adds_codes_of_one_grid(name: str, fmt: str) -> None:
    """Minifloats on residual networks are where Brevitas's own graph path fails (Xilinx/brevitas issue 897)."""
    on = bench(name)
    model = on.quantize(uniform(on, fmt, fmt))
    recorder = Recorder(model)
    with torch.no_grad():
        recorder.run(split("search").images[:16])
    modules, adds = dict(model.named_modules()), 0
    for node, result in recorder.seen.items():
        operands = [arg for arg in node.args if isinstance(arg, fx.Node)]
        if "add" in node.name and len(operands) == 2:
            quantisers = {site_of(operand, modules) for operand in operands}
            assert len(quantisers) == 1, "operands of an add come from one quantiser"
            scale = modules[quantisers.pop()].act_quant.scale()
            assert on_grid(recorder.seen[operands[0]], scale, fmt)
            assert on_grid(recorder.seen[operands[1]], scale, fmt)
            adds += 1
        assert not (node.target == "quant_0" and str(operands[0].target).startswith("quant_")), "quantised twice"
        assert not isinstance(result, Tensor) or bool(torch.isfinite(result).all())
    assert adds >= 3


def site_of(node: fx.Node, modules: dict[str, nn.Module]) -> str:
    """The quantiser that `node` comes from, through what only moves values."""
    while not isinstance(modules.get(str(node.target)), qnn.QuantIdentity):
        node = node.all_input_nodes[0]
    return str(node.target)


def on_grid(x: Tensor, scale: Tensor, fmt: str) -> bool:
    """Whether `x` is values of `fmt`, or of its unsigned twin, times `scale`, exactly."""
    grid = torch.tensor(sorted({*values(parse(fmt)), *values(parse(fmt).unsigned)}))
    return bool(torch.isin(x, grid * scale).all())


def test_signs_come_from_what_calibration_saw() -> None:
    on = bench("cnn")
    assert on.nonnegative == {site.name for site in on.workload.sites}
    assert bench("resnet").nonnegative == {"input", "block1.relu1", "block1.relu2", "block2.relu1", "block3.relu1",
                                           "block3.relu2", "pool"}  # fmt: skip


def test_one_pass_over_the_data_calibrates_all_that_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    on = Bench.of(network("cnn"), split("calibration"), "cnn")
    assert on.nonnegative
    passes: list[object] = []
    walk = on.activations._watch

    def counted(sites: object, visit: object) -> None:
        passes.append(sites)
        walk(sites, visit)  # type: ignore[arg-type]

    monkeypatch.setattr(on.activations, "_watch", counted)
    design = uniform(bench("cnn"), "int4", "int4")
    on.shell(design)
    on.shell(design)
    on.quantize(design)
    assert len(passes) == 1


def test_the_grid_check_sees_one_weight_off_the_grid() -> None:
    on = bench("mlp")
    quantizer = Quantizer(parse("e2m1"), "channel")
    scale = on._brevitas_layer("fc1", quantizer).weight_quant.scale()
    weight = on.weight("fc1", quantizer).clone()
    weight[3, 5] *= 1.01
    with pytest.raises(ValueError, match=r"^1 weights of layer 'fc1' are off the grid of e2m1:channel$"):
        check_grid(weight, scale, "fc1", quantizer)


@pytest.mark.parametrize("fmt", [f for f in known_formats() if f.name != "e7m0"], ids=lambda f: f.name)
def test_weights_of_every_format_lie_on_its_grid(fmt: Any) -> None:
    weight = bench("mlp").weight("fc2", Quantizer(fmt, "channel"))  # raises otherwise
    assert len(torch.unique(weight[0])) <= len(values(fmt))


class Twice(nn.Module):
    """A matmul of a tensor with itself, and a layer called by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(8, 8)
        self.b = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.a(input=x.flatten(1, 2))
        z: Tensor = self.b(torch.matmul(y, y).mean(1))
        return z


@pytest.mark.parametrize("hardware", [True, False])
def test_every_operand_is_quantised_however_it_is_given(hardware: bool) -> None:
    torch.manual_seed(0)
    on = Bench.of(Twice().eval(), split("calibration"), "twice", hardware=hardware)
    model = on.quantize(uniform(on, "int4", "int4"))
    (matmul,) = [node for node in model.graph.nodes if node.target is torch.matmul]
    assert all(str(arg.target).startswith("quant_") for arg in matmul.args)
    assert all(layer.inputs for layer in on.workload.layers if layer.macs)


def test_the_digest_names_the_code_of_the_network() -> None:
    class Other(Twice):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.tanh())

    torch.manual_seed(0)
    first = Bench.of(Twice().eval(), split("calibration"), "net")
    torch.manual_seed(0)
    other = Bench.of(Other().eval(), split("calibration"), "net")
    assert first.digest != other.digest


def test_an_unsigned_format_where_values_are_negative_is_an_error() -> None:
    on = bench("resnet")
    design = uniform(on, "int4", "int4")
    wrong = Design.of(dict(design.weights), {**dict(design.activations), "relu": Quantizer.parse("uint4")})
    for make in (on.shell, on.quantize):
        with pytest.raises(ValueError, match=r"^calibration saw negative values at 'relu', which uint4 has none of$"):
            make(wrong)


def test_calibration_leaves_the_images_alone() -> None:
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(64, 10)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.fc(nn.functional.hardtanh(x, 0.2, 0.4, inplace=True).flatten(1))
            return y

    before = split("calibration").images.clone()
    on = Bench.of(InPlace().eval(), split("calibration"), "net")
    on.shell(uniform(on, "int4", "int4"))(split("calibration").images.clone())
    assert torch.equal(split("calibration").images, before)


@pytest.mark.parametrize("options", ["", ":po2", ":mse", ":percentile99.5"])
@pytest.mark.parametrize("fmt", ["e1m1", "e1m2", "e1m4", "e1m6"])
def test_designs_with_equal_numerics_have_equal_logits(fmt: str, options: str) -> None:
    on = bench("resnet")
    design = uniform(on, f"{fmt}:channel{options}", f"{fmt}{options}")
    twin = design.numerics
    assert {q.format.exponent for _, q in (*twin.weights, *twin.activations)} == {0}
    images = split("search").images
    with torch.no_grad():
        assert torch.equal(on.quantize(design)(images), on.quantize(twin)(images))


# ---- techniques ----------------------------------------------------------------------------------


def test_bias_correction_equals_brevitas_alone() -> None:
    on = bench("cnn", False)
    design = uniform(on, "int4:channel", "int4", recipe=(Step("bias_correction"),))
    theirs = brevitas_model(network("cnn"), Int8WeightPerChannelFloat.let(**integer(4)),
                            Int8ActPerTensorFloat.let(**integer(4, signed=False), **MAX))  # fmt: skip
    images = split("search").images
    with torch.no_grad():
        with bias_correction_mode(theirs):
            theirs(split("calibration").images)
        assert torch.equal(on.quantize(design)(images), theirs(images))


def test_a_scope_limits_a_technique() -> None:
    on = bench("cnn")
    plain = on.quantize(uniform(on, "int4", "int4"))
    corrected = on.quantize(uniform(on, "int4", "int4", recipe=(Step("bias_correction", scope=("conv2",)),)))
    changed = [
        key for key, tensor in plain.state_dict().items() if not torch.equal(tensor, corrected.state_dict()[key])
    ]
    assert changed == ["conv2.bias"]


def test_equalisation_keeps_the_float_network_and_recalibrates() -> None:
    on = bench("cnn")
    design = uniform(on, "int4", "int4", recipe=(Step("cross_layer_equalization"),))
    equalised, late = on.after_float_steps(design)
    images = split("search").images
    with torch.no_grad():
        expected, got = on.traced.graph(images), equalised.traced.graph(images)
        # rescaling by inexact factors rounds every weight and activation once more
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)
        assert not torch.equal(on.shell(design)(images), on.shell(uniform(on, "int4", "int4"))(images))
        assert torch.equal(on.shell(design)(images), on.quantize(design)(images))
    assert late == ()
    assert equalised.digest != on.digest


def errors(design: Design) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        bench("mlp").quantize(design)
    return str(caught.value)


def test_bad_designs_are_named() -> None:
    good = uniform(bench("mlp"), "int4", "int4")
    weights, activations = dict(good.weights), dict(good.activations)
    int4 = Quantizer(parse("int4"))
    assert errors(Design.of({**weights, "fc9": int4}, activations)) == "no layer 'fc9'; known: fc1, fc2, fc3"
    assert errors(Design.of({k: weights[k] for k in ("fc1", "fc2")}, activations)) == "layer 'fc3' has no quantizer"
    assert errors(Design.of(weights, {**activations, "x": int4})) == (
        "no activation site 'x'; known: input, relu1, relu2"
    )
    assert errors(Design.of({**weights, "fc1": Quantizer(parse("uint4"))}, activations)) == (
        "layer 'fc1': weights have a signed format, not uint4"
    )
    assert errors(Design.of({**weights, "fc1": Quantizer(parse("int4"), "group24")}, activations)) == (
        "layer 'fc1': a group of 24 divides the inputs of a layer, not 64"
    )
    assert errors(Design.of(weights, activations, hardware=False)) == (
        "the design has hardware = False, the network was traced with the opposite"
    )
    assert errors(uniform(bench("mlp"), "int4", "int4", recipe=(Step("magic"),))) == (
        f"no technique 'magic'; known: {', '.join(names('hwdse.techniques'))}"
    )
    step = Step("cross_layer_equalization", (("steps", 3),))
    assert errors(uniform(bench("mlp"), "int4", "int4", recipe=(step,))) == (
        "no setting 'steps' of technique 'cross_layer_equalization'; known: iterations, merge_bias"
    )
    step = Step("cross_layer_equalization", (("iterations", "many"),))
    assert errors(uniform(bench("mlp"), "int4", "int4", recipe=(step,))) == (
        "setting 'iterations' of technique 'cross_layer_equalization' is int, not 'many'"
    )
    step = Step("bias_correction", scope=("fc7",))
    assert errors(uniform(bench("mlp"), "int4", "int4", recipe=(step,))) == (
        "no layer 'fc7' with weights; known: fc1, fc2, fc3"
    )
    steps = (Step("bias_correction"), Step("cross_layer_equalization"))
    assert errors(uniform(bench("mlp"), "int4", "int4", recipe=steps)) == (
        "a step that acts on the float network comes before 'bias_correction'"
    )


def test_a_step_that_changes_nothing_is_an_error() -> None:
    step = Step("cross_layer_equalization", (("iterations", 0), ("merge_bias", False)))
    assert errors(uniform(bench("mlp"), "int4", "int4", recipe=(step,))) == (
        "step 'cross_layer_equalization(iterations=0, merge_bias=false)' changed nothing in network 'mlp'"
    )
