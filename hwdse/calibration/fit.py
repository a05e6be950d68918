"""Fits the coefficients of the parts of every leaf module to measurements, and finds the error on what was left out.

A count is the sum over parts of coefficient x structural count. Coefficients are not negative, and are drawn towards 1
by as much as one measurement of each part alone would: a part that the sample hardly varies stays as counted.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from hwdse.calibrated import Fit, Fits, bounds
from hwdse.measurements import Measurement
from hwdse.netlist import rtl_digest
from hwdse.structure import parts
from hwdse.structure.blocks import FABRICS, Counts, Table

FOLDS = 10
FEWEST = 2  # units of a module that is fitted
SMALL = 10.0  # LUTs or flip-flops below which errors count as absolute ones
PRIOR = 0.02  # weight of a coefficient's distance from 1, beside relative errors of units
WITHIN = 0.499  # of a LUT: bounds are rounded to whole ones
COVERED = 0.9  # of measurements, by an interval


def table(rows: Sequence[Measurement]) -> Table:
    """The parameters of measurements of one module."""
    values = [dict(row.parameters) for row in rows]
    return {key: np.array([value[key] for value in values], np.int64) for key in values[0]}


def fit_all(rows: Iterable[Measurement], family: str) -> dict[str, Fits]:
    """The fits of every module among `rows`, which are of one family and of today's RTL.

    A module with a single unit is not fitted: nothing would be left to predict it from.
    """
    found = dict[str, Fits]()
    for module, own in sorted(modules(rows).items()):
        if len(own) < FEWEST:
            continue
        groups = [group for group in (by(own, formats), by(own, sizes)) if len(np.unique(group)) > 1]
        groups = groups or [np.arange(len(own))]  # a unit whose size depends on neither
        luts, ffs = (fit(own, family, count, groups) for count in ("luts", "ffs"))
        found[module] = Fits(luts, ffs, rtl_digest(module))
    return found


def fit(rows: Sequence[Measurement], family: str, count: str, groups: Sequence[NDArray[np.int64]]) -> Fit:
    """The coefficients for `count` (`luts` or `ffs`); errors with each fold of each of `groups` left out in turn.

    The error and the share inside the interval are those of the worse of the `groups`.
    """
    names, columns, measured = _equations(rows, family, count)
    left_out = [_left_out(columns, measured, group) for group in groups]
    intervals = [between(measured, predicted) for predicted in left_out]
    low, high = min(low for low, _ in intervals), max(high for _, high in intervals)
    errors = [np.abs(predicted - measured) / np.maximum(measured, 1.0) for predicted in left_out]
    inside = [covered(measured, predicted, group) for predicted, group in zip(left_out, groups, strict=True)]
    kept = solve(columns, measured)
    return Fit(
        {name: round(float(value), 4) for name, value in zip(names, kept, strict=True)},
        round(low, 4),
        round(high, 4),
        round(max(float(np.mean(error)) for error in errors), 4),
        round(min(float(np.mean(some)) for some in inside), 4),
        len(rows),
    )


def predictions(rows: Sequence[Measurement], family: str, count: str, group: NDArray[np.int64]) -> Counts:
    """`count` of units of one module, each by coefficients of the units in other folds of `group`."""
    _, columns, measured = _equations(rows, family, count)
    return _left_out(columns, measured, group)


def _equations(rows: Sequence[Measurement], family: str, count: str) -> tuple[list[str], Counts, Counts]:
    """The parts' names, a column of structural counts for each, and what was measured."""
    found = parts(rows[0].module, table(rows), FABRICS[family])
    names = [name for name, part in found.items() if np.any(getattr(part, count) != 0)]
    columns = np.stack([np.asarray(getattr(found[name], count), np.float64) for name in names], 1)
    return names, columns, np.array([float(getattr(row.area, count)) for row in rows])


def between(measured: Counts, predicted: Counts) -> tuple[float, float]:
    """By what to multiply predictions like these so that 90 % of units lie between them, as whole numbers.

    A new one is above the k-th of n in k of n + 1 cases, so that of fewer than 39 it is the largest that counts: split
    conformal prediction, Vovk et al., 'Algorithmic Learning in a Random World', 2005.
    """
    count, likely = len(measured), np.maximum(predicted, 1.0)
    inner = min(count, ceil((1 + COVERED) / 2 * (count + 1)))
    low = float(np.sort((measured + WITHIN) / likely)[count - inner])
    high = float(np.sort((measured - WITHIN) / likely)[inner - 1])
    return (low, high) if low <= high else ((low + high) / 2, (low + high) / 2)


def covered(measured: Counts, predicted: Counts, group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each unit lies in the interval that the units of the other folds give."""
    inside = np.zeros(len(measured), np.bool_)
    for fold in np.unique(group):
        test = group == fold
        low, high = bounds(predicted[test], *between(measured[~test], predicted[~test]))
        inside[test] = (low <= measured[test]) & (measured[test] <= high)
    return inside


def _left_out(columns: Counts, measured: Counts, group: NDArray[np.int64]) -> Counts:
    """Predictions of units by coefficients of the units in other folds."""
    predicted = np.zeros_like(measured)
    for fold in np.unique(group):
        test = group == fold
        predicted[test] = columns[test] @ solve(columns[~test], measured[~test])
    return predicted


def solve(columns: Counts, measured: Counts) -> Counts:
    """Coefficients that make relative errors small."""
    weight = 1 / np.maximum(measured, SMALL)
    prior = np.eye(columns.shape[1]) * PRIOR
    stacked = np.concatenate([columns * weight[:, None], prior])
    wanted = np.concatenate([measured * weight, np.diag(prior)])
    return np.asarray(nnls(stacked, wanted)[0])


# ---- what is left out together -------------------------------------------------------------------


def folds(rows: Sequence[Measurement], key: Callable[[Mapping[str, int]], object]) -> NDArray[np.int64]:
    """As `by`, but every unit alone where all have an equal `key`."""
    group = by(rows, key)
    return group if len(np.unique(group)) > 1 else np.arange(len(rows))


def by(rows: Sequence[Measurement], key: Callable[[Mapping[str, int]], object]) -> NDArray[np.int64]:
    """Folds that keep units with an equal `key` together, as even as that allows."""
    keys = [str(key(dict(row.parameters))) for row in rows]
    order = {name: i % FOLDS for i, name in enumerate(_shuffled(sorted(set(keys))))}
    return np.array([order[name] for name in keys], np.int64)


def _shuffled(names: Iterable[str]) -> list[str]:
    listed = list(names)
    np.random.default_rng(0).shuffle(listed)
    return listed


def formats(parameters: Mapping[str, int]) -> object:
    """The formats of a unit, by which it is left out."""
    return [parameters.get(key) for key in ("WE", "WM", "WS", "AE", "AM", "AS", "OE", "OM", "OS", "BITS", "ELEMENT")]


def sizes(parameters: Mapping[str, int]) -> object:
    """How wide and deep a unit is, by which it is left out."""
    keys = ("PE", "SIMD", "LANES", "WORDS", "DEPTH", "IN", "OUT", "CF", "H", "KH", "TAPS", "GROUPS")
    return [parameters.get(key) for key in keys]


def modules(rows: Iterable[Measurement]) -> dict[str, list[Measurement]]:
    """Measurements by module."""
    found = dict[str, list[Measurement]]()
    for row in rows:
        found.setdefault(row.module, []).append(row)
    return found
