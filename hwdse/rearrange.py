"""Where values go that a network only moves: reshaped, sliced, permuted, joined by zeros.

The graph is run on the positions of a stream in place of its values, so that whatever an operator does is known from
what it did. What a stream can follow is no change, another order of a linear layer's terms, or a `Selection`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from hwdse.trace import Traced, tensors

Positions = NDArray[np.int64]  # of a tensor without the batch: where in the stream each element is; -1: nowhere, a zero


def stream(shape: tuple[int, ...]) -> Positions:
    """The positions of a tensor that is a stream: pixel by pixel, channels innermost, where it has pixels."""
    order = np.arange(prod(shape), dtype=np.int64)
    if len(shape) != 3:
        return order.reshape(shape)
    channels, height, width = shape
    return order.reshape(height, width, channels).transpose(2, 0, 1)


def walk(node: fx.Node, stop: Callable[[fx.Node], bool]) -> tuple[fx.Node, tuple[fx.Node, ...]]:
    """The first node before `node`, or itself, at which to stop, and the nodes after it, in order, `node` the last.

    ValueError where a node on the way has several tensors.
    """
    path: list[fx.Node] = []
    while not stop(node):
        path.insert(0, node)
        taken = tensors(node)
        if len(set(taken)) != 1:
            raise ValueError(f"an accelerator joins no streams but by adding them, unlike {node.name!r}")
        node = taken[0]
    return node, tuple(path)


class Mover:
    """Runs parts of a graph on positions; sizes that the graph asks for are those of one image."""

    def __init__(self, traced: Traced) -> None:
        self._graph = traced.graph
        self._known: dict[fx.Node, Any] = {}
        recorder = _Recorder(traced.graph, self._known)
        with torch.no_grad():
            recorder.run(torch.zeros(1, *traced.workload.input_shape))

    def move(self, path: Sequence[fx.Node], positions: Positions) -> Positions:
        """`positions` of the value before `path` where the nodes of `path` put them."""
        if not path:
            return positions
        before, interpreter = tensors(path[0])[0], fx.Interpreter(self._graph)
        # float64 holds every position, and everything that moves values moves it; zeros come in as 0
        interpreter.env = {**self._known, before: torch.from_numpy(positions[np.newaxis] + 1.0)}
        with torch.no_grad():
            for node in path:
                interpreter.env[node] = interpreter.run_node(node)
        moved: torch.Tensor = interpreter.env[path[-1]]
        return np.asarray(moved[0].numpy()).astype(np.int64) - 1


class _Recorder(fx.Interpreter):
    """Keeps what is no tensor."""

    def __init__(self, graph: fx.GraphModule, known: dict[fx.Node, Any]) -> None:
        super().__init__(graph)
        self._known = known

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if not isinstance(result, torch.Tensor):
            self._known[n] = result
        return result


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Every `stride`-th pixel, and for each channel which one it was; -1: none, it is zero."""

    stride: tuple[int, int]
    channels: tuple[int, ...]

    def matrix(self, sources: int) -> Positions:
        """The weights of the 1 x 1 convolution of `sources` channels that does the same: `channels x sources`."""
        return np.asarray(np.array(self.channels)[:, np.newaxis] == np.arange(sources), np.int64)


def selection(positions: Positions, source: tuple[int, ...]) -> Selection | None:
    """What gives `positions` (C x H x W) of a stream of shape `source`, where a `Selection` does."""
    corners = positions[:, 0, 0] if positions.ndim == 3 else np.array([-1])
    if len(source) != 3 or corners.max() < 0:
        return None
    kept, (channels, height, width) = positions[corners.argmax()], source
    down = (kept[1, 0] - kept[0, 0]) // (width * channels) if len(kept) > 1 else height
    right = (kept[0, 1] - kept[0, 0]) // channels if kept.shape[1] > 1 else width
    if min(down, right) < 1:
        return None
    pixels = stream(source)[:, ::down, ::right]
    sources = {int(pixel): channel for channel, pixel in enumerate(pixels[:, 0, 0])}
    picked = tuple(sources.get(int(corner), -1) for corner in corners)
    expected = np.stack([pixels[c] if c >= 0 else np.full(pixels.shape[1:], -1) for c in picked])
    return Selection((int(down), int(right)), picked) if np.array_equal(expected, positions) else None
