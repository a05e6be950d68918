"""Leaf modules of a few lines, whose size on every family can be counted by hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hwdse.netlist import Instance, Netlist, Stream, Unit, closure, modules, source

_PORTS = """
  input wire clk, input wire rst,
  input wire in_valid, output wire in_ready, input wire [{i}:0] in_data,
  output wire out_valid, input wire out_ready, output logic [{o}:0] out_data
"""
_WIRES = "  assign in_ready = out_ready;\n  assign out_valid = in_valid;\n"
# name -> (bits in, bits out, content)
_LEAVES = {
    "sum": (16, 8, "always_ff @(posedge clk) out_data <= in_data[7:0] + in_data[15:8];"),
    "store": (
        19,
        8,
        """(* ram_style = "distributed" *) logic [7:0] m [0:31];
  always_ff @(posedge clk) if (in_data[18]) m[in_data[4:0]] <= in_data[17:10];
  assign out_data = m[in_data[9:5]];""",
    ),
    "block": (
        39,
        18,
        """(* ram_style = "block", no_rw_check = 1 *) logic [17:0] m [0:1023];
  always_ff @(posedge clk) begin
    if (in_data[38]) m[in_data[9:0]] <= in_data[37:20];
    out_data <= m[in_data[19:10]];
  end""",
    ),
    "product": (32, 32, "assign out_data = in_data[15:0] * in_data[31:16];"),
    "delay": (2, 1, "always_ff @(posedge clk) if (in_data[1]) out_data <= in_data[0];"),
}


def _unit(name: str) -> Unit:
    bits_in, bits_out, _ = _LEAVES[name]
    return Unit(name, (), (Stream("in", bits_in),), (Stream("out", bits_out),))


def netlist(*names: str) -> Netlist:
    """One instance of each, side by side."""
    return Netlist(
        tuple(Instance(f"u_{name}", _unit(name), (("in", f"{name}_in"), ("out", f"{name}_out"))) for name in names)
    )


@pytest.fixture(autouse=True)
def leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The leaf modules above in the place of those in `hls_templates/rtl`."""
    folder = tmp_path / "templates" / "rtl"
    folder.mkdir(parents=True)
    for name, (bits_in, bits_out, content) in _LEAVES.items():
        ports = _PORTS.format(i=bits_in - 1, o=bits_out - 1)
        (folder / f"{name}.sv").write_text(f"module {name} ({ports});\n{_WIRES}  {content}\nendmodule\n")
    monkeypatch.setattr("hwdse.netlist.files", lambda package: folder.parent)
    for function in (modules, source, closure):
        function.cache_clear()
    yield
    for function in (modules, source, closure):
        function.cache_clear()
