"""The parts of each leaf module, and the DSP blocks and block RAM that it takes."""

from collections.abc import Callable, Iterator

import numpy as np

from hwdse.structure.blocks import FABRICS, Fabric, Part, Parts, Sizes, Table, part
from hwdse.structure.channels import (
    branch,
    code_table,
    fifo,
    max_pool,
    partial_sums,
    queue_memory,
    residual_add,
    sum_pool,
    width,
)
from hwdse.structure.matrix import dsps, kept_vector, matrix, weight_words
from hwdse.structure.memories import Ram, blocks_there
from hwdse.structure.thresholds import code_bits, parallel, search
from hwdse.structure.windows import line_memory, ring_memory, window_parallel, window_serial

Rule = Callable[[Table, Fabric], Parts]


def modules() -> tuple[str, ...]:
    """The leaf modules whose parts are known."""
    return tuple(sorted(_RULES))


def parts(module: str, table: Table, fabric: Fabric) -> Parts:
    """LUTs and flip-flops of every part, an element for each unit of `table`; ValueError lists the known modules."""
    if module not in _RULES:
        raise ValueError(f"no parts are known of leaf module {module!r}; known: {', '.join(modules())}")
    size = np.broadcast_shapes(*(np.shape(column) for column in table.values()))
    found = {**_RULES[module](table, fabric), "rest": part(1.0, 1.0)}
    return {name: Part(np.broadcast_to(one.luts, size), np.broadcast_to(one.ffs, size)) for name, one in found.items()}


_RULES: dict[str, Rule] = {
    "mvu": matrix,
    "mvu_streamed": matrix,
    "threshold_search": search,
    "threshold_parallel": parallel,
    "window_serial": window_serial,
    "window_parallel": window_parallel,
    "fifo": fifo,
    "width": width,
    "residual_add": residual_add,
    "sum_pool": sum_pool,
    "max_pool": max_pool,
    "code_table": code_table,
    "branch": branch,
}


# ---- blocks --------------------------------------------------------------------------------------


def blocks(module: str, table: Table, family: str) -> tuple[Sizes, Sizes]:
    """DSP blocks and block RAMs of each unit."""
    size = np.broadcast_shapes(*(np.shape(column) for column in table.values()))
    found = dsps(table, FABRICS[family]) if module in ("mvu", "mvu_streamed") else _NONE
    brams = _brams(module, table, family)
    return np.broadcast_to(found, size), np.broadcast_to(brams, size)


def _brams(module: str, p: Table, family: str) -> Sizes:
    """Of memories that are written, and of read-only ones that BLOCK puts there."""
    fabric = FABRICS[family]
    written = _RAMS[module](p, fabric).blocks if module in _RAMS else _NONE
    for there, words, bits in _roms(module, p):
        written = written + blocks_there(there, words, bits, fabric, rom=True)
    return written


_NONE = np.zeros((), np.int64)
_RAMS: dict[str, Callable[[Table, Fabric], Ram]] = {
    "mvu": kept_vector,
    "mvu_streamed": kept_vector,
    "window_serial": ring_memory,
    "window_parallel": line_memory,
    "fifo": queue_memory,
    "sum_pool": partial_sums,
}


def _roms(module: str, p: Table) -> Iterator[tuple[Sizes, Sizes, Sizes]]:
    """How many of a read-only memory are block RAM, its words and its bits."""
    block = np.asarray(p.get("BLOCK", _NONE) > 0, np.int64)
    match module:
        case "mvu":
            yield block, weight_words(p), p["PE"] * p["SIMD"] * (p["WS"] + p["WE"] + p["WM"])
        case "code_table":
            yield block * p["LANES"], 1 << p["IN"], p["OUT"]
        case "threshold_parallel":
            there = block * (p["WORDS"] >= p["BLOCK"]) * (p["WORDS"] > 1)
            yield there * p["LANES"], p["WORDS"], p["COUNT"] * (p["ACC"] + p["WIDE"])
        case "threshold_search":
            for step in range(int(np.max(code_bits(p)))):
                words = p["WORDS"] << step
                there = block * (step < code_bits(p)) * (words >= p["BLOCK"]) * (words > 1)
                yield there * p["LANES"], words, p["ACC"] + p["WIDE"]
