"""QONNX files: written, read back with QONNX's own eyes, executed."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.general.floatquant import compute_max_val
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.change_batchsize import ChangeBatchSize
from qonnx.transformation.infer_shapes import InferShapes

from hwdse.finn.messages import Execute, Executed, Write, Written
from hwdse.onnx_graph import Graph, Grid, LayerGrids, Node

OPSET, IR_VERSION = 20, 10  # what Brevitas 0.13.4 exports, and FINN+ 1.6.1 is tested with
QONNX, QONNX_OPSET = "qonnx.custom_op.general", 2
QUANTISERS = ("Quant", "FloatQuant", "BipolarQuant")
INTEGERS = ("Quant", "BipolarQuant")
PASSING = ("Relu", "MaxPool", "Flatten", "Reshape", "Transpose")  # what may lie between a quantiser and its reader


def write(request: Write) -> Written:
    """Writes the file, and what it says when it is read."""
    graph = Graph.load(Path(request.graph))
    model = ModelWrapper(_proto(graph, request.top1)).transform(InferShapes())
    if graph.input_datatype is not None:
        model.set_tensor_datatype(graph.input, DataType[graph.input_datatype])
    onnx.checker.check_model(model.model)
    model.save(request.out)
    read = ModelWrapper(request.out)
    return Written(tuple(_layer(read, layer) for layer in request.layers), read.graph.output[0].name)


def execute(request: Execute) -> Executed:
    """Runs the file on all images at once."""
    images: np.ndarray[Any, Any] = np.load(request.images, allow_pickle=False)
    model = ModelWrapper(request.model).transform(ChangeBatchSize(len(images))).transform(InferShapes())
    context = execute_onnx(model, {model.graph.input[0].name: images}, return_full_exec_context=True)
    found = {f"array {name}": context[name] for name in request.tensors}
    np.savez(request.out, allow_pickle=False, **found)
    return Executed(tuple(request.tensors))


def _proto(graph: Graph, top1: bool) -> Any:
    arrays, nodes = dict(graph.arrays), [_node(node) for node in graph.nodes]
    leaves = helper.make_tensor_value_info(graph.output, TensorProto.FLOAT, [1, *graph.output_shape])
    if top1:
        arrays["top1.k"] = np.array([1])
        nodes.append(helper.make_node("TopK", [graph.output, "top1.k"], ["top1.value", "top1"], name="top1", axis=-1))
        leaves = helper.make_tensor_value_info("top1", TensorProto.INT64, [1, *graph.output_shape[:-1], 1])
    made = helper.make_graph(
        nodes,
        graph.name,
        [helper.make_tensor_value_info(graph.input, TensorProto.FLOAT, [1, *graph.input_shape])],
        [leaves],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    versions = [helper.make_opsetid("", OPSET), helper.make_opsetid(QONNX, QONNX_OPSET)]
    return helper.make_model(made, opset_imports=versions, ir_version=IR_VERSION, producer_name="hwdse")


def _node(node: Node) -> Any:
    domain = QONNX if node.op in QUANTISERS else ""
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in node.settings}
    return helper.make_node(node.op, node.inputs, [node.output], name=node.name, domain=domain, **settings)


# ---- read back -----------------------------------------------------------------------------------


def _layer(model: Any, layer: str) -> LayerGrids:
    node = model.get_node_from_name(layer)
    if node is None:
        raise ValueError(f"the file has no node {layer!r}")
    if node.op_type in ("Conv", "MatMul"):
        return LayerGrids(layer, _weights(model, layer, node.input[1]), (_source(model, layer, node.input[0]),))
    return LayerGrids(layer, None, tuple(_source(model, layer, name) for name in node.input))


def _weights(model: Any, layer: str, tensor: str) -> Grid:
    """The grid of the quantiser of the weights, all of which lie on it."""
    node = model.find_producer(tensor)
    if node is None or node.op_type not in QUANTISERS or model.get_initializer(node.input[0]) is None:
        raise ValueError(f"the weights of {layer!r} are not those of a quantiser")
    grid = _grid(model, node)
    codes = model.get_initializer(node.input[0]) / model.get_initializer(node.input[1])
    integer = node.op_type in INTEGERS
    whole = np.round(codes) if integer else codes
    datatype = _datatype(model, node)
    if abs(whole).max() > grid.largest * (1 + 2.0**-20) and not (node.op_type == "Quant" and not grid.narrow):
        raise ValueError(f"the weights of {layer!r} reach {abs(whole).max():g}, beyond {grid.name}")
    if integer and not all(datatype.allowed(code) for code in np.unique(whole)):
        raise ValueError(f"the weights of {layer!r} are no {datatype.name}")
    return grid


def _source(model: Any, layer: str, tensor: str) -> Grid:
    """The grid of what made `tensor`, looking through what only moves or selects values."""
    while True:
        node = model.find_producer(tensor)
        if node is not None and node.op_type in QUANTISERS:
            return _grid(model, node)
        scaled = node is not None and node.op_type == "Mul" and node.input[0] == model.graph.input[0].name
        if node is None or scaled:
            return _annotated(model, layer, tensor if node is None else node.input[0])
        if node.op_type not in PASSING and not _selects(model, node):
            raise ValueError(f"{layer!r} reads what {node.op_type} {node.name!r} gives, without a quantiser between")
        tensor = node.input[0]


def _selects(model: Any, node: Any) -> bool:
    """Whether a convolution gives each pixel that it takes to one channel at most, unchanged: a shortcut."""
    quantiser = model.find_producer(node.input[1]) if node.op_type == "Conv" and len(node.input) == 2 else None
    weight = None if quantiser is None else model.get_initializer(quantiser.input[0])
    if weight is None or weight.shape[2:] != (1, 1):
        return False
    return bool(np.isin(weight, (0, 1)).all() and (weight.sum(1) <= 1).all())


def _annotated(model: Any, layer: str, tensor: str) -> Grid:
    """That of codes that enter the network."""
    datatype = model.get_tensor_datatype(tensor)
    if not datatype.is_integer():
        raise ValueError(f"{layer!r} reads {tensor!r}, which is {datatype.name} and no integer")
    return Grid(datatype.name, float(datatype.max()))


def _grid(model: Any, node: Any) -> Grid:
    datatype = _datatype(model, node)
    if node.op_type == "BipolarQuant":
        return Grid(datatype.name, float(datatype.max()))
    if node.op_type == "Quant":
        return Grid(datatype.name, float(datatype.max()), bool(getCustomOp(node).get_nodeattr("narrow")))
    exponent, mantissa, bias, largest = (float(model.get_initializer(name)) for name in node.input[2:6])
    return Grid(datatype.name, min(largest, float(compute_max_val(exponent, mantissa, bias))))


def _datatype(model: Any, node: Any) -> Any:
    """QONNX's type of what a quantiser gives, in units of its scale."""
    if node.op_type in INTEGERS:
        return getCustomOp(node).get_integer_datatype(model)
    exponent, mantissa, bias = (int(model.get_initializer(name)) for name in node.input[2:5])
    return DataType[f"FLOAT<{exponent},{mantissa},{bias}>"]
