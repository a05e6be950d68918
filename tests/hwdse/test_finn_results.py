"""What Vivado and a board found of a build: every number from its file, nothing in the place of an absent one."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hwdse.cost import Resources
from hwdse.finn import FinnError
from hwdse.finn.messages import Board, Folded, Priced, Unit, Versions
from hwdse.finn_fit import device_of, fit, pace
from hwdse.finn_folder import FinnManifest
from hwdse.finn_layers import measured as cost
from hwdse.finn_results import read, routed_mhz
from tests.hwdse.finn_results_files import ALONE, NODE, SIMULATED, THROUGHPUT, TOP, leave, timing

ZYNQ = FinnManifest(
    flow="finn",
    chosen="0123",
    study="s",
    run="../run",
    network="n",
    board=Board("Pynq-Z1", "xc7z020clg400-1", "vivado_zynq"),
    clock_mhz=200.0,
    folding="by hand",
    versions=Versions("1.6.1", "1.0.0", "1.21.0"),
    estimate=Priced((), 1024, 2836),
)
ALVEO = replace(ZYNQ, board=Board("U250", "xcu250-figd2104-2L-e", "vitis_alveo"))
OPTIONAL = ("report_throughput_test.json", "post_route_timing.rpt", "ooc_synth_and_timing.json")


def left(folder: Path, *without: str) -> Path:
    """The output of a whole build, but for some files."""
    leave(folder / "report", {"StreamingDataflowPartition_1_MVAU_rtl_0": NODE}, without=without)
    return folder


def test_a_whole_build(tmp_path: Path) -> None:
    found = read(left(tmp_path), ZYNQ)
    assert found.area == Resources(luts=12345, ffs=15000, dsps=30, brams=2 * 8 + 20)
    assert found.nodes == (("StreamingDataflowPartition_1_MVAU_rtl_0", Resources(luts=700, ffs=900, dsps=4, brams=5)),)
    assert found.mhz == pytest.approx(1000 / 5.25)
    assert (found.interval_cycles, found.latency_cycles, found.frames_per_second) == (1040, 1510, 98765.4)
    assert (found.seconds, found.tool, found.status, found.absent) == (5400.0, "2022.2", "ok", ())
    measured = cost(found, ZYNQ, {})
    assert (measured.device, measured.model, measured.area) == ("xc7z020", "finn-plus 1.6.1, Vivado 2022.2", found.area)
    said = "placed and routed with FINN's shell; clock as routed; cycles simulated by FINN, of all layers together"
    assert measured.calibration == f"{said}; LUTs as memory not counted apart"
    (layer,) = cost(replace(found, nodes=(("top_smartconnect_0_0", Resources(luts=5)),)), ZYNQ, {}).layers
    assert (layer.layer, layer.area) == ("whole", found.area)


LAYERS = {"Thresholding_rtl_0": "fc1", "MVAU_rtl_0": "fc1", "MVAU_rtl_1": "fc2", "MVAU_rtl_10": "fc3"}


def test_every_layer_has_its_nodes_and_the_rest_is_the_shell(tmp_path: Path) -> None:
    in_one, small = "StreamingDataflowPartition_1_", {**NODE, "LUT": 50, "DSP": 0}
    nodes = {f"{in_one}MVAU_rtl_1": small, f"{in_one}MVAU_rtl_0": NODE, f"{in_one}Thresholding_rtl_0": small}
    others = {f"{in_one}StreamingFIFO_rtl_0": small, "top_smartconnect_0_0": NODE}
    leave(tmp_path / "report", {**nodes, **others})
    found = read(tmp_path, ZYNQ)
    measured = cost(found, ZYNQ, LAYERS)
    assert measured.area == found.area
    rest = Resources(luts=12345 - 850, ffs=15000 - 4 * 900, dsps=26, brams=36 - 4 * 5)
    assert {layer.layer: layer.area for layer in measured.layers} == {
        "fc1": Resources(luts=750, ffs=1800, dsps=4, brams=10),
        "fc2": Resources(luts=50, ffs=900, brams=5),
        "other nodes": Resources(luts=50, ffs=900, brams=5),
        "shell and rest": rest,
    }
    assert [term.name for term in measured.layers[0].terms] == [f"{in_one}MVAU_rtl_0", f"{in_one}Thresholding_rtl_0"]
    assert {layer.cycles for layer in measured.layers} == {found.interval_cycles}


def test_nodes_that_share_cells_are_not_shown_by_layers(tmp_path: Path) -> None:
    """A result that took hours is kept, although Vivado counts what two nodes share in both."""
    leave(tmp_path / "report", {"MVAU_rtl_0": {**NODE, "DSP": 31}})
    found = cost(read(tmp_path, ZYNQ), ZYNQ, LAYERS)
    assert [layer.layer for layer in found.layers] == ["whole"]
    assert found.area.dsps == 30
    assert found.calibration.endswith("; not by layers, because the nodes share cells and sum to more than all")


def test_a_last_run_without_vivado_is_none_of_these_results(tmp_path: Path) -> None:
    report = left(tmp_path) / "report"
    (report / "metadata_builder.json").write_text(json.dumps({"status": "ok", "tool_version": "no-vivado"}))
    assert (read(tmp_path, ZYNQ).tool, read(tmp_path, ZYNQ).seconds) == ("2022.2", None)
    (report / "ooc_synth_and_timing.json").unlink()
    said = "FINN's last run was without Vivado, so that no report says which one made post_synth_resources.json"
    with pytest.raises(FinnError, match=f"^{re.escape(said)}$"):
        read(tmp_path, ZYNQ)


def test_what_does_not_fit_and_what_is_too_slow_is_said() -> None:
    unit = Unit(Folded("MVAU_hls_0", 1, 1), "fc1", "MVAU_hls", (), None, 2048, 1500, 3, 0, 221)
    priced = Priced((unit,), 2048, 2048)
    of = "By these estimates it takes 1,500 of 53,200 LUT, 221 of 220 DSP, 3 of 280 BRAM18 of xc7z020, without"
    assert fit("xc7z020clg400-1", priced) == f"{of} FINN's shell. IT DOES NOT FIT xc7z020: there is too little DSP."
    small = Priced((replace(unit, dsps=220),), 2048, 2048)
    assert fit("xc7z020clg400-1", small) == f"{of.replace('221', '220')} FINN's shell."
    unknown = "How much xck26-sfvc784-2LV-c has is not known, so that nothing is said of whether it fits."
    assert fit("xck26-sfvc784-2LV-c", small) == unknown
    missed = "THE RATE IS MISSED: it reaches 97,656.2 of 100,000.0 images/s."
    assert (pace(200.0, priced, 100_000), pace(200.0, priced, 97_656)) == (missed, "")


def test_what_is_absent_is_named_and_nothing_stands_for_it(tmp_path: Path) -> None:
    found = read(left(tmp_path / "few", *OPTIONAL[:1], "time_per_step.json"), ZYNQ)
    assert (found.frames_per_second, found.seconds, found.absent) == (None, None, ("report_throughput_test.json",))
    found = read(left(tmp_path / "alone", "post_synth_resources.json", "post_route_timing.rpt"), ZYNQ)
    assert found.area == Resources(luts=3000, ffs=4000, dsps=9, brams=5)
    assert (found.mhz, found.nodes) == (222.22, ())
    assert found.absent == ("post_synth_resources.json", "post_route_timing.rpt")
    assert found.area_of == "placed and routed out of context, without FINN's shell"
    found = read(left(tmp_path / "routed", "ooc_synth_and_timing.json"), ZYNQ)
    assert (found.area.luts, found.absent) == (12345, ("ooc_synth_and_timing.json",))
    folder = left(tmp_path / "none", *OPTIONAL, "post_synth_resources.json", "rtlsim_performance.json")
    lacks = (
        f"{folder / 'report'} lacks what a measured cost needs: post_synth_resources.json or ooc_synth_and_timing.json"
        " (utilisation), post_route_timing.rpt or ooc_synth_and_timing.json (clock), rtlsim_performance.json (cycles)"
    )
    with pytest.raises(FinnError, match=f"^{re.escape(lacks)}$"):
        read(folder, ZYNQ)


def test_a_card_has_the_number_of_its_device_in_a_name(tmp_path: Path) -> None:
    report = left(tmp_path, "post_route_timing.rpt", "post_synth_resources.json") / "report"
    (report / "post_synth_resources_0.json").write_text(json.dumps({"(top)": {**TOP, "URAM": 7}}))
    (report / "post_synth_resources_dcp.json").write_text("{}")  # of stitched_ip_gen_dcp: not placed
    found = read(tmp_path, ALVEO)
    assert (found.area.urams, found.mhz, found.mhz_of) == (7, 222.22, "as routed out of context")
    (report / "post_synth_resources_1.json").write_text("{}")
    said = f"{report} has results of 2 devices: post_synth_resources_0.json, post_synth_resources_1.json"
    with pytest.raises(FinnError, match=f"^{re.escape(said)}$"):
        read(tmp_path, ALVEO)


def test_metrics_of_an_older_driver(tmp_path: Path) -> None:
    report = left(tmp_path, "report_throughput_test.json") / "report"
    (report / "nw_metrics.txt").write_text(str({**THROUGHPUT, "throughput[images/s]": 12.5}))
    assert read(tmp_path, ZYNQ).frames_per_second == 12.5


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("post_synth_resources.json", json.dumps({"x": NODE}), "{} has a row '(top)' with numbers, not None"),
        (
            "post_synth_resources.json",
            json.dumps({"(top)": {**TOP, "FF": "many"}}),
            "{} has a number 'FF', not 'many'",
        ),
        (
            "post_synth_resources.json",
            json.dumps({"(top)": {**TOP, "FF": 1.5}}),
            "{} has a whole number 'FF', not 1.5",
        ),
        ("time_per_step.json", '{"total_build_time": NaN}', "{} has a number 'total_build_time', not nan"),
        ("rtlsim_performance.json", "[]", "{} is a list of nodes that give results"),
        (
            "rtlsim_performance.json",
            json.dumps([{**SIMULATED[0], "intervals": []}]),
            "{} has cycles above 0 in 'intervals', not []",
        ),
        (
            "rtlsim_performance.json",
            json.dumps([{**SIMULATED[0], "latency_cycles": [0]}]),
            "{} has cycles above 0 in 'latency_cycles', not [0]",
        ),
        (
            "report_throughput_test.json",
            json.dumps({"throughput[images/s]": 0}),
            "{} has a rate 'throughput[images/s]' above 0, not 0",
        ),
        (
            "post_route_timing.rpt",
            timing(period_ns=4.0),
            "{} has a clock of 5 ns with a slack; it has clk_fpga_0 of 10 ns, clk_out1_top_clk_wiz_0_0 of 4 ns, "
            "clkfbout_top_clk_wiz_0_0 of 10 ns",
        ),
        (
            "ooc_synth_and_timing.json",
            json.dumps({**ALONE, "vivado_version": ""}),
            "FINN's reports say the version of Vivado, not ''",
        ),
        ("post_route_timing.rpt", "", "{} has a clock of 5 ns with a slack; it has none"),
        ("post_route_timing.rpt", timing(slack_ns="NA"), "{} has a slack in nanoseconds, not 'NA'"),
    ],
)
def test_a_file_without_its_number(file: str, text: str, said: str, tmp_path: Path) -> None:
    (left(tmp_path) / "report" / file).write_text(text)
    with pytest.raises(FinnError, match=f"^{re.escape(said.format(file))}$"):
        read(tmp_path, ZYNQ)


def test_uram_is_asked_of_devices_that_have_it(tmp_path: Path) -> None:
    with pytest.raises(FinnError, match=r"^post_synth_resources\.json has a number 'URAM', not None$"):
        read(left(tmp_path), ALVEO)


def test_a_clock_out_of_context_without_a_slack_is_none(tmp_path: Path) -> None:
    report = left(tmp_path, "post_route_timing.rpt") / "report"  # FINN writes a clock without one: of a slack of zero
    (report / "ooc_synth_and_timing.json").write_text(json.dumps({k: v for k, v in ALONE.items() if k != "WNS"}))
    said = "ooc_synth_and_timing.json has a slack 'WNS' and a clock 'fmax_mhz', not None and 222.22"
    with pytest.raises(FinnError, match=f"^{re.escape(said)}$"):
        read(tmp_path, ZYNQ)


def test_of_clocks_with_one_period_the_slower_counts() -> None:
    both = timing(period_ns=10.0, slack_ns="1.000")
    assert routed_mhz(both, 10.0) == pytest.approx(1000 / 9)  # the host's have no slack


@pytest.mark.parametrize(
    ("part", "device"),
    [
        ("xc7z020clg400-1", "xc7z020"),
        ("xczu3eg-sfvc784-2-e", "xczu3eg"),
        ("xczu7ev-ffvc1156-2-e", "xczu7ev"),
        ("xcu250-figd2104-2L-e", "u250"),
        ("xck26-sfvc784-2LV-c", None),
        ("xczu28dr-ffvg1517-2-e", None),
    ],
)
def test_a_device_is_known_by_its_die(part: str, device: str | None, tmp_path: Path) -> None:
    assert device_of(part) == device
    report = left(tmp_path) / "report"
    (report / "post_synth_resources.json").write_text(json.dumps({"(top)": {**TOP, "URAM": 0}}))
    manifest = replace(ZYNQ, board=Board("b", part, "vivado_zynq"))
    assert cost(read(tmp_path, manifest), manifest, {}).device == (device or part)
