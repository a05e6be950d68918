"""Makes `docs/technique-table.md` and `.csv`: what every technique does for every format.

    python docs/techniques.py [--cifar FOLDER] [--quick] [--work FOLDER]

Every technique of `hwdse/techniques` is applied by itself, with its default settings, to networks that
are quantised uniformly, three times: the seed chooses the calibration images (192 of the 256 digits,
256 of the 1,000 of CIFAR), and is the technique's own seed where it has one. What was measured is
kept in the work folder, so that a run that was stopped goes on; a change of the code that techniques
share is not noticed there, so empty it then. FOLDER holds
`train-1000.npz`, `test-3000.npz` and `resnet20-12fca82f.th`; without it ResNet-20 is left out, and the page says so.
`--quick` has fewer formats, seeds and iterations, to see whether it runs.
"""

import argparse
import csv
import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import mean, stdev

warnings.filterwarnings("ignore", category=DeprecationWarning)  # Brevitas imports its own deprecated modules
warnings.filterwarnings("ignore", category=FutureWarning, module="brevitas")
warnings.filterwarnings("ignore", message="fast_hadamard_transform")

import torch  # noqa: E402
from jinja2 import Environment, StrictUndefined  # noqa: E402

from hwdse import data, models  # noqa: E402
from hwdse.accuracy import Evaluator  # noqa: E402
from hwdse.design import Design, Quantizer, Step  # noqa: E402
from hwdse.formats import parse  # noqa: E402
from hwdse.plugins import load, names  # noqa: E402
from hwdse.quantize import Bench  # noqa: E402
from hwdse.technique import Technique  # noqa: E402

HERE = Path(__file__).parent
PAGE, TABLE = "technique-table.md", "technique-table.csv"
SEEDS = (0, 1, 2)
PLAIN = "rounding to nearest"  # no technique: what all others are compared with
SCALES = {"scales of least squares": "mse", "scales of percentile 99.9": "percentile99.9"}  # quantisers, not techniques
FORMATS = ("int8", "int6", "int4", "int3", "e4m3", "e3m2", "e2m1", "e3m0", "e2m0")
FEWER = ("int6", "int4", "int3", "e3m2", "e2m1")  # on the vision transformer
FEWEST = ("int4", "e3m2", "e2m1")  # on ResNet-20, which takes most of the time
QUICK_FORMATS, QUICK_SEEDS, QUICK_ITERATIONS = ("int4", "e2m1"), (0, 1), 10


