"""Writes docs/cost-model.md: what the cost model predicts, and how wrong it is on units that were left out of its fit.

    python docs/cost_model.py [--out FOLDER]

Everything comes from the tables in cost_models/data and the fits to them, which `hwdse calibrate` makes; nothing is
synthesised.
"""

import argparse
import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from math import prod
from pathlib import Path

import numpy as np
from jinja2 import Environment, StrictUndefined
from scipy.stats import binom

from hwdse import calibrated, placement
from hwdse.accelerator import Choice, matrix_vector
from hwdse.alternatives import DEEPEST_IN_LUTS, TABLE_INPUTS
from hwdse.calibrated import Fits
from hwdse.calibration import chains
from hwdse.calibration.chains import SHAPES, Chain, Predicted
from hwdse.calibration.fit import modules, table
from hwdse.calibration.placement import fit_delays
from hwdse.calibration.sample import FEWEST_WORDS
from hwdse.design import Folding
from hwdse.formats import Format, known_formats, parse
from hwdse.matrix_vector import EXPONENT_BITS, MatrixVector, Style, table_bits
from hwdse.measurements import Measurement, read
from hwdse.placement import Cells, Delays
from hwdse.structure import blocks
from hwdse.structure.blocks import FABRICS
from hwdse.structure.chains import chains as count_chains
from hwdse.target import fpga

HERE = Path(__file__).parent
DATA = Path(str(files("hwdse.cost_models") / "data"))
CHAIN_DEVICE = "ecp5_25f"
LUT_BAR, FF_BAR = 0.06, 0.05  # mean errors that a unit may have
MHZ_BAR, CHAIN_BAR = 0.15, 0.10
COVERAGE = (0.85, 0.95)  # of units, by intervals of 90 %
ROWS, DOT, FOLDING = 16, 144, Folding(4, 8)  # of the matrix-vector unit whose formats are compared
PUBLISHED = (1.2, 2.8)  # minifloat MACs to integer MACs of equal size, Damsgaard et al., TCAD 44(6):2181, abstract
COUNTED = {
    "xc7": "yosys LUT sites (an estimate of a packer, not Vivado's count)",
    "xcup": "yosys LUT sites (an estimate of a packer, not Vivado's count)",
    "ecp5": "LUT4s of the netlist, two for each CCU2C",
    "ice40": "logic cells of the netlist",
    "nexus": "LUT4s of the netlist, two for each CCU2 or WIDEFN9",
    "gowin": "LUT4s and ALUs of the netlist",
}


@dataclass(frozen=True, slots=True)
class Ratio:
    """One format at equal bits on both sides, beside the integer of its width."""

    format: Format
    luts: float  # of the whole unit
    integer_luts: float

    @property
    def ratio(self) -> float:
        """How many times the integer's LUTs."""
        return self.luts / self.integer_luts


def tables() -> dict[str, tuple[Measurement, ...]]:
    """The netlist measurements of each family that has fits."""
    return {family: read(DATA / f"{family}.netlist.csv") for family in calibrated.families()}


def fits(family: str) -> Mapping[str, Fits]:
    """The fits of a family."""
    return calibrated.parse(calibrated.content())[family]


def missed() -> list[str]:
    """Every bar that is missed, in words."""
    return [
        *_units_missed(),
        *_blocks_missed(),
        *_placed_missed(),
        *_clocks_missed(),
        *_chains_missed(),
        *_networks_missed(),
    ]


def _units_missed() -> Iterator[str]:
    for family in calibrated.families():
        for module, one in fits(family).items():
            for what, fit, bar in (("LUTs", one.luts, LUT_BAR), ("flip-flops", one.ffs, FF_BAR)):
                name = f"{family} {module}, of {fit.runs} units"
                if fit.mean_error > bar:
                    yield f"{name}: {100 * fit.mean_error:.1f} % off in {what}"
                if fit.coverage < COVERAGE[0]:
                    yield f"{name}: {100 * fit.coverage:.1f} % inside the interval of {what}"


