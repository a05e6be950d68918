"""Synthesises the sample one unit after the other, into a table that grows while it runs.

What the table has already is not run again; rows of another RTL than the installed one, or of units that the sample
does not have, are dropped.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from hwdse.build import BuildError, BuildPlan, run_all
from hwdse.calibration import results
from hwdse.calibration.campaign import Failure, Progress, write
from hwdse.cost import Resources
from hwdse.finn.environment import Environment
from hwdse.finn_fits import TABLE
from hwdse.finn_rtl import windows
from hwdse.finn_rtl.plans import Unit, files_of, plan, rtl_digest, sources_of
from hwdse.finn_rtl.sample import SEED
from hwdse.finn_rtl.sources import VERSION, rtllib
from hwdse.flows.yosys import TOOLS, Yosys
from hwdse.measurements import Measurement, read, text
from hwdse.target import fpga

MADE = results.Made((("finn-plus", VERSION), *TOOLS), SEED)
SAVED = 5  # runs between two writes of the table

Report = Callable[[Progress], None]
_NOTHING = Resources()
Rows = dict[tuple[str, ...], Measurement]


def measure(
    units: Sequence[Unit], environment: Environment, out: Path, cache: Path, workers: int, report: Report
) -> Progress:
    """Adds the areas of `units` to the table in folder `out`, and says which runs failed.

    FinnError where FINN+ is not ready, ValueError where yosys is missing or the table cannot be written.
    """
    folder, table, programs = rtllib(environment), out / TABLE, Yosys().programs()
    sources = {kind: sources_of(folder, kind) for kind in {unit.kind for unit in units}}
    digests = {unit: rtl_digest(unit, sources[unit.kind]) for unit in units}
    wanted = {_row(unit, digests).key: unit for unit in units}
    results.begin(table, MADE)
    rows: Rows = {row.key: row for row in (read(table) if table.exists() else ()) if row.key in wanted}
    plans = planned([unit for key, unit in wanted.items() if key not in rows], environment)
    owners, failed = {one.digest: unit for unit, one in plans.items()}, list[Failure]()
    report(Progress(len(rows), len(wanted), ()))
    try:
        with closing(run_all(list(plans.values()), cache, programs, workers)) as outcomes:
            for number, (done, outcome) in enumerate(outcomes, 1):
                _note(owners[done.digest], outcome, digests, rows, failed)
                if number % SAVED == 0:
                    write(table, text(rows.values()))
                report(Progress(len(rows) + len(failed), len(wanted), tuple(failed)))
    finally:
        write(table, text(rows.values()))
    return Progress(len(rows) + len(failed), len(wanted), tuple(failed))


def planned(units: Sequence[Unit], environment: Environment) -> Mapping[Unit, BuildPlan]:
    """The run of each of `units`; FinnError where FINN+ is not ready."""
    folder, made = rtllib(environment), windows.made(units, environment)
    rtl = {kind: files_of(folder, kind) for kind in {unit.kind for unit in units}}
    return {unit: plan(unit, rtl[unit.kind], fpga(unit.device), made.get(unit, ())) for unit in units}


def _note(
    unit: Unit, outcome: Path | BuildError, digests: Mapping[Unit, str], rows: Rows, failed: list[Failure]
) -> None:
    """Adds a finished run to the rows, or to what failed."""
    if isinstance(outcome, BuildError):
        failed.append(Failure(unit.name, unit.device, str(outcome)))
    else:
        found = _row(unit, digests, Yosys().read(outcome).area)
        rows[found.key] = found


def _row(unit: Unit, digests: Mapping[Unit, str], area: Resources = _NOTHING) -> Measurement:
    return Measurement(unit.device, "netlist", unit.kind, unit.parameters, area, None, digests[unit])
