"""A network as the nodes of an ONNX file, and the grids that its layers compute on: values, without onnx.

What makes it knows the design, and what writes it as a file runs where onnx is: they meet here.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwdse.design import Quantizer
from hwdse.formats import BinaryFormat, FloatFormat, integer_bits, limits

Setting = int | float | str | tuple[int, ...]
Array = NDArray[np.float32] | NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Node:
    """One operation; inputs and output name tensors, and `name` is a layer's, or of a part of it."""

    op: str
    name: str
    inputs: tuple[str, ...]
    output: str
    settings: tuple[tuple[str, Setting], ...] = ()


@dataclass(frozen=True, slots=True)
class Grid:
    """What a quantiser rounds to, in units of its scale; QONNX cannot say of a minifloat whether it has a sign."""

    datatype: str  # of QONNX: INT4, UINT8, FLOAT<2,1,1> with exponent, mantissa, bias
    largest: float
    narrow: bool | None = None  # of an integer: without its lone -2**(b-1); None where the file does not say

    @property
    def name(self) -> str:
        """As in a message."""
        narrow = {True: " narrow", False: " full", None: ""}[self.narrow]
        return f"{self.datatype}{narrow} up to {self.largest:g}"

    @classmethod
    def of(cls, quantizer: Quantizer, *, integer: bool = False) -> "Grid":
        """That of `quantizer`; of a minifloat that is written as an `integer`, the integer in units of its `lsb`."""
        if quantizer.format.bits > 8:
            raise ValueError(f"a QONNX file is of formats of at most 8 bits, unlike {quantizer.name}")
        fmt, (_, high) = quantizer.format, limits(quantizer.format, quantizer.narrow)
        if isinstance(fmt, FloatFormat) and integer:
            bits = integer_bits(fmt)
            return cls(f"{'' if fmt.signed else 'U'}INT{bits}", float(2 ** (bits - fmt.signed) - 1), fmt.signed)
        if isinstance(fmt, BinaryFormat):
            return cls("BIPOLAR", high)
        if isinstance(fmt, FloatFormat):
            return cls(f"FLOAT<{fmt.exponent},{fmt.mantissa},{fmt.bias}>", high)
        return cls(f"{'' if fmt.signed else 'U'}INT{fmt.bits}", high, quantizer.narrow and fmt.signed)


@dataclass(frozen=True, slots=True)
class LayerGrids:
    """The grids of what a layer multiplies or combines."""

    layer: str
    weights: Grid | None
    inputs: tuple[Grid, ...]


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in order, the arrays that they read besides each other's outputs, and what enters and leaves."""

    name: str
    nodes: tuple[Node, ...]
    arrays: Mapping[str, Array]
    input: str
    input_shape: tuple[int, ...]  # of one image, as the other one
    input_datatype: str | None  # an integer of QONNX where codes enter, None where numbers do
    output: str
    output_shape: tuple[int, ...]

    def save(self, path: Path) -> None:
        """Writes it to a file of numpy."""
        said = {
            "name": self.name,
            "nodes": [asdict(node) for node in self.nodes],
            "input": self.input,
            "input_shape": self.input_shape,
            "input_datatype": self.input_datatype,
            "output": self.output,
            "output_shape": self.output_shape,
        }
        arrays: dict[str, NDArray[np.generic]] = {f"array {name}": array for name, array in self.arrays.items()}
        np.savez(path, allow_pickle=False, said=np.array(json.dumps(said)), **arrays)

    @classmethod
    def load(cls, path: Path) -> "Graph":
        """What `save` has written."""
        with np.load(path, allow_pickle=False) as file:
            said = json.loads(str(file["said"]))
            arrays = {name.removeprefix("array "): file[name] for name in file.files if name != "said"}
        return cls(
            said["name"],
            tuple(_node(**node) for node in said["nodes"]),
            arrays,
            said["input"],
            tuple(said["input_shape"]),
            said["input_datatype"],
            said["output"],
            tuple(said["output_shape"]),
        )


def _node(
    op: str, name: str, inputs: list[str], output: str, settings: list[tuple[str, int | float | str | list[int]]]
) -> Node:
    """What JSON has of a node: tuples are lists in it."""
    pairs = tuple((key, tuple(value) if isinstance(value, list) else value) for key, value in settings)
    return Node(op, name, tuple(inputs), output, pairs)
