"""What the plots show: accuracy against each cost, accuracy against bits, and how the search converged."""

from collections.abc import Iterable
from dataclasses import dataclass

from hwdse.cost import Cost, FpgaCost
from hwdse.energy import energy_unit
from hwdse.evaluation import Evaluation
from hwdse.metrics import ACCURACIES, byte_unit, in_bytes, metric
from hwdse.report.convergence import convergence
from hwdse.report.describe import (
    counted,
    family_of,
    formats_in_words,
    mean_weight_bits,
    recipe_in_words,
    roles,
    unit_of,
    whole,
)
from hwdse.report.perplexity import quality
from hwdse.report.plot import Mark, Plot, Series, padded, padded_log, spans_decades, staircase
from hwdse.report.quantities import number, percent, seconds, time_unit
from hwdse.result import Objective, Result, Trial
from hwdse.target import FpgaTarget

UNITS = {"s": time_unit, "J": energy_unit, "B": byte_unit}  # that suit a value
SYMBOL = {"mixed": "square", "integer": "circle", "minifloat": "diamond"}  # drawn in this order
OUTLINE = {"best": "circle-open", "knee": "square-open", "most accurate": "triangle-up-open", "baseline": "x-thin-open"}
OUTLINE_PIXELS = {"best": 19, "knee": 19, "most accurate": 25, "baseline": 13}
MANY, LARGE, SMALL = 150, 9, 6  # up to MANY trials are drawn LARGE, more are SMALL (pixels)
NEAR_LOSS = 0.10  # top-1 below the float model that is shown at first, unless a named design needs more


@dataclass(frozen=True, slots=True)
class Axis:
    """A metric on the search split as an axis of a plot."""

    objective: Objective
    label: str
    factor: float  # from the metric's own unit to that of `label`

    def value(self, evaluation: Evaluation) -> float:
        """The metric in the unit of `label`."""
        return self.factor * metric(self.objective.metric).read(evaluation, "search")


def axis(objective: Objective, trials: Iterable[Trial]) -> Axis:
    """The axis of a metric: shares in %, times in the unit that suits the longest."""
    shown = metric(objective.metric)
    unit, factor = shown.unit, 1.0
    if shown.unit == "%":
        factor = 100.0
    if shown.unit in UNITS:
        suits = UNITS[shown.unit]
        unit, size = suits(max(shown.read(trial.evaluation, "search") for trial in trials))
        factor = 1 / size
    return Axis(objective, shown.label + f" ({unit})" * bool(unit), factor)


@dataclass(frozen=True, slots=True)
class Point:
    """What every plot needs of a trial."""

    trial: Trial
    family: str
    hover: str
    accuracy: float  # in the unit of the accuracy axis
    whole: bool  # of all images of the split

    def at(self, x: float) -> Mark:
        """The trial at a place on the x axis; faint if it breaks a constraint."""
        return Mark(x, self.accuracy, self.hover, faded=not self.trial.feasible)


def plots(result: Result) -> tuple[Plot, ...]:
    """Every plot of the report: one front per cost objective, then bits, then hypervolume over trials and time."""
    found = points(result)
    fronts = tuple(front(result, objective, found) for objective in cost_objectives(result))
    return (*fronts, bits(result, found), *convergence(result))


def points(result: Result) -> tuple[Point, ...]:
    """All trials."""
    y = accuracy_axis(result)
    return tuple(
        Point(
            trial=t,
            family=family_of(t.evaluation.design, result.workload),
            hover=hover(result, t),
            accuracy=y.value(t.evaluation),
            whole=whole(result, t),
        )
        for t in result.trials
    )


def cost_objectives(result: Result) -> tuple[Objective, ...]:
    """The objectives that are no accuracy; LUT, or on a GPU latency, where there is none."""
    found = tuple(o for o in result.objectives if o.metric not in ACCURACIES)
    return found or (Objective("lut" if isinstance(result.target, FpgaTarget) else "latency", "minimize"),)


def accuracy_axis(result: Result) -> Axis:
    """The first objective that is an accuracy; top-1 where there is none."""
    found = [o for o in result.objectives if o.metric in ACCURACIES]
    return axis(found[0] if found else Objective("top1", "maximize"), result.trials)


def front(result: Result, cost: Objective, found: tuple[Point, ...], name: str | None = None) -> Plot:
    """Accuracy against one cost, with the front as steps; without a name, by its metric."""
    x, y = axis(cost, result.trials), accuracy_axis(result)
    at = {point.trial.number: point.at(x.value(point.trial.evaluation)) for point in found}
    xs = [mark.x for mark in at.values()]
    log = spans_decades(xs)
    ends = padded_log(min(xs), max(xs)) if log else padded(min(xs), max(xs))
    steps = staircase(undominated([(at[n].x, at[n].y) for n in result.front], cost, y.objective))
    series = (
        *_dropped(result, found, at),
        *_families(found, at),
        Series("front", steps, "ink", dash="solid"),
        *_level(result, ends),
    )
    title = capital(f"{metric(y.objective.metric).label} against {metric(cost.metric).label}")
    own = "front" if cost == cost_objectives(result)[0] else f"front-{cost.metric}"
    labels = f"{x.label.replace('frame', unit_of(result))} on {result.target.name}", f"{y.label}, search split"
    return Plot(name or own, title, *labels, (*series, *_outlines(result, at)), log, lowest(result))


def capital(text: str) -> str:
    """`text` with a capital first, the rest as it is."""
    return text[:1].upper() + text[1:]


