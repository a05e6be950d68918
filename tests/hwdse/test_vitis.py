"""Vitis HLS projects: their C++, compiled here and run, gives the sums of the network in whole numbers."""

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hwdse import vitis_simulation
from hwdse.build import BuildError
from hwdse.design import Design, Folding
from hwdse.equality import input_codes
from hwdse.folding import fold
from hwdse.hls_calls import calls
from hwdse.hls_wires import DEPTH
from hwdse.lower import lower
from hwdse.network import Network
from hwdse.quantize import Bench
from hwdse.simulate import simulate
from hwdse.vitis import Files, Part, project
from tests.hwdse.networks import bench, split, uniform
from tests.hwdse.small_networks import SMALL, images, small
from tests.hwdse.test_lower import mixed, on_images

ROOT = Path(__file__).parents[2]
PART = Part("xc7z020clg400-1", 5.0)
IMAGES = 100
SECONDS = 600
SLOW = {"pools": 400}  # cycles an image, where `FAST` of them are too few for any folding
FAST, SLOWEST = 150, 2_000
TEMPLATES = {path.stem for path in (ROOT / "hls_templates" / "vitis").glob("*.h")}


def ap_types() -> Path:
    """The folder with `ap_int.h`, which the wheel of hls4ml brings, or the test that asks is skipped."""
    found = vitis_simulation.ap_types()
    if found is None or shutil.which("g++") is None:
        pytest.skip(f"no {vitis_simulation.WANTED}")
    return found


def folded(on: Bench, design: Design, pace: int, **own: str) -> Design:
    """`design` folded for `pace` cycles an image, but for some layers."""
    foldings = fold(on.workload, pace) | {name: Folding.parse(folding) for name, folding in own.items()}
    return replace(design, folding=tuple(sorted(foldings.items())))


def network(name: str, seed: int, pace: int, **own: str) -> Network:
    """One of `SMALL`, or a network on the digits, with random formats."""
    on = small(name) if name in SMALL else bench(name)
    return lower(on, folded(on, mixed(on, seed), pace, **own))


def of(made: Network, shown: torch.Tensor) -> Files:
    """The project of a network, with images."""
    codes = input_codes(made, shown)
    return project(made, PART, codes, simulate(made, codes).sums)


def write(files: Files, folder: Path) -> Path:
    for name, content in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def csim(folder: Path) -> subprocess.CompletedProcess[str]:
    """What `run.sh csim` says where no tool of AMD is."""
    known = {"PATH": _without_tools(), "AP_TYPES": str(ap_types())}
    argv = ("sh", "run.sh", "csim")
    return subprocess.run(argv, cwd=folder, env=known, capture_output=True, text=True, timeout=SECONDS)


def _without_tools() -> str:
    tools = ("vitis-run", "vitis_hls", "vivado_hls")
    folders = os.environ["PATH"].split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if not any((Path(folder) / tool).exists() for tool in tools))


def check(made: Network, shown: torch.Tensor, folder: Path) -> None:
    """Every sum of every image is that of the reference."""
    ap_types()
    found = csim(write(of(made, shown), folder))
    assert (found.stdout, found.stderr) == (f"all sums of {len(shown)} images are equal\n", "")
    assert found.returncode == 0


# ---- equality ------------------------------------------------------------------------------------


