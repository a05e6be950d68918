"""Of the ways to make each part of a design, one for each part, so that all of them together fit a device best.

A part alone cannot know what is scarce: DSP blocks and block RAM that one part takes are missing for the others. Which
of its ways a part takes is decided for all parts at once, and exactly: what the search leaves out is proven to be no
better, by the prices of a relaxation (`hwdse.relaxation`) and because of two choices that go on alike, the one that
takes no more of anything is enough.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from hwdse.cost import Resources
from hwdse.relaxation import EPSILON, Picks, Relaxed, relaxed
from hwdse.target import FpgaTarget

# Of resources. Whole numbers, as floats so that they can be compared with shares: exact up to 2**53.
Counts = NDArray[np.float64]

ABSENT = 1e-6  # what a device counts as having where it has none: whatever takes some of it is worse than all else
IMPOSSIBLE = 1e12  # of every resource: a way that no choice takes
TOO_MUCH = 1e24  # as a share: more than that of any impossible way
FEW = 2048  # combinations that are all tried
STEPS = (1 / 16, 1 / 4, 1)  # of the way from the bound to a choice: near the bound few choices are to be looked at


def counts(area: Resources) -> Counts:
    """LUTs, FFs, DSPs, block RAMs and URAMs of `area`."""
    return np.array([area.luts, area.ffs, area.dsps, area.brams, area.urams], np.float64)


def have(target: FpgaTarget) -> Counts:
    """What a device has of each, nearly nothing where it has none."""
    found = np.array([target.luts, target.ffs, target.dsps, target.brams, target.urams], np.float64)
    return np.where(found > 0, found, ABSENT)


def nondominated(ways: Counts) -> Picks:
    """Which of `ways`, `n x resources`, no other is below in some count and above in none; of equal ones the first."""
    below = (ways[:, None] <= ways[None]).all(-1)  # [i, j]: i is nowhere above j
    equal = below & below.T
    earlier = equal & np.tri(len(ways), k=-1, dtype=np.bool_).T
    return np.flatnonzero(~((below & ~equal) | earlier).any(0))


def best(parts: Sequence[Counts], fixed: Counts, target: FpgaTarget) -> tuple[int, ...]:
    """The way of each part: `parts` has their counts, `ways x resources`, and `fixed` those of all that has one way.

    The best choice is the one with the smallest largest share of a resource of the device (`memory.utilization`), and
    of those with the fewest LUTs. So the design fits if any of these choices does, and where none does, it is the least
    overfull. A resource that the device does not have is avoided before all else.
    """
    problem = Problem.of(parts, fixed, target)
    picks = problem.every() if problem.combinations <= FEW else _searched(problem)
    return tuple(int(pick) for pick in picks)


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Parts with as many ways each, of which one each is chosen: where a part has fewer, the others are impossible."""

    ways: Counts  # parts x ways x resources, of which LUTs are the first
    number: tuple[int, ...]  # of ways, by part
    fixed: Counts
    have: Counts  # of the device
    most: Counts  # that a choice may take, or infinity
    bound: float = 0.0  # the largest share of every choice is at least this, of resources that are left out too

    @classmethod
    def of(cls, parts: Sequence[Counts], fixed: Counts, target: FpgaTarget) -> "Problem":
        number = tuple(len(ways) for ways in parts)
        has = have(target)
        return cls(padded(parts, len(has)), number, fixed, has, np.full(len(has), np.inf))

    @property
    def combinations(self) -> int:
        return prod(self.number)

    def used(self, picks: Picks) -> Counts:
        """What a choice takes."""
        taken: Counts = self.ways[np.arange(len(picks)), picks].sum(0) + self.fixed
        return taken

    def rank(self, used: Counts) -> tuple[float, float]:
        """What is minimised: the largest share, then the LUTs."""
        return float(self.shares(used)), float(used[0])

    def shares(self, used: Counts) -> Counts:
        """The largest shares, of `... x resources`; of what takes more than it may, by how much that is `TOO_MUCH`."""
        found: Counts = np.maximum((used / self.have).max(-1), self.bound)
        over = (used / np.maximum(self.most, ABSENT)).max(-1)
        return np.where((used > self.most).any(-1), over * TOO_MUCH, found)

    def first(self, used: Counts) -> int:
        """The best of `used`, `n x resources`."""
        return int(np.lexsort((used[:, 0], self.shares(used)))[0])

    def every(self) -> Picks:
        """The best of all combinations, each of them tried."""
        used = self.fixed[None]
        for ways, number in zip(self.ways, self.number, strict=True):
            used = (used[:, None] + ways[None, :number]).reshape(-1, len(self.fixed))
        some = np.flatnonzero(np.array(self.number) > 1)  # numpy counts in 64 dimensions at most
        picks = np.zeros(len(self.number), np.intp)
        picks[some] = np.unravel_index(self.first(used), [self.number[part] for part in some])
        return picks

    def without_plenty(self, bound: float) -> "Problem":
        """The same without the resources of which no choice takes more than `bound`, the least there is; LUTs stay."""
        most = np.where(self.ways < IMPOSSIBLE, self.ways, 0).max(1).sum(0) + self.fixed
        kept = (most > bound * self.have) | (most > self.most)
        kept[0] = True
        few = self.ways[..., kept], self.number, self.fixed[kept], self.have[kept], self.most[kept]
        return Problem(*few, bound)


