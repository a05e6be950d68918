"""A network as its work: layers, shapes and who feeds whom. No torch, no weights.

A cost model needs nothing else of a network, so pricing a design never loads one.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import prod
from typing import TypeVar

from hwdse.cost import LATER
from hwdse.design import Design


class Kind(StrEnum):
    """What a layer computes."""

    CONV = "conv"  # grouped and depthwise ones too: see `Layer.groups`
    LINEAR = "linear"
    MATMUL = "matmul"  # of two streamed operands: attention
    ADD = "add"
    MAX_POOL = "max_pool"
    AVG_POOL = "avg_pool"
    TABLE = "table"  # an activation function that is not monotone (GELU, SiLU): code in, code out
    NORM = "norm"
    SOFTMAX = "softmax"
    ROTATION = "rotation"  # a product with a Hadamard matrix
    EMBEDDING = "embedding"  # a lookup of rows by tokens
    OTHER = "other"  # all other operators of one module of an exported network
    LOW_RANK = "low_rank"  # one factor of a float branch beside a linear layer (SVDQuant)

    def __repr__(self) -> str:
        return f"Kind.{self.name}"


OUTSIDE = frozenset(
    {Kind.NORM, Kind.SOFTMAX, Kind.ROTATION, Kind.EMBEDDING, Kind.OTHER, Kind.LOW_RANK}
)  # computed beside the accelerator, in float
WITH_WEIGHTS = frozenset({Kind.CONV, Kind.LINEAR})  # that are quantised
_MULTIPLY = WITH_WEIGHTS | {Kind.MATMUL, Kind.LOW_RANK}


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator of a network, per frame: `positions` vectors of `rows` outputs, each a dot product of `dot` terms.

    For operators without products (`add`, pools, tables) `rows` is the channels and `dot` the
    number of elements that one output depends on.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...]  # sites that it reads, in operand order; empty outside the accelerator
    outputs: tuple[str, ...]  # sites that its result is quantised into; empty if it leaves as it is
    rows: int  # outputs per position, all groups together
    dot: int  # terms of one output
    positions: int  # output vectors per frame: pixels or tokens
    groups: int = 1  # conv groups, or the heads of a matmul
    in_shape: tuple[int, ...] = ()  # of the first operand, without the batch
    out_shape: tuple[int, ...] = ()
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    bias: bool = False
    by_channel: bool = False  # whether a norm that no layer has taken in lies between its sums and its codes
    relu: bool = field(default=False, metadata=LATER)  # whether a ReLU does

    @property
    def macs(self) -> int:
        """Multiply-accumulates per frame."""
        return self.positions * self.rows * self.dot if self.kind in _MULTIPLY else 0

    @property
    def weights(self) -> int:
        """Stored quantised weights, without the bias."""
        return self.rows * self.dot if self.kind in WITH_WEIGHTS else 0

    @property
    def parameters(self) -> int:
        """Stored weights and biases."""
        return self.weights + self.rows * self.bias

    @property
    def depthwise(self) -> bool:
        """Whether every output channel sees an input channel of its own.

        Where several see the same one (a channel multiplier), they are a group like any other.
        """
        alone = self.groups == self.rows and self.dot == prod(self.kernel)
        return self.kind is Kind.CONV and self.groups > 1 and alone


@dataclass(frozen=True, slots=True)
class Site:
    """A place where activations are quantised: one format and one scale for all its tensors.

    With `hardware` a site is the tensors that must share a grid (an add's operands, a pool's input
    and output), quantised where they are made; without it, it is one operand of one layer.
    """

    name: str
    tensors: tuple[str, ...]
    consumers: tuple[str, ...]  # layers that read it
    elements: int  # per frame, all tensors together


@dataclass(frozen=True, slots=True)
class Workload:
    """The layers of a network in the order they run, and the sites between them."""

    name: str
    layers: tuple[Layer, ...]
    sites: tuple[Site, ...]
    input_shape: tuple[int, ...]  # without the batch
    hardware: bool = True

    @property
    def weighted(self) -> tuple[Layer, ...]:
        """The layers that store quantised weights."""
        return tuple(layer for layer in self.layers if layer.kind in WITH_WEIGHTS)

    @property
    def float_weights(self) -> int:
        """Stored weights that stay in float32: of the branches that a technique adds."""
        return sum(layer.rows * layer.dot for layer in self.layers if layer.kind is Kind.LOW_RANK)

    @property
    def macs(self) -> int:
        """Multiply-accumulates per frame."""
        return sum(layer.macs for layer in self.layers)

    def check(self, design: Design) -> None:
        """ValueError unless `design` quantises every layer and every site of this network, and nothing else."""
        if design.hardware != self.hardware:
            raise ValueError(f"the design has hardware = {design.hardware}, the network was traced with the opposite")
        _cover("layer", [name for name, _ in design.weights], [layer.name for layer in self.weighted])
        _cover("activation site", [name for name, _ in design.activations], [site.name for site in self.sites])

    def biased(self, names: Collection[str]) -> "Workload":
        """With a bias in each of the layers called `names`."""
        layers = (replace(layer, bias=layer.bias or layer.name in names) for layer in self.layers)
        return replace(self, layers=tuple(layers))

    def layer(self, name: str) -> Layer:
        """The layer called `name`."""
        return _named("layer", name, self.layers)

    def site(self, name: str) -> Site:
        """The site called `name`."""
        return _named("activation site", name, self.sites)


def _cover(what: str, given: list[str], expected: list[str]) -> None:
    if len(given) == len(expected) and set(given) == set(expected):
        return
    for name in given:
        if name not in expected:
            raise ValueError(f"no {what} {name!r}; known: {', '.join(expected)}")
    for name in expected:
        if name not in given:
            raise ValueError(f"{what} {name!r} has no quantizer")


_Item = TypeVar("_Item", Layer, Site)


def _named(what: str, name: str, items: tuple[_Item, ...]) -> _Item:
    for item in items:
        if item.name == name:
            return item
    raise ValueError(f"no {what} {name!r}; known: {', '.join(item.name for item in items)}")
