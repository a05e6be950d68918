"""FINN's accelerator of a design with what FINN's estimates leave out: the nodes of `finn`, priced as they are built.

DSPs follow the rule of FINN's RTL; LUTs and flip-flops of nodes in RTL are fitted to the synthesis of that RTL with
yosys, each with a 90 % interval. Nodes in HLS, block RAM, cycles and latency are as in `finn`: `hwdse.finn_area`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hwdse import finn_fits
from hwdse.cost import Term
from hwdse.cost_models.finn import Finn
from hwdse.design import Design
from hwdse.finn_area import Context, corrected
from hwdse.finn_graph import Placed
from hwdse.finn_nodes import ConvolutionInputGenerator, FMPadding
from hwdse.finn_types import Weights
from hwdse.target import FpgaTarget

OWN = "FINN's own formula"  # the variant of a term that is not corrected


@dataclass(frozen=True)
class FinnCorrected(Finn):
    """No settings: FINN's defaults."""

    @property
    def name(self) -> str:
        """`finn-corrected`."""
        return "finn-corrected"

    def calibration(self, target: FpgaTarget) -> str:
        """What is corrected, how far to trust it, and what is still FINN's."""
        return (
            f"No estimates of FINN's own for {target.name}: FINN+ 1.6.1 as hwdse corrects it. DSPs follow FINN's RTL; "
            f"LUTs and flip-flops of its units in RTL are {finn_fits.summary()}. Units in HLS (matrix-vector "
            "units below 4 bits, pools, adders, scales) are as FINN says, without flip-flops, and so are cycles and "
            "block RAM, but for long vectors; there are no queues and width converters. LUTs of all families count as "
            "those of UltraScale+, but for RAM."
        )

    def term(self, one: Placed, placed: Sequence[Placed], design: Design) -> Term:
        """With an interval where the node is corrected."""
        found = corrected(one.node, Context(_narrow(one, design), _stream_bits(one, placed)))
        variant = f"{one.node.operation}, {'corrected' if found.low is not None else OWN}"
        return Term(one.role, found.area, found.low, found.high, variant)


def _narrow(one: Placed, design: Design) -> bool:
    """Whether the weights have no least number of their bits; those of a shortcut are ones and zeros."""
    quantizer = dict(design.weights).get(one.layer)
    return quantizer is None or Weights.of(quantizer).narrow


def _stream_bits(one: Placed, placed: Sequence[Placed]) -> int:
    """Of an element that is padded, which the window behind it reads; 0 of other nodes."""
    if not isinstance(one.node, FMPadding):
        return 0
    (window,) = (other.node for other in placed if one.name in other.inputs)
    assert isinstance(window, ConvolutionInputGenerator)
    return window.input_bits
