"""Makes `docs/minifloat-vs-int.md`: do minifloats win on accuracy at equal bits, and integers once LUTs count?

    python docs/minifloat_vs_int.py [--cifar FOLDER]

Every network is quantised uniformly (one format for weights and activations, every tensor once, at
its producer) with every integer and every minifloat of 3 to 8 bits and two calibrations. The best
of each family and width is chosen on the search split, and only those are evaluated on the test
split, where the difference of the two is paired image by image. The evaluations are kept in a store,
so that a second run only prices again. FOLDER holds `train-1000.npz`, `test-3000.npz` and `resnet20-12fca82f.th`;
without it ResNet-20 is left out, and the page says so.
"""

import argparse
import csv
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

warnings.filterwarnings("ignore", category=DeprecationWarning)  # Brevitas imports its own deprecated modules
warnings.filterwarnings("ignore", message="fast_hadamard_transform")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from jinja2 import Environment, StrictUndefined  # noqa: E402

from hwdse import data, models  # noqa: E402
from hwdse.accuracy import Evaluator  # noqa: E402
from hwdse.cost_models.dataflow import Dataflow  # noqa: E402
from hwdse.design import Design, Quantizer  # noqa: E402
from hwdse.evaluation import Accuracy, Difference, paired  # noqa: E402
from hwdse.folding import fold  # noqa: E402
from hwdse.formats import Format, family, known_formats  # noqa: E402
from hwdse.pareto import front  # noqa: E402
from hwdse.quantize import Bench  # noqa: E402
from hwdse.store import Store  # noqa: E402
from hwdse.target import fpga  # noqa: E402

HERE = Path(__file__).parent
BITS = range(3, 9)
WIDE = 4  # bits, from which the root paper says that minifloats win
CALIBRATIONS = ("absmax", "mse")
ARITHMETIC = ("multipliers", "alignment", "adder tree", "accumulators")  # names of cost terms
DEVICE, CLOCK_MHZ = "vck190", 250.0  # the root paper's board; the clock only sets the folding

DIGITS = data.DataSpec("digits")


@dataclass(frozen=True, slots=True)
class Experiment:
    """One network, its data, and the frame rate that its accelerator is folded for."""

    name: str
    model: models.ModelSpec
    data: data.DataSpec
    frames_per_second: float


