"""Block RAM: FINN's formula as a bound, what a block of each family holds; and the share of a device."""

from dataclasses import replace

import pytest

from hwdse.cost import Resources
from hwdse.memory import BLOCK_RAMS, FIFO_WORDS, LUT_WORDS, utilization
from hwdse.structure.memories import memory_blocks
from hwdse.target import fpga

XC7, XCUP = fpga("xc7z020"), fpga("xczu7ev")
KIB = {family: 4 if family == "ice40" else 18 for family in BLOCK_RAMS}


def finn_brams(words: int, width: int) -> int:
    """FINN's rule, which takes the aspect ratio by the width; finn/custom_op/fpgadataflow/matrixvectoractivation.py."""
    if width <= 2:
        return -(-words // (16384 // width))
    if width <= 4:
        return -(-words // 4096) * -(-width // 4)
    if width <= 9:
        return -(-words // 2048) * -(-width // 9)
    if width <= 18 or words > 512:
        return -(-words // 1024) * -(-width // 18)
    return -(-words // 512) * -(-width // 36)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 8, 9, 18, 36, 37, 144])
@pytest.mark.parametrize("words", [1, 512, 513, 1024, 4096, 20000])
def test_block_rams_are_at_most_what_finn_takes_and_hold_the_bits(words: int, width: int) -> None:
    blocks = int(memory_blocks(words, width, "xcup"))
    # Two blocks that are one of 36 Kib count as two, where one and a half would do.
    assert words * width / (18 * 1024) <= blocks <= finn_brams(words, width) + 1
    assert words * width / (18 * 1024) <= memory_blocks(words, width, "ecp5") <= finn_brams(words, width)


def test_versal_has_no_narrow_ports() -> None:
    assert [int(memory_blocks(16384, 1, family)) for family in ("xcup", "versal")] == [1, 8]


@pytest.mark.parametrize("family", BLOCK_RAMS)
def test_no_aspect_holds_more_than_a_block(family: str) -> None:
    for kind in BLOCK_RAMS[family]:
        assert max(words * bits for words, bits in kind.aspects) == kind.blocks * KIB[family] * 1024
        assert list(kind.aspects) == sorted(kind.aspects, key=lambda aspect: aspect[1])
        for words, bits in kind.aspects:
            assert memory_blocks(words, bits, family) == kind.blocks
            assert memory_blocks(kind.blocks * KIB[family] * 1024 // bits + 1, bits, family) > kind.blocks


def test_memories_deeper_than_a_fifo_may_be_in_luts() -> None:
    assert FIFO_WORDS <= LUT_WORDS


def test_utilization_is_the_largest_share() -> None:
    assert utilization(Resources(), XCUP) == 0
    assert utilization(Resources(luts=23040, ffs=1), XCUP) == 0.1
    assert utilization(Resources(luts=23040, ffs=460800 * 2), XCUP) == 2
    assert utilization(Resources(dsps=864, brams=312, urams=72), XCUP) == 0.75
    assert utilization(Resources(urams=1), XC7) == float("inf")
    assert utilization(Resources(luts=XC7.luts), replace(XC7, dsps=0, brams=0)) == 1
    assert utilization(Resources(), replace(XC7, luts=0, ffs=0, dsps=0, brams=0)) == 0
