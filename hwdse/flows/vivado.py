"""AMD's own tool, where a machine has it: synthesis, place and route out of context.

Out of context the ports are no pins, so that a unit of any width fits and its clock is from register to register.
The layouts of the reports are those of UG906 (`report_timing_summary`) and of `report_utilization`: 'Slice LUTs' on
7 series, 'CLB LUTs' on UltraScale+ and Versal.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from hwdse.build import BuildPlan, Command, Programs
from hwdse.cost import Resources
from hwdse.flow import Flow, Measured
from hwdse.netlist import Netlist
from hwdse.target import FpgaTarget

FAMILIES = ("xc7", "xcup", "versal")
_USED, _TIMING = "utilization.rpt", "timing.rpt"


@dataclass(frozen=True)
class Vivado(Flow):
    """Counts of Vivado, placed and routed."""

    dsp: bool = True  # whether a multiplication may become a DSP
    mhz: int = 200  # asked for
    version: str = "2024.2"  # as `version -short` says it; the run ends where it is another
    timeout_seconds: float = 7200.0

    def claims(self, target: FpgaTarget) -> bool:
        """AMD's families."""
        return target.family in FAMILIES

    def plan(self, netlist: Netlist, target: FpgaTarget) -> BuildPlan:
        """One script."""
        if not self.claims(target):
            raise ValueError(f"no Vivado for family {target.family!r}; known: {', '.join(FAMILIES)}")
        clock = f"create_clock -name clk -period {1000 / self.mhz:.3f} [get_ports clk]\n"
        own = (("clock.xdc", clock.encode()), ("run.tcl", self._script(netlist, target)))
        argv = ("vivado", "-mode", "batch", "-nojournal", "-nolog", "-source", "run.tcl")
        command = Command(argv, self.timeout_seconds, "vivado.log")
        return BuildPlan((*netlist.files, *own), (command,), (("vivado", self.version),), (_USED, _TIMING))

    def read(self, folder: Path) -> Measured:
        """Area and clock as routed."""
        sections = _tables(_text(folder / _USED))
        rows = {name: used for table in reversed(sections) for name, used in table.items()}
        area = Resources(
            luts=_row(rows, "Slice LUTs", "CLB LUTs"),
            ffs=_row(rows, "Slice Registers", "CLB Registers", "Registers"),
            dsps=_row(rows, "DSPs", "DSP Slices"),
            brams=_row(rows, "Block RAM Tile", each=2),  # of 36 Kib
            urams=_row(rows, "URAM") if "URAM" in rows else 0,
            lutrams=_row(rows, "LUT as Memory"),
        )
        primitives = next((table for table in sections if "Ref Name" in table), {})
        cells = tuple(sorted((name, _row(primitives, name)) for name in primitives if name != "Ref Name"))
        return Measured(area, _mhz(_text(folder / _TIMING)), "placed", cells)

    def programs(self) -> Programs:
        """`vivado` on the path."""
        found = shutil.which("vivado")
        if found is None:
            raise ValueError("there is no vivado on the PATH: install it from AMD, or use the flow 'yosys'")
        return {"vivado": (found,)}

    def _script(self, netlist: Netlist, target: FpgaTarget) -> bytes:
        sources = [name for name, _ in netlist.files if name.endswith(".sv")]
        synth = f"synth_design -mode out_of_context -top top -part {target.part}"
        lines = [
            f'if {{[version -short] ne "{self.version}"}} {{error "this is Vivado [version -short]"}}',
            "set_param general.maxThreads 1",
            *(f"read_verilog -sv {name}" for name in sources),
            "read_xdc -mode out_of_context clock.xdc",
            synth if self.dsp else f"{synth} -max_dsp 0",
            "opt_design",
            "place_design",
            "route_design",
            f"report_utilization -file {_USED}",
            f"report_timing_summary -delay_type max -file {_TIMING}",
        ]
        return "\n".join([*lines, ""]).encode()


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} is no report of Vivado: {type(error).__name__}: {error}") from None


def _tables(report: str) -> list[dict[str, str]]:
    """The tables of a utilization report: name of a row -> its column 'Used', the title row included."""
    tables = list[dict[str, str]]()
    for block in re.split(r"\n\s*\n", report):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines() if line[:1] == "|"]
        tables.append({row[0].rstrip("*"): row[1] for row in rows if len(row) > 2})
    return tables


def _row(rows: dict[str, str], *names: str, each: int = 1) -> int:
    """What the row of one of `names` says is used; ValueError where there is none, or no number in it."""
    for name in names:
        if name in rows:
            return round(_number(rows[name], f"row {name!r} of a utilization report") * each)
    raise ValueError(f"a utilization report of Vivado has a row {' or '.join(map(repr, names))}, unlike this one")


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{where} of Vivado has a number, not {text!r}") from None


def _mhz(report: str) -> float | None:
    """1 / (period - worst slack); nothing where no path lies between two registers."""
    slack = re.search(r"^\s*WNS\(ns\).*\n[\s-]*\n\s*(\S+)", report, re.MULTILINE)
    period = re.search(r"^clk\s+\{[^}]*\}\s+(\d+\.\d+)", report, re.MULTILINE)
    if slack is None or period is None:
        raise ValueError("a timing summary of Vivado has 'WNS(ns)' and the period of clock 'clk', unlike this one")
    if slack[1] == "NA":
        return None
    return 1000 / (float(period[1]) - _number(slack[1], "'WNS(ns)' of a timing summary"))
