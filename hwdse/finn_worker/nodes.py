"""The attributes of FINN's nodes as the values of `hwdse.finn_nodes`."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from finn.util.basic import is_versal
from qonnx.custom_op.registry import getCustomOp

from hwdse import finn_nodes
from hwdse.finn_nodes import FifoRam, MemMode, Multiplier, Node, RamStyle

ELEMENTWISE = "Elementwise"  # begins the names of many operations


def of(node: Any, part: str) -> Node | None:
    """What FINN's formulas read of a node; None for an operation that hwdse does not know."""
    name, backend = str(node.op_type).rsplit("_", 1)
    make = _elementwise if name.startswith(ELEMENTWISE) else MAKERS.get(node.op_type)
    op = getCustomOp(node)
    if make is None or op.get_nodeattr("mlo_max_iter") or op.get_nodeattr("bodies"):  # loops share their hardware
        return None
    return make(op, backend, part)


def _mvau(op: Any, backend: str, part: str) -> Node:
    common = {
        "pe": op.get_nodeattr("PE"),
        "simd": op.get_nodeattr("SIMD"),
        "mw": op.get_nodeattr("MW"),
        "mh": op.get_nodeattr("MH"),
        **_products(op),
        "vectors": _product(op.get_nodeattr("numInputVectors")),
        "ram_style_thresholds": RamStyle(op.get_nodeattr("ram_style_thresholds")),
        "tiles": op.get_nodeattr("TH"),
    }
    if backend == "hls":
        return finn_nodes.MvauHls(**common)
    return finn_nodes.MvauRtl(**common, dsp=finn_nodes.dsp_of(part))


def _vvau(op: Any, backend: str, part: str) -> Node:
    make = finn_nodes.VvauHls if backend == "hls" else finn_nodes.VvauRtl
    return make(
        pe=op.get_nodeattr("PE"),
        simd=op.get_nodeattr("SIMD"),
        channels=op.get_nodeattr("Channels"),
        taps=_product(op.get_nodeattr("Kernel")),
        pixels=_product(op.get_nodeattr("Dim")),
        **_products(op),
    )


def _products(op: Any) -> dict[str, Any]:
    """What units with weights share."""
    return {
        "weight_bits": op.get_input_datatype(1).bitwidth(),
        "input_bits": op.get_input_datatype(0).bitwidth(),
        "signed_input": bool(op.get_input_datatype(0).signed()),
        "accumulator_bits": op.get_accumulator_datatype().bitwidth(),
        "output_bits": op.get_output_datatype().bitwidth(),
        "activation": not op.get_nodeattr("noActivation"),
        "mem_mode": MemMode(op.get_nodeattr("mem_mode")),
        "ram_style": RamStyle(op.get_nodeattr("ram_style")),
        "multiplier": Multiplier(op.get_nodeattr("resType")),
    }


def _thresholding(op: Any, backend: str, part: str) -> Node:
    common = {
        "pe": op.get_nodeattr("PE"),
        "channels": op.get_nodeattr("NumChannels"),
        "vectors": _product(op.get_nodeattr("numInputVectors")),
        "input_bits": op.get_input_datatype(0).bitwidth(),
        "threshold_bits": op.get_input_datatype(1).bitwidth(),
        "output_bits": op.get_output_datatype().bitwidth(),
    }
    if backend == "hls":
        style = RamStyle(op.get_nodeattr("ram_style"))
        return finn_nodes.ThresholdingHls(**common, steps=op.get_nodeattr("numSteps"), ram_style=style)
    return finn_nodes.ThresholdingRtl(
        **common,
        uniform=bool(op.get_nodeattr("uniform_thres")),
        depth_trigger_bram=op.get_nodeattr("depth_trigger_bram"),
        depth_trigger_uram=op.get_nodeattr("depth_trigger_uram"),
    )


