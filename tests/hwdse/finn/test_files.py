"""QONNX files say what their design says and compute what its Brevitas model does; those that do not are named."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hwdse import qonnx
from hwdse.data import Split
from hwdse.design import Design, Quantizer
from hwdse.finn import FinnError, files
from hwdse.finn.process import Worker
from hwdse.formats import known_formats
from hwdse.onnx_graph import Graph, Grid, LayerGrids
from hwdse.qonnx_command import check_classes, write
from hwdse.quantize import Bench
from hwdse.zoo import cifar_resnet20
from tests.hwdse.finn.fakes import real_environment
from tests.hwdse.networks import bench, split, uniform

IMAGES = 100


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """FINN's."""
    with Worker(real_environment()) as found:
        yield found


@pytest.mark.parametrize(
    ("name", "weights", "activations"),
    [
        ("mlp", "int4", "int8"),
        ("mlp", "int2:channel", "int2"),
        ("cnn", "int4:channel", "int3"),
        ("cnn", "int8:full", "int4"),
        ("resnet", "int4:channel", "int4"),
        ("resnet", "int3:po2", "int5:po2"),
        ("cnn", "e2m1:channel", "int4"),  # weights alone
        ("cnn", "e3m2", "e2m1"),
        ("resnet", "e4m3fn:channel", "e3m2"),
        ("mlp", "e5m2ieee", "e1m3"),
        ("mlp", "e5m0", "e2m0"),
    ],
)
def test_a_file_is_its_design(worker: Worker, name: str, weights: str, activations: str, tmp_path: Path) -> None:
    on = bench(name)
    design = uniform(on, weights, activations)
    grids, agreement = write(worker, on, design, tmp_path / "m.onnx", split("test"), IMAGES)
    assert grids == qonnx.grids(on, design)
    assert agreement.images == IMAGES
    assert agreement.followed >= IMAGES - 2  # a code here and there is moved by roundings
    assert agreement.difference <= agreement.bound
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]


def mixed(on: Bench) -> Design:
    """Another signed format for every layer, and unsigned ones between them."""
    formats = known_formats()
    layers = {layer.name: Quantizer(formats[3 * i]) for i, layer in enumerate(on.workload.weighted)}
    widths = {site.name: Quantizer(known_formats(signed=False)[i]) for i, site in enumerate(on.workload.sites)}
    return Design.of(layers, widths)


def test_every_layer_has_a_format_of_its_own(worker: Worker, tmp_path: Path) -> None:
    on = bench("cnn")
    grids, _ = write(worker, on, mixed(on), tmp_path / "m.onnx", split("test"), IMAGES)
    assert len({one.weights for one in grids}) == len({one.inputs for one in grids}) == 6


def test_a_shortcut_without_weights_is_a_convolution(worker: Worker, tmp_path: Path) -> None:
    torch.manual_seed(0)
    images = Split("noise", torch.rand(16, 3, 32, 32), torch.zeros(16, dtype=torch.long))
    on = Bench.of(cifar_resnet20.build().eval(), images, "resnet20")
    design = uniform(on, "int4:channel", "int5")
    _, agreement = write(worker, on, design, tmp_path / "m.onnx", images, 4)
    assert agreement.followed == 4


def test_equal_designs_are_equal_files(worker: Worker, tmp_path: Path) -> None:
    on = bench("mlp")
    for name in ("a.onnx", "b.onnx"):
        design = uniform(on, "int4", "int4")
        files.write(worker, made(on, design), qonnx.grids(on, design), tmp_path / name, top1=True)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_top1(worker: Worker, tmp_path: Path) -> None:
    on = bench("mlp")
    design = uniform(on, "int4", "int4")
    write(worker, on, design, tmp_path / "m.onnx", split("test"), IMAGES, top1=True)
    logits = made(on, design).output
    images = split("test").images[:IMAGES]
    codes = qonnx.input_codes(on.quantize(design), images).numpy()
    found = files.execute(worker, tmp_path / "m.onnx", codes, (logits, "top1"))
    assert found["top1"].reshape(-1).tolist() == found[logits].argmax(1).tolist()


def made(on: Bench, design: Design) -> Graph:
    """The nodes of `design`."""
    return qonnx.graph(on, design, on.quantize(design))


def test_another_format_in_the_file_is_named(worker: Worker, tmp_path: Path) -> None:
    on = bench("cnn")
    graph = made(on, uniform(on, "int4", "int5"))
    other = uniform(on, "int4", "int5")
    weights = {**dict(other.weights), "conv2": Quantizer.parse("int3")}
    rule = (
        r"^the weights of 'conv2' are INT3 narrow up to 3 in the design, not INT4 narrow up to 7 as in the QONNX file$"
    )
    with pytest.raises(FinnError, match=rule):
        files.write(worker, graph, qonnx.grids(on, replace(other, weights=tuple(weights.items()))), tmp_path / "m.onnx")
    sites = {**dict(other.activations), "relu2": Quantizer.parse("ue2m2")}
    rule = r"^'conv2' reads FLOAT<2,2,1> up to 7 in the design, not UINT5 full up to 31 as in the QONNX file$"
    with pytest.raises(FinnError, match=rule):
        files.write(
            worker, graph, qonnx.grids(on, replace(other, activations=tuple(sites.items()))), tmp_path / "m.onnx"
        )


def test_another_bias_in_the_file_is_no_rounding(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = bench("mlp")
    design = uniform(on, "int4", "int4")
    wrong = made(on, design)
    wrong.arrays["fc2.bias"][7] += 0.001
    monkeypatch.setattr(qonnx, "graph", lambda *_, integers: wrong)
    with pytest.raises(ValueError, match=r"^\d+ numbers of 'relu2' differ by up to 0\.000\d+ more than roundings can$"):
        write(worker, on, design, tmp_path / "m.onnx", split("test"), IMAGES)
    assert list(tmp_path.iterdir()) == []


def test_classes_have_the_largest_logits() -> None:
    logits = np.array([[1, 3, 2], [4, 4, 0]], np.float32)
    check_classes(logits, np.array([[1], [1]]))
    with pytest.raises(FinnError, match=r"^top-1 of the QONNX file is not the largest logit on 1 of 2 images$"):
        check_classes(logits, np.array([[2], [0]]))


def test_a_layer_that_is_not_there_is_named(worker: Worker, tmp_path: Path) -> None:
    on = bench("mlp")
    graph = made(on, uniform(on, "int4", "int4"))
    expected = (LayerGrids("fc9", None, (Grid("INT4", 7.0),)),)
    with pytest.raises(FinnError, match=r"^FINN\+ refuses Write: ValueError: the file has no node 'fc9'$"):
        files.write(worker, graph, expected, tmp_path / "m.onnx")


def test_weights_off_their_grid_are_named(worker: Worker, tmp_path: Path) -> None:
    on = bench("mlp")
    design = uniform(on, "int4", "int4")
    graph = made(on, design)
    graph.arrays["fc2.weight"][3, 4] = 100.0
    rule = r"^FINN\+ refuses Write: ValueError: the weights of 'fc2' reach [\d.]+, beyond INT4 narrow up to 7$"
    with pytest.raises(FinnError, match=rule):
        files.write(worker, graph, qonnx.grids(on, design), tmp_path / "m.onnx")
