"""Bias correction: moves each bias by the mean error that quantisation causes in each output channel.

Nagel et al. 2019, 'Data-Free Quantization Through Weight Equalization and Bias Correction'
(arXiv 1906.04721), section 4.2, on calibration data, as Brevitas does it: every layer sees the
inputs of the float-weight network before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from brevitas.graph.calibrate import bias_correction_mode
from torch import fx, nn

from hwdse.quantize import CALIBRATION_BATCH, Bench
from hwdse.technique import Sees, Technique


@dataclass(frozen=True)
class BiasCorrection(Technique):
    """Corrects the biases of the layers in scope; a layer without a bias gets one."""

    sees: ClassVar[Sees] = Sees.QUANTIZED_INPUTS

    def apply(self, graph: fx.GraphModule, bench: Bench, layers: Mapping[str, str]) -> None:
        """One pass over the calibration data."""
        scope = nn.ModuleDict({name.replace(".", "/"): graph.get_submodule(path) for name, path in layers.items()})
        with torch.no_grad(), bias_correction_mode(scope):
            for images, _ in bench.calibration.batches(CALIBRATION_BATCH):
                graph(images)
