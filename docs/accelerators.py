"""Makes `docs/accelerators.md`: whole networks as hardware, proven bit for bit, placed, and held against their prices.

    python docs/accelerators.py [--only NETWORK] [--workers N] [--cache FOLDER]

Every network of digits in five formats and a mixed design: each code of the whole test split against Brevitas, the sums
of 100 test images in Verilator, with stalls and without, and the cycles from image to image; sixteen of them placed and
routed on an ECP5. What was done is in `accelerators.csv`, and a row there is not made again while its code, its tools
and its RTL are the same; delete the row to make it again.
"""

import argparse
import csv
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

from jinja2 import Environment, StrictUndefined

from hwdse import models
from hwdse.assembly import Assembly, assemble, prove
from hwdse.build import run
from hwdse.calibration.command import CACHE
from hwdse.cost_models.dataflow import Dataflow
from hwdse.data import DataSpec, Split, load
from hwdse.design import Design, Quantizer
from hwdse.equality import compare, input_codes
from hwdse.flows.nextpnr import Nextpnr
from hwdse.folding import fold
from hwdse.lower import lower
from hwdse.quantize import Bench
from hwdse.target import fpga

HERE = Path(__file__).parent
TABLE, PAGE = HERE / "accelerators.csv", HERE / "accelerators.md"
DEVICE = fpga("ecp5_85f")
IMAGES = 100  # that are simulated
PACES = {"digits-mlp": 1024, "digits-cnn": 4096, "digits-resnet": 8192}  # cycles an image, at most
FORMATS = ("int4", "int8", "e2m1", "e3m2", "e4m3", "mixed")
PLACED = {
    "digits-mlp": FORMATS,
    "digits-cnn": FORMATS,
    "digits-resnet": ("int4", "e2m1", "e3m2", "mixed"),
}
MIXED = ("int3", "int4", "int5", "int6", "int8", "e2m1", "e3m1", "e3m2", "e2m3", "e4m3")


@dataclass(frozen=True, slots=True)
class Row:
    """One design of one network; nothing where it was not placed."""

    network: str
    formats: str
    images: int
    codes: int
    in_float64: int
    in_float32: int
    unexplained: int
    sums: int
    wrong: int
    cycles: int
    found_cycles: str
    deepest: int
    luts: int
    low: int
    high: int
    mhz: float
    placed_luts: int | None = None
    ffs: int | None = None
    placed_ffs: int | None = None
    dsps: int | None = None
    placed_dsps: int | None = None
    brams: int | None = None
    placed_brams: int | None = None
    routed_mhz: float | None = None
    seconds: int | None = None

    @property
    def error(self) -> float:
        """Of the predicted LUTs, relative to the placed ones."""
        assert self.placed_luts is not None
        return self.luts / self.placed_luts - 1

    @property
    def clock_error(self) -> float:
        """Of the predicted clock, relative to the routed one."""
        assert self.routed_mhz is not None
        return self.mhz / self.routed_mhz - 1


def design(bench: Bench, formats: str, pace: int) -> Design:
    """One format for all, with a scale for each output channel, or a random one for each layer and site."""
    random = Random(bench.workload.name)

    def pick() -> str:
        return random.choice(MIXED) if formats == "mixed" else formats

    weights = {layer.name: Quantizer.parse(f"{pick()}:channel") for layer in bench.workload.weighted}
    sites = {site.name: Quantizer.parse(pick()) for site in bench.workload.sites}
    unsigned = {
        site: replace(one, format=one.format.unsigned) if site in bench.nonnegative else one
        for site, one in sites.items()
    }
    return Design.of(weights, unsigned, fold(bench.workload, pace))


def make(case: tuple[str, str], cache: Path) -> Row:
    """All that is done with one design."""
    network, formats = case
    data = load(DataSpec("digits"))
    bench = Bench.of(models.load(models.ModelSpec(network)), data.calibration, network)
    chosen = design(bench, formats, PACES[network])
    lowered, model = lower(bench, chosen), Dataflow()
    assert isinstance(data.test, Split)
    equality = compare(bench, chosen, lowered, data.test.images)
    cost = model.cost(lowered.workload, lowered.design, DEVICE, 50.0)
    made = assemble(lowered, model.elements(lowered.workload, lowered.design, DEVICE), DEVICE, cache)
    proof = prove(made, input_codes(lowered, data.test.images[:IMAGES]), cache)
    (low, high), clock, area = cost.bounds, cost.clock, cost.area
    assert clock is not None
    row = Row(
        *(network, formats, equality.images, equality.codes, equality.in_float64, equality.in_float32),
        *(equality.unexplained, proof.sums, proof.wrong, proof.predicted, " ".join(map(str, proof.cycles))),
        *(made.deepest, area.luts, low.luts, high.luts, round(clock.mhz, 2)),
        ffs=area.ffs,
        dsps=area.dsps,
        brams=area.brams,
    )
    return placed(row, made, cache) if formats in PLACED[network] else row


def placed(row: Row, made: Assembly, cache: Path) -> Row:
    """The row with what nextpnr makes of the accelerator alone, without a serial line."""
    flow, start = Nextpnr(), perf_counter()
    found = flow.read(run(flow.plan(made.accelerator.netlist, DEVICE), cache, flow.programs()))
    area = found.area
    return replace(
        row,
        placed_luts=area.luts,
        placed_ffs=area.ffs,
        placed_dsps=area.dsps,
        placed_brams=area.brams,
        routed_mhz=None if found.mhz is None else round(found.mhz, 2),
        seconds=round(perf_counter() - start),
    )


# ---- the table and the page ----------------------------------------------------------------------


def write(rows: Iterable[Row]) -> None:
    """The table, in the order of the cases."""
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in sorted(rows, key=lambda row: cases().index((row.network, row.formats))))


def read() -> list[Row]:
    """The rows of the table, if there is one."""
    if not TABLE.exists():
        return []
    with TABLE.open(newline="", encoding="utf-8") as file:
        return [_row(row) for row in csv.DictReader(file)]


def _row(text: dict[str, str]) -> Row:
    kinds = {field.name: str(field.type) for field in fields(Row)}
    values: dict[str, Any] = {key: _value(value, kinds[key]) for key, value in text.items()}
    return Row(**values)


def _value(text: str, kind: str) -> int | float | str | None:
    if kind == "<class 'str'>":
        return text
    if not text:
        return None
    return float(text) if "float" in kind else int(text)


def cases() -> list[tuple[str, str]]:
    """Every network in every format."""
    return [(network, formats) for network in PACES for formats in FORMATS]


def page(rows: Sequence[Row]) -> str:
    """The text of the page."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string((HERE / "accelerators.md.j2").read_text(encoding="utf-8"))
    built = [row for row in rows if row.placed_luts is not None]
    return template.render(rows=rows, built=built, device=DEVICE, images=IMAGES, paces=PACES)


def main() -> None:
    """Makes what is missing, then the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=PACES, help="one network")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=CACHE)
    given = parser.parse_args()
    rows = {(row.network, row.formats): row for row in read()}
    todo = [case for case in cases() if case not in rows and given.only in (None, case[0])]
    with ProcessPoolExecutor(given.workers) as pool:
        for row in pool.map(partial(make, cache=given.cache), todo):
            rows[row.network, row.formats] = row
            write(rows.values())
            print(f"{row.network} in {row.formats}", flush=True)
    if len(rows) == len(cases()):
        PAGE.write_text(page(read()), encoding="utf-8")


if __name__ == "__main__":
    main()
