"""Where the bits of packed codes lie in their 32-bit words, so that decoding takes the fewest instructions.

A word has two 16-bit or four 8-bit lanes, and every lane of a plane of words holds the bits of the same fields. A piece
of a field is decoded by `rotate(word, left) & mask`, and a field is the OR of its pieces. What the arithmetic of a GPU
reads has its bits at given places of a lane: `target` is, say, where float16 has its sign and its exponent. A code
whose bits are as far apart in the plane as there costs one AND, and one rotation unless it also lies right. The rest is
cut up. The search below compares all ways to lay as many whole codes into a plane as fit, or one less.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import gcd

WORD = 32  # bits


@dataclass(frozen=True, slots=True)
class Piece:
    """Bits of one field: `rotate(word of plane, left) & mask`; `mask` is that of a whole word."""

    plane: int
    left: int
    mask: int


@dataclass(frozen=True, slots=True)
class Field:
    """One code of each lane; its pieces together are the code at its target, times `2**up`."""

    pieces: tuple[Piece, ...]
    up: int = 0


Bits = frozenset[int]  # places in a lane


def fields(bits: int, width: int) -> int:
    """How many codes of `bits` share the planes of a lane of `width` bits: the least number that fills whole lanes."""
    return width // gcd(bits, width)


@cache
def arrange(width: int, target: tuple[int, ...], room: int = 0) -> tuple[Field, ...]:
    """All fields of a block, for lanes of `width` bits.

    `target`: the place in a decoded lane of each bit of a code, lowest first. `room`: a decoded code may lie up to so
    many places higher.
    """
    planes = fields(len(target), width) * len(target) // width
    options = (_whole(width, target, room, places) for places in _disjoint(width, target))
    best = min((_with_rest(width, planes, target, *option) for option in options), key=_cost)
    return tuple(best)


def _cost(found: list[Field]) -> tuple[int, int]:
    """ANDs and rotations, of which those of equal words are shared; then those that no plain shift can do."""
    pieces = [piece for field in found for piece in field.pieces]
    turns = {(piece.plane, piece.left) for piece in pieces if piece.left}
    return len(pieces) + len(turns), sum(wraps(piece) for piece in pieces)


def wraps(piece: Piece) -> bool:
    """Whether bits go around the end of the word, so that neither of the two shifts would do."""
    kept_by_left = (1 << WORD) - (1 << piece.left)
    return piece.mask & kept_by_left != 0 and piece.mask & ~kept_by_left != 0


def _disjoint(width: int, target: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Sets of places, each so many above `target`, at which whole codes do not overlap: of the two largest sizes."""
    taken = [frozenset((bit + place) % width for bit in target) for place in range(width)]

    def grown(chosen: tuple[int, ...], used: Bits) -> Iterator[tuple[int, ...]]:
        yield chosen
        for place in range(chosen[-1] + 1 if chosen else 0, width):
            if not used & taken[place]:
                yield from grown((*chosen, place), used | taken[place])

    found = list(grown((), frozenset()))
    most = max(map(len, found))
    return (places for places in found if len(places) >= most - 1)


def _whole(
    width: int, target: tuple[int, ...], room: int, places: tuple[int, ...]
) -> tuple[list[tuple[int, int]], Bits]:
    """How far each code is turned to the right and how high it then lies; and the bits of a plane that they leave.

    Neighbours share a turn. It leaves them as high as they may lie: of a code in the lowest bits of its lane a compiler
    takes the lanes apart, since the upper one then needs no mask, and has to put them together again.
    """
    turned: list[tuple[int, int]] = []
    for index, place in enumerate(places):
        if not turned or place - turned[-1][0] > room:
            last = max(other for other in places[index:] if other - place <= room)
            base = max(last - room, 0)
        turned.append((base, place - base))
    used = {(bit + place) % width for bit in target for place in places}
    return turned, frozenset(range(width)) - used


def _with_rest(
    width: int, planes: int, target: tuple[int, ...], turned: list[tuple[int, int]], free: Bits
) -> list[Field]:
    """The whole codes of every plane, then those that are cut up."""
    found = [
        Field((_piece(width, plane, right, frozenset(bit + up for bit in target)),), up)
        for plane in range(planes)
        for right, up in turned
    ]
    rest = [set(free) for _ in range(planes)]
    for _ in range(fields(len(target), width) - len(found)):
        found.append(Field(tuple(_cut(width, rest, set(target)))))
    return found


def _cut(width: int, rest: list[set[int]], missing: set[int]) -> Iterator[Piece]:
    """Pieces that take the bits `missing` from the bits that the planes still have, the largest first."""
    while missing:
        options = (
            (frozenset(bit for bit in missing if (bit + right) % width in free), plane, right)
            for plane, free in enumerate(rest)
            for right in range(width)
        )
        taken, plane, right = max(options, key=lambda option: (len(option[0]), option[2] == 0, -option[1]))
        yield _piece(width, plane, right, taken)
        missing -= taken
        rest[plane] -= {(bit + right) % width for bit in taken}


def _piece(width: int, plane: int, right: int, taken: Bits) -> Piece:
    """Turned within the lane where no bit leaves it, else through the neighbour."""
    mask = sum(1 << lane + bit for lane in range(0, WORD, width) for bit in taken)
    inside = all(bit + right >= width for bit in taken)  # all of them lie below: a shift to the left
    return Piece(plane, (width - right if inside else WORD - right) % WORD, mask)
