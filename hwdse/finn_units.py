"""The nodes of FINN for the parts of a layer, with FINN's default settings and PE = SIMD = 1."""

from math import prod

from hwdse.finn_nodes import (
    ConvolutionInputGenerator,
    Dsp,
    Elementwise,
    MemMode,
    Multiplier,
    MvauHls,
    MvauRtl,
    RamStyle,
    ThresholdingRtl,
    VvauHls,
    VvauRtl,
)
from hwdse.finn_types import Integer, Weights
from hwdse.workload import Layer

FLOAT_BITS = 32  # of the last scale and bias
RTL_BITS = 4  # from here on both operands of a unit in RTL: specialize_layers.py of FINN
BLOCK_RAM_WIDTHS = (9, 18, 36)
# Bits of weights, inputs and sums that a DSP takes: get_dsp_datapath_limits in finn/util/basic.py.
PORTS = {Dsp.DSP48E1: (25, 18, 48), Dsp.DSP48E2: (27, 18, 48), Dsp.DSP58: (27, 24, 58)}
VVAU_BITS = 8  # at most, of the weights of a unit in RTL that works on each channel alone


def matrix(layer: Layer, weights: Weights, inputs: Integer, sums: Integer, dsp: Dsp) -> MvauRtl | MvauHls:
    """In RTL where both operands are wide enough; DSP48E1 take no lone least weight."""
    numbers = _widths(weights, inputs, sums)
    sizes = {"mw": layer.dot, "mh": layer.rows, "vectors": layer.positions, "tiles": 1}
    style = {**_STYLE, "ram_style_thresholds": RamStyle.AUTO}
    wide = min(weights.bits, inputs.bits) >= RTL_BITS
    if wide and (weights.narrow or dsp is not Dsp.DSP48E1) and _fits(weights, inputs, sums, dsp):
        return MvauRtl(**numbers, **sizes, **style, dsp=dsp)  # type: ignore[arg-type]
    return MvauHls(**numbers, **sizes, **style)  # type: ignore[arg-type]


def channelwise(layer: Layer, weights: Weights, inputs: Integer, sums: Integer, dsp: Dsp) -> VvauRtl | VvauHls:
    """In RTL on Versal alone."""
    numbers = _widths(weights, inputs, sums)
    sizes = {"channels": layer.rows, "taps": prod(layer.kernel), "pixels": layer.positions}
    rtl = dsp is Dsp.DSP58 and min(weights.bits, inputs.bits) >= RTL_BITS and weights.bits <= VVAU_BITS
    make = VvauRtl if rtl else VvauHls
    return make(**numbers, **sizes, **_STYLE)  # type: ignore[arg-type]


def _fits(weights: Weights, inputs: Integer, sums: Integer, dsp: Dsp) -> bool:
    """Whether numbers are no wider than the ports of a DSP; an input without a sign needs one."""
    weight, activation, total = PORTS[dsp]
    return weights.bits <= weight and inputs.bits - inputs.signed < activation and sums.bits <= total


_STYLE = {
    "activation": False,  # thresholds are nodes of their own
    "mem_mode": MemMode.DECOUPLED,
    "ram_style": RamStyle.AUTO,
    "multiplier": Multiplier.AUTO,
}


def _widths(weights: Weights, inputs: Integer, sums: Integer) -> dict[str, int]:
    """What units with weights share."""
    return {
        "pe": 1,
        "simd": 1,
        "weight_bits": weights.bits,
        "input_bits": inputs.bits,
        "signed_input": inputs.signed,
        "accumulator_bits": sums.bits,
        "output_bits": sums.bits,
    }


def window(layer: Layer, shape: tuple[int, ...], inputs: Integer, *, depthwise: bool) -> ConvolutionInputGenerator:
    """For `layer`, from an image of `shape`, which is padded already."""
    channels, rows, columns = shape
    return ConvolutionInputGenerator(
        simd=1,
        channels=channels,
        image=(rows, columns),
        out_image=(layer.out_shape[1], layer.out_shape[2]),
        kernel=layer.kernel,
        stride=layer.stride,
        dilation=(1, 1),
        input_bits=inputs.bits,
        depthwise=depthwise,
        parallel_window=False,
        ram_style=RamStyle.DISTRIBUTED,
    )


def thresholds(layer: Layer, sums: Integer, outputs: Integer) -> ThresholdingRtl:
    """As wide as the sums that they are compared with: FINN has fewer bits where their values allow it.

    FINN stores them in what wastes fewest bits: in block RAM if they happen to have 9, 18 or 36 bits, else in LUTs. A
    width that is not known is none of those.
    """
    bits = sums.bits + (sums.bits in BLOCK_RAM_WIDTHS)
    return ThresholdingRtl(1, layer.rows, layer.positions, sums.bits, bits, outputs.bits, False, 0, 0)


def adder(shape: tuple[int, ...], second: Integer) -> Elementwise:
    """Of two streams of `shape`, channels last."""
    return Elementwise("Add", "hls", 1, shape, shape, shape, second.bits, False, MemMode.EMBEDDED, RamStyle.AUTO)


def constant(function: str, shape: tuple[int, ...], values: int, dsp: Dsp) -> Elementwise:
    """The last scale or bias, of as many `values`, in floating point: in RTL on Versal, which then stores them."""
    backend, place = ("rtl", MemMode.DECOUPLED) if dsp is Dsp.DSP58 else ("hls", MemMode.EMBEDDED)
    return Elementwise(function, backend, 1, shape, (values,), shape, FLOAT_BITS, True, place, RamStyle.AUTO)
