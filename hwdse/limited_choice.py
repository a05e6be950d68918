"""The best choice of a way for each part (`hwdse.variants`) that takes no more than a limit of any resource.

What counts as a share and what is only limited are told apart: the fewest LUTs of all choices that fit count LUTs alone
and limit everything. The proof is that of `hwdse.variants`: below the choice that is found a search that leaves out
nothing but what is proven to be no better finds none.
"""

from collections.abc import Sequence

import numpy as np

from hwdse.relaxation import EPSILON, Picks, Relaxed, relaxed
from hwdse.variants import (
    ABSENT,
    FEW,
    IMPOSSIBLE,
    Counts,
    Problem,
    below,
    closed,
    improved,
    padded,
    rounded,
    within,
)

HALVINGS = 12  # of the range of shares between what is proven to be impossible and what is found
CLOSE = 1e-4  # of a share: the two need not be nearer
PLENTY = IMPOSSIBLE / 10  # of what is not limited, so that an impossible way still takes too much
UNCOUNTED = 1e18  # of what does not count, so that no share of it is larger than one of what does
NOTHING = 1e-9  # a share smaller than that of a single LUT of any device


def cheapest(parts: Sequence[Counts], have: Counts, most: Counts) -> tuple[int, ...] | None:
    """The way of each part: `parts` has their counts, `ways x resources`; None where no choice is within `most`.

    Of the choices within `most` the one whose largest share of what counts is smallest, and of those the one with the
    fewest LUTs; any that takes nothing of what counts, where there is one. `have` is all of each resource, infinite
    where its share does not count; `most` is infinite where there is no limit. At least one resource counts.
    """
    problem = _problem(parts, have, most)
    picks = problem.every() if problem.combinations <= FEW else _searched(problem)
    return None if picks is None or _over(problem, picks) else tuple(int(pick) for pick in picks)


def feasible(parts: Sequence[Counts], most: Counts) -> bool:
    """Whether any choice is within `most`."""
    problem = _problem(parts, np.where(most > 0, most, ABSENT), most)
    picks = problem.every() if problem.combinations <= FEW else _within_limits(problem)
    return picks is not None and not _over(problem, picks)


def _problem(parts: Sequence[Counts], have: Counts, most: Counts) -> Problem:
    """Without the resources that neither count nor are limited, but with the LUTs."""
    kept = np.isfinite(have) | np.isfinite(most)
    kept[0] = True
    few = [ways[:, kept] for ways in parts]
    ends = np.minimum(have[kept], UNCOUNTED), np.minimum(most[kept], PLENTY)
    size = int(kept.sum())
    return Problem(padded(few, size), tuple(map(len, parts)), np.zeros(size), *ends)


def _over(problem: Problem, picks: Picks) -> bool:
    return bool((problem.used(picks) > problem.most).any())


def _searched(problem: Problem) -> Picks | None:
    """The best of all combinations."""
    picks = _within_limits(problem)
    if picks is None:
        return None
    bound, picks = _bounded(problem, picks)
    if problem.rank(problem.used(picks))[0] < NOTHING:
        return picks
    return closed(problem.without_plenty(bound), bound, picks)


def _within_limits(problem: Problem) -> Picks | None:
    """A choice that is within the limits; None if there is none."""
    picks = improved(problem, np.asarray(problem.ways[:, :, 0].argmin(1)))
    if not _over(problem, picks):
        return picks
    found = _mixture(problem, problem.most, picks)
    if found is None:
        return None
    picks = improved(problem, rounded(problem, found.mixed))
    return within(problem, problem.most, picks) if _over(problem, picks) else picks


def _mixture(problem: Problem, budget: Counts, start: Picks) -> Relaxed | None:
    """The best mixture of choices within `budget`; None where it proves that no choice is."""
    if (problem.ways.min(1).sum(0) + problem.fixed > budget).any():
        return None
    limit = np.maximum(budget, ABSENT)
    found = relaxed(problem.ways / limit, problem.fixed / limit, start)
    return None if found.bound > 1 + EPSILON else found


def _bounded(problem: Problem, picks: Picks) -> tuple[float, Picks]:
    """A share below which no choice is, and a choice near it, from one that is within the limits."""
    found = relaxed(problem.ways / problem.have, problem.fixed / problem.have, picks)
    lower, picks = found.bound - EPSILON, _better(problem, picks, found)
    upper = problem.rank(problem.used(picks))[0]
    for _ in range(HALVINGS):
        if upper - lower <= CLOSE * upper:
            break
        middle = (lower + upper) / 2
        within_both = np.minimum(below(middle, problem.have, strict=False), problem.most)
        mixture = _mixture(problem, within_both, picks)
        if mixture is None:
            lower = middle
        else:
            picks = _better(problem, picks, mixture)
            upper = min(middle, problem.rank(problem.used(picks))[0])
    return lower, picks


def _better(problem: Problem, picks: Picks, found: Relaxed) -> Picks:
    """`picks`, or a choice like a mixture where that is better."""
    near = improved(problem, rounded(problem, found.mixed))
    return min(picks, near, key=lambda one: problem.rank(problem.used(one)))
