"""The parts of the sliding windows: one tap a beat, and all taps at once."""

import numpy as np

from hwdse.structure.blocks import (
    Fabric,
    Parts,
    Sizes,
    Table,
    adder,
    bits_for,
    ceil_div,
    increment,
    increments,
    part,
    wraps,
)
from hwdse.structure.memories import Ram


def ring(p: Table) -> tuple[Sizes, Sizes, Sizes]:
    """Cells of the ring, and bits of the two counts of pixels: as in `window_serial.sv`."""
    beats = p["CF"] // p["GROUPS"]
    inner = beats & -beats
    cells = p["D"] * (p["CF"] // (inner * np.where(inner == beats, p["GROUPS"] & -p["GROUPS"], 1)))
    ahead = (p["PH"] + p["SH"]) * p["W"] + p["KW"] + p["SW"]
    lead = bits_for(np.maximum(p["D"], ahead)) + 1
    room = bits_for(np.where(p["SH"] * p["SW"] > 1, p["D"] + ahead, p["D"])) + 1
    return cells, lead, room


def ring_memory(p: Table, fabric: Fabric) -> Ram:
    clears = (p["PH"] + p["PW"]) > 0
    return Ram(p["D"] * p["CF"], p["LANES"] * p["BITS"], np.ones_like(p["D"], np.bool_), p["BLOCK"], fabric, clears)


def _place(p: Table, size: str, stride: str, padding: str) -> Sizes:
    """Bits of a column or row that change: without padding it moves by whole strides."""
    bits = bits_for(p[size] + 2 * p[padding])
    return np.asarray(bits - (p[padding] == 0) * bits_for(np.gcd(p[stride], 1 << bits)))


def window_serial(p: Table, fabric: Fabric) -> Parts:
    cells, lead, room = ring(p)
    memory = ring_memory(p, fabric)
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
        "counters": part(increments(fabric, *inside), sum(bits_for(n) for n in inside)),
        "wraps": part(wraps(*inside)),
        "padding": part(padded * lead, padded * 1.0),
    }


def line_memory(p: Table, fabric: Fabric) -> Ram:
    line, bits = p["W"] * p["CF"], (p["KH"] - 1) * p["LANES"] * p["BITS"]
    return Ram(line, bits, (line > 1) & (p["KH"] > 1), p["BLOCK"], fabric)


def _windows(p: Table) -> tuple[Sizes, Sizes]:
    """Rows and columns of windows."""
    rows, columns = ((p[a] + 2 * p[q] - p[k]) // p[s] + 1 for a, q, k, s in (("H", "PH", "KH", "SH"), _ACROSS))
    return rows, columns


def _gaps(p: Table) -> tuple[Sizes, Sizes, Sizes]:
    """Pixels before the first window, from the last window of a row to the next one, and of an image to the next."""
    rows, columns = _windows(p)
    first = (p["KH"] - 1 - p["PH"]) * p["W"] + p["KW"] - 1 - p["PW"]
    next_row = p["SH"] * p["W"] - (columns - 1) * p["SW"]
    return first, next_row, (p["H"] - (rows - 1) * p["SH"]) * p["W"] - (columns - 1) * p["SW"]


def gap_bits(p: Table) -> Sizes:
    """Bits that count the pixels up to the next window."""
    first, next_row, next_image = _gaps(p)
    return bits_for(np.maximum.reduce([first, next_image - 1, next_row - 1, p["SW"] - 1]) + 1)


def window_parallel(p: Table, fabric: Fabric) -> Parts:
    width, line, memory = p["LANES"] * p["BITS"], p["W"] * p["CF"], line_memory(p, fabric)
    rows, columns = _windows(p)
    first, next_row, next_image = _gaps(p)
    gap = gap_bits(p)
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
        "control": part(increments(fabric, rows, columns, p["CF"]) + increment(gap, fabric), counters),
        "wraps": part(wraps(rows, columns, p["CF"], np.where(addresses > 0, line, 1))),
    }


def _masked(p: Table, size: str, taps: str, stride: str, padding: str, windows: Sizes) -> Sizes:
    """How many conditions there are on which some row or column of taps lies outside of the image."""
    count = np.zeros(np.shape(windows), np.int64)

    def first(tap: int) -> Sizes:  # window in which it is inside
        return np.maximum(0, ceil_div(p[padding] - tap, p[stride]))

    def last(tap: int) -> Sizes:
        return np.asarray((p[size] - 1 + p[padding] - tap) // p[stride])

    for tap in range(int(np.max(p[taps]))):
        before = (first(tap) > 0) & ((tap == 0) | (first(tap) != first(tap - 1)))
        behind = (last(tap) < windows - 1) & ((tap == p[taps] - 1) | (last(tap) != last(tap + 1)))
        count = count + (tap < p[taps]) * (before * 1 + behind)
    return count


_ACROSS = ("W", "PW", "KW", "SW")
SHIFT_REGISTER = 3  # delays of as many beats are a LUT as shift register: `shreg -minlen 3` in synth_xilinx
