"""MagR: makes the largest weights smaller without changing what the layer computes on the calibration data.

Zhang et al. 2024, 'MagR: Weight Magnitude Reduction for Enhancing Post-Training Quantization'
(arXiv 2406.00800), by Brevitas's `magr_mode`: proximal gradient steps on the layer's squared output
error plus a penalty on the largest weight of each output channel. Made to go before a method that
rounds with the inputs in view (GPTQ and its kin): alone it may lose.
"""

import io
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from typing import ClassVar

import torch
from brevitas.graph.magr import magr_mode
from torch import fx, nn

from hwdse.quantize import CALIBRATION_BATCH, Bench
from hwdse.technique import Sees, Technique


@dataclass(frozen=True)
class Magr(Technique):
    """Changes the float weights of the layers in scope, all from the inputs of the network as it was."""

    # Of the penalty on the largest weight, in shares of the inputs' covariance: what Brevitas has for LLMs.
    alpha: float = 0.01
    steps: int = 10  # of the proximal gradient
    sees: ClassVar[Sees] = Sees.FLOAT_INPUTS

    def __post_init__(self) -> None:
        if self.alpha <= 0:
            raise ValueError(f"alpha of magr is above 0, not {self.alpha}")

    def apply(self, graph: fx.GraphModule, bench: Bench, layers: Mapping[str, str]) -> None:
        """One pass over the calibration data, then the steps of each layer."""
        scope = [graph.get_submodule(path) for path in layers.values()]
        options = {"alpha": self.alpha, "num_steps": self.steps, "create_weight_orig": False}
        with torch.no_grad(), redirect_stderr(io.StringIO()), _Scoped(graph, scope, options) as mode:
            for images, _ in bench.calibration.batches(CALIBRATION_BATCH):
                graph(images.clone())
            mode.update()
        graph.recompile()  # Brevitas leaves a method of this very graph in its class


class _Scoped(magr_mode):  # type: ignore[misc]
    """Brevitas's, for some layers; its forward never stops early, so one pass shows all layers their inputs."""

    def __init__(self, graph: fx.GraphModule, scope: list[nn.Module], options: dict[str, float | bool]) -> None:
        self._scope = scope
        super().__init__(graph, **options)

    def _is_module_supported(self, module: nn.Module) -> bool:
        return any(module is inside for inside in self._scope)
