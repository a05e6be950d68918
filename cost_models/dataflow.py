"""A streaming dataflow accelerator: one engine per layer, weights on chip, thresholds after.

A layer is the units of `hwdse.accelerator`, the leaf modules that are also synthesised and built. Each unit's LUTs and
flip-flops are the counts of its parts (`hwdse.structure`) times coefficients fitted to synthesis, with the interval
that held 90 % of the units left out of the fit (`hwdse.calibrated`). DSP blocks and block RAMs follow rules that the
same measurements check. Of what makes the same numbers, a layer takes what is smallest on the device.

What is not priced is `UNPRICED`, and the saving where all weights of a unit are constants (a folding with few steps),
which synthesis finds. Exponents of 6 and 7 bits have a price by the same formulas, but no unit of them is measured or
built. Where a memory goes depends on its depth alone.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Literal, get_args

import numpy as np

from hwdse import calibrated
from hwdse.accelerator import Choice, Element, Quantised, elements
from hwdse.arithmetic import paper_bits
from hwdse.cost import LayerCost, Resources, Term
from hwdse.cost_model import CostModel
from hwdse.design import Design, Folding, Quantizer
from hwdse.folding import check, cycles, multiplies
from hwdse.matrix_vector import Style, table_bits
from hwdse.memory import LUT_WORDS, utilization
from hwdse.structure.blocks import FABRICS, Table, rom
from hwdse.structure.lanes import in_dsp
from hwdse.structure.memories import RAM_PARTS, memory_blocks, ram
from hwdse.target import FpgaTarget
from hwdse.thresholds import levels
from hwdse.workload import OUTSIDE, Kind, Layer

# What an accelerator needs besides, in words for people.
UNPRICED = (
    "FIFOs that balance residual branches, stream width converters between layers, host interface and DMA, "
    "conversion to and from float around layers outside, and the clock"
)
PIPELINE_STAGES = 4  # cycles: registers after the operands, the products and the tree, and the total
OPERANDS = {Kind.MATMUL: 2, Kind.ADD: 2}  # streams that a layer reads; the others read one
TABLE_INPUTS = 6  # address bits up to which products are looked up: a LUT6
FEW_LEVELS = 16  # up to which thresholds may all be compared at once

Accumulator = Literal["tight", "paper"]
Multiplier = Literal["lut", "dsp"]

# The parts of a matrix-vector unit, by what they are for; a part that is not here keeps its name.
PARTS = {
    **dict.fromkeys(("multiplier", "wide products", "packing", "products"), "multipliers"),
    **dict.fromkeys(("shifter", "exponents", "signs", "decoders"), "alignment"),
    **dict.fromkeys(("adder trees", "last carries"), "adder tree"),
    **dict.fromkeys((f"vector memory{part}" for part in ("", *RAM_PARTS)), "input buffer"),
    **dict.fromkeys(("kept vectors", "operands"), "input buffer"),
    "weight choices": "weights",
    **dict.fromkeys(("control", "wraps", "rest"), "control"),
}


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
        """Whether units have been measured on the family, or on one with the same LUTs."""
        return calibrated.SAME_LUTS.get(target.family, target.family) in calibrated.families()

    def calibration(self, target: FpgaTarget) -> str:
        """What was measured, the error, and what has no price."""
        return f"{calibrated.summary(target.family)} Latency is an estimate. Not priced: {UNPRICED}"

    def layer(self, layer: Layer, design: Design, target: FpgaTarget) -> LayerCost:
        """The cost of one layer's units; ValueError names the layer where the design leaves it open."""
        return _cheapest(_quantised(layer, design, target), self.accumulator, self.multiplier)[0]

    def elements(self, layer: Layer, design: Design, target: FpgaTarget) -> tuple[Element, ...]:
        """The units that the price of the layer is the price of; ValueError as for it."""
        return _cheapest(_quantised(layer, design, target), self.accumulator, self.multiplier)[1]


# ---- what the design says of a layer -------------------------------------------------------------


def _quantised(layer: Layer, design: Design, target: FpgaTarget) -> Quantised:
    if layer.kind in OUTSIDE:
        raise ValueError(f"layer {layer.name!r} ({layer.kind}) is outside the accelerator and has no price")
    operands, outputs = _operands(layer, design), _activations(layer, layer.outputs, design)
    if layer.kind is Kind.TABLE and not outputs:
        raise ValueError(f"a table ends in a quantised site, but layer {layer.name!r} in none")
    return Quantised(layer, operands, outputs, _folding(layer, design), target)


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


# ---- prices --------------------------------------------------------------------------------------


@cache
def _cheapest(
    quantised: Quantised, accumulator: Accumulator, multiplier: Multiplier
) -> tuple[LayerCost, tuple[Element, ...]]:
    """The layer as the choice that takes the smallest share of the device, and of those the fewest LUTs."""
    made = [_units(quantised, choice, accumulator) for choice in _choices(quantised, multiplier)]
    priced = [(_price(quantised, units, accumulator), units) for units in made]
    return min(priced, key=lambda found: (utilization(found[0].area, quantised.target), found[0].area.luts))


def _units(q: Quantised, choice: Choice, accumulator: Accumulator) -> tuple[Element, ...]:
    return tuple(_with_accumulator(unit, q, accumulator) for unit in elements(q, choice))


def _choices(q: Quantised, multiplier: Multiplier) -> Iterator[Choice]:
    """What the products and the thresholds of a layer may be made of."""
    styles: list[Style] = ["shift"]
    if multiplies(q.layer):
        weight, activation = q.operands[1].format, q.operands[0].format
        if multiplier == "dsp" and in_dsp(weight, activation, 1, FABRICS[q.target.family].multipliers):
            styles = ["dsp"]
        elif table_bits(weight, activation) <= TABLE_INPUTS:
            styles.append("table")
    few = q.outputs and all(len(levels(output.format, output.narrow)) <= FEW_LEVELS for output in q.outputs)
    for style, parallel in product(styles, (False, True) if few else (False,)):
        yield Choice(style, parallel_thresholds=parallel)


