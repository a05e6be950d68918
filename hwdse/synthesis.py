"""Every unit of a design, synthesised for real, beside its price."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwdse import placement, terms
from hwdse.accelerator import Element
from hwdse.build import BuildError, run_all
from hwdse.contents import unit
from hwdse.cost import Clock, Resources
from hwdse.flow import Flow, Measured
from hwdse.netlist import Netlist
from hwdse.target import FpgaTarget


@dataclass(frozen=True, slots=True)
class Compared:
    """One unit of a layer: predicted, with 90 % intervals of its LUTs and its clock, and measured."""

    layer: str
    element: Element
    predicted: Resources
    luts_between: tuple[int, int]
    measured: Resources
    clock: Clock | None = None  # predicted, where the flow places and routes
    mhz: float | None = None  # measured


def compare(
    elements: Sequence[tuple[str, Element]],
    flow: Flow,
    target: FpgaTarget,
    cache: Path,
    *,
    workers: int,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Compared, ...]:
    """The units of layers, (layer, unit), as `flow` finds them; equal units are run once.

    `report` is told the runs that are done and how many there are. BuildError where a run fails; others are kept in
    `cache`.
    """
    plans = {element: flow.plan(Netlist.of(unit(element)), target) for _, element in elements}
    owners = {plan.digest: element for element, plan in plans.items()}
    found = dict[Element, Measured]()
    for plan, outcome in run_all(list(plans.values()), cache, flow.programs(), workers):
        if isinstance(outcome, BuildError):
            raise outcome
        found[owners[plan.digest]] = flow.read(outcome)
        report(len(found), len(owners))
    return tuple(_compared(layer, element, found[element], target) for layer, element in elements)


def _compared(layer: str, element: Element, measured: Measured, target: FpgaTarget) -> Compared:
    placed = measured.counted == "placed"
    area, low, high = terms.area(element, target.family, placed=placed)
    once = Resources(round(placement.once(target.family))) if placed else Resources()  # a unit alone is a design
    timing, size = terms.timing(element, target), float(area.luts + area.ffs)
    clock = None if measured.mhz is None else placement.clock([timing], target, size)
    between = (low + once).luts, (high + once).luts
    return Compared(layer, element, area + once, between, measured.area, clock, measured.mhz)
