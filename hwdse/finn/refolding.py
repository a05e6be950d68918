"""Another folding of a network that FINN has estimated, priced by the formulas of its nodes and not by FINN."""

from dataclasses import replace

from hwdse.finn.environment import FinnError
from hwdse.finn.messages import Folded, Priced, Unit
from hwdse.finn_nodes import ConvolutionInputGenerator, Node


def refolded(priced: Priced, folding: tuple[Folded, ...]) -> Priced:
    """What `estimates.refold` gives, in microseconds; nodes that are not in `folding` stay as they are."""
    units = {unit.folded.node: unit for unit in priced.units}
    for one in folding:
        if one.node not in units:
            raise FinnError(f"no node {one.node!r} to fold; known: {', '.join(units)}")
        units[one.node] = _unit(units[one.node], one)
    return of_units(tuple(units.values()))


def of_units(units: tuple[Unit, ...]) -> Priced:
    """A network of `units`, each of which follows what it reads; finn/analysis/fpgadataflow/dataflow_performance.py."""
    reached: dict[str, int] = {}
    for unit in units:
        reached[unit.folded.node] = unit.cycles + max((reached[name] for name in unit.inputs), default=0)
    return Priced(units, max(unit.cycles for unit in units), max(reached.values()))


def unit_of(folded: Folded, layer: str | None, inputs: tuple[str, ...], node: Node) -> Unit:
    """A unit whose numbers are those of its node."""
    area = node.luts, node.bram18s, node.urams, node.dsps
    return Unit(folded, layer, node.operation, inputs, node, node.cycles, *area)


def _unit(unit: Unit, folded: Folded) -> Unit:
    if unit.node is None:
        raise FinnError(f"hwdse has no formulas of {unit.operation}, which {folded.node!r} is")
    try:
        node = _node(unit.node, folded)
    except ValueError as error:
        of = f" of layer {unit.layer!r}" if unit.layer is not None else ""
        raise FinnError(f"{error}: {folded.node!r}{of}") from None
    return unit_of(folded_as(folded.node, node), unit.layer, unit.inputs, node)


def folded_as(name: str, node: Node) -> Folded:
    """What sets the node of FINN called `name` to the folding of `node`."""
    at_once = node.parallel_window if isinstance(node, ConvolutionInputGenerator) else None
    return Folded(name, *node.folding, at_once)


def _node(node: Node, folded: Folded) -> Node:
    """`node` in another folding."""
    if folded.at_once is None:
        return node.with_folding(folded.pe, folded.simd)
    if not isinstance(node, ConvolutionInputGenerator):
        raise ValueError(f"{node.operation} has no parallel_window")
    return replace(node, simd=folded.simd or node.simd, parallel_window=folded.at_once)