@pytest.mark.parametrize("pace", [FAST, pytest.param(SLOWEST, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SMALL)
def test_small_networks_and_a_wrong_bit(name: str, pace: int, tmp_path: Path) -> None:
    check(network(name, pace, max(pace, SLOW.get(name, 0))), images(IMAGES), tmp_path)
    sums = tmp_path / "sums.bin"
    sums.write_bytes(sums.read_bytes()[:-1] + bytes([sums.read_bytes()[-1] ^ 1]))
    found = subprocess.run(("./testbench",), cwd=tmp_path, capture_output=True, text=True)
    wrong = f"image {IMAGES - 1} is the first that differs\n1 beats of {IMAGES} images differ\n"
    assert (found.returncode, found.stdout, found.stderr) == (1, wrong, "")


def test_a_build_is_told_of_sums_that_differ() -> None:
    ap_types()
    made, shown = network("depthwise", 3, SLOWEST), images(2)
    files = dict(of(made, shown))
    assert vitis_simulation.simulate(tuple(files.items())) == "all sums of 2 images are equal"
    wrong = {**files, "sums.bin": files["sums.bin"][:-1] + bytes([files["sums.bin"][-1] ^ 1])}
    with pytest.raises(BuildError, match=r"^testbench failed with exit status 1: image 1 is the first that differs"):
        vitis_simulation.simulate(tuple(wrong.items()))


def test_all_taps_of_several_channels(tmp_path: Path) -> None:
    made = network("depthwise", 7, SLOWEST, **{"2": "2x9"})
    assert [call.template for call in calls(made).calls].count("window_parallel") == 1
    check(made, images(IMAGES), tmp_path)


def test_all_taps_of_rows_that_are_short(tmp_path: Path) -> None:
    torch.manual_seed(0)
    last = [nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3)]
    on = on_images(nn.Sequential(nn.Conv2d(4, 4, 3, 2, 1), nn.ReLU(), *last))
    made = lower(on, folded(on, mixed(on, 3), SLOWEST, **{"2": "1x36"}))
    templates = [call.template for call in calls(made).calls]
    assert "window_parallel" not in templates
    assert templates[templates.index("window_serial", 3) + 1 :][:2] == ["width", "mvu"]
    check(made, images(IMAGES), tmp_path)


def test_sums_wider_than_any_integer_of_a_machine(tmp_path: Path) -> None:
    on = small("depthwise")
    made = lower(on, folded(on, uniform(on, "e5m2:channel", "e5m2"), SLOWEST))
    assert calls(made).field == 128
    check(made, images(10), tmp_path)


@pytest.mark.parametrize(
    ("name", "seed", "count"),
    [("mlp", 0, IMAGES), ("cnn", 1, IMAGES), pytest.param("resnet", 2, 20, marks=pytest.mark.slow)],
)
def test_networks_on_digits(name: str, seed: int, count: int, tmp_path: Path) -> None:
    check(network(name, seed, 4_000), split("test").images[:count], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("formats", ["int4", "int8", "e2m1", "e3m2", "e4m3"])
@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet"])
def test_every_test_image_in_every_format(name: str, formats: str, tmp_path: Path) -> None:
    on = bench(name)
    made = lower(on, folded(on, uniform(on, f"{formats}:channel", formats), 4_000))
    check(made, split("test").images, tmp_path)


def test_every_template_is_in_some_network_above() -> None:
    made = [network(name, FAST, max(FAST, SLOW.get(name, 0))) for name in SMALL]
    called = {call.template for one in made for call in calls(one).calls}
    assert called - {"from_axis", "to_axis"} | {"axis"} == TEMPLATES - {"format", "product", "rom"}


# ---- the depths of streams -----------------------------------------------------------------------


def threaded(top: str) -> str:
    """`top.cpp` with a thread for each call, that works on five images, and streams of the depths of the pragmas."""
    text = re.sub(r'\("(\w+)"\);\n#pragma HLS STREAM variable=\1 depth=(\d+)', r'("\1", \2);', top)
    call = re.compile(r"^    (\w+<.*>\(.*\));$", re.MULTILINE)
    text = call.sub(r"    threads.emplace_back([&] { for (int i = 0; i < 5; i++) \1; });", text)
    text = text.replace("#pragma HLS DATAFLOW\n", "    std::vector<std::thread> threads;\n")
    joined = re.sub(r"^}\n", "    for (std::thread& one : threads) one.join();\n}\n", text, flags=re.MULTILINE)
    return "#include <thread>\n#include <vector>\n" + joined


MAIN = """#include "top.cpp"
int main(int argc, char** argv) {
    if (argc > 1) hls::most = std::atoi(argv[1]);
    hls::stream<axis_in> in("in");
    hls::stream<axis_out> out("out");
    axis_in beat;
    beat.data = 0;
    for (int i = 0; i < 5 * BEATS_IN; i++) in.write(beat);
    accelerator(in, out);
    for (int i = 0; i < 5 * BEATS_OUT; i++) out.read();
}
"""


@pytest.mark.parametrize("name", ["shortcut", pytest.param("again", marks=pytest.mark.slow)])
def test_no_call_waits_for_ever(name: str, tmp_path: Path) -> None:
    types = ap_types()
    folder = write(of(network(name, 0, SLOWEST), images(1)), tmp_path)
    (folder / "top.cpp").write_text(threaded((folder / "top.cpp").read_text()))
    (folder / "main.cpp").write_text(MAIN)
    shutil.copy(ROOT / "tests" / "hwdse" / "bounded_stream.h", folder / "csim" / "hls_stream.h")
    argv = ("g++", "-std=c++17", "-O0", "-w", "-pthread", "-I", "csim", "-I", str(types), "main.cpp", "-o", "main")
    subprocess.run(argv, cwd=folder, check=True, timeout=SECONDS)
    deep, shallow = (subprocess.run(("./main", *most), cwd=folder, timeout=SECONDS) for most in ((), ("1",)))
    assert (deep.returncode, shallow.returncode) == (0, 4)


def test_operands_of_an_add_have_room_for_an_image() -> None:
    made = network("shortcut", 0, SLOWEST)
    found = calls(made)
    (add,) = (call for call in found.calls if call.template == "residual_add")
    beats = dict(add.parameters)["BEATS"]
    depths = {channel.name: channel.depth for channel in found.channels}
    assert {depths.pop(name) for name in add.streams[:2]} == {beats} == {72}
    assert set(depths.values()) == {DEPTH}


# ---- files ---------------------------------------------------------------------------------------


def test_equal_networks_are_equal_bytes() -> None:
    first, second = (of(network("shortcut", 3, FAST), images(4)) for _ in range(2))
    assert first == second


def test_files_of_a_project() -> None:
    files = dict(of(network("falling", 1, SLOWEST), images(4)))
    names = {"top.h", "top.cpp", "tables.h", "testbench.cpp", "codes.bin", "sums.bin", "README.md", "run.sh", "run.tcl"}
    names |= {"hls_config.cfg", "csim/hls_stream.h", "csim/ap_axi_sdata.h", "csim/program.cpp"}
    assert {name for name in files if not name.endswith(".h") or name in names} == names
    text = {name: content.decode() for name, content in files.items() if not name.endswith(".bin")}
    assert "part=xc7z020clg400-1\n" in text["hls_config.cfg"]
    assert "clock=5ns\n" in text["hls_config.cfg"]
    assert "set_part {xc7z020clg400-1}\ncreate_clock -period 5 -name default\n" in text["run.tcl"]
    assert [name for name, content in text.items() if re.search(r"@[A-Z_]+@", content)] == []
    included = {name for content in text.values() for name in re.findall(r'#include "([^"]+)"', content)}
    brought = {"ap_int.h", "hls_stream.h", "ap_axi_sdata.h", "../top.cpp", "../testbench.cpp"}
    assert included - brought == {name for name in files if name.endswith(".h") and "/" not in name}


def test_synthesised_code_uses_no_library() -> None:
    files = dict(of(network("shortcut", 1, SLOWEST), images(1)))
    code = [content.decode() for name, content in files.items() if name.endswith((".h", "top.cpp")) and "/" not in name]
    assert [word for text in code for word in re.findall(r"std::|\bnew\b|malloc|#include <", text)] == []


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "clock", "message"),
    [
        ("xc7z020; rm", 5.0, "a part is a name like 'xc7z020clg400-1', not 'xc7z020; rm'"),
        ("xc7z020clg400-1", 0.0, "a clock has a period of more than 0 ns, not 0"),
        ("xc7z020clg400-1", float("inf"), "a clock has a period of more than 0 ns, not inf"),
    ],
)
def test_parts_that_are_none(name: str, clock: float, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Part(name, clock)


@pytest.mark.parametrize(("codes", "sums"), [(0, 0), (3, 2)])
def test_images_without_sums(codes: int, sums: int) -> None:
    made = network("falling", 1, SLOWEST)
    found = input_codes(made, images(3))
    message = f"a testbench has images, and sums for each of them, unlike {codes} images with {sums}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        project(made, PART, found[:codes], np.zeros((sums, 3), object))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("place", "a step is csim, synth or cosim, not place\n"),
        (
            "synth",
            "synth needs vitis-run and v++, vitis_hls or vivado_hls; csim also runs with g++ where AP_TYPES is set\n",
        ),
    ],
)
def test_steps_that_no_tool_does(step: str, message: str, tmp_path: Path) -> None:
    folder = write(of(network("falling", 1, SLOWEST), images(1)), tmp_path)
    argv = ("sh", "run.sh", step)
    found = subprocess.run(argv, cwd=folder, env={"PATH": _without_tools()}, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (2, message)


# ---- the tools of AMD ----------------------------------------------------------------------------

NEW = {
    "csim": ["vitis-run --mode hls --csim --config hls_config.cfg --work_dir hls_component"],
    "synth": [
        "v++ -c --mode hls --config hls_config.cfg --work_dir hls_component",
        "vitis-run --mode hls --package --config hls_config.cfg --work_dir hls_component",
    ],
    "cosim": [
        "v++ -c --mode hls --config hls_config.cfg --work_dir hls_component",
        "vitis-run --mode hls --cosim --config hls_config.cfg --work_dir hls_component",
    ],
}
SAYS = '#!/bin/sh\necho "${HWDSE_STEP:+HWDSE_STEP=$HWDSE_STEP }$(basename "$0") $*"\n'


@pytest.mark.parametrize("step", NEW)
@pytest.mark.parametrize("tools", [("v++", "vitis-run", "vitis_hls"), ("vitis_hls", "vivado_hls"), ("vivado_hls",)])
def test_the_newest_tool_is_run_with_the_commands_of_the_readme(
    step: str, tools: tuple[str, ...], tmp_path: Path
) -> None:
    files = of(network("falling", 1, SLOWEST), images(1))
    for tool in tools:  # in place of AMD's, which are not to be had here: they say how they were called
        (tmp_path / tool).write_text(SAYS)
        (tmp_path / tool).chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{_without_tools()}"
    folder = write(files, tmp_path / "project")
    found = subprocess.run(("sh", "run.sh", step), cwd=folder, env={"PATH": path}, capture_output=True, text=True)
    wanted = NEW[step] if "v++" in tools else [f"HWDSE_STEP={step} {tools[0]} -f run.tcl"]
    assert found.stdout.splitlines() == wanted
    readme = dict(files)["README.md"].decode().replace("HWDSE_STEP=synth", f"HWDSE_STEP={step}")
    assert [line for line in wanted if f"    {line}\n" not in readme] == []


@pytest.mark.parametrize(
    ("step", "does"),
    [
        ("csim", ["csim_design"]),
        ("synth", ["csynth_design", "export_design -format ip_catalog"]),
        ("cosim", ["csynth_design", "cosim_design -argv {codes.bin sums.bin 2}"]),
    ],
)
def test_the_script_is_tcl(step: str, does: list[str], tmp_path: Path) -> None:
    if shutil.which("tclsh") is None:
        pytest.skip("no tclsh")
    folder = write(of(network("falling", 1, SLOWEST), images(1)), tmp_path)
    (folder / "say.tcl").write_text("proc unknown {args} { puts $args }\nsource run.tcl\n")
    known = {**os.environ, "HWDSE_STEP": step}
    found = subprocess.run(("tclsh", "say.tcl"), cwd=folder, env=known, capture_output=True, text=True)
    lines = found.stdout.splitlines()
    assert (found.returncode, lines[:2]) == (0, ["open_project -reset hls_project", "set_top accelerator"])
    assert lines[-len(does) - 2 :] == ["set_part xc7z020clg400-1", "create_clock -period 5 -name default", *does]
