"""Designs as folders for a GPU: equal to Brevitas part by part, whole and spoiled, without hwdse, and with kernels."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, fx, nn

from hwdse import gpu_folder, gpu_run
from hwdse.build import BuildError
from hwdse.cost_model import Run
from hwdse.cost_models.gpu import Gpu
from hwdse.data import DataSpec, Split, load
from hwdse.delivery import ArtifactError, digest_of
from hwdse.design import Design, Quantizer, Step
from hwdse.formats import parse
from hwdse.gpu_artifact import is_gpu, verify
from hwdse.gpu_build import GpuWish, built, compared, run_of, write
from hwdse.gpu_check import Checked, check
from hwdse.gpu_folder import loaded
from hwdse.quantize import Bench
from hwdse.study.targets import FpgaSection, GpuSection
from hwdse.target import gpu as device
from hwdse.weight_codes import Packing
from tests.hwdse import test_text_lm as text
from tests.hwdse.fake_gpu import runs_on_a_gpu
from tests.hwdse.networks import NETWORKS, bench, split, uniform

FEW = 10  # images that are compared
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def sample(count: int = FEW) -> tuple[Tensor, Tensor]:
    """Images of the digits, and their labels."""
    test = split("test")
    return test.images[:count], test.labels[:count]


def build(on: Bench, design: Design, folder: Path) -> Checked:
    """The folder of a design for an H200."""
    given = sample() if on.workload.name in NETWORKS else next(text.data().test.batches(FEW))
    return write(built(on, design, device("h200"), Run(), ("study", 7)), on, given, folder)


def network(name: str, hardware: bool) -> Bench:
    """A network of images, or a small `text-lm`."""
    return text.bench(hardware) if name == "text" else bench(name, hardware)


def mixed(on: Bench, layers: list[tuple[str, str]]) -> Design:
    """The design with these formats of weights and of what they multiply, layer by layer."""
    weights, activations = {}, {}
    for layer, (own, read) in zip(on.workload.weighted, layers, strict=True):
        weights[layer.name] = Quantizer.parse(own)
        activations[layer.inputs[0]] = Quantizer.parse(read)
    return Design.of(weights, activations, hardware=on.workload.hardware)


MIXED = [("int4:channel", "int8"), ("e2m1:channel", "ue3m2"), ("int8", "ue2m6")]  # on int8, on float8, on 16 bits


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build with layers for each arithmetic; not to be changed."""
    place = tmp_path_factory.mktemp("gpu") / "mlp"
    build(bench("mlp"), mixed(bench("mlp"), MIXED), place)
    return place


