"""FINN's thresholds in RTL: a search tree, one stage for each bit of the output.

Source: thresholding/hdl/thresholding.sv.

Parameters: IN, bits of what is compared; BITS of the output, `2**BITS - 1` thresholds; C channels; PE; SIGNED.
"""

from hwdse.finn_parts.part import Parameters, Part, Parts, bits_for, rom

FULLEST = 2  # registers of a stage, of FINN's deep pipeline


def parts(p: Parameters) -> Parts:
    """Of a unit with its thresholds in LUTs."""
    folds, stages, lanes = p["C"] // p["PE"], p["BITS"], p["PE"]
    place = bits_for(folds) + stages
    stored = sum(rom(folds << stage, p["IN"]) for stage in range(stages))
    return {
        "control": Part(20, 10),
        "counters": Part(bits_for(folds) + bits_for(2 * stages + 3), bits_for(folds) + 2 * bits_for(2 * stages + 3)),
        "comparators": Part(lanes * stages * p["IN"], 0),
        "stages": Part(lanes * stages, 0),
        "values": Part(0, lanes * stages * FULLEST * p["IN"]),
        "places": Part(0, lanes * stages * FULLEST * (place + 1)),
        "thresholds": Part(lanes * stored, lanes * stages * p["IN"]),
        "output queue": Part(lanes * stages, lanes * stages),
    }
