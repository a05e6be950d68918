"""What evaluated designs lose, as the model of `allocate` sees it, and what each choice is thought to do alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from hwdse import pareto
from hwdse.codec import decode
from hwdse.evaluation import Accuracy
from hwdse.search.allocation import Point
from hwdse.search.costs import Costs, scaled
from hwdse.search.improvement import Front
from hwdse.search.problem import Problem
from hwdse.search.races import BEGINNING

Array = NDArray[np.float64]

MARGIN = 0.1  # of the range of each objective, between the worst that counts and the reference point


@dataclass(frozen=True, eq=False)
class Known:
    """Evaluated designs."""

    points: NDArray[np.intp]  # n x dimensions
    harms: Array  # n: log losses, or with `log` false the SQNR with a minus
    costs: Array  # n x k, scaled
    feasible: NDArray[np.bool_]  # n: all constraints are met
    log: bool

    @cached_property
    def front(self) -> Front:
        """Of what is feasible, within what counts: no more harm than on the front, no more cost than was seen."""
        values, costs = self._counted
        kept = pareto.front(np.column_stack((values, costs)))
        worst = np.append(values[kept].max(), costs.max(axis=0))
        span = worst - np.append(values.min(), costs.min(axis=0))
        return Front.of(values, costs, worst + np.where(span > 0, MARGIN * span, 1.0))

    @cached_property
    def best(self) -> tuple[Point, ...]:
        """The designs of the front, or where nothing is feasible all."""
        points = self.points[self._some]
        kept = pareto.front(np.column_stack(self._counted))
        return tuple(tuple(map(int, point)) for point in points[kept])

    @property
    def middle(self) -> Point:
        """The design of `best` that as many of it are dearer as cheaper than, by the first cost."""
        points = self.points[self._some]
        kept = np.flatnonzero(pareto.front(np.column_stack(self._counted)))
        order = kept[np.argsort(self._counted[1][kept, 0], kind="stable")]
        return tuple(map(int, points[order[len(order) // 2]]))

    def nearest(self, count: int) -> "Known":
        """The designs that lose least against the front at their cost."""
        if len(self.harms) <= count:
            return self
        return self._of(np.sort(np.argsort(self._gaps, kind="stable")[:count]))

    @property
    def reference(self) -> Point:
        """A design near the middle of the front: the same for a while, because its neighbours are all priced."""
        return self._of(np.arange(1 << len(self.harms).bit_length() - 1)).middle

    def _of(self, some: NDArray[np.intp]) -> "Known":
        return Known(self.points[some], self.harms[some], self.costs[some], self.feasible[some], self.log)

    @property
    def _some(self) -> NDArray[np.bool_]:
        return self.feasible if self.feasible.any() else np.ones(len(self.harms), bool)

    @property
    def _counted(self) -> tuple[Array, Array]:
        return harm(self.harms[self._some], log=self.log), self.costs[self._some]

    @property
    def _gaps(self) -> Array:
        """How much more harm than the best design that costs no more."""
        dearer = (self.costs[:, None] >= self.costs[None]).all(axis=2)
        best: Array = np.where(dearer, self.harms[None], np.inf).min(axis=1)
        return self.harms - best


def harm(modelled: Array, *, log: bool) -> Array:
    """What is modelled as it counts on the front."""
    return np.exp(modelled) if log else modelled


def known(problem: Problem, costs: Costs, done: Sequence[FrozenTrial], memory: dict[Point, float]) -> Known:
    """Of the trials that are complete, each design once; `memory` keeps what was read before."""
    trials = {costs.point(trial.params): trial for trial in done}
    for point, trial in trials.items():
        if point not in memory:
            memory[point] = _read(problem, trial)
    some = [point for point in trials if np.isfinite(memory[point])]
    prices = [costs.of(point) for point in some]
    return Known(
        np.array(some, np.intp).reshape(len(some), len(costs.dimensions)),
        np.array([memory[point] for point in some]),
        scaled(np.array([price.costs for price in prices if price is not None])),
        np.array([all(v <= 0 for v in trials[point].constraints.values()) for point in some], bool),
        not _in_db(problem),
    )


def harms(found: Known, costs: Costs) -> tuple[Array, ...]:
    """Per dimension what each choice is thought to add to what is modelled, when it alone leaves the baseline.

    Where that was evaluated, it is the difference. Else the difference of the uniform designs that have the choice,
    divided by the root of the number of dimensions, as if each added as much noise. A choice of which neither is known
    harms as much as others that save as much.
    """
    rows = {tuple(map(int, point)): float(value) for point, value in zip(found.points, found.harms, strict=True)}
    (base, *_), tables = costs.uniform, costs.tables(costs.uniform[0])
    own = rows.get(base, min(rows.values(), default=0.0))
    spans = sum(np.ptp(table, axis=0) for table in tables)
    saved = [-(table / np.where(spans > 0, spans, 1.0)).sum(axis=1) for table in tables]
    told = {point: rows[point] - own for point in costs.uniform if point in rows}
    return tuple(_row(rows, told, base, own, dimension, row) for dimension, row in enumerate(saved))


def _row(
    rows: Mapping[Point, float], told: Mapping[Point, float], base: Point, own: float, dimension: int, saved: Array
) -> Array:
    row = np.full(len(saved), np.nan)
    for choice in range(len(saved)):
        alone = (*base[:dimension], choice, *base[dimension + 1 :])
        uniform = [harm / np.sqrt(len(base)) for point, harm in told.items() if point[dimension] == choice]
        if alone in rows:
            row[choice] = rows[alone] - own
        elif uniform:
            row[choice] = np.mean(uniform)
    unknown, sure = np.isnan(row), np.nan_to_num(row)
    rate = float(sure @ saved / (saved[~unknown] @ saved[~unknown] or 1.0)) or 1.0
    return np.where(unknown, rate * saved, row)


def _read(problem: Problem, trial: FrozenTrial) -> float:
    """What is modelled of a trial: found in the store, not evaluated again.

    Of one that lost a race what its first images say, but no better than what its sampler was told.
    """
    if BEGINNING not in trial.user_attrs:
        design = problem.store.design(str(trial.user_attrs["design"]))
        return _harm(problem, problem.evaluation(design, "search").accuracy("search"))
    seen = decode(Accuracy, str(trial.user_attrs[BEGINNING]))
    told = dict(zip((o.metric for o in problem.objectives), trial.values, strict=True))
    loss = float(np.log(told["perplexity"])) if "perplexity" in told else told.get("loss", seen.loss)
    least = replace(seen, loss=loss, sqnr_db=told.get("sqnr", seen.sqnr_db))
    return _harm(problem, least)


def _harm(problem: Problem, accuracy: Accuracy) -> float:
    if _in_db(problem):
        assert accuracy.sqnr_db is not None, "only the float network has none"
        return float(-accuracy.sqnr_db)
    return float(np.log(max(accuracy.loss, 1e-12)))


def _in_db(problem: Problem) -> bool:
    return any(objective.metric == "sqnr" for objective in problem.objectives)
