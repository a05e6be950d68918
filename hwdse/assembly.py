"""A network's accelerator, complete: units, queues of the depth that they need, and the proof by simulation.

The proof is every sum of real images, in Verilator, against the network in whole numbers: at full speed, where the
cycles from image to image are compared with the model's too, and with random stalls of both streams.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from hwdse.accelerator import Element
from hwdse.beats import Beats, Elements, pack, unpack
from hwdse.folding import cycles
from hwdse.generator import Accelerator, generate
from hwdse.network import Codes, Network
from hwdse.proof import Proof
from hwdse.queues import size
from hwdse.simulate import Simulated, simulate
from hwdse.simulation import build
from hwdse.target import FpgaTarget

STALLS = (0.0, 0.3)  # of the cycles in which a source does not begin a beat, or a sink does not take one
FILLING = 3  # images until the pipeline is full


@dataclass(frozen=True, slots=True)
class Assembly:
    """An accelerator with what it was made from."""

    network: Network
    units: Mapping[str, Sequence[Element]]  # by layer
    depths: Mapping[str, int]  # of the queues, by instance, in beats
    accelerator: Accelerator
    cycles: int  # from image to image, by the model

    def beats(self, codes: Codes) -> Beats:
        """What enters for `n x positions x channels` codes of images."""
        return pack(codes.reshape(-1, self.accelerator.lanes_in), self.accelerator.code_bits)

    def sums(self, beats: Beats) -> Elements:
        """`n x classes` sums from what leaves."""
        one, classes = self.accelerator, len(self.network.logits.scales)
        return unpack(beats, one.sum_bits, one.lanes_out, signed=True).reshape(-1, classes)

    def packed(self, sums: Elements) -> Beats:
        """What must leave, for `n x classes` sums."""
        one = self.accelerator
        return pack(np.asarray(sums).reshape(-1, one.lanes_out), one.sum_bits)

    @property
    def deepest(self) -> int:
        """Beats of the deepest queue."""
        return max(self.depths.values())


def patience(cycles: int, images: int) -> tuple[int, int]:
    """The cycles in which a simulation must end, and those in which some beat must move, of an image in `cycles`."""
    return 10 * cycles * (images + 10), 10 * cycles


def pace(network: Network) -> int:
    """Cycles from image to image: those of the slowest layer."""
    foldings = dict(network.design.folding)
    return max(cycles(node.layer, foldings[node.layer.name]) for node in network.nodes if node.layer.name in foldings)


def assemble(network: Network, units: Mapping[str, Sequence[Element]], target: FpgaTarget, cache: Path) -> Assembly:
    """The accelerator of `network` with layers made of `units`; SimulationError says what is missing for it."""
    block, slowest = target.brams > 0, pace(network)
    first = generate(network, units, {}, block=block)
    beats = prod(network.tensor(network.input).shape) // first.lanes_in
    depths = size(first, beats, slowest, cache).depths
    return Assembly(network, units, depths, generate(network, units, depths, block=block), slowest)


def prove(assembly: Assembly, codes: Codes, cache: Path, seed: int = 0) -> Proof:
    """Simulates an assembly on `n x positions x channels` codes of images, `n` at least 5."""
    expected = simulate(assembly.network, codes)
    simulator, netlist = build(assembly.accelerator.netlist, cache), assembly.accelerator.netlist
    (stream,), count = netlist.inputs, expected.sums.size // assembly.accelerator.lanes_out
    given, wanted = {stream.name: assembly.beats(codes)}, {netlist.outputs[0].name: count}
    limit, idle = patience(assembly.cycles, len(codes))
    fast, slow = (
        simulator.run(given, outputs=wanted, stall=stall, seed=seed, limit_cycles=limit, idle_cycles=idle)
        for stall in STALLS
    )
    (out,) = wanted
    wrong = sum(_wrong(assembly, found.outputs[out], expected) for found in (fast, slow))
    ends = fast.cycles[out].reshape(len(codes), -1)[:, -1]
    between = tuple(sorted(set(np.diff(ends)[FILLING - 1 :].tolist())))
    latency = int(ends[0] - fast.first(stream.name)) + 1
    return Proof(len(codes), 2 * expected.sums.size, wrong, assembly.cycles, between, latency)


def _wrong(assembly: Assembly, beats: Beats, expected: Simulated) -> int:
    return int((assembly.sums(beats) != expected.sums).sum())
