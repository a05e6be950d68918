"""What techniques do: designs by their recipe, and pairs of designs that differ in nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean

from hwdse.design import Design, Step
from hwdse.metrics import metric
from hwdse.report.describe import recipe_in_words, whole
from hwdse.report.figures import accuracy_axis, cost_objectives
from hwdse.report.quantities import show
from hwdse.result import Objective, Result, Trial

Recipe = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """The designs with one recipe."""

    recipe: str
    designs: int
    on_front: int
    best: str  # of their accuracy
    affordable: str  # the best of those that cost no more than the chosen design; '' where all cost more
    pairs: int  # designs that differ in the recipe alone from one with the recipe that is compared to
    mean: str  # difference of accuracy in these pairs; '' without pairs
    extent: str  # smallest and largest difference


@dataclass(frozen=True, slots=True)
class Effects:
    """A line for each recipe, in the order in which the search came to them."""

    accuracy: str  # which
    limit: str  # `LUT up to 8,737`: the cost of the chosen design
    reference: str  # the recipe that pairs are compared to
    lines: tuple[Effect, ...]


def effects(result: Result) -> Effects | None:
    """What each recipe did; None where all trials have the same. Trials that lost a race are left out."""
    trials = [trial for trial in result.trials if whole(result, trial)]
    recipes = dict.fromkeys(trial.evaluation.design.recipe for trial in trials)
    if len(recipes) < 2:
        return None
    reference = () if () in recipes else next(iter(recipes))
    by_design = _by_design(trials)
    best, cost = result.trial(result.best), cost_objectives(result)[0]
    value = metric(cost.metric).read(best.evaluation, "search")
    return Effects(
        accuracy=metric(accuracy_axis(result).objective.metric).label,
        limit=f"{metric(cost.metric).label} {_bound(cost)} {show(metric(cost.metric), value)}",
        reference=_name(reference),
        lines=tuple(
            _effect(
                result,
                [t for t in trials if t.evaluation.design.recipe == recipe],
                _pairs(by_design, recipe, reference),
            )
            for recipe in recipes
        ),
    )


def _bound(cost: Objective) -> str:
    return "up to" if cost.direction == "minimize" else "from"


def _name(recipe: Recipe) -> str:
    return recipe_in_words(Design(recipe=recipe))


def _by_design(trials: list[Trial]) -> dict[Design, dict[Recipe, Trial]]:
    """The trials by all of their design but the recipe, then by the recipe."""
    found: dict[Design, dict[Recipe, Trial]] = {}
    for trial in trials:
        design = trial.evaluation.design
        found.setdefault(replace(design, recipe=()), {})[design.recipe] = trial
    return found


def _pairs(
    by_design: Mapping[Design, Mapping[Recipe, Trial]], recipe: Recipe, reference: Recipe
) -> tuple[tuple[Trial, Trial], ...]:
    if recipe == reference:
        return ()
    return tuple((own[recipe], own[reference]) for own in by_design.values() if recipe in own and reference in own)


def _effect(result: Result, trials: list[Trial], pairs: tuple[tuple[Trial, Trial], ...]) -> Effect:
    axis = accuracy_axis(result)
    unit = metric(axis.objective.metric).unit.replace("%", "points")
    digits = 4 if axis.objective.metric in ("loss", "perplexity") else 2
    apart = [axis.value(mine.evaluation) - axis.value(its.evaluation) for mine, its in pairs]
    affordable = [trial for trial in trials if _affordable(result, trial)]
    return Effect(
        recipe=recipe_in_words(trials[0].evaluation.design),
        designs=len(trials),
        on_front=sum(trial.number in result.front for trial in trials),
        best=_best(trials, axis.objective),
        affordable=_best(affordable, axis.objective) if affordable else "",
        pairs=len(pairs),
        mean=f"{fmean(apart):+.{digits}f} {unit}" if apart else "",
        extent=f"{min(apart):+.{digits}f} to {max(apart):+.{digits}f}" if apart else "",
    )


def _best(trials: list[Trial], accuracy: Objective) -> str:
    read = metric(accuracy.metric)
    values = (read.read(trial.evaluation, "search") for trial in trials)
    return show(read, min(values, key=accuracy.loss))


def _affordable(result: Result, trial: Trial) -> bool:
    """Whether a trial costs at most what the chosen one does, in the first cost."""
    cost = cost_objectives(result)[0]
    mine, limit = (metric(cost.metric).read(t.evaluation, "search") for t in (trial, result.trial(result.best)))
    return cost.loss(mine) <= cost.loss(limit)