def padded(parts: Sequence[Counts], resources: int) -> Counts:
    """`parts x ways x resources`."""
    padded = np.full((len(parts), max(map(len, parts), default=0), resources), IMPOSSIBLE)
    for i, ways in enumerate(parts):
        padded[i, : len(ways)] = ways
    return padded


# ---- a choice, and what may be better ------------------------------------------------------------


def _searched(problem: Problem) -> Picks:
    """The best of all combinations."""
    picks = np.asarray(problem.ways[:, :, 0].argmin(1))
    share, luts = problem.rank(problem.used(picks))
    if share * problem.have[0] == luts:
        return picks  # LUTs are what is scarcest where they are as few as can be
    found = relaxed(problem.ways / problem.have, problem.fixed / problem.have, picks)
    return _best_near(problem.without_plenty(found.bound - EPSILON), found)


def _best_near(problem: Problem, found: Relaxed) -> Picks:
    """The best choice, from one near the mixture: whatever has a smaller share is between the bound and that one."""
    return closed(problem, found.bound, improved(problem, rounded(problem, found.mixed)))


def closed(problem: Problem, bound: float, picks: Picks) -> Picks:
    """The best choice, where the largest share of every choice is at least `bound` and that of `picks` is near it."""
    share, luts = problem.rank(problem.used(picks))
    for step in STEPS:
        limit = bound + (share - bound) * step
        budget = np.minimum(below(limit, problem.have, strict=step == 1), problem.most)
        better = within(problem, budget, picks)
        if better is not None:
            return better
    budget = np.minimum(below(share, problem.have, strict=False), problem.most)
    budget[0] = min(budget[0], luts - 1)
    fewer = within(problem, budget, picks)
    return picks if fewer is None else fewer


def below(share: float | Counts, have: Counts, *, strict: bool) -> Counts:
    """The most of each resource that is a smaller share, or no larger one."""
    whole = np.floor(share * have) + 1
    for _ in range(3):  # at most two more than asked for, and one for rounding
        whole -= (whole / have >= share) if strict else (whole / have > share)
    return whole


def rounded(problem: Problem, mixed: Sequence[Picks]) -> Picks:
    """The best choice whose parts are those of the choices in a mixture, which differ in few parts."""
    picks = mixed[0].copy()
    ways = [sorted(set(column)) for column in np.stack(mixed).T.tolist()]
    some = [part for part, own in enumerate(ways) if len(own) > 1]
    number = tuple(len(ways[part]) for part in some)
    if prod(number) > FEW:
        return min(mixed, key=lambda one: problem.rank(problem.used(one)))
    rest = problem.used(picks) - problem.ways[some, picks[some]].sum(0)
    few = padded([problem.ways[part, ways[part]] for part in some], len(rest))
    chosen = replace(problem, ways=few, number=number, fixed=rest).every()
    picks[some] = [ways[part][pick] for part, pick in zip(some, chosen, strict=True)]
    return picks


