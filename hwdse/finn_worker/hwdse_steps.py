"""What hwdse does to a network beside FINN's own steps, as steps of FINN's builder.

This file is delivered with a build as it is, so that FINN does there what was estimated here: it needs FINN alone.
"""

from typing import Any

import numpy as np
from finn.builder.build_dataflow_config import VerificationStepType
from finn.builder.build_dataflow_steps import verify_step
from finn.builder.custom_step_library.resnet import step_resnet_streamline
from finn.transformation.fpgadataflow.convert_to_hw.global_acc_pool import InferGlobalAccPoolLayer
from finn.transformation.streamline.absorb import AbsorbMulIntoMultiThreshold, AbsorbTransposeIntoMultiThreshold
from finn.transformation.streamline.round_thresholds import RoundAndClipThresholds
from onnx import helper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.general import GiveUniqueNodeNames
from qonnx.transformation.infer_datatypes import InferDataTypes


def unsigned_behind_relu(model: Any, build: Any) -> Any:
    """Quantisers with a sign behind a ReLU get none, and a bit less: FINN takes no others, and the values are equal."""
    for node in model.get_nodes_by_op_type("Quant"):
        before, op = model.find_producer(node.input[0]), getCustomOp(node)
        if before is not None and before.op_type == "Relu" and op.get_nodeattr("signed"):
            op.set_nodeattr("signed", 0)
            op.set_nodeattr("narrow", 0)
            model.set_initializer(node.input[3], model.get_initializer(node.input[3]) - 1)
    return model


def resnet_streamline(model: Any, build: Any) -> Any:
    """FINN's recipe for residual networks, verified as its default step is; that leaves factors behind the adds."""
    model = step_resnet_streamline(model, build)
    if VerificationStepType.STREAMLINED_PYTHON in build._resolve_verification_steps():
        verify_step(model, build, VerificationStepType.STREAMLINED_PYTHON.value, need_parent=False)
    return model


def sums_for_average_pools(model: Any, build: Any) -> Any:
    """Average pools become sums, and the thresholds behind them take the factor, which FINN would leave outside."""
    if model.get_nodes_by_op_type("GlobalAveragePool"):
        for transformation in (
            InferGlobalAccPoolLayer(),
            AbsorbTransposeIntoMultiThreshold(),  # it lies between the factor and the thresholds
            AbsorbMulIntoMultiThreshold(),
            InferDataTypes(),
            RoundAndClipThresholds(),
            GiveUniqueNodeNames(),
        ):
            model = model.transform(transformation)
    return model


def clipped_by_quantisers(model: Any, build: Any) -> Any:
    """Clips go, of which FINN has none: the quantisers behind them saturate no later."""
    for node in model.get_nodes_by_op_type("Clip"):
        quantisers = model.find_consumers(node.output[0]) or []
        if not quantisers or not all(_saturates(model, node, quantiser) for quantiser in quantisers):
            raise ValueError(f"FINN has no clip, and the quantiser behind {node.name!r} goes beyond its ends")
        for quantiser in quantisers:
            quantiser.input[0] = node.input[0]
        model.graph.node.remove(node)
    return model


def _saturates(model: Any, clip: Any, quantiser: Any) -> bool:
    """Whether `quantiser` gives at both ends of `clip` what it gives beyond them."""
    ends = [float(model.get_initializer(name)) for name in clip.input[1:3]]
    if quantiser.op_type == "BipolarQuant":
        return ends[0] < 0 <= ends[1]
    if quantiser.op_type != "Quant":
        return False
    kind, scale = getCustomOp(quantiser).get_integer_datatype(model), model.get_initializer(quantiser.input[1])
    low = -kind.max() if getCustomOp(quantiser).get_nodeattr("narrow") else kind.min()
    return bool((np.round(ends[0] / scale) <= low).all() and (np.round(ends[1] / scale) >= kind.max()).all())


def bits_of_size_one(model: Any, build: Any) -> Any:
    """Activations of -s and s become -1 and 1 times s: FINN takes no others."""
    for node in _bits(model):
        quantised, bits = node.output[0], f"{node.output[0]}.bits"
        scale = helper.make_node("Mul", [bits, node.input[1]], [quantised], name=f"{node.name}.scale")
        node.output[0], node.input[1] = bits, f"{node.name}.one"
        model.set_initializer(node.input[1], np.array(1.0, np.float32))
        model.set_tensor_shape(bits, model.get_tensor_shape(quantised))
        model.graph.node.insert(list(model.graph.node).index(node) + 1, scale)
    return model


def _bits(model: Any) -> list[Any]:
    """The quantisers of activations of one bit."""
    return [node for node in model.get_nodes_by_op_type("BipolarQuant") if model.get_initializer(node.input[0]) is None]


def flat_bits(model: Any, build: Any) -> Any:
    """Bits that are flattened enter flat: FINN looks for them right before the layer that counts them."""
    entering = model.graph.input[0].name
    for node in model.get_nodes_by_op_type("Flatten"):
        scale = model.find_producer(node.input[0])
        if scale is not None and scale.op_type == "Mul" and scale.input[0] == entering:
            shape = model.get_tensor_shape(node.output[0])
            for reader in model.find_consumers(node.output[0]):
                reader.input[0] = scale.output[0]
            model.graph.node.remove(node)
            for name in (entering, scale.output[0]):
                model.set_tensor_shape(name, shape)
    return model
