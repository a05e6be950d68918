"""Channel splitting: the channels with the largest weights are halved and computed twice.

Zhao et al. 2019, 'Improving Neural Network Quantization without Retraining using Outlier Channel
Splitting' (arXiv 1901.09504), by Brevitas's `GraphChannelSplitting`. The float network computes the
same; its layers are larger, and the larger layers are what is quantised, priced and counted.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from brevitas.graph.channel_splitting import GraphChannelSplitting
from torch import fx

from hwdse.design import Quantizer
from hwdse.quantize import Bench
from hwdse.technique import Sees, Technique
from hwdse.workload import Layer

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # Brevitas's passes still need its copy of fx
    from brevitas.fx import symbolic_trace


@dataclass(frozen=True)
class ChannelSplitting(Technique):
    """Runs Brevitas's pass over the whole float network (it has no smaller scope)."""

    ratio: float = 0.02  # of the channels between two layers, at least one
    inputs: bool = True  # halves the weights that read a channel; else those that make it, and its values with them
    sees: ClassVar[Sees] = Sees.WEIGHTS
    reshapes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1:
            raise ValueError(f"ratio of channel_splitting is above 0 and at most 1, not {self.ratio}")

    def supports(self, layer: Layer, weights: Quantizer | None) -> bool:
        """Any layer with weights; which ones change is decided by what lies between them."""
        return layer.weights > 0

    def apply(self, graph: fx.GraphModule, bench: Bench, layers: Mapping[str, str]) -> None:
        """Changes weights, biases and sizes in place."""
        if set(layers) != set(bench.traced.layers):
            raise ValueError("channel_splitting works on the whole network: it takes no layers")
        view = symbolic_trace(graph)  # Brevitas's fx sees the same modules through a graph of its own
        GraphChannelSplitting(split_ratio=self.ratio, split_input=self.inputs).apply(view)
