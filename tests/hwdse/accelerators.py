"""Accelerators of designs of the networks that tests have."""

from pathlib import Path

from hwdse.assembly import Assembly, assemble
from hwdse.cost_models.dataflow import Dataflow
from hwdse.design import Design
from hwdse.lower import lower
from hwdse.quantize import Bench
from hwdse.target import fpga

TARGET = fpga("ecp5_85f")


def assembled(on: Bench, design: Design, cache: Path) -> Assembly:
    """The accelerator of `design` on `TARGET`."""
    network = lower(on, design)
    return assemble(network, Dataflow().elements(network.workload, network.design, TARGET), TARGET, cache)
