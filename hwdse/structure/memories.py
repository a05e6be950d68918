"""Where a memory goes, and what it takes there: block RAM, RAM in LUTs, or flip-flops.

The rules are those of yosys 0.70's `memory_libmap`, which maps a memory to what it finds cheapest: it compares the
primitives that fit, each by its `cost` in the family's brams.txt or lutrams.txt, with half a point for each multiplexer
between rows and for each enable of a row.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwdse.memory import BLOCK_RAMS
from hwdse.structure.blocks import FABRICS, Counts, Fabric, Part, Sizes, ceil_div, choices, part

Truths = NDArray[np.bool_]

MULTIPLEXER = 0.5  # FACTOR_MUX and FACTOR_DEMUX of memory_libmap.cc
PRIMITIVE = 16  # of AMD's RAM in LUTs, by the bits that are used; the other families have one each
EMULATION = 2  # FACTOR_EMU: once for a read port of its own, twice for a read that clears where no pin does


@dataclass(frozen=True, slots=True)
class Blocks:
    """Block RAMs of memories."""

    count: Sizes
    rows: Sizes  # one behind the other, between which the outputs are chosen
    cost: Counts  # to the mapper


def block_rams(words: ArrayLike, bits: ArrayLike, fabric: Fabric, *, rom: bool) -> Blocks:
    """Of memories as yosys maps them.

    Rows of an aspect lie side by side, so that the columns that are left of one row fill the block of another.
    """
    size, wide = np.asarray(words), np.asarray(bits)
    count, least = np.zeros(np.broadcast(size, wide).shape, np.int64), np.asarray(np.inf)
    best = count
    for kind in fabric.blocks:
        for deep, port in kind.aspects:
            byte = 1 if rom else min(kind.byte, port)
            rows, columns = ceil_div(size, deep), ceil_div(wide, byte) * byte
            n = ceil_div(rows * columns, port) if kind.shared else rows * ceil_div(columns, port)
            cost = n * kind.cost + MULTIPLEXER * ((rows - 1) * wide + rows * (rows > 1) * (not rom))
            count = np.where(cost < least, n * kind.blocks, count)
            best = np.where(cost < least, rows, best)
            least = np.minimum(cost, least)
    return Blocks(count, best, least)


def memory_blocks(words: ArrayLike, bits: ArrayLike, family: str, *, rom: bool = True) -> Sizes:
    """Block RAMs of a memory; none on a family without them."""
    if family not in BLOCK_RAMS:
        return np.zeros((), np.int64)
    return block_rams(words, bits, FABRICS[family], rom=rom).count


RAM_PARTS = (" multiplexers", " choices", " enables", " clears")  # after the name of a memory


@dataclass(frozen=True, slots=True)
class Ram:
    """A memory that is written while it works, by BLOCK 1 in block RAM, by BLOCK 0 in LUTs.

    A fabric without RAM in LUTs has it in block RAM or, as long as that is cheaper to the mapper, in flip-flops.
    """

    words: Sizes
    bits: Sizes
    there: Truths  # whether there is one
    block: Sizes
    fabric: Fabric
    clears: Truths | bool = False  # whether a read may give zero instead

    @property
    def in_blocks(self) -> Sizes:
        """Whether it is block RAM."""
        chosen = np.asarray(self.block) > 0
        if not self.fabric.rams:
            cost = block_rams(self.words, self.bits, self.fabric, rom=False).cost
            chosen = chosen | (cost + EMULATION * (1 + 2 * np.asarray(self.clears)) < self.words * self.bits)
        return np.asarray(chosen * self.there, np.int64)

    @property
    def registered(self) -> Sizes:
        """Whether what it reads is kept in flip-flops of logic cells."""
        return np.asarray(self.there * 1 - self.in_blocks, np.int64)

    @property
    def blocks(self) -> Sizes:
        """Block RAMs."""
        return blocks_there(self.in_blocks, self.words, self.bits, self.fabric, rom=False)

    def parts(self, name: str) -> dict[str, Part]:
        """Its cells, the choices between their rows, what says which row is written, and what clears a read."""
        found = {f"{name} choices": part(block_choices(self.in_blocks, self.words, self.bits, self.fabric, rom=False))}
        if self.fabric.rams:
            cells, muxes = ram(self.words, self.bits, self.fabric)
            own = {name: part(self.registered * cells), f"{name} multiplexers": part(self.registered * muxes)}
            return own | found
        # flip-flops with an enable for each word
        return found | {
            name: part(ffs=self.registered * self.words * self.bits),
            f"{name} multiplexers": part(self.registered * self.bits * choices(self.words, self.fabric)),
            f"{name} enables": part(self.registered * self.words),
            f"{name} clears": part(self.in_blocks * self.clears * self.bits),
        }


def blocks_there(there: ArrayLike, words: ArrayLike, bits: ArrayLike, fabric: Fabric, *, rom: bool) -> Sizes:
    """Block RAMs of as many memories as there are."""
    if not np.any(there):
        return np.zeros((), np.int64)
    return np.asarray(there) * block_rams(words, bits, fabric, rom=rom).count


def block_choices(there: ArrayLike, words: ArrayLike, bits: ArrayLike, fabric: Fabric, *, rom: bool) -> Counts:
    """LUTs that choose between the rows of block RAMs, of as many memories as there are."""
    if not np.any(there):
        return np.zeros(())
    return (
        np.asarray(there)
        * np.asarray(bits, np.float64)
        * choices(block_rams(words, bits, fabric, rom=rom).rows, fabric)
    )


def ram(words: ArrayLike, columns: ArrayLike, fabric: Fabric) -> tuple[Counts, Counts]:
    """LUTs of a RAM in LUTs in the primitive that yosys finds cheapest: of its primitives, and between their rows."""
    size, wide = np.asarray(words, np.float64), np.asarray(columns, np.float64)
    cells, muxes, least = np.zeros_like(size * wide), np.zeros_like(size * wide), np.asarray(np.inf)
    for deep, tile, luts in fabric.rams:
        rows = np.ceil(size / deep)
        cost = PRIMITIVE * rows * wide / tile + MULTIPLEXER * ((rows - 1) * wide + rows * (rows > 1))
        chosen = cost < least
        # a LUT6 chooses between four, a LUT4 between two
        between = np.ceil((rows - 1) / 3) if fabric.lut_inputs == 6 else rows - 1
        cells = np.where(chosen, rows * np.ceil(wide / tile) * luts, cells)
        muxes = np.where(chosen, between * wide, muxes)
        least = np.minimum(cost, least)
    return np.asarray(cells), np.asarray(muxes)
