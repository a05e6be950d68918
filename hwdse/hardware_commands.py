"""What the commands about hardware do: the terms of a price, and the units of a design synthesised for real."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hwdse import run as runs
from hwdse import study, tables
from hwdse.accelerator import Element
from hwdse.commands import facts_of, summary_of
from hwdse.cost import Clock, FpgaCost, GpuCost, LayerCost, Resources, Term
from hwdse.cost_models.dataflow import Dataflow
from hwdse.design import Quantizer
from hwdse.flow import Flow
from hwdse.flows.nextpnr import Nextpnr
from hwdse.flows.yosys import Yosys
from hwdse.pricing import Question, price, read_design
from hwdse.report import write as write_report
from hwdse.result import Result, Trial
from hwdse.synthesis import Compared, compare
from hwdse.target import FpgaTarget, devices, fpga

FLOWS: dict[bool, tuple[str, Flow]] = {  # placed or not -> its name in a result, and the flow
    False: ("yosys 0.70", Yosys()),
    True: ("nextpnr 0.11.1", Nextpnr()),
}


def explain(
    question: Question, file: Path | None, weights: str, activations: str, settings: dict[str, str]
) -> tables.Table:
    """The terms of every layer's price, each with the bounds of its interval."""
    design = read_design(file) if file is not None else (Quantizer.parse(weights), Quantizer.parse(activations))
    priced = price(question, design, **settings)
    cost = priced.cost
    if isinstance(cost, GpuCost):
        raise ValueError(f"a layer on {cost.device!r} is one kernel without terms, so that it goes without --explain")
    bram = f"BRAM{fpga(cost.device).bram_kib}"
    columns = ("layer", "term", "LUT", "LUT from", "to", "FF", "DSP", bram, "made of")
    rows: list[tuple[tables.Cell, ...]] = [
        (layer.layer, term.name, *_between(term), term.area.ffs, term.area.dsps, term.area.brams, term.variant or None)
        for layer in cost.layers
        for term in layer.terms
    ]
    (low, high), area = cost.bounds, cost.area
    rows.append(("total", None, area.luts, low.luts, high.luts, area.ffs, area.dsps, area.brams, None))
    title = f"{priced.workload.name} as design {priced.design.digest}, term by term"
    return tables.of(title, columns, rows, summary_of(cost), facts_of(cost))


def _between(term: Term) -> tuple[int, int | None, int | None]:
    """LUTs with their bounds, where they are known."""
    low, high = (None if bound is None else bound.luts for bound in (term.low, term.high))
    return term.area.luts, low, high


def synth(
    path: Path, design: str, only: str | None, cache: Path, workers: int | None, *, placed: bool = False
) -> tables.Table:
    """Synthesises the units of a design of a run, or of one of its layers, and compares with the prediction.

    `placed`: places and routes each of them too.
    """
    result, part = runs.load(path), study.load(path / "study.toml")
    trial, target, model = runs.pick(result, design), part.on_fpga.fpga, part.on_fpga.model
    if not isinstance(model, Dataflow):
        raise ValueError(f"cost model {model.name!r} has no units to synthesise; use dataflow")
    (name, flow) = FLOWS[placed]
    if not flow.claims(target):
        known = ", ".join(device for device in devices() if flow.claims(fpga(device)))
        raise ValueError(f"no open tool {'places' if placed else 'synthesises for'} {target.name!r}; known: {known}")
    names = [layer.layer for layer in trial.evaluation.fpga.layers]
    if only is not None and only not in names:
        raise ValueError(f"no layer {only!r} in the accelerator; known: {', '.join(names)}")
    made = model.elements(result.workload, trial.evaluation.design, target)
    units = [(layer, unit) for layer, some in made.items() if only in (None, layer) for unit in some]
    found = _synthesised(units, flow, target, cache, workers or os.cpu_count() or 1)
    if only is None:
        kept = _with(result, trial, _measured(trial.evaluation.fpga, found, name, placed=placed))
        runs.keep(kept, path)
        write_report(kept, path)
    title = f"trial {trial.number} of {result.study} on {target.name}: {name} beside the prediction"
    return _compared(found, title, "placed" if placed else "synthesised")


