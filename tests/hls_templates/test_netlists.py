"""What synthesis makes of the RTL computes the same: netlists of yosys, with yosys' models of their primitives.

It is also what shows that `hls_templates/yosys/adder.sv`, which synthesis reads, is the adder that simulation reads.
Most block RAMs and DSP blocks have no model there: memories are in LUTs where a family has such, DSPs are 7-series'.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from hwdse import reference
from hwdse.build import BuildPlan, Command, run
from hwdse.flows.yosys import Yosys
from hwdse.formats import parse
from hwdse.netlist import Netlist
from hwdse.serial_window import serial_ends, serial_first, window_serial
from hwdse.simulation import build
from hwdse.target import fpga
from hwdse.units import fifo, residual_add
from hwdse.window import Window, serial_elements
from tests.hls_templates import leaves
from tests.hls_templates.leaves import STALLS, Case, cache_of, check
from tests.hls_templates.test_matrix_vector import case as matrix
from tests.hls_templates.test_matrix_vector import unit
from tests.hls_templates.test_thresholds import case as thresholds
from tests.hls_templates.test_thresholds import random_thresholds

Log = Callable[..., None]
DEVICES = ("xc7z020", "xczu3eg", "ecp5_25f", "ice40_hx8k", "lifcl40", "gw1nr9")
MODELS = {"xc7": "xilinx", "xcup": "xilinx"}  # family -> its folder in yosys, if another
SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Mapped(Netlist):
    """A netlist after synthesis, its primitives replaced by what they do; memories are in it."""

    text: bytes = b""

    @property
    def files(self) -> tuple[tuple[str, bytes], ...]:
        """One module."""
        return (("top.sv", self.text),)


def mapped(netlist: Netlist, device: str, cache: Path) -> Netlist:
    """What the flow makes of `netlist`."""
    flow, target = Yosys(), fpga(device)
    plan = flow.plan(netlist, target)
    files = dict(plan.files)
    synthesis, _ = files["synth.ys"].decode().split("select top\n")
    # Deferred: the models of block RAMs take yosys most of a minute, needed or not.
    models = f"+/{MODELS.get(target.family, target.family)}/cells_sim.v"
    after = [
        "delete =A:blackbox",
        f"read_verilog -overwrite -defer {models}",
        "hierarchy -check -top top",
        "proc",
        "flatten",
    ]
    after += ["opt -fast", "clean -purge"]
    files["synth.ys"] = "\n".join(
        [synthesis, *after, "select top", "write_verilog -noattr -selected mapped.v", ""]
    ).encode()
    command = Command(("yosys", "synth.ys"), SECONDS, "synth.log")
    changed = BuildPlan(tuple(files.items()), (command,), plan.tools, ("mapped.v",))
    return Mapped(netlist.instances, (run(changed, cache, flow.programs()) / "mapped.v").read_bytes())


def small() -> list[Case]:
    """A product of integers, one of minifloats, and a queue."""
    return [matrix(unit("int4 uint4", 4, 4, "2x2"), 0), matrix(unit("e2m1 e2m1", 2, 3, "1x3"), 1), queue(33)]


def cases(device: str) -> list[Case]:
    """Units of every kind that has sums, and of some that have none."""
    lut_inputs = fpga(device).lut_inputs
    matrices = [
        unit("int8 int8", 4, 8, "2x4"),
        unit("e2m1 e2m1", 4, 8, "2x4"),
        unit("e4m3 e4m3", 2, 4, "1x2"),
        unit("e2m3 int6", 2, 4, "1x2", "decode"),
        unit("int3 uint4", 4, 6, "2x3", "table"),
        replace(unit("int5 ue2m2", 4, 9, "2x3"), shared=False),
        replace(unit("int4 e3m2", 4, 6, "2x3"), streamed=True),
    ]
    found = [matrix(replace(one, lut_inputs=lut_inputs), seed) for seed, one in enumerate(matrices)]
    table = random_thresholds("int4", True, 12, 4, 3)
    found.append(thresholds(table, 2, table.search, None, table.format.bits, 3))
    return [*found, window(), queue(33), add()]


def dsps() -> list[Case]:
    """Several products in one DSP48E1, and one."""
    packed = [unit("int8 int8", 4, 4, "2x2", "dsp"), unit("int4 uint4", 6, 4, "6x2", "dsp")]
    units = [
        *(replace(one, dsp="dsp48e1") for one in packed),
        replace(unit("e4m3 e3m4", 2, 4, "1x2", "dsp"), dsp="dsp48e1"),
    ]
    return [matrix(one, seed) for seed, one in enumerate(units)]


def queue(depth: int) -> Case:
    elements = np.random.default_rng(depth).integers(0, 256, (100, 1))
    return Case(fifo(8, depth), {"in": elements}, {"out": elements}, 2, 101)


def add() -> Case:
    fmt = parse("e2m3")
    a, b = np.random.default_rng(5).integers(0, 2**fmt.bits, (2, 200, 2))
    return Case(residual_add(fmt, 2), {"a": a, "b": b}, {"out": reference.residual_add(fmt, a, b)}, 1, 200)


def window() -> Case:
    one = Window(6, 7, (3, 3), padding=(1, 1), lanes=2, beats=2)
    images = np.random.default_rng(6).integers(0, 2**one.bits, (2, one.height, one.width, one.beats * one.lanes))
    elements = serial_elements(one, images)
    first, ends = serial_first(one), serial_ends(one, 2)
    return Case(window_serial(one), {"in": images.reshape(-1, one.lanes)}, {"out": elements}, first, ends[-1])


def check_mapped(found: list[Case], device: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """As `leaves.check`, of what synthesis makes of the cases; how many elements were compared."""
    monkeypatch.setattr(leaves, "build", lambda netlist, folder: build(mapped(netlist, device, folder), folder))
    check(found, cache)
    return len(STALLS) * sum(np.size(values) for one in found for values in one.outputs.values())


@pytest.mark.parametrize("device", ["ecp5_25f"])
def test_a_few_netlists(device: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    check_mapped(small(), device, cache_of(request), monkeypatch)


@pytest.mark.verify
@pytest.mark.parametrize("device", DEVICES)
def test_netlists(device: str, fresh: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    found = cases(device)
    compared = check_mapped(found, device, fresh, monkeypatch)
    log(f"netlists of {fpga(device).family}", modules=len(found), compared=compared)


@pytest.mark.verify
def test_netlists_with_dsps(fresh: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    found = dsps()
    compared = check_mapped(found, "xc7z020", fresh, monkeypatch)
    log("netlists of xc7 with DSP48E1", modules=len(found), compared=compared)
