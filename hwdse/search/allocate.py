"""The sampler `allocate`: sensitivities, then the designs that a model of them expects to widen the front most.

Trial n is a function of the trials before it and the seed: the uniform designs; then for each dimension the baseline
with one choice changed (a sensitivity); then designs in batches. For a batch a Gaussian process (`surrogate`)
is fitted to the log losses of all that was evaluated; its additive part goes with additive prices into
mixed-integer programs (`allocation`), whose front, with the front that is known and the neighbours of both, is
ranked by the hypervolume that a design is expected to add (`improvement`), first at costs that a process of their own
guesses, then, the best of them, at exact prices. So what is not additive is corrected: the process sees every result.

The accuracy that is modelled is the loss even where `top1` is the objective, because images that are right or wrong
say less; only `sqnr` is modelled itself. Constraints on costs are met by every sensitivity and every design after it;
what breaks a constraint on an accuracy is known only after the evaluation, and then counts as no part of the front.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, product
from math import prod

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from hwdse.metrics import ACCURACIES
from hwdse.search import improvement, surrogate
from hwdse.search.allocation import Point, front
from hwdse.search.costs import Costs, scaled
from hwdse.search.harms import Known, harm, harms, known
from hwdse.search.problem import Problem

Array = NDArray[np.float64]

BATCH = 20  # of so many evaluations one more is proposed before the model is fitted again
FITTED = 256  # evaluations that the model sees: those nearest to the front
PROGRAMS = 6  # points of the front of each additive problem
POOL = 4096  # designs that are ranked at guessed prices
PRICED = 16  # designs that are ranked at exact prices, for each that is proposed
FEWEST = 32  # of these
LARGE = 6  # proposals at once, of which some are not the model's
BRED = 3  # of so many the last is bred from the front
AROUND = 16  # of the best designs, whose neighbours join
TRIES = 10_000  # designs without promise that are looked at before a space counts as exhausted; all of a small one


@dataclass(frozen=True, slots=True)
class Guess:
    """What designs are thought to lose and to cost."""

    harms: surrogate.Surrogate
    costs: tuple[surrogate.Surrogate, ...]  # scaled

    def costs_of(self, points: surrogate.Points) -> Array:
        """`n x k`."""
        return np.column_stack([cost.predict(points)[0] for cost in self.costs])


@dataclass(frozen=True)
class Allocation:
    """Proposes designs of `problem`; `first` is how many given ones come before."""

    problem: Problem
    seed: int
    first: int
    _plans: dict[tuple[int, frozenset[Point]], tuple[Point, ...]] = field(default_factory=dict)
    _harms: dict[Point, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        metrics = [objective.metric for objective in self.problem.objectives]
        accuracies = [name for name in metrics if name in ACCURACIES]
        if len(accuracies) != 1 or len(metrics) < 2:
            raise ValueError(
                f"sampler 'allocate' weighs one accuracy ({', '.join(ACCURACIES)}) against one or more costs,"
                f" not {' and '.join(metrics)}"
            )

    @cached_property
    def costs(self) -> Costs:
        """The prices of designs."""
        return Costs(self.problem)

    def choices(self, history: Sequence[FrozenTrial], number: int) -> dict[str, str]:
        """Of trial `number`, after `history`, which may have trials that are running."""
        point = self.proposal(history, number)
        return self.costs.choices(self._baseline if point is None else point)

    def proposal(self, history: Sequence[FrozenTrial], number: int) -> Point | None:
        """The design of trial `number`, which no trial has; None where all that meet the constraints were tried."""
        seen = self._seen(history, number)
        for start in (self._start(number), number):
            plan = self._plan([trial for trial in history if trial.number < start], start, seen)
            if (point := next((point for point in plan if point not in seen), None)) is not None:
                return point
        return next(self._left(seen), None)

    def _seen(self, history: Iterable[FrozenTrial], number: int) -> frozenset[Point]:
        """What was proposed, also what is running; a trial that is asked for again does not count itself."""
        whole = (t for t in history if t.number != number and len(t.params) == len(self.costs.dimensions))
        return frozenset(self.costs.point(trial.params) for trial in whole)

    def _start(self, number: int) -> int:
        """The first trial of the batch that trial `number` is in."""
        start = self.first + len(self.costs.dimensions)
        if number < start:
            return self.first
        while (after := start + _batch(start)) <= number:
            start = after
        return start

    def _plan(self, history: Sequence[FrozenTrial], start: int, seen: frozenset[Point]) -> tuple[Point, ...]:
        """The designs of the batch that starts with trial `start`, from what was known before it."""
        done = [trial for trial in history if trial.state is TrialState.COMPLETE]
        key = start, frozenset(self.costs.point(trial.params) for trial in done)
        if key not in self._plans:
            found = known(self.problem, self.costs, done, self._harms)
            before = self._seen(history, start)
            self._plans[key] = tuple(self._planned(found, before, start))
        return self._plans[key]

    def _planned(self, found: Known, seen: frozenset[Point], start: int) -> Iterator[Point]:
        if start < self.first + len(self.costs.dimensions):
            yield from self._probes(found)
        elif len(found.points) > 1:
            yield from self._promising(found, seen, start)

    # ---- sensitivities ---------------------------------------------------------------------------

    def _probes(self, found: Known) -> Iterator[Point]:
        """Per dimension the baseline with the choice that is thought to harm most, of those that are allowed."""
        base = self._baseline
        for dimension, row in enumerate(harms(found, self.costs)):
            for choice in np.argsort(-row, kind="stable"):
                point = (*base[:dimension], int(choice), *base[dimension + 1 :])
                if point != base and self._allowed(point):
                    yield point
                    break

    # ---- what the model expects most of ----------------------------------------------------------

    def _promising(self, found: Known, seen: frozenset[Point], start: int) -> Iterator[Point]:
        """The designs of a batch: each is the best one if those before it turn out as expected.

        A model that is sure of what it has not seen misses whole parts of the front, so some are bred without it.
        """
        nearest = found.nearest(FITTED)
        features = harms(found, self.costs)
        model = Guess(
            surrogate.fit(nearest.points, nearest.harms, features), self._priced_like(nearest, found.reference)
        )
        best = found.front
        random = np.random.default_rng([self.seed, start])
        pool = self._pool(model, found, seen, random)
        exact = list(islice(filter(self._allowed, pool), max(FEWEST, PRICED * _batch(start))))
        if not exact:
            return
        costs = scaled(np.array([self._price(point) for point in exact]))
        mean, spread = model.harms.predict(np.array(exact))
        left = np.ones(len(exact), bool)
        bred = self._bred(found, seen, random)
        for number in range(min(2 * _batch(start), len(exact))):
            if _batch(start) >= LARGE and number % BRED == BRED - 1:
                yield from islice(bred, 1)
                continue
            gain = np.where(left, improvement.expected(best, costs, mean, spread, log=found.log), -1.0)
            chosen = int(gain.argmax())
            left[chosen] = False
            best = best.joined(float(harm(mean[chosen], log=found.log)), costs[chosen])
            yield exact[chosen]

    def _priced_like(self, nearest: Known, middle: Point) -> tuple[surrogate.Surrogate, ...]:
        """A model of each cost, because to rank thousands of designs exact prices would take too long."""
        around = [point for point in self._neighbours(middle) if self.costs.of(point) is not None]
        points = np.vstack((nearest.points, np.array(around, np.intp).reshape(-1, len(middle))))
        costs = np.vstack((nearest.costs, scaled(np.array([self._price(point) for point in around]))))
        own = np.abs(self._price(middle)) + 1
        shares = [table / own for table in self.costs.tables(middle)]
        each = range(costs.shape[1])
        return tuple(surrogate.fit(points, costs[:, k], [share[:, k] for share in shares]) for k in each)

    def _pool(self, model: Guess, found: Known, seen: frozenset[Point], random: np.random.Generator) -> list[Point]:
        """New designs, the best first at guessed prices."""
        starts = [*found.best, *self._allocated(model, found)]
        some = self._ranked(model, found, self._near(starts, seen, random))
        return self._ranked(model, found, {*some, *self._near(some[:AROUND], seen, random)})

    def _allocated(self, model: Guess, found: Known) -> Iterator[Point]:
        """The fronts of the model's additive part against each cost, and against all of them as shares."""
        effects, tables = model.harms.effects(np.array(found.best)), self.costs.tables(found.reference)
        spans = sum(np.ptp(table, axis=0) for table in tables) + 1e-12
        shares = [table / spans for table in tables]
        for cost in range(shares[0].shape[1]):
            yield from front(effects, [table[:, cost] for table in shares], PROGRAMS)
        if shares[0].shape[1] > 1:
            yield from front(effects, [table.sum(axis=1) for table in shares], PROGRAMS)

    def _near(self, starts: Sequence[Point], seen: frozenset[Point], random: np.random.Generator) -> list[Point]:
        """`starts`, all designs with one other choice, and as many with two or three; those that are new."""
        single = {point: None for start in starts for point in (start, *self._neighbours(start))}
        several = {self._mutant(starts[int(random.integers(len(starts)))], random): None for _ in range(len(single))}
        new = [point for point in {**single, **several} if point not in seen]
        return new if len(new) <= POOL else [new[i] for i in np.sort(random.choice(len(new), POOL, replace=False))]

    def _bred(self, found: Known, seen: frozenset[Point], random: np.random.Generator) -> Iterator[Point]:
        """New designs that meet the constraints: of each choice one of two parents on the front, or any, rarely."""
        front = np.array(found.best)
        for _ in range(TRIES):
            parents = front[random.integers(len(front), size=2)]
            child = np.where(random.random(len(self._sizes)) < 0.5, *parents)
            changed = random.random(len(self._sizes)) < 1 / len(self._sizes)
            point = tuple(map(int, np.where(changed, random.integers(self._sizes), child)))
            if point not in seen and self._allowed(point):
                yield point

    def _neighbours(self, point: Point) -> Iterator[Point]:
        for dimension, size in enumerate(self._sizes):
            others = (choice for choice in range(size) if choice != point[dimension])
            yield from ((*point[:dimension], choice, *point[dimension + 1 :]) for choice in others)

    def _mutant(self, point: Point, random: np.random.Generator) -> Point:
        changed = list(point)
        for dimension in random.choice(len(point), min(len(point), int(random.integers(2, 4))), replace=False):
            changed[dimension] = int(random.integers(self._sizes[dimension]))
        return tuple(changed)

    def _ranked(self, model: Guess, found: Known, points: Iterable[Point]) -> list[Point]:
        """The best first, at the costs that are thought to be theirs."""
        some = sorted(points)
        if not some:
            return []
        array = np.array(some)
        mean, spread = model.harms.predict(array)
        gain = improvement.expected(found.front, model.costs_of(array), mean, spread, log=found.log)
        return [some[i] for i in np.argsort(-gain, kind="stable")]

    # ---- prices ----------------------------------------------------------------------------------

    @property
    def _baseline(self) -> Point:
        return self.costs.uniform[0]

    @cached_property
    def _sizes(self) -> tuple[int, ...]:
        return tuple(len(dimension.choices) for dimension in self.costs.dimensions)

    def _price(self, point: Point) -> Array:
        price = self.costs.of(point)
        return np.array(() if price is None else price.costs)

    def _allowed(self, point: Point) -> bool:
        price = self.costs.of(point)
        return price is not None and price.allowed

    def _left(self, seen: frozenset[Point]) -> Iterator[Point]:
        """What nobody expects anything of: all designs in order, or of a large space some at random."""
        tries = TRIES + len(seen)
        if prod(self._sizes) <= tries:
            some: Iterable[Point] = product(*map(range, self._sizes))
        else:
            points = np.random.default_rng([self.seed, len(seen)]).integers(self._sizes, size=(tries, len(self._sizes)))
            some = (tuple(map(int, point)) for point in points)
        yield from (point for point in some if point not in seen and self._allowed(point))


def _batch(start: int) -> int:
    return max(1, start // BATCH)
