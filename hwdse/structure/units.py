"""The parts of each leaf module, and the DSP blocks and block RAM that it takes."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from hwdse.arithmetic import signs
from hwdse.structure.blocks import (
    FABRICS,
    Counts,
    Fabric,
    Part,
    Parts,
    Sizes,
    Table,
    adder,
    bits_for,
    ceil_div,
    codes_comparator,
    comparator,
    distinct,
    each,
    increment,
    part,
    rom,
    tree_bits,
)
from hwdse.structure.memories import Ram, block_choices, block_rams
from hwdse.structure.decoders import decoder
from hwdse.structure.lanes import DECODE, DSP, PACKED, Lane, as_format, in_dsp, in_half_dsp, lane

Rule = Callable[[Table, Fabric], Parts]


def modules() -> tuple[str, ...]:
    """The leaf modules whose parts are known."""
    return tuple(sorted(_RULES))


def parts(module: str, table: Table, fabric: Fabric) -> Parts:
    """LUTs and flip-flops of every part, an element for each unit of `table`; ValueError lists the known modules."""
    if module not in _RULES:
        raise ValueError(f"no parts are known of leaf module {module!r}; known: {', '.join(modules())}")
    size = np.broadcast_shapes(*(np.shape(column) for column in table.values()))
    found = {**_RULES[module](table, fabric), "rest": part(1.0, 1.0)}
    return {name: Part(np.broadcast_to(one.luts, size), np.broadcast_to(one.ffs, size)) for name, one in found.items()}


# ---- the matrix-vector unit ----------------------------------------------------------------------


def _matrix(p: Table, fabric: Fabric) -> Parts:
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
    weights, buffer = _weights(p, lanes, terms, fabric), _kept_vector(p, fabric)
    return {
        **found,
        "packing": part(packed),
        "operands": part(ffs=operand * (1 + buffer.registered) + weights.ffs),
        "products": part(late * pe * p["PRODUCT"] / 2, lanes * (p["PRODUCT"] + (carried & (style != PACKED)))),
        "adder trees": part(pe * tree, pe * (p["SUM"] + carried)),
        "accumulators": part(pe * adder(p["ACC"], fabric) * (terms > 1), pe * p["ACC"] * (1 + (terms > 1))),
        "last carries": part(pe * adder(p["SUM"], fabric) * ((terms == 1) & carried)),
        "weights": part(weights.luts),
        **buffer.parts("vector memory"),
        "kept vectors": part(kept * operand / (2 if fabric.lut_inputs == 6 else 1)),
        **_counters(fabric, terms, passes, *([_words(p)] if "BLOCK" in p else [])),
    }


def _has_minus(we: int, wm: int, ws: int, ae: int, am: int, as_: int) -> float:
    return float(signs(as_format(we, wm, ws), as_format(ae, am, as_)) > 0)


def _lanes(p: Table, fabric: Fabric) -> dict[str, Counts]:
    """LUTs of each part of one product."""

    def find(*row: int) -> Lane:
        style, method, we, wm, ws, ae, am, as_, bits, dsp_lanes = row
        pair = as_format(we, wm, ws), as_format(ae, am, as_)
        return lane(style, method, *pair, bits, fabric, dsp_lanes)

    keys = ("STYLE", "METHOD", "WE", "WM", "WS", "AE", "AM", "AS", "PRODUCT", "DSP_LANES")
    names = Lane.__slots__
    counts = each(lambda *row: [getattr(find(*row), name) for name in names], *(p[key] for key in keys))
    decoded = p["STYLE"] == DECODE
    found = {name: counts[..., i] for i, name in enumerate(names)}
    # decoded operands are wide and sparse, so that synthesis finds more in their products: a part of its own
    return {**found, "multiplier": found["multiplier"] * ~decoded, "wide products": found["multiplier"] * decoded}


def _operand(p: Table) -> Sizes:
    """Bits of a beat of activations."""
    lanes = np.where(p["SHARED"] == 1, 1, p["PE"]) * p["SIMD"]
    return np.asarray(lanes * (p["AS"] + p["AE"] + p["AM"]), np.int64)


def _kept_vector(p: Table, fabric: Fabric) -> Ram:
    """The memory of `passes.sv`."""
    passes, terms = np.where(p["SHARED"] == 1, p["ROWS"] // p["PE"], 1), p["DOT"] // p["SIMD"]
    return Ram(terms, _operand(p), (passes > 1) & (terms > 1), p["BUFFER_BLOCK"], fabric)


def _words(p: Table) -> Sizes:
    return np.asarray(p["GROUPS"] * (p["ROWS"] // p["PE"]) * (p["DOT"] // p["SIMD"]), np.int64)


def _weights(p: Table, lanes: Sizes, terms: Sizes, fabric: Fabric) -> Part:
    """The memory of weights and the register after it; in block RAM, or a stream's register alone."""
    columns = lanes * (p["WS"] + p["WE"] + p["WM"])
    if "BLOCK" not in p:
        return part(ffs=columns)
    in_luts = p["BLOCK"] == 0
    return part(in_luts * sum(rom(_words(p), columns, fabric)), in_luts * distinct(columns, _words(p)))


