"""The LUTs of one product of two codes, part by part: `hls_templates/rtl/product.sv`."""

from dataclasses import dataclass
from functools import cache

from hwdse.arithmetic import booth_multiplier, functions, positions, row_multiplier, shifter, significand_bits, signs
from hwdse.formats import FloatFormat, Format, IntFormat
from hwdse.structure.blocks import Fabric, Multipliers
from hwdse.structure.decoders import decoder

SHIFT, DECODE, TABLE, DSP, PACKED = range(5)  # the RTL's STYLE


@dataclass(frozen=True, slots=True)
class Lane:
    """LUTs of the parts of a product."""

    multiplier: float = 0.0
    shifter: float = 0.0
    exponents: float = 0.0
    signs: float = 0.0
    decoders: float = 0.0
    plain: float = 0.0  # a `*` that no DSP block takes


@cache
def as_format(exponent: int, mantissa: int, signed: int) -> Format:
    """The format with these parameters of the RTL."""
    if exponent == 0:
        return IntFormat(mantissa + signed, bool(signed))
    return FloatFormat(exponent, mantissa, signed=bool(signed))


def in_dsp(weight: Format, activation: Format, dsp_lanes: int, multipliers: Multipliers) -> bool:
    """Whether yosys puts a `*` of significands into a DSP block: always, where an operand holds several weights."""
    if dsp_lanes > 1:
        return True
    widths = _factors(weight, activation)
    bits = significand_bits(weight) + significand_bits(activation)
    return min(widths) >= multipliers.operand and bits >= multipliers.product


def in_half_dsp(weight: Format, activation: Format, dsp_lanes: int, multipliers: Multipliers) -> bool:
    """Whether a block holds two such products."""
    return dsp_lanes == 1 and max(_factors(weight, activation)) <= multipliers.half


def _factors(weight: Format, activation: Format) -> tuple[int, int]:
    """Bits of the operands: a magnitude beside a number with a sign has a zero on top."""
    bits = [significand_bits(fmt) for fmt in (weight, activation)]
    signed = [fmt.exponent == 0 and fmt.signed for fmt in (weight, activation)]
    return bits[0] + (signed[1] and not signed[0]), bits[1] + (signed[0] and not signed[1])


@cache
def lane(
    style: int,
    method: int,
    weight: Format,
    activation: Format,
    bits: int,
    fabric: Fabric,
    dsp_lanes: int = 1,
) -> Lane:
    """The parts of a product of `bits` bits."""
    plain, lut_inputs, paired = 0.0, fabric.lut_inputs, fabric.pairs
    if style in (DSP, PACKED) and not in_dsp(weight, activation, dsp_lanes, fabric.multipliers):
        plain = float(significand_bits(weight) * significand_bits(activation))
    negative = signs(weight, activation)
    loose_xors = bits * (negative > 0) * (lut_inputs == 4)  # on LUT6 they are in the adders'
    if style == TABLE:
        return Lane(multiplier=_table(weight, activation, bits, lut_inputs), signs=loose_xors)
    if style == PACKED:
        return Lane(plain=plain)
    if style == DECODE:
        operands = [(_fixed_bits(f), f.signed) for f in (weight, activation)]
        both = sum(_decoder(f, lut_inputs) for f in (weight, activation))
        return Lane(multiplier=_multiplier(method, operands, bits, lut_inputs, paired), decoders=both)
    operands = [(f.mantissa + 1, False) if f.exponent else (f.bits, f.signed) for f in (weight, activation)]
    most, width = positions(weight) + positions(activation), sum(n for n, _ in operands)
    product = 0.0 if style == DSP else _multiplier(method, operands, width if most else bits, lut_inputs, paired)
    narrow = width - (1 in [n for n, _ in operands])
    in_significand = any(signed for _, signed in operands)
    limit = bits - (negative > 0 and not in_significand)
    return Lane(
        multiplier=product,
        shifter=_shifter(narrow, most, limit, lut_inputs),
        exponents=_exponents(weight, activation),
        signs=(loose_xors if most == 0 else 0) + (negative > 1),
        plain=plain,
    )


def _multiplier(method: int, operands: list[tuple[int, bool]], bits: int, lut_inputs: int, paired: bool) -> float:
    """LUTs of `multiplier.sv` by METHOD, with the bits above `bits` left away."""
    (a, a_signed), (b, b_signed) = operands
    if method == 2:
        return booth_multiplier(a, b, a_signed, b_signed, lut_inputs, bits, paired)
    if method == 3:
        return booth_multiplier(b, a, b_signed, a_signed, lut_inputs, bits, paired)
    rows = row_multiplier(a, b, lut_inputs) - max(0, a + b - bits) * (min(a, b) > 1)
    return min(rows, functions(a + b, min(bits, a + b - (1 in (a, b))), lut_inputs))


def _shifter(width: int, most: int, limit: int, lut_inputs: int) -> float:
    """Multiplexers of a shift by 0 to `most`: of 4:1 in LUT6, of 2:1 in LUT4, stage by stage."""
    if lut_inputs == 6:
        return float(shifter(width, most, 6)) if most else 0.0
    total, step = 0, 1
    while step <= most:
        width = min(limit, width + step)
        total, step = total + width, 2 * step
    return float(total)


def _exponents(weight: Format, activation: Format) -> float:
    """Bits of exponents that are reduced by one where the number is normal, and added."""
    exponents = [f.exponent for f in (weight, activation) if f.exponent > 1]
    if len(exponents) < 2 or max(exponents) == 2:
        return float(len(exponents) > 0)
    return float(sum(exponents) + max(exponents) + 1)


def _table(weight: Format, activation: Format, bits: int, lut_inputs: int) -> float:
    inputs = sum(f.bits if f.exponent == 0 else f.exponent + f.mantissa for f in (weight, activation))
    return float(functions(inputs, bits, lut_inputs))


def _fixed_bits(fmt: Format) -> int:
    return fmt.bits if fmt.exponent == 0 else fmt.signed + fmt.mantissa + (1 << fmt.exponent) - 1


def _decoder(fmt: Format, lut_inputs: int) -> float:
    return sum(decoder(fmt.exponent, fmt.mantissa, int(fmt.signed), lut_inputs))
