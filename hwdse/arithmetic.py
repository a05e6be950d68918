"""Widths and LUTs of exact arithmetic, counted from the structure of the hardware.

Nothing here is fitted to a device: a count follows from what a LUT and a bit of carry chain hold.
`lut_inputs` says which fabric. 6 is AMD: a LUT6 is one function of 6 inputs, or two of the same 5,
or a bit of carry chain. 4 is Lattice ECP5: a CCU2C is two LUT4 with two bits of carry chain, and
2**(k - 4) LUT4 joined by PFUMX and L6MUX21 are a function of k inputs.

Matrix-vector units choose their multiplier by these counts, and `hwdse.structure` makes the parts of units of them.
"""

from collections.abc import Iterator
from functools import cache
from math import ceil

from hwdse.formats import Format, magnitude

WIDE_LUT4_FUNCTION = 6  # LUT4 in a function of 7 to 10 inputs: a function of 6 (four LUT4) feeding one of 5 (two)
LAST_LEVEL_SELECTS = 3  # select bits that yosys' abc9 flattens into the last level of a shifter on LUT4

# Signed operand widths of one multiplier. AMD: UG479 (25x18), UG579 (27x18), AM004 (27x24);
# Lattice: FPGA-TN-02205, sysDSP usage guide (MULT18X18D).
DSP_PORTS = {
    "dsp48e1": (25, 18),
    "dsp48e2": (27, 18),
    "dsp58": (27, 24),
    "mult18x18d": (18, 18),
    "mult18x18": (18, 18),
    "sb_mac16": (16, 16),
}


# ---- widths --------------------------------------------------------------------------------------


@cache
def tight_bits(weight: Format, activation: Format, terms: int, narrow: tuple[bool, bool] = (True, True)) -> int:
    """The bits that hold every sum of `terms` products, in units of the smallest product.

    Two's complement of plus or minus `terms` times the largest product; no sign if neither format
    has one. `narrow`: whether weight and activation leave out their lone -2**(b-1).
    """
    largest = terms * magnitude(weight, narrow[0]) * magnitude(activation, narrow[1])
    return largest.bit_length() + (weight.signed or activation.signed)


@cache
def paper_bits(weight: Format, activation: Format, terms: int) -> int:
    """The accumulator bits of Aggarwal et al., 'Shedding the Bits', arXiv 2311.12359v3, hardware cost.

    Integers `ra + rb + ceil(log2 n) + 1`; minifloats `2**ea + ma + 2**eb + mb + ceil(log2 n) - 1`.
    The paper mixes no integer with a minifloat: there an integer counts as `2**e + m` of the
    minifloat on the same grid, which is its bits, and one more without a sign.
    """
    both_integers = _integers(weight, activation)
    spans = [weight.bits, activation.bits]
    if not both_integers:
        spans = [2**f.exponent + f.mantissa if f.exponent else f.bits + (not f.signed) for f in (weight, activation)]
    return sum(spans) + (terms - 1).bit_length() + (1 if both_integers else -1)


def significand_bits(fmt: Format) -> int:
    """What a multiplier sees of `fmt`: an integer's bits, or a minifloat's mantissa and hidden bit."""
    return fmt.bits if fmt.exponent == 0 else fmt.mantissa + 1


@cache
def positions(fmt: Format) -> int:
    """By how many bits a minifloat's significand is shifted at most; 0 for a uniform grid."""
    return 0 if fmt.exponent == 0 else magnitude(fmt).bit_length() - fmt.mantissa - 1


def signs(weight: Format, activation: Format) -> int:
    """How many of the operands are sign and magnitude, so that the product is xored with a sign."""
    return sum(f.signed and f.exponent > 0 for f in (weight, activation))


# ---- small blocks --------------------------------------------------------------------------------


def functions(inputs: int, outputs: int, lut_inputs: int) -> int:
    """LUTs of `outputs` functions of the same `inputs` bits: a table of codes, a full adder, a selection.

    Functions of one bit are wires, inverted in the LUT that they lead to.
    """
    if inputs <= 1:
        return 0
    if inputs < lut_inputs == 6:
        return ceil(outputs / 2)
    return outputs << max(0, inputs - lut_inputs)


def adder(bits: int, lut_inputs: int) -> int:
    """LUTs of a two-operand adder: one a bit; a CCU2C is always two bits."""
    return bits if lut_inputs == 6 else bits + bits % 2


# ---- multipliers ---------------------------------------------------------------------------------


@cache
def row_multiplier(n: int, m: int, lut_inputs: int) -> int:
    """LUTs of an exact `n` x `m` multiplier: pairs of partial-product rows on carry chains, then a tree.

    A LUT6 holds both ANDs of a bit of a pair beside its adder; in front of a CCU2C they are LUT4.
    """
    n, m = max(n, m), min(n, m)
    if m == 1:
        return functions(2, n, lut_inputs)
    ands = n * m if lut_inputs == 4 else 0
    return m // 2 * adder(n + 1, lut_inputs) + sum(adder(bits, lut_inputs) for bits in _joins(n, m)) + ands


