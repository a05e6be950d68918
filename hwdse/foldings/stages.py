"""What the stages of a layer (`hwdse.accelerator.stage`) take with each of many foldings, in every way to make them.

A stage depends on some of a layer's formats and on some of its folding, so that few differ, and all that are wanted are
priced at once: the units of a whole network take little longer than one unit alone.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hwdse import terms
from hwdse.accelerator import Choice, Element, Quantised, matrix_vector, stage
from hwdse.alternatives import DEEPEST_IN_LUTS, Way, styles, ways_of
from hwdse.cost_models.dataflow import Dataflow, accumulator_bits, summed
from hwdse.design import Folding
from hwdse.folding import multiplies, stream_width, taps_at_once
from hwdse.matrix_vector import MatrixVector, Style
from hwdse.memory import LUT_WORDS
from hwdse.relaxation import Picks
from hwdse.structure import Table
from hwdse.variants import IMPOSSIBLE, Counts
from hwdse.workload import Layer

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """One stage of a layer with each of some foldings: all its units, of which one may be made in several ways.

    No way of a folding takes as much of everything as another one. Where it has fewer than others have, the rest of its
    row is impossible.
    """

    counts: Counts  # foldings x ways x resources
    ways: Picks  # foldings x ways: which of `choices`
    choices: tuple[Choice, ...]

    @property
    def nbytes(self) -> int:
        """Of its tables."""
        return self.counts.nbytes + self.ways.nbytes


@dataclass(frozen=True, slots=True)
class Asked:
    """A stage that is wanted: of a layer, whose own folding is not looked at, with all foldings that it differs in."""

    name: str
    q: Quantised
    foldings: tuple[Folding, ...]
    model: Dataflow

    @property
    def key(self) -> Hashable:
        """Equal where stages are: all that they depend on."""
        q = self.q
        own: Hashable
        match self.name:
            case "window":
                own = q.layer, q.operands[0].format.bits
            case "thresholds":
                codes = (q.layer.kind, q.operands[0].format.bits) if q.sum_bits is None else ()
                sums = q.sum_bits, accumulator_bits(q, self.model.accumulator)
                own = sums, codes, q.layer.rows, q.own_thresholds, q.outputs
            case _:
                own = q.layer, q.operands
        return self.name, own, self.foldings, q.target, self.model

    @property
    def folded(self) -> list[Quantised]:
        """The layer with each of the foldings."""
        return [replace(self.q, folding=folding) for folding in self.foldings]


def asked(name: str, q: Quantised, foldings: tuple[Folding, ...], model: Dataflow) -> tuple[Asked, Picks]:
    """A stage with all that is different of it with `foldings`, and which row of it belongs to each of these."""
    kept, rows = _differing(name, q.layer, foldings)
    return Asked(name, q, kept, model), rows


@lru_cache(maxsize=4096)
def _differing(name: str, layer: Layer, foldings: tuple[Folding, ...]) -> tuple[tuple[Folding, ...], Picks]:
    """One folding for each thing that a stage of a layer may be with `foldings`, and which of them each of these is."""
    kept, rows = dict[Hashable, tuple[int, Folding]](), list[int]()
    for folding in foldings:
        key, like = _decides(name, layer, folding)
        rows.append(kept.setdefault(key, (len(kept), like))[0])
    return tuple(folding for _, folding in kept.values()), np.array(rows)


def _decides(name: str, layer: Layer, folding: Folding) -> tuple[Hashable, Folding]:
    """What a stage depends on of a folding, and a folding that has it too."""
    match name:
        case "window":
            return (stream_width(layer, folding), taps_at_once(layer, folding)), folding
        case "thresholds":
            return folding.pe, Folding(folding.pe)
        case _:
            return folding, folding


def priced(wanted: Sequence[Asked]) -> list[Stage]:
    """The stages that are asked for, all for one device."""
    matrices = [i for i, one in enumerate(wanted) if one.name == "matrix" and multiplies(one.q.layer)]
    others = sorted({*range(len(wanted))} - {*matrices})
    found = dict(zip(matrices, _in_columns([wanted[i] for i in matrices]), strict=True))
    found |= zip(others, _unit_by_unit([wanted[i] for i in others]), strict=True)
    return [found[i] for i in range(len(wanted))]


# ---- matrix-vector units, of which there are many: their parameters as columns ----------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """The units of one layer in all ways with all foldings, way by way."""

    module: str
    table: Table
    choices: tuple[Choice, ...]
    possible: Flags  # ways x foldings


def _in_columns(wanted: Sequence[Asked]) -> Iterator[Stage]:
    columns = [_columns(one) for one in wanted]
    area = dict[int, Counts]()
    for module in dict.fromkeys(one.module for one in columns):
        some = [i for i, one in enumerate(columns) if one.module == module]
        table = {key: np.concatenate([columns[i].table[key] for i in some]) for key in columns[some[0]].table}
        found = terms.areas_of(module, "matrix", table, wanted[0].q.target.family)
        area |= zip(some, np.split(found, np.cumsum([columns[i].possible.size for i in some])[:-1]), strict=True)
    for i, one in enumerate(columns):
        taken = np.where(one.possible.reshape(-1, 1), area[i], IMPOSSIBLE)
        yield _least(taken.reshape(*one.possible.shape, -1).swapaxes(0, 1), one.choices)


def _columns(one: Asked) -> _Columns:
    """As `alternatives.ways_of("matrix", ...)` has them for one folding."""
    q, foldings = replace(one.q, folding=one.foldings[0]), one.foldings
    made = list[tuple[Choice, dict[str, NDArray[np.int64]], Flags]]()
    for style, fits in _styles(one).items():
        unit = matrix_vector(q, Choice(style))
        table = unit.columns(foldings)
        table["BUFFER_BLOCK"] = (unit.dot // table["SIMD"] > LUT_WORDS).astype(np.int64) * (q.target.brams > 0)
        table["ACC"] = np.full(len(foldings), accumulator_bits(q, one.model.accumulator))
        for block, holds in _memories(unit, table, q.target.brams):
            placed = {} if block is None else {"BLOCK": np.full(len(foldings), int(block))}
            made.append((Choice(style, block), {**table, **placed}, fits & holds))
    choices, tables, possible = zip(*made, strict=True)
    joined = {key: np.concatenate([table[key] for table in tables]) for key in tables[0]}
    return _Columns(unit.module, joined, choices, np.stack(possible))


def _styles(one: Asked) -> dict[Style, Flags]:
    """What may multiply, and with which foldings: they only decide whether a DSP block may hold several products."""
    several = {folding.pe > 1: folding for folding in one.foldings}
    found = {key: styles(replace(one.q, folding=some), one.model.multiplier) for key, some in several.items()}
    every = dict.fromkeys(style for some in found.values() for style in some)
    return {style: np.array([style in found[folding.pe > 1] for folding in one.foldings]) for style in every}


def _memories(unit: MatrixVector, table: Table, brams: int) -> Iterator[tuple[bool | None, Flags | bool]]:
    """Where weights may be, and with which foldings; a stream of them is nowhere."""
    if unit.streamed:
        yield None, True
        return
    words = unit.groups * (unit.rows // table["PE"]) * (unit.dot // table["SIMD"])
    yield False, (words <= DEEPEST_IN_LUTS) | (brams == 0)
    if brams:
        yield True, True


# ---- all other units -----------------------------------------------------------------------------


Cells = dict[tuple[int, int], tuple[Element, ...]]  # (folding, way) -> units


def _unit_by_unit(wanted: Sequence[Asked]) -> Iterator[Stage]:
    cells = [_cells(one) for one in wanted]
    every = dict.fromkeys(unit for one, _ in cells for units in one.values() for unit in units)
    rows = {unit: row for row, unit in enumerate(every)}
    area = terms.areas(list(rows), wanted[0].q.target.family) if wanted else np.zeros((0, 5))
    for one, (own, choices) in zip(wanted, cells, strict=True):
        taken = np.full((len(one.foldings), len(choices), area.shape[1]), IMPOSSIBLE)
        for place, units in own.items():
            taken[place] = area[[rows[unit] for unit in units]].sum(0)
        yield _least(taken, choices)


def _cells(one: Asked) -> tuple[Cells, tuple[Choice, ...]]:
    """The units of a stage, and the choices that are its ways."""
    choices, cells = dict[Choice, int](), Cells()
    for row, q in enumerate(one.folded):
        found = ways_of(one.name, q, one.model.multiplier) or (Way(Choice(), ()),)
        others = tuple(unit for unit in stage(q, Choice(), one.name) if unit.role != one.name)
        for way in found:
            units = summed((*way.units, *others), q, one.model.accumulator)
            cells[row, choices.setdefault(way.choice, len(choices))] = units
    return cells, tuple(choices)


# ---- both ----------------------------------------------------------------------------------------


def _least(taken: Counts, choices: tuple[Choice, ...]) -> Stage:
    """The stage of `taken`, `foldings x ways x resources`, of each folding without what is never better."""
    below = np.all(taken[:, :, None] <= taken[:, None], axis=-1)  # [.., i, j]: i is nowhere above j
    equal = below & np.swapaxes(below, 1, 2)
    earlier = np.tri(len(choices), k=-1, dtype=np.bool_).T
    kept = ~((below & ~equal) | (equal & earlier)).any(1) & (taken[..., 0] < IMPOSSIBLE)
    order = np.argsort(~kept, axis=1, kind="stable")[:, : kept.sum(1).max()]
    least = np.where(kept[..., None], taken, IMPOSSIBLE)
    return Stage(np.take_along_axis(least, order[..., None], 1), order, choices)
