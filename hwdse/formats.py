"""Number formats of 2 to 8 bits, of one for FINN's networks, and of 16 where nothing is quantised, as values.

A format is small enough to be its own specification: `values()` lists every
number it can hold, and every other part of the project is tested against that list.
"""

import math
import re
from collections.abc import Hashable
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Format(Hashable, Protocol):
    """What cost models, kernels and templates may ask of a format, instead of its class."""

    @property
    def name(self) -> str:
        """The text form: `parse(fmt.name) == fmt`."""

    @property
    def bits(self) -> int:
        """Storage width, sign included."""

    @property
    def signed(self) -> bool:
        """Whether a sign is stored."""

    @property
    def exponent(self) -> int:
        """Exponent bits; 0 for an integer."""

    @property
    def mantissa(self) -> int:
        """Stored significand bits without the hidden one; all bits but the sign for an integer."""

    @property
    def lsb(self) -> float:
        """The smallest positive value: every value is a whole number of these."""

    @property
    def uniform(self) -> bool:
        """Whether neighbouring values are all `lsb` apart, so that the format is an integer in disguise."""

    @property
    def unsigned(self) -> "Format":
        """The format of equal width that spends the sign bit on precision."""

    def decode(self, code: int) -> float:
        """The number that `code` stands for."""


@dataclass(frozen=True, slots=True)
class IntFormat:
    """Two's complement (`int4`) or unsigned (`uint4`) integer."""

    bits: int
    signed: bool = True

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 8:
            raise ValueError(f"an integer format has 2 to 8 bits, not {self.bits}")

    @property
    def name(self) -> str:
        """`int4` or `uint4`."""
        return f"{'int' if self.signed else 'uint'}{self.bits}"

    @property
    def exponent(self) -> int:
        """No exponent."""
        return 0

    @property
    def mantissa(self) -> int:
        """Magnitude bits."""
        return self.bits - self.signed

    @property
    def lsb(self) -> float:
        """One."""
        return 1.0

    @property
    def uniform(self) -> bool:
        """Always."""
        return True

    @property
    def unsigned(self) -> "IntFormat":
        """`uint4` for `int4`."""
        return replace(self, signed=False)

    def decode(self, code: int) -> float:
        """The integer that `code` stands for."""
        negative = self.signed and code >> (self.bits - 1)
        return float(code - 2**self.bits if negative else code)


@dataclass(frozen=True, slots=True)
class BinaryFormat:
    """-1 and 1 in one bit (`binary`): for the networks of FINN, which counts equal bits. Zero becomes 1."""

    @property
    def name(self) -> str:
        """`binary`."""
        return "binary"

    @property
    def bits(self) -> int:
        """One."""
        return 1

    @property
    def signed(self) -> bool:
        """Always: the bit is a sign."""
        return True

    @property
    def exponent(self) -> int:
        """No exponent."""
        return 0

    @property
    def mantissa(self) -> int:
        """No magnitude bits."""
        return 0

    @property
    def lsb(self) -> float:
        """One."""
        return 1.0

    @property
    def uniform(self) -> bool:
        """It has one step alone, and counts as an integer."""
        return True

    @property
    def unsigned(self) -> "BinaryFormat":
        """Itself: there is no bit to spend."""
        return self

    def decode(self, code: int) -> float:
        """-1 for 0, and 1."""
        return 2.0 * code - 1


class Specials(Enum):
    """Which codes are not finite numbers; the value is the suffix of the name."""

    NONE = ""  # none: OCP MX v1.0 E2M1, E2M3, E3M2
    NAN = "fn"  # the largest code of each sign is NaN: OCP FP8 E4M3
    IEEE = "ieee"  # an all-ones exponent is Inf or NaN: OCP FP8 E5M2

    def __repr__(self) -> str:
        return f"Specials.{self.name}"


