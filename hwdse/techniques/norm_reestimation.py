"""Re-estimation of batch norms: each output channel gets back the mean and the spread that it had in float.

Sun et al. 2019, 'Hybrid 8-bit Floating Point (HFP8) Training and Inference for Deep Neural Networks'
(NeurIPS 2019, section 4.1), estimate the statistics of batch norms again under quantisation. Here a
norm is merged into its layer before anything is quantised, so the same is said of the merged layer: its
output over the calibration data has mean beta and spread |gamma| in float, and gets them again by a
gain and a shift of each channel. The shift goes into the bias and the gain into the weights and their
scale together, so the codes of the weights stay. Layers without a norm in the float network are treated
alike: their float statistics stand for it.

Brevitas's `norm_correction_mode` (0.13.4) needs norms that are not merged. Where it runs, its mean is
ours; its variance is not: it ends at sqrt(old * new) where `old / a` should read `old / a**2`.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, fx, nn

from hwdse.design import Quantizer
from hwdse.quantize import CALIBRATION_BATCH, Bench
from hwdse.technique import Sees, Technique
from hwdse.workload import Layer, Workload


@dataclass(frozen=True)
class NormReestimation(Technique):
    """Corrects the layers in scope one after the other, each with all before it corrected."""

    sees: ClassVar[Sees] = Sees.QUANTIZED_INPUTS

    def supports(self, layer: Layer, weights: Quantizer | None) -> bool:
        """Layers whose scales, one for each channel, take any gain: not a shared one, not a power of two."""
        return layer.weights > 0 and (weights is None or (weights.granularity, weights.scale) == ("channel", "float"))

    def charged(self, workload: Workload, layers: Collection[str]) -> Workload:
        """With a bias in every layer."""
        return workload.biased(layers)

    def apply(self, graph: fx.GraphModule, bench: Bench, layers: Mapping[str, str]) -> None:
        """One pass of the float network, and one of the quantised network per layer."""
        paths = tuple(layers.values())
        with torch.no_grad():
            wanted = _statistics(bench.traced.graph, bench, paths)
            for path in paths:
                _correct(graph.get_submodule(path), _statistics(graph, bench, (path,))[path], wanted[path])


@dataclass(frozen=True)
class Statistics:
    """Of each output channel over all images and places, float64."""

    mean: Tensor
    variance: Tensor  # biased


def _statistics(graph: fx.GraphModule, bench: Bench, paths: tuple[str, ...]) -> dict[str, Statistics]:
    """Of the outputs of the layers at `paths`, over the calibration data."""
    sums = {path: [torch.zeros(()).double()] * 3 for path in paths}  # count, sum, sum of squares

    def add(path: str, output: Tensor) -> None:
        values = _channels(graph.get_submodule(path), output).double()
        new = torch.tensor(values.shape[1]), values.sum(1), (values**2).sum(1)
        sums[path] = [old + more for old, more in zip(sums[path], new, strict=True)]

    hooks = [
        graph.get_submodule(path).register_forward_hook(lambda module, inputs, output, at=path: add(at, output))
        for path in paths
    ]
    for images, _ in bench.calibration.batches(CALIBRATION_BATCH):
        graph(images.clone())
    for hook in hooks:
        hook.remove()
    return {path: _of(*parts) for path, parts in sums.items()}


def _of(count: Tensor, total: Tensor, squares: Tensor) -> Statistics:
    mean = total / count
    return Statistics(mean, (squares / count - mean**2).clamp(min=0))


def _channels(layer: nn.Module, output: Tensor) -> Tensor:
    """`channels x values`: channels of images come second, of tokens and vectors last."""
    return output.movedim(1 if isinstance(layer, nn.Conv2d) else -1, 0).flatten(1)


def _correct(layer: Any, found: Statistics, wanted: Statistics) -> None:
    """Gives the outputs of the Brevitas `layer` the mean and variance `wanted`; a channel without variance no gain."""
    gain = torch.where(found.variance > 0, (wanted.variance / found.variance).sqrt(), 1.0)
    gain = torch.where(gain > 0, gain, 1.0)
    shape = (-1, *[1] * (layer.weight.dim() - 1))
    weight = layer.quant_weight()
    layer.weight.copy_(getattr(weight, "value", weight) * gain.reshape(shape).float())
    for scale in _scales(layer):
        scale.mul_(gain.reshape(scale.shape).float())
    old = torch.zeros(()) if layer.bias is None else layer.bias
    bias = (gain * (old.double() - found.mean) + wanted.mean).float()
    if layer.bias is None:
        layer.register_parameter("bias", nn.Parameter(bias))
    else:
        layer.bias.copy_(bias)


def _scales(layer: Any) -> Iterator[Tensor]:
    """The parameter that holds the scales of the weights."""
    (scale,) = [p for name, p in layer.weight_quant.named_parameters() if name.endswith("scaling_impl.value")]
    yield scale
