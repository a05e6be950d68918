"""Writes docs/finn-estimates.csv: the cost model `finn` beside FINN+ itself, for the same designs and foldings.

    python docs/finn_estimates.py

The trained networks on the digits are quantised with the same integers everywhere (int2 to int8, weights by channel)
and taken through FINN's steps, so that FINN has the widths of sums and thresholds from their weights; the cost model
has the widest that the formats allow. Each network is folded for three paces. It prints what docs/finn-cost.md says.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import median

from hwdse import data, models
from hwdse.cost_models.finn import Finn
from hwdse.design import Design, Quantizer
from hwdse.finn import Environment, estimates
from hwdse.finn.correspondence import folding_of, pairs
from hwdse.finn.estimates import Wish
from hwdse.finn.messages import Unit
from hwdse.finn.process import Worker
from hwdse.finn_estimate import estimate
from hwdse.finn_graph import Placed
from hwdse.folding import fold
from hwdse.quantize import Bench, Images
from hwdse.target import fpga

TABLE = Path(__file__).with_name("finn-estimates.csv")
NETWORKS = ("digits-mlp", "digits-cnn", "digits-resnet")
BITS = range(2, 9)
PACES = (20_000, 2_000, 200)  # cycles of a frame
TARGET, CLOCK_MHZ = fpga("xczu3eg"), 200.0


@dataclass(frozen=True, slots=True)
class Row:
    """One design in one folding."""

    network: str
    bits: int
    pace: int
    units: int
    cycles: int  # of a frame; both say the same, as for DSPs and block RAMs of weights
    dsps: int
    brams: int
    luts_finn: int
    luts_model: int
    threshold_brams_finn: int
    threshold_brams_model: int

    @property
    def error(self) -> float:
        """Of the LUTs, as a share of FINN's."""
        return self.luts_model / self.luts_finn - 1


def rows(worker: Worker, network: str, bits: Sequence[int]) -> Iterator[Row]:
    """Of one network."""
    bench, images = trained(network)
    for width in bits:
        yield from of_design(worker, bench, uniform(bench, width), images, width)


def of_design(worker: Worker, bench: Bench, design: Design, images: Images, bits: int) -> Iterator[Row]:
    """A row for each pace; ValueError where the two differ in what does not depend on weights."""
    wish = Wish(TARGET.part, CLOCK_MHZ, frames_per_second=1000)
    found = estimate(worker, bench, design, wish, images, images=2).estimated
    for pace in PACES:
        folded = replace(design, folding=tuple(sorted(fold(bench.workload, pace).items())))
        placed = Finn().placed(bench.workload, folded, TARGET)
        priced = estimates.refold(worker, found, TARGET.part, folding_of(found.priced.units, placed))
        yield row(bench.workload.name, bits, pace, pairs(priced.units, placed))


def row(network: str, bits: int, pace: int, both: Sequence[tuple[Unit, Placed]]) -> Row:
    """Of pairs of FINN's unit and ours."""
    own = [(unit, one.node) for unit, one in both if one.role != "thresholds"]
    for unit, node in own:
        if (unit.cycles, unit.dsps, unit.bram18s) != (node.cycles, node.dsps, node.bram18s):
            raise ValueError(f"{network}: FINN says {unit}, and the model {node}")
    thresholds = [(unit, one.node) for unit, one in both if one.role == "thresholds"]
    return Row(
        network,
        bits,
        pace,
        len(both),
        max(unit.cycles for unit, _ in both),
        sum(unit.dsps for unit, _ in both),
        sum(unit.bram18s for unit, _ in own),
        sum(unit.luts for unit, _ in both),
        sum(one.node.luts for _, one in both),
        sum(unit.bram18s for unit, _ in thresholds),
        sum(node.bram18s for _, node in thresholds),
    )


def trained(network: str) -> tuple[Bench, Images]:
    """The network, trained as a study trains it, and test images."""
    spec = data.DataSpec("digits")
    images = data.load(spec)
    model = models.load(models.ModelSpec(network))
    return Bench.of(model, images.calibration, network, hardware=True), images.test


def uniform(bench: Bench, bits: int) -> Design:
    """Integers of so many bits everywhere, unsigned where nothing is negative."""
    weights, activations = Quantizer.parse(f"int{bits}:channel"), Quantizer.parse(f"int{bits}")
    unsigned = replace(activations, format=activations.format.unsigned)
    sites = {site.name: unsigned if site.name in bench.nonnegative else activations for site in bench.workload.sites}
    return Design.of({layer.name: weights for layer in bench.workload.weighted}, sites)


def sentences(table: Sequence[Row]) -> tuple[str, ...]:
    """What the page says."""
    errors = sorted(row.error for row in table)
    memories = sum(row.threshold_brams_finn != row.threshold_brams_model for row in table)
    return (
        f"In {len(table)} foldings of {len({(row.network, row.bits) for row in table})} designs",
        f"{100 * median(errors):.0f} % more LUTs than FINN in the median",
        f"from {100 * errors[0]:+.0f} % to {100 * errors[-1]:+.0f} %",
        f"in {memories} of them FINN stores some thresholds in block RAM",
    )


def read() -> tuple[Row, ...]:
    """The rows that were written last."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(Row(one["network"], *(int(one[key]) for key in list(one)[1:])) for one in csv.DictReader(file))


def write(table: Sequence[Row]) -> None:
    """Keeps the rows."""
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in table)


def main() -> None:
    """Measures everything."""
    with Worker(Environment.default()) as worker:
        table = [row for network in NETWORKS for row in rows(worker, network, BITS)]
    write(table)
    print("\n".join(sentences(table)))


if __name__ == "__main__":
    main()
