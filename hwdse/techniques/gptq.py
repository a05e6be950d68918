"""GPTQ: rounds the weights of a layer one input after the other and makes up for each error with those that are left.

Frantar et al. 2022, 'GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers' (arXiv 2210.17323), as Brevitas does it, on the inputs that the quantised network before the layer gives.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import brevitas.graph.gptq as brevitas_gptq
from torch import fx

from hwdse.design import Quantizer
from hwdse.layer_inputs import places
from hwdse.layer_solver import observe, solvable, solve
from hwdse.quantize import Bench
from hwdse.technique import Sees, Technique
from hwdse.workload import Layer


@dataclass(frozen=True)
class Gptq(Technique):
    """Lowers the error of each layer's output for its quantised inputs."""

    act_order: bool = False  # inputs with the most energy first
    blocks: int = 100  # in how many pieces a layer's inputs are worked on: only a matter of speed
    damping: float = 0.01  # of the mean of the Hessian's diagonal, added to it
    sees: ClassVar[Sees] = Sees.QUANTIZED_INPUTS

    def supports(self, layer: Layer, weights: Quantizer | None) -> bool:
        """Every layer with weights, in any format, with a scale per tensor or channel."""
        return solvable(layer, weights)

    def apply(self, graph: fx.GraphModule, bench: Bench, layers: Mapping[str, str]) -> None:
        """One pass over the calibration data."""
        for place in places(graph, bench, layers):
            solver = brevitas_gptq.GPTQ(place.layer, place.name, self.act_order, 1, False, self.blocks)
            observe(solver, place)
            solve(solver, place, percdamp=self.damping)
