"""How much each tensor matters: the baseline with one tensor in another format of the menu, for all of them.

The designs come late layers first. All of them share what is upstream of their change with the baseline, whose tensors
the evaluator keeps, so that each pays for the rest of the network alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hwdse.design import Design, Quantizer
from hwdse.evaluation import Evaluation
from hwdse.result import Sensitivity
from hwdse.search.problem import Problem
from hwdse.space import Menu
from hwdse.workload import Workload


@dataclass(frozen=True, slots=True)
class Change:
    """One tensor in one format."""

    kind: str  # weights or activations
    place: str  # a layer, or a site
    quantizer: Quantizer  # written signed
    design: Design


def sensitivities(
    problem: Problem, baseline: Design, report: Callable[[int, int, Change], None]
) -> tuple[Sensitivity, ...]:
    """Of every place that may choose, in network order, and every format that it may choose; evaluates what is new.

    `report` is told how many of how many are done, and which was the last.
    """
    made = changes(problem, baseline)
    found = []
    for change, evaluation in zip(made, problem.evaluations([c.design for c in made], "search"), strict=True):
        found.append(_sensitivity(change, evaluation if isinstance(evaluation, Evaluation) else None))
        report(len(found), len(made), change)
    order = {(kind, place): number for number, (kind, place) in enumerate(_places(problem))}
    return tuple(sorted(found, key=lambda one: order[one.kind, one.place]))


def changes(problem: Problem, baseline: Design) -> tuple[Change, ...]:
    """What is evaluated, in this order: last place first."""
    space = problem.space
    return tuple(
        Change(kind, place, quantizer, space.changed(baseline, kind, place, quantizer))
        for (kind, place), menu in reversed(_places(problem).items())
        for quantizer in menu
    )


def _places(problem: Problem) -> dict[tuple[str, str], Menu]:
    """The menu of every tensor that has a choice, in the order in which the network comes to them."""
    at = _positions(problem.space.workload)
    menus = {(kind, place): menu for kind, of in problem.space.menus.items() for place, menu in of.items()}
    return {place: menus[place] for place in sorted(menus, key=lambda p: at[p]) if len(menus[place]) > 1}


def _positions(workload: Workload) -> dict[tuple[str, str], float]:
    """When the network comes to a tensor: a layer at its own number, a site just before the first that reads it."""
    layers = {layer.name: number for number, layer in enumerate(workload.layers)}
    at: dict[tuple[str, str], float] = {("weights", layer.name): layers[layer.name] for layer in workload.weighted}
    for site in workload.sites:
        readers = [layers[name] for name in site.consumers if name in layers]
        at["activations", site.name] = min(readers, default=len(layers)) - 0.5
    return at


def _sensitivity(change: Change, found: Evaluation | None) -> Sensitivity:
    pairs = dict(change.design.weights if change.kind == "weights" else change.design.activations)
    named = change.kind, change.place, change.quantizer.name, pairs[change.place].name
    if found is None:
        return Sensitivity(*named, None, None, None)
    accuracy = found.accuracy("search")
    return Sensitivity(*named, accuracy.loss, accuracy.top1, accuracy.sqnr_db)