def wide() -> list[str]:
    """The units of which more lie inside their interval than should, in words."""
    found = [
        f"{family} {module} ({what})"
        for family in calibrated.families()
        for module, one in fits(family).items()
        for what, fit in (("LUT", one.luts), ("FF", one.ffs))
        if fit.coverage > COVERAGE[1]
    ]
    return [*found, *(f"{family} as placed" for family in placed() if cells(family).coverage > COVERAGE[1])]


def cells(family: str) -> Cells:
    """The fit of a family that is placed."""
    return placement.parse(placement.content()).cells[family]


def _placed_missed() -> Iterator[str]:
    for family in placed():
        fit = cells(family)
        if fit.mean_error > LUT_BAR:
            yield f"{family} as placed, of {fit.runs} units: {100 * fit.mean_error:.1f} % off in LUTs"
        if fit.coverage < COVERAGE[0]:
            yield f"{family} as placed, of {fit.runs} units: {100 * fit.coverage:.1f} % inside the interval of LUTs"


def _blocks_missed() -> Iterator[str]:
    for family, rows in tables().items():
        for what, wrong in zip(("DSP blocks", "block RAM"), wrong_blocks(rows, family), strict=True):
            if wrong:
                yield f"{family}: {what} of {wrong} of {len(rows)} units"


def _clocks_missed() -> Iterator[str]:
    for device, fit in clocks().items():
        if fit.mean_error > MHZ_BAR:
            yield f"{device}: {100 * fit.mean_error:.1f} % off in clocks"
        if not COVERAGE[0] <= fit.coverage <= COVERAGE[1]:
            yield f"{device}: {100 * fit.coverage:.1f} % inside the interval of clocks"


def _chains_missed() -> Iterator[str]:
    for one, said in layers():
        if abs(said.area.luts / one.luts - 1) > CHAIN_BAR:
            yield f"chain {one.name}: {100 * (said.area.luts / one.luts - 1):+.1f} % in placed LUTs"
        if (said.area.dsps, said.area.brams) != (one.dsps, one.brams):
            blocks_ = f"{said.area.dsps} DSP and {said.area.brams} block RAM"
            yield f"chain {one.name}: {blocks_}, not {one.dsps} and {one.brams}"
        if said.cycles != one.cycles:
            yield f"chain {one.name}: {said.cycles} cycles, simulated {one.cycles}"


def _networks_missed() -> Iterator[str]:
    for one in networks():
        name = f"network {one.network} in {one.formats}"
        if abs(one.error) > CHAIN_BAR:
            yield f"{name}: {100 * one.error:+.1f} % in placed LUTs"
        if abs(one.clock_error) > MHZ_BAR:
            yield f"{name}: {100 * one.clock_error:+.1f} % in its clock"
        if str(one.cycles) != one.found_cycles:
            yield f"{name}: {one.cycles} cycles, simulated {one.found_cycles}"


@dataclass(frozen=True, slots=True)
class Network:
    """A whole network on an ECP5: what was predicted, placed and routed, and its cycles from image to image."""

    network: str
    formats: str
    luts: int
    placed_luts: int
    mhz: float
    routed_mhz: float
    cycles: int
    found_cycles: str  # in Verilator

    @property
    def error(self) -> float:
        """Of the predicted LUTs, relative to the placed ones."""
        return self.luts / self.placed_luts - 1

    @property
    def clock_error(self) -> float:
        """Of the predicted clock, relative to the routed one."""
        return self.mhz / self.routed_mhz - 1


def networks() -> list[Network]:
    """Those that `docs/accelerators.py` has placed."""
    with (HERE / "accelerators.csv").open(newline="", encoding="utf-8") as file:
        return [
            Network(
                *(row["network"], row["formats"], int(row["luts"]), int(row["placed_luts"])),
                *(float(row["mhz"]), float(row["routed_mhz"]), int(row["cycles"]), row["found_cycles"]),
            )
            for row in csv.DictReader(file)
            if row["placed_luts"]
        ]


def within(found: Sequence[Network]) -> int:
    """How many have LUTs, clock and cycles within the bars."""
    exact = [one for one in found if str(one.cycles) == one.found_cycles]
    return sum(abs(one.error) <= CHAIN_BAR and abs(one.clock_error) <= MHZ_BAR for one in exact)


