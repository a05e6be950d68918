"""How weights are stored for 8-bit tensor cores: which code, and where each of its bits lies in an 8-bit lane.

A format multiplies exactly as int8 or as a float of 8 bits (`hwdse/paths.py`). What is stored is what costs the fewest
instructions to turn into that, four weights of a word at a time: two's complement at the top of a lane, the factor
going into the scale; the sign and the other bits of a minifloat where E4M3 or E5M2 has them; and for minifloats on
int8 a significand and the bits that double it. Kernels decode these kinds, `RULES`.
"""

from dataclasses import dataclass
from functools import cache
from math import isfinite, ldexp

import numpy as np
from numpy.typing import NDArray

from hwdse.formats import Format, decode_table, magnitude
from hwdse.paths import EIGHT_BITS, OPERANDS, embed

LANE = 8  # bits
# What a lane holds: the operand as it is, or with its highest bit inverted; a significand that two bits double (E2Mm);
# how often 128 is halved (E3M0); or a minifloat of 5 exponent bits that are all finite, of which E5M2 has the half.
RULES = ("bits", "inverted", "binades", "powers", "halved")
NONE = -1  # a code that is no number of the operand


@dataclass(frozen=True, slots=True)
class Stored:
    """Weights of a format in 8-bit lanes; a value is (the operand + `offset`) * 2**`exponent`."""

    operand: str  # int8, e4m3fn or e5m2ieee
    rule: str  # of `RULES`
    codes: tuple[int, ...]  # what is stored for each code of the format, or `NONE`
    places: tuple[int, ...]  # in the lane of each bit that is stored, the lowest first
    exponent: int
    offset: int = 0
    signed: bool = False  # whether the last of `places` is a sign that its rule looks at
    lsb: int = 0  # the lowest place of a significand, by the rule `binades`

    @property
    def ready(self) -> bool:
        """Whether what is stored is the byte of the operand, so that nothing decodes it."""
        return self.rule == "bits" and self.places == tuple(range(LANE))


@cache
def stored(fmt: Format, operand: str) -> Stored | None:
    """How weights of `fmt` are stored for `operand`; None where they are not its numbers, or no rule gives them."""
    own = embed(fmt, operand)
    if own is None or operand not in ("int8", *EIGHT_BITS):
        return None
    if operand != "int8":
        return _float(fmt, operand, own.exponent)
    if fmt.uniform:
        return _uniform(fmt, own.exponent, own.offset)
    if fmt.exponent == 2:
        return _binades(fmt, own.exponent)
    return _powers(fmt, own.exponent) if (fmt.exponent, fmt.mantissa) == (3, 0) else None


def store(fmt: Format, own: Stored, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What is stored for the `codes` (any shape) of weights."""
    found = np.array(own.codes, np.int16)[codes]
    if (found == NONE).any():
        worst = fmt.decode(int(codes[found == NONE][0]))
        raise ValueError(f"{fmt.name} weights on {own.operand} are finite and symmetric, not {worst:g}")
    return found.astype(np.uint8)


def _uniform(fmt: Format, exponent: int, offset: int) -> Stored:
    """Two's complement as high as it goes, so that whatever lies below is cut off by the one AND.

    Where two codes share a lane, the highest bit is inverted: a GPU inverts it again in the instruction of the AND, and
    the compiler (LLVM of Triton 3.9) does not take the shift before it apart, byte by byte.
    """
    inverted = 1 << fmt.bits - 1 if 2 * fmt.bits <= LANE else 0
    top = 0 if offset else LANE - fmt.bits - (not fmt.signed)
    integers = ldexp(1.0, -exponent) * decode_table(fmt)
    codes = [(round(q - offset) & ((1 << fmt.bits) - 1)) ^ inverted if isfinite(q) else NONE for q in integers]
    rule, places = "inverted" if inverted else "bits", tuple(range(top, top + fmt.bits))
    return Stored("int8", rule, tuple(codes), places, exponent - top, offset)


def _float(fmt: Format, operand: str, exponent: int) -> Stored:
    """Sign and magnitude, the last bit of the significand where the operand has that of its own."""
    halved = fmt.exponent == 5 and exponent == 1  # shifted into place it would reach the codes of Inf
    stored_significand = OPERANDS[operand].precision - 1
    shift = 1 - fmt.mantissa if halved else stored_significand - (fmt.mantissa - (fmt.exponent == 0))
    places = tuple(range(shift, shift + fmt.bits - fmt.signed)) + ((LANE - 1,) if fmt.signed else ())
    rule = "halved" if halved else "bits"
    return Stored(operand, rule, _sign_and_magnitude(fmt), places, exponent, signed=fmt.signed)


def _binades(fmt: Format, exponent: int) -> Stored:
    """A code as it is: significand, two bits that double, sign; all as high as the largest integer allows.

    A bit at a place not above the significand needs no shift to become a mask of it: so the sign and those two go there
    as far as there is room.
    """
    lsb = (127 // magnitude(fmt)).bit_length() - 1
    low = list(range(lsb + (fmt.mantissa == 0)))
    high = list(range(lsb + fmt.mantissa, LANE))
    sign, upper, lower = (low or high).pop(0), (low or high).pop(0), (low or high).pop(0)
    places = (*range(lsb, lsb + fmt.mantissa), lower, upper) + ((sign,) if fmt.signed else ())
    return Stored("int8", "binades", _sign_and_magnitude(fmt), places, exponent - lsb, signed=fmt.signed, lsb=lsb)


def _powers(fmt: Format, exponent: int) -> Stored:
    """How often 128 is halved: 1 to 7 times; 0 is zero, as 128 is beyond an int8 and is cut off."""
    places = (0, 1, 2) + ((3,) if fmt.signed else ())
    halvings = [code if code in (0, NONE) else code & 8 | 8 - (code & 7) for code in _sign_and_magnitude(fmt)]
    return Stored("int8", "powers", tuple(halvings), places, exponent, signed=fmt.signed)


def _sign_and_magnitude(fmt: Format) -> tuple[int, ...]:
    """For each code; without a sign for zero, and `NONE` for what has no magnitude of as many bits."""
    sign = 1 << fmt.bits - fmt.signed
    found = []
    for code in range(1 << fmt.bits):
        value = fmt.decode(code)
        bits = round(abs(value)) if fmt.exponent == 0 else code & sign - 1
        number = isfinite(value) and bits < sign
        found.append((0 if value == 0 else bits | (sign if value < 0 else 0)) if number else NONE)
    return tuple(found)
