"""FINN's matrix-vector unit: a product of a matrix of weights and a vector, `mh` sums of `mw` terms."""

import math
from dataclasses import dataclass
from typing import ClassVar

from hwdse.finn_nodes import memories
from hwdse.finn_nodes.node import Dsp, MemMode, Multiplier, Node, RamStyle, too_wide

WEIGHT_BITS_PER_PE = 36  # FINN's own folding raises SIMD up to here: mvau_wwidth_max


def accumulator_bits(stored: int, terms: int, weight_bits: int, input_bits: int, signed_input: bool) -> int:
    """The lesser of the bits that an accumulator has and those that `terms` products can need."""
    alpha = math.log(terms, 2) + weight_bits + input_bits - 1 - signed_input  # log2 rounds otherwise
    return min(stored, math.ceil(alpha + math.log(1 + 2**-alpha, 2) + 1))


def lane_luts(simd: int, weight_bits: int, input_bits: int, multiplier: Multiplier) -> int:
    """Of one output of a unit in HLS: the multipliers, unless they are DSPs, and their adder tree."""
    both = weight_bits + input_bits
    products = 0 if multiplier is Multiplier.DSP else simd * (2 * memories.up(both, 6) - 1) * both
    return products + both * (2 * simd - 1)


@dataclass(frozen=True, slots=True)
class _Mvau(Node):
    """What both ways to build it share; matrixvectoractivation.py."""

    pe: int
    simd: int
    mw: int
    mh: int
    weight_bits: int
    input_bits: int
    signed_input: bool
    accumulator_bits: int
    output_bits: int
    activation: bool  # whether thresholds are in the unit
    vectors: int  # per frame
    mem_mode: MemMode
    ram_style: RamStyle
    ram_style_thresholds: RamStyle
    multiplier: Multiplier
    tiles: int  # FINN's TH

    @property
    def pe_of(self) -> int:
        """The outputs."""
        return self.mh

    @property
    def simd_of(self) -> int:
        """The terms of an output."""
        return self.mw

    @property
    def weight_words(self) -> int:
        """Words of the memory of weights; each has `pe * simd` of them."""
        return self.mw * self.mh // (self.pe * self.simd)

    @property
    def cycles(self) -> int:
        """Folds of the matrix, for each vector."""
        return (self.mh // self.pe) * (self.mw // self.simd) * self.vectors * self.tiles

    @property
    def bram18s(self) -> int:
        """Of the weights, whatever their size, unless they lie elsewhere."""
        if self._elsewhere or self._in_luts_or_urams:
            return 0
        return memories.bram18s(self.pe * self.simd * self.weight_bits, self.weight_words)

    @property
    def urams(self) -> int:
        """Of the weights; FINN counts them beside the block RAMs where weights are embedded or dynamic."""
        if self._elsewhere or (self.mem_mode is MemMode.DECOUPLED and self.ram_style is not RamStyle.ULTRA):
            return 0
        return memories.urams(self.pe * self.simd * self.weight_bits, self.weight_words)

    @property
    def _elsewhere(self) -> bool:
        small = self.mem_mode is MemMode.EMBEDDED and self.weight_words <= 128
        return small or self.mem_mode in (MemMode.EXTERNAL, MemMode.EXTERNAL_MEMORY)

    @property
    def _in_luts_or_urams(self) -> bool:
        return self.mem_mode is MemMode.DECOUPLED and self.ram_style in (RamStyle.DISTRIBUTED, RamStyle.ULTRA)


@dataclass(frozen=True, slots=True)
class MvauHls(_Mvau):
    """In HLS; hls/matrixvectoractivation_hls.py."""

    operation: ClassVar[str] = "MVAU_hls"

    @property
    def luts(self) -> int:
        """Products, adder trees, accumulators, thresholds and their comparators, weights in LUTs."""
        width = accumulator_bits(self.accumulator_bits, self.mw, self.weight_bits, self.input_bits, self.signed_input)
        compared = 0
        if self.activation and self.ram_style_thresholds is RamStyle.DISTRIBUTED:
            compared = (2**self.output_bits - 1) * width * (memories.up(self.mh // self.pe, 64) + 1)
        lane = lane_luts(self.simd, self.weight_bits, self.input_bits, self.multiplier) + width + compared
        return int(300 + 1.1 * (self.pe * lane) + self._weight_luts)

    @property
    def dsps(self) -> int:
        """One for each product, if DSPs are asked for."""
        if self.multiplier is not Multiplier.DSP:
            return 0
        return self.pe * self.simd * memories.up(self.weight_bits + self.input_bits, 48)

    @property
    def problem(self) -> str | None:
        """What HLS does not take, although FINN estimates it."""
        weights = self.pe * self.simd * self.weight_bits // self.tiles
        if wide := too_wide(weights, self.simd * self.input_bits, self.pe * self.output_bits):
            return wide
        if 1024 * self.simd < self.mw:
            return f"HLS takes SIMD from MW / 1024 = {self.mw / 1024:g} on, not {self.simd}"
        return "HLS has no tiles" if self.tiles != 1 else None

    @property
    def _weight_luts(self) -> int:
        decoupled = self.mem_mode is MemMode.DECOUPLED and self.ram_style is RamStyle.DISTRIBUTED
        if decoupled or (self.mem_mode is MemMode.EMBEDDED and self.weight_words <= 128):
            return self.pe * self.simd * self.weight_bits * memories.up(self.weight_words, 64)
        return 0


@dataclass(frozen=True, slots=True)
class MvauRtl(_Mvau):
    """In RTL, on DSPs; FINN counts no LUTs at all. rtl/matrixvectoractivation_rtl.py."""

    dsp: Dsp

    operation: ClassVar[str] = "MVAU_rtl"

    @property
    def dsps(self) -> int:
        """Three products each on Versal, four elsewhere, as FINN counts them."""
        if self.dsp is Dsp.DSP58:
            return self.pe * memories.up(self.simd, 3)
        return memories.up(self.pe, 4) * self.simd
