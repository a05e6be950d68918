"""AutoRound: learns an offset of up to half a step for each weight before it is rounded, by signed gradient descent.

Cheng et al. 2023, 'Optimize Weight Rounding via Signed Gradient Descent for the Quantization of LLMs'
(arXiv 2309.05516), layer by layer as Brevitas's parametrisation has it, without its tuning of the
scales. Of all iterates the best is kept, here for each output channel by itself, and from all
calibration data at once where the paper draws batches.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from brevitas.core.function_wrapper.learned_round import LearnedRoundIdentity
from brevitas.optim.sign_sgd import SignSGD
from torch import fx

from hwdse.design import Quantizer
from hwdse.layer_inputs import original_weights, places
from hwdse.layer_solver import roundable
from hwdse.quantize import Bench
from hwdse.rounding_descent import Descent, grid, objective
from hwdse.technique import Sees, Technique
from hwdse.workload import Layer


@dataclass(frozen=True)
class AutoRound(Technique):
    """Lowers the distance of each layer's output from the float network's; never raises it on the calibration data."""

    iterations: int = 200  # as in the paper, which then takes a learning rate of 1 / iterations
    lr: float = 0.005  # of a step, falling to 0
    sees: ClassVar[Sees] = Sees.QUANTIZED_INPUTS

    def supports(self, layer: Layer, weights: Quantizer | None) -> bool:
        """Every layer with weights of more than one bit, in any format, with a scale per tensor or channel."""
        return roundable(layer, weights)

    def apply(self, graph: fx.GraphModule, bench: Bench, layers: Mapping[str, str]) -> None:
        """One pass of both networks over the calibration data, and `iterations` for each layer."""
        rates = [1 - done / self.iterations for done in range(self.iterations)]
        with original_weights(graph, bench):
            for place in places(graph, bench, layers, originals=True):
                around = grid(place.layer, place.layer.weight.detach())
                descent = Descent(
                    LearnedRoundIdentity(), around.position, partial(SignSGD, lr=self.lr), rates, lambda *_: 0.0
                )
                start = torch.zeros_like(around.weight)
                place.layer.weight.data = descent.run(start, around, objective(place))
