"""What an accelerator stores on chip, in LUTs or in block RAM: which of the two, and what a block of a family holds.

Which of the two is decided by depth where nobody chooses (`hwdse.alternatives`). Sizes are those of the primitives;
nothing is fitted.
"""

from dataclasses import dataclass

from hwdse.cost import Resources
from hwdse.target import FpgaTarget, uses

# The deepest memory that goes into LUTs where its depth decides. AMD UG474, 'Distributed RAM Applications': LUTs up to
# 64 words, up to 128 by width and need, block RAM beyond. FINN's resource estimates draw one line at 128
# (`wmem <= 128`), and so do we, for every family.
LUT_WORDS = 128

FIFO_WORDS = 2  # after a unit: a beat a cycle, and no path from ready to ready; few queues need more (`hwdse.queues`)


@dataclass(frozen=True, slots=True)
class BlockRam:
    """A block RAM as yosys 0.70 maps to it: its ports' widths, and what the mapper holds against a block."""

    aspects: tuple[tuple[int, int], ...]  # (words, bits), the narrowest port first
    cost: int  # `cost` in brams.txt of the family
    byte: int  # bits that a write enables at least, where the port is not narrower
    blocks: int = 1  # as which it counts
    shared: bool = True  # whether the columns that are left of one row fill the block of another


# 18 Kib. UG473 (RAMB18E1), UG573 (RAMB18E2), FPGA-TN-02204 (DP16KD, PDPW16KD); Versal's RAMB18E5 has no port below
# nine bits: AM007. EBR of Nexus and BSRAM of Gowin as yosys maps them: 18 Kib with a port of up to 36 bits.
_ASPECTS = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
# AMD: two 18 Kib blocks as one of 36 Kib, which yosys prefers by a 258th.
_AMD = (
    BlockRam(_ASPECTS, 129, 9),
    BlockRam((*((2 * words, bits) for words, bits in _ASPECTS), (512, 72)), 257, 9, 2),
)
_LATTICE = (BlockRam(_ASPECTS, 128, 9),)
BLOCK_RAMS = {
    "xc7": _AMD,
    "xcup": _AMD,
    # which no open tool maps to: each row by itself
    "versal": tuple(BlockRam(one.aspects[3:], one.cost, one.byte, one.blocks, shared=False) for one in _AMD),
    "ecp5": _LATTICE,
    "nexus": _LATTICE,
    "gowin": _LATTICE,
    # SB_RAM40_4K of 4 Kib (Lattice FPGA-TN-02002, Memory Usage Guide for iCE40)
    "ice40": (BlockRam(((2048, 2), (1024, 4), (512, 8), (256, 16)), 64, 1),),
}


def utilization(area: Resources, target: FpgaTarget) -> float:
    """The largest of the shares of the device's LUTs, FFs, DSPs, BRAM18s and URAMs; above 1 it does not fit."""
    return max((use.share for use in uses(area, target)), default=0.0)
