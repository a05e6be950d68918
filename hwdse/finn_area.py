"""The area of FINN's nodes with what FINN's formulas leave out: the second opinion on `hwdse.finn_nodes`.

DSPs follow the rule of the RTL. LUTs and flip-flops of nodes in RTL are fitted to the synthesis of that RTL
(`hwdse.finn_fits`). Block RAM and UltraRAM stay as FINN counts them, but for a long vector that a matrix-vector
unit keeps, and so do all nodes in HLS, which no open tool synthesises. Queues and width converters are in no price.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from hwdse import finn_fits
from hwdse.cost import Resources
from hwdse.finn_fits import Price
from hwdse.finn_nodes import (
    ConvolutionInputGenerator,
    Dsp,
    FMPadding,
    MemMode,
    MvauRtl,
    Node,
    RamStyle,
    ThresholdingRtl,
    VvauRtl,
)
from hwdse.finn_parts import matrix_vector, memories, streams, thresholds
from hwdse.finn_parts.matrix_vector import VERSIONS, Packing
from hwdse.finn_parts.part import Parts


@dataclass(frozen=True, slots=True)
class Context:
    """What decides the RTL of a node and is no attribute of it."""

    narrow: bool  # whether no weight is the least number of its bits
    stream_bits: int  # of an element that is padded


@dataclass(frozen=True, slots=True)
class Corrected:
    """The area of a node, with the bounds of a 90 % interval; without them the area is FINN's own."""

    area: Resources
    low: Resources | None = None
    high: Resources | None = None


@lru_cache(maxsize=65536)
def corrected(node: Node, context: Context) -> Corrected:
    """The area of `node`."""
    prices = [finn_fits.of_parts(kind, parts) for kind, parts in _units(node, context)]
    vector = matrix_vector.block_rams(_matrix(node, context)) if isinstance(node, MvauRtl) else 0
    own = Resources(dsps=_dsps(node, context), brams=node.bram18s + vector, urams=node.urams)
    if not prices:
        return Corrected(Resources(luts=node.luts) + own)
    return Corrected(*(_sum(prices, bound) + own for bound in range(3)))


def _sum(prices: list[Price], bound: int) -> Resources:
    """Units together: as predicted, or their least or most."""
    sums = {count: round(sum(getattr(one, count)[bound] for one in prices)) for count in ("luts", "ffs", "lutrams")}
    return Resources(**sums)


def _dsps(node: Node, context: Context) -> int:
    """As the RTL has them."""
    if not isinstance(node, MvauRtl):
        return node.dsps
    packing = Packing(VERSIONS[node.dsp], node.weight_bits, node.input_bits, context.narrow)
    return packing.dsps(node.pe, node.simd)


def _units(node: Node, context: Context) -> list[tuple[str, Parts]]:
    """The units of FINN's RTL that a node is made of, by kind; none for a node that is priced as FINN does."""
    match node:
        case MvauRtl():
            return [("finn_mvu", matrix_vector.parts(_matrix(node, context))), *_weights(node)]
        case VvauRtl():
            return [("finn_vvu", matrix_vector.channelwise(_channels(node, context))), *_weights(node)]
        case ThresholdingRtl():
            return [("finn_thresholds", thresholds.unit(_thresholds(node), node.stages_in_luts))]
        case ConvolutionInputGenerator():
            return [("finn_window", _window(node).parts)]
        case FMPadding():
            top, left, bottom, right = node.padding
            image = (node.image[0] + top + bottom, node.image[1] + left + right)
            folds = node.channels // node.simd
            return [("finn_padding", streams.padded(image, folds, node.simd * context.stream_bits))]
    return []


def _products(node: MvauRtl | VvauRtl, context: Context) -> dict[str, int]:
    """What units with weights share."""
    widths = {"W": node.weight_bits, "A": node.input_bits, "ACC": node.accumulator_bits}
    return {**widths, "PE": node.pe, "SIMD": node.simd, "NARROW": int(context.narrow), "SIGNED": int(node.signed_input)}


def _matrix(node: MvauRtl, context: Context) -> Mapping[str, int]:
    return {"VERSION": VERSIONS[node.dsp], **_products(node, context), "MW": node.mw, "MH": node.mh}


def _channels(node: VvauRtl, context: Context) -> Mapping[str, int]:
    return {"VERSION": VERSIONS[Dsp.DSP58], **_products(node, context), "MW": node.taps, "MH": node.channels}


def _weights(node: MvauRtl | VvauRtl) -> list[tuple[str, Parts]]:
    """The memory of weights, whose words are whole bytes."""
    if node.mem_mode is not MemMode.DECOUPLED:
        return []
    width, block = 8 * -(-node.pe * node.simd * node.weight_bits // 8), node.ram_style is not RamStyle.DISTRIBUTED
    memory = memories.memstream({"DEPTH": node.weight_words, "WIDTH": width, "BLOCK": int(block)})
    return [("finn_memstream", memory)]


def _thresholds(node: ThresholdingRtl) -> Mapping[str, int]:
    return {"IN": node.threshold_bits, "BITS": node.output_bits, "C": node.channels, "PE": node.pe}


def _window(node: ConvolutionInputGenerator) -> streams.Window:
    block = node.ram_style is not RamStyle.DISTRIBUTED
    sizes = (node.image, node.out_image, node.kernel, node.folds, node.simd * node.input_bits, node.depth)
    return streams.Window(*sizes, node.at_once, block)
