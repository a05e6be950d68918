"""FINN's nodes that select, add, copy or widen what streams by; FINN counts no area for most of them."""

import math
from dataclasses import dataclass
from typing import ClassVar

from hwdse.finn_nodes import memories
from hwdse.finn_nodes.node import ByChannel, MemMode, Node, RamStyle, too_wide


@dataclass(frozen=True, slots=True)
class Pool(Node):
    """The largest, or a sum, of the pixels of each window, which a window generator brings; pool.py."""

    pe: int
    channels: int
    taps: int  # of a window
    pixels: int  # that leave, per frame

    operation: ClassVar[str] = "Pool_hls"

    @property
    def pe_of(self) -> int:
        """The channels."""
        return self.channels

    @property
    def cycles(self) -> int:
        """Pixels of all windows."""
        return self.channels * self.taps // self.pe * self.pixels


@dataclass(frozen=True, slots=True)
class GlobalAccPool(ByChannel):
    """The sum of all pixels of each channel. globalaccpool.py."""

    operation: ClassVar[str] = "GlobalAccPool_hls"

    @property
    def cycles(self) -> int:
        """Of reading, and of writing the sums."""
        return (self.vectors + 1) * (self.channels // self.pe)


@dataclass(frozen=True, slots=True)
class DuplicateStreams(ByChannel):
    """Two or more copies of a stream. duplicatestreams.py."""

    operation: ClassVar[str] = "DuplicateStreams_hls"


@dataclass(frozen=True, slots=True)
class LabelSelect(Node):
    """The numbers of the largest logits. labelselect.py."""

    pe: int
    labels: int

    operation: ClassVar[str] = "LabelSelect_hls"

    @property
    def pe_of(self) -> int:
        """The labels."""
        return self.labels

    @property
    def cycles(self) -> int:
        """Folds of the labels."""
        return self.labels // self.pe


@dataclass(frozen=True, slots=True)
class Elementwise(Node):
    """A function of two operands, one of which may be constant. elementwise_binary.py.

    FINN counts the memory of a right operand that is constant, and only if it is decoupled.
    """

    function: str  # Add, Mul, Max
    backend: str  # hls or rtl
    pe: int
    left_shape: tuple[int, ...]
    right_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    right_bits: int
    right_constant: bool
    mem_mode: MemMode
    ram_style: RamStyle

    @property
    def operation(self) -> str:
        """`ElementwiseAdd_hls`."""
        return f"Elementwise{self.function}_{self.backend}"

    @property
    def pe_of(self) -> int:
        """The last axis, of channels."""
        return self.out_shape[-1]

    @property
    def cycles(self) -> int:
        """Folds of what leaves."""
        return math.prod(self.out_shape) // self.pe

    @property
    def luts(self) -> int:
        """The constant, if its memory is one of LUTs."""
        width, depth = self._memory
        return width * memories.up(depth, 64) if self.ram_style is RamStyle.DISTRIBUTED else 0

    @property
    def bram18s(self) -> int:
        """The constant, if its memory is one of block RAMs."""
        if self.ram_style not in (RamStyle.AUTO, RamStyle.BLOCK) or not self._stored:
            return 0
        return memories.bram18s(*self._memory)

    @property
    def urams(self) -> int:
        """The constant, if its memory is one of UltraRAMs."""
        return memories.urams(*self._memory) if self.ram_style is RamStyle.ULTRA else 0

    @property
    def problem(self) -> str | None:
        """What HLS does not take of the right operand; the bits of the others are not known here."""
        embedded = self.right_constant and self.mem_mode is MemMode.EMBEDDED
        if self.backend != "hls" or embedded:
            return None
        return too_wide(self.pe * self.right_bits)

    @property
    def _stored(self) -> bool:
        return self.right_constant and self.mem_mode is MemMode.DECOUPLED

    @property
    def _memory(self) -> tuple[int, int]:
        """Bits of a word, and words; one value for all channels is sent to all that are worked on."""
        if not self._stored:
            return 0, 0
        values = math.prod(self.right_shape)
        spread = (self.left_shape[-1] == 1) != (self.right_shape[-1] == 1) and self.right_shape[-1] == 1
        return self.pe * self.right_bits, values if spread else values // self.pe


@dataclass(frozen=True, slots=True)
class DataWidthConverter(Node):
    """Words of another width. streamingdatawidthconverter.py.

    FINN has no cycles for it, and goes through the least common multiple of the widths.
    """

    in_width: int
    out_width: int
    backend: str  # hls or rtl

    @property
    def operation(self) -> str:
        """FINN's name."""
        return f"StreamingDataWidthConverter_{self.backend}"

    @property
    def cycles(self) -> int:
        """Not estimated."""
        return 0

    @property
    def luts(self) -> int:
        """A counter and a register for each of the two conversions."""
        between, found = math.lcm(self.in_width, self.out_width), 0
        if self.in_width != between:
            found += abs(math.ceil(math.log(self.in_width / between, 2))) + between
        if self.out_width != between:
            found += abs(math.ceil(math.log(between / self.out_width, 2))) + self.out_width
        return found
