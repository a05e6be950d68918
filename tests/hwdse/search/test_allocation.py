"""The front of an additive problem, beside all assignments."""

from itertools import product

import numpy as np
import pytest

from hwdse import pareto
from hwdse.search.allocation import front, least, total


def problem(seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    random = np.random.RandomState(seed)
    return [random.randint(0, 30, 5) * 1.0 for _ in range(4)], [random.randint(1, 400, 5) * 1.0 for _ in range(4)]


@pytest.mark.parametrize("seed", range(4))
def test_the_whole_front(seed: int) -> None:
    harms, costs = problem(seed)
    every = np.unique([(total(harms, p), total(costs, p)) for p in product(range(5), repeat=4)], axis=0)
    found = [(total(harms, p), total(costs, p)) for p in front(harms, costs)]
    assert sorted(found) == [tuple(point) for point in every[pareto.front(every)]]


def test_some_of_the_front() -> None:
    harms, costs = problem(3)
    whole, some = front(harms, costs), front(harms, costs, 6)
    assert 2 < len(some) < len(whole)
    assert some[0] == whole[0]


def test_what_no_budget_allows() -> None:
    harms, costs = problem(0)
    assert least(harms, costs, sum(cost.min() for cost in costs) - 1) is None


def test_choices_that_do_not_matter() -> None:
    same = [np.ones(3), np.ones(2)]
    assert len(front(same, same)) == 1
