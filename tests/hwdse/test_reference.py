"""The references themselves: against the numbers that codes stand for."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from hwdse import reference
from hwdse.formats import Format, decode, decode_table, encode, known_formats, parse, quantise, values
from hwdse.thresholds import Thresholds, levels


@pytest.mark.parametrize("fmt", [*known_formats(), *known_formats(signed=False)], ids=lambda fmt: fmt.name)
def test_fixed_point_is_the_number_in_steps(fmt: Format) -> None:
    steps = reference.fixed_point(fmt, np.arange(2**fmt.bits))
    assert [Fraction(fmt.lsb) * step for step in steps] == [Fraction(number) for number in decode_table(fmt)]


@pytest.mark.parametrize(
    ("weight", "activation"), [("int4", "uint8"), ("e2m1", "int8"), ("e4m3", "e4m3"), ("e5m2",) * 2]
)
def test_dot_products_are_exact(weight: str, activation: str) -> None:
    w, a = parse(weight), parse(activation)
    random = np.random.default_rng(0)
    weights, activations = random.integers(0, 2**w.bits, (3, 50)), random.integers(0, 2**a.bits, (4, 50))
    found = reference.dot_products(w, a, weights, activations)
    step = Fraction(w.lsb) * Fraction(a.lsb)
    for n in range(4):
        for row in range(3):
            pairs = zip(decode(w, weights[row]), decode(a, activations[n]), strict=True)
            assert found[n, row] * step == sum(Fraction(x) * Fraction(y) for x, y in pairs)


def test_a_largest_of_codes() -> None:
    codes = [[0b1000, 0b0111], [0b0000, 0b1111], [0b1001, 0b1000], [0b1111, 0b1001]]
    assert reference.max_pool(parse("e2m1"), codes, 2).tolist() == [[0b0000, 0b0111], [0b1001, 0b1000]]
    assert reference.max_pool(parse("int4"), codes, 4).tolist() == [[0b0000, 0b0111]]
    assert reference.max_pool(parse("uint4"), codes, 4).tolist() == [[0b1111, 0b1111]]


def test_sums_over_pixels() -> None:
    codes = [[1], [15], [2], [14], [3], [13]]  # three pixels of two groups
    assert reference.sum_pool(parse("int4"), codes, 3, 2).tolist() == [[6], [-6]]
    assert reference.sum_pool(parse("uint4"), codes, 6).tolist() == [[48]]
    assert reference.residual_add(parse("e2m1"), [0b0111, 0b1001], [0b0111, 0b1111]).tolist() == [24, -13]


@pytest.mark.parametrize(
    ("name", "narrow"),
    [("int4", True), ("int4", False), ("uint3", True), ("e2m1", True), ("e4m3fn", True), ("e3m0", True)],
)
def test_thresholds_between_levels_round_to_the_nearest(name: str, narrow: bool) -> None:
    """In half steps, with thresholds in the middle, ties apart: quantising."""
    fmt = parse(name)
    numbers = [round(2 * level / fmt.lsb) for level in levels(fmt, narrow)]
    middles = tuple((low + high) // 2 for low, high in pairwise(numbers))
    sums = np.array([s for s in range(numbers[0] - 3, numbers[-1] + 3) if s not in middles])[:, np.newaxis]
    found = reference.threshold(Thresholds(fmt, 40, (middles,), narrow), sums)
    wanted = encode(fmt, quantise(fmt, sums * fmt.lsb / 2, narrow=narrow), narrow=narrow)
    assert (found == wanted).all()
    assert set(decode(fmt, found).ravel()) == {v for v in values(fmt) if v in levels(fmt, narrow)}
