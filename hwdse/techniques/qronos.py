"""Qronos: GPFQ's comparison with the float network, solved by GPTQ's way of spreading errors.

Zhang et al. 2025, 'Qronos: Correcting the Past by Shaping the Future in Post-Training Quantization'
(arXiv 2505.11695), as Brevitas does it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import brevitas.graph.qronos as brevitas_qronos
import torch
from torch import fx

from hwdse.design import Quantizer
from hwdse.layer_inputs import original_weights, places
from hwdse.layer_solver import observe, solvable, solve
from hwdse.quantize import Bench
from hwdse.technique import Sees, Technique
from hwdse.workload import Layer


@dataclass(frozen=True)
class Qronos(Technique):
    """Lowers the distance of each layer's output from the float network's."""

    act_order: bool = True  # inputs with the most energy first, as Brevitas's own entry points have it
    blocks: int = 100  # in how many pieces a layer's inputs are worked on: only a matter of speed
    alpha: float = 1e-6  # of the covariance's largest eigenvalue, added to its diagonal
    sees: ClassVar[Sees] = Sees.QUANTIZED_INPUTS

    def supports(self, layer: Layer, weights: Quantizer | None) -> bool:
        """Every layer with weights, in any format, with a scale per tensor or channel."""
        return solvable(layer, weights)

    def apply(self, graph: fx.GraphModule, bench: Bench, layers: Mapping[str, str]) -> None:
        """One pass of the quantised and one of the float network over the calibration data."""
        with original_weights(graph, bench):
            for place in places(graph, bench, layers, originals=True):
                solver = brevitas_qronos.Qronos(
                    place.layer, place.name, self.act_order, 1, True, self.blocks, self.alpha
                )
                observe(solver, place)
                silent = ~solver.H.flatten(1).any(1)  # groups whose inputs are always 0, which Brevitas cannot invert
                solver.H[silent] = torch.eye(solver.H.shape[-1])
                solve(solver, place)
