"""Makes `docs/finn-comparison.md`: does our matrix-vector unit take more than FINN's?

    python docs/finn_comparison.py [--finn-rtllib FOLDER] [--workers N]

Two comparisons of one matrix: products in LUTs beside the formula by which FINN estimates its HLS unit, and products
in DSPs beside FINN's own RTL, which the same yosys synthesises with the same commands. FOLDER is the `finn-rtllib` of
finn-plus 1.6.1; without it, pip fetches that wheel from PyPI (`--no-deps`: nothing of it is installed or run). Runs
are kept in a cache, and the page and its table are written when all of them are there.
"""

import argparse
import csv
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from hashlib import blake2b
from math import ceil, log2
from pathlib import Path
from random import Random

from jinja2 import Environment, StrictUndefined

from hwdse.build import BuildError, BuildPlan, run_all
from hwdse.design import Folding
from hwdse.finn_rtl import plans as plans_of_finn
from hwdse.finn_rtl.sources import VERSION, changed
from hwdse.finn_rtl.tops import KINDS, Files
from hwdse.flows.yosys import Yosys
from hwdse.formats import Format, IntFormat, parse
from hwdse.matrix_vector import MatrixVector
from hwdse.netlist import Netlist
from hwdse.target import fpga

HERE = Path(__file__).parent
DEVICE = fpga("u250")
ROWS, DOT = 32, 64  # of the matrix: FINN's MH and MW

MIXED = ((3, 8), (4, 8), (4, 6), (6, 8))  # bits of weights and of activations
PAIRS = (*((bits, bits) for bits in range(3, 9)), *MIXED)
FOLDINGS = tuple(map(Folding.parse, ("1x1", "1x8", "4x4", "4x8")))
LARGEST = Folding.parse("8x8")
NARROW = 10  # bits of both operands, to which LARGEST is synthesised too
LUT_MEMORY = (Folding(4, 8),)  # with the weights in LUTs too
CODED = (Folding(1, 8), Folding(4, 8))  # with the numbers as e1mK too

