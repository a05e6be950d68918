"""FINN's windows, padding and changes of width. Sources: swg/*.sv, fmpadding/hdl/fmpadding.sv, dwc/hdl/vpc.sv."""

from hwdse.finn_parts.part import Parameters, Part, Parts, bits_for, ram


def window(p: Parameters) -> Parts:
    """Of a window of K x K pixels over SIZE x SIZE ones of C channels, SIMD elements of BITS bits at once.

    PARALLEL: the pixels of a window come at once, from registers and a memory for each row between; else one after
    the other from one memory, in block RAM if BLOCK. DEPTHWISE, STRIDE.
    """
    folds, width = p["C"] // p["SIMD"], p["SIMD"] * p["BITS"]
    element = bits_for(p["SIZE"] ** 2 * folds) + 1
    loops = sum(bits_for(n) + 1 for n in (p["SIZE"], p["SIZE"], p["K"], p["K"], folds))
    pixels = (p["K"] - 1) * (p["SIZE"] + 1)
    if p["PARALLEL"]:
        row = p["SIZE"] - p["K"]
        return {
            "control": Part(20, 10),
            "loops": Part(loops, loops),
            "elements": Part(2 * element, 2 * element),
            "rows": Part((p["K"] - 1) * ram(row, width), (p["K"] - 1) * (width + 2 * bits_for(row))),
            "row addresses": Part((p["K"] - 1) * 2 * bits_for(row), 0),
            "registers": Part(0, (p["K"] * p["K"]) * width),
        }
    depth = (
        pixels + 1 + max(0, p["STRIDE"] - 1 - p["K"] ** 2) + max(0, (p["STRIDE"] - 1) * p["SIZE"] - p["K"] ** 2)
    ) * folds
    stored = 0.0 if p["BLOCK"] else ram(depth, width)
    return {
        "control": Part(20, 10),
        "loops": Part(loops, loops),
        "elements": Part(3 * element, 3 * element),
        "addresses": Part(3 * bits_for(depth), 2 * bits_for(depth)),
        "buffer": Part(stored, 0 if p["BLOCK"] else width),
    }


def padding(p: Parameters) -> Parts:
    """Of PAD pixels on each side of SIZE x SIZE ones of C channels, SIMD elements of BITS bits at once."""
    width, axis = p["SIMD"] * p["BITS"], bits_for(p["SIZE"] + 2 * p["PAD"] + 1)
    folds = bits_for(p["C"] // p["SIMD"])
    return {
        "control": Part(20, 10),
        "counters": Part(2 * axis + folds, 2 * axis + folds),
        "word": Part(width, 2 * width),
    }


def dwc(p: Parameters) -> Parts:
    """Of a change from IN to OUT bits, where one divides the other."""
    wide, narrow = max(p["IN"], p["OUT"]), min(p["IN"], p["OUT"])
    down = p["IN"] > p["OUT"]
    return {
        "control": Part(20, 10),
        "counter": Part(bits_for(wide // narrow) + 1, bits_for(wide // narrow) + 1),
        "shift out" if down else "shift in": Part(wide, wide + narrow),
    }
