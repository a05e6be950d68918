"""The flow `yosys` on modules whose size can be counted by hand, and what it says of bad results."""

import gzip
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hwdse.build import run
from hwdse.cost import Resources
from hwdse.flows.yosys import Yosys
from hwdse.target import fpga
from tests.hwdse.flows.leaves import leaves, netlist

__all__ = ["leaves"]  # the fixture

INSTALL = "pip install 'hwdse[synthesis]'"
PARTS = ("sum", "store", "block", "product", "delay")
# The sum: a LUT for each of 8 bits; a CCU2 of two LUTs for two bits, and on a Nexus one more for the carry input.
# The store, 32 x 8: a RAM32M holds 6 bits of 32 words, a RAM32M16 14; a DPR16X4 or RAM16SDP4 4 bits of 16 words, so
# four of them, 8 multiplexers and 2 gates that choose the half that is written; in iCE40 logic, what abc makes of it.
# The block, 1024 x 18: one block of 18 Kib; of 4 Kib five, the fifth for two bits.
# The product, 16 x 16: one DSP; without one (HX8K), what abc makes of it.
# The delay: a flip-flop with an enable.
EXPECTED = {
    "xc7z020": Resources(luts=8 + 8, ffs=8 + 1, dsps=1, brams=1, lutrams=8),
    "u250": Resources(luts=8 + 8, ffs=8 + 1, dsps=1, brams=1, lutrams=8),
    "ecp5_25f": Resources(luts=8 + 4 * 6 + 8 + 2, ffs=8 + 1, dsps=1, brams=1, lutrams=4 * 6),
    "ice40_hx8k": Resources(luts=8 + 955, ffs=8 + 256 + 1, brams=5),
    "ice40_up5k": Resources(luts=8 + 264, ffs=8 + 256 + 1, dsps=1, brams=5),
    "lifcl40": Resources(luts=10 + 4 * 6 + 8 + 2, ffs=8 + 1, dsps=1, brams=1, lutrams=4 * 6),
    "gw1nr9": Resources(luts=8 + 4 * 8 + 8 + 2, ffs=8 + 1, dsps=1, brams=1, lutrams=4 * 8),
}


@pytest.mark.parametrize("device", EXPECTED)
def test_counts(tmp_path: Path, device: str) -> None:
    flow = Yosys()
    folder = run(flow.plan(netlist(*PARTS), fpga(device)), tmp_path / "cache", flow.programs())
    found = flow.read(folder)
    assert found.area == EXPECTED[device]
    assert (found.mhz, found.counted) == (None, "netlist")
    assert found.cells == tuple(sorted(found.cells))


def test_a_new_process_finds_the_same(tmp_path: Path) -> None:
    flow = Yosys(dsp=False)
    plan = flow.plan(netlist("product"), fpga("ecp5_25f"))
    first, second = (run(plan, tmp_path / name, flow.programs()) for name in ("first", "second"))
    assert (first / "netlist.json.gz").read_bytes() == (second / "netlist.json.gz").read_bytes()
    assert flow.read(first).area.dsps == 0 < flow.read(first).area.luts


def test_a_plan() -> None:
    plan = Yosys().plan(netlist("sum"), fpga("ice40_up5k"))
    assert [name for name, _ in plan.files] == ["top.sv", "sum.sv", "family", "synth.ys"]
    assert dict(plan.files)["synth.ys"].decode().splitlines() == [
        "read_verilog -sv -defer sum.sv",
        "read_verilog -sv top.sv",
        "hierarchy -check -top top",
        "proc; opt_clean",
        "setattr -unset ram_style a:ram_style=distributed",
        "scratchpad -set abc9.script +&dch,-f;&if,-a,{C},{W},{D},{R};&mfs",
        "synth_ice40 -device u -dsp -top top",
        "delete t:$scopeinfo",
        "select top",
        "write_json -selected netlist.json.gz",
    ]
    assert plan.tools == (("yosys", "0.70"),)


