"""SVDQuant: a float branch of low rank beside each linear layer takes what quantised weights cannot hold.

Li et al. 2025, 'SVDQuant: Absorbing Outliers by Low-Rank Components for 4-Bit Diffusion Models'
(arXiv 2411.05007), section 4.2, by Brevitas's `LayerwiseLowRankCorrection`: the largest singular
vectors of the weights go into the branch and the rest is quantised, in turns, the best one is kept.
`order = "residual"` is LoRC instead (Yao et al. 2023, 'ZeroQuant-V2', arXiv 2303.08302, section 5): the
weights are quantised as they are, and the branch holds their largest errors. Brevitas has it not.

No free lunch: the branch multiplies in float32, which the accelerator cannot. Its two factors are
layers outside of the accelerator, so every total names them as not paid for; their products are in
the network's, their weights at 32 bits in its weight bits. With `hardware` the branch reads the
quantised inputs of its layer, without it the float ones, as in Brevitas.
"""

import io
from collections.abc import Collection, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from brevitas_examples.common.svd_quant import (
    ErrorCorrectedModule,
    LayerwiseLowRankCorrection,
    LowRankCorrectionModule,
)
from torch import fx, nn

from hwdse.design import Quantizer
from hwdse.quantize import Bench
from hwdse.technique import Sees, Technique
from hwdse.workload import Kind, Layer, Workload

ORDERS = ("weight", "residual")


@dataclass(frozen=True)
class SvdQuant(Technique):
    """Adds a branch of `rank` to the linear layers in scope that have more inputs and outputs than that."""

    rank: int = 8
    iterations: int = 10  # turns of splitting and quantising; of `weight` only
    order: str = "weight"  # what is split first: weight (SVDQuant) or residual (LoRC)
    sees: ClassVar[Sees] = Sees.QUANTIZED_INPUTS
    rebuilds: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise ValueError(f"order of svd_quant is {' or '.join(ORDERS)}, not {self.order!r}")
        if self.rank < 1 or self.iterations < 1:
            raise ValueError(f"rank and iterations of svd_quant are at least 1, not {self.rank}, {self.iterations}")

    def supports(self, layer: Layer, weights: Quantizer | None) -> bool:
        """Linear layers of a higher rank, as in Brevitas; any format, scales per tensor or channel."""
        large = layer.kind is Kind.LINEAR and self.rank < min(layer.rows, layer.dot)
        return large and (weights is None or weights.group is None)

    def charged(self, workload: Workload, layers: Collection[str]) -> Workload:
        """With two factors after each layer, outside of the accelerator."""
        found = [(a, *self._factors(a)) if a.name in layers else (a,) for a in workload.layers]
        return replace(workload, layers=tuple(layer for group in found for layer in group))

    def _factors(self, layer: Layer) -> tuple[Layer, Layer]:
        float32 = replace(layer, kind=Kind.LOW_RANK, inputs=(), outputs=(), bias=False)
        between = (*layer.out_shape[:-1], self.rank)
        down = replace(float32, name=f"{layer.name}.low_rank_down", rows=self.rank, out_shape=between)
        return down, replace(float32, name=f"{layer.name}.low_rank_up", dot=self.rank, in_shape=between)

    def apply(self, graph: fx.GraphModule, bench: Bench, layers: Mapping[str, str]) -> None:
        """Puts a layer and its branch in the place of each layer; needs no data."""
        with torch.no_grad(), redirect_stderr(io.StringIO()):
            if self.order == "residual":
                for path in layers.values():
                    graph.set_submodule(path, self._corrected(graph.get_submodule(path)))
            else:
                others = {path for path, _ in graph.named_modules()} - set(layers.values())
                LayerwiseLowRankCorrection(graph, others).apply(self.rank, self.iterations)
                for path in layers.values():
                    rest: Any = graph.get_submodule(path).get_submodule("layer")
                    rest.quant_weight()  # the first call makes its scale that of the rest

    def _corrected(self, layer: Any) -> nn.Module:
        quantised = layer.quant_weight()
        error = layer.weight - getattr(quantised, "value", quantised)
        u, s, v = torch.linalg.svd(error, full_matrices=False)
        branch = LowRankCorrectionModule(layer.in_features, layer.out_features, self.rank)
        branch.l1.weight.copy_(s[: self.rank, None] * v[: self.rank])
        branch.l2.weight.copy_(u[:, : self.rank])
        return ErrorCorrectedModule(branch, layer)  # type: ignore[no-any-return]
