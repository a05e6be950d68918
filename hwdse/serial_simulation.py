"""A board in Verilator whose serial line is a terminal, for the host program: `hls_templates/sim/serial.cpp`."""

from importlib.resources import files
from pathlib import Path

from hwdse.build import BuildPlan, Command, run
from hwdse.simulation import TOOL_SECONDS, TRANSLATE, Versions, toolbox

Files = tuple[tuple[str, bytes], ...]  # (name, content)


def build(board: Files, cache: Path) -> Path:
    """The program that simulates the files of `hwdse.board_top.files`, from `cache` or compiled.

    It reads the memories of the accelerator from the folder in which it is run. SimulationError says what to install.
    """
    tools, programs = toolbox(cache)
    return run(_plan(board, tools), cache, programs) / "serial"


def _plan(board: Files, tools: Versions) -> BuildPlan:
    folder = files("hwdse.hls_templates") / "sim"
    hardware = tuple((name, content) for name, content in board if name.endswith(".sv"))
    harness = tuple((name, (folder / name).read_bytes()) for name in ("serial.cpp", "program.cpp"))
    sources = ("--top-module", "board", *(name for name, _ in hardware))
    return BuildPlan(
        (*hardware, *harness),
        (
            Command(("verilator", *TRANSLATE, *sources), TOOL_SECONDS, "verilator.log"),
            Command(("g++", '-DDRIVER="serial.cpp"', "program.cpp", "-o", "serial"), TOOL_SECONDS, "g++.log"),
        ),
        tools,
        ("serial",),
    )
