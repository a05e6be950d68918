"""Every stored code, by the rule of its format on single lanes in plain Python, is the number that was meant."""

from collections.abc import Callable
from math import ldexp
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from hwdse.formats import Format, known_formats, parse
from hwdse.packing import Layout
from hwdse.paths import EIGHT_BITS, embed
from hwdse.stored import NONE, RULES, Stored, store, stored

FORMATS = (
    *known_formats(),
    *known_formats(signed=False),
    *map(parse, ("e4m3fn", "e5m2ieee", "e2m1fn", "e2m0ieee", "e1m3ieee", "e5m1ieee")),
)
STORED = [(fmt, own) for fmt in FORMATS for name in ("int8", *EIGHT_BITS) if (own := stored(fmt, name)) is not None]
DTYPES: dict[str, Any] = {"int8": np.int8, "e4m3fn": ml_dtypes.float8_e4m3fn, "e5m2ieee": ml_dtypes.float8_e5m2}

each = pytest.mark.parametrize(("fmt", "own"), STORED, ids=lambda part: getattr(part, "name", "") or part.operand)


def bits(own: Stored, lane: int) -> int:
    return lane


def inverted(own: Stored, lane: int) -> int:
    return lane ^ 1 << own.places[-1]


def binades(own: Stored, lane: int) -> int:
    *significand, lower, upper = own.places[: len(own.places) - own.signed]
    low, up = lane >> lower & 1, lane >> upper & 1
    number = sum(lane & 1 << place for place in significand) | (low | up) << own.lsb + len(significand)
    return signed(own, lane, number << up + (up & low))


def powers(own: Stored, lane: int) -> int:
    return signed(own, lane, 128 >> (lane & 7) & 127)


def halved(own: Stored, lane: int) -> int:
    return lane & 128 | (lane & 127) + max((lane & 127) - 4, 0)


def signed(own: Stored, lane: int, number: int) -> int:
    return -number & 255 if own.signed and lane >> own.places[-1] & 1 else number


RULE: dict[str, Callable[[Stored, int], int]] = {
    rule.__name__: rule for rule in (bits, inverted, binades, powers, halved)
}


@each
def test_what_is_ready_is_the_byte_of_the_operand(fmt: Format, own: Stored) -> None:
    kept = np.array([code for code in own.codes if code != NONE], np.uint8)
    values = [
        ldexp(fmt.decode(code), -own.exponent) - own.offset for code, kept in enumerate(own.codes) if kept != NONE
    ]
    same = np.array_equal(kept.view(DTYPES[own.operand]).astype(float), values)
    assert own.ready == (same and len(own.places) == 8)


def number(own: Stored, kept: int) -> float:
    """What the tensor core reads for a stored code."""
    lane = sum((kept >> bit & 1) << place for bit, place in enumerate(own.places))
    return float(np.uint8(RULE[own.rule](own, lane)).view(DTYPES[own.operand]))


def test_every_rule_is_here() -> None:
    assert set(RULE) == set(RULES) == {own.rule for _, own in STORED}


@each
def test_all_codes_are_the_numbers_that_were_meant(fmt: Format, own: Stored) -> None:
    for code, kept in enumerate(own.codes):
        value = fmt.decode(code)
        if kept == NONE:  # not finite, or the lone -2**(b-1) of an integer that becomes a float
            assert not np.isfinite(value) or (fmt.exponent == 0 and value == -(2 ** (fmt.bits - 1)))
        else:
            assert (number(own, kept) + own.offset) * 2.0**own.exponent == value


@each
def test_a_stored_code_fits_its_places(fmt: Format, own: Stored) -> None:
    assert len(set(own.places)) == len(own.places) == fmt.bits
    assert all(NONE <= kept < 1 << fmt.bits for kept in own.codes)
    assert Layout(fmt.bits, 4, 64, 16, own.places).places == own.places


def test_every_embedding_of_8_bits_has_a_rule() -> None:
    for fmt in FORMATS:
        for operand in ("int8", *EIGHT_BITS):
            assert (stored(fmt, operand) is None) == (embed(fmt, operand) is None)
    assert stored(parse("int4"), "float16") is None


def test_storing_gives_the_code_of_each_weight() -> None:
    own = stored(parse("e2m1"), "e4m3fn")
    assert own is not None
    assert store(parse("e2m1"), own, np.array([[1, 8], [9, 15]], np.uint8)).tolist() == [[1, 0], [9, 15]]  # -0 is 0


def test_weights_are_numbers() -> None:
    fmt = parse("e4m3fn")
    own = stored(fmt, "e4m3fn")
    assert own is not None
    with pytest.raises(ValueError, match=r"^e4m3fn weights on e4m3fn are finite and symmetric, not nan$"):
        store(fmt, own, np.array([0, 127], np.uint8))