def _measured(predicted: FpgaCost, found: Sequence[Compared], name: str, *, placed: bool) -> FpgaCost:
    """The predicted cost with the area, and where units were placed the clock, that was measured."""
    layers = tuple(_layer(layer, [one for one in found if one.layer == layer.layer]) for layer in predicted.layers)
    calibration = f"measured {'unit by unit as placed' if placed else 'before placement'}; random memories"
    return replace(predicted, layers=layers, model=name, calibration=calibration, stated=None)


def _layer(predicted: LayerCost, found: Sequence[Compared]) -> LayerCost:
    slowest = min((one.mhz for one in found if one.mhz is not None), default=None)
    clock = None if slowest is None else Clock(slowest, slowest, slowest)
    return replace(predicted, terms=tuple(_terms(found)), clock=clock, energy=None)


def _terms(found: Iterable[Compared]) -> Iterator[Term]:
    """A term for each role."""
    areas = dict[str, Resources]()
    for one in found:
        areas[one.element.role] = areas.get(one.element.role, Resources()) + one.measured
    yield from (Term(role, area) for role, area in areas.items())


def _with(result: Result, trial: Trial, measured: FpgaCost) -> Result:
    """The result with a measured cost of one trial, in place of an older one by the same flow."""
    others = tuple(cost for cost in trial.evaluation.measured if cost.model != measured.model)
    return result.having(replace(trial, evaluation=replace(trial.evaluation, measured=(*others, measured))))


def _synthesised(
    units: Sequence[tuple[str, Element]], flow: Flow, target: FpgaTarget, cache: Path, workers: int
) -> tuple[Compared, ...]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        bar = bars.add_task("synthesis", total=len(set(units)))

        def report(done: int, total: int) -> None:
            bars.update(bar, completed=done, total=total)

        return compare(units, flow, target, cache, workers=workers, report=report)


def _compared(found: Sequence[Compared], title: str, made: str) -> tables.Table:
    """One row per unit and one for the total; `made`: how units were measured, in a word."""
    columns = ["layer", "unit", "LUT", "90 % from", "to", made, "FF", f"{made} ", "DSP", "BRAM", "error"]
    timed = any(one.mhz is not None for one in found)
    columns += ["MHz", "routed"] * timed
    rows = [(*_compared_row(one, made), *_clocks(one) * timed) for one in found]
    total, measured = (sum((getattr(one, key) for one in found), Resources()) for key in ("predicted", "measured"))
    low, high = (sum(one.luts_between[i] for one in found) for i in (0, 1))
    counts = (total.luts, low, high, measured.luts, total.ffs, measured.ffs)
    slowest = tuple(
        min((x for x in column if x is not None), default=None) for column in zip(*map(_clocks, found), strict=True)
    )
    rows.append(("total", None, *counts, *_blocks(total, measured, made), _error(total, measured), *slowest * timed))
    inside = sum(one.luts_between[0] <= one.measured.luts <= one.luts_between[1] for one in found)
    note = f"{inside} of {len(found)} units lie in their 90 % interval of LUTs. Memories hold random words."
    return tables.of(title, columns, rows, note)


def _clocks(one: Compared) -> tuple[float | None, float | None]:
    """MHz, predicted and measured."""
    return None if one.clock is None else round(one.clock.mhz, 1), one.mhz


def _compared_row(one: Compared, made: str) -> tuple[tables.Cell, ...]:
    counts = (one.predicted.luts, *one.luts_between, one.measured.luts, one.predicted.ffs, one.measured.ffs)
    return (
        one.layer,
        one.element.role,
        *counts,
        *_blocks(one.predicted, one.measured, made),
        _error(one.predicted, one.measured),
    )


def _blocks(predicted: Resources, measured: Resources, made: str) -> tuple[str, str]:
    """DSPs and block RAMs, predicted and measured where they differ."""
    pairs = ((predicted.dsps, measured.dsps), (predicted.brams, measured.brams))
    found = [str(said) if said == there else f"{said}, {made} {there}" for said, there in pairs]
    return found[0], found[1]


def _error(predicted: Resources, measured: Resources) -> str:
    return f"{100 * (predicted.luts - measured.luts) / max(1, measured.luts):+.1f} %"
