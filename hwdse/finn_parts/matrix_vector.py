"""FINN's matrix-vector unit in RTL: several outputs to a DSP, and what keeps them apart.

A DSP multiplies an activation by a word in which the weights of several outputs lie `W + A - 1` bits apart. LUTs and
flip-flops compute the lowest bits of each product a second time, by which what one output carries into the next is
known. Sources: mvu/mvu.sv, mvu/mvu_vvu_axi.sv, mvu/add_multi.sv, mvu/replay_buffer.sv.

Parameters: VERSION, 1 for DSP48E1, 2 for DSP48E2, 3 for DSP58; W and A, bits of weights and activations; ACC, of sums;
NARROW, whether no weight is the least number of its bits; SIGNED activations; PE, SIMD, MW, MH.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from hwdse.finn_nodes.node import Dsp
from hwdse.finn_parts.part import Parameters, Part, Parts, bits_for, memory

VERSIONS = {Dsp.DSP48E1: 1, Dsp.DSP48E2: 2, Dsp.DSP58: 3}  # FINN's numbers of them
DSP58 = VERSIONS[Dsp.DSP58]
_FAMILIES = {1: "xc7", 2: "xcup", DSP58: "versal"}


@dataclass(frozen=True, slots=True)
class Packing:
    """How outputs lie in the word of a DSP."""

    version: int
    weight_bits: int
    activation_bits: int
    narrow: bool

    @property
    def word_bits(self) -> int:
        """Of the multiplier's wide operand: UG479, UG579, AM004."""
        return 25 if self.version == 1 else 27

    @property
    def sum_bits(self) -> int:
        """Of what the DSP accumulates."""
        return 58 if self.version == DSP58 else 48

    @property
    def spacing(self) -> int:
        """Bits from one output to the next, at least."""
        return self.weight_bits + self.activation_bits - 1

    @property
    def lanes(self) -> int:
        """Outputs to a DSP; a word that is not narrow keeps a bit for the sign of its last weight."""
        left = self.word_bits - (not self.narrow) - self.weight_bits
        return 1 if left < 0 else 1 + left // self.spacing

    @property
    def three_products(self) -> bool:
        """Whether a DSP58 sums three products of one output instead, as it can up to 8 x 9 bits."""
        small = self.weight_bits <= 8 and self.activation_bits <= 9
        return self.version == DSP58 and self.lanes <= 3 and small

    def dsps(self, pe: int, simd: int) -> int:
        """Of a unit."""
        return pe * -(-simd // 3) if self.three_products else simd * -(-pe // self.lanes)

    def low_bits(self, sums: int) -> tuple[int, ...]:
        """Bits of each lane in the DSP, the first one lowest, of outputs of `sums` bits.

        Bits that are left lie between the lanes, evenly, those on the right first.
        """
        left = self.word_bits - (not self.narrow) - self.weight_bits - (self.lanes - 1) * self.spacing
        starts = [0]
        for lane in range(1, self.lanes):
            extra = -(-left // (self.lanes - lane))
            starts.append(starts[-1] + self.spacing + extra)
            left -= extra
        return tuple(b - a for a, b in pairwise((*starts, min(starts[-1] + sums, self.sum_bits))))


def high_bits(low: tuple[int, ...], lane: int, sums: int, simd: int) -> int:
    """Bits of what a lane carries out, which are summed beside the DSPs."""
    if sums <= low[lane]:
        return 0 if lane == len(low) - 1 else 1 + bits_for(simd)
    if bits_for(simd) < sums - low[lane] - 1:
        return 1 + sums - low[lane]
    total, below = 0, 0
    for bits in low[lane::-1]:
        below += bits
        total += 1 << (sums - below - 1) if sums > below else 0
    return 1 + bits_for(total + simd)


@lru_cache(maxsize=4096)
def tree(terms: int, bits: int, most: int, carries: bool, spare: int) -> Part:
    """Adders and registers of a sum of `terms`: FINN's heap, `spare` of whose levels have no registers.

    `carries`: the terms are -1, 0 and 1, else `bits` wide, and no bits above `most` of a sum are used. Without a tree
    a term is registered where no level is spare.
    """
    if terms == 1:
        return Part(0, 0 if spare else bits)
    levels, leaves = bits_for(terms), [1] * (2 * terms - 1)
    for node in range(terms - 2, -1, -1):
        leaves[node] = leaves[2 * node + 1] + leaves[2 * node + 2]
    widths = [min(most, _sum_bits(count, bits, carries)) for count in leaves]
    kept = (1 << levels) - 1
    registers = sum(widths[spare and 1 : kept])
    return Part(sum(widths[: terms - 1]), registers)


def _sum_bits(terms: int, bits: int, carries: bool) -> int:
    """Of a sum of `terms` terms."""
    if not carries:
        return bits + bits_for(terms)
    positive, both = bits_for(terms + 1), 1 + bits_for(terms)
    return positive + 1 if positive >= both else both


def parts(p: Parameters) -> Parts:
    """Of a unit without its weight memory."""
    packing = Packing(p["VERSION"], p["W"], p["A"], bool(p["NARROW"]))
    return {**_shell(p), **({} if packing.three_products else _lanes(p, packing))}


def channelwise(p: Parameters) -> Parts:
    """Of a vector-vector unit, on DSP58: MW taps for each of MH channels, each of which has its own activations."""
    return _shell({**p, "MH": p["PE"]})


def _shell(p: Parameters) -> dict[str, Part]:
    """What is around the DSPs: counters, the vector that is read again for each fold of outputs, and the last queue."""
    steps, rows, outputs = p["MW"] // p["SIMD"], p["MH"] // p["PE"], p["PE"] * p["ACC"]
    vector, again = p["SIMD"] * p["A"], rows > 1
    deep, (stored, blocks) = 1 << max(bits_for(steps), 1), _vector_memory(p)
    return {
        "control": Part(20, 10),
        "counters": Part(bits_for(steps) + bits_for(rows) + 3 * again * (bits_for(deep) + 1), 0),
        "pointers": Part(0, bits_for(steps) + bits_for(rows) + 3 * again * (bits_for(deep) + 1)),
        "vector memory": Part(stored, 0 if blocks else again * vector),
        "outputs": Part(outputs, outputs),
    }


def block_rams(p: Parameters) -> int:
    """Of a matrix-vector unit without its weight memory: of the vector, where it is long."""
    return _vector_memory(p)[1]


def _vector_memory(p: Parameters) -> tuple[float, int]:
    """LUTs and block RAMs of the vector, which is kept where there are several folds of outputs."""
    if p["MH"] == p["PE"]:
        return 0.0, 0
    words = 1 << max(bits_for(p["MW"] // p["SIMD"]), 1)
    return memory(words, p["SIMD"] * p["A"], _FAMILIES[p["VERSION"]])


def _lanes(p: Parameters, packing: Packing) -> dict[str, Part]:
    """What is beside the DSPs."""
    low, pe, simd = packing.low_bits(p["ACC"]), p["PE"], p["SIMD"]
    lanes = packing.lanes
    groups = -(-pe // lanes)
    empty = groups * lanes - pe  # lanes of the last group, the first ones
    counts = [groups - (lane < empty) for lane in range(lanes)]  # groups that have this lane
    high = [high_bits(low, lane, p["ACC"], simd) for lane in range(lanes)]
    sums = [tree(simd, bits, p["ACC"], False, 0) for bits in low]
    carried = tree(simd, 2, p["ACC"], True, 1)
    highs = [(count, bits) for count, bits in zip(counts, high, strict=True) if bits]
    return {
        "second products": Part((pe - groups) * simd, 6 * (pe - groups) * simd),
        "carries out": Part(groups * simd, groups * simd),
        "sums": Part(*(sum(n * one[i] for n, one in zip(counts, sums, strict=True)) for i in (0, 1))),
        "sums of carries": Part(*(sum(n * (bits + carried[i]) for n, bits in highs) for i in (0, 1))),
        "results": Part(
            sum(n * (p["ACC"] - bits) for n, bits in zip(counts, low, strict=True) if bits < p["ACC"]), pe * p["ACC"]
        ),
        "between neighbours": Part((pe - groups) * p["ACC"], 0),
    }
