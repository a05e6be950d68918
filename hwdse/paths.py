"""Which arithmetic of a tensor core multiplies two formats exactly, and how a format lies in its numbers.

A tensor core multiplies integers and floats of 8 and 16 bits. A format takes the narrow ones where each of its values
is one of their numbers times a power of two, which goes into the scale. What that table says is computed from
`values`, not written down.
"""

from dataclasses import dataclass
from functools import cache
from math import frexp, ldexp

from hwdse.formats import Format, values


@dataclass(frozen=True, slots=True)
class Operand:
    """The numbers of a tensor core: multiples of 2**`lsb` up to `largest`, of `precision` significant bits."""

    name: str
    precision: int  # significant bits, the hidden one counted
    lsb: int  # exponent of the smallest positive number
    largest: float
    bias: int | None = None  # of the stored exponent; None: an integer

    def holds(self, number: float) -> bool:
        """Whether `number` is one of them."""
        fraction, exponent = frexp(number)
        last = max(exponent - self.precision, self.lsb)  # exponent of the last bit it may have
        return abs(number) <= self.largest and ldexp(fraction, exponent - last).is_integer()


# E4M3 and E5M2: OCP 8-bit Floating Point Specification 1.0, table 1; float16: IEEE 754-2019, table 3.5.
# An int8 has -128 too, which two's complement stores and `embed` takes.
OPERANDS = {
    operand.name: operand
    for operand in (
        Operand("int8", 7, 0, 127.0),
        Operand("e4m3fn", 4, -9, 448.0, 7),
        Operand("e5m2ieee", 3, -16, 57344.0, 15),
        Operand("float16", 11, -24, 65504.0, 15),
        Operand("bfloat16", 8, -133, ldexp(255.0, 120), 127),
    )
}
EIGHT_BITS = ("e4m3fn", "e5m2ieee")  # floats, by the names of their formats; the finer one first
SIXTEEN_BITS = ("float16", "bfloat16")
LARGEST_SUM = 2**31 - 1  # of an int32


@dataclass(frozen=True, slots=True)
class Embedding:
    """A value of the format is (a number of `operand` + `offset`) * 2**`exponent`."""

    operand: str  # a name of `OPERANDS`
    exponent: int
    offset: int = 0  # 128 where the integers are 0 to 255, stored less that; a sum of the other side corrects it
    largest: int = 0  # absolute integer of an int8, the lone -128 included; 0 for a float

    def number(self, value: float) -> float:
        """The number of the tensor core that stands for `value`."""
        return ldexp(value, -self.exponent) - self.offset


@dataclass(frozen=True, slots=True)
class Path:
    """How two formats are multiplied, product by product exactly."""

    arithmetic: str  # int8, fp8, float16 or bfloat16
    weights: Embedding
    activations: Embedding

    @property
    def exponent(self) -> int:
        """A sum of the tensor core times 2**`exponent` is one of values."""
        return self.weights.exponent + self.activations.exponent

    @property
    def plain(self) -> bool:
        """Whether a library has all of the sums of 8-bit products.

        No sum of activations corrects them, as weights that are stored less 128 need it; and cuBLAS multiplies no two
        numbers of E5M2 (torch 2.11, `torch._scaled_mm`).
        """
        return not self.weights.offset and not self.weights.operand == self.activations.operand == "e5m2ieee"

    def most_inputs(self, zero_points: bool = False) -> int | None:
        """Terms up to which an int32 sum is exact, weights being shifted up to 8 bits; None: a float, which rounds."""
        if self.arithmetic != "int8":
            return None
        weights = 255 if zero_points or self.weights.offset else 128
        activations = 255 if self.activations.offset else self.activations.largest
        return LARGEST_SUM // (weights * activations)


@cache
def embed(fmt: Format, operand: str) -> Embedding | None:
    """How `fmt` lies in the numbers of `operand`, a name of `OPERANDS`; None where it does not.

    Of an int8 the exponent makes the numbers as small as they can be. Of a float of 8 bits it is that of shifting the
    code into place, so that the sign and the other bits of the code are bits of the operand: subnormals become
    subnormals. Of one of 16 bits it is 0 where the values are its numbers as they are, or else that, too.
    """
    if operand not in OPERANDS:
        raise ValueError(f"no operand {operand!r}; known: {', '.join(OPERANDS)}")
    return _integers(fmt) if operand == "int8" else _shifted(fmt, OPERANDS[operand])


def _integers(fmt: Format) -> Embedding | None:
    exponent = _log2(fmt.lsb)
    low, high = (round(ldexp(values(fmt)[end], -exponent)) for end in (0, -1))
    offset = 128 if fmt.uniform and low == 0 and high > 127 else 0
    if low - offset < -128 or high - offset > 127:
        return None
    return Embedding("int8", exponent, offset, max(offset - low, high - offset))


def _shifted(fmt: Format, operand: Operand) -> Embedding | None:
    assert operand.bias is not None
    if operand.name in SIXTEEN_BITS and all(map(operand.holds, values(fmt))):
        return Embedding(operand.name, 0)
    mantissa = fmt.mantissa - (fmt.exponent == 0)  # an integer is a float with an exponent of one bit
    exponent = _log2(fmt.lsb) + mantissa - 1 + operand.bias
    top = ldexp(max(map(abs, values(fmt))), -exponent)
    if top > operand.largest:  # E5M1 in an E5M2 with Inf: all numbers are made smaller, where there is room below
        exponent += _ceil_log2(top / operand.largest)
    fits = all(operand.holds(ldexp(value, -exponent)) for value in values(fmt))
    return Embedding(operand.name, exponent) if fits else None


def _log2(power: float) -> int:
    return frexp(power)[1] - 1


def _ceil_log2(number: float) -> int:
    fraction, exponent = frexp(number)
    return exponent - (fraction == 0.5)


@cache
def embeddings(fmt: Format) -> tuple[Embedding, ...]:
    """How `fmt` lies in the numbers of each operand that holds it."""
    return tuple(own for own in (embed(fmt, operand) for operand in OPERANDS) if own is not None)


@cache
def paths(weights: Format, activations: Format) -> tuple[Path, ...]:
    """Every arithmetic that multiplies the two exactly: int8, whose sums are exact too, before fp8, before 16 bits."""
    found = [
        Path(arithmetic, own, other)
        for arithmetic, operands in (("int8", ("int8",)), ("fp8", EIGHT_BITS), *((o, (o,)) for o in SIXTEEN_BITS))
        if (own := _first(weights, operands)) and (other := _first(activations, operands))
    ]
    return tuple(found)


def path(weights: Format, activations: Format) -> Path:
    """The best arithmetic that multiplies the two exactly."""
    return paths(weights, activations)[0]


def _first(fmt: Format, operands: tuple[str, ...]) -> Embedding | None:
    return next((own for own in (embed(fmt, operand) for operand in operands) if own is not None), None)
