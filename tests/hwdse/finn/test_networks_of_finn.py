"""FINN's own shapes, TFC and CNV, in one and two bits: every step computes the network, and bits are counted."""

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hwdse import qonnx
from hwdse.data import Split
from hwdse.design import Design, Quantizer
from hwdse.finn import FinnError
from hwdse.finn.estimates import Wish
from hwdse.finn.process import Worker
from hwdse.finn_estimate import IMAGES, Verified, estimate
from hwdse.qonnx_command import write
from hwdse.quantize import Bench
from tests.hwdse.finn.fakes import attributes, real_environment
from tests.hwdse.finn_networks import cnv, large_digits, photos, tfc
from tests.hwdse.networks import split, uniform

PART = "xczu3eg-sbva484-1-e"
WIDTHS = {  # of weights and activations, as FINN writes them
    "W1A1": ("binary:channel:mse", "binary:mse"),
    "W1A2": ("binary:channel:mse", "int2:mse"),
    "W2A2": ("int2:channel:mse", "int2:mse"),
}


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """FINN's."""
    with Worker(real_environment()) as found:
        yield found


def check(worker: Worker, on: Bench, design: Design, test: Split, fps: int) -> Verified:
    """The design through all steps, with logits that tell its images apart and a unit for every layer."""
    logits = on.quantize(design)(test.images[:IMAGES].clone()).detach().numpy()
    assert len(np.unique(logits, axis=0)) == IMAGES
    found = estimate(worker, on, design, Wish(PART, 200.0, frames_per_second=fps), test)
    assert found.images > 0
    layers = [unit.layer for unit in found.estimated.priced.units if unit.layer is not None]
    assert layers == [layer.name for layer in on.workload.weighted]
    units = {unit.operation for unit in found.estimated.priced.units if unit.layer is not None}
    assert units == {"MVAU_hls"}, "below 4 bits FINN has no other"
    return found


def modes(*found: Verified) -> list[dict[str, set[str]]]:
    """How the units of layers multiply: `1 BINARY` counts equal bits, others have the type of their weights."""
    models = [one.estimated.model for one in found]
    answers = []
    for one, nodes in zip(found, attributes(("binaryXnorMode", "weightDataType"), *models), strict=True):
        of: dict[str, set[str]] = {}
        for unit in one.estimated.priced.units:
            if unit.layer is not None:
                of.setdefault(nodes[unit.folded.node], set()).add(unit.layer)
        answers.append(of)
    return answers


def test_tfc(worker: Worker) -> None:
    on = tfc()
    found = [check(worker, on, uniform(on, *pair), large_digits("test"), 100_000) for pair in WIDTHS.values()]
    layers = {layer.name for layer in on.workload.weighted}
    assert modes(*found) == [{"1 BINARY": layers}, {"0 INT2": layers}, {"0 INT2": layers}]
    assert [one.estimated.outside for one in found] == [(), ("Flatten",), ("Flatten",)], "bits enter flat"


@pytest.mark.parametrize("widths", WIDTHS)
def test_a_file_of_tfc_is_its_design(worker: Worker, widths: str, tmp_path: Path) -> None:
    on, test = tfc(), large_digits("test")
    design = uniform(on, *WIDTHS[widths])
    grids, agreement = write(worker, on, design, tmp_path / "m.onnx", test, len(test))
    assert grids == qonnx.grids(on, design)
    assert agreement.images == len(test)
    assert agreement.followed >= len(test) - 2  # a code here and there is moved by roundings
    assert agreement.difference <= agreement.bound


@pytest.mark.slow  # half a minute each
@pytest.mark.parametrize("widths", WIDTHS)
def test_cnv(worker: Worker, widths: str) -> None:
    """Photos enter in 8 bits, as in FINN's."""
    on = cnv()
    design = uniform(on, *WIDTHS[widths])
    sites = {**dict(design.activations), "input": Quantizer.parse("int8")}
    found = check(worker, on, Design.of(dict(design.weights), sites), photos("test-3000.npz"), 1_000)
    first, *others = (layer.name for layer in on.workload.weighted)
    assert found.estimated.outside == ("Transpose",)
    expected = {"0 INT2": {first}, "1 BINARY": set(others)} if widths == "W1A1" else {"0 INT2": {first, *others}}
    assert modes(found) == [expected]


def test_a_clip_that_does_more_than_its_quantiser_is_named(worker: Worker) -> None:
    """Behind an end of -1 and one of 2 a quantiser with a sign saturates at -2 and 2."""
    torch.manual_seed(0)
    layers = {"flatten": nn.Flatten(), "fc1": nn.Linear(64, 8), "bend": nn.Hardtanh(-1, 2), "fc2": nn.Linear(8, 10)}
    on = Bench.of(nn.Sequential(OrderedDict(layers)).eval(), split("calibration"), "bent")
    with torch.no_grad():
        on.traced.graph.get_parameter("fc1.weight").mul_(8)
    said = "ValueError: FINN has no clip, and the quantiser behind 'bend' goes beyond its ends"
    with pytest.raises(
        FinnError, match=rf"^FINN\+ refuses Estimate: ValueError: step clipped_by_quantisers failed: {said}$"
    ):
        estimate(worker, on, uniform(on, "int4", "int3"), Wish(PART, 200.0, frames_per_second=1_000), split("test"))
