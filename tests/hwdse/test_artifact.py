"""Build folders read again, whole and spoiled; placing and routing are left out, because nothing here looks at them."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from hwdse.artifact import places, verify
from hwdse.cost_models.dataflow import Dataflow
from hwdse.delivery import ArtifactError, check_place, deliver, digest_of
from hwdse.design import Design
from hwdse.equality import input_codes
from hwdse.generator import generate
from hwdse.lower import lower
from hwdse.simulate import simulate
from hwdse.vitis import Part, project
from tests.hwdse.accelerators import TARGET
from tests.hwdse.small_networks import SMALL, images, small
from tests.hwdse.test_generator import folded
from tests.hwdse.test_lower import mixed


def build(name: str, folder: Path) -> Path:
    """A build of one of `SMALL`, without what needs the tools of a device."""
    on = small(name)
    chosen = folded(on, mixed(on, 3), 2_000)
    network = lower(on, chosen)
    units = Dataflow().elements(network.workload, network.design, TARGET)
    rtl = {f"rtl/{name}": content for name, content in generate(network, units, {}, block=True).netlist.files}
    facts = {
        "chosen": chosen.digest,
        "hardware": "rtl/top.sv",
        "layers": [asdict(place) for place in places(network, chosen)],
    }
    return deliver(folder, {**rtl, "design.toml": network.design.text.encode()}, facts)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A build with a shortcut that was added."""
    return build("shortcut", tmp_path / "built")


def test_every_format_and_folding_is_compared(built: Path) -> None:
    found = verify(built)
    assert all(one.there == one.wanted for one in found)
    design = Design.parse((built / "design.toml").read_text())
    compared = {(one.layer, one.what) for one in found}
    assert {layer for layer, what in compared if what == "the weights' format"} == {name for name, _ in design.weights}
    assert {layer for layer, what in compared if what == "the folding"} == {name for name, _ in design.weights}
    assert ("add", "the input's format") in compared
    assert ("add", "an output's format") in compared


