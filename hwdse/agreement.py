"""How far two float32 evaluations of one Brevitas model can be apart, tensor by tensor, and whether two are nearer.

Both compute the same sums of the same float32 products in an order of their own. A sum of n products is off by at most
g(n) = n u / (1 - n u) times the sum of their magnitudes, in any order (Higham, Accuracy and Stability of Numerical
Algorithms, 2002, section 3.1), so that two of them differ by at most twice that, which no function in between enlarges.
A quantiser makes equal codes of equal numbers; where its inputs differ within the bound, codes may differ. Such codes
are counted, and the image is not followed behind them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import brevitas.nn as qnn
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from hwdse.brevitas_layers import value
from hwdse.operators import ADDS
from hwdse.trace import target_of

UNIT = 2.0**-24  # of roundoff: half of the distance of two float32 numbers from 1 to 2


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two evaluations beside each other."""

    images: int = 0
    codes: int = 0  # that were compared
    moved: int = 0  # of them, that differ because roundings move a number across a threshold
    followed: int = 0  # images of whose codes none differs
    difference: float = 0.0  # of their logits, the largest
    bound: float = 0.0  # on it, the largest

    def __add__(self, other: "Agreement") -> "Agreement":
        """Both together."""
        return Agreement(
            self.images + other.images,
            self.codes + other.codes,
            self.moved + other.moved,
            self.followed + other.followed,
            max(self.difference, other.difference),
            max(self.bound, other.bound),
        )

    @property
    def text(self) -> str:
        """In words."""
        codes = f"{self.moved} of {self.codes:,} codes on {self.images} images differ, by roundings"
        logits = f"the logits differ by {self.difference:.2g} at most"
        return f"{codes}; {logits}, and {self.bound:.2g} is the bound of their roundings"


def tensors(model: fx.GraphModule) -> tuple[str, ...]:
    """The tensors that `compare` reads of another evaluation."""
    pairs = [(str(q.args[0]), q.name) for q in _quantisers(model)]
    return tuple(dict.fromkeys([name for pair in pairs for name in pair if name != _input(model)] + [_logits(model)]))


def compare(model: fx.GraphModule, images: Tensor, others: Mapping[str, NDArray[np.float32]]) -> Agreement:
    """`model` on `images` beside another evaluation; ValueError if they are further apart than roundings can be."""
    runner = _Runner(model)
    with torch.no_grad():
        runner.run(images.clone())
    clean = np.ones(len(images), bool)
    codes = moved = 0
    for node in _quantisers(model):
        source = str(node.args[0])
        equal = np.ones_like(runner.values[source].numpy(), bool)
        if source != _input(model):
            equal = _within(runner, source, others[source], clean)
        differ = runner.values[node.name].numpy() != others[node.name]
        if (differ & equal)[clean].any():
            raise ValueError(f"the quantiser after {source!r} gives other codes for equal numbers")
        codes, moved = codes + differ[clean].size, moved + int(differ[clean].sum())
        clean &= ~differ.reshape(len(images), -1).any(1)
    if not clean.any():
        raise ValueError(f"none of {len(images)} images has equal codes up to the logits")
    logits = _logits(model)
    _within(runner, logits, others[logits], clean)
    apart = abs(runner.values[logits].numpy() - others[logits])[clean]
    bound = float(runner.errors[logits].numpy()[clean].max())
    return Agreement(len(images), codes, moved, int(clean.sum()), float(apart.max()), bound)


def decided(model: fx.GraphModule, images: Tensor) -> NDArray[np.bool_]:
    """The images of which no number is so near to a threshold that another order of additions may move its code."""
    runner = _Runner(model)
    found = torch.ones(len(images), dtype=torch.bool)
    with torch.no_grad():
        runner.run(images.clone())
        for node in _quantisers(model):
            number, error = runner.values[str(node.args[0])].double(), runner.errors[str(node.args[0])]
            if bool((error > 0).any()):
                quantiser = model.get_submodule(str(node.target))
                low, high = (value(quantiser(_beyond(number, sign * error))) for sign in (-1, 1))
                found &= (low == high).flatten(1).all(1)
    return found.numpy()


def _beyond(number: Tensor, error: Tensor) -> Tensor:
    """The float32 numbers that lie one further than `number + error`, in its direction."""
    far = (number + error).float()
    return torch.nextafter(far, torch.copysign(torch.full_like(far, torch.inf), error.float()))


