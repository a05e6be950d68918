"""FINN's steps keep what a network computes, its numbers come per layer, and what it would pass over is an error."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hwdse import qonnx
from hwdse.data import Split
from hwdse.design import Quantizer
from hwdse.finn import FinnError, estimates, files
from hwdse.finn.boards import board
from hwdse.finn.estimates import Wish
from hwdse.finn.messages import Board, BuildSteps, Estimated, Folded
from hwdse.finn.process import Worker
from hwdse.finn_estimate import IMAGES, estimate
from tests.hwdse.finn.fakes import attributes, real_environment
from tests.hwdse.networks import bench, split, uniform
from tests.hwdse.techniques.layer_errors import trained

PART = "xczu3eg-sbva484-1-e"
FAST = Wish(PART, 200.0, frames_per_second=100000)
STEPS = (
    "unsigned_behind_relu",
    "qonnx_to_finn",
    "tidy_up",
    "streamline",
    "sums_for_average_pools",
    "convert_to_hw",
    "minimize_bit_width_initial",
    "create_dataflow_partition",
    "specialize_layers",
    "target_fps_parallelization",
    "apply_folding_config",
    "minimize_bit_width",
)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """FINN's."""
    with Worker(real_environment()) as found:
        yield found


@pytest.fixture(scope="module")
def mlp(worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of digits-mlp in 4 bits."""
    file = tmp_path_factory.mktemp("mlp") / "m.onnx"
    on = bench("mlp")
    design = uniform(on, "int4", "int4")
    files.write(worker, qonnx.graph(on, design, on.quantize(design)), qonnx.grids(on, design), file)
    return file


CODES: NDArray[np.float32] = np.round(split("test").images[:2].numpy() * 15)
LAYERS = ("fc1", "fc2", "fc3")


def of_mlp(worker: Worker, file: Path, wish: Wish, layers: tuple[str, ...] = LAYERS) -> Estimated:
    """FINN's numbers for it."""
    estimated, _ = estimates.estimate(worker, file, layers, CODES, wish)
    return estimated


SLOW = Wish(PART, 200.0, frames_per_second=10000)


@pytest.mark.slow  # half a minute: FINN's streamlining of residual networks
def test_a_residual_network(worker: Worker) -> None:
    on = bench("resnet")
    found = estimate(worker, on, uniform(on, "int4:channel", "int4"), SLOW, split("test"))
    assert found.images > 0
    assert found.estimated.outside == ("Transpose",)
    layers = [unit.layer for unit in found.estimated.priced.units if unit.layer is not None]
    assert sorted(layers) == sorted(layer.name for layer in on.workload.weighted)
    assert "Thresholding_hls" not in [unit.operation for unit in found.estimated.priced.units], "none works on floats"


@pytest.mark.slow  # two minutes: each transformation of FINN's streamlining looks through the whole graph
def test_a_trained_resnet20(worker: Worker) -> None:
    """Its shortcuts leave out pixels and add channels of zeros: two units without a layer's weights."""
    real = trained("cifar-resnet20")
    on, images = real.bench, Split("search", real.images[:8], torch.zeros(8, dtype=torch.long))
    found = estimate(worker, on, uniform(on, "int4:channel", "int4"), Wish(PART, 200.0, 100), images)
    assert found.images >= IMAGES / 2
    assert found.estimated.outside == ("Transpose",)
    products = [unit.layer for unit in found.estimated.priced.units if unit.operation.startswith("MVAU")]
    layers = [layer.name for layer in on.workload.weighted]
    assert (len(layers), products.count(None)) == (20, 2)
    assert sorted(layer for layer in products if layer is not None) == sorted(layers)


@pytest.mark.parametrize(
    ("name", "weights", "activations", "outside"),
    [
        ("mlp", "int4", "int8", ("Flatten",)),
        ("mlp", "int3:channel", "int2", ("Flatten",)),
        ("cnn", "int4:channel", "int4", ("Transpose",)),
        ("cnn", "int2", "int3", ("Transpose",)),
    ],
)
def test_every_step_computes_the_network(
    worker: Worker, name: str, weights: str, activations: str, outside: tuple[str, ...]
) -> None:
    on = bench(name)
    found = estimate(worker, on, uniform(on, weights, activations), FAST, split("test"))
    assert found.images > 0
    assert found.estimated.outside == outside
    assert tuple(step.name for step in found.estimated.steps) == STEPS
    units = {unit.layer: unit for unit in found.estimated.priced.units if unit.layer is not None}
    assert list(units) == [layer.name for layer in on.workload.weighted]
    for layer in on.workload.weighted:
        pe, simd = units[layer.name].folded.pe, units[layer.name].folded.simd
        assert pe is not None
        assert simd is not None
        assert units[layer.name].cycles == layer.rows // pe * (layer.dot // simd) * layer.positions
    assert found.estimated.priced.interval_cycles == max(unit.cycles for unit in found.estimated.priced.units)


@pytest.mark.parametrize("activations", ["int4", "int2", "int5:full"])
def test_a_sign_behind_a_relu_is_dropped(worker: Worker, activations: str) -> None:
    """FINN refuses it, although the values are those of an unsigned format of a bit less."""
    on = bench("mlp")
    design = uniform(on, "int4", "int4")
    sites = {**dict(design.activations), "relu1": Quantizer.parse(activations)}
    found = estimate(worker, on, replace(design, activations=tuple(sites.items())), FAST, split("test"))
    assert found.images > 0


def test_a_folding_is_taken_as_it_is(worker: Worker, mlp: Path) -> None:
    units = of_mlp(worker, mlp, FAST).priced.units
    assert [unit.folded for unit in units if unit.layer == "fc1"] == [Folded("MVAU_rtl_0", 1, 4)]
    folding = (*(unit.folded for unit in units[1:]), Folded("MVAU_rtl_0", 8, 16))
    found = of_mlp(worker, mlp, Wish(PART, 200.0, folding=folding))
    assert [(unit.folded, unit.cycles, unit.dsps) for unit in found.priced.units[:1]] == [(folding[-1], 32, 32)]
    assert "target_fps_parallelization" not in [step.name for step in found.steps]
    again = estimates.refold(worker, found, PART, tuple(unit.folded for unit in units))
    assert again.units == units
    assert estimates.refold(worker, found, PART, ()) == found.priced, "nothing stays from the request before"


def test_another_folding_takes_a_moment(worker: Worker) -> None:
    on = bench("cnn")
    found = estimate(worker, on, uniform(on, "int4", "int4"), FAST, split("test")).estimated
    seconds = []
    for pe in (1, 2, 4, 8, 16):
        start = time.monotonic()
        units = estimates.refold(worker, found, PART, (Folded("MVAU_rtl_1", pe, 1),)).units
        seconds.append(time.monotonic() - start)
        assert [unit.cycles for unit in units if unit.layer == "conv2"] == [32 // pe * 144 * 16]
    assert min(seconds) < 0.5, "50 ms on an idle machine"
    rule = r"^FINN\+ refuses Refold: ValueError: PE of layer 'conv2' divides MH = 32, unlike 3 of 'MVAU_rtl_1'$"
    with pytest.raises(FinnError, match=rule):
        estimates.refold(worker, found, PART, (Folded("MVAU_rtl_1", 3, 1),))


@pytest.mark.parametrize(
    ("folded", "rule"),
    [
        (Folded("MVAU_rtl_0", 5, 4), "PE of layer 'fc1' divides MH = 64, unlike 5 of 'MVAU_rtl_0'"),
        (Folded("MVAU_rtl_2", 2, 3), "SIMD of layer 'fc3' divides MW = 64, unlike 3 of 'MVAU_rtl_2'"),
        (Folded("Thresholding_rtl_1", 7, None), "PE divides NumChannels = 64, unlike 7 of 'Thresholding_rtl_1'"),
        (Folded("MVAU_rtl_0", 0, 1), "PE of layer 'fc1' divides MH = 64, unlike 0 of 'MVAU_rtl_0'"),
        (Folded("ElementwiseAdd_hls_0", 3, None), "PE divides the channels = 10, unlike 3 of 'ElementwiseAdd_hls_0'"),
        (Folded("Thresholding_rtl_1", 1, 2), "node 'Thresholding_rtl_1' has no SIMD"),
        (Folded("MVAU_hls_0", 1, 1), "no node 'MVAU_hls_0' to fold; known: MVAU_rtl_0, .*, ElementwiseAdd_hls_0"),
    ],
)
def test_a_folding_that_finn_would_price_is_refused(worker: Worker, mlp: Path, folded: Folded, rule: str) -> None:
    with pytest.raises(FinnError, match=rf"^FINN\+ refuses Estimate: ValueError: {rule}$"):
        of_mlp(worker, mlp, Wish(PART, 200.0, folding=(folded,)))


def test_a_layer_that_has_no_unit_is_named(worker: Worker, mlp: Path) -> None:
    with pytest.raises(
        FinnError, match=r"^FINN\+ refuses Estimate: ValueError: FINN maps integer weights, unlike .*'x'$"
    ):
        of_mlp(worker, mlp, FAST, (*LAYERS, "x"))


def test_a_part_that_finn_does_not_know(worker: Worker, mlp: Path) -> None:
    rule = r"^FINN\+ refuses Estimate: ValueError: no part 'xc7' of a board that FINN knows; known: .*xczu3eg.*$"
    with pytest.raises(FinnError, match=rule):
        of_mlp(worker, mlp, replace(FAST, part="xc7"))


MINIFLOATS = {"e2m1": "INT5", "e2m2": "INT6", "e2m3": "INT7", "e3m2": "INT10"}  # and what FINN has for weights in them


def test_weights_in_minifloats_are_integers_in_finn(worker: Worker) -> None:
    pairs = (*(("mlp", weights) for weights in MINIFLOATS), ("cnn", "e3m2"))
    found = []
    for name, weights in pairs:
        verified = estimate(
            worker, bench(name), uniform(bench(name), f"{weights}:channel", "int4"), FAST, split("test")
        )
        assert verified.images > 0
        found.append(verified.estimated)
    types = attributes(("weightDataType",), *(one.model for one in found))
    for (name, weights), one, of in zip(pairs, found, types, strict=True):
        units = {unit.layer: of[unit.folded.node] for unit in one.priced.units if unit.layer is not None}
        assert units == {layer.name: MINIFLOATS[weights] for layer in bench(name).workload.weighted}


@pytest.mark.parametrize(
    ("weights", "activations", "rule"),
    [
        ("e2m1", "e2m1", "FINN maps activations that are integers with one scale, unlike ue2m2 at site 'input'"),
        ("int4", "e3m2", "FINN maps activations that are integers with one scale, unlike ue3m3 at site 'input'"),
        ("e6m0", "int4", "a sum of FINN has at most 64 bits, not 74 as with e6m0 of 'fc1'"),
    ],
)
def test_what_finn_has_no_numbers_for_is_refused_before_it_runs(
    worker: Worker, weights: str, activations: str, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = bench("mlp")
    monkeypatch.setattr(worker, "ask", lambda *_: pytest.fail("FINN ran"))
    with pytest.raises(FinnError, match=rf"^{rule}$"):
        estimate(worker, on, uniform(on, weights, activations), FAST, split("test"))


def test_a_step_that_changes_the_network_is_named(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    on = bench("mlp")
    real = estimates.estimate

    def wrong(*arguments: object) -> object:
        estimated, results = real(*arguments)  # type: ignore[arg-type]
        return estimated, {**results, "streamline": results["streamline"] + np.float32(0.001)}

    monkeypatch.setattr(estimates, "estimate", wrong)
    rule = r"^step streamline of FINN\+ changes what the network computes: .* of \d+ images .*$"
    with pytest.raises(FinnError, match=rule):
        estimate(worker, on, uniform(on, "int4", "int4"), FAST, split("test"))


@pytest.mark.parametrize(
    ("made", "rule"),
    [
        (lambda: Wish(PART, 0.0, 1), "a clock is above 0 MHz, not 0"),
        (lambda: Wish(PART, 100.0), "FINN folds for a rate, or as it is told: one of frames_per_second and folding"),
    ],
)
def test_a_wish_is_whole(made: type, rule: str) -> None:
    with pytest.raises(ValueError, match=f"^{rule}$"):
        made()


def test_the_boards_that_finn_builds_bitstreams_for(worker: Worker) -> None:
    assert board(worker, "Pynq-Z1") == Board("Pynq-Z1", "xc7z020clg400-1", "vivado_zynq")
    assert board(worker, "U250") == Board("U250", "xcu250-figd2104-2L-e", "vitis_alveo")
    known = "Ultra96, Ultra96-V2, Pynq-Z1, Pynq-Z2, ZCU102, ZCU104, RFSoC2x2, RFSoC4x2, KV260_SOM, AUP-ZU3_8GB"
    known = f"{known}, U50, U200, U250, U280, U55C"
    with pytest.raises(FinnError, match=f"^FINN builds no bitstream for a board 'VCK190'; known: {known}$"):
        board(worker, "VCK190")  # FINN knows its part, and has no flow for it


def test_the_steps_of_a_build_are_those_of_the_estimate_and_more(worker: Worker, mlp: Path) -> None:
    names = worker.ask(BuildSteps(str(mlp)), 60.0).steps
    ours = [name for name in names if not name.startswith("step_")]
    assert ours == ["hwdse_steps.unsigned_behind_relu", "hwdse_steps.sums_for_average_pools"]
    short = [name.removeprefix("step_").removeprefix("hwdse_steps.") for name in names]
    assert [name for name in short if name in STEPS] == list(STEPS)
    assert short[-1] == "deployment_package"
