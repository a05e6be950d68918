"""The whole front of an additive problem: one choice per dimension, harms that add up, costs that add up.

Assigning a format to every layer is a multiple-choice knapsack (Sinha and Zoltners 1979, Operations Research 27:503):
of every budget the least harm. Each point is one mixed-integer program of HiGHS, solved to optimality, and
the next budget is just below what the last point costs, so none is left out (the epsilon-constraint method,
Haimes, Lasdon and Wismer 1971, IEEE Transactions on Systems, Man, and Cybernetics 1:296).
"""

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from hwdse import pareto

Table = Sequence[NDArray[np.float64]]  # per dimension: a number for each choice
Point = tuple[int, ...]  # the index of a choice, per dimension

C = ctypes.CDLL(None)  # the C library
OUTPUT, ALONE = 1, Lock()  # the output of the process, which one program at a time is kept from
SMALLEST = 1e-5  # of the range of the costs: less is no difference. HiGHS takes 1e-6 for 0, so may pass a bound by that
RANGE = 1e3  # to which costs are scaled, because HiGHS's tolerances are absolute
NEAR = 1e-2  # of the harm: what a program may be off where only some points are asked for
TIE = 1e-6  # of the range of the harms: what all of the range of the costs may weigh, so that equal harms go cheap


def front(harms: Table, costs: Table, points: int | None = None) -> tuple[Point, ...]:
    """The assignments that no other beats in both sums, dearest first; with `points` about so many of them.

    Of assignments with equal sums one. With `points` the costs of neighbours differ by at least a `points`-th of the
    range, and harms may be off by `NEAR`; harms that differ by less than 1e-6 of their range are equal.
    """
    low = sum(float(cost.min()) for cost in costs)
    span = sum(float(np.ptp(cost)) for cost in costs) or 1.0
    step = span * (SMALLEST if points is None else 1 / points)
    found, budget, gap = list[Point](), np.inf, 0.0 if points is None else NEAR
    while (point := least(harms, costs, budget, gap)) is not None:
        found.append(point)
        reached = total(costs, point)
        if reached - low < SMALLEST * span or budget == low:  # nothing is cheaper
            break
        budget = max(min(reached, budget) - step, low)
    return _unbeaten(harms, costs, found)


def least(harms: Table, costs: Table, budget: float, gap: float = 0.0) -> Point | None:
    """The assignment with the least harm whose cost is at most `budget`, the cheapest of equals; None if none is.

    The harm may be above the least by `gap`, a share of it, counted from what the least harmful choices have.
    """
    unit = RANGE / (sum(map(np.ptp, harms)) or 1.0)
    weights, prices = np.concatenate([unit * (harm - harm.min()) for harm in harms]), np.concatenate(list(costs))
    low, scale = sum(float(cost.min()) for cost in costs), RANGE / (sum(map(np.ptp, costs)) or 1.0)
    tie = 0.0 if gap else TIE * scale
    rules = [LinearConstraint(_one_each([len(harm) for harm in harms]), 1, 1)]
    if np.isfinite(budget):
        above = np.concatenate([cost - cost.min() for cost in costs])
        row, most = above[None] * scale, (budget - low) * scale
        if gap:  # whole numbers, which HiGHS adds up without rounding
            row, most = np.rint(row), np.floor(most)
        rules.append(LinearConstraint(row, -np.inf, most))
    options = {"mip_rel_gap": gap}
    with _silent():
        solved = milp(weights + tie * prices, integrality=1, bounds=Bounds(0, 1), constraints=rules, options=options)
    return None if solved.x is None else _picked(solved.x, [len(harm) for harm in harms])


@contextmanager
def _silent() -> Iterator[None]:
    """HiGHS writes to the output of the process when it checks a solution that rounding moved."""
    with ALONE, ExitStack() as stack:
        try:
            kept = os.dup(OUTPUT)
        except OSError:  # it is closed
            yield
            return
        stack.callback(os.close, kept)
        nothing = os.open(os.devnull, os.O_WRONLY)
        stack.callback(os.close, nothing)
        C.fflush(None)
        os.dup2(nothing, OUTPUT)
        stack.callback(os.dup2, kept, OUTPUT)
        stack.callback(C.fflush, None)  # the callbacks run last first
        yield


def total(table: Table, point: Point) -> float:
    """The sum over `table` at the choices of `point`."""
    return float(sum(row[choice] for row, choice in zip(table, point, strict=True)))


def _unbeaten(harms: Table, costs: Table, found: Sequence[Point]) -> tuple[Point, ...]:
    """Those of `found` that no other beats, each once: a bound that was passed by rounding gives others."""
    unique = list(dict.fromkeys(found))
    kept = pareto.front([(total(harms, point), total(costs, point)) for point in unique])
    return tuple(point for point, keep in zip(unique, kept, strict=True) if keep)


def _one_each(sizes: Sequence[int]) -> NDArray[np.float64]:
    """`dimensions x all choices`: ones where a choice is of the dimension."""
    return np.repeat(np.eye(len(sizes)), sizes, axis=1)


def _picked(chosen: NDArray[np.float64], sizes: Sequence[int]) -> Point:
    ends = np.cumsum(sizes)[:-1]
    return tuple(int(part.argmax()) for part in np.split(chosen, ends))
