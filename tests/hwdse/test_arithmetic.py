"""The formulas beside netlists: every measured point, and what must hold for every format."""

import pytest

from hwdse.arithmetic import (
    accumulator,
    adder,
    adder_tree,
    comparator,
    decoder,
    dsp_blocks,
    dsp_luts,
    functions,
    lane,
    paper_bits,
    popcount,
    positions,
    row_multiplier,
    shifter,
    sign_count,
    tight_bits,
)
from hwdse.formats import Format, IntFormat, family, known_formats, magnitude, parse

# LUTs of one dot-product unit: weight and activation format -> lanes -> LUTs.
# Source: yosys 0.70 synth_xilinx LUT-site counts of a parametric dot-product unit (-family xcup, no DSP, registers
# after the accumulator only, carry chains locked): a site is a carry bit, a LUT6, or two LUTs of at most 5 inputs.
LUT6_SITES = {
    "int3 int3": {1: 25, 4: 72, 8: 137, 16: 268},
    "int4 int4": {1: 33, 3: 82, 4: 106, 8: 205, 9: 232, 16: 404},
    "int5 int5": {1: 47, 4: 158, 8: 309, 16: 612},
    "int6 int6": {1: 60, 4: 214, 8: 421, 16: 836},
    "int7 int7": {1: 76, 4: 278, 8: 541, 16: 1076},
    "int8 int8": {1: 92, 3: 259, 4: 342, 8: 677, 9: 763, 16: 1348},
    "int2 int4": {8: 110},
    "int3 int4": {8: 153},
    "int2 int8": {8: 174},
    "int3 int8": {8: 249},
    "int4 int6": {8: 277},
    "int4 int8": {8: 333},
    "int5 int8": {8: 413},
    "int6 int8": {8: 501},
    "e1m1 e1m1": {1: 21, 4: 59, 8: 108, 16: 210},
    "e2m0 e2m0": {1: 25, 4: 69, 8: 130, 16: 252},
    "e2m1 e2m1": {1: 35, 3: 88, 4: 116, 8: 223, 9: 244, 16: 431},
    "e1m2 e1m2": {1: 27, 4: 80, 8: 153, 16: 297},
    "e3m0 e3m0": {1: 46, 4: 145, 8: 282, 16: 549},
    "e2m2 e2m2": {1: 47, 4: 150, 8: 306, 16: 591},
    "e3m1 e3m1": {1: 59, 4: 195, 8: 388, 16: 757},
    "e2m3 e2m3": {1: 60, 4: 221, 8: 423, 16: 829},
    "e3m2 e3m2": {1: 64, 3: 169, 4: 227, 8: 439, 9: 511, 16: 894},
    "e4m1 e4m1": {1: 100, 4: 329, 8: 646, 16: 1274},
    "e2m4 e2m4": {1: 77, 4: 278, 8: 536, 16: 1048},
    "e3m3 e3m3": {1: 82, 4: 293, 8: 574, 16: 1127},
    "e4m2 e4m2": {1: 102, 4: 353, 8: 685, 16: 1368},
    "e3m4 e3m4": {1: 100, 4: 376, 8: 722, 16: 1424},
    "e4m3 e4m3": {1: 114, 3: 308, 4: 414, 8: 818, 9: 913, 16: 1630},
    "e5m2 e5m2": {1: 166, 4: 577, 8: 1157},
    "e2m1 e4m3": {8: 513},
    "e2m1 e2m3": {8: 283},
    "e2m1 e3m2": {8: 352},
    "e1m2 e4m3": {8: 510},
    "e3m0 e4m3": {8: 502},
    "e2m1 e1m6": {8: 273},
    "e1m2 e1m6": {8: 260},
}
# Source: the same unit, yosys 0.70 synth_ecp5 -nodsp: LUT4 and two for each CCU2C.
LUT4_SITES = {
    "int3 int3": {1: 50, 4: 128, 8: 234, 16: 446},
    "int4 int4": {1: 70, 3: 158, 4: 202, 8: 380, 9: 426, 16: 736},
    "int5 int5": {1: 91, 4: 280, 8: 534, 16: 1042},
    "int6 int6": {1: 120, 4: 390, 8: 752, 16: 1476},
    "int7 int7": {1: 149, 4: 500, 8: 970, 16: 1910},
    "int8 int8": {1: 188, 3: 496, 4: 650, 8: 1268, 9: 1424, 16: 2504},
    "int2 int4": {8: 202},
    "int3 int4": {8: 289},
    "int2 int8": {8: 334},
    "int3 int8": {8: 485},
    "int4 int6": {8: 510},
    "int4 int8": {8: 640},
    "int5 int8": {8: 791},
    "int6 int8": {8: 946},
    "e1m1 e1m1": {1: 46, 4: 126, 8: 197, 16: 354},
    "e2m0 e2m0": {1: 57, 4: 156, 8: 277, 16: 444},
    "e2m1 e2m1": {1: 102, 3: 240, 4: 318, 8: 581, 9: 615, 16: 1117},
    "e1m2 e1m2": {1: 63, 4: 190, 8: 342, 16: 646},
    "e3m0 e3m0": {1: 157, 4: 548, 8: 1045, 16: 2030},
    "e2m2 e2m2": {1: 133, 4: 454, 8: 752, 16: 1642},
    "e3m1 e3m1": {1: 185, 4: 660, 8: 1272, 16: 2481},
    "e2m3 e2m3": {1: 147, 4: 515, 8: 984, 16: 1908},
    "e3m2 e3m2": {1: 190, 3: 464, 4: 678, 8: 1262, 9: 1355, 16: 2525},
    "e4m1 e4m1": {1: 191, 4: 654, 8: 1218, 16: 2345},
    "e2m4 e2m4": {1: 198, 4: 686, 8: 1309, 16: 2552},
    "e3m3 e3m3": {1: 225, 4: 814, 8: 1562, 16: 3057},
    "e4m2 e4m2": {1: 268, 4: 960, 8: 1822, 16: 3549},
    "e3m4 e3m4": {1: 310, 4: 1150, 8: 2232, 16: 4393},
    "e4m3 e4m3": {1: 308, 3: 810, 4: 1114, 8: 2130, 9: 2308, 16: 4175},
    "e5m2 e5m2": {1: 419, 4: 1498, 8: 2838, 16: 5519},
    "e2m1 e4m3": {8: 1326},
    "e2m1 e2m3": {8: 707},
    "e2m1 e3m2": {8: 650},
    "e1m2 e4m3": {8: 1120},
    "e3m0 e4m3": {8: 1014},
    "e2m1 e1m6": {8: 648},
    "e1m2 e1m6": {8: 672},
}
SITES = {6: LUT6_SITES, 4: LUT4_SITES}
# An integer weight beside a minifloat activation, eight lanes: LUTs at LUT6 and at LUT4, measured after the structure
# was chosen. Source: the same flows of yosys 0.70, on a unit that shifts the product of an integer and a significand.
MIXED_SITES = {
    "int4 e2m1": (182, 416),
    "int4 ue2m2": (194, 411),
    "int8 ue2m2": (307, 671),
    "int8 ue3m3": (568, 1407),
    "int4 e4m3": (583, 1217),
    "int8 e4m3": (802, 2510),
}
GUARD_BITS = 10  # of the measured accumulators: 1,024 products

