"""What hwdse does to a network beside FINN's own steps, as steps of FINN's builder.

This file is delivered with a build as it is, so that FINN does there what was estimated here: it needs FINN alone.
"""

from typing import Any

from finn.builder.build_dataflow_config import VerificationStepType
from finn.builder.build_dataflow_steps import verify_step
from finn.builder.custom_step_library.resnet import step_resnet_streamline
from finn.transformation.fpgadataflow.convert_to_hw.global_acc_pool import InferGlobalAccPoolLayer
from finn.transformation.streamline.absorb import AbsorbMulIntoMultiThreshold, AbsorbTransposeIntoMultiThreshold
from finn.transformation.streamline.round_thresholds import RoundAndClipThresholds
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
