"""What the units of a layer do in one frame: every operation and memory access with its widths, and how often.

Counts follow from the parameters of the units and the beats that pass through them, so that they are of what is built:
padding is multiplied like any other tap, and a memory of one word is wires. `hwdse.energy_model` prices them.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from hwdse.accelerator import Element, Quantised
from hwdse.arithmetic import positions, significand_bits
from hwdse.formats import Format, magnitude
from hwdse.matrix_vector import table_bits
from hwdse.memory import LUT_WORDS
from hwdse.structure.blocks import FABRICS, Multipliers
from hwdse.structure.lanes import DECODE, DSP, PACKED, TABLE, as_format, in_dsp
from hwdse.workload import Kind

Part = Literal["products", "sums", "comparisons", "memory"]


@dataclass(frozen=True, slots=True)
class Multiply:
    """`count` products of significands of `bits` bits, in a DSP block or in LUTs."""

    count: int
    bits: tuple[int, int]
    dsp: bool = False


@dataclass(frozen=True, slots=True)
class Add:
    """`count` additions, comparisons or stages of a shifter, `bits` bits wide, in LUTs."""

    part: Part
    count: int
    bits: int


@dataclass(frozen=True, slots=True)
class Access:
    """`count` reads or writes of a word of `bits` bits in a memory of `words` words, in block RAM or in LUTs."""

    part: Part
    count: int
    bits: int
    words: int
    block: bool = False


Operation = Multiply | Add | Access
Found = Iterator[Operation]
Parameters = Mapping[str, int]


def operations(q: Quantised, units: Sequence[Element]) -> Found:
    """All that the units of `q` do in one frame, and its memories that no leaf module has."""
    for unit in units:
        yield from _RULES[unit.module](q, dict(unit.parameters))
    yield from _loose(q)


# ---- beats of a frame ----------------------------------------------------------------------------


def _outputs(q: Quantised) -> int:
    """Beats that leave a layer."""
    return q.layer.positions * q.layer.rows // q.folding.pe


def _work(q: Quantised) -> int:
    """Beats in which terms of its outputs are worked on: cycles of products, beats that enter a pool."""
    return q.layer.positions * q.layer.rows * q.layer.dot // (q.folding.pe * q.folding.simd)


# ---- the matrix-vector unit ----------------------------------------------------------------------


def _matrix(q: Quantised, p: Parameters) -> Found:
    pe, simd, work = p["PE"], p["SIMD"], _work(q)
    terms, passes = p["DOT"] // simd, p["ROWS"] // pe if p["SHARED"] else 1
    yield from _products(p, work * pe * simd, FABRICS[q.target.family].multipliers)
    for bits, number in _adders(simd, p["PRODUCT"], p["SUM"]):
        yield Add("sums", work * pe * number, bits)
    if terms > 1:
        yield Add("sums", work * pe, p["ACC"])
        if passes > 1:  # a vector is written in the first pass and read in each of the others
            yield Access("memory", work, simd * (p["AS"] + p["AE"] + p["AM"]), terms, bool(p["BUFFER_BLOCK"]))
    words = p.get("GROUPS", 0) * (p["ROWS"] // pe) * terms  # none where weights are a stream
    if words > 1:
        yield Access("memory", work, pe * simd * (p["WS"] + p["WE"] + p["WM"]), words, bool(p["BLOCK"]))


def _products(p: Parameters, count: int, multipliers: Multipliers) -> Found:
    """Significands multiplied, the product shifted by the exponents' sum; signs ride on carries."""
    weight, activation = (as_format(p[f"{side}E"], p[f"{side}M"], p[f"{side}S"]) for side in "WA")
    if p["STYLE"] == TABLE:
        yield Access("products", count, p["PRODUCT"], 1 << table_bits(weight, activation))
        return
    if p["STYLE"] == DECODE:
        yield from _decoded(weight, "products", count)
        yield from _decoded(activation, "products", count)
        yield Multiply(count, (_fixed_bits(weight), _fixed_bits(activation)))
        return
    dsp = p["STYLE"] in (DSP, PACKED) and in_dsp(weight, activation, p["DSP_LANES"], multipliers)
    yield Multiply(count, (significand_bits(weight), significand_bits(activation)), dsp)
    stages = (positions(weight) + positions(activation)).bit_length()
    if stages:
        yield Add("products", count * stages, p["PRODUCT"])
    exponents = [fmt.exponent for fmt in (weight, activation)]
    if min(exponents) > 1:
        yield Add("products", count, max(exponents) + 1)


def _decoded(fmt: Format, part: Part, count: int) -> Found:
    """Codes to fixed point: a shift by the exponent, stage by stage."""
    stages = positions(fmt).bit_length()
    if stages:
        yield Add(part, count * stages, _fixed_bits(fmt))


def _fixed_bits(fmt: Format) -> int:
    return fmt.bits if fmt.exponent == 0 else magnitude(fmt).bit_length() + fmt.signed


@cache
def _adders(lanes: int, width: int, bits: int) -> tuple[tuple[int, int], ...]:
    """(width, number) of the adders of `adder_tree`: a bit wider at each level, up to `bits`."""
    if lanes == 1:
        return ()
    low = 1 << (lanes - 1).bit_length() - 1
    own = min(min(width + (low - 1).bit_length(), bits) + 1, bits)
    found = Counter({own: 1})
    for part in (low, lanes - low):
        end = min(width + (part - 1).bit_length(), bits)
        for size, number in _adders(part, width, end):
            found[size] += number
    return tuple(sorted(found.items()))


