"""Learned rounding: AdaRound, which pulls each weight softly to the neighbour that keeps its layer's output.

Nagel et al. 2020, 'Up or Down? Adaptive Rounding for Post-Training Quantization' (arXiv 2004.10568),
on the quantised inputs of each layer and without its activation function, as Brevitas does it. For
minifloats the two neighbours of a weight are those of its own binade: Chen et al. 2025, 'FP4DiT' (arXiv 2503.15465).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from brevitas.core.function_wrapper.learned_round import LearnedRoundHardSigmoid
from torch import Tensor, fx

from hwdse.design import Quantizer
from hwdse.layer_inputs import original_weights, places
from hwdse.layer_solver import roundable
from hwdse.quantize import Bench
from hwdse.rounding_descent import Descent, grid, hard_sigmoid_start, objective
from hwdse.technique import Sees, Technique
from hwdse.workload import Layer

WARM_UP = 0.2  # of the iterations, without the penalty (AdaRound, and Brevitas's default)
SHARPNESS = (20.0, 2.0)  # of the penalty, from the end of the warm-up to the end (AdaRound, and Brevitas's default)


@dataclass(frozen=True)
class LearnedRounding(Technique):
    """Lowers the distance of each layer's output from the float network's; never raises it on the calibration data."""

    iterations: int = 300
    lr: float = 0.05
    penalty: float = 0.01  # for a weight in the middle, where the mean error by rounding to the nearest is 1
    sees: ClassVar[Sees] = Sees.QUANTIZED_INPUTS

    def supports(self, layer: Layer, weights: Quantizer | None) -> bool:
        """Every layer with weights of more than one bit, in any format, with a scale per tensor or channel."""
        return roundable(layer, weights)

    def apply(self, graph: fx.GraphModule, bench: Bench, layers: Mapping[str, str]) -> None:
        """One pass of both networks over the calibration data, and `iterations` for each layer."""
        with original_weights(graph, bench):
            for place in places(graph, bench, layers, originals=True):
                around = grid(place.layer, place.layer.weight.detach())
                rounding = LearnedRoundHardSigmoid()
                descent = Descent(
                    rounding,
                    torch.zeros(()),
                    partial(torch.optim.Adam, lr=self.lr),
                    [1.0] * self.iterations,
                    self._penalty,
                )
                start = hard_sigmoid_start(around.position, rounding)
                place.layer.weight.data = descent.run(start, around, objective(place))

    def _penalty(self, iteration: int, place: Tensor) -> Tensor | float:
        """What keeps the places from the middle, more and more (AdaRound, equation 24)."""
        done = (iteration / self.iterations - WARM_UP) / (1 - WARM_UP)
        if done < 0:
            return 0.0
        sharpness = SHARPNESS[0] + done * (SHARPNESS[1] - SHARPNESS[0])
        return self.penalty * (1 - (2 * place - 1).abs().pow(sharpness)).sum()