def _families(found: tuple[Point, ...], at: dict[int, Mark]) -> tuple[Series, ...]:
    size = LARGE if len(found) <= MANY else SMALL
    marks = {name: tuple(at[p.trial.number] for p in found if p.family == name and p.whole) for name in SYMBOL}
    return tuple(Series(name, those, name, SYMBOL[name], size) for name, those in marks.items() if those)


def _dropped(result: Result, found: tuple[Point, ...], at: dict[int, Mark]) -> tuple[Series, ...]:
    """The trials that lost a race, hollow: their accuracy is that of their first images."""
    marks = tuple(at[point.trial.number] for point in found if not point.whole)
    if not marks:
        return ()
    name = f"dropped early: fewer than {counted(result, result.float_accuracy('search').count)}"
    return (Series(name, marks, "muted", "circle-open", SMALL),)


def hover(result: Result, trial: Trial) -> str:
    """What a point says: its design, its accuracy with its interval, its cost."""
    evaluation = trial.evaluation
    accuracy, rate = evaluation.accuracy("search"), number(evaluation.predicted.frames_per_second)
    low, high = accuracy.interval
    return "\n".join(
        (
            f"trial {trial.number} ({trial.origin})" + ", breaks a constraint" * (not trial.feasible),
            *formats_in_words(evaluation.design, result.workload).split("; "),
            *[f"recipe {recipe_in_words(evaluation.design)}"] * bool(evaluation.design.recipe),
            *[f"perplexity {quality(accuracy)} ({_images(result, trial)})"] * accuracy.of_text,
            f"top-1 {percent(accuracy.top1)} ({_images(result, trial)}; {percent(low)} to {percent(high)})",
            costs_in_words(evaluation.predicted),
            f"{rate} {unit_of(result)}/s, {number(evaluation.weight_bits)} weight bits",
        )
    )


def costs_in_words(cost: Cost) -> str:
    """`8,737 LUT, 0 DSP, 3 BRAM18`, or on a GPU `12.3 us, 4.21 kB of weights`."""
    if isinstance(cost, FpgaCost):
        return f"{number(cost.area.luts)} LUT, {number(cost.area.dsps)} DSP, {number(cost.area.brams)} BRAM18"
    return f"{seconds(cost.seconds)}, {in_bytes(cost.weight_bytes)} of weights"


def _images(result: Result, trial: Trial) -> str:
    if whole(result, trial):
        return "search split"
    seen, images = trial.evaluation.accuracy("search").count, result.float_accuracy("search").count
    return f"dropped after {seen:,} of {counted(result, images)}"


def undominated(pairs: list[tuple[float, float]], x: Objective, y: Objective) -> list[tuple[float, float]]:
    """The pairs that no other beats in both objectives, the best of `x` first."""
    kept: list[tuple[float, float]] = []
    for pair in sorted(pairs, key=lambda p: (x.loss(p[0]), y.loss(p[1]))):
        if not kept or y.loss(pair[1]) < y.loss(kept[-1][1]):
            kept.append(pair)
    return kept


def _level(result: Result, ends: tuple[float, float]) -> tuple[Series, ...]:
    y = accuracy_axis(result)
    if y.objective.metric == "sqnr":  # of the float model against itself there is none
        return ()
    accuracy = result.float_accuracy("search")
    values = {"top1": accuracy.top1, "loss": accuracy.loss, "perplexity": accuracy.perplexity}
    value = y.factor * values[y.objective.metric]
    return (Series("FP32", tuple(Mark(end, value) for end in ends), "muted", dash="dash"),)


def _outlines(result: Result, at: dict[int, Mark]) -> tuple[Series, ...]:
    return tuple(
        Series(
            f"{role} (trial {trial.number})",
            (Mark(at[trial.number].x, at[trial.number].y),),
            "ink",
            OUTLINE[role],
            OUTLINE_PIXELS[role],
            ring=True,
        )
        for role, trial in roles(result)
    )


def lowest(result: Result) -> float | None:
    """The top-1, in %, of the worst design worth a look; None if no trial is worse, or if top-1 is not the axis."""
    if accuracy_axis(result).objective.metric != "top1":
        return None
    named = [trial.evaluation.accuracy("search").top1 for _, trial in roles(result)]
    low = min(*named, result.float_accuracy("search").top1 - NEAR_LOSS)
    worse = any(trial.evaluation.accuracy("search").top1 < low for trial in result.trials)
    return 100 * low if worse else None


def bits(result: Result, found: tuple[Point, ...]) -> Plot:
    """Accuracy against the mean width of a weight, with the best that each family reaches at most at that width."""
    y = accuracy_axis(result)
    at = {point.trial.number: point.at(mean_weight_bits(point.trial.evaluation, result.workload)) for point in found}
    families = _families(found, at)
    lines = tuple(_best(one, y.objective) for one in families)
    xs = [mark.x for mark in at.values()]
    title = capital(f"{metric(y.objective.metric).label} against weight bits")
    series = (*_dropped(result, found, at), *families, *lines, *_level(result, padded(min(xs), max(xs))))
    return Plot("bits", title, "mean bits per weight", f"{y.label}, search split", series, low=lowest(result))


def _best(family: Series, y: Objective) -> Series:
    width = Objective("weight_bits", "minimize")
    steps = staircase(undominated([(mark.x, mark.y) for mark in family.marks], width, y))
    return Series(f"best {family.name}", steps, family.colour, dash="solid")
