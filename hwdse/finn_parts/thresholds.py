"""FINN's thresholds in RTL: a search tree, one stage for each bit of the output.

Source: thresholding/hdl/thresholding.sv.

Parameters: IN, bits of what is compared; BITS of the output, `2**BITS - 1` thresholds; C channels; PE; SIGNED.
"""

from collections.abc import Iterable

from hwdse.finn_parts.part import Parameters, Part, Parts, bits_for, rom

REGISTERS = 2  # of a value in a stage: FINN's `deep_pipeline`, its default


def parts(p: Parameters) -> Parts:
    """Of a unit with all its thresholds in LUTs."""
    return unit(p, range(p["BITS"]))


def unit(p: Parameters, in_luts: Iterable[int]) -> Parts:
    """Of a unit which has the thresholds of the stages `in_luts` in LUTs, and others in block RAM."""
    folds, stages, lanes = p["C"] // p["PE"], p["BITS"], p["PE"]
    place, waiting = bits_for(folds) + stages, bits_for(2 * stages + 3)
    stored = sum(rom(folds << stage, p["IN"]) for stage in in_luts)
    return {
        "control": Part(20, 10),
        "counters": Part(bits_for(folds) + waiting, bits_for(folds) + 2 * waiting),
        "comparators": Part(lanes * stages * p["IN"], 0),
        "values": Part(0, lanes * stages * REGISTERS * p["IN"]),
        "places": Part(0, lanes * stages * REGISTERS * (place + 1)),
        "thresholds": Part(lanes * stored, lanes * stages * p["IN"]),
        "outputs": Part(2 * lanes * stages, lanes * stages),
    }
