"""A streaming dataflow accelerator as FINN builds it: one engine per layer, weights on chip, thresholds after.

The price of a layer is the sum of its physical parts, each counted from the structure of the
hardware (`hwdse.arithmetic`, `hwdse.memory`), so that a later calibration has terms to correct.

What is not priced is `UNPRICED`, and the saving where all weights of a unit are constants (a folding
with one step), which synthesis finds.

Where a memory goes depends on its depth alone, so that a format one bit wider never uses a smaller
share of the device (`hwdse.memory.utilization`) nor fewer LUTs, with one exception: on LUT4s, two minifloats
of six magnitude bits together (`e3m0 x e3m0`) are multiplied by tables, as synthesis does, and those
are larger than the shifters of the next wider pair (`e3m0 x e3m1`). Between formats of equal bits LUTs
go either way.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain
from math import ceil, prod
from typing import Literal, get_args

from hwdse.arithmetic import (
    accumulator,
    adder,
    adder_tree,
    comparator,
    decoder,
    dsp_accumulates,
    dsp_blocks,
    dsp_luts,
    dsp_parts,
    dsp_products,
    functions,
    lane,
    paper_bits,
    sign_count,
    tight_bits,
)
from hwdse.cost import LayerCost, Resources, Term
from hwdse.cost_model import CostModel
from hwdse.design import Design, Folding, Quantizer
from hwdse.folding import check, cycles, multiplies, stream_width, taps_at_once, window_words
from hwdse.formats import magnitude
from hwdse.memory import LUT_RAMS, counters, fifo, memory, search_steps, thresholds
from hwdse.target import FpgaTarget
from hwdse.workload import OUTSIDE, Kind, Layer

# What an accelerator needs besides, in words for people.
UNPRICED = (
    "FIFOs that balance residual branches, stream width converters, forks, padding units, host interface and DMA, "
    "conversion to and from float around layers outside, and the clock"
)
PIPELINE_STAGES = 4  # cycles: registers after the inputs, the products and the tree, and the accumulator
OPERANDS = {Kind.MATMUL: 2, Kind.ADD: 2}  # streams that a layer reads; the others read one

Accumulator = Literal["tight", "paper"]
Multiplier = Literal["lut", "dsp"]


@dataclass(frozen=True)
class Dataflow(CostModel):
    """Settings: the accumulators' width (`tight`: exact; `paper`: the closed form) and what multiplies."""

    accumulator: Accumulator = "tight"
    multiplier: Multiplier = "lut"

    def __post_init__(self) -> None:
        for field, known in (("accumulator", get_args(Accumulator)), ("multiplier", get_args(Multiplier))):
            if getattr(self, field) not in known:
                raise ValueError(f"{field} is {' or '.join(known)}, not {getattr(self, field)!r}")

    @property
    def name(self) -> str:
        """`dataflow`, or `dataflow(accumulator="paper")`."""
        settings = (("accumulator", self.accumulator, "tight"), ("multiplier", self.multiplier, "lut"))
        changed = [f'{key}="{value}"' for key, value, default in settings if value != default]
        return "dataflow" + f"({', '.join(changed)})" * bool(changed)

    def claims(self, target: FpgaTarget) -> bool:
        """Whether the LUTs and memories of the family are known."""
        return target.family in LUT_RAMS

    def calibration(self, target: FpgaTarget) -> str:
        """That it is not calibrated, why no error is stated, and what has no price."""
        return (
            f"uncalibrated on {target.name}: counted from the structure of the hardware, not fitted to the device. "
            f"Dot-product units are compared with netlists in tests/hwdse/test_arithmetic.py, but the RTL behind those "
            f"counts is not in the repository yet, so no error is stated. All else is unchecked, and latency is an "
            f"estimate. Not priced: {UNPRICED}"
        )

    def layer(self, layer: Layer, design: Design, target: FpgaTarget) -> LayerCost:
        """The cost of one layer's units; ValueError names the layer where the design leaves it open."""
        if layer.kind in OUTSIDE:
            raise ValueError(f"layer {layer.name!r} ({layer.kind}) is outside the accelerator and has no price")
        operands, outputs = _operands(layer, design), _activations(layer, layer.outputs, design)
        folding = _folding(layer, design)
        return _price(_Unit(layer, operands, outputs, folding, target, self.accumulator, self.multiplier))


