"""From a design to its evaluation, paying for nothing twice.

What a search knows of networks and data is the `Evaluator` that is passed in; prices are pure and
always computed; accuracies and failures are kept in the evaluation store.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from hwdse.claims import Claims
from hwdse.cost import Cost
from hwdse.design import Design
from hwdse.evaluation import Accuracy, Evaluation
from hwdse.metrics import metric
from hwdse.result import Constraint, Objective
from hwdse.search.desk import DesignError as DesignError
from hwdse.search.desk import Desk, Found
from hwdse.space import Space
from hwdse.store import Store
from hwdse.where import Where
from hwdse.workers import Evaluator as Evaluator
from hwdse.workers import Executor, Job, Outcome
from hwdse.workers.in_process import InProcess
from hwdse.workload import Workload

FLOAT_BITS = 32
FLOAT = "float"  # stands for the unquantised network where a store wants a design's digest


Refold = Callable[[Workload, Design], Design]  # the design folded; ValueError where it has no price


@dataclass(frozen=True)
class Problem:
    """What to optimise over which designs, and how to evaluate one."""

    space: Space
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    where: Where
    evaluator: Evaluator
    store: Store
    hands: Executor | None = None  # who evaluates; None is `evaluator`, here
    claims: Claims | None = None  # in the store; None if no other process uses it
    refold: Refold | None = None  # how a design is folded that the space leaves unfolded; None if it leaves none

    @cached_property
    def context(self) -> str:
        """The evaluator's, which may take long to compute."""
        return self.evaluator.context

    @cached_property
    def executor(self) -> Executor:
        """Who evaluates."""
        return InProcess(self.evaluator) if self.hands is None else self.hands

    def evaluation(self, design: Design, *splits: str) -> Evaluation:
        """Everything about `design`, with its accuracy on `splits`; raises `DesignError`."""
        (found,) = self.evaluations([design], *splits)
        if isinstance(found, DesignError):
            raise found
        return found

    def evaluations(self, designs: Iterable[Design], *splits: str) -> Iterator[Found]:
        """The same for many, in their order: as many at a time as the executor can do together."""
        desk, done = Desk(self), dict[int, Found]()
        waiting, first = enumerate(designs), 0  # the next to give away
        while True:
            while len(desk) < self.executor.together and (item := next(waiting, None)) is not None:
                desk.put(*item, *splits)
            done.update(desk.take())
            if not done:
                return
            while first in done:
                yield done.pop(first)
                first += 1

    def folded(self, design: Design) -> Design:
        """`design` with a folding, its own if it has one; ValueError where it has no price."""
        if self.refold is None or len(design.folding) > 0:
            return design
        return self.refold(self.space.charged(design), design)

    def priced(self, design: Design) -> Evaluation:
        """`design`, folded, with its price alone: nothing is evaluated or written; ValueError where it has no price."""
        folded = self.folded(design)
        return Evaluation(folded, (), self.price(folded), (), self._weight_bits(folded))

    def float_accuracy(self, split: str) -> Accuracy:
        """Of the unquantised network on `split`."""
        known = self.store.accuracy(FLOAT, self.context, split)
        if known is None:
            known = self.evaluator.float_accuracy(split)
            self.store.put_accuracy(FLOAT, self.context, known)
        return known

    def values(self, evaluation: Evaluation) -> tuple[float, ...]:
        """The objectives on the search split; raises `DesignError` for one that is not finite."""
        values = tuple(float(metric(o.metric).read(evaluation, "search")) for o in self.objectives)
        for objective, value in zip(self.objectives, values, strict=True):
            if not math.isfinite(value):
                raise DesignError(f"objective {objective.metric!r} is {value}, which cannot be compared")
        return values

    def violations(self, evaluation: Evaluation) -> dict[str, float]:
        """How far each constraint is broken on the search split; 0 or less is feasible."""
        read = ((c, metric(c.metric).read(evaluation, "search")) for c in self.constraints)
        return {f"{i}.{c.metric}": c.violation(value) for i, (c, value) in enumerate(read)}

    def price(self, design: Design) -> Cost:
        """What `design` costs, folded where it has to be; ValueError where it has no price."""
        return self.where.cost(self.space.charged(design), design)

    def combine(self, design: Design, cost: Cost, accuracies: tuple[Accuracy, ...]) -> Evaluation:
        """The evaluation of `design`, with what was measured of it."""
        measured = self.store.measurements(design.digest, self.context, self.where.target.name)
        return Evaluation(design, accuracies, cost, measured, self._weight_bits(design))

    def known(self, job: Job) -> Accuracy | DesignError | None:
        """What the store has; all designs with equal logits share it: of any frame rate, and `e1mK` the integer's."""
        digest = job.design.digest
        if (accuracy := self.store.accuracy(digest, self.context, job.split)) is not None:
            return accuracy
        message = self.store.failure(digest, self.context)
        return None if message is None else DesignError(message)

    def keep(self, outcome: Outcome) -> Accuracy | DesignError:
        """Writes an outcome into the store, unless it says nothing about the design."""
        digest = outcome.job.design.digest
        if outcome.accuracy is not None:
            if outcome.job.race is None or outcome.accuracy.samples == len(outcome.job.race.rival):
                self.store.put_accuracy(digest, self.context, outcome.accuracy)
            return outcome.accuracy
        assert outcome.failure is not None
        if not outcome.died:
            self.store.put_failure(digest, self.context, outcome.failure)
        return DesignError(outcome.failure)

    def claim(self, job: Job) -> bool:
        """Whether a job is for this process to do."""
        return self.claims is None or self.claims.claim(self._subject(job))

    def release(self, job: Job) -> None:
        """Lets others do it."""
        if self.claims is not None:
            self.claims.release(self._subject(job))

    def _subject(self, job: Job) -> str:
        return f"{job.design.digest} {self.context} {job.split}"

    def _weight_bits(self, design: Design) -> int:
        bits, workload = (
            {layer: quantizer.format.bits for layer, quantizer in design.weights},
            self.space.charged(design),
        )
        return sum(a.weights * bits[a.name] for a in workload.weighted) + FLOAT_BITS * workload.float_weights
