"""The matrix-vector unit as a value: formats, sizes, folding and how it multiplies, and the leaf module that this is.

`hls_templates/rtl/mvu.sv` is the hardware, `mvu_streamed.sv` the one whose weights are a stream too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hwdse.arithmetic import DSP_PORTS, booth_multiplier, row_multiplier, significand_bits, tight_bits
from hwdse.design import Folding
from hwdse.formats import Format, decode_table
from hwdse.netlist import Memory, Stream, Unit

# `shift`: significands multiplied on carry chains, then shifted (Kulisch); `decode`: codes to fixed point, then
# multiplied; `table`: all products in a table; `dsp`: the multiplier is a DSP block, several small products in one.
Style = Literal["shift", "decode", "table", "dsp"]
_SHIFT, _DECODE, _TABLE, _DSP, _PACKED = range(5)  # of the RTL's parameter STYLE
_STAR, _ROWS, _BOOTH_B, _BOOTH_A = range(4)  # of METHOD

EXPONENT_BITS = 5  # at most in hardware: sums of wider formats have 140 bits and more, and are only priced
TABLE_BITS = 8  # at most at the address of a table of products


@dataclass(frozen=True, slots=True)
class MatrixVector:
    """`rows` sums of `dot` products per vector, `folding.pe` sums and `folding.simd` terms of each in a cycle."""

    weight: Format
    activation: Format
    rows: int
    dot: int
    folding: Folding
    groups: int = 1
    shared: bool = True  # whether the PEs read the same activations: not in depthwise layers
    style: Style = "shift"
    narrow: tuple[bool, bool] = (True, True)  # whether weights and activations leave out their lone -2**(b-1)
    block: bool = False  # weights in block RAM
    buffer_block: bool = False  # the kept vector in block RAM
    streamed: bool = False  # weights from a stream
    lut_inputs: int = 6
    dsp: str | None = None  # the device's DSP block, for `dsp`

    def __post_init__(self) -> None:
        if self.style not in get_args(Style):
            raise ValueError(f"a product is made by {', '.join(get_args(Style))}, not by {self.style!r}")
        for what, part, whole in (("PE", self.folding.pe, self.rows), ("SIMD", self.folding.simd, self.dot)):
            if whole % part:
                raise ValueError(f"{what} divides {whole}, so a folding is not {self.folding.name}")
        if self.style == "dsp" and self.dsp not in DSP_PORTS:
            raise ValueError(f"a DSP block is {', '.join(DSP_PORTS)}, not {self.dsp!r}")
        if self.style == "table" and table_bits(self.weight, self.activation) > TABLE_BITS:
            pair = f"{self.weight.name} x {self.activation.name}"
            raise ValueError(f"a table of products has at most {TABLE_BITS} address bits, too few for {pair}")

    @property
    def words(self) -> int:
        """Words of weights in the memory."""
        return self.groups * (self.rows // self.folding.pe) * (self.dot // self.folding.simd)

    @property
    def sum_bits(self) -> int:
        """Bits of an output, in two's complement."""
        signed = self.weight.signed or self.activation.signed
        return self._bits(self.dot) + (not signed)

    @property
    def dsp_lanes(self) -> int:
        """Products of one activation in one DSP48: their fields lie side by side in its wider operand.

        `packed_products.sv` needs (lanes - 1) fields, a weight and a bit; AMD WP486 has two lanes of INT8.
        """
        return min(self.folding.pe, self._most_lanes)

    @property
    def cycles(self) -> int:
        """Cycles for one vector of each group."""
        return self.words

    @property
    def module(self) -> str:
        """The leaf module."""
        return "mvu_streamed" if self.streamed else "mvu"

    @property
    def parameters(self) -> dict[str, int]:
        """Of the leaf module."""
        pe, simd = self.folding.pe, self.folding.simd
        fields = (("E", "exponent"), ("M", "mantissa"), ("S", "signed"))
        formats = {
            f"{side}{key}": int(getattr(fmt, field))
            for side, fmt in (("W", self.weight), ("A", self.activation))
            for key, field in fields
        }
        parameters = {"ROWS": self.rows, "DOT": self.dot, "PE": pe, "SIMD": simd}
        parameters |= {"STYLE": self._style, "METHOD": self._method, **formats, "SHARED": int(self.shared)}
        parameters |= {"DSP_LANES": self.dsp_lanes, "LATE": int(self.lut_inputs == 6)}
        parameters |= {"PRODUCT": self._bits(1), "SUM": self._bits(simd), "ACC": self.sum_bits}
        parameters |= {"BUFFER_BLOCK": int(self.buffer_block)}
        return parameters | ({} if self.streamed else {"GROUPS": self.groups, "BLOCK": int(self.block)})

    def columns(self, foldings: Sequence[Folding]) -> dict[str, NDArray[np.int64]]:
        """`parameters` with each of `foldings`, an element each; memories stay where they are."""
        pe, simd = (np.array([getattr(one, key) for one in foldings], np.int64) for key in ("pe", "simd"))
        sums = np.array([self._bits(one.simd) for one in foldings], np.int64)
        changed = {"PE": pe, "SIMD": simd, "SUM": sums, "DSP_LANES": np.minimum(pe, self._most_lanes)}
        every = {key: np.full(len(foldings), value, np.int64) for key, value in self.parameters.items()}
        return {**every, **changed}

    def unit(self, weights: Sequence[int] | None = None) -> Unit:
        """The leaf module; `weights`: the memory's `words`, of PE x SIMD codes each, element 0 lowest."""
        for fmt in (self.weight, self.activation):
            if fmt.exponent > EXPONENT_BITS:
                raise ValueError(f"hardware is built for at most {EXPONENT_BITS} exponent bits, not for {fmt.name}")
            if fmt.bits > 8:
                raise ValueError(f"hardware is built for at most 8 bits, not for {fmt.name}")
        pe, simd = self.folding.pe, self.folding.simd
        activations = Stream("in", (1 if self.shared else pe) * simd * self.activation.bits)
        word = Stream("weights", pe * simd * self.weight.bits)
        out = (Stream("out", pe * self.sum_bits),)
        memories = (products(self.weight, self.activation, self._bits(1)),) if self.style == "table" else ()
        if self.streamed:
            return Unit(self.module, tuple(self.parameters.items()), (activations, word), out, memories)
        if weights is None or len(weights) != self.words:
            raise ValueError(f"a matrix has {self.words} words, not {None if weights is None else len(weights)}")
        matrix = Memory("weights", word.bits, tuple(weights))
        return Unit(self.module, tuple(self.parameters.items()), (activations,), out, (matrix, *memories))

    def _bits(self, terms: int) -> int:
        return tight_bits(self.weight, self.activation, terms, self.narrow)

    @property
    def _most_lanes(self) -> int:
        """The lanes of a DSP48 with as many PEs as it has room for."""
        if self._style != _PACKED or self.dsp not in ("dsp48e1", "dsp48e2"):
            return 1
        room = DSP_PORTS[self.dsp][0] - 1 - self.weight.bits
        return 1 + room // self._bits(1)

    @property
    def _style(self) -> int:
        if self.style != "dsp":
            return {"shift": _SHIFT, "decode": _DECODE, "table": _TABLE}[self.style]
        integers = self.weight.exponent == self.activation.exponent == 0
        return _PACKED if integers and self.weight.signed and self.shared else _DSP  # as `packed_products.sv` asks

    @property
    def _method(self) -> int:
        """The smallest way to multiply what the multiplier sees."""
        if self.style == "dsp":
            return _STAR
        (a, a_signed), (b, b_signed) = (self._operand(fmt) for fmt in (self.weight, self.activation))
        sizes = {
            _ROWS: row_multiplier(a, b, self.lut_inputs),
            _BOOTH_B: booth_multiplier(a, b, a_signed, b_signed, self.lut_inputs),
            _BOOTH_A: booth_multiplier(b, a, b_signed, a_signed, self.lut_inputs),
        }
        return min(sizes, key=lambda method: sizes[method])

    def _operand(self, fmt: Format) -> tuple[int, bool]:
        """Bits of a factor, and whether its sign is one of them."""
        if fmt.exponent == 0:
            return fmt.bits, fmt.signed
        if self.style == "decode":
            return fmt.signed + fmt.mantissa + (1 << fmt.exponent) - 1, fmt.signed
        return significand_bits(fmt), False


def products(weight: Format, activation: Format, bits: int) -> Memory:
    """The table of all products, of `bits` bits, at address {weight, activation}; of a minifloat without its sign."""
    tables = [_whole(fmt)[: 1 << _address_bits(fmt)] for fmt in (weight, activation)]
    return Memory("products", bits, tuple((w * a) % (1 << bits) for w, a in product(*tables)))


def table_bits(weight: Format, activation: Format) -> int:
    """Bits at the address of a table of products."""
    return _address_bits(weight) + _address_bits(activation)


def _address_bits(fmt: Format) -> int:
    """Bits of a code that a table of products sees: not a minifloat's sign."""
    return fmt.bits if fmt.exponent == 0 else fmt.exponent + fmt.mantissa


def _whole(fmt: Format) -> list[int]:
    """Every code's value in units of the smallest step."""
    return [round(value / fmt.lsb) for value in decode_table(fmt)]
