"""Packed weights of 8-bit lanes become operands of an 8-bit tensor core, four of a word at a time.

`hwdse/stored.py` says what is stored and by which rule it becomes a number; this is the device code of its rules. All
of it is arithmetic on words: no table, no gather, and no weight by itself.
"""

import triton
import triton.language as tl

from hwdse.kernels._decode16 import placed

ONES = tl.constexpr(0x01010101)
SIGNS = tl.constexpr(0x80808080)
BELOW = tl.constexpr(0x7F7F7F7F)  # a sign


@triton.jit
def _bit(t, place: tl.constexpr):
    """1 in every lane whose bit is set."""
    return (t >> place) & ONES


@triton.jit
def _mask(t, place: tl.constexpr, lsb: tl.constexpr):
    """All ones from `lsb` up in every lane whose bit is set; below it, where no number has a bit, anything."""
    if place <= lsb:
        return (t & (ONES << place)) * 255
    else:
        return _bit(t, place) * 255


@triton.jit
def _negated(x, t, place: tl.constexpr):
    """Two's complement of the lanes of `x` whose sign is set; none of them is zero, so that no lane carries."""
    sign = _bit(t, place)
    return (x ^ (sign * 255)) + sign


@triton.jit
def _binades(t, places: tl.constexpr, lsb: tl.constexpr, signed: tl.constexpr):
    mantissa: tl.constexpr = len(places) - 2 - signed
    lower = _mask(t, places[mantissa], lsb)
    upper = _mask(t, places[mantissa + 1], lsb)
    x = (t & (ONES * (((1 << mantissa) - 1) << lsb))) | ((lower | upper) & (ONES << (mantissa + lsb)))
    x += x & upper
    x += x & upper & lower
    return _negated(x, t, places[mantissa + 2]) if signed else x


@triton.jit
def _powers(t, places: tl.constexpr, signed: tl.constexpr):
    x = ONES * 2 - _bit(t, places[0])
    x += (x & ~_mask(t, places[1], 0)) * 3
    x += (x & ~_mask(t, places[2], 0)) * 15
    x &= BELOW
    return _negated(x, t, places[3]) if signed else x


@triton.jit
def _halved(t):
    x = t & BELOW
    above = x + ONES * 124  # its top bit: whether 4 can be taken away
    return (x + (above & (_bit(above, 7) * 127))) | (t & SIGNS)


@triton.jit
def decoded(
    planes,
    fields: tl.constexpr,
    field: tl.constexpr,
    rule: tl.constexpr,
    places: tl.constexpr,
    lsb: tl.constexpr,
    signed: tl.constexpr,
):
    """The operands of one field, words of four: `fields`, `field` as `placed` takes them, the rest as in `Stored`."""
    t = placed(planes, fields, field)
    if rule == "binades":
        t = _binades(t, places, lsb, signed)
    elif rule == "powers":
        t = _powers(t, places, signed)
    elif rule == "halved":
        t = _halved(t)
    elif rule == "inverted":
        t ^= ONES << places[len(places) - 1]
    return t


@triton.jit
def _lane(t, lane: tl.constexpr, operand: tl.constexpr):
    byte = (t >> (8 * lane)).to(tl.uint8)
    if operand == "e4m3fn":
        return byte.to(tl.float8e4nv, bitcast=True)
    elif operand == "e5m2ieee":
        return byte.to(tl.float8e5, bitcast=True)
    else:
        return byte.to(tl.int8, bitcast=True)


@triton.jit
def lanes(t, operand: tl.constexpr):
    """`rows x words` words of four operands as `rows x 4 * words` operands."""
    even = tl.join(_lane(t, 0, operand), _lane(t, 2, operand))
    odd = tl.join(_lane(t, 1, operand), _lane(t, 3, operand))
    return tl.join(even, odd).reshape(t.shape[0], 4 * t.shape[1])
