"""Designs on their way to an evaluation: looked up, claimed, evaluated by an executor, kept.

A search puts designs on the desk and takes them from it when they are done, in any order. A design whose
accuracy is known costs nothing; one that another process is evaluating is waited for; two designs with
equal numerics are one job.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwdse.cost import Cost
from hwdse.design import Design
from hwdse.evaluation import Accuracy, Evaluation
from hwdse.racing import Race
from hwdse.workers import Job, Outcome

if TYPE_CHECKING:
    from hwdse.search.problem import Problem

POLL_SECONDS = 0.1  # between two looks at what others are evaluating


class DesignError(ValueError):
    """A design that cannot be evaluated; its text says why in one sentence."""


Found = Evaluation | DesignError
Racing = Callable[[Cost], Race | None]  # the race of a design that costs so much


def never(cost: Cost) -> None:
    """No race."""


@dataclass(frozen=True, slots=True)
class _Order:
    """A design that was put on the desk."""

    design: Design
    cost: Cost
    jobs: tuple[Job, ...]  # one for each split


class Desk:
    """The designs of one problem that are being evaluated, by the number that each was put down with."""

    def __init__(self, problem: "Problem") -> None:
        self._problem = problem
        self._orders: dict[int, _Order] = {}
        self._done: dict[int, Found] = {}  # not yet taken
        self._results: dict[Job, Accuracy | DesignError] = {}  # that an order needs
        self._others: list[Job] = []  # claimed by other processes

    def __len__(self) -> int:
        return len(self._orders) + len(self._done)

    def put(self, number: int, design: Design, *splits: str, race: Racing = never) -> None:
        """Folds and prices a design, then starts to find its accuracy on `splits`, in the `race` its cost asks for."""
        try:
            with failing():
                design = self._problem.folded(design)
                cost = self._problem.price(design)
        except DesignError as failure:
            self._done[number] = failure
            return
        against = race(cost)
        self._problem.store.add(design)
        jobs = tuple(Job(design.numerics, split, against) for split in splits)
        self._orders[number] = _Order(design, cost, jobs)
        for job in jobs:
            self._begin(job)
        self._settle()

    def take(self) -> dict[int, Found]:
        """What is done; waits until something is, unless the desk is empty."""
        while self._orders and not self._done:
            outcomes = self._problem.executor.collect(POLL_SECONDS if self._others else None)
            for outcome in outcomes:
                self._keep(outcome)
            self._look_again(self._others if outcomes else self._open)
            self._settle()
        done, self._done = self._done, {}
        return done

    def _begin(self, job: Job) -> None:
        """Answers a job from the store, gives it to the executor, or leaves it to the process that claims it."""
        if job in self._results or job in self._others:
            return
        if (known := self._problem.known(job)) is not None:
            self._results[job] = known
        elif not self._problem.claim(job):
            self._others.append(job)
        elif (known := self._problem.known(job)) is not None:  # by the process that had the claim until now
            self._problem.release(job)
            self._results[job] = known
        else:
            self._problem.store.add(job.design)
            self._problem.executor.submit(job)

    def _keep(self, outcome: Outcome) -> None:
        """Writes an outcome down; that a worker died says nothing about a design, so that it is not kept."""
        self._results[outcome.job] = self._problem.keep(outcome)
        self._problem.release(outcome.job)

    @property
    def _open(self) -> list[Job]:
        """The jobs without a result."""
        jobs = (job for order in self._orders.values() for job in order.jobs)
        return [job for job in dict.fromkeys(jobs) if job not in self._results]

    def _look_again(self, jobs: list[Job]) -> None:
        """Looks for what others have evaluated, or given up."""
        self._others = []
        for job in jobs:
            self._begin(job)

    def _settle(self) -> None:
        """Moves the orders with all their accuracies to what is done."""
        for number, order in list(self._orders.items()):
            results = [self._results.get(job) for job in order.jobs]
            failure = next((result for result in results if isinstance(result, DesignError)), None)
            if failure is not None or all(result is not None for result in results):
                accuracies = tuple(result for result in results if isinstance(result, Accuracy))
                self._done[number] = failure or self._problem.combine(order.design, order.cost, accuracies)
                del self._orders[number]
        needed = {job for order in self._orders.values() for job in order.jobs}
        self._results = {job: result for job, result in self._results.items() if job in needed}


@contextmanager
def failing() -> Iterator[None]:
    """Says that it is a design that cannot be evaluated."""
    try:
        yield
    except ValueError as error:
        raise DesignError(str(error)) from error
