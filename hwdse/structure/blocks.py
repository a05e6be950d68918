"""The building blocks of the leaf modules, counted for arrays of sizes.

`lut_inputs` is 6 on AMD: a LUT6 is one function of 6 inputs, or two of the same 5, or a bit of a carry chain with its
logic. It is 4 on the others: a bit of a chain adds two signals, and what makes them is LUTs of its own.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwdse.memory import BLOCK_RAMS, BlockRam

Counts = NDArray[np.float64]
Sizes = NDArray[np.int64]
Table = Mapping[str, Sizes]  # parameter -> a value for each unit


@dataclass(frozen=True, slots=True)
class Multipliers:
    """Which products yosys 0.70 puts into DSP blocks: DSP_A_MINWIDTH and DSP_Y_MINWIDTH of its `mul2dsp`."""

    operand: int  # bits of either operand, at least
    product: int = 0  # of the product
    half: int = 0  # operands of at most as many bits, in two's complement or not, take half of a block


@dataclass(frozen=True, slots=True)
class Fabric:
    """What of a device decides how large a part is."""

    lut_inputs: int  # 6 or 4
    pairs: bool  # whether carry chains come in pairs of bits: CCU2C of ECP5, CCU2 of Nexus
    feed: int  # LUTs in front of a chain, which give it its first carry
    free_carry: bool  # whether the last carry of a chain needs no LUT of the netlist to leave it
    inverter: int  # LUTs of the inverse of a register at a port
    rams: tuple[tuple[int, int, int], ...]  # RAM in LUTs: words, bits and LUTs of a primitive; empty: none
    joined: int  # words of a table of one bit whose LUTs the slice's own multiplexers join
    multipliers: Multipliers
    blocks: tuple[BlockRam, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A physical part of a unit: its LUTs and flip-flops by structure."""

    luts: Counts
    ffs: Counts


Parts = Mapping[str, Part]

_NINE = Multipliers(4, half=9)  # MULT9X9 of Nexus and Gowin, two in the place of one of 18 x 18
_LUT6 = Fabric(
    lut_inputs=6,
    pairs=False,
    feed=0,
    free_carry=True,
    inverter=0,
    rams=((32, 14, 8), (64, 7, 8)),  # RAM32M16, RAM64M8: UG574
    joined=128,
    multipliers=Multipliers(2, 9),
    blocks=BLOCK_RAMS["xcup"],
)
_LUT4 = Fabric(
    lut_inputs=4,
    pairs=True,
    feed=0,
    free_carry=False,
    inverter=1,
    rams=((16, 4, 6),),  # TRELLIS_DPR16X4, DPR16X4: four LUTs of data and two of the write port
    joined=64,
    multipliers=Multipliers(2),
    blocks=BLOCK_RAMS["ecp5"],
)
FABRICS = {
    "xc7": replace(_LUT6, rams=((32, 6, 4), (64, 3, 4)), blocks=BLOCK_RAMS["xc7"]),  # RAM32M, RAM64M: UG474
    "xcup": _LUT6,
    "versal": replace(_LUT6, blocks=BLOCK_RAMS["versal"]),
    "ecp5": _LUT4,
    "nexus": replace(_LUT4, feed=2, inverter=0, joined=32, multipliers=_NINE, blocks=BLOCK_RAMS["nexus"]),
    # RAM16SDP4: nextpnr keeps all eight LUTs of a tile for it
    "gowin": replace(_LUT4, pairs=False, rams=((16, 4, 8),), multipliers=_NINE, blocks=BLOCK_RAMS["gowin"]),
    "ice40": Fabric(
        lut_inputs=4,
        pairs=False,
        feed=0,
        free_carry=True,
        inverter=1,
        rams=(),
        joined=16,
        multipliers=Multipliers(2, 11),
        blocks=BLOCK_RAMS["ice40"],
    ),
}


def part(luts: ArrayLike = 0.0, ffs: ArrayLike = 0.0) -> Part:
    """A part of which one count or both are given."""
    return Part(np.asarray(luts, np.float64), np.asarray(ffs, np.float64))


def bits_for(states: ArrayLike) -> Sizes:
    """Bits that count `states` states, at least 1 of them: ceil(log2)."""
    return np.frexp(np.asarray(states, np.float64) - 1)[1].astype(np.int64) * (np.asarray(states) > 1)


