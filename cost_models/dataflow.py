"""A streaming dataflow accelerator: one engine per layer, weights on chip, thresholds after.

A layer is the units of `hwdse.accelerator`, the leaf modules that are also synthesised and built. Each unit's LUTs and
flip-flops are the counts of its parts (`hwdse.structure`) times coefficients fitted to synthesis, with the interval
that held 90 % of the units left out of the fit (`hwdse.calibrated`). DSP blocks and block RAMs follow rules that the
same measurements check.

Of what makes the same numbers, `hwdse.alternatives` says what a layer may be made of: products in LUTs, as a table or
in DSP blocks, thresholds searched or all compared at once, memories of weights, windows and thresholds in LUTs or in
block RAM. `hwdse.variants` chooses for all layers at once, and exactly: of all choices the one with the smallest
largest share of the device's LUTs, flip-flops, DSPs and block RAMs (`utilization`), and of those the one with the
fewest LUTs. So a design fits if any of the choices does; where none does, its price is that of the least overfull one.
A layer that is priced alone has the device to itself, so that the layers of a network may be made otherwise.

One bit more in a format never makes a design use a smaller share of a device with `multiplier="lut"`, and none of the
formats tested does on LUT4 families with `auto`. On AMD there is an exception to it, because yosys puts a product of
9 bits and more into a DSP and one of 8 bits not.

What is not priced is `UNPRICED`, and the saving where all weights of a unit are constants (a folding with few steps),
which synthesis finds. Exponents of 6 and 7 bits have a price by the same formulas, but no unit of them is measured or
built.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Literal, get_args

import numpy as np

from hwdse import calibrated, energy_model, placement, terms
from hwdse.accelerator import Choice, Element, Quantised, elements
from hwdse.alternatives import Multiplier, Way, joined, ways
from hwdse.arithmetic import paper_bits
from hwdse.cost import Clock, LayerCost, Resources, Term
from hwdse.cost_model import FpgaCostModel
from hwdse.design import Design, Folding, Quantizer
from hwdse.energy import Stated
from hwdse.folding import check, cycles, multiplies
from hwdse.memory import LUT_WORDS
from hwdse.structure.blocks import FABRICS, rom
from hwdse.structure.memories import Ram, memory_blocks
from hwdse.target import Device, FpgaTarget
from hwdse.variants import Counts, best, counts, nondominated
from hwdse.workload import OUTSIDE, Kind, Layer, Workload

# What an accelerator needs besides, in words for people.
UNPRICED = (
    "queues of more than two beats, as residual branches need, stream width converters, host interface and DMA, "
    "and conversion to and from float around layers outside"
)
PIPELINE_STAGES = 4  # cycles: registers after the operands, the products and the tree, and the total
OPERANDS = {Kind.MATMUL: 2, Kind.ADD: 2}  # streams that a layer reads; the others read one

Accumulator = Literal["tight", "paper"]


@dataclass(frozen=True)
class Dataflow(FpgaCostModel):
    """Settings: the accumulators' width (`tight`: exact; `paper`: the closed form) and what multiplies.

    `multiplier`: `lut`, never DSP blocks; `dsp`, DSP blocks wherever a product fits; `auto`, whichever of them lets the
    whole design use least of the device.
    """

    accumulator: Accumulator = "tight"
    multiplier: Multiplier = "auto"

    def __post_init__(self) -> None:
        for field, known in (("accumulator", get_args(Accumulator)), ("multiplier", get_args(Multiplier))):
            if getattr(self, field) not in known:
                raise ValueError(f"{field} is {' or '.join(known)}, not {getattr(self, field)!r}")

    @property
    def name(self) -> str:
        """`dataflow`, or `dataflow(accumulator="paper")`."""
        settings = (("accumulator", self.accumulator, "tight"), ("multiplier", self.multiplier, "auto"))
        changed = [f'{key}="{value}"' for key, value, default in settings if value != default]
        return "dataflow" + f"({', '.join(changed)})" * bool(changed)

    def claims(self, device: Device) -> bool:
        """Whether units have been measured on the family, or on one with the same LUTs."""
        if not isinstance(device, FpgaTarget):
            return False
        return calibrated.SAME_LUTS.get(device.family, device.family) in calibrated.families()

    def calibration(self, target: FpgaTarget) -> str:
        """What was measured, the error, and what has no price."""
        what = calibrated.summary(target.family), placement.summary(target)
        return f"{' '.join(what)} Latency is an estimate. Not priced: {UNPRICED}"

    def stated(self, target: FpgaTarget) -> Stated:
        """That of `hwdse.energy_model`."""
        return energy_model.stated(target)

    def layer(self, layer: Layer, design: Design, target: FpgaTarget) -> LayerCost:
        """The cost of one layer with the device to itself; ValueError names it where the design leaves it open."""
        return self._made((layer,), design, target)[0].cost

    def layers(self, workload: Workload, design: Design, target: FpgaTarget) -> tuple[LayerCost, ...]:
        """Of all layers in the accelerator, with the variants that are best for all of them together."""
        return tuple(made.cost for made in self._made(self.inside(workload), design, target))

    def elements(self, workload: Workload, design: Design, target: FpgaTarget) -> dict[str, tuple[Element, ...]]:
        """The units that the price of the network is the price of, by layer; ValueError as for it."""
        return {made.cost.layer: made.units for made in self._made(self.inside(workload), design, target)}

    def _made(self, layers: Sequence[Layer], design: Design, target: FpgaTarget) -> tuple["_Made", ...]:
        return _together(tuple(quantised(one, design, target) for one in layers), self.accumulator, self.multiplier)


# ---- what the design says of a layer -------------------------------------------------------------


def quantised(layer: Layer, design: Design, target: FpgaTarget) -> Quantised:
    """The layer as the design has it; ValueError names it where the design leaves it open or it has no price."""
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
    return _priced(layer, quantizer)


def _activations(layer: Layer, sites: tuple[str, ...], design: Design) -> tuple[Quantizer, ...]:
    known = dict(design.activations)
    for site in sites:
        if site not in known:
            raise ValueError(f"layer {layer.name!r} has no activation quantizer at site {site!r}")
        if _priced(layer, known[site]).granularity != "tensor":
            raise ValueError(f"activations share one scale, but layer {layer.name!r} has {known[site].name!r}")
    return tuple(known[site] for site in sites)


def _priced(layer: Layer, quantizer: Quantizer) -> Quantizer:
    if quantizer.group is not None:
        raise ValueError(f"MX groups have no FPGA price yet, but layer {layer.name!r} has {quantizer.name!r}")
    if quantizer.format.bits == 1:
        raise ValueError(f"single bits have no price, but layer {layer.name!r} has {quantizer.name!r}")
    if quantizer.format.bits > 8:
        raise ValueError(f"floats of 16 bits have no FPGA price, but layer {layer.name!r} has {quantizer.name!r}")
    return quantizer


def _folding(layer: Layer, design: Design) -> Folding:
    """The folding of `layer`; a layer without products takes a channel a cycle unless the design says more."""
    folding = dict(design.folding).get(layer.name, None if multiplies(layer) else Folding())
    if folding is None:
        raise ValueError(f"layer {layer.name!r} has no folding")
    check(layer, folding)
    return folding


# ---- prices --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Made:
    """A layer as one choice makes it."""

    cost: LayerCost
    units: tuple[Element, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Offer:
    """What a layer may be: for each part that may be several, by role, the ways to which no other is better."""

    parts: Mapping[str, tuple[Way, ...]]
    counts: tuple[Counts, ...]  # of each part, ways x resources
    fixed: Counts  # of all else
    single: Mapping[str, Choice]  # of the parts with one way
    terms: Mapping[Element, tuple[Term, ...]]


@lru_cache(maxsize=4096)
def _together(layers: tuple[Quantised, ...], accumulator: Accumulator, multiplier: Multiplier) -> tuple[_Made, ...]:
    """The layers of a design, each made as is best for all of them together."""
    if not layers:
        return ()
    offers = [_offer(q, accumulator, multiplier) for q in layers]
    fixed = np.sum([offer.fixed for offer in offers], axis=0)
    picks = iter(best([ways for offer in offers for ways in offer.counts], fixed, layers[0].target))
    own = [tuple(next(picks) for _ in offer.counts) for offer in offers]
    return tuple(_made(q, accumulator, multiplier, some) for q, some in zip(layers, own, strict=True))


@cache
def _made(q: Quantised, accumulator: Accumulator, multiplier: Multiplier, picks: tuple[int, ...]) -> _Made:
    """The layer with one of the ways of each part of its offer."""
    offer = _offer(q, accumulator, multiplier)
    chosen = {role: ways[pick].choice for (role, ways), pick in zip(offer.parts.items(), picks, strict=True)}
    units = _units(q, joined({**offer.single, **chosen}), accumulator)
    return _Made(_price(q, units, [term for unit in units for term in offer.terms[unit]], accumulator), units)


@lru_cache(maxsize=4096)
def made(q: Quantised, choice: Choice, accumulator: Accumulator) -> LayerCost:
    """The cost of a layer of which it is settled what its parts are made of."""
    units = _units(q, choice, accumulator)
    priced = terms.of(units, q.target.family)
    return _price(q, units, [term for found in priced for term in found], accumulator)


def alternatives(
    q: Quantised, accumulator: Accumulator, multiplier: Multiplier
) -> tuple[dict[str, tuple[Way, ...]], tuple[Element, ...]]:
    """The ways to make each part of a layer that is chosen, by role, and the units of all else."""
    found = {
        role: tuple(replace(way, units=summed(way.units, q, accumulator)) for way in some)
        for role, some in ways(q, multiplier).items()
    }
    return found, tuple(unit for unit in _units(q, Choice(), accumulator) if unit.role not in found)


@cache
def _offer(q: Quantised, accumulator: Accumulator, multiplier: Multiplier) -> _Offer:
    """What the layer may be, with everything priced."""
    found, rest = alternatives(q, accumulator, multiplier)
    priced = _terms([*(tuple(unit for way in some for unit in way.units) for some in found.values()), rest], q.target)
    areas = {role: np.array([_counts(way.units, priced) for way in some]) for role, some in found.items()}
    kept = {role: nondominated(counted) for role, counted in areas.items()}
    several = [role for role, some in kept.items() if len(some) > 1]
    single = [role for role in kept if role not in several]
    loose = sum((term.area for term in uncalibrated(q)), Resources())
    return _Offer(
        {role: tuple(found[role][i] for i in kept[role]) for role in several},
        tuple(areas[role][kept[role]] for role in several),
        sum((areas[role][kept[role][0]] for role in single), _counts(rest, priced) + counts(loose)),
        {role: found[role][kept[role][0]].choice for role in single},
        priced,
    )


def _terms(groups: Iterable[tuple[Element, ...]], target: FpgaTarget) -> dict[Element, tuple[Term, ...]]:
    """The terms of each unit; those of a group are priced together, once for all layers that have such a group."""
    return {unit: found for units in groups for unit, found in zip(units, terms.of(units, target.family), strict=True)}


def _counts(units: Sequence[Element], priced: Mapping[Element, tuple[Term, ...]]) -> Counts:
    return counts(sum((term.area for unit in units for term in priced[unit]), Resources()))


def _units(q: Quantised, choice: Choice, accumulator: Accumulator) -> tuple[Element, ...]:
    return summed(elements(q, choice), q, accumulator)


def summed(units: Sequence[Element], q: Quantised, accumulator: Accumulator) -> tuple[Element, ...]:
    """`units` with sums as wide as the setting says."""
    if accumulator == "tight" or not multiplies(q.layer):
        return tuple(units)
    bits = accumulator_bits(q, accumulator)
    return tuple(_with_sums(unit, bits) if unit.role in ("matrix", "thresholds") else unit for unit in units)


def _with_sums(unit: Element, bits: int | None) -> Element:
    return Element(unit.role, unit.module, tuple((k, bits or v if k == "ACC" else v) for k, v in unit.parameters))


def _price(q: Quantised, units: Sequence[Element], found: Iterable[Term], accumulator: Accumulator) -> LayerCost:
    """The layer made of `units`, whose terms are `found`."""
    joined_terms = terms.joined((*found, *uncalibrated(q)))
    return LayerCost(
        q.layer.name,
        joined_terms,
        cycles(q.layer, q.folding),
        PIPELINE_STAGES + max((_steps(unit) for unit in units), default=0),
        q.folding if multiplies(q.layer) else None,
        accumulator_bits(q, accumulator),
        _clock(units, sum((term.area for term in joined_terms), Resources()), q.target),
        energy_model.layer_energy(q, units),
    )


def _clock(units: Sequence[Element], area: Resources, target: FpgaTarget) -> Clock | None:
    """Of a layer's units, which follow each other; nothing where no open tool places the device."""
    return placement.clock([terms.timing(unit, target) for unit in units], target, area.luts + area.ffs)


