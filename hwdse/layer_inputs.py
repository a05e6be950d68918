"""What reaches each layer of a quantised network, layer after layer, for techniques that see quantised inputs.

Brevitas runs the network from its start again for every layer that it treats. Here the quantised and
the float network run once, a node at a time on all calibration batches, and stop at every layer: equal
inputs bit for bit, in the time of one pass. What reaches a layer therefore depends on what is
upstream of it alone, which is what its result may be reused by.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from hwdse.quantize import CALIBRATION_BATCH, Bench


@dataclass(frozen=True)
class Place:
    """A layer that is about to be treated, and its inputs on the calibration data, a tensor for each batch."""

    name: str
    layer: Any  # Brevitas's layer, in the quantised network
    original: nn.Module  # the same layer with its float weights
    inputs: Sequence[Tensor]  # in the quantised network, whose layers before this one are final
    original_inputs: Sequence[Tensor]  # in the float network; none if they were not asked for


def places(
    graph: fx.GraphModule, bench: Bench, layers: Mapping[str, str], *, originals: bool = False
) -> Iterator[Place]:
    """The `layers` (name -> path) of the quantised `graph` in the order they run; each is final once the next is asked.

    `bench` holds the float network that `graph` was made of; with `originals` it is run beside it.
    """
    batches = [images for images, _ in bench.calibration.batches(CALIBRATION_BATCH)]
    quantised, floating = _Pass(graph, batches), _Pass(bench.traced.graph, batches)
    names = {path: name for name, path in layers.items()}
    called = dict.fromkeys(str(node.target) for node in graph.graph.nodes if node.op == "call_module")
    for path in called:
        if path in names:
            originally = floating.inputs_of(path) if originals else ()
            modules = graph.get_submodule(path), bench.traced.graph.get_submodule(path)
            yield Place(names[path], *modules, quantised.inputs_of(path), originally)


@contextmanager
def original_weights(graph: fx.GraphModule, bench: Bench) -> Iterator[None]:
    """Gives the layers of `graph` the float weights that Brevitas uses where quantisation is off, for a while."""
    pairs = [
        (graph.get_submodule(path), bench.traced.graph.get_submodule(path)) for path in bench.traced.layers.values()
    ]
    for layer, original in pairs:
        layer.register_buffer("weight_orig", original.get_parameter("weight").detach().clone())
    try:
        yield
    finally:
        for layer, _ in pairs:
            del layer.weight_orig


class _Pass(fx.Interpreter):
    """One network on its way through all batches."""

    def __init__(self, graph: fx.GraphModule, batches: Sequence[Tensor]) -> None:
        super().__init__(graph)
        self._images = batches
        self._values: list[dict[fx.Node, Any]] = [{} for _ in batches]
        self._ahead = deque(graph.graph.nodes)

    def inputs_of(self, path: str) -> list[Tensor]:
        """What the module at `path`, which comes next or later, is called with; everything before it has run."""
        while (self._ahead[0].op, self._ahead[0].target) != ("call_module", path):
            self._run(self._ahead.popleft())
        (taken,) = self._ahead[0].all_input_nodes
        return [values[taken] for values in self._values]

    @torch.no_grad()
    def _run(self, node: fx.Node) -> None:
        for images, values in zip(self._images, self._values, strict=True):
            self.env = values
            self.args_iter = iter((images.clone(),))  # a network may work in place
            values[node] = self.run_node(node)
            for used in self.user_to_last_uses.get(node, ()):
                del values[used]
