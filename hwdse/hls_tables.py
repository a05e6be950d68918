"""Weights, thresholds and tables of codes as C++ constants, in the order in which the templates use them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwdse.design import Folding
from hwdse.formats import Format
from hwdse.network import Codes
from hwdse.reference import level_codes
from hwdse.thresholds import Thresholds

LITERAL = 64  # bits of the widest integer of C++
LINE = 100  # characters, about, of a line of numbers

Numbers = NDArray[Any]  # whole ones, in Python's integers


@dataclass(frozen=True, slots=True, eq=False)
class Array:
    """Constants of `bits` bits, or of a type of C++."""

    name: str
    bits: int
    values: Numbers

    @property
    def text(self) -> str:
        """The definition, at any place of a file."""
        return _array(self.name, f"Rom<{self.bits}>::type", self.values)


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Numbers in two's complement of `bits` bits, each as parts that a literal can hold."""

    name: str
    bits: int
    values: Numbers

    @property
    def text(self) -> str:
        """The definition."""
        return _array(self.name, f"Parts<{self.bits}>::type", _parts(self.values, self.bits))


@dataclass(frozen=True, slots=True)
class ThresholdTables:
    """What `threshold_parallel` reads: `words` sets a lane of thresholds of `bits` bits, and the code of each level."""

    thresholds: Parts
    codes: Array
    words: int
    bits: int


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """What `threshold_search` reads: for each bit of a code, lanes x words x nodes thresholds of `bits` bits."""

    name: str
    bits: int
    steps: tuple[Numbers, ...]

    @property
    def words(self) -> int:
        """Trees of a lane."""
        return int(self.steps[0].shape[1])

    @property
    def text(self) -> str:
        """A class with the function `at`: every step has a memory of its own, because all are read in a cycle."""
        head = f"struct {self.name} {{\n    static ap_int<{self.bits}> at(int step, int lane, int word, int node) {{\n"
        cases = [
            f"        case {step}:\n            return Parts<{self.bits}>::join(step{step}[lane][word][node]);\n"
            for step in range(len(self.steps) - 1)
        ]
        last = len(self.steps) - 1
        default = f"        default:\n            return Parts<{self.bits}>::join(step{last}[lane][word][node]);\n"
        body = "".join(self._step(step, values) for step, values in enumerate(self.steps))
        switch = f"        switch (step) {{\n{''.join(cases)}{default}        }}\n"
        return f"{head}#pragma HLS INLINE\n{body}{switch}    }}\n}};\n"

    def _step(self, step: int, values: Numbers) -> str:
        table = _array(f"step{step}", f"Parts<{self.bits}>::type", _parts(values, self.bits), "        ")
        return f"{table}#pragma HLS ARRAY_PARTITION variable=step{step} complete dim=1\n"


Contents = Array | Parts | Search


def weights(name: str, codes: Codes, folding: Folding, fmt: Format) -> Array:
    """The table of `rows x dot` codes: words x PE x SIMD, outputs by PE, terms by SIMD."""
    rows, dot = codes.shape
    folded = codes.reshape(rows // folding.pe, folding.pe, dot // folding.simd, folding.simd).swapaxes(1, 2)
    return Array(name, fmt.bits, folded.reshape(-1, folding.pe, folding.simd))


def thresholds(name: str, rule: Thresholds, acc_bits: int, lanes: int) -> ThresholdTables:
    """The tables of a rule for sums of `acc_bits` bits: words x lanes x levels."""
    wide = _each(rule, acc_bits, lanes)
    stored = np.array(wide.stored, object).reshape(-1, lanes, len(wide.rows[0]))
    codes = Array(f"{name}_codes", wide.format.bits, level_codes(wide))
    return ThresholdTables(Parts(name, wide.bits, stored), codes, len(stored), wide.bits)


def search(name: str, rule: Thresholds, acc_bits: int, lanes: int) -> Search:
    """The trees of a rule for sums of `acc_bits` bits, from the memories of the RTL's unit."""
    wide = _each(rule, acc_bits, lanes)
    memories = {memory.name: memory.words for memory in wide.search(lanes).memories}
    steps = tuple(
        np.array([memories[f"lane{lane:03d}_step{step}"] for lane in range(lanes)], object).reshape(
            lanes, -1, 1 << step
        )
        for step in range(wide.format.bits)
    )
    return Search(name, wide.bits, steps)


def _each(rule: Thresholds, acc_bits: int, lanes: int) -> Thresholds:
    """`rule` for sums of `acc_bits` bits; of equal rows as many as there are lanes."""
    wide = replace(rule, acc_bits=acc_bits)
    return replace(wide, rows=wide.rows[:lanes]) if len(set(wide.rows)) == 1 else wide


def _parts(values: Numbers, bits: int) -> Numbers:
    """The numbers with one more dimension: their parts, the lowest first, as `Parts` in `rom.h` joins them."""
    count = -(-bits // LITERAL)
    size = -(-bits // count)
    unsigned = values.astype(object) % (1 << bits)
    return np.stack([unsigned >> size * i & (1 << size) - 1 for i in range(count)], axis=-1)


def _array(name: str, kind: str, values: Numbers, indent: str = "") -> str:
    sizes = "".join(f"[{size}]" for size in values.shape)
    return f"{indent}static const {kind} {name}{sizes} = {_braces(values.tolist(), indent)};\n"


def _braces(values: Sequence[Any], indent: str) -> str:
    """A nested initialiser, as many items in a line as it holds."""
    inner = indent + "    "
    if isinstance(values[0], list):
        items = [_braces(value, inner) for value in values]
    else:
        items = [f"{value}ull" if value >= 1 << 63 else str(value) for value in values]
    whole = "{" + ", ".join(items) + "}"
    if "\n" not in whole and len(indent) + len(whole) <= LINE:
        return whole
    return f"{{\n{inner}{_wrapped(items, inner)}\n{indent}}}"


def _wrapped(words: Sequence[str], indent: str) -> str:
    lines, line = [], ""
    for word in words:
        if line and len(indent) + len(line) + len(word) > LINE:
            lines.append(line)
            line = ""
        line += f" {word}," if line else f"{word},"
    lines.append(line.removesuffix(","))
    return f"\n{indent}".join(lines)
