"""The stated energy model: the operations and accesses of a layer's units, times the pJ of `hwdse.energy_figures`.

Nothing of it is fitted or measured, so that an energy has no interval and carries the label that `stated` gives.
"""

from collections.abc import Iterable, Sequence

from hwdse.accelerator import Element, Quantised
from hwdse.activity import Access, Add, Multiply, Operation, operations
from hwdse.energy import Energy, Stated
from hwdse.energy_figures import Figures, figures
from hwdse.target import FpgaTarget

UNMODELLED = "glitches, registers, the clock tree, wires between units, I/O, and whatever has no price in LUTs either"
KIB_BYTES = 128  # of 1 Kib


def layer_energy(quantised: Quantised, units: Sequence[Element]) -> Energy:
    """Of one frame in the units of one layer."""
    return energy_of(operations(quantised, units), figures(), quantised.target)


def energy_of(found: Iterable[Operation], known: Figures, target: FpgaTarget) -> Energy:
    """All operations together, by what they are for."""
    totals = dict.fromkeys(("products", "sums", "comparisons", "memory"), 0.0)
    for one in found:
        part = "products" if isinstance(one, Multiply) else one.part
        totals[part] += one.count * operation_pj(one, known, target.bram_kib * KIB_BYTES)
    return Energy(*totals.values())


def operation_pj(operation: Operation, known: Figures, block_bytes: int) -> float:
    """Of one of the operations, on an FPGA with block RAMs of `block_bytes`.

    A bit of a memory in LUTs is read from its own column of `words` bits, one in block RAM from a whole block.
    """
    match operation:
        case Multiply(bits=factors, dsp=dsp):
            return known.multiply_pj(factors) * (known.blocks if dsp else known.logic).ratio
        case Add(bits=bits):
            return known.add_pj(bits) * known.logic.ratio
        case Access(bits=bits, words=words, block=block):
            if block:
                return known.memory.word_pj(bits, block_bytes) * known.blocks.ratio
            return known.memory.word_pj(bits, words / 8) * known.logic.ratio


def stated(target: FpgaTarget) -> Stated:
    """The label of every energy on `target`, with its sources, and the device's static power where it is known."""
    known = figures()
    static = known.static.get(target.name)
    if static is None:
        still = f"static power is missing, because no figure of {target.name} has a source"
    else:
        still = f"static power is {static.watts:g} W ({static.cite})"
    source = (
        f"a stated model, not calibrated and without an interval: operations and memory accesses of the units, times "
        f"pJ in {known.technology}, not scaled to the device, times {known.logic.ratio:g} in LUTs ({known.cite}); "
        f"{still}. Not modelled: {UNMODELLED}."
    )
    return Stated(source, None if static is None else static.watts)