# ---- what the design says of a layer -------------------------------------------------------------


def _operands(layer: Layer, design: Design) -> tuple[Quantizer, ...]:
    """The quantisers of what the layer reads, its weights last."""
    wanted = OPERANDS.get(layer.kind, 1)
    if len(layer.inputs) != wanted:
        raise ValueError(f"a {layer.kind} reads {wanted} quantised sites, but layer {layer.name!r} {len(layer.inputs)}")
    operands = _activations(layer, layer.inputs, design)
    if layer.kind is Kind.ADD and operands[0].format != operands[1].format:
        names = " and ".join(operand.format.name for operand in operands)
        raise ValueError(f"the operands of an add share a format, but layer {layer.name!r} adds {names}")
    return operands + ((_weight(layer, design),) if layer.weights else ())


def _weight(layer: Layer, design: Design) -> Quantizer:
    quantizer = dict(design.weights).get(layer.name)
    if quantizer is None:
        raise ValueError(f"layer {layer.name!r} has no weight quantizer")
    return _without_groups(layer, quantizer)


def _activations(layer: Layer, sites: tuple[str, ...], design: Design) -> tuple[Quantizer, ...]:
    known = dict(design.activations)
    for site in sites:
        if site not in known:
            raise ValueError(f"layer {layer.name!r} has no activation quantizer at site {site!r}")
        if _without_groups(layer, known[site]).granularity != "tensor":
            raise ValueError(f"activations share one scale, but layer {layer.name!r} has {known[site].name!r}")
    return tuple(known[site] for site in sites)


def _without_groups(layer: Layer, quantizer: Quantizer) -> Quantizer:
    if quantizer.group is not None:
        raise ValueError(f"MX groups have no FPGA price yet, but layer {layer.name!r} has {quantizer.name!r}")
    return quantizer


def _folding(layer: Layer, design: Design) -> Folding:
    """The folding of `layer`; a layer without products takes a channel a cycle unless the design says more."""
    folding = dict(design.folding).get(layer.name, None if multiplies(layer) else Folding())
    if folding is None:
        raise ValueError(f"layer {layer.name!r} has no folding")
    check(layer, folding)
    return folding


# ---- units ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Unit:
    """All that a layer's price depends on."""

    layer: Layer
    operands: tuple[Quantizer, ...]  # activations, then weights
    outputs: tuple[Quantizer, ...]
    folding: Folding
    target: FpgaTarget
    accumulator: Accumulator
    multiplier: Multiplier

    @property
    def lut(self) -> int:
        return self.target.lut_inputs

    @property
    def words(self) -> int:
        """Output channels that one PE makes in turn."""
        return self.layer.rows // self.folding.pe

    @property
    def narrow(self) -> tuple[bool, bool]:
        return self.operands[1].narrow, self.operands[0].narrow

    @property
    def in_dsp(self) -> bool:
        """Whether an output is summed inside its DSP block."""
        (weight, activation), shared = (self.operands[1].format, self.operands[0].format), not self.layer.depthwise
        pair, dsp, narrow = (self.folding.pe, self.folding.simd), self.target.dsp, self.operands[1].narrow
        return self.multiplier == "dsp" and dsp_accumulates(
            weight, activation, *pair, dsp, shared=shared, narrow=narrow
        )

    def sum_bits(self, terms: int) -> int:
        """The width of a sum of `terms` products, or of `terms` inputs where nothing is multiplied."""
        activation = self.operands[0]
        if not multiplies(self.layer):
            largest = terms * magnitude(activation.format, activation.narrow)
            return largest.bit_length() + activation.format.signed
        return tight_bits(self.operands[1].format, activation.format, terms, self.narrow)

    @property
    def accumulator_bits(self) -> int:
        if self.accumulator == "paper" and multiplies(self.layer):
            return paper_bits(self.operands[1].format, self.operands[0].format, self.layer.dot)
        return self.sum_bits(self.layer.dot)


