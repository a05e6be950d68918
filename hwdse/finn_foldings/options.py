"""The options of FINN's nodes at any pace: which are folded together, and what each of them takes.

A window generator for units and pools that work on each channel alone brings as many channels as they take, so that its
SIMD is their PE, and it brings all pixels of a window at once where they take several: SetFolding of
finn/transformation/fpgadataflow/set_folding.py. Otherwise neighbours may be of any width, because FINN puts converters
between them, after its estimates.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np

from hwdse.finn.messages import Unit
from hwdse.finn_foldings import variants
from hwdse.finn_foldings.limits import Limits
from hwdse.finn_nodes import ConvolutionInputGenerator, Node, Pool, VvauHls, VvauRtl
from hwdse.foldings.options import Cycles, minimal
from hwdse.relaxation import Picks
from hwdse.variants import Counts

BY_CHANNEL = (Pool, VvauHls, VvauRtl)


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """The options of nodes that are folded together; none is as slow as another and takes as much of everything."""

    nodes: tuple[tuple[Node, ...], ...]  # by option: one node for each unit
    counts: Counts  # options x resources
    cycles: Cycles  # of the slowest node of each option

    def at(self, rows: Picks) -> "Options":
        """Those of some rows."""
        return Options(tuple(self.nodes[row] for row in rows), self.counts[rows], self.cycles[rows])

    def within(self, cycles: int) -> "Options":
        """Those that need at most `cycles`, without any that takes as much of everything as another one."""
        fast = np.flatnonzero(self.cycles <= cycles)
        return self.at(fast[minimal(self.counts[fast])])


def groups(units: Sequence[Unit]) -> tuple[tuple[Unit, ...], ...]:
    """The units that are folded together; ValueError for one that hwdse has no formulas of."""
    known = {unit.folded.node: unit for unit in units}
    for unit in units:
        if unit.node is None:
            raise ValueError(f"hwdse has no formulas of {unit.operation}, which {unit.folded.node!r} is")
    before = {unit.folded.node: _generator(unit, known) for unit in units}
    fed = {window.folded.node for window in before.values() if window is not None}
    for unit in units:
        if _depthwise(unit) and unit.folded.node not in fed:
            raise ValueError(f"no unit works on each channel alone behind the window generator {unit.folded.node!r}")
    alone = (unit for unit in units if unit.folded.node not in fed)
    return tuple((unit,) if (window := before[unit.folded.node]) is None else (window, unit) for unit in alone)


def of(group: Sequence[Unit], limits: Limits, *, varied: bool) -> Options:
    """The options of units that are folded together; ValueError where none is left within the limits.

    Without `varied` their memories and multipliers stay as they are.
    """
    nodes = tuple(unit.node for unit in group if unit.node is not None)
    found = _options(nodes, limits.weight_bits, varied)
    if not found.nodes:
        named = group[-1].layer or group[-1].folded.node
        raise ValueError(
            f"{named!r} has no legal folding with at most {limits.weight_bits} bits of weights of a PE"
            if limits.weight_bits is not None and any(map(variants.weight_bits, nodes))
            else f"{named!r} has no folding that FINN can build"
        )
    return found


def _depthwise(unit: Unit) -> bool:
    return isinstance(unit.node, ConvolutionInputGenerator) and unit.node.depthwise


def _generator(unit: Unit, known: dict[str, Unit]) -> Unit | None:
    """The window generator that is folded with a unit."""
    if not isinstance(unit.node, BY_CHANNEL):
        return None
    return next((known[name] for name in unit.inputs if name in known and _depthwise(known[name])), None)


@lru_cache(maxsize=1024)
def _options(nodes: tuple[Node, ...], weight_bits: int | None, varied: bool) -> Options:
    """Of nodes that are alike once."""
    legal = [one for one in _foldings(nodes) if _allowed(one[-1], weight_bits)]
    ways = variants.made if varied else _as_is
    every = [option for one in legal for option in product(*map(ways, one))]
    if not every:
        return Options((), np.zeros((0, 4)), np.zeros(0, np.int64))
    counts = np.array([np.sum([variants.area(node) for node in option], axis=0) for option in every], np.float64)
    cycles = np.array([max(node.cycles for node in option) for option in every], np.int64)
    kept = minimal(np.column_stack([cycles, counts]))
    return Options(tuple(every[row] for row in kept), counts[kept], cycles[kept])


def _as_is(node: Node) -> Iterator[Node]:
    yield node


def _foldings(nodes: tuple[Node, ...]) -> Iterator[tuple[Node, ...]]:
    *windows, last = nodes
    for one in variants.folded(last):
        if not windows:
            yield (one,)
            continue
        pe, simd = one.folding
        assert pe is not None
        at_once = simd is not None and simd > 1
        window = windows[0].with_folding(simd=pe)
        yield replace(window, parallel_window=at_once), one  # type: ignore[type-var]


def _allowed(node: Node, weight_bits: int | None) -> bool:
    within = weight_bits is None or variants.weight_bits(node) <= weight_bits
    return within and node.problem is None
