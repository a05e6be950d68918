"""Copies of the weights are four times the L2, and each is read as often as the others."""

from collections import Counter

import pytest
import torch

from hwdse.gpu_speed.stopwatch import MOST, SPAN, copies, launches, order, rewritten, summary

L2 = 60_000_000


@pytest.mark.parametrize(
    ("moved", "count"), [(6_291_456, 39), (16_777_216, 15), (L2, 4), (134_217_728, 2), (1 << 29, 1)]
)
def test_copies_are_four_times_the_cache(moved: int, count: int) -> None:
    assert copies(moved, L2) == count
    assert copies(moved, L2) * moved >= 4 * L2
    assert count == 1 or (count - 1) * moved < 4 * L2


def test_what_moves_nothing_has_few_copies_all_the_same() -> None:
    assert copies(0, 0) == 1


@pytest.mark.parametrize(("count", "seconds"), [(1, 1e-2), (1, 1e-6), (39, 2e-6), (15, 7e-6), (4, 1e-3), (1, 0.0)])
def test_a_graph_is_long_enough_and_fair(count: int, seconds: float) -> None:
    total = launches(count, seconds)
    assert total % count == 0
    assert total * seconds >= SPAN or total > MOST - count
    assert total <= max(MOST, count)
    assert set(Counter(order(count, total)).values()) == {total // count}


def test_a_long_call_is_launched_once_for_each_copy() -> None:
    assert launches(3, 0.01) == 3


def test_no_copy_is_read_again_before_all_others_and_the_known_one_is_last() -> None:
    found = order(5, 20)
    assert found[-1] == 0
    assert all(sorted(found[start : start + 5]) == [0, 1, 2, 3, 4] for start in range(16))


def test_the_median_of_the_first_series_and_how_far_the_second_is_from_it() -> None:
    seconds, noise = summary([[1.0, 100.0, 2.0], [3.0, 2.5, 0.0]])
    assert (seconds, noise) == (2.0, 0.25)


def test_the_result_of_the_timed_calls_is_written_over_poison() -> None:
    """What a replay leaves out is no number, whatever was right there before."""
    x = torch.randn(4, 8)
    y = 2 * x

    def replay() -> None:
        y[:3] = 2 * x[:3]

    found = rewritten(replay, y)
    assert torch.equal(found[:3], 2 * x[:3])
    assert found[3].isnan().all()
