"""`hwdse build --flow finn`, `verify`, `import`: a folder for FINN's builder, run as far as it goes without Vivado."""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from hwdse import finn_build, finn_estimate, finn_folder
from hwdse.finn import FinnError, builder, folding_file
from hwdse.finn.messages import Board
from hwdse.finn.reports import NetworkEstimate, NodeEstimate
from hwdse.finn_folder import WITHOUT_VIVADO
from hwdse.finn_foldings.choice import taken
from hwdse.run import load
from tests.hwdse.finn.fakes import real_environment
from tests.hwdse.finn_results_files import NODE, leave
from tests.hwdse.networks import bench, uniform
from tests.hwdse.test_cli import ran
from tests.hwdse.test_hardware_commands import refused, told

STUDY = """
question = "Does FINN build it?"
[model]
name = "digits-mlp"
[data]
name = "digits"
[formats]
weights = ["int8", "e2m1"]
[target]
device = "xczu3eg"
clock_mhz = 200
frames_per_second = 100000
[[objectives]]
metric = "top1"
[[objectives]]
metric = "lut"
[search]
sampler = "grid"
"""
TOOL = """#!/bin/sh
echo "$(basename "$0") $*" >> {calls}
exit 1
"""
NODES = ("MVAU_rtl_0", "Thresholding_rtl_0", "MVAU_rtl_1", "Thresholding_rtl_1", "MVAU_rtl_2")
ENDS = ("ElementwiseMul_hls_0", "ElementwiseAdd_hls_0")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with a design in integers and one in minifloats."""
    real_environment()
    return ran(STUDY, tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def integers(finished: Path) -> str:
    """The number of the trial in integers."""
    (number,) = (trial.number for trial in load(finished).trials if "e2m1" not in trial.evaluation.design.text)
    return str(number)


@pytest.fixture(scope="module")
def built(finished: Path, integers: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its build for another board than the study's, which no test changes."""
    out = tmp_path_factory.mktemp("builds") / "pynq"
    finn_build.build(finished, integers, finn_build.FinnWish("Pynq-Z1"), out)
    return out


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    """A copy of it, for a test."""
    return Path(shutil.copytree(built, tmp_path / "far" / "away"))


def test_the_folder_says_all_and_no_path(built: Path, finished: Path) -> None:
    names = {path.relative_to(built).as_posix() for path in built.rglob("*") if path.is_file()}
    assert names == {
        *("model.onnx", "build.yaml", "folding_config.json", "verify_input.npy", "verify_output.npy", "run.sh"),
        *("hwdse_steps.py", "finn_without_vivado.py", "requirements.txt", "design.toml", "README.md", "manifest.json"),
        *(f"estimate/estimate_{name}.json" for name in ("layer_cycles", "layer_resources", "network_performance")),
    }
    for name in names:
        assert str(finished.parent).encode() not in (built / name).read_bytes()
        assert str(Path.home()).encode() not in (built / name).read_bytes()
    manifest = finn_folder.manifest_of(built)
    assert manifest.board == Board("Pynq-Z1", "xc7z020clg400-1", "vivado_zynq")
    units = manifest.estimate.units
    assert [unit.folded.node for unit in units] == [*NODES, *ENDS]
    assert [unit.layer for unit in units if unit.layer] == ["fc1", "fc2", "fc3"]
    assert folding_file.read((built / "folding_config.json").read_text()) == tuple(unit.folded for unit in units)
    page = (built / "README.md").read_text()
    assert "The study is about xczu3eg (xczu3eg-sbva484-1-e), and the board has xc7z020clg400-1." in page
    assert "FINN+ 1.6.1" in page
    assert f"| MVAU_rtl_0 | fc1 | {units[0].folded.pe} | {units[0].folded.simd} | {units[0].cycles} |" in page


