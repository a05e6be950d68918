"""What the command line shows of a study of several targets."""

import re
from collections.abc import Callable, Sequence

from hwdse import tables
from hwdse.cost import FpgaCost
from hwdse.metrics import Metric, in_bytes, metric
from hwdse.report.describe import formats_in_words, unit_of
from hwdse.report.quantities import number, seconds
from hwdse.report.words import uses
from hwdse.result import Result
from hwdse.sides import Joined, Price, Sides
from hwdse.target import Device, FpgaTarget

SPLITS = ("search", "test")
FIRST_CLAUSE = re.compile(r"[:;]|\. ")  # where the first one of a text ends


def sides_of(sides: Sides, results: Sequence[Result], report: str) -> tables.Table:
    """One row per design that is on a front, the most accurate first, with its costs on every device."""
    workload = results[0].workload
    shown = metric("perplexity" if results[0].of_text else "top1")
    columns: list[str | tables.Column] = ["formats"]
    columns += [_accuracy(shown, split) for split in SPLITS]
    for name, result in zip(sides.folders, results, strict=True):
        columns += [f"{name}: trial", *_columns(name, result)]
    rows = [(formats_in_words(one.design, workload), *_cells(one, results, shown)) for one in sides.designs]
    known = "; ".join(_calibration(name, result) for name, result in zip(sides.folders, results, strict=True))
    note = f"A trial stands where the design is on the front of that device. Predicted. {known}.\nReport: {report}"
    return tables.of(f"The fronts of {sides.study}, side by side", columns, rows, note)


def _calibration(name: str, result: Result) -> str:
    """`h200: uncalibrated`, as the model begins what it says of its calibration."""
    said = FIRST_CLAUSE.split(result.trial(result.best).evaluation.predicted.calibration, 1)[0]
    return f"{name}: {said[:1].lower()}{said[1:]}"


def _columns(name: str, result: Result) -> tuple[tables.Column, ...]:
    """The names are those of devices with their quantities, for programs too."""
    fits = tables.Column(f"{name}: fits", "fits", tables.shown)
    if isinstance(result.target, FpgaTarget):
        luts = tables.Column(f"{name}: lut", f"{name}: LUT", tables.shown)
        return luts, tables.Column(f"{name}: frames_per_second", f"{unit_of(result)}/s", _of(number)), fits
    times = tables.Column(f"{name}: seconds", f"{name}: time", _of(seconds))
    return times, tables.Column(f"{name}: weight_bytes", "packed weights", _of(in_bytes)), fits


def _of(show: Callable[[float], str]) -> Callable[[tables.Cell], str]:
    """How a price is shown; `-` where there is none."""
    return lambda cell: "-" if cell is None else show(_number(cell))


def _cells(one: Joined, results: Sequence[Result], shown: Metric) -> tuple[tables.Cell, ...]:
    sides = zip(one.prices, results, strict=True)
    costs = (cell for price, result in sides for cell in (price.trial, *_costs(price, result.target)))
    return *(shown.read(one.evaluation, split) for split in SPLITS), *costs


def _costs(price: Price, target: Device) -> tuple[tables.Cell, ...]:
    if price.cost is None:
        return None, None, None
    fits = all(use.share <= 1 for use in uses(price.cost, target))
    if isinstance(price.cost, FpgaCost):
        return price.cost.area.luts, price.cost.frames_per_second, fits
    return price.cost.seconds, price.cost.weight_bytes, fits


def _accuracy(shown: Metric, split: str) -> tables.Column:
    return tables.Column(
        f"{split}_{shown.name}", f"{shown.label.removesuffix(' accuracy')}, {split}", lambda x: shown.show(_number(x))
    )


def _number(cell: tables.Cell) -> float:
    assert isinstance(cell, int | float)
    return float(cell)
