"""Runs a search: proposes designs, has them evaluated, writes the history, and stops when the budget is spent.

It can be killed at any moment. A trial that was running is taken up again with its number and its
choices; a design that was evaluated is found in the evaluation store; and because `Reseeded` has no
memory, the trials after it are those of a search that was never interrupted.

With several workers a window of as many trials is under way as keeps them busy. Trials are told in the
order of their numbers, and each proposal follows one that was told: trial n knows the trials up to
n - window, whoever is faster. So a seed and a number of workers are a search too.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from hwdse.claims import Claims
from hwdse.codec import encode
from hwdse.cost import Cost
from hwdse.design import Design
from hwdse.evaluation import Evaluation
from hwdse.metrics import metric
from hwdse.racing import Race
from hwdse.search.allocate import Allocation
from hwdse.search.desk import POLL_SECONDS, DesignError, Desk, Found
from hwdse.search.history import FINISHED as FINISHED
from hwdse.search.history import resume, trials
from hwdse.search.problem import Problem
from hwdse.search.races import BEGINNING, Against, Races
from hwdse.search.sampler import ALLOCATING, Reseeded, origin


@dataclass(frozen=True, slots=True)
class Plan:
    """Which designs a search tries, and when it ends."""

    sampler: str  # grid, or a name in `sampler.SAMPLERS` or `sampler.ALLOCATING`
    seed: int
    trials: int | None  # in all; None is without limit
    minutes: float | None  # of searching, interrupted or not, all processes together; None is without limit
    confidence: float | None = None  # of races; None evaluates every design on all images


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    stage: str  # search, test, or sensitivity
    done: int
    total: int | None
    text: str  # of the design that is done


def search(
    problem: Problem,
    plan: Plan,
    history: optuna.Study,
    report: Callable[[Progress], None],
    claims: Claims | None = None,
) -> None:
    """Runs or continues a search until `plan` ends it; `claims` are to its trials, if other processes share them."""
    history.sampler = _sampler(problem, plan)
    _Search(problem, plan, history, report, claims).run()


class _Search:
    """The trials of this process: proposed, under way, told."""

    def __init__(
        self,
        problem: Problem,
        plan: Plan,
        history: optuna.Study,
        report: Callable[[Progress], None],
        claims: Claims | None,
    ) -> None:
        self._problem, self._plan, self._history, self._report = problem, plan, history, report
        self._claims = claims
        self._desk = Desk(problem)
        self._races = None if plan.confidence is None else Races(problem, plan.confidence)
        self._against: dict[int, Against] = {}  # of the running trials that race
        self._running: dict[int, Trial] = {}  # by number, from the proposal until it is told
        self._found: dict[int, Found] = {}  # what came of them
        self._since = time.monotonic()  # the last one was told, or the search began
        self._known: list[FrozenTrial] = []  # the trials of all processes when the last one was told
        self._asked = 0  # since then

    def run(self) -> None:
        """Until the budget is spent and no trial is left, here or elsewhere."""
        self._look()
        left = self._left()
        while True:
            self._fill(left)
            if self._running:
                self._tell_first()
            elif not self._unfinished():
                return
            elif not (left := self._left()):
                time.sleep(POLL_SECONDS)  # others are at work
                self._look()

    def _fill(self, left: list[Trial]) -> None:
        """Starts trials, left ones first, until there are enough to keep the executor busy."""
        while len(self._running) < self._problem.executor.capacity:
            trial = left.pop(0) if left else self._ask()
            if trial is None:
                return
            try:
                self._put(trial)
            except UpdateFinishedTrialError:  # by the process that had it until now
                self._release(trial._trial_id)
            else:
                self._running[trial.number] = trial

    def _put(self, trial: Trial) -> None:
        """Has the design of a trial evaluated; the baseline is always evaluated on all images."""
        design = self._proposed(trial)
        self._desk.put(trial.number, design, "search", race=lambda cost: self._race(trial.number, design, cost))

    def _race(self, number: int, design: Design, cost: Cost) -> Race | None:
        """Against the trials that are told before trial `number` is proposed, whoever is faster."""
        if self._races is None or number == 0:
            return None
        told = [trial for trial in self._known if trial.number <= number - self._problem.executor.capacity]
        if (against := self._races.of(design, cost, told)) is None:
            return None
        self._against[number] = against
        return against.race

    def _ask(self) -> Trial | None:
        """A new trial; None when there are enough. One too many, of processes that ask at once, is left alone."""
        while not self._over():
            trial = self._history.ask()
            self._asked += 1
            if self._plan.trials is not None and trial.number >= self._plan.trials:
                self._look()
                return None
            if self._claim(trial._trial_id):
                return trial
        return None

    def _over(self) -> bool:
        """Whether the budget is spent, or there is nothing left to propose."""
        spent = sum(float(trial.user_attrs.get("seconds", 0.0)) for trial in self._known)
        count = len(self._known) + self._asked
        if count >= (self._plan.trials or float("inf")) or spent >= 60 * (self._plan.minutes or float("inf")):
            return True
        sampler = self._history.sampler
        return isinstance(sampler, Reseeded) and sampler.exhausted(self._history)

    def _left(self) -> list[Trial]:
        """The trials that a killed process left running, and that are nobody else's."""
        running = [trial for trial in self._unfinished() if trial.number not in self._running]
        return [resume(self._history, trial) for trial in running if self._claim(trial._trial_id)]

    def _unfinished(self) -> list[FrozenTrial]:
        """The running trials of the budget, of all processes."""
        end = self._plan.trials
        return [trial for trial in trials(self._history, TrialState.RUNNING) if end is None or trial.number < end]

    def _claim(self, trial: int) -> bool:
        return self._claims is None or self._claims.claim(f"trial {trial}")

    def _release(self, trial: int) -> None:
        if self._claims is not None:
            self._claims.release(f"trial {trial}")

    def _proposed(self, trial: Trial) -> Design:
        """The design of a trial, whose choices are written down with it."""
        problem = self._problem
        choices = {d.name: str(trial.suggest_categorical(d.name, d.choices)) for d in problem.space.dimensions}
        design = problem.space.design(choices)
        trial.set_user_attr("origin", _origin(trial.number, problem, self._plan))
        return design

    def _tell_first(self) -> None:
        """Waits for the first of the running trials and tells it; the others wait for their turn."""
        number = min(self._running)
        while number not in self._found:
            self._found |= self._desk.take()
        trial = self._running.pop(number)
        with suppress(UpdateFinishedTrialError):  # another process took this one for dead and was faster
            text = self._tell(trial, self._found.pop(number))
            self._look()
            finished = sum(trial.state in FINISHED for trial in self._known)
            self._report(Progress("search", finished, self._plan.trials, text))
        self._release(trial._trial_id)

    def _look(self) -> None:
        """Reads the history, which costs as much as a trial on a small network, once for each that is told."""
        self._known, self._asked = trials(self._history), 0

    def _tell(self, trial: Trial, found: Found) -> str:
        """Writes down what came of a trial; the same in words. Whatever else may follow a result belongs here."""
        try:
            values = self._values(found)
        except DesignError as failure:
            trial.set_user_attr("failure", str(failure))
            trial.set_user_attr("seconds", self._seconds())
            self._history.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
            return f"trial {trial.number} failed: {failure}"
        assert isinstance(found, Evaluation)
        trial.set_user_attr("design", found.design.digest)
        accuracy, against = found.accuracy("search"), self._against.pop(trial.number, None)
        if self._races is not None and against is not None and accuracy.count < len(against.race.rival):
            trial.set_user_attr(BEGINNING, encode(accuracy))
            values = self._races.told(values, against)
        _constrain(trial, self._problem, found)
        trial.set_user_attr("seconds", self._seconds())
        self._history.tell(trial, values, skip_if_finished=True)
        return _words(trial.number, self._problem, values)

    def _values(self, found: Found) -> tuple[float, ...]:
        if isinstance(found, DesignError):
            raise found
        return self._problem.values(found)

    def _seconds(self) -> float:
        """Of this search since it told the trial before: all trials together have the time that all searches took."""
        before, self._since = self._since, time.monotonic()
        return self._since - before


def _sampler(problem: Problem, plan: Plan) -> Reseeded:
    space = {d.name: CategoricalDistribution(d.choices) for d in problem.space.dimensions}
    if not space and plan.sampler != "grid":
        raise ValueError("a search needs a layer or an activation that 'first' and 'last' leave free")
    first = [problem.space.choices(pair) for pair in problem.space.uniform]
    allocation = Allocation(problem, plan.seed, len(first)) if plan.sampler in ALLOCATING else None
    return Reseeded("random" if plan.sampler == "grid" else plan.sampler, plan.seed, space, first, allocation)


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
