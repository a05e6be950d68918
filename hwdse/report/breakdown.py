"""Where the area of a design goes: per layer, and per physical part of a layer."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from hwdse.cost import Clock, FpgaCost, LayerCost, Resources, Term
from hwdse.report.quantities import number
from hwdse.terms import PLACEMENT

PARTS = 7  # told apart by colour; the smallest parts beyond that are added up as 'other'
PRODUCTS = "multipliers"  # the term whose variant needs no name
STORED = ("weights", "window")  # terms whose variant is a place


@dataclass(frozen=True, slots=True)
class Part:
    """A share of a bar."""

    name: str
    luts: int
    share: float  # of the largest layer, 0 to 1
    colour: str  # a role of the palette


@dataclass(frozen=True, slots=True)
class Bar:
    """One layer."""

    layer: str
    folding: str  # '' where nothing is multiplied
    accumulator: str
    cycles: int
    slowest: bool  # it sets the pace
    parts: tuple[Part, ...]
    area: Resources
    made_of: str  # '' where the cost model had no choice
    mhz: str  # predicted; '-' where it is not known


@dataclass(frozen=True, slots=True)
class Breakdown:
    """All layers, and the parts in the order of their colours."""

    bars: tuple[Bar, ...]
    legend: tuple[Part, ...]
    total: Resources
    mhz: str  # of the slowest layer
    placed: bool  # whether a part is what place and route adds


def breakdown(cost: FpgaCost) -> Breakdown:
    """The LUT of every layer by part, largest part first."""
    names = part_names(cost)
    largest = max(max(layer.area.luts for layer in cost.layers), 1)
    bars = tuple(_bar(layer, names, largest, cost.interval_cycles) for layer in cost.layers)
    totals = {name: sum(part.luts for bar in bars for part in bar.parts if part.name == name) for name in names}
    all_luts = max(cost.area.luts, 1)
    legend = tuple(Part(name, totals[name], totals[name] / all_luts, f"part{i}") for i, name in enumerate(names))
    placed = any(term.name == PLACEMENT for layer in cost.layers for term in layer.terms)
    return Breakdown(bars, legend, cost.area, mhz(cost.clock), placed)


def made_of(terms: Iterable[Term]) -> str:
    """What terms are made of where there was a choice, what multiplies first: `DSPs; weights in block RAM`."""
    ordered = sorted(terms, key=lambda term: term.name != PRODUCTS)
    return "; ".join(_made_of(term) for term in ordered if term.variant)


def _made_of(term: Term) -> str:
    made = term.variant.replace("; ", " and ")  # units of one layer that differ
    if term.name == PRODUCTS:
        return made
    return f"{term.name} in {made}" if term.name in STORED else f"{term.name} {made}"


def mhz(clock: Clock | None) -> str:
    """A predicted clock in MHz, or '-'."""
    return "-" if clock is None else number(round(clock.mhz))


def part_names(cost: FpgaCost) -> tuple[str, ...]:
    """The parts by their LUT, largest first, at most `PARTS`; 'other' stands for the rest."""
    counts: Counter[str] = Counter()
    for layer in cost.layers:
        for term in layer.terms:
            counts[term.name] += term.area.luts
    ordered = [name for name, luts in counts.most_common() if luts]
    return tuple(ordered) if len(ordered) <= PARTS else (*ordered[: PARTS - 1], "other")


def _bar(layer: LayerCost, names: tuple[str, ...], largest: int, interval: int) -> Bar:
    luts: Counter[str] = Counter()
    for term in layer.terms:
        luts[term.name if term.name in names else "other"] += term.area.luts
    parts = tuple(
        Part(name, luts[name], luts[name] / largest, f"part{i}") for i, name in enumerate(names) if luts[name]
    )
    return Bar(
        layer=layer.layer,
        folding="" if layer.folding is None else layer.folding.name,
        accumulator="" if layer.accumulator_bits is None else str(layer.accumulator_bits),
        cycles=layer.cycles,
        slowest=layer.cycles == interval,
        parts=parts,
        area=layer.area,
        made_of=made_of(layer.terms),
        mhz=mhz(layer.clock),
    )
