"""The nodes of a design have its names and formats, and what has no node is refused by its name."""

import numpy as np
import pytest
import torch
from torch import nn

from hwdse.design import Design, Step
from hwdse.onnx_graph import Graph
from hwdse.qonnx import KNOWN, graph, grids, input_codes
from hwdse.quantize import Bench
from tests.hwdse.networks import bench, split, uniform


def made(on: Bench, design: Design) -> Graph:
    """The nodes of `design`."""
    return graph(on, design, on.quantize(design))


def test_layers_keep_their_names_and_codes_enter() -> None:
    on = bench("mlp")
    found = made(on, uniform(on, "int4:channel", "int8"))
    named = [(node.op, node.name) for node in found.nodes if node.op != "Quant"]
    layers = [("MatMul", "fc1"), ("Add", "fc1.bias"), ("Relu", "relu1")]
    assert named[:5] == [("Mul", "quant_0"), ("Flatten", "flatten"), *layers]
    assert (found.input_shape, found.input_datatype, found.output_shape) == ((1, 8, 8), "UINT8", (10,))
    assert found.arrays["fc1.weight"].shape == (64, 64)
    assert found.arrays["fc3.weight.scale"].shape == (1, 10)
    assert found.arrays["fc3.weight.bits"].shape == ()


def test_codes_are_whole_numbers() -> None:
    on = bench("mlp")
    codes = input_codes(on.quantize(uniform(on, "int4", "int5")), split("test").images[:50])
    assert torch.equal(codes, codes.round())
    assert (float(codes.min()), float(codes.max())) == (0, 31)


def test_a_minifloat_input_enters_as_numbers() -> None:
    on = bench("mlp")
    found = made(on, uniform(on, "e2m1", "e3m2"))
    assert found.input_datatype is None
    assert found.nodes[0].op == "FloatQuant"


def test_what_a_file_must_say() -> None:
    on = bench("cnn")
    first, depthwise, *_ = grids(on, uniform(on, "int3:channel", "int8"))
    assert (first.layer, depthwise.layer) == ("conv1", "depthwise")
    assert first.weights is not None
    assert first.weights.name == "INT3 narrow up to 3"
    assert [grid.name for grid in first.inputs + depthwise.inputs] == ["UINT8 up to 255", "UINT8 full up to 255"]


def test_weights_in_minifloats_can_be_written_as_integers() -> None:
    on = bench("mlp")
    design = uniform(on, "e3m2:channel", "e2m1")
    plain = made(on, design)
    whole = graph(on, design, on.quantize(design), integers=True)
    quantisers = {node.name: node.op for node in whole.nodes if node.op in ("Quant", "FloatQuant")}
    assert quantisers["fc1.weight.quantiser"] == "Quant"
    assert quantisers["quant_1.quantiser"] == "FloatQuant", "activations stay"
    assert whole.arrays["fc1.weight.bits"] == 10
    unit = np.float32(2.0**-4)  # e3m2: bias 3, two bits behind the point
    assert np.array_equal(whole.arrays["fc1.weight.scale"], plain.arrays["fc1.weight.scale"] * unit)
    first, *_ = grids(on, design, integers=True)
    assert first.weights is not None
    assert first.weights.name == "INT10 narrow up to 511"
    assert first.inputs == grids(on, design)[0].inputs


def test_groups_are_refused() -> None:
    on = bench("mlp")
    design = uniform(on, "int4:group16", "int8")
    with pytest.raises(ValueError, match=r"^QONNX has a scale per tensor or channel, unlike int4:group16 of 'fc1'$"):
        made(on, design)


def test_a_layerwise_design_is_refused() -> None:
    on = bench("mlp", hardware=False)
    rule = "^a QONNX file quantises every tensor once, so that its design has hardware = true$"
    with pytest.raises(ValueError, match=rule):
        made(on, uniform(on, "int4", "int8"))


def test_a_transformer_is_refused_by_its_first_operation() -> None:
    on = bench("vit")
    with pytest.raises(ValueError, match=r"^a flatten of QONNX makes a row of each image, unlike 'flatten'$"):
        made(on, uniform(on, "int4", "int8"))


class Sigmoid(nn.Module):
    """Has a function that FINN has not."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten, self.fc1, self.bend, self.fc2 = nn.Flatten(), nn.Linear(64, 8), nn.Sigmoid(), nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.fc2(self.bend(self.fc1(self.flatten(x))))
        return found


def test_another_function_is_refused() -> None:
    on = Bench.of(Sigmoid().eval(), split("calibration"), "sigmoid")
    with pytest.raises(ValueError, match=rf"^QONNX is written of {KNOWN}, not of Sigmoid at 'bend'$"):
        made(on, uniform(on, "int4", "int8"))


def test_a_layer_that_a_technique_rebuilds_is_refused() -> None:
    on = bench("mlp")
    design = uniform(on, "int4", "int8", recipe=(Step("svd_quant"),))
    with pytest.raises(ValueError, match=rf"^QONNX is written of {KNOWN}, not of \w+ at 'fc1'$"):
        made(on, design)