@cache
def _price(unit: _Unit) -> LayerCost:
    parts = chain(_window(unit), _BODY[unit.layer.kind](unit), _outputs(unit))
    steps = max((search_steps(output) for output in unit.outputs), default=0)
    return LayerCost(
        unit.layer.name,
        tuple(term for term in parts if term.area != Resources()),
        cycles(unit.layer, unit.folding),
        PIPELINE_STAGES + steps,
        unit.folding if multiplies(unit.layer) else None,
        unit.accumulator_bits if unit.layer.kind not in (Kind.MAX_POOL, Kind.TABLE) else None,
    )


def _window(unit: _Unit) -> Iterator[Term]:
    """The sliding window, in a memory for each tap that is read in the same cycle."""
    layer, words = unit.layer, window_words(unit.layer, unit.folding)
    if words == 0:
        return
    width, taps = stream_width(layer, unit.folding) * unit.operands[0].format.bits, taps_at_once(layer, unit.folding)
    held, memories = words, taps
    if taps == prod(layer.kernel):  # registers for all taps, and a line buffer between the rows
        held, memories = words - taps, layer.kernel[0] - 1
    registers = Resources(ffs=(words - held) * width)
    line = memory(ceil(held / max(1, memories)), width, unit.target, writable=True)
    yield Term("window", sum([line] * memories, registers + counters(words, *layer.kernel, layer.positions)))


def _products(unit: _Unit) -> Iterator[Term]:
    """A matrix-vector unit: PE dot products of SIMD terms, its weights or its second stream in a memory."""
    layer, (pe, simd) = unit.layer, (unit.folding.pe, unit.folding.simd)
    first, second = unit.operands[0].format, unit.operands[1].format
    steps, streamed = layer.dot // simd, layer.kind is Kind.MATMUL
    if not layer.depthwise and layer.rows // layer.groups > pe:  # an input is used again for the next PE outputs
        yield Term("input buffer", memory(steps, simd * first.bits, unit.target, writable=True) + counters(steps))
    stored = unit.words * steps * (2 if streamed else 1)  # a second operand is loaded while the last one is used
    kept = memory(stored, pe * simd * second.bits, unit.target, writable=streamed)
    yield Term("operand buffer" if streamed else "weights", kept)
    yield Term("multipliers", _multipliers(unit))
    yield Term("adder tree", _tree(unit))
    yield Term("accumulators", _accumulators(unit, steps))
    yield Term("control", counters(layer.positions, unit.words, steps, stored))


def _multipliers(unit: _Unit) -> Resources:
    """The lanes, with registers after the operands and the products; `enable` and `first` travel along.

    The registers of a product are in its DSP, unless it is made of parts.
    """
    (pe, simd), bits = (unit.folding.pe, unit.folding.simd), unit.sum_bits(1)
    first, second = unit.operands[0].format, unit.operands[1].format
    inputs = pe if unit.layer.depthwise else 1  # PEs share their activations unless each has its own channel
    operands, products = simd * (inputs * first.bits + pe * second.bits) + 4, pe * simd * bits
    if unit.multiplier == "lut":
        return Resources(luts=pe * simd * lane(second, first, unit.lut), ffs=operands + products)
    dsp, shared, narrow = unit.target.dsp, not unit.layer.depthwise, unit.operands[1].narrow
    luts = dsp_luts(second, first, pe, simd, dsp, unit.lut, bits=bits, shared=shared)
    ffs = operands + (products if dsp_parts(second, first, dsp) > 1 else 0)
    return Resources(luts, ffs, dsps=dsp_blocks(second, first, pe, simd, dsp, shared=shared, narrow=narrow))


