"""Packed codes come back, take their bits and no more, and lie as a GPU reads them."""

import re
from dataclasses import replace

import numpy as np
import pytest

from hwdse.arrangement import WORD, arrange, wraps
from hwdse.packing import WORDS, Layout, pack, unpack

WIDTHS = [Layout(bits, lanes, 16, 8) for bits in range(2, 9) for lanes in (2, 4)]
FLOAT16 = {  # where float16 has the bits of the minifloat
    name: (*range(10 - mantissa, 10 + exponent), 15)
    for name, exponent, mantissa in (("e2m1", 2, 1), ("e2m2", 2, 2), ("e3m2", 3, 2), ("e3m3", 3, 3), ("e2m5", 2, 5))
}
PLACED = [Layout(len(places), 2, 16, 8, places) for places in FLOAT16.values()]
ROOMY = [Layout(bits, 2, 16, 8, tuple(range(bits)), 10 - bits) for bits in range(2, 9)]

each_layout = pytest.mark.parametrize("layout", [*WIDTHS, *PLACED, *ROOMY], ids=str)


def random_codes(layout: Layout, n: int, k: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Of every value."""
    return np.random.default_rng(n + k).integers(0, 1 << layout.bits, (n, k), np.uint8)


@pytest.mark.parametrize(("rows", "words"), [(16, 8), (32, 16), (64, 32)])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (16, 128), (33, 257), (70, 1029)])
@each_layout
def test_what_is_packed_comes_back(layout: Layout, n: int, k: int, rows: int, words: int) -> None:
    layout = replace(layout, rows=rows, words=words)
    codes = random_codes(layout, n, k)
    packed = pack(layout, codes)
    assert packed.shape == layout.shape(n, k)
    assert packed.flags.c_contiguous
    assert packed.nbytes == layout.nbytes(n, k)
    assert np.array_equal(unpack(layout, packed, n, k), codes)


@each_layout
def test_padding_is_the_code_of_zero(layout: Layout) -> None:
    packed = pack(layout, random_codes(layout, 5, 7), zero=2)
    padded = unpack(layout, packed, layout.rows, layout.block)
    padded[:5, :7] = 2
    assert (padded == 2).all()


@each_layout
def test_no_bit_lies_between_codes(layout: Layout) -> None:
    assert layout.nbytes(layout.rows, layout.block) * 8 == layout.rows * layout.block * layout.bits
    ones = pack(layout, np.full((layout.rows, layout.block), 2**layout.bits - 1, np.uint8))
    assert (ones == -1).all()


@each_layout
def test_each_bit_of_a_word_belongs_to_one_piece(layout: Layout) -> None:
    sources = [0] * layout.planes
    for index in range(layout.fields):
        for piece in layout.field(index).pieces:
            source = (piece.mask >> piece.left | piece.mask << WORD - piece.left) % (1 << WORD)
            assert sources[piece.plane] & source == 0
            sources[piece.plane] |= source
    assert sources == [(1 << WORD) - 1] * layout.planes


@each_layout
def test_a_field_is_a_contiguous_part_of_the_inputs(layout: Layout) -> None:
    """Whatever of a block is not in the field decodes to nothing, in every order of lanes."""
    for index in range(layout.fields):
        codes = np.zeros((layout.rows, layout.block), np.uint8)
        here = slice(index * layout.inputs, (index + 1) * layout.inputs)
        codes[:, here] = random_codes(layout, layout.rows, layout.inputs)
        (planes,) = pack(layout, codes).view(np.uint32)[0]
        field = layout.field(index)
        decoded = np.zeros((layout.rows, layout.words), np.uint64)
        for piece in field.pieces:
            word = planes[piece.plane].astype(np.uint64)
            decoded |= (word << np.uint64(piece.left) | word >> np.uint64(WORD - piece.left)) & np.uint64(piece.mask)
        lanes = np.stack(
            [decoded >> np.uint64(layout.width * lane + field.up) for lane in range(layout.lanes)], axis=-1
        )
        bits = [(lanes >> np.uint64(place) & np.uint64(1)) << np.uint64(bit) for bit, place in enumerate(layout.places)]
        assert np.array_equal(np.bitwise_or.reduce(bits).reshape(layout.rows, -1), codes[:, here])


def operations(layout: Layout) -> float:
    """ANDs and turns of a weight."""
    pieces = [piece for index in range(layout.fields) for piece in layout.field(index).pieces]
    turned = {(piece.plane, piece.left) for piece in pieces if piece.left}
    return (len(pieces) + len(turned)) / layout.fields / layout.lanes


@pytest.mark.parametrize(
    ("layout", "most"),
    [
        (ROOMY[1], 0.72),  # 3 bits
        (ROOMY[2], 0.63),
        (ROOMY[6], 0.75),
        (Layout(4, 2, 16, 8, FLOAT16["e2m1"]), 1.25),  # 2 for a shift of the sign and one of the rest
        (Layout(5, 2, 16, 8, FLOAT16["e2m2"]), 1.35),
        (Layout(6, 2, 16, 8, FLOAT16["e3m2"]), 1.32),
        (Layout(4, 4, 16, 8, (4, 5, 6, 7)), 0.38),
    ],
    ids=str,
)
def test_few_operations_decode_a_weight(layout: Layout, most: float) -> None:
    assert operations(layout) <= most


def test_most_pieces_take_a_plain_shift() -> None:
    pieces = [piece for target in FLOAT16.values() for field in arrange(16, target) for piece in field.pieces]
    assert sum(map(wraps, pieces)) < len(pieces) / 5


@pytest.mark.parametrize(("group", "lanes", "words"), [(32, 2, 16), (64, 2, 32), (128, 2, 64), (32, 4, 8), (64, 4, 16)])
def test_a_subtile_is_within_a_group(group: int, lanes: int, words: int) -> None:
    for allowed in WORDS[lanes]:
        layout = Layout(4, lanes, 64, allowed)
        layout.require(None)
        if allowed <= words:
            layout.require(group)
        else:
            message = (
                f"the {lanes} * {allowed} inputs of a sub-tile divide a group, not one of {group};"
                f" the nearest has {words} words"
            )
            with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
                layout.require(group)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((9, 2, 64, 16), "packed codes have 2 to 8 bits, not 9"),
        ((4, 3, 64, 16), "a layout has 2, 4 lanes, not 3; the nearest is 2"),
        ((4, 2, 100, 16), "a layout has 16, 32, 64, 128, 256 rows, not 100; the nearest is 128"),
        ((4, 2, 64, 12), "a layout has 4, 8, 16, 32, 64 words, not 12; the nearest is 8"),
        ((4, 4, 64, 4), "a layout has 8, 16, 32, 64 words, not 4; the nearest is 8"),
        ((3, 2, 64, 16, (0, 1)), "3 bits have as many places in a lane of 16, not (0, 1) and 0 up"),
        ((3, 4, 64, 16, (0, 1, 2), 6), "3 bits have as many places in a lane of 8, not (0, 1, 2) and 6 up"),
    ],
)
def test_a_layout_that_is_none(arguments: tuple[int, int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Layout(*arguments)
