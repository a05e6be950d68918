"""FINN's RTL as its environment has it, made readable for yosys-slang by exact replacements of text.

A replacement whose text is not found is an error: another version of FINN has another RTL.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from hwdse.finn.environment import Environment, FinnError

VERSION = "1.6.1"  # of finn-plus, whose RTL the patches are for


@dataclass(frozen=True, slots=True)
class Patch:
    """A text in a file of FINN's, and what stands there instead."""

    old: str
    new: str

    def applied(self, name: str, text: str) -> str:
        """`text` with the replacement; FinnError unless the old text is there exactly once."""
        _place(self.old, name, text)
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Move:
    """What stands from one text up to another in a file of FINN's goes before a third."""

    start: str
    end: str
    before: str

    def applied(self, name: str, text: str) -> str:
        """`text` after the move; FinnError unless each of the three is there exactly once, the third in front."""
        start, end, before = (_place(one, name, text) for one in (self.start, self.end, self.before))
        if not before < start < end:
            raise FinnError(f"the RTL of finn-plus {VERSION} has {self.before!r} before {self.start!r} in {name}")
        return text[:before] + text[start:end] + text[before:start] + text[end:]


def _place(wanted: str, name: str, text: str) -> int:
    """Where `wanted` is in `text`; FinnError unless it is there exactly once."""
    if (found := text.count(wanted)) != 1:
        said = wanted.strip().splitlines()[0].strip()
        raise FinnError(f"the RTL of finn-plus {VERSION} has {said!r} once in {name}, not {found} times")
    return text.index(wanted)


# A queue that FINN writes as an array which shifts, read at an address. Its attribute SHREG_EXTRACT asks for shift
# registers, which yosys does not find behind the multiplexer: it is one LUT a bit, as AMD's synthesis makes it.
QUEUE = """module hwdse_queue #(int unsigned WIDTH, int unsigned DEPTH) (
  input logic clk, input logic ce, input logic [WIDTH-1:0] d, input logic [4:0] a, output logic [WIDTH-1:0] q
);
  if (DEPTH > 32) $error("a shift register has 32 places");
  for (genvar i = 0; i < WIDTH; i++) begin : bits
    if (DEPTH <= 16) SRL16E srl (.CLK(clk), .CE(ce), .D(d[i]), .A0(a[0]), .A1(a[1]), .A2(a[2]), .A3(a[3]), .Q(q[i]));
    else SRLC32E srl (.CLK(clk), .CE(ce), .D(d[i]), .A(a), .Q(q[i]));
  end
endmodule
"""
QUEUE_FILE = "hwdse_queue.sv"

_TO_NETS = (Patch("`default_nettype none", ""), Patch("`default_nettype wire", ""))  # only between modules
_TAP = (
    "hwdse_queue #(.WIDTH($bits({type})), .DEPTH({depth})) queue (.clk({clk}), .ce({ce}), .d({d}), .a({a}), .q({q}));"
)

# yosys reads attributes in lower case, and calls a ROM in LUTs `logic`.
_ROM = ", ".join(f'{key} = RAM_STYLE == "distributed"? "logic" : RAM_STYLE' for key in ("ram_style", "rom_style"))

