"""Units with contents that are random but the same every time: what is synthesised when only the size matters.

Weights and thresholds of a trained network have more in common with each other than random ones, so that real memories
in LUTs are rather smaller.
"""

from random import Random

from hwdse import units
from hwdse.accelerator import Element
from hwdse.matrix_vector import products
from hwdse.netlist import Memory, Stream, Unit
from hwdse.structure.lanes import TABLE, as_format
from hwdse.thresholds import Thresholds, levels

Parameters = dict[str, int]


def unit(element: Element) -> Unit:
    """The unit of `element`, its memories filled by a generator that its parameters seed."""
    p, random = dict(element.parameters), Random(f"{element.module} {element.parameters}")
    match element.module:
        case "mvu" | "mvu_streamed":
            return _matrix(element, p, random)
        case "threshold_search" | "threshold_parallel":
            return _thresholds(element, p, random)
        case "code_table":
            codes = [random.getrandbits(p["OUT"]) for _ in range(1 << p["IN"])]
            return units.code_table(codes, p["OUT"], p["LANES"], block=bool(p["BLOCK"]))
    ins, outs = _streams(element.module, p)
    return Unit(element.module, element.parameters, ins, outs)


def _matrix(element: Element, p: Parameters, random: Random) -> Unit:
    weight, activation = (as_format(p[f"{side}E"], p[f"{side}M"], p[f"{side}S"]) for side in "WA")
    lanes = p["PE"] * p["SIMD"]
    vector = Stream("in", (p["SIMD"] if p["SHARED"] else lanes) * activation.bits)
    word, out = Stream("weights", lanes * weight.bits), (Stream("out", p["PE"] * p["ACC"]),)
    tables = (products(weight, activation, p["PRODUCT"]),) if p["STYLE"] == TABLE else ()
    if element.module == "mvu_streamed":
        return Unit(element.module, element.parameters, (vector, word), out, tables)
    words = p["GROUPS"] * (p["ROWS"] // p["PE"]) * (p["DOT"] // p["SIMD"])
    matrix = Memory("weights", word.bits, tuple(random.getrandbits(word.bits) for _ in range(words)))
    return Unit(element.module, element.parameters, (vector,), out, (matrix, *tables))


def _thresholds(element: Element, p: Parameters, random: Random) -> Unit:
    """Thresholds spread over the sums; `COUNT` says how many there are where a full integer has one more."""
    fmt, top = as_format(p["OE"], p["OM"], p["OS"]), 1 << p["ACC"] - 1
    narrow = p.get("COUNT", len(levels(fmt)) - 1) == len(levels(fmt)) - 1
    count = len(levels(fmt, narrow)) - 1
    rows = [sorted(random.randrange(-top, top) for _ in range(count)) for _ in range(p["LANES"] * p["WORDS"])]
    value = Thresholds(fmt, p["ACC"], tuple(map(tuple, rows)), narrow)
    make = value.search if element.module == "threshold_search" else value.parallel
    return make(p["LANES"], block_words=p["BLOCK"] or None)


def _streams(module: str, p: Parameters) -> tuple[tuple[Stream, ...], tuple[Stream, ...]]:
    """The ports of a module without a memory of its own contents."""
    lane = p.get("AS", 0) + p.get("AE", 0) + p.get("AM", 0)
    match module:
        case "window_serial":
            bits = p["LANES"] * p["BITS"]
            return (Stream("in", bits),), (Stream("out", bits),)
        case "window_parallel":
            bits = p["LANES"] * p["BITS"]
            return (Stream("in", bits),), (Stream("out", p["KH"] * p["KW"] * bits),)
        case "fifo":
            return (Stream("in", p["BITS"]),), (Stream("out", p["BITS"]),)
        case "branch":
            return (Stream("in", p["BITS"]),), (Stream("out0", p["BITS"]), Stream("out1", p["BITS"]))
        case "width":
            return (Stream("in", p["IN"] * p["ELEMENT"]),), (Stream("out", p["OUT"] * p["ELEMENT"]),)
        case "max_pool":
            return (Stream("in", p["LANES"] * lane),), (Stream("out", p["LANES"] * lane),)
        case "sum_pool":
            return (Stream("in", p["LANES"] * lane),), (Stream("out", p["LANES"] * p["SUM"]),)
        case "residual_add":
            ins = (Stream("a", p["LANES"] * lane), Stream("b", p["LANES"] * lane))
            return ins, (Stream("out", p["LANES"] * p["SUM"]),)
    raise ValueError(f"no streams are known of leaf module {module!r}")
