"""FINN's window generator before a convolution or a pool, and the padding before that; both in RTL alone."""

from dataclasses import dataclass
from typing import ClassVar

from hwdse.finn_nodes import memories
from hwdse.finn_nodes.node import Node, RamStyle

Pair = tuple[int, int]  # of rows and columns


def _ram_width(depth: int) -> int:
    """Bits of a word of a block RAM that is this deep."""
    for width, words in ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192)):
        if depth <= words:
            return width
    return 1


@dataclass(frozen=True, slots=True)
class ConvolutionInputGenerator(Node):
    """The pixels of each window, one after the other, or all at once with `parallel_window`.

    Source: rtl/convolutioninputgenerator_rtl.py.
    """

    simd: int
    channels: int
    image: Pair
    out_image: Pair
    kernel: Pair
    stride: Pair
    dilation: Pair
    input_bits: int
    depthwise: bool  # before units and pools that work on each channel alone: their PE is its SIMD
    parallel_window: bool
    ram_style: RamStyle

    operation: ClassVar[str] = "ConvolutionInputGenerator_rtl"

    def __post_init__(self) -> None:
        Node.__post_init__(self)
        if self.at_once and not self.depthwise and self.taps > 1 and self.simd != self.channels:
            raise ValueError(f"a window at once takes SIMD = {self.channels}, all channels, not {self.simd}")

    @property
    def simd_of(self) -> int:
        """The channels."""
        return self.channels

    @property
    def taps(self) -> int:
        """Pixels of a window."""
        return self.kernel[0] * self.kernel[1]

    @property
    def at_once(self) -> bool:
        """Whether the pixels of a window come at once: FINN's style `parallel`."""
        return self.taps == 1 or self.parallel_window

    @property
    def folds(self) -> int:
        """Words of a pixel."""
        return self.channels // self.simd

    @property
    def cycles(self) -> int:
        """Of the slower of reading and writing, and of filling the buffer."""
        if self.at_once:
            return self.image[0] * self.image[1] * self.folds + 2
        return self._line_cycles if 1 in self.image else self._plane_cycles

    @property
    def _line_cycles(self) -> int:
        """Of an image of one row or column."""
        axis = 0 if self.image[1] == 1 else 1
        image, out, kernel, stride = (pair[axis] for pair in (self.image, self.out_image, self.kernel, self.stride))
        written = out * kernel * self.folds
        if not self.depthwise:
            return written + 2
        read = image * self.folds + self.folds * (kernel - 1) * (stride - 1)
        return max(written + (self.folds - 1) * kernel, read) + 2

    @property
    def _plane_cycles(self) -> int:
        (out_rows, out_columns), (rows, columns) = self.out_image, self.stride
        line = max(out_columns * self.taps, columns * self.image[1]) * self.folds
        if self.depthwise:
            line += out_columns * (columns - 1) * (self.folds - 1)
        last = (rows - 1) * self.image[1] * self.folds if self.depthwise else 0
        return (self._window_pixels + 1) * self.folds + out_rows * line + last

    @property
    def _window_pixels(self) -> int:
        """From the first pixel of a window to its last one, in the order in which they come."""
        return (self.kernel[0] - 1) * self.dilation[0] * self.image[1] + (self.kernel[1] - 1) * self.dilation[1]

    @property
    def depth(self) -> int:
        """Words of the buffer."""
        if self.at_once:
            return self._window_pixels * self.folds + 2
        waits = (self.stride[1] - 1, (self.stride[0] - 1) * self.image[1])
        return (self._window_pixels + 1 + sum(max(0, wait - self.taps) for wait in waits)) * self.folds

    @property
    def luts(self) -> int:
        """300, and the buffer if it is one of LUTs."""
        stored = self._width * memories.up(self.depth, 38) if self.ram_style is RamStyle.DISTRIBUTED else 0
        return 300 + stored

    @property
    def bram18s(self) -> int:
        """The buffer, if it is one of block RAMs; the last ones of a deep buffer are as wide as they can be."""
        if self.ram_style not in (RamStyle.AUTO, RamStyle.BLOCK) or self._in_registers:
            return 0
        depth, count = self._memories
        across = memories.up(self._width, _ram_width(depth))
        saved = across - memories.up(self._width, _ram_width(depth % 16384)) if depth > 16384 else 0
        return (memories.up(depth, 16384) * across - saved) * count

    @property
    def urams(self) -> int:
        """The buffer, if it is one of UltraRAMs."""
        if self.ram_style is not RamStyle.ULTRA or self._in_registers:
            return 0
        depth, count = self._memories
        return memories.urams(self._width, depth) * count

    @property
    def _width(self) -> int:
        return self.simd * self.input_bits

    @property
    def _in_registers(self) -> bool:
        return self.at_once and 1 in self.image

    @property
    def _memories(self) -> Pair:
        """Words, and how many memories there are: one for each row between those of a window, if that comes at once."""
        if not self.at_once:
            return self.depth, 1
        columns = (self.kernel[1] - 1) * self.dilation[1] + 1
        return self.image[1] * self.dilation[0] - columns, self.kernel[0] - 1


@dataclass(frozen=True, slots=True)
class FMPadding(Node):
    """Zeros around an image; FINN counts no area. fmpadding.py, rtl/fmpadding_rtl.py."""

    simd: int
    channels: int
    image: Pair
    padding: tuple[int, int, int, int]  # top, left, bottom, right
    images: int  # per frame

    operation: ClassVar[str] = "FMPadding_rtl"

    @property
    def simd_of(self) -> int:
        """The channels."""
        return self.channels

    @property
    def cycles(self) -> int:
        """Pixels of the larger image."""
        top, left, bottom, right = self.padding
        rows, columns = self.image[0] + top + bottom, self.image[1] + left + right
        return self.channels // self.simd * self.images * rows * columns
