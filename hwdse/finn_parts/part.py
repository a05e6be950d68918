"""Parts of units: their LUTs and flip-flops by structure."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from hwdse.structure.blocks import FABRICS, codes_comparator, distinct
from hwdse.structure.blocks import rom as _rom
from hwdse.structure.memories import MULTIPLEXER, PRIMITIVE, block_rams
from hwdse.structure.memories import ram as _ram

Parameters = Mapping[str, int]


class Part(NamedTuple):
    """LUTs and flip-flops of a part."""

    luts: float = 0.0
    ffs: float = 0.0


Parts = Mapping[str, Part]


def bits_for(states: int) -> int:
    """$clog2 of SystemVerilog: bits that count `states` states."""
    return max(states - 1, 0).bit_length()


@lru_cache(maxsize=4096)
def ram(words: int, bits: int, family: str = "xcup") -> float:
    """LUTs of a RAM in LUTs, with what chooses between its rows."""
    cells, multiplexers = _ram(words, bits, FABRICS[family])
    return float(cells) + float(multiplexers)


@lru_cache(maxsize=4096)
def memory(words: int, bits: int, family: str) -> tuple[float, int]:
    """LUTs and block RAMs of a memory of which the RTL does not say where it lies: what yosys finds cheaper.

    The costs are those of its `memory_libmap`, see `hwdse.structure.memories`.
    """
    fabric = FABRICS[family]
    blocks = block_rams(words, bits, fabric, rom=False)
    in_luts = min(_cost(words, bits, deep, tile) for deep, tile, _ in fabric.rams)
    return (0.0, int(blocks.count)) if blocks.cost < in_luts else (ram(words, bits, family), 0)


def _cost(words: int, bits: int, deep: int, tile: int) -> float:
    """To the mapper, of a RAM in LUTs of primitives of `deep` words of `tile` bits."""
    rows = -(-words // deep)
    return PRIMITIVE * rows * bits / tile + MULTIPLEXER * ((rows - 1) * bits + rows * (rows > 1))


@lru_cache(maxsize=4096)
def rom(words: int, bits: int) -> float:
    """LUTs of a ROM of random bits in LUTs, with what chooses between its rows."""
    return sum(float(one) for one in _rom(words, bits, FABRICS["xcup"]))


@lru_cache(maxsize=4096)
def columns(words: int, bits: int) -> float:
    """How many of the columns of a ROM of random bits differ, and are no constants."""
    return float(distinct(bits, words))


@lru_cache(maxsize=256)
def comparator(bits: int) -> float:
    """LUTs that compare two numbers in registers."""
    return float(codes_comparator(bits, FABRICS["xcup"]))
