"""What designs cost: prices are pure and cheap beside an evaluation, so a search may ask for those of any design.

The price of a network is not quite the sum of its layers' (what they are made of is chosen for all together), so there
are two: `of`, the exact one, and `tables`, which add up, to be optimised over before the exact one is asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwdse.evaluation import Evaluation
from hwdse.metrics import ACCURACIES, metric
from hwdse.result import Constraint, Objective
from hwdse.search.allocation import Point
from hwdse.search.problem import Problem
from hwdse.space import Dimension

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Price:
    """The cost objectives of a design, and whether it meets the constraints on costs."""

    costs: tuple[float, ...]  # each so that less is better
    allowed: bool


@dataclass(frozen=True)
class Costs:
    """The prices of the designs of a problem, each asked for once."""

    problem: Problem
    _known: dict[Point, Price | None] = field(default_factory=dict)

    @cached_property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives that are known without an evaluation."""
        return tuple(o for o in self.problem.objectives if o.metric not in ACCURACIES)

    @cached_property
    def constraints(self) -> tuple[Constraint, ...]:
        """The constraints that are known without an evaluation."""
        return tuple(c for c in self.problem.constraints if c.metric not in ACCURACIES)

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """What a design chooses."""
        return self.problem.space.dimensions

    @cached_property
    def uniform(self) -> tuple[Point, ...]:
        """The uniform designs, the baseline first."""
        space = self.problem.space
        return tuple(self.point(space.choices(pair)) for pair in space.uniform)

    def of(self, point: Point) -> Price | None:
        """Of the design with these choices; None where it has no price."""
        if point not in self._known:
            self._known[point] = self._priced(point)
        return self._known[point]

    def tables(self, base: Point) -> tuple[Array, ...]:
        """Per dimension `choices x costs`: what a choice adds when it alone leaves `base`; without a price, too much.

        ValueError if `base` has no price.
        """
        if (own := self.of(base)) is None:
            raise ValueError(f"the design {', '.join(self.choices(base).values())} has no price")
        sizes = [len(dimension.choices) for dimension in self.dimensions]
        rows = [self._row(base, dimension, size) - np.array(own.costs) for dimension, size in enumerate(sizes)]
        return tuple(np.where(np.isnan(row), 2 * np.nanmax(np.abs(row), axis=0) + 1, row) for row in rows)

    def choices(self, point: Point) -> dict[str, str]:
        """What a trial has."""
        return {d.name: d.choices[choice] for d, choice in zip(self.dimensions, point, strict=True)}

    def point(self, choices: Mapping[str, str]) -> Point:
        """The choices of a trial as numbers."""
        return tuple(d.choices.index(choices[d.name]) for d in self.dimensions)

    def _row(self, base: Point, dimension: int, size: int) -> Array:
        """`choices x costs` of `base` with each choice of a dimension, NaN without a price."""
        changed = [self.of((*base[:dimension], choice, *base[dimension + 1 :])) for choice in range(size)]
        nothing = [np.nan] * len(self.objectives)
        return np.array([nothing if price is None else price.costs for price in changed])

    def _priced(self, point: Point) -> Price | None:
        try:
            evaluation = self.problem.priced(self.problem.space.design(self.choices(point)))
        except ValueError:  # as `DesignError` of a trial: the design has no price
            return None
        read = tuple(o.loss(metric(o.metric).read(evaluation, "search")) for o in self.objectives)
        return Price(read, self._allowed(evaluation))

    def _allowed(self, evaluation: Evaluation) -> bool:
        values = ((c, metric(c.metric).read(evaluation, "search")) for c in self.constraints)
        return all(c.violation(value) <= 0 for c, value in values)


def scaled(costs: Array) -> Array:
    """`costs` on a scale where equal shares count alike: the logarithm of one more, with the sign."""
    found: Array = np.sign(costs) * np.log1p(np.abs(costs))
    return found
