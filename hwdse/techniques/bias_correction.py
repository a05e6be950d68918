"""Bias correction: moves each bias by the mean error that quantisation causes in each output channel.

Nagel et al. 2019, 'Data-Free Quantization Through Weight Equalization and Bias Correction'
(arXiv 1906.04721), section 4.2, on calibration data, as Brevitas does it: every layer sees the
inputs of the float-weight network before it, whichever layers are corrected.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from brevitas.graph.calibrate import bias_correction_mode
from torch import Tensor, fx, nn

from hwdse.layer_inputs import original_weights
from hwdse.quantize import CALIBRATION_BATCH, Bench
from hwdse.technique import Sees, Technique
from hwdse.workload import Workload


@dataclass(frozen=True)
class BiasCorrection(Technique):
    """Corrects the biases of the layers in scope; a layer without a bias gets one."""

    sees: ClassVar[Sees] = Sees.QUANTIZED_INPUTS

    def charged(self, workload: Workload, layers: Collection[str]) -> Workload:
        """With a bias in every layer."""
        return workload.biased(layers)

    def apply(self, graph: fx.GraphModule, bench: Bench, layers: Mapping[str, str]) -> None:
        """One pass over the calibration data."""
        scope = nn.ModuleDict({name.replace(".", "/"): graph.get_submodule(path) for name, path in layers.items()})
        others = [path for name, path in bench.traced.layers.items() if name not in layers]
        with torch.no_grad(), original_weights(graph, bench), ExitStack() as stack:
            for path in others:
                stack.enter_context(_float_outputs(graph.get_submodule(path), bench.traced.graph.get_submodule(path)))
            stack.enter_context(bias_correction_mode(scope))
            for images, _ in bench.calibration.batches(CALIBRATION_BATCH):
                graph(images.clone())  # a network may work in place


@contextmanager
def _float_outputs(layer: nn.Module, original: nn.Module) -> Iterator[None]:
    """Lets `layer` give what `original` does for its inputs, as Brevitas lets the layers that it corrects."""

    def replace(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        result: Tensor = original(*inputs)
        return result

    with layer.register_forward_hook(replace):
        yield
