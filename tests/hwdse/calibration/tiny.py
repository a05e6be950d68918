"""A flow that is real in all but what it measures: its tool, a line of Python, counts the bytes of its input."""

import sys
from dataclasses import dataclass
from pathlib import Path

from hwdse import units
from hwdse.build import BuildPlan, Command, Programs
from hwdse.calibration.sample import Point
from hwdse.cost import Resources
from hwdse.flow import Flow, Measured
from hwdse.netlist import Netlist
from hwdse.target import FpgaTarget

DEVICE = "ecp5_25f"
CODE = """
import sys, time
time.sleep({seconds})
open({log!r}, "a").write("run\\n")
name = open("name").read()
sys.exit("no " + name if {fails!r} and {fails!r} in name else open("luts", "w").write({luts!r} or str(len(name))) * 0)
"""


@dataclass(frozen=True)
class Tiny(Flow):
    """A unit takes as many LUTs as its name has letters."""

    log: str  # a line for every run
    fails: str = ""  # what a name holds that the tool fails on
    luts: str = ""  # what the tool says in place of the number
    seconds: float = 0.0
    version: str = "1"

    def claims(self, target: FpgaTarget) -> bool:
        """All."""
        return True

    def plan(self, netlist: Netlist, target: FpgaTarget) -> BuildPlan:
        """One run of the tool."""
        (instance,) = netlist.instances
        code = CODE.format(seconds=self.seconds, log=self.log, fails=self.fails, luts=self.luts)
        command = Command(("count", code), 60.0, "count.log")
        files = (("name", instance.unit.name.encode()),)
        return BuildPlan(files, (command,), (("count", self.version),), ("luts",))

    def read(self, folder: Path) -> Measured:
        """The number that the tool wrote."""
        said = (folder / "luts").read_text()
        if not said.isdigit():
            raise ValueError(f"a count is a number, not {said!r}")
        return Measured(Resources(luts=int(said)), None, "netlist", ())

    def programs(self) -> Programs:
        """This Python."""
        return {"count": (sys.executable, "-S", "-c")}

    @property
    def runs(self) -> int:
        """How often the tool has run."""
        return len(Path(self.log).read_text().splitlines()) if Path(self.log).exists() else 0


def queues(*depths: int) -> list[Point]:
    """A unit of each depth."""
    return [Point(units.fifo(8, depth), DEVICE) for depth in depths]
