"""Makes `docs/finn-minifloats.md`: what weights in minifloats cost in FINN, and in units of their own.

    python docs/finn_minifloats.py

FINN has no minifloats: their weights go to it as integers (see `docs/finn.md`). Every design is taken through FINN's
steps, each of them checked, and folded as ours is, layer by layer; ours is priced by the cost model, which has products
of a minifloat and an integer. Rows that are in `finn-minifloats.csv` are kept: remove it to make all of them again.
It needs the environment of FINN+ (`hwdse setup finn`).
"""

import csv
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

warnings.filterwarnings("ignore", category=DeprecationWarning)  # Brevitas imports its own deprecated modules
warnings.filterwarnings("ignore", message="fast_hadamard_transform")

from jinja2 import Environment, StrictUndefined  # noqa: E402

from hwdse import finn, models  # noqa: E402
from hwdse.cost import Resources  # noqa: E402
from hwdse.cost_models.dataflow import UNPRICED, Dataflow  # noqa: E402
from hwdse.data import DataSpec, load  # noqa: E402
from hwdse.design import Design, Folding, Quantizer  # noqa: E402
from hwdse.finn.estimates import Wish, refold  # noqa: E402
from hwdse.finn.messages import Folded, Priced  # noqa: E402
from hwdse.finn.process import Worker  # noqa: E402
from hwdse.finn_estimate import estimate  # noqa: E402
from hwdse.finn_nodes import dsp_of  # noqa: E402
from hwdse.finn_parts.matrix_vector import VERSIONS, Packing  # noqa: E402
from hwdse.folding import fast, fold  # noqa: E402
from hwdse.formats import integer_bits, parse  # noqa: E402
from hwdse.quantize import Bench  # noqa: E402
from hwdse.target import fpga  # noqa: E402
from hwdse.workload import Layer  # noqa: E402

HERE = Path(__file__).parent
TABLE, PAGE = HERE / "finn-minifloats.csv", HERE / "finn-minifloats.md"
DEVICE, CLOCK_MHZ = fpga("xczu3eg"), 200.0
WEIGHTS = ("e2m1", "e2m2", "e2m3", "e3m2", "int4", "int5", "int6", "int7", "int8")
ACTIVATIONS = ("int8", "int4")
PACES = {"digits-mlp": 256, "digits-cnn": 1024}  # cycles an image, at most
PAIRS = (("e2m1", "int4"), ("e2m2", "int5"), ("e2m3", "int6"), ("e3m2", "int6"))  # of equal width
MATRIX = {  # terms of our cost model that are the unit of products: what FINN's matrix-vector unit has too
    *("multipliers", "alignment", "adder tree", "accumulators", "control", "input buffer", "weights")
}


@dataclass(frozen=True, slots=True)
class Row:
    """One network in one pair of formats, by FINN's estimates and by our cost model, with and without DSPs.

    `unit` is what multiplies and its weights, without windows, thresholds and the like.
    """

    network: str
    activations: str
    weights: str
    finn_weights: str
    images: int  # with equal logits behind all of FINN's steps
    finn_unit_luts: int
    finn_unit_brams: int
    finn_luts: int
    finn_brams: int
    finn_dsps: int
    finn_packed_dsps: int
    finn_cycles: int
    luts: int
    dsps: int
    brams: int
    lut_unit_luts: int  # without DSPs, as the next three
    lut_unit_brams: int
    lut_luts: int
    lut_brams: int
    cycles: int


def folding(bench: Bench, pace: int) -> dict[str, Folding]:
    """The fewest lanes that keep the pace, as many outputs as inputs of them where that can be.

    FINN folds the terms of a depthwise layer only once all its channels are worked on at a time.
    """
    found = fold(bench.workload, pace)
    for layer in bench.workload.weighted:
        found[layer.name] = min(_foldings(layer, pace), key=lambda one: (one.pe * one.simd, abs(one.pe - one.simd)))
    return found


def _foldings(layer: Layer, pace: int) -> list[Folding]:
    return [one for one in fast(layer, pace) if one.simd == 1 or not layer.depthwise]


def design(bench: Bench, weights: str, activations: str, pace: int) -> Design:
    """A scale for each output channel of the weights; activations lose the sign where they need none."""
    own, wide = Quantizer.parse(f"{weights}:channel"), Quantizer.parse(activations)
    less = replace(wide, format=wide.format.unsigned)
    sites = {site.name: less if site.name in bench.nonnegative else wide for site in bench.workload.sites}
    return Design.of({layer.name: own for layer in bench.workload.weighted}, sites, folding(bench, pace))


def cases() -> Iterator[tuple[str, str, str]]:
    """Network, activations and weights of all rows."""
    yield from ((network, acts, weights) for network in PACES for acts in ACTIVATIONS for weights in WEIGHTS)


def integer(weights: str) -> str:
    """What FINN has for weights in a format."""
    return f"INT{integer_bits(parse(weights))}"


# ---- FINN ----------------------------------------------------------------------------------------


def in_finn(worker: Worker, bench: Bench, own: Design, pace: int) -> tuple[int, Priced]:
    """Images with equal logits, and FINN's numbers with the folding of `own` where a node has weights."""
    wish = Wish(DEVICE.part, CLOCK_MHZ, frames_per_second=int(CLOCK_MHZ * 1e6 / pace))
    found = estimate(worker, bench, own, wish, load(DataSpec("digits")).test)
    foldings = dict(own.folding)
    wanted = tuple(
        Folded(unit.folded.node, foldings[unit.layer].pe, foldings[unit.layer].simd)
        for unit in found.estimated.priced.units
        if unit.layer is not None
    )
    return found.images, refold(worker, found.estimated, DEVICE.part, wanted)


