"""Along which dimension of a quantised tensor its readers sum: where groups with a shared exponent have to run.

Between the place where a tensor is quantised and the layer that multiplies it, values may be moved
(flattened, split into heads, transposed). So the readers' sums are followed back with the values'
own positions: a tensor of numbers 1, 2, ... is moved in the same way, and one sum's terms tell by
their numbers where they were.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from hwdse.operators import KINDS, MOVES
from hwdse.trace import Traced, is_tensor, tensors
from hwdse.workload import Kind

SUMMED = {  # operand by operand, the dimension that a layer sums over
    Kind.CONV: (1,),
    Kind.LINEAR: (-1,),
    Kind.MATMUL: (-1, -2),
}
IMAGE = 4  # dimensions of images with a batch, whose channels come first


@dataclass(frozen=True)
class _Line:
    """The terms of one sum, in the tensor that is quantised."""

    dimensions: tuple[int, ...]  # that it runs through
    length: int


def group_dimension(traced: Traced, site: str, group: int) -> int:
    """The dimension (0 is the batch) along which all readers of `site` sum; ValueError unless `group` divides it."""
    tapped = traced.taps[site]
    lines = [line for node in tapped for line in _sums(traced, site, node)] or [_channels(node) for node in tapped]
    ranks = {len(_shape(node)) for node in tapped}
    for line in lines:
        if len(line.dimensions) > 1 or line.dimensions != lines[0].dimensions or len(ranks) > 1:
            raise ValueError(f"the groups of a tensor run along what all its readers sum over, unlike at {site!r}")
        if line.length % group:
            raise ValueError(f"a group of {group} divides what the readers of {site!r} sum over, not {line.length}")
    return lines[0].dimensions[0]


def _channels(node: fx.Node) -> _Line:
    """The channels of a tensor that is only added, pooled or looked up."""
    shape = _shape(node)
    dimension = 1 if len(shape) == IMAGE else len(shape) - 1
    return _Line((dimension,), shape[dimension])


def _sums(traced: Traced, site: str, tapped: fx.Node) -> Iterator[_Line]:
    """One sum of each reader that sums."""
    shape = _shape(tapped)
    numbered = Numbered(traced.graph, tapped, shape)
    for operand, dimension in _operands(traced, site):
        rows = numbered(operand).movedim(dimension, -1)
        terms = rows.reshape(-1, rows.shape[-1])
        terms = terms[int(terms.count_nonzero(1).argmax())]  # padding and other tensors are 0
        places = np.unravel_index(terms[terms > 0].long().numpy() - 1, shape)
        if length := len(places[0]):
            varying = tuple(i for i, index in enumerate(places) if len(np.unique(index)) > 1)
            yield _Line(varying or _channels(tapped).dimensions, length)


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(node.meta["tensor_meta"].shape)


def _operands(traced: Traced, site: str) -> Iterator[tuple[fx.Node, int]]:
    """What is multiplied, and the dimension that is summed over."""
    modules = dict(traced.graph.named_modules())
    wanted = traced.operands.get(site)
    for node in traced.graph.graph.nodes:
        kind = KINDS.get(_target(modules, node)) if node.op.startswith("call") else None
        for position, dimension in enumerate(SUMMED.get(kind, ()) if kind else ()):
            if wanted is None or wanted == (node, position):
                yield tensors(node)[position], dimension


class Numbered:
    """Values' positions in the tensor `tapped`, counted from 1, moved as the graph moves the values; 0 elsewhere."""

    def __init__(self, graph: fx.GraphModule, tapped: fx.Node, shape: tuple[int, ...]) -> None:
        self._graph = graph
        self._modules = dict(graph.named_modules())
        count = int(np.prod(shape))
        self._known: dict[fx.Node, Any] = {tapped: torch.arange(1, count + 1, dtype=torch.float64).reshape(shape)}

    def __call__(self, node: fx.Node) -> Tensor:
        """For the tensor of `node`."""
        result: Tensor = self._of(node)
        return result

    def _of(self, node: fx.Node) -> Any:
        if node not in self._known:
            self._known[node] = self._moved(node)
        return self._known[node]

    def _moved(self, node: fx.Node) -> Any:
        kind = KINDS.get(_target(self._modules, node)) if node.op.startswith("call") else None
        if is_tensor(node) and kind is not Kind.MAX_POOL and _target(self._modules, node) not in MOVES:
            return torch.zeros(_shape(node), dtype=torch.float64)
        args, kwargs = fx.map_arg((node.args, node.kwargs), self._of)
        if node.op == "call_module":
            return self._modules[str(node.target)](*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        return node.target(*args, **kwargs)  # type: ignore[operator]


def _target(modules: dict[str, nn.Module], node: fx.Node) -> Any:
    return type(modules[str(node.target)]) if node.op == "call_module" else node.target
