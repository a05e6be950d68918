"""What `hwdse calibrate` does: measures device after device, fits, and says what failed."""

import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from hwdse import tables
from hwdse.calibrated import FILE, Fit, Fits
from hwdse.calibration import chains as layers
from hwdse.calibration import placement, results
from hwdse.calibration.campaign import Failure, Progress, measure, sentences
from hwdse.calibration.plan import SEED, Job, jobs
from hwdse.flows.nextpnr import Nextpnr
from hwdse.netlist import Netlist
from hwdse.placement import FILE as FILE_PLACED
from hwdse.placement import Placement
from hwdse.target import FpgaTarget, fpga
from hwdse.target import devices as known_devices

DATA = Path(str(files("hwdse.cost_models") / "data"))  # what the cost model reads
CACHE = Path.home() / ".cache" / "hwdse"
CHAINED = ("ecp5_25f",)  # where whole layers are placed unless told


def calibrate(
    devices: Sequence[str],
    runs: int | None,
    *,
    placed: bool,
    out: Path = DATA,
    cache: Path = CACHE,
    workers: int | None = None,
) -> Iterator[tables.Table]:
    """Measures units on `devices`, the built-in campaign if none, and fits; gives a table of each.

    ValueError at the end where runs failed, a line for each reason; the tables are complete without them.
    """
    if placed:
        _check_netlists(devices, out)
    failed, found = list[Failure](), list[tuple[Job, Progress]]()
    for job in jobs(devices, runs, placed=placed):
        found.append((job, _run(job, out, cache, workers)))
        failed += found[-1][1].failed
    yield _measured(found, out)
    families = [fpga(job.device).family for job, _ in found]
    yield from fit([family for family in results.measured(out) if family in families], out)
    if failed:
        count = f"{len(failed)} of {sum(progress.total for _, progress in found)} runs failed"
        rest = "the others are kept, and the same command tries these again"
        raise ValueError("\n".join([f"{count}; {rest}:", *sentences(failed)]))


def _check_netlists(devices: Sequence[str], out: Path) -> None:
    """ValueError where there is no table of netlists beside which placed units could be fitted."""
    for job in jobs(devices, placed=True):
        family = fpga(job.device).family
        if family not in results.measured(out):
            raise ValueError(
                f"placed units are fitted beside a table of netlists, which {out} lacks for {family}: "
                f"run hwdse calibrate {job.device} first"
            )


def fit_only(devices: Sequence[str], out: Path = DATA) -> Iterator[tables.Table]:
    """Fits the tables of the families of `devices`, all tables if none, without a run."""
    families = dict.fromkeys(fpga(name).family for name in devices) if devices else results.measured(out)
    if not families:
        raise ValueError(f"there are no measurements in {out}: `hwdse calibrate` makes them")
    yield from fit(tuple(families), out)


def fit(families: Sequence[str], out: Path) -> Iterator[tables.Table]:
    """Fits the tables of `families`; gives a table of the errors on what was left out."""
    if families:
        yield _fitted(results.refit(out, families), out)
        yield from _placed(placement.refit(out, families), families, out)


def chains(
    devices: Sequence[str] = (), *, out: Path = DATA, cache: Path = CACHE, workers: int | None = None
) -> Iterator[tables.Table]:
    """Places and simulates whole layers on `devices`; a table of each, beside the sum of its units' prices."""
    flow = Nextpnr()
    for device in devices or CHAINED:
        target = fpga(device)
        if not flow.claims(target):
            known = ", ".join(name for name in known_devices() if flow.claims(fpga(name)))
            raise ValueError(f"no open tool gives the placed counts of {device!r}; known: {known}")
        table = out / f"{device}.chains.csv"
        shapes = layers.shapes(target)
        flow.programs()
        results.begin(table, results.Made(layers.tools(shapes[0], flow, target), SEED))
        rows = layers.measure(shapes, flow, target, table, cache, workers or os.cpu_count() or 1)
        yield _chained(rows, target, table)


