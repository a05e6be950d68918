"""The flow `vivado` with a stand-in for the tool, and the reports of 7 series and of UltraScale+."""

import re
import sys
from pathlib import Path

import pytest

from hwdse.build import run
from hwdse.cost import Resources
from hwdse.flow import Measured
from hwdse.flows.vivado import Vivado
from hwdse.target import fpga
from tests.hwdse.flows.leaves import leaves, netlist

__all__ = ["leaves"]  # the fixture

# The layout of Vivado's reports, written from knowledge of it; the numbers are invented.
SEVEN = """\
Copyright 1986-2022 Xilinx, Inc. All Rights Reserved. Copyright 2022-2024 Advanced Micro Devices, Inc.
-----------------------------------------------------------------------------------------------------
| Tool Version : Vivado v.2024.2 (lin64) Build 5239630 Fri Nov 08 22:34:34 MST 2024
| Command      : report_utilization -file utilization.rpt
| Design       : top
| Device       : xc7z020clg400-1
| Design State : Routed
-----------------------------------------------------------------------------------------------------

Utilization Design Information

Table of Contents
-----------------
1. Slice Logic
1.1 Summary of Registers by Type
3. Memory
4. DSP
8. Primitives

1. Slice Logic
--------------

+----------------------------+------+-------+------------+-----------+-------+
|          Site Type         | Used | Fixed | Prohibited | Available | Util% |
+----------------------------+------+-------+------------+-----------+-------+
| Slice LUTs                 |  440 |     0 |          0 |     53200 |  0.83 |
|   LUT as Logic             |  423 |     0 |          0 |     53200 |  0.80 |
|   LUT as Memory            |   17 |     0 |          0 |     17400 |  0.10 |
|     LUT as Distributed RAM |   16 |     0 |            |           |       |
|     LUT as Shift Register  |    1 |     0 |            |           |       |
| Slice Registers            |  321 |     0 |          0 |    106400 |  0.30 |
|   Register as Flip Flop    |  321 |     0 |          0 |    106400 |  0.30 |
|   Register as Latch        |    0 |     0 |          0 |    106400 |  0.00 |
| F7 Muxes                   |    2 |     0 |          0 |     26600 | <0.01 |
+----------------------------+------+-------+------------+-----------+-------+
* Warning! LUT value is adjusted to account for LUT combining.


1.1 Summary of Registers by Type
--------------------------------

+-------+--------------+-------------+--------------+
| Total | Clock Enable | Synchronous | Asynchronous |
+-------+--------------+-------------+--------------+
| 0     |            _ |           - |            - |
| 321   |          Yes |       Reset |            - |
+-------+--------------+-------------+--------------+


3. Memory
---------

+-------------------+------+-------+------------+-----------+-------+
|     Site Type     | Used | Fixed | Prohibited | Available | Util% |
+-------------------+------+-------+------------+-----------+-------+
| Block RAM Tile    |  2.5 |     0 |          0 |       140 |  1.79 |
|   RAMB36/FIFO*    |    2 |     0 |          0 |       140 |  1.43 |
|     RAMB36E1 only |    2 |       |            |           |       |
|   RAMB18          |    1 |     0 |          0 |       280 |  0.36 |
|     RAMB18E1 only |    1 |       |            |           |       |
+-------------------+------+-------+------------+-----------+-------+
* Note: Each Block RAM Tile only has one FIFO logic available.


4. DSP
------

+----------------+------+-------+------------+-----------+-------+
|    Site Type   | Used | Fixed | Prohibited | Available | Util% |
+----------------+------+-------+------------+-----------+-------+
| DSPs           |    3 |     0 |          0 |       220 |  1.36 |
|   DSP48E1 only |    3 |       |            |           |       |
+----------------+------+-------+------------+-----------+-------+


8. Primitives
-------------

+----------+------+---------------------+
| Ref Name | Used | Functional Category |
+----------+------+---------------------+
| FDRE     |  321 |        Flop & Latch |
| LUT2     |  174 |                 LUT |
| CARRY4   |  105 |          CarryLogic |
+----------+------+---------------------+
"""
ULTRASCALE = """\
| Device       : xczu3eg-sbva484-1-e

1. CLB Logic
------------

+----------------------------+------+-------+------------+-----------+-------+
|          Site Type         | Used | Fixed | Prohibited | Available | Util% |
+----------------------------+------+-------+------------+-----------+-------+
| CLB LUTs                   |  434 |     0 |          0 |     70560 |  0.62 |
|   LUT as Logic             |  434 |     0 |          0 |     70560 |  0.62 |
|   LUT as Memory            |    0 |     0 |          0 |     28800 |  0.00 |
| CLB Registers              |  320 |     0 |          0 |    141120 |  0.23 |
|   Register as Flip Flop    |  320 |     0 |          0 |    141120 |  0.23 |
| CARRY8                     |   50 |     0 |          0 |      8820 |  0.57 |
+----------------------------+------+-------+------------+-----------+-------+


3. BLOCKRAM
-----------

+----------------+------+-------+------------+-----------+-------+
|    Site Type   | Used | Fixed | Prohibited | Available | Util% |
+----------------+------+-------+------------+-----------+-------+
| Block RAM Tile |    1 |     0 |          0 |       216 |  0.46 |
|   RAMB36/FIFO* |    1 |     0 |          0 |       216 |  0.46 |
| URAM           |    4 |     0 |          0 |        96 |  4.17 |
+----------------+------+-------+------------+-----------+-------+


4. ARITHMETIC
-------------

+----------------+------+-------+------------+-----------+-------+
|    Site Type   | Used | Fixed | Prohibited | Available | Util% |
+----------------+------+-------+------------+-----------+-------+
| DSPs           |    0 |     0 |          0 |       360 |  0.00 |
+----------------+------+-------+------------+-----------+-------+
"""
TIMING = """\
------------------------------------------------------------------------------------------------
| Design Timing Summary
| ---------------------
------------------------------------------------------------------------------------------------

    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)      THS(ns)  THS Failing Endpoints
    -------      -------  ---------------------  -------------------      -------      -------  ---------------------
      1.000        0.000                      0                  321        0.067        0.000                      0


All user specified timing constraints are met.


------------------------------------------------------------------------------------------------
| Clock Summary
| -------------
------------------------------------------------------------------------------------------------

Clock  Waveform(ns)       Period(ns)      Frequency(MHz)
-----  ------------       ----------      --------------
clk    {0.000 2.500}      5.000           200.000
"""


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """The folder of a run on 7 series."""
    (tmp_path / "utilization.rpt").write_text(SEVEN)
    (tmp_path / "timing.rpt").write_text(TIMING)
    return tmp_path


