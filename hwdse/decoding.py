"""How a code becomes a 16-bit float that a tensor core reads, mostly by moving its bits.

A minifloat is laid with its sign at the sign and its exponent and mantissa against the border of the two in the float:
that is the number, subnormals too, times a power of two that the difference of the biases makes. Float16 keeps that
power until the scale is applied, bfloat16 multiplies at once, since its smallest numbers are too small to sum up.
An integer, offset so that it is not negative, is laid at the very end: the smallest floats are as far apart as the
subnormals, of which there are 2**10 (2**7), and in the binade above them too. One multiply-add, exact, makes it larger
and takes the offset away; the power of two that is then left goes into the scale. `e1mK` is an integer.
Humming (vllm-project, `arith/exp_offset.cuh`) moves bits so in CUDA; where the bits of packed codes lie for this is
`hwdse/arrangement.py`.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hwdse.formats import FloatFormat, Format, IntFormat, Specials, as_integer

SIGN = 15
BITS, INTEGER, WIDE = "bits", "integer", "wide"
FLOATS = ("float16", "bfloat16")
MANTISSAS = {"float16": 10, "bfloat16": 7}  # stored bits
BIASES = {"float16": 15, "bfloat16": 127}
SMALLEST = {"float16": -24, "bfloat16": -133}  # exponent of the smallest float


@dataclass(frozen=True, slots=True)
class Decoding:
    """The value of a code is `factor` times what is decoded, which is what the tensor core reads.

    `how`: `bits` are the float, which is multiplied by `2**power`; `integer` are multiples of the smallest float, which
    are multiplied by `2**power` and of which `below` is subtracted; `wide` are those of bfloat16, multiplied by
    `2**power` and then converted, for float16 has no number for the largest exponent.
    """

    floats: str  # float16 or bfloat16
    how: str
    target: tuple[int, ...]  # in a 16-bit lane, of the stored code, lowest bit first
    room: int = 0  # how far above the target the decoding takes it as well
    power: int = 0
    factor: float = 1.0
    below: int = 0  # what is added to an integer before it is stored

    @property
    def one(self) -> float:
        """To what an integer 1 is decoded."""
        return math.ldexp(1.0, self.power + SMALLEST[self.floats])


def decoding(fmt: Format, floats: str) -> Decoding:
    """How `fmt` becomes one of `floats`; ValueError where it does not."""
    if floats not in MANTISSAS:
        raise ValueError(f"weights become {' or '.join(MANTISSAS)}, not {floats!r}")
    own = as_integer(fmt)
    if isinstance(own, IntFormat):
        return _of_integer(own, floats, fmt.lsb)
    if not isinstance(own, FloatFormat):
        raise ValueError(f"packed weights are integers or minifloats of 2 to 8 bits, not {fmt.name}")
    return _of_minifloat(own, floats)


def _of_integer(fmt: IntFormat, floats: str, lsb: float) -> Decoding:
    largest = BIASES[floats]  # exponent: what makes integers the largest that one multiplication can
    left = math.ldexp(lsb, -largest - SMALLEST[floats])
    below = 1 << fmt.bits - 1 if fmt.signed else 0
    places, room = tuple(range(fmt.bits)), MANTISSAS[floats] + 1 - fmt.bits
    return Decoding(floats, INTEGER, places, room, largest, left, below)


def _of_minifloat(fmt: FloatFormat, floats: str) -> Decoding:
    wide = floats == "float16" and fmt.exponent == 5 and fmt.specials is not Specials.IEEE
    if floats == "float16" and fmt.exponent > 5:
        raise ValueError(f"float16 holds minifloats of at most 5 exponent bits, not {fmt.name}; bfloat16 holds it")
    border = MANTISSAS["bfloat16" if wide else floats]
    target = (*range(border - fmt.mantissa, border + fmt.exponent), *((SIGN,) if fmt.signed else ()))
    if wide:
        return Decoding(floats, WIDE, target, power=BIASES["bfloat16"] - fmt.bias - 1, factor=2.0)
    if floats == "bfloat16":
        return Decoding(floats, BITS, target, power=BIASES[floats] - fmt.bias)
    return Decoding(floats, BITS, target, factor=math.ldexp(1.0, BIASES[floats] - fmt.bias))


@cache
def stored(fmt: Format, floats: str) -> NDArray[np.int16]:
    """For every code of `fmt` what is packed for it: -1 where it is no finite number. -0 is packed as 0."""
    own = decoding(fmt, floats)
    found = np.array([_stored(fmt, own, code) for code in range(1 << fmt.bits)], np.int16)
    found.setflags(write=False)
    return found


def _stored(fmt: Format, own: Decoding, code: int) -> int:
    number = fmt.decode(code)
    if not math.isfinite(number):
        return -1
    if own.how in (BITS, WIDE):
        return code if number else 0
    return round(number / fmt.lsb) + own.below
