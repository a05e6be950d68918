"""FINN's queue between two nodes. FINN+ fitted it to Vivado 2026.1: finn/util/resource_models.py.

FINN puts queues in after its estimates; a folded network has none.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from hwdse.finn_nodes.memories import up
from hwdse.finn_nodes.node import Node

BRAM_SHAPES = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))  # bits of a word, words
URAM_SHAPES = ((72, 4096), (36, 8192), (18, 16384), (9, 32768))  # on UltraScale+ the first alone
BRAM_ADDRESS_BITS, URAM_ADDRESS_BITS = 9, 12  # of the widest shape
URAM_QUEUE = 16  # words behind UltraRAMs, which answer late
VERSAL_LUTS = 20  # of the pipeline behind its UltraRAMs


class FifoRam(StrEnum):
    """What a queue is made of."""

    AUTO = "auto"
    SRL = "srl"
    BLOCK = "block"
    DISTRIBUTED = "distributed"
    ULTRA = "ultra"


@dataclass(frozen=True, slots=True)
class Fifo(Node):
    """A queue of `depth` words of `width` bits."""

    depth: int
    width: int  # of a word, before it is padded to bytes
    ram_style: FifoRam
    versal: bool
    backend: str  # hls or rtl

    @property
    def operation(self) -> str:
        """FINN's name."""
        return f"StreamingFIFO_{self.backend}"

    @property
    def cycles(self) -> int:
        """Not estimated."""
        return 0

    @property
    def luts(self) -> int:
        """Of the memory and its control."""
        return self._cost[2]

    @property
    def bram18s(self) -> int:
        """Of the memory."""
        return self._cost[0]

    @property
    def urams(self) -> int:
        """Of the memory."""
        return self._cost[1]

    @property
    def style(self) -> FifoRam:
        """What it is made of, where that is left open or the queue is short."""
        width = self._padded
        if self.depth <= 33:
            return FifoRam.SRL
        if self.ram_style is not FifoRam.AUTO:
            return self.ram_style
        if self.depth <= 64 and width < 12:
            return FifoRam.SRL
        if self.depth <= 257 or width < 5:
            return FifoRam.DISTRIBUTED
        return FifoRam.BLOCK if self.depth <= 2028 else FifoRam.ULTRA

    @property
    def _padded(self) -> int:
        return 8 * up(self.width, 8)

    @property
    def _cost(self) -> tuple[int, int, int]:
        """Block RAMs, UltraRAMs, LUTs."""
        if self.depth < 2:
            return 0, 0, 0
        return _COSTS[self.style](self.depth, self._padded, self.versal)


def _bits(count: int) -> int:
    """$clog2 of SystemVerilog."""
    return max(count - 1, 0).bit_length()


def _counter(depth: int) -> int:
    """Bits of a pointer."""
    return _bits(depth + 1) + 1


def _lutram(rows: int, width: int) -> int:
    """LUTs of a memory: 32 x 2 bits each, and a quarter for decoders and selectors (fitted)."""
    return up(rows, 32) * up(width, 2) * 5 // 4


def _srl(depth: int, width: int, versal: bool) -> tuple[int, int, int]:
    """A chain of shift registers of 32 each; Versal selects between more than one in LUTs."""
    stages = up(max(depth - 1, 4), 32)
    selected = 0
    if versal and stages > 1:
        levels = up(stages - 1, 3)
        selected = up(width * levels, 1 if stages > 2 else 2) - 2
    return 0, 0, stages * width + selected + 5 * _counter(depth) - 7


def _distributed(depth: int, width: int, versal: bool) -> tuple[int, int, int]:
    rows = 2 ** _bits(depth - 1)
    return 0, 0, _lutram(rows, width) + rows // 128 * (width // 2) + 8 * _counter(depth) - 15


def _spaces(depth: int, smallest: int, queue: int) -> tuple[int, int]:
    """Address bits of one memory, or of two whose sizes add up to less; 0 where there is no second one."""
    needed = max(depth - queue - 1, 1)
    low = _bits(needed)
    if low > smallest and (high := _bits(needed - 2 ** (low - 1))) < low - 1:
        return low - 1, max(high, 1)
    return low, 0


def _in_ram(rows: int, width: int) -> bool:
    """Whether a second memory is worth block RAMs (fitted)."""
    return rows * rows * width >= 2**20


def _two(width: int) -> int:
    """LUTs that choose between two memories (fitted)."""
    return 18 + 3 * width // 7


@lru_cache(maxsize=4096)
def _brams(rows: int, width: int, versal: bool) -> tuple[int, int]:
    """Block RAMs and the depth of their longest cascade; Versal has one shape for all bits, others the best mix."""
    if versal:
        return min((up(rows, words) * up(width, bits), up(rows, words)) for bits, words in BRAM_SHAPES[:3])
    best = [(0, 0)]
    for wide in range(1, width + 1):
        options = []
        for bits, words in BRAM_SHAPES:
            before, deepest = best[max(wide - bits, 0)]
            options.append((before + up(rows, words), max(deepest, up(rows, words))))
        best.append(min(options, key=lambda option: option[0]))  # of equal ones the widest shape's
    return best[width]


def _urams(rows: int, width: int, versal: bool) -> tuple[int, int]:
    """UltraRAMs and the depth of their cascade, in the narrowest shape that holds a word."""
    fitting = [shape for shape in URAM_SHAPES if versal and shape[0] >= width]
    bits, words = fitting[-1] if fitting else URAM_SHAPES[0]
    return up(rows, words) * up(width, bits), up(rows, words)


def _block(depth: int, width: int, versal: bool) -> tuple[int, int, int]:
    low, high = _spaces(depth, BRAM_ADDRESS_BITS, 0)
    tiles, cascade = _brams(2**low, width, versal)
    luts = _two(width) if high else 0
    if high and _in_ram(2**high, width):
        more, other = _brams(2**high, width, versal)
        tiles, cascade = tiles + more, max(cascade, other)
    elif high:
        luts += _lutram(2**high, width)
    return tiles, 0, luts + 54 + 3 * cascade + 2 * tiles // 5


def _ultra(depth: int, width: int, versal: bool) -> tuple[int, int, int]:
    low, high = _spaces(depth, URAM_ADDRESS_BITS, URAM_QUEUE)
    tiles, cascade = _urams(2**low, width, versal)
    luts = 6 * _counter(depth) + max(1, cascade // 4 - 2) * width + (VERSAL_LUTS if versal else 0)
    if not high:
        return 0, tiles, luts
    luts += _two(width)
    if not _in_ram(2**high, width):
        return 0, tiles, luts + _lutram(2**high, width) + width
    more, (brams, _) = _urams(2**high, width, versal)[0], _brams(2**high, width, versal)
    if high >= URAM_ADDRESS_BITS or brams >= 7 * more:
        return 0, tiles + more, luts
    return brams, tiles, luts


_COSTS = {FifoRam.SRL: _srl, FifoRam.DISTRIBUTED: _distributed, FifoRam.BLOCK: _block, FifoRam.ULTRA: _ultra}
