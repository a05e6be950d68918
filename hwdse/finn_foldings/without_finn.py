"""The units of a network for a folding where FINN has not been asked."""

from hwdse.design import Design
from hwdse.finn.messages import Unit
from hwdse.finn.refolding import folded_as, unit_of
from hwdse.finn_graph import graph
from hwdse.finn_nodes import Dsp
from hwdse.workload import Workload


def units(workload: Workload, design: Design, dsp: Dsp) -> tuple[Unit, ...]:
    """The nodes that FINN makes of `design`, named after layers: what FINN calls them it decides itself.

    Sums and thresholds are as wide as their formats allow (`hwdse.finn_graph`), and with them LUTs.
    """
    placed = graph(workload, design, dsp)
    return tuple(unit_of(folded_as(one.name, one.node), one.layer, one.inputs, one.node) for one in placed)
