"""How deep one product is, and how many carry chains it has: `hls_templates/rtl/product.sv` and `multiplier.sv`."""

from hwdse.arithmetic import positions, significand_bits, signs
from hwdse.formats import Format
from hwdse.structure.blocks import Multipliers
from hwdse.structure.lanes import DECODE, DSP, PACKED, TABLE, as_format, in_dsp

KEYS = ("STYLE", "METHOD", "WE", "WM", "WS", "AE", "AM", "AS", "DSP_LANES")  # of the RTL
BOOTH_B, BOOTH_A = 2, 3  # of METHOD


def product_depth(
    style: int,
    method: int,
    we: int,
    wm: int,
    ws: int,
    ae: int,
    am: int,
    as_: int,
    dsp_lanes: int,
    *,
    multipliers: Multipliers,
) -> tuple[float, float, float, float]:
    """Levels of LUTs, carry chains, carried bits and DSP blocks that follow each other in a product."""
    pair = as_format(we, wm, ws), as_format(ae, am, as_)
    floats = [fmt for fmt in pair if fmt.exponent > 0]
    if style == TABLE:
        return 1.0 + (len(floats) > 0), 0.0, 0.0, 0.0
    most = 0 if style in (DECODE, PACKED) else sum(positions(fmt) for fmt in pair)
    luts = float(most.bit_length())  # of the shifter
    if style == DECODE:
        luts += max((fmt.signed + positions(fmt).bit_length() for fmt in floats), default=0)
    else:
        luts += any(fmt.exponent > 1 for fmt in floats)  # hidden bits
        luts += most == 0 and any(fmt.signed for fmt in floats)  # signs, else in the shifter's LUTs
    if style in (DSP, PACKED) and in_dsp(*pair, dsp_lanes, multipliers):
        return luts, 0.0, 0.0, 1.0
    (a, _), (b, _) = factors = [_factor(fmt, style) for fmt in pair]
    if min(a, b) == 1:
        return luts + 1, 0.0, 0.0, 0.0
    if method in (BOOTH_B, BOOTH_A):
        return luts + 2, _digits(*factors[1 if method == BOOTH_B else 0]), float(a + b), 0.0
    return luts + 1, float((min(a, b) - 1).bit_length()), float(a + b), 0.0


def product_chains(
    style: int, method: int, we: int, wm: int, ws: int, ae: int, am: int, as_: int, dsp_lanes: int, shortest: int
) -> tuple[float, float]:
    """The chains, of at least `shortest` bits, of one product, and whether it leaves a carry to its sum.

    They are of Booth digits, or of pairs of rows and their joins.
    """
    pair = as_format(we, wm, ws), as_format(ae, am, as_)
    carried = float(style not in (DECODE, PACKED) and signs(*pair) > 0)
    if style in (TABLE, DSP, PACKED):
        return 0.0, carried
    (a, _), (b, _) = factors = [_factor(fmt, style) for fmt in pair]
    if method in (BOOTH_B, BOOTH_A):
        return _digits(*factors[1 if method == BOOTH_B else 0]), carried
    return float(sum(bits >= shortest for bits in _rows(max(a, b), min(a, b)))), carried


def _rows(columns: int, rows: int) -> tuple[int, ...]:
    """Bits of the chains of `row_multiplier.sv`."""
    if rows <= 2:
        return (columns + 1,) * (rows - 1)
    low = 1 << (rows - 1).bit_length() - 1
    return (*_rows(columns, low), *_rows(columns, rows - low), columns + rows - low)


def _factor(fmt: Format, style: int) -> tuple[int, bool]:
    """Bits of what the multiplier sees of a format, and whether its sign is among them."""
    if fmt.exponent == 0:
        return fmt.bits, fmt.signed
    if style == DECODE:
        return fmt.signed + fmt.mantissa + (1 << fmt.exponent) - 1, fmt.signed
    return significand_bits(fmt), False


def _digits(bits: int, signed: bool) -> float:
    """Radix-4 digits of a factor."""
    return float((bits + 1) // 2 if signed else bits // 2 + 1)
