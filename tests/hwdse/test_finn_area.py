"""FINN's nodes with what their RTL takes: what changes, what stays as FINN has it, and the interval around it."""

from dataclasses import replace

import pytest

from hwdse import finn_fits
from hwdse.cost import Resources
from hwdse.finn_area import Context, corrected
from hwdse.finn_nodes import (
    ConvolutionInputGenerator,
    Dsp,
    FMPadding,
    MemMode,
    Multiplier,
    MvauHls,
    MvauRtl,
    Pool,
    RamStyle,
    ThresholdingRtl,
    VvauRtl,
)

NARROW, WIDE = Context(narrow=True, stream_bits=4), Context(narrow=False, stream_bits=4)
WIDTHS = {
    "weight_bits": 4,
    "input_bits": 4,
    "signed_input": False,
    "accumulator_bits": 14,
    "output_bits": 14,
    "activation": False,
    "mem_mode": MemMode.DECOUPLED,
    "ram_style": RamStyle.AUTO,
    "multiplier": Multiplier.AUTO,
}
MATRIX = {"mw": 64, "mh": 32, "vectors": 1, "ram_style_thresholds": RamStyle.AUTO, "tiles": 1}
UNIT = MvauRtl(pe=4, simd=2, **WIDTHS, **MATRIX, dsp=Dsp.DSP48E2)  # type: ignore[arg-type]
WINDOW = ConvolutionInputGenerator(
    *(2, 4, (12, 12), (10, 10), (3, 3), (1, 1), (1, 1), 4), False, False, RamStyle.DISTRIBUTED
)
THRESHOLDS = ThresholdingRtl(1, 8, 100, 18, 18, 4, False, 0, 0)


def luts(kind: str, **parameters: int) -> float:
    """LUTs of a unit by its fit."""
    return finn_fits.price(kind, parameters).luts[0]


def matrix(weights: int) -> float:
    """LUTs of the unit with its memory in block RAM, or in LUTs."""
    own = {"VERSION": 2, "W": 4, "A": 4, "ACC": 14, "PE": 4, "SIMD": 2, "MW": 64, "MH": 32, "NARROW": 1, "SIGNED": 0}
    return luts("finn_mvu", **own) + luts("finn_memstream", DEPTH=256, WIDTH=32, BLOCK=weights)


@pytest.mark.parametrize(("style", "block"), [(RamStyle.AUTO, 1), (RamStyle.BLOCK, 1), (RamStyle.DISTRIBUTED, 0)])
def test_a_matrix_vector_unit_has_luts_with_its_memory(style: RamStyle, block: int) -> None:
    found = corrected(replace(UNIT, ram_style=style), NARROW).area
    assert UNIT.luts == 0 < found.ffs
    assert found.luts == round(matrix(block))
    assert found.brams == replace(UNIT, ram_style=style).bram18s == (1 if block else 0)


def test_weights_that_come_from_outside_have_no_memory() -> None:
    outside = corrected(replace(UNIT, mem_mode=MemMode.EXTERNAL), NARROW).area
    assert outside.luts < corrected(UNIT, NARROW).area.luts
    assert outside.brams == 0


def test_a_long_vector_is_kept_in_block_ram() -> None:
    long = replace(UNIT, mw=1024, simd=8)  # 128 words of 32 bits
    assert corrected(long, NARROW).area.brams == long.bram18s + 1
    at_once = replace(long, pe=32)  # read once, so that nothing is kept
    assert corrected(at_once, NARROW).area.brams == at_once.bram18s


def test_an_interval_lies_around_the_area_and_has_the_same_blocks() -> None:
    for node in (UNIT, WINDOW, THRESHOLDS):
        found = corrected(node, NARROW)
        assert found.low is not None
        assert found.high is not None
        assert found.low.luts <= found.area.luts <= found.high.luts
        assert found.low.ffs <= found.area.ffs <= found.high.ffs
        assert {(one.dsps, one.brams, one.urams) for one in (found.low, found.area, found.high)} == {
            (found.area.dsps, node.bram18s, node.urams)
        }