@cache
def booth_multiplier(
    n: int, m: int, n_signed: bool, m_signed: bool, lut_inputs: int, bits: int | None = None, paired: bool = True
) -> int:
    """LUTs of an exact `n` x `m` multiplier by radix-4 digits of the `m` bits: `hls_templates/rtl/booth_multiplier.sv`.

    One chain a digit. A LUT6 selects the multiple of a bit and adds it; on LUT4 a bit of the chain is one LUT and
    its selection another, and all digits but the first are recoded. `bits` of the product are used; `paired`:
    chains have an even number of bits.
    """
    digits = (m + 1) // 2 if m_signed else m // 2 + 1
    chain = n + (2 if n_signed else 3)
    top = min(chain, (n + m if bits is None else min(bits, n + m)) - 2 * (digits - 1))
    sizes = [chain] * (digits - 1) + [top]
    if lut_inputs == 6:
        return sum(sizes)
    return sum(size + size % 2 * paired + size for size in sizes) + digits - 1


def _joins(n: int, m: int) -> Iterator[int]:
    """The widths of the adders that join the row pairs of an `n` x `m` product; low bits pass by."""
    nodes, offset = (m + 1) // 2, 2
    while nodes > 1:
        yield from [min(n + m - offset, n + offset)] * (nodes // 2)
        nodes, offset = nodes - nodes // 2, 2 * offset


@cache
def shifter(width: int, most: int, lut_inputs: int, sign: bool = False) -> int:
    """LUTs that shift a `width`-bit number left by 0 to `most`, and xor it with a `sign` where it fits in a LUT4."""
    halves, step, full = 0, 1, width + most
    selects = _levels(most.bit_length(), lut_inputs)
    for level, select in enumerate(selects):
        inputs = select + (sign and lut_inputs == 4 and level == len(selects) - 1)
        out = min(full, width + step * (2**select - 1))
        for start in range(min(step, width)):  # bits `step` apart share their multiplexers' data
            data, outputs = len(range(start, width, step)), len(range(start, out, step))
            halves += _half_luts(data, outputs, 2**select, inputs, lut_inputs)
        width, step = out, step << select
    return ceil(halves / 2)


def _levels(selects: int, lut_inputs: int) -> list[int]:
    """How many select bits each level of a shifter takes: 4:1 multiplexers; on LUT4 a flat last level."""
    last = [min(LAST_LEVEL_SELECTS, selects)] if lut_inputs == 4 and selects else []
    rest = selects - sum(last)
    return [2] * (rest // 2) + [1] * (rest % 2) + last


def _half_luts(data: int, outputs: int, ways: int, selects: int, lut_inputs: int) -> int:
    """Half LUTs of the multiplexers of one column; output i chooses among data i - ways + 1 to i."""
    sees = [(max(0, i - ways + 1), min(data - 1, i)) for i in range(outputs)]
    if lut_inputs == 4:
        return sum(2 * _wide(b - a + 1 + selects, 4) for a, b in sees)
    halves, i = 0, 0
    while i < len(sees):
        a, b = sees[i]
        shared = i + 1 < len(sees) and sees[i + 1][1] - a + 1 + selects <= 5  # two outputs in one LUT6
        halves += 2 if shared or 2 * (b - a + 1) + selects > 5 else 1
        i += 2 if shared else 1
    return halves


def _wide(inputs: int, lut_inputs: int) -> int:
    return min(WIDE_LUT4_FUNCTION, functions(inputs, 1, lut_inputs))


@cache
def lane(weight: Format, activation: Format, lut_inputs: int) -> int:
    """LUTs of one exact product of two codes as fixed point, up to the xor with its sign."""
    if weight.exponent == activation.exponent == 0:
        return row_multiplier(weight.bits, activation.bits, lut_inputs)
    significands = [significand_bits(f) for f in (weight, activation)]
    most, xor = positions(weight) + positions(activation), signs(weight, activation) > 0
    width = sum(significands) - (1 in significands)
    if _synthesised_as_functions(weight, activation, lut_inputs):
        return (width + most) * _wide(weight.bits + activation.bits, lut_inputs) + xor
    product = min(row_multiplier(*significands, lut_inputs), functions(sum(significands), width, lut_inputs))
    loose_xors = width if xor and most == 0 and lut_inputs == 4 else 0  # else they are in a shifter's or adder's LUTs
    shift = _exponent_sum(weight, activation, lut_inputs) + shifter(width, most, lut_inputs, xor)
    return product + shift + loose_xors + xor


def _synthesised_as_functions(weight: Format, activation: Format, lut_inputs: int) -> bool:
    """Whether each bit of a minifloat product is one function of both codes: few bits, and no carry chain."""
    bits = sum(f.bits - f.signed for f in (weight, activation))
    few = bits <= (4 if lut_inputs == 6 else 6)
    return few and 0 not in (weight.exponent, activation.exponent) and max(weight.mantissa, activation.mantissa) < 2


def _exponent_sum(weight: Format, activation: Format, lut_inputs: int) -> int:
    """LUTs of a product's shift from its exponents, together or each its own way, and of the hidden bits."""
    exponents = [f.exponent for f in (weight, activation) if f.exponent > 1]
    out = (positions(weight) + positions(activation)).bit_length()
    apart = sum(functions(e, e, lut_inputs) for e in exponents) + adder(out, lut_inputs) * (len(exponents) > 1)
    hidden = sum(functions(e, 1, lut_inputs) for e in exponents)
    return min(apart, functions(sum(exponents), out, lut_inputs)) + hidden


# ---- DSP blocks ----------------------------------------------------------------------------------


def _integers(weight: Format, activation: Format) -> bool:
    return weight.exponent == activation.exponent == 0
