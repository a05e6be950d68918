"""From a design to its evaluation, paying for nothing twice.

What a search knows of networks and data is the `Evaluator` that is passed in; prices are pure and
always computed; accuracies and failures are kept in the evaluation store.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from hwdse.cost_model import CostModel
from hwdse.design import Design
from hwdse.evaluation import Accuracy, Evaluation
from hwdse.metrics import metric
from hwdse.result import Constraint, Objective
from hwdse.space import Space
from hwdse.store import Store
from hwdse.target import FpgaTarget

FLOAT = "float"  # stands for the unquantised network where a store wants a design's digest


class Evaluator(Protocol):
    """Finds out accuracies. Equal arguments give equal answers; ValueError is a design that has none."""

    @property
    def context(self) -> str:
        """A digest of everything else that an accuracy depends on: weights, data, library versions."""

    def float_accuracy(self, split: str) -> Accuracy:
        """Of the unquantised network on a data split."""

    def accuracy(self, design: Design, split: str) -> Accuracy:
        """Of the network quantised by `design` on a data split."""


class DesignError(ValueError):
    """A design that cannot be evaluated; its text says why in one sentence."""


@dataclass(frozen=True)
class Problem:
    """What to optimise over which designs, and how to evaluate one."""

    space: Space
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    model: CostModel
    target: FpgaTarget
    clock_mhz: float
    evaluator: Evaluator
    store: Store

    @cached_property
    def context(self) -> str:
        """The evaluator's, which may take long to compute."""
        return self.evaluator.context

    def evaluation(self, design: Design, *splits: str) -> Evaluation:
        """Everything about `design`, with its accuracy on `splits`; raises `DesignError`."""
        with _failing():
            cost = self.model.cost(self.space.workload, design, self.target, self.clock_mhz)
        self.store.add(design)
        accuracies = tuple(self._accuracy(design, split) for split in splits)
        measured = self.store.measurements(design.digest, self.context, self.target.name)
        return Evaluation(design, accuracies, cost, measured, self._weight_bits(design))

    def priced(self, design: Design) -> Evaluation:
        """`design` with its price alone: nothing is evaluated or written; ValueError where it has no price."""
        cost = self.model.cost(self.space.workload, design, self.target, self.clock_mhz)
        return Evaluation(design, (), cost, (), self._weight_bits(design))

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

    def _accuracy(self, design: Design, split: str) -> Accuracy:
        """Kept for all designs with equal logits: frame rates share it, and `e1mK` shares the integer's."""
        design = design.numerics
        if (known := self.store.accuracy(design.digest, self.context, split)) is not None:
            return known
        if (message := self.store.failure(design.digest, self.context)) is not None:
            raise DesignError(message)
        self.store.add(design)
        try:
            with _failing():
                accuracy = self.evaluator.accuracy(design, split)
        except DesignError as failure:
            self.store.put_failure(design.digest, self.context, str(failure))
            raise
        self.store.put_accuracy(design.digest, self.context, accuracy)
        return accuracy

    def _weight_bits(self, design: Design) -> int:
        bits = {layer: quantizer.format.bits for layer, quantizer in design.weights}
        return sum(layer.weights * bits[layer.name] for layer in self.space.workload.weighted)


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise DesignError(str(error)) from error
