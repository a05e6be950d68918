"""From the history of a search to its `Result`: the front, its hypervolume, and the designs that stand out."""

from collections.abc import Callable
from dataclasses import replace
from math import log

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from hwdse import pareto
from hwdse.codec import decode
from hwdse.evaluation import Accuracy, Evaluation
from hwdse.metrics import ACCURACIES
from hwdse.result import Objective, Result, Sensitivity, Trial
from hwdse.run.manifest import manifest
from hwdse.search import Progress
from hwdse.search.history import trials
from hwdse.search.problem import DesignError, Problem
from hwdse.search.races import BEGINNING
from hwdse.search.sensitivity import Change, sensitivities
from hwdse.study import Study
from hwdse.study.sections import Choice
from hwdse.where import OnFpga, OnGpu

MARGIN = 0.1  # of the range of each objective, between the worst feasible design and the reference point


def result_of(study: Study, problem: Problem, history: optuna.Study, report: Callable[[Progress], None]) -> Result:
    """The result of a search that is over; only the front and the baseline see the test split."""
    where = problem.where
    done = _done(problem, trials(history, TrialState.COMPLETE))
    failures = tuple((t.number, str(t.user_attrs["failure"])) for t in trials(history, TrialState.FAIL))
    images = problem.float_accuracy("search").count
    feasible = tuple(t for t in done if t.feasible and t.evaluation.accuracy("search").count == images)
    if not feasible:
        raise ValueError(_nothing(study, done, failures))
    front = _front(problem, feasible)
    reference = reference_point(_losses(problem, feasible))
    baseline = next((trial for trial in done if trial.number == 0), None)
    tested = _tested(problem, done, {trial.number for trial in front} | {0}, report)
    return Result(
        study=study.name,
        question=study.question,
        workload=problem.space.workload,
        target=where.target,
        clock_mhz=where.clock_mhz if isinstance(where, OnFpga) else None,
        run=where.run if isinstance(where, OnGpu) else None,
        objectives=problem.objectives,
        constraints=problem.constraints,
        float_accuracies=tuple(problem.float_accuracy(split) for split in ("search", "test")),
        trials=tested,
        failures=failures,
        front=tuple(trial.number for trial in front),
        baseline=None if baseline is None else baseline.number,
        best=_best(problem, front, study.choice),
        knee=front[pareto.knee(_losses(problem, front))].number,
        max_loss=study.choice.max_loss,
        reference_point=tuple(map(float, reference)),
        hypervolume=_trace(feasible, pareto.attained(_losses(problem, feasible), reference)),
        sensitivities=_sensitivities(problem, baseline, report) if study.search.sensitivity else (),
        racing=study.search.racing,
        max_perplexity_ratio=study.choice.max_perplexity_ratio,
        manifest=manifest(study, problem.evaluator),
    )


