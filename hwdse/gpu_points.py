"""What was measured on a GPU, and the constants that were fitted to it.

`cost_models/data/gpu.<device>.csv` has a row for each measured product, among others (`hwdse.gpu_measurements`), and
`gpu.<device>.json` the constants that `python -m hwdse.calibration.gpu` fitted to them. Where there is no such file
nothing was measured on the device, and the model says that it is uncalibrated.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from hwdse import gpu_measurements
from hwdse.gpu_measurements import Timing
from hwdse.gpu_time import Constants

_DATA = files("hwdse.cost_models") / "data"
# The kernels of the table that the model has a price for, and what it calls them.
PRICED = {kernel: kernel for kernel in ("a16", "gemv", "a8", "unpack", "unpack8")} | {
    "torch.mm": "dense",
    "torch._int_mm": "int_mm",
    "torch._scaled_mm": "scaled_mm",
}


@dataclass(frozen=True, slots=True)
class Point:
    """One product, measured."""

    device: str
    driver: str
    versions: str  # `torch 2.11.0, triton 3.6.0`
    date: str  # 2026-11-28
    kernel: str  # a file in `kernels/`, `dense`, or the name of another project's
    tile: str  # its text form; empty where a kernel has none
    m: int
    n: int
    k: int
    weights: str  # a format, or float16 or bfloat16
    activations: str
    group: int | None
    seconds: float  # the median, with cold caches
    arithmetic: str = ""  # of a product of ours: int8, fp8, float16 or bfloat16


@dataclass(frozen=True, slots=True)
class Fitted:
    """Constants fitted to points, and how far they are off: medians of |predicted - measured| / measured."""

    constants: Constants
    points: int
    error: float  # of the points of the fit
    error_of_shapes: float  # of points whose shape was left out of the fit
    error_of_formats: float  # of points whose formats were left out
    low: float  # measured / predicted, of points that were left out: 90 % lie between `low` and `high`
    high: float
    measured: str  # when and with what, in words

    @property
    def words(self) -> str:
        """How far to trust it."""
        shapes, formats = 100 * self.error_of_shapes, 100 * self.error_of_formats
        return (
            f"fitted to {self.points} products measured {self.measured}; median error {shapes:.1f} % on shapes and"
            f" {formats:.1f} % on formats that were left out"
        )


@cache
def points(device: str) -> tuple[Point, ...]:
    """The products that were measured on `device` with the versions of the last run, each once, the last time.

    Nothing where there is no table.
    """
    file = Path(str(_DATA / f"gpu.{device}.csv"))
    rows = gpu_measurements.read(file) if file.exists() else ()
    own = [row for row in rows if _versions(row) == _versions(rows[-1])]
    kept = (row for row in gpu_measurements.newest(own) if row.point.kernel in PRICED)
    return tuple(_point(row, row.seconds) for row in kept if row.seconds is not None)


def _versions(row: Timing) -> tuple[str, str]:
    """Times with others are of other code."""
    return row.origin.driver, row.origin.versions


def _point(row: Timing, seconds: float) -> Point:
    own, origin = row.point, row.origin
    kernel, group = PRICED[own.kernel], own.group
    formats = own.weights, own.activations
    day = origin.start[:10]
    where, shape = (origin.device, origin.driver, origin.versions, day), (own.m, own.n, own.k)
    return Point(*where, kernel, own.tile, *shape, *formats, group, seconds, own.arithmetic)


@cache
def fitted(device: str) -> Fitted | None:
    """The constants of `device`; None where none were fitted."""
    if (found := _content(f"gpu.{device}.json")) is None:
        return None
    values = json.loads(found)
    return Fitted(**{**values, "constants": Constants(**values["constants"])})


def constants(device: str) -> Constants:
    """Those fitted on `device`, else the assumed ones."""
    own = fitted(device)
    return Constants() if own is None else own.constants


def calibration(device: str) -> str:
    """How far to trust times on `device`, in words."""
    own = fitted(device)
    return f"uncalibrated: nothing was measured on {device}" if own is None else f"{device}: {own.words}"


def _content(name: str) -> str | None:
    file = _DATA / name
    return file.read_text(encoding="utf-8") if file.is_file() else None