def uncalibrated(q: Quantised) -> Iterator[Term]:
    """Memories of a layer that no leaf module has yet: counted, without an interval."""
    if q.layer.kind is Kind.MATMUL:  # the second operand is loaded while the last one is used
        stored = 2 * q.words * (q.layer.dot // q.folding.simd)
        bits = q.folding.pe * q.folding.simd * q.operands[1].format.bits
        yield Term("operand buffer", _memory(stored, bits, q.target, writable=True))
    if q.layer.bias and not q.outputs:
        yield Term("bias", _memory(q.words, q.folding.pe * (q.sum_bits or 0), q.target, writable=False))


def _memory(words: int, bits: int, target: FpgaTarget, *, writable: bool) -> Resources:
    """LUTs or block RAM, by depth alone, or flip-flops without RAM in LUTs; a ROM in LUTs is logic, one word wires."""
    fabric, deep = FABRICS[target.family], words > LUT_WORDS and target.brams > 0
    if writable:
        size, wide, block = (np.array(n, np.int64) for n in (words, bits, deep))
        memory = Ram(size, wide, np.array(True), block, fabric)
        parts = memory.parts("memory").values()
        luts, ffs = (round(sum(float(getattr(part, key)) for part in parts)) for key in ("luts", "ffs"))
        return Resources(luts, ffs, brams=int(memory.blocks), lutrams=0 if deep or not fabric.rams else luts)
    if deep:
        return Resources(brams=int(memory_blocks(words, bits, target.family, rom=True)))
    return Resources(luts=round(float(sum(rom(words, bits, fabric)))))


def accumulator_bits(q: Quantised, accumulator: Accumulator) -> int | None:
    """Bits of a layer's sums by the setting; nothing where codes stay codes."""
    if accumulator == "paper" and multiplies(q.layer):
        return paper_bits(q.operands[1].format, q.operands[0].format, q.layer.dot)
    return q.sum_bits


def _steps(unit: Element) -> int:
    """Cycles that a unit of thresholds adds to the pipeline."""
    parameters = dict(unit.parameters)
    if unit.module == "threshold_search":
        return parameters["OS"] + parameters["OE"] + parameters["OM"]
    return 1 if unit.module == "threshold_parallel" else 0
