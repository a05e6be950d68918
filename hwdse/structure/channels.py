"""The parts of queues, width converters, adders, pools and tables of codes."""

import numpy as np
from numpy.typing import ArrayLike

from hwdse.structure.blocks import (
    Fabric,
    Part,
    Parts,
    Table,
    adder,
    bits_for,
    codes_comparator,
    counters,
    distinct,
    each,
    increment,
    part,
    rom,
)
from hwdse.structure.decoders import decoder
from hwdse.structure.memories import Ram


def queue_memory(p: Table, fabric: Fabric) -> Ram:
    words = 1 << bits_for(np.maximum(p["DEPTH"] - 1, 1))
    return Ram(words, p["BITS"], p["DEPTH"] > 2, p["BLOCK"], fabric)


def fifo(p: Table, fabric: Fabric) -> Parts:
    deep, two = p["DEPTH"] > 2, p["DEPTH"] == 2
    held = np.minimum(p["DEPTH"], 3)  # bits that say where beats are
    # beside the LUT of the first: the inverse that says that it is free, or what the others say of each other
    few, several = (1, 2) if fabric.lut_inputs == 6 else (2.5, 6)
    handshake = np.where(deep, several, np.where(two, few, fabric.inverter))
    pointers = bits_for(np.maximum(p["DEPTH"] - 1, 1)) * deep
    memory = queue_memory(p, fabric)
    return {
        **memory.parts("memory"),
        "output": part(ffs=p["BITS"] * (~deep | (memory.registered > 0))),
        "pointers": part(2 * increment(pointers, fabric), 2 * pointers),
        "comparisons": part(pointers),
        "spare": part(p["BITS"] * two / (2 if fabric.lut_inputs == 6 else 1), p["BITS"] * two),
        "handshake": part(handshake, held),
    }


def width(p: Table, fabric: Fabric) -> Parts:
    wide, slim = (choose(p["IN"], p["OUT"]) * p["ELEMENT"] for choose in (np.maximum, np.minimum))
    states = bits_for(wide // slim)
    return {
        "data": part((wide - slim) * (p["IN"] > p["OUT"]), wide),
        # up to four states are in the LUTs that read them
        "control": part(2 * np.maximum(states - 2, 0), states),
        "last state": part(3 * (states > 2)),
    }


def _decoders(p: Table, fabric: Fabric, operands: int, absorbed: ArrayLike) -> dict[str, Part]:
    """Fixed point from the codes of one operand or two, as much of it as is not in the LUTs of their adder."""
    lut6 = fabric.lut_inputs == 6
    counts = each(
        lambda e, m, s, a: decoder(e, m, s, fabric.lut_inputs, a),
        p["AE"],
        p["AM"],
        p["AS"],
        np.asarray(absorbed) * lut6,
    )
    last = 1 if lut6 else operands  # of one of two numbers, the last level is in the adder
    return {
        "decoders": part(p["LANES"] * operands * counts[..., 0]),
        "decoded bits": part(p["LANES"] * last * counts[..., 1]),
    }


def residual_add(p: Table, fabric: Fabric) -> Parts:
    unsigned = p["AS"] == 0  # without a sign the top bit is no register, and the next one a carry
    chain = p["SUM"] - unsigned * (2 if fabric.free_carry else 1)
    return {
        "adders": part(p["LANES"] * adder(chain, fabric), p["LANES"] * (p["SUM"] - unsigned)),
        **_decoders(p, fabric, 2, 2),
    }


def partial_sums(p: Table, fabric: Fabric) -> Ram:
    return Ram(p["GROUPS"], p["LANES"] * p["SUM"], p["GROUPS"] > 1, p["BLOCK"], fabric)


def sum_pool(p: Table, fabric: Fabric) -> Parts:
    bits, several = p["SUM"] - (p["AS"] == 0), p["GROUPS"] > 1
    sums, memory = p["LANES"] * bits, partial_sums(p, fabric)
    return {
        "adders": part(p["LANES"] * adder(bits, fabric), sums * (1 + (~several | (memory.registered > 0)))),
        "first taps": part(sums * several),
        **_decoders(p, fabric, 1, np.where(several, 3, 5)),
        **memory.parts("memory"),
        **counters(fabric, p["TAPS"], p["GROUPS"]),
    }


def max_pool(p: Table, fabric: Fabric) -> Parts:
    bits = p["AS"] + p["AE"] + p["AM"]
    # of sign and magnitude, which are xored with the sign before and behind; a LUT6 that compares takes in the first
    keys = (bits - 1) * (1 if fabric.lut_inputs == 6 else 2)
    return {
        "comparators": part(p["LANES"] * codes_comparator(bits, fabric), p["LANES"] * bits),
        "keys": part(p["LANES"] * keys * ((p["AE"] > 0) & (p["AS"] > 0))),
        "lanes": part(p["LANES"]),
        **counters(fabric, p["TAPS"]),
    }


def code_table(p: Table, fabric: Fabric) -> Parts:
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


def branch(p: Table, fabric: Fabric) -> Parts:
    return {}
