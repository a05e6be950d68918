"""How deep the queues of an accelerator are, so that it neither stops for ever nor waits: found by simulation.

With queues that never fill, and images that come at the pace of the slowest layer, nothing waits for room. The most
beats that lie in a queue then are its depth: with it every beat moves as it did, and images that come faster, or a
reader that stalls, change no beat's order. What is needed is needed whatever the images are, so any will do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwdse.beats import words
from hwdse.generator import Accelerator
from hwdse.memory import FIFO_WORDS
from hwdse.netlist import Instance, Netlist
from hwdse.simulation import Simulated, build
from hwdse.units import branch, fifo

IMAGES = 5  # that are simulated: the first fill the pipeline
ENDS = ("enters", "leaves")


@dataclass(frozen=True, slots=True)
class Sized:
    """The depth of every queue, and the cycles from image to image with which it was found."""

    depths: Mapping[str, int]
    cycles: int


def size(accelerator: Accelerator, beats: int, cycles: int, cache: Path) -> Sized:
    """Depths with which an image of `beats` beats enters every `cycles`, the pace of the slowest layer.

    An image comes evenly, or at once: a convolution then needs less queues behind it, and a layer that reads a whole
    vector before it goes on, more time. Of the two what is faster, or else takes fewer beats.
    """
    netlist = watched(accelerator)
    (stream,) = netlist.inputs
    random = np.random.default_rng(0)
    images = random.integers(0, 2**32, (IMAGES * beats, words(stream.bits)), np.uint32)
    images[:, -1] &= np.uint32((1 << (stream.bits - 1) % 32 + 1) - 1)
    simulator = build(netlist, cache)
    wanted = {f"{name}_{end}": IMAGES * count for name, count in accelerator.queues for end in ENDS}
    wanted["out"] = IMAGES * accelerator.queues[-1][1]
    runs = (
        simulator.run(
            {stream.name: images},
            outputs=wanted,
            pace=cycles / beats,
            burst=burst,
            limit_cycles=100 * IMAGES * cycles,
            idle_cycles=100 * cycles,
        )
        for burst in (1, beats)
    )
    return min((_sized(accelerator, found) for found in runs), key=lambda one: (one.cycles, sum(one.depths.values())))


def _sized(accelerator: Accelerator, found: Simulated) -> Sized:
    times = {name: tuple(found.cycles[f"{name}_{end}"] for end in ENDS) for name, _ in accelerator.queues}
    ends = found.cycles["out"].reshape(IMAGES, -1)[:, -1]
    return Sized({name: max(FIFO_WORDS, most(*both)) for name, both in times.items()}, int(ends[-1] - ends[-2]))


def most(enters: NDArray[np.int64], leaves: NDArray[np.int64]) -> int:
    """The most beats in a queue, of which beat `i` enters in one cycle and is shown to the reader in the other.

    A beat leaves at the latest in the cycle before the next is shown.
    """
    gone = np.searchsorted(leaves[1:], enters, side="left")
    return int((np.arange(1, len(enters) + 1) - gone).max())


def watched(accelerator: Accelerator) -> Netlist:
    """The netlist with queues for all beats of the images, and a port at both ends of each that shows beats pass."""
    counts, instances = dict(accelerator.queues), list[Instance]()
    for one in accelerator.netlist.instances:
        if one.name not in counts:
            instances.append(one)
            continue
        bits, name, nets = one.unit.inputs[0].bits, one.name, dict(one.nets)
        deep = fifo(bits, max(3, IMAGES * counts[name]))
        instances += [
            Instance(f"{name}_front", branch(bits), _taps(nets["in"], f"{name}_in", f"{name}_enters")),
            Instance(name, deep, (("in", f"{name}_in"), ("out", f"{name}_out"))),
            Instance(f"{name}_back", branch(bits), _taps(f"{name}_out", nets["out"], f"{name}_leaves")),
        ]
    return Netlist(tuple(instances))


def _taps(before: str, after: str, seen: str) -> tuple[tuple[str, str], ...]:
    return (("in", before), ("out0", after), ("out1", seen))