PATCHES: Mapping[str, tuple[Patch | Move, ...]] = {
    # yosys-slang evaluates no function that is declared in a generate block.
    "mvu/add_multi.sv": (
        Move("typedef int unsigned  leaf_load_t", "localparam leaf_load_t", "localparam int unsigned  L "),
    ),
    "mvu/mvu_vvu_axi.sv": (
        Patch(
            "output_t  OBuf[0:MAX_IN_FLIGHT];",
            "output_t  tap;\n"
            + _TAP.format(
                type="output_t",
                depth="MAX_IN_FLIGHT+1",
                clk="ap_clk",
                ce="ovld",
                d="odat",
                a="OPtr[$left(OPtr)-1:0]",
                q="tap",
            ),
        ),
        Patch("if(ovld)  OBuf <= { odat, OBuf[0:MAX_IN_FLIGHT-1] };", ""),
        Patch("OBuf[OPtr[$left(OPtr)-1:0]]", "tap"),
    ),
    "thresholding/hdl/thresholding.sv": (
        Patch('"TRUE" : "FALSE", RAM_STYLE = RAM_STYLE *)', f'"TRUE" : "FALSE", {_ROM} *)'),
        # A range that is reversed in the first stage, which yosys-slang refuses although it is not used there.
        Patch("p.ptr[M-1:SN+1] < 2**stage", "(p.ptr[M-1:0] >> (SN+1)) < 2**stage"),
        Patch(
            "logic        [PE-1 : 0][M-1 : 0]  ADat[A_DEPTH];",
            "logic [PE-1:0][M-1:0]  last, tap;\n"
            "for(genvar  pe = 0; pe < PE; pe++)  assign  last[pe] = pipe[pe][M].ptr;",
        ),
        Patch(
            "		uwire  bload = !BVld || ordy;",
            "		uwire  bload = !BVld || ordy;\n"
            + _TAP.format(type="last", depth="A_DEPTH", clk="clk", ce="aload", d="last", a="APtr", q="tap"),
        ),
        Patch("foreach(pipe[pe])  ADat[0][pe] <= pipe[pe][M].ptr;", ""),
        Patch("for(int unsigned  i = 1; i < A_DEPTH; i++)  ADat[i] <= ADat[i-1];", ""),
        Patch("BDat <= ADat[APtr];", "BDat <= tap;"),
    ),
    "memstream/hdl/memstream.sv": (
        Patch("(* RAM_STYLE = RAM_STYLE *)", f"(* {_ROM} *)"),
        Patch(
            "data_t  OSrl[FULL_CREDIT-1];",
            "data_t  tap;",
        ),
        Patch(
            "logic [$clog2(FULL_CREDIT):0]  OPtr = -1;",
            "logic [$clog2(FULL_CREDIT):0]  OPtr = -1;\n"
            + _TAP.format(type="data_t", depth="FULL_CREDIT-1", clk="clk", ce="Rs3", d="Dat3", a="OPtr", q="tap"),
        ),
        Patch("if(Rs3)  OSrl <= { Dat3, OSrl[0:FULL_CREDIT-3] };", ""),
        Patch("ODat <= OSrl[OPtr];", "ODat <= tap;"),
    ),
    "fifo/hdl/fifo.sv": (
        Patch("(* RAM_STYLE = RAM_STYLE_EFF *)", "(* ram_style = RAM_STYLE_EFF *)"),
        Patch('(* RAM_STYLE = "distributed" *)', '(* ram_style = "distributed" *)'),
        *_TO_NETS,
        Patch('(* SHREG_EXTRACT = "yes" *) dat_t  A[DEPTH_IMPL];', "dat_t  tap;"),
        Patch(
            "		uwire  push = Rdy && ivld;",
            "		uwire  push = Rdy && ivld;\n"
            + _TAP.format(
                type="dat_t", depth="DEPTH_IMPL", clk="clk", ce="push", d="idat", a="Ptr[$left(Ptr)-1:0]", q="tap"
            ),
        ),
        Patch("if(push)  A <= { idat, A[0:DEPTH_IMPL-2] };", ""),
        Patch("B <= A[Ptr[$left(Ptr)-1:0]];", "B <= tap;"),
    ),
    "dwc/hdl/vpc.sv": _TO_NETS,
}


def rtllib(environment: Environment) -> Path:
    """FINN's folder of RTL; FinnError where the environment is not ready."""
    if not environment.ready:
        raise FinnError(f"FINN+ is {environment.state}")
    (found,) = environment.folder.glob("lib/python3*/site-packages/finn/finn-rtllib")
    return found


def patched(folder: Path, names: tuple[str, ...]) -> tuple[tuple[str, bytes], ...]:
    """Files of FINN's `folder` by their paths in it, as (file name, content); FinnError where one is another one."""
    return tuple((Path(name).name, changed(name, _read(folder / name))) for name in names)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise FinnError(f"FINN's RTL cannot be read: {error}") from None


def changed(name: str, content: bytes) -> bytes:
    """A file of FINN's by its path in the library as yosys-slang reads it; FinnError where it is another one."""
    text = content.decode()
    for patch in PATCHES.get(name, ()):
        text = patch.applied(name, text)
    return text.encode()


def digest(files: tuple[tuple[str, bytes], ...]) -> str:
    """Names what was measured: FINN's files as they were read."""
    return blake2b(b"\0".join(content for _, content in files), digest_size=8).hexdigest()
