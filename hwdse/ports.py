"""The streams of a leaf module by its parameters: what enters and leaves, and the bits of a beat."""

from collections.abc import Mapping

from hwdse.netlist import Stream

Ports = tuple[tuple[Stream, ...], tuple[Stream, ...]]


def ports(module: str, parameters: Mapping[str, int]) -> Ports:
    """The streams that enter and those that leave; ValueError for a module that has no streams of its own."""
    p = parameters
    codes = p.get("AS", 0) + p.get("AE", 0) + p.get("AM", 0)
    lanes = p.get("LANES", 1)
    match module:
        case "mvu" | "mvu_streamed":
            terms = p["SIMD"] if p["SHARED"] else p["PE"] * p["SIMD"]
            weights = Stream("weights", p["PE"] * p["SIMD"] * (p["WS"] + p["WE"] + p["WM"]))
            streamed = (weights,) if module == "mvu_streamed" else ()
            return (Stream("in", terms * codes), *streamed), (Stream("out", p["PE"] * p["ACC"]),)
        case "threshold_search" | "threshold_parallel":
            return _pair(lanes * p["ACC"], lanes * (p["OS"] + p["OE"] + p["OM"]))
        case "window_serial":
            return _pair(lanes * p["BITS"], lanes * p["BITS"])
        case "window_parallel":
            return _pair(lanes * p["BITS"], p["KH"] * p["KW"] * lanes * p["BITS"])
        case "code_table":
            return _pair(lanes * p["IN"], lanes * p["OUT"])
        case "max_pool":
            return _pair(lanes * codes, lanes * codes)
        case "sum_pool":
            return _pair(lanes * codes, lanes * p["SUM"])
        case "residual_add":
            operand = lanes * codes
            return (Stream("a", operand), Stream("b", operand)), (Stream("out", lanes * p["SUM"]),)
        case "fifo":
            return _pair(p["BITS"], p["BITS"])
        case "branch":
            return (Stream("in", p["BITS"]),), (Stream("out0", p["BITS"]), Stream("out1", p["BITS"]))
        case "width":
            return _pair(p["IN"] * p["ELEMENT"], p["OUT"] * p["ELEMENT"])
        case "transpose":
            bits = p["ROWS"] * p["COLUMNS"] * p["ELEMENT"]
            return _pair(bits, bits)
    raise ValueError(f"no streams are known of leaf module {module!r}")


def _pair(before: int, after: int) -> Ports:
    return (Stream("in", before),), (Stream("out", after),)
