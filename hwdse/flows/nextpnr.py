"""Place and route with nextpnr, as the wheels of YoWASP have it: what a netlist takes on the device, and its clock.

The netlist is that of the flow `yosys`, cell by cell. A frame of registers around it (`_scan`) gives it few pins; what
the frame takes is not in the result. No clock is asked for: where there is one clock, nextpnr places and routes in the
same way for 50 and for 400 MHz (tried on every family).
"""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from hwdse.build import BuildPlan, Command, Programs
from hwdse.flow import Flow, Measured
from hwdse.flows._count import count
from hwdse.flows._netlist import read, read_family
from hwdse.flows._routers import NEXTPNR, ROUTERS, router
from hwdse.flows._scan import black_box, frame
from hwdse.flows._script import YOSYS, Goal, inputs, require, script, synthesis
from hwdse.flows.yosys import yosys_program
from hwdse.netlist import Netlist
from hwdse.target import FpgaTarget

_NETLIST, _FRAMED, _REPORT, _LOG = "netlist.json.gz", "framed.json.gz", "report.json", "nextpnr.log"


@dataclass(frozen=True)
class Nextpnr(Flow):
    """Synthesis, place and route."""

    dsp: bool = True  # whether a multiplication may become a DSP
    goal: Goal = "area"  # what yosys maps logic for; `speed`: its own default
    scan: bool = True  # the frame; without it the ports are pins, which only ECP5 parts have enough of
    seed: int = 1
    timeout_seconds: float = 1800.0

    def claims(self, target: FpgaTarget) -> bool:
        """The families that nextpnr places."""
        return target.family in ROUTERS and (self.scan or target.family == "ecp5")

    def plan(self, netlist: Netlist, target: FpgaTarget) -> BuildPlan:
        """Synthesis, the frame around its result, place and route."""
        tools = router(target)
        if not self.claims(target):
            raise ValueError(f"ports are pins only on ecp5, not on {target.family!r}: use the frame")
        own = (("synth.ys", self._script(netlist, target)), *tools.files, *tools.pins)
        scan = frame(netlist, oscillator=target.family == "nexus")
        frames = (("scan.sv", scan), ("black_box.sv", black_box(netlist))) if self.scan else ()
        settings = ("--seed", str(self.seed), "--timing-allow-fail", "--json", "framed.json", "--report", _REPORT)
        place = (tools.tool, *tools.arguments(target), *tools.anywhere, *settings)
        commands = (
            Command(("yosys", "synth.ys"), self.timeout_seconds, "synth.log"),
            Command(place, self.timeout_seconds, _LOG),
        )
        versions = (("yosys", YOSYS), (tools.tool, NEXTPNR))
        return BuildPlan(
            (*inputs(netlist.files, target), *own, *frames), commands, versions, (_NETLIST, _FRAMED, _REPORT, _LOG)
        )

    def read(self, folder: Path) -> Measured:
        """LUTs and FFs as placed, less the frame's; a placer leaves DSPs and memories as the netlist has them."""
        family = read_family(folder)
        alone, framed = (count(read(folder / name), family).area for name in (_NETLIST, _FRAMED))
        used, mhz = report(folder / _REPORT)
        log = (folder / _LOG).read_text(errors="replace")
        try:
            luts, ffs = ROUTERS[family].placed(used, log, framed.ffs)
        except KeyError as error:
            raise ValueError(f"a report of nextpnr counts {error}, unlike this one") from None
        area = replace(alone, luts=luts - framed.luts + alone.luts, ffs=ffs - framed.ffs + alone.ffs)
        return Measured(area, mhz, "placed", tuple(sorted((name, n) for name, n in used.items() if n)))

    def programs(self) -> Programs:
        """This Python, which has `pyosys` and the wheels of YoWASP."""
        return {**yosys_program(), **{one.tool: wasm_program(one.wheel, one.function) for one in ROUTERS.values()}}

    def _script(self, netlist: Netlist, target: FpgaTarget) -> bytes:
        """The flow `yosys`, then the frame in a design of its own, so that neither changes the other."""
        alone = script(netlist.files, target, dsp=self.dsp, goal=self.goal, output=_NETLIST)
        framing = [
            "write_rtlil -selected top.il",
            "design -reset",
            "read_verilog -sv black_box.sv scan.sv",
            f"{synthesis(target, dsp=self.dsp, pads=True)} -top scan",
            "delete =top",
            "read_rtlil top.il",
            "flatten",
            "delete t:$scopeinfo",
        ]
        end = [*router(target).before, f"select {'scan' if self.scan else 'top'}", "write_json -selected framed.json"]
        lines = [*framing * self.scan, *end, f"write_json -selected {_FRAMED}", ""]
        return alone + "\n".join(lines).encode()


def report(file: Path) -> tuple[dict[str, int], float | None]:
    """How many of each resource are used, and the clock of the slowest path between registers."""
    try:
        found = json.loads(file.read_bytes())
        used = {str(name): int(entry["used"]) for name, entry in found["utilization"].items()}
        return used, min((float(clock["achieved"]) for clock in found["fmax"].values()), default=None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is no report of nextpnr: {type(error).__name__}: {error}") from None


def wasm_program(wheel: str, function: str) -> tuple[str, ...]:
    """The command line of a tool in a wheel of YoWASP; ValueError where the wheel is missing or another one."""
    require(wheel, NEXTPNR)
    return (sys.executable, str(Path(__file__).with_name("_wasm.py")), wheel.replace("-", "_"), function)
