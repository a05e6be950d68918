"""The best folding of FINN's nodes, proven to be: the smallest at a rate, the fastest that fits, the front.

The interval of a network is that of its slowest node and its area the sum over nodes, both as FINN estimates them. So
the best network with an interval of at most `n` cycles takes for each node one of the options that need at most `n`:
a choice under limits, made exactly by `hwdse.limited_choice`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal, get_args

import numpy as np

from hwdse.finn.messages import Priced, Unit
from hwdse.finn.refolding import folded_as, of_units, unit_of
from hwdse.finn_foldings import options, variants
from hwdse.finn_foldings.limits import RESOURCES, UNLIMITED, Limits, counts
from hwdse.finn_foldings.options import Options
from hwdse.finn_nodes import Node
from hwdse.finn_nodes.matrix_vector import WEIGHT_BITS_PER_PE
from hwdse.foldings import paces
from hwdse.limited_choice import cheapest, feasible
from hwdse.target import FpgaTarget
from hwdse.variants import ABSENT, Counts

# What is minimised. `shares`: the sum of the shares of all resources of the device; `utilization`: the largest of
# them; a resource: as few of it as can be, then the sum of shares. Then the LUTs.
Objective = Literal["shares", "utilization", "lut", "bram", "uram", "dsp"]
NAMES = ("LUT", "BRAM18", "URAM", "DSP")
Area = tuple[int, int, int, int]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)

# Of all of a resource: sums of shares are of whole numbers, as `limited_choice` takes them. The shares of an option
# are rounded to one such part, a fiftieth of a LUT of the largest device.
PARTS = 10**8


def known(objective: str) -> Objective:
    """The objective called `objective`."""
    for one in OBJECTIVES:
        if one == objective:
            return one
    raise ValueError(f"an objective for FINN is {', '.join(OBJECTIVES)}, not {objective!r}")


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """All foldings of a network of FINN's nodes on a device."""

    units: tuple[Unit, ...]  # in topological order
    target: FpgaTarget
    limits: Limits
    groups: tuple[tuple[tuple[Unit, ...], Options], ...]  # of units that are folded together

    @property
    def intervals(self) -> tuple[int, ...]:
        """The cycles between frames that a network may have, shortest first."""
        return paces.intervals(own.cycles for _, own in self.groups)

    def within(self, cycles: int) -> tuple[Options, ...]:
        """The options of every group that need at most `cycles`; ValueError names a unit that has none."""
        few = dict[int, Options]()  # of groups that are alike, once
        for group, own in self.groups:
            if (least := int(own.cycles.min())) > cycles:
                named = group[-1].layer or group[-1].folded.node
                raise ValueError(f"{named!r} needs at least {least} cycles per frame, more than {cycles}")
            if id(own) not in few:
                few[id(own)] = own.within(cycles)
        return tuple(few[id(own)] for _, own in self.groups)


def space(units: Sequence[Unit], target: FpgaTarget, limits: Limits | None = None, *, varied: bool = True) -> Space:
    """The options of every node; ValueError where hwdse knows no formulas of a node or a limit leaves none.

    Without `limits` a network may take all of the device, with FINN's own limit of the weights of a PE. Without
    `varied` memories and multipliers stay as they are, as FINN's own heuristic leaves them.
    """
    limited = Limits() if limits is None else limits
    own = tuple((group, options.of(group, limited, varied=varied)) for group in options.groups(units))
    return Space(tuple(units), target, limited, own)


def limits_of(reference: Priced) -> Limits:
    """No limits but FINN's own of the weights of a PE, or as many bits as `reference` has.

    FINN's heuristic goes above its limit where the first SIMD above it reaches the target (set_folding.py).
    """
    widest = max(variants.weight_bits(unit.node) for unit in reference.units if unit.node is not None)
    return replace(UNLIMITED, weight_bits=max(WEIGHT_BITS_PER_PE, widest))


def taken(priced: Priced) -> Area:
    """LUTs, block RAMs of 18 Kb, UltraRAMs and DSP slices of a network."""
    return _area(priced.units)


def shares(used: Sequence[int], target: FpgaTarget) -> float:
    """The sum of the shares of all resources; one of what the device has none of counts as all of a resource."""
    return float((np.array(used) / np.maximum(counts(target), 1)).sum())


def smallest(of: Space, cycles: int, objective: Objective = "shares") -> Priced:
    """The best network that needs at most `cycles` between frames; ValueError where none is within the limits."""
    found = _best(of, of.within(cycles), objective, of.limits.most(of.target))
    if found is None:
        raise ValueError(_too_large(of, cycles))
    return found


