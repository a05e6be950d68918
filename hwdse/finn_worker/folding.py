"""A network of FINN's nodes: folded as is told, checked, priced by FINN's own formulas."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from finn.analysis.fpgadataflow.dataflow_performance import dataflow_performance
from finn.util.basic import part_map
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from hwdse.finn.messages import Folded, Priced, Refold, Unit
from hwdse.finn_nodes import Node
from hwdse.finn_worker import nodes

DIVIDED = {  # PE and SIMD of a node, and the attribute whose product they divide
    "MVAU": (("PE", "MH"), ("SIMD", "MW")),
    "VVAU": (("PE", "Channels"), ("SIMD", "Kernel")),
    "Thresholding": (("PE", "NumChannels"),),
    "ConvolutionInputGenerator": (("SIMD", "IFMChannels"),),
    "FMPadding": (("SIMD", "NumChannels"),),
    "DuplicateStreams": (("PE", "NumChannels"),),
    "GlobalAccPool": (("PE", "NumChannels"),),
    "Pool": (("PE", "Channels"),),
    "LabelSelect": (("PE", "Labels"),),
}
ELEMENTWISE = "Elementwise"  # begins the names of many operations, whose PE divides the channels


def refold(request: Refold) -> Priced:
    """The price of a network that has been through all steps, with another folding."""
    check_part(request.part)
    (model, nodes), layers = _loaded(request.model), dict(request.layers)
    try:
        fold(model, request.folding)
        check(model, layers)
        return price(model, request.part, layers)
    finally:
        for node, content in zip(model.graph.node, nodes, strict=True):
            node.ParseFromString(content)


@lru_cache(maxsize=2)
def _loaded(file: str) -> tuple[Any, tuple[bytes, ...]]:
    """A network, which whoever asks for it puts back, and its nodes."""
    model = ModelWrapper(file)
    return model, tuple(_content(node) for node in model.graph.node)


def check_part(part: str) -> None:
    """ValueError unless a board that FINN knows has this part: for others it takes the limits of any family."""
    parts = sorted(set(part_map.values()))
    if part not in parts:
        raise ValueError(f"no part {part!r} of a board that FINN knows; known: {', '.join(parts)}")


def fold(model: Any, folding: tuple[Folded, ...]) -> None:
    """Sets PE and SIMD of nodes; those of others stay."""
    nodes = {str(node.name): getCustomOp(node) for node in model.graph.node}
    for one in folding:
        if one.node not in nodes:
            raise ValueError(f"no node {one.node!r} to fold; known: {', '.join(nodes)}")
        window = None if one.at_once is None else int(one.at_once)
        for attribute, value in (("PE", one.pe), ("SIMD", one.simd), ("parallel_window", window)):
            if value is None:
                continue
            if attribute not in nodes[one.node].get_nodeattr_types():
                raise ValueError(f"node {one.node!r} has no {attribute}")
            nodes[one.node].set_nodeattr(attribute, value)


def check(model: Any, layers: Mapping[str, str]) -> None:
    """ValueError for a folding that FINN would price although it cannot be built."""
    for node in model.graph.node:
        wrong = _undivided(_content(node))
        if wrong is not None:
            attribute, what, whole, value = wrong
            of = f" of layer {layers[node.name]!r}" if node.name in layers else ""
            raise ValueError(f"{attribute}{of} divides {what} = {whole}, unlike {value} of {node.name!r}")


@lru_cache(maxsize=1 << 14)
def _undivided(content: bytes) -> tuple[str, str, int, int] | None:
    """The first attribute of a node that does not divide what it folds, what that is, and both numbers."""
    node = NodeProto.FromString(content)
    op, of = getCustomOp(node), list[tuple[str, str, int]]()
    of += ((one, size, int(np.prod(op.get_nodeattr(size)))) for one, size in DIVIDED.get(kind(node), ()))
    if node.op_type.startswith(ELEMENTWISE):
        of.append(("PE", "the channels", int(op.get_normal_output_shape()[-1])))
    values = ((attribute, what, whole, op.get_nodeattr(attribute)) for attribute, what, whole in of)
    return next((one for one in values if one[3] < 1 or one[2] % one[3]), None)


def _content(node: Any) -> bytes:
    found: bytes = node.SerializeToString(deterministic=True)
    return found


def price(model: Any, part: str, layers: Mapping[str, str]) -> Priced:
    """FINN's numbers for `model`; `layers` says whose weights a node has."""
    makers = {str(output): str(node.name) for node in model.graph.node for output in node.output}
    units = tuple(_unit(node, part, layers.get(node.name), makers) for node in model.graph.node)
    for node, unit in zip(model.graph.node, units, strict=True):
        getCustomOp(node).set_nodeattr("cycles_estimate", unit.cycles)  # as AnnotateCycles does
    total = model.analysis(dataflow_performance)
    return Priced(units, int(total["max_cycles"]), int(total["critical_path_cycles"]))


def _unit(node: Any, part: str, layer: str | None, makers: Mapping[str, str]) -> Unit:
    """`makers`: tensor -> the node that gives it."""
    found = _estimates(_content(node), part)
    inputs = tuple(makers[name] for name in node.input if name in makers)
    folded = Folded(str(node.name), *found.folding)
    return Unit(folded, layer, node.op_type, inputs, found.node, found.cycles, *found.area)


@dataclass(frozen=True, slots=True)
class _Estimates:
    folding: tuple[int | None, int | None, bool | None]
    cycles: int
    area: tuple[int, int, int, int]
    node: Node | None


@lru_cache(maxsize=1 << 14)
def _estimates(content: bytes, part: str) -> _Estimates:
    """What FINN estimates of a node, which depends on nothing but the node: once for those that are equal."""
    node = NodeProto.FromString(content)
    op = getCustomOp(node)
    estimates = op.lut_estimation, op.bram_estimation, op.uram_estimation, op.dsp_estimation
    luts, bram18s, urams, dsps = (int(one(part)) for one in estimates)  # of node_res_estimation, without efficiencies
    window = _attribute(op, "parallel_window")
    folding = _attribute(op, "PE"), _attribute(op, "SIMD"), None if window is None else bool(window)
    return _Estimates(folding, int(op.get_exp_cycles()), (luts, bram18s, urams, dsps), nodes.of(node, part))


def kind(node: Any) -> str:
    """The operation of a node, whichever way it is built."""
    return str(node.op_type).removesuffix("_rtl").removesuffix("_hls")


def _attribute(op: Any, name: str) -> int | None:
    return int(op.get_nodeattr(name)) if name in op.get_nodeattr_types() else None
