"""The report of a study of several targets: their fronts on one axis of accuracy, and every design on every device."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hwdse.cost import Cost, FpgaCost
from hwdse.metrics import Metric, in_bytes, metric
from hwdse.report.claim import Claim
from hwdse.report.describe import (
    activation_quantizers,
    brief,
    counted,
    family_rule,
    formats_in_words,
    roles,
    unit_of,
    weight_quantizers,
)
from hwdse.report.figures import accuracy_axis, cost_objectives, front, points
from hwdse.report.interactive import figure, library, ranges
from hwdse.report.palette import COLOURS
from hwdse.report.places import place
from hwdse.report.plot import Plot
from hwdse.report.quantities import number, seconds, show
from hwdse.report.svg import draw, outline
from hwdse.report.templates import template, verbatim
from hwdse.report.words import fit, loss, speed, trust, uses
from hwdse.result import Result, Trial
from hwdse.sides import Joined, Price, Sides
from hwdse.target import kind


@dataclass(frozen=True, slots=True)
class Side:
    """One device."""

    label: str  # of its folder
    place: str
    head: str
    sentences: tuple[str, ...]
    trust: tuple[Claim, ...]
    source: str
    report: str  # the address of its own report
    columns: tuple[str, ...]  # of costs


@dataclass(frozen=True, slots=True)
class Cells:
    """What a design costs on one device."""

    trial: int | None
    role: str  # best, knee, ...; '' where it is none
    cells: tuple[str, ...]
    why: str  # there are none
    over: bool  # it does not fit
    columns: int


@dataclass(frozen=True, slots=True)
class Line:
    """One design."""

    weights: str
    activations: str
    search: str
    test: str
    bits: str
    prices: tuple[Cells, ...]


def write(sides: Sides, results: Sequence[Result], folder: Path) -> Path:
    """The path of `report.html`, written into `folder` with one SVG per plot; `results` are those of its parts."""
    drawn = fronts(sides, results)
    files = {"report.html": render(sides, results, drawn)} | {
        f"{plot.name}.svg": draw(plot) for column in drawn for plot in column
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return folder / "report.html"


def render(sides: Sides, results: Sequence[Result], drawn: tuple[tuple[Plot, ...], ...]) -> str:
    """The text of `report.html`."""
    first = results[0]
    return template("sides.html.j2").render(
        study=sides.study,
        question=sides.question,
        network=first.workload.name,
        places=[place(result) for result in results],
        lead=lead(sides, results),
        sides=[_side(name, result) for name, result in zip(sides.folders, results, strict=True)],
        lines=[_line(one, results) for one in sides.designs],
        accuracy=metric(accuracy_axis(first).objective.metric).label.removesuffix(" accuracy"),
        columns_of_plots=drawn,
        figures={plot.name: figure(plot) for column in drawn for plot in column},
        captions={
            plot.name: _caption(result) for column, result in zip(drawn, results, strict=True) for plot in column
        },
        family_rule=family_rule(*results),
        palette=COLOURS,
        colours={colour.role: f"var(--{colour.role})" for colour in COLOURS},
        outline=outline,
        ranges=ranges,
        library=library(),
        style=verbatim("style.css"),
        scripts=(verbatim("plots.js"),),
    )


def fronts(sides: Sides, results: Sequence[Result]) -> tuple[tuple[Plot, ...], ...]:
    """Accuracy against the costs of each device; on one axis where the accuracy is the same on all."""
    drawn = [
        [front(result, cost, points(result), name=f"front-{name}-{cost.metric}") for cost in cost_objectives(result)]
        for name, result in zip(sides.folders, results, strict=True)
    ]
    if len({accuracy_axis(result).objective for result in results}) > 1:
        return tuple(map(tuple, drawn))
    spans = [plot.first[1] for column in drawn for plot in column]
    shared = min(low for low, _ in spans), max(high for _, high in spans)
    return tuple(tuple(replace(plot, shared_y=shared) for plot in column) for column in drawn)


def lead(sides: Sides, results: Sequence[Result]) -> tuple[str, ...]:
    """Which design on which device, and what the choice for one costs on the other."""
    own = [_joined(sides, number, result.best) for number, result in enumerate(results)]
    if own[0] is not None and all(one == own[0] for one in own):
        return (f"The same design is the best on {' and on '.join(sides.folders)}: {_formats(results[0])}.",)
    chosen = (f"on {name} {_formats(result)}" for name, result in zip(sides.folders, results, strict=True))
    return f"The best designs differ: {'; '.join(chosen)}.", *_exchanged(sides, results, own)


def _formats(result: Result) -> str:
    return f"trial {result.best} ({formats_in_words(_best(result).evaluation.design, result.workload)})"


def _best(result: Result) -> Trial:
    return result.trial(result.best)


def _exchanged(sides: Sides, results: Sequence[Result], own: Sequence[Joined | None]) -> tuple[str, ...]:
    """What the best design of each device costs on the others, beside their own best."""
    return tuple(
        f"On {sides.folders[there]} the best of {sides.folders[here]} {_beside(one, results[there], there)}."
        for here, one in enumerate(own)
        for there in range(len(results))
        if here != there and one is not None and one != own[there]
    )


def _joined(sides: Sides, side: int, trial: int) -> Joined | None:
    return next((one for one in sides.designs if one.prices[side].trial == trial), None)


def _beside(one: Joined, result: Result, side: int) -> str:
    """`takes 3.1 us, 4.0 % more than its own best`."""
    price = one.prices[side]
    if price.cost is None:
        return f"has no price: {price.why}"
    shown = metric(cost_objectives(result)[0].metric)
    mine, its = shown.read(one.priced_at(price.cost), "search"), shown.read(_best(result).evaluation, "search")
    more = f"{100 * abs(mine / its - 1):.1f} % {'more' if mine > its else 'less'} than" if mine != its else "as"
    over = ", which does not fit" * _over(price.cost, result)
    return f"has {amount(shown, mine)}, {more} its own best{over}"


def amount(shown: Metric, value: float) -> str:
    """`8,737 LUT`, or `36.6 us of latency`."""
    return f"{show(shown, value)} {'of ' * bool(shown.unit)}{shown.label}"


def _over(cost: Cost, result: Result) -> bool:
    return any(use.share > 1 for use in uses(cost, result.target))


def _side(name: str, result: Result) -> Side:
    evaluation = _best(result).evaluation
    cost, shown, lost = evaluation.predicted, metric(cost_objectives(result)[0].metric), loss(result, evaluation)
    predicted, calibration, *others = trust(cost)
    chosen = f"Trial {result.best}, of {len(result.front)} on its front."
    return Side(
        label=name,
        place=place(result),
        head=f"{amount(shown, shown.read(evaluation, 'search'))}, {lost.head}",
        sentences=(f"{chosen} {lost.text}", fit(result.target, cost).text, speed(cost, unit_of(result)).text),
        trust=(Claim(predicted.head, calibration.text), others[-1]),
        source=result.target.source,
        report=f"{name}/report.html",
        columns=tuple(title.replace("frame", unit_of(result)) for title in COLUMNS[kind(result.target)]),
    )


def _line(one: Joined, results: Sequence[Result]) -> Line:
    workload = results[0].workload
    weights, activations = weight_quantizers(one.design, workload), activation_quantizers(one.design, workload)
    shown = metric(accuracy_axis(results[0]).objective.metric)
    search, test = (show(shown, shown.read(one.evaluation, split)) for split in ("search", "test"))
    return Line(
        weights=brief(weights),
        activations=brief(activations),
        search=search,
        test=test,
        bits=f"{one.weight_bits / sum(layer.weights for layer in workload.weighted):.2f}",
        prices=tuple(_cells(price, one, result) for price, result in zip(one.prices, results, strict=True)),
    )


def _cells(price: Price, one: Joined, result: Result) -> Cells:
    named = ", ".join(role for role, trial in roles(result) if trial.number == price.trial)
    columns = len(COLUMNS[kind(result.target)])
    if price.cost is None:
        return Cells(price.trial, named, (), price.why, False, columns)
    return Cells(price.trial, named, _costs(price.cost), "", _over(price.cost, result), columns)


COLUMNS = {"FPGA": ("LUT", "frame/s"), "GPU": ("batch time", "packed weights")}  # by the kind of device


def _costs(cost: Cost) -> tuple[str, ...]:
    if isinstance(cost, FpgaCost):
        return number(cost.area.luts), number(cost.frames_per_second)
    return seconds(cost.seconds), in_bytes(cost.weight_bytes)


def _caption(result: Result) -> str:
    split = f"Accuracy on the search split ({counted(result, result.float_accuracy('search').count)})."
    return f"{split} Costs are predicted for {place(result)}; the line is the front."
