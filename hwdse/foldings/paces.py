"""From the slowest interval to the fastest: what a choice for a whole network shares, whatever its layers are.

What fits at an interval fits at a longer one too, so that the shortest one is found by halving the list of intervals;
the best design at an interval is the best at any between its own and that.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray


class Paced(Protocol):
    """A design with its interval."""

    @property
    def interval_cycles(self) -> int:
        """Between two frames."""


Found = TypeVar("Found", bound=Paced)


def intervals(cycles: Iterable[NDArray[np.int64]]) -> tuple[int, ...]:
    """The cycles between frames that a design may have, shortest first, where `cycles` are those that each layer may.

    They are those of a layer that none is behind.
    """
    each = [{int(one) for one in own} for own in cycles]
    found = sorted(set[int]().union(*each))
    return tuple(found[bisect_left(found, max(map(min, each))) :])


def shortest(of: Sequence[int], fits: Callable[[int], bool]) -> int | None:
    """The first of `of`, shortest first, at which a design fits; None where none does."""
    at = bisect_left(of, True, key=fits)
    return None if at == len(of) else of[at]


def front(
    of: Sequence[int], best: Callable[[int], Found | None], rank: Callable[[Found], tuple[float, ...]]
) -> tuple[Found, ...]:
    """The designs than which none is faster and no worse by `rank`, slowest first; none where none is within limits.

    `best` is the best one that needs at most so many cycles.
    """
    found, left = list[Found](), of
    while left:
        one = best(left[-1])
        if one is None:
            break
        if found and rank(one) == rank(found[-1]):
            found.pop()  # as good, and slower
        found.append(one)
        left = left[: bisect_left(left, one.interval_cycles)]
    return tuple(found)
