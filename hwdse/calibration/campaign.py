"""Runs a sample through a flow on all cores, and keeps a table of the results that grows while it runs.

What the table has already is not run again, and a run that a kill has lost is in the cache of builds or is repeated.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hwdse.build import BuildError, BuildPlan, run_all
from hwdse.calibration.sample import Point
from hwdse.cost import Resources
from hwdse.flow import Flow
from hwdse.measurements import Measurement, read, text
from hwdse.netlist import Netlist, modules, rtl_digest
from hwdse.target import fpga

SAVE_SECONDS = 20.0  # how often the table is written

Key = tuple[str, str, str, str, str]  # of a measurement


@dataclass(frozen=True, slots=True)
class Failure:
    """A run without a result, and why."""

    unit: str
    device: str
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a campaign is; `done` counts what failed too."""

    done: int
    total: int
    failed: tuple[Failure, ...]


def measure(
    points: Sequence[Point],
    flow: Flow,
    table: Path,
    cache: Path,
    *,
    counted: str,
    workers: int | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Adds the measurements of `points` by `flow`, which counts `counted`, to `table`, and says what failed.

    Rows of an RTL that is no longer this one are dropped. `workers`: processes at a time, all cores if None.
    ValueError where the table is none or cannot be written, or a tool is not installed; finished rows are in the table
    then, and after an interrupt.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"a calibration has at least one worker, not {workers}")
    rows = {row.key: row for row in current(read(table) if table.exists() else ())}
    wanted = {_row(point, counted, Resources(), None).key: point for point in points}
    plans, owners = _planned({key: point for key, point in wanted.items() if key not in rows}, flow)
    programs = flow.programs() if plans else {}
    _save(table, rows.values())  # now, so that a folder that cannot be written is found before hours of work
    failed, saved = list[Failure](), time.monotonic()
    done = len(wanted) - sum(len(keys) for keys in owners.values())
    report(Progress(done, len(wanted), ()))
    cores = (os.cpu_count() or 1) if workers is None else workers
    try:
        with closing(run_all(plans, cache, programs, cores)) as outcomes:
            for plan, outcome in outcomes:
                for key in owners[plan.digest]:
                    found = _measured(wanted[key], outcome, flow, counted)
                    if isinstance(found, Failure):
                        failed.append(found)
                    else:
                        rows[key] = found
                    done += 1
                if time.monotonic() - saved >= SAVE_SECONDS:
                    _save(table, rows.values())
                    saved = time.monotonic()
                report(Progress(done, len(wanted), tuple(failed)))
    finally:
        _save(table, rows.values())
    return Progress(done, len(wanted), tuple(failed))


def current(rows: Iterable[Measurement]) -> list[Measurement]:
    """The measurements of today's RTL."""
    return [row for row in rows if row.module in modules() and row.rtl == rtl_digest(row.module)]


def sentences(failed: Iterable[Failure]) -> list[str]:
    """What failed: a sentence for each reason, so that a full disk is one and not a thousand."""
    reasons = dict[str, list[Failure]]()
    for one in failed:
        reasons.setdefault(one.reason, []).append(one)
    return [f"{alike[0].unit} on {alike[0].device}{_more(len(alike))}: {reason}" for reason, alike in reasons.items()]


def _more(count: int) -> str:
    return f" and {count - 1} more" if count > 1 else ""


def _planned(missing: Mapping[Key, Point], flow: Flow) -> tuple[list[BuildPlan], dict[str, list[Key]]]:
    """What is to be run, and by its digest what it measures: devices of a family may share a run."""
    plans, owners = list[BuildPlan](), dict[str, list[Key]]()
    for key, point in missing.items():
        plan = flow.plan(Netlist.of(point.unit), fpga(point.device))
        digest = plan.digest
        if digest not in owners:
            plans.append(plan)
        owners.setdefault(digest, []).append(key)
    return plans, owners


def _row(point: Point, counted: str, area: Resources, mhz: float | None) -> Measurement:
    unit = point.unit
    return Measurement(point.device, counted, unit.module, unit.parameters, area, mhz, rtl_digest(unit.module))


def _measured(point: Point, outcome: Path | BuildError, flow: Flow, counted: str) -> Measurement | Failure:
    """The row of a finished run, or what went wrong."""
    if isinstance(outcome, BuildError):
        return Failure(point.unit.name, point.device, str(outcome))
    try:
        found = flow.read(outcome)
    except ValueError as error:
        return Failure(point.unit.name, point.device, f"{error}; remove {outcome} to run it again")
    return _row(point, counted, found.area, found.mhz)


def _save(table: Path, rows: Iterable[Measurement]) -> None:
    write(table, text(rows))


def write(file: Path, content: str) -> None:
    """Replaces a file in one step, so that a kill leaves the old one or the new one; ValueError where it cannot."""
    part = file.with_name(f"{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(content, encoding="utf-8")
        part.replace(file)
    except OSError as error:
        raise ValueError(f"{file} cannot be written: {error.strerror or error}") from None