# Weight bits, bits of an unsigned activation, folding: what FINN's RTL packs 2 to 4 to a DSP48E2, and one without.
DSP_POINTS = (
    *((4, 4, Folding(1, 1)), (3, 3, Folding(8, 2))),
    *((bits, bits, Folding(4, 2)) for bits in range(4, 9)),
    (4, 4, Folding(8, 8)),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One design of one unit. `design`: `finn-formula`, `finn-rtl`, `hwdse`, or `hwdse-e1m`, with e1mK codes."""

    design: str
    products: str  # `lut` or `dsp`
    weight_bits: int
    activation_bits: int
    pe: int
    simd: int
    weights_in: str  # `bram`, `lut`, or `stream`: outside
    luts: int
    ffs: int | None = None  # a formula has none
    dsps: int | None = None
    brams: int | None = None


# ---- FINN's formula ------------------------------------------------------------------------------

# finn-plus 1.6.1, finn/custom_op/fpgadataflow/hls/matrixvectoractivation_hls.py, MVAU_hls.lut_estimation: 'parameters
# from experiments in paper', which is Blott et al., FINN-R, arXiv 1809.04570.
C0, C1 = 300, 1.1


def finn_luts(
    weight_bits: int, activation_bits: int, folding: Folding, dot: int, rows: int, *, lut_memory: bool
) -> int:
    """LUTs of FINN's unit by its own formula: signed operands, products in LUTs, no activation in it.

    `lut_memory`: `ram_style = distributed`, whose weights are the formula's c2; else they are in block RAM.
    """
    lanes = finn_lane_luts(weight_bits, activation_bits, folding.simd, dot)
    words = dot * rows // (folding.pe * folding.simd)
    c2 = folding.pe * folding.simd * weight_bits * ceil(words / 64) if lut_memory else 0
    return int(C0 + C1 * (folding.pe * lanes) + c2)


def finn_lane_luts(weight_bits: int, activation_bits: int, simd: int, dot: int) -> int:
    """The formula's multipliers, adder tree and accumulator of one PE, before its factor.

    The accumulator holds every sum of the data types (A2Q, arXiv 2301.13376), as FINN takes it by default.
    """
    bits = weight_bits + activation_bits
    multipliers = simd * (2 * ceil(bits / 6) - 1) * bits
    alpha = log2(dot) + bits - 2  # both signed
    return multipliers + bits * (2 * simd - 1) + ceil(alpha + log2(1 + 2**-alpha) + 1)


def formula_rows() -> Iterator[Row]:
    """The formula at every point with products in LUTs."""
    for weight, activation, folding, memory in lut_points():
        luts = finn_luts(weight, activation, folding, DOT, ROWS, lut_memory=memory == "lut")
        yield Row("finn-formula", "lut", weight, activation, folding.pe, folding.simd, memory, luts)


def lut_points() -> Iterator[tuple[int, int, Folding, str]]:
    """Weight bits, activation bits, folding, and where the weights are."""
    for weight, activation in PAIRS:
        foldings = (*FOLDINGS, *(LARGEST,) * (weight + activation <= NARROW))
        yield from ((weight, activation, folding, "bram") for folding in foldings)
        yield from ((weight, activation, folding, "lut") for folding in LUT_MEMORY)


# ---- what is synthesised -------------------------------------------------------------------------


def plans(sources: Mapping[str, bytes]) -> Iterator[tuple[Row, BuildPlan]]:
    """Every run, with its row without a result."""
    for weight, activation, folding, memory in lut_points():
        point = ("lut", weight, activation, folding.pe, folding.simd, memory, 0)
        yield Row("hwdse", *point), _plan(_in_luts(IntFormat(weight), IntFormat(activation), folding, memory))
        if folding in CODED and memory == "bram":  # a memory of the same bits in LUTs is no other
            codes = _plan(_in_luts(parse(f"e1m{weight - 2}"), parse(f"e1m{activation - 2}"), folding, memory))
            yield Row("hwdse-e1m", *point), codes
    rtl = finn_rtl(sources)
    for weight, activation, folding in DSP_POINTS:
        unit = _in_dsps(weight, activation, folding)
        point = ("dsp", weight, activation, folding.pe, folding.simd, "stream", 0)
        yield Row("hwdse", *point), _plan(Netlist.of(unit.unit()))
        yield Row("finn-rtl", *point), finn_plan(unit, rtl)


def _plan(netlist: Netlist) -> BuildPlan:
    return Yosys().plan(netlist, DEVICE)


def _in_luts(weight: Format, activation: Format, folding: Folding, memory: str) -> Netlist:
    """Our unit with random weights."""
    unit = MatrixVector(weight, activation, ROWS, DOT, folding, block=memory == "bram")
    random, bits = Random(unit.words), folding.pe * folding.simd * weight.bits
    return Netlist.of(unit.unit([random.getrandbits(bits) for _ in range(unit.words)]))


def _in_dsps(weight_bits: int, activation_bits: int, folding: Folding) -> MatrixVector:
    """Our unit without a weight memory, as FINN's has none; activations are unsigned, as after a ReLU."""
    formats = (IntFormat(weight_bits), IntFormat(activation_bits, signed=False))
    return MatrixVector(*formats, ROWS, DOT, folding, style="dsp", streamed=True, dsp=DEVICE.dsp)


# ---- FINN's RTL ----------------------------------------------------------------------------------

FINN = f"finn-plus=={VERSION}"
FINN_FILES = KINDS["finn_mvu"].files
FINN_DIGEST = "91b707d812bf8243"  # of the files above, before they are changed


def finn_plan(unit: MatrixVector, rtl: Files) -> BuildPlan:
    """The run of FINN's RTL that computes what `unit` does, mapped by the same commands."""
    parameters = finn_parameters(unit)
    return plans_of_finn.plan(plans_of_finn.Unit(DEVICE.name, "finn_mvu", tuple(parameters.items())), rtl, DEVICE)


def finn_parameters(unit: MatrixVector) -> dict[str, int]:
    """Of FINN's RTL."""
    parameters = {"VERSION": 2, "W": unit.weight.bits, "A": unit.activation.bits, "ACC": unit.sum_bits}  # 2: DSP48E2
    parameters |= {"PE": unit.folding.pe, "SIMD": unit.folding.simd, "MW": unit.dot, "MH": unit.rows}
    return parameters | {"NARROW": int(unit.narrow[0]), "SIGNED": int(unit.activation.signed)}


def finn_rtl(sources: Mapping[str, bytes]) -> Files:
    """FINN's files as yosys reads them."""
    return tuple((Path(name).name, changed(name, content)) for name, content in sources.items())


def finn_sources(rtllib: Path | None, cache: Path) -> dict[str, bytes]:
    """FINN's files by their paths in its library, from a folder or the wheel; ValueError where they are others."""
    try:
        sources = _from_wheel(cache) if rtllib is None else {name: (rtllib / name).read_bytes() for name in FINN_FILES}
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"FINN's RTL cannot be read: {error}") from None
    digest = blake2b(b"\0".join(sources.values()), digest_size=8).hexdigest()
    if digest != FINN_DIGEST:
        raise ValueError(f"the page compares with the RTL of {FINN}, whose digest is {FINN_DIGEST}, not {digest}")
    return sources


def _from_wheel(cache: Path) -> dict[str, bytes]:
    folder, name = cache / "finn", "finn_plus-1.6.1-py3-none-any.whl"
    if not (folder / name).exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), FINN]
        if subprocess.run(command, check=False).returncode:
            raise ValueError(f"pip cannot fetch {FINN}: give its folder finn-rtllib with --finn-rtllib")
    with zipfile.ZipFile(folder / name) as archive:
        return {name: archive.read(f"finn/finn-rtllib/{name}") for name in FINN_FILES}


# ---- runs, table, page ---------------------------------------------------------------------------


