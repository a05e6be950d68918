"""The integers of FINN that formats become, against all their values."""

import pytest

from hwdse.design import Quantizer
from hwdse.finn_types import Integer, Weights, activation, added, pooled, sums
from hwdse.formats import known_formats, limits, values


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("int4", Weights(4, 7, True)),
        ("int4:full", Weights(4, 8, False)),
        ("int2", Weights(2, 1, True)),
        ("e2m1", Weights(5, 12, True)),
        ("e2m2", Weights(6, 28, True)),
        ("e2m3", Weights(7, 60, True)),
        ("e3m2", Weights(10, 448, True)),
        ("e3m2:channel", Weights(10, 448, True)),
    ],
)
def test_weights(name: str, weights: Weights) -> None:
    assert Weights.of(Quantizer.parse(name)) == weights


@pytest.mark.parametrize("fmt", known_formats(), ids=lambda fmt: fmt.name)
def test_the_weights_of_every_format_are_integers(fmt: object) -> None:
    quantizer = Quantizer.parse(fmt.name)  # type: ignore[attr-defined]
    weights = Weights.of(quantizer)
    low, high = limits(quantizer.format, quantizer.narrow)
    codes = [x / quantizer.format.lsb for x in values(quantizer.format) if low <= x <= high]
    assert all(code == int(code) for code in codes)
    assert max(map(abs, codes)) == weights.largest
    assert Integer(weights.bits, True).low < -weights.largest < 0 < weights.largest <= Integer(weights.bits, True).high
    assert weights.largest > Integer(weights.bits - 1, True).high, "a bit less is too few"


@pytest.mark.parametrize(
    ("low", "high", "bits", "signed"),
    [(0, 0, 1, False), (0, 255, 8, False), (0, 256, 9, False), (-1, 0, 1, True), (-8, 7, 4, True), (-8, 8, 5, True)],
)
def test_the_least_that_holds(low: int, high: int, bits: int, signed: bool) -> None:
    found = Integer.holding(low, high)
    assert found == Integer(bits, signed)
    assert found.low <= low <= high <= found.high


@pytest.mark.parametrize(
    ("name", "relu", "integer"),
    [
        ("uint4", True, Integer(4, False)),
        ("int4", False, Integer(4, True)),
        ("int4", True, Integer(3, False)),
        ("int4:full", True, Integer(3, False)),
    ],
)
def test_activations(name: str, relu: bool, integer: Integer) -> None:
    assert activation(Quantizer.parse(name), relu) == integer


def test_sums() -> None:
    assert sums(64, Weights(4, 7, True), Integer(4, False)) == Integer(14, True)  # 64 * 7 * 15 = 6720
    assert sums(1, Weights(2, 1, True), Integer(2, True)) == Integer(3, True)  # -2 * -1 = 2


@pytest.mark.parametrize(
    ("first", "second", "total"),
    [
        (Integer(4, False), Integer(3, False), Integer(5, False)),
        (Integer(4, True), Integer(3, False), Integer(5, True)),
        (Integer(4, True), Integer(4, True), Integer(5, True)),
        (Integer(3, True), Integer(4, False), Integer(6, True)),
    ],
)
def test_two_streams(first: Integer, second: Integer, total: Integer) -> None:
    assert added(first, second) == total


def test_pools() -> None:
    assert pooled(16, Integer(4, False)) == Integer(8, False)
    assert pooled(16, Integer(4, True)) == Integer(8, True)
