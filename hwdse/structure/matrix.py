"""The parts of the matrix-vector unit, and its DSP blocks."""

import numpy as np

from hwdse.arithmetic import signs
from hwdse.structure.blocks import (
    Counts,
    Fabric,
    Part,
    Parts,
    Sizes,
    Table,
    adder,
    ceil_div,
    counters,
    distinct,
    each,
    part,
    rom,
    tree_bits,
)
from hwdse.structure.lanes import DECODE, DSP, PACKED, Lane, as_format, in_dsp, in_half_dsp, lane
from hwdse.structure.memories import Ram, block_choices


def matrix(p: Table, fabric: Fabric) -> Parts:
    """`mvu.sv`, and `mvu_streamed.sv`, which has no memory of weights."""
    pe, simd, style = p["PE"], p["SIMD"], p["STYLE"]
    lanes, terms = pe * simd, p["DOT"] // simd
    passes = np.where(p["SHARED"] == 1, p["ROWS"] // pe, 1)
    minus = each(_has_minus, p["WE"], p["WM"], p["WS"], p["AE"], p["AM"], p["AS"])
    carried = np.where(style == PACKED, p["DSP_LANES"] > 1, (style != DECODE) & (minus > 0))
    operand = _operand(p)
    kept = (passes > 1) & (terms > 1)
    late = (simd == 1) & carried & (style != PACKED) & (fabric.lut_inputs == 6)
    tree = each(lambda n, w, b: tree_bits(n, w, b, fabric), simd, p["PRODUCT"], p["SUM"])
    found = {name: part(lanes * count) for name, count in _lanes(p, fabric).items()}
    packed = simd * (pe - ceil_div(pe, p["DSP_LANES"])) * (p["WM"] + 1) * (style == PACKED)
    weights, buffer = _weights(p, lanes, terms, fabric), kept_vector(p, fabric)
    return {
        **found,
        "packing": part(packed),
        "operands": part(ffs=operand * (1 + buffer.registered) + weights.ffs),
        "products": part(late * pe * p["PRODUCT"] / 2, lanes * (p["PRODUCT"] + (carried & (style != PACKED)))),
        "adder trees": part(pe * tree, pe * (p["SUM"] + carried)),
        "accumulators": part(pe * adder(p["ACC"], fabric) * (terms > 1), pe * p["ACC"] * (1 + (terms > 1))),
        "last carries": part(pe * adder(p["SUM"], fabric) * ((terms == 1) & carried)),
        "weights": part(weights.luts),
        "weight choices": part(_weight_choices(p, fabric)),
        **buffer.parts("vector memory"),
        "kept vectors": part(kept * operand / (2 if fabric.lut_inputs == 6 else 1)),
        **counters(fabric, terms, passes, *([weight_words(p)] if "BLOCK" in p else [])),
    }


def _has_minus(we: int, wm: int, ws: int, ae: int, am: int, as_: int) -> float:
    return float(signs(as_format(we, wm, ws), as_format(ae, am, as_)) > 0)


def _lanes(p: Table, fabric: Fabric) -> dict[str, Counts]:
    """LUTs of each part of one product."""

    def find(*row: int) -> list[float]:
        style, method, we, wm, ws, ae, am, as_, bits, dsp_lanes = row
        found = lane(style, method, as_format(we, wm, ws), as_format(ae, am, as_), bits, fabric, dsp_lanes)
        return [getattr(found, name) for name in names]

    keys = ("STYLE", "METHOD", "WE", "WM", "WS", "AE", "AM", "AS", "PRODUCT", "DSP_LANES")
    names = Lane.__slots__
    counts = each(find, *(p[key] for key in keys))
    decoded = p["STYLE"] == DECODE
    found = {name: counts[..., i] for i, name in enumerate(names)}
    # decoded operands are wide and sparse, so that synthesis finds more in their products: a part of its own
    return {**found, "multiplier": found["multiplier"] * ~decoded, "wide products": found["multiplier"] * decoded}


def _operand(p: Table) -> Sizes:
    """Bits of a beat of activations."""
    lanes = np.where(p["SHARED"] == 1, 1, p["PE"]) * p["SIMD"]
    return np.asarray(lanes * (p["AS"] + p["AE"] + p["AM"]), np.int64)


def kept_vector(p: Table, fabric: Fabric) -> Ram:
    """The memory of `passes.sv`."""
    passes, terms = np.where(p["SHARED"] == 1, p["ROWS"] // p["PE"], 1), p["DOT"] // p["SIMD"]
    return Ram(terms, _operand(p), (passes > 1) & (terms > 1), p["BUFFER_BLOCK"], fabric)


def weight_words(p: Table) -> Sizes:
    return np.asarray(p["GROUPS"] * (p["ROWS"] // p["PE"]) * (p["DOT"] // p["SIMD"]), np.int64)


def _weights(p: Table, lanes: Sizes, terms: Sizes, fabric: Fabric) -> Part:
    """The memory of weights and the register after it; in block RAM, or a stream's register alone."""
    columns = lanes * (p["WS"] + p["WE"] + p["WM"])
    if "BLOCK" not in p:
        return part(ffs=columns)
    in_luts = p["BLOCK"] == 0
    return part(in_luts * sum(rom(weight_words(p), columns, fabric)), in_luts * distinct(columns, weight_words(p)))


def _weight_choices(p: Table, fabric: Fabric) -> Counts:
    """Between the rows of weights in block RAM."""
    if "BLOCK" not in p:
        return np.zeros(())
    columns = p["PE"] * p["SIMD"] * (p["WS"] + p["WE"] + p["WM"])
    return block_choices(p["BLOCK"], weight_words(p), columns, fabric, rom=True)


def dsps(p: Table, fabric: Fabric) -> Sizes:
    """One for `DSP_LANES` products of an activation, where the tool makes one; some families have two in a block."""

    def halves(we: int, wm: int, ws: int, ae: int, am: int, as_: int, dsp_lanes: int) -> float:
        pair = as_format(we, wm, ws), as_format(ae, am, as_)
        made = in_dsp(*pair, dsp_lanes, fabric.multipliers)
        return made * (1.0 if in_half_dsp(*pair, dsp_lanes, fabric.multipliers) else 2.0)

    size = each(halves, *(p[key] for key in ("WE", "WM", "WS", "AE", "AM", "AS", "DSP_LANES"))).astype(np.int64)
    return ceil_div(p["SIMD"] * ceil_div(p["PE"], p["DSP_LANES"]) * (p["STYLE"] >= DSP) * size, 2)
