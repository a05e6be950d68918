"""All foldings and variants of small networks, one after the other: what the exact choice is held against."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from hwdse.accelerator import Quantised
from hwdse.alternatives import joined
from hwdse.cost_models.dataflow import Dataflow, alternatives, made, quantised
from hwdse.design import Design, Folding
from hwdse.folding import legal
from hwdse.foldings.choice import Folded, Objective
from hwdse.foldings.limits import RESOURCES, Limits, stream_bits, weight_bits
from hwdse.target import FpgaTarget
from hwdse.variants import Counts, counts, have
from hwdse.workload import Workload

MODEL = Dataflow()
Point = tuple[int, tuple[float, ...]]  # cycles, and what is minimised


def rows(q: Quantised, limits: Limits) -> Counts:
    """`n x 6`: cycles and resources of a layer with each folding within the streams and each way of each part."""
    found = list[list[float]]()
    for folding in legal(q.layer):
        one = replace(q, folding=folding)
        widths = ((weight_bits(one), limits.weight_bits), (stream_bits(one), limits.stream_bits))
        if any(most is not None and bits > most for bits, most in widths):
            continue
        parts, _ = alternatives(one, MODEL.accumulator, MODEL.multiplier)
        for ways in product(*parts.values()):
            choice = joined(dict(zip(parts, (way.choice for way in ways), strict=True)))
            cost = made(one, choice, MODEL.accumulator)
            found.append([cost.cycles, *counts(cost.area)])
    return np.array(found)


def everything(
    workload: Workload, design: Design, target: FpgaTarget, limits: Limits, *, pruned: bool
) -> tuple[Counts, Counts]:
    """Cycles and resources of every design; `pruned`: only of those that no other is below."""
    inside = MODEL.inside(workload)
    open_ = replace(design, folding=tuple(sorted((layer.name, Folding()) for layer in inside)))
    total = np.zeros((1, 6))
    for layer in inside:
        own = rows(quantised(layer, open_, target), limits)
        own = skyline(own) if pruned else own
        both = total[:, None] + own[None]
        both[..., 0] = np.maximum(total[:, None, 0], own[None, :, 0])
        total = skyline(both.reshape(-1, 6)) if pruned else both.reshape(-1, 6)
    return total[:, 0], total[:, 1:]


def skyline(every: Counts) -> Counts:
    """The rows that no other is below, one after the other."""
    kept = np.empty((0, every.shape[1]))
    every = np.unique(every, axis=0)
    for row in every[np.argsort(every.sum(1), kind="stable")]:
        if not (kept <= row).all(1).any():
            kept = np.vstack([kept, row])
    return kept


def rank(used: Counts, target: FpgaTarget, objective: Objective) -> Counts:
    """`n x keys`: what is minimised, first things first."""
    share, luts = (used / have(target)).max(-1), used[:, 0]
    keys = [share, luts] if objective == "utilization" else [used[:, RESOURCES.index(objective)], share, luts]
    return np.column_stack(keys)


def front(cycles: Counts, used: Counts, target: FpgaTarget, limits: Limits, objective: Objective) -> list[Point]:
    """The best that is within the limits at every interval, slowest first, where a shorter one makes it worse."""
    fits = (used / have(target) <= [getattr(limits, name) for name in RESOURCES]).all(1)
    keys, slow = rank(used[fits], target, objective), cycles[fits]
    found, best = list[Point](), None
    for at in np.lexsort((*keys.T[::-1], slow)):  # fastest first, of those the best first
        key = tuple(keys[at].tolist())
        if best is None or key < best:
            best = key
            found.append((int(slow[at]), key))
    return found[::-1]


def points(found: Sequence[Folded], target: FpgaTarget, objective: Objective) -> list[Point]:
    """The same of what was chosen."""
    return [(one.interval_cycles, tuple(rank(counts(one.area)[None], target, objective)[0].tolist())) for one in found]
