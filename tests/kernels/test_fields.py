"""The text that tells a kernel the fields of a block says what their layout does."""

import pytest

pytest.importorskip("triton", reason="needs triton")

from hwdse.arrangement import WORD
from hwdse.decoding import decoding
from hwdse.formats import parse
from hwdse.kernels import _fields
from hwdse.packing import Layout

WORDS = (0, 1, 0x80000001, 0xDEADBEEF, 0x12345678, (1 << WORD) - 1)


@pytest.mark.parametrize("name", ["int2", "int3", "int4", "int5", "int6", "int7", "int8", "e2m1", "e3m2", "e4m3fn"])
def test_what_is_read_is_what_the_layout_has(name: str) -> None:
    fmt = parse(name)
    own = decoding(fmt, "float16")
    layout = Layout(fmt.bits, 2, 64, 16, own.target, own.room)
    told = _fields.text(layout)
    assert _fields.count(told) == layout.fields
    for index in range(layout.fields):
        field = layout.field(index)
        assert (_fields.up(told, index), _fields.pieces(told, index)) == (field.up, len(field.pieces))
        for place, piece in enumerate(field.pieces):
            assert _fields.plane(told, index, place) == piece.plane
            assert _fields.mask(told, index, place) == piece.mask
            higher, lower = _fields.left(told, index, place), _fields.right(told, index, place)
            for word in WORDS:
                rotated = (word << piece.left | word >> (WORD - piece.left)) & piece.mask
                shifted = word << higher if higher or not lower else 0
                shifted |= word >> lower if lower else 0
                assert shifted & piece.mask == rotated
