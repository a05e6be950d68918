"""Brevitas layers with given weights, and the proof that what they give lies on the format's grid."""

from typing import Any

import brevitas.nn as qnn
import torch
from torch import Tensor, nn

from hwdse.design import Quantizer
from hwdse.formats import limits, values
from hwdse.quantizers import activation_recipe, weight_recipe


def weight_layer(module: nn.Module, quantizer: Quantizer) -> Any:
    """`module` (Conv2d or Linear) as a Brevitas layer with the same weights and bias, in evaluation mode."""
    _check_group(module, quantizer)
    options = {
        "weight_quant": weight_recipe(quantizer).injector,
        "bias": module.bias is not None,
        "return_quant_tensor": False,
    }
    layer: Any
    if isinstance(module, nn.Conv2d):
        shape = (module.in_channels, module.out_channels, module.kernel_size)
        place = {"stride": module.stride, "padding": module.padding, "groups": module.groups}
        layer = qnn.QuantConv2d(*shape, **place, **options)
    elif isinstance(module, nn.Linear):
        layer = qnn.QuantLinear(module.in_features, module.out_features, **options)
    else:
        raise TypeError(f"no Brevitas layer for {type(module).__name__}")
    with torch.no_grad():
        layer.weight.copy_(module.weight)
        if module.bias is not None:
            layer.bias.copy_(module.bias)
        layer.eval().quant_weight()  # the first call initialises the scale, which a state dict lacks before
    return layer


def quantised_weight(layer: Any, name: str, quantizer: Quantizer) -> Tensor:
    """The weights that a Brevitas `layer` multiplies with, checked to lie on the grid of `quantizer`."""
    with torch.no_grad():
        weight = value(layer.quant_weight()).detach()
        scale = value(layer.weight_quant.scale()).detach()
    check_grid(weight, scale, name, quantizer)
    return weight


def _check_group(module: nn.Module, quantizer: Quantizer) -> None:
    """ValueError unless groups divide the inputs of `module`; Brevitas would pad the last one."""
    weight = module.get_parameter("weight")  # rows x inputs of one convolution group x kernel
    if quantizer.group is not None and weight.shape[1] % quantizer.group:
        raise ValueError(f"a group of {quantizer.group} divides the inputs of a layer, not {weight.shape[1]}")


def activation_layer(quantizer: Quantizer, dimension: int | None = None) -> Any:
    """A `QuantIdentity`, not calibrated yet; groups run along `dimension` and need no calibration."""
    injector = activation_recipe(quantizer, dimension).injector
    return qnn.QuantIdentity(act_quant=injector, return_quant_tensor=False).eval()


def effective_state(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the state of `model`, with the weights that its Brevitas layers multiply with for those they store.

    What quantisation rounds away again is no difference.
    """
    with torch.no_grad():
        state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
        for path, module in model.named_modules():
            if isinstance(module, qnn.QuantConv2d | qnn.QuantLinear):
                state[f"{path}.weight"] = value(module.quant_weight()).clone()
    return state


def check_grid(weight: Tensor, scale: Tensor, name: str, quantizer: Quantizer) -> None:
    """ValueError unless every quantised weight is a value of the format times its scale, exactly in float32.

    `scale` broadcasts to `weight`.
    """
    low, high = limits(quantizer.format, quantizer.narrow)
    grid = torch.tensor([v for v in values(quantizer.format) if low <= v <= high])
    index = torch.searchsorted(grid, (weight / scale).contiguous()).clamp(1, len(grid) - 1)
    near = (grid[index - 1] * scale == weight) | (grid[index] * scale == weight)
    if not bool(near.all()):
        raise ValueError(f"{int((~near).sum())} weights of layer {name!r} are off the grid of {quantizer.name}")


def value(x: Any) -> Tensor:
    tensor: Tensor = getattr(x, "value", x)  # a QuantTensor holds its value
    return tensor
