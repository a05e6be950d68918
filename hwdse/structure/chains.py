"""How many carry chains a leaf module has, by what they are for: what placement adds to a netlist hangs on them.

A chain whose first carry comes from logic, or whose last one goes to logic, is entered or left through a cell of the
chain of its own, which nextpnr's packers insert after synthesis. How many cells that is on a family is fitted
(`hwdse.calibration.placement`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hwdse.structure.blocks import Counts, Fabric, Table, bits_for, ceil_div, each
from hwdse.structure.lanes import PACKED
from hwdse.structure.products import KEYS, product_chains
from hwdse.structure.windows import gap_bits, ring


@dataclass(frozen=True, slots=True)
class Chains:
    """Chains of one unit, an element for each unit."""

    adders: Counts
    comparators: Counts
    counters: Counts


Rule = Callable[[Table, int], Chains]


def chains(module: str, table: Table, fabric: Fabric) -> Chains:
    """The chains of units of `module`; ValueError lists the known modules."""
    if module not in _RULES:
        raise ValueError(f"no chains are known of leaf module {module!r}; known: {', '.join(sorted(_RULES))}")
    size = np.broadcast_shapes(*(np.shape(column) for column in table.values()))
    found = _RULES[module](table, shortest(fabric))
    return Chains(*(np.broadcast_to(count, size) for count in (found.adders, found.comparators, found.counters)))


def shortest(fabric: Fabric) -> int:
    """Bits from which yosys 0.70 adds on a chain: `_TECHMAP_FAIL_` of its `arith_map` of each family."""
    return 5 if fabric.pairs else 3


def _chains(adders: ArrayLike = 0.0, comparators: ArrayLike = 0.0, counters: ArrayLike = 0.0) -> Chains:
    return Chains(*(np.asarray(count, np.float64) for count in (adders, comparators, counters)))


def _counted(least: int, *states: ArrayLike) -> Counts:
    """How many of the counters of so many states are chains: with 1 added, of 3 bits no carry is left."""
    return np.asarray(sum(1.0 * (bits_for(count) >= max(least, 4)) for count in states), np.float64)


def _matrix(p: Table, least: int) -> Chains:
    """Of products, trees and accumulators; of the counts of terms, passes and words."""
    pe, simd, terms = p["PE"], p["SIMD"], p["DOT"] // p["SIMD"]
    passes = np.where(p["SHARED"] == 1, p["ROWS"] // pe, 1)
    found = each(product_chains, *(p[key] for key in KEYS), least)
    products, summed = pe * simd * found[..., 0], (terms > 1) | (found[..., 1] > 0)
    packing = simd * (pe - ceil_div(pe, p["DSP_LANES"])) * (p["STYLE"] == PACKED)
    words = p["GROUPS"] * (p["ROWS"] // pe) * terms if "GROUPS" in p else 1
    sums = pe * (simd - 1) * (p["SUM"] >= least) + pe * summed * (p["ACC"] >= least)
    return _chains(products + packing + sums, 0.0, _counted(least, terms, passes, words))


def _search(p: Table, least: int) -> Chains:
    width, bits = p["ACC"] + p["WIDE"], p["OS"] + p["OE"] + p["OM"]
    return _chains(0.0, p["LANES"] * bits * (width >= least), _counted(least, p["WORDS"]))


def _parallel(p: Table, least: int) -> Chains:
    return _chains(0.0, p["LANES"] * p["COUNT"] * (p["ACC"] + p["WIDE"] >= least), _counted(least, p["WORDS"]))


def _window_serial(p: Table, least: int) -> Chains:
    """The counts of pixels, whether an image has begun, and the places in the ring: a move, its wrap, the write."""
    cells, lead, room = ring(p)
    place, padded = bits_for(cells), (p["PH"] + p["PW"]) > 0
    counts = 1.0 * (lead >= least) + (room >= least)
    moves = 1.0 * (place + 1 >= least) + 2.0 * (place >= least)
    return _chains(counts, padded * (lead >= least), moves)


def _window_parallel(p: Table, least: int) -> Chains:
    """The address of the lines, and the count of pixels up to a window."""
    return _chains(0.0, 0.0, 1.0 * (bits_for(p["W"] * p["CF"]) >= least) + (gap_bits(p) >= least))


def _fifo(p: Table, least: int) -> Chains:
    return _chains(0.0, 0.0, 2 * _counted(least, np.maximum(p["DEPTH"] - 1, 1)) * (p["DEPTH"] > 2))


def _width(p: Table, least: int) -> Chains:
    parts = np.maximum(p["IN"], p["OUT"]) // np.minimum(p["IN"], p["OUT"])
    return _chains(0.0, 0.0, _counted(least, parts))


def _residual_add(p: Table, least: int) -> Chains:
    return _chains(p["LANES"] * (p["SUM"] >= least))


def _sum_pool(p: Table, least: int) -> Chains:
    return _chains(p["LANES"] * (p["SUM"] >= least), 0.0, _counted(least, p["TAPS"], p["GROUPS"]))


def _max_pool(p: Table, least: int) -> Chains:
    return _chains(0.0, p["LANES"] * (p["AS"] + p["AE"] + p["AM"] >= least), _counted(least, p["TAPS"]))


def _none(p: Table, least: int) -> Chains:
    return _chains()


_RULES: dict[str, Rule] = {
    "mvu": _matrix,
    "mvu_streamed": _matrix,
    "threshold_search": _search,
    "threshold_parallel": _parallel,
    "window_serial": _window_serial,
    "window_parallel": _window_parallel,
    "fifo": _fifo,
    "width": _width,
    "residual_add": _residual_add,
    "sum_pool": _sum_pool,
    "max_pool": _max_pool,
    "code_table": _none,
    "branch": _none,
}