def _window(op: Any, backend: str, part: str) -> Node | None:
    if op.get_nodeattr("M") != 1 or op.get_nodeattr("dynamic_mode"):
        return None
    return finn_nodes.ConvolutionInputGenerator(
        simd=op.get_nodeattr("SIMD"),
        channels=op.get_nodeattr("IFMChannels"),
        image=_pair(op, "IFMDim"),
        out_image=_pair(op, "OFMDim"),
        kernel=_pair(op, "ConvKernelDim"),
        stride=_pair(op, "Stride"),
        dilation=_pair(op, "Dilation"),
        input_bits=op.get_input_datatype().bitwidth(),
        depthwise=bool(op.get_nodeattr("depthwise")),
        parallel_window=bool(op.get_nodeattr("parallel_window")),
        ram_style=RamStyle(op.get_nodeattr("ram_style")),
    )


def _padding(op: Any, backend: str, part: str) -> Node:
    top, left, bottom, right = map(int, op.get_nodeattr("Padding"))
    return finn_nodes.FMPadding(
        simd=op.get_nodeattr("SIMD"),
        channels=op.get_nodeattr("NumChannels"),
        image=_pair(op, "ImgDim"),
        padding=(top, left, bottom, right),
        images=op.get_nodeattr("numInputVectors"),
    )


def _pool(op: Any, backend: str, part: str) -> Node:
    return finn_nodes.Pool(
        pe=op.get_nodeattr("PE"),
        channels=op.get_nodeattr("Channels"),
        taps=_product(op.get_nodeattr("KernelSize")),
        pixels=_product(op.get_nodeattr("OutImgDims")) * op.get_nodeattr("BatchSize"),
    )


def _by_channel(op: Any, backend: str, part: str) -> Node:
    sums = op.onnx_node.op_type.startswith("GlobalAccPool")
    make = finn_nodes.GlobalAccPool if sums else finn_nodes.DuplicateStreams
    vectors = _product(op.get_nodeattr("numInputVectors"))
    return make(pe=op.get_nodeattr("PE"), channels=op.get_nodeattr("NumChannels"), vectors=vectors)


def _labels(op: Any, backend: str, part: str) -> Node:
    return finn_nodes.LabelSelect(pe=op.get_nodeattr("PE"), labels=op.get_nodeattr("Labels"))


def _elementwise(op: Any, backend: str, part: str) -> Node:
    left, right = (tuple(map(int, op.get_normal_input_shape(i))) for i in (0, 1))
    return finn_nodes.Elementwise(
        function=str(op.onnx_node.op_type).removeprefix(ELEMENTWISE).removesuffix(f"_{backend}"),
        backend=backend,
        pe=op.get_nodeattr("PE"),
        left_shape=left,
        right_shape=right,
        out_shape=tuple(map(int, op.get_normal_output_shape())),
        right_bits=op.get_input_datatype(1).bitwidth(),
        right_constant=op.get_nodeattr("rhs_style") == "const",
        mem_mode=MemMode(op.get_nodeattr("mem_mode")),
        ram_style=RamStyle(op.get_nodeattr("ram_style")),
    )


def _converter(op: Any, backend: str, part: str) -> Node:
    return finn_nodes.DataWidthConverter(op.get_nodeattr("inWidth"), op.get_nodeattr("outWidth"), backend)


def _fifo(op: Any, backend: str, part: str) -> Node:
    style = FifoRam(op.get_nodeattr("ram_style"))
    return finn_nodes.Fifo(op.get_nodeattr("depth"), op.get_instream_width(), style, is_versal(part), backend)


MAKERS: Mapping[str, Callable[[Any, str, str], Node | None]] = {
    "MVAU_hls": _mvau,
    "MVAU_rtl": _mvau,
    "VVAU_hls": _vvau,
    "VVAU_rtl": _vvau,
    "Thresholding_hls": _thresholding,
    "Thresholding_rtl": _thresholding,
    "ConvolutionInputGenerator_rtl": _window,
    "FMPadding_rtl": _padding,
    "Pool_hls": _pool,
    "GlobalAccPool_hls": _by_channel,
    "DuplicateStreams_hls": _by_channel,
    "LabelSelect_hls": _labels,
    "StreamingDataWidthConverter_hls": _converter,
    "StreamingDataWidthConverter_rtl": _converter,
    "StreamingFIFO_hls": _fifo,
    "StreamingFIFO_rtl": _fifo,
}


def _pair(op: Any, attribute: str) -> tuple[int, int]:
    rows, columns = map(int, op.get_nodeattr(attribute))
    return rows, columns


def _product(numbers: Any) -> int:
    return int(np.prod(numbers))
