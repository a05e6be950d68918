"""What `hwdse import` does: what Vivado and a board found of a build, as a measured cost of its design in the run."""

import os
from pathlib import Path

from hwdse import finn_folder, finn_layers, finn_results, tables
from hwdse import run as runs
from hwdse.cost import Resources
from hwdse.evaluation import Built
from hwdse.finn import FinnError, builder, reports
from hwdse.finn.messages import Unit
from hwdse.finn_folder import FinnManifest
from hwdse.finn_results import Results
from hwdse.report import write as write_report
from hwdse.report.built import in_words
from hwdse.result import Result, Trial

COLUMNS = ("node", "layer", "LUT", "LUT placed", "FF placed", "DSP", "DSP placed", "BRAM18", "BRAM18 placed")


def import_(folder: Path, run: Path | None) -> tables.Table:
    """Reads the results in `folder` into the run that it was made from, or into `run`."""
    manifest = finn_folder.manifest_of(folder)
    output = folder / builder.OUTPUT
    if not output.is_dir():
        raise FinnError(f"{folder} has no results of FINN: run its {builder.RUN} where Vivado is")
    path = Path(os.path.normpath(folder.resolve() / manifest.run)) if run is None else run
    if run is None and not path.is_dir():
        raise FinnError(f"{folder} was made from the run in {path}, which is not there: name it with --run")
    result = runs.load(path)
    trial = _trial(result, manifest, path)
    finn_folder.check_estimate(reports.estimates(output), manifest.estimate)
    results = finn_results.read(output, manifest)
    layers = finn_layers.layers_of(manifest, result.workload, trial.evaluation.design)
    measured = finn_layers.measured(results, manifest, layers)
    seconds = () if results.seconds is None else (("FINN", results.seconds),)
    predicted = finn_layers.estimated(manifest, layers)
    built = Built(manifest.board.name, manifest.clock_mhz, predicted, measured, seconds, results.frames_per_second)
    kept = result.having_built(trial, built)
    runs.keep(kept, path)
    write_report(kept, path)
    return _summary(folder, path, trial, manifest, results, built)


def _trial(result: Result, manifest: FinnManifest, path: Path) -> Trial:
    """The one with the design of the build."""
    for trial in result.trials:
        if trial.evaluation.design.digest == manifest.chosen:
            return trial
    raise FinnError(
        f"the run in {path} has no design {manifest.chosen}, which the build is of: name its run with --run"
    )


# ---- words ---------------------------------------------------------------------------------------


def _summary(
    folder: Path, path: Path, trial: Trial, manifest: FinnManifest, results: Results, built: Built
) -> tables.Table:
    rows = [_row(unit, _of(results, unit)) for unit in manifest.estimate.units]
    known = {finn_results.placed_name(results, unit.folded.node) for unit in manifest.estimate.units}
    rows += [_placed(name, area) for name, area in results.nodes if name not in known]
    total = _placed("all", results.area)
    failed = f"\nFINN's last run ended with status {results.status!r}." * (results.status != "ok")
    absent = f"\nAbsent, so that nothing is said of it: {', '.join(results.absent)}." * bool(results.absent)
    said = f"{in_words(built)}\nThe folding: {manifest.folding}.{failed}{absent}"
    note = f"{said}\nKept in {path}: {built.measured.calibration}"
    title = f"{folder}: trial {trial.number} of {manifest.study} on {manifest.board.name}, by {built.measured.model}"
    facts: tuple[tuple[str, tables.Cell], ...] = (
        ("mhz", results.mhz),
        ("interval_cycles", results.interval_cycles),
        ("latency_cycles", results.latency_cycles),
        ("frames_per_second", results.frames_per_second),
    )
    return tables.of(title, COLUMNS, [*rows, total], note, facts)


def _of(results: Results, unit: Unit) -> Resources | None:
    return dict(results.nodes).get(finn_results.placed_name(results, unit.folded.node) or "")


def _row(unit: Unit, placed: Resources | None) -> tuple[tables.Cell, ...]:
    if placed is None:
        return unit.folded.node, unit.layer, unit.luts, None, None, unit.dsps, None, unit.bram18s, None
    found = (unit.luts, placed.luts, placed.ffs, unit.dsps, placed.dsps, unit.bram18s, placed.brams)
    return (unit.folded.node, unit.layer, *found)


def _placed(name: str, area: Resources) -> tuple[tables.Cell, ...]:
    return name, None, None, area.luts, area.ffs, None, area.dsps, None, area.brams
