"""The LUTs of `hls_templates/rtl/fixed_point.sv`: a code becomes its value in two's complement.

A bit of the value is a function of the bits of the code that it depends on. Where these are few, it is that function;
where many, the significand is shifted in two levels, each a choice between few bits. Synthesis takes the smaller.
"""

from collections.abc import Iterator
from functools import cache
from math import ceil


@cache
def decoder(exponent: int, mantissa: int, signed: int, lut_inputs: int, absorbed: int = 0) -> tuple[float, float]:
    """LUTs before the last level, and of the last level, of whose functions the adder's LUTs take in the smallest.

    `absorbed`: inputs that such a function may have. None on LUT4; 5 on LUT6, whose adder adds it to a register, 3
    where that may be cleared, and 2 where two decoded numbers are added, of which the second's last level is there.
    """
    if exponent == 0:
        return 0.0, 0.0
    operands = 2 if 0 < absorbed < 3 else 1
    choices = [*_flat(exponent, mantissa, signed, lut_inputs, absorbed)]
    if exponent > 1:
        choices += [_two_levels(low, exponent, mantissa, signed, lut_inputs, absorbed) for low in range(1, exponent)]
    return min(choices, key=lambda luts: operands * luts[0] + luts[1])


def function(inputs: int, lut_inputs: int) -> float:
    """LUTs of one function: a wire of one input; half a LUT6 of five; a choice, or the like, of more."""
    if inputs <= 1:
        return 0.0
    if lut_inputs == 6:
        return 0.5 if inputs <= 5 else float(ceil((inputs - 1) / 5))
    return float(max(1, (inputs - 1) // 2)) if inputs > 4 else 1.0


def _last(inputs: int, lut_inputs: int, absorbed: int) -> float:
    return 0.0 if inputs <= absorbed else function(inputs, lut_inputs)


def _flat(exponent: int, mantissa: int, signed: int, lut_inputs: int, absorbed: int) -> Iterator[tuple[float, float]]:
    """Every bit a function of the code; without a shift, also each a xor with whether a lower bit is set."""
    yield 0.0, sum(_last(inputs, lut_inputs, absorbed) for inputs in supports(exponent, mantissa, signed))
    if exponent == 1 and signed and mantissa > 1:
        if lut_inputs == 4:
            yield 0.0, 2.0 * mantissa - 1
        else:  # of four bits more in each LUT
            yield (
                ceil((mantissa - 3) / 4) / 2 if mantissa > 3 else 0.0,
                sum(_last(min(bit + 2, 4), lut_inputs, absorbed) for bit in range(1, mantissa + 2)),
            )


def _two_levels(
    low: int, exponent: int, mantissa: int, signed: int, lut_inputs: int, absorbed: int
) -> tuple[float, float]:
    """A shift by the `low` lower bits of the exponent less one, then by the others."""
    width, significand = signed + mantissa + (1 << exponent) - 1, mantissa + 1 + signed
    middle = min(width, significand + (1 << low) - 1)
    # the exponent less one, of up to four bits a LUT each; the hidden bit
    inner = exponent * function(min(exponent, 4), lut_inputs) + (exponent > 4)
    inner += function(exponent, lut_inputs) * (mantissa > 0)
    if signed:
        xors = sum(function(bit + 2, lut_inputs) for bit in range(mantissa + 1))
        inner += min(xors, 2 * mantissa + 1) if lut_inputs == 4 else xors
    inner += sum(function(data + low, lut_inputs) for data in _choices(significand, 1, 1 << low, middle, signed))
    high = exponent - low
    outputs = _choices(middle, 1 << low, 1 << high, width, signed)
    return float(inner), sum(_last(data + high, lut_inputs, absorbed) for data in outputs)


def _choices(width: int, step: int, ways: int, outputs: int, signed: int) -> Iterator[int]:
    """How many bits of a number each bit of it sees when it is shifted by 0, `step`, ..: above, zeros or the sign."""
    for i in range(outputs):
        places = (i - step * way for way in range(ways))
        yield len({min(place, width - 1) for place in places if place >= 0 and (signed or place < width)})


@cache
def supports(exponent: int, mantissa: int, signed: int) -> tuple[int, ...]:
    """On how many bits of the code each bit of the value depends; equal bits are one."""
    bits, width = signed + exponent + mantissa, signed + mantissa + (1 << exponent) - 1
    values = [_value(code, exponent, mantissa) & ((1 << width) - 1) for code in range(1 << bits)]
    columns = {tuple(value >> i & 1 for value in values) for i in range(width)}
    return tuple(sorted(sum(_depends(column, bit) for bit in range(bits)) for column in columns))


def _depends(column: tuple[int, ...], bit: int) -> bool:
    return any(column[code] != column[code ^ 1 << bit] for code in range(len(column)))


def _value(code: int, exponent: int, mantissa: int) -> int:
    """Of a code in units of the smallest step, its sign above exponent and mantissa."""
    e, m = code >> mantissa & (1 << exponent) - 1, code & (1 << mantissa) - 1
    magnitude = (m | (e > 0) << mantissa) << max(e - 1, 0)
    return -magnitude if code >> exponent + mantissa else magnitude
