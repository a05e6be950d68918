"""How the fields of a block are told to a kernel: as one text, which a launch compares at once.

Triton looks at every number of a tuple at every launch, and its version 3.6 does not take tuples of tuples apart. So
here is a text, `up;plane,left,right,mask;...` of each field parted by `|`, and what reads it as a kernel is compiled.
"""

from functools import cache

import triton

from hwdse.arrangement import WORD, Piece
from hwdse.packing import Layout


@cache
def text(layout: Layout) -> str:
    """The fields of `layout`."""
    fields = (layout.field(index) for index in range(layout.fields))
    return "|".join(";".join([str(own.up), *map(_piece, own.pieces)]) for own in fields)


def _piece(piece: Piece) -> str:
    return ",".join(map(str, (piece.plane, *_shifts(piece), piece.mask)))


def _shifts(piece: Piece) -> tuple[int, int]:
    """To the left and to the right: both where one does not bring all bits of the mask, none where they lie right."""
    from_below = piece.mask >> piece.left << piece.left
    right = 0 if from_below == piece.mask else WORD - piece.left
    return piece.left if from_below else 0, right


@triton.constexpr_function
def count(fields: str) -> int:
    """How many there are."""
    return len(fields.split("|"))


@triton.constexpr_function
def up(fields: str, field: int) -> int:
    """By how many places a field lies higher than its target."""
    return int(fields.split("|")[field].split(";")[0])


@triton.constexpr_function
def pieces(fields: str, field: int) -> int:
    """How many pieces it has."""
    return len(fields.split("|")[field].split(";")) - 1


@triton.constexpr_function
def plane(fields: str, field: int, piece: int) -> int:
    """In which the piece lies."""
    return int(fields.split("|")[field].split(";")[piece + 1].split(",")[0])


@triton.constexpr_function
def left(fields: str, field: int, piece: int) -> int:
    """By how many places its words are shifted up."""
    return int(fields.split("|")[field].split(";")[piece + 1].split(",")[1])


@triton.constexpr_function
def right(fields: str, field: int, piece: int) -> int:
    """By how many places its words are shifted down."""
    return int(fields.split("|")[field].split(";")[piece + 1].split(",")[2])


@triton.constexpr_function
def mask(fields: str, field: int, piece: int) -> int:
    """Its bits, after the shifts."""
    return int(fields.split("|")[field].split(";")[piece + 1].split(",")[3])