FORMATS: tuple[Format, ...] = (*known_formats(), *known_formats(signed=False))


def unit_luts(weight: Format, activation: Format, lanes: int, lut_inputs: int) -> int:
    """LUTs of the measured unit, in the widths that it has: full range, a spare bit in minifloat accumulators."""
    integer = weight.exponent == 0
    bits = weight.bits + activation.bits if integer else tight_bits(weight, activation, 1)
    tree = adder_tree(lanes, bits, lut_inputs) + sign_count(weight, activation, lanes, lut_inputs)
    sums = accumulator(bits + GUARD_BITS + (not integer), lut_inputs)
    return lanes * lane(weight, activation, lut_inputs) + tree + sums


def errors(lut_inputs: int, integer: bool) -> list[float]:
    """Relative errors of every measured point."""
    found = []
    for names, row in SITES[lut_inputs].items():
        weight, activation = (parse(name) for name in names.split())
        if (weight.exponent == 0) == integer:
            found += [unit_luts(weight, activation, lanes, lut_inputs) / luts - 1 for lanes, luts in row.items()]
    return found


def mixed_errors(lut_inputs: int) -> list[float]:
    """Relative errors of the pairs of an integer and a minifloat, in the widths of the measured unit: full range."""
    found = []
    for names, luts in MIXED_SITES.items():
        weight, activation = (parse(name) for name in names.split())
        bits = weight.bits + activation.mantissa + 1 + positions(activation)
        tree = adder_tree(8, bits, lut_inputs) + sign_count(weight, activation, 8, lut_inputs)
        total = 8 * lane(weight, activation, lut_inputs) + tree + accumulator(bits + GUARD_BITS, lut_inputs)
        found.append(total / luts[lut_inputs == 4] - 1)
    return found


