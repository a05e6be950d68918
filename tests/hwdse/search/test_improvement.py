"""Expected gains beside their definition, drawn at random."""

import numpy as np
import pytest

from hwdse import pareto
from hwdse.search.improvement import Front, expected

DRAWS = 500


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("costs", [1, 2])
def test_it_is_the_mean_of_the_gains(costs: int, log: bool) -> None:
    random = np.random.RandomState(costs)
    harms, prices, reference = random.rand(12) + 0.2, random.rand(12, costs), np.full(1 + costs, 1.3)
    front = Front.of(harms, prices, reference)
    known = np.column_stack((front.harms, front.costs))
    new, mean, spread = random.rand(5, costs), random.rand(5) - 0.5, random.rand(5) / 2 + 0.1
    found = expected(front, new, mean, spread, log=log)
    for i in range(5):
        drawn = mean[i] + spread[i] * random.randn(DRAWS)
        values = np.exp(drawn) if log else drawn
        before = pareto.hypervolume(known, reference)
        gains = [pareto.hypervolume([*known, (v, *new[i])], reference) - before for v in values]
        error = np.std(gains) / np.sqrt(DRAWS)
        assert found[i] == pytest.approx(np.mean(gains), abs=5 * error + 1e-4)  # what no draw shows


def test_with_nothing_known_all_below_the_reference_counts() -> None:
    front = Front.of(np.empty(0), np.empty((0, 1)), np.array([1.0, 1.0]))
    found = expected(front, np.array([[0.25]]), np.array([0.5]), np.array([1e-9]), log=False)
    assert found == pytest.approx([0.375])  # 0.5 by 0.75


def test_a_design_joins() -> None:
    front = Front.of(np.array([0.5, 0.2]), np.array([[0.2], [0.5]]), np.array([1.0, 1.0]))
    assert front.joined(0.1, np.array([0.4])).harms.tolist() == [0.5, 0.1]