# ---- the other units -----------------------------------------------------------------------------


def _search(q: Quantised, p: Parameters) -> Found:
    """A comparison for each bit of the code, with a threshold from that step's memory."""
    count, width = _outputs(q) * p["LANES"], p["ACC"] + p["WIDE"]
    bits = p["OS"] + p["OE"] + p["OM"]
    yield Add("comparisons", count * bits, width)
    for step in range(bits):
        words = p["WORDS"] << step
        if words > 1:
            yield Access("memory", count, width, words, _block(p, words))


def _parallel(q: Quantised, p: Parameters) -> Found:
    """With all thresholds at once, a word of which is a channel's."""
    count, width = _outputs(q) * p["LANES"], p["ACC"] + p["WIDE"]
    yield Add("comparisons", count * p["COUNT"], width)
    if p["WORDS"] > 1:
        yield Access("memory", count, p["COUNT"] * width, p["WORDS"], _block(p, p["WORDS"]))


def _block(p: Parameters, words: int) -> bool:
    return 0 < p["BLOCK"] <= words


def _window_serial(q: Quantised, p: Parameters) -> Found:
    """Every pixel written, every tap read."""
    written, taps = p["H"] * p["W"] * p["CF"], _places(p) * p["KH"] * p["KW"] * p["CF"]
    yield Access("memory", written + taps, p["LANES"] * p["BITS"], p["D"] * p["CF"], bool(p["BLOCK"]))


def _places(p: Parameters) -> int:
    """Positions of a window."""
    rows = (p["H"] + 2 * p["PH"] - p["KH"]) // p["SH"] + 1
    return rows * ((p["W"] + 2 * p["PW"] - p["KW"]) // p["SW"] + 1)


def _window_parallel(q: Quantised, p: Parameters) -> Found:
    """Every beat: the rows above read and written, and in each row the columns before, which are delays of a pixel."""
    beats, bits = p["H"] * p["W"] * p["CF"], p["LANES"] * p["BITS"]
    if p["KH"] > 1 and p["W"] * p["CF"] > 1:
        yield Access("memory", 2 * beats, (p["KH"] - 1) * bits, p["W"] * p["CF"], bool(p["BLOCK"]))
    if p["KW"] > 1 and p["CF"] > 1:
        yield Access("memory", 2 * beats, p["KH"] * (p["KW"] - 1) * bits, p["CF"])


def _fifo(q: Quantised, p: Parameters) -> Found:
    if p["DEPTH"] > 2:  # shallower ones are registers
        words = 1 << (p["DEPTH"] - 2).bit_length()
        yield Access("memory", 2 * _outputs(q), p["BITS"], words, bool(p["BLOCK"]))


def _residual_add(q: Quantised, p: Parameters) -> Found:
    count = _outputs(q) * p["LANES"]
    yield from _decoded(as_format(p["AE"], p["AM"], p["AS"]), "sums", 2 * count)
    yield Add("sums", count, p["SUM"])


def _sum_pool(q: Quantised, p: Parameters) -> Found:
    count = _work(q) * p["LANES"]
    yield from _decoded(as_format(p["AE"], p["AM"], p["AS"]), "sums", count)
    yield Add("sums", count, p["SUM"])
    if p["GROUPS"] > 1:  # sums of all channels wait in a memory
        yield Access("memory", 2 * _work(q), p["LANES"] * p["SUM"], p["GROUPS"], bool(p["BLOCK"]))


def _max_pool(q: Quantised, p: Parameters) -> Found:
    yield Add("comparisons", _work(q) * p["LANES"], p["AS"] + p["AE"] + p["AM"])


def _code_table(q: Quantised, p: Parameters) -> Found:
    yield Access("memory", _outputs(q) * p["LANES"], p["OUT"], 1 << p["IN"], bool(p["BLOCK"]))


def _nothing(q: Quantised, p: Parameters) -> Found:
    """Registers and wires have no energy in this model."""
    return iter(())


_RULES: dict[str, Callable[[Quantised, Parameters], Found]] = {
    "mvu": _matrix,
    "mvu_streamed": _matrix,
    "threshold_search": _search,
    "threshold_parallel": _parallel,
    "window_serial": _window_serial,
    "window_parallel": _window_parallel,
    "fifo": _fifo,
    "residual_add": _residual_add,
    "sum_pool": _sum_pool,
    "max_pool": _max_pool,
    "code_table": _code_table,
    "width": _nothing,
    "branch": _nothing,
}


def _loose(q: Quantised) -> Found:
    """Memories of a layer that no leaf module has yet: a matmul's second operand, and biases of sums that leave."""
    layer, folding = q.layer, q.folding
    if layer.kind is Kind.MATMUL:  # loaded while the one before is used, SIMD elements at a time
        bits, words = q.operands[1].format.bits, 2 * q.words * (layer.dot // folding.simd)
        yield Access("memory", layer.rows * layer.dot // folding.simd, folding.simd * bits, words, _deep(q, words))
        yield Access("memory", _work(q), folding.pe * folding.simd * bits, words, _deep(q, words))
    if layer.bias and not q.outputs and q.sum_bits is not None:
        yield Add("sums", layer.positions * layer.rows, q.sum_bits)
        if q.words > 1:
            yield Access("memory", _outputs(q), folding.pe * q.sum_bits, q.words, _deep(q, q.words))


def _deep(q: Quantised, words: int) -> bool:
    return words > LUT_WORDS and q.target.brams > 0
