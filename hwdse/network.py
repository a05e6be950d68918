"""A quantised network in whole numbers: what an accelerator computes, on every code, with nothing left to round.

`hwdse.lower` makes it from the Brevitas model, `hwdse.simulate` runs it, `hwdse.generator` builds it. Streams are NHWC:
pixels in the order of the rows, the channels of a pixel innermost.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from hwdse.design import Design, Quantizer
from hwdse.formats import decode
from hwdse.thresholds import Thresholds
from hwdse.workload import Kind, Layer, Workload

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A stream of codes: where it is made, and what a code stands for."""

    name: str
    quantizer: Quantizer
    scale: float  # a number is its code's value times this, a float32
    shape: tuple[int, ...]  # C x H x W, features, or tokens x features

    @property
    def channels(self) -> int:
        """Elements of a pixel, of a token, or all."""
        return self.shape[0] if len(self.shape) == 3 else self.shape[-1]

    @property
    def positions(self) -> int:
        """Pixels or tokens."""
        return prod(self.shape) // self.channels

    def numbers(self, codes: Codes) -> NDArray[np.float64]:
        """What `codes` (any shape) stand for."""
        return decode(self.quantizer.format, codes) * self.scale


@dataclass(frozen=True, slots=True)
class Table:
    """A function of one code: the code of the output for each code of the input."""

    codes: tuple[int, ...]


Rule = Thresholds | Table | None  # how a result becomes codes; None: it is codes already, and they stay as they are


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the sums of a layer stand for: `sum * scale + bias`, channel by channel."""

    scales: tuple[float, ...]
    biases: tuple[float, ...]

    def numbers(self, sums: NDArray[np.object_] | Codes) -> NDArray[np.float64]:
        """Of `.. x channels` sums."""
        return np.asarray(np.asarray(sums, np.float64) * np.array(self.scales) + np.array(self.biases))


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A layer with its weights and thresholds, between streams."""

    layer: Layer
    inputs: tuple[str, ...]  # tensors, in the order of the operands
    outputs: tuple[tuple[str, Rule], ...]  # tensors, each with how it is made; none where sums leave the accelerator
    weights: Codes | None = None  # rows x dot codes; terms in the order of the stream: tap by tap, channels innermost
    meaning: Meaning | None = None  # of its sums; nothing where codes stay codes


@dataclass(frozen=True, eq=False)
class Network:
    """Layers between streams, in an order in which they can be computed.

    `workload` and `design` are as built: with the convolutions that stand for shortcuts without weights.
    """

    workload: Workload
    design: Design
    tensors: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    input: str  # the tensor that enters

    def __post_init__(self) -> None:
        for tensor in self.tensors:
            if tensor.quantizer.format.bits > 8:
                raise ValueError(
                    f"a stream is of codes of at most 8 bits, unlike {tensor.name!r} with {tensor.quantizer.name}"
                )
        made = {self.input}
        for node in self.nodes:
            for name in node.inputs:
                if name not in made:
                    raise ValueError(f"a tensor is made before it is read, unlike {name!r} in {node.layer.name!r}")
            made |= {name for name, _ in node.outputs}
        if [node for node in self.nodes if not node.outputs] != [self.nodes[-1]]:
            raise ValueError("the sums of the last layer leave the accelerator, and of no other")

    @cached_property
    def _tensors(self) -> dict[str, Tensor]:
        return {tensor.name: tensor for tensor in self.tensors}

    def tensor(self, name: str) -> Tensor:
        """The tensor called `name`."""
        return self._tensors[name]

    def node(self, name: str) -> Node:
        """The node of the layer called `name`; ValueError lists those there are."""
        for node in self.nodes:
            if node.layer.name == name:
                return node
        raise ValueError(f"no layer {name!r}; known: {', '.join(node.layer.name for node in self.nodes)}")

    def readers(self, tensor: str) -> Iterator[tuple[Node, int]]:
        """The nodes that read `tensor`, each with the number of the operand."""
        for node in self.nodes:
            yield from ((node, operand) for operand, name in enumerate(node.inputs) if name == tensor)

    @property
    def logits(self) -> Meaning:
        """What the sums that leave stand for."""
        meaning = self.nodes[-1].meaning
        assert meaning is not None
        return meaning

    @property
    def joins(self) -> tuple[Node, ...]:
        """The nodes at which two streams meet, so that one may have to wait for the other."""
        return tuple(node for node in self.nodes if node.layer.kind is Kind.ADD)