def improved(problem: Problem, picks: Picks) -> Picks:
    """`picks` with the way of one part changed after the other, as long as that is better."""
    picks = picks.copy()
    while True:
        used = problem.used(picks)
        rest = used - problem.ways[np.arange(len(picks)), picks]
        changed = (rest[:, None] + problem.ways).reshape(-1, len(used))
        swap = problem.first(changed)
        if problem.rank(changed[swap]) >= problem.rank(used):
            return picks
        part, way = divmod(swap, problem.ways.shape[1])
        picks[part] = way


# ---- the exact search ----------------------------------------------------------------------------


def within(problem: Problem, budget: Counts, start: Picks) -> Picks | None:
    """The best choice that takes no more than `budget` of any resource; None if there is none."""
    least = problem.ways.min(1).sum(0) + problem.fixed
    if (least > budget).any():
        return None
    limit = np.maximum(budget, ABSENT)  # a budget of nothing has no shares
    found = relaxed(problem.ways / limit, problem.fixed / limit, start)
    if found.bound > 1 + EPSILON:
        return None
    return _enumerated(problem, budget, found.prices / limit)


def _enumerated(problem: Problem, budget: Counts, prices: Counts) -> Picks | None:
    """The same, part by part: of the choices for the parts so far, those that the others may complete.

    `prices` are per unit: what costs more than 1 takes more than `budget`.
    """
    cost = problem.ways @ prices
    cheapest = cost.min(1)
    slack = max(1 + EPSILON - float(cheapest.sum() + problem.fixed @ prices), 0.0)
    allowed = cost - cheapest[:, None] <= slack
    order = np.argsort(-np.where(allowed, cost - cheapest[:, None], 0).max(1), kind="stable")
    least = np.where(allowed[..., None], problem.ways, IMPOSSIBLE).min(1)
    left, left_cost = least.sum(0), float(cheapest.sum())
    labels, trail = problem.fixed[None], list[tuple[Picks, Picks]]()
    for part in order:
        left, left_cost = left - least[part], left_cost - float(cheapest[part])
        ways = np.flatnonzero(allowed[part])
        longer = (labels[:, None] + problem.ways[part, ways]).reshape(-1, len(budget))
        possible = (longer + left <= budget).all(1) & (longer @ prices + left_cost <= 1 + EPSILON)
        some = np.flatnonzero(possible)
        if not len(some):
            return None
        some = some[_fronts(longer[some])]
        labels = longer[some]
        trail.append((some // len(ways), ways[some % len(ways)]))
    return _traced(order, trail, problem.first(labels))


def _fronts(labels: Counts) -> Picks:
    """Of the labels that are equal in all resources but the first two, those that no other of them dominates."""
    if labels.shape[1] == 1:
        return np.array([labels.argmin()], np.intp)
    order = np.lexsort(labels.T[[1, 0, *range(2, labels.shape[1])]])
    found = labels[order]
    new = np.concatenate([[True], (found[1:, 2:] != found[:-1, 2:]).any(1)])
    # the first resource rises in a group, so that less of the second than in all before counts; a group is below the
    # one before it, and so compared with its own alone
    height = found[:, 1] - np.cumsum(new) * (found[:, 1].max() + 1)
    lowest = np.minimum.accumulate(height)
    kept: Picks = order[np.concatenate([[True], height[1:] < lowest[:-1]])]
    return kept


def _traced(order: Picks, trail: Sequence[tuple[Picks, Picks]], label: int) -> Picks:
    """The picks that led to a label of the last part."""
    picks = np.zeros(len(order), np.intp)
    for part, (before, way) in zip(order[::-1], reversed(trail), strict=True):
        picks[part] = way[label]
        label = int(before[label])
    return picks
