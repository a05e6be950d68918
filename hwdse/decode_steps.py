"""How packed codes of a format decode for an arithmetic, as far as it decides what that costs.

Kernels are compiled for some formats, and each stands for those that decode alike: of the same width, by the same rule
(`hwdse.decoding` for 16 bits, `hwdse.stored` for 8), in about as many steps.
"""

from dataclasses import dataclass
from functools import cache

from hwdse.decoding import decoding
from hwdse.formats import Format
from hwdse.packing import Layout
from hwdse.paths import EIGHT_BITS
from hwdse.stored import Stored, stored

OPERANDS = {"int8": ("int8",), "fp8": EIGHT_BITS}  # of each 8-bit arithmetic, the first that holds the format


@dataclass(frozen=True, slots=True)
class Manner:
    """How a format decodes."""

    bits: int  # that are stored
    rule: str
    steps: int  # ANDs, shifts and rotations of a word, for all fields of a block


@cache
def manner(fmt: Format, arithmetic: str) -> Manner:
    """How `fmt` decodes for `arithmetic`; ValueError where it does not."""
    layout, rule = layout_of(fmt, arithmetic, 64, 16), _rule(fmt, arithmetic)
    pieces = [piece for index in range(layout.fields) for piece in layout.field(index).pieces]
    turns = {(piece.plane, piece.left) for piece in pieces if piece.left}
    return Manner(layout.bits, rule, len(pieces) + len(turns))


@cache
def layout_of(fmt: Format, arithmetic: str, rows: int, words: int) -> Layout:
    """How weights of `fmt` are packed for `arithmetic`, in tiles of `rows` outputs; ValueError where they are not."""
    if arithmetic in OPERANDS:
        own = _stored(fmt, arithmetic)
        return Layout(len(own.places), 4, rows, words, own.places)
    decoded = decoding(fmt, arithmetic)
    return Layout(len(decoded.target), 2, rows, words, decoded.target, decoded.room)


def operand_of(fmt: Format, arithmetic: str) -> str:
    """The numbers of a tensor core that weights of `fmt` become; ValueError where they are none of `arithmetic`."""
    return _stored(fmt, arithmetic).operand if arithmetic in OPERANDS else arithmetic


def ready(fmt: Format, arithmetic: str) -> bool:
    """Whether weights of `fmt` are stored as tensor cores multiply them: nothing decodes them."""
    return arithmetic in OPERANDS and _stored(fmt, arithmetic).ready


def _rule(fmt: Format, arithmetic: str) -> str:
    if arithmetic in OPERANDS:
        return _stored(fmt, arithmetic).rule
    own = decoding(fmt, arithmetic)
    return own.how + " scaled" * (own.power != 0)


def _stored(fmt: Format, arithmetic: str) -> Stored:
    found = (stored(fmt, operand) for operand in OPERANDS[arithmetic])
    own = next((one for one in found if one is not None), None)
    if own is None:
        raise ValueError(f"weights of {fmt.name} are not stored for {arithmetic}")
    return own
