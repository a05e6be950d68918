"""A network of FINN's nodes: folded as is told, checked, priced by FINN's own formulas."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from finn.analysis.fpgadataflow.dataflow_performance import dataflow_performance
from finn.analysis.fpgadataflow.exp_cycles_per_layer import exp_cycles_per_layer
from finn.analysis.fpgadataflow.res_estimation import res_estimation
from finn.transformation.fpgadataflow.annotate_cycles import AnnotateCycles
from finn.util.basic import part_map
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from hwdse.finn.messages import Folded, Priced, Refold, Unit
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
    model, layers = ModelWrapper(request.model), dict(request.layers)
    fold(model, request.folding)
    check(model, layers)
    return price(model, request.part, layers)


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
        op = getCustomOp(node)
        of = f" of layer {layers[node.name]!r}" if node.name in layers else ""
        for attribute, size in DIVIDED.get(kind(node), ()):
            _check(node, attribute, f"{attribute}{of} divides {size}", int(np.prod(op.get_nodeattr(size))))
        if node.op_type.startswith(ELEMENTWISE):
            _check(node, "PE", "PE divides the channels", int(op.get_normal_output_shape()[-1]))


def _check(node: Any, attribute: str, rule: str, whole: int) -> None:
    value = getCustomOp(node).get_nodeattr(attribute)
    if value < 1 or whole % value:
        raise ValueError(f"{rule} = {whole}, unlike {value} of {node.name!r}")


def price(model: Any, part: str, layers: Mapping[str, str]) -> Priced:
    """FINN's numbers for `model`; `layers` says whose weights a node has."""
    cycles = model.analysis(exp_cycles_per_layer)
    area = model.analysis(partial(res_estimation, fpgapart=part))
    total = model.transform(AnnotateCycles()).analysis(dataflow_performance)
    units = tuple(
        Unit(
            _folded(node),
            layers.get(node.name),
            node.op_type,
            _producers(model, node),
            nodes.of(node, part),
            int(cycles[node.name]),
            *(int(area[node.name][key]) for key in ("LUT", "BRAM_18K", "URAM", "DSP")),
        )
        for node in model.graph.node
    )
    return Priced(units, int(total["max_cycles"]), int(total["critical_path_cycles"]))


def kind(node: Any) -> str:
    """The operation of a node, whichever way it is built."""
    return str(node.op_type).removesuffix("_rtl").removesuffix("_hls")


def _producers(model: Any, node: Any) -> tuple[str, ...]:
    """The nodes whose streams it reads."""
    found = (model.find_producer(name) for name in node.input)
    return tuple(str(one.name) for one in found if one is not None)


def _folded(node: Any) -> Folded:
    window = _attribute(node, "parallel_window")
    at_once = None if window is None else bool(window)
    return Folded(str(node.name), _attribute(node, "PE"), _attribute(node, "SIMD"), at_once)


def _attribute(node: Any, name: str) -> int | None:
    op = getCustomOp(node)
    return int(op.get_nodeattr(name)) if name in op.get_nodeattr_types() else None
