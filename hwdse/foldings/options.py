"""Everything that a layer can be at any pace: its legal foldings, each with the ways to make its parts, priced.

A layer's price depends on its own quantisers and its own folding alone (`cost_models/dataflow.py`), so a table of
options for each layer is all that a choice for the whole network needs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwdse import terms
from hwdse.accelerator import Choice, Element, Quantised
from hwdse.alternatives import Way, joined
from hwdse.cost import Resources
from hwdse.cost_models.dataflow import Dataflow, alternatives, quantised, uncalibrated
from hwdse.design import Design, Folding, Quantizer
from hwdse.folding import cycles, legal
from hwdse.foldings.limits import Limits
from hwdse.relaxation import Picks
from hwdse.target import FpgaTarget
from hwdse.variants import Counts, counts
from hwdse.workload import Layer

Cycles = NDArray[np.int64]

BLOCK = 256  # options compared with others at once, so that tables of comparisons stay in a processor's cache


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """The options of one layer, faster and slower ones; none is as slow as another and takes as much of everything."""

    counts: Counts  # options x resources: LUTs, FFs, DSPs, block RAMs, URAMs
    cycles: Cycles  # of each option, between two frames
    foldings: tuple[Folding, ...]
    choices: tuple[Choice, ...]

    def __len__(self) -> int:
        return len(self.cycles)

    def at(self, rows: Picks) -> "Options":
        """Those of some rows."""
        foldings, choices = (tuple(of[row] for row in rows) for of in (self.foldings, self.choices))
        return Options(self.counts[rows], self.cycles[rows], foldings, choices)

    def within(self, cycles: int) -> "Options":
        """Those that need at most `cycles`, without any that takes as much of everything as another one."""
        fast = np.flatnonzero(self.cycles <= cycles)
        return self.at(fast[minimal(self.counts[fast])])


def minimal(rows: Counts) -> Picks:
    """Which of `rows`, `n x quantities`, no other is below in some and above in none, in order; of equal ones one."""
    order = np.lexsort(rows.T[::-1])  # what is below a row comes before it
    kept = np.zeros(0, np.intp)
    for start in range(0, len(rows), BLOCK):
        some = order[start : start + BLOCK]
        some = some[~_covered(rows[some], rows[kept])]
        own = rows[some]
        earlier: NDArray[np.bool_] = np.tril(np.ones((len(own), len(own)), np.bool_), k=-1)
        below = (own[None] <= own[:, None]).all(-1) & earlier  # [i, j]: j, which comes before i, is nowhere above it
        kept = np.concatenate([kept, some[~below.any(1)]])
    return np.sort(kept)


def _covered(rows: Counts, kept: Counts) -> NDArray[np.bool_]:
    """Which of `rows` one of `kept` is nowhere above."""
    found = np.zeros(len(rows), np.bool_)
    for start in range(0, len(kept), BLOCK):
        found |= np.any(np.all(kept[None, start : start + BLOCK] <= rows[:, None], axis=-1), axis=1)
    return found


def of(q: Quantised, model: Dataflow, limits: Limits) -> Options:
    """The options of a layer with any legal folding whose streams are within `limits`; ValueError where none is.

    The folding of `q` is not looked at. Of options that take as much of everything and as long one is kept.
    """
    one = replace(q, folding=Folding())
    limits.check(one)
    plain = replace(q.layer, name="", inputs=(), outputs=())  # what a price does not depend on
    return _shared(replace(one, layer=plain), model, limits)


@lru_cache(maxsize=1024)
def _shared(q: Quantised, model: Dataflow, limits: Limits) -> Options:
    return _table([one for one in _folded(q) if limits.streams(one)], model)


def _folded(q: Quantised) -> Iterator[Quantised]:
    return (replace(q, folding=folding) for folding in legal(q.layer))


def _table(every: Sequence[Quantised], model: Dataflow) -> Options:
    """The options of a layer with each of some foldings."""
    made = [_Made.of(q, model) for q in every]
    units = {unit: row for row, unit in enumerate(dict.fromkeys(unit for one in made for unit in one.units))}
    area = terms.areas(list(units), every[0].target.family)
    tables = [one.options(units, area) for one in made]
    found = Options(
        np.concatenate([table.counts for table in tables]),
        np.concatenate([table.cycles for table in tables]),
        tuple(folding for table in tables for folding in table.foldings),
        tuple(choice for table in tables for choice in table.choices),
    )
    return found.at(minimal(np.column_stack([found.cycles, found.counts])))


class Formats(NamedTuple):
    """Of one layer: of its weights, where it has any, and of the activations that it reads and that it gives."""

    weights: Quantizer | None
    inputs: Quantizer
    outputs: Quantizer | None


def layer_options(
    layer: Layer, formats: Sequence[Formats], cycles_per_frame: int, target: FpgaTarget, model: Dataflow
) -> tuple[Options, ...]:
    """For each of `formats` all that the layer may be with at most `cycles_per_frame`, the least of it: a few options.

    ValueError where no folding is as fast or where formats have no price.
    """
    fast = [folding for folding in legal(layer) if cycles(layer, folding) <= cycles_per_frame]
    if not fast:
        least = min(cycles(layer, folding) for folding in legal(layer))
        raise ValueError(f"layer {layer.name!r} needs at least {least} cycles per frame, more than {cycles_per_frame}")
    found = list[Options]()
    for some in formats:
        q = quantised(layer, _design(layer, some, fast[0]), target)
        table = _table([replace(q, folding=folding) for folding in fast], model)
        found.append(table.within(cycles_per_frame))
    return tuple(found)


def _design(layer: Layer, formats: Formats, folding: Folding) -> Design:
    """A design of one layer."""
    ends = [(site, formats.inputs) for site in layer.inputs]
    ends += [(site, formats.outputs) for site in layer.outputs if formats.outputs is not None]
    weights = {} if formats.weights is None else {layer.name: formats.weights}
    return Design.of(weights, dict(ends), {layer.name: folding})


@dataclass(frozen=True, slots=True)
class _Made:
    """A layer with one folding: what its parts may be made of, and all else."""

    q: Quantised
    parts: Mapping[str, tuple[Way, ...]]
    rest: tuple[Element, ...]

    @classmethod
    def of(cls, q: Quantised, model: Dataflow) -> "_Made":
        return cls(q, *alternatives(q, model.accumulator, model.multiplier))

    @property
    def units(self) -> Iterator[Element]:
        yield from self.rest
        yield from (unit for ways in self.parts.values() for way in ways for unit in way.units)

    def options(self, units: Mapping[Element, int], area: Counts) -> Options:
        """Every choice of a way for each part; `units`: the row of each in `area`."""

        def taken(some: Sequence[Element]) -> Counts:
            return np.asarray(area[[units[unit] for unit in some]].sum(0))

        loose = counts(sum((term.area for term in uncalibrated(self.q)), Resources()))
        found, picks = taken(self.rest)[None] + loose, np.zeros((1, 0), np.intp)
        for ways in self.parts.values():
            own = np.array([taken(way.units) for way in ways])
            kept = minimal(own)
            found = (found[:, None] + own[None, kept]).reshape(-1, found.shape[1])
            picks = np.column_stack([np.repeat(picks, len(kept), axis=0), np.tile(kept, len(picks))])
        best = minimal(found)
        choices = tuple(self._choice(pick) for pick in picks[best])
        slow = np.full(len(best), cycles(self.q.layer, self.q.folding), np.int64)
        return Options(found[best], slow, (self.q.folding,) * len(best), choices)

    def _choice(self, picks: Picks) -> Choice:
        return joined({role: ways[pick].choice for (role, ways), pick in zip(self.parts.items(), picks, strict=True)})
