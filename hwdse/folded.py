"""What lies between a layer and the quantiser after it, as a function of numbers: norms, activation functions, scales.

All of it is evaluated in float64 and channel by channel, whatever the shape of the tensors in the network.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from hwdse.operators import BY_CHANNEL, MOVES
from hwdse.roundings import between
from hwdse.trace import target_of, tensors

RANKS = {1: (), 2: (), 3: (1, 1)}  # dimensions of a tensor without its batch -> sizes after the channels


class Folded:
    """The nodes of a path but those that only move values, one after the other."""

    def __init__(self, graph: fx.GraphModule, path: Sequence[fx.Node], shape: tuple[int, ...]) -> None:
        """`shape`: of what enters, without the batch. ValueError where channels would no longer be channels."""
        self._graph = graph
        self._modules = {str(node.target): _double(graph, node) for node in path if node.op == "call_module"}
        self._shape = (1, -1) if len(shape) == 2 else (-1, *RANKS[len(shape)])
        self._nodes = [node for node in path if not moves(graph, node)]
        moved = [i for i, node in enumerate(path) if moves(graph, node)]
        for node in path[moved[0] :] if moved else ():
            if target_of(graph, node) in BY_CHANNEL:
                raise ValueError(f"a norm comes before values are moved, unlike {node.name!r}")

    @property
    def by_channel(self) -> bool:
        """Whether channels have numbers of their own."""
        return any(type(module) in BY_CHANNEL for module in self._modules.values())

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of `n x channels` numbers, as many."""
        y = self._tensor(x)
        with torch.no_grad():
            for node in self._nodes:
                y = self._run(node, y)
        return np.asarray(y.reshape(x.shape).numpy())

    def rounded(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """What float32 gives at least and at most for `n x channels` numbers from `low` to `high`."""
        ends = self._tensor(low), self._tensor(high)
        with torch.no_grad():
            for node in self._nodes:
                after = self._run(node, ends[0].clone()), self._run(node, ends[1].clone())
                ends = between(target_of(self._graph, node), self._modules.get(str(node.target)), ends, after)
        return tuple(np.asarray(end.reshape(low.shape).numpy()) for end in ends)

    def _tensor(self, x: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(np.array(x)).reshape(len(x), *self._shape)

    def _run(self, node: fx.Node, x: Tensor) -> Tensor:
        before = tensors(node)[0]
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda arg: x if arg is before else _no_constant(node))
        result: Any
        if node.op == "call_module":
            result = self._modules[str(node.target)](*args, **kwargs)
        elif node.op == "call_method":
            result = getattr(args[0], str(node.target))(*args[1:], **kwargs)
        else:
            assert callable(node.target)
            result = node.target(*args, **kwargs)
        assert isinstance(result, Tensor)
        return result


def moves(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Whether `node` only moves values."""
    return target_of(graph, node) in MOVES


def _double(graph: fx.GraphModule, node: fx.Node) -> nn.Module:
    return deepcopy(graph.get_submodule(str(node.target))).double().eval()


def _no_constant(node: fx.Node) -> Any:
    raise ValueError(f"what folds into thresholds reads one tensor and numbers, unlike {node.name!r}")
