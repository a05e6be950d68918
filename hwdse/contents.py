"""Units with contents that are random but the same every time: what is synthesised when only the size matters.

Weights and thresholds of a trained network have more in common with each other than random ones, so that real memories
in LUTs are rather smaller.
"""

from random import Random

from hwdse import units
from hwdse.accelerator import Element
from hwdse.matrix_vector import products
from hwdse.netlist import Memory, Unit
from hwdse.ports import ports
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
    return Unit(element.module, element.parameters, *ports(element.module, p))


def _matrix(element: Element, p: Parameters, random: Random) -> Unit:
    weight, activation = (as_format(p[f"{side}E"], p[f"{side}M"], p[f"{side}S"]) for side in "WA")
    tables = (products(weight, activation, p["PRODUCT"]),) if p["STYLE"] == TABLE else ()
    streams = ports(element.module, p)
    if element.module == "mvu_streamed":
        return Unit(element.module, element.parameters, *streams, tables)
    bits, words = p["PE"] * p["SIMD"] * weight.bits, p["GROUPS"] * (p["ROWS"] // p["PE"]) * (p["DOT"] // p["SIMD"])
    matrix = Memory("weights", bits, tuple(random.getrandbits(bits) for _ in range(words)))
    return Unit(element.module, element.parameters, *streams, (matrix, *tables))


def _thresholds(element: Element, p: Parameters, random: Random) -> Unit:
    """Thresholds spread over the sums; `COUNT` says how many there are where a full integer has one more."""
    fmt, top = as_format(p["OE"], p["OM"], p["OS"]), 1 << p["ACC"] - 1
    narrow = p.get("COUNT", len(levels(fmt)) - 1) == len(levels(fmt)) - 1
    count = len(levels(fmt, narrow)) - 1
    rows = [sorted(random.randrange(-top, top) for _ in range(count)) for _ in range(p["LANES"] * p["WORDS"])]
    value = Thresholds(fmt, p["ACC"], tuple(map(tuple, rows)), narrow)
    make = value.search if element.module == "threshold_search" else value.parallel
    return make(p["LANES"], block_words=p["BLOCK"] or None)
