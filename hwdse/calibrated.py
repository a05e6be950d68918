"""The price of leaf modules: structural counts of their parts times coefficients fitted to synthesis, with an interval.

`cost_models/data/fits.json` holds the coefficients, one set for each family and module, as `hwdse calibrate` wrote it;
`hwdse.structure` holds the counts. DSP blocks and block RAM are rules and need no coefficient.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from hwdse.netlist import rtl_digest
from hwdse.structure import Parts, Table, blocks, parts
from hwdse.structure.blocks import FABRICS, Counts, Sizes

# Families without fits of their own -> the one with the same LUTs: Versal, which no open tool synthesises, and
# 7-series, whose units are measured to check that.
SAME_LUTS = {"versal": "xcup", "xc7": "xcup"}
SAME_PARTS = {"mvu_streamed": "mvu"}  # modules that are not sampled -> the one around the same core
FILE = "fits.json"


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients of the LUTs or the flip-flops of one module on one family, and how well they predict."""

    coefficients: Mapping[str, float]  # part -> factor on its structural count
    low: float  # measured / predicted of units that were left out: 90 % lie between `low` and `high`
    high: float
    # Mean of |predicted - measured| / measured of units whose formats, or whose sizes, were left out: the larger mean.
    mean_error: float
    coverage: float  # share of units that lie in the interval that the others give: the smaller share of the two
    runs: int

    def of(self, found: Parts, count: str) -> dict[str, Counts]:
        """Each part's share of the prediction; `count` is `luts` or `ffs`."""
        return {name: factor * np.asarray(getattr(found[name], count)) for name, factor in self.coefficients.items()}

    def bounds(self, predicted: Counts) -> tuple[Counts, Counts]:
        """What 90 % of units lie between, which take whole LUTs and flip-flops."""
        return bounds(predicted, self.low, self.high)


def bounds(predicted: Counts, low: float | Counts, high: float | Counts) -> tuple[Counts, Counts]:
    """`low` and `high` times the prediction, as whole numbers."""
    return np.rint(predicted * low), np.rint(predicted * high)


@dataclass(frozen=True, slots=True)
class Fits:
    """One module on one family."""

    luts: Fit
    ffs: Fit
    rtl: str  # the digest of the RTL that was measured

    def stale(self, module: str) -> bool:
        """Whether the RTL has changed since."""
        return self.rtl != rtl_digest(module)


@dataclass(frozen=True, slots=True)
class Price:
    """Predicted area of units, an element each: LUTs and flip-flops with the bounds of a 90 % interval."""

    luts: Counts
    luts_low: Counts
    luts_high: Counts
    ffs: Counts
    ffs_low: Counts
    ffs_high: Counts
    dsps: Sizes
    brams: Sizes
    parts: Mapping[str, tuple[Counts, Counts]]  # LUTs and flip-flops of each part


def price(module: str, table: Table, family: str) -> Price:
    """What units of `module` take on `family`; ValueError where it has not been measured."""
    fits, found = of(module, family), parts(module, table, FABRICS[family])
    luts, ffs = fits.luts.of(found, "luts"), fits.ffs.of(found, "ffs")
    nothing = np.zeros(np.shape(next(iter(found.values())).luts))
    total_luts, total_ffs = sum(luts.values(), nothing), sum(ffs.values(), nothing)
    return Price(
        total_luts,
        *fits.luts.bounds(total_luts),
        total_ffs,
        *fits.ffs.bounds(total_ffs),
        *blocks(module, table, family),
        {name: (luts.get(name, nothing), ffs.get(name, nothing)) for name in {**luts, **ffs}},
    )


def of(module: str, family: str) -> Fits:
    """The fits of `module` on `family`; ValueError lists what there is."""
    known = _file().get(SAME_LUTS.get(family, family), {})
    measured = SAME_PARTS.get(module, module)
    if measured not in known:
        raise ValueError(
            f"{module!r} has not been measured on {family!r}; known there: {', '.join(known) or 'nothing'}"
        )
    return known[measured]


def families() -> tuple[str, ...]:
    """The families with fits."""
    return tuple(sorted(_file()))


def summary(family: str) -> str:
    """What the prices on `family` are, and how wrong: sentences for a report."""
    source = SAME_LUTS.get(family, family)
    found = _file()[source]
    runs = sum(fits.luts.runs for fits in found.values())
    matrix = found["mvu"]
    what = "LUT sites as yosys 0.70 makes them" if source in ("xc7", "xcup") else "LUTs of yosys 0.70's netlist"
    where = f"{family}, which has the LUTs of {source}" if source != family else family
    stale = [module for module, fits in found.items() if fits.stale(module)]
    return (
        f"calibrated on {where}: {what}, fitted to {runs} synthesised units; "
        f"of matrix-vector units left out of the fit, LUTs are {100 * matrix.luts.mean_error:.1f} % and flip-flops "
        f"{100 * matrix.ffs.mean_error:.1f} % off on average, and {100 * matrix.luts.coverage:.0f} % are inside the "
        "90 % interval of LUTs."
        + (f" STALE: the RTL of {', '.join(stale)} has changed since; run hwdse calibrate." if stale else "")
    )


def content() -> str:
    """The file of the fits."""
    return (files("hwdse.cost_models") / "data" / FILE).read_text(encoding="utf-8")


@cache
def _file() -> Mapping[str, Mapping[str, Fits]]:
    return parse(content())


def parse(content: str) -> dict[str, dict[str, Fits]]:
    """The fits in a file: family -> module -> fits."""
    return {
        family: {
            module: Fits(Fit(**entry["luts"]), Fit(**entry["ffs"]), entry["rtl"]) for module, entry in modules.items()
        }
        for family, modules in json.loads(content).items()
    }


def text(fits: Mapping[str, Mapping[str, Fits]]) -> str:
    """The file of `fits`: `parse(text(fits)) == fits`."""
    value = {family: {module: asdict(one) for module, one in modules.items()} for family, modules in fits.items()}
    return json.dumps(value, indent=1, sort_keys=True) + "\n"
