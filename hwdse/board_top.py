"""The top module of a board: an accelerator behind a serial line, with its clock, its reset and nothing else.

The line has eight bits, no parity and one stop bit. A break on it, or bytes that are out of step, reset everything.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from hwdse.boards import Board
from hwdse.netlist import Netlist, closure, source
from hwdse.target import FpgaTarget

RATES = (1_000_000, 921_600, 460_800, 230_400, 115_200)  # baud, that systems know by these numbers
CLOSE = 0.02  # how far a rate may be off: both ends together have 5 %, half a bit in the ten of a byte
FEWEST_CYCLES = 4  # of a bit: fewer do not find its middle
MODULES = ("host", "uart_rx", "uart_tx")


@dataclass(frozen=True, slots=True)
class Rate:
    """Of a serial line: what a host calls it, and the cycles of the clock that a bit takes."""

    baud: int
    divider: int


def rate(mhz: float) -> Rate:
    """The fastest of `RATES` that a clock of `mhz` meets; ValueError where it meets none."""
    for baud in RATES:
        cycles = mhz * 1e6 / baud
        if cycles >= FEWEST_CYCLES and abs(round(cycles) / cycles - 1) < CLOSE:
            return Rate(baud, round(cycles))
    raise ValueError(f"a clock meets one of the rates {', '.join(map(str, RATES))} within 2 %, unlike {mhz:g} MHz")


def queue_bytes(image_bytes: int, target: FpgaTarget) -> int:
    """How deep the queue before an accelerator is: for an image at least, and whatever its block RAM holds beyond."""
    block = 1 << (target.bram_kib * 1024 // 8).bit_length() - 1
    return max(block, 1 << (image_bytes - 1).bit_length()) + 1


def beat_bytes(bits: int) -> int:
    """The bytes that a beat takes on the line."""
    return (bits + 7) // 8


def files(netlist: Netlist, board: Board, queue: int) -> tuple[tuple[str, bytes], ...]:
    """`board.sv`, the files of `netlist`, and the leaf modules that it has not; `queue`: bytes that may wait.

    ValueError where `netlist` has not one stream in and one out.
    """
    own = netlist.files
    names = sorted({name for module in MODULES for name in closure(module)})
    leaves = ((f"{name}.sv", source(name).encode()) for name in names)
    return (("board.sv", _top(netlist, board, queue).encode()), *own, *(leaf for leaf in leaves if leaf not in own))


def _top(netlist: Netlist, board: Board, queue: int) -> str:
    if (len(netlist.inputs), len(netlist.outputs)) != (1, 1):
        ends = f"{len(netlist.inputs)} and {len(netlist.outputs)}"
        raise ValueError(f"a board feeds one stream and reads one, unlike those of a netlist with {ends}")
    (enters,), (leaves,) = netlist.inputs, netlist.outputs
    divider = rate(board.clock_mhz).divider
    sizes = f".IN_BITS({enters.bits}), .OUT_BITS({leaves.bits}), .QUEUE({queue}), .BLOCK(1)"
    ports = ",\n".join(f"  {port}" for port in _ports(board))
    high = "".join(f"  assign high{i} = 1'b1;\n" for i in range(len(board.high_pins)))
    return f"""module board (
{ports}
);
{_clock(board)}  logic [7:0] cycles;  // since the device was configured
  logic off, rst, broken;
  initial cycles = 8'd0;
  always @(posedge clk) begin
    if (!cycles[7]) cycles <= cycles + 8'd1;
    off <= !cycles[7];
    rst <= off || broken;
  end
{_wires("received", 8)}{_wires("sent", 8)}{_wires("enters", enters.bits)}{_wires("leaves", leaves.bits)}\
  uart_rx #(.DIVIDER({divider})) receiver (
    .clk(clk), .rst(off), .rx(rx), .broken(broken),
    {_joined("out", "received")}
  );
  uart_tx #(.DIVIDER({divider})) sender (
    .clk(clk), .rst(rst), .tx(tx),
    {_joined("in", "sent")}
  );
  host #({sizes}) interface_ (
    .clk(clk), .rst(rst),
    {_joined("bytes_in", "received")},
    {_joined("beats_out", "enters")},
    {_joined("beats_in", "leaves")},
    {_joined("bytes_out", "sent")}
  );
  top accelerator (
    .clk(clk), .rst(rst),
    {_joined(enters.name, "enters")},
    {_joined(leaves.name, "leaves")}
  );
{high}endmodule
"""


def pins(board: Board) -> tuple[tuple[str, str], ...]:
    """The ports of the module `board`, each with the pin that it is connected to; not the oscillator."""
    clock = () if board.clock_pin is None else (("clk", board.clock_pin),)
    high = ((f"high{i}", pin) for i, pin in enumerate(board.high_pins))
    return (*clock, ("rx", board.rx_pin), ("tx", board.tx_pin), *high)


def _ports(board: Board) -> Iterator[str]:
    for name, _ in pins(board):
        yield f"{'input' if name in ('clk', 'rx') else 'output'} logic {name}"


def _clock(board: Board) -> str:
    """Nothing, or the oscillator of a Nexus, whose clock is divided by HF_CLK_DIV + 1.

    Source: litex/soc/cores/clock/lattice_nx.py of enjoy-digital/litex.
    """
    if board.oscillator_divisor is None:
        return ""
    enabled = f'.HF_OSC_EN("ENABLED"), .HF_CLK_DIV("{board.oscillator_divisor - 1}")'
    return f"  logic clk;\n  OSCA #({enabled}) oscillator (.HFOUTEN(1'b1), .HFCLKOUT(clk));\n"


def _wires(name: str, bits: int) -> str:
    return f"  logic {name}_valid, {name}_ready;\n  logic [{bits - 1}:0] {name}_data;\n"


def _joined(port: str, net: str) -> str:
    return ", ".join(f".{port}_{wire}({net}_{wire})" for wire in ("valid", "ready", "data"))