def test_equal_designs_are_equal_bytes_and_verify_runs_the_estimate_again(
    built: Path, copied: Path, finished: Path, integers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = built.with_name("again")
    finn_build.build(finished, integers, finn_build.FinnWish("Pynq-Z1"), out)
    for path in built.rglob("*"):
        assert path.is_dir() or path.read_bytes() == (out / path.relative_to(built)).read_bytes()
    assert [row["node"] for row in told(capsys, "verify", str(out))] == [*NODES, *ENDS, "total"]
    (copied / "folding_config.json").write_text("{}")
    said = f"hwdse: the file 'folding_config.json' in {copied} is not the one that was built"
    assert refused(capsys, "verify", str(copied)) == said


def test_a_build_that_does_not_compute_the_logits_is_no_build(copied: Path) -> None:
    environment = real_environment()
    wrong = bytearray((copied / "verify_output.npy").read_bytes())
    wrong[-2] ^= 0x40  # of the exponent of the last logit
    (copied / "verify_output.npy").write_bytes(wrong)
    rule = (
        "the logits are not those of verify_output.npy: output/verification_output/verify_finn_onnx_python_3_FAIL.npy"
    )
    said = f"the estimate part of the build ends with 1: run.sh estimate: {rule}"
    with pytest.raises(FinnError, match=f"^{re.escape(said)}$"):
        builder.estimate(environment, copied, WITHOUT_VIVADO, 4)


# ---- with stand-ins for the tools of AMD ---------------------------------------------------------


def stand_ins(folder: Path, vivado: str) -> tuple[Mapping[str, str], Path]:
    """Variables for tools that write down how they are called and fail, as of a Vivado of this version; and where."""
    calls, tools, root = folder / "calls", folder / "tools", folder / "Vivado" / vivado
    tools.mkdir()
    root.mkdir(parents=True)
    for name in ("vivado", "vitis_hls", "vitis-run", "v++", "xelab"):
        (tools / name).write_text(TOOL.format(calls=calls))
        (tools / name).chmod(0o755)
    finn = f"{real_environment().python} finn_without_vivado.py"  # its simulator, which is of Vivado, is not there
    return {"FINN": finn, "XILINX_VIVADO": str(root), "FINN_TOOL_DIR_OVERRIDE": str(tools)}, calls


@pytest.mark.parametrize(
    ("vivado", "call"),
    [
        pytest.param("2022.2", r"vitis_hls \S+/hls_syn_ElementwiseAdd_hls_0\.tcl\n", marks=pytest.mark.slow),
        ("2025.1", r"vitis-run --mode hls --tcl \S+/hls_syn_ElementwiseAdd_hls_0\.tcl\n"),
    ],
)
def test_the_synthesis_part_goes_up_to_the_first_call_of_a_tool(
    vivado: str, call: str, copied: Path, tmp_path: Path
) -> None:
    variables, calls = stand_ins(tmp_path, vivado)
    code, said = builder.run(real_environment(), copied, ("all", "--skip-dep-update"), dict(variables), 300.0)
    assert code == 1
    assert re.fullmatch(call.replace("Add", "(Add|Mul)"), calls.read_text())
    tcl = Path(calls.read_text().split()[-1])
    assert "xc7z020clg400-1" in tcl.read_text()
    assert tcl.parent.parent == copied / "finn_build"
    last = said.strip().splitlines()[-1]
    assert re.fullmatch(
        r"run\.sh all: FINN failed at step_generate_hardware, 16/23: .*HLS IP Generation failed\. .*", last
    )
    assert json.loads((copied / "output/report/metadata_builder.json").read_text())["status"] == "failed"
    assert len(list((copied / "output/verification_output").glob("*_SUCCESS.npy"))) == 4 * len(WITHOUT_VIVADO)


def test_without_vivado_the_synthesis_part_says_what_it_needs(copied: Path) -> None:
    code, said = builder.run(real_environment(), copied, ("all",), {"XILINX_VIVADO": ""}, 60.0)
    needs = (
        "synthesis needs Vivado and Vitis HLS, and XILINX_VIVADO is not set: source their settings64.sh; "
        "without them there is sh run.sh estimate\n"
    )
    assert (code, said) == (1, needs)
    code, said = builder.run(real_environment(), copied, ("bitstream",), {}, 60.0)
    assert (code, said) == (2, "run.sh does estimate or all, not bitstream\n")


def test_a_finn_that_does_nothing_is_no_success(copied: Path) -> None:
    run = builder.run(real_environment(), copied, ("all",), {"XILINX_VIVADO": "/x", "FINN": "true"}, 60.0)
    assert run == (1, "run.sh all: FINN ended with 0 before its first step\n")


# ---- results -------------------------------------------------------------------------------------


def with_results(copied: Path, *without: str) -> Path:
    """The folder with what a whole build and a board would have left in it."""
    shutil.copytree(copied / "estimate", copied / "output" / "report")
    nodes = {f"StreamingDataflowPartition_1_{node}": NODE for node in (*NODES, "StreamingFIFO_rtl_0")}
    leave(copied / "output" / "report", nodes, without=without)
    return copied


def test_results_become_a_measured_cost_of_the_design(
    copied: Path, finished: Path, integers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    rows = {row["node"]: row for row in told(capsys, "import", str(with_results(copied)), "--run", str(run))}
    assert rows["MVAU_rtl_1"] | {"LUT": 0, "DSP": 4, "BRAM18": 2} == rows["MVAU_rtl_1"]
    assert (rows["MVAU_rtl_1"]["layer"], rows["MVAU_rtl_1"]["LUT placed"], rows["MVAU_rtl_1"]["FF placed"]) == (
        "fc2",
        700,
        900,
    )
    assert rows["ElementwiseMul_hls_0"]["LUT placed"] is None, "Vivado's table has no row of it"
    assert rows["StreamingDataflowPartition_1_StreamingFIFO_rtl_0"]["LUT"] is None
    assert (rows["all"]["LUT placed"], rows["all"]["BRAM18 placed"]) == (12345, 13)
    (kept,) = load(run).trial(int(integers)).evaluation.built
    assert (kept.board, kept.board_mhz, kept.frames_per_second) == ("Pynq-Z1", 200.0, 98765.4)
    assert (kept.measured.device, kept.predicted.device, kept.measured.interval_cycles) == ("xc7z020", "xc7z020", 1040)
    assert "Pynq-Z1 (xc7z020)" in (run / "report.html").read_text()
    assert told(capsys, "import", str(copied), "--run", str(run))
    assert load(run).trial(int(integers)).evaluation.built == (kept,), "a build for one board is kept once"


def test_what_cannot_be_imported(
    copied: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("import", str(copied), "--run", str(finished))
    said = f"hwdse: {copied} has no results of FINN: run its run.sh where Vivado is"
    assert refused(capsys, *asked) == said
    report = with_results(copied, "rtlsim_performance.json") / "output" / "report"
    said = f"hwdse: {report} lacks what a measured cost needs: rtlsim_performance.json (cycles)"
    assert refused(capsys, *asked) == said
    there = tmp_path / finished.parent.name / finished.name
    said = f"hwdse: {copied} was made from the run in {there}, which is not there: name it with --run"
    assert refused(capsys, "import", str(copied)) == said
    (report / "estimate_layer_cycles.json").write_text(json.dumps(dict.fromkeys((*NODES, *ENDS), 1)))
    cycles = finn_folder.manifest_of(copied).estimate.units[0].cycles
    said = f"hwdse: FINN's builder says cycles = 1 of 'MVAU_rtl_0', not {cycles}"
    assert refused(capsys, *asked) == said
    other = copied.parent / "other"
    other.mkdir()
    said = f"hwdse: {other} is no build: there is no manifest.json to read in it"
    assert refused(capsys, "import", str(other)) == said
    (copied / "build.yaml").write_text("")
    said = f"hwdse: the file 'build.yaml' in {copied} is not the one that was built"
    assert refused(capsys, *asked) == said


def test_results_are_not_replaced_by_a_build(
    copied: Path, finished: Path, integers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (copied / "output" / "bitfile").mkdir(parents=True)
    said = refused(
        capsys, "build", str(finished), integers, "--flow", "finn", "--board", "ZCU104", "--out", str(copied)
    )
    assert said == f"hwdse: {copied} has results of FINN in output: import them, and move them away"


# ---- what is refused -----------------------------------------------------------------------------


def test_what_is_no_build_for_finn(
    finished: Path, integers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x"
    asked = ("build", str(finished), integers, "--out", str(out), "--flow", "finn")
    for options, rule in (
        (
            ("--device", "xc7z020"),
            "FINN builds for a board, which carries its device: give --board, not --device xc7z020",
        ),
        (("--folding", "best"), "no folding 'best' for FINN; known: finn, exact, design"),
        (("--fps", "0"), "FINN folds for 1 or more images a second, not 0"),
        (("--images", "0"), "a build simulates at least 1 images, not 0"),
    ):
        assert refused(capsys, *asked, *options) == f"hwdse: {rule}"
    said = refused(capsys, *asked[:-1], "open", "--fps", "10")
    assert said == "hwdse: --fps and --folding are for FINN, not for the flow 'open'"
    assert not out.exists()


def test_a_format_that_finn_does_not_map_is_named_before_finn_runs(
    finished: Path, integers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hwdse.finn.process.Worker._start", lambda self: pytest.fail("FINN was started"))
    (floats,) = {str(trial.number) for trial in load(finished).trials} - {integers}
    asked = ("build", str(finished), floats, "--flow", "finn", "--board", "Pynq-Z1", "--out", str(tmp_path / "x"))
    rule = "FINN maps activations that are integers with one scale"
    assert refused(capsys, *asked) == f"hwdse: {rule}, unlike ue2m2 at site 'input'"


def test_an_estimate_is_another_one_where_anything_differs(built: Path) -> None:
    priced = finn_folder.manifest_of(built).estimate
    nodes = tuple(
        NodeEstimate(unit.folded.node, unit.cycles, unit.luts, unit.bram18s, unit.urams, unit.dsps)
        for unit in priced.units
    )
    same, dsps = NetworkEstimate(nodes, priced.interval_cycles, priced.latency_cycles), nodes[0].dsps
    finn_folder.check_estimate(same, priced)
    most, all_of_them = ", ".join((*NODES[1:], *ENDS)), ", ".join((*NODES, *ENDS))
    for other, said in (
        (
            replace(same, nodes=(replace(nodes[0], dsps=dsps + 1), *nodes[1:])),
            f"FINN's builder says dsps = {dsps + 1} of 'MVAU_rtl_0', not {dsps}",
        ),
        (replace(same, nodes=nodes[1:]), f"FINN's builder makes {most}, not {all_of_them}"),
        (replace(same, nodes=()), f"FINN's builder makes nothing, not {all_of_them}"),
        (
            replace(same, latency_cycles=1),
            f"FINN's builder says latency_cycles = 1 of the network, not {priced.latency_cycles}",
        ),
    ):
        with pytest.raises(FinnError, match=f"^{re.escape(said)}$"):
            finn_folder.check_estimate(other, priced)


def test_a_layer_that_no_file_can_say_is_named_before_finn_runs() -> None:
    on = bench("vit")
    with pytest.raises(ValueError, match=r"^a flatten of QONNX makes a row of each image, unlike 'flatten'$"):
        finn_estimate.check(on, uniform(on, "int4", "int4"))


# ---- other networks ------------------------------------------------------------------------------


def built_of(network: str, rate: int, wish: finn_build.FinnWish, folder: Path) -> finn_folder.FinnManifest:
    """The manifest of a build of the best of two designs of `network`."""
    real_environment()
    study = STUDY.replace("digits-mlp", network).replace("100000", str(rate)).replace("e2m1", "int4")
    run = ran(study, folder)
    finn_build.build(run, "best", wish, folder / "build")
    return finn_folder.manifest_of(folder / "build")


@pytest.mark.slow  # a minute: FINN's streamlining of residual networks, twice
def test_a_residual_network(tmp_path: Path) -> None:
    found = built_of("digits-resnet", 10000, finn_build.FinnWish("ZCU104"), tmp_path)
    assert {unit.operation for unit in found.estimate.units} >= {"GlobalAccPool_hls", "DuplicateStreams_hls"}
    steps = (tmp_path / "build" / "build.yaml").read_text()
    assert "  - hwdse_steps.resnet_streamline\n" in steps
    assert "  - step_streamline\n" not in steps


@pytest.mark.slow  # half a minute
def test_windows_that_give_all_taps_at_once(tmp_path: Path) -> None:
    found = built_of("digits-cnn", 20000, finn_build.FinnWish("U250", frames_per_second=1e6), tmp_path)
    assert found.estimate.interval_cycles <= 256
    folding = folding_file.settings((tmp_path / "build" / "folding_config.json").read_text())
    assert folding["ConvolutionInputGenerator_rtl_0"]["parallel_window"] == 1


@pytest.mark.slow  # half a minute
def test_the_exact_folding(tmp_path: Path) -> None:
    first, second = tmp_path / "finn", tmp_path / "exact"
    for folder in (first, second):
        folder.mkdir()
    heuristic = built_of("digits-cnn", 20000, finn_build.FinnWish("ZCU104"), first).estimate
    exact = built_of("digits-cnn", 20000, finn_build.FinnWish("ZCU104", folding="exact"), second).estimate
    assert exact.interval_cycles <= heuristic.interval_cycles
    assert all(ours <= theirs for ours, theirs in zip(taken(exact), taken(heuristic), strict=True))
    assert taken(exact)[3] < taken(heuristic)[3]
    page = (second / "build" / "README.md").read_text()
    assert "exact: no more of any resource than by FINN's heuristic for 20,000 images a second, as fast" in page


@pytest.mark.slow  # half a minute
def test_the_folding_of_the_design(tmp_path: Path) -> None:
    found = built_of("digits-cnn", 20000, finn_build.FinnWish("KV260_SOM", folding="design"), tmp_path)
    own = dict(load(tmp_path / "out").trial(load(tmp_path / "out").best).evaluation.design.folding)
    folded = {unit.layer: unit.folded for unit in found.estimate.units if unit.operation.startswith("MVAU")}
    assert {"conv1", "conv2", "conv3", "fc1", "fc2"} == set(folded)
    for layer, one in folded.items():
        assert layer is not None
        assert (one.pe, one.simd) == (own[layer].pe, own[layer].simd)
    page = (tmp_path / "build" / "README.md").read_text()
    assert (
        "`folding_config.json`: matrix-vector units as in the design, all else by FINN's heuristic for 20,000" in page
    )
