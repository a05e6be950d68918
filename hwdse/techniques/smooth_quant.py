"""SmoothQuant: moves the range of outlying activation channels into the weights that read them.

Xiao et al. 2023, 'SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language
Models' (arXiv 2211.10438), equation 4, by Brevitas's `GraphActivationEqualization`: channel j is
divided by max|X_j|**alpha / max|W_j|**(1 - alpha), and the weights that read it are multiplied by
it. The division is merged into the layers and norms that make the tensor, so it costs nothing; it is
left out where it cannot be merged (behind a GELU, a softmax, a flattened image or the input).
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from brevitas.graph.equalize import GraphActivationEqualization
from torch import fx

from hwdse.design import Quantizer
from hwdse.quantize import CALIBRATION_BATCH, Bench
from hwdse.technique import Sees, Technique
from hwdse.workload import Layer

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # Brevitas's passes still need its copy of fx
    from brevitas.fx import symbolic_trace


@dataclass(frozen=True)
class SmoothQuant(Technique):
    """Equalises the inputs of the layers in scope; a tensor with a reader outside of it stays as it is."""

    alpha: float = 0.5  # 0 to 1: how much of the difficulty moves from the activations to the weights
    sees: ClassVar[Sees] = Sees.FLOAT_INPUTS

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha of smooth_quant is 0 to 1, not {self.alpha}")

    def supports(self, layer: Layer, weights: Quantizer | None) -> bool:
        """Layers whose inputs Brevitas scales one by one: all but grouped convolutions that are not depthwise."""
        return layer.weights > 0 and (layer.groups == 1 or layer.depthwise)

    def apply(self, graph: fx.GraphModule, bench: Bench, layers: Mapping[str, str]) -> None:
        """One pass over the calibration data; changes weights and biases, the function stays."""
        scope = set(layers.values())
        view = symbolic_trace(graph)  # Brevitas's fx sees the same modules through a graph of its own
        method = GraphActivationEqualization(view, add_mul_node=False)
        method.regions = [region for region in method.regions if scope.issuperset(region.sinks_names)]
        with torch.no_grad():
            method.setup()
            for images, _ in bench.calibration.batches(CALIBRATION_BATCH):
                view(images.clone())
            method.apply(self.alpha)
