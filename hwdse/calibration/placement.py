"""Fits what placement adds to units, and their clocks, to place and route; finds the error on what was left out.

Cells come from the units of a family that have a netlist count too, delays from the units of one device. Coefficients
are not negative.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as File

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, nnls

from hwdse.calibrated import bounds
from hwdse.calibration import plan
from hwdse.calibration.campaign import current, write
from hwdse.calibration.fit import SMALL, between, by, covered, folds, formats, modules, predictions, sizes, table
from hwdse.measurements import Measurement, read
from hwdse.placement import CHAINS, COUNTS, FILE, SIZE, START, Cells, Delays, Placement, parse, text
from hwdse.structure.blocks import FABRICS, Counts
from hwdse.structure.chains import chains
from hwdse.structure.depth import paths

FEWEST_PLACED = 20  # units that fits are made from: a fold of them is left out in turn
# Where the search for nanoseconds begins: of a LUT with its routing, of a chain, ... (order of `COUNTS`, START, SIZE).
FIRST = (0.8, 1.0, 0.05, 3.0, 4.0, 0.3, 1.0, 0.2)
KHZ = 1e6  # kHz of a nanosecond: intervals are of whole numbers, which kHz may be
ROBUST = 0.1  # relative error from which an outlier counts less than by its square


def refit(folder: File, families: Sequence[str]) -> Placement:
    """Fits the placed tables of `families` and writes them to the folder's file; what they do not say stays in it."""
    file = folder / FILE
    old = _old(file)
    cells, delays = dict(old.cells), dict(old.delays)
    for family in families:
        placed = folder / plan.table(family, "placed")
        rows = current(read(placed)) if placed.exists() else []
        if len(rows) < FEWEST_PLACED:  # what was fitted before stays, and says itself where it is stale
            continue
        cells[family] = fit_cells(rows, _netlists(folder, family, rows), family)
        for device in sorted({row.device for row in rows}):
            own = [row for row in rows if row.device == device and row.mhz is not None]
            if len(own) >= FEWEST_PLACED:
                delays[device] = fit_delays(own, family)
    found = Placement(cells, delays)
    write(file, text(found))
    return found


def _old(file: File) -> Placement:
    try:
        return parse(file.read_text(encoding="utf-8")) if file.exists() else Placement({}, {})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} holds no fits, remove it to fit anew: {type(error).__name__}: {error}") from None


def _netlists(folder: File, family: str, placed: Iterable[Measurement]) -> list[Measurement]:
    """The netlist measurements of the family; ValueError names a placed unit that has none."""
    rows = current(read(folder / plan.table(family, "netlist")))
    known = {_unit(row) for row in rows}
    for row in placed:
        if _unit(row) not in known:
            name = f"{row.module} ({' '.join(f'{key}={value}' for key, value in row.parameters)})"
            raise ValueError(f"a placed unit is fitted beside its netlist, which {family} lacks for {name}")
    return rows


def _unit(row: Measurement) -> tuple[str, tuple[tuple[str, int], ...]]:
    return row.module, row.parameters


# ---- cells ---------------------------------------------------------------------------------------


def fit_cells(placed: Sequence[Measurement], netlists: Sequence[Measurement], family: str) -> Cells:
    """Cells for each chain, with each fold of formats, and of sizes, left out in turn: of the netlists' fits too."""
    luts = {_unit(row): float(row.area.luts) for row in netlists}
    before = np.array([luts[_unit(row)] for row in placed])
    after = np.array([float(row.area.luts) for row in placed])
    columns = np.stack([*_chains(placed, family), before, np.ones(len(placed))], 1)
    kept = _solve(columns, after - before, after)
    errors, placing, inside = list[Counts](), list[Counts](), list[Counts]()
    for key in (formats, sizes):
        unseen = _unseen(netlists, family, key)
        found = [unseen[_unit(row)] for row in placed]
        start = np.array([one.luts for one in found])
        group = np.array([one.fold for one in found], np.int64)
        extra, known = (_predicted(columns, at, after, before, group) for at in (start, before))
        low, high = (np.array([getattr(one, end) for one in found]) for end in ("low", "high"))
        least, most = bounds(start + extra, low, high)
        errors.append(np.abs(start + extra - after) / after)
        placing.append(np.abs(before + known - after) / after)
        inside.append(np.asarray((least <= after) & (after <= most), np.float64))
    return Cells(
        {name: round(float(value), 4) for name, value in zip(CHAINS, kept[:-2], strict=True)},
        round(float(kept[-2]), 4),
        round(float(kept[-1]), 4),
        _worst(errors),
        _worst(placing),
        round(min(float(np.mean(some)) for some in inside), 4),
        len(placed),
        {row.module: row.rtl for row in sorted(placed, key=lambda row: row.module)},
    )


def _worst(found: Sequence[Counts]) -> float:
    """The larger of the means of two hold-outs."""
    return round(max(float(np.mean(one)) for one in found), 4)


