"""Writes docs/cost-model.md: what the cost model predicts, and how wrong it is on units that were left out of its fit.

    python docs/cost_model.py [--out FOLDER]

Everything comes from the tables in cost_models/data and the fits to them, which `hwdse calibrate` makes; nothing is
synthesised.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from jinja2 import Environment, StrictUndefined

from hwdse import calibrated
from hwdse.calibrated import Fit, Fits
from hwdse.cost_models.dataflow import TABLE_INPUTS
from hwdse.design import Folding
from hwdse.formats import Format, known_formats, parse
from hwdse.matrix_vector import EXPONENT_BITS, MatrixVector, Style, table_bits
from hwdse.measurements import Measurement, read
from hwdse.structure import blocks
from hwdse.structure.blocks import FABRICS

HERE = Path(__file__).parent
LUT_BAR, FF_BAR = 0.06, 0.05  # mean errors that a unit may have
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
class Missed:
    """A bar that a unit's error is above."""

    family: str
    module: str
    count: str
    fit: Fit
    bar: float


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
    folder = Path(str(files("hwdse.cost_models") / "data"))
    return {family: read(folder / f"{family}.netlist.csv") for family in calibrated.families()}


def fits(family: str) -> Mapping[str, Fits]:
    """The fits of a family."""
    return calibrated.parse(calibrated.content())[family]


def missed() -> list[Missed]:
    """Every unit and count above its bar."""
    bars = (("luts", LUT_BAR), ("ffs", FF_BAR))
    every = (
        Missed(family, module, count, getattr(one, count), bar)
        for family in calibrated.families()
        for module, one in fits(family).items()
        for count, bar in bars
    )
    return [one for one in every if one.fit.mean_error > one.bar]


def wrong_blocks(rows: Sequence[Measurement], family: str) -> tuple[int, int]:
    """Measurements whose DSPs, and whose block RAMs, the rules do not give."""
    dsps = brams = 0
    for module in sorted({row.module for row in rows}):
        own = [row for row in rows if row.module == module]
        values = [dict(row.parameters) for row in own]
        table = {key: np.array([value[key] for value in values], np.int64) for key in values[0]}
        ruled = blocks(module, table, family)
        dsps += sum(row.area.dsps != int(n) for row, n in zip(own, ruled[0], strict=True))
        brams += sum(row.area.brams != int(n) for row, n in zip(own, ruled[1], strict=True))
    return dsps, brams


def checked(family: str) -> tuple[int, float, float]:
    """Units of a family that is priced as another one: how many, and their mean errors in LUTs and flip-flops."""
    rows = read(Path(str(files("hwdse.cost_models") / "data")) / f"{family}.netlist.csv")
    luts_off, ffs_off = list[float](), list[float]()
    for module in sorted({row.module for row in rows}):
        own = [row for row in rows if row.module == module]
        values = [dict(row.parameters) for row in own]
        price = calibrated.price(module, {k: np.array([v[k] for v in values], np.int64) for k in values[0]}, family)
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
