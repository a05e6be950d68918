"""FINN's memory of weights and its queue, as they lie in LUTs.

Sources: memstream/hdl/memstream.sv, fifo/hdl/fifo.sv.
"""

from hwdse.finn_parts.part import Parameters, Part, Parts, bits_for, ram, rom


def memstream(p: Parameters) -> Parts:
    """Of a memory of DEPTH words of WIDTH bits, in block RAM if BLOCK, which is read again and again."""
    stored = 0.0 if p["BLOCK"] else rom(p["DEPTH"], p["WIDTH"])
    return {
        "control": Part(20, 10),
        "address": Part(bits_for(p["DEPTH"]), 2 * bits_for(p["DEPTH"])),
        "words": Part(stored, 0 if p["BLOCK"] else 2 * p["WIDTH"]),
        "output queue": Part(p["WIDTH"], p["WIDTH"]),
    }


SHIFT, DISTRIBUTED, BLOCK = range(3)  # STYLE of a queue


def fifo(p: Parameters) -> Parts:
    """Of a queue of DEPTH words of WIDTH bits; COUNTED: it says how many it holds, and has held at most."""
    counter = bits_for(p["DEPTH"]) + 1
    in_ram = ram(1 << bits_for(p["DEPTH"] - 1), p["WIDTH"]) if p["STYLE"] == DISTRIBUTED else 0.0
    pointers = 1 if p["STYLE"] == SHIFT else 4
    return {
        "control": Part(20, 10),
        "pointers": Part(pointers * counter, pointers * counter),
        "counters": Part(p["COUNTED"] * 3 * counter, p["COUNTED"] * 2 * counter),
        "words": Part(in_ram + (p["WIDTH"] if p["STYLE"] == SHIFT else 0), p["WIDTH"]),
    }
