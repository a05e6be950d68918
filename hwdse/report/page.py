"""The page: everything the report says, laid out by `page.html.j2`; it opens offline, without any request."""

from collections.abc import Iterator
from dataclasses import dataclass

from hwdse.cost import FpgaCost
from hwdse.metrics import metric
from hwdse.report.beside import beside
from hwdse.report.breakdown import breakdown
from hwdse.report.built import blocks
from hwdse.report.convergence import facts
from hwdse.report.describe import FAMILIES, FAMILY_RULE, formats_in_words, roles, whole
from hwdse.report.heat import heat_figure, heat_height
from hwdse.report.interactive import figure, library, ranges
from hwdse.report.neighbours import cost_label, reasons
from hwdse.report.palette import COLOURS
from hwdse.report.plot import Plot
from hwdse.report.quantities import error, number, percent, show
from hwdse.report.recipes import effects
from hwdse.report.sensitivity import heat_map, in_words
from hwdse.report.strip import strip
from hwdse.report.svg import outline
from hwdse.report.table import Row, columns, tested_difference
from hwdse.report.templates import template, verbatim
from hwdse.report.words import NAMED_OUTSIDE, Claim, answer, between, fit, loss_head, tested_accuracy
from hwdse.result import Result, Trial
from hwdse.target import FpgaTarget, side_by_side, uses


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of the table of alternatives."""

    roles: str
    design: str
    test: str
    loss: Claim
    luts: str
    weight_bits: str
    rate: str
    fit: Claim


@dataclass(frozen=True, slots=True)
class Check:
    """A measured cost beside the predicted one."""

    trial: int
    origin: str  # the flow that measured
    resource: str
    predicted: int
    measured: int

    @property
    def error(self) -> str:
        """In percent of what was measured."""
        return error(self.predicted, self.measured)


def render(result: Result, drawn: tuple[Plot, ...], table: tuple[Row, ...]) -> str:
    """The text of `report.html`, of a result with its plots and its table."""
    best = result.trial(result.best)
    return template("page.html.j2").render(
        result=result,
        answer=answer(result),
        uses=uses(best.evaluation.predicted.area, result.target),
        choices=choices(result),
        plots={plot.name: plot for plot in drawn},
        figures={plot.name: figure(plot) for plot in drawn},
        captions={plot.name: caption(result, plot) for plot in drawn},
        convergence=facts(result),
        reasons=reasons(result),
        cost_label=cost_label(result),
        heat=heat_map(result),
        heat_figure=heat_figure,
        heat_height=heat_height,
        sensitivity=in_words(result),
        effects=effects(result),
        strip=strip(result),
        breakdown=breakdown(best.evaluation.predicted),
        beside=beside(result),
        built=blocks(result),
        checks=checks(result),
        columns=columns(result),
        rows=table,
        families=FAMILIES,
        family_rule=FAMILY_RULE,
        constraints=constraints(result),
        palette=COLOURS,
        colours={colour.role: f"var(--{colour.role})" for colour in COLOURS},
        outline=outline,
        ranges=ranges,
        outside=best.evaluation.predicted.outside,
        named_outside=NAMED_OUTSIDE,
        library=library(),
        style=verbatim("style.css"),
        scripts=(verbatim("plots.js"), verbatim("table.js")),
    )


def choices(result: Result) -> tuple[Choice, ...]:
    """The designs that the report names, each once, and the float model."""
    names: dict[int, list[str]] = {}
    for role, trial in roles(result):
        names.setdefault(trial.number, []).append(role)
    designs = [_choice(result, ", ".join(found), result.trial(number)) for number, found in names.items()]
    test = next((accuracy for accuracy in result.float_accuracies if accuracy.split == "test"), None)
    share = "" if test is None else percent(test.top1)
    return (
        *designs,
        Choice("float model", "FP32, not an FPGA design", share, Claim("", ""), "", "", "", Claim("", "")),
    )


def _choice(result: Result, named: str, trial: Trial) -> Choice:
    evaluation = trial.evaluation
    test, difference = tested_accuracy(evaluation), tested_difference(result, trial)
    cost = evaluation.predicted
    return Choice(
        roles=named,
        design=f"trial {trial.number}: {formats_in_words(evaluation.design, result.workload)}",
        test="" if test is None else percent(test.top1),
        loss=Claim("not tested", "") if difference is None else Claim(loss_head(difference), between(difference)),
        luts=number(cost.area.luts),
        weight_bits=number(evaluation.weight_bits),
        rate=number(cost.frames_per_second),
        fit=fit(result.target, cost),
    )


def caption(result: Result, plot: Plot) -> str:
    """What to know when reading a plot."""
    if plot.name == "hypervolume":
        return _progress(result)
    if plot.name == "hypervolume-time":
        return "The same trials over the time of the search, all parts of an interrupted one together."
    images = f"Accuracy on the search split ({result.float_accuracy('search').count:,} images)."
    hollow = (
        " Hollow points were dropped early: their accuracy is that of their first images, and none is on the front."
    )
    images += hollow * any(not whole(result, trial) for trial in result.trials)
    if plot.name == "bits":
        return (
            f"{images} The width is that of the weights alone: designs of equal width may differ in their activations."
        )
    faint = " Faint points break a constraint." * any(not trial.feasible for trial in result.trials)
    return f"{images} Costs are predicted. The line is the front, the best accuracy at most at that cost.{faint}"


def _progress(result: Result) -> str:
    losses = zip(result.objectives, result.reference_point, strict=True)
    point = ", ".join(f"{metric(o.metric).label} {show(metric(o.metric), o.loss(value))}" for o, value in losses)
    quarter = max(len(result.hypervolume) // 4, 1)
    last, before = (
        result.hypervolume[-1][1],
        result.hypervolume[-1 - quarter][1] if len(result.hypervolume) > 1 else 0.0,
    )
    added = 100 * (last - before) / last if last else 0.0
    trials = "The last trial" if quarter == 1 else f"The last {quarter} trials"
    return f"Reference point: {point}. {trials} added {added:.1f} % of the final hypervolume."


def constraints(result: Result) -> tuple[str, ...]:
    """The constraints of the study: `LUT at most 50,000`."""
    found = []
    for constraint in result.constraints:
        limited = metric(constraint.metric)
        low = () if constraint.low is None else (f"at least {show(limited, constraint.low)}",)
        high = () if constraint.high is None else (f"at most {show(limited, constraint.high)}",)
        found.append(f"{limited.label} {' and '.join((*low, *high))}")
    return tuple(found)


def checks(result: Result) -> tuple[Check, ...]:
    """Measured against predicted area on the device of the study, for every design whose units were synthesised."""
    return tuple(
        check
        for trial in result.trials
        for cost in trial.evaluation.measured
        for check in _checks(trial, cost, result.target)
    )


def _checks(trial: Trial, measured: FpgaCost, target: FpgaTarget) -> Iterator[Check]:
    for mine, its in side_by_side((trial.evaluation.predicted.area, measured.area), target):
        if mine.used or its.used:
            yield Check(trial.number, measured.model, mine.name, mine.used, its.used)