def _chains(rows: Sequence[Measurement], family: str) -> list[Counts]:
    found = [chains(row.module, table([row]), FABRICS[family]) for row in rows]
    return [np.array([float(getattr(one, name)[0]) for one in found]) for name in CHAINS]


def _solve(columns: Counts, extra: Counts, placed: Counts) -> Counts:
    """Coefficients that make errors relative to what is placed small; the last is of a design, once."""
    weight = 1 / np.maximum(placed, SMALL)
    return np.asarray(nnls(columns * weight[:, None], extra * weight)[0])


def _predicted(columns: Counts, luts: Counts, after: Counts, before: Counts, group: NDArray[np.int64]) -> Counts:
    """What placement adds to netlists of `luts` LUTs, by coefficients of the units in other folds."""
    found = np.zeros(len(after))
    used = columns.copy()
    used[:, -2] = luts
    for fold in np.unique(group):
        test = group == fold
        found[test] = used[test] @ _solve(columns[~test], (after - before)[~test], after[~test])
    return found


@dataclass(frozen=True, slots=True)
class _Unseen:
    """A netlist predicted by the units in other folds: its LUTs, and their interval of measured / predicted."""

    luts: float
    low: float
    high: float
    fold: int


def _unseen(
    rows: Sequence[Measurement], family: str, key: Callable[[Mapping[str, int]], object]
) -> dict[tuple[str, tuple[tuple[str, int], ...]], _Unseen]:
    found = dict[tuple[str, tuple[tuple[str, int], ...]], _Unseen]()
    for own in modules(rows).values():
        group = folds(own, key)
        luts = predictions(own, family, "luts", group)
        measured = np.array([float(row.area.luts) for row in own])
        ends = {fold: between(measured[group != fold], luts[group != fold]) for fold in np.unique(group)}
        for row, value, fold in zip(own, luts, group, strict=True):
            found[_unit(row)] = _Unseen(float(value), *ends[fold], int(fold))
    return found


# ---- clocks --------------------------------------------------------------------------------------


def fit_delays(rows: Sequence[Measurement], family: str) -> Delays:
    """Nanoseconds of what a path is made of, on one device, with each fold of formats, and of sizes, left out."""
    timed = [row for row in rows if row.mhz is not None]
    counts, size = _paths(timed, family), _sizes(timed)
    period = np.array([1000 / row.mhz for row in timed if row.mhz is not None])
    kept = _nanoseconds(counts, size, period)
    named = zip((*COUNTS, START, SIZE), kept, strict=True)
    varied = {START, SIZE, *(name for i, name in enumerate(COUNTS) if np.any(counts[..., i]))}
    ends, errors, inside = list[tuple[float, float]](), list[Counts](), list[Counts]()
    for key in (formats, sizes):
        group = by(timed, key)
        predicted = np.zeros(len(timed))
        for fold in np.unique(group):
            test = group == fold
            costs = _nanoseconds(counts[~test], size[~test], period[~test])
            predicted[test] = _slowest(costs, counts[test], size[test])
        measured, said = KHZ / period, KHZ / predicted
        ends.append(between(measured, said))
        errors.append(np.abs(said - measured) / measured)
        inside.append(np.asarray(covered(measured, said, group), np.float64))
    return Delays(
        {name: round(float(value), 4) for name, value in named if name in varied},
        round(min(low for low, _ in ends), 4),
        round(max(high for _, high in ends), 4),
        _worst(errors),
        round(min(float(np.mean(some)) for some in inside), 4),
        len(timed),
    )


def _paths(rows: Sequence[Measurement], family: str) -> Counts:
    """`units x paths x COUNTS`, with paths repeated where a unit has fewer than another."""
    found = list[list[list[float]]]()
    for row in rows:
        every = paths(row.module, table([row]), FABRICS[family])
        found.append([[float(getattr(path, name)[0]) for name in COUNTS] for path in every])
    most = max(len(one) for one in found)
    return np.array([one + one[-1:] * (most - len(one)) for one in found])


def _sizes(rows: Sequence[Measurement]) -> Counts:
    return np.asarray(np.log2([max(1.0, float(row.area.luts + row.area.ffs)) for row in rows]))


def _slowest(costs: Counts, counts: Counts, size: Counts) -> Counts:
    """The period of each unit in nanoseconds."""
    along: Counts = np.asarray(counts @ costs[:-2])
    return np.asarray(along.max(1) + costs[-2] + costs[-1] * size)


def _nanoseconds(counts: Counts, size: Counts, period: Counts) -> Counts:
    def off(costs: Counts) -> Counts:
        return np.asarray(np.log(_slowest(costs, counts, size) / period))

    return np.asarray(least_squares(off, FIRST, bounds=(0, np.inf), loss="soft_l1", f_scale=ROBUST).x)