def clocks() -> Mapping[str, Delays]:
    """The fitted delays of each device."""
    return placement.parse(placement.content()).delays


def layers() -> list[tuple[Chain, Predicted]]:
    """Chains as placed, and what is predicted of them."""
    shapes = {shape.name: shape for shape in SHAPES}
    rows = chains.read(DATA / f"{CHAIN_DEVICE}.chains.csv")
    return [(row, chains.predict(shapes[row.name], fpga(row.device))) for row in rows]


def placed() -> dict[str, tuple[Measurement, ...]]:
    """The placed measurements of each family that has some."""
    found = {family: DATA / f"{family}.placed.csv" for family in calibrated.families()}
    return {family: read(file) for family, file in found.items() if file.exists()}


def more_luts(family: str) -> tuple[float, float]:
    """By what share a matrix-vector unit as placed has more LUTs than its netlist: the least and the most."""
    before = {row.parameters: row.area.luts for row in tables()[family] if row.module == "mvu"}
    ratios = [row.area.luts / before[row.parameters] - 1 for row in placed()[family] if row.module == "mvu"]
    return min(ratios), max(ratios)


def same_ffs() -> tuple[int, int]:
    """How many placed units have the flip-flops of their netlist, and how many there are."""
    same = [
        row.area.ffs == ffs
        for family, rows in placed().items()
        for before in [{(row.module, row.parameters): row.area.ffs for row in tables()[family]}]
        for row in rows
        for ffs in [before[row.module, row.parameters]]
    ]
    return sum(same), len(same)


def chance(units: int) -> tuple[int, float, float]:
    """Between which shares of `units` units 95 % of samples have inside what holds 90 % of them."""
    low, high = binom.interval(0.95, units, 0.9)
    return units, float(low) / units, float(high) / units


def few_words() -> list[tuple[str, int]]:
    """The chains with fewer words of weights than any unit that was fitted to, and how many."""
    found = [(shape, matrix_vector(shape.quantised(fpga(CHAIN_DEVICE)), Choice())) for shape in SHAPES]
    return [(repr(shape.name), matrix.words) for shape, matrix in found if matrix.words < FEWEST_WORDS]


@dataclass(frozen=True, slots=True)
class Gowin:
    """What is wrong with the clocks of the Gowin."""

    carried: int  # units with a carry chain
    impossible: int  # of them above `fastest`
    fastest: float  # MHz of such a unit on the other devices
    error: float  # of clocks, without all units above


def gowin() -> Gowin | None:
    """Nothing where the Gowin's clocks keep their bar."""
    if clocks()["gw1nr9"].mean_error <= MHZ_BAR:
        return None
    fastest = max(
        row.mhz or 0.0 for family, rows in placed().items() if family != "gowin" for row in _carried(rows, family)
    )
    rows = placed()["gowin"]
    own = _carried(rows, "gowin")
    fit = fit_delays([row for row in rows if (row.mhz or 0.0) <= fastest], "gowin")
    return Gowin(len(own), sum((row.mhz or 0.0) > fastest for row in own), round(fastest), fit.mean_error)


def _carried(rows: Sequence[Measurement], family: str) -> list[Measurement]:
    """Those with an adder or a comparator on a chain."""
    found = [(row, count_chains(row.module, table([row]), FABRICS[family])) for row in rows]
    return [row for row, chains_ in found if chains_.adders[0] + chains_.comparators[0] > 0]


def deepest(module: str, *keys: str) -> int:
    """The most words of a memory in LUTs in the measurements of a module; `keys` are multiplied."""
    rows = [dict(row.parameters) for rows in tables().values() for row in rows if row.module == module]
    return max(prod(row[key] for key in keys) for row in rows if row["BLOCK"] == 0)


