"""The mixture and its prices: the optimum of the linear program, and a bound on every choice."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog

from hwdse.relaxation import relaxed

Shares = NDArray[np.float64]


def random_shares(seed: int) -> tuple[Shares, Shares]:
    """Parts with four ways each, of which some take nothing of some resource."""
    random = np.random.default_rng(seed)
    shares = random.uniform(0, 0.2, (int(random.integers(1, 9)), 4, int(random.integers(1, 6))))
    return shares * (random.random(shares.shape) < 0.7), random.uniform(0, 0.2, shares.shape[2:])


def optimum(shares: Shares, base: Shares) -> float:
    """The largest share of the best mixture, by SciPy's solver of linear programs."""
    parts, ways, resources = shares.shape
    rows = np.hstack([shares.reshape(-1, resources).T, -np.ones((resources, 1))])
    sums = np.hstack([np.kron(np.eye(parts), np.ones(ways)), np.zeros((parts, 1))])
    cost = np.append(np.zeros(parts * ways), 1.0)
    return float(linprog(cost, A_ub=rows, b_ub=-base, A_eq=sums, b_eq=np.ones(parts)).fun)


@pytest.mark.parametrize("seed", range(40))
def test_the_bound_is_the_optimum(seed: int) -> None:
    shares, base = random_shares(seed)
    found = relaxed(shares, base, np.zeros(len(shares), np.intp))
    assert found.bound == pytest.approx(optimum(shares, base), rel=1e-9)
    assert found.prices.min() >= 0
    assert found.prices.sum() == pytest.approx(1)


@pytest.mark.parametrize("seed", range(10))
def test_no_choice_costs_less_than_the_bound(seed: int) -> None:
    shares, base = random_shares(100 + seed)
    found = relaxed(shares[:5], base, np.zeros(len(shares[:5]), np.intp))
    taken = [
        shares[np.arange(len(picks)), list(picks)].sum(0) + base for picks in product(range(4), repeat=len(shares[:5]))
    ]
    assert min(float(found.prices @ one) for one in taken) == pytest.approx(found.bound)
    assert min(float(one.max()) for one in taken) >= found.bound - 1e-12


def test_a_mixture_is_of_choices_that_differ_in_few_parts() -> None:
    shares, base = random_shares(7)
    mixed = np.stack(relaxed(shares, base, np.zeros(len(shares), np.intp)).mixed)
    assert len(mixed) <= shares.shape[2] + 1
