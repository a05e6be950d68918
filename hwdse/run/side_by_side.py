"""What a study of several targets adds to the runs of its parts: the designs of all fronts, priced on every target."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hwdse.codec import decode, encode
from hwdse.design import Design
from hwdse.evaluation import Evaluation
from hwdse.result import Result
from hwdse.run import load, network, refold, space_of
from hwdse.run.folder import write
from hwdse.sides import Joined, Price, Sides
from hwdse.space import Space
from hwdse.study import Study

FILE = "sides.json"


def join(study: Study, results: Sequence[Result], out: Path) -> Sides:
    """The fronts of the parts of `study`, one network on several targets, joined and kept in the folder `out`.

    Nothing is evaluated: prices are pure.
    """
    _, treated = network(study)
    parts = study.by_target
    spaces = [space_of(part, treated) for part in parts]
    fronts = [_front(result) for result in results]
    found: dict[Design, Evaluation] = {}
    for front in fronts:
        for design, (_, evaluation) in front.items():
            found.setdefault(design, evaluation)
    joined = [
        Joined(
            design,
            evaluation.accuracies,
            evaluation.weight_bits,
            tuple(
                _price(part, space, design, front.get(design))
                for part, space, front in zip(parts, spaces, fronts, strict=True)
            ),
        )
        for design, evaluation in found.items()
    ]
    joined.sort(key=lambda one: (-one.evaluation.accuracy("search").goodness, one.weight_bits, one.design.digest))
    sides = Sides(study.name, study.question, study.labels, tuple(joined))
    write(out / FILE, encode(sides))
    return sides


def is_joined(out: Path) -> bool:
    """Whether `out` is the folder of a finished study of several targets."""
    return (out / FILE).exists()


def load_joined(out: Path) -> tuple[Sides, tuple[Result, ...]]:
    """What `join` kept, and the results of the parts."""
    try:
        sides = decode(Sides, (out / FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{out / FILE} cannot be read: {error}") from None
    return sides, tuple(load(out / folder) for folder in sides.folders)


def _front(result: Result) -> dict[Design, tuple[int, Evaluation]]:
    """The designs of the front without their foldings, with their trials."""
    trials = [result.trial(number) for number in result.front]
    return {_unfolded(trial.evaluation.design): (trial.number, trial.evaluation) for trial in trials}


def _unfolded(design: Design) -> Design:
    return replace(design, folding=())


def _price(part: Study, space: Space, design: Design, own: tuple[int, Evaluation] | None) -> Price:
    if own is not None:
        number, evaluation = own
        return Price(evaluation.predicted, "", number)
    try:
        workload = space.charged(design)
        folded = replace(design, folding=space.recipe_of(design).folding)
        again = refold(part.target)
        cost = part.target.where.cost(workload, folded if again is None else again(workload, design))
    except ValueError as error:
        return Price(None, str(error), None)
    return Price(cost, "", None)
