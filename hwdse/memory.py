"""What an accelerator stores on chip: weights, windows and thresholds, in LUTs or in block RAM (BRAM18: of 18 Kib).

Which of the two is decided by depth alone. Sizes are those of the primitives; nothing is fitted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import ceil

from hwdse.arithmetic import comparator, functions
from hwdse.cost import Resources
from hwdse.design import Quantizer
from hwdse.formats import limits, values
from hwdse.target import FpgaTarget, uses

# The deepest memory that goes into LUTs. AMD UG474, 'Distributed RAM Applications': LUTs up to 64 words, up to 128 by
# width and need, block RAM beyond. FINN's resource estimates draw one line at 128 (`wmem <= 128`), and so do we, for
# every family: a memory then never changes its kind because a format gets wider.
LUT_WORDS = 128

FIFO_WORDS = 32  # after a unit; the deepest RAM of which a LUT6 holds two bits


@dataclass(frozen=True, slots=True)
class LutRam:
    """A family's LUTs as simple dual-port RAM of `words` words: data LUTs, and LUTs that the write port takes."""

    words: int
    bits_per_lut: int
    tile_bits: int  # data bits of one primitive
    tile_extra: int  # LUTs of it that hold no data bit

    def luts(self, words: int, width: int, lut_inputs: int) -> int:
        """LUTs of a `words` x `width` bit RAM, the multiplexers of its rows of primitives included."""
        rows = ceil(words / self.words)
        row = ceil(width / self.bits_per_lut) + self.tile_extra * ceil(width / self.tile_bits)
        return rows * row + width * _multiplexer(rows, lut_inputs)


# AMD: UG474 (RAM32M, RAM64M), UG574 and AM005 (RAM32M16, RAM64M8); Lattice: FPGA-DS-02012, PFU in RAM mode:
# a 16x4 pseudo dual-port RAM takes three slices, two of them for data.
_ULTRASCALE = (LutRam(32, 2, 14, 1), LutRam(64, 1, 7, 1))
LUT_RAMS = {
    "xc7": (LutRam(32, 2, 6, 1), LutRam(64, 1, 3, 1)),
    "xcup": _ULTRASCALE,
    "versal": _ULTRASCALE,
    "ecp5": (LutRam(16, 1, 4, 2),),
}

# (words, bits) of an 18 Kib block. UG473 (RAMB18E1), UG573 (RAMB18E2), FPGA-TN-02204 (DP16KD, PDPW16KD);
# Versal's RAMB18E5 has no port below nine bits: AM007.
_ASPECTS = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
BLOCK_RAMS = {"xc7": _ASPECTS, "xcup": _ASPECTS, "versal": _ASPECTS[:3], "ecp5": _ASPECTS}


def lut_rom(words: int, width: int, lut_inputs: int) -> int:
    """LUTs of a read-only memory: functions of the address; beyond what F7 to L6MUX join, with multiplexers."""
    joined = 1 << lut_inputs + (2 if lut_inputs == 6 else 3)  # words that slice multiplexers reach without LUTs
    if words <= 1 << lut_inputs:
        return functions((words - 1).bit_length(), width, lut_inputs)
    return width * (ceil(words / (1 << lut_inputs)) + _multiplexer(ceil(words / joined), lut_inputs))


def lut_ram(words: int, width: int, target: FpgaTarget) -> int:
    """LUTs of a RAM with a write and a read port, in the family's best primitive."""
    return min(ram.luts(words, width, target.lut_inputs) for ram in LUT_RAMS[target.family])


def block_rams(words: int, width: int, target: FpgaTarget) -> int:
    """Blocks of a memory, in the aspect ratio that takes the fewest."""
    return min(ceil(words / deep) * ceil(width / wide) for deep, wide in BLOCK_RAMS[target.family])


def utilization(area: Resources, target: FpgaTarget) -> float:
    """The largest of the shares of the device's LUTs, FFs, DSPs, BRAM18s and URAMs; above 1 it does not fit."""
    return max((use.share for use in uses(area, target)), default=0.0)


@cache
def memory(words: int, width: int, target: FpgaTarget, *, writable: bool) -> Resources:
    """LUTs or block RAM for `words` x `width` bits, by depth alone: `LUT_WORDS`, or any depth without block RAM.

    A single read-only word is wires, a single writable one is registers; a ROM in LUTs is logic.
    """
    if words <= 1:
        return Resources(ffs=words * width if writable else 0)
    if words > LUT_WORDS and target.brams:
        return Resources(brams=block_rams(words, width, target))
    if not writable:
        return Resources(luts=lut_rom(words, width, target.lut_inputs))
    luts = lut_ram(words, width, target)
    return Resources(luts=luts, lutrams=luts)


def counters(*lengths: int) -> Resources:
    """Counters to each of `lengths`: a LUT and a flip-flop a bit."""
    bits = sum((length - 1).bit_length() for length in lengths)
    return Resources(luts=bits, ffs=bits)


def fifo(width: int, target: FpgaTarget) -> Resources:
    """A stream FIFO of `FIFO_WORDS` words in LUTs, with its two counters."""
    luts = lut_ram(FIFO_WORDS, width, target)
    return Resources(luts=luts, lutrams=luts) + counters(FIFO_WORDS, FIFO_WORDS)


def _multiplexer(ways: int, lut_inputs: int) -> int:
    """LUTs a bit of a `ways`:1 multiplexer: of 4:1 in a LUT6, of 2:1 in a LUT4."""
    return ceil((ways - 1) / (3 if lut_inputs == 6 else 1))


# ---- requantisation ------------------------------------------------------------------------------


@cache
def levels(quantizer: Quantizer) -> int:
    """How many different values `quantizer` gives."""
    low, high = limits(quantizer.format, quantizer.narrow)
    return sum(low <= value <= high for value in values(quantizer.format))


def search_steps(quantizer: Quantizer) -> int:
    """Comparisons of a binary search among the thresholds of `quantizer`, which is the bits of their count."""
    return (levels(quantizer) - 1).bit_length()


@cache
def thresholds(quantizer: Quantizer, bits: int, words: int, pe: int, target: FpgaTarget) -> Resources:
    """Area that turns `pe` sums of `bits` bits into codes of `quantizer`, whatever the scale, bias or format.

    A code is the number of thresholds that a sum reaches; `words` sets of them, one per channel of a
    PE, are stored. A pipeline of one comparator a step searches them (finn-rtllib/thresholding): step
    x looks among 2**x thresholds a channel, in a memory of its own, and the sum travels along.
    """
    steps = search_steps(quantizer)
    luts = pe * (steps * comparator(bits, target.lut_inputs) + _recode(quantizer, target.lut_inputs))
    search = Resources(luts=luts, ffs=pe * steps * (bits + steps))
    return sum(_step_memories(steps, bits, words, pe, target), search)


def _step_memories(steps: int, bits: int, words: int, pe: int, target: FpgaTarget) -> Iterator[Resources]:
    yield memory(words, pe * bits, target, writable=False)  # the first step's address is the same for every PE
    for step in range(1, steps):
        yield from [memory(words * 2**step, bits, target, writable=False)] * pe


def _recode(quantizer: Quantizer, lut_inputs: int) -> int:
    """LUTs from the count to the code: nothing if they are the same number, else a table."""
    ordered = not quantizer.format.signed  # the values of an unsigned format ascend with its codes
    return 0 if ordered else functions(search_steps(quantizer), quantizer.format.bits, lut_inputs)
