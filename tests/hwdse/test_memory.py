"""Memories and thresholds: primitives by hand, FINN's formula as a bound, and what must hold for every size."""

from dataclasses import replace

import pytest

from hwdse.cost import Resources
from hwdse.design import Quantizer
from hwdse.memory import (
    FIFO_WORDS,
    LUT_WORDS,
    block_rams,
    counters,
    fifo,
    levels,
    lut_ram,
    lut_rom,
    memory,
    search_steps,
    thresholds,
    utilization,
)
from hwdse.target import FpgaTarget, fpga

XC7, XCUP, VERSAL, ECP5 = (fpga(name) for name in ("xc7z020", "xczu7ev", "vck190", "ecp5_85f"))
TARGETS = (XC7, XCUP, VERSAL, ECP5)


@pytest.mark.parametrize(
    ("target", "words", "width", "luts"),
    [
        (XC7, 32, 6, 4),  # RAM32M
        (XC7, 64, 3, 4),  # RAM64M
        (XCUP, 32, 14, 8),  # RAM32M16
        (XCUP, 64, 7, 8),  # RAM64M8
        (VERSAL, 64, 7, 8),
        (ECP5, 16, 4, 6),  # three slices
        (XCUP, 128, 7, 16 + 7),  # two rows and a 2:1 multiplexer a bit
        (ECP5, 32, 4, 12 + 4),
    ],
)
def test_lut_ram(target: FpgaTarget, words: int, width: int, luts: int) -> None:
    assert lut_ram(words, width, target) == luts


@pytest.mark.parametrize(
    ("lut_inputs", "words", "luts"), [(6, 32, 4), (6, 64, 8), (6, 256, 32), (6, 257, 48), (4, 16, 8), (4, 128, 64)]
)
def test_lut_rom_of_eight_bits(lut_inputs: int, words: int, luts: int) -> None:
    assert lut_rom(words, 8, lut_inputs) == luts


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
    blocks = block_rams(words, width, XCUP)
    assert words * width / (18 * 1024) <= blocks <= finn_brams(words, width)
    assert block_rams(words, width, ECP5) == blocks


def test_versal_has_no_narrow_ports() -> None:
    assert (block_rams(16384, 1, XCUP), block_rams(16384, 1, VERSAL)) == (1, 8)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("width", [1, 4, 64, 1000])
def test_depth_alone_decides_where_a_memory_goes(target: FpgaTarget, width: int) -> None:
    luts, logic = lut_ram(LUT_WORDS, width, target), lut_rom(LUT_WORDS, width, target.lut_inputs)
    assert memory(LUT_WORDS, width, target, writable=True) == Resources(luts=luts, lutrams=luts)
    assert memory(LUT_WORDS, width, target, writable=False) == Resources(luts=logic)  # a ROM is no RAM
    for writable in (True, False):
        deep = memory(LUT_WORDS + 1, width, target, writable=writable)
        assert deep == Resources(brams=block_rams(LUT_WORDS + 1, width, target))


def test_one_word_is_wires_or_registers() -> None:
    assert memory(1, 40, XCUP, writable=False) == Resources()
    assert memory(1, 40, XCUP, writable=True) == Resources(ffs=40)


def test_without_block_ram_every_memory_is_in_luts() -> None:
    assert memory(10**5, 64, replace(XCUP, brams=0), writable=False).brams == 0


def test_utilization_is_the_largest_share() -> None:
    assert utilization(Resources(), XCUP) == 0
    assert utilization(Resources(luts=23040, ffs=1), XCUP) == 0.1
    assert utilization(Resources(luts=23040, ffs=460800 * 2), XCUP) == 2
    assert utilization(Resources(dsps=864, brams=312, urams=72), XCUP) == 0.75
    assert utilization(Resources(urams=1), XC7) == float("inf")
    assert utilization(Resources(luts=XC7.luts), replace(XC7, dsps=0, brams=0)) == 1
    assert utilization(Resources(), replace(XC7, luts=0, ffs=0, dsps=0, brams=0)) == 0


@pytest.mark.parametrize(
    ("name", "count"), [("int4", 15), ("int4:full", 16), ("uint4", 16), ("e2m1", 15), ("ue2m2", 16), ("e4m3fn", 253)]
)
def test_levels(name: str, count: int) -> None:
    quantizer = Quantizer.parse(name)
    assert levels(quantizer) == count
    assert 2 ** (search_steps(quantizer) - 1) < count <= 2 ** search_steps(quantizer)


def test_two_thresholds_a_channel_are_searched() -> None:
    ternary = Quantizer.parse("int2")
    assert (levels(ternary), search_steps(ternary)) == (3, 2)
    comparators, recode, stored = 2 * 6, 1, 12 + 24  # 64 and 128 words of 12 bits
    assert thresholds(ternary, 12, 64, 1, XC7) == Resources(luts=comparators + recode + stored, ffs=2 * 14)


def test_constant_thresholds_are_searched_without_memory() -> None:
    assert thresholds(Quantizer.parse("uint2"), 16, 1, 1, XCUP) == Resources(luts=2 * 8, ffs=2 * 18)
    assert thresholds(Quantizer.parse("uint2"), 16, 64, 1, XCUP).luts == 2 * 8 + 16 + 32


def test_many_thresholds_are_searched() -> None:
    eight = thresholds(Quantizer.parse("uint8"), 20, 64, 1, XCUP)
    assert eight.luts - eight.lutrams < 255  # not even a LUT for each comparator


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_thresholds_cost_more_for_more_bits(target: FpgaTarget) -> None:
    prices = [thresholds(Quantizer.parse(f"uint{bits}"), 18, 16, 4, target) for bits in range(2, 9)]
    for key in ("luts", "ffs", "brams"):
        assert [getattr(price, key) for price in prices] == sorted(getattr(price, key) for price in prices)


def test_a_signed_code_needs_a_table() -> None:
    signed, unsigned = (thresholds(Quantizer.parse(name), 12, 1, 1, XCUP) for name in ("e2m1", "ue2m2"))
    assert signed.luts - unsigned.luts == 2


def test_counters_and_fifo() -> None:
    assert counters(1, 2, 9) == Resources(luts=5, ffs=5)
    assert fifo(14, XCUP) == Resources(luts=8 + 10, ffs=10, lutrams=8)
    assert FIFO_WORDS == 32
