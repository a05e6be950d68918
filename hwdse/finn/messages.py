"""What is asked of the worker and what it answers: frozen dataclasses on both sides, JSON lines between them.

A line that is not what its dataclass says is an error: nothing is filled in.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from types import NoneType, UnionType
from typing import Generic, TypeVar, get_args, get_origin, get_type_hints

from hwdse import finn_nodes
from hwdse.finn_nodes import Node
from hwdse.onnx_graph import LayerGrids

Answer = TypeVar("Answer", covariant=True)
Made = TypeVar("Made")


class Request(Generic[Answer]):
    """A question; the type that answers it is its argument."""


@dataclass(frozen=True, slots=True)
class Versions:
    """What the environment has."""

    finn: str
    qonnx: str
    onnx: str


@dataclass(frozen=True, slots=True)
class Hello(Request[Versions]):
    """Imports FINN, which takes seconds, once."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a QONNX file says, read back from it."""

    layers: tuple[LayerGrids, ...]
    output: str  # the tensor that leaves


@dataclass(frozen=True, slots=True)
class Write(Request[Written]):
    """Writes a graph as a QONNX file and reads it again."""

    graph: str  # a file of `onnx_graph.Graph`
    out: str
    layers: tuple[str, ...]  # to read back
    top1: bool  # the number of the class instead of the logits


@dataclass(frozen=True, slots=True)
class Executed:
    """The tensors of a file that came out."""

    tensors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Execute(Request[Executed]):
    """Runs a QONNX file on images, node by node as QONNX defines it."""

    model: str
    images: str  # a file of numpy: n x ...
    out: str  # a file of numpy with the tensors that are asked for
    tensors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Folded:
    """What is worked on in one cycle by a node of FINN, named as after its specialisation: `MVAU_rtl_0`."""

    node: str
    pe: int | None  # None where the node has no such attribute
    simd: int | None
    at_once: bool | None = None  # of a window generator: `parallel_window`; None leaves it


@dataclass(frozen=True, slots=True)
class Unit:
    """A node of the accelerator as FINN estimates it; `layer` of the design where it has weights."""

    folded: Folded
    layer: str | None
    operation: str
    inputs: tuple[str, ...]  # the nodes whose streams it reads
    node: Node | None  # its attributes; None where hwdse has no formulas of this operation
    cycles: int
    luts: int
    bram18s: int
    urams: int
    dsps: int


@dataclass(frozen=True, slots=True)
class Step:
    """A step of FINN that was done, and what the network is made of after it."""

    name: str
    seconds: float
    operations: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Priced:
    """FINN's own numbers for a folded network."""

    units: tuple[Unit, ...]
    interval_cycles: int  # of the slowest unit
    latency_cycles: int  # the sum along the longest path


@dataclass(frozen=True, slots=True)
class Refold(Request[Priced]):
    """Prices a network that has been through all steps with another folding."""

    model: str  # `Estimated.model`
    layers: tuple[tuple[str, str], ...]  # node -> layer, for messages and units
    part: str
    folding: tuple[Folded, ...]  # of the nodes that are another one


@dataclass(frozen=True, slots=True)
class FoldFor(Request[Priced]):
    """Folds a network that has been through all steps by FINN's own heuristic for a rate, and prices it."""

    model: str  # `Estimated.model`
    layers: tuple[tuple[str, str], ...]  # node -> layer
    part: str
    clock_ns: float
    target_fps: int


@dataclass(frozen=True, slots=True)
class FoldAs(Request[Priced]):
    """Folds it as a folding file of FINN says, by FINN's own step for those, and prices it."""

    model: str  # `Estimated.model`
    layers: tuple[tuple[str, str], ...]  # node -> layer
    part: str
    file: str  # of JSON, with an entry for every node


@dataclass(frozen=True, slots=True)
class Estimated:
    """What FINN's steps made of a network."""

    steps: tuple[Step, ...]
    outside: tuple[str, ...]  # operations before and behind the accelerator
    model: str  # a file, as long as its worker is there
    priced: Priced


@dataclass(frozen=True, slots=True)
class Estimate(Request[Estimated]):
    """Takes a QONNX file through FINN's steps up to its estimates, and executes what each step gives."""

    model: str
    layers: tuple[str, ...]  # with weights
    images: str  # a file of numpy: n x ...
    out: str  # a file of numpy: what leaves after each step, by its name
    folder: str  # for FINN's files; new
    part: str  # of AMD: xczu3eg-sbva484-1-e
    clock_ns: float
    target_fps: int | None  # FINN chooses the folding,
    folding: tuple[Folded, ...]  # or it is given