def _tree(unit: _Unit) -> Resources:
    """The sum of the products, or of what DSP blocks have summed already."""
    pe, simd = unit.folding.pe, unit.folding.simd
    first, second = unit.operands[0].format, unit.operands[1].format
    summed = dsp_products(second, first, unit.target.dsp) if unit.multiplier == "dsp" else 1
    luts = adder_tree(ceil(simd / summed), unit.sum_bits(min(simd, summed)), unit.lut)
    ffs = 0 if unit.in_dsp else pe * unit.sum_bits(simd)
    return Resources(luts=pe * (luts + sign_count(second, first, simd, unit.lut)), ffs=ffs + 2)


def _accumulators(unit: _Unit, steps: int) -> Resources:
    if unit.in_dsp:
        return Resources()
    pe, bits = unit.folding.pe, unit.accumulator_bits
    return Resources(luts=pe * accumulator(bits, unit.lut) if steps > 1 else 0, ffs=pe * bits)


def _add(unit: _Unit) -> Iterator[Term]:
    """Both operands on one grid, as fixed point, and one adder a PE."""
    fmt, bits = unit.operands[0].format, unit.accumulator_bits
    luts = 2 * decoder(fmt, unit.lut) + adder(bits, unit.lut)
    yield Term("adders", Resources(luts=unit.folding.pe * luts, ffs=unit.folding.pe * (2 * fmt.bits + bits)))


def _max_pool(unit: _Unit) -> Iterator[Term]:
    """The larger of two codes, a PE: a comparison and a choice."""
    bits = unit.operands[0].format.bits
    luts = comparator(bits, unit.lut) + functions(3, bits, unit.lut)
    yield Term("comparators", Resources(luts=unit.folding.pe * luts, ffs=unit.folding.pe * bits))


def _avg_pool(unit: _Unit) -> Iterator[Term]:
    """An accumulator a PE; over all pixels the channels' sums wait in a memory, because pixels come first."""
    pe, bits, fmt = unit.folding.pe, unit.accumulator_bits, unit.operands[0].format
    luts = pe * (decoder(fmt, unit.lut) + accumulator(bits, unit.lut))
    waiting = unit.words if unit.layer.kernel == (1, 1) else 1
    sums = memory(waiting, pe * bits, unit.target, writable=True)
    yield Term("accumulators", sums + Resources(luts=luts, ffs=pe * fmt.bits))
    yield Term("control", counters(unit.layer.positions, unit.layer.dot, unit.words))


def _table(unit: _Unit) -> Iterator[Term]:
    """A function of the code, a PE, for each format that the result is needed in."""
    if not unit.outputs:
        raise ValueError(f"a table ends in a quantised site, but layer {unit.layer.name!r} in none")
    bits = [output.format.bits for output in unit.outputs]
    luts = sum(functions(unit.operands[0].format.bits, width, unit.lut) for width in bits)
    yield Term("tables", Resources(luts=unit.folding.pe * luts, ffs=unit.folding.pe * sum(bits)))


_BODY: dict[Kind, Callable[[_Unit], Iterator[Term]]] = {
    Kind.CONV: _products,
    Kind.LINEAR: _products,
    Kind.MATMUL: _products,
    Kind.ADD: _add,
    Kind.MAX_POOL: _max_pool,
    Kind.AVG_POOL: _avg_pool,
    Kind.TABLE: _table,
}


def _outputs(unit: _Unit) -> Iterator[Term]:
    """Thresholds into every output site, and a FIFO for every stream that leaves."""
    pe, bits, target = unit.folding.pe, unit.accumulator_bits, unit.target
    sums = unit.layer.kind not in (Kind.MAX_POOL, Kind.TABLE)
    own = unit.layer.bias or (unit.layer.weights > 0 and unit.operands[1].granularity == "channel")
    words = unit.words if own else 1  # channels that differ in bias or scale have thresholds of their own
    if sums and unit.outputs:
        areas = (thresholds(output, bits, words, pe, target) for output in unit.outputs)
        yield Term("thresholds", sum(areas, Resources()))
    elif unit.layer.bias:
        yield Term("bias", memory(words, pe * bits, target, writable=False))
    streams = [output.format.bits for output in unit.outputs] or [bits if sums else unit.operands[0].format.bits]
    yield Term("fifo", sum((fifo(pe * stream, target) for stream in streams), Resources()))
