"""The files that FINN's builder and its driver leave after synthesis, in the formats of the code that writes them."""

import json
from pathlib import Path

# A timing summary of Vivado, cut to the tables of clocks: that of the host, which has no path, and the accelerator's.
TIMING = """
------------------------------------------------------------------------------------------------
| Design Timing Summary
| ---------------------
------------------------------------------------------------------------------------------------

    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)      THS(ns)  THS Failing Endpoints
    -------      -------  ---------------------  -------------------      -------      -------  ---------------------
     -0.250       -0.762                     20                52031        0.020        0.000                      0

------------------------------------------------------------------------------------------------
| Clock Summary
| -------------
------------------------------------------------------------------------------------------------

Clock                       Waveform(ns)         Period(ns)      Frequency(MHz)
-----                       ------------         ----------      --------------
clk_fpga_0                  {{0.000 5.000}}        10.000          100.000
  clk_out1_top_clk_wiz_0_0  {{0.000 2.500}}        {period}           200.000
  clkfbout_top_clk_wiz_0_0  {{0.000 5.000}}        10.000          100.000


------------------------------------------------------------------------------------------------
| Intra Clock Table
| -----------------
------------------------------------------------------------------------------------------------

Clock                           WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns) ...
-----                           -------      -------  ---------------------  -------------------      -------
clk_fpga_0                                                                         7.845        0.000     0     1
  clk_out1_top_clk_wiz_0_0     {slack}  -0.762  20  52031  0.020  0.000  0  52031  1.520  0.000  0  19011
  clkfbout_top_clk_wiz_0_0                                                         8.408        0.000     0     3


------------------------------------------------------------------------------------------------
| Inter Clock Table
| -----------------
------------------------------------------------------------------------------------------------
"""
NODE = {"LUT": 700, "SRL": 40, "FF": 900, "BRAM_36K": 1, "BRAM_18K": 3, "DSP": 4}
TOP = {"LUT": 12345, "SRL": 500, "FF": 15000, "BRAM_36K": 8, "BRAM_18K": 20, "DSP": 30}
ALONE = {
    **{"LUT": 3000, "FF": 4000, "DSP": 9, "BRAM_36K": 1, "BRAM_18K": 3, "URAM": 0, "SRL": 90, "BRAM": 2},
    **{"WNS": 0.5, "clk_period_ns": 5.0, "vivado_version": "2022.2", "fmax_mhz": 222.22},
}
SIMULATED = [
    {
        "name": "Last_0",
        "cycles": 4096,
        "samples": 3,
        "intervals": [1040],
        "latency_cycles": [1510],
        "throughput_fps": 1.0,
    }
]
THROUGHPUT = {"runtime[ms]": 10.0, "throughput[images/s]": 98765.4, "fclk[mhz]": 100.0, "batch_size": 1000}


def timing(period_ns: float = 5.0, slack_ns: str = "-0.250") -> str:
    """The report of a clock of this period with this slack."""
    return TIMING.format(period=f"{period_ns:.3f}", slack=slack_ns)


def leave(report: Path, nodes: dict[str, dict[str, int]], *, without: tuple[str, ...] = ()) -> None:
    """All files of a whole build of Zynq but `without`; `nodes` by their names as placed."""
    files = {
        "post_synth_resources.json": json.dumps({"(top)": TOP, **nodes}),
        "ooc_synth_and_timing.json": json.dumps(ALONE),
        "post_route_timing.rpt": timing(),
        "rtlsim_performance.json": json.dumps(SIMULATED),
        "report_throughput_test.json": json.dumps(THROUGHPUT),
        "time_per_step.json": json.dumps({"step_tidy_up": 1, "total_build_time": 5400}),
        "metadata_builder.json": json.dumps({"status": "ok", "tool_version": "2022.2"}),
    }
    report.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        if name not in without:
            (report / name).write_text(text)
