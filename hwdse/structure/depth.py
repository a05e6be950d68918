"""What lies between two registers of a leaf module: the paths that may be its slowest, as counts of what delays them.

A path is LUTs one after the other, carry chains that are entered and left, the bits that a carry runs through, and
block RAMs or DSP blocks that it begins in or passes. The counts follow from the RTL; what each costs in nanoseconds is
fitted to place and route (`hwdse.calibration.placement`), and the slowest path of a unit decides its clock.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from hwdse.structure.blocks import Counts, Fabric, Sizes, Table, bits_for, ceil_div, each
from hwdse.structure.products import KEYS, product_depth
from hwdse.structure.windows import ring

WIDE_INPUTS = {4: 6, 6: 8}  # inputs of LUTs of a slice with its multiplexers: PFUMX and L6MUX21; F7 and F8


@dataclass(frozen=True, slots=True)
class Path:
    """One path of each unit, as counts."""

    luts: Counts  # levels of logic
    chains: Counts
    bits: Counts  # of carry
    brams: Counts
    dsps: Counts
    loads: Counts  # of a net that drives a memory: log2


Rule = Callable[[Table, Fabric], tuple[Path, ...]]


def paths(module: str, table: Table, fabric: Fabric) -> tuple[Path, ...]:
    """The paths of units of `module` that may be the slowest, an element for each unit; ValueError lists the known."""
    if module not in _RULES:
        raise ValueError(f"no paths are known of leaf module {module!r}; known: {', '.join(sorted(_RULES))}")
    size = np.broadcast_shapes(*(np.shape(column) for column in table.values()))
    return tuple(_spread(one, size) for one in (*_RULES[module](table, fabric), _enabled(module, table)))


def enabled(module: str, table: Table) -> Path:
    """The longest path from an output that is ready: to the enable of registers, or through them to a count."""
    return _spread(_enabled(module, table), np.broadcast_shapes(*(np.shape(column) for column in table.values())))


def ready_levels(module: str) -> int | None:
    """Levels of LUTs from an output that is ready to an input that is; nothing where a register lies between."""
    return None if module in REGISTERED else 1


REGISTERED = ("fifo", "window_serial")  # whether they take a beat does not hang on what follows them


def _spread(path: Path, size: tuple[int, ...]) -> Path:
    return Path(*(np.broadcast_to(getattr(path, field.name), size) for field in fields(Path)))


def _enabled(module: str, p: Table) -> Path:
    """A serial window counts how far it may read: whether it moves, where to, and the sum."""
    if module != "window_serial":
        return _path(luts=2.0)
    padded = (p["PH"] + p["PW"]) > 0
    return _path(4.0 + 2.0 * padded, 1.0, ring(p)[1])


def _path(
    luts: ArrayLike = 0.0,
    chains: ArrayLike = 0.0,
    bits: ArrayLike = 0.0,
    brams: ArrayLike = 0.0,
    dsps: ArrayLike = 0.0,
    loads: ArrayLike = 0.0,
) -> Path:
    return Path(*(np.asarray(count, np.float64) for count in (luts, chains, bits, brams, dsps, loads)))


def _loads(words: ArrayLike, columns: ArrayLike, fabric: Fabric) -> Counts:
    """What the address of a memory in LUTs drives: a LUT for each column and row, as log2."""
    rows = np.maximum(1.0, np.asarray(words, np.float64) / 2**fabric.lut_inputs)
    return np.asarray(np.log2(np.maximum(1.0, rows * columns)))


def _choice(words: ArrayLike, fabric: Fabric) -> Counts:
    """Levels of LUTs that find one of `words` words: a function of the address."""
    address = bits_for(words)
    wide = WIDE_INPUTS[fabric.lut_inputs]
    return np.asarray((address > 0) * (1.0 + ceil_div(np.maximum(address - wide, 0), 2)))


def _rows(words: ArrayLike, fabric: Fabric) -> Counts:
    """Levels of LUTs that read one of `words` words of a RAM in LUTs: a primitive, and the choice between them."""
    deep = max((words_ for words_, _, _ in fabric.rams), default=1)
    return np.asarray(1.0 + _choice(ceil_div(words, deep), fabric))


# ---- the matrix-vector unit ----------------------------------------------------------------------


def _matrix(p: Table, fabric: Fabric) -> tuple[Path, ...]:
    """From the operands to products, from products to sums, from sums to totals; and the memories' reads."""
    terms = p["DOT"] // p["SIMD"]
    passes = np.where(p["SHARED"] == 1, p["ROWS"] // p["PE"], 1)
    kept = (passes > 1) & (terms > 1)
    levels = each(partial(product_depth, multipliers=fabric.multipliers), *(p[key] for key in KEYS))
    block = np.asarray(p.get("BLOCK", np.zeros((), np.int64)) > 0)
    product = _path(
        levels[..., 0] + kept * 1.0,
        levels[..., 1],
        np.minimum(levels[..., 2], p["PRODUCT"]),
        np.maximum(block, kept & (p["BUFFER_BLOCK"] > 0)),
        levels[..., 3],
    )
    depth = bits_for(p["SIMD"])
    tree = _path(0.0, depth, np.where(depth > 0, p["SUM"], 0))
    total = _path(0.0, 1.0, p["ACC"])
    words = p.get("GROUPS", np.ones((), np.int64)) * (p["ROWS"] // p["PE"]) * terms
    columns = p["PE"] * p["SIMD"] * (p["WS"] + p["WE"] + p["WM"])
    read = _path(np.where(block, 1.0, _choice(words, fabric)), loads=~block * _loads(words, columns, fabric))
    kept_read = _path(kept * np.where(p["BUFFER_BLOCK"] > 0, 1.0, _rows(terms, fabric)))
    return product, tree, total, read, kept_read


# ---- thresholds ----------------------------------------------------------------------------------


def _search(p: Table, fabric: Fabric) -> tuple[Path, ...]:
    """A comparison and the read of the next step's thresholds at the index that it gives."""
    bits, width = p["OS"] + p["OE"] + p["OM"], p["ACC"] + p["WIDE"]
    deepest = p["WORDS"] << np.maximum(bits - 1, 0)
    threshold = np.where(p["BLOCK"] > 0, p["BLOCK"], 1 << 60)
    in_luts = np.minimum(deepest, np.maximum(threshold - 1, 1))
    block = deepest >= threshold
    loads = (in_luts > 1) * _loads(in_luts, width, fabric)
    logic = _path(_choice(in_luts, fabric), 1.0, width, loads=loads)
    return logic, _path(block * 1.0, block * 1.0, block * width, block), _group(p, p["LANES"] * width, fabric)


def _parallel(p: Table, fabric: Fabric) -> tuple[Path, ...]:
    bits, width = p["OS"] + p["OE"] + p["OM"], p["ACC"] + p["WIDE"]
    block = (p["BLOCK"] > 0) & (p["WORDS"] >= p["BLOCK"]) & (p["WORDS"] > 1)
    compared = _path(bits, 1.0, width, block)
    return compared, _group(p, p["LANES"] * p["COUNT"] * width, fabric)


def _group(p: Table, columns: Sizes, fabric: Fabric) -> Path:
    """The count of groups, which is an address in the cycle in which it changes."""
    count, several = bits_for(p["WORDS"]), p["WORDS"] > 1
    in_luts = several & ~((p["BLOCK"] > 0) & (p["WORDS"] >= p["BLOCK"]))
    loads = in_luts * _loads(p["WORDS"], columns, fabric)
    return _path(several * 2.0 + in_luts * _choice(p["WORDS"], fabric), count > 4, count * (count > 4), loads=loads)


# ---- windows -------------------------------------------------------------------------------------


def _window_serial(p: Table, fabric: Fabric) -> tuple[Path, ...]:
    """From the counters through the choice of a move to the cell that it leads to, and from a cell to its pixel."""
    cells, _, _ = ring(p)
    taps = (p["KH"] * p["KW"] > 1) * 1.0
    move = _path(3.0 + taps, 2.0, bits_for(cells))
    return move, _path(np.where(p["BLOCK"] > 0, 1.0, _rows(p["D"] * p["CF"], fabric)))


def _window_parallel(p: Table, fabric: Fabric) -> tuple[Path, ...]:
    """The counters of places and the enable of all pixels that follows from them, and the read of the lines."""
    line = p["W"] * p["CF"]
    padded = ((p["PH"] + p["PW"]) > 0) * 1.0
    gap = _path(3.0, 1.0, bits_for(line))
    read = _path(np.where(p["BLOCK"] > 0, 1.0, _rows(line, fabric)))
    out = _path(1.0 + padded, 0.0, 0.0, (p["BLOCK"] > 0) & (p["KH"] > 1))
    return gap, read, out


# ---- streams and channels ------------------------------------------------------------------------


def _fifo(p: Table, fabric: Fabric) -> tuple[Path, ...]:
    deep = p["DEPTH"] > 2
    pointer = bits_for(np.maximum(p["DEPTH"] - 1, 1))
    count = _path(deep * 2.0, deep * (pointer > 4), deep * pointer)
    read = _path(deep * np.where(p["BLOCK"] > 0, 1.0, _rows(1 << pointer, fabric)), 0.0, 0.0, deep & (p["BLOCK"] > 0))
    return count, read


def _width(p: Table, fabric: Fabric) -> tuple[Path, ...]:
    return (_path(2.0),)


def _decoded(p: Table) -> Counts:
    """Levels of LUTs from codes to fixed point: the sign, and a multiplexer for each bit of the exponent."""
    minifloat = p["AE"] > 0
    return np.asarray(minifloat * (p["AS"] + np.where(p["AE"] > 1, p["AE"], 0)), np.float64)


def _residual_add(p: Table, fabric: Fabric) -> tuple[Path, ...]:
    return (_path(_decoded(p), 1.0, p["SUM"]),)


def _sum_pool(p: Table, fabric: Fabric) -> tuple[Path, ...]:
    grouped = p["GROUPS"] > 1
    memory = grouped * np.where(p["BLOCK"] > 0, 1.0, _rows(p["GROUPS"], fabric))
    total = _path(_decoded(p) + grouped, 1.0, p["SUM"], grouped & (p["BLOCK"] > 0))
    return total, _path(1.0 + memory), _path(2.0, 1.0 * (p["TAPS"] > 16), bits_for(p["TAPS"]))


def _max_pool(p: Table, fabric: Fabric) -> tuple[Path, ...]:
    bits = p["AS"] + p["AE"] + p["AM"]
    return (_path(1.0 + ((p["AE"] > 0) & (p["AS"] > 0)), bits > 3, bits),)


def _code_table(p: Table, fabric: Fabric) -> tuple[Path, ...]:
    return (_path(np.where(p["BLOCK"] > 0, 0.0, _choice(1 << p["IN"], fabric)), 0.0, 0.0, p["BLOCK"] > 0),)


def _branch(p: Table, fabric: Fabric) -> tuple[Path, ...]:
    return ()


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
    "code_table": _code_table,
    "branch": _branch,
}