@dataclass(frozen=True, slots=True)
class Row:
    """One design: its format, its calibration, what it costs and how it does."""

    network: str
    format: Format
    calibration: str
    luts: int
    arithmetic_luts: int  # of multipliers, adder trees and accumulators: what the root paper counts
    weight_bits: int
    search: Accuracy
    test: Accuracy | None = None

    @property
    def family(self) -> str:
        """integer or minifloat."""
        return family(self.format)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything measured on one network."""

    experiment: Experiment
    float_test: Accuracy
    rows: tuple[Row, ...]  # best of each format on the search split; with `test` where chosen
    kept: frozenset[str]  # formats on the front of search accuracy against LUTs


def experiments(cifar: Path | None) -> tuple[Experiment, ...]:
    """The networks that can be run here."""
    digits = [Experiment(name, models.ModelSpec(name), DIGITS, 50_000.0) for name in ("digits-cnn", "digits-vit")]
    if cifar is None:
        return tuple(digits)
    images = data.DataSpec(
        "archive",
        path=cifar / "test-3000.npz",
        calibration_path=cifar / "train-1000.npz",
        calibration=256,
        search=1000,
        test=2000,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )
    checkpoint = models.ModelSpec("cifar-resnet20", checkpoint=cifar / "resnet20-12fca82f.th")
    return (*digits, Experiment("cifar-resnet20", checkpoint, images, 1_000.0))


def candidates() -> Iterable[tuple[Format, str]]:
    """Every format, `e1mK` left out because it is the narrow integer of its width, with every calibration."""
    formats = [f for f in known_formats(bits=BITS) if f.exponent != 1]
    return ((fmt, calibration) for fmt in formats for calibration in CALIBRATIONS)


def design(bench: Bench, fmt: Format, calibration: str) -> Design:
    """`fmt` everywhere, unsigned where calibration saw no negative value; without a folding."""
    sites = [(site.name, fmt.unsigned if site.name in bench.nonnegative else fmt) for site in bench.workload.sites]
    return Design.of(
        {layer.name: Quantizer(fmt, "channel", calibration=calibration) for layer in bench.workload.weighted},
        {site: Quantizer(chosen, calibration=calibration) for site, chosen in sites},
    )


class Judge:
    """Evaluates designs of one network, each once ever."""

    def __init__(self, experiment: Experiment, store: Store) -> None:
        images = data.load(experiment.data)
        self.bench = Bench.of(models.load(experiment.model), images.calibration, experiment.name)
        self.evaluator = Evaluator(self.bench, {"search": images.search, "test": images.test})
        self.context = self.evaluator.context
        self.store = store
        cycles = int(CLOCK_MHZ * 1e6 / experiment.frames_per_second)
        self.folding = tuple(sorted(fold(self.bench.workload, cycles).items()))

    def accuracy(self, chosen: Design, split: str) -> Accuracy:
        """Of a design on a split."""
        known = self.store.accuracy(chosen.digest, self.context, split)
        if known is None:
            known = self.evaluator.accuracy(chosen, split)
            self.store.add(chosen)
            self.store.put_accuracy(chosen.digest, self.context, known)
        return known

    def row(self, name: str, fmt: Format, calibration: str) -> Row:
        """A design, its price and its accuracy on the search split."""
        chosen = design(self.bench, fmt, calibration)
        folded = replace(chosen, folding=self.folding)
        cost = Dataflow(multiplier="lut").cost(self.bench.workload, folded, fpga(DEVICE), CLOCK_MHZ)
        arithmetic = sum(term.area.luts for layer in cost.layers for term in layer.terms if term.name in ARITHMETIC)
        weight_bits = fmt.bits * sum(layer.weights for layer in self.bench.workload.weighted)
        return Row(name, fmt, calibration, cost.area.luts, arithmetic, weight_bits, self.accuracy(chosen, "search"))

    def tested(self, row: Row) -> Row:
        """The row with its accuracy on the test split."""
        return replace(row, test=self.accuracy(design(self.bench, row.format, row.calibration), "test"))


def run(experiment: Experiment, path: Path) -> Outcome:
    """Measures one network."""
    torch.set_num_threads(1)
    with Store(path) as store:
        judge = Judge(experiment, store)
        best: dict[Format, Row] = {}
        for fmt, calibration in candidates():
            row = judge.row(experiment.name, fmt, calibration)
            if fmt not in best or row.search.loss < best[fmt].search.loss:
                best[fmt] = row
        kept = _front(list(best.values()))
        rows = [judge.tested(row) if _chosen(row, best, kept) else row for row in best.values()]
        return Outcome(experiment, judge.evaluator.float_accuracy("test"), tuple(rows), kept)


def _best(rows: Iterable[Row], kind: str, bits: int) -> Row:
    """The one of a family at a width with the smallest loss on the search split, which is less noisy than top-1."""
    return min((r for r in rows if (r.family, r.format.bits) == (kind, bits)), key=lambda r: r.search.loss)


def _chosen(row: Row, best: dict[Format, Row], kept: frozenset[str]) -> bool:
    return row.format.name in kept or row is _best(best.values(), row.family, row.format.bits)


def _front(rows: list[Row]) -> frozenset[str]:
    mask = front(np.array([[-row.search.top1, row.luts] for row in rows], float))
    return frozenset(row.format.name for row, keep in zip(rows, mask, strict=True) if keep)


# ---- words -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Duel:
    """The best integer and the best minifloat of one width, and minifloat minus integer on the test split."""

    bits: int
    integer: Row
    minifloat: Row
    difference: Difference

    @property
    def verdict(self) -> str:
        """Who wins, where the interval allows saying so."""
        if not self.difference.interval.excludes_zero:
            return "no difference shown"
        return "minifloat wins" if self.difference.value > 0 else "integer wins"


def duels(outcome: Outcome) -> tuple[Duel, ...]:
    """One per width."""
    found = []
    for bits in BITS:
        integer, minifloat = (_best(outcome.rows, kind, bits) for kind in ("integer", "minifloat"))
        assert integer.test is not None
        assert minifloat.test is not None
        found.append(Duel(bits, integer, minifloat, paired(minifloat.test, integer.test)))
    return tuple(found)


def on_front(outcome: Outcome) -> tuple[Row, ...]:
    """The designs of the front, cheapest first."""
    return tuple(sorted((row for row in outcome.rows if row.format.name in outcome.kept), key=lambda row: row.luts))


def page(outcomes: Sequence[Outcome], calibration: str) -> str:
    """The whole page; its words follow from the numbers."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["percent"] = lambda x: f"{100 * x:.2f}"
    template = environment.from_string((HERE / "minifloat-vs-int.md.j2").read_text())
    pairs = [duel for outcome in outcomes for duel in duels(outcome)]
    ratios = [duel.minifloat.arithmetic_luts / duel.integer.arithmetic_luts for duel in pairs]
    return template.render(
        outcomes=outcomes,
        duels=duels,
        on_front=on_front,
        verdicts=[duel.verdict for duel in pairs],
        wide=[duel.verdict for duel in pairs if duel.bits >= WIDE],
        ratios=ratios,
        kept=[row.family for outcome in outcomes for row in on_front(outcome)],
        device=DEVICE,
        clock=f"{CLOCK_MHZ:.0f}",
        calibration=calibration,
        everything=any(outcome.experiment.name == "cifar-resnet20" for outcome in outcomes),
    )


COLUMNS = ("network", "format", "family", "calibration", "lut", "arithmetic_lut", "weight_bits")
MEASURED = ("search_top1", "search_loss", "search_sqnr_db", "test_top1", "on_front")


def table(outcomes: Sequence[Outcome], path: Path) -> None:
    """Every format of every network, with its better calibration, as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*COLUMNS, *MEASURED))
        for outcome in outcomes:
            writer.writerows(_cells(row, row.format.name in outcome.kept) for row in outcome.rows)


def _cells(row: Row, kept: bool) -> tuple[str | int, ...]:
    design = (row.network, row.format.name, row.family, row.calibration, row.luts, row.arithmetic_luts)
    search = (f"{row.search.top1:.4f}", f"{row.search.loss:.5f}", f"{row.search.sqnr_db:.2f}")
    return (*design, row.weight_bits, *search, "" if row.test is None else f"{row.test.top1:.4f}", int(kept))


def main() -> None:
    """Runs what can be run, two networks at a time, and writes the page and its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cifar", type=Path, help="folder with the ResNet-20 checkpoint and the images")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the page and the table")
    parser.add_argument("--store", type=Path, default=Path("runs/minifloat-vs-int.sqlite"), help="kept evaluations")
    options = parser.parse_args()
    options.store.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(run, experiment, options.store) for experiment in reversed(experiments(options.cifar))]
        outcomes = [job.result() for job in reversed(jobs)]
    (options.out / "minifloat-vs-int.md").write_text(page(outcomes, Dataflow().calibration(fpga(DEVICE))))
    table(outcomes, options.out / "minifloat-vs-int.csv")


if __name__ == "__main__":
    main()