def agreeing(model: fx.GraphModule, images: Tensor, logits: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The images for which `logits` are those of `model` within the bound of their roundings."""
    runner = _Runner(model)
    with torch.no_grad():
        runner.run(images.clone())
    own, bound = runner.values[_logits(model)].numpy(), runner.errors[_logits(model)].numpy()
    if own.shape != logits.shape:
        raise ValueError(f"the logits are {own.shape}, not {logits.shape}")
    return np.asarray((abs(own.astype(np.float64) - logits) <= bound).all(1))


def logits_of(model: fx.GraphModule, images: Tensor) -> tuple[NDArray[np.float32], float]:
    """The n x classes logits of `model`, and how far those of another evaluation from equal codes can be from them."""
    runner = _Runner(model)
    with torch.no_grad():
        runner.run(images.clone())
    name = _logits(model)
    return runner.values[name].numpy(), float(runner.errors[name].max())


def _within(runner: "_Runner", name: str, other: NDArray[np.float32], clean: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where the numbers are equal; ValueError where they are further apart than they can be."""
    own, bound = runner.values[name].numpy(), runner.errors[name].numpy()
    if own.shape != other.shape:
        raise ValueError(f"{name!r} is {own.shape} in one evaluation and {other.shape} in the other")
    apart = abs(own.astype(np.float64) - other)
    beyond = (apart > bound)[clean]
    if beyond.any():
        worst = float((apart - bound)[clean].max())
        raise ValueError(f"{int(beyond.sum())} numbers of {name!r} differ by up to {worst:.3g} more than roundings can")
    equal: NDArray[np.bool_] = own == other
    return equal


def _quantisers(model: fx.GraphModule) -> list[fx.Node]:
    return [n for n in model.graph.nodes if target_of(model, n) is qnn.QuantIdentity]


def _input(model: fx.GraphModule) -> str:
    return next(str(n) for n in model.graph.nodes if n.op == "placeholder")


def _logits(model: fx.GraphModule) -> str:
    return next(str(n.args[0]) for n in model.graph.nodes if n.op == "output")


class _Runner(fx.Interpreter):
    """Keeps the value of every node and how far another evaluation from equal codes can be from it."""

    def __init__(self, model: fx.GraphModule) -> None:
        super().__init__(model)
        self.values: dict[str, Tensor] = {}
        self.errors: dict[str, Tensor] = {}  # float64

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.op != "output" and isinstance(result, Tensor):
            self.values[n.name] = result.detach().clone()  # what follows may overwrite it
            self.errors[n.name] = self._error(n, result.detach())
        return result

    def _error(self, n: fx.Node, result: Tensor) -> Tensor:
        operands = [arg.name for arg in n.args if isinstance(arg, fx.Node)]
        module = self.submodules.get(str(n.target)) if n.op == "call_module" else None
        if n.op == "placeholder" or isinstance(module, qnn.QuantIdentity):
            return torch.zeros_like(result, dtype=torch.float64)
        before = [self.errors[name] for name in operands]
        largest = [self.values[name].double().abs() + self.errors[name] for name in operands]
        if isinstance(module, qnn.QuantConv2d | qnn.QuantLinear):
            return _of_products(module, before[0], largest[0])
        if isinstance(module, nn.AvgPool2d | nn.AdaptiveAvgPool2d):
            count = _pixels(module, self.values[operands[0]]) + 1
            mean: Tensor = module(before[0]) + 2 * _gamma(count) * module(largest[0])
            return mean
        if target_of(self.module, n) in ADDS:  # type: ignore[arg-type]
            return before[0] + before[1] + 2 * _gamma(1) * (largest[0] + largest[1])
        return self._moved(n)

    def _moved(self, n: fx.Node) -> Tensor:
        """What remains selects or moves values, of which none gets further apart."""
        args, kwargs = fx.map_arg((n.args, n.kwargs), lambda arg: self.errors[arg.name])
        found: Tensor = getattr(self, n.op)(n.target, args, kwargs)
        return found.clone()


def _of_products(module: Any, before: Tensor, largest: Tensor) -> Tensor:
    """Sums of products and a bias: two roundings of a term more than a sum has terms leave room to spare."""
    weight = value(module.quant_weight()).detach().double().abs()
    count = prod(weight.shape[1:]) + 2
    bias = None if module.bias is None else module.bias.detach().double().abs()
    if isinstance(module, nn.Linear):
        passed, sums = nn.functional.linear(before, weight), nn.functional.linear(largest, weight, bias)
    else:
        place = (module.stride, module.padding, module.dilation, module.groups)
        passed = nn.functional.conv2d(before, weight, None, *place)
        sums = nn.functional.conv2d(largest, weight, bias, *place)
    return passed + 2 * _gamma(count) * sums


def _pixels(module: nn.Module, x: Tensor) -> int:
    if isinstance(module, nn.AvgPool2d):
        kernel = module.kernel_size
        return kernel**2 if isinstance(kernel, int) else prod(kernel)
    return prod(x.shape[2:])


def _gamma(count: int) -> float:
    return count * UNIT / (1 - count * UNIT)
