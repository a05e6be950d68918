"""The parts of the threshold units: one comparison a bit, and all comparisons at once."""

import numpy as np

from hwdse.structure.blocks import Fabric, Parts, Sizes, Table, bits_for, comparator, counters, distinct, part, rom
from hwdse.structure.memories import block_choices


def code_bits(p: Table) -> Sizes:
    return np.asarray(p["OS"] + p["OE"] + p["OM"], np.int64)


# Bits from which a comparison, whose chain the address of the next step's memory waits for, is the longest path of a
# unit on LUT4, so that the tool chooses by its result last, with LUTs of their own: seen on ECP5 and Gowin alike.
LONG = 22


def search(p: Table, fabric: Fabric) -> Parts:
    bits, width, lanes = code_bits(p), p["ACC"] + p["WIDE"], p["LANES"]
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
        rows = rows + block_choices(in_blocks, words, width, fabric, rom=True)
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


def parallel(p: Table, fabric: Fabric) -> Parts:
    bits, width, lanes = code_bits(p), p["ACC"] + p["WIDE"], p["LANES"]
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
        **counters(fabric, p["WORDS"]),
    }
