"""The table of exact paths, against every number of every operand as ml_dtypes and numpy have them."""

from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from hwdse.formats import Format, known_formats, parse, values
from hwdse.paths import OPERANDS, Embedding, embed, embeddings, path, paths

SIGNED = (*known_formats(bits=range(3, 9)), parse("e4m3fn"), parse("e5m2ieee"))
UNSIGNED = known_formats(bits=range(3, 9), signed=False)
FORMATS = (*SIGNED, *UNSIGNED)
DTYPES: dict[str, Any] = {
    "int8": np.int8,
    "e4m3fn": ml_dtypes.float8_e4m3fn,
    "e5m2ieee": ml_dtypes.float8_e5m2,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
}
SHIFTS = range(-160, 161)  # powers of two: the formats reach from 2**-63 to 2**65, bfloat16 from 2**-133


def numbers(operand: str) -> NDArray[np.float64]:
    """All finite numbers of the operand, ascending."""
    dtype = np.dtype(DTYPES[operand])
    codes = np.arange(256**dtype.itemsize, dtype=f"u{dtype.itemsize}").view(dtype)
    with np.errstate(invalid="ignore"):  # the signalling NaNs among them
        found = codes.astype(np.float64)
    return np.unique(found[np.isfinite(found)])


NUMBERS = {operand: numbers(operand) for operand in DTYPES}
each_format = pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)


def inside(operand: str, x: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of `x` are numbers of the operand."""
    known = NUMBERS[operand]
    same: NDArray[np.bool_] = known[np.searchsorted(known, x).clip(max=len(known) - 1)] == x
    return same


def fits(fmt: Format, operand: str) -> bool:
    """By trying every power of two, and for integers both offsets."""
    moved = [np.ldexp(values(fmt), s) for s in SHIFTS]
    if operand == "int8" and fmt.uniform and not fmt.signed:
        moved += [own - 128 for own in moved if (own == np.rint(own)).all()]
    return any(inside(operand, own).all() for own in moved)


def test_operands_are_those_of_ml_dtypes() -> None:
    assert list(OPERANDS) == list(DTYPES)
    for name, operand in OPERANDS.items():
        known = NUMBERS[name]
        assert known[-1] == operand.largest
        assert known[known > 0][0] == 2.0**operand.lsb
        assert all(map(operand.holds, known[known >= -operand.largest]))  # all but -128
        between = (known[1:] + known[:-1]) / 2
        assert not any(map(operand.holds, between))


@each_format
def test_a_format_has_a_path_where_a_power_of_two_gives_one(fmt: Format) -> None:
    for operand in OPERANDS:
        own = embed(fmt, operand)
        assert (own is not None) == fits(fmt, operand), operand
        if own is not None:
            assert inside(operand, np.array([own.number(v) for v in values(fmt)])).all(), operand


@each_format
def test_integers_are_as_small_as_they_can_be(fmt: Format) -> None:
    own = embed(fmt, "int8")
    if own is not None:
        integers = np.array([own.number(v) for v in values(fmt)]).astype(int)
        assert np.gcd.reduce(integers + own.offset) == 1
        assert own.largest == abs(integers).max()
        assert own.offset == (128 if integers.max() + own.offset > 127 else 0)


def holding(operand: str, formats: tuple[Format, ...] = SIGNED) -> set[str]:
    return {fmt.name for fmt in formats if embed(fmt, operand) is not None}


def test_the_table_is_the_one_that_the_kernels_were_planned_for() -> None:
    """Found by brute force before there was a kernel; 'EeMm' with one exponent bit are integers."""
    integers = {f"int{b}" for b in range(3, 9)} | {f"e1m{m}" for m in range(1, 7)}
    assert holding("int8") == integers | {"e2m0", "e2m1", "e2m2", "e2m3", "e2m4", "e3m0"}
    narrow = {"int3", "int4", "int5", "e1m1", "e1m2", "e1m3"}
    e4m3 = {"e2m0", "e2m1", "e2m2", "e2m3", "e3m0", "e3m1", "e3m2", "e3m3", "e4m0", "e4m1", "e4m2", "e4m3fn"}
    assert holding("e4m3fn") == narrow | e4m3
    assert holding("e5m2ieee") - holding("e4m3fn") == {"e5m0", "e5m1", "e5m2ieee"}
    eight = holding("int8") | holding("e4m3fn") | holding("e5m2ieee")
    assert {fmt.name for fmt in SIGNED} - eight == {"e2m5", "e3m4", "e4m3", "e5m2", "e6m0", "e6m1", "e7m0"}
    assert {fmt.name for fmt in SIGNED} - holding("float16") == {"e6m0", "e6m1", "e7m0"}
    assert holding("bfloat16", FORMATS) == {fmt.name for fmt in FORMATS}


def test_unsigned_integers_of_8_bits_have_an_offset() -> None:
    offset = {fmt.name for fmt in UNSIGNED if (own := embed(fmt, "int8")) and own.offset}
    assert offset == {"uint8", "ue1m7"}


@pytest.mark.parametrize(
    ("weights", "activations", "arithmetic", "exponent"),
    [
        ("int4", "int8", "int8", 0),
        ("e2m1", "e2m1", "int8", -2),  # halves times halves
        ("e2m3", "e2m3", "int8", -6),
        ("e3m2", "e3m2", "fp8", 8),
        ("int4", "e4m3fn", "fp8", 8),
        ("e5m1", "e4m3fn", "fp8", 1),  # E5M2 times E4M3
        ("e2m5", "int8", "float16", 0),
        ("e3m4", "e3m4", "float16", 0),
        ("int8", "e4m3fn", "float16", 0),
        ("e7m0", "int8", "bfloat16", 0),
        ("e5m2", "e3m4", "float16", 1),  # the largest number of e5m2 is twice float16's
        ("uint8", "uint8", "int8", 0),
    ],
)
def test_the_path_of_a_pair(weights: str, activations: str, arithmetic: str, exponent: int) -> None:
    found = path(parse(weights), parse(activations))
    assert (found.arithmetic, found.exponent) == (arithmetic, exponent)


def test_every_pair_has_its_paths_best_first() -> None:
    order = ("int8", "fp8", "float16", "bfloat16")
    for weights, activations in product(FORMATS, FORMATS):
        found = [own.arithmetic for own in paths(weights, activations)]
        assert found == sorted(found, key=order.index)
        assert found[-1] == "bfloat16"


def test_sums_are_exact_up_to_a_number_of_inputs() -> None:
    """Weights are shifted up to the top of 8 bits: their integers reach -128, whatever their width is."""
    largest = {("int4", "int8"): 128 * 128, ("int4", "uint8"): 128 * 255, ("uint8", "int4"): 255 * 8}
    largest |= {("int3", "e2m3"): 128 * 60, ("e2m1", "e2m1"): 128 * 12}
    for (weights, activations), product_ in largest.items():
        most = path(parse(weights), parse(activations)).most_inputs()
        assert most is not None
        assert most * product_ < 2**31 <= (most + 1) * product_
    assert path(parse("int4"), parse("int8")).most_inputs(zero_points=True) == (2**31 - 1) // (255 * 128)
    assert path(parse("e3m2"), parse("e3m2")).most_inputs() is None


def test_a_format_lies_in_itself() -> None:
    for name in ("e4m3fn", "e5m2ieee"):
        assert embeddings(parse(name))[0] == Embedding(name, 0)


def test_an_operand_that_there_is_not() -> None:
    with pytest.raises(ValueError, match=r"^no operand 'int4'; known: int8, e4m3fn, e5m2ieee, float16, bfloat16$"):
        embed(parse("int4"), "int4")
