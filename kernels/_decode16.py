"""Device functions: one field of packed words becomes a tile of 16-bit floats, two in each instruction.

How a code becomes such a float is `hwdse/decoding.py`, and where its bits lie `hwdse/arrangement.py`. The two lanes of
a word are neighbours in k, as the registers of a tensor core hold them, so that joining them costs nothing.
"""

import triton
import triton.language as tl

from hwdse.kernels._fields import left, mask, pieces, plane, right, up


@triton.jit
def loaded(start, planes: tl.constexpr, rows: tl.constexpr, width: tl.constexpr, pitch=None):
    """The planes of the tile at `start`, a tuple of `rows x width` words: read once, so first to leave the cache.

    `pitch`: words from one row to the next, by default `width`.
    """
    at = start + tl.arange(0, rows)[:, None] * (width if pitch is None else pitch) + tl.arange(0, width)[None, :]
    held = ()
    for index in tl.static_range(planes):
        word = tl.load(at + index * rows * width, eviction_policy="evict_first").to(tl.uint32, bitcast=True)
        held += (word,)  # type: ignore[assignment]
    return held


@triton.jit
def _turned(word, higher: tl.constexpr, lower: tl.constexpr, bits: tl.constexpr):
    """The `bits`, after a shift to one side, or a rotation where both are given."""
    if higher == 0 and lower == 0:
        return word & bits
    if lower == 0:
        return (word << higher) & bits
    if higher == 0:
        return (word >> lower) & bits
    return ((word << higher) | (word >> lower)) & bits


@triton.jit
def _piece(planes, fields: tl.constexpr, field: tl.constexpr, piece: tl.constexpr):
    """Its bits where they belong."""
    word = planes[plane(fields, field, piece)]
    return _turned(word, left(fields, field, piece), right(fields, field, piece), mask(fields, field, piece))


@triton.jit
def placed(planes, fields: tl.constexpr, field: tl.constexpr):
    """The codes of a field at their target; `fields`: the text of all."""
    found = _piece(planes, fields, field, 0)
    for piece in tl.static_range(1, pieces(fields, field)):
        found = found | _piece(planes, fields, field, piece)
    return found


@triton.jit
def _floats(words, floats: tl.constexpr, upcast: tl.constexpr):
    """The lanes of `words` (`rows x words`) as neighbours: `rows x 2 * words` floats."""
    lanes = tl.join(words.to(tl.uint16), (words >> 16).to(tl.uint16))
    lanes = lanes.reshape(words.shape[0], 2 * words.shape[1])
    if upcast and floats == tl.bfloat16:
        return (lanes.to(tl.uint32) << 16).to(tl.float32, bitcast=True)
    return lanes.to(floats, bitcast=True)


@triton.jit
def pairs(numbers, again, at, floats: tl.constexpr):
    """Each of the numbers there in both lanes of a word.

    `again` are the same numbers in the same memory. The compiler does not know that: of one number in both lanes it
    makes a scalar, and then turns the lanes of each weight around before it calculates with them.
    """
    lower = tl.load(numbers + at).to(floats).to(tl.uint16, bitcast=True).to(tl.uint32)
    return lower | (tl.load(again + at).to(floats).to(tl.uint16, bitcast=True).to(tl.uint32) << 16)


@triton.jit
def of_rows(pair, width: tl.constexpr, floats: tl.constexpr, upcast: tl.constexpr):
    """`rows x 2 * width` floats of the `pairs` of rows."""
    return _floats(tl.broadcast_to(pair[:, None], (pair.shape[0], width)), floats, upcast)


@triton.jit
def _less(numbers, power: tl.constexpr, below, upcast: tl.constexpr):
    """`numbers * 2**power - below`, exactly, in one instruction for two of them.

    It is spelt out because Triton 3.9 joins no lanes for sm_80: the assembler, which then does, turns them around
    before and after. `upcast`: for the interpreter, which knows no assembly.
    """
    factor = tl.full(numbers.shape, 2.0**power, numbers.dtype)
    if upcast:
        return numbers * factor - below
    how: tl.constexpr = "fma.rn.bf16x2" if numbers.dtype == tl.bfloat16 else "fma.rn.f16x2"
    given = [numbers, factor, -below]
    return tl.inline_asm_elementwise(how + " $0, $1, $2, $3;", "=r,r,r,r", given, numbers.dtype, is_pure=True, pack=2)


@triton.jit
def decoded(
    planes,
    fields: tl.constexpr,
    field: tl.constexpr,
    code: tl.constexpr,
    zero,
    floats: tl.constexpr,
    upcast: tl.constexpr,
):
    """`rows x 2 * words` numbers of a field, less `zero` (`pairs` of rows) where that is not None: all of it exact.

    `planes`: a tuple of `rows x words` uint32. `fields`: the text of all of a block, of which `field` is one. `code`:
    how it decodes, the power, and what an integer 0 becomes, as in `Decoding`. `upcast`: bfloat16 numbers are float32
    ones, for Triton's interpreter, which has no arithmetic of the former.
    """
    how: tl.constexpr = code[0]
    if how == "wide":
        found = _floats(placed(planes, fields, field), tl.bfloat16, upcast)
        found = (found.to(tl.float32) * tl.full((), 2.0 ** code[1], tl.float32)).to(floats)
    else:
        found = _floats(placed(planes, fields, field), floats, upcast)
        power: tl.constexpr = code[1] - up(fields, field)
        if zero is not None:
            found = _less(found, power, of_rows(zero, planes[0].shape[1], floats, upcast), upcast)
        elif power != 0 or code[2] != 0:
            found = _less(found, power, tl.full(found.shape, code[2], found.dtype), upcast)
    return found
