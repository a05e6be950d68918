"""Synthesis with yosys, as the wheel `pyosys` has it: what a netlist takes before it is placed.

One process per run: several designs in one process change each other's results. The AMD counts are yosys LUT sites
(see `_sites`), on no account Vivado's. Versal has no open synthesis.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hwdse.build import BuildPlan, Command, Programs
from hwdse.flow import Flow, Measured
from hwdse.flows._count import count
from hwdse.flows._netlist import read, read_family
from hwdse.flows._script import FAMILIES, YOSYS, Files, Goal, inputs, mapping, require, script
from hwdse.netlist import Netlist
from hwdse.target import FpgaTarget

TOOLS = (("yosys", YOSYS),)  # with their versions
_NETLIST = "netlist.json.gz"
RUN = "import sys; from pyosys import libyosys as yosys; yosys.run_pass('script ' + sys.argv[1], yosys.Design())"


@dataclass(frozen=True)
class Yosys(Flow):
    """Counts primitives after synthesis."""

    dsp: bool = True  # whether a multiplication may become a DSP
    goal: Goal = "area"  # what yosys maps logic for; `speed`: its own default
    timeout_seconds: float = 600.0

    def claims(self, target: FpgaTarget) -> bool:
        """The families that yosys maps to."""
        return target.family in FAMILIES

    def plan(self, netlist: Netlist, target: FpgaTarget) -> BuildPlan:
        """One script; devices of a family with the same blocks share their runs."""
        synth = script(netlist.files, target, dsp=self.dsp, goal=self.goal, output=_NETLIST)
        return self._plan(netlist.files, target, synth)

    def plan_read(self, read: str, files: Files, target: FpgaTarget, last: tuple[str, ...] = ()) -> BuildPlan:
        """The same of RTL that is not ours: module `top` of `files`, which the commands `read` read.

        `last`: commands on the netlist before it is written.
        """
        mapped = mapping(target, dsp=self.dsp, goal=self.goal, output=_NETLIST, last=last)
        return self._plan(files, target, "\n".join([read.rstrip("\n"), *mapped, ""]).encode())

    def _plan(self, files: Files, target: FpgaTarget, synth: bytes) -> BuildPlan:
        command = Command(("yosys", "synth.ys"), self.timeout_seconds, "synth.log")
        return BuildPlan((*inputs(files, target), ("synth.ys", synth)), (command,), TOOLS, (_NETLIST,))

    def read(self, folder: Path) -> Measured:
        """Area only: without a place there is no clock."""
        family = read_family(folder)
        return count(read(folder / _NETLIST), family)

    def programs(self) -> Programs:
        """This Python, which has `pyosys`."""
        return yosys_program()


def yosys_program() -> Mapping[str, tuple[str, ...]]:
    """The tool `yosys`: a script file is its argument; ValueError where the wheel is missing or another one."""
    require("pyosys", YOSYS)
    return {"yosys": (sys.executable, "-c", RUN)}
