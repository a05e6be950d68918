"""What the commands of the command line do, each giving a table or a path."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hwdse import gpu_commands, study, tables
from hwdse import run as runs
from hwdse.cost import Cost, FpgaCost, GpuCost
from hwdse.design import Design, Quantizer
from hwdse.energy import PICO
from hwdse.evaluation import paired, perplexity_ratio
from hwdse.export import export as export_model
from hwdse.metrics import Metric, metric
from hwdse.pricing import Question, price, read_design
from hwdse.report import write as write_report
from hwdse.report.built import in_words as built_in_words
from hwdse.report.describe import clock_in_words, energy_in_words, unit_of
from hwdse.report.sides import write as write_sides
from hwdse.result import Result, Trial
from hwdse.run import side_by_side
from hwdse.search import Progress as Step
from hwdse.side_tables import sides_of
from hwdse.target import fpga, uses
from hwdse.workers import Workers
from hwdse.workload import Workload


def run(
    name: str, out: Path, storage: str | None, store: str | None, workers: Workers, settings: tuple[str, ...]
) -> Iterator[tables.Table]:
    """Runs a study with a progress bar, writes its report, and gives the table of its front, network by network."""
    for network, place in runs.networks(study.load(name, settings), out):
        shared, results = runs.store_of(network, place, storage, store), list[Result]()
        for part, folder in runs.targets(network, place):
            results.append(_with_progress(part, folder, storage, shared, workers))
            yield front_of(results[-1], str(write_report(results[-1], folder)))
        if len(results) > 1:
            sides = side_by_side.join(network, results, place)
            yield sides_of(sides, results, str(write_sides(sides, results, place)))


def _with_progress(
    part: study.Study, folder: Path, storage: str | None, store: str | Path | None, workers: Workers
) -> Result:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        bar = bars.add_task(part.name, total=part.trials)

        def advance(step: Step) -> None:
            bars.update(
                bar, completed=step.done, total=step.total, description=f"{part.name} {step.stage}: {step.text}"
            )

        return runs.run(part, folder, storage=storage, store=store, workers=workers, report=advance)


def front(path: Path) -> tables.Table:
    """The front of a finished run; of a study of several targets, the designs of all fronts."""
    if side_by_side.is_joined(path):
        sides, results = side_by_side.load_joined(path)
        return sides_of(sides, results, str(path / "report.html"))
    return front_of(runs.load(path), str(path / "report.html"))


def front_of(result: Result, report: str) -> tables.Table:
    """One row per front design, cheapest first, with what it loses on the test split."""
    columns: list[str | tables.Column] = ["trial", "role", "digest"]
    columns += [_column(metric(objective.metric)) for objective in result.objectives]
    if result.of_text:
        columns += [tables.Column("test_perplexity", "test perplexity", lambda x: f"{_number(x):.4g}")]
        columns += [tables.Column(key, words, _per_cent) for key, words in RATIO]
    else:
        columns += [tables.Column("test_top1", "test top-1", lambda x: f"{100 * _number(x):.2f} %")]
        columns += [tables.Column(key, words, _points) for key, words in DIFFERENCE]
    rows = [_front_row(result, result.trial(number)) for number in result.front]
    cost = result.trial(result.best).evaluation.predicted
    note = f"{_place(cost)}{cost.calibration}\nReport: {report}"
    return tables.of(f"Pareto front of {result.study}", columns, rows, note, facts_of(cost))


def _place(cost: Cost) -> str:
    """The device, how the network runs there, and that the costs are predicted."""
    if isinstance(cost, GpuCost):
        return f"{cost.device} with batches of {cost.batch}. Predicted, "
    return f"{cost.device} at {clock_in_words(cost)}. Predicted, "


def write_again(path: Path) -> Path:
    """The path of the report of a finished run, written once more."""
    if side_by_side.is_joined(path):
        sides, results = side_by_side.load_joined(path)
        for folder, result in zip(sides.folders, results, strict=True):
            write_report(result, path / folder)
        return write_sides(sides, results, path)
    return write_report(runs.load(path), path)


DIFFERENCE = (("test_difference", "test - float, points"), ("difference_low", "95 % from"), ("difference_high", "to"))
RATIO = (("test_ratio", "over float, %"), ("ratio_low", "95 % from"), ("ratio_high", "to"))  # of perplexities


def _column(of: Metric) -> tables.Column:
    return tables.Column(of.name, of.label, lambda x: of.show(_number(x)))


def _number(cell: tables.Cell) -> float:
    assert isinstance(cell, int | float)
    return float(cell)


def _points(cell: tables.Cell) -> str:
    return f"{100 * _number(cell):+.2f}"


def _per_cent(cell: tables.Cell) -> str:
    """Of a ratio, by how much it is above one."""
    return f"{100 * (_number(cell) - 1):+.2f}"


def _front_row(result: Result, trial: Trial) -> tuple[tables.Cell, ...]:
    roles = {"best": result.best, "knee": result.knee, "baseline": result.baseline}
    role = ", ".join(name for name, number in roles.items() if number == trial.number)
    test = trial.evaluation.accuracy("test")
    goal = result.float_accuracy("test")
    if result.of_text:
        quality, (change, interval) = test.perplexity, perplexity_ratio(test, goal)
    else:
        quality, (change, interval) = test.top1, paired(test, goal)
    values = (*trial.values, quality, change, *interval)
    return trial.number, role, trial.evaluation.design.digest, *values


def layers(path: Path, design: str) -> tables.Table:
    """What one design of a run costs, layer by layer, and what it took on the boards that it was built for."""
    result = runs.load(path)
    evaluation = runs.pick(result, design).evaluation
    table = layers_of(evaluation.predicted, evaluation.design, result.workload, unit_of(result))
    return replace(table, note="\n".join([table.note, *map(built_in_words, evaluation.built)]))


def layers_of(cost: Cost, design: Design, workload: Workload, unit: str = "frame") -> tables.Table:
    """One row per layer and one for the total; on a GPU a batch has so many of a unit."""
    if isinstance(cost, GpuCost):
        return gpu_commands.layers_of(cost, design, workload, unit)
    bram = f"BRAM{fpga(cost.device).bram_kib}"
    columns: list[str | tables.Column] = ["layer", "weights", "inputs", "folding", "accumulator"]
    columns += ["LUT", "FF", "DSP", bram, "cycles", tables.Column("dynamic_joules", "stated nJ, dynamic", _nanojoules)]
    weights, sites = dict(design.weights), dict(design.activations)
    rows: list[tuple[tables.Cell, ...]] = []
    for layer in cost.layers:
        inputs = ", ".join(dict.fromkeys(sites[site].name for site in workload.layer(layer.layer).inputs))
        own = weights[layer.layer].name if layer.layer in weights else None
        folding, area = layer.folding.name if layer.folding is not None else None, layer.area
        spent = None if layer.energy is None else layer.energy.dynamic_pj * PICO
        counts = (area.luts, area.ffs, area.dsps, area.brams, layer.cycles, spent)
        rows.append((layer.layer, own, inputs, folding, layer.accumulator_bits, *counts))
    area, energy = cost.area, cost.energy
    spent = None if energy is None else energy.dynamic.dynamic_pj * PICO
    counts = (area.luts, area.ffs, area.dsps, area.brams, cost.interval_cycles, spent)
    rows.append(("total", None, None, None, None, *counts))
    title = f"{workload.name} as design {design.digest}"
    return tables.of(title, columns, rows, summary_of(cost), facts_of(cost))


def _nanojoules(cell: tables.Cell) -> str:
    return "-" if cell is None else f"{1e9 * _number(cell):,.4g}"


def summary_of(cost: FpgaCost) -> str:
    """What a price says, in words."""
    found = uses(cost.area, fpga(cost.device))
    used = ", ".join(f"{use.used:,} of {use.available:,} {use.name}" for use in found)
    rate = f"{cost.frames_per_second:,.0f} frames/s, {1e6 * cost.latency_seconds:,.1f} us latency"
    outside = f"The total is {cost.label}.\n" if cost.outside else ""
    energy, by = energy_in_words(cost), cost.stated
    stated = f"Energy: {energy}: {by.source}\n" if energy is not None and by is not None else ""
    verdict = "fits" if _fits(cost) else "DOES NOT FIT"
    return (
        f"{cost.device} at {clock_in_words(cost)}: {rate}; {verdict}: {used}.\n"
        f"{outside}{stated}Predicted, {cost.calibration}"
    )


def _fits(cost: FpgaCost) -> bool:
    return all(use.share <= 1 for use in uses(cost.area, fpga(cost.device)))


def facts_of(cost: Cost) -> tuple[tuple[str, tables.Cell], ...]:
    """What it says, for programs."""
    if isinstance(cost, GpuCost):
        return gpu_commands.facts_of(cost)
    energy, stated = cost.energy, cost.stated
    return (
        ("device", cost.device),
        ("clock_mhz", cost.clock_mhz),
        ("predicted_mhz", None if cost.clock is None else cost.clock.mhz),
        ("frames_per_second", cost.frames_per_second),
        ("latency_seconds", cost.latency_seconds),
        ("fits", _fits(cost)),
        ("outside", cost.label),
        ("calibration", cost.calibration),
        ("energy_joules", None if energy is None else energy.joules),
        ("energy_dynamic_joules", None if energy is None else energy.dynamic.dynamic_pj * PICO),
        ("energy_label", None if energy is None else energy.label),
        ("energy_source", None if stated is None else stated.source),
    )


def cost(
    question: Question, file: Path | None, weights: str, activations: str, settings: dict[str, str]
) -> tables.Table:
    """Prices a design file, or one pair of quantizers everywhere."""
    design = read_design(file) if file is not None else (Quantizer.parse(weights), Quantizer.parse(activations))
    priced = price(question, design, **settings)
    unit = "token" if question.run.tokens == "one" else "frame"
    return layers_of(priced.cost, priced.design, priced.workload, unit)


def export(path: Path, design: str, out: Path) -> Path:
    """Writes the Brevitas model of one design of a run."""
    result = runs.load(path)
    trial = runs.pick(result, design)
    bench = runs.bench(study.load(path / "study.toml"))
    title = f"{result.workload.name}, quantised: trial {trial.number} of study {result.study}."
    return export_model(bench, trial.evaluation.design, out, title=title)
