"""Everything that a layer can be at any pace: its legal foldings, each with the ways to make its parts, priced.

A layer's price depends on its own quantisers and its own folding alone (`cost_models/dataflow.py`), so a table of
options for each layer is all that a choice for the whole network needs.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwdse.accelerator import Choice, Quantised
from hwdse.alternatives import ROLES, joined
from hwdse.bounded import Bounded
from hwdse.cost import Resources
from hwdse.cost_models.dataflow import Dataflow, uncalibrated
from hwdse.design import Folding
from hwdse.folding import cycles
from hwdse.foldings.stages import Asked, Stage, asked, priced
from hwdse.relaxation import Picks
from hwdse.variants import IMPOSSIBLE, Counts, counts
from hwdse.workload import Kind

Cycles = NDArray[np.int64]
Stages = Bounded[Hashable, Stage]  # by `Asked.key`


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """The options of one layer, faster and slower ones; none is as slow as another and takes as much of everything."""

    counts: Counts  # options x resources: LUTs, FFs, DSPs, block RAMs, URAMs
    cycles: Cycles  # of each option, between two frames
    made: Picks  # options x (1 + stages): which of `foldings`, and which of the `choices` of each stage
    foldings: tuple[Folding, ...]
    choices: tuple[tuple[Choice, ...], ...]  # by stage, in the order of `ROLES`

    def __len__(self) -> int:
        return len(self.cycles)

    def folding(self, row: int) -> Folding:
        """Of one option."""
        return self.foldings[int(self.made[row, 0])]

    def choice(self, row: int) -> Choice:
        """What the parts of one option are made of."""
        picks = zip(ROLES, self.choices, self.made[row, 1:], strict=True)
        return joined({role: choices[pick] for role, choices, pick in picks})

    @property
    def nbytes(self) -> int:
        """Of its tables."""
        return self.counts.nbytes + self.cycles.nbytes + self.made.nbytes

    def at(self, rows: Picks) -> "Options":
        """Those of some rows."""
        return replace(self, counts=self.counts[rows], cycles=self.cycles[rows], made=self.made[rows])

    def within(self, cycles: int) -> "Options":
        """Those that need at most `cycles`, without any that takes as much of everything as another one."""
        fast = np.flatnonzero(self.cycles <= cycles)
        return self.at(fast[minimal(self.counts[fast])])


def minimal(rows: Counts) -> Picks:
    """Which of `rows`, `n x quantities`, no other is below in some and above in none, in order; of equal ones one."""
    order = np.argsort(rows.sum(1), kind="stable")  # what is below a row comes before it
    left, kept = np.ascontiguousarray(rows[order].T), list[int]()
    while len(order):
        kept.append(order[0])
        others = ~(left >= left[:, :1]).all(0)
        order, left = order[others], left[:, others]
    return np.sort(np.array(kept, np.intp))


Wanted = tuple[Quantised, tuple[Folding, ...]]  # a layer, whose own folding is not looked at, and those it may have


def tables(wanted: Sequence[Wanted], model: Dataflow, known: Stages, *, paces: bool = True) -> list[Options]:
    """The options of layers of one device, each with any of its foldings; `known` is what was priced before.

    Of options that take as much of everything and as long one is kept; without `paces` of those that are slower too.
    """
    parts = [asked(role, q, foldings, model) for q, foldings in wanted for role in ROLES]
    stages = iter(zip(_stages([one for one, _ in parts], known), (rows for _, rows in parts), strict=True))
    return [_table(q, foldings, [next(stages) for _ in ROLES], paces=paces) for q, foldings in wanted]


def plain(q: Quantised) -> Quantised:
    """`q` without what its price does not depend on, so that layers that are alike are equal."""
    return replace(q, layer=replace(q.layer, name="", inputs=(), outputs=(), relu=False), folding=Folding())


def _stages(wanted: Sequence[Asked], known: Stages) -> list[Stage]:
    """Of each; what is not known is priced together."""
    keys = [one.key for one in wanted]
    found = {key: stage for key in set(keys) if (stage := known.get(key)) is not None}
    new = {key: one for key, one in zip(keys, wanted, strict=True) if key not in found}
    found |= zip(new, priced(list(new.values())), strict=True)
    for key in new:
        known.put(key, found[key])
    return [found[key] for key in keys]


def _table(
    q: Quantised, foldings: tuple[Folding, ...], stages: Sequence[tuple[Stage, Picks]], *, paces: bool
) -> Options:
    """The options of a layer from its stages and the row of each folding in them."""
    total = _loose(q, foldings)[:, None]
    for stage, rows in stages:
        total = (total[:, :, None] + stage.counts[rows][:, None]).reshape(len(foldings), -1, total.shape[-1])
    shape = len(foldings), *(stage.counts.shape[1] for stage, _ in stages)
    every = total.reshape(-1, total.shape[-1])
    slow = np.repeat([cycles(q.layer, folding) for folding in foldings], total.shape[1])
    possible = np.flatnonzero(every[:, 0] < IMPOSSIBLE)
    compared = np.column_stack([slow, every]) if paces else every
    kept = possible[minimal(compared[possible])]
    folding, *ways = np.unravel_index(kept, shape)
    named = [stage.ways[rows[folding], way] for (stage, rows), way in zip(stages, ways, strict=True)]
    choices = tuple(stage.choices for stage, _ in stages)
    return Options(every[kept], slow[kept], np.column_stack([folding, *named]), foldings, choices)


def _loose(q: Quantised, foldings: Sequence[Folding]) -> Counts:
    """What no leaf module has yet, `foldings x resources`."""
    if q.layer.kind is not Kind.MATMUL and (q.outputs or not q.layer.bias):
        return np.zeros((len(foldings), 5))
    made = (uncalibrated(replace(q, folding=folding)) for folding in foldings)
    return np.array([counts(sum((term.area for term in some), Resources())) for some in made])
