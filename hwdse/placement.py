"""What place and route makes of units: the cells that it adds to their carry chains, and the clock that they reach.

`cost_models/data/placement.json` holds the coefficients as `hwdse calibrate --placed` wrote it: for each family how
many cells a chain gets (`hwdse.structure.chains`), for each device what a level of logic, a chain, a bit of carry and
a block cost in nanoseconds (`hwdse.structure.depth`). The slowest path of a unit is its clock.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from hwdse.cost import Clock
from hwdse.netlist import rtl_digest
from hwdse.structure import Table
from hwdse.structure.blocks import FABRICS, Counts
from hwdse.structure.chains import chains
from hwdse.structure.depth import Path, enabled, paths, ready_levels
from hwdse.target import FpgaTarget

FILE = "placement.json"
CHAINS = ("adders", "comparators", "counters")
COUNTS = ("luts", "chains", "bits", "brams", "dsps", "loads")  # of a path
START, SIZE = "start", "size"  # of every path: out of and into registers; for each doubling of the unit
# Parts of the speed grade of one that was measured: the delays are those of the grade.
SAME_GRADE = {"ecp5_85f": "ecp5_25f"}


@dataclass(frozen=True, slots=True)
class Cells:
    """What placement adds to the LUTs of a netlist on one family."""

    per_chain: Mapping[str, float]  # of `CHAINS`
    share: float  # of the netlist's LUTs
    once: float  # of a design: its constants
    mean_error: float  # of LUTs as placed, predicted from parameters alone
    placing_error: float  # of LUTs as placed, where the netlist is known
    coverage: float  # share of units, as placed, inside the intervals of their netlists' LUTs
    runs: int
    rtl: Mapping[str, str]  # module -> the digest of the RTL that was placed, for the clocks too

    @property
    def stale(self) -> tuple[str, ...]:
        """The modules whose RTL has changed since."""
        return tuple(module for module, digest in self.rtl.items() if digest != rtl_digest(module))


@dataclass(frozen=True, slots=True)
class Delays:
    """What decides the clock of a unit on one device."""

    nanoseconds: Mapping[str, float]  # of `START`, `SIZE` and those of `COUNTS` that the device has
    low: float  # measured / predicted MHz of units that were left out: 90 % lie between
    high: float
    mean_error: float
    coverage: float
    runs: int


@dataclass(frozen=True, slots=True)
class Placement:
    """The file: families and devices that have been placed."""

    cells: Mapping[str, Cells]
    delays: Mapping[str, Delays]


def added(module: str, table: Table, family: str, luts: Counts) -> Counts | None:
    """LUTs that placement adds to units of `luts` LUTs; nothing where no open tool places the family."""
    fit = _file().cells.get(family)
    if fit is None:
        return None
    found = chains(module, table, FABRICS[family])
    total = sum((fit.per_chain[name] * getattr(found, name) for name in CHAINS), np.zeros(()))
    return np.asarray(total + fit.share * luts)


def once(family: str) -> float:
    """LUTs that placement adds to a whole design, whatever is in it: one or two, which prices of networks leave out."""
    fit = _file().cells.get(family)
    return 0.0 if fit is None else fit.once


@dataclass(frozen=True, slots=True)
class Timing:
    """The slowest path of a unit, and the one that begins where what follows it is ready, in nanoseconds."""

    module: str
    own: float
    enabled: float


def timing(module: str, table: Table, target: FpgaTarget) -> Timing | None:
    """Of a single unit, but for its size; nothing where no unit was routed on the device."""
    fit = delays(target.name)
    if fit is None:
        return None
    found = paths(module, table, FABRICS[target.family])
    own = max(float(nanoseconds(path, fit.nanoseconds)) for path in found)
    return Timing(module, own, float(nanoseconds(enabled(module, table), fit.nanoseconds)))


def clock(units: Sequence[Timing | None], target: FpgaTarget, size: float) -> Clock | None:
    """The clock of units that follow each other, of `size` LUTs and flip-flops together.

    Its bounds are those of the clocks of single units: networks were not routed. The clock is that of the slowest,
    where what enables a unit comes through those after it that have no register in between.
    Nothing where no unit was routed on the device.
    """
    fit = delays(target.name)
    if fit is None:
        return None
    costs, levels, slowest = fit.nanoseconds, 0, 0.0
    for unit in reversed([unit for unit in units if unit is not None]):
        slowest = max(slowest, unit.own, unit.enabled + levels * costs["luts"])
        more = ready_levels(unit.module)
        levels = 0 if more is None else levels + more
    found = 1000 / (slowest + costs[SIZE] * math.log2(max(size, 1.0)))
    return Clock(found, found * fit.low, found * fit.high)


def nanoseconds(path: Path, costs: Mapping[str, float]) -> Counts:
    """How long `path` takes but for what the size of its unit adds."""
    return sum((costs[name] * getattr(path, name) for name in COUNTS if name in costs), np.full((), costs[START]))


def cells(family: str) -> Cells | None:
    """The fit of a family."""
    return _file().cells.get(family)


def delays(device: str) -> Delays | None:
    """The fit of a device, or of one of its speed grade."""
    return _file().delays.get(SAME_GRADE.get(device, device))


def summary(target: FpgaTarget) -> str:
    """What is known of a device as placed, and of its clock: sentences for a report."""
    placed, timed = cells(target.family), delays(target.name)
    routed = SAME_GRADE.get(target.name, target.name)
    area = (
        "Placement, which no open tool does for this family, would add to them"
        if placed is None
        else f"With what placement adds, LUTs of {placed.runs} placed units are {100 * placed.mean_error:.1f} % off"
    )
    clock = (
        "the clock is assumed, not predicted"
        if timed is None
        else f"of {timed.runs} units routed on {routed} the predicted clock is {100 * timed.mean_error:.1f} % off"
    )
    stale = () if placed is None else placed.stale
    again = f" STALE as placed: the RTL of {', '.join(stale)} has changed since; run hwdse calibrate --placed."
    return f"{area}; {clock}.{again * bool(stale)}"


def content() -> str:
    """The file of the fits."""
    return (files("hwdse.cost_models") / "data" / FILE).read_text(encoding="utf-8")


@cache
def _file() -> Placement:
    try:
        return parse(content())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{FILE} in the data of the cost models holds no fits, `hwdse calibrate --placed` makes it: "
            f"{type(error).__name__}: {error}"
        ) from None


def parse(content: str) -> Placement:
    """The fits in a file."""
    value = json.loads(content)
    return Placement(
        {family: Cells(**entry) for family, entry in value["cells"].items()},
        {device: Delays(**entry) for device, entry in value["delays"].items()},
    )


def text(fits: Placement) -> str:
    """The file of `fits`: `parse(text(fits)) == fits`."""
    return json.dumps(asdict(fits), indent=1, sort_keys=True) + "\n"
