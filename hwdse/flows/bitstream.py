"""From an accelerator to the bitstream of a board: synthesis, place and route with its pins, and packing.

What is placed is the whole: the accelerator, and the serial line in front of it (`hwdse.board_top`). Where the clock of
the board is missed the run succeeds, and `read` says the clock that is met: the caller compares.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from hwdse import board_top
from hwdse.boards import Board, board, board_of, boards
from hwdse.build import BuildPlan, Command, Programs
from hwdse.flow import Flow, Measured
from hwdse.flows._count import count
from hwdse.flows._netlist import read, read_family
from hwdse.flows._packers import PACKERS, Packer
from hwdse.flows._routers import NEXTPNR, ROUTERS, router
from hwdse.flows._script import YOSYS, Files, Goal, inputs, require, script
from hwdse.flows.nextpnr import report, wasm_program
from hwdse.flows.yosys import yosys_program
from hwdse.netlist import Netlist
from hwdse.target import FpgaTarget

DEFAULT = "default"  # the board that is meant where only the device is named
_OSCILLATOR = (  # of a Nexus, for yosys, which otherwise learns of it too late
    "oscillator.v",
    b"""module OSCA(input HFOUTEN, output HFCLKOUT);
  parameter HF_OSC_EN = "DISABLED";
  parameter HF_CLK_DIV = "1";
endmodule
""",
)
_NETLIST, _PLACED, _REPORT, _LOG = "netlist.json.gz", "board.json", "report.json", "nextpnr.log"


@dataclass(frozen=True)
class Bitstream(Flow):
    """Synthesis, place and route on a board, and packing."""

    board: str = DEFAULT  # a name of `hwdse.boards`
    queue: int = 2049  # bytes that may wait before the accelerator, an image at least: `board_top.queue_bytes`
    dsp: bool = True  # whether a multiplication may become a DSP
    goal: Goal = "area"  # what yosys maps logic for; `speed`: its own default
    seed: int = 1
    timeout_seconds: float = 3600.0

    def claims(self, target: FpgaTarget) -> bool:
        """The devices that are on the board, or on any."""
        if target.family not in PACKERS:
            return False
        known = [board(name) for name in boards()] if self.board == DEFAULT else [board(self.board)]
        return target.name in [one.device for one in known]

    def on(self, target: FpgaTarget) -> Board:
        """The board; ValueError where it has another device."""
        one = board_of(target.name) if self.board == DEFAULT else board(self.board)
        if one.device != target.name:
            raise ValueError(f"board {one.name!r} carries device {one.device!r}, not {target.name!r}")
        return one

    def plan(self, netlist: Netlist, target: FpgaTarget) -> BuildPlan:
        """Synthesis of the whole, place and route, and the packer; `netlist`: one stream in, one out."""
        tools = router(target)
        pack, one = PACKERS[target.family], self.on(target)
        files = board_top.files(netlist, one, self.queue)
        primitives = (_OSCILLATOR,) if one.clock_pin is None else ()
        synth = ("synth.ys", self._script(files, target, primitives))
        own = (synth, *primitives, *tools.files, (pack.constraints, pack.content(one)))
        settings = ("--freq", f"{one.clock_mhz:g}", "--seed", str(self.seed), "--timing-allow-fail")
        files_of = ("--json", _PLACED, "--report", _REPORT, *pack.arguments)
        place = (tools.tool, *tools.arguments(replace(target, part=one.part)), *settings, *files_of)
        commands = (
            Command(("yosys", "synth.ys"), self.timeout_seconds, "synth.log"),
            Command(place, self.timeout_seconds, _LOG),
            Command(pack.command, self.timeout_seconds, "pack.log"),
        )
        versions = (("yosys", YOSYS), (tools.tool, NEXTPNR), (pack.command[0], pack.version))
        results = (_NETLIST, _REPORT, _LOG, pack.bitstream)
        return BuildPlan((*inputs(files, target), *own), commands, versions, results)

    def read(self, folder: Path) -> Measured:
        """LUTs and FFs as placed, of the whole; a placer leaves DSPs and memories as the netlist has them."""
        family = read_family(folder)
        area = count(read(folder / _NETLIST), family).area
        used, mhz = report(folder / _REPORT)
        try:
            luts, ffs = ROUTERS[family].placed(used, (folder / _LOG).read_text(errors="replace"), area.ffs)
        except KeyError as error:
            raise ValueError(f"a report of nextpnr counts {error}, unlike this one") from None
        cells = tuple(sorted((name, n) for name, n in used.items() if n))
        return Measured(replace(area, luts=luts, ffs=ffs), mhz, "placed", cells)

    def programs(self) -> Programs:
        """This Python, which has `pyosys` and the wheels for the family of the board, or of all boards."""
        families = list(PACKERS) if self.board == DEFAULT else [board(self.board).family]
        routers = {one.tool: wasm_program(one.wheel, one.function) for one in map(ROUTERS.__getitem__, families)}
        packers = {one.command[0]: _program(one) for one in map(PACKERS.__getitem__, families)}
        return {**yosys_program(), **routers, **packers}

    def _script(self, files: Files, target: FpgaTarget, primitives: Files) -> bytes:
        names = tuple(name for name, _ in primitives)
        whole = script(
            files, target, dsp=self.dsp, goal=self.goal, output=_NETLIST, top="board", pads=True, primitives=names
        )
        return whole + "\n".join([*router(target).before, f"write_json -selected {_PLACED}", ""]).encode()


def bitstream(folder: Path) -> Path:
    """The bitstream of a finished run in `folder`."""
    return folder / PACKERS[read_family(folder)].bitstream


def between(target: FpgaTarget) -> tuple[str, ...]:
    """The names of the files that its tools hand to each other, which are no results."""
    return (_PLACED, PACKERS[target.family].output)


def wheels(target: FpgaTarget) -> tuple[tuple[str, str], ...]:
    """What pip installs for the tools of a device, with versions."""
    pack = PACKERS[target.family]
    return tuple(dict.fromkeys((("pyosys", YOSYS), (router(target).wheel, NEXTPNR), (pack.wheel, pack.version))))


def _program(one: Packer) -> tuple[str, ...]:
    if one.function is not None:
        return wasm_program(one.wheel, one.function)
    require(one.wheel, one.version)
    return (sys.executable, "-m", "apycula.gowin_pack")
