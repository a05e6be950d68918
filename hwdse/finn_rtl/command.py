"""What `hwdse calibrate --finn` does: synthesises FINN's RTL, and fits what the cost model `finn-corrected` adds."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from hwdse.calibration.campaign import Progress, sentences
from hwdse.finn.environment import Environment
from hwdse.finn_rtl.campaign import measure
from hwdse.finn_rtl.sample import units
from hwdse.tables import Table, of


def calibrate(out: Path, cache: Path, workers: int) -> Iterator[Table]:
    """Synthesises the sample; a table of what was measured, and one of the fits.

    ValueError at the end where runs failed, a line for each reason; the table is complete without them.
    """
    sample, console = units(), Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        bar = bars.add_task("FINN's RTL", total=len(sample))

        def advance(progress: Progress) -> None:
            bars.update(bar, completed=progress.done, total=progress.total)

        done = measure(sample, Environment.default(), out, cache, workers, advance)
    yield of("Measured", ("units", "failed"), [(done.total, len(done.failed))])
    if done.failed:
        raise ValueError("\n".join([f"{len(done.failed)} of {done.total} runs failed:", *sentences(done.failed)]))