@pytest.mark.parametrize(("lut_inputs", "mean", "largest"), [(6, 14.1, 26.3), (4, 20.9, 26.9)])
def test_error_of_mixed_pairs(lut_inputs: int, mean: float, largest: float) -> None:
    found = [100 * abs(error) for error in mixed_errors(lut_inputs)]
    assert sum(found) / len(found) == pytest.approx(mean, abs=0.05)
    assert max(found) == pytest.approx(largest, abs=0.05)


# Mean absolute and largest error in percent: structure, not fitted.
@pytest.mark.parametrize(
    ("lut_inputs", "integer", "mean", "largest"),
    [(6, True, 2.3, 4.3), (6, False, 4.7, 13.6), (4, True, 0.5, 3.6), (4, False, 10.7, 43.2)],
)
def test_error_against_netlists(lut_inputs: int, integer: bool, mean: float, largest: float) -> None:
    found = [100 * abs(error) for error in errors(lut_inputs, integer)]
    assert sum(found) / len(found) == pytest.approx(mean, abs=0.05)
    assert max(found) == pytest.approx(largest, abs=0.05)


@pytest.mark.parametrize("lut_inputs", [6, 4])
def test_error_over_all_netlists_of_a_fabric(lut_inputs: int) -> None:
    found = [abs(error) for integer in (True, False) for error in errors(lut_inputs, integer)]
    assert sum(found) / len(found) <= 0.12


# n = 4,608 products, the longest dot product of ResNet-18: exact bits by enumeration, and the closed form.
@pytest.mark.parametrize(
    ("name", "exact", "closed"),
    [
        ("e1m1", 17, 18),
        ("e2m1", 21, 22),
        ("e2m3", 25, 26),
        ("e3m2", 31, 32),
        ("e3m4", 36, 36),
        ("e4m3", 49, 50),
        ("e5m2", 79, 80),
        ("e6m1", 141, 142),
        ("int8", 28, 30),
    ],
)
def test_accumulators_of_the_paper(name: str, exact: int, closed: int) -> None:
    fmt = parse(name)
    assert (tight_bits(fmt, fmt, 4608), paper_bits(fmt, fmt, 4608)) == (exact, closed)


def test_narrow_range_saves_a_bit() -> None:
    int4 = parse("int4")
    assert (tight_bits(int4, int4, 4608), tight_bits(int4, int4, 4608, (False, False))) == (19, 20)
    assert paper_bits(int4, int4, 4608) == 22


@pytest.mark.parametrize("terms", [1, 9, 64, 4608])
@pytest.mark.parametrize("activation", FORMATS, ids=lambda fmt: fmt.name)
def test_tight_bits_hold_every_sum_and_no_fewer_do(activation: Format, terms: int) -> None:
    for weight in FORMATS:
        sign = weight.signed or activation.signed
        most = terms * magnitude(weight) * magnitude(activation)
        bits = tight_bits(weight, activation, terms)
        assert most <= 2 ** (bits - sign) - 1
        assert most > 2 ** (bits - 1 - sign) - 1


@pytest.mark.parametrize("terms", [1, 2, 3, 576, 4608])
@pytest.mark.parametrize("weight", FORMATS, ids=lambda fmt: fmt.name)
def test_paper_is_never_below_tight(weight: Format, terms: int) -> None:
    for activation in FORMATS:
        for narrow in ((True, True), (False, False)):
            assert paper_bits(weight, activation, terms) >= tight_bits(weight, activation, terms, narrow)


def test_paper_counts_an_integer_beside_a_minifloat_by_its_grid() -> None:
    assert paper_bits(parse("int4"), parse("e2m1"), 64) == paper_bits(parse("e1m2"), parse("e2m1"), 64)
    assert paper_bits(parse("uint4"), parse("e2m1"), 64) == paper_bits(parse("ue1m3"), parse("e2m1"), 64)
    assert paper_bits(parse("e2m1"), parse("uint4"), 1) == 9 == tight_bits(parse("e2m1"), parse("uint4"), 1)


@pytest.mark.parametrize(("name", "most"), [("int8", 0), ("e1m6", 0), ("e2m1", 2), ("e3m0", 6), ("e5m2ieee", 29)])
def test_positions(name: str, most: int) -> None:
    assert positions(parse(name)) == most


def test_small_blocks() -> None:
    assert [functions(k, 3, 6) for k in (2, 5, 6, 8)] == [2, 2, 3, 12]
    assert [functions(k, 3, 4) for k in (2, 4, 5, 7)] == [3, 3, 6, 24]
    assert [(adder(5, lut), comparator(5, lut), accumulator(5, lut)) for lut in (6, 4)] == [(5, 3, 5), (6, 6, 11)]
    assert [popcount(bits, 6) for bits in (1, 2, 3, 15)] == [0, 1, 1, 11]