@dataclass(frozen=True, slots=True)
class FloatFormat:
    """Minifloat: optional sign, `exponent` and `mantissa` bits; subnormals always; bias 2**(e-1) - 1."""

    exponent: int
    mantissa: int
    specials: Specials = Specials.NONE
    signed: bool = True

    def __post_init__(self) -> None:
        if not (1 <= self.exponent <= 7 and self.mantissa >= 0 and 3 <= self.bits <= 8):
            raise ValueError(
                f"a minifloat has 3 to 8 bits, 1 to 7 of them exponent, not {self.bits} bits with {self.exponent}"
            )

    @property
    def bits(self) -> int:
        """Sign, exponent and mantissa bits together."""
        return self.signed + self.exponent + self.mantissa

    @property
    def bias(self) -> int:
        """What is subtracted from the stored exponent: 2**(e-1) - 1, as in IEEE 754."""
        return (1 << self.exponent - 1) - 1

    @property
    def name(self) -> str:
        """`e2m1`, `ue2m2`, `e4m3fn`, `e5m2ieee`."""
        return f"{'' if self.signed else 'u'}e{self.exponent}m{self.mantissa}{self.specials.value}"

    @property
    def lsb(self) -> float:
        """The smallest subnormal; of `eKm0`, which has none, the smallest normal."""
        return math.ldexp(1.0, 1 - self.bias - self.mantissa)

    @property
    def uniform(self) -> bool:
        """Whether all steps are equal: one binade beside the subnormals, or the two numbers 1 and 2 beside 0."""
        only_1_and_2 = (self.exponent, self.mantissa) == (2, 0) and self.specials is not Specials.NONE
        return self.exponent == 1 or only_1_and_2

    @property
    def unsigned(self) -> "FloatFormat":
        """`ue2m2` for `e2m1`: the sign bit becomes a mantissa bit."""
        return self if not self.signed else replace(self, signed=False, mantissa=self.mantissa + 1)

    def decode(self, code: int) -> float:
        """The number that `code` stands for; Inf and NaN where the format has them."""
        sign = -1.0 if self.signed and code >> (self.bits - 1) else 1.0
        exponent = code >> self.mantissa & (2**self.exponent - 1)
        fraction = code & (2**self.mantissa - 1)
        top = exponent == 2**self.exponent - 1
        if self.specials is Specials.IEEE and top:
            return math.nan if fraction else sign * math.inf
        if self.specials is Specials.NAN and top and fraction == 2**self.mantissa - 1:
            return math.nan
        significand = fraction / 2**self.mantissa + (exponent > 0)
        return sign * math.ldexp(significand, max(exponent, 1) - self.bias)


@dataclass(frozen=True, slots=True)
class HalfFormat:
    """`float16` (5 exponent bits) or `bfloat16` (8), with Inf and NaN: activations that a GPU takes as they are.

    For networks whose weights alone are quantised. A number is cast, to the nearest and to the even one of two, and one
    that is too large becomes Inf, as in torch: there is no scale, and nothing saturates. Its `values()` are 63,487 or
    65,279, which is for tests; `limits` and `magnitude` do without them.
    """

    exponent: int

    def __post_init__(self) -> None:
        if self.exponent not in (5, 8):
            raise ValueError(f"a float of 16 bits has 5 exponent bits or 8, not {self.exponent}")

    @property
    def name(self) -> str:
        """`float16`, `bfloat16`."""
        return "float16" if self.exponent == 5 else "bfloat16"

    @property
    def bits(self) -> int:
        """Sixteen."""
        return 16

    @property
    def signed(self) -> bool:
        """Always."""
        return True

    @property
    def mantissa(self) -> int:
        """What sign and exponent leave."""
        return 15 - self.exponent

    @property
    def bias(self) -> int:
        """As of a minifloat."""
        return (1 << self.exponent - 1) - 1

    @property
    def lsb(self) -> float:
        """The smallest subnormal."""
        return math.ldexp(1.0, 1 - self.bias - self.mantissa)

    @property
    def largest(self) -> float:
        """The largest finite number: 65,504, or nearly that of float32."""
        return math.ldexp(2 - 2.0**-self.mantissa, self.bias)

    @property
    def uniform(self) -> bool:
        """Never."""
        return False

    @property
    def unsigned(self) -> "HalfFormat":
        """Itself: no GPU has one without a sign."""
        return self

    def decode(self, code: int) -> float:
        """The number that `code` stands for; Inf and NaN where the exponent is all ones."""
        sign = -1.0 if code >> 15 else 1.0
        exponent = code >> self.mantissa & (2**self.exponent - 1)
        fraction = code & (2**self.mantissa - 1)
        if exponent == 2**self.exponent - 1:
            return math.nan if fraction else sign * math.inf
        significand = fraction / 2**self.mantissa + (exponent > 0)
        return sign * math.ldexp(significand, max(exponent, 1) - self.bias)


HALVES = (HalfFormat(5), HalfFormat(8))


@cache
def parse(name: str) -> Format:
    """The format called `name`: `parse(fmt.name) == fmt` for every format."""
    if m := re.fullmatch(r"(u?)int([0-9])", name):
        return IntFormat(int(m[2]), signed=not m[1])
    if m := re.fullmatch(r"(u?)e([0-9])m([0-9])(fn|ieee|)", name):
        return FloatFormat(int(m[2]), int(m[3]), Specials(m[4]), signed=not m[1])
    if name == "binary":
        return BinaryFormat()
    if (half := next((fmt for fmt in HALVES if fmt.name == name), None)) is not None:
        return half
    raise ValueError(
        f"no format {name!r}; write e.g. 'int4', 'uint8', 'e2m1', 'ue2m2', 'e4m3fn', 'e5m2ieee' or 'float16'"
    )


def known_formats(*, bits: range = range(2, 9), signed: bool = True) -> tuple[Format, ...]:
    """Every integer and all-finite minifloat whose width is in `bits`, integers first."""
    integers = [IntFormat(b, signed) for b in bits if 2 <= b <= 8]
    splits = [(e, b - signed - e) for b in bits if 3 <= b <= 8 for e in range(1, 8) if b - signed - e >= 0]
    return (*integers, *(FloatFormat(e, m, signed=signed) for e, m in splits))


