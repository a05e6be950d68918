"""How much hypervolume a design is expected to add, when its costs are known and its harm only with a spread.

With one uncertain objective the expected hypervolume improvement (Emmerich, Deutz and Klinkenberg 2011, IEEE CEC) is a
sum over cells of the costs: the size of the cell times how far the design is expected to go below the best harm known
there, which has a closed form.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from hwdse import pareto

Array = NDArray[np.float64]

CELLS = 1024  # at most: with more costs than one the cells are made coarser


@dataclass(frozen=True, slots=True, eq=False)
class Front:
    """What is known: the harm and the costs of designs that no other beats, and the bounds within which they count."""

    harms: Array  # n
    costs: Array  # n x k
    reference: Array  # 1 + k: harm, then costs

    @classmethod
    def of(cls, harms: Array, costs: Array, reference: Array) -> "Front":
        """Of designs of which some may be beaten."""
        points = np.column_stack((harms, costs))
        kept = pareto.front(points) & (points < reference).all(axis=1)
        return cls(harms[kept], costs[kept], reference)

    def joined(self, harm: float, costs: Array) -> "Front":
        """With one more design."""
        return Front.of(np.append(self.harms, harm), np.vstack((self.costs, costs)), self.reference)

    def levels(self) -> Iterator[tuple[tuple[tuple[float, float], ...], float]]:
        """Cells of the costs (per cost from, to) with the least harm known for no more than their lower corner."""
        for cell in product(*(_steps(column, bound, self._most) for column, bound in self._axes())):
            below = (self.costs <= [low for low, _ in cell]).all(axis=1)
            yield cell, float(self.harms[below].min(initial=self.reference[0]))

    @property
    def _most(self) -> int:
        return int(CELLS ** (1 / self.costs.shape[1]))

    def _axes(self) -> Sequence[tuple[Array, float]]:
        return list(zip(self.costs.T, self.reference[1:], strict=True))


def expected(front: Front, costs: Array, mean: Array, spread: Array, *, log: bool) -> Array:
    """Of n designs with `costs` (`n x k`) the expected gain; the harm or its log is normal, with `mean`, `spread`."""
    gain = np.zeros(len(mean))
    for cell, level in front.levels():
        lengths = [
            np.clip(high - np.maximum(low, own), 0, None) for (low, high), own in zip(cell, costs.T, strict=True)
        ]
        size = np.prod(lengths, axis=0)
        some = size > 0
        gain[some] += size[some] * _below(level, mean[some], spread[some], log=log)
    return gain


def _steps(values: Array, bound: float, most: int) -> list[tuple[float, float]]:
    """The intervals between different values up to the bound, the first from below everything."""
    edges = np.unique(values)
    if len(edges) >= most:
        edges = np.unique(edges[np.linspace(0, len(edges) - 1, most - 1).astype(int)])
    ends = [-np.inf, *edges.tolist(), bound]
    return list(pairwise(ends))


def _below(level: float, mean: Array, spread: Array, *, log: bool) -> Array:
    """The expectation of `max(level - harm, 0)`; with `log` that of a put option (Black and Scholes 1973)."""
    if not log:
        z = (level - mean) / spread
        normal: Array = spread * (z * ndtr(z) + np.exp(-z * z / 2) / np.sqrt(2 * np.pi))
        return normal
    z = (np.log(level) - mean) / spread
    lognormal: Array = level * ndtr(z) - np.exp(mean + spread**2 / 2) * ndtr(z - spread)
    return np.maximum(lognormal, 0.0)
