"""The price of one layer for many pairs of formats and many foldings at once: a million prices in about a second.

A cell of the result is the price that `Dataflow` gives to the same layer, quantisers and folding with significands
shifted and thresholds searched; the formats are the first axis, the foldings the second.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwdse import calibrated, placement
from hwdse.accelerator import Choice, Element, Quantised, elements
from hwdse.arithmetic import tight_bits
from hwdse.design import Folding, Quantizer
from hwdse.folding import multiplies
from hwdse.structure.blocks import Counts, Sizes, Table
from hwdse.target import FpgaTarget
from hwdse.workload import Layer

ROWS_AT_ONCE = 256  # so that what is counted stays in a processor's cache
WINDOWS = ("window", "window parts")  # roles of units before the products


@dataclass(frozen=True, slots=True)
class Prices:
    """`pairs x foldings` predictions."""

    luts: Counts
    ffs: Counts
    dsps: Sizes
    brams: Sizes


def prices(
    layer: Layer,
    pairs: Sequence[tuple[Quantizer, Quantizer]],
    output: Quantizer | None,
    foldings: Sequence[Folding],
    target: FpgaTarget,
) -> Prices:
    """What the units of a convolution or linear layer take; `pairs`: (weights, activations).

    ValueError where the layer multiplies nothing.
    """
    if not multiplies(layer) or layer.weights == 0:
        raise ValueError(f"a sweep is over a layer with weights, not over {layer.name!r} ({layer.kind})")
    ends = () if output is None else (output,)
    columns = [_units(Quantised(layer, _operands(pairs[0]), ends, folding, target)) for folding in foldings]
    totals = np.zeros((4, len(pairs), len(foldings)))
    for kind in dict.fromkeys(kind for units in columns for kind in units):
        where = [i for i, units in enumerate(columns) if kind in units]
        some = [foldings[i] for i in where]
        rows, which = _rows(kind, [Quantised(layer, _operands(pair), ends, some[0], target) for pair in pairs])
        table = dict(_table(rows, [columns[at][kind] for at in where]))
        table |= {"SUM": _sums(pairs, some)} if kind.role == "matrix" else {}
        totals[:, :, where] += _counts(kind.module, table, target.family, len(rows), len(where))[:, which]
    luts, ffs, dsps, brams = totals
    return Prices(luts, ffs, dsps.astype(np.int64), brams.astype(np.int64))


def _operands(pair: tuple[Quantizer, Quantizer]) -> tuple[Quantizer, ...]:
    weight, activation = pair
    return activation, weight


def _counts(module: str, table: Table, family: str, rows: int, columns: int) -> Counts:
    """LUTs, flip-flops, DSP blocks and block RAMs of units, `4 x rows x columns`, some rows at a time."""
    found = np.zeros((4, rows, columns))
    for start in range(0, rows, ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        part = {key: column[some] if len(column) == rows > 1 else column for key, column in table.items()}
        price = calibrated.price(module, part, family)
        extra = placement.added(module, part, family, price.luts)
        luts = price.luts if extra is None else price.luts + extra
        for total, counted in zip(found, (luts, price.ffs, price.dsps, price.brams), strict=True):
            total[some] = counted
    return found


class _Kind(NamedTuple):
    """Which of a layer's units: a layer has one of each."""

    role: str
    module: str


def _units(quantised: Quantised) -> dict[_Kind, Element]:
    return {_Kind(unit.role, unit.module): unit for unit in elements(quantised, Choice())}


def _rows(kind: _Kind, quantised: Sequence[Quantised]) -> tuple[list[Element], list[int] | slice]:
    """The different units of a kind, and for each pair of formats which of them it has.

    Windows follow from the activations alone, and what comes after the products from the bits of their sums.
    """
    if kind.role == "matrix":
        return [elements(q, Choice(), kind.role)[0] for q in quantised], slice(None)
    keys = [id(q.operands[0]) if kind.role in WINDOWS else q.sum_bits for q in quantised]
    own = dict(zip(keys, quantised, strict=True))
    places = {key: i for i, key in enumerate(own)}
    return [_units(q)[kind] for q in own.values()], [places[key] for key in keys]


def _table(formats: Sequence[Element], foldings: Sequence[Element]) -> Table:
    """Every parameter: a column where it follows from the formats, a row where from the folding, both where given."""
    rows = [dict(unit.parameters) for unit in formats]
    columns = [dict(unit.parameters) for unit in foldings]
    table = dict[str, Sizes]()
    for key, value in formats[0].parameters:
        down: NDArray[np.int64] = np.array([row[key] for row in rows], np.int64)[:, None]
        across: NDArray[np.int64] = np.array([column[key] for column in columns], np.int64)[None, :]
        table[key] = down if np.all(across == value) else across if np.all(down == value) else _both(down, across)
    return table


def _both(down: Sizes, across: Sizes) -> Sizes:
    """A width that is lanes of the folding times bits of the format: `BITS` of a FIFO."""
    return np.asarray(down * across // down[0, 0], np.int64)


def _sums(pairs: Sequence[tuple[Quantizer, Quantizer]], foldings: Sequence[Folding]) -> Sizes:
    """Bits of the sums of SIMD products, for each pair and each folding."""
    simds = sorted({folding.simd for folding in foldings})
    known = [[tight_bits(w.format, a.format, simd, (w.narrow, a.narrow)) for simd in simds] for w, a in pairs]
    where = np.searchsorted(simds, [folding.simd for folding in foldings])
    return np.array(known, np.int64)[:, where]
