"""Makes `docs/accelerators.md`: whole networks as hardware, proven bit for bit, placed, and held against their prices.

    python docs/accelerators.py [--only NETWORK] [--cifar FOLDER] [--workers N] [--cache FOLDER]

Every network of digits in five formats and a mixed design, and ResNet-20 where its folder is given: each code of the
test images against Brevitas, the sums of some of them in Verilator, with stalls and without, and the cycles from image
to image; most of them placed and routed on an ECP5. Then a network for each board, with a serial line and a bitstream.
What was done is in `accelerators.csv` and `boards.csv`, and what has a row there is not made again; delete the row to
make it again.
"""

import argparse
import csv
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeVar

from jinja2 import Environment, StrictUndefined

from hwdse import board_top, host, models
from hwdse.assembly import Assembly, assemble, prove
from hwdse.boards import board, boards
from hwdse.build import run, seconds
from hwdse.calibration.command import CACHE
from hwdse.cost_models.dataflow import Dataflow
from hwdse.data import DataSpec, load
from hwdse.design import Design, Quantizer
from hwdse.equality import compare, input_codes
from hwdse.flows.bitstream import Bitstream, bitstream
from hwdse.flows.nextpnr import Nextpnr
from hwdse.folding import fold
from hwdse.lower import lower
from hwdse.quantize import Bench, Images
from hwdse.target import fpga, uses

HERE = Path(__file__).parent
TABLE, BOARDS, PAGE = HERE / "accelerators.csv", HERE / "boards.csv", HERE / "accelerators.md"
DEVICE = fpga("ecp5_85f")
FORMATS = ("int4", "int8", "e2m1", "e3m2", "e4m3", "mixed")
RESNET20 = "cifar-resnet20"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Case:
    """A network, and what is done with it."""

    pace: int  # cycles an image, at most
    placed: tuple[str, ...]  # formats
    formats: tuple[str, ...] = FORMATS
    compared: int = 10_000  # test images, if there are as many
    simulated: int = 100


CASES = {
    "digits-mlp": Case(1024, FORMATS),
    "digits-cnn": Case(4096, FORMATS),
    "digits-resnet": Case(8192, ("int4", "e2m1", "e3m2", "mixed")),
    RESNET20: Case(400_000, ("int4",), ("int4", "e2m1"), 64, 8),
}
ON_BOARD, ON_BOARD_PACE = "digits-cnn", 32_768
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
    simulated: int
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


def trained(network: str, cifar: Path | None) -> tuple[Bench, Images]:
    """A network with its weights, and its test images."""
    spec, checkpoint = DataSpec("digits"), None
    if network == RESNET20:
        assert cifar is not None
        checkpoint, paths = cifar / "resnet20-12fca82f.th", (cifar / "test-3000.npz", cifar / "train-1000.npz")
        normal = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
        spec = DataSpec("archive", *paths, calibration=256, search=1000, test=2000, **normal)  # type: ignore[arg-type]
    data = load(spec)
    return Bench.of(models.load(models.ModelSpec(network, checkpoint)), data.calibration, network), data.test


def make(one: tuple[str, str], cache: Path, cifar: Path | None) -> Row:
    """All that is done with one design."""
    network, formats = one
    case, (bench, test) = CASES[network], trained(network, cifar)
    chosen = design(bench, formats, case.pace)
    lowered, model = lower(bench, chosen), Dataflow()
    images, _ = next(test.batches(case.compared))
    equality = compare(bench, chosen, lowered, images)
    cost = model.cost(lowered.workload, lowered.design, DEVICE, 50.0)
    made = assemble(lowered, model.elements(lowered.workload, lowered.design, DEVICE), DEVICE, cache)
    proof = prove(made, input_codes(lowered, images[: case.simulated]), cache)
    (low, high), clock, area = cost.bounds, cost.clock, cost.area
    assert clock is not None
    row = Row(
        *(network, formats, equality.images, equality.codes, equality.in_float64, equality.in_float32),
        *(
            equality.unexplained,
            proof.images,
            proof.sums,
            proof.wrong,
            proof.predicted,
            " ".join(map(str, proof.cycles)),
        ),
        *(made.deepest, area.luts, low.luts, high.luts, round(clock.mhz, 2)),
        ffs=area.ffs,
        dsps=area.dsps,
        brams=area.brams,
    )
    return placed(row, made, cache) if formats in case.placed else row


def placed(row: Row, made: Assembly, cache: Path) -> Row:
    """The row with what nextpnr makes of the accelerator alone, without a serial line."""
    flow = Nextpnr()
    folder = run(flow.plan(made.accelerator.netlist, DEVICE), cache, flow.programs())
    found = flow.read(folder)
    area = found.area
    return replace(
        row,
        placed_luts=area.luts,
        placed_ffs=area.ffs,
        placed_dsps=area.dsps,
        placed_brams=area.brams,
        routed_mhz=None if found.mhz is None else round(found.mhz, 2),
        seconds=round(sum(seconds(folder))),
    )