def spoil(folder: Path, name: str, change: Callable[[str], str]) -> None:
    """Changes a file and its digest in the manifest."""
    text = change((folder / name).read_text())
    (folder / name).write_text(text)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = digest_of(text.encode())
    (folder / "manifest.json").write_text(json.dumps(manifest))


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes the manifest."""
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def replaced(pattern: str, by: str) -> Callable[[str], str]:
    """A text with its first match replaced, which there must be."""

    def change(text: str) -> str:
        found, count = re.subn(pattern, by, text, count=1)
        assert count == 1
        return found

    return change


def refused(folder: Path, message: str) -> None:
    with pytest.raises(ArtifactError, match=f"^{re.escape(message)}$"):
        verify(folder)


def test_other_hardware(built: Path) -> None:
    bits = Design.parse((built / "design.toml").read_text())
    wanted = dict(bits.weights)["conv"].format
    spoil(
        built,
        "rtl/top.sv",
        replaced(r"\.WE\(\d+\), \.WM\(\d+\), \.WS\(1\)(.* conv_matrix )", r".WE(4), .WM(2), .WS(1)\1"),
    )
    refused(built, f"the weights' format of layer 'conv' is {wanted.name} in the design, not e4m2")


def test_another_folding(built: Path) -> None:
    spoil(built, "rtl/top.sv", replaced(r"\.PE\(\d+\), \.SIMD\(\d+\)(.* head_matrix )", r".PE(99), .SIMD(7)\1"))
    folding = dict(Design.parse((built / "design.toml").read_text()).folding)["head"].name
    refused(built, f"the folding of layer 'head' is {folding} in the design, not 99x7")


def cpp(name: str, folder: Path) -> Path:
    """A build of one of `SMALL` for Vitis HLS."""
    on = small(name)
    chosen = folded(on, mixed(on, 3), 2_000)
    network = lower(on, chosen)
    codes = input_codes(network, images(1))
    files = dict(project(network, Part("xc7z020clg400-1", 5.0), codes, simulate(network, codes).sums))
    facts = {"chosen": chosen.digest, "hardware": "top.cpp", "layers": [asdict(one) for one in places(network, chosen)]}
    return deliver(folder, {**files, "design.toml": network.design.text.encode()}, facts)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_cpp_of_vitis_hls(name: str, tmp_path: Path) -> None:
    folder, beside = cpp(name, tmp_path / "built"), build(name, tmp_path / "beside")
    assert verify(folder) == verify(beside)
    design = Design.parse((folder / "design.toml").read_text())
    layer, weights = design.weights[-1]
    pattern = rf"(// {re.escape(layer)}\n(?:    [^/].*\n)*    mvu<)/\* W \*/ Format<\d+, \d+, 1>"
    spoil(folder, "top.cpp", replaced(pattern, r"\1/* W */ Format<4, 2, 1>"))
    wanted = weights.format.name.removesuffix("f")
    refused(folder, f"the weights' format of layer {layer!r} is {wanted} in the design, not e4m2")


def test_another_design(built: Path) -> None:
    chosen = json.loads((built / "manifest.json").read_text())["chosen"]
    spoil(built, "design.toml", replaced(r'"conv" = "[^"]*"', '"conv" = "int8"'))
    with pytest.raises(
        ArtifactError, match=rf"^the design of the build is [0-9a-f]{{16}}, and not {chosen}, which was chosen$"
    ):
        verify(built)


# ---- what is missing ------------------------------------------------------------------------------


def test_hardware_without_units(built: Path) -> None:
    spoil(built, "rtl/top.sv", lambda text: "module top; endmodule\n")
    refused(built, "the hardware has nothing of layer 'first'")


@pytest.mark.parametrize(
    ("name", "pattern", "by", "message"),
    [
        (
            "shortcut",
            " conv_matrix ",
            " conv_matrx ",
            "layer 'conv' needs matrix, thresholds0, but in the hardware it has thresholds0",
        ),
        (
            "shortcut",
            " add_add ",
            " add_sum ",
            "layer 'add' needs add, thresholds0, but in the hardware it has thresholds0",
        ),
        (
            "shortcut",
            " first_thresholds0 ",
            " first_thresholds1 ",
            "layer 'first' needs matrix, thresholds0, but in the hardware it has matrix, thresholds1",
        ),
        ("pools", " layer2_pool ", " pool ", "the hardware has nothing of layer '2'"),
        (
            "pools",
            " layer3_pool ",
            " pool ",
            "layer '3' needs pool, thresholds0, but in the hardware it has thresholds0",
        ),
        ("functions", " layer1_table0 ", " table ", "the hardware has nothing of layer '1'"),
        ("shortcut", r"  mvu (#.*) first_matrix ", r"  mvu \1 more ", "layer 'first' needs matrix, thresholds0"),
        ("shortcut", r"  mvu (#.*) first_matrix ", r"  max_pool \1 first_matrix ", "layer 'first' needs matrix"),
        ("shortcut", r"\.SIMD\(\d+\), ", "", "mvu of layer 'first' has no SIMD in the hardware"),
        (
            "shortcut",
            r"\.WM\(\d+\)",
            ".WM(9)",
            "the weights' format of layer 'first' is none: ",
        ),
    ],
)
def test_units_that_are_others(name: str, pattern: str, by: str, message: str, tmp_path: Path) -> None:
    folder = build(name, tmp_path / "built")
    assert verify(folder)
    spoil(folder, "rtl/top.sv", replaced(pattern, by))
    with pytest.raises(ArtifactError, match=f"^{re.escape(message)}"):
        verify(folder)


def test_a_unit_too_many(built: Path) -> None:
    spoil(built, "rtl/top.sv", replaced("endmodule", "  code_table #(.OUT(3)) more_table0 (\n  );\nendmodule"))
    refused(built, "the hardware has 'more_table0', which is of no layer")
    spoil(built, "rtl/top.sv", replaced("more_table0", "first_matrix"))
    refused(built, f"the build in {built} cannot be read: the hardware has 'first_matrix' twice")


def test_a_call_that_is_missing_in_cpp(tmp_path: Path) -> None:
    folder = cpp("shortcut", tmp_path / "built")
    spoil(folder, "top.cpp", replaced(r"    residual_add<.*\n", ""))
    refused(folder, "layer 'add' needs add, thresholds0, but in the hardware it has thresholds0")


def _without_outputs(manifest: dict[str, Any]) -> None:
    manifest["layers"][0]["outputs"] = []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda said: said.update(layers=[]), "the manifest has no layer '0', which is in the design"),
        (lambda said: said["layers"].pop(), "the manifest has no layer '7', which is in the design"),
        (lambda said: said["layers"].append(said["layers"][0]), "the manifest has layer '0' 2 times"),
        (
            lambda said: said["layers"][0].update(layer="nosuch"),
            "the manifest has layer 'nosuch', which is not in the design",
        ),
        (
            lambda said: said["layers"].append({"layer": "ghost", "inputs": ["0"], "outputs": [], "added": True}),
            "the hardware has nothing of layer 'ghost'",
        ),
        (lambda said: said["layers"][0].update(inputs=[]), "the manifest says of layer '0' nothing that it reads"),
        (
            lambda said: said["layers"][0].update(inputs=["nosuch"]),
            "the manifest has 'nosuch' at layer '0', which is not in the design",
        ),
        (_without_outputs, "one tensor of the design enters the hardware, not 0, input"),
        (
            lambda said: said["layers"][0].update(outputs=["0", "1"]),
            "layer '0' needs matrix, thresholds0, thresholds1, but in the hardware it has matrix, thresholds0",
        ),
        (lambda said: said.update(hardware="rtl/mvu.sv"), "hardware is read from top.sv or top.cpp, not from 'mvu.sv'"),
    ],
)
def test_a_manifest_of_other_layers(change: Callable[[dict[str, Any]], object], message: str, tmp_path: Path) -> None:
    folder = build("functions", tmp_path / "built")
    changed(folder, change)
    with pytest.raises(ArtifactError, match=f"{re.escape(message)}$"):
        verify(folder)


def test_a_tensor_that_others_make_too(built: Path) -> None:
    changed(built, _without_outputs)
    refused(built, "layer 'first' needs matrix, but in the hardware it has matrix, thresholds0")
    spoil(built, "rtl/top.sv", replaced(r"(?s)  threshold_\w+ #\([^\n]*\) first_thresholds0 .*?\);\n", ""))
    refused(built, "the sums of one layer leave the hardware, not those of first, head")


def test_a_file_that_was_changed_or_lost(built: Path) -> None:
    with (built / "rtl" / "mvu.sv").open("a") as file:
        file.write("// changed\n")
    refused(built, f"the file 'rtl/mvu.sv' in {built} is not the one that was built")
    (built / "rtl" / "mvu.sv").unlink()
    refused(built, f"the build in {built} lacks the file 'rtl/mvu.sv'")


def test_a_file_without_a_digest(built: Path) -> None:
    made = (
        "sim/simulate",
        "sim/result.bin",
        "venv/bin/python",
        "hls_component/hls/x.cpp",
        "vitis_hls.log",
        ".git/HEAD",
    )
    for name in made:
        (built / name).parent.mkdir(parents=True, exist_ok=True)
        (built / name).write_text("made since")
    assert verify(built)
    (built / "rtl" / "more.sv").write_text("")
    refused(built, f"the file 'rtl/more.sv' in {built} is none of those that were built")
    changed(built, lambda said: said.update(files={}))
    refused(built, f"the file 'design.toml' in {built} is none of those that were built")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layers": [1]}, "no Manifest in this JSON: 1 is no dict"),
        (
            {"layers": [{"layer": "0"}]},
            "no Manifest in this JSON: a Place has layer, inputs, outputs, added, not layer",
        ),
        (
            {"layers": [{"layer": "0", "inputs": "0", "outputs": [], "added": False}]},
            "no Manifest in this JSON: '0' is no list",
        ),
        ({"layers": {}}, "no Manifest in this JSON: {} is no list"),
        ({"chosen": 3}, "no Manifest in this JSON: 3 is no str"),
        ({"hardware": 5}, "no Manifest in this JSON: 5 is no str"),
        ({"files": []}, "its files are names with digests, not []"),
        ({"files": {"design.toml": 1}}, "no Manifest in this JSON: 1 is no str"),
    ],
)
def test_a_manifest_that_is_none(built: Path, change: dict[str, object], said: str) -> None:
    changed(built, lambda manifest: manifest.update(change))
    refused(built, f"{built / 'manifest.json'} is no manifest of a build: {said}")


def test_a_design_that_is_none(built: Path) -> None:
    spoil(built, "design.toml", lambda text: "a = 1")
    known = "hardware, recipe, weights, activations, folding"
    refused(built, f"the build in {built} cannot be read: no design key 'a'; known: {known}")


def test_hardware_that_is_no_file_of_the_build(built: Path) -> None:
    changed(built, lambda said: said.update(hardware="../top.sv"))
    refused(built, f"the hardware '../top.sv' is no file of the build in {built}")


def test_what_is_no_build(built: Path, tmp_path: Path) -> None:
    refused(tmp_path, f"{tmp_path} is no build: there is no manifest.json to read in it")
    (built / "manifest.json").write_text('{"files": {}}')
    refused(built, f"{built / 'manifest.json'} is no manifest of a build: it has no 'layers'")
    (built / "manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match=rf"^{re.escape(str(built / 'manifest.json'))} is no JSON: "):
        verify(built)


# ---- writing --------------------------------------------------------------------------------------


def test_an_older_build_is_replaced_as_a_whole(built: Path) -> None:
    deliver(built, {"a": b"1"}, {"fact": 2})
    assert sorted(path.name for path in built.iterdir()) == ["a", "manifest.json"]
    assert json.loads((built / "manifest.json").read_text()) == {"fact": 2, "files": {"a": digest_of(b"1")}}
    assert list(built.parent.iterdir()) == [built]


@pytest.mark.parametrize(
    "files", [{"thesis.txt": "mine"}, {"thesis.txt": "mine", "manifest.json": '{"name": "an extension of a browser"}'}]
)
def test_a_folder_with_something_else_is_kept(files: dict[str, str], tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(
        ValueError, match=rf"^the folder of a build is new, empty or a build, unlike {re.escape(str(tmp_path))}$"
    ):
        deliver(tmp_path, {"a": b"1"}, {})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files


def test_places_for_a_build(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (built, tmp_path / "new" / "and" / "deep"):
        check_place(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"^the folder of a build is new, empty or a build, unlike \S+/file$"):
        check_place(tmp_path / "file")
    with pytest.raises(ValueError, match=r"^the folder of a build cannot be made in \S+/file$"):
        check_place(tmp_path / "file" / "below")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert deliver(Path(), {"a": b"1"}, {}) == tmp_path / "here"
    assert (tmp_path / "here" / "a").read_bytes() == b"1"
