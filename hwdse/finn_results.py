"""What FINN's builder and its driver leave after synthesis: utilisation, timing, simulated cycles, a measured rate.

Nothing stands for what is absent: a number is read from the file that has it, and files that are not there are named.
The formats are those of the code that writes them, which each function names.
"""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hwdse.cost import Resources
from hwdse.finn import FinnError, reports
from hwdse.finn.reports import number, real, table
from hwdse.finn_folder import FinnManifest

REPORT = "report"
PLACED, OUT_OF_CONTEXT = "post_synth_resources", "ooc_synth_and_timing.json"
ROUTED, SIMULATED = "post_route_timing.rpt", "rtlsim_performance.json"
MEASURED = ("report_throughput_test.json", "nw_metrics.txt")  # of FINN's driver: of finn-plus-driver, of FINN 0.10
WITH_SHELL = "placed and routed with FINN's shell"
ALONE = "placed and routed out of context, without FINN's shell"
TOP = "(top)"  # all that is on the device, FINN's shell included
SAME_PERIOD = 0.01  # how far the period of a clock may be from what was asked for, relative to it
RATE = "throughput[images/s]"
NO_VIVADO = "no-vivado"  # in the place of a version: of `run.sh estimate`


@dataclass(frozen=True, slots=True)
class Results:
    """What was found of a build."""

    area: Resources
    area_of: str  # in words
    nodes: tuple[tuple[str, Resources], ...]  # as placed, by FINN's names
    mhz: float
    mhz_of: str
    interval_cycles: int
    latency_cycles: int
    frames_per_second: float | None  # measured on the board
    tool: str  # the version of Vivado
    status: str  # of FINN's last run: `ok`, or that it failed at a step behind these results
    seconds: float | None  # of the wall clock, of FINN's last run
    absent: tuple[str, ...]  # files that would say more


def read(output: Path, manifest: FinnManifest) -> Results:
    """The results in FINN's output folder; FinnError lists what is absent of what a measured cost needs."""
    folder = output / REPORT
    placed, out_of_context = _placed(folder), folder / OUT_OF_CONTEXT
    _check_there(folder, placed, out_of_context)
    status = table(output / reports.STATUS)
    alone = table(out_of_context) if out_of_context.is_file() else None
    rows = None if placed is None else table(placed)
    series_7 = manifest.board.part.startswith("xc7")
    if placed is not None and rows is not None:
        area, area_of = _area_of(_row(rows, TOP, placed.name), placed.name, series_7), WITH_SHELL
    else:
        assert alone is not None  # as was checked
        area, area_of = _area_of(alone, OUT_OF_CONTEXT, series_7), ALONE
    mhz, mhz_of = _clock(folder / ROUTED, alone, 1000 / manifest.clock_mhz)
    interval, latency = _cycles(folder / SIMULATED)
    measured = next((folder / name for name in MEASURED if (folder / name).is_file()), None)
    optional = ((PLACED + ".json", placed), (OUT_OF_CONTEXT, alone), (MEASURED[0], measured))
    timed = (folder / ROUTED).is_file()
    return Results(
        area=area,
        area_of=area_of,
        nodes=_nodes(rows or {}, PLACED, series_7),
        mhz=mhz,
        mhz_of=mhz_of,
        interval_cycles=interval,
        latency_cycles=latency,
        frames_per_second=None if measured is None else _rate(measured),
        tool=_tool(status, alone),
        status=str(status.get("status")),
        seconds=None if status.get("tool_version") == NO_VIVADO else _seconds(folder / "time_per_step.json"),
        absent=(*(name for name, found in optional if found is None), *((ROUTED,) * (not timed))),
    )


def placed_name(results: Results, node: str) -> str | None:
    """The name of a node as placed: FINN puts that of its partition before it; None where it has no row."""
    return next((name for name, _ in results.nodes if name == node or name.endswith(f"_{node}")), None)


def _tool(status: dict[str, object], alone: dict[str, object] | None) -> str:
    """As Vivado says it, or else by the folder that it is in: that of FINN's last run, which may have done without."""
    found = status.get("tool_version") if alone is None else alone.get("vivado_version")
    if not isinstance(found, str) or not found:
        raise FinnError(f"FINN's reports say the version of Vivado, not {found!r}")
    if found == NO_VIVADO:
        raise FinnError(f"FINN's last run was without Vivado, so that no report says which one made {PLACED}.json")
    return found


# ---- which files there are -----------------------------------------------------------------------


def _placed(folder: Path) -> Path | None:
    """`post_synth_resources.json`, which of a card of Alveo has the number of the device in its name.

    finn/builder/build_dataflow_steps.py: generate_resource_report.
    """
    found = sorted(path for path in folder.glob(f"{PLACED}*.json") if re.fullmatch(rf"{PLACED}(_\d+)?", path.stem))
    if len(found) > 1:
        raise FinnError(f"{folder} has results of {len(found)} devices: {', '.join(path.name for path in found)}")
    return found[0] if found else None


def _check_there(folder: Path, placed: Path | None, out_of_context: Path) -> None:
    missing = []
    if placed is None and not out_of_context.is_file():
        missing.append(f"{PLACED}.json or {OUT_OF_CONTEXT} (utilisation)")
    if not (folder / ROUTED).is_file() and not out_of_context.is_file():
        missing.append(f"{ROUTED} or {OUT_OF_CONTEXT} (clock)")
    if not (folder / SIMULATED).is_file():
        missing.append(f"{SIMULATED} (cycles)")
    if missing:
        raise FinnError(f"{folder} lacks what a measured cost needs: {', '.join(missing)}")


