"""What others say of a design beside its prediction: FINN's estimates and measurements, layer by layer and in total.

FINN counts no LUT for some of its nodes: they are named. Where the totals differ is said part by part: windows,
thresholds, and units.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hwdse.cost import FpgaCost, LayerCost, Resources, Term
from hwdse.report.breakdown import made_of
from hwdse.report.quantities import error, number
from hwdse.result import Result, Trial
from hwdse.target import FpgaTarget


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
    """Every design that somebody else has estimated or built layer by layer."""
    if not isinstance(result.target, FpgaTarget):
        return ()
    found = ((trial, tuple(_costs(trial))) for trial in result.trials)
    return tuple(_block(trial, costs) for trial, costs in found if len(costs) > 1)


def _block(trial: Trial, costs: tuple[tuple[str, FpgaCost], ...]) -> Block:
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
    """The prediction, then estimates and what was measured of a design that has any, on whatever device."""
    evaluation = trial.evaluation
    yield "predicted", evaluation.fpga
    yield from (("estimated", cost) for cost in evaluation.estimates)
    if evaluation.estimates:
        yield from (("measured", cost) for cost in evaluation.measured)
    for one in evaluation.built:
        if len(one.measured.layers) > 1:  # of builds by other flows nothing is known layer by layer
            yield f"estimated for {one.board} ({one.predicted.device})", one.predicted
            yield f"built for {one.board} ({one.measured.device})", one.measured


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


PARTS = ("windows", "thresholds", "units and all else")


def notes(predicted: FpgaCost, estimate: FpgaCost) -> Iterator[str]:
    """Where the totals of `estimate` differ from those of `predicted`, in sentences with the numbers."""
    for name, key in (("LUT", "luts"), ("DSP", "dsps"), ("BRAM18", "brams"), ("URAM", "urams")):
        mine, its = getattr(predicted.area, key), getattr(estimate.area, key)
        if mine or its:
            off = f" ({error(its, mine)})" if mine else ""
            parts = _by_part(predicted, estimate, key)
            yield f"{name}: {number(mine)} predicted, {number(its)} by {estimate.model}{off}: {parts}."
    if free := [name for layer in estimate.layers for name in uncounted(layer)]:
        yield f"{estimate.model} counts 0 LUT for {_counted(free)}."
    if predicted.interval_cycles != estimate.interval_cycles:
        cycles = predicted.interval_cycles, estimate.interval_cycles
        slowest = max(estimate.layers, key=lambda layer: layer.cycles).layer
        yield (
            f"Cycles from image to image: {number(cycles[0])} predicted, {number(cycles[1])} by {estimate.model}, "
            f"whose slowest layer is {slowest}."
        )


def _by_part(predicted: FpgaCost, estimate: FpgaCost, key: str) -> str:
    """`windows 300 and 428, thresholds ...`: what each says of the parts that both have."""
    mine, its = (_parts(cost, key) for cost in (predicted, estimate))
    found = (part for part in PARTS if mine[part] or its[part])
    return ", ".join(f"{part} {number(mine[part])} and {number(its[part])}" for part in found)


def _parts(cost: FpgaCost, key: str) -> Counter[str]:
    found = Counter[str]()
    for layer in cost.layers:
        for term in layer.terms:
            found[_part(term)] += getattr(term.area, key)
    return found


def _part(term: Term) -> str:
    """Windows, with their padding; thresholds; or what multiplies, adds, stores weights and hands on."""
    if term.name == "window" or term.variant.startswith(("FMPadding", "ConvolutionInputGenerator")):
        return PARTS[0]
    if term.name == "thresholds" or term.variant.startswith("Thresholding"):
        return PARTS[1]
    return PARTS[2]