def _counters(fabric: Fabric, *states: ArrayLike) -> dict[str, Part]:
    """Counters that begin anew: where the states are a power of two, by themselves."""
    bits = sum((bits_for(count) for count in states), np.zeros((), np.int64))
    return {"control": part(_increments(fabric, *states), bits), "wraps": part(_wraps(*states))}


def _increments(fabric: Fabric, *states: ArrayLike) -> Counts:
    """LUTs that count one on, to as many states each."""
    return sum((increment(bits_for(count), fabric) for count in states), np.zeros(()))


def _wraps(*states: ArrayLike) -> Sizes:
    """Bits of counters that are set back before they would overflow."""
    counts = [np.asarray(count, np.int64) for count in states]
    return sum((bits_for(n) * (n & (n - 1) > 0) for n in counts), np.zeros((), np.int64))


# ---- thresholds ----------------------------------------------------------------------------------


def _code_bits(p: Table) -> Sizes:
    return np.asarray(p["OS"] + p["OE"] + p["OM"], np.int64)


# Bits from which a comparison, whose chain the address of the next step's memory waits for, is the longest path of a
# unit on LUT4, so that the tool chooses by its result last, with LUTs of their own: seen on ECP5 and Gowin alike.
LONG = 22


def _search(p: Table, fabric: Fabric) -> Parts:
    bits, width, lanes = _code_bits(p), p["ACC"] + p["WIDE"], p["LANES"]
    small, large, chosen, ordered, registers, rows = (np.zeros(np.broadcast(bits, lanes).shape) for _ in range(6))
    constant = lanes * comparator(width, fabric) * (p["WORDS"] == 1)
    for step in range(int(np.max(bits))):
        words = p["WORDS"] << step
        in_luts = (step < bits) * (words > 1) * ~((p["BLOCK"] > 0) & (words >= p["BLOCK"]))
        follow = np.minimum(step, width)  # columns that the address nearly gives, because thresholds ascend
        found, known = rom(words, width - follow, fabric), rom(words, follow, fabric)
        small, large, chosen = (a + in_luts * lanes * b for a, b in zip((small, large, chosen), found, strict=True))
        ordered = ordered + in_luts * lanes * sum(known)
        registers = registers + in_luts * lanes * distinct(width, words)
        in_blocks = (step < bits) * (words > 1) * ((p["BLOCK"] > 0) & (words >= p["BLOCK"]))
        rows = rows + in_blocks * block_choices(words, width, fabric, rom=True)
    several = p["WORDS"] > 1
    return {
        "block choices": part(lanes * rows),
        "comparators": part(lanes * bits * comparator(width, fabric) - constant, lanes * (bits - 1) * p["ACC"]),
        "constant comparators": part(constant),
        "small memories": part(small, registers),
        "large memories": part(large),
        "late memories": part(large * (width > LONG) * (fabric.lut_inputs == 4)),
        "memory choices": part(chosen),
        "ordered columns": part(ordered),
        "indices": part(lanes * bits * ((p["OS"] > 0) & (p["OE"] > 0)), lanes * bits * (bits + 1) // 2),
        "control": part(bits_for(p["WORDS"]), bits + several * (bits - 1) * bits_for(p["WORDS"])),
    }


def _parallel(p: Table, fabric: Fabric) -> Parts:
    bits, width, lanes = _code_bits(p), p["ACC"] + p["WIDE"], p["LANES"]
    compared = lanes * p["COUNT"] * comparator(width, fabric)
    columns, several = p["COUNT"] * width, p["WORDS"] > 1
    in_luts = several & ~((p["BLOCK"] > 0) & (p["WORDS"] >= p["BLOCK"]))
    small, large, chosen = rom(p["WORDS"], lanes * columns, fabric)
    return {
        "comparators": part(several * compared),
        "constant comparators": part(~several * compared),
        "small memories": part(in_luts * small, in_luts * distinct(lanes * columns, p["WORDS"])),
        "large memories": part(in_luts * large),
        "memory choices": part(in_luts * chosen),
        "multiplexers": part(lanes * ((1 << bits) - 1 - bits), lanes * bits),
        **_counters(fabric, p["WORDS"]),
    }


# ---- windows -------------------------------------------------------------------------------------


def _ring(p: Table) -> tuple[Sizes, Sizes, Sizes]:
    """Cells of the ring, and bits of the two counts of pixels: as in `window_serial.sv`."""
    beats = p["CF"] // p["GROUPS"]
    inner = beats & -beats
    cells = p["D"] * (p["CF"] // (inner * np.where(inner == beats, p["GROUPS"] & -p["GROUPS"], 1)))
    ahead = (p["PH"] + p["SH"]) * p["W"] + p["KW"] + p["SW"]
    lead = bits_for(np.maximum(p["D"], ahead)) + 1
    room = bits_for(np.where(p["SH"] * p["SW"] > 1, p["D"] + ahead, p["D"])) + 1
    return cells, lead, room


def _ring_memory(p: Table, fabric: Fabric) -> Ram:
    clears = (p["PH"] + p["PW"]) > 0
    return Ram(p["D"] * p["CF"], p["LANES"] * p["BITS"], np.ones_like(p["D"]), p["BLOCK"], fabric, clears)


def _place(p: Table, size: str, stride: str, padding: str) -> Sizes:
    """Bits of a column or row that change: without padding it moves by whole strides."""
    bits = bits_for(p[size] + 2 * p[padding])
    return bits - (p[padding] == 0) * bits_for(np.gcd(p[stride], 1 << bits))


def _window_serial(p: Table, fabric: Fabric) -> Parts:
    cells, lead, room = _ring(p)
    memory = _ring_memory(p, fabric)
    places = _place(p, "W", "SW", "PW"), _place(p, "H", "SH", "PH")
    inside = *(p[key] for key in ("CF", "GROUPS", "KW", "KH")), p["CF"] // p["GROUPS"]
    address = bits_for(cells)
    padded = (p["PH"] + p["PW"]) > 0
    # a window of one pixel that is every pixel moves by one constant, wherever it is
    moving = (p["KW"] > 1) | (p["KH"] > 1) | (p["SW"] > 1) | (p["SH"] > 1)
    return {
        **memory.parts("memory"),
        "outputs": part(ffs=memory.registered * memory.bits),
        "pixel counts": part(adder(lead, fabric) + adder(room, fabric), lead + room),
        "addresses": part(2 * adder(address, fabric) + increment(address, fabric), 2 * address),
        "moves": part(moving * address),
        "places": part(moving * sum(adder(bits, fabric) for bits in places), moving * sum(places)),
        "counters": part(_increments(fabric, *inside), sum((bits_for(n) for n in inside), _NONE)),
        "wraps": part(_wraps(*inside)),
        "padding": part(padded * lead, padded * 1.0),
    }


def _lines(p: Table, fabric: Fabric) -> Ram:
    line, bits = p["W"] * p["CF"], (p["KH"] - 1) * p["LANES"] * p["BITS"]
    return Ram(line, bits, (line > 1) & (p["KH"] > 1), p["BLOCK"], fabric)


def _window_parallel(p: Table, fabric: Fabric) -> Parts:
    width, line, memory = p["LANES"] * p["BITS"], p["W"] * p["CF"], _lines(p, fabric)
    rows, columns = ((p[a] + 2 * p[q] - p[k]) // p[s] + 1 for a, q, k, s in (("H", "PH", "KH", "SH"), _ACROSS))
    first = (p["KH"] - 1 - p["PH"]) * p["W"] + p["KW"] - 1 - p["PW"]  # pixels before a window, as in the RTL
    next_row = p["SH"] * p["W"] - (columns - 1) * p["SW"]
    next_image = (p["H"] - (rows - 1) * p["SH"]) * p["W"] - (columns - 1) * p["SW"]
    gap = bits_for(np.maximum.reduce([first, next_image - 1, next_row - 1, p["SW"] - 1]) + 1)
    last = first + (rows - 1) * p["SH"] * p["W"] + (columns - 1) * p["SW"]
    drains = last >= p["H"] * p["W"]  # windows that are complete after the image: zeros follow from a certain place on
    masked_y, masked_x = _masked(p, "H", "KH", "SH", "PH", rows), _masked(p, "W", "KW", "SW", "PW", columns)
    counters = bits_for(rows) + bits_for(columns) + bits_for(p["CF"])
    addresses = bits_for(line) * ((p["KH"] > 1) | (p["CF"] > 1))
    shifted = p["KH"] * width * (p["KW"] - 1)
    srl = (p["CF"] >= SHIFT_REGISTER) & (fabric.lut_inputs == 6)
    return {
        **memory.parts("memory"),
        "lines": part(ffs=memory.registered * memory.bits),
        "taps": part(shifted * srl, shifted * np.where(srl, 0, p["CF"])),
        "outputs": part(ffs=p["KH"] * p["KW"] * width),
        "borders": part(masked_y + masked_x, masked_y + masked_x),
        "corners": part(masked_y * masked_x),  # taps that are zero by either
        "edge": part(drains * (counters + gap) / 3),
        "gaps": part(gap, gap),
        "restarts": part(gap * (next_row != next_image)),  # the gap after an image is another than that after a row
        "addresses": part(increment(addresses, fabric), addresses),
        "control": part(_increments(fabric, rows, columns, p["CF"]) + increment(gap, fabric), counters),
        "wraps": part(_wraps(rows, columns, p["CF"], np.where(addresses > 0, line, 1))),
    }


def _masked(p: Table, size: str, taps: str, stride: str, padding: str, windows: Sizes) -> Sizes:
    """How many rows or columns of taps lie outside of the image in some windows."""
    count = np.zeros(np.shape(windows), np.int64)
    for tap in range(int(np.max(p[taps]))):
        before = p[padding] > tap
        behind = (p[size] - 1 + p[padding] - tap) // p[stride] < windows - 1
        count = count + ((tap < p[taps]) & (before | behind))
    return count


_ACROSS = ("W", "PW", "KW", "SW")
SHIFT_REGISTER = 3  # delays of as many beats are a LUT as shift register: `shreg -minlen 3` in synth_xilinx


# ---- streams and channels ------------------------------------------------------------------------


def _queue(p: Table, fabric: Fabric) -> Ram:
    words = 1 << bits_for(np.maximum(p["DEPTH"] - 1, 1))
    return Ram(words, p["BITS"], p["DEPTH"] > 2, p["BLOCK"], fabric)


def _fifo(p: Table, fabric: Fabric) -> Parts:
    deep, two = p["DEPTH"] > 2, p["DEPTH"] == 2
    held = np.minimum(p["DEPTH"], 3)  # bits that say where beats are: in the output, the other register or the RAM, free
    pointers = bits_for(np.maximum(p["DEPTH"] - 1, 1)) * deep
    memory = _queue(p, fabric)
    return {
        **memory.parts("memory"),
        "output": part(ffs=p["BITS"] * (~deep | (memory.registered > 0))),
        "pointers": part(pointers, 2 * pointers),
        "spare": part(p["BITS"] * two / (2 if fabric.lut_inputs == 6 else 1), p["BITS"] * two),
        "handshake": part(held, held),
    }


def _width(p: Table, fabric: Fabric) -> Parts:
    wide, slim = (choose(p["IN"], p["OUT"]) * p["ELEMENT"] for choose in (np.maximum, np.minimum))
    states = bits_for(wide // slim)
    return {
        "data": part((wide - slim) * (p["IN"] > p["OUT"]), wide),
        # up to four states are in the LUTs that read them
        "control": part((2 * states - 1) * (states > 2), states),
    }


def _decoders(p: Table, fabric: Fabric, operands: int, absorbed: ArrayLike) -> dict[str, Part]:
    """Fixed point from the codes of one operand or two, as much of it as is not in the LUTs of their adder."""
    lut6 = fabric.lut_inputs == 6
    counts = each(
        lambda e, m, s, a: decoder(e, m, s, fabric.lut_inputs, a), p["AE"], p["AM"], p["AS"], np.asarray(absorbed) * lut6
    )
    last = 1 if lut6 else operands  # of one of two numbers, the last level is in the adder
    return {
        "decoders": part(p["LANES"] * operands * counts[..., 0]),
        "decoded bits": part(p["LANES"] * last * counts[..., 1]),
    }


def _residual_add(p: Table, fabric: Fabric) -> Parts:
    unsigned = p["AS"] == 0  # without a sign the top bit is no register, and the next one a carry
    chain = p["SUM"] - unsigned * (2 if fabric.free_carry else 1)
    return {
        "adders": part(p["LANES"] * adder(chain, fabric), p["LANES"] * (p["SUM"] - unsigned)),
        **_decoders(p, fabric, 2, 2),
    }


def _partial_sums(p: Table, fabric: Fabric) -> Ram:
    return Ram(p["GROUPS"], p["LANES"] * p["SUM"], p["GROUPS"] > 1, p["BLOCK"], fabric)


def _sum_pool(p: Table, fabric: Fabric) -> Parts:
    bits, several = p["SUM"] - (p["AS"] == 0), p["GROUPS"] > 1
    sums, memory = p["LANES"] * bits, _partial_sums(p, fabric)
    return {
        "adders": part(p["LANES"] * adder(bits, fabric), sums * (1 + (~several | (memory.registered > 0)))),
        "first taps": part(sums * several),
        **_decoders(p, fabric, 1, np.where(several, 3, 5)),
        **memory.parts("memory"),
        **_counters(fabric, p["TAPS"], p["GROUPS"]),
    }


def _max_pool(p: Table, fabric: Fabric) -> Parts:
    bits = p["AS"] + p["AE"] + p["AM"]
    # of sign and magnitude, which are xored with the sign before and behind; a LUT6 that compares takes in the first
    keys = (bits - 1) * (1 if fabric.lut_inputs == 6 else 2)
    return {
        "comparators": part(p["LANES"] * codes_comparator(bits, fabric), p["LANES"] * bits),
        "keys": part(p["LANES"] * keys * ((p["AE"] > 0) & (p["AS"] > 0))),
        "lanes": part(p["LANES"]),
        **_counters(fabric, p["TAPS"]),
    }


def _code_table(p: Table, fabric: Fabric) -> Parts:
    small, large, chosen = rom(1 << p["IN"], p["OUT"], fabric)
    lanes, few = (p["BLOCK"] == 0) * p["LANES"], p["IN"] <= 3
    return {
        # two outputs in a LUT6 are of the same lane
        "tables": part(lanes * (np.ceil(small - ROUNDING) + large) * ~few, lanes * p["OUT"]),
        # of three inputs: a flip-flop's reset takes one of them, and a LUT of its own
        "small tables": part(lanes * distinct(p["OUT"], 1 << p["IN"]) * few),
        "table choices": part(lanes * chosen),
    }


ROUNDING = 1e-3  # below which an expected number of tables is one that is certain


def _branch(p: Table, fabric: Fabric) -> Parts:
    return {}


_RULES: dict[str, Rule] = {
    "mvu": _matrix,
    "mvu_streamed": _matrix,
    "threshold_search": _search,
    "threshold_parallel": _parallel,
    "window_serial": _window_serial,
    "window_parallel": _window_parallel,
    "fifo": _fifo,
    "width": _width,
    "residual_add": _residual_add,
    "sum_pool": _sum_pool,
    "max_pool": _max_pool,
    "code_table": _code_table,
    "branch": _branch,
}


# ---- blocks --------------------------------------------------------------------------------------


def blocks(module: str, table: Table, family: str) -> tuple[Sizes, Sizes]:
    """DSP blocks and block RAMs of each unit."""
    size = np.broadcast_shapes(*(np.shape(column) for column in table.values()))
    dsps = _dsps(table, FABRICS[family]) if module in ("mvu", "mvu_streamed") else _NONE
    brams = _brams(module, table, family)
    return np.broadcast_to(dsps, size), np.broadcast_to(brams, size)


def _dsps(p: Table, fabric: Fabric) -> Sizes:
    """One for `DSP_LANES` products of an activation, where the tool makes one; some families have two in a block."""

    def halves(we: int, wm: int, ws: int, ae: int, am: int, as_: int, dsp_lanes: int) -> float:
        pair = as_format(we, wm, ws), as_format(ae, am, as_)
        made = in_dsp(*pair, dsp_lanes, fabric.multipliers)
        return made * (1.0 if in_half_dsp(*pair, dsp_lanes, fabric.multipliers) else 2.0)

    size = each(halves, *(p[key] for key in ("WE", "WM", "WS", "AE", "AM", "AS", "DSP_LANES"))).astype(np.int64)
    return ceil_div(p["SIMD"] * ceil_div(p["PE"], p["DSP_LANES"]) * (p["STYLE"] >= DSP) * size, 2)


def _brams(module: str, p: Table, family: str) -> Sizes:
    """Of memories that are written, and of read-only ones that BLOCK puts there."""
    fabric = FABRICS[family]
    written = _RAMS[module](p, fabric).blocks if module in _RAMS else _NONE
    return sum((there * block_rams(words, bits, fabric, rom=True).count for there, words, bits in _roms(module, p)), written)


_NONE = np.zeros((), np.int64)
_RAMS: dict[str, Callable[[Table, Fabric], Ram]] = {
    "mvu": _kept_vector,
    "mvu_streamed": _kept_vector,
    "window_serial": _ring_memory,
    "window_parallel": _lines,
    "fifo": _queue,
    "sum_pool": _partial_sums,
}


def _roms(module: str, p: Table) -> Iterator[tuple[Sizes, Sizes, Sizes]]:
    """How many of a read-only memory are block RAM, its words and its bits."""
    block = np.asarray(p.get("BLOCK", _NONE) > 0, np.int64)
    match module:
        case "mvu":
            yield block, _words(p), p["PE"] * p["SIMD"] * (p["WS"] + p["WE"] + p["WM"])
        case "code_table":
            yield block * p["LANES"], 1 << p["IN"], p["OUT"]
        case "threshold_parallel":
            there = block * (p["WORDS"] >= p["BLOCK"]) * (p["WORDS"] > 1)
            yield there * p["LANES"], p["WORDS"], p["COUNT"] * (p["ACC"] + p["WIDE"])
        case "threshold_search":
            for step in range(int(np.max(_code_bits(p)))):
                words = p["WORDS"] << step
                there = block * (step < _code_bits(p)) * (words >= p["BLOCK"]) * (words > 1)
                yield there * p["LANES"], words, p["ACC"] + p["WIDE"]
