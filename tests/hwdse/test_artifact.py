"""Build folders read again, whole and spoiled; placing and routing are left out, because nothing here looks at them."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from hwdse.artifact import ArtifactError, digest_of, places, verify
from hwdse.cost_models.dataflow import Dataflow
from hwdse.delivery import deliver
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


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A build with a shortcut that was added."""
    on = small("shortcut")
    chosen = folded(on, mixed(on, 3), 2_000)
    network = lower(on, chosen)
    units = Dataflow().elements(network.workload, network.design, TARGET)
    rtl = {f"rtl/{name}": content for name, content in generate(network, units, {}, block=True).netlist.files}
    facts = {
        "chosen": chosen.digest,
        "hardware": "rtl/top.sv",
        "layers": [asdict(place) for place in places(network, chosen)],
    }
    return deliver(tmp_path / "built", {**rtl, "design.toml": network.design.text.encode()}, facts)


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


@pytest.mark.parametrize("name", sorted(SMALL))
def test_cpp_of_vitis_hls(name: str, tmp_path: Path) -> None:
    on = small(name)
    chosen = folded(on, mixed(on, 3), 2_000)
    network = lower(on, chosen)
    codes = input_codes(network, images(1))
    files = dict(project(network, Part("xc7z020clg400-1", 5.0), codes, simulate(network, codes).sums))
    facts = {"chosen": chosen.digest, "hardware": "top.cpp", "layers": [asdict(one) for one in places(network, chosen)]}
    folder = deliver(tmp_path / "built", {**files, "design.toml": network.design.text.encode()}, facts)
    units = Dataflow().elements(network.workload, network.design, TARGET)
    rtl = {f"rtl/{name}": content for name, content in generate(network, units, {}, block=True).netlist.files}
    facts["hardware"] = "rtl/top.sv"
    beside = deliver(tmp_path / "beside", {**rtl, "design.toml": network.design.text.encode()}, facts)
    assert verify(folder) == verify(beside)
    layer, weights = network.design.weights[-1]
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


def test_a_file_that_was_changed_or_lost(built: Path) -> None:
    with (built / "rtl" / "mvu.sv").open("a") as file:
        file.write("// changed\n")
    refused(built, f"the file 'rtl/mvu.sv' in {built} is not the one that was built")
    (built / "rtl" / "mvu.sv").unlink()
    refused(built, f"the build in {built} lacks the file 'rtl/mvu.sv'")


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


def test_a_folder_with_something_else_is_kept(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(
        ValueError, match=rf"^the folder of a build is new, empty or a build, unlike {re.escape(str(tmp_path))}$"
    ):
        deliver(tmp_path, {"a": b"1"}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
