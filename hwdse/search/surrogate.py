"""What a design that was not evaluated would lose: a Gaussian process over choices, with how sure it is.

The harm of a choice adds up over the dimensions only roughly: two coarse layers may cancel or amplify each other. The
kernel is a product over the dimensions of `(1 + order * k) / (1 + order)`, which is a sum over all subsets of them
(Duvenaud, Nickisch and Rasmussen 2011, Additive Gaussian Processes, NIPS 24): with a small `order` it is an additive
model, with a large one only designs that are alike everywhere tell of each other. In a dimension `k` falls with the
difference of the choices' harms as far as they are known (`features`), so that formats which do as much alone are taken
to do as much together. The few settings are those under which the results are most likely, each tried.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

Array = NDArray[np.float64]
Points = NDArray[np.intp]  # n x dimensions: the index of a choice

ORDERS = (0.1, 0.3, 1.0, 3.0)
LENGTHS = (0.1, 0.3, 1.0, 3.0)  # of the features, which are log losses
NOISES = (1e-3, 1e-2, 1e-1)  # variance that nothing explains, as a share: an evaluation has none, the model has
SAME = 0.3  # of the kernel of a dimension: that a choice is the same and not only alike
LEAST = 1e-10  # variance


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """How much designs tell of each other, 0 to 1."""

    features: Sequence[Array]  # per dimension: a number for each choice
    order: float
    length: float

    def of(self, a: Points, b: Points) -> Array:
        """`n x m`, for `a` with n rows and `b` with m.

        The product over the dimensions, as a sum of logarithms: one product of matrices.
        """
        sizes = [len(own) for own in self.features]
        table = np.concatenate([factor[:, b[:, d]] for d, factor in enumerate(self._factors())])
        kernel: Array = np.exp(_one_hot(a, sizes) @ table)
        return kernel

    def _factors(self) -> Iterator[Array]:
        """Per dimension, for two choices, the logarithm of what they are worth to the product."""
        for own in self.features:
            alike = (1 - SAME) * np.exp(-np.abs(own[:, None] - own[None]) / self.length) + SAME * np.eye(len(own))
            yield np.log((1 + self.order * alike) / (1 + self.order))


@dataclass(frozen=True, slots=True, eq=False)
class Surrogate:
    """A fitted process."""

    kernel: Kernel
    points: Points  # of the designs that it was fitted to
    factor: Array  # lower Cholesky factor of their kernel
    weights: Array  # per point
    mean: float
    variance: float

    def predict(self, points: Points) -> tuple[Array, Array]:
        """The mean and the standard deviation at each of `points`."""
        cross = self.kernel.of(points, self.points)
        solved = solve_triangular(self.factor, cross.T, lower=True)
        left = np.maximum(1 - (solved**2).sum(axis=0), LEAST)
        return self.mean + cross @ self.weights, np.sqrt(left * self.variance)

    def effects(self, around: Points) -> tuple[Array, ...]:
        """Per dimension what each choice adds to the mean, on average over the designs `around` (`n x dimensions`)."""
        return tuple(self._effect(around, dimension) for dimension in range(around.shape[1]))

    def _effect(self, around: Points, dimension: int) -> Array:
        choices = len(self.kernel.features[dimension])
        changed = np.repeat(around[None], choices, axis=0)
        changed[:, :, dimension] = np.arange(choices)[:, None]
        cross = self.kernel.of(changed.reshape(-1, around.shape[1]), self.points)
        found: Array = (cross @ self.weights).reshape(choices, -1).mean(axis=1)
        return found


def fit(points: Points, values: Array, features: Sequence[Array]) -> Surrogate:
    """The process under which `values` (n) at `points` (`n x dimensions`) are most likely; n is 2 or more."""
    best = max(_candidates(points, values, features), key=lambda scored: scored[0])
    return best[1]


def _candidates(points: Points, values: Array, features: Sequence[Array]) -> Iterator[tuple[float, Surrogate]]:
    """Each with the logarithm of how likely the values are."""
    for length, order in product(LENGTHS, ORDERS):
        kernel = Kernel(features, order, length)
        shared = kernel.of(points, points)
        for noise in NOISES:
            yield _fitted(kernel, points, values, shared, noise)


def _fitted(kernel: Kernel, points: Points, values: Array, shared: Array, noise: float) -> tuple[float, Surrogate]:
    """Mean and variance are those of the largest likelihood (Rasmussen and Williams 2006, equations 2.30 and 2.45)."""
    count = len(values)
    factor = np.asarray(np.linalg.cholesky(shared + noise * np.eye(count)), np.float64)
    ones, seen = solve_triangular(factor, np.stack((np.ones(count), values), axis=1), lower=True).T
    mean = float(ones @ seen / (ones @ ones))
    rest = seen - mean * ones
    variance = max(float(rest @ rest) / count, LEAST)
    weights: Array = solve_triangular(factor.T, rest, lower=False)
    likely = -0.5 * count * np.log(variance) - float(np.log(np.diag(factor)).sum())
    return likely, Surrogate(kernel, points, factor, weights, mean, variance)


def _one_hot(points: Points, sizes: Sequence[int]) -> Array:
    """`n x all choices`: ones where a point has a choice."""
    starts = np.cumsum([0, *sizes[:-1]])
    found = np.zeros((len(points), sum(sizes)))
    found[np.arange(len(points))[:, None], points + starts] = 1.0
    return found