# ---- utilisation ---------------------------------------------------------------------------------


def _row(rows: Mapping[str, object], name: str, where: str) -> dict[str, object]:
    row = rows.get(name)
    if not isinstance(row, dict):
        raise FinnError(f"{where} has a row {name!r} with numbers, not {row!r}")
    return row


def _nodes(rows: Mapping[str, object], where: str, series_7: bool) -> tuple[tuple[str, Resources], ...]:
    return tuple((name, _area_of(_row(rows, name, where), where, series_7)) for name in rows if name != TOP)


def _area_of(row: dict[str, object], where: str, series_7: bool) -> Resources:
    """A row of finn/analysis/fpgadataflow/post_synth_res.py, or of finn/util/vivado.py: the same names.

    Devices of series 7 have no URAM, so that Vivado's table has no column of it.
    """
    urams = 0 if series_7 and "URAM" not in row else number(row, "URAM", where)
    brams = 2 * number(row, "BRAM_36K", where) + number(row, "BRAM_18K", where)
    luts, ffs, dsps = (number(row, key, where) for key in ("LUT", "FF", "DSP"))
    return Resources(luts=luts, ffs=ffs, dsps=dsps, brams=brams, urams=urams)


# ---- clock ---------------------------------------------------------------------------------------


def _clock(file: Path, alone: dict[str, object] | None, period_ns: float) -> tuple[float, str]:
    """MHz, and what says so."""
    if file.is_file():
        return routed_mhz(file.read_text(errors="replace"), period_ns), "as routed"
    assert alone is not None  # as was checked
    mhz = alone.get("fmax_mhz")
    if "WNS" not in alone or isinstance(mhz, bool) or not isinstance(mhz, int | float) or mhz <= 0:
        raise FinnError(
            f"{OUT_OF_CONTEXT} has a slack 'WNS' and a clock 'fmax_mhz', not {alone.get('WNS')!r} and {mhz!r}"
        )
    return float(mhz), "as routed out of context"


def routed_mhz(report: str, period_ns: float) -> float:
    """The clock that the accelerator reaches: 1 / (period - worst slack), of the clock that was asked for.

    A timing summary of Vivado (UG906, report_timing_summary), which finn/builder/build_dataflow_steps.py
    (copy_timing_report) copies: a table of clocks with periods, then one with the slacks inside of each. The host has
    clocks of its own; those without paths have no slack.
    """
    clocks = {found[1]: float(found[2]) for found in re.finditer(_CLOCK, report, re.MULTILINE)}
    _, _, rest = report.partition("| Intra Clock Table")
    inside = rest.partition("| Inter Clock Table")[0]
    slacks = {words[0]: words[1] for words in map(str.split, inside.splitlines()) if len(words) == _INTRA}
    own = [name for name, period in clocks.items() if abs(period - period_ns) <= SAME_PERIOD * period_ns]
    found = [1000 / (clocks[name] - _float(slacks[name])) for name in own if name in slacks]
    if not found:
        known = ", ".join(f"{name} of {period:g} ns" for name, period in clocks.items()) or "none"
        raise FinnError(f"{ROUTED} has a clock of {period_ns:g} ns with a slack; it has {known}")
    return min(found)


_CLOCK = r"^[ ]*(\S+)[ ]+\{[^}]*\}[ ]+(\d+\.\d+)[ ]+\d+\.\d+[ ]*$"
_INTRA = 13  # words of a row with all slacks: the clock, then four each of setup, hold and pulse width


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise FinnError(f"{ROUTED} has a slack in nanoseconds, not {text!r}") from None


# ---- cycles and rates ----------------------------------------------------------------------------


def _cycles(file: Path) -> tuple[int, int]:
    """From image to image, and from the first input of an image to its last output.

    A list of the nodes that give results, with a number for each of their outputs:
    finn/builder/build_dataflow_steps.py, step_measure_rtlsim_performance.
    """
    try:
        rows = json.loads(file.read_text())
    except ValueError as error:
        raise FinnError(f"{file} is no report of FINN: {error}") from None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise FinnError(f"{SIMULATED} is a list of nodes that give results")
    interval, latency = (max(_whole(row, key) for row in rows) for key in ("intervals", "latency_cycles"))
    return interval, latency


def _whole(row: dict[str, object], key: str) -> int:
    values = row.get(key)
    whole = [value for value in values if type(value) is int and value > 0] if isinstance(values, list) else []
    if not isinstance(values, list) or not values or len(whole) < len(values):
        raise FinnError(f"{SIMULATED} has cycles above 0 in {key!r}, not {values!r}")
    return max(whole)


def _rate(file: Path) -> float:
    """Images a second, as FINN's driver measured them on the board: FINNDMAOverlay.throughput_test."""
    try:
        said = json.loads(file.read_text()) if file.suffix == ".json" else ast.literal_eval(file.read_text())
    except (ValueError, SyntaxError) as error:
        raise FinnError(f"{file} is no report of FINN's driver: {error}") from None
    rate = said.get(RATE) if isinstance(said, dict) else None
    if isinstance(rate, bool) or not isinstance(rate, int | float) or rate <= 0:
        raise FinnError(f"{file.name} has a rate {RATE!r} above 0, not {rate!r}")
    return float(rate)


def _seconds(file: Path) -> float | None:
    """finn/builder/build_dataflow.py, exit_buildflow."""
    return float(real(table(file), "total_build_time", file.name)) if file.is_file() else None
