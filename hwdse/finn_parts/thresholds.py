"""FINN's thresholds in RTL: a search tree, one stage for each bit of the output.

Source: thresholding/hdl/thresholding.sv.

Parameters: IN, bits of what is compared; BITS of the output, `2**BITS - 1` thresholds; C channels; PE; SIGNED.
"""

from collections.abc import Collection

from hwdse.finn_parts.part import Parameters, Part, Parts, bits_for, columns, comparator, rom

CONSTANT = 3  # bits to a LUT, as yosys compares with a constant


def parts(p: Parameters) -> Parts:
    """Of a unit with all its thresholds in LUTs."""
    return unit(p, range(p["BITS"]))


def unit(p: Parameters, in_luts: Collection[int]) -> Parts:
    """Of a unit which has the thresholds of the stages `in_luts` in LUTs, and others in block RAM.

    A stage has two registers, FINN's `deep_pipeline`; of what is compared no stage behind the last one knows. The
    channel's number and the valid bit are the same for all PEs. Columns of few words, which are equal by chance, are
    one column, and the first threshold of a single channel is a constant.
    """
    folds, stages, lanes = p["C"] // p["PE"], p["BITS"], p["PE"]
    channel, waiting, bits = bits_for(folds), bits_for(2 * stages + 3), lanes * p["IN"]
    constant = folds == 1
    stored = sum(rom(folds << stage, bits) for stage in in_luts)
    read = sum(columns(folds << stage, bits) for stage in in_luts)  # a block RAM has its own register
    return {
        "control": Part(20, 10),
        "counters": Part(channel + 2 * waiting, channel + 2 * waiting),
        "comparators": Part(lanes * ((stages - constant) * comparator(p["IN"]) + constant * p["IN"] / CONSTANT), 0),
        "values": Part(0, lanes * (2 * stages - 1) * p["IN"]),
        "places": Part(0, lanes * stages**2),
        "channels": Part(0, (2 * stages - 1) * channel + 2 * stages),
        "thresholds": Part(stored, read),
        "outputs": Part(lanes * stages, lanes * stages),
    }
