"""Codes that are packed for any arithmetic are read again, all of them of every format."""

import numpy as np
import pytest

from hwdse.decoding import decoding
from hwdse.formats import Format, decode, known_formats, parse
from hwdse.stored import stored
from hwdse.weight_codes import EIGHT_BITS, SIXTEEN_BITS, Packing

FORMATS = (*known_formats(), parse("e4m3fn"), parse("e5m2ieee"))


def holds(fmt: Format, operand: str) -> bool:
    """Whether weights of `fmt` become numbers of `operand`."""
    if operand in EIGHT_BITS:
        return stored(fmt, operand) is not None
    try:
        return decoding(fmt, operand) is not None
    except ValueError:
        return False


@pytest.mark.parametrize("operand", [*EIGHT_BITS, *SIXTEEN_BITS])
def test_every_code_is_read_again(operand: str) -> None:
    own = [fmt for fmt in FORMATS if holds(fmt, operand)]
    assert len(own) > 8
    for fmt in own:
        packing = Packing(fmt, f"{operand} 16:w8")
        finite = np.flatnonzero(np.isfinite(decode(fmt, np.arange(1 << fmt.bits))) & (packing.kept >= 0))
        codes = np.resize(finite, (19, 50)).astype(np.uint8)  # neither whole tiles nor whole blocks
        words = packing.pack(codes)
        assert words.shape == packing.layout.shape(19, 50)
        found = packing.codes(words, 19, 50)
        assert np.array_equal(decode(fmt, found), decode(fmt, codes))  # -0 is 0
        assert not np.signbit(decode(fmt, found)[decode(fmt, found) == 0]).any()


@pytest.mark.parametrize(
    ("fmt", "name", "message"),
    [
        ("int4", "float32 64:w16", "packed weights are called like 'float16 64:w16', not 'float32 64:w16'"),
        ("int4", "int8 64", "packed weights are called like 'float16 64:w16', not 'int8 64'"),
    ],
)
def test_bad_names(fmt: str, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Packing(parse(fmt), name)


def test_a_format_that_is_none_of_an_arithmetic() -> None:
    with pytest.raises(ValueError, match=r"^e3m2 weights are no int8 numbers$"):
        _ = Packing(parse("e3m2"), "int8 16:w8").layout
