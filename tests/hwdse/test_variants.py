"""The best way of every part: against all combinations, on devices where it is easy, hard, or impossible to fit."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from hwdse import variants
from hwdse.cost import Resources
from hwdse.memory import utilization
from hwdse.target import FpgaTarget, fpga
from hwdse.variants import Counts, best, counts, nondominated

DEVICE = replace(fpga("ecp5_25f"), luts=1000, ffs=1000, dsps=10, brams=10)
NOTHING = np.zeros(5)


def ways(*rows: tuple[int, ...]) -> Counts:
    """Each row: LUTs, FFs, DSPs, block RAMs, URAMs, of which the last may be left out."""
    return np.array([[*row, *[0] * (5 - len(row))] for row in rows], np.float64)


def rank(used: Counts, target: FpgaTarget) -> tuple[float, float]:
    """What is minimised, by the metric that people see."""
    luts, ffs, dsps, brams, urams = (int(count) for count in used)
    return utilization(Resources(luts, ffs, dsps, brams, urams), target), luts


def ranks(
    parts: Sequence[Counts], fixed: Counts, target: FpgaTarget
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Of what is chosen, and the least of all combinations."""
    chosen = sum((part[way] for part, way in zip(parts, best(parts, fixed, target), strict=True)), fixed)
    return rank(chosen, target), min(rank(sum(rows, fixed), target) for rows in product(*parts))


def random_parts(random: np.random.Generator, *, alike: bool) -> list[Counts]:
    """Parts with up to four ways; `alike`: a DSP or a block RAM saves as many LUTs everywhere."""
    scale = 10 ** random.uniform(1, 3.6)
    found = []
    for number in random.integers(1, 5, int(random.integers(2, 7))):
        blocks = random.integers(0, 12, (number, 2)) * (random.random((number, 2)) < 0.6)
        luts, ffs = random.uniform(0, scale, (2, number)).round()
        luts = 2000.0 - 40 * blocks[:, 0] - 10 * blocks[:, 1] if alike else luts
        found.append(np.column_stack([luts, ffs, blocks, np.zeros(number)]))
    return found


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("name", ["ecp5_25f", "ice40_hx8k", "gw1nr9", "xczu3eg"])
def test_the_search_finds_the_best_of_all_combinations(name: str, alike: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    for _ in range(40):
        parts = random_parts(random, alike=alike)
        fixed = np.array([*random.integers(0, 300, 2), 0, 0, 0], np.float64)
        if fpga(name).dsps == 0:
            parts = [part * [1, 1, 0, 1, 1] for part in parts]
        for few in (variants.FEW, 1):
            with monkeypatch.context() as patch:
                patch.setattr(variants, "FEW", few)
                chosen, least = ranks(parts, fixed, fpga(name))
            assert chosen == least


def test_dsps_and_block_ram_go_to_the_parts_that_need_them_most() -> None:
    small, large = ways((100, 0, 0, 0), (40, 0, 8, 0)), ways((900, 0, 0, 0), (300, 0, 8, 0))
    assert best([small, large], NOTHING, DEVICE) == (0, 1)
    assert best([small, large], NOTHING, replace(DEVICE, dsps=16, luts=350)) == (1, 1)
    assert best([small, large], NOTHING, replace(DEVICE, dsps=7)) == (0, 0)


def test_of_equal_shares_the_fewest_luts() -> None:
    memory = ways((0, 0, 0, 9))
    assert best([memory, ways((500, 0, 0, 0), (499, 0, 5, 0))], NOTHING, DEVICE) == (0, 1)


def test_where_nothing_fits_it_is_the_least_overfull() -> None:
    parts = [ways((3000, 0, 0, 0), (100, 0, 25, 0)), ways((1000, 0, 0, 0))]
    assert best(parts, NOTHING, DEVICE) == (1, 0)
    assert best(parts, NOTHING, replace(DEVICE, dsps=5)) == (0, 0)


@pytest.mark.parametrize("few", [1, variants.FEW])
def test_what_a_device_does_not_have_is_avoided_before_all_else(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "FEW", few)
    parts = [ways((9000, 0, 0, 0), (1, 0, 1, 0)), ways((9000, 0, 0, 0), (1, 0, 0, 0))]
    assert best(parts, NOTHING, replace(DEVICE, dsps=0)) == (0, 1)


def test_nothing_to_choose() -> None:
    assert best([], NOTHING, DEVICE) == ()
    assert best([ways((5, 0, 0, 0))] * 3, NOTHING, DEVICE) == (0, 0, 0)


def test_what_no_other_dominates() -> None:
    some = ways((5, 5, 0, 0), (5, 5, 0, 0), (5, 6, 0, 0), (4, 5, 1, 0), (9, 9, 9, 9), (6, 4, 0, 0))
    assert nondominated(some).tolist() == [0, 3, 5]
    assert nondominated(some[:1]).tolist() == [0]


def test_counts_are_those_of_the_area() -> None:
    assert counts(Resources(1, 2, 3, 4, 5, 6)).tolist() == [1, 2, 3, 4, 5]
