"""The price of a unit as terms of a layer: of a matrix-vector unit part by part, of others as a whole; placement last.

LUTs and flip-flops come with the bounds of a 90 % interval (`hwdse.calibrated`); DSP blocks and block RAM follow rules.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import numpy as np

from hwdse import calibrated, placement
from hwdse.accelerator import Element
from hwdse.cost import Resources, Term
from hwdse.placement import Timing
from hwdse.structure.blocks import Counts, Table
from hwdse.structure.memories import RAM_PARTS
from hwdse.target import FpgaTarget

PLACEMENT = "placement"  # the term of what place and route adds to a netlist
# The parts of a matrix-vector unit, by what they are for; a part that is not here keeps its name.
PARTS = {
    **dict.fromkeys(("multiplier", "wide products", "packing", "products"), "multipliers"),
    **dict.fromkeys(("shifter", "exponents", "signs", "decoders"), "alignment"),
    **dict.fromkeys(("adder trees", "last carries"), "adder tree"),
    **dict.fromkeys((f"vector memory{part}" for part in ("", *RAM_PARTS)), "input buffer"),
    **dict.fromkeys(("kept vectors", "operands"), "input buffer"),
    "weight choices": "weights",
    **dict.fromkeys(("control", "wraps", "rest"), "control"),
}
STYLES = ("LUTs", "LUTs, of codes as fixed point", "tables", "DSPs", "DSPs")  # what multiplies, by the RTL's STYLE

Bounds = tuple[tuple[float, float], ...]


@cache
def of(units: tuple[Element, ...], family: str) -> tuple[tuple[Term, ...], ...]:
    """The terms of each unit. Units of one module are priced at once: ways to make the same part cost about one."""
    found = dict[Element, tuple[Term, ...]]()
    for kind in dict.fromkeys((unit.module, unit.role) for unit in units):
        alike = [unit for unit in dict.fromkeys(units) if (unit.module, unit.role) == kind]
        found |= zip(alike, _terms(alike, family), strict=True)
    return tuple(found[unit] for unit in units)


def areas(units: Sequence[Element], family: str) -> Counts:
    """`units x 5`: LUTs, flip-flops, DSPs, block RAMs and URAMs that the terms of each unit add up to.

    Of many units at once, without their terms: a hundred times faster, and equal.
    """
    found, kinds = np.zeros((len(units), 5)), defaultdict[tuple[str, str], list[int]](list)
    for row, unit in enumerate(units):
        kinds[unit.module, unit.role].append(row)
    for (module, role), rows in kinds.items():
        found[rows] = areas_of(module, role, _columns([units[row] for row in rows]), family)
    return found


def areas_of(module: str, role: str, table: Table, family: str) -> Counts:
    """The same of units of one module and role, `units x 5`, from their parameters as columns."""
    price, extra = _price(module, table, family)
    nothing = np.zeros(len(price.luts))
    named = _named(role, price).values()
    luts, ffs = (sum((np.rint(pair[i]) for pair in named), nothing) for i in (0, 1))
    placed = nothing if extra is None else np.rint(extra)
    return np.column_stack([luts + placed, ffs, price.dsps, price.brams, nothing])


def area(unit: Element, family: str, *, placed: bool) -> tuple[Resources, Resources, Resources]:
    """What a unit takes, and the bounds of its interval; `placed`: with what placement adds, where that is known."""
    kept = [term for term in of((unit,), family)[0] if placed or term.name != PLACEMENT]
    low, high = (sum((getattr(term, end) or term.area for term in kept), Resources()) for end in ("low", "high"))
    return sum((term.area for term in kept), Resources()), low, high


@cache
def timing(unit: Element, target: FpgaTarget) -> Timing | None:
    """The slowest path of a unit; nothing where no unit was routed on the device."""
    table: Table = {key: np.array(value, np.int64) for key, value in unit.parameters}
    return placement.timing(unit.module, table, target)


def joined(terms: Iterable[Term]) -> tuple[Term, ...]:
    """Terms of one name as one, without those that are nothing."""
    named = defaultdict[str, list[Term]](list)
    for term in terms:
        named[term.name].append(term)
    if PLACEMENT in named:  # last, after what is placed
        named[PLACEMENT] = named.pop(PLACEMENT)
    return tuple(one for one in (_joined(name, found) for name, found in named.items()) if one.area != Resources())


def _joined(name: str, terms: list[Term]) -> Term:
    area = sum((term.area for term in terms), Resources())
    low = sum((term.low or term.area for term in terms), Resources())
    high = sum((term.high or term.area for term in terms), Resources())
    variant = "; ".join(dict.fromkeys(term.variant for term in terms if term.variant))
    known = any(term.low for term in terms)
    return Term(name, area, low if known else None, high if known else None, variant)


def _terms(units: list[Element], family: str) -> list[tuple[Term, ...]]:
    """Of units of one module and role."""
    price, extra = _price(units[0].module, _columns(units), family)
    named, bounds = _named(units[0].role, price), _bounds(calibrated.of(units[0].module, family))
    found = [tuple(_of_one(unit, i, price, named, bounds)) for i, unit in enumerate(units)]
    if extra is None:
        return found
    return [(*one, _placed(float(luts), bounds)) for one, luts in zip(found, extra, strict=True)]


def _columns(units: Sequence[Element]) -> Table:
    """The parameters of units of one module."""
    keys = [key for key, _ in units[0].parameters]
    return {key: np.array([unit.parameters[i][1] for unit in units], np.int64) for i, key in enumerate(keys)}


def _price(module: str, table: Table, family: str) -> tuple[calibrated.Price, Counts | None]:
    """Of units of one module, and the LUTs that placement adds to each."""
    price = calibrated.price(module, table, family)
    return price, placement.added(module, table, family, price.luts)


def _named(role: str, price: calibrated.Price) -> dict[str, tuple[Counts, Counts]]:
    """LUTs and flip-flops of units for one role, by the names of their terms."""
    found = dict[str, tuple[Counts, Counts]]()
    for part, (luts, ffs) in price.parts.items():
        name = PARTS.get(part, part) if role == "matrix" else role
        before = found.get(name, (np.zeros(()), np.zeros(())))
        found[name] = before[0] + luts, before[1] + ffs
    return found


def _placed(luts: float, bounds: Bounds) -> Term:
    """What placement adds."""
    area, low, high = (_counts(luts, 0.0, 0.0, *bound) for bound in bounds)
    return Term(PLACEMENT, area, low, high)


def _of_one(
    unit: Element, row: int, price: calibrated.Price, named: Mapping[str, tuple[Counts, Counts]], bounds: Bounds
) -> Iterable[Term]:
    """The terms of the unit in one row of a price."""
    products, stored = ("multipliers", "weights") if unit.role == "matrix" else (unit.role, unit.role)
    blocks = defaultdict[str, Resources](Resources)
    blocks[products] += Resources(dsps=int(price.dsps[row]))
    blocks[stored] += Resources(brams=int(price.brams[row]))
    for name in dict.fromkeys((*named, *blocks)):
        luts, ffs = (float(column[row]) for column in named[name]) if name in named else (0.0, 0.0)
        counted = luts, ffs, _in_luts(name, unit.role, row, price)
        area, low, high = (blocks[name] + _counts(*counted, *bound) for bound in bounds)
        yield Term(name, area, low, high, _variant(unit, name, blocks[name].brams))


def _bounds(fits: calibrated.Fits) -> Bounds:
    """Factors on LUTs and flip-flops: as predicted, the least, the most; what is predicted is between them."""
    luts, ffs = fits.luts, fits.ffs
    return (1.0, 1.0), (min(luts.low, 1.0), min(ffs.low, 1.0)), (max(luts.high, 1.0), max(ffs.high, 1.0))


def _counts(luts: float, ffs: float, lutrams: float, lut_factor: float, ff_factor: float) -> Resources:
    return Resources(luts=round(luts * lut_factor), ffs=round(ffs * ff_factor), lutrams=round(lutrams * lut_factor))


def _in_luts(name: str, role: str, row: int, price: calibrated.Price) -> float:
    """LUTs of a term that are RAM."""
    part = "memory" if role != "matrix" else "vector memory" if name == PARTS["vector memory"] else ""
    return float(price.parts[part][0][row]) if part in price.parts else 0.0


def _variant(unit: Element, name: str, brams: int) -> str:
    """What a term is made of, where there was a choice."""
    parameters, place = dict(unit.parameters), "block RAM" if brams else "LUTs"
    match name:
        case "multipliers" if parameters["DSP_LANES"] > 1:
            return f"DSPs, {parameters['DSP_LANES']} products each"
        case "multipliers":
            return STYLES[parameters["STYLE"]]
        case "thresholds":
            return f"{'compared at once' if unit.module == 'threshold_parallel' else 'searched'}, {place}"
        case "weights" | "window":
            return place
    return ""
