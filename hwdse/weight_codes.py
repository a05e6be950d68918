"""Weights as they lie in a file: codes of a format, each as what its arithmetic decodes cheapest, packed in words.

The text form of how is `float16 64:w16`: the numbers of a tensor core that they become, the outputs of a tile and the
words of a row of it. It and the format say all that reading the codes again needs.
"""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwdse import decoding, packing, stored
from hwdse.formats import Format, encode
from hwdse.packing import Layout

EIGHT_BITS = ("int8", "e4m3fn", "e5m2ieee")
SIXTEEN_BITS = ("float16", "bfloat16")
SMALL = "16:w8"  # outputs and words of a tile where no kernel reads it


@dataclass(frozen=True)
class Packing:
    """How codes of `fmt` are packed."""

    fmt: Format
    name: str

    def __post_init__(self) -> None:
        if re.fullmatch(rf"({'|'.join((*EIGHT_BITS, *SIXTEEN_BITS))}) \d+:w\d+", self.name) is None:
            raise ValueError(f"packed weights are called like 'float16 64:w16', not {self.name!r}")

    @property
    def operand(self) -> str:
        """What the codes become: one of `EIGHT_BITS` or `SIXTEEN_BITS`."""
        return self.name.partition(" ")[0]

    @property
    def tile(self) -> tuple[int, int]:
        """Its outputs, and the words of one of them in a plane."""
        rows, words = map(int, self.name.partition(" ")[2].split(":w"))
        return rows, words

    @cached_property
    def layout(self) -> Layout:
        """Where in the words the codes are."""
        if self.operand in SIXTEEN_BITS:
            own = decoding.decoding(self.fmt, self.operand)
            return Layout(len(own.target), 2, *self.tile, own.target, own.room)
        eight = stored.stored(self.fmt, self.operand)
        if eight is None:
            raise ValueError(f"{self.fmt.name} weights are no {self.operand} numbers")
        return Layout(len(eight.places), 4, *self.tile, eight.places)

    @cached_property
    def kept(self) -> NDArray[np.int16]:
        """For each code of the format what is packed for it; negative where it is no finite number."""
        if self.operand in SIXTEEN_BITS:
            return decoding.stored(self.fmt, self.operand)
        eight = stored.stored(self.fmt, self.operand)
        assert eight is not None  # as its layout has found
        return np.array(eight.codes, np.int16)

    def pack(self, codes: NDArray[np.uint8]) -> NDArray[np.int32]:
        """The words of `n x k` codes, all of them finite."""
        kept = self.kept[codes]
        assert kept.min() >= 0
        return packing.pack(self.layout, kept.astype(np.uint8), int(self.kept[int(encode(self.fmt, 0.0))]))

    def codes(self, words: NDArray[np.int32], n: int, k: int) -> NDArray[np.uint8]:
        """The `n x k` codes that `words` hold; of zero the one without a sign."""
        codes = np.zeros(1 << self.layout.bits, np.uint8)
        for code in reversed(range(1 << self.fmt.bits)):
            if self.kept[code] >= 0:
                codes[self.kept[code]] = code
        return codes[packing.unpack(self.layout, words, n, k)]


def read_by_torch(fmt: Format) -> Packing:
    """How weights are packed that no kernel reads: in few bytes, and as float16 where it holds the format."""
    for floats in SIXTEEN_BITS:
        try:
            decoding.decoding(fmt, floats)
        except ValueError:
            continue
        return Packing(fmt, f"{floats} {SMALL}")
    raise ValueError(f"no float of 16 bits holds {fmt.name}")