def measured(sources: Mapping[str, bytes], cache: Path, workers: int) -> Iterator[Row]:
    """The rows of all runs, in the order of the points; BuildError where one fails."""
    wanted = list(plans(sources))
    flow = Yosys()
    found = dict[str, Path]()
    for plan, outcome in run_all([plan for _, plan in wanted], cache, flow.programs(), workers):
        if isinstance(outcome, BuildError):
            raise outcome
        found[plan.digest] = outcome
        print(f"{len(found)} of {len(wanted)}", flush=True)
    for row, plan in wanted:
        area = flow.read(found[plan.digest]).area
        yield replace(row, luts=area.luts, ffs=area.ffs, dsps=area.dsps, brams=area.brams)


def write(rows: Sequence[Row], path: Path) -> None:
    """The table, as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(Row))
        writer.writerows(astuple(row) for row in rows)  # None is an empty cell


def read(path: Path) -> tuple[Row, ...]:
    """The rows of a table."""
    with path.open(newline="") as file:
        return tuple(_row(cells) for cells in list(csv.reader(file))[1:])


def _row(cells: Sequence[str]) -> Row:
    design, products, *numbers = cells[:6]
    weight, activation, pe, simd = map(int, numbers)
    ffs, dsps, brams = (int(cell) if cell else None for cell in cells[8:])
    return Row(design, products, weight, activation, pe, simd, cells[6], int(cells[7]), ffs, dsps, brams)


@dataclass(frozen=True, slots=True)
class Point:
    """One unit in all its designs."""

    designs: Mapping[str, Row]

    @property
    def ours(self) -> Row:
        """Our unit, of integers."""
        return self.designs["hwdse"]

    @property
    def codes(self) -> Row | None:
        """Our unit, of the same numbers as e1mK, where it was synthesised."""
        return self.designs.get("hwdse-e1m")

    @property
    def finn(self) -> Row:
        """FINN's unit: its formula, or its RTL."""
        return self.designs.get("finn-formula") or self.designs["finn-rtl"]

    @property
    def ratio(self) -> float:
        """Our LUTs over FINN's."""
        return self.ours.luts / self.finn.luts

    @property
    def bare_ratio(self) -> float:
        """Our LUTs over the formula's without its constant."""
        return self.ours.luts / (self.finn.luts - C0)

    @property
    def codes_ratio(self) -> float:
        """LUTs of the e1mK codes over those of the integers; 1 where they were not synthesised."""
        return 1.0 if self.codes is None else self.codes.luts / self.ours.luts

    @property
    def name(self) -> str:
        """`4 x 8 bits, PE 4, SIMD 8`."""
        row = self.finn
        return f"{row.weight_bits} x {row.activation_bits} bits, PE {row.pe}, SIMD {row.simd}"


def points(rows: Sequence[Row], products: str, weights_in: str) -> tuple[Point, ...]:
    """The units of one comparison, in the order of the table."""
    found = dict[tuple[int, ...], dict[str, Row]]()
    for row in rows:
        if (row.products, row.weights_in) == (products, weights_in):
            place = (row.weight_bits, row.activation_bits, row.pe, row.simd)
            found.setdefault(place, {})[row.design] = row
    return tuple(Point(designs) for designs in found.values())


def above(units: Sequence[Point], what: str) -> list[str]:
    """The units of which ours takes more `luts`, `ffs` or `dsps`, by name."""
    return [unit.name for unit in units if getattr(unit.ours, what) > getattr(unit.finn, what)]


def spread(ratios: Iterable[float]) -> str:
    """`0.28 to 0.75`."""
    low, *_, high = sorted(ratios)
    return f"{low:.2f} to {high:.2f}"


def page(rows: Sequence[Row]) -> str:
    """The whole page; its numbers are the table's."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["number"] = lambda n: f"{n:,}"
    environment.filters["spread"] = spread
    template = environment.from_string((HERE / "finn-comparison.md.j2").read_text())
    bram, lut = points(rows, "lut", "bram"), points(rows, "lut", "lut")
    return template.render(
        formula=(("Weights in block RAM, of which the formula has no LUTs", bram), ("Weights in LUTs", lut)),
        every=(*bram, *lut),
        coded=[unit for unit in bram if unit.codes is not None],
        dsp=points(rows, "dsp", "stream"),
        above=above,
        finn=FINN.replace("==", " "),
        device=DEVICE.name,
        rows=ROWS,
        dot=DOT,
        c0=C0,
    )


def main() -> None:
    """Synthesises everything, and writes the table and the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--finn-rtllib", type=Path, help=f"the folder finn-rtllib of {FINN}; fetched if not given")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the page and the table")
    parser.add_argument("--cache", type=Path, default=Path("runs/synthesis"), help="finished runs")
    parser.add_argument("--workers", type=int, default=2, help="runs at a time")
    options = parser.parse_args()
    try:
        sources = finn_sources(options.finn_rtllib, options.cache)
        rows = [*formula_rows(), *measured(sources, options.cache, options.workers)]
    except ValueError as error:
        sys.exit(str(error))
    write(rows, options.out / "finn-comparison.csv")
    (options.out / "finn-comparison.md").write_text(page(read(options.out / "finn-comparison.csv")))


if __name__ == "__main__":
    main()
