"""What each torch operator is to the accelerator, and how its geometry is read off.

Adding an operator is adding it to one of these tables.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own convention
from torch import fx, nn

from hwdse.attention import CausalSoftmax
from hwdse.hadamard import Hadamard
from hwdse.workload import Kind, Layer

Target = Any  # fx calls it that: a module's class, a function, or a method's name

# How `torch.export` writes moves.
_ATEN = torch.ops.aten
EXPORTED_MOVES: frozenset[Target] = frozenset(
    {_ATEN.view.default, _ATEN._unsafe_view.default, _ATEN.reshape.default, _ATEN.transpose.int, _ATEN.permute.default}
    | {_ATEN.unsqueeze.default, _ATEN.squeeze.dim, _ATEN.expand.default, _ATEN.clone.default, _ATEN.slice.Tensor}
    | {_ATEN.contiguous.default, _ATEN.split.Tensor}
)
# Values pass unchanged, at most rearranged, repeated, left out or joined by zeros.
MOVES: frozenset[Target] = frozenset(
    {nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Unflatten, nn.ZeroPad2d}
    | {torch.flatten, torch.reshape, torch.permute, torch.transpose, torch.chunk, torch.split, torch.squeeze}
    | {torch.unsqueeze, torch.unbind, torch.cat, torch.concat, operator.getitem, F.pad, F.dropout}
    | {"view", "reshape", "flatten", "permute", "transpose", "contiguous", "chunk", "split", "unbind", "expand"}
    | EXPORTED_MOVES
    | {"squeeze", "unsqueeze", "clone", "detach", "repeat", "expand_as", "unflatten"}
)
BY_CHANNEL: frozenset[Target] = frozenset({nn.BatchNorm1d, nn.BatchNorm2d})  # functions that differ by channel
RELUS: frozenset[Target] = frozenset({nn.ReLU, F.relu, torch.relu, "relu", "relu_"})
# Monotone per channel, so that they and the quantiser after them are thresholds on what came before.
FOLDS: frozenset[Target] = frozenset(
    {nn.ReLU6, nn.Hardtanh, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Hardsigmoid}
    | {F.relu6, F.hardtanh, F.leaky_relu, torch.sigmoid}
    | {torch.tanh, torch.clamp, "sigmoid", "tanh", "clamp"}
    | BY_CHANNEL
    | RELUS
)
SCALES: frozenset[Target] = frozenset({operator.mul, operator.truediv, torch.mul, torch.div, "mul", "div"})
ADDS: frozenset[Target] = frozenset({operator.add, operator.iadd, torch.add, "add", "add_"})
KINDS: dict[Target, Kind] = {
    nn.Conv2d: Kind.CONV,
    nn.Linear: Kind.LINEAR,
    operator.matmul: Kind.MATMUL,
    torch.matmul: Kind.MATMUL,
    torch.bmm: Kind.MATMUL,
    "matmul": Kind.MATMUL,
    "bmm": Kind.MATMUL,
    nn.MaxPool2d: Kind.MAX_POOL,
    F.max_pool2d: Kind.MAX_POOL,
    nn.AvgPool2d: Kind.AVG_POOL,
    nn.AdaptiveAvgPool2d: Kind.AVG_POOL,
    F.avg_pool2d: Kind.AVG_POOL,
    F.adaptive_avg_pool2d: Kind.AVG_POOL,
    torch.mean: Kind.AVG_POOL,
    "mean": Kind.AVG_POOL,
    nn.GELU: Kind.TABLE,
    nn.SiLU: Kind.TABLE,
    nn.Hardswish: Kind.TABLE,
    F.gelu: Kind.TABLE,
    F.silu: Kind.TABLE,
    F.hardswish: Kind.TABLE,
    nn.LayerNorm: Kind.NORM,
    nn.GroupNorm: Kind.NORM,
    F.layer_norm: Kind.NORM,
    nn.Softmax: Kind.SOFTMAX,
    F.softmax: Kind.SOFTMAX,
    torch.softmax: Kind.SOFTMAX,
    "softmax": Kind.SOFTMAX,
    CausalSoftmax: Kind.SOFTMAX,
    nn.Embedding: Kind.EMBEDDING,
    torch.ops.aten.matmul.default: Kind.MATMUL,
    torch.ops.aten.softmax.int: Kind.SOFTMAX,
    Hadamard: Kind.ROTATION,
}
OPERANDS = {Kind.MATMUL: 2, Kind.ADD: 2}


def _pair(x: int | tuple[int, ...]) -> tuple[int, int]:
    return (x, x) if isinstance(x, int) else (x[0], x[-1])


def _conv(layer: Layer, node: fx.Node, module: nn.Module | None) -> Layer:
    assert isinstance(module, nn.Conv2d)
    if isinstance(module.padding, str) or module.padding_mode != "zeros" or tuple(module.dilation) != (1, 1):
        raise ValueError(f"a convolution has numeric zero padding and no dilation, unlike {layer.name!r}")
    kernel = (module.kernel_size[0], module.kernel_size[1])
    return replace(
        layer,
        dot=prod(kernel) * module.in_channels // module.groups,
        groups=module.groups,
        kernel=kernel,
        stride=(module.stride[0], module.stride[1]),
        padding=(module.padding[0], module.padding[1]),
        bias=module.bias is not None,
    )


def _linear(layer: Layer, node: fx.Node, module: nn.Module | None) -> Layer:
    assert isinstance(module, nn.Linear)
    positions = prod(layer.out_shape[:-1])
    bias = module.bias is not None
    return replace(layer, rows=module.out_features, dot=module.in_features, positions=positions, bias=bias)


def _matmul(layer: Layer, node: fx.Node, module: nn.Module | None) -> Layer:
    heads = prod(layer.out_shape[:-2])
    rows, positions = heads * layer.out_shape[-1], layer.out_shape[-2]
    return replace(layer, rows=rows, dot=layer.in_shape[-1], positions=positions, groups=heads)


@dataclass(frozen=True, slots=True)
class _Pool:
    """The window of a pool, as torch is told it."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    counts_padding: bool  # whether an average is of the padding too
    divisor: int | None  # of an average; None: the pixels that it is of

    def size(self, image: tuple[int, ...]) -> tuple[int, ...]:
        """Whole windows in an image, in each direction."""
        sides = zip(image, self.kernel, self.stride, self.padding, strict=True)
        return tuple((size + 2 * pad - taps) // stride + 1 for size, taps, stride, pad in sides)


def _pool(layer: Layer, node: fx.Node, module: nn.Module | None) -> Layer:
    pool = _window(node, module)
    if layer.inputs and (rule := _no_pool(layer, node, pool)):
        raise ValueError(f"{rule}, unlike {layer.name!r}")
    if pool is None:  # global or adaptive: each output sees its share
        return replace(layer, dot=max(1, prod(layer.in_shape) // prod(layer.out_shape)))
    return replace(layer, dot=prod(pool.kernel), kernel=pool.kernel, stride=pool.stride, padding=pool.padding)


def _no_pool(layer: Layer, node: fx.Node, pool: _Pool | None) -> str:
    """The rule of an accelerator's pools that this one breaks, or nothing."""
    if pool is None:
        own = node.target not in (torch.mean, "mean") or _over_positions(node, len(layer.in_shape) + 1)
        return "" if own else "a mean is over all pixels, or all tokens, and nothing else"
    if pool.dilation != (1, 1):
        return "a pool has no dilation"
    if max(pool.padding) > 0 and not pool.counts_padding:
        return "an average with padding counts it"
    if pool.divisor not in (None, prod(pool.kernel)):
        return "an average is divided by the pixels of its window"
    if pool.size(layer.in_shape[-2:]) != layer.out_shape[-2:]:  # of ceil_mode
        return "the windows of a pool are whole"
    return ""


def _over_positions(node: fx.Node, rank: int) -> bool:
    """Whether a mean of a tensor of `rank` dimensions is over its pixels, or its tokens."""
    given: Any = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", node.kwargs.get("axis"))
    dims = [given] if isinstance(given, int) else list(given or ())
    return sorted(dim % rank for dim in dims) == ([2, 3] if rank == 4 else [1])


def _window(node: fx.Node, module: nn.Module | None) -> _Pool | None:
    """The window of a pool, if it has one."""
    names = _ARGUMENTS.get(node.target)
    if isinstance(module, (nn.MaxPool2d, nn.AvgPool2d)):
        given: dict[str, Any] = vars(module)
    elif names is not None:
        given = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    else:
        return None
    kernel = given["kernel_size"]
    return _Pool(
        _pair(kernel),
        _pair(given.get("stride") or kernel),
        _pair(given.get("padding", 0)),
        _pair(given.get("dilation", 1)),
        given.get("count_include_pad", True),
        given.get("divisor_override"),
    )


_ARGUMENTS: dict[Target, tuple[str, ...]] = {
    F.max_pool2d: ("input", "kernel_size", "stride", "padding", "dilation"),
    F.avg_pool2d: (
        *("input", "kernel_size", "stride", "padding"),
        *("ceil_mode", "count_include_pad", "divisor_override"),
    ),
}


def _elementwise(layer: Layer, node: fx.Node, module: nn.Module | None) -> Layer:
    return replace(layer, dot=OPERANDS.get(layer.kind, 1))


GEOMETRY: dict[Kind, Callable[[Layer, fx.Node, nn.Module | None], Layer]] = {
    Kind.CONV: _conv,
    Kind.LINEAR: _linear,
    Kind.MATMUL: _matmul,
    Kind.MAX_POOL: _pool,
    Kind.AVG_POOL: _pool,
    Kind.ADD: _elementwise,
    Kind.TABLE: _elementwise,
    Kind.NORM: _elementwise,
    Kind.SOFTMAX: _elementwise,
    Kind.ROTATION: _elementwise,
    Kind.EMBEDDING: _elementwise,
    Kind.OTHER: _elementwise,
}


def refusal(target: Target, node: fx.Node, module: nn.Module | None) -> str:
    """The rule that a call breaks by its arguments, or nothing."""
    if target in ADDS and node.kwargs.get("alpha", 1) != 1:
        return "an add has no factor"
    if target is F.pad and (node.kwargs.get("mode", "constant") != "constant" or node.kwargs.get("value")):
        return "padding is by zeros"
    if target is F.pad and len(node.args) > 2:
        return "padding by zeros names its mode and value"
    if isinstance(module, nn.LeakyReLU) and module.negative_slope < 0:
        return "a leaky ReLU has a slope of at least zero"
    if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.running_mean is None:
        return "a batch norm has kept its statistics"  # else they are those of whatever is in a batch
    if isinstance(module, nn.MaxPool2d) and module.return_indices:
        return "a max pool gives no indices"
    return ""
