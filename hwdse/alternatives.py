"""What the parts of a layer may be made of: products in LUTs, tables or DSPs, thresholds, and where memories go.

Any choice gives the same numbers. The kept vector of a matrix-vector unit, the sums of a pool and tables of functions
go where their depth says.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal

from hwdse.accelerator import Choice, Element, Quantised, elements, matrix_vector
from hwdse.folding import multiplies
from hwdse.matrix_vector import Style, table_bits
from hwdse.memory import LUT_WORDS
from hwdse.structure.blocks import FABRICS
from hwdse.structure.lanes import in_dsp
from hwdse.thresholds import levels
from hwdse.workload import Kind

Multiplier = Literal["auto", "lut", "dsp"]

ROLES = ("matrix", "window", "thresholds")  # of the units that there is a choice of
TABLE_INPUTS = 6  # address bits up to which products are looked up: a LUT6
FEW_LEVELS = 16  # up to which thresholds may all be compared at once
# Words up to which a memory may be in LUTs although there is block RAM. How deep the measured ones are is in
# docs/cost-model.md, 'Beyond what was measured': deeper ones are priced by the same formulas.
DEEPEST_IN_LUTS = 4 * LUT_WORDS
# DSP blocks of which the rule (`in_dsp`) gave what yosys made in all measured units; of UltraPlus and Versal none was
# measured. `multiplier="dsp"` takes the others too.
RELIABLE = ("dsp48e1", "dsp48e2", "mult18x18d", "mult18x18")


@dataclass(frozen=True, slots=True)
class Way:
    """One way to make a part of a layer: a choice that differs from the default in this part alone, and its units."""

    choice: Choice
    units: tuple[Element, ...]


def ways(q: Quantised, multiplier: Multiplier) -> dict[str, tuple[Way, ...]]:
    """The ways of every part of a layer, by the role of its units: at least one for each part that the layer has."""
    return {role: kept for role in ROLES if (kept := ways_of(role, q, multiplier))}


def ways_of(role: str, q: Quantised, multiplier: Multiplier) -> tuple[Way, ...]:
    """The ways of one of the `ROLES`; none where the layer has no such part."""
    match role:
        case "matrix":
            return tuple(_different(q, role, _matrix(q, multiplier)))
        case "window":
            return tuple(_different(q, role, _window(q)))
        case _:
            return tuple(_different(q, role, _thresholds(q)))


def joined(chosen: Mapping[str, Choice]) -> Choice:
    """The choice that makes the part of each role as its own choice does."""
    matrix, window, thresholds = (chosen.get(role, Choice()) for role in ("matrix", "window", "thresholds"))
    return Choice(
        matrix.style,
        matrix.weights_in_block,
        thresholds.parallel_thresholds,
        thresholds.thresholds_in_block,
        window.window_in_block,
    )


def _different(q: Quantised, role: str, choices: Iterable[Choice]) -> list[Way]:
    """A way for each choice that gives other units than those before, and no memory too deep for LUTs."""
    found = dict[tuple[Element, ...], Way]()
    for choice in choices:
        units = elements(q, choice, role)
        asked = False in (choice.weights_in_block, choice.thresholds_in_block, choice.window_in_block)
        if units and not (asked and max(map(_words_in_luts, units)) > DEEPEST_IN_LUTS):
            found.setdefault(units, Way(choice, units))
    return list(found.values())


def _places(q: Quantised) -> tuple[bool | None, ...]:
    """Where a memory may be: first where its depth says, then, where there is block RAM, in LUTs or there."""
    return (None, False, True) if q.target.brams else (None,)


def _matrix(q: Quantised, multiplier: Multiplier) -> Iterator[Choice]:
    if multiplies(q.layer):
        places = (None,) if q.layer.kind is Kind.MATMUL else _places(q)  # a stream of weights has no memory
        yield from (Choice(style, block) for style, block in product(styles(q, multiplier), places))


def styles(q: Quantised, multiplier: Multiplier) -> list[Style]:
    """What may multiply in a layer that multiplies."""
    weight, activation = q.operands[1].format, q.operands[0].format
    found: list[Style] = ["shift"]
    if table_bits(weight, activation) <= TABLE_INPUTS:
        found.append("table")
    if multiplier == "dsp" or (multiplier == "auto" and q.target.dsps and q.target.dsp in RELIABLE):
        lanes = matrix_vector(q, Choice("dsp")).dsp_lanes
        if in_dsp(weight, activation, lanes, FABRICS[q.target.family].multipliers):
            found = ["dsp"] if multiplier == "dsp" else [*found, "dsp"]
    return found


def _window(q: Quantised) -> Iterator[Choice]:
    for block in _places(q):
        if block is not False or FABRICS[q.target.family].rams:
            yield Choice(window_in_block=block)


def _thresholds(q: Quantised) -> Iterator[Choice]:
    few = all(len(levels(output.format, output.narrow)) <= FEW_LEVELS for output in q.outputs)
    for parallel, block in product((False, True) if few else (False,), (None, False)):
        yield Choice(parallel_thresholds=parallel, thresholds_in_block=block)


def _words_in_luts(unit: Element) -> int:
    """The words of the deepest memory of a unit with none in block RAM, of those whose place is chosen."""
    p = dict(unit.parameters)
    if p.get("BLOCK"):
        return 0
    match unit.module:
        case "mvu":
            return p["GROUPS"] * (p["ROWS"] // p["PE"]) * (p["DOT"] // p["SIMD"])
        case "window_serial":
            return p["D"] * p["CF"]
        case "window_parallel":
            return p["W"] * p["CF"]
        case "threshold_search" if p["WORDS"] > 1:
            return p["WORDS"] << p["OS"] + p["OE"] + p["OM"] - 1
        case "threshold_parallel":
            return p["WORDS"]
    return 0
