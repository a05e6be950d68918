"""The best folding of one design after another, all at one rate: for searches, which fold each of their designs.

Designs of a search share most of what their layers are made of, so what was priced for one is remembered for others:
the stages of a layer by the formats that they depend on, and its options by all its formats.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from hwdse.accelerator import Quantised
from hwdse.bounded import Bounded
from hwdse.cost_models.dataflow import Dataflow, quantised
from hwdse.design import Design, Folding
from hwdse.folding import fast
from hwdse.foldings.options import Options, Stages, plain, tables
from hwdse.target import FpgaTarget
from hwdse.variants import best
from hwdse.workload import Workload

REMEMBERED = 1 << 27  # bytes of stages, and of options


@dataclass(frozen=True, slots=True)
class Refold:
    """Gives a design the folding that takes least of the device of all with at most `cycles_per_frame`.

    It may be larger than the device. Of all foldings that are as fast `model` gives this one the smallest utilization,
    and of those that share it the fewest LUTs.
    """

    target: FpgaTarget
    model: Dataflow
    cycles_per_frame: int
    _stages: Stages = field(default_factory=lambda: Bounded(REMEMBERED), repr=False, compare=False)
    _options: Bounded[Quantised, Options] = field(
        default_factory=lambda: Bounded(REMEMBERED), repr=False, compare=False
    )

    def __call__(self, workload: Workload, design: Design) -> Design:
        """`design` folded; ValueError names a layer that has no price, or that is as fast with no folding."""
        inside = self.model.inside(workload)
        for layer in inside:
            fast(layer, self.cycles_per_frame)  # a ValueError names the layer
        open_ = replace(design, folding=tuple(sorted((layer.name, Folding()) for layer in inside)))
        found = _best(self, tuple(plain(quantised(layer, open_, self.target)) for layer in inside))
        named = zip((layer.name for layer in inside), found, strict=True)
        return replace(design, folding=tuple(sorted(named)))

    def options(self, layers: Sequence[Quantised]) -> list[Options]:
        """Of layers as `plain` makes them: all that each of them may be at this rate, the least of it."""
        found = {q: known for q in dict.fromkeys(layers) if (known := self._options.get(q)) is not None}
        new = [q for q in dict.fromkeys(layers) if q not in found]
        wanted = [(q, fast(q.layer, self.cycles_per_frame)) for q in new]
        found |= zip(new, tables(wanted, self.model, self._stages, paces=False), strict=True)
        for q in new:
            self._options.put(q, found[q])
        return [found[q] for q in layers]


@lru_cache(maxsize=4096)
def _best(refold: Refold, layers: tuple[Quantised, ...]) -> tuple[Folding, ...]:
    """The folding of each layer."""
    options = refold.options(layers)
    picks = best([own.counts for own in options], np.zeros(5), refold.target)
    return tuple(own.folding(pick) for own, pick in zip(options, picks, strict=True))
