"""GPFQ: rounds the weights of a layer one input after the other, each so that the sum so far follows the float one.

Lybrand and Saab 2021, 'A Greedy Algorithm for Quantizing Neural Networks' (arXiv 2010.15979), in the
memory-efficient form of Brevitas. Unlike GPTQ it compares with the float network's inputs, so that a
layer also makes up for the errors of the layers before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import brevitas.graph.gpfq as brevitas_gpfq
from torch import fx

from hwdse.design import Quantizer
from hwdse.layer_inputs import original_weights, places
from hwdse.layer_solver import observe, solvable, solve
from hwdse.quantize import Bench
from hwdse.technique import Sees, Technique
from hwdse.workload import Layer


@dataclass(frozen=True)
class Gpfq(Technique):
    """Lowers the distance of each layer's output from the float network's."""

    act_order: bool = False  # inputs with the most energy first
    sees: ClassVar[Sees] = Sees.QUANTIZED_INPUTS

    def supports(self, layer: Layer, weights: Quantizer | None) -> bool:
        """Every layer with weights, in any format, with a scale per tensor or channel."""
        return solvable(layer, weights)

    def apply(self, graph: fx.GraphModule, bench: Bench, layers: Mapping[str, str]) -> None:
        """One pass of the quantised and one of the float network over the calibration data."""
        with original_weights(graph, bench):
            for place in places(graph, bench, layers, originals=True):
                solver = brevitas_gpfq.GPFQ(place.layer, place.name, self.act_order, 1, True)
                observe(solver, place)
                solve(solver, place)