def ceil_div(a: ArrayLike, b: ArrayLike) -> Sizes:
    """a / b, rounded up."""
    return np.asarray(-(-np.asarray(a) // np.asarray(b)), np.int64)


def each(function: Callable[..., float | Sequence[float]], *columns: ArrayLike) -> Counts:
    """`function` of each row of whole numbers, called once for equal rows; its sequences become a last axis."""
    arrays = np.broadcast_arrays(*(np.asarray(column, np.int64) for column in columns))
    spans = [int(array.max(initial=0)) + 1 for array in arrays]
    keys = np.zeros(arrays[0].shape, np.int64 if math.prod(spans) < 2**62 else object)
    for array, span in zip(arrays, spans, strict=True):
        keys = keys * span + array
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    rows = zip(*(array.ravel()[first].tolist() for array in arrays), strict=True)
    found = np.array([function(*row) for row in rows], np.float64)
    return np.asarray(found[inverse.reshape(arrays[0].shape)])


SOFT = 4  # bits of a sum that yosys makes of LUTs on Lattice, and not of pairs of a chain: its arith_map*.v


def adder(bits: ArrayLike, fabric: Fabric) -> Counts:
    """LUTs of a sum: one carry chain, or a few LUTs where pairs of a chain would be more."""
    array = np.asarray(bits, np.float64)
    if not fabric.pairs:
        return array
    return np.where(array > SOFT, array + array % 2 + fabric.feed, array + (array == SOFT))


def increment(bits: ArrayLike, fabric: Fabric) -> Counts:
    """LUTs that add one."""
    array = np.asarray(bits, np.float64)
    return np.where(array > SOFT, adder(array, fabric), array)


@cache
def tree_bits(lanes: int, width: int, bits: int, fabric: Fabric) -> float:
    """LUTs of the sums of `adder_tree`: a bit wider at each level, up to `bits`."""
    if lanes == 1:
        return 0.0
    low = 1 << (lanes - 1).bit_length() - 1
    ends = (min(width + (part - 1).bit_length(), bits) for part in (low, lanes - low))
    below = sum(tree_bits(part, width, end, fabric) for part, end in zip((low, lanes - low), ends, strict=True))
    return below + float(adder(min(min(width + (low - 1).bit_length(), bits) + 1, bits), fabric))


def comparator(bits: ArrayLike, fabric: Fabric) -> Counts:
    """LUTs of `a >= b`: two bits of each in a LUT6, one in a LUT4."""
    return np.asarray(bits, np.float64) / (2 if fabric.lut_inputs == 6 else 1)


def codes_comparator(bits: ArrayLike, fabric: Fabric) -> Counts:
    """LUTs of `a > b` of two codes in registers: two bits in a LUT6; in LUT4s a chain and the inverse of its inputs."""
    array = np.asarray(bits, np.float64)
    if fabric.lut_inputs == 6:  # above six bits a chain, with a LUT before and one behind it
        return array / 2 + 2 * (array > 6)
    if not fabric.pairs:
        return np.where(array > SOFT, 2 * array - 1, 2 * array)
    chain = array + array + array % 2 + fabric.feed if fabric.feed else 2 * array - 1
    return np.where(array > SOFT, chain, 2 * array - 3)


def distinct(columns: ArrayLike, words: ArrayLike) -> Counts:
    """How many of `columns` columns of random bits differ: equal ones are built once, and constant ones not at all."""
    functions = np.exp2(np.minimum(np.asarray(words, np.float64), 60.0))
    n = np.asarray(columns, np.float64)
    return np.asarray((functions - 2) * -np.expm1(n * np.log1p(-1 / functions)))


def rom(words: ArrayLike, columns: ArrayLike, fabric: Fabric) -> tuple[Counts, Counts, Counts]:
    """LUTs of a ROM in LUTs with a data register: of small functions of the address, of rows of LUTs, and of choices.

    A choice between rows is a multiplexer of the slice, which is no LUT, as far as the slice has them.
    """
    size, found = np.asarray(words, np.float64), distinct(columns, words)
    full = 2.0**fabric.lut_inputs
    small = np.where(size <= full, found * np.where((size <= full / 2) & (fabric.lut_inputs == 6), 0.5, 1.0), 0.0)
    rows = np.where(size > full, np.ceil(size / full), 0.0)
    return small * (size > 2), found * rows, found * choices(np.ceil(size / fabric.joined), fabric)


def choices(ways: ArrayLike, fabric: Fabric) -> Counts:
    """LUTs that choose one of some bits: of four in a LUT6, of two in a LUT4."""
    array = np.maximum(1.0, np.asarray(ways, np.float64))
    return np.ceil((array - 1) / 3) if fabric.lut_inputs == 6 else array - 1


def counters(fabric: Fabric, *states: ArrayLike) -> dict[str, Part]:
    """Counters that begin anew: where the states are a power of two, by themselves."""
    bits = sum(bits_for(count) for count in states)
    return {"control": part(increments(fabric, *states), bits), "wraps": part(wraps(*states))}


def increments(fabric: Fabric, *states: ArrayLike) -> Counts:
    """LUTs that count one on, to as many states each."""
    return np.asarray(sum(increment(bits_for(count), fabric) for count in states))


def wraps(*states: ArrayLike) -> Sizes:
    """Bits of counters that are set back before they would overflow."""
    counts = [np.asarray(count, np.int64) for count in states]
    return np.asarray(sum(bits_for(n) * (n & (n - 1) > 0) for n in counts))
