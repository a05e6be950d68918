"""FINN's thresholds: a number becomes the count of the thresholds of its channel that it reaches."""

from dataclasses import dataclass
from typing import ClassVar

from hwdse.finn_nodes import memories
from hwdse.finn_nodes.node import ByChannel, RamStyle, too_wide

# Of what a memory of thresholds in RTL is made: bits of a word, words; those of Versal for every part. The first of
# those that waste least is taken. Source: finn/util/memutil.py.
LUTRAM = (1, 64)
BRAMS = ((36, 512), (18, 1024), (9, 2048))
URAMS = ((72, 4096), (36, 8192), (18, 16384), (9, 32768))
PRIMITIVES = (*URAMS, *BRAMS, LUTRAM)


@dataclass(frozen=True, slots=True)
class _Thresholding(ByChannel):
    """What both ways to build it share; thresholding.py."""

    input_bits: int
    threshold_bits: int
    output_bits: int


@dataclass(frozen=True, slots=True)
class ThresholdingHls(_Thresholding):
    """In HLS; hls/thresholding_hls.py."""

    steps: int  # thresholds of a channel
    ram_style: RamStyle

    operation: ClassVar[str] = "Thresholding_hls"

    @property
    def luts(self) -> int:
        """Comparators as wide as the inputs, and the memory if it is one of LUTs."""
        stored = self._width * memories.up(self._words, 64) if self._in(RamStyle.DISTRIBUTED) else 0
        return self.input_bits * self.pe + stored

    @property
    def bram18s(self) -> int:
        """The memory, if it is one of block RAMs."""
        return memories.up(self._width, 16) * memories.up(self._words, 1024) if self._in(RamStyle.BLOCK) else 0

    @property
    def urams(self) -> int:
        """The memory, if it is one of UltraRAMs."""
        return memories.urams(self._width, self._words) if self._in(RamStyle.ULTRA) else 0

    @property
    def problem(self) -> str | None:
        """What HLS does not take; thresholds are a stream, unless they are embedded, which FINN's steps never do."""
        return too_wide(self.pe * self.input_bits, self.pe * self.output_bits, self._width)

    def _in(self, style: RamStyle) -> bool:
        return self.ram_style is style and self._words > 1

    @property
    def _words(self) -> int:
        return self.channels // self.pe

    @property
    def _width(self) -> int:
        return self.pe * self.threshold_bits * self.steps


@dataclass(frozen=True, slots=True)
class ThresholdingRtl(_Thresholding):
    """In RTL: a search tree, of which FINN counts the memories and no comparators. rtl/thresholding_rtl.py.

    Stage `x` of the search chooses one of `2**x` thresholds of each channel.
    """

    uniform: bool
    depth_trigger_bram: int  # from which depth on a memory is one of block RAMs; 0 and 0: whatever wastes least
    depth_trigger_uram: int

    operation: ClassVar[str] = "Thresholding_rtl"

    @property
    def luts(self) -> int:
        """Of memories in LUTs, each of 64 bits."""
        return self._count((LUTRAM,))

    @property
    def bram18s(self) -> int:
        """Of memories in block RAMs."""
        return self._count(BRAMS)

    @property
    def urams(self) -> int:
        """Of memories in UltraRAMs."""
        return self._count(URAMS)

    @property
    def stages_in_luts(self) -> tuple[int, ...]:
        """Those whose memories FINN counts as LUTs."""
        return tuple(stage for stage, memory in enumerate(self._memories) if self._primitive(memory) == LUTRAM)

    def _count(self, kind: tuple[tuple[int, int], ...]) -> int:
        """Primitives of `kind` in all stages."""
        chosen = [(memory, self._primitive(memory)) for memory in self._memories]
        return self.pe * sum(_pieces(memory, primitive) for memory, primitive in chosen if primitive in kind)

    @property
    def _memories(self) -> list[tuple[int, int]]:
        """Bits of a word and words of the memory of each stage."""
        folds, bits = self.channels // self.pe, self.output_bits
        if self.uniform:
            return [(bits - stage, folds << stage) for stage in range(1, bits)]
        return [(self.threshold_bits, folds << stage) for stage in range(bits)]

    def _primitive(self, memory: tuple[int, int]) -> tuple[int, int]:
        """What a memory is made of."""
        low, high = self.depth_trigger_bram, self.depth_trigger_uram
        allowed: tuple[tuple[int, int], ...] = PRIMITIVES
        if low or high:
            depth = memory[1]
            allowed = URAMS if depth >= high else BRAMS if depth >= low else PRIMITIVES
        return min(allowed, key=lambda primitive: _pieces(memory, primitive) * primitive[0] * primitive[1])


def _pieces(memory: tuple[int, int], primitive: tuple[int, int]) -> int:
    return memories.up(memory[0], primitive[0]) * memories.up(memory[1], primitive[1])
