"""The best folding of a whole network, proven to be: the fastest that fits, the smallest at a rate, and the front.

A design is a folding of each layer and what its parts are made of (`hwdse.accelerator.Choice`). Its interval is that of
its slowest layer and its area the sum over layers, so that of all designs with an interval of at most `n` cycles the
best takes for each layer one of the options that need at most `n`. Which ones is a choice of one way for each part
under limits, made exactly by `hwdse.limited_choice`. An option that takes no less of anything than another one, and is
no faster, is in no better design.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from hwdse.accelerator import Choice, Quantised
from hwdse.cost import FpgaCost, LayerCost, Resources
from hwdse.cost_models.dataflow import Dataflow, made, quantised
from hwdse.design import Design, Folding
from hwdse.folding import legal
from hwdse.foldings import paces
from hwdse.foldings.limits import RESOURCES, Limits
from hwdse.foldings.options import Options, Stages, plain, tables
from hwdse.limited_choice import cheapest, feasible
from hwdse.target import FpgaTarget, uses
from hwdse.variants import ABSENT, Counts, have
from hwdse.workload import Workload

# What is minimised. `utilization`: the largest share of a resource of the device, then the LUTs, as `Dataflow` chooses
# what parts are made of; a resource: as few of it as can be, then the same.
Objective = Literal["utilization", "lut", "ff", "dsp", "bram", "uram"]


OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
WHOLE = 1 << 30  # bytes of stages that are remembered while a space is made


def known(objective: str) -> Objective:
    """The objective called `objective`."""
    for one in OBJECTIVES:
        if one == objective:
            return one
    raise ValueError(f"an objective is {', '.join(OBJECTIVES)}, not {objective!r}")


@dataclass(frozen=True, slots=True)
class Folded:
    """A design with a folding of every layer in the accelerator, and what the parts of each are made of."""

    design: Design
    choices: tuple[tuple[str, Choice], ...]  # by layer
    interval_cycles: int  # between two frames
    area: Resources  # without saying which LUTs are RAM


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """All foldings of a network with its formats on a device: the options of every layer in the accelerator."""

    workload: Workload
    design: Design  # whose folding is not looked at
    target: FpgaTarget
    model: Dataflow
    limits: Limits
    layers: tuple[tuple[str, Options], ...]

    @property
    def intervals(self) -> tuple[int, ...]:
        """The cycles between frames that a design may have, shortest first."""
        return paces.intervals(own.cycles for _, own in self.layers)

    def within(self, cycles: int) -> tuple[Options, ...]:
        """The options of every layer that need at most `cycles`; ValueError names a layer that has none."""
        few = dict[int, Options]()  # of layers that are alike, once
        for name, own in self.layers:
            if (least := int(own.cycles.min())) > cycles:
                raise ValueError(f"layer {name!r} needs at least {least} cycles per frame, more than {cycles}")
            if id(own) not in few:
                few[id(own)] = own.within(cycles)
        return tuple(few[id(own)] for _, own in self.layers)

    def cost(self, folded: Folded, clock_mhz: float) -> FpgaCost:
        """What `folded` costs, made as it says."""
        settings = self.model.accumulator, self.model.multiplier
        return _AsChosen(*settings, folded.choices).cost(self.workload, folded.design, self.target, clock_mhz)


@dataclass(frozen=True)
class _AsChosen(Dataflow):
    """`Dataflow` with parts made as is said, not chosen."""

    choices: tuple[tuple[str, Choice], ...] = ()

    def layers(self, workload: Workload, design: Design, target: FpgaTarget) -> tuple[LayerCost, ...]:
        chosen, inside = dict(self.choices), self.inside(workload)
        return tuple(made(quantised(one, design, target), chosen[one.name], self.accumulator) for one in inside)


def space(
    workload: Workload, design: Design, target: FpgaTarget, model: Dataflow | None = None, limits: Limits | None = None
) -> Space:
    """The options of every layer of a network; ValueError where the design leaves one open or a limit lets none be.

    Without `limits` a design may take all of the device, and its streams are as wide as need be.
    """
    priced, limited = Dataflow() if model is None else model, Limits() if limits is None else limits
    if not priced.claims(target):
        raise ValueError(f"cost model {priced.name!r} does not price device {target.name!r}")
    inside = priced.inside(workload)
    if not inside:
        raise ValueError(f"network {workload.name!r} has no layer in the accelerator")
    one = replace(design, folding=tuple(sorted((layer.name, Folding()) for layer in inside)))
    layers = {layer.name: quantised(layer, one, target) for layer in inside}
    for q in layers.values():
        limited.check(q)
    alike = {name: plain(q) for name, q in layers.items()}
    wanted = {q: (q, tuple(_narrow(q, limited))) for q in alike.values()}
    found = dict(zip(wanted, tables(list(wanted.values()), priced, Stages(WHOLE)), strict=True))
    own = tuple((name, found[q]) for name, q in alike.items())
    return Space(workload, replace(design, folding=()), target, priced, limited, own)


def _narrow(q: Quantised, limits: Limits) -> Iterator[Folding]:
    """The legal foldings of a layer whose streams are within the limits."""
    return (folding for folding in legal(q.layer) if limits.streams(replace(q, folding=folding)))


def smallest(of: Space, cycles: int, objective: Objective = "utilization") -> Folded:
    """The best design that needs at most `cycles` between frames; ValueError where none is within the limits."""
    found = _best(of, of.within(cycles), objective)
    if found is None:
        raise ValueError(_too_large(of, cycles))
    return found


def fastest(of: Space, objective: Objective = "utilization") -> Folded:
    """Of the designs with the shortest interval that any within the limits has the best; ValueError where none is."""
    most = of.limits.most(of.target)
    cycles = paces.shortest(of.intervals, lambda cycles: feasible(_counts(of.within(cycles)), most))
    if cycles is None:
        raise ValueError(_too_large(of, of.intervals[-1]))
    return smallest(of, cycles, objective)


def front(of: Space, objective: Objective = "utilization") -> tuple[Folded, ...]:
    """The designs within the limits than which none is faster and no worse, slowest first; none where none fits."""
    return paces.front(
        of.intervals,
        lambda cycles: _best(of, of.within(cycles), objective),
        lambda found: _rank(of, found, objective),
    )


# ---- one choice ----------------------------------------------------------------------------------


def _counts(layers: Sequence[Options]) -> list[Counts]:
    return [own.counts for own in layers]


def _best(of: Space, layers: Sequence[Options], objective: Objective) -> Folded | None:
    """The best design of these options within the limits; None where there is none."""
    known(objective)
    most, all_ = of.limits.most(of.target), have(of.target)
    if objective != "utilization":
        alone = np.array([name == objective for name in RESOURCES])
        picks = cheapest(_counts(layers), np.where(alone, all_, np.inf), most)
        if picks is None:
            return None
        most = np.where(alone, _taken(layers, picks), most)
    picks = cheapest(_counts(layers), all_, most)
    return None if picks is None else _folded(of, layers, picks)


def _taken(layers: Sequence[Options], picks: Sequence[int]) -> Counts:
    return np.asarray(sum((own.counts[pick] for own, pick in zip(layers, picks, strict=True)), np.zeros(5)))


def _folded(of: Space, layers: Sequence[Options], picks: Sequence[int]) -> Folded:
    names = [name for name, _ in of.layers]
    chosen = list(zip(names, layers, picks, strict=True))
    folding = tuple(sorted((name, own.folding(pick)) for name, own, pick in chosen))
    return Folded(
        replace(of.design, folding=folding),
        tuple((name, own.choice(pick)) for name, own, pick in chosen),
        max(int(own.cycles[pick]) for _, own, pick in chosen),
        Resources(*(int(count) for count in _taken(layers, picks))),
    )


def _rank(of: Space, found: Folded, objective: Objective) -> tuple[float, ...]:
    """What is minimised, first things first."""
    used = np.array([found.area.luts, found.area.ffs, found.area.dsps, found.area.brams, found.area.urams], np.float64)
    share = float((used / have(of.target)).max())
    first = () if objective == "utilization" else (float(used[RESOURCES.index(objective)]),)
    return *first, share, float(used[0])


def _too_large(of: Space, cycles: int) -> str:
    """That no design is within the limits, with the one that is least above them."""
    layers, most = of.within(cycles), of.limits.most(of.target)
    limit = np.where(most > 0, most, ABSENT)
    picks = cheapest(_counts(layers), limit, np.full(len(most), np.inf))
    assert picks is not None
    used = _taken(layers, picks)
    at = int((used / limit).argmax())
    name = uses(Resources(1, 1, 1, 1, 1), of.target)[at].name
    return (
        f"no folding of {of.workload.name!r} with at most {cycles} cycles per frame is within the limits on "
        f"{of.target.name}: the least overfull takes {int(used[at]):,} {name} of {int(most[at]):,}"
    )