@pytest.mark.parametrize(
    ("device", "dsp", "command"),
    [
        ("xc7z020", True, "synth_xilinx -family xc7 -flatten -noclkbuf -noiopad"),
        ("u250", False, "synth_xilinx -family xcup -flatten -noclkbuf -noiopad -nodsp"),
        ("ecp5_85f", True, "synth_ecp5"),
        ("ecp5_85f", False, "synth_ecp5 -nodsp"),
        ("ice40_hx8k", True, "synth_ice40 -device hx"),
        ("ice40_up5k", False, "synth_ice40 -device u"),
        ("lifcl40", True, "synth_lattice -family lifcl -noiopad"),
        ("lifcl40", False, "synth_lattice -family lifcl -nodsp -noiopad"),
        ("gw1nr9", False, "synth_gowin -nodsp -noiopads"),
    ],
)
def test_the_command_of_a_family(device: str, dsp: bool, command: str) -> None:
    script = dict(Yosys(dsp=dsp).plan(netlist("sum"), fpga(device)).files)["synth.ys"].decode()
    assert f"\n{command} -top top\n" in script


def test_devices_with_the_same_blocks_share_their_runs() -> None:
    plans = [Yosys().plan(netlist("sum"), fpga(name)) for name in ("ecp5_25f", "ecp5_85f")]
    assert plans[0] == plans[1]


def test_versal_has_no_open_synthesis() -> None:
    assert not Yosys().claims(fpga("vck190"))
    message = "no yosys script for family 'versal'; known: xc7, xcup, ecp5, ice40, nexus, gowin"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Yosys().plan(netlist("sum"), fpga("vck190"))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"garbage", "BadGzipFile: Not a gzipped file (b'ga')"),
        (gzip.compress(b"garbage"), "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
        (gzip.compress(b"{}"), "KeyError: 'modules'"),
        (gzip.compress(b'{"modules": {}}'), "ValueError: not enough values to unpack (expected 1, got 0)"),
        (gzip.compress(b"[]"), "TypeError: list indices must be integers or slices, not str"),
    ],
    ids=["no gzip", "no JSON", "no modules", "no module", "a list"],  # gzip writes the time into what it makes
)
def test_a_result_that_is_none(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "family").write_text("ecp5\n")
    (tmp_path / "netlist.json.gz").write_bytes(content)
    message = f"{tmp_path / 'netlist.json.gz'} is no netlist of yosys: {what}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Yosys().read(tmp_path)


@pytest.mark.parametrize(("found", "said"), [("0.69", "not 0.69"), (None, "which is not installed")])
def test_another_pyosys_or_none(monkeypatch: pytest.MonkeyPatch, found: str | None, said: str) -> None:
    monkeypatch.setattr("hwdse.flows._script.installed", lambda name: found)
    with pytest.raises(ValueError, match=f"^pyosys 0.70 is needed, {said}: {re.escape(INSTALL)}$"):
        Yosys().programs()


def test_a_bad_module_is_one_sentence(tmp_path: Path) -> None:
    plan = Yosys().plan(netlist("sum"), fpga("ecp5_25f"))
    bad = replace(plan, files=tuple((n, b"nonsense" if n == "sum.sv" else c) for n, c in plan.files))
    what = "yosys failed with exit status 1, 2 times (sum.sv:1: ERROR: syntax error, unexpected TOK_ID)"
    with pytest.raises(ValueError, match=f"^{re.escape(f'{what}; see {tmp_path}')}/failed/{bad.digest}$"):
        run(bad, tmp_path, Yosys().programs())


def test_an_unknown_goal() -> None:
    with pytest.raises(ValueError, match=r"^yosys maps for area or speed, not for 'tiny'$"):
        Yosys(goal="tiny").plan(netlist("sum"), fpga("u250"))  # type: ignore[arg-type]