def reference_point(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """The worst of `losses` (`n x d`) in every objective, plus 10 % of the range, or 1 where all are equal."""
    worst, span = losses.max(axis=0), np.ptp(losses, axis=0)
    point: NDArray[np.float64] = worst + np.where(span > 0, MARGIN * span, 1.0)
    return point


def cost_objective(objectives: tuple[Objective, ...]) -> Objective:
    """The first objective that is no accuracy; the first of all where there is none."""
    return next((o for o in objectives if o.metric not in ACCURACIES), objectives[0])


def _done(problem: Problem, complete: list[FrozenTrial]) -> tuple[Trial, ...]:
    """The trials with what is known of their designs, which are made from their choices."""
    designs = {t.number: problem.space.design({name: str(c) for name, c in t.params.items()}) for t in complete}
    raced = {t.number: decode(Accuracy, t.user_attrs[BEGINNING]) for t in complete if BEGINNING in t.user_attrs}
    whole = [number for number in designs if number not in raced]
    found = dict(zip(whole, map(_certain, problem.evaluations([designs[n] for n in whole], "search")), strict=True))
    for number, accuracy in raced.items():
        design = problem.folded(designs[number])
        found[number] = problem.combine(design, problem.price(design), (accuracy,))
    return tuple(_trial(problem, frozen, found[frozen.number]) for frozen in complete)


def _trial(problem: Problem, frozen: FrozenTrial, evaluation: Evaluation) -> Trial:
    """With what was measured of it, also where a sampler was told otherwise because it lost a race."""
    feasible = all(violation <= 0 for violation in frozen.constraints.values())
    origin, seconds = str(frozen.user_attrs["origin"]), float(frozen.user_attrs["seconds"])
    values = problem.values(evaluation) if BEGINNING in frozen.user_attrs else tuple(frozen.values)
    return Trial(frozen.number, origin, evaluation, values, feasible, seconds)


def _certain(found: Evaluation | DesignError) -> Evaluation:
    """The evaluation of a design that was evaluated before."""
    if isinstance(found, DesignError):
        raise found
    return found


def _losses(problem: Problem, some: tuple[Trial, ...]) -> NDArray[np.float64]:
    """`n x d`, every objective minimised."""
    return np.array([[o.loss(v) for o, v in zip(problem.objectives, t.values, strict=True)] for t in some])


def _front(problem: Problem, feasible: tuple[Trial, ...]) -> tuple[Trial, ...]:
    """The trials that no feasible one dominates, each design once, cheapest first."""
    mask = pareto.front(_losses(problem, feasible))
    kept: dict[str, Trial] = {}
    for trial, on_front in zip(feasible, mask, strict=True):
        if on_front:
            kept.setdefault(trial.evaluation.design.digest, trial)
    return tuple(sorted(kept.values(), key=lambda trial: (_cost(problem, trial), trial.number)))


def _cost(problem: Problem, trial: Trial) -> float:
    objective = cost_objective(problem.objectives)
    return objective.loss(trial.values[problem.objectives.index(objective)])


def _best(problem: Problem, front: tuple[Trial, ...], choice: Choice) -> int:
    """The cheapest design that loses at most what is allowed on the search split, else the most accurate.

    Of images `max_loss` of top-1; of text its perplexity is at most `max_perplexity_ratio` times the float network's.
    """
    goal = problem.float_accuracy("search")
    least = goal.goodness - (log(choice.max_perplexity_ratio) if goal.of_text else choice.max_loss)
    good_enough = [trial for trial in front if _goodness(trial) >= least]
    return (good_enough or [max(front, key=_goodness)])[0].number


def _goodness(trial: Trial) -> float:
    return trial.evaluation.accuracy("search").goodness


def _tested(
    problem: Problem, done: tuple[Trial, ...], numbers: set[int], report: Callable[[Progress], None]
) -> tuple[Trial, ...]:
    """`done`, those in `numbers` with their accuracy on the test split."""
    chosen = [trial for trial in done if trial.number in numbers]
    found = map(_certain, problem.evaluations([trial.evaluation.design for trial in chosen], "search", "test"))
    evaluations = {}
    for count, (trial, evaluation) in enumerate(zip(chosen, found, strict=True), 1):
        evaluations[trial.number] = evaluation
        report(Progress("test", count, len(chosen), f"trial {trial.number} on the test split"))
    return tuple(replace(trial, evaluation=evaluations.get(trial.number, trial.evaluation)) for trial in done)


def _sensitivities(
    problem: Problem, baseline: Trial | None, report: Callable[[Progress], None]
) -> tuple[Sensitivity, ...]:
    """Of the baseline; none where it could not be evaluated, which is one of the failures."""
    if baseline is None:
        return ()

    def tell(done: int, total: int, change: Change) -> None:
        report(Progress("sensitivity", done, total, f"{change.kind} of {change.place} as {change.quantizer.name}"))

    return sensitivities(problem, baseline.evaluation.design, tell)


def _trace(feasible: tuple[Trial, ...], volumes: NDArray[np.float64]) -> tuple[tuple[int, float], ...]:
    return tuple((trial.number, float(volume)) for trial, volume in zip(feasible, volumes, strict=True))


def _nothing(study: Study, done: tuple[Trial, ...], failures: tuple[tuple[int, str], ...]) -> str:
    if not done:
        return f"every design of study {study.name!r} failed; the first: {failures[0][1]}"
    bounds = ", ".join(constraint.metric for constraint in study.constraint_values)
    return f"none of the {len(done)} designs of study {study.name!r} meets the constraints on {bounds}"