def family(fmt: Format) -> str:
    """`integer`, `minifloat` or, of 16 bits, `float`; `e1mK` is a uniform grid and counts as an integer."""
    if isinstance(fmt, HalfFormat):
        return "float"
    return "integer" if fmt.uniform else "minifloat"


def check_weights(fmt: Format) -> Format:
    """`fmt`; ValueError where it is one of activations alone."""
    if isinstance(fmt, HalfFormat):
        raise ValueError(f"{fmt.name} is a format of activations, not of weights")
    return fmt


def as_integer(fmt: Format) -> Format:
    """The narrow integer whose values are those of `fmt` in units of `lsb`, if `fmt` is an all-finite `e1mK`."""
    same = fmt.exponent == 1 and len(values(fmt)) == 2**fmt.bits - fmt.signed
    return IntFormat(fmt.bits, fmt.signed) if same else fmt


@cache
def values(fmt: Format) -> tuple[float, ...]:
    """Every finite number `fmt` can hold, ascending, without repeats."""
    decoded = map(fmt.decode, range(2**fmt.bits))
    return tuple(sorted({v + 0.0 for v in decoded if math.isfinite(v)}))


@cache
def magnitude(fmt: Format, narrow: bool = True) -> int:
    """The largest absolute value of `fmt` in units of `lsb`; `narrow` leaves out an integer's lone -2**(b-1)."""
    low, high = limits(fmt, narrow)
    return round(max(-low, high) / fmt.lsb)


def integer_bits(fmt: Format) -> int:
    """The width of the integer, with a sign where `fmt` has one, that holds every value of it in units of `lsb`."""
    return magnitude(fmt).bit_length() + fmt.signed


@cache
def limits(fmt: Format, narrow: bool = True) -> tuple[float, float]:
    """The smallest and largest value that quantising to `fmt` gives, Inf aside."""
    if isinstance(fmt, HalfFormat):
        return -fmt.largest, fmt.largest
    low, high = values(fmt)[0], values(fmt)[-1]
    return (max(low, -high) if narrow and fmt.signed else low), high


@cache
def decode_table(fmt: Format) -> NDArray[np.float64]:
    """`2**bits` numbers, indexed by code."""
    table = np.array([fmt.decode(code) for code in range(2**fmt.bits)])
    table.setflags(write=False)
    return table


def decode(fmt: Format, codes: ArrayLike) -> NDArray[np.float64]:
    """The numbers that `codes` (integers, any shape) stand for."""
    numbers: NDArray[np.float64] = decode_table(fmt)[np.asarray(codes)]
    return numbers


def quantise(fmt: Format, x: ArrayLike, *, narrow: bool = True) -> NDArray[np.float64]:
    """`x` (any shape) rounded to the nearest value of `fmt`, saturating but for a `HalfFormat`.

    Ties go to the even multiple of the local step, which is the even mantissa, and up where a
    format has no mantissa: the rule of Brevitas (`FloatQuant`, `IntQuant`: round half to even of
    x / step, step = 2**max(floor(log2 |x|) - m, 1 - bias - m)). `binary` has the sign of x, that
    of 0 being positive (`BinaryQuant`). Inf saturates too; NaN is a ValueError. In 16 bits what
    rounds beyond the largest number is Inf, as in torch's cast from float32 (a cast from float64 passes float32).
    """
    array = np.asarray(x, np.float64)
    if np.isnan(array).any():
        raise ValueError("NaN has no nearest value")
    if isinstance(fmt, BinaryFormat):
        return np.where(array >= 0, 1.0, -1.0)
    low, high = limits(fmt, narrow)
    if isinstance(fmt, HalfFormat):
        rounded = _rounded(fmt, array)
        return np.where(np.abs(rounded) > high, np.copysign(np.inf, rounded), rounded)
    return np.clip(_rounded(fmt, np.clip(array, low, high)), low, high)


def _rounded(fmt: Format, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """`x` on the steps of `fmt`, which go on beyond its ends; -0 becomes 0."""
    if fmt.uniform:
        step: NDArray[np.float64] | float = fmt.lsb
    else:
        exponent = np.frexp(x)[1] - 1  # floor(log2 |x|), exactly
        step = np.maximum(np.ldexp(1.0, exponent - fmt.mantissa), fmt.lsb)
    rounded: NDArray[np.float64] = np.rint(x / step) * step + 0.0
    return rounded


@cache
def _codes_of_values(fmt: Format) -> NDArray[np.uint8]:
    code_of = {fmt.decode(code) + 0.0: code for code in reversed(range(2**fmt.bits))}  # +0, not -0
    return np.array([code_of[v] for v in values(fmt)], np.uint8)


def encode(fmt: Format, x: ArrayLike, *, narrow: bool = True) -> NDArray[np.uint8]:
    """The codes of `quantise(fmt, x)`; zero gets the code without a sign. ValueError for codes of more than a byte."""
    if isinstance(fmt, HalfFormat):
        raise ValueError(f"a code is a byte at most, which {fmt.name} does not fit")
    index = np.searchsorted(np.array(values(fmt)), quantise(fmt, x, narrow=narrow))
    return _codes_of_values(fmt)[index]