def _chained(rows: Sequence[layers.Chain], target: FpgaTarget, table: Path) -> tables.Table:
    shapes = {shape.name: layers.predict(shape, target) for shape in layers.SHAPES}
    columns = ("chain", "LUT", "placed", "error", "FF", "placed ", "MHz", "routed", "cycles", "simulated")
    found = []
    for row in rows:
        said = shapes[row.name]
        error = f"{100 * (said.area.luts / row.luts - 1):+.1f} %"
        mhz = None if said.clock is None else round(said.clock.mhz, 1)
        area = said.area.luts, row.luts, error, said.area.ffs, row.ffs
        found.append((row.name, *area, mhz, row.mhz, said.cycles, row.cycles))
    return tables.of(f"Chains of units on {target.name}", columns, found, f"Table: {table}")


def _placed(found: Placement, families: Sequence[str], out: Path) -> Iterator[tables.Table]:
    """A table of what placement adds, and one of clocks, where a family of `families` has been placed."""
    cells = [
        (family, one.runs, one.mean_error, one.placing_error, one.coverage)
        for family, one in found.cells.items()
        if family in families
    ]
    names = (("error", "LUT error"), ("placing", "of a known netlist"), ("coverage", "inside"))
    columns = [tables.Column("family", "family", tables.shown), tables.Column("units", "units", tables.shown)]
    columns += [tables.Column(key, name, _percent) for key, name in names]
    if cells:
        yield tables.of(f"As placed, in {out / FILE_PLACED}", columns, cells)
    clocks = [
        (device, one.runs, one.mean_error, one.low, one.high, one.coverage)
        for device, one in found.delays.items()
        if fpga(device).family in families
    ]
    columns = [tables.Column("device", "device", tables.shown), tables.Column("units", "units", tables.shown)]
    columns += [tables.Column("error", "MHz error", _percent)]
    columns += [tables.Column(key, f"MHz {key}", tables.shown) for key in ("low", "high")]
    columns += [tables.Column("coverage", "inside", _percent)]
    if clocks:
        yield tables.of(f"Clocks, in {out / FILE_PLACED}", columns, clocks)


def _run(job: Job, out: Path, cache: Path, workers: int | None) -> Progress:
    """One table, with a progress bar."""
    job.flow.programs()  # first: a missing tool is no reason to begin a table anew
    table, points = out / job.table, job.points
    tools = job.flow.plan(Netlist.of(points[0].unit), fpga(job.device)).tools
    results.begin(table, results.Made(tools, SEED))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        bar = bars.add_task(f"{job.device} {job.counted}", total=job.runs)

        def advance(progress: Progress) -> None:
            bars.update(bar, completed=progress.done, total=progress.total)

        return measure(points, job.flow, table, cache, counted=job.counted, workers=workers, report=advance)


def _measured(found: Sequence[tuple[Job, Progress]], out: Path) -> tables.Table:
    columns = ("device", "table", "units", "failed")
    rows = [(job.device, job.table, progress.total, len(progress.failed)) for job, progress in found]
    return tables.of("Measured", columns, rows, f"Tables, and {results.TOOLS} with what made them: {out}")


def _fitted(found: Mapping[str, Mapping[str, Fits]], out: Path) -> tables.Table:
    columns = [tables.Column("family", "family", tables.shown), tables.Column("module", "module", tables.shown)]
    columns += [tables.Column("units", "units", tables.shown)]
    for count, name in (("luts", "LUT"), ("ffs", "FF")):
        columns.append(tables.Column(f"{count}_error", f"{name} error", _percent))
        columns += [tables.Column(f"{count}_{end}", f"{name} {end}", tables.shown) for end in ("low", "high")]
        columns.append(tables.Column(f"{count}_coverage", f"{name} inside", _percent))
    rows = [
        (family, module, one.luts.runs, *_errors(one.luts), *_errors(one.ffs))
        for family, fits in found.items()
        for module, one in fits.items()
    ]
    note = (
        "Error: the mean of what was left out. 90 % of measured / predicted lie between low and high. "
        "Inside: how many lie in the interval of the others."
    )
    return tables.of(f"Fits in {out / FILE}", columns, rows, note)


def _errors(one: Fit) -> tuple[float, float, float, float]:
    return one.mean_error, one.low, one.high, one.coverage


def _percent(cell: tables.Cell) -> str:
    assert isinstance(cell, int | float)
    return f"{100 * cell:.1f} %"
