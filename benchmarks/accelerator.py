"""An accelerator's images a second at the clock that it reaches, beside the same network on this processor.

    python benchmarks/accelerator.py [--json] [--network digits-cnn] [--cycles 1024] [--cache FOLDER]

The network in int4 and in e2m1 on an ECP5-85F: lowered, sized, simulated, placed and routed, each step timed. Images
a second are the routed clock over the cycles from image to image that were simulated. The processor runs the float
network in torch with one thread, an image at a time as they come, and 256 at a time. What was compiled before is taken
from the cache; yosys and nextpnr have the seconds that they took when they ran.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import torch
from torch import Tensor, nn

from hwdse import models
from hwdse.assembly import assemble, prove
from hwdse.build import run, seconds
from hwdse.calibration.command import CACHE
from hwdse.cost_models.dataflow import Dataflow
from hwdse.data import DataSpec, Split, load
from hwdse.design import Design, Quantizer
from hwdse.equality import input_codes
from hwdse.flows.nextpnr import Nextpnr
from hwdse.folding import fold
from hwdse.lower import lower
from hwdse.quantize import Bench
from hwdse.target import fpga

DEVICE = fpga("ecp5_85f")
FORMATS = ("int4", "e2m1")
IMAGES, BATCH = 32, 256
LEAST_SECONDS = 1.0  # that the processor is timed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Built:
    """An accelerator with its rate and the seconds of each step."""

    formats: str
    cycles: int
    mhz: float
    luts: int
    steps: tuple[tuple[str, float], ...]

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.mhz * 1e6 / self.cycles


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What `work` gives, and the seconds that it took."""
    start = perf_counter()
    return work(), perf_counter() - start


def build(bench: Bench, images: Tensor, formats: str, cycles: int, cache: Path) -> Built:
    """The network in one format."""
    quantizer = Quantizer.parse(formats)
    sites = {
        site.name: replace(quantizer, format=quantizer.format.unsigned) if site.name in bench.nonnegative else quantizer
        for site in bench.workload.sites
    }
    weights = {layer.name: Quantizer.parse(f"{formats}:channel") for layer in bench.workload.weighted}
    design, model, flow = Design.of(weights, sites, fold(bench.workload, cycles)), Dataflow(), Nextpnr()
    network, lowering = timed(lambda: lower(bench, design))
    units = model.elements(network.workload, network.design, DEVICE)
    made, sizing = timed(lambda: assemble(network, units, DEVICE, cache))
    proof, proving = timed(lambda: prove(made, input_codes(network, images), cache))
    if not proof.exact:
        raise ValueError(f"the accelerator of {bench.workload.name} in {formats} is wrong: {proof}")
    folder = run(flow.plan(made.accelerator.netlist, DEVICE), cache, flow.programs())
    found, (synthesis, routing) = flow.read(folder), seconds(folder)
    assert found.mhz is not None
    steps = (("lower", lowering), ("size", sizing), ("prove", proving), ("yosys", synthesis), ("nextpnr", routing))
    return Built(formats, proof.cycles[0], found.mhz, found.area.luts, steps)


def rate(model: nn.Module, images: Tensor) -> float:
    """Images a second of `model` on the processor, all of `images` at a time."""
    with torch.inference_mode():
        model(images)
        done, start = 0, perf_counter()
        while perf_counter() - start < LEAST_SECONDS:
            model(images)
            done += len(images)
        return done / (perf_counter() - start)


def main() -> None:
    """Builds, times and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--network", default="digits-cnn")
    parser.add_argument("--cycles", type=int, default=1024, help="from image to image, at most")
    parser.add_argument("--cache", type=Path, default=CACHE)
    given = parser.parse_args()
    torch.set_num_threads(1)
    data, network = load(DataSpec("digits")), models.load(models.ModelSpec(given.network)).eval()
    assert isinstance(data.test, Split)
    images, bench = data.test.images, Bench.of(network, data.calibration, given.network)
    built = [build(bench, images[:IMAGES], formats, given.cycles, given.cache) for formats in FORMATS]
    single, batch = rate(network, images[:1]), rate(network, images[:BATCH])
    ratios = {f"{one.formats}_over_cpu_batch_1": one.rate / single for one in built}
    ratios |= {f"{one.formats}_over_cpu_batch_{BATCH}": one.rate / batch for one in built}
    if given.json:
        print(json.dumps({"benchmark": "accelerator", "ratios": ratios}))
        return
    print(f"{given.network} on one thread: {single:,.0f} images/s one by one, {batch:,.0f} in batches of {BATCH}")
    for one in built:
        steps = ", ".join(f"{name} {taken:.0f}" for name, taken in one.steps)
        print(f"{one.formats}: {one.rate:,.0f} images/s at {one.mhz:.1f} MHz, {one.cycles} cycles, {one.luts:,} LUT")
        print(f"  {one.rate / single:.1f} and {one.rate / batch:.2f} times the processor's; seconds: {steps}")


if __name__ == "__main__":
    main()
