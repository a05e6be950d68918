"""Who a design races against: see `hwdse.racing`.

All follows from the history, so that a search that is continued goes on with the same races.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from hwdse.cost import Cost
from hwdse.design import Design
from hwdse.metrics import metric
from hwdse.racing import RACED, Race
from hwdse.result import Objective
from hwdse.search.problem import Problem
from hwdse.workers import Racer

BEGINNING = "beginning"  # the accuracy of a trial that lost its race, on the first images


@dataclass(frozen=True, slots=True)
class Against:
    """A race, and what its rival reached."""

    race: Race
    value: float  # of the raced objective, on all images


@dataclass(frozen=True, slots=True)
class Races:
    """The races of one search."""

    problem: Problem
    confidence: float

    def of(self, design: Design, cost: Cost, known: Sequence[FrozenTrial]) -> Against | None:
        """The race of `design`, which costs `cost`; None where no trial of `known` costs as little in everything.

        The rival is the most accurate of those that do: only a design that beats it joins the front.
        """
        raced = raced_objective(self.problem.objectives)
        costs = self._costs(design, cost)
        cheaper = [trial for trial in known if _counts(trial) and self._covers(trial, costs)]
        if not cheaper:
            return None
        objective = self.problem.objectives[raced]
        best = min(cheaper, key=lambda trial: (objective.loss(trial.values[raced]), trial.number))
        rival = self.problem.space.design({name: str(choice) for name, choice in best.params.items()})
        evaluator = self.problem.evaluator
        assert isinstance(evaluator, Racer), "a study's evaluator is one"
        penalties = evaluator.penalties(rival.numerics, "search", objective.metric)
        race = Race(objective.metric, penalties, self.confidence, rival.numerics.digest)
        return Against(race, best.values[raced])

    def told(self, values: tuple[float, ...], against: Against) -> tuple[float, ...]:
        """What a sampler is told of a design that lost: no better than its rival, whatever the first images say."""
        raced = raced_objective(self.problem.objectives)
        worse = max(values[raced], against.value, key=self.problem.objectives[raced].loss)
        return (*values[:raced], worse, *values[raced + 1 :])

    def _costs(self, design: Design, cost: Cost) -> tuple[float | None, ...]:
        """The losses of the objectives that are costs; None is the one that is raced."""
        evaluation = self.problem.combine(design, cost, ())
        raced = raced_objective(self.problem.objectives)
        return tuple(
            None if i == raced else o.loss(float(metric(o.metric).read(evaluation, "search")))
            for i, o in enumerate(self.problem.objectives)
        )

    def _covers(self, trial: FrozenTrial, costs: tuple[float | None, ...]) -> bool:
        pairs = zip(self.problem.objectives, trial.values, costs, strict=True)
        return all(mine is None or objective.loss(value) <= mine for objective, value, mine in pairs)


def raced_objective(objectives: Sequence[Objective]) -> int:
    """The number of the one objective that is found out image by image; ValueError where there is not one."""
    found = [i for i, objective in enumerate(objectives) if objective.metric in RACED]
    if len(found) != 1:
        shown = " and ".join(objectives[i].metric for i in found) or "none"
        raise ValueError(f"a race is on one objective of {', '.join(RACED)}, not on {shown}")
    return found[0]


def _counts(trial: FrozenTrial) -> bool:
    """Whether `trial` was evaluated on all images and keeps the constraints."""
    whole = trial.state is TrialState.COMPLETE and BEGINNING not in trial.user_attrs
    return whole and all(violation <= 0 for violation in trial.constraints.values())
