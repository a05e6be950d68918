"""A unit of FINN's RTL as the top of a netlist: its files, its parameters, and the ports that a design connects.

The ports for configuration are tied to 0, as FINN leaves them open where nothing is written at run time, so that
synthesis removes what is behind them. Memories have random contents.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from random import Random

Parameters = Mapping[str, int]
Files = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Top:
    """Module `top` around a unit: ports as (name, bits), nets of the unit's ports, and files with contents."""

    unit: str
    parameters: Mapping[str, int | str]
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]
    ports: Mapping[str, str]  # of the unit -> net
    contents: Files = ()

    @property
    def text(self) -> str:
        """Its SystemVerilog."""
        ports = [f"input logic [{bits - 1}:0] {name}" for name, bits in self.inputs]
        ports += [f"output logic [{bits - 1}:0] {name}" for name, bits in self.outputs]
        values = ", ".join(f".{key}({value})" for key, value in self.parameters.items())
        nets = ", ".join(f".{port}({net})" for port, net in self.ports.items())
        return f"module top ({', '.join(ports)});\n  {self.unit} #({values}) unit ({nets});\nendmodule\n"


@dataclass(frozen=True, slots=True)
class Kind:
    """A unit of FINN's: the files that it is made of, by their paths in FINN's library, and its top."""

    files: tuple[str, ...]
    top: Callable[[Parameters], Top]
    templates: tuple[str, ...] = ()  # of which FINN's generator makes modules of it
    initial: bool = False  # whether its memories have contents; FINN's other `initial` blocks are for simulation


def _bytes(bits: int) -> int:
    """Bits of an AXI stream that carries `bits`."""
    return 8 * ceil(bits / 8)


def _stream(net: str, port: str, letters: str = "valid ready data") -> dict[str, str]:
    """Ports of a stream `port` of FINN's, and the nets of stream `net`."""
    return {
        f"{port}{end}": f"{net}_{wire}" for end, wire in zip(letters.split(), ("valid", "ready", "data"), strict=True)
    }


def _one_stream(bits_in: int, bits_out: int) -> tuple[tuple[tuple[str, int], ...], tuple[tuple[str, int], ...]]:
    """Clock and reset, a stream in and a stream out."""
    ends = (("clk", 1), ("rst_n", 1))
    inputs = (*ends, ("in_valid", 1), ("in_data", bits_in), ("out_ready", 1))
    return inputs, (("in_ready", 1), ("out_valid", 1), ("out_data", bits_out))


_CLOCK = {"ap_clk": "clk", "ap_rst_n": "rst_n"}
_T = "tvalid tready tdata"


def _mvu(p: Parameters) -> Top:
    """The matrix-vector unit without its weight memory."""
    return _products(p, 1, p["SIMD"] * p["A"])


def _vvu(p: Parameters) -> Top:
    """The vector-vector unit, which has an activation for each product, without its weight memory."""
    return _products(p, 0, p["PE"] * p["SIMD"] * p["A"])


def _products(p: Parameters, matrix: int, vector: int) -> Top:
    """Either, which reads `vector` bits at once."""
    weights, bits = p["PE"] * p["SIMD"] * p["W"], (_bytes(vector), _bytes(p["PE"] * p["ACC"]))
    parameters = {
        "IS_MVU": matrix,
        "VERSION": p["VERSION"],
        "MW": p["MW"],
        "MH": p["MH"],
        "PE": p["PE"],
        "SIMD": p["SIMD"],
    }
    parameters |= {"WEIGHT_WIDTH": p["W"], "ACTIVATION_WIDTH": p["A"], "ACCU_WIDTH": p["ACC"]}
    parameters |= {"NARROW_WEIGHTS": p["NARROW"], "SIGNED_ACTIVATIONS": p["SIGNED"]}
    inputs, outputs = _one_stream(*bits)
    inputs, outputs = (*inputs, ("w_valid", 1), ("w_data", _bytes(weights))), (*outputs, ("w_ready", 1))
    ports = {**_CLOCK, "ap_clk2x": "1'b0", **_stream("w", "s_axis_weights_", _T)}
    ports |= {**_stream("in", "s_axis_input_", _T), **_stream("out", "m_axis_output_", _T)}
    return Top("mvu_vvu_axi", parameters, inputs, outputs, ports)


