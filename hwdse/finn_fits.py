"""What FINN's RTL really takes: the structure of its units times coefficients fitted to synthesis, with an interval.

`cost_models/data/finn.json` holds the coefficients as `hwdse calibrate --finn` wrote it, `hwdse.finn_parts` the
structure. The measured numbers are yosys LUT sites, on no account Vivado's.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files

from hwdse.finn_parts import KINDS
from hwdse.finn_parts.part import Parameters, Parts

FILE, TABLE = "finn.json", "finn.netlist.csv"  # the fits, and what they are fitted to
TOOLS = "tools.json"  # says what has made which table
COUNTS = ("luts", "ffs")
RAMS = ("buffer", "rows", "vector memory")  # parts that are RAM in LUTs, or nothing
NAMES = {  # of the kinds of units that prices are made of
    "finn_mvu": "matrix-vector units",
    "finn_vvu": "vector-vector units",
    "finn_memstream": "memories of weights",
    "finn_thresholds": "thresholds",
    "finn_window": "windows",
    "finn_padding": "padding",
}


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients of the LUTs or the flip-flops of one kind of unit, and how well they predict."""

    coefficients: Mapping[str, float]  # part -> factor on its structural count
    # |predicted - measured| / measured of units whose formats, or whose sizes, were left out, of those the worse.
    median_error: float
    ninth_decile_error: float
    low: float  # measured / predicted of units that were left out: 90 % lie between `low` and `high`
    high: float
    runs: int

    def with_bounds(self, predicted: float) -> tuple[float, float, float]:
        """A prediction and its interval, which it is in."""
        return predicted, predicted * min(self.low, 1.0), predicted * max(self.high, 1.0)


@dataclass(frozen=True, slots=True)
class Fits:
    """One kind of unit."""

    luts: Fit
    ffs: Fit
    rtl: str  # names the RTL of all units that were measured
    devices: tuple[str, ...]  # whose primitives it was mapped to


@dataclass(frozen=True, slots=True)
class Price:
    """Predicted area of a unit, each count with the bounds of a 90 % interval: as predicted, least, most."""

    luts: tuple[float, float, float]
    ffs: tuple[float, float, float]
    lutrams: tuple[float, float, float]  # of `luts`


def price(kind: str, parameters: Parameters) -> Price:
    """What a unit takes; ValueError where its kind has not been measured."""
    return of_parts(kind, KINDS[kind](parameters))


def of_parts(kind: str, parts: Parts) -> Price:
    """The same of a unit whose parts are known."""
    fits = of(kind)
    luts = {name: fits.luts.coefficients[name] * part.luts for name, part in parts.items() if part.luts}
    ffs = sum(fits.ffs.coefficients[name] * part.ffs for name, part in parts.items() if part.ffs)
    rams = sum(luts.get(name, 0.0) for name in RAMS)
    bound = fits.luts.with_bounds
    return Price(bound(sum(luts.values())), fits.ffs.with_bounds(ffs), bound(rams))


def of(kind: str) -> Fits:
    """The fits of a kind of unit; ValueError lists what there is."""
    known = _file()
    if kind not in known:
        raise ValueError(f"{kind!r} of FINN has not been measured; known: {', '.join(known) or 'nothing'}")
    return known[kind]


def summary() -> str:
    """What was measured, and how wrong the fits are: a sentence for a report."""
    found = {NAMES[kind]: fits for kind, fits in _file().items() if kind in NAMES}
    parts = [f"{name} {_measured(fits)}" for name, fits in found.items()]
    total = sum(fits.luts.runs for fits in found.values())
    return (
        f"fitted to {total} units of FINN's RTL that yosys {_yosys()}, and not Vivado, has synthesised; LUTs of units "
        f"left out of the fit, for half and for 90 % of them: {', '.join(parts)}"
    )


def _measured(fits: Fits) -> str:
    """`(48 on xczu7ev, xc7z020) within 1 and 4 %`."""
    half, most = (100 * error for error in (fits.luts.median_error, fits.luts.ninth_decile_error))
    return f"({fits.luts.runs} on {', '.join(fits.devices)}) within {half:.1f} and {most:.1f} %"


def _yosys() -> str:
    """The version that has made the table of measurements."""
    version: str = json.loads(_text(TOOLS))[TABLE]["tools"]["yosys"]
    return version


def content() -> str:
    """The file of the fits."""
    return _text(FILE)


def _text(name: str) -> str:
    """A file of the data of cost models."""
    return (files("hwdse.cost_models") / "data" / name).read_text(encoding="utf-8")


@cache
def _file() -> Mapping[str, Fits]:
    return parse(content())


def parse(content: str) -> dict[str, Fits]:
    """The fits in a file, by kind of unit."""
    return {
        kind: Fits(Fit(**entry["luts"]), Fit(**entry["ffs"]), entry["rtl"], tuple(entry["devices"]))
        for kind, entry in json.loads(content).items()
    }


def text(fits: Mapping[str, Fits]) -> str:
    """The file of `fits`: `parse(text(fits)) == fits`."""
    return json.dumps({kind: asdict(one) for kind, one in fits.items()}, indent=1, sort_keys=True) + "\n"
