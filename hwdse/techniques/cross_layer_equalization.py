"""Cross-layer equalisation: evens out the weight ranges of channels between neighbouring layers.

Nagel et al. 2019, 'Data-Free Quantization Through Weight Equalization and Bias Correction'
(arXiv 1906.04721), section 4.1. A ReLU lets a channel be scaled up in one layer and down in the
next, so the float network computes the same and per-tensor scales waste less.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from brevitas.graph.equalize import EqualizeGraph
from torch import fx

from hwdse.design import Quantizer
from hwdse.quantize import Bench
from hwdse.technique import Sees, Technique
from hwdse.workload import Layer

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # Brevitas's passes still need its copy of fx
    from brevitas.fx import symbolic_trace


@dataclass(frozen=True)
class CrossLayerEqualization(Technique):
    """Runs Brevitas's pass over the whole float network (it has no smaller scope)."""

    iterations: int = 20  # as in the experiments of the root paper
    merge_bias: bool = True
    sees: ClassVar[Sees] = Sees.WEIGHTS

    def supports(self, layer: Layer, weights: Quantizer | None) -> bool:
        """Any layer with weights; which ones change is decided by what lies between them."""
        return layer.weights > 0

    def apply(self, graph: fx.GraphModule, bench: Bench, layers: Mapping[str, str]) -> None:
        """Changes the weights and biases in place."""
        if set(layers) != set(bench.traced.layers):
            raise ValueError("cross_layer_equalization works on the whole network: it takes no layers")
        view = symbolic_trace(graph)  # Brevitas's fx sees the same modules through a graph of its own
        EqualizeGraph(iterations=self.iterations, merge_bias=self.merge_bias).apply(view)
