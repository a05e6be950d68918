"""Which node of FINN is which one of `hwdse.finn_graph`: FINN numbers its nodes by their operations."""

from collections.abc import Mapping, Sequence

from hwdse.finn.environment import FinnError
from hwdse.finn.messages import Folded, Unit
from hwdse.finn.refolding import folded_as
from hwdse.finn_graph import Placed


def folding_of(units: Sequence[Unit], placed: Sequence[Placed]) -> tuple[Folded, ...]:
    """What sets FINN's nodes to the folding of `placed`."""
    return tuple(folded_as(unit.folded.node, one.node) for unit, one in pairs(units, placed))


def pairs(units: Sequence[Unit], placed: Sequence[Placed]) -> tuple[tuple[Unit, Placed], ...]:
    """Each of `units` with its node; FinnError where the two are not the same network.

    Both are in an order in which nodes follow those that they read; a pair reads pairs, and has the same operation.
    """
    found: dict[str, Placed] = {}
    for unit in units:
        found[unit.folded.node] = _partner(unit, placed, found)
    if len(units) != len(placed):
        names = {one.name for one in found.values()}
        missing = next(one for one in placed if one.name not in names)
        raise FinnError(f"FINN has no {missing.node.operation} for the {missing.role} of layer {missing.layer!r}")
    return tuple((unit, found[unit.folded.node]) for unit in units)


def _partner(unit: Unit, placed: Sequence[Placed], found: Mapping[str, Placed]) -> Placed:
    reads = sorted(found[name].name for name in unit.inputs)
    taken = {one.name for one in found.values()}
    for one in placed:
        same = one.node.operation == unit.operation and sorted(one.inputs) == reads
        if same and one.name not in taken and unit.layer in (None, one.layer):
            return one
    where = f" of layer {unit.layer!r}" if unit.layer is not None else ""
    raise FinnError(f"hwdse expects no {unit.folded.node}{where} where FINN has one")
