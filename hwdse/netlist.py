"""Hardware as a value: instances of the leaf modules in `hls_templates/rtl` and the streams between them.

A unit is one leaf module with its parameters; a netlist is the generated part of a design, the hand-written
part being the leaf modules. All streams are valid-ready: a beat moves in a cycle in which both are high.
Every module has `clk`, a synchronous `rst`, and for each stream `x` the ports `x_valid`, `x_ready`, `x_data`.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Stream:
    """A valid-ready port of a unit, or a net between two: its name, and the bits of one beat."""

    name: str
    bits: int

    def __post_init__(self) -> None:
        if self.bits < 1:
            raise ValueError(f"a stream has at least one bit, unlike {self.name!r} with {self.bits}")


@dataclass(frozen=True, slots=True)
class Memory:
    """The content of one read-only memory, for `$readmemh`: its file is the instance's prefix, this name and `.hex`."""

    name: str
    bits: int
    words: tuple[int, ...]

    @property
    def content(self) -> bytes:
        """The file: one word a line, in hexadecimal, the first word first."""
        digits = (self.bits + 3) // 4
        return "".join(f"{word:0{digits}x}\n" for word in self.words).encode()


@dataclass(frozen=True, slots=True)
class Unit:
    """One leaf module with its parameters: what is synthesised, simulated and priced."""

    module: str
    parameters: tuple[tuple[str, int], ...]
    inputs: tuple[Stream, ...]
    outputs: tuple[Stream, ...]
    memories: tuple[Memory, ...] = ()

    @property
    def name(self) -> str:
        """`mvu(PE=4, SIMD=8)`: the module and its parameters."""
        return f"{self.module}({', '.join(f'{key}={value}' for key, value in self.parameters)})"


@dataclass(frozen=True, slots=True)
class Instance:
    """A unit in a netlist: its name, and for each of its streams the net that it is connected to."""

    name: str
    unit: Unit
    nets: tuple[tuple[str, str], ...]  # (stream of the unit, net)


@dataclass(frozen=True, slots=True)
class Netlist:
    """Instances joined by nets: a net that one instance writes and another reads is inside, the others are ports."""

    instances: tuple[Instance, ...]

    def __post_init__(self) -> None:
        for net, count in Counter(net for net, _ in self._ends("outputs")).items():
            if count > 1:
                raise ValueError(f"one unit drives a net, but {count} drive {net!r}")
        for net, count in Counter(net for net, _ in self._ends("inputs")).items():
            if count > 1:
                raise ValueError(f"one unit reads a net, but {count} read {net!r}")
        written, read = dict(self._ends("outputs")), dict(self._ends("inputs"))
        for net in sorted(written.keys() & read.keys()):
            if written[net] != read[net]:
                raise ValueError(f"net {net!r} is written with {written[net]} bits and read with {read[net]}")

    @classmethod
    def of(cls, unit: Unit) -> "Netlist":
        """The netlist of one unit, with its streams as ports."""
        nets = tuple((stream.name, stream.name) for stream in (*unit.inputs, *unit.outputs))
        return cls((Instance("unit", unit, nets),))

    @classmethod
    def chain(cls, *units: Unit) -> "Netlist":
        """Units one after the other, by their streams `in` and `out`; the ports are `in` and `out`."""
        last = len(units) - 1
        wires = ["in", *(f"net{i}" for i in range(last)), "out"]
        return cls(
            tuple(
                Instance(f"u{i}_{unit.module}", unit, (("in", wires[i]), ("out", wires[i + 1])))
                for i, unit in enumerate(units)
            )
        )

    @property
    def inputs(self) -> tuple[Stream, ...]:
        """The streams that enter."""
        return self._ports("inputs", "outputs")

    @property
    def outputs(self) -> tuple[Stream, ...]:
        """The streams that leave."""
        return self._ports("outputs", "inputs")

    @property
    def files(self) -> tuple[tuple[str, bytes], ...]:
        """`top.sv`, every leaf module that it needs, and the contents of the memories."""
        modules = sorted({m for instance in self.instances for m in closure(instance.unit.module)})
        leaves = [(f"{module}.sv", source(module).encode()) for module in modules]
        memories = [
            (f"{instance.name}_{memory.name}.hex", memory.content)
            for instance in self.instances
            for memory in instance.unit.memories
        ]
        return (("top.sv", self._top().encode()), *leaves, *memories)

    def _ends(self, side: str) -> Iterator[tuple[str, int]]:
        for instance in self.instances:
            nets, streams = dict(instance.nets), getattr(instance.unit, side)
            yield from ((nets[stream.name], stream.bits) for stream in streams)

    def _ports(self, side: str, other: str) -> tuple[Stream, ...]:
        inside = {net for net, _ in self._ends(other)}
        return tuple(Stream(net, bits) for net, bits in self._ends(side) if net not in inside)

    def _top(self) -> str:
        """The generated module: ports, nets, instances."""
        ports = ["input logic clk", "input logic rst"]
        for stream in self.inputs:
            ports += [f"input logic {stream.name}_valid", f"output logic {stream.name}_ready"]
            ports += [f"input logic [{stream.bits - 1}:0] {stream.name}_data"]
        for stream in self.outputs:
            ports += [f"output logic {stream.name}_valid", f"input logic {stream.name}_ready"]
            ports += [f"output logic [{stream.bits - 1}:0] {stream.name}_data"]
        outside = {stream.name for stream in (*self.inputs, *self.outputs)}
        lines = ["module top (", ",\n".join(f"  {port}" for port in ports), ");"]
        for net, bits in self._ends("outputs"):
            if net not in outside:
                lines.append(f"  logic {net}_valid, {net}_ready;\n  logic [{bits - 1}:0] {net}_data;")
        lines += [_instance(instance) for instance in self.instances]
        return "\n".join([*lines, "endmodule", ""])


def _instance(instance: Instance) -> str:
    unit = instance.unit
    parameters = [f".{key}({value})" for key, value in unit.parameters]
    parameters += [f'.MEMORY("{instance.name}_")'] * bool(unit.memories)
    ports = [".clk(clk)", ".rst(rst)"]
    for port, net in instance.nets:
        ports += [f".{port}_{wire}({net}_{wire})" for wire in ("valid", "ready", "data")]
    return f"  {unit.module} #({', '.join(parameters)}) {instance.name} (\n    {', '.join(ports)}\n  );"


# ---- leaf modules --------------------------------------------------------------------------------


@cache
def modules() -> tuple[str, ...]:
    """The leaf modules: each is the file of its name."""
    folder = files("hwdse.hls_templates") / "rtl"
    return tuple(sorted(f.name.removesuffix(".sv") for f in folder.iterdir() if f.name.endswith(".sv")))


@cache
def source(module: str) -> str:
    """The SystemVerilog of leaf module `module`; ValueError lists the known ones."""
    if module not in modules():
        raise ValueError(f"no leaf module {module!r}; known: {', '.join(modules())}")
    return (files("hwdse.hls_templates") / "rtl" / f"{module}.sv").read_text(encoding="utf-8")


@cache
def closure(module: str) -> tuple[str, ...]:
    """`module` and every leaf module below it."""
    found, todo = set[str](), [module]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            code = re.sub(r"//[^\n]*", "", source(name))
            todo += [other for other in modules() if re.search(rf"\b{other}\s*#?\s*\(", code)]
    return tuple(sorted(found))


@cache
def rtl_digest(module: str) -> str:
    """Names the text of a leaf module and of all below it: what was measured with another one is stale."""
    text = "\0".join(source(name) for name in closure(module))
    return blake2b(text.encode(), digest_size=8).hexdigest()
