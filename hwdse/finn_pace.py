"""The folding of FINN's nodes for a design: its units as it says, all others just fast enough.

FINN's own folding (set_folding.py) gives each node the least PE or SIMD with which it meets a rate. Here the rate is
that of the slowest layer as the design folds it, and a unit with weights has the design's own PE and SIMD. Where FINN
has no such unit (several taps of some channels where each is convolved on its own, few of many terms in HLS), it gets
the least that is as fast.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from hwdse.design import Folding
from hwdse.finn_graph import Placed
from hwdse.finn_nodes import ConvolutionInputGenerator, MvauHls, Node, Pool, VvauHls, VvauRtl
from hwdse.folding import check, cycles
from hwdse.workload import WITH_WEIGHTS, Layer


def folded(placed: Sequence[Placed], layers: Sequence[Layer], folding: Mapping[str, Folding]) -> tuple[Placed, ...]:
    """`placed`, which are all nodes of `layers`, with PE and SIMD; ValueError names a layer that has no folding."""
    units = {one.name: _as_told(one, folding) for one in placed if one.role == "unit"}
    pace = max(_demanded(layer, units, folding) for layer in layers)
    told = [replace(one, node=units.get(one.name, one.node)) for one in placed]
    own = {layer.name: [one for one in told if one.layer == layer.name] for layer in layers}
    done = {one.name: one for nodes in own.values() for one in _paced(nodes, pace)}
    return tuple(done[one.name] for one in placed)


def _demanded(layer: Layer, units: Mapping[str, Node], folding: Mapping[str, Folding]) -> int:
    """The cycles that the design gives to a layer; one without weights takes a channel a cycle unless it says more."""
    if layer.kind in WITH_WEIGHTS:
        return units[f"{layer.name} unit"].cycles
    told = folding.get(layer.name, Folding())
    check(layer, told)
    return cycles(layer, told)


def _as_told(one: Placed, folding: Mapping[str, Folding]) -> Node:
    """A unit as the design folds its layer, or the least that is as fast."""
    told = folding.get(one.layer)
    if told is None:
        raise ValueError(f"layer {one.layer!r} has no folding")
    try:
        node = one.node.with_folding(told.pe, told.simd)
    except ValueError as error:
        raise ValueError(f"{error}, in layer {one.layer!r}") from None
    found = next((least for least in _buildable(node) if least.cycles <= node.cycles), None)
    if found is None:
        raise ValueError(f"{node.problem}, in layer {one.layer!r}")
    return found


def _buildable(node: Node) -> Iterator[Node]:
    """The node, or instead of it those that FINN can build, smallest first."""
    if node.problem is None:
        yield node
    elif isinstance(node, VvauHls | VvauRtl):
        yield from _unfoldings(node)
    elif isinstance(node, MvauHls):
        wider = (node.with_folding(simd=simd) for simd in divisors(node.mw) if simd > node.simd)
        yield from (one for one in wider if one.problem is None)


def _unfoldings(node: VvauHls | VvauRtl) -> Iterator[VvauHls | VvauRtl]:
    """More and more channels, then more and more taps."""
    yield from (node.with_folding(pe, 1) for pe in divisors(node.channels))
    yield from (node.with_folding(node.channels, simd) for simd in divisors(node.taps))


def _paced(nodes: Sequence[Placed], pace: int) -> Iterable[Placed]:
    """The nodes of a layer; a window of each channel for itself is as wide as what reads it."""
    window = next((one for one in nodes if _by_channel(one.node)), None)
    if window is None:
        return [one if one.role == "unit" else replace(one, node=_least(one.node, pace)) for one in nodes]
    reader = next(one for one in nodes if window.name in one.inputs)
    changed = dict(zip((window.name, reader.name), _together(window.node, reader.node, pace), strict=True))
    return [replace(one, node=changed.get(one.name) or _least(one.node, pace)) for one in nodes]


def _by_channel(node: Node) -> bool:
    return isinstance(node, ConvolutionInputGenerator) and node.depthwise


@cache
def _together(window: Node, reader: Node, pace: int) -> tuple[Node, Node]:
    """Both with as many channels at once as the slower one needs, and no fewer than the reader has."""
    assert isinstance(window, ConvolutionInputGenerator)
    if isinstance(reader, Pool):
        reader = _least(reader, pace)
    pe, simd = reader.folding
    if simd is not None and simd > 1:
        return replace(window.with_folding(simd=pe), parallel_window=True), reader
    enough = (wide for wide in divisors(window.channels) if wide >= (pe or 1))
    found = (wide for wide in enough if window.with_folding(simd=wide).cycles <= pace)
    wide = next(found, window.channels)
    return window.with_folding(simd=wide), reader.with_folding(pe=wide)


@cache
def _least(node: Node, pace: int) -> Node:
    """With the least PE or SIMD that keeps `pace`, or all of it; a window then comes at once."""
    name, whole = ("pe", node.pe_of) if node.pe_of is not None else ("simd", node.simd_of)
    if whole is None:
        return node
    options = (node.with_folding(**{name: part}) for part in divisors(whole))
    found = next((option for option in options if option.cycles <= pace), None) or node.with_folding(**{name: whole})
    if isinstance(found, ConvolutionInputGenerator) and found.cycles > pace:
        return replace(found, parallel_window=True)
    return found


@cache
def divisors(whole: int) -> tuple[int, ...]:
    """In order."""
    return tuple(part for part in range(1, whole + 1) if whole % part == 0)