@pytest.mark.parametrize("lanes", range(1, 40))
def test_a_tree_has_one_adder_less_than_lanes(lanes: int) -> None:
    widths = adder_tree(lanes, 10, 6) - (lanes - 1) * 10
    assert lanes - 1 <= widths <= (lanes - 1) * (lanes - 1).bit_length()


def test_a_tree_of_three_pairs_two() -> None:
    assert adder_tree(3, 8, 6) == 9 + 10


@pytest.mark.parametrize("lut_inputs", [6, 4])
def test_multipliers_are_symmetric_and_grow(lut_inputs: int) -> None:
    for n in range(1, 9):
        for m in range(1, 9):
            assert row_multiplier(n, m, lut_inputs) == row_multiplier(m, n, lut_inputs)
            assert row_multiplier(n, m, lut_inputs) <= row_multiplier(n + 1, m, lut_inputs)


@pytest.mark.parametrize("lut_inputs", [6, 4])
def test_every_pair_has_a_lane(lut_inputs: int) -> None:
    assert all(lane(weight, activation, lut_inputs) > 0 for weight in FORMATS for activation in FORMATS)


@pytest.mark.parametrize("lut_inputs", [6, 4])
def test_a_shift_by_nothing_is_free(lut_inputs: int) -> None:
    assert shifter(8, 0, lut_inputs) == 0
    assert all(decoder(fmt, lut_inputs) == 0 for fmt in FORMATS if family(fmt) == "integer")


def test_one_four_to_one_level() -> None:
    assert shifter(1, 3, 6) == 2  # four outputs of three inputs, two a LUT6
    assert shifter(1, 3, 4) == 4


# Source: DSP48E2 blocks that yosys 0.70 makes of FINN's mvu_vvu_axi, narrow weights: W, A, PE, SIMD -> DSPs.
@pytest.mark.parametrize(
    ("weight", "activation", "pe", "simd", "blocks"),
    [
        (4, 4, 1, 1, 1),
        (2, 2, 8, 2, 2),
        (3, 3, 8, 2, 4),
        (4, 4, 4, 2, 2),
        (5, 5, 4, 2, 4),
        (6, 6, 4, 2, 4),
        (7, 7, 4, 2, 4),
        (8, 8, 4, 2, 4),
        (2, 8, 4, 2, 4),
        (4, 4, 8, 8, 16),
    ],
)
def test_dsp48_packs_as_finn_does(weight: int, activation: int, pe: int, simd: int, blocks: int) -> None:
    pair = IntFormat(weight), IntFormat(activation, signed=False)
    assert dsp_blocks(*pair, pe, simd, "dsp48e2") == blocks


def test_dsp_rules() -> None:
    int8, int4, uint8, e4m3 = (parse(name) for name in ("int8", "int4", "uint8", "e4m3"))
    assert dsp_blocks(int8, int8, 4, 9, "dsp58") == 4 * 3  # three products each
    assert dsp_blocks(uint8, uint8, 4, 9, "dsp58") == 4 * 9  # nine bits do not fit both ports
    assert dsp_blocks(int8, int8, 4, 9, "mult18x18d") == 4 * 9
    assert dsp_blocks(int8, int8, 4, 9, "dsp48e1", shared=False) == 4 * 9
    assert dsp_blocks(int4, int4, 4, 1, "dsp48e1", narrow=False) == 2  # 25 bits hold three products of 7
    assert [dsp_blocks(e4m3, e4m3, 1, 1, dsp) for dsp in ("dsp48e2", "dsp58", "mult18x18d")] == [2, 1, 4]


def test_luts_around_dsps() -> None:
    int8, e1m6, e4m3 = (parse(name) for name in ("int8", "e1m6", "e4m3"))
    assert dsp_luts(int8, int8, 4, 8, "dsp48e2", 6, bits=15) == 0
    assert dsp_luts(e1m6, e1m6, 4, 8, "dsp48e2", 6, bits=15) == 4 * 8  # the xor of two signs
    own, one = (dsp_luts(e4m3, e4m3, 4, 8, "dsp58", 6, bits=39, shared=shared) for shared in (False, True))
    assert own - one == 3 * 8 * decoder(e4m3, 6)


def test_bits_cost_luts() -> None:
    for lut_inputs in (6, 4):
        lanes = [lane(IntFormat(bits), IntFormat(bits), lut_inputs) for bits in range(2, 9)]
        assert lanes == sorted(lanes)
