"""Fits the constants of the GPU model to measured products, and finds the error on what was left out.

    python -m hwdse.calibration.gpu DEVICE...

It reads `cost_models/data/gpu.<device>.csv` and writes `gpu.<device>.json` beside it. Errors are relative, so that the
logarithms of times are fitted, and of constants: all are positive. Left out are, in turn, all products of a shape and
all products of a format, five parts of each.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from hwdse import gpu_points
from hwdse.calibration.command import DATA
from hwdse.dispatch import price
from hwdse.formats import parse
from hwdse.gemm import Choice, Gemm, Tile
from hwdse.gpu_points import Fitted, Point
from hwdse.gpu_time import Constants
from hwdse.gpu_work import dense
from hwdse.target import GpuTarget, gpu

Values = NDArray[np.float64]
NAMES = tuple(field.name for field in fields(Constants))
SHARES = tuple(name for name in NAMES if name.endswith("_share"))
FARTHEST = 10.0  # a constant is at most so many times its assumed value, or a part of it
FOLDS = 5
LIBRARIES = {"int_mm": "int8", "scaled_mm": "fp8", "dense": ""}  # kernel -> its arithmetic; "": that of its activations
OTHERS = ("gemlite", "humming")  # kernels of other projects: measured, not predicted
FEWEST = 4 * len(NAMES)  # points


def fit(points: Sequence[Point], target: GpuTarget) -> Fitted:
    """The constants of `target` by `points`; those of other projects' kernels are not used.

    ValueError where there are too few to fit, and to leave some out.
    """
    own = [point for point in points if point.kernel not in OTHERS]
    if len(own) < FEWEST:
        raise ValueError(f"{len(NAMES)} constants are fitted to at least {FEWEST} products, not {len(own)}")
    kept = solve(own, target)
    shapes, formats = (_left_out(own, target, _folds(keys)) for keys in (_shapes(own), _formats(own)))
    low, high = np.quantile(np.concatenate((shapes, formats)), (0.05, 0.95))
    return Fitted(
        Constants(**{name: float(f"{value:.4g}") for name, value in asdict(kept).items()}),
        len(own),
        _median(_ratios(own, target, kept)),
        _median(shapes),
        _median(formats),
        round(float(low), 4),
        round(float(high), 4),
        _when(own),
    )


def _when(points: Sequence[Point]) -> str:
    """The days of all points, and what they were measured with."""
    days = sorted({point.date for point in points})
    origins = sorted({f"driver {point.driver}, {point.versions}" for point in points})
    return f"on {' and '.join(days)} with {' and with '.join(origins)}"


def predicted(point: Point, target: GpuTarget, constants: Constants) -> float:
    """Seconds that the model says of a measured product; ValueError where it says nothing of its kernel."""
    if point.kernel in LIBRARIES:
        numbers = LIBRARIES[point.kernel] or point.activations
        return dense(point.m, point.n, point.k, numbers, target, constants).seconds
    gemm = Gemm(point.m, point.n, point.k, parse(point.weights), parse(point.activations), point.group)
    tile = Tile.parse(point.tile) if point.tile else None
    return price(gemm, Choice(point.kernel, point.arithmetic, tile), target, constants).seconds


def solve(points: Sequence[Point], target: GpuTarget) -> Constants:
    """The constants that make the logarithms of measured over predicted small; large ones count less than squared."""
    start = np.array([getattr(Constants(), name) for name in NAMES])
    most = [1.0 / value if name in SHARES else FARTHEST for name, value in zip(NAMES, start, strict=True)]
    bounds = (np.full(len(NAMES), -np.log(FARTHEST)), np.log(most))

    def residuals(logs: Values) -> Values:
        return np.log(_ratios(points, target, _constants(start * np.exp(logs))))

    found = least_squares(residuals, np.zeros(len(NAMES)), bounds=bounds, loss="soft_l1", f_scale=0.1, x_scale=0.1)
    return _constants(start * np.exp(found.x))


def _constants(values: Values) -> Constants:
    return Constants(**dict(zip(NAMES, map(float, values), strict=True)))


def _ratios(points: Sequence[Point], target: GpuTarget, constants: Constants) -> Values:
    """Measured / predicted of each point."""
    return np.array([point.seconds / predicted(point, target, constants) for point in points])


def _median(ratios: Values) -> float:
    """Of |predicted - measured| / measured."""
    return round(float(np.median(np.abs(1 / ratios - 1))), 4)


def _left_out(points: Sequence[Point], target: GpuTarget, group: NDArray[np.int64]) -> Values:
    """Measured / predicted of each point, by constants of the points in other folds of `group`."""
    ratios = np.zeros(len(points))
    for fold in np.unique(group):
        rest = [point for point, own in zip(points, group, strict=True) if own != fold]
        test = [point for point, own in zip(points, group, strict=True) if own == fold]
        ratios[group == fold] = _ratios(test, target, solve(rest, target))
    return ratios


def _shapes(points: Sequence[Point]) -> list[tuple[int, int]]:
    return [(point.n, point.k) for point in points]


def _formats(points: Sequence[Point]) -> list[tuple[str, str]]:
    return [(point.weights, point.activations) for point in points]


def _folds(keys: Sequence[tuple[object, object]]) -> NDArray[np.int64]:
    """The fold of each point; equal keys share one."""
    order = {key: index % FOLDS for index, key in enumerate(dict.fromkeys(keys))}
    return np.array([order[key] for key in keys], np.int64)


def main() -> None:
    """Fits every device that is asked for, or every one that has a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("devices", nargs="+")
    parser.add_argument("--out", type=Path, default=DATA)
    options = parser.parse_args()
    for name in options.devices:
        found = fit(gpu_points.points(name), gpu(name))
        (options.out / f"gpu.{name}.json").write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")
        print(f"{name}: {found.words}")


if __name__ == "__main__":
    main()
