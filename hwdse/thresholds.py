"""Thresholds on exact sums: how a sum becomes a code of any format, and what the hardware stores for it.

Quantising to an ordered set of numbers is monotone, so scale, bias and rounding become one threshold a
level. `hls_templates/rtl/threshold_search.sv` and `threshold_parallel.sv` are the hardware.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from hwdse.formats import Format, limits, values
from hwdse.netlist import Memory, Stream, Unit


@dataclass(frozen=True, slots=True)
class Thresholds:
    """For each channel, the sums from which on each level of `format` but the least is reached, ascending."""

    format: Format
    acc_bits: int  # of a sum, in two's complement
    rows: tuple[tuple[int, ...], ...]  # channels x (levels - 1)
    narrow: bool = True  # whether the least code of a signed integer is left out
    largest_sum: int | None = None  # no sum is above it; None: what `acc_bits` bits hold

    def __post_init__(self) -> None:
        wanted = len(levels(self.format, self.narrow)) - 1
        for channel, row in enumerate(self.rows):
            if len(row) != wanted:
                raise ValueError(
                    f"{self.format.name} has {wanted} thresholds a channel, not the {len(row)} of channel {channel}"
                )
            if any(upper < lower for lower, upper in pairwise(row)):
                raise ValueError(f"thresholds ascend, unlike those of channel {channel}")

    @property
    def beyond(self) -> int:
        """A threshold that no sum reaches."""
        return (self.largest_sum if self.largest_sum is not None else (1 << self.acc_bits - 1) - 1) + 1

    @property
    def wide(self) -> bool:
        """Whether some stored threshold is above every number of `acc_bits` bits, and so needs a bit more."""
        top = 1 << self.acc_bits - 1
        return any(value >= top for row in self.stored for value in row) or (
            None in places(self.format, self.narrow) and self.beyond >= top
        )

    @property
    def bits(self) -> int:
        """Of a stored threshold, in two's complement."""
        return self.acc_bits + self.wide

    @property
    def stored(self) -> tuple[tuple[int, ...], ...]:
        """`rows`, limited to what sums are compared with: equal on every sum."""
        least = -(1 << self.acc_bits - 1)
        return tuple(tuple(min(max(value, least), self.beyond) for value in row) for row in self.rows)

    def search(self, lanes: int, *, block_words: int | None = None) -> Unit:
        """The unit that compares once for each bit of a code.

        `lanes`: channels in a beat; `block_words`: memories of so many words or more are block RAM (None: none).
        """
        padded, bits = [self._padded(row) for row in self.stored], self.bits
        memories = tuple(
            Memory(f"lane{lane:03d}_step{step}", bits, self._words(padded[lane::lanes], step, bits))
            for lane in range(lanes)
            for step in range(self.format.bits)
        )
        return self._unit("threshold_search", lanes, {}, block_words, memories)

    def parallel(self, lanes: int, *, block_words: int | None = None) -> Unit:
        """The unit that compares with all thresholds at once; arguments as of `search`."""
        stored, count, bits = self.stored, len(self.rows[0]), self.bits
        memories = tuple(
            Memory(f"lane{lane:03d}", count * bits, tuple(_join(row, bits) for row in stored[lane::lanes]))
            for lane in range(lanes)
        )
        first = places(self.format, self.narrow).count(-1)
        return self._unit("threshold_parallel", lanes, {"COUNT": count, "FIRST": first}, block_words, memories)

    def _padded(self, row: Sequence[int]) -> list[int]:
        """A threshold between every two codes of the format."""
        least = -(1 << self.acc_bits - 1)
        which = places(self.format, self.narrow)
        return [self.beyond if i is None else least if i == -1 else row[i] for i in which]

    def _words(self, rows: Sequence[Sequence[int]], step: int, bits: int) -> tuple[int, ...]:
        """What step `step` of a binary search compares with: the tree's nodes of that depth, channel by channel."""
        apart = 1 << self.format.bits - step
        return tuple(value % (1 << bits) for row in rows for value in row[apart // 2 - 1 :: apart])

    def _unit(
        self, module: str, lanes: int, more: dict[str, int], block_words: int | None, memories: tuple[Memory, ...]
    ) -> Unit:
        if len(self.rows) % lanes:
            raise ValueError(f"lanes divide the channels, but {lanes} do not divide {len(self.rows)}")
        fmt = self.format
        parameters = {"LANES": lanes, "WORDS": len(self.rows) // lanes, "ACC": self.acc_bits, "WIDE": int(self.wide)}
        parameters |= {"OE": fmt.exponent, "OM": fmt.mantissa, "OS": int(fmt.signed), "BLOCK": block_words or 0, **more}
        streams = (Stream("in", lanes * self.acc_bits),), (Stream("out", lanes * fmt.bits),)
        return Unit(module, tuple(parameters.items()), *streams, memories)


def _join(row: Sequence[int], bits: int) -> int:
    return sum(value % (1 << bits) << bits * i for i, value in enumerate(row))


@cache
def levels(fmt: Format, narrow: bool = True) -> tuple[float, ...]:
    """The numbers that quantising to `fmt` gives, ascending."""
    low, high = limits(fmt, narrow)
    return tuple(value for value in values(fmt) if low <= value <= high)


@cache
def places(fmt: Format, narrow: bool = True) -> tuple[int | None, ...]:
    """For each place between two codes of `fmt` in ascending order, the threshold that lies there.

    It is that of the next code above which stands for a level; -1: the least level, which every sum reaches;
    None: there is none above. -0 stands for no level, so that it is never reached.
    """
    position = {value: i for i, value in enumerate(levels(fmt, narrow))}
    found: list[int | None] = [None]
    for index in reversed(range(1, 1 << fmt.bits)):
        value = fmt.decode(code_of_index(fmt, index))
        level = None if math.copysign(1.0, value) < 0 and value == 0 else position.get(value)
        found.append(found[-1] if level is None else level - 1)
    return tuple(reversed(found[1:]))


def code_of_index(fmt: Format, index: int) -> int:
    """The code with `index` codes below it, Inf and NaN among them, and -0 below 0."""
    half = 1 << fmt.bits - 1
    if not fmt.signed:
        return index
    if fmt.exponent == 0:
        return index ^ half
    return index - half if index >= half else (1 << fmt.bits) - 1 - index
