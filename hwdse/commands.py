"""What the commands of the command line do, each giving a table or a path."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hwdse import models, plugins, study, tables, zoo
from hwdse import run as runs
from hwdse.cost import FpgaCost
from hwdse.cost_model import CostModel
from hwdse.design import Design, Quantizer
from hwdse.evaluation import paired
from hwdse.export import export as export_model
from hwdse.folding import fold
from hwdse.metrics import metric
from hwdse.report import write as write_report
from hwdse.result import Result, Trial
from hwdse.search import Progress as Step
from hwdse.target import fpga
from hwdse.trace import trace
from hwdse.workload import Workload


def run(
    name: str, out: Path, storage: str | None, store: Path | None, settings: tuple[str, ...]
) -> Iterator[tables.Table]:
    """Runs a study with a progress bar, writes its report, and gives the table of its front, network by network."""
    for part, folder in runs.parts(study.load(name, settings), out):
        result = _with_progress(part, folder, storage, store)
        yield front_of(result, str(write_report(result, folder)))


def _with_progress(part: study.Study, folder: Path, storage: str | None, store: Path | None) -> Result:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        bar = bars.add_task(part.name, total=part.trials)

        def advance(step: Step) -> None:
            bars.update(
                bar, completed=step.done, total=step.total, description=f"{part.name} {step.stage}: {step.text}"
            )

        return runs.run(part, folder, storage=storage, store=store, report=advance)


def front(path: Path) -> tables.Table:
    """The front of a finished run."""
    return front_of(runs.load(path), str(path / "report.html"))


def front_of(result: Result, report: str) -> tables.Table:
    """One row per front design, cheapest first, with what it loses on the test split."""
    metrics = [metric(objective.metric) for objective in result.objectives]
    columns = ("trial", "role", "digest", *(m.label for m in metrics), "test top-1", "test - float (95 %)")
    rows = [_front_row(result, result.trial(number)) for number in result.front]
    cost = result.trial(result.best).evaluation.predicted
    note = f"{cost.device} at an assumed {cost.clock_mhz:g} MHz. Predicted, {cost.calibration}\nReport: {report}"
    return tables.of(f"Pareto front of {result.study}", columns, rows, note, _facts(cost))


def _front_row(result: Result, trial: Trial) -> tuple[tables.Cell, ...]:
    roles = {"best": result.best, "knee": result.knee, "baseline": result.baseline}
    role = ", ".join(name for name, number in roles.items() if number == trial.number)
    shown = [metric(o.metric).show(v) for o, v in zip(result.objectives, trial.values, strict=True)]
    test = trial.evaluation.accuracy("test")
    difference = paired(test, result.float_accuracy("test"))
    low, high = (100 * x for x in difference.interval)
    lost = f"{100 * difference.value:+.2f} points ({low:+.2f} to {high:+.2f})"
    return trial.number, role, trial.evaluation.design.digest, *shown, f"{100 * test.top1:.2f} %", lost


def layers(path: Path, design: str) -> tables.Table:
    """What one design of a run costs, layer by layer."""
    result = runs.load(path)
    trial = runs.pick(result, design)
    return layers_of(trial.evaluation.predicted, trial.evaluation.design, result.workload)


def layers_of(cost: FpgaCost, design: Design, workload: Workload) -> tables.Table:
    """One row per layer and one for the total."""
    bram = f"BRAM{fpga(cost.device).bram_kib}"
    columns = ("layer", "weights", "inputs", "folding", "accumulator", "LUT", "FF", "DSP", bram, "cycles")
    weights, sites = dict(design.weights), dict(design.activations)
    rows: list[tuple[tables.Cell, ...]] = []
    for layer in cost.layers:
        inputs = ", ".join(dict.fromkeys(sites[site].name for site in workload.layer(layer.layer).inputs))
        own = weights[layer.layer].name if layer.layer in weights else None
        folding, area = layer.folding.name if layer.folding is not None else None, layer.area
        counts = (area.luts, area.ffs, area.dsps, area.brams, layer.cycles)
        rows.append((layer.layer, own, inputs, folding, layer.accumulator_bits, *counts))
    area = cost.area
    rows.append(("total", None, None, None, None, area.luts, area.ffs, area.dsps, area.brams, cost.interval_cycles))
    title = f"{workload.name} as design {design.digest}"
    return tables.of(title, columns, rows, _summary(cost), _facts(cost))


def _summary(cost: FpgaCost) -> str:
    used = ", ".join(f"{100 * share:.1f} % {name}" for name, share in _shares(cost))
    rate = f"{cost.frames_per_second:,.0f} frames/s, {1e6 * cost.latency_seconds:,.1f} us latency"
    fits = "fits" if all(share <= 1 for _, share in _shares(cost)) else "DOES NOT FIT"
    outside = f"The total is {cost.label}.\n" if cost.outside else ""
    return (
        f"{cost.device} at an assumed {cost.clock_mhz:g} MHz: {rate}; {fits}: {used}.\n"
        f"{outside}Predicted, {cost.calibration}"
    )


def _shares(cost: FpgaCost) -> tuple[tuple[str, float], ...]:
    """The part of the device that a design uses, resource by resource."""
    target, area = fpga(cost.device), cost.area
    pairs = {
        "LUT": (area.luts, target.luts),
        "FF": (area.ffs, target.ffs),
        "DSP": (area.dsps, target.dsps),
        f"BRAM{target.bram_kib}": (area.brams, target.brams),
    }
    return tuple((name, own / have) for name, (own, have) in pairs.items())


def _facts(cost: FpgaCost) -> tuple[tuple[str, tables.Cell], ...]:
    return (
        ("device", cost.device),
        ("clock_mhz", cost.clock_mhz),
        ("frames_per_second", cost.frames_per_second),
        ("latency_seconds", cost.latency_seconds),
        ("fits", all(share <= 1 for _, share in _shares(cost))),
        ("outside", cost.label),
        ("calibration", cost.calibration),
    )


@dataclass(frozen=True, slots=True)
class CostQuestion:
    """What is priced where."""

    model: str
    shape: str | None  # of one input; known for the built-in networks
    device: str
    frames_per_second: float
    clock_mhz: float
    cost_model: str
    hardware: bool


def cost(
    question: CostQuestion, file: Path | None, weights: str, activations: str, settings: dict[str, str]
) -> tables.Table:
    """Prices a design file, or one pair of quantizers everywhere (taken as written: name unsigned ones yourself)."""
    target = fpga(question.device)
    contract: type[CostModel] = CostModel  # type: ignore[type-abstract]  # its subclasses are not
    model = plugins.named("hwdse.cost_models", contract, question.cost_model)(**settings)
    if question.frames_per_second <= 0 or question.clock_mhz <= 0:
        raise ValueError(f"rates are positive, not {question.frames_per_second:g} fps at {question.clock_mhz:g} MHz")
    workload = _workload(question)
    design = _read_design(file) if file is not None else _uniform(workload, weights, activations)
    workload.check(design)
    if not design.folding:
        foldings = fold(workload, int(question.clock_mhz * 1e6 / question.frames_per_second))
        design = Design(
            design.weights, design.activations, tuple(sorted(foldings.items())), design.recipe, design.hardware
        )
    return layers_of(model.cost(workload, design, target, question.clock_mhz), design, workload)


SHAPES = {"digits": (1, 8, 8), "cifar": (3, 32, 32), "torchvision:": (3, 224, 224)}  # by how a network's name begins


def _workload(question: CostQuestion) -> Workload:
    """Of the architecture alone: the price of a network needs no trained weights."""
    name = question.model
    network = zoo.build(name) if name in zoo.names() else models.load(models.ModelSpec(name))
    return trace(network, torch.zeros(1, *_shape(question)), name, hardware=question.hardware).workload


def _shape(question: CostQuestion) -> tuple[int, ...]:
    if question.shape is None:
        for start, shape in SHAPES.items():
            if question.model.startswith(start):
                return shape
        raise ValueError(f"the input shape of network {question.model!r} is not known; give --shape, e.g. 3,32,32")
    if not re.fullmatch(r"\d+(,\d+)*", question.shape):
        raise ValueError(f"a shape is written as numbers with commas, e.g. 3,32,32, not {question.shape!r}")
    return tuple(int(size) for size in question.shape.split(","))


def _read_design(file: Path) -> Design:
    try:
        text = file.read_text()
    except OSError as error:
        raise ValueError(f"the design file {file} cannot be read: {error.strerror}") from None
    return Design.parse(text)


def _uniform(workload: Workload, weights: str, activations: str) -> Design:
    return Design.of(
        dict.fromkeys((layer.name for layer in workload.weighted), Quantizer.parse(weights)),
        dict.fromkeys((site.name for site in workload.sites), Quantizer.parse(activations)),
        hardware=workload.hardware,
    )


def export(path: Path, design: str, out: Path) -> Path:
    """Writes the Brevitas model of one design of a run."""
    result = runs.load(path)
    trial = runs.pick(result, design)
    evaluator, workload, _ = runs.network(study.load(path / "study.toml"))
    title = f"{workload.name}, quantised: trial {trial.number} of study {result.study}."
    return export_model(evaluator.bench, trial.evaluation.design, out, title=title)  # type: ignore[attr-defined]
