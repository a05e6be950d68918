"""Runs a search: proposes designs, evaluates them, writes the history, and stops when the budget is spent.

It can be killed at any moment. A trial that was running is taken up again with its number and its
choices; a design that was evaluated is found in the evaluation store; and because `Reseeded` has no
memory, the trials after it are those of a search that was never interrupted.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import Trial, TrialState

from hwdse.evaluation import Evaluation
from hwdse.metrics import metric
from hwdse.search.allocate import Allocation
from hwdse.search.history import resume, trials
from hwdse.search.problem import DesignError, Problem
from hwdse.search.sampler import ALLOCATING, Reseeded, origin

FINISHED = (TrialState.COMPLETE, TrialState.FAIL)


@dataclass(frozen=True, slots=True)
class Plan:
    """Which designs a search tries, and when it ends."""

    sampler: str  # grid, or a name in `sampler.SAMPLERS` or `sampler.ALLOCATING`
    seed: int
    trials: int | None  # in all; None is without limit
    minutes: float | None  # of evaluation, interrupted or not; None is without limit


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    stage: str  # search, or test
    done: int
    total: int | None
    text: str  # of the design that is done


def search(problem: Problem, plan: Plan, history: optuna.Study, report: Callable[[Progress], None]) -> None:
    """Runs or continues a search until `plan` ends it."""
    history.sampler = _sampler(problem, plan)
    for trial in _pending(history, plan):
        text = _work(trial, problem, plan)
        report(Progress("search", len(trials(history, *FINISHED)), plan.trials, text))


def _sampler(problem: Problem, plan: Plan) -> Reseeded:
    space = {d.name: CategoricalDistribution(d.choices) for d in problem.space.dimensions}
    if not space and plan.sampler != "grid":
        raise ValueError("a search needs a layer or an activation that 'first' and 'last' leave free")
    first = [problem.space.choices(pair) for pair in problem.space.uniform]
    allocation = Allocation(problem, plan.seed, len(first)) if plan.sampler in ALLOCATING else None
    return Reseeded("random" if plan.sampler == "grid" else plan.sampler, plan.seed, space, first, allocation)


def _pending(history: optuna.Study, plan: Plan) -> Iterator[Trial]:
    """The trials that a killed process left running, then new ones."""
    for left in trials(history, TrialState.RUNNING):
        yield resume(history, left)
    sampler = history.sampler
    while not _over(history, plan) and not (isinstance(sampler, Reseeded) and sampler.exhausted(history)):
        yield history.ask()


def _over(history: optuna.Study, plan: Plan) -> bool:
    known = trials(history)
    spent = sum(float(trial.user_attrs.get("seconds", 0.0)) for trial in known)
    return len(known) >= (plan.trials or float("inf")) or spent >= 60 * (plan.minutes or float("inf"))


def _work(trial: Trial, problem: Problem, plan: Plan) -> str:
    """Evaluates and tells one trial; what came of it in words."""
    start = time.monotonic()
    choices = {d.name: str(trial.suggest_categorical(d.name, d.choices)) for d in problem.space.dimensions}
    design = problem.space.design(choices)
    trial.set_user_attr("design", design.digest)
    trial.set_user_attr("origin", _origin(trial.number, problem, plan))
    try:
        evaluation = problem.evaluation(design, "search")
        values = problem.values(evaluation)
    except DesignError as failure:
        trial.set_user_attr("failure", str(failure))
        trial.set_user_attr("seconds", time.monotonic() - start)
        trial.study.tell(trial, state=TrialState.FAIL)
        return f"trial {trial.number} failed: {failure}"
    _constrain(trial, problem, evaluation)
    trial.set_user_attr("seconds", time.monotonic() - start)
    trial.study.tell(trial, values)
    return _words(trial.number, problem, values)


def _origin(number: int, problem: Problem, plan: Plan) -> str:
    if number == 0:
        return "baseline"
    first, dimensions = len(problem.space.uniform), len(problem.space.dimensions)
    return "uniform" if number < first else origin(plan.sampler, number, first, dimensions)


def _constrain(trial: Trial, problem: Problem, evaluation: Evaluation) -> None:
    known = trial.constraints  # of a trial that was interrupted after this
    for name, violation in problem.violations(evaluation).items():
        if name not in known:
            trial.set_constraint(name, violation)


def _words(number: int, problem: Problem, values: tuple[float, ...]) -> str:
    metrics = (metric(objective.metric) for objective in problem.objectives)
    return f"trial {number}: " + ", ".join(f"{m.label} {m.show(v)}" for m, v in zip(metrics, values, strict=True))
