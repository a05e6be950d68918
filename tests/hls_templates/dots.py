"""Exact products as hardware: many `dot` modules of one term on one stream of codes, and all that they must give."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwdse import reference
from hwdse.beats import Beats, pack, words
from hwdse.formats import Format, decode_table, limits
from hwdse.matrix_vector import MatrixVector
from hwdse.netlist import Netlist, Stream, closure, source
from hwdse.simulation import build

Codes = NDArray[np.int64]
_DOT = (
    *("PE", "SIMD", "STYLE", "METHOD", "WE", "WM", "WS", "AE", "AM", "AS", "SHARED"),
    *("DSP_LANES", "LATE", "PRODUCT", "SUM"),
)
_TOP = """\
module top (
  input logic clk, input logic rst,
  input logic in_valid, output logic in_ready, input logic [{inputs}-1:0] in_data,
  output logic out_valid, input logic out_ready, output logic [{outputs}-1:0] out_data
);
  wire step = !out_valid || out_ready;
  assign in_ready = step;
  logic [1:0] valid;
  logic [{inputs}-1:0] codes;
  always_ff @(posedge clk) begin
    if (rst) {{out_valid, valid}} <= 3'b000;
    else if (step) {{out_valid, valid}} <= {{valid, in_valid}};
    if (step) codes <= in_data;
  end
{dots}
endmodule
"""


@dataclass(frozen=True, slots=True)
class Dots(Netlist):
    """One `dot` for each unit, of one term; `in`: weights, and above them an activation; `out`: whole words each."""

    units: tuple[MatrixVector, ...] = ()

    @property
    def weight_bits(self) -> int:
        """Bits of a beat below its activation."""
        return max(unit.folding.pe * unit.weight.bits for unit in self.units)

    @property
    def inputs(self) -> tuple[Stream, ...]:
        """Codes."""
        return (Stream("in", self.weight_bits + max(unit.activation.bits for unit in self.units)),)

    @property
    def outputs(self) -> tuple[Stream, ...]:
        """Products."""
        return (Stream("out", 32 * sum(map(_words, self.units))),)

    @property
    def files(self) -> tuple[tuple[str, bytes], ...]:
        """The generated module, `dot` with all below it, and the tables of products."""
        dots = [self._dot(i, unit) for i, unit in enumerate(self.units)]
        starts = accumulate(map(_words, self.units), initial=0)
        sums = [
            line
            for i, (unit, start) in enumerate(zip(self.units, starts, strict=False))
            for line in _sums(i, unit, start)
        ]
        text = _TOP.format(inputs=self.inputs[0].bits, outputs=self.outputs[0].bits, dots="\n".join([*dots, *sums]))
        tables = [
            (f"u{i}_{memory.name}.hex", memory.content)
            for i, unit in enumerate(self.units)
            for memory in unit.unit([0]).memories
            if memory.name == "products"
        ]
        return (("top.sv", text.encode()), *((f"{m}.sv", source(m).encode()) for m in closure("dot")), *tables)

    def _dot(self, i: int, unit: MatrixVector) -> str:
        given = {key: unit.parameters[key] for key in _DOT}
        parameters = ", ".join([*(f".{key}({value})" for key, value in given.items()), f'.MEMORY("u{i}_")'])
        pe, width = unit.folding.pe, given["SUM"]
        a = f"codes[{self.weight_bits} +: {unit.activation.bits}]"
        return (
            f"  wire [{pe * width - 1}:0] sums{i};\n  wire [{pe - 1}:0] carries{i};\n"
            f"  dot #({parameters}) u{i} (.clk(clk), .step(step), .w(codes[{pe * unit.weight.bits - 1}:0]), .a({a}),"
            f" .sums(sums{i}), .carries(carries{i}));"
        )


def _words(unit: MatrixVector) -> int:
    return unit.folding.pe * words(unit.parameters["SUM"])


def _sums(i: int, unit: MatrixVector, start: int) -> Iterator[str]:
    """Each sum with its carry, in words of its own."""
    width = unit.parameters["SUM"]
    for k in range(unit.folding.pe):
        low, size = 32 * (start + k * words(width)), 32 * words(width)
        yield f"  wire [{width - 1}:0] p{i}_{k} = sums{i}[{k * width} +: {width}] + {width}'(carries{i}[{k}]);"
        yield f"  assign out_data[{low} +: {size}] = {size}'(p{i}_{k});"


def check(units: Sequence[MatrixVector], cache: Path, codes: tuple[Codes, Codes] | None = None) -> int:
    """How many products were compared; all equal.

    `codes`: for each beat the weights of all PE, the first lowest, and the activation; without them every beat.
    """
    netlist = Dots((), tuple(units))
    w, a = every(netlist) if codes is None else codes
    beats = pack((w | a << netlist.weight_bits).reshape(-1, 1), netlist.inputs[0].bits)
    found = build(netlist, cache).run({"in": beats}, outputs={"out": len(beats)}).outputs["out"]
    starts = accumulate(map(_words, units), initial=0)
    return sum(_compare(unit, w, a, found[:, start:]) for unit, start in zip(units, starts, strict=False))


def every(netlist: Dots) -> tuple[Codes, Codes]:
    """Every beat."""
    beats = np.arange(2 ** netlist.inputs[0].bits)
    return beats & (1 << netlist.weight_bits) - 1, beats >> netlist.weight_bits


def _compare(unit: MatrixVector, w: Codes, a: Codes, found: Beats) -> int:
    """The products of one unit that were compared: those of codes that it has, each beat of its own codes once."""
    width, bits, pe = unit.parameters["SUM"], unit.weight.bits, unit.folding.pe
    lanes = [w >> bits * k & (1 << bits) - 1 for k in range(pe)]
    has_w, has_a = (
        usable(fmt, narrow) for fmt, narrow in zip((unit.weight, unit.activation), unit.narrow, strict=True)
    )
    used = (w < 1 << bits * pe) & (a < 1 << unit.activation.bits)
    used[used] &= has_a[a[used]]
    for lane in lanes:
        used &= has_w[lane]
    expected, size = packed(unit.weight, unit.activation, width), words(width)
    for k, lane in enumerate(lanes):
        wanted = expected[(a[used] << bits) + lane[used]]
        assert (found[used, k * size : (k + 1) * size] == wanted).all(), (unit, k)
    return pe * int(used.sum())


def usable(fmt: Format, narrow: bool) -> NDArray[np.bool_]:
    """Of each code whether it is in the range."""
    low, high = limits(fmt, narrow)
    numbers = decode_table(fmt)
    return np.asarray((numbers >= low) & (numbers <= high))


@cache
def packed(weight: Format, activation: Format, bits: int) -> Beats:
    """`n x words`: the products of all codes, modulo `2**bits`, the weight's code the lower part of the index."""
    codes = [np.arange(2**fmt.bits).reshape(-1, 1) for fmt in (weight, activation)]
    products = reference.dot_products(weight, activation, *codes)
    return pack(products.reshape(-1, 1) % (1 << bits), bits)
