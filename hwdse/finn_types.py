"""The integers that FINN computes with, where it finds them by the weights in the worst case that the formats allow."""

from dataclasses import dataclass
from typing import Self

from hwdse.design import Quantizer
from hwdse.formats import integer_bits, limits


@dataclass(frozen=True, slots=True)
class Integer:
    """FINN's INT4 or UINT4."""

    bits: int
    signed: bool

    @property
    def low(self) -> int:
        """The least."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """The largest."""
        return (1 << (self.bits - self.signed)) - 1

    @classmethod
    def holding(cls, low: int, high: int) -> Self:
        """The one of fewest bits that holds both; at least one bit."""
        if low >= 0:
            return cls(max(1, high.bit_length()), False)
        return cls(1 + max((-low - 1).bit_length(), high.bit_length()), True)


def refuse_activation(quantizer: Quantizer, where: str) -> None:
    """ValueError for what FINN would leave to software without a word."""
    if quantizer.format.exponent or quantizer.granularity != "tensor":
        rule = "FINN maps activations that are integers with one scale"
        raise ValueError(f"{rule}, unlike {quantizer.name} at {where}")


def activation(quantizer: Quantizer, relu: bool) -> Integer:
    """What a quantiser of integers gives; behind a ReLU a sign is dropped with its bit, as `hwdse.finn_worker` does."""
    fmt = quantizer.format
    dropped = relu and fmt.signed
    return Integer(fmt.bits - dropped, fmt.signed and not dropped)


@dataclass(frozen=True, slots=True)
class Weights:
    """Stored weights as integers; a minifloat of few exponents is one of more bits, in units of its least number."""

    bits: int
    largest: int  # of magnitude
    narrow: bool  # without the lone -2**(bits-1)

    @classmethod
    def of(cls, quantizer: Quantizer) -> Self:
        """Those of a quantiser with a sign, which every one of weights has."""
        low, high = limits(quantizer.format, quantizer.narrow)
        largest = int(max(-low, high) / quantizer.format.lsb)
        return cls(integer_bits(quantizer.format), largest, -low <= high)


def sums(terms: int, weights: Weights, inputs: Integer) -> Integer:
    """What holds every sum of `terms` products; FINN has fewer bits where the weights that are stored allow it."""
    most = terms * weights.largest * max(-inputs.low, inputs.high)
    return Integer.holding(-most, most)


def added(first: Integer, second: Integer) -> Integer:
    """What FINN takes for the sum of two streams: elementwise_binary.py, after UG1399."""
    wider, other = (first, second) if first.bits >= second.bits else (second, first)
    mixed = other.signed and not wider.signed
    return Integer(wider.bits + 1 + mixed, first.signed or second.signed)


def pooled(pixels: int, inputs: Integer) -> Integer:
    """What FINN takes for the sum of `pixels`: globalaccpool.py."""
    return Integer.holding(pixels * inputs.low, pixels * inputs.high if not inputs.signed else 0)
