"""What an accelerator stores on chip, in LUTs or in block RAM: which of the two, and what a block of a family holds.

Which of the two is decided by depth where nobody chooses (`hwdse.alternatives`). Sizes are those of the primitives;
nothing is fitted.
"""

from hwdse.cost import Resources
from hwdse.target import FpgaTarget, uses

# The deepest memory that goes into LUTs where its depth decides. AMD UG474, 'Distributed RAM Applications': LUTs up to
# 64 words, up to 128 by width and need, block RAM beyond. FINN's resource estimates draw one line at 128
# (`wmem <= 128`), and so do we, for every family.
LUT_WORDS = 128

FIFO_WORDS = 32  # after a unit; the deepest RAM of which a LUT6 holds two bits

# (words, bits) of an 18 Kib block. UG473 (RAMB18E1), UG573 (RAMB18E2), FPGA-TN-02204 (DP16KD, PDPW16KD);
# Versal's RAMB18E5 has no port below nine bits: AM007.
_ASPECTS = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
# SB_RAM40_4K of 4 Kib (Lattice FPGA-TN-02002, Memory Usage Guide for iCE40); EBR of Nexus and BSRAM of Gowin as yosys
# maps them: 18 Kib blocks with a port of up to 36 bits.
BLOCK_RAMS = {
    "xc7": _ASPECTS,
    "xcup": _ASPECTS,
    "versal": _ASPECTS[:3],
    "ecp5": _ASPECTS,
    "nexus": _ASPECTS,
    "gowin": _ASPECTS,
    "ice40": ((256, 16), (512, 8), (1024, 4), (2048, 2)),
}


def utilization(area: Resources, target: FpgaTarget) -> float:
    """The largest of the shares of the device's LUTs, FFs, DSPs, BRAM18s and URAMs; above 1 it does not fit."""
    return max((use.share for use in uses(area, target)), default=0.0)