@dataclass(frozen=True, slots=True)
class Recipe:
    """The steps of FINN's builder, as a `build.yaml` names them."""

    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BuildSteps(Request[Recipe]):
    """What a whole build of a QONNX file does."""

    model: str


@dataclass(frozen=True, slots=True)
class Board:
    """A board that FINN builds bitstreams for."""

    name: str
    part: str  # of AMD: xc7z020clg400-1
    shell: str  # FINN's flow for it: vivado_zynq, vitis_alveo


@dataclass(frozen=True, slots=True)
class KnownBoards:
    """All of them."""

    boards: tuple[Board, ...]


@dataclass(frozen=True, slots=True)
class Boards(Request[KnownBoards]):
    """Which boards there are."""


@dataclass(frozen=True, slots=True)
class Generated:
    """Files of RTL, by name."""

    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Generate(Request[Generated]):
    """Has FINN's generator make the RTL of a node that has no weights."""

    name: str  # of the node and its module
    operation: str  # ConvolutionInputGenerator_rtl
    numbers: tuple[tuple[str, int], ...]  # attributes
    lists: tuple[tuple[str, tuple[int, ...]], ...]
    texts: tuple[tuple[str, str], ...]
    part: str  # of AMD
    clock_ns: float


KIND = "kind"  # beside the fields of a node of FINN
KINDS: Mapping[str, type] = {  # of requests
    kind.__name__: kind
    for kind in (Hello, Write, Execute, Estimate, Refold, FoldFor, FoldAs, BuildSteps, Boards, Generate)
}


def answer_of(kind: type) -> type:
    """The type of the answers to requests of `kind`."""
    base = next(base for base in kind.__orig_bases__ if get_origin(base) is Request)  # type: ignore[attr-defined]
    found: type = get_args(base)[0]
    return found


def dump(request: Request[object]) -> str:
    """The line of a request."""
    return json.dumps({"kind": type(request).__name__, "request": plain(request)})


def plain(value: object) -> dict[str, object]:
    """A dataclass as JSON has it; a node of FINN with its kind, since many kinds stand in one place."""
    assert is_dataclass(value)
    found = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return {KIND: type(value).__name__, **found} if isinstance(value, Node) else found


def _plain(value: object) -> object:
    if is_dataclass(value):
        return plain(value)
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def parse(line: str) -> Request[object]:
    """The request of a line."""
    data = json.loads(line)
    made: Request[object] = read(KINDS[data["kind"]], data["request"])
    return made


def read(kind: type[Made], data: object) -> Made:
    """The dataclass `kind` of what JSON gave; ValueError where it is not."""
    if not isinstance(data, dict):
        raise ValueError(f"a {kind.__name__} is an object of JSON, not {_short(data)}")
    assert is_dataclass(kind)
    names = [field.name for field in fields(kind)]
    if sorted(data) != sorted(names):
        raise ValueError(f"a {kind.__name__} has {', '.join(names) or 'nothing'}, not {', '.join(data) or 'nothing'}")
    hints = get_type_hints(kind)
    return kind(**{name: _value(hints[name], data[name], name) for name in names})


def _value(hint: object, data: object, name: str) -> object:
    """`data`, which JSON gave, as `hint` says: tuples are its lists."""
    if isinstance(hint, UnionType):
        if data is None and NoneType in get_args(hint):
            return None
        return _value(next(inner for inner in get_args(hint) if inner is not NoneType), data, name)
    if get_origin(hint) is tuple and isinstance(data, list):
        inner = get_args(hint)
        kinds = [inner[0]] * len(data) if inner[-1] is Ellipsis else list(inner)
        if len(kinds) == len(data):
            return tuple(_value(kind, one, name) for kind, one in zip(kinds, data, strict=True))
    elif hint is Node:
        return _node(data)
    elif isinstance(hint, type) and is_dataclass(hint):
        return read(hint, data)
    elif isinstance(hint, type) and issubclass(hint, StrEnum) and isinstance(data, str):
        return hint(data)
    elif hint is float and type(data) is int:
        return float(data)
    elif type(data) is hint:
        return data
    raise ValueError(f"{name} is {getattr(hint, '__name__', hint)}, not {_short(data)}")


def _node(data: object) -> Node:
    """A node of FINN of the kind that it says."""
    if not isinstance(data, dict):
        raise ValueError(f"a node is an object of JSON, not {_short(data)}")
    kind = finn_nodes.KINDS.get(str(data.get(KIND)))
    if kind is None:
        raise ValueError(f"no kind of node {data.get(KIND)!r}; known: {', '.join(finn_nodes.KINDS)}")
    return read(kind, {name: value for name, value in data.items() if name != KIND})


def _short(data: object) -> str:
    text = json.dumps(data)
    return text if len(text) <= 60 else f"{text[:57]}..."
