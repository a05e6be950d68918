"""Accelerators beside the networks in whole numbers that they are made from, in Verilator."""

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch

from hwdse.beats import pack, unpack
from hwdse.cost_models.dataflow import Dataflow
from hwdse.design import Design
from hwdse.equality import input_codes
from hwdse.folding import cycles
from hwdse.generator import Accelerator, generate
from hwdse.lower import lower
from hwdse.network import Network
from hwdse.quantize import Bench
from hwdse.queues import size
from hwdse.simulate import simulate
from hwdse.simulation import Simulator, build
from hwdse.target import fpga

TARGET = fpga("ecp5_85f")


@dataclass(frozen=True)
class Built:
    """An accelerator, compiled."""

    network: Network
    accelerator: Accelerator
    simulator: Simulator
    cycles: int  # from image to image, by the model

    def check(self, images: torch.Tensor, *, stall: float, seed: int = 0) -> None:
        """Equal sums for every image; without stalls an image in exactly the cycles of the model."""
        codes = input_codes(self.network, images)
        wanted, one = simulate(self.network, codes).sums, self.accelerator
        (stream,), count = self.accelerator.netlist.inputs, wanted.size // one.lanes_out
        beats = {stream.name: pack(codes.reshape(-1, one.lanes_in), one.code_bits)}
        found = self.simulator.run(beats, outputs={"out": count}, stall=stall, seed=seed)
        sums = unpack(found.outputs["out"], one.sum_bits, one.lanes_out, signed=True).reshape(wanted.shape)
        assert np.array_equal(sums, wanted)
        if stall == 0:
            ends = found.cycles["out"].reshape(len(images), -1)[:, -1]
            assert set(np.diff(ends)[2:].tolist()) == {self.cycles}


def built(on: Bench, design: Design, cache: Path) -> Built:
    """The accelerator of `design`, its queues sized by simulation."""
    network = lower(on, design)
    foldings = dict(network.design.folding)
    pace = max(cycles(node.layer, foldings[node.layer.name]) for node in network.nodes if node.layer.name in foldings)
    units = Dataflow().elements(network.workload, network.design, TARGET)
    first = generate(network, units, {}, block=True)
    beats = prod(network.tensor(network.input).shape) // first.lanes_in
    accelerator = generate(network, units, size(first, beats, pace, cache).depths, block=True)
    return Built(network, accelerator, build(accelerator.netlist, cache), pace)
