"""Packed weights: codes of 2 to 8 bits in 32-bit words, with no bit between them, in the order a GPU reads them.

One tile, of `rows` outputs and one block of inputs, is one contiguous run. A block has some planes of words; word j of
all of them together holds, for every field f and lane l, the code of input `f * lanes * words + lanes * j + l`. So what
decoding takes from a word at once are neighbours, and a field decodes to a contiguous sub-tile of `lanes * words`
inputs: no gather, no word read twice. Rows and inputs are padded with the code of zero.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwdse import arrangement
from hwdse.arrangement import Field

# Of a row of a plane, by lanes. A tensor core takes 32 inputs of 8 bits, or 16 of 16 bits: those of a field, or where
# 16-bit arithmetic has 4 words, of two fields, which `kernels/a16.py` joins.
WORDS = {2: (4, 8, 16, 32, 64), 4: (8, 16, 32, 64)}
ROWS = (16, 32, 64, 128, 256)


@dataclass(frozen=True, slots=True)
class Layout:
    """How codes of `bits` are packed."""

    bits: int
    lanes: int  # of a word: 2 for 16-bit arithmetic, 4 for 8-bit
    rows: int  # outputs of a tile
    words: int  # of a row of a plane of a tile
    target: tuple[int, ...] = ()  # places in a decoded lane of the bits of a code, lowest first; (): at its bottom
    room: int = 0  # how many places higher a decoded code may lie

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 8:
            raise ValueError(f"packed codes have 2 to 8 bits, not {self.bits}")
        _one_of("lanes", self.lanes, tuple(WORDS))
        _one_of("rows", self.rows, ROWS)
        _one_of("words", self.words, WORDS[self.lanes])
        if self.target and (len(self.target) != self.bits or max(self.target) + self.room >= self.width):
            raise ValueError(
                f"{self.bits} bits have as many places in a lane of {self.width}, not {self.target} and {self.room} up"
            )

    @property
    def width(self) -> int:
        """Bits of a lane."""
        return arrangement.WORD // self.lanes

    @property
    def places(self) -> tuple[int, ...]:
        """`target`, by default the lowest bits of a lane."""
        return self.target or tuple(range(self.bits))

    @property
    def fields(self) -> int:
        """Codes that a lane has in all planes together."""
        return arrangement.fields(self.bits, self.width)

    @property
    def planes(self) -> int:
        """Words that hold all fields."""
        return self.fields * self.bits // self.width

    @property
    def inputs(self) -> int:
        """Of one field: those of a sub-tile."""
        return self.lanes * self.words

    @property
    def block(self) -> int:
        """Inputs of a tile."""
        return self.inputs * self.fields

    def field(self, index: int) -> Field:
        """Where the codes of a sub-tile lie."""
        return arrangement.arrange(self.width, self.places, self.room)[index]

    def shape(self, n: int, k: int) -> tuple[int, int, int, int, int]:
        """Of the words of `n x k` codes: tiles, blocks, planes, rows, words."""
        return -(-n // self.rows), -(-k // self.block), self.planes, self.rows, self.words

    def nbytes(self, n: int, k: int) -> int:
        """Of the words of `n x k` codes, padding included."""
        return 4 * int(np.prod(self.shape(n, k), dtype=np.int64))

    def require(self, group: int | None) -> None:
        """ValueError where a sub-tile has inputs of two groups, so that it has no one scale."""
        if group is not None and (self.inputs > group or group % self.inputs):
            near = max(words for words in WORDS[self.lanes] if self.lanes * words <= group)
            raise ValueError(
                f"the {self.lanes} * {self.words} inputs of a sub-tile divide a group, not one of {group};"
                f" the nearest has {near} words"
            )


def _one_of(name: str, value: int, known: tuple[int, ...]) -> None:
    if value not in known:
        near = min(known, key=lambda size: (abs(size - value), size))
        listed = ", ".join(map(str, known))
        raise ValueError(f"a layout has {listed} {name}, not {value}; the nearest is {near}")


def pack(layout: Layout, codes: NDArray[np.uint8], zero: int = 0) -> NDArray[np.int32]:
    """The words of `codes` (`n x k`), padded with `zero`."""
    n, k = codes.shape
    tiles, blocks, planes, rows, words = layout.shape(n, k)
    packed = np.zeros((tiles, blocks, planes, rows, words), np.uint32)
    for tile in range(tiles):  # one at a time: a large matrix at once would take its size many times over
        padded = np.full((rows, blocks * layout.block), zero, np.uint8)
        part = codes[tile * rows : (tile + 1) * rows]
        padded[: len(part), :k] = part
        _pack_tile(layout, padded, packed[tile])
    return packed.view(np.int32)


def _pack_tile(layout: Layout, codes: NDArray[np.uint8], packed: NDArray[np.uint32]) -> None:
    """Fills `packed` (blocks, planes, rows, words) with the codes of its rows."""
    decoded = _placed(layout)[codes.reshape(len(codes), -1, layout.fields, layout.words, layout.lanes)]
    together = np.bitwise_or.reduce(decoded << _lanes(layout), axis=-1)
    for index in range(layout.fields):
        field = layout.field(index)
        own = together[:, :, index].swapaxes(0, 1) << np.uint32(field.up)
        for piece in field.pieces:
            packed[:, piece.plane] |= _rotated(own & np.uint32(piece.mask), arrangement.WORD - piece.left)


def unpack(layout: Layout, packed: NDArray[np.int32], n: int, k: int) -> NDArray[np.uint8]:
    """The `n x k` codes that `packed` holds."""
    tiles, blocks, _, rows, words = layout.shape(n, k)
    codes = np.zeros((tiles, rows, blocks, layout.fields, words, layout.lanes), np.uint8)
    for index in range(layout.fields):
        own = _decoded(layout, packed.view(np.uint32), index).swapaxes(1, 2)[..., None] >> _lanes(layout)
        for bit, place in enumerate(layout.places):
            codes[:, :, :, index] |= ((own >> np.uint32(place) & np.uint32(1)) << np.uint32(bit)).astype(np.uint8)
    return codes.reshape(tiles * rows, -1)[:n, :k]


def _decoded(layout: Layout, packed: NDArray[np.uint32], index: int) -> NDArray[np.uint32]:
    """Tiles, blocks, rows, words: the field as arithmetic would read it, at its target."""
    field = layout.field(index)
    own = np.zeros_like(packed[:, :, 0])
    for piece in field.pieces:
        own |= _rotated(packed[:, :, piece.plane], piece.left) & np.uint32(piece.mask)
    return own >> np.uint32(field.up)


def _placed(layout: Layout) -> NDArray[np.uint32]:
    """For every code, its bits at their places in a lane."""
    codes = np.arange(1 << layout.bits, dtype=np.uint32)
    moved = [(codes >> np.uint32(bit) & np.uint32(1)) << np.uint32(place) for bit, place in enumerate(layout.places)]
    placed: NDArray[np.uint32] = np.bitwise_or.reduce(moved)
    return placed


def _lanes(layout: Layout) -> NDArray[np.uint32]:
    """How far up each lane of a word is."""
    return np.arange(0, arrangement.WORD, layout.width, dtype=np.uint32)


def _rotated(words: NDArray[np.uint32], left: int) -> NDArray[np.uint32]:
    """`words` rotated to the left."""
    left %= arrangement.WORD
    return words if left == 0 else words << np.uint32(left) | words >> np.uint32(arrangement.WORD - left)
