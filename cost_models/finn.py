"""FINN's own estimates of the accelerator that it makes of a design, computed without FINN.

`hwdse.finn_graph` says which nodes FINN+ 1.6.1 makes of a design, `hwdse.finn_pace` how they are folded, and
`hwdse.finn_nodes` states FINN's formulas. Cycles and DSPs are those that FINN reports for that folding, exactly. LUTs
and block RAMs are too, but for the widths of sums and thresholds, which FINN takes from the values of a network and
which are the widest that the formats allow here.

FINN's numbers have gaps. A matrix-vector unit in RTL, which is one of 4 bits and more, counts no LUT; nor do
comparators of thresholds, padding, pools and adders. So they are no smooth cost over formats: 3 bits may cost more LUTs
than 4. There are no flip-flops, queues and width converters in them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from hwdse import finn_graph, finn_pace
from hwdse.cost import LayerCost, Resources, Term
from hwdse.cost_model import FpgaCostModel
from hwdse.design import Design, Folding
from hwdse.finn_graph import Placed
from hwdse.finn_nodes import ConvolutionInputGenerator, Dsp, MvauHls, MvauRtl, Node, VvauHls, VvauRtl
from hwdse.target import Device, FpgaTarget
from hwdse.workload import WITH_WEIGHTS, Layer, Workload

UNITS = (MvauHls, MvauRtl, VvauHls, VvauRtl)
FAMILIES = ("xc7", "xcup", "versal")
WINDOW_LUTS = 300  # of a window generator, that are no memory

UNCOUNTED = (
    "Matrix-vector units in RTL (from 4 bits up) and comparators of thresholds count 0 LUT, as do padding, pools and "
    "adders; there are no flip-flops, queues and width converters."
)


@dataclass(frozen=True)
class Finn(FpgaCostModel):
    """No settings: FINN's defaults."""

    @property
    def name(self) -> str:
        """`finn`."""
        return "finn"

    def claims(self, device: Device) -> bool:
        """Whether it is of AMD."""
        return isinstance(device, FpgaTarget) and device.family in FAMILIES

    def calibration(self, target: FpgaTarget) -> str:
        """What FINN's numbers are, and what is not in them."""
        return (
            f"Estimates of FINN+ 1.6.1 for {target.name}, uncalibrated: its formulas, restated and tested equal. "
            "Sums and thresholds are as wide as their formats allow, where FINN takes the width from weights: it says "
            "fewer LUTs, and block RAMs for some thresholds. "
            f"{UNCOUNTED} Latency is the sum of cycles on the longest path, as FINN has it."
        )

    def layer(self, layer: Layer, design: Design, target: FpgaTarget) -> LayerCost:
        """The nodes of one layer, at its own pace; ValueError names the layer where FINN has none."""
        placed = finn_graph.alone(layer, design, _dsp(target))
        return self._price(layer, finn_pace.folded(placed, (layer,), dict(design.folding)), design)

    def layers(self, workload: Workload, design: Design, target: FpgaTarget) -> tuple[LayerCost, ...]:
        """Those of all layers, at the pace of the slowest one."""
        placed = self.placed(workload, design, target)
        own = {layer.name: [one for one in placed if one.layer == layer.name] for layer in workload.layers}
        return tuple(self._price(layer, own[layer.name], design) for layer in workload.layers)

    def placed(self, workload: Workload, design: Design, target: FpgaTarget) -> tuple[Placed, ...]:
        """The nodes that the price is the price of, each after those that it reads; ValueError as for the price."""
        return _placed(workload, design, _dsp(target))

    def latency(self, workload: Workload, design: Design, target: FpgaTarget, layers: Sequence[LayerCost]) -> int:
        """FINN's: the sum of cycles on the longest path."""
        reached: dict[str, int] = {}
        for one in self.placed(workload, design, target):
            reached[one.name] = one.node.cycles + max((reached[name] for name in one.inputs), default=0)
        return max(reached.values())

    def term(self, one: Placed, placed: Sequence[Placed], design: Design) -> Term:
        """The price of one node of a layer, all of whose nodes are `placed`."""
        return Term(one.role, area(one.node), variant=one.node.operation)

    def _price(self, layer: Layer, placed: Sequence[Placed], design: Design) -> LayerCost:
        weighted = layer.kind in WITH_WEIGHTS
        unit = next((one.node for one in placed if weighted and isinstance(one.node, UNITS)), None)
        return LayerCost(
            layer.name,
            tuple(self.term(one, placed, design) for one in placed),
            max(one.node.cycles for one in placed),
            0,  # FINN says nothing of pipelines
            None if unit is None else Folding(unit.pe, unit.simd),
            None if unit is None else unit.accumulator_bits,
        )


def area(node: Node) -> Resources:
    """Of one node."""
    stored = node.luts - WINDOW_LUTS if isinstance(node, ConvolutionInputGenerator) else 0
    return Resources(luts=node.luts, dsps=node.dsps, brams=node.bram18s, urams=node.urams, lutrams=stored)


@lru_cache(maxsize=64)
def _placed(workload: Workload, design: Design, dsp: Dsp) -> tuple[Placed, ...]:
    return finn_pace.folded(finn_graph.graph(workload, design, dsp), workload.layers, dict(design.folding))


def _dsp(target: FpgaTarget) -> Dsp:
    return Dsp(target.dsp.upper())
