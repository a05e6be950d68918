"""What `hwdse estimate` does: FINN's own numbers for a design of a run, beside the prediction, and kept in the run.

FINN folds its nodes as `hwdse.finn_pace` does: those with weights as the design says, the others as fast as these. So
the two prices are of one accelerator at one rate.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hwdse import cost_model, finn_estimate, study, tables
from hwdse import run as runs
from hwdse.cost import FpgaCost, LayerCost, Resources, Term
from hwdse.cost_models.finn import UNCOUNTED, Finn
from hwdse.finn import Environment, FinnError
from hwdse.finn.correspondence import folding_of, pairs
from hwdse.finn.estimates import SECONDS, Wish, refold
from hwdse.finn.messages import Hello, Priced, Unit
from hwdse.finn.process import Worker
from hwdse.finn_graph import Placed
from hwdse.report import write as write_report
from hwdse.report.beside import notes
from hwdse.result import Result, Trial
from hwdse.target import FpgaTarget, devices, fpga

CORRECTED = "finn-corrected"


def estimate(path: Path, name: str) -> tables.Table:
    """FINN's estimate of a design of the run in `path`, layer by layer."""
    result, part = runs.load(path), study.load(path / "study.toml")
    trial, target = runs.pick(result, name), part.on_fpga.fpga
    check(target)
    placed = Finn().placed(result.workload, trial.evaluation.design, target)
    with Worker(Environment.default()) as worker:
        bench, data = runs.bench_and_data(part)
        wish = Wish(target.part, result.clock, frames_per_second=1)  # folded as little as can be, and then as told
        found = finn_estimate.estimate(worker, bench, trial.evaluation.design, wish, data.test)
        folding = folding_of(found.estimated.priced.units, placed)
        priced = refold(worker, found.estimated, target.part, folding)
        version = worker.ask(Hello(), SECONDS).finn
    own = cost(result, target, priced, placed, version, found.images)
    corrected = cost_model.for_fpgas(CORRECTED, {})
    others = (corrected,) if corrected.name != trial.evaluation.fpga.model else ()
    costs = (one.cost(result.workload, trial.evaluation.design, target, result.clock) for one in others)
    kept = result.having(replace(trial, evaluation=replace(trial.evaluation, estimates=(own, *costs))))
    runs.keep(kept, path)
    write_report(kept, path)
    return _table(kept.trial(trial.number), target)


def check(target: FpgaTarget) -> None:
    """FinnError for a device that FINN has nothing for."""
    if not Finn().claims(target):
        known = ", ".join(name for name in devices() if Finn().claims(fpga(name)))
        raise FinnError(f"FINN makes accelerators for devices of AMD, unlike {target.name!r}; known: {known}")


def cost(
    result: Result, target: FpgaTarget, priced: Priced, placed: Sequence[Placed], version: str, images: int
) -> FpgaCost:
    """FINN's numbers as a cost: a term for each of its nodes, in the layer that it is of."""
    found = pairs(priced.units, placed)
    calibration = (
        f"FINN's own estimates for {target.part}; behind each of its steps {images} images have the logits of the "
        f"Brevitas model. {UNCOUNTED[0].upper()}{UNCOUNTED[1:]}"
    )
    names = [layer.name for layer in result.workload.layers]
    layers = ((name, [(unit, one) for unit, one in found if one.layer == name]) for name in names)
    made = tuple(_layer(name, own) for name, own in layers if own)
    cycles = priced.interval_cycles, priced.latency_cycles
    return FpgaCost(made, *cycles, result.clock, target.name, f"finn-plus {version}", calibration)


def _layer(name: str, own: Sequence[tuple[Unit, Placed]]) -> LayerCost:
    terms = tuple(Term(one.role, _area(unit), variant=unit.operation) for unit, one in own)
    return LayerCost(name, terms, max(unit.cycles for unit, _ in own), 0)  # it says nothing of pipelines


def _area(unit: Unit) -> Resources:
    return Resources(luts=unit.luts, dsps=unit.dsps, brams=unit.bram18s, urams=unit.urams)


# ---- words ---------------------------------------------------------------------------------------


COLUMNS = ("layer", "by", "cycles", "LUT", "DSP", "BRAM18", "URAM", "nodes, or made of")


def _table(trial: Trial, target: FpgaTarget) -> tables.Table:
    """For each layer and for all a row of the prediction, of FINN and of its correction."""
    evaluation = trial.evaluation
    costs = (evaluation.fpga, *evaluation.estimates)
    names = dict.fromkeys(layer.layer for one in costs for layer in one.layers)
    rows = [_row(one, layer) for name in names for one in costs for layer in one.layers if layer.layer == name]
    rows += [("total", one.model, *_cells(one.interval_cycles, one.area), None) for one in costs]
    said = " ".join(notes(evaluation.fpga, evaluation.estimates[0]))
    trust = "\n".join(f"{one.model}: {one.calibration}" for one in evaluation.estimates)
    return tables.of(f"trial {trial.number} on {target.name}, by FINN", COLUMNS, rows, f"{said}\n{trust}")


def _row(of: FpgaCost, layer: LayerCost) -> tuple[tables.Cell, ...]:
    nodes = "; ".join(dict.fromkeys(f"{term.name}: {term.variant}" for term in layer.terms if term.variant))
    return layer.layer, of.model, *_cells(layer.cycles, layer.area), nodes or None


def _cells(cycles: int, area: Resources) -> tuple[tables.Cell, ...]:
    return cycles, area.luts, area.dsps, area.brams, area.urams
