"""Mixtures of choices: how small the largest share of a resource can be if a part may be made of fractions of ways.

The prices that belong to the best mixture bound every whole choice, which is what an exact search needs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.float64]  # parts x ways x resources: of a budget
Picks = NDArray[np.intp]  # a way for each part

ROUNDS = 60  # after which the prices are good enough: any give a bound
EPSILON = 1e-9  # of a share, for the rounding of sums of floats: far less than one LUT
PIVOT = 1e-7  # the least that a column may have to enter the basis where it does


@dataclass(frozen=True, slots=True, eq=False)
class Relaxed:
    """The best mixture of choices, and prices of the resources that show that no choice is better than it.

    Prices are per share of a budget, are not negative and sum to 1, so that what takes no more than the share `x` of
    any resource costs no more than `x`. `bound` is what the cheapest choice costs: no largest share is below it.
    """

    bound: float
    prices: NDArray[np.float64]
    mixed: tuple[Picks, ...]


def relaxed(shares: Shares, base: NDArray[np.float64], start: Picks) -> Relaxed:
    """The mixture of the smallest largest share, `base` included, by column generation (Dantzig and Wolfe 1960).

    A linear program. Its rows are the resources, of which no mixture takes more than the share `t`, and the sum of the
    mixture's weights, 1. Its columns are choices, `t`, and the room that each resource has left. In each round what is
    cheapest by the prices of the mixture so far enters. It begins with `start`.
    """
    best = Relaxed(0.0, np.full(len(base), 1 / len(base)), (start,))
    for found, optimal in _mixtures(shares, base, start):
        best = max(best, found, key=lambda one: one.bound)
        if optimal:
            break
    return best


def _mixtures(shares: Shares, base: NDArray[np.float64], start: Picks) -> Iterator[tuple[Relaxed, bool]]:
    """Mixtures with prices that bound, the last of them the best, where rounding allows; the basis is `basis`."""
    parts, size = np.arange(len(shares)), len(base)
    basis, members = _first(shares[parts, start].sum(0) + base), list[Picks | None]([start, *[None] * size])
    sums, cost = np.eye(size + 1)[-1], np.eye(size + 1)[1]  # the weights sum to 1; `t`, the second column, is the cost
    for _ in range(ROUNDS):
        try:
            weights, duals = np.linalg.solve(basis, sums), np.linalg.solve(basis.T, cost)
        except np.linalg.LinAlgError:
            return
        entering: Picks | None = None
        if (duals[:size] > EPSILON).any():  # a resource with a negative price: less of it need be taken
            column = np.eye(size + 1)[int(duals[:size].argmax())]
        else:
            prices = np.maximum(-duals[:size], 0)
            prices /= prices.sum()
            entering = (shares @ prices).argmin(1)
            taken = shares[parts, entering].sum(0) + base
            mixed = tuple(one for one, weight in zip(members, weights, strict=True) if one is not None and weight > 0)
            bound = float(prices @ taken)
            yield Relaxed(bound, prices, mixed), bound >= weights[1] - EPSILON
            column = np.append(taken, 1.0)
        direction = np.linalg.solve(basis, column)
        ratios = np.where(direction > PIVOT, weights / np.where(direction > PIVOT, direction, 1), np.inf)
        leaving = int(ratios.argmin())
        if leaving == 1 or not np.isfinite(ratios[leaving]):
            return
        basis[:, leaving], members[leaving] = column, entering


def _first(taken: NDArray[np.float64]) -> NDArray[np.float64]:
    """The columns of a choice that takes these shares, of `t`, and of the room of all resources but the scarcest."""
    size = len(taken)
    rooms = np.delete(np.eye(size + 1)[:, :size], int(taken.argmax()), axis=1)
    return np.column_stack([np.append(taken, 1.0), np.append(-np.ones(size), 0.0), rooms])