def _price(q: Quantised, units: Sequence[Element], accumulator: Accumulator) -> LayerCost:
    terms = defaultdict[str, list[Term]](list)
    for unit in units:
        for term in _area(unit, q.target.family):
            terms[term.name].append(term)
    for term in _uncalibrated(q):
        terms[term.name].append(term)
    layer = q.layer
    return LayerCost(
        layer.name,
        tuple(term for term in (_joined(name, found) for name, found in terms.items()) if term.area != Resources()),
        cycles(layer, q.folding),
        PIPELINE_STAGES + max((_steps(unit) for unit in units), default=0),
        q.folding if multiplies(layer) else None,
        _accumulator_bits(q, accumulator),
    )


def _uncalibrated(q: Quantised) -> Iterator[Term]:
    """Memories of a layer that no leaf module has yet: counted, without an interval."""
    if q.layer.kind is Kind.MATMUL:  # the second operand is loaded while the last one is used
        stored = 2 * q.words * (q.layer.dot // q.folding.simd)
        bits = q.folding.pe * q.folding.simd * q.operands[1].format.bits
        yield Term("operand buffer", _memory(stored, bits, q.target, writable=True))
    if q.layer.bias and not q.outputs:
        yield Term("bias", _memory(q.words, q.folding.pe * (q.sum_bits or 0), q.target, writable=False))


def _memory(words: int, bits: int, target: FpgaTarget, *, writable: bool) -> Resources:
    """LUTs or block RAM, by depth alone; a ROM in LUTs is logic, and one word of it is wires."""
    if words > LUT_WORDS and target.brams:
        return Resources(brams=int(memory_blocks(words, bits, target.family, rom=not writable)))
    luts = round(float(sum((ram if writable else rom)(words, bits, FABRICS[target.family]))))
    return Resources(luts=luts, lutrams=luts if writable else 0)


def _accumulator_bits(q: Quantised, accumulator: Accumulator) -> int | None:
    if accumulator == "paper" and multiplies(q.layer):
        return paper_bits(q.operands[1].format, q.operands[0].format, q.layer.dot)
    return q.sum_bits


def _with_accumulator(unit: Element, q: Quantised, accumulator: Accumulator) -> Element:
    """`unit` with sums as wide as the setting says."""
    if accumulator == "tight" or not multiplies(q.layer) or unit.role not in ("matrix", "thresholds"):
        return unit
    bits = _accumulator_bits(q, accumulator)
    return Element(unit.role, unit.module, tuple((k, bits or v if k == "ACC" else v) for k, v in unit.parameters))


def _steps(unit: Element) -> int:
    """Cycles that a unit of thresholds adds to the pipeline."""
    parameters = dict(unit.parameters)
    if unit.module == "threshold_search":
        return parameters["OS"] + parameters["OE"] + parameters["OM"]
    return 1 if unit.module == "threshold_parallel" else 0


def _joined(name: str, terms: list[Term]) -> Term:
    """Terms of one name as one."""
    area = sum((term.area for term in terms), Resources())
    low = sum((term.low or term.area for term in terms), Resources())
    high = sum((term.high or term.area for term in terms), Resources())
    return Term(name, area, low, high) if any(term.low for term in terms) else Term(name, area)


@cache
def _area(unit: Element, family: str) -> tuple[Term, ...]:
    """The terms of a unit: of a matrix-vector unit part by part, of others as a whole."""
    table: Table = {key: np.array(value, np.int64) for key, value in unit.parameters}
    price = calibrated.price(unit.module, table, family)
    shares = defaultdict[str, list[float]](lambda: [0.0, 0.0])
    for part, counts in price.parts.items():
        name = PARTS.get(part, part) if unit.role == "matrix" else unit.role
        shares[name] = [share + float(count) for share, count in zip(shares[name], counts, strict=True)]
    products, stored = ("multipliers", "weights") if unit.role == "matrix" else (unit.role, unit.role)
    blocks = defaultdict[str, Resources](Resources)
    blocks[products] += Resources(dsps=int(price.dsps))
    blocks[stored] += Resources(brams=int(price.brams))
    bounds, terms = _bounds(calibrated.of(unit.module, family)), []
    for name in dict.fromkeys((*shares, *blocks)):
        luts, ffs = shares[name]
        lutrams = _in_luts(name, unit.role, price)
        terms.append(Term(name, *(blocks[name] + _counts(luts, ffs, lutrams, *bound) for bound in bounds)))
    return tuple(terms)


def _bounds(fits: calibrated.Fits) -> tuple[tuple[float, float], ...]:
    """Factors on LUTs and flip-flops: as predicted, the least, the most; what is predicted is between them."""
    luts, ffs = fits.luts, fits.ffs
    return (1.0, 1.0), (min(luts.low, 1.0), min(ffs.low, 1.0)), (max(luts.high, 1.0), max(ffs.high, 1.0))


def _counts(luts: float, ffs: float, lutrams: float, lut_factor: float, ff_factor: float) -> Resources:
    return Resources(luts=round(luts * lut_factor), ffs=round(ffs * ff_factor), lutrams=round(lutrams * lut_factor))


def _in_luts(name: str, role: str, price: calibrated.Price) -> float:
    """LUTs of a term that are RAM."""
    part = "memory" if role != "matrix" else "vector memory" if name == PARTS["vector memory"] else ""
    return float(price.parts[part][0]) if part in price.parts else 0.0
