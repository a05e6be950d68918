"""Rounding to the grid of a format, as Brevitas rounds: the device code that fake and real quantisation share."""

import triton
import triton.language as tl

# Mantissa bits of an integer. Float32 has fewer exponents, so that `smallest` is the step of every number.
UNIFORM = tl.constexpr(255)
WHOLE = tl.constexpr(8388608.0)  # 2**23: float32 has no fractions from here to its double
SIGN = tl.constexpr(-(1 << 31))


@triton.jit
def between(x, low, high):
    """`x` clamped; NaN stays."""
    x = tl.where(x > high, high, x)
    return tl.where(x < low, low, x)


@triton.jit
def stored_exponent(x):
    """Of a float32; 255 for infinity and NaN."""
    return (x.to(tl.int32, bitcast=True) >> 23) & 255


@triton.jit
def _power_of_two(exponent):
    return ((exponent + 127) << 23).to(tl.float32, bitcast=True)


@triton.jit
def _round(x):
    """Ties to even. What is not below 2**23 has no fraction, and may change: it is far beyond every grid."""
    whole = (tl.abs(x) + WHOLE) - WHOLE
    sign = x.to(tl.int32, bitcast=True) & SIGN
    return (whole.to(tl.int32, bitcast=True) | sign).to(tl.float32, bitcast=True)


@triton.jit
def stepped(scaled, mantissa, smallest):
    """The nearest whole number of steps, which are 2**`smallest` at the least; infinity stays."""
    step = tl.minimum(tl.maximum(stored_exponent(scaled) - 127 - mantissa, smallest), 126)  # more is beyond every grid
    return _round(scaled * _power_of_two(-step)) * _power_of_two(step)