def test_seven_series(finished: Path) -> None:
    area = Resources(luts=440, ffs=321, dsps=3, brams=5, lutrams=17)
    cells = (("CARRY4", 105), ("FDRE", 321), ("LUT2", 174))
    assert Vivado().read(finished) == Measured(area, 250.0, "placed", cells)


def test_ultrascale(finished: Path) -> None:
    (finished / "utilization.rpt").write_text(ULTRASCALE)
    (finished / "timing.rpt").write_text(TIMING.replace("      1.000 ", "     -1.250 "))
    assert Vivado().read(finished) == Measured(Resources(luts=434, ffs=320, brams=2, urams=4), 160.0, "placed", ())


def test_no_path_between_registers(finished: Path) -> None:
    (finished / "timing.rpt").write_text(TIMING.replace("1.000", "   NA"))
    assert Vivado().read(finished).mhz is None


NO_LUTS = "a utilization report of Vivado has a row 'Slice LUTs' or 'CLB LUTs', unlike this one"
NO_NUMBER = "row 'Slice LUTs' of a utilization report of Vivado has a number, not 'many'"
NO_TIMING = "a timing summary of Vivado has 'WNS(ns)' and the period of clock 'clk', unlike this one"


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("utilization.rpt", "Slice LUTs", "Others", NO_LUTS),
        ("utilization.rpt", SEVEN, "", NO_LUTS),
        ("utilization.rpt", "|  440 |", "| many |", NO_NUMBER),
        ("timing.rpt", "WNS", "XYZ", NO_TIMING),
        ("timing.rpt", "clk ", "sys ", NO_TIMING),
        ("timing.rpt", "1.000", "1,000", "'WNS(ns)' of a timing summary of Vivado has a number, not '1,000'"),
    ],
)
def test_garbage(finished: Path, file: str, old: str, new: str, message: str) -> None:
    (finished / file).write_text((finished / file).read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Vivado().read(finished)


def test_the_script() -> None:
    plan = Vivado(dsp=False, mhz=300).plan(netlist("sum"), fpga("xczu3eg"))
    assert dict(plan.files)["run.tcl"].decode().splitlines() == [
        'if {[version -short] ne "2024.2"} {error "this is Vivado [version -short]"}',
        "set_param general.maxThreads 1",
        "read_verilog -sv top.sv",
        "read_verilog -sv sum.sv",
        "read_xdc -mode out_of_context clock.xdc",
        "synth_design -mode out_of_context -top top -part xczu3eg-sbva484-1-e -max_dsp 0",
        "opt_design",
        "place_design",
        "route_design",
        "report_utilization -file utilization.rpt",
        "report_timing_summary -delay_type max -file timing.rpt",
    ]
    assert dict(plan.files)["clock.xdc"] == b"create_clock -name clk -period 3.333 [get_ports clk]\n"


# The command line of the tool, recorded from the plan: the stand-in takes this and nothing else.
STAND_IN = f"""
import sys
assert sys.argv[1:] == ["-mode", "batch", "-nojournal", "-nolog", "-source", "run.tcl"], sys.argv
lines = open("run.tcl").read().splitlines()
for line in lines:
    if line.startswith("read_"):
        open(line.split()[-1]).close()
open(lines[-2].split()[-1], "w").write({SEVEN!r})
open(lines[-1].split()[-1], "w").write({TIMING!r})
"""


def test_a_run(tmp_path: Path) -> None:
    (tmp_path / "vivado.py").write_text(STAND_IN)
    flow, programs = Vivado(), {"vivado": (sys.executable, str(tmp_path / "vivado.py"))}
    folder = run(flow.plan(netlist("sum", "store"), fpga("xc7z020")), tmp_path / "cache", programs)
    assert flow.read(folder).mhz == 250.0


def test_vivado_that_fails(tmp_path: Path) -> None:
    said = "ERROR: [Common 17-345] A valid license was not found for feature 'Synthesis'"
    programs = {"vivado": (sys.executable, "-c", f"print({said!r}); print('INFO: Exiting Vivado'); exit(1)")}
    plan = Vivado().plan(netlist("sum"), fpga("vck190"))
    message = f"vivado failed with exit status 1, 2 times ({said}); see {tmp_path / 'failed' / plan.digest}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        run(plan, tmp_path, programs)


def test_a_machine_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/no/such/folder")
    message = "there is no vivado on the PATH: install it from AMD, or use the flow 'yosys'"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Vivado().programs()


def test_a_machine_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vivado").write_text("#!/bin/sh\n")
    (tmp_path / "vivado").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Vivado().programs() == {"vivado": (str(tmp_path / "vivado"),)}