def fastest(of: Space, objective: Objective = "shares") -> Priced:
    """Of the networks with the shortest interval that any within the limits has the best; ValueError where none is."""
    most = of.limits.most(of.target)
    cycles = paces.shortest(of.intervals, lambda cycles: feasible([own.counts for own in of.within(cycles)], most))
    if cycles is None:
        raise ValueError(_too_large(of, of.intervals[-1]))
    return smallest(of, cycles, objective)


def front(of: Space, objective: Objective = "shares") -> tuple[Priced, ...]:
    """The networks within the limits than which none is faster and no worse, slowest first; none where none fits."""
    most = of.limits.most(of.target)
    return paces.front(
        of.intervals,
        lambda cycles: _best(of, of.within(cycles), objective, most),
        lambda found: _rank(of, found, objective),
    )


def no_worse_than(of: Space, reference: Priced) -> Priced:
    """Of the networks that are as fast as `reference` and take no more of any resource the one of fewest shares.

    ValueError where none is within the limits of the space, which `reference` then is not either.
    """
    most = np.minimum(np.array(taken(reference), np.float64), of.limits.most(of.target))
    found = _best(of, of.within(reference.interval_cycles), "shares", most)
    if found is None:
        raise ValueError(
            f"no folding within the limits on {of.target.name} needs at most {reference.interval_cycles} cycles per "
            f"frame and takes no more than {_words(taken(reference))}"
        )
    return found


def _area(units: Sequence[Unit]) -> Area:
    each = [(unit.luts, unit.bram18s, unit.urams, unit.dsps) for unit in units]
    luts, bram18s, urams, dsps = map(sum, zip(*each, strict=True))
    return luts, bram18s, urams, dsps


# ---- one choice ----------------------------------------------------------------------------------


def _best(of: Space, own: Sequence[Options], objective: Objective, most: Counts) -> Priced | None:
    """The best network of these options within `most`; None where there is none."""
    known(objective)
    parts = [_with_shares(one.counts, of.target) for one in own]
    limit, all_ = np.append(most, np.inf), np.append(counts(of.target), PARTS)
    if objective not in ("shares", "utilization"):
        alone = np.array([name == objective for name in (*RESOURCES, "shares")])
        picks = cheapest(parts, np.where(alone, np.maximum(all_, 1), np.inf), limit)
        if picks is None:
            return None
        used = sum(part[pick] for part, pick in zip(parts, picks, strict=True))
        limit = np.where(alone, used, limit)
    first = [objective == "utilization"] * len(RESOURCES) + [objective != "utilization"]
    picks = cheapest(parts, np.where(first, np.maximum(all_, 1), np.inf), limit)
    return None if picks is None else _network(of, own, picks)


def _with_shares(taken: Counts, target: FpgaTarget) -> Counts:
    """`options x (resources + 1)`: the last is the sum of the shares."""
    sums = np.rint(PARTS * (taken / np.maximum(counts(target), 1)).sum(1))
    return np.column_stack([taken, sums])


def _network(of: Space, own: Sequence[Options], picks: Sequence[int]) -> Priced:
    chosen = dict(
        chain.from_iterable(
            zip((unit.folded.node for unit in group), options.nodes[pick], strict=True)
            for (group, _), options, pick in zip(of.groups, own, picks, strict=True)
        )
    )
    return of_units(tuple(_unit(unit, chosen[unit.folded.node]) for unit in of.units))


def _unit(unit: Unit, node: Node) -> Unit:
    return unit_of(folded_as(unit.folded.node, node), unit.layer, unit.inputs, node)


def _rank(of: Space, found: Priced, objective: Objective) -> tuple[float, ...]:
    """What is minimised, first things first."""
    units = {unit.folded.node: unit for unit in found.units}
    groups = [[units[unit.folded.node] for unit in group] for group, _ in of.groups]
    used = _with_shares(np.array([_area(group) for group in groups], np.float64), of.target).sum(0)
    if objective == "utilization":
        return float((used[:-1] / np.maximum(counts(of.target), 1)).max()), float(used[0])
    first = () if objective == "shares" else (float(used[RESOURCES.index(objective)]),)
    return *first, float(used[-1]), float(used[0])


def _too_large(of: Space, cycles: int) -> str:
    """That no network is within the limits, with the one that is least above them."""
    own, most = of.within(cycles), of.limits.most(of.target)
    limit = np.where(most > 0, most, ABSENT)
    picks = cheapest([one.counts for one in own], limit, np.full(len(most), np.inf))
    assert picks is not None
    used = sum(one.counts[pick] for one, pick in zip(own, picks, strict=True))
    at = int((used / limit).argmax())
    return (
        f"no folding with at most {cycles} cycles per frame is within the limits on {of.target.name}: the least "
        f"overfull takes {int(used[at]):,} {NAMES[at]} of {int(most[at]):,}"
    )


def _words(used: Sequence[int]) -> str:
    return ", ".join(f"{count:,} {name}" for count, name in zip(used, NAMES, strict=True))
