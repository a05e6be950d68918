"""The run of yosys for a unit of FINN's RTL: read by yosys-slang, then mapped by the same commands as our own units."""

from dataclasses import dataclass, replace
from pathlib import Path

from hwdse.build import BuildPlan
from hwdse.finn_rtl.sources import QUEUE, QUEUE_FILE, digest, patched
from hwdse.finn_rtl.tops import KINDS, Files
from hwdse.flows.yosys import Yosys
from hwdse.target import FpgaTarget


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of FINN's on a device."""

    device: str
    kind: str  # of `tops.KINDS`
    parameters: tuple[tuple[str, int], ...]

    @property
    def name(self) -> str:
        """`finn_dwc IN=8 OUT=32`."""
        return " ".join([self.kind, *(f"{key}={value}" for key, value in self.parameters)])


# The library that declares DSP48E2 leaves out most of its parameters: yosys only counts it.
_READ = """read_verilog -lib -specify +/xilinx/cells_sim.v
read_verilog -lib +/xilinx/cells_xtra.v
read_verilog -lib dsp58.v
read_slang --threads 1 --top top -Wno-undefined-param-override {initial}--ignore-timing --ignore-assertions \
--allow-use-before-declare {files}
"""

# A LUT6 with two outputs, which FINN's RTL has as a primitive, as the two LUTs of one site that are counted.
_SPLIT = b"""module LUT6_2 #(parameter [63:0] INIT = 0) (output O6, O5, input I0, I1, I2, I3, I4, I5);
  LUT6 #(.INIT(INIT)) six (.O(O6), .I0(I0), .I1(I1), .I2(I2), .I3(I3), .I4(I4), .I5(I5));
  LUT5 #(.INIT(INIT[31:0])) five (.O(O5), .I0(I0), .I1(I1), .I2(I2), .I3(I3), .I4(I4));
endmodule
"""

# Of Versal, which yosys does not know: the ports that FINN's RTL connects, with their widths in AMD AM004 (v1.2.1).
_DSP58 = b"""module DSP58 (
  output [33:0] ACOUT, output [23:0] BCOUT, output CARRYCASCOUT, MULTSIGNOUT, output [57:0] PCOUT,
  output OVERFLOW, PATTERNBDETECT, PATTERNDETECT, UNDERFLOW, output [3:0] CARRYOUT, output [57:0] P,
  output [7:0] XOROUT,
  input [33:0] ACIN, input [23:0] BCIN, input CARRYCASCIN, MULTSIGNIN, input [57:0] PCIN, input [3:0] ALUMODE,
  input [2:0] CARRYINSEL, input CLK, input [4:0] INMODE, input [2:0] NEGATE, input [8:0] OPMODE, input [33:0] A,
  input [23:0] B, input [57:0] C, input CARRYIN, input [26:0] D, input ASYNC_RST, CEA1, CEA2, CEAD, CEALUMODE,
  input CEB1, CEB2, CEC,
  input CECARRYIN, CECTRL, CED, CEINMODE, CEM, CEP, RSTA, RSTALLCARRYIN, RSTALUMODE, RSTB, RSTC, RSTCTRL, RSTD,
  input RSTINMODE, RSTM, RSTP
);
endmodule
"""
_LIBRARY = (("split.v", _SPLIT), ("dsp58.v", _DSP58))


def files_of(folder: Path, kind: str) -> Files:
    """FINN's files of a kind of unit, from its library in `folder`, as yosys reads them."""
    return patched(folder, KINDS[kind].files)


def plan(unit: Unit, rtl: Files, target: FpgaTarget, made: Files = ()) -> BuildPlan:
    """The run of `unit`, of which `rtl` are FINN's files; `made`: modules that FINN's generator makes for it."""
    kind = KINDS[unit.kind]
    top = kind.top(dict(unit.parameters))
    sources = (*rtl, (QUEUE_FILE, QUEUE.encode()), *made, ("top.sv", top.text.encode()))
    read = _READ.format(
        initial="" if kind.initial else "--ignore-initial ", files=" ".join(name for name, _ in sources)
    )
    mapped = replace(target, family="xcup") if target.family == "versal" else target  # the same LUTs
    return Yosys().plan_read(read, (*sources, *top.contents, *_LIBRARY), mapped, ("techmap -map split.v",))


def sources_of(folder: Path, kind: str) -> Files:
    """All that a unit of a kind is made of, FINN's templates and what is changed included."""
    return (*files_of(folder, kind), *patched(folder, KINDS[kind].templates), (QUEUE_FILE, QUEUE.encode()))


def rtl_digest(unit: Unit, sources: Files) -> str:
    """Names the RTL of `unit`, whose kind is made of `sources`: with its top and the contents of its memories."""
    top = KINDS[unit.kind].top(dict(unit.parameters))
    return digest((*sources, ("top.sv", top.text.encode()), *top.contents))