def deepest_weights() -> int:
    """The same of weights."""
    rows = [dict(row.parameters) for rows in tables().values() for row in rows if row.module == "mvu"]
    return max(p["GROUPS"] * (p["ROWS"] // p["PE"]) * (p["DOT"] // p["SIMD"]) for p in rows if p["BLOCK"] == 0)


def wrong_blocks(rows: Sequence[Measurement], family: str) -> tuple[int, int]:
    """Measurements whose DSPs, and whose block RAMs, the rules do not give."""
    dsps = brams = 0
    for module, own in sorted(modules(rows).items()):
        ruled = blocks(module, table(own), family)
        dsps += sum(row.area.dsps != int(n) for row, n in zip(own, ruled[0], strict=True))
        brams += sum(row.area.brams != int(n) for row, n in zip(own, ruled[1], strict=True))
    return dsps, brams


def checked(family: str) -> tuple[int, float, float]:
    """Units of a family that is priced as another one: how many, and their mean errors in LUTs and flip-flops."""
    rows = read(DATA / f"{family}.netlist.csv")
    luts_off, ffs_off = list[float](), list[float]()
    for module, own in sorted(modules(rows).items()):
        price = calibrated.price(module, table(own), family)
        for row, luts_, ffs in zip(own, price.luts, price.ffs, strict=True):
            luts_off.append(abs(float(luts_) - row.area.luts) / max(row.area.luts, 1))
            ffs_off.append(abs(float(ffs) - row.area.ffs) / max(row.area.ffs, 1))
    return len(rows), float(np.mean(luts_off)), float(np.mean(ffs_off))


def ratios(family: str) -> list[Ratio]:
    """The matrix-vector unit of every minifloat, in the smaller of its styles, beside that of the integer."""
    formats = [fmt for fmt in known_formats(bits=range(3, 9)) if 0 < fmt.exponent <= EXPONENT_BITS]
    return [Ratio(fmt, luts(fmt, family), luts(parse(f"int{fmt.bits}"), family)) for fmt in formats]


def luts(fmt: Format, family: str) -> float:
    """LUTs of the unit with weights and activations of `fmt`, its weights in block RAM."""
    styles: tuple[Style, ...] = ("shift", "table") if table_bits(fmt, fmt) <= TABLE_INPUTS else ("shift",)
    lut_inputs = FABRICS[family].lut_inputs
    units = [
        MatrixVector(fmt, fmt, ROWS, DOT, FOLDING, style=style, block=True, lut_inputs=lut_inputs) for style in styles
    ]
    tables_ = [{key: np.array(value, np.int64) for key, value in unit.parameters.items()} for unit in units]
    return min(float(calibrated.price("mvu", table, family).luts) for table in tables_)


def page() -> str:
    """The whole page."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["percent"] = lambda x: f"{100 * x:.1f} %"
    measured = tables()
    return environment.from_string((HERE / "cost-model.md.j2").read_text()).render(
        families=calibrated.families(),
        counted=COUNTED,
        measured=measured,
        fits=fits,
        missed=missed(),
        luts_bar=LUT_BAR,
        ffs_bar=FF_BAR,
        mhz_bar=MHZ_BAR,
        chain_bar=CHAIN_BAR,
        chain_device=CHAIN_DEVICE,
        chains=layers(),
        networks=networks(),
        within=within(networks()),
        delays=clocks(),
        delay_names=(*placement.COUNTS, placement.START, placement.SIZE),
        predicted=FABRICS,
        placed_cells=placement.cells,
        more={family: more_luts(family) for family in placed()},
        same_ffs=same_ffs(),
        gowin=gowin(),
        chance=chance(40),
        wide=wide(),
        deepest=DEEPEST_IN_LUTS,
        deepest_weights=deepest_weights(),
        deepest_window=deepest("window_parallel", "W", "CF"),
        fewest=FEWEST_WORDS,
        few_words=few_words(),
        coverage=COVERAGE,
        wrong={family: wrong_blocks(rows, family) for family, rows in measured.items()},
        ratios=ratios,
        checked=checked("xc7"),
        published=PUBLISHED,
        unit=f"{ROWS} x {DOT}, folded {FOLDING.name}",
    )


def main() -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the page")
    options = parser.parse_args()
    (options.out / "cost-model.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
