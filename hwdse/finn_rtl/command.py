"""What `hwdse calibrate --finn` does: synthesises FINN's RTL, and fits what the cost model `finn-corrected` adds."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from hwdse.calibration.campaign import Progress, sentences
from hwdse.calibration.fit import modules
from hwdse.finn.environment import Environment
from hwdse.finn_fits import FILE, TABLE, Fit, Fits
from hwdse.finn_rtl.campaign import measure
from hwdse.finn_rtl.estimated import lut_ratios, wrong_dsps
from hwdse.finn_rtl.fit import refit
from hwdse.finn_rtl.sample import units
from hwdse.measurements import Measurement, read
from hwdse.tables import Cell, Column, Table, of, shown

NOTE = (
    "Errors of units that were left out of the fit: half of them, and 90 % of them, are nearer. FINN's LUTs: its own "
    "estimate over what was measured, in the middle of the units."
)

VIVADO = "Of queues, whose formula FINN has fitted to Vivado 2026.1, FINN's LUTs over those of yosys"


def calibrate(out: Path, cache: Path, workers: int | None) -> Iterator[Table]:
    """Synthesises the sample and fits it; a table of what was measured, and one of the fits.

    `workers`: runs at a time, one for each core if None. ValueError at the end where runs failed, a line for each
    reason; the tables are complete without them.
    """
    sample, console = units(), Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        bar = bars.add_task("FINN's RTL", total=len(sample))

        def advance(progress: Progress) -> None:
            bars.update(bar, completed=progress.done, total=progress.total)

        done = measure(sample, Environment.default(), out, cache, workers or os.cpu_count() or 1, advance)
    yield of("Measured", ("units", "failed"), [(done.total, len(done.failed))], f"Table: {out / TABLE}")
    yield from fit_only(out)
    if done.failed:
        count = f"{len(done.failed)} of {done.total} runs failed"
        rest = "the others are kept, and the same command tries these again"
        raise ValueError("\n".join([f"{count}; {rest}:", *sentences(done.failed)]))


def fit_only(out: Path) -> Iterator[Table]:
    """Fits what is measured, without a run; ValueError where nothing is."""
    columns = [Column(name, name, shown) for name in ("kind", "units")]
    for count in ("LUT", "FF"):
        columns += [Column(f"{count} {error}", f"{count} {error}", _percent) for error in ("median", "90 %")]
    columns += [Column("FINN", "FINN's LUTs", _times), Column("wrong", "FINN's DSPs wrong", shown)]
    found, measured = refit(out), modules(read(out / TABLE))
    rows = [_row(kind, fits, measured[kind]) for kind, fits in found.items()]
    queues = lut_ratios("finn_fifo", measured.get("finn_fifo", ()))
    vivado = f" {VIVADO}: {queues[0]:.2f} to {queues[-1]:.2f}." if queues else ""
    yield of(f"Fits in {out / FILE}", columns, rows, f"{NOTE}{vivado}")


def _row(kind: str, fits: Fits, rows: Sequence[Measurement]) -> tuple[Cell, ...]:
    ratios = lut_ratios(kind, rows)
    own = median(ratios) if ratios else None, wrong_dsps(kind, rows)
    return (kind, fits.luts.runs, *_errors(fits.luts), *_errors(fits.ffs), *own)


def _errors(one: Fit) -> tuple[float, float]:
    return one.median_error, one.ninth_decile_error


def _percent(cell: Cell) -> str:
    assert isinstance(cell, int | float)
    return f"{100 * cell:.1f} %"


def _times(cell: Cell) -> str:
    """Of a ratio; nothing where FINN has no node."""
    return "" if cell is None else f"{cell:.2f}"
