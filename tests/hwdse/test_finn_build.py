"""`hwdse build --flow finn`, `verify`, `import`: a folder for FINN's builder, run as far as it goes without Vivado."""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from hwdse import finn_build, finn_choice, finn_estimate, finn_folder, finn_layers
from hwdse.cost import Resources
from hwdse.finn import Environment, FinnError, builder, folding_file
from hwdse.finn.messages import Board, Folded
from hwdse.finn.refolding import of_units, unit_of
from hwdse.finn.reports import NetworkEstimate, NodeEstimate
from hwdse.finn_folder import WITHOUT_VIVADO
from hwdse.finn_foldings.choice import taken
from hwdse.run import bench_and_data, load
from hwdse.study import load as load_study
from tests.hwdse.finn.fakes import real_environment
from tests.hwdse.finn_foldings.small import by_channel
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
    assert re.search(
        r"^By these estimates it takes .* BRAM18 of xc7z020, without FINN's shell\. FINN's", page, re.MULTILINE
    )
    assert "THE RATE IS MISSED" not in page
    assert f"| MVAU_rtl_0 | fc1 | {units[0].folded.pe} | {units[0].folded.simd} | {units[0].cycles} |" in page


def test_equal_designs_are_equal_bytes_and_verify_runs_the_estimate_again(
    built: Path, copied: Path, finished: Path, integers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = built.parent / "deeper" / "again"
    finn_build.build(finished, integers, finn_build.FinnWish("Pynq-Z1"), out)
    for path in built.rglob("*"):
        if path.is_file() and path.name != "manifest.json":
            assert path.read_bytes() == (out / path.relative_to(built)).read_bytes()
    told_here, told_there = (json.loads((one / "manifest.json").read_text()) for one in (built, out))
    assert told_there.pop("run") == f"../{told_here.pop('run')}", "this alone says where a folder is"
    assert told_here == told_there
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


BITFILE, OF_MAKING = "output/bitfile/finn-accel.bit", "step_synthesize_bitfile"


def ended(copied: Path, made: str, *options: str) -> tuple[int, str]:
    """What `run.sh all` makes of a FINN that does the shell command `made`, after a log and with the status `ok`."""
    script = copied.parent / "finn"
    script.write_text(f"""#!/bin/sh
sleep 0.05 # longer than the resolution of the times of files
mkdir -p output/report output/bitfile output/verification_output
echo 'Running step: step_tidy_up [1/23]' > output/build_dataflow.log
echo '{{"status": "ok"}}' > output/report/metadata_builder.json
{made}
""")
    script.chmod(0o755)
    variables = {"XILINX_VIVADO": "/x", "FINN": str(script)}
    return builder.run(Environment.default(), copied, ("all", *options), variables, 60.0)


def test_what_an_older_run_has_made_is_neither_deleted_nor_taken_for_this_one(copied: Path) -> None:
    making = f"echo 'Running step: {OF_MAKING} [22/23]' >> output/build_dataflow.log"
    none = f"run.sh all: there is no {BITFILE}, although FINN says that all is done\n"
    assert ended(copied, "true", "--start", "step_deployment_package") == (1, none)
    done = (0, f"run.sh all: done, up to {OF_MAKING}, 22/23\n")
    assert ended(copied, f"{making}; touch {BITFILE}") == done
    kept = {path: path.read_bytes() for path in (copied / "output").rglob("*") if path.is_file()}
    assert copied / BITFILE in kept
    for finn in ("/nonexistent/finn", "false"):
        code, said = builder.run(Environment.default(), copied, ("all",), {"XILINX_VIVADO": "/x", "FINN": finn}, 60.0)
        assert code == 1
        assert re.fullmatch(r"run\.sh all: FINN ended with (1|127) before its first step", said.splitlines()[-1])
        assert kept == {path: path.read_bytes() for path in (copied / "output").rglob("*") if path.is_file()}
    older = (1, f"run.sh all: {BITFILE} is that of an older run, although FINN says that all is done\n")
    assert ended(copied, making) == older
    assert ended(copied, "true") == older
    assert ended(copied, making, "--start", OF_MAKING) == older
    assert ended(copied, "true", "--start", "step_deployment_package") == (
        0,
        "run.sh all: done, up to step_tidy_up, 1/23\n",
    )
    status = copied / "output/report/metadata_builder.json"
    os.utime(status, (0, 0))
    failed = (1, "run.sh all: FINN failed at step_tidy_up, 1/23: see output/build_dataflow.log\n")
    assert ended(copied, f"touch -d @0 {status}") == failed


def test_a_verification_that_failed_counts_until_it_succeeds(copied: Path) -> None:
    name = "output/verification_output/verify_initial_python_0"
    failed = (1, f"run.sh all: the logits are not those of verify_output.npy: {name}_FAIL.npy\n")
    makes = f"touch {BITFILE}"
    assert ended(copied, f"{makes}; touch {name}_SUCCESS.npy; sleep 0.05; touch {name}_FAIL.npy") == failed
    assert ended(copied, makes, "--start", OF_MAKING) == failed
    assert ended(copied, f"{makes}; touch {name}_SUCCESS.npy")[0] == 0


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
    assert (rows["all"]["LUT placed"], rows["all"]["BRAM18 placed"]) == (12345, 36)
    (kept,) = load(run).trial(int(integers)).evaluation.built
    assert (kept.board, kept.board_mhz, kept.frames_per_second) == ("Pynq-Z1", 200.0, 98765.4)
    assert (kept.measured.device, kept.predicted.device, kept.measured.interval_cycles) == ("xc7z020", "xc7z020", 1040)
    by_layer = {layer.layer: layer.area.luts for layer in kept.measured.layers}
    assert by_layer == {"fc1": 1400, "fc2": 1400, "fc3": 700, "other nodes": 700, "shell and rest": 12345 - 6 * 700}
    estimate = finn_folder.manifest_of(copied).estimate
    assert kept.predicted.area == Resources(
        luts=sum(unit.luts for unit in estimate.units),
        dsps=sum(unit.dsps for unit in estimate.units),
        brams=sum(unit.bram18s for unit in estimate.units),
    )
    assert kept.predicted.interval_cycles == estimate.interval_cycles
    assert [layer.layer for layer in kept.predicted.layers] == ["fc1", "fc2", "fc3"]
    assert kept.predicted.model == "finn-plus 1.6.1"
    of = "FINN's own estimates of this build for xc7z020clg400-1, without its shell."
    folding = "The folding: by FINN's heuristic for 100,000 images a second."
    assert kept.predicted.calibration.startswith(f"{of} {folding} Matrix-vector units in RTL")
    page = (run / "report.html").read_text()
    assert "Pynq-Z1 (xc7z020)" in page
    assert "predicted by finn-plus 1.6.1: FINN&#39;s own estimates of this build" in page
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


def test_nodes_without_a_partner_are_of_no_layer(copied: Path, finished: Path, integers: str) -> None:
    manifest, result = finn_folder.manifest_of(copied), load(finished)
    design = result.trial(int(integers)).evaluation.design
    layers = finn_layers.layers_of(manifest, result.workload, design)
    assert layers["Thresholding_rtl_1"] == "fc2"
    fewer = replace(manifest.estimate, units=manifest.estimate.units[:-1])
    layers = finn_layers.layers_of(replace(manifest, estimate=fewer), result.workload, design)
    assert (layers["MVAU_rtl_1"], layers["Thresholding_rtl_1"]) == ("fc2", "other nodes")


@pytest.mark.parametrize("flow", [("finn", "--board", "ZCU104"), ("vitis",), ("open",)])
def test_results_are_not_replaced_by_a_build(
    flow: tuple[str, ...], copied: Path, finished: Path, integers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (copied / "output" / "bitfile").mkdir(parents=True)
    said = refused(capsys, "build", str(finished), integers, "--flow", *flow, "--out", str(copied))
    assert said == f"hwdse: {copied} has results of FINN in output: import them, and move them away"


# ---- what is refused -----------------------------------------------------------------------------


def test_what_is_no_build_for_finn(
    finished: Path, integers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, on = tmp_path / "x", ("--board", "Pynq-Z1")
    asked = ("build", str(finished), integers, "--out", str(out), "--flow", "finn")
    test = len(bench_and_data(load_study(finished / "study.toml"))[1].test)
    for options, rule in (
        (
            ("--device", "xc7z020"),
            "FINN builds for a board, which carries its device: give --board, not --device xc7z020",
        ),
        ((), "a build with FINN is for a board: give --board, such as Pynq-Z1 or ZCU104"),
        ((*on, "--folding", "best"), "no folding 'best' for FINN; known: finn, exact, design"),
        ((*on, "--fps", "0"), "FINN folds for 1 or more images a second, and finitely many, not 0"),
        ((*on, "--fps", "inf"), "FINN folds for 1 or more images a second, and finitely many, not inf"),
        ((*on, "--fps", "nan"), "FINN folds for 1 or more images a second, and finitely many, not nan"),
        ((*on, "--images", "0"), "a build with FINN verifies at least 1 image, not 0"),
        ((*on, "--images", "100000"), f"a build verifies at most the {test} images of the test split, not 100000"),
    ):
        assert refused(capsys, *asked, *options) == f"hwdse: {rule}"
    said = refused(capsys, *asked[:-1], "open", "--fps", "10")
    assert said == "hwdse: --fps and --folding are for FINN, not for the flow 'open'"
    assert not out.exists()


def test_an_unknown_board_is_named_before_finn_works(
    finished: Path, integers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("build", str(finished), integers, "--flow", "finn", "--board", "VCK190", "--out", str(tmp_path / "x"))
    said = refused(capsys, *asked)
    assert re.fullmatch(r"hwdse: FINN builds no bitstream for a board 'VCK190'; known: Ultra96, .*, U55C", said)


def test_what_finn_estimates_and_cannot_build_is_named() -> None:
    unit = by_channel(4, 9, 1, 4)
    bad = unit_of(Folded("VVAU_hls_0", 2, 3), "conv2", (), unit.with_folding(2, 3))
    said = "FINN cannot build 'VVAU_hls_0' of layer 'conv2': SIMD is above 1 where PE is all 4 channels, not 2"
    with pytest.raises(FinnError, match=f"^{re.escape(said)}; ask for another rate or folding$"):
        finn_choice.check_buildable(of_units((bad,)))
    good = unit_of(Folded("VVAU_hls_0", 4, 3), "conv2", (), unit.with_folding(4, 3))
    finn_choice.check_buildable(of_units((good,)))


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


@pytest.mark.slow  # a third of a minute
def test_weights_in_minifloats_and_a_rate_that_is_missed(tmp_path: Path) -> None:
    real_environment()
    run = ran(STUDY.replace('"e2m1"]', '"e2m1"]\nactivations = ["int8"]\npairs = "all"'), tmp_path)
    (trial,) = (trial for trial in load(run).trials if "e2m1" in trial.evaluation.design.text)
    weights, activations = trial.evaluation.design.weights, trial.evaluation.design.activations
    assert {one.format.name for _, one in weights if one.format.exponent} == {"e2m1"}
    assert not any(one.format.exponent for _, one in activations)
    wish = finn_build.FinnWish("Pynq-Z1", frames_per_second=1e9)
    said = finn_build.build(run, str(trial.number), wish, tmp_path / "build").note
    units = finn_folder.manifest_of(tmp_path / "build").estimate.units
    assert [unit.layer for unit in units if unit.layer] == ["fc1", "fc2", "fc3"]
    page = (tmp_path / "build" / "README.md").read_text()
    for text in (page, said):
        missed = r"^THE RATE IS MISSED: it reaches [0-9,.]+ of 1,000,000,000\.0 images/s\.$"
        assert re.search(missed, text, re.MULTILINE)
        assert re.search(r"^By these estimates it takes .* of 53,200 LUT, .* of xc7z020, ", text, re.MULTILINE)


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