@dataclass(frozen=True, slots=True)
class Network:
    """One network, its data, and what is measured on it."""

    name: str
    model: models.ModelSpec
    data: data.DataSpec
    calibration: int  # images that a seed chooses
    formats: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement: a technique on a network in a format, with one seed; or why there is none."""

    network: str
    technique: str
    format: str
    seed: int
    top1: float = 0.0  # of the test split
    sqnr_db: float = 0.0  # of the test split's logits
    seconds: float = 0.0  # of processor time, from the float network to the accuracy, nothing known before
    reason: str = ""  # why the technique was refused


@dataclass(frozen=True, slots=True)
class Row:
    """What the seeds of one technique, network and format have in common; without numbers where it was refused."""

    network: str
    technique: str
    format: str
    seeds: int
    top1: float
    top1_spread: float  # standard deviation over the seeds
    top1_gain: float  # over rounding to nearest, seed by seed
    sqnr_db: float
    sqnr_spread: float
    sqnr_gain: float
    seconds: float
    reason: str


def networks(cifar: Path | None, *, quick: bool) -> tuple[Network, ...]:
    """The networks that can be run here."""
    formats = (QUICK_FORMATS,) * 3 if quick else (FORMATS, FEWER, FEWEST)
    digits = data.DataSpec("digits")
    pairs = zip(("digits-cnn", "digits-vit"), formats, strict=False)
    small = [Network(name, models.ModelSpec(name), digits, 192, fmts) for name, fmts in pairs]
    if cifar is None:
        return tuple(small[:1] if quick else small)
    images = data.DataSpec(
        "archive",
        path=cifar / "test-3000.npz",
        calibration_path=cifar / "train-1000.npz",
        calibration=1000,
        search=2000,
        test=1000,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )
    checkpoint = models.ModelSpec("cifar-resnet20", checkpoint=cifar / "resnet20-12fca82f.th")
    return (*(small[:1] if quick else small), Network("cifar-resnet20", checkpoint, images, 256, formats[2]))


def step(name: str, seed: int, *, quick: bool) -> Step:
    """The technique with its default settings, and with this seed where it has one."""
    known = {field.name for field in fields(load("hwdse.techniques", Technique)[name])}  # type: ignore[type-abstract]
    settings: dict[str, int] = {"seed": seed} if "seed" in known else {}
    if quick and "iterations" in known:
        settings["iterations"] = QUICK_ITERATIONS
    return Step(name, tuple(settings.items()))


def design(bench: Bench, name: str, recipe: tuple[Step, ...], calibration: str = "absmax") -> Design:
    """One format everywhere: a scale per channel of weights and per tensor of activations."""
    fmt = parse(name)
    sites = [(site.name, fmt.unsigned if site.name in bench.nonnegative else fmt) for site in bench.workload.sites]
    weights = {layer.name: Quantizer(fmt, "channel", calibration=calibration) for layer in bench.workload.weighted}
    activations = {site: Quantizer(chosen, calibration=calibration) for site, chosen in sites}
    return Design.of(weights, activations, recipe=recipe)


class Laboratory:
    """Measures one network with the calibration images of one seed; what was measured before is read back."""

    def __init__(self, network: Network, seed: int, work: Path, *, quick: bool) -> None:
        images = data.load(network.data)
        pool = [batch for batch, _ in images.calibration.batches(network.calibration)]
        labels = [batch for _, batch in images.calibration.batches(network.calibration)]
        order = torch.randperm(len(images.calibration), generator=torch.Generator().manual_seed(seed))
        chosen = order[: network.calibration].sort().values
        self._calibration = data.Split("calibration", torch.cat(pool)[chosen], torch.cat(labels)[chosen])
        self._traced = Bench.of(models.load(network.model), self._calibration, network.name).traced
        self._test = images.test
        self._network, self._seed, self._quick = network.name, seed, quick
        self._work = work / f"{network.name}-{self._evaluator().context}{'-quick' * quick}.jsonl"
        self._known = [Run(**json.loads(line)) for line in _lines(self._work)]

    def _evaluator(self) -> Evaluator:
        return Evaluator(Bench(self._traced, self._calibration), {"test": self._test})

    def run(self, technique: str, fmt: str) -> Run:
        """Of a technique, or of none, in a format."""
        for run in self._known:
            if (run.technique, run.format) == (technique, fmt):
                return run
        run = self._measure(technique, fmt)
        with self._work.open("a") as file:
            file.write(json.dumps(asdict(run)) + "\n")
        return run

    def _measure(self, technique: str, fmt: str) -> Run:
        evaluator = self._evaluator()  # nothing calibrated yet, so that all times are of the same work
        apart = technique == PLAIN or technique in SCALES
        recipe = () if apart else (step(technique, self._seed, quick=self._quick),)
        evaluator.float_accuracy("test")
        chosen = design(evaluator.bench, fmt, recipe, SCALES.get(technique, "absmax"))
        start = time.process_time()
        try:
            accuracy = evaluator.accuracy(chosen, "test")
        except ValueError as error:
            return Run(self._network, technique, fmt, self._seed, reason=str(error))
        assert accuracy.sqnr_db is not None
        seconds = time.process_time() - start
        return Run(self._network, technique, fmt, self._seed, accuracy.top1, accuracy.sqnr_db, seconds)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def measure(chosen: Sequence[Network], work: Path, *, quick: bool, report: Callable[[str], None]) -> Iterator[Run]:
    """Every technique on every network in every format with every seed."""
    work.mkdir(parents=True, exist_ok=True)
    for network in chosen:
        for seed in QUICK_SEEDS if quick else SEEDS:
            laboratory = Laboratory(network, seed, work, quick=quick)
            for technique in (PLAIN, *SCALES, *names("hwdse.techniques")):
                start = time.perf_counter()
                yield from (laboratory.run(technique, fmt) for fmt in network.formats)
                report(f"{network.name}, seed {seed}, {technique}: {time.perf_counter() - start:.0f} s")


def rows(runs: Sequence[Run]) -> list[Row]:
    """The runs, the seeds put together."""
    found: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        found.setdefault((run.network, run.technique, run.format), []).append(run)
    return [_row(group, found[key[0], PLAIN, key[2]]) for key, group in found.items()]


def _row(group: Sequence[Run], plain: Sequence[Run]) -> Row:
    run = group[0]
    reason = next((run.reason for run in group if run.reason), "")
    if reason:
        return Row(run.network, run.technique, run.format, len(group), *(0.0,) * 7, reason)
    pairs = list(zip(group, plain, strict=True))
    return Row(
        run.network,
        run.technique,
        run.format,
        len(group),
        mean(run.top1 for run in group),
        stdev(run.top1 for run in group),
        mean(run.top1 - before.top1 for run, before in pairs),
        mean(run.sqnr_db for run in group),
        stdev(run.sqnr_db for run in group),
        mean(run.sqnr_db - before.sqnr_db for run, before in pairs),
        mean(run.seconds for run in group),
        "",
    )


# ---- words -------------------------------------------------------------------------------------


def page(found: Sequence[Row]) -> str:
    """The whole page."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string((HERE / f"{PAGE}.j2").read_text())
    return template.render(networks=list(dict.fromkeys(row.network for row in found)), of=_Lookup(found), plain=PLAIN)