def test_dsps_follow_the_rtl_and_not_finns_estimate() -> None:
    eight = replace(UNIT, weight_bits=8, input_bits=8, accumulator_bits=24)
    assert (eight.dsps, corrected(eight, NARROW).area.dsps) == (2, 4)  # two outputs to a DSP, not four
    assert (UNIT.dsps, corrected(UNIT, NARROW).area.dsps) == (2, 2)


def test_the_least_weight_may_cost_a_lane() -> None:
    node = replace(UNIT, weight_bits=5, input_bits=7, accumulator_bits=20, mh=12, pe=3)  # 5 + 2 x 11 bits, of 27
    assert (corrected(node, NARROW).area.dsps, corrected(node, WIDE).area.dsps) == (2, 4)


def test_a_window_keeps_finns_block_rams() -> None:
    in_blocks = corrected(replace(WINDOW, ram_style=RamStyle.BLOCK), NARROW).area
    assert in_blocks.brams == 1
    assert in_blocks.luts < corrected(WINDOW, NARROW).area.luts
    sizes = {"C": 4, "SIMD": 2, "BITS": 4, "SIZE": 12, "K": 3, "STRIDE": 1, "DEPTHWISE": 0, "PARALLEL": 0, "BLOCK": 0}
    assert corrected(WINDOW, NARROW).area.luts == round(luts("finn_window", **sizes))


def test_a_window_of_one_pixel_comes_at_once() -> None:
    node = replace(WINDOW, kernel=(1, 1), out_image=(6, 6), stride=(2, 2))
    sizes = {"C": 4, "SIMD": 2, "BITS": 4, "SIZE": 12, "K": 1, "STRIDE": 2, "DEPTHWISE": 0, "PARALLEL": 0, "BLOCK": 0}
    found = corrected(node, NARROW).area
    assert found.luts == round(luts("finn_window", **sizes)) < corrected(WINDOW, NARROW).area.luts
    assert found.lutrams == 0


def test_padding_is_no_longer_free() -> None:
    node = FMPadding(2, 8, (12, 12), (1, 1, 1, 1), 1)
    found = corrected(node, NARROW).area
    assert node.luts == 0
    assert found.luts == round(luts("finn_padding", C=8, SIMD=2, BITS=4, SIZE=12, PAD=1))


def test_thresholds_have_comparators() -> None:
    found = corrected(THRESHOLDS, NARROW).area
    assert found.luts == round(luts("finn_thresholds", IN=18, BITS=4, C=8, PE=1, SIGNED=1)) > THRESHOLDS.luts


def test_thresholds_in_block_ram_take_no_luts_for_it() -> None:
    deep = replace(THRESHOLDS, channels=512, output_bits=8)
    in_luts = luts("finn_thresholds", IN=18, BITS=8, C=512, PE=1, SIGNED=1)
    assert deep.bram18s > 0
    assert corrected(deep, NARROW).area.luts < in_luts / 2
    assert corrected(deep, NARROW).area.brams == deep.bram18s


def test_a_vector_vector_unit_on_versal() -> None:
    node = VvauRtl(pe=4, simd=1, channels=8, taps=9, pixels=100, **WIDTHS)  # type: ignore[arg-type]
    found = corrected(node, NARROW).area
    assert node.luts == 0 < found.luts
    assert found.dsps == node.dsps == 4


def test_what_is_in_hls_is_as_finn_says_and_has_no_interval() -> None:
    unit = MvauHls(pe=4, simd=2, **WIDTHS, **MATRIX)  # type: ignore[arg-type]
    for node in (unit, Pool(2, 8, 4, 25)):
        found = corrected(node, NARROW)
        assert (found.low, found.high) == (None, None)
        assert found.area == Resources(luts=node.luts, dsps=node.dsps, brams=node.bram18s, urams=node.urams)
