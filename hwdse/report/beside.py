"""What others say of a design beside its prediction: FINN's estimates and measurements, layer by layer and in total.

FINN counts no LUT for some of its nodes. Where a layer has such nodes they are named, and the total says how much of
the difference lies in these layers.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hwdse.cost import FpgaCost, LayerCost, Resources
from hwdse.report.breakdown import made_of
from hwdse.report.quantities import error, number
from hwdse.result import Result, Trial


@dataclass(frozen=True, slots=True)
class Source:
    """Who says it."""

    how: str  # predicted, estimated, measured
    name: str  # of the cost model or the flow
    calibration: str  # how far to trust it, and what it leaves out


@dataclass(frozen=True, slots=True)
class Figures:
    """What one source says of one layer, or in total; all '' where it says nothing of the layer."""

    cycles: str
    luts: str
    dsps: str
    brams: str


@dataclass(frozen=True, slots=True)
class Line:
    """One layer."""

    layer: str
    figures: tuple[Figures, ...]  # of every source
    nodes: str  # of which the estimate is the sum
    uncounted: str  # those of them that have no LUT in it
    made_of: str  # what the prediction chose, where it had a choice


@dataclass(frozen=True, slots=True)
class Block:
    """One design."""

    trial: int
    sources: tuple[Source, ...]
    lines: tuple[Line, ...]
    total: tuple[Figures, ...]
    notes: tuple[str, ...]  # why the totals differ


def beside(result: Result) -> tuple[Block, ...]:
    """Every design that somebody else has estimated."""
    return tuple(_block(trial) for trial in result.trials if trial.evaluation.estimates)


def _block(trial: Trial) -> Block:
    costs = tuple(_costs(trial))
    predicted, estimate = costs[0][1], costs[1][1]
    names = dict.fromkeys(layer.layer for _, cost in costs[:2] for layer in cost.layers)
    return Block(
        trial.number,
        tuple(Source(how, cost.model, cost.calibration) for how, cost in costs),
        tuple(_line(name, [_of(cost, name) for _, cost in costs]) for name in names),
        tuple(_figures(cost.interval_cycles, cost.area) for _, cost in costs),
        tuple(notes(predicted, estimate)),
    )


def _costs(trial: Trial) -> Iterator[tuple[str, FpgaCost]]:
    evaluation = trial.evaluation
    yield "predicted", evaluation.predicted
    yield from (("estimated", cost) for cost in evaluation.estimates)
    yield from (("measured", cost) for cost in evaluation.measured)
    yield from ((f"built for {one.board}", one.measured) for one in evaluation.built)


def _of(cost: FpgaCost, layer: str) -> LayerCost | None:
    return next((one for one in cost.layers if one.layer == layer), None)


def _line(name: str, layers: Sequence[LayerCost | None]) -> Line:
    predicted, estimate = layers[:2]
    return Line(
        name,
        tuple(Figures("", "", "", "") if one is None else _figures(one.cycles, one.area) for one in layers),
        "" if estimate is None else _counted(term.variant for term in estimate.terms),
        "" if estimate is None else _counted(uncounted(estimate)),
        "" if predicted is None else made_of(predicted.terms),
    )


def _figures(cycles: int, area: Resources) -> Figures:
    large = f" + {number(area.urams)} URAM" * bool(area.urams)
    return Figures(number(cycles), number(area.luts), number(area.dsps), f"{number(area.brams)}{large}")


def uncounted(layer: LayerCost) -> tuple[str, ...]:
    """The nodes of an estimate of a layer that have no LUT in it."""
    return tuple(term.variant for term in layer.terms if term.variant and term.area.luts == 0)


def _counted(names: Iterator[str] | Sequence[str]) -> str:
    """`MVAU_rtl, 2 FMPadding_rtl`."""
    return ", ".join(f"{count} {name}" if count > 1 else name for name, count in Counter(names).items())


def notes(predicted: FpgaCost, estimate: FpgaCost) -> Iterator[str]:
    """Why the totals of `estimate` differ from those of `predicted`, in sentences with the numbers."""
    said, there = estimate.area.luts, predicted.area.luts
    yield f"LUT: {number(there)} predicted, {number(said)} by {estimate.model} ({error(said, there)})."
    free = [layer for layer in estimate.layers if uncounted(layer)]
    if free:
        nodes = _counted([name for layer in free for name in uncounted(layer)])
        own = [_of(predicted, layer.layer) for layer in free]
        mine, its = sum(one.area.luts for one in own if one), sum(layer.area.luts for layer in free)
        yield (
            f"{estimate.model} counts 0 LUT for {nodes}, which are in {len(free)} of {len(estimate.layers)} layers: "
            f"there {number(mine)} LUT are predicted, and {number(its)} estimated."
        )
    for name, key, what in (
        ("DSP", "dsps", "products"),
        ("BRAM18", "brams", "memories"),
        ("URAM", "urams", "memories"),
    ):
        mine, its = getattr(predicted.area, key), getattr(estimate.area, key)
        if mine != its:
            why = f"the prediction makes {what} of what uses least of the device, {estimate.model} by its rules"
            yield f"{name}: {number(mine)} predicted, {number(its)} by {estimate.model}: {why}."
    if predicted.interval_cycles != estimate.interval_cycles:
        cycles = predicted.interval_cycles, estimate.interval_cycles
        slowest = max(estimate.layers, key=lambda layer: layer.cycles).layer
        yield (
            f"Cycles from image to image: {number(cycles[0])} predicted, {number(cycles[1])} by {estimate.model}, "
            f"whose slowest layer is {slowest}."
        )
