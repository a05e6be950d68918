"""Fits the coefficients of the parts of FINN's units to their synthesis, and finds the error on what was left out.

As for our own units (`hwdse.calibration.fit`): coefficients are not negative and relative errors count. A unit is left
out with all of its formats, and with all of its sizes, and the worse of the two is what is reported.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwdse import finn_fits
from hwdse.calibration.campaign import write
from hwdse.calibration.fit import COVERED, between, by, modules, solve
from hwdse.finn_fits import COUNTS, TABLE, Fit, Fits
from hwdse.finn_parts import KINDS
from hwdse.measurements import Measurement, read
from hwdse.structure.blocks import Counts

FORMATS = ("VERSION", "W", "A", "NARROW", "SIGNED", "IN", "BITS", "OUT", "WIDTH")
DIGITS = 4  # of a coefficient


def fit(rows: Sequence[Measurement]) -> dict[str, Fits]:
    """The fits of all kinds of units among `rows`."""
    return {kind: _of_kind(kind, own) for kind, own in sorted(modules(rows).items())}


def refit(folder: Path) -> dict[str, Fits]:
    """Fits the table of `folder`, and writes the coefficients beside it; ValueError where there is no table."""
    if not (folder / TABLE).exists():
        raise ValueError(f"there are no measurements in {folder / TABLE}: `hwdse calibrate --finn` makes them")
    found = fit(read(folder / TABLE))
    write(folder / finn_fits.FILE, finn_fits.text(found))
    return found


def _of_kind(kind: str, rows: Sequence[Measurement]) -> Fits:
    luts, ffs = (_fit(kind, rows, count) for count in COUNTS)
    rtl = blake2b(" ".join(sorted(row.rtl for row in rows)).encode(), digest_size=8).hexdigest()
    return Fits(luts, ffs, rtl, tuple(sorted({row.device for row in rows})))


def _fit(kind: str, rows: Sequence[Measurement], count: str) -> Fit:
    """The coefficients of one count, rounded as they are kept."""
    names, columns, measured = equations(kind, rows, count)
    groups = by(rows, _formats), by(rows, _sizes)
    left_out = [_left_out(columns, measured, group) for group in groups]
    worst = max(left_out, key=lambda predicted: float(np.quantile(errors(predicted, measured), COVERED)))
    low, high = between(measured, worst)
    kept = {name: round(float(value), DIGITS) for name, value in zip(names, solve(columns, measured), strict=True)}
    wrong = errors(worst, measured)
    median, ninth = (round(float(np.quantile(wrong, share)), DIGITS) for share in (0.5, COVERED))
    return Fit(kept, median, ninth, round(low, DIGITS), round(high, DIGITS), len(rows))


def equations(kind: str, rows: Sequence[Measurement], count: str) -> tuple[list[str], Counts, Counts]:
    """The parts' names, a column of structural counts for each, and what was measured."""
    found = [KINDS[kind](dict(row.parameters)) for row in rows]
    names = list(dict.fromkeys(name for parts in found for name in parts))
    columns = np.array([[getattr(parts[name], count) if name in parts else 0.0 for name in names] for parts in found])
    used = np.any(columns != 0, axis=0).tolist()
    measured = np.array([float(getattr(row.area, count)) for row in rows])
    return [name for name, one in zip(names, used, strict=True) if one], columns[:, used], measured


def errors(predicted: Counts, measured: Counts) -> Counts:
    """Of predictions, relative to what was measured."""
    return np.asarray(np.abs(predicted - measured) / np.maximum(measured, 1.0))


def _left_out(columns: Counts, measured: Counts, group: NDArray[np.int64]) -> Counts:
    predicted = np.zeros_like(measured)
    for fold in np.unique(group):
        test = group == fold
        predicted[test] = columns[test] @ solve(columns[~test], measured[~test])
    return predicted


def _formats(parameters: Mapping[str, int]) -> object:
    return [parameters.get(key) for key in FORMATS]


def _sizes(parameters: Mapping[str, int]) -> object:
    return sorted((key, value) for key, value in parameters.items() if key not in FORMATS)