# ---- boards ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OnBoard:
    """A network behind the serial line of a board, with its bitstream."""

    board: str
    device: str
    formats: str
    luts: int
    placed_luts: int
    available_luts: int
    placed_brams: int
    available_brams: int
    dsps: int
    clock_mhz: float
    routed_mhz: float
    images_a_second: int  # that the accelerator computes at the clock of the board; the line brings fewer
    bitstream_bytes: int
    seconds: int


def on_board(name: str, cache: Path) -> OnBoard:
    """Synthesises, places, routes and packs for one board."""
    one, (bench, _) = board(name), trained(ON_BOARD, None)
    target, formats = fpga(one.device), "int3" if one.device == "ice40_up5k" else "e2m1"
    lowered, model = lower(bench, design(bench, formats, ON_BOARD_PACE)), Dataflow()
    made = assemble(lowered, model.elements(lowered.workload, lowered.design, target), target, cache)
    flow = Bitstream(name, board_top.queue_bytes(host.image_bytes(lowered, made.accelerator), target))
    folder = run(flow.plan(made.accelerator.netlist, target), cache, flow.programs())
    found, area = flow.read(folder), model.cost(lowered.workload, lowered.design, target, one.clock_mhz).area
    available = {use.name: use.available for use in uses(found.area, target)}
    used = {use.name: use.used for use in uses(found.area, target)}
    memory = next(key for key in used if key.startswith("BRAM"))
    assert found.mhz is not None
    return OnBoard(
        *(name, one.device, formats, area.luts, found.area.luts, available["LUT"], used[memory], available[memory]),
        *(found.area.dsps, one.clock_mhz, round(found.mhz, 2), round(one.clock_mhz * 1e6 / made.cycles)),
        *(bitstream(folder).stat().st_size, round(sum(seconds(folder)))),
    )


# ---- the tables and the page ----------------------------------------------------------------------


def write(path: Path, rows: Iterable[Row] | Iterable[OnBoard]) -> None:
    """A table, a line for each row."""
    kept = [asdict(row) for row in rows]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(kept[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)


def read(path: Path, kind: type[T]) -> list[T]:
    """The rows of a table, if there is one."""
    if not path.exists():
        return []
    kinds = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]
    with path.open(newline="", encoding="utf-8") as file:
        return [kind(**{key: _value(text, kinds[key]) for key, text in row.items()}) for row in csv.DictReader(file)]


def _value(text: str, kind: str) -> int | float | str | None:
    if kind == "<class 'str'>":
        return text
    if not text:
        return None
    return float(text) if "float" in kind else int(text)


def cases() -> list[tuple[str, str]]:
    """Every network in its formats."""
    return [(network, formats) for network, case in CASES.items() for formats in case.formats]


def page(rows: Sequence[Row], on_boards: Sequence[OnBoard]) -> str:
    """The text of the page."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"whole": "{:,}".format, "percent": "{:+.1f} %".format}
    template = environment.from_string((HERE / "accelerators.md.j2").read_text(encoding="utf-8"))
    built = [row for row in rows if row.placed_luts is not None]
    words = {"rows": rows, "built": built, "boards": on_boards, "device": DEVICE, "cases": CASES}
    return template.render(words, on_board=ON_BOARD, on_board_pace=ON_BOARD_PACE)


def main() -> None:
    """Makes what is missing, then the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=CASES, help="one network")
    parser.add_argument("--cifar", type=Path, help="the folder with ResNet-20 and its images")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=CACHE)
    given = parser.parse_args()
    rows = {(row.network, row.formats): row for row in read(TABLE, Row)}
    todo = [case for case in cases() if case not in rows and given.only in (None, case[0])]
    todo = [case for case in todo if case[0] != RESNET20 or given.cifar is not None]
    with ProcessPoolExecutor(given.workers) as pool:
        for row in pool.map(partial(make, cache=given.cache, cifar=given.cifar), todo):
            rows[row.network, row.formats] = row
            write(TABLE, (rows[case] for case in cases() if case in rows))
            print(f"{row.network} in {row.formats}", flush=True)
        found = {one.board: one for one in read(BOARDS, OnBoard)}
        for one in pool.map(partial(on_board, cache=given.cache), [name for name in boards() if name not in found]):
            found[one.board] = one
            write(BOARDS, (found[name] for name in boards() if name in found))
            print(f"{ON_BOARD} on {one.board}", flush=True)
    if set(cases()) == set(rows):
        PAGE.write_text(page(read(TABLE, Row), read(BOARDS, OnBoard)), encoding="utf-8")


if __name__ == "__main__":
    main()
