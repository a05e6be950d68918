"""Sizes of the counters in the sliding windows, as `window_serial.sv` and `window_parallel.sv` have them."""

import numpy as np

from hwdse.structure.blocks import Sizes, Table, bits_for


def ring(p: Table) -> tuple[Sizes, Sizes, Sizes]:
    """Cells of the ring of a serial window, and bits of its two counts of pixels."""
    beats = p["CF"] // p["GROUPS"]
    inner = beats & -beats
    cells = p["D"] * (p["CF"] // (inner * np.where(inner == beats, p["GROUPS"] & -p["GROUPS"], 1)))
    ahead = (p["PH"] + p["SH"]) * p["W"] + p["KW"] + p["SW"]
    lead = bits_for(np.maximum(p["D"], ahead)) + 1
    room = bits_for(np.where(p["SH"] * p["SW"] > 1, p["D"] + ahead, p["D"])) + 1
    return cells, lead, room


def gap_bits(p: Table) -> Sizes:
    """Bits that count the pixels up to the next window of a parallel window."""
    rows, columns = ((p[a] + 2 * p[q] - p[k]) // p[s] + 1 for a, q, k, s in (("H", "PH", "KH", "SH"), _ACROSS))
    first = (p["KH"] - 1 - p["PH"]) * p["W"] + p["KW"] - 1 - p["PW"]  # pixels before a window
    next_row = p["SH"] * p["W"] - (columns - 1) * p["SW"]
    next_image = (p["H"] - (rows - 1) * p["SH"]) * p["W"] - (columns - 1) * p["SW"]
    return bits_for(np.maximum.reduce([first, next_image - 1, next_row - 1, p["SW"] - 1]) + 1)


_ACROSS = ("W", "PW", "KW", "SW")
