"""Exact widths against their definition, small counts by hand, and what must hold for every format."""

import pytest

from hwdse.arithmetic import (
    adder,
    booth_multiplier,
    functions,
    lane,
    paper_bits,
    positions,
    row_multiplier,
    shifter,
    significand_bits,
    signs,
    tight_bits,
)
from hwdse.formats import Format, IntFormat, family, known_formats, magnitude, parse

FORMATS: tuple[Format, ...] = (*known_formats(), *known_formats(signed=False))


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


@pytest.mark.parametrize(
    ("weight", "activation", "significands", "minus"),
    [
        ("int4", "uint4", (4, 4), 0),
        ("e2m1", "ue2m2", (2, 3), 1),
        ("e4m3", "e3m0", (4, 1), 2),
        ("int8", "e2m1", (8, 2), 1),
    ],
)
def test_what_a_multiplier_sees(weight: str, activation: str, significands: tuple[int, int], minus: int) -> None:
    pair = parse(weight), parse(activation)
    assert tuple(significand_bits(fmt) for fmt in pair) == significands
    assert signs(*pair) == minus


def test_small_blocks() -> None:
    assert [functions(k, 3, 6) for k in (1, 2, 5, 6, 8)] == [0, 2, 2, 3, 12]
    assert [functions(k, 3, 4) for k in (1, 2, 4, 5, 7)] == [0, 3, 3, 6, 24]
    assert [adder(5, lut_inputs) for lut_inputs in (6, 4)] == [5, 6]


def test_multipliers_by_hand() -> None:
    sizes = [booth_multiplier(5, 4, True, True, 4, paired=paired) for paired in (False, True)]
    assert sizes == [
        2 * (7 + 7) + 1,
        2 * (8 + 7) + 1,
    ]  # two chains of seven bits, their selections, and a recoded digit
    # three pairs of rows of seven bits, and the two adders that join them
    assert row_multiplier(6, 6, 6) == 3 * 7 + min(10, 8) + min(8, 10)
    assert row_multiplier(4, 2, 4) == 6 + 8  # one chain of five bits in three pairs, and its ANDs
    assert booth_multiplier(8, 8, True, True, 6) == 3 * 10 + 10  # four digits
    assert booth_multiplier(8, 8, True, True, 6, bits=14) == 3 * 10 + 8  # the last without what is above the product


@pytest.mark.parametrize("lut_inputs", [6, 4])
def test_booth_multipliers_grow(lut_inputs: int) -> None:
    for signed in (True, False):
        for m in range(2, 9):
            sizes = [booth_multiplier(n, m, signed, signed, lut_inputs) for n in range(2, 9)]
            assert sizes == sorted(sizes)


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
    assert all(positions(fmt) == 0 for fmt in FORMATS if family(fmt) == "integer")


def test_one_four_to_one_level() -> None:
    assert shifter(1, 3, 6) == 2  # four outputs of three inputs, two a LUT6
    assert shifter(1, 3, 4) == 4


def test_bits_cost_luts() -> None:
    for lut_inputs in (6, 4):
        lanes = [lane(IntFormat(bits), IntFormat(bits), lut_inputs) for bits in range(2, 9)]
        assert lanes == sorted(lanes)
