"""Float networks to try techniques on: with outliers, and how far roundings can move their logits."""

from copy import deepcopy
from functools import cache
from itertools import product

import torch
from torch import Tensor, fx, nn

from hwdse.quantize import Bench
from tests.hwdse.networks import network, split

UNIT = 2.0**-24  # the largest relative error of one float32 rounding


@cache
def vit_with_outliers(factor: float = 32.0, channels: int = 2, *, hardware: bool = True) -> Bench:
    """The bench of `digits-vit` with channels that are `factor` (a power of two) larger after each block's norms.

    The weights that read them are smaller by as much: the function is the same to the last bit.
    """
    model = network("vit")
    with torch.no_grad():
        for block in model.get_submodule("blocks").children():
            attention = block.get_submodule("attention")
            for norm, readers in (("norm1", [attention]), ("norm2", [block.get_submodule("fc1")])):
                _scale(block.get_submodule(norm), readers, factor, channels)
    return Bench.of(model, split("calibration"), "vit", hardware=hardware)


def _scale(norm: nn.Module, readers: list[nn.Module], factor: float, channels: int) -> None:
    for tensor in norm.parameters():
        tensor[:channels] *= factor
    for reader in readers:
        names = ("q", "k", "v") if hasattr(reader, "q") else ("",)
        for name in names:
            reader.get_submodule(name).get_parameter("weight")[:, :channels] /= factor


def rounding_bound(graph: fx.GraphModule, images: Tensor, roundings: int) -> Tensor:
    """How far each logit can move if every parameter is rounded that often; `n x classes`, float64.

    To first order sum |dy / dw| |w| times the relative error, which is below 1e-6: the second order
    is far below the 1 % that are added.
    """
    model = deepcopy(graph).double()
    logits = model(images.double())
    bound = torch.zeros_like(logits)
    for index in product(*map(range, logits.shape)):
        slopes = torch.autograd.grad(logits[index], list(model.parameters()), retain_graph=True)
        total = sum(float((s * w).detach().abs().sum()) for s, w in zip(slopes, model.parameters(), strict=True))
        bound[index] = 1.01 * roundings * UNIT * total
    return bound


def distance(graph: fx.GraphModule, other: fx.GraphModule, images: Tensor) -> Tensor:
    """How far the logits are apart, computed in float64."""
    with torch.no_grad():
        result: Tensor = (deepcopy(graph).double()(images.double()) - deepcopy(other).double()(images.double())).abs()
    return result


def noise(on: Bench, model: fx.GraphModule) -> float:
    """The squared error of the logits of `model` as a share of the float network's, on the search images."""
    images = split("search").images
    with torch.no_grad():
        signal, error = on.traced.graph(images.clone()), on.traced.graph(images.clone()) - model(images.clone())
    return float((error**2).sum() / (signal**2).sum())