_LITE = ("AWVALID", "AWADDR", "WVALID", "WDATA", "WSTRB", "BREADY", "ARVALID", "ARADDR", "RREADY")


def _thresholds(p: Parameters) -> Top:
    """A unit of thresholds, all different, with FINN's deep pipeline."""
    steps, out = (1 << p["BITS"]) - 1, _bytes(p["PE"] * p["BITS"])
    parameters: dict[str, int | str] = {"WI": p["IN"], "WT": p["IN"], "N": steps, "C": p["C"], "PE": p["PE"]}
    parameters |= {"SIGNED": p["SIGNED"], "THRESHOLDS_PATH": '"all_"', "USE_AXILITE": 0, "DEEP_PIPELINE": 1}
    # Any trigger makes smaller memories `distributed`: where FINN has block RAM, it has a formula for it.
    parameters |= {"DEPTH_TRIGGER_BRAM": 1 << 30}
    ports = {**_CLOCK, **{f"s_axilite_{name}": "'0" for name in _LITE}, "s_axis_set_tvalid": "'0"}
    ports |= {"s_axis_set_tdata": "'0", **_stream("in", "s_axis_", _T), **_stream("out", "m_axis_", _T)}
    inputs, outputs = _one_stream(_bytes(p["PE"] * p["IN"]), out)
    return Top("thresholding_axi", parameters, inputs, outputs, ports, tuple(_threshold_files(p)))


def _threshold_files(p: Parameters) -> list[tuple[str, bytes]]:
    """A file per PE and step of the search: the thresholds that are compared in it, channel by channel."""
    random, bits, low = Random(str(sorted(p.items()))), p["BITS"], -(1 << (p["IN"] - 1)) if p["SIGNED"] else 0
    count, span = (1 << bits) - 1, range(low, low + (1 << p["IN"]))
    rows = [sorted(random.sample(span, count)) for _ in range(p["C"])]
    found = list[tuple[str, bytes]]()
    for pe in range(p["PE"]):
        for step in range(bits):
            half = 1 << (bits - 1 - step)
            codes = [row[(2 * i + 1) * half - 1] for row in rows[pe :: p["PE"]] for i in range(1 << step)]
            found.append((f"all_threshs_{pe}_{step}.dat", _hex(codes, p["IN"])))
    return found


def _hex(codes: list[int], bits: int) -> bytes:
    """A file for $readmemh."""
    return "".join(f"{code & ((1 << bits) - 1):x}\n" for code in codes).encode()


def _memstream(p: Parameters) -> Top:
    """A memory of weights that repeats its words."""
    random = Random(str(sorted(p.items())))
    style = '"block"' if p["BLOCK"] else '"distributed"'
    parameters: dict[str, int | str] = {
        "SETS": 1,
        "DEPTH": p["DEPTH"],
        "WIDTH": p["WIDTH"],
        "INIT_FILE": '"memory.dat"',
        "RAM_STYLE": style,
    }
    lite = (
        "awvalid",
        "awprot",
        "awaddr",
        "wvalid",
        "wdata",
        "wstrb",
        "bready",
        "arvalid",
        "arprot",
        "araddr",
        "rready",
    )
    ports = {"clk": "clk", "clk2x": "clk", "rst": "!rst_n", **dict.fromkeys(lite, "'0")}
    ports |= {"s_axis_0_tvalid": "'0", "s_axis_0_tdata": "'0", **_stream("out", "m_axis_0_", _T)}
    words = [random.getrandbits(p["WIDTH"]) for _ in range(p["DEPTH"])]
    inputs = (("clk", 1), ("rst_n", 1), ("out_ready", 1))
    outputs = (("out_valid", 1), ("out_data", _bytes(p["WIDTH"])))
    return Top("memstream_axi", parameters, inputs, outputs, ports, (("memory.dat", _hex(words, p["WIDTH"])),))


FIFO_STYLES = ("shift", "distributed", "block")


