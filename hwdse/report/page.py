"""The page: everything the report says, laid out by `page.html.j2`; it opens offline, without any request."""

from collections.abc import Iterator
from dataclasses import dataclass

from hwdse.cost import FpgaCost, GpuCost
from hwdse.metrics import metric
from hwdse.report import perplexity
from hwdse.report.beside import beside
from hwdse.report.breakdown import breakdown
from hwdse.report.built import blocks
from hwdse.report.claim import Claim
from hwdse.report.convergence import facts
from hwdse.report.describe import FAMILIES, counted, examples, family_rule, formats_in_words, roles, unit_of, whole
from hwdse.report.gpu_words import NAMED_OUTSIDE
from hwdse.report.heat import heat_figure, heat_height
from hwdse.report.interactive import figure, library, ranges
from hwdse.report.kernels import kernels
from hwdse.report.neighbours import cost_label, reasons
from hwdse.report.palette import COLOURS
from hwdse.report.places import cost_columns, costs, place
from hwdse.report.plot import Plot
from hwdse.report.quantities import error, show
from hwdse.report.recipes import effects
from hwdse.report.rows import Row, tested_difference, tested_ratio
from hwdse.report.sensitivity import heat_map, in_words
from hwdse.report.strip import strip
from hwdse.report.svg import outline
from hwdse.report.table import columns
from hwdse.report.templates import template, verbatim
from hwdse.report.words import answer, between, fit, loss_head, tested_accuracy, uses
from hwdse.result import Result, Trial
from hwdse.target import FpgaTarget, side_by_side


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of the table of alternatives."""

    roles: str
    design: str
    test: str
    loss: Claim
    costs: tuple[str, ...]  # those of `cost_columns`
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
    cost = best.evaluation.predicted
    return template("page.html.j2").render(
        study=result.study,
        result=result,
        answer=answer(result),
        place=place(result),
        uses=uses(cost, result.target),
        cost_columns=cost_columns(result.target, unit_of(result)),
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
        breakdown=breakdown(cost) if isinstance(cost, FpgaCost) else None,
        kernels=kernels(cost, best.evaluation.design, result.workload) if isinstance(cost, GpuCost) else None,
        beside=beside(result),
        built=blocks(result),
        checks=checks(result),
        columns=columns(result),
        quality="perplexity" if result.of_text else "top-1",
        rows=table,
        families=FAMILIES,
        family_rule=family_rule(result),
        constraints=constraints(result),
        palette=COLOURS,
        colours={colour.role: f"var(--{colour.role})" for colour in COLOURS},
        outline=outline,
        ranges=ranges,
        outside=cost.outside,
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
    share = "" if test is None else perplexity.quality(test)
    kind = "an FPGA" if isinstance(result.target, FpgaTarget) else "a GPU"
    nothing = tuple("" for _ in cost_columns(result.target))
    return (
        *designs,
        Choice("float model", f"FP32, not {kind} design", share, Claim("", ""), nothing, Claim("", "")),
    )


def _lost(result: Result, trial: Trial) -> Claim:
    """Against the float model on the test split."""
    test, difference = tested_accuracy(trial.evaluation), tested_difference(result, trial)
    if test is None or difference is None:
        return Claim("not tested", "")
    if (ratio := tested_ratio(result, trial)) is not None:
        return Claim(perplexity.head(ratio), perplexity.between(ratio))
    return Claim(loss_head(difference), between(difference))


def _choice(result: Result, named: str, trial: Trial) -> Choice:
    evaluation = trial.evaluation
    test = tested_accuracy(evaluation)
    cost = evaluation.predicted
    return Choice(
        roles=named,
        design=f"trial {trial.number}: {formats_in_words(evaluation.design, result.workload)}",
        test="" if test is None else perplexity.quality(test),
        loss=_lost(result, trial),
        costs=costs(cost, evaluation.weight_bits),
        fit=fit(result.target, cost),
    )


def caption(result: Result, plot: Plot) -> str:
    """What to know when reading a plot."""
    if plot.name == "hypervolume":
        return _progress(result)
    if plot.name == "hypervolume-time":
        return "The same trials over the time of the search, all parts of an interrupted one together."
    images = f"Accuracy on the search split ({counted(result, result.float_accuracy('search').count)})."
    hollow = (
        f" Hollow points were dropped early: their accuracy is that of their first {examples(result)}, and none is on"
        " the front."
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
    if not isinstance(result.target, FpgaTarget):
        return ()
    return tuple(
        check
        for trial in result.trials
        for cost in trial.evaluation.measured
        for check in _checks(trial, cost, result.target)
    )


def _checks(trial: Trial, measured: FpgaCost, target: FpgaTarget) -> Iterator[Check]:
    for mine, its in side_by_side((trial.evaluation.fpga.area, measured.area), target):
        if mine.used or its.used:
            yield Check(trial.number, measured.model, mine.name, mine.used, its.used)
