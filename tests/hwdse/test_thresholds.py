"""Where thresholds lie among the codes of a format, and what is stored for them."""

import math
from dataclasses import replace

import pytest

from hwdse.formats import Format, known_formats, parse
from hwdse.thresholds import Thresholds, code_of_index, levels, places

ALL = [*known_formats(), *known_formats(signed=False), *map(parse, ("e4m3fn", "e5m2ieee", "e2m3fn", "ue4m4fn"))]


@pytest.mark.parametrize("fmt", ALL, ids=lambda fmt: fmt.name)
def test_codes_of_indices_ascend(fmt: Format) -> None:
    codes = [code_of_index(fmt, index) for index in range(2**fmt.bits)]
    assert sorted(codes) == list(range(2**fmt.bits))
    numbers = [number for number in map(fmt.decode, codes) if math.isfinite(number)]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("fmt", ALL, ids=lambda fmt: fmt.name)
def test_places_lead_to_the_right_level(fmt: Format) -> None:
    """With thresholds 1, 2, 3, .. a sum of n reaches level n, whose code the places give."""
    found = places(fmt)
    for n, level in enumerate(levels(fmt)):
        index = sum(i is not None and i < n for i in found)
        code = code_of_index(fmt, index)
        assert math.copysign(1.0, fmt.decode(code)) == math.copysign(1.0, level + 0.0)
        assert fmt.decode(code) == level


def test_places_of_a_few() -> None:
    assert places(parse("int2")) == (-1, 0, 1)
    assert places(parse("int2"), narrow=False) == (0, 1, 2)
    assert places(parse("e1m1")) == (0, 1, 2, 2, 3, 4, 5)  # -0 is skipped
    assert places(parse("e4m3fn"))[0] == -1
    assert places(parse("e4m3fn"))[-1] is None


def test_what_is_stored() -> None:
    table = Thresholds(parse("int2"), 4, ((-20, 7), (8, 30)))
    assert (table.stored, table.bits) == (((-8, 7), (8, 8)), 5)
    assert replace(table, largest_sum=6).stored == ((-8, 7), (7, 7))
    assert replace(table, largest_sum=6).bits == 4
    unit = table.search(1)
    assert [(memory.name, memory.words) for memory in unit.memories] == [
        ("lane000_step0", (0b11000, 0b01000)),
        ("lane000_step1", (0b11000, 0b00111, 0b11000, 0b01000)),
    ]
    assert unit.name == "threshold_search(LANES=1, WORDS=2, ACC=4, WIDE=1, OE=0, OM=1, OS=1, BLOCK=0)"
    unit = table.parallel(2, block_words=64)
    assert [(memory.name, memory.words) for memory in unit.memories] == [
        ("lane000", (0b00111_11000,)),
        ("lane001", (0b01000_01000,)),
    ]
    assert dict(unit.parameters)["FIRST"] == 1


def test_a_place_that_is_never_reached_needs_a_bit() -> None:
    """Only the search stores it."""
    fmt = parse("e4m3fn")
    rows = (tuple(range(len(levels(fmt)) - 1)),)
    assert Thresholds(fmt, 10, rows).bits == 11
    assert Thresholds(fmt, 10, rows, largest_sum=510).bits == 10


def test_wrong_thresholds() -> None:
    fmt = parse("int2")
    with pytest.raises(ValueError, match=r"^int2 has 2 thresholds a channel, not the 3 of channel 1$"):
        Thresholds(fmt, 8, ((1, 2), (1, 2, 3)))
    with pytest.raises(ValueError, match=r"^thresholds ascend, unlike those of channel 0$"):
        Thresholds(fmt, 8, ((2, 1),))
    with pytest.raises(ValueError, match=r"^lanes divide the channels, but 2 do not divide 3$"):
        Thresholds(fmt, 8, ((1, 2),) * 3).search(2)
