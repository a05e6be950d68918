"""FINN's vector-vector unit: a convolution of each channel on its own."""

from dataclasses import dataclass
from typing import ClassVar

from hwdse.finn_nodes import memories
from hwdse.finn_nodes.matrix_vector import accumulator_bits, lane_luts
from hwdse.finn_nodes.node import MemMode, Multiplier, Node, RamStyle, too_wide


@dataclass(frozen=True, slots=True)
class _Vvau(Node):
    """What both ways to build it share; vectorvectoractivation.py."""

    pe: int
    simd: int
    channels: int
    taps: int  # of the kernel
    pixels: int  # per frame
    weight_bits: int
    input_bits: int
    signed_input: bool
    accumulator_bits: int
    output_bits: int
    activation: bool  # whether thresholds are in the unit
    mem_mode: MemMode
    ram_style: RamStyle
    multiplier: Multiplier

    @property
    def pe_of(self) -> int:
        """The channels."""
        return self.channels

    @property
    def simd_of(self) -> int:
        """The taps; FINN's window generators feed more than one only where PE is all channels."""
        return self.taps

    @property
    def problem(self) -> str | None:
        """What no window generator feeds."""
        return self._unfed

    @property
    def _unfed(self) -> str | None:
        if self.simd > 1 and self.pe != self.channels:
            return f"SIMD is above 1 where PE is all {self.channels} channels, not {self.pe}"
        return None

    @property
    def weight_words(self) -> int:
        """Words of the memory of weights."""
        return self.taps * self.channels // self.pe // self.simd

    @property
    def cycles(self) -> int:
        """Folds of the channels and taps, for each pixel."""
        return self.channels // self.pe * (self.taps // self.simd) * self.pixels

    @property
    def bram18s(self) -> int:
        """Of the weights, unless they are few or lie elsewhere."""
        decoupled = self.mem_mode is MemMode.DECOUPLED and self.ram_style in (RamStyle.DISTRIBUTED, RamStyle.ULTRA)
        may_be_small = self.ram_style is RamStyle.AUTO or self.mem_mode is MemMode.EMBEDDED
        if decoupled or (may_be_small and self.weight_words <= 128) or self.mem_mode is MemMode.EXTERNAL:
            return 0
        return memories.bram18s(self.pe * self.simd * self.weight_bits, self.weight_words, parity=False)

    @property
    def urams(self) -> int:
        """Of the weights, if they are asked for."""
        other = self.mem_mode is MemMode.DECOUPLED and self.ram_style is not RamStyle.ULTRA
        if other or self.mem_mode in (MemMode.EMBEDDED, MemMode.EXTERNAL):
            return 0
        return memories.urams(self.pe * self.simd * self.weight_bits, self.weight_words)


@dataclass(frozen=True, slots=True)
class VvauHls(_Vvau):
    """In HLS; hls/vectorvectoractivation_hls.py."""

    operation: ClassVar[str] = "VVAU_hls"

    @property
    def luts(self) -> int:
        """As a matrix-vector unit in HLS, but its thresholds always count."""
        width = accumulator_bits(self.accumulator_bits, self.taps, self.weight_bits, self.input_bits, self.signed_input)
        stored, compared = 0.0, 0
        if self.activation:
            compared = (2**self.output_bits - 1) * width
            stored = compared * (self.channels // self.pe) / 64
        lane = lane_luts(self.simd, self.weight_bits, self.input_bits, self.multiplier) + width + stored + compared
        return int(300 + 1.1 * (self.pe * lane) + self._weight_luts)

    @property
    def dsps(self) -> int:
        """One for each channel at work, if DSPs are asked for."""
        if self.multiplier is not Multiplier.DSP:
            return 0
        return self.pe * memories.up(self.weight_bits + self.input_bits, 48)

    @property
    def problem(self) -> str | None:
        """What no window generator feeds, or HLS does not take."""
        weights = self.weight_bits if self.mem_mode in (MemMode.DECOUPLED, MemMode.EXTERNAL) else 0  # else no stream
        words = self.pe * self.simd * self.input_bits, self.pe * self.simd * weights, self.pe * self.output_bits
        return self._unfed or too_wide(*words)

    @property
    def _weight_luts(self) -> int:
        decoupled = self.mem_mode is MemMode.DECOUPLED and self.ram_style is RamStyle.DISTRIBUTED
        if decoupled or (self.mem_mode is MemMode.EMBEDDED and self.weight_words <= 128):
            return self.pe * self.simd * self.weight_bits * memories.up(self.weight_words, 64)
        return 0


@dataclass(frozen=True, slots=True)
class VvauRtl(_Vvau):
    """In RTL, on the DSPs of Versal; FINN counts no LUTs at all. rtl/vectorvectoractivation_rtl.py."""

    operation: ClassVar[str] = "VVAU_rtl"

    @property
    def dsps(self) -> int:
        """Three products each."""
        return self.pe * memories.up(self.simd, 3)