class _Lookup:
    """What the page asks of the rows."""

    def __init__(self, found: Sequence[Row]) -> None:
        self._rows = {(row.network, row.technique, row.format): row for row in found}

    def formats(self, network: str) -> list[str]:
        return list(dict.fromkeys(fmt for name, _, fmt in self._rows if name == network))

    def techniques(self, network: str) -> list[str]:
        return list(dict.fromkeys(technique for name, technique, _ in self._rows if name == network))

    def row(self, network: str, technique: str, fmt: str) -> Row:
        return self._rows[network, technique, fmt]

    def seeds(self, network: str) -> int:
        return next(row.seeds for row in self._rows.values() if row.network == network)

    def seconds(self, network: str, technique: str) -> str:
        """The mean over the formats in which it could be applied."""
        kept = [row.seconds for key, row in self._rows.items() if key[:2] == (network, technique) and not row.reason]
        return f"{mean(kept):.1f}" if kept else "refused"

    def refusals(self, network: str) -> list[str]:
        """Why a technique was not applied, each reason once."""
        reasons: dict[tuple[str, str], list[str]] = {}
        for row in self._rows.values():
            if row.network == network and row.reason:
                reasons.setdefault((row.technique, row.reason), []).append(row.format)
        return [f"{technique} ({', '.join(fmts)}): {reason}" for (technique, reason), fmts in reasons.items()]


def write(found: Sequence[Row], path: Path) -> None:
    """The rows as CSV; `read` gives them back."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Row)])
        for row in found:
            values = (getattr(row, field.name) for field in fields(Row))
            writer.writerow(f"{value:.5f}" if isinstance(value, float) else value for value in values)


def read(path: Path) -> list[Row]:
    """The rows of a CSV that `write` wrote."""
    texts = ("network", "technique", "format", "reason")
    with path.open(newline="") as file:
        return [
            Row(**{k: v if k in texts else int(v) if k == "seeds" else float(v) for k, v in line.items()})  # type: ignore[arg-type]
            for line in csv.DictReader(file)
        ]


def main() -> None:
    """Measures what is not yet measured, and writes the table and the page that is made of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cifar", type=Path, help="folder with the ResNet-20 checkpoint and the images")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the page and the table")
    parser.add_argument("--work", type=Path, default=Path("runs/techniques"), help="kept measurements")
    parser.add_argument("--quick", action="store_true", help="fewer formats, seeds and iterations")
    options = parser.parse_args()
    torch.set_num_threads(1)
    chosen = networks(options.cifar, quick=options.quick)
    runs = list(measure(chosen, options.work, quick=options.quick, report=lambda line: print(line, flush=True)))
    options.out.mkdir(parents=True, exist_ok=True)
    write(rows(runs), options.out / TABLE)
    (options.out / PAGE).write_text(page(read(options.out / TABLE)))


if __name__ == "__main__":
    main()
