"""Small networks of FINN's nodes, and all their foldings one after the other: what the exact choice is held against."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from hwdse.finn.messages import Priced, Unit
from hwdse.finn.refolding import folded_as, of_units, unit_of
from hwdse.finn_foldings import variants
from hwdse.finn_foldings.choice import PARTS, taken
from hwdse.finn_foldings.limits import RESOURCES, Limits, counts
from hwdse.finn_nodes import (
    ConvolutionInputGenerator,
    Dsp,
    MemMode,
    Multiplier,
    MvauHls,
    MvauRtl,
    Node,
    Pool,
    RamStyle,
    ThresholdingHls,
    ThresholdingRtl,
    VvauHls,
)
from hwdse.target import FpgaTarget
from hwdse.variants import Counts

Point = tuple[int, tuple[float, ...]]  # cycles, and what is minimised


def matrix(mw: int, mh: int, bits: int, vectors: int, *, rtl: bool) -> Node:
    """A matrix-vector unit."""
    common = (1, 1, mw, mh, bits, bits, False, 16, 16, False, vectors, MemMode.DECOUPLED, RamStyle.AUTO)
    rest = (RamStyle.DISTRIBUTED, Multiplier.AUTO, 1)
    return MvauRtl(*common, *rest, Dsp.DSP48E2) if rtl else MvauHls(*common, *rest)


def window(channels: int, size: int, kernel: int, bits: int, *, depthwise: bool = False) -> ConvolutionInputGenerator:
    """A window generator with a stride of 1 and no padding."""
    out = size - kernel + 1
    pairs = ((size, size), (out, out), (kernel, kernel), (1, 1), (1, 1))
    return ConvolutionInputGenerator(1, channels, *pairs, bits, depthwise, False, RamStyle.DISTRIBUTED)


def by_channel(channels: int, taps: int, pixels: int, bits: int) -> Node:
    """A vector-vector unit."""
    rest = (MemMode.DECOUPLED, RamStyle.AUTO, Multiplier.AUTO)
    return VvauHls(1, 1, channels, taps, pixels, bits, bits, False, 16, 16, False, *rest)


def pool(channels: int, taps: int, pixels: int) -> Node:
    """A pool."""
    return Pool(1, channels, taps, pixels)


def thresholds(channels: int, vectors: int, bits: int, *, rtl: bool) -> Node:
    """Thresholds."""
    common = (1, channels, vectors, 16, 16, bits)
    if rtl:
        return ThresholdingRtl(*common, False, 0, 0)
    return ThresholdingHls(*common, 2**bits - 1, RamStyle.DISTRIBUTED)


def chain(*nodes: Node) -> tuple[Unit, ...]:
    """One after the other."""
    names = [f"{node.operation}_{at}" for at, node in enumerate(nodes)]
    before = [(), *((name,) for name in names[:-1])]
    each = zip(names, before, nodes, strict=True)
    return tuple(unit_of(folded_as(name, node), None, inputs, node) for name, inputs, node in each)


def random_network(random: np.random.Generator) -> tuple[Unit, ...]:
    """A convolution, one by channel or a pool, and a matrix, with random sizes and bits."""
    channels, out = (int(number) for number in random.choice([2, 3, 4, 6], 2))
    bits, rtl = int(random.integers(2, 7)), bool(random.random() < 0.5)
    first = window(channels, 5, 3, bits), matrix(9 * channels, out, bits, 9, rtl=rtl)
    last = by_channel(out, 4, 4, bits) if random.random() < 0.5 else pool(out, 4, 4)
    return chain(*first, thresholds(out, 9, bits, rtl=rtl), window(out, 3, 2, bits, depthwise=True), last)


# ---- all foldings --------------------------------------------------------------------------------


def everything(units: Sequence[Unit], limits: Limits, *, varied: bool) -> tuple[Counts, Counts]:
    """Cycles, and the resources of each group, of every legal folding: `n`, `n x groups x 4`."""
    cycles, areas = np.zeros(1), np.zeros((1, 0, 4))
    for group in _grouped(units):
        options = list(_options(group, limits, varied=varied))
        own = np.array([max(node.cycles for node in option) for option in options])
        area = np.array([np.sum([variants.area(node) for node in option], axis=0) for option in options], np.float64)
        cycles = np.maximum(cycles[:, None], own[None]).reshape(-1)
        left, right = np.divmod(np.arange(len(cycles)), len(options))
        areas = np.concatenate([areas[left], area[right][:, None]], axis=1)
    return cycles, areas


def keys(areas: Counts, target: FpgaTarget, objective: str) -> Counts:
    """`n x keys`: what is minimised, first things first, of `n x groups x 4`."""
    has = np.maximum(counts(target), 1)
    used, sums = areas.sum(1), np.rint(PARTS * (areas / has).sum(2)).sum(1)
    if objective == "utilization":
        return np.column_stack([(used / has).max(1), used[:, 0]])
    first = [] if objective == "shares" else [used[:, RESOURCES.index(objective)]]
    return np.column_stack([*first, sums, used[:, 0]])


def fitting(areas: Counts, target: FpgaTarget, limits: Limits) -> NDArray[np.bool_]:
    """Which are within the limits."""
    shares = areas.sum(1) / np.maximum(counts(target), 1e-9)
    within: NDArray[np.bool_] = (shares <= [getattr(limits, name) for name in RESOURCES]).all(1)
    return within


def front(cycles: Counts, ranked: Counts) -> list[Point]:
    """The best at every interval, slowest first, where a shorter one makes it worse."""
    found, best = list[Point](), None
    for at in np.lexsort((*ranked.T[::-1], cycles)):  # fastest first, of those the best first
        key = tuple(ranked[at].tolist())
        if best is None or key < best:
            best = key
            found.append((int(cycles[at]), key))
    return found[::-1]


def points(found: Sequence[Priced], target: FpgaTarget, objective: str) -> list[Point]:
    """The same of what was chosen."""
    each = []
    for one in found:
        units = {unit.folded.node: unit for unit in one.units}
        groups = [[units[unit.folded.node] for unit in group] for group in _grouped(one.units)]
        areas = np.array([taken(of_units(tuple(replace(unit, inputs=()) for unit in group))) for group in groups])
        each.append((one.interval_cycles, tuple(keys(areas[None].astype(float), target, objective)[0].tolist())))
    return each


def _grouped(units: Sequence[Unit]) -> list[list[Unit]]:
    found = list[list[Unit]]()
    for unit in units:
        after = bool(found) and isinstance(found[-1][-1].node, ConvolutionInputGenerator)
        if after and found[-1][-1].node.depthwise:  # type: ignore[union-attr]
            found[-1].append(unit)
        else:
            found.append([unit])
    return found


def _options(group: Sequence[Unit], limits: Limits, *, varied: bool) -> Iterator[tuple[Node, ...]]:
    """All legal foldings of nodes, by trying all numbers."""
    own = [list(_numbers(unit.node)) for unit in group if unit.node is not None]
    for option in product(*own):
        if _legal(option, limits):
            yield from product(*(variants.made(node) if varied else (node,) for node in option))


def _numbers(node: Node) -> Iterator[Node]:
    wide = (False, True) if isinstance(node, ConvolutionInputGenerator) else (None,)
    for pe in range(1, (node.pe_of or 1) + 1):
        for simd in range(1, (node.simd_of or 1) + 1):
            for at_once in wide:
                try:
                    one = node.with_folding(None if node.pe_of is None else pe, None if node.simd_of is None else simd)
                    yield one if at_once is None else replace(one, parallel_window=at_once)  # type: ignore[type-var]
                except ValueError:
                    continue


def _legal(option: tuple[Node, ...], limits: Limits) -> bool:
    last = option[-1]
    bits = last.simd * last.weight_bits if isinstance(last, MvauHls | MvauRtl) else 0
    if last.problem is not None or (limits.weight_bits is not None and bits > limits.weight_bits):
        return False
    if len(option) == 1:
        return True
    first = option[0]
    assert isinstance(first, ConvolutionInputGenerator)
    return first.simd == last.folding[0] and first.parallel_window == (getattr(last, "simd", 1) > 1)