def _fifo(p: Parameters) -> Top:
    """A queue, with what counts its beats if COUNTED, as where FINN has measured it alone."""
    parameters: dict[str, int | str] = {"DEPTH": p["DEPTH"], "DATA_WIDTH": p["WIDTH"]}
    parameters |= {"RAM_STYLE": f'"{FIFO_STYLES[p["STYLE"]]}"'}
    inputs, outputs = _one_stream(p["WIDTH"], p["WIDTH"])
    ports = {"clk": "clk", "rst": "!rst_n", **_stream("in", "i", "vld rdy dat"), **_stream("out", "o", "vld rdy dat")}
    counters = {"count": "held", "maxcount": "most"} if p["COUNTED"] else {}
    bits = p["DEPTH"].bit_length() + 1
    outputs = (*outputs, *((net, bits) for net in counters.values()))
    return Top("fifo", parameters, inputs, outputs, {**ports, **counters})


def _dwc(p: Parameters) -> Top:
    """A change of width."""
    inputs, outputs = _one_stream(_bytes(p["IN"]), _bytes(p["OUT"]))
    ports = {**_CLOCK, **_stream("in", "s_axis_", _T), **_stream("out", "m_axis_", _T)}
    return Top("dwc_axi", {"IBITS": p["IN"], "OBITS": p["OUT"]}, inputs, outputs, ports)


def _padding(p: Parameters) -> Top:
    """A border of zeros of one width on all sides of a square image."""
    size, pad, bits = p["SIZE"], p["PAD"], _bytes(p["SIMD"] * p["BITS"])
    counter = (size + 2 * pad).bit_length()
    parameters = {"NUM_CHANNELS": p["C"], "SIMD": p["SIMD"], "ELEM_BITS": p["BITS"]}
    for axis in "XY":
        parameters |= {f"{axis}COUNTER_BITS": counter, f"INIT_{axis}ON": pad, f"INIT_{axis}OFF": pad + size}
        parameters |= {f"INIT_{axis}END": size + 2 * pad - 1}
    inputs, outputs = _one_stream(bits, bits)
    ports = {**_CLOCK, **{f"s_axilite_{name}": "'0" for name in _LITE}}
    return Top(
        "fmpadding_axi",
        parameters,
        inputs,
        outputs,
        ports | _stream("in", "s_axis_", _T) | _stream("out", "m_axis_", _T),
    )


def _window(p: Parameters) -> Top:
    """A sliding window: FINN's generator makes its module for each unit, with all parameters in it."""
    taps = p["K"] ** 2 if p["PARALLEL"] else 1
    inputs, outputs = _one_stream(_bytes(p["SIMD"] * p["BITS"]), _bytes(p["SIMD"] * p["BITS"] * taps))
    letters = "TVALID TREADY TDATA"
    return Top(
        "window",
        {},
        inputs,
        outputs,
        {**_CLOCK, **_stream("in", "in0_V_", letters), **_stream("out", "out0_V_", letters)},
    )


_PRODUCTS = (
    *("mvu/mvu_pkg.sv", "mvu/add_multi.sv", "mvu/replay_buffer.sv", "mvu/mvu.sv"),
    *("mvu/mvu_vvu_8sx9_dsp58.sv", "mvu/mvu_vvu_axi.sv"),
)
KINDS: Mapping[str, Kind] = {
    "finn_mvu": Kind(_PRODUCTS, _mvu),
    "finn_vvu": Kind(_PRODUCTS, _vvu),
    "finn_thresholds": Kind(
        ("axi/hdl/axilite.sv", "thresholding/hdl/thresholding.sv", "thresholding/hdl/thresholding_axi.sv"),
        _thresholds,
        initial=True,
    ),
    "finn_memstream": Kind(
        ("axi/hdl/axilite.sv", "memstream/hdl/memstream.sv", "memstream/hdl/memstream_axi.sv"), _memstream, initial=True
    ),
    "finn_fifo": Kind(("fifo/hdl/fifo.sv",), _fifo),
    "finn_dwc": Kind(("dwc/hdl/vpc.sv", "dwc/hdl/dwc_axi.sv"), _dwc),
    "finn_padding": Kind(
        ("fmpadding/hdl/axi2we.sv", "fmpadding/hdl/fmpadding.sv", "fmpadding/hdl/fmpadding_axi.sv"), _padding
    ),
    "finn_window": Kind(
        ("swg/swg_pkg.sv", "swg/swg_common.sv"),
        _window,
        tuple(f"swg/swg_template_{name}" for name in ("default.sv", "parallel.sv", "wrapper.v")),
    ),
}
