"""A frame of registers around a netlist, so that it has few pins and its clock is from register to register.

A unit has more ports than a device has pins. In the frame a shift register drives every input, and the outputs are
captured and folded into a second one. No wire but the reset goes to more than two of its registers, so that the
frame does not set the clock. It takes one LUT for each output bit and the registers; `read` of the flow subtracts it.
"""

from hwdse.netlist import Netlist

OSCILLATOR = """  logic clk;
  OSCA #(.HF_OSC_EN("ENABLED"), .HF_CLK_DIV("1")) oscillator (.HFOUTEN(1'b1), .HFCLKOUT(clk));
"""


def frame(netlist: Netlist, *, oscillator: bool) -> bytes:
    """Module `scan` around module `top`; its clock is a pin, or a Nexus device's own oscillator."""
    drives, takes = _driven(netlist), _taken(netlist)
    bits_in, bits_out = sum(bits for _, bits in drives), sum(bits for _, bits in takes)
    pins = ["input logic reset", "input logic scan_in", "output logic scan_out"]
    ports = ",\n".join(["    .clk(clk), .rst(rst)", *_slices(drives, "drive"), *_slices(takes, "take")])
    text = f"""module scan (
  {", ".join(pins if oscillator else ["input logic clk", *pins])}
);
{OSCILLATOR if oscillator else ""}  logic rst;
  logic [{bits_in - 1}:0] drive;
  logic [{bits_out - 1}:0] take, captured, folded;
  always_ff @(posedge clk) begin
    rst <= reset;
    drive <= {{drive, scan_in}};
    captured <= take;
    folded <= {{folded, drive[{bits_in - 1}]}} ^ captured;
  end
  assign scan_out = folded[{bits_out - 1}];
  top unit (
{ports}
  );
endmodule
"""
    return text.encode()


def black_box(netlist: Netlist) -> bytes:
    """Module `top` without its content, for the synthesis of the frame."""
    ports = ["input logic clk", "input logic rst"]
    for name, bits in _driven(netlist):
        ports.append(f"input logic [{bits - 1}:0] {name}")
    for name, bits in _taken(netlist):
        ports.append(f"output logic [{bits - 1}:0] {name}")
    return "\n".join(
        ["(* blackbox *)", "module top (", ",\n".join(f"  {port}" for port in ports), ");", "endmodule", ""]
    ).encode()


def _driven(netlist: Netlist) -> list[tuple[str, int]]:
    """The inputs of `top` but its clock and reset, with their bits."""
    found = [(f"{s.name}_{wire}", n) for s in netlist.inputs for wire, n in (("valid", 1), ("data", s.bits))]
    return found + [(f"{s.name}_ready", 1) for s in netlist.outputs]


def _taken(netlist: Netlist) -> list[tuple[str, int]]:
    """The outputs of `top`, with their bits."""
    found = [(f"{s.name}_{wire}", n) for s in netlist.outputs for wire, n in (("valid", 1), ("data", s.bits))]
    return found + [(f"{s.name}_ready", 1) for s in netlist.inputs]


def _slices(ports: list[tuple[str, int]], vector: str) -> list[str]:
    """The connections of ports to the bits of `vector`, one after the other."""
    found, low = [], 0
    for name, bits in ports:
        found.append(f"    .{name}({vector}[{low + bits - 1}:{low}])")
        low += bits
    return found