def packed_dsps(priced: Priced, weight_bits: int, activation_bits: Mapping[str, int]) -> int:
    """DSPs as FINN's RTL has them, with weights that are narrow.

    FINN's estimate takes four products a DSP for any widths.
    """
    dsps = 0
    for unit in priced.units:
        if unit.operation == "MVAU_rtl":
            assert unit.layer is not None
            assert unit.folded.pe is not None
            assert unit.folded.simd is not None
            packing = Packing(VERSIONS[dsp_of(DEVICE.part)], weight_bits, activation_bits[unit.layer], narrow=True)
            dsps += packing.dsps(unit.folded.pe, unit.folded.simd)
    return dsps


# ---- rows ----------------------------------------------------------------------------------------


def made(worker: Worker, bench: Bench, network: str, activations: str, weights: str) -> Row:
    """One row."""
    pace = PACES[network]
    own = design(bench, weights, activations, pace)
    images, priced = in_finn(worker, bench, own, pace)
    sites = dict(own.activations)
    widths = {layer.name: sites[layer.inputs[0]].format.bits for layer in bench.workload.weighted}
    products = [unit for unit in priced.units if unit.layer is not None]
    return Row(
        *(network, activations, weights, integer(weights), images),
        sum(unit.luts for unit in products),
        sum(unit.bram18s for unit in products),
        sum(unit.luts for unit in priced.units),
        sum(unit.bram18s for unit in priced.units),
        sum(unit.dsps for unit in priced.units),
        packed_dsps(priced, integer_bits(parse(weights)), widths),
        priced.interval_cycles,
        *ours(bench, own),
    )


def ours(bench: Bench, own: Design) -> tuple[int, ...]:
    """LUTs, DSPs and BRAM18s; without DSPs LUTs and BRAM18s of the units and of all; cycles."""
    some, none = (Dataflow(multiplier=what).cost(bench.workload, own, DEVICE, CLOCK_MHZ) for what in ("auto", "lut"))
    terms = (term.area for layer in none.layers for term in layer.terms if term.name in MATRIX)
    unit = sum(terms, Resources())
    areas = (unit.luts, unit.brams, none.area.luts, none.area.brams)
    return (some.area.luts, some.area.dsps, some.area.brams, *areas, some.interval_cycles)


def rows(kept: Sequence[Row]) -> Iterator[Row]:
    """All rows, those that are not `kept` made."""
    known = {(row.network, row.activations, row.weights): row for row in kept}
    benches = {network: bench(network) for network in PACES}
    with Worker(finn.Environment.default()) as worker:
        for case in cases():
            yield known[case] if case in known else made(worker, benches[case[0]], *case)


def bench(network: str) -> Bench:
    """A built-in network with its trained weights."""
    return Bench.of(models.load(models.ModelSpec(network)), load(DataSpec("digits")).calibration, network)


def write(found: Sequence[Row], path: Path) -> None:
    """The table, as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(Row))
        writer.writerows(astuple(row) for row in found)


def read(path: Path) -> tuple[Row, ...]:
    """The rows of a table."""
    if not path.exists():
        return ()
    with path.open(newline="") as file:
        return tuple(_row(*cells) for cells in list(csv.reader(file))[1:])


def _row(network: str, activations: str, weights: str, finn_weights: str, *numbers: str) -> Row:
    return Row(network, activations, weights, finn_weights, *map(int, numbers))


# ---- page ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pair:
    """A minifloat beside the integer of its width, all else equal."""

    minifloat: Row
    integer: Row

    def ratio(self, what: str) -> float:
        """Of a column."""
        return float(getattr(self.minifloat, what) / getattr(self.integer, what))


def pairs(found: Sequence[Row]) -> tuple[Pair, ...]:
    """All pairs of equal width."""
    known = {(row.network, row.activations, row.weights): row for row in found}
    places = dict.fromkeys((row.network, row.activations) for row in found)
    return tuple(Pair(known[*at, one], known[*at, other]) for at in places for one, other in PAIRS)


def spread(found: Sequence[Pair], minifloat: str, what: str) -> str:
    """`1.00 to 1.25` times a column of the integer."""
    ratios = [pair.ratio(what) for pair in found if pair.minifloat.weights == minifloat]
    return f"{min(ratios):.2f} to {max(ratios):.2f}"


def page(found: Sequence[Row]) -> str:
    """The whole page; its numbers are the table's."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["number"] = lambda n: f"{n:,}"
    environment.filters["bits"] = lambda name: parse(name).bits
    template = environment.from_string((HERE / "finn-minifloats.md.j2").read_text())
    places = dict.fromkeys((row.network, row.activations) for row in found)
    tables = [(*at, [row for row in found if (row.network, row.activations) == at]) for at in places]
    return template.render(
        tables=tables, pairs=pairs(found), names=PAIRS, spread=spread, paces=PACES,
        device=DEVICE.name, clock=CLOCK_MHZ, unpriced=UNPRICED,
    )  # fmt: skip


def main() -> None:
    """Makes what is missing of the table, and the page."""
    found = list[Row]()
    try:
        for row in rows(read(TABLE)):
            found.append(row)
            print(f"{row.network} {row.weights} x {row.activations}", flush=True)
    except (ValueError, finn.FinnError) as error:
        sys.exit(str(error))
    write(found, TABLE)
    PAGE.write_text(page(read(TABLE)))


if __name__ == "__main__":
    main()