# ---- equal to Brevitas ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hardware", "weights", "activations"),
    [
        ("mlp", True, "int4", "int4"),
        ("mlp", True, "e3m2:channel:po2", "e3m2"),
        ("mlp", True, "int3:group32", "int8"),
        ("mlp", True, "e2m3:group64:po2", "e2m5"),
        ("mlp", False, "int4:group64", "float16"),
        ("cnn", True, "e2m1:channel", "int8"),
        ("cnn", False, "int8:full", "e5m2ieee"),
        ("resnet", True, "e2m5", "e2m1"),
        ("vit", True, "e3m2:channel", "int6"),
        ("vit", False, "int5:channel:mse", "bfloat16"),
        ("text", True, "e2m1:channel", "int8"),
        ("text", False, "int4:group32", "e3m2"),
    ],
)
def test_layers_and_logits_are_those_of_brevitas(
    name: str, hardware: bool, weights: str, activations: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = network(name, hardware)
    design = uniform(on, weights, activations)  # without a sign where nothing is negative
    found = build(on, design, tmp_path / "built")
    assert found.images == FEW
    assert found.followed > 0
    assert {layer.name for layer in found.layers} == {layer.name for layer in on.workload.weighted}
    assert all(0 <= layer.worst <= 1 and layer.codes > 0 for layer in found.layers)
    assert max(layer.worst for layer in found.layers) > 0  # they are other sums
    compared = verify(tmp_path / "built")
    assert all(one.there == one.wanted for one in compared)
    assert {one.layer for one in compared if one.what == "the codes"} == dict(design.weights).keys()
    assert is_gpu(tmp_path / "built")
    runs_on_a_gpu(tmp_path / "built", load_file(tmp_path / "built" / "sample.safetensors")["images"], monkeypatch)


def test_group_128_and_a_recipe(tmp_path: Path) -> None:
    """Weights of one layer in groups, and others that a technique has changed."""
    on = bench("cnn")
    groups = {"fc1": Quantizer.parse("e2m1:group128")}
    base = uniform(on, "int4:channel", "int8", recipe=(Step("bias_correction"),))
    design = Design.of(dict(base.weights) | groups, dict(base.activations), recipe=base.recipe)
    assert build(on, design, tmp_path / "built").followed > 0
    assert load_file(tmp_path / "built" / "weights.safetensors")["fc1.scale"].shape == (32, 1)
    verify(tmp_path / "built")


def test_equal_designs_are_equal_bytes(folder: Path, tmp_path: Path) -> None:
    build(bench("mlp"), mixed(bench("mlp"), MIXED), tmp_path / "again")
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.suffix != ".pyc" and path.is_file())
    assert [str(name) for name in names if "deployed" not in name.parts] == [
        *("README.md", "design.toml", "kernels.json", "manifest.json", "model.py"),
        *("run.py", "sample.safetensors", "weights.safetensors"),
    ]
    assert all((folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in names)


def test_a_quantiser_is_part_of_the_layers_that_alone_read_it(folder: Path, tmp_path: Path) -> None:
    """As the pixels of an image that are only flattened are; but not what is added."""
    assert "Quantise(" not in (folder / "model.py").read_text().partition("class Model")[2]
    build(bench("resnet"), uniform(bench("resnet"), "int4", "int4"), tmp_path / "built")
    sites = re.findall(r'Quantise\(".*", site="(.*)"\)', (tmp_path / "built" / "model.py").read_text())
    assert sites == ["relu", "block2.conv2", "block2.relu2", "block3.relu2"]


def test_packed_weights_take_the_bits_of_their_codes(tmp_path: Path) -> None:
    on = bench("cnn")
    build(on, uniform(on, "int4", "int8"), tmp_path / "built")
    manifest = json.loads((tmp_path / "built" / "manifest.json").read_text())
    sizes = {one["layer"]: one for one in manifest["packed"]}
    words = load_file(tmp_path / "built" / "weights.safetensors")
    for layer, one in sizes.items():
        assert one["bytes"] == words[f"{layer}.words"].nbytes + 2 * words[f"{layer}.bias"].nbytes  # with as many scales
    product = sizes["conv3"]["product"]
    assert (product["m"], product["n"], product["k"]) == (4, 32, 288)
    assert sizes["conv3"]["float32_bytes"] == 4 * (32 * 288 + 32)


PAIRS = ("int4 int8", "int4:channel float16", "int8:full e4m3", "int3:full e4m3fn", "int5:group32 float16")


@pytest.mark.parametrize("pair", PAIRS)
def test_bytes_are_those_that_kernels_read(pair: str, tmp_path: Path) -> None:
    """And those that the study counts."""
    on, (weights, activations) = bench("mlp", hardware=False), pair.split()
    design = uniform(on, weights, activations)
    of = built(on, design, device("h200"), Run(64), ("study", 7))
    write(of, on, sample(), tmp_path / "built")
    with loaded(tmp_path / "built") as module:
        model = module.load("cpu", {"": "reference"})
        for one in of.layers:
            layer = model.get_submodule(one.place.path)
            held = import_module("deployed.gpu_products")._held(layer, one.kernel.split()[1], layer.packing.tile)
            scales = layer.scales.numel() * held.packed.scales.element_size()  # but the padding of their tiles
            assert one.nbytes[0] == held.packed.words.nbytes + scales + layer.bias.nbytes
    assert sum(one.nbytes[0] for one in of.layers) == Gpu().cost(on.workload, design, of.target, of.run).weight_bytes


@pytest.mark.parametrize("batch", [1, 33, 64, 1000])
@pytest.mark.parametrize("pair", ["int4:channel float16", "int3 int8", "e2m1 e2m1", "int5:group32 float16"])
def test_what_a_study_prices_is_what_a_build_runs(pair: str, batch: int) -> None:
    """Its kernels are those of the price, for a batch of any size."""
    on, run = bench("mlp", hardware=False), Run(batch)
    design = uniform(on, *pair.split())
    layers = {one.place.layer: one.kernel for one in built(on, design, device("h200"), run, ("study", 7)).layers}
    cost = Gpu().cost(on.workload, design, device("h200"), run)
    assert layers == {one.layer: one.kernel for one in cost.layers}


def test_convolutions_in_groups_are_in_the_bytes_of_a_study() -> None:
    on = bench("cnn")
    design = uniform(on, "int4", "int8")
    layers = {one.place.layer: one.nbytes[0] for one in built(on, design, device("h200"), Run(), ("study", 7)).layers}
    cost = Gpu().cost(on.workload, design, device("h200"), Run())
    assert cost.outside == ("depthwise",)
    assert cost.outside_bytes == layers["depthwise"]
    assert cost.weight_bytes == sum(one.weight_bytes for one in cost.layers) + layers["depthwise"]


def test_decoding_has_the_products_of_the_study(tmp_path: Path) -> None:
    on, run = text.bench(False), Run(64, "one")
    design = uniform(on, "int4:channel", "int8")
    of = built(on, design, device("h200"), run, ("study", 7))
    cost = Gpu().cost(on.workload, design, of.target, run)
    assert [(one.gemm.m, one.gemm.n, one.gemm.k) for one in of.layers] == [(one.m, one.n, one.k) for one in cost.layers]
    assert {one.gemm.m for one in of.layers} == {64}
    write(of, on, next(text.data().test.batches(4)), tmp_path / "built")
    assert "| kernel for a token of each of 64 sequences |" in (tmp_path / "built" / "README.md").read_text()
    manifest = json.loads((tmp_path / "built" / "manifest.json").read_text())
    assert (manifest["batch"], manifest["tokens"]) == (64, "one")


def test_a_build_runs_as_its_study_says() -> None:
    part = GpuSection(device="h200", batch=64, tokens="one")
    assert run_of(GpuWish(), part) == Run(64, "one")
    assert run_of(GpuWish(batch=3), part) == Run(3, "one")
    fpga = FpgaSection(device="u250", clock_mhz=200, frames_per_second=1000)
    assert (run_of(GpuWish(), fpga), run_of(GpuWish(batch=3), fpga)) == (Run(), Run(3))


def test_what_is_compared_without_a_wish() -> None:
    sequences = replace(text.data(), test=Split("test", *next(text.data().test.batches(7))))
    assert [len(part) for part in compared(sequences, None)] == [7, 7]
    assert [len(part) for part in compared(load(DataSpec("digits")), None)] == [100, 100]
    message = "a build compares at most the 7 sequences of the test split, not 8"
    with pytest.raises(ValueError, match=f"^{message}$"):
        compared(sequences, 8)


def test_a_text_of_which_no_sequence_is_followed(tmp_path: Path) -> None:
    """With steps as small as those of float16 some code of so many is on the other side of a rounding."""
    on = text.bench(False)
    found = build(on, uniform(on, "int4:group32", "float16"), tmp_path / "built")
    assert (found.followed, found.outputs) == (0, FEW * text.CONTEXT)
    assert found.outputs / 2 < found.agreeing <= found.outputs
    none = "In all sequences some code differs, so that the logits of none are compared"
    whole = f"{none}; {found.agreeing} of {found.outputs} next tokens are Brevitas's."
    page = (tmp_path / "built" / "README.md").read_text()
    assert whole in page
    assert f"codes on {FEW} sequences differ" in page
    assert "logits = net(tokens)          # int64" in page
    assert "--kernels 'blocks.0.attention.q=reference'" in page
    assert "| `sample.safetensors` | test sequences of tokens, the tokens after each, and Brevitas's logits |" in page


# ---- the folder by itself ------------------------------------------------------------------------

ALONE = """
import sys
sys.modules["hwdse"] = None  # importing it would fail
from pathlib import Path
from typing import Any
from deployed.gpu_layers import PackedLayer
from runpy import run_path
import torch
torch.set_num_threads(1)
sys.argv = ["run.py", *sys.argv[1:]]
run_path("run.py", run_name="__main__")
"""


def alone(folder: Path, *arguments: str, **settings: str) -> tuple[int, str, str]:
    """`run.py` in a process without hwdse: its exit code and what it says."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-W", "ignore", "-B", "-c", ALONE, *arguments]
    own = kept | {"OMP_NUM_THREADS": "1"} | settings
    done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=200)
    return done.returncode, done.stdout, done.stderr


def test_it_runs_without_hwdse_and_says_once_that_there_is_no_gpu(folder: Path) -> None:
    code, said, warned = alone(folder, "--device", "cpu")
    assert (code, warned) == (0, "no GPU is used: on cpu the layers run by their plain reference\n")
    assert f"{FEW} of {FEW} classes are Brevitas's" in said
    assert "times are not measured: there is no GPU here" in said
    layers = re.findall(r"^(\w+): reference; sums are apart by 0\.0 % of what", said, re.M)
    assert layers == ["fc1", "fc2", "fc3"]


INTERPRETED = {"TRITON_INTERPRET": "1"}


def interpreted(folder: Path, *wish: str) -> list[str]:
    """What has computed which layer of one image, each within the bound of its roundings, with kernels as Python."""
    code, said, _ = alone(folder, "--images", "1", "--device", "cpu", "--kernels", *wish, **INTERPRETED)
    assert code == 0
    assert "1 of 1 classes are Brevitas's" in said
    found = re.findall(r"^(\w+): (.*); sums are apart by ([\d.]+) % of what roundings can make of them$", said, re.M)
    assert all(0 <= float(share) <= 100 for *_, share in found)
    return [f"{layer}={name}" for layer, name, _ in found]


def test_each_arithmetic_by_its_kernel_in_the_interpreter(tmp_path: Path) -> None:
    """Convolutions and products on int8, on float8, on 16 bits, with groups, and by the library."""
    on = bench("cnn")
    formats = [("int4:channel", "int8"), ("int4", "int8"), ("e2m1:channel", "ue3m2"), ("int8", "ue2m6")]
    build(on, mixed(on, [*formats, ("int5:group32", "float16"), ("e4m3fn", "float16")]), tmp_path / "built")
    found = interpreted(
        tmp_path / "built",
        *(wish := ("conv1=a8 int8 16x64:w8:s2:k1:t4", "conv2=a8 fp8 32x16:w8:s2:k2:t4")),
        *(more := ("conv3=a16 float16 16x16:w8:s2:k1:t4", "fc1=a16 float16 16x16:w8:s2:k2:t4", "fc2=unpack float16")),
    )
    assert found == [wish[0], "depthwise=torch", *wish[1:], *more]


NOT_PLAIN = "the library takes no groups, no zero points and no uint8 weights where it adds products of 8 bits"


def test_int8_by_the_library_in_the_interpreter(tmp_path: Path) -> None:
    on = bench("mlp")
    formats = [("int4:channel", "int8"), ("int5", "uint8"), ("e2m3:channel", "int5")]
    build(on, mixed(on, formats), tmp_path / "built")
    wish = ["fc1=unpack8 int8", "fc2=unpack8 int8", "fc3=a8 int8 16x16:w8:s2:k1:t4"]
    assert interpreted(tmp_path / "built", *wish) == wish
    _, _, warned = alone(tmp_path / "built", "--device", "cpu", "--kernels", "fc3=unpack8 int8", **INTERPRETED)
    assert "layer 'fc3': the library takes multiples of 8 outputs, not 10; a8 takes any number" in warned


def test_groups_offsets_and_single_vectors_in_the_interpreter(tmp_path: Path) -> None:
    """uint8 is stored less 128, so that sums of groups of weights correct it."""
    on = bench("mlp")
    formats = [("int5:group32", "float16"), ("e2m3:group32", "uint8"), ("int4:channel:po2", "float16")]
    build(on, mixed(on, formats), tmp_path / "built")
    wish = ["fc1=gemv float16 16x1:w8:s2:k1:t4", "fc2=a8 int8 16x16:w8:s2:k1:t4", "fc3=a16 float16 16x16:w8:s2:k1:t4"]
    assert interpreted(tmp_path / "built", *wish) == wish
    assert interpreted(tmp_path / "built", "fc1=unpack float16")[0] == "fc1=unpack float16"  # rounds the weights
    _, _, warned = alone(tmp_path / "built", "--device", "cpu", "--kernels", "fc2=unpack8 int8", **INTERPRETED)
    assert NOT_PLAIN in warned


INEXACT = "layer 'fc3': int8 weights and ue2m6 activations have no exact product of int8; they have one of float16"
ON_A_GPU = "kernels run on a GPU, with Triton, or in its interpreter, unlike 'a16 float16 16x16:w8:s2:k1:t4' here"


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (("--kernels", "fc9=reference"), "no layer 'fc9' has a kernel to choose; known: fc1, fc2, fc3"),
        (
            ("--kernels", "=magic"),
            "a layer is computed by a8, a16, gemv with a tile, by unpack or unpack8 without one, or by reference,"
            " not by 'magic'",
        ),
        (("--kernels", "fc1=a16 float16 16x16"), "a tile reads like '128x16:w16:s3:k4:t4', not '16x16'"),
        (("--kernels", "fc1=a16 float16 16x16:w8:s2:k1:t4"), ON_A_GPU),
        (
            ("--kernels", "fc1"),
            "a kernel is forced by LAYER=KERNEL, or for all layers by =KERNEL, not by 'fc1'",
        ),
        (("--images", "0"), f"the sample has {FEW} images, of which 1 or more are run, not 0"),
        (("--images", "-2"), f"the sample has {FEW} images, of which 1 or more are run, not -2"),
        (("--images", "99"), f"the sample has {FEW} images, of which 1 or more are run, not 99"),
        (("--device", "foo"), "a model runs on cpu or cuda, not on 'foo'"),
        (("--device", "meta"), "a model runs on cpu or cuda, not on 'meta'"),
    ],
)
def test_wishes_that_are_none(
    folder: Path, wish: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with loaded(folder) as module:
        assert gpu_run.main(module.load, folder, ["--device", "cpu", *wish]) == 2
    said = capsys.readouterr().err.replace("no GPU is used: on cpu the layers run by their plain reference\n", "")
    assert said == f"run.py: {message}\n"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with loaded(folder) as module:
        assert gpu_run.main(module.load, folder, ["--device", "cuda"]) == 2
    message = "there is no GPU here that torch can use, so that the device is cpu, not 'cuda'"
    assert capsys.readouterr().err == f"run.py: {message}\n"


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ("fc3=a8 int8 16x16:w8:s2:k1:t4", INEXACT),
        ("fc1=unpack int8", "layer 'fc1': unpack does not multiply as int8"),
        ("fc2=unpack8 int8", f"layer 'fc2': {NOT_PLAIN}"),
    ],
)
def test_kernels_that_do_not_multiply_the_formats(
    wish: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = bench("mlp")
    build(on, mixed(on, [("int8", "float16"), ("int4:group32", "int8"), ("int8", "ue2m6")]), tmp_path / "built")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    layer, _, kernel = wish.partition("=")
    with loaded(tmp_path / "built") as module, pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        module.load("cpu", {layer: kernel})


def test_a_batch_of_more_images_than_there_are() -> None:
    images = torch.arange(3.0).reshape(3, 1)
    assert gpu_run.tiled(images, 7).flatten().tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert torch.equal(gpu_run.tiled(images, 2), images[:2])


# ---- a folder that is not what it says -----------------------------------------------------------


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A build to be changed."""
    return Path(shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__")))


def accepted(folder: Path, name: str) -> None:
    """Puts the digest of a changed file into the manifest."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = digest_of((folder / name).read_bytes())
    (folder / "manifest.json").write_text(json.dumps(manifest))


def edited(folder: Path, name: str, before: str, after: str) -> None:
    """A text file with its first `before` replaced, and its digest too."""
    text = (folder / name).read_text()
    assert before in text
    (folder / name).write_text(text.replace(before, after, 1))
    accepted(folder, name)


Change = Callable[[Tensor], Tensor]
UNREAD = r"the build in \S+ cannot be read:"


@pytest.mark.parametrize("name", ["weights.safetensors", "model.py", "deployed/formats.py", "kernels.json"])
def test_a_changed_file_is_found(copy: Path, name: str) -> None:
    (copy / name).write_bytes((copy / name).read_bytes() + b" ")
    with pytest.raises(ArtifactError, match=rf"^the file '{name}' in {copy} is not the one that was built$"):
        verify(copy)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            'weights="int4:channel"',
            'weights="int4"',
            "the weights' format of layer 'fc1' is int4:channel in the design, not int4",
        ),
        (
            'activations="ue3m2"',
            'activations="ue2m3"',
            "the input's format of layer 'fc2' is ue3m2 in the design, not ue2m3",
        ),
        ('_put(self, "fc2", P', '_put(self, "fc1", P', f"{UNREAD} model.py makes layer 'fc1' 2 times"),
        (
            'site="relu1"',
            'site="relu9"',
            f"{UNREAD} model.py quantises nothing at 'relu1', which is in the design",
        ),
    ],
)
def test_another_source_is_found(copy: Path, before: str, after: str, message: str) -> None:
    edited(copy, "model.py", before, after)
    with pytest.raises(ArtifactError, match=f"^{message}$"):
        verify(copy)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("fc3.words", None, f"{UNREAD} weights.safetensors has no 'fc3.words'"),
        ("fc1.scale", Tensor.neg, "the weights' scale of layer 'fc1' is 64 positive in the design, not 0 positive"),
        (
            "fc1.scale",
            lambda scale: scale[:1],
            r"the shape of the weights' scale of layer 'fc1' is \(64,\) in the design, not \(1,\)",
        ),
        (
            "fc1.words",
            lambda words: words[..., :4],
            r"the shape of the words of layer 'fc1' is \(.*\) in the design, not \(.*, 4\)",
        ),
    ],
)
def test_other_weights_are_found(copy: Path, name: str, change: Change | None, message: str) -> None:
    tensors = load_file(copy / "weights.safetensors")
    before = tensors.pop(name)
    save_file(tensors | ({} if change is None else {name: change(before).contiguous()}), copy / "weights.safetensors")
    accepted(copy, "weights.safetensors")
    with pytest.raises(ArtifactError, match=f"^{message}$"):
        verify(copy)


def test_a_code_that_a_narrow_integer_has_not_is_found(copy: Path) -> None:
    (layout,) = {one["layout"] for one in json.loads((copy / "manifest.json").read_text())["packed"][:1]}
    codes = np.zeros((64, 64), np.uint8)
    codes[5, 7] = 8  # -8
    tensors = load_file(copy / "weights.safetensors")
    tensors["fc1.words"] = torch.from_numpy(Packing(parse("int4"), layout).pack(codes))
    save_file(tensors, copy / "weights.safetensors")
    accepted(copy, "weights.safetensors")
    message = "the codes of layer 'fc1' is 4,096 of int4:channel in the design, not 4,095 of int4:channel"
    with pytest.raises(ArtifactError, match=f"^{message}$"):
        verify(copy)


def test_another_design_is_found(copy: Path) -> None:
    edited(copy, "design.toml", "ue3m2", "ue2m3")
    chosen = json.loads((copy / "manifest.json").read_text())["chosen"]
    message = rf"^the build in {copy} cannot be read: its design is \w+, and not {chosen}, which was chosen$"
    with pytest.raises(ArtifactError, match=message):
        verify(copy)


Spoil = Callable[[Any], object]
OTHER_CODES = "layer 'fc2' reads other codes than Brevitas's for equal numbers"


def doubled(model: Any) -> None:
    """Other logits from the same layers."""
    before = model.forward
    model.forward = lambda x: 2 * before(x)


def spoiled(folder: Path, spoil: Spoil, model: fx.GraphModule) -> None:
    """Compares what `spoil` has changed with Brevitas's `model`."""
    with loaded(folder) as module:
        written = module.load("cpu", {"": "reference"})
        with torch.no_grad():
            spoil(written)
        check(model, written, (module.PackedLayer, module.Quantise), sample()[0])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m: m.fc2.bias.add_(1e-4), "sums of layer 'fc2' differ by up to .* more than roundings can"),
        (lambda m: m.fc2.scale.mul_(1 + 1e-3), "sums of layer 'fc2' differ by up to .* more than roundings can"),
        (
            lambda m: m.fc1.words[:1, :1, :1, :1, :1].add_(1 << 28),
            "sums of layer 'fc1' differ by up to .* more than .*",
        ),
        (lambda m: m.fc3.bias.fill_(torch.nan), "sums of layer 'fc3' differ by up to nan more than roundings can"),
        (lambda m: m.fc2.grid.scale.mul_(1.01), OTHER_CODES),
        (lambda m: m.set_submodule("relu1", nn.Tanh()), OTHER_CODES),
        (lambda m: m.set_submodule("fc3", nn.Linear(64, 10)), "layer 'fc3' is not in the written model"),
        (doubled, "with the sums of Brevitas's layers the written model has other logits"),
    ],
)
def test_a_model_that_is_not_the_design(folder: Path, spoil: Spoil, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        spoiled(folder, spoil, bench("mlp").quantize(mixed(bench("mlp"), MIXED)))


def test_a_quantiser_that_is_another_one(tmp_path: Path) -> None:
    on = bench("resnet")
    design = uniform(on, "int4", "int4")
    build(on, design, tmp_path / "built")
    with pytest.raises(
        ValueError, match=r"^the quantiser 'quant_1' gives other numbers than Brevitas's for equal ones$"
    ):
        spoiled(tmp_path / "built", lambda m: m.quant_1.scale.mul_(1.5), on.quantize(design))


def test_a_build_that_is_not_the_design_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = gpu_folder._scales
    monkeypatch.setattr(gpu_folder, "_scales", lambda scales, quantizer: whole(scales, quantizer) * 1.001)
    message = r"^the folder is not its design: sums of layer 'fc1' differ by up to \S+ more than roundings can$"
    with pytest.raises(BuildError, match=message):
        build(bench("mlp"), mixed(bench("mlp"), MIXED), tmp_path / "built")
    assert not (tmp_path / "built").exists()


# ---- what no kernel takes ------------------------------------------------------------------------

WIDE = "float16 holds minifloats of at most 5 exponent bits"
PER_TENSOR = "on a GPU activations share a scale per tensor"


@pytest.mark.parametrize(
    ("weights", "activations", "message"),
    [
        ("binary", "int8", "a kernel takes 2 bits or more, not binary of the weights of 'fc1'; the nearest is int2"),
        ("int4:group16", "int8", "layer 'fc1': a group has 32, 64, 128 inputs, not 16; the nearest is 32"),
        ("e7m0", "float16", f"layer 'fc1': {WIDE}, not e7m0; bfloat16 holds it"),
        ("int4", "e2m1:group32:po2", f"{PER_TENSOR}, unlike e2m1:group32:po2 at 'input'"),
    ],
)
def test_designs_that_no_kernel_takes(weights: str, activations: str, message: str) -> None:
    on = bench("mlp")
    design = mixed(on, [(weights, activations)] * 3)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        built(on, design, device("h200"), Run(), ("study", 7))


# ---- on a GPU ------------------------------------------------------------------------------------


@on_gpu
def test_a_gpu_gives_the_sums_of_the_reference(folder: Path) -> None:
    code, said, _ = alone(folder)
    assert code == 0, said
    assert f"{FEW} of {FEW} classes are Brevitas's" in said
    assert "us for a batch of 1 on" in said


@on_gpu
@pytest.mark.parametrize(("name", "weights", "activations"), [("cnn", "e2m1:channel", "int8"), ("vit", "int3", "e3m2")])
def test_networks_on_a_gpu(name: str, weights: str, activations: str, tmp_path: Path) -> None:
    build(bench(name), uniform(bench(name), weights, activations), tmp_path / "built")
    code, said, _ = alone(tmp_path / "built")
    assert code == 0, said
