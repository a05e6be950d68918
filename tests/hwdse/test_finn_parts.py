"""How FINN's matrix-vector unit packs outputs into DSPs, and what the parts of its units are, by hand."""

from itertools import product

import pytest

from hwdse.finn_parts import KINDS
from hwdse.finn_parts.matrix_vector import Packing, high_bits, tree
from hwdse.finn_parts.part import Part, bits_for, rom
from hwdse.finn_rtl.sample import units

VERSIONS = (1, 2, 3)


def packings() -> list[Packing]:
    """Of all widths that FINN has."""
    found = product(VERSIONS, range(2, 12), range(2, 10), (False, True))
    return [Packing(version, weight, activation, narrow) for version, weight, activation, narrow in found]


# W, A, PE, SIMD, and the DSPs of FINN's RTL with narrow weights on DSP48E2, as yosys counts them.
@pytest.mark.parametrize(
    ("weight", "activation", "pe", "simd", "dsps"),
    [
        (4, 4, 1, 1, 1),
        (2, 2, 8, 2, 2),
        (3, 3, 8, 2, 4),
        (4, 4, 4, 2, 2),
        (5, 5, 4, 2, 4),
        (8, 8, 4, 2, 4),
        (4, 4, 8, 8, 16),
    ],
)
def test_dsps_of_units_that_were_synthesised(weight: int, activation: int, pe: int, simd: int, dsps: int) -> None:
    assert Packing(2, weight, activation, narrow=True).dsps(pe, simd) == dsps


@pytest.mark.parametrize("narrow", [False, True])
def test_lanes_are_as_many_as_fit_beside_each_other(narrow: bool) -> None:
    for one in packings():
        if one.narrow is narrow:
            kept = one.word_bits - (not narrow)
            fitting = [n for n in range(1, 30) if one.weight_bits + (n - 1) * one.spacing <= kept]
            assert one.lanes == max(fitting), one


def test_the_lanes_of_a_word_are_at_least_a_product_apart_and_fill_it() -> None:
    for one in packings():
        low = one.low_bits(24)
        assert len(low) == one.lanes
        assert sum(low[:-1]) == one.word_bits - (not one.narrow) - one.weight_bits if one.lanes > 1 else low[0] == 24
        assert all(one.spacing <= bits for bits in low[:-1])
        assert max(low[:-1], default=0) - min(low[:-1], default=0) <= 1
        assert sum(low) <= one.sum_bits


def test_three_products_of_one_output_are_for_versal_alone() -> None:
    assert {one.version for one in packings() if one.three_products} == {3}
    assert Packing(3, 8, 8, narrow=True).dsps(pe=4, simd=8) == 12
    assert Packing(3, 4, 4, narrow=True).dsps(pe=4, simd=2) == 2  # four outputs to a DSP are more than three products


def test_what_a_lane_carries_out_is_summed_in_bits_that_hold_it() -> None:
    low = (7, 7, 9)
    for sums, simd in product(range(9, 24), (1, 2, 3, 8, 24)):
        for lane in range(len(low) - 1):
            bits, below = high_bits(low, lane, sums, simd), 0
            least = -simd
            for wide in low[lane::-1]:
                below += wide
                least -= (1 << (sums - below)) // 2 if sums > below else 0
            assert least >= -(1 << (bits - 1)), (sums, simd, lane)
    assert high_bits((7, 9), 1, 9, 4) == 0  # nobody is above the last lane


def widths(terms: int, bits: int, most: int) -> Part:
    """A tree by levels where `terms` is a power of two: half as many sums, a bit wider, at each."""
    adders, level = 0, terms // 2
    registers = 0
    while level:
        bits = min(bits + 1, most)
        adders += level * bits
        registers += level * bits
        level //= 2
    return Part(adders, registers)


@pytest.mark.parametrize("terms", [2, 4, 8, 16])
@pytest.mark.parametrize("most", [9, 30])
def test_a_tree_of_a_power_of_two(terms: int, most: int) -> None:
    assert tree(terms, 7, most, False, 0) == widths(terms, 7, most)


def test_a_tree_of_three_registers_a_term_that_waits() -> None:
    assert tree(3, 7, 30, False, 0) == Part(8 + 9, 8 + 9 + 7)
    assert tree(1, 7, 30, False, 0) == Part(0, 7)


def test_a_sum_of_carries_is_as_wide_as_it_can_be() -> None:
    assert tree(2, 2, 30, True, 1) == Part(3, 0)  # -2 to 2; the last sum has no register
    assert tree(4, 2, 30, True, 1) == Part(4 + 3 + 3, 3 + 3)


def test_counters_and_roms() -> None:
    assert [bits_for(count) for count in (1, 2, 3, 4, 5)] == [0, 1, 2, 2, 3]
    assert rom(64, 10) == pytest.approx(10)
    assert rom(32, 10) == pytest.approx(5)  # two functions of five inputs share a LUT


def test_a_larger_unit_has_no_smaller_part() -> None:
    for unit in units():
        p = dict(unit.parameters)
        for key, factor in (("ACC", 2), ("WIDTH", 2), ("IN", 2)):
            if key in p and unit.kind not in ("finn_dwc",):
                more = KINDS[unit.kind]({**p, key: p[key] * factor})
                less = KINDS[unit.kind](p)
                assert sum(part.luts for part in more.values()) >= sum(part.luts for part in less.values()), unit.name
