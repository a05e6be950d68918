"""What it costs to fold each design of a study as is best for it, and what that saves beside one folding for all.

    python benchmarks/refold.py [--json] [--designs 60] [--trials 100]

First designs with random formats: the milliseconds that a design's folding takes where one design is asked for after
another, from the first on, and those of its price then; and what all of them take of the device with the one greedy
folding and with their own, as a geometric mean. What is minimised is utilization, so LUTs may become more where they
are not what is scarcest. Then two studies of digits-cnn that differ in `target.folding`
alone, by `allocate`: their fronts of the loss against utilization, as hypervolumes up to the worst point of both, and
their designs that lose at most 1 % of top-1. Times are of the processor, this process alone.
"""

import argparse
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import TypeVar

warnings.filterwarnings("ignore", category=DeprecationWarning)  # Brevitas imports its own deprecated modules
warnings.filterwarnings("ignore", category=FutureWarning, module="brevitas")
warnings.filterwarnings("ignore", message="fast_hadamard_transform")

import numpy as np  # noqa: E402

from hwdse import pareto  # noqa: E402
from hwdse.cost import FpgaCost  # noqa: E402
from hwdse.cost_models.dataflow import Dataflow  # noqa: E402
from hwdse.design import Design, Quantizer  # noqa: E402
from hwdse.folding import fold  # noqa: E402
from hwdse.foldings.refold import Refold  # noqa: E402
from hwdse.memory import utilization  # noqa: E402
from hwdse.pricing import Question, asked  # noqa: E402
from hwdse.result import Result  # noqa: E402
from hwdse.run import run  # noqa: E402
from hwdse.study import load  # noqa: E402
from hwdse.study.patterns import expand_all  # noqa: E402
from hwdse.target import fpga  # noqa: E402
from hwdse.workload import Workload  # noqa: E402

FORMATS = expand_all(("int3..8", "minifloat3..8"))
BARS = {"digits-cnn": 20.0, "cifar-resnet20": 100.0}  # milliseconds for a folding
POINTS = (  # network, device, MHz, frames a second: as in studies/, and digits-cnn where there are more DSP blocks
    ("digits-cnn", "ecp5_25f", 50.0, 50_000.0),
    ("digits-cnn", "xczu3eg", 200.0, 200_000.0),
    ("cifar-resnet20", "xczu7ev", 200.0, 1000.0),
    ("cifar-resnet20", "ecp5_85f", 100.0, 200.0),
)
STUDY = """
question = "What does a folding of its own save each design?"
[model]
name = "digits-cnn"
[data]
name = "digits"
[formats]
weights = ["int3..8", "minifloat3..8"]
[target]
device = "xczu3eg"
clock_mhz = 200
frames_per_second = 200_000
folding = "{folding}"
[[objectives]]
metric = "loss"
[[objectives]]
metric = "utilization"
[search]
sampler = "allocate"
choice = "layer"
[budget]
trials = {trials}
"""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Measured:
    """Random designs of one network on one device."""

    network: str
    device: str
    fold_ms: float  # of a design
    price_ms: float  # of a folded one
    shares: float  # utilization, greedy to own, geometric mean
    luts: float


def designs(workload: Workload, count: int) -> Iterator[Design]:
    """With a format of its own for each tensor."""
    random = np.random.default_rng(0)

    def some() -> Quantizer:
        return Quantizer(FORMATS[random.integers(len(FORMATS))])

    for _ in range(count):
        weights = {layer.name: replace(some(), granularity="channel") for layer in workload.weighted}
        sites = {site.name: some() for site in workload.sites}
        yield Design.of(weights, {name: replace(q, format=q.format.unsigned) for name, q in sites.items()})


def measured(network: str, device: str, clock_mhz: float, rate: float, count: int) -> Measured:
    """Of `count` designs."""
    target, model, cycles = fpga(device), Dataflow(), int(clock_mhz * 1e6 / rate)
    pair = Quantizer.parse("int8"), Quantizer.parse("int8")
    workload = asked(Question(network, device), pair).workload
    refold, greedy = Refold(target, model, cycles), tuple(sorted(fold(workload, cycles).items()))
    some = list(designs(workload, count))
    own, fold_ms = timed(lambda: [refold(workload, design) for design in some])

    def priced(folded: list[Design]) -> list[FpgaCost]:
        return [model.cost(workload, design, target, clock_mhz) for design in folded]

    after, price_ms = timed(lambda: priced(own))
    before = priced([replace(design, folding=greedy) for design in some])
    areas = [(one.area, other.area) for one, other in zip(before, after, strict=True)]
    shares = [utilization(one, target) / utilization(other, target) for one, other in areas]
    luts = [one.luts / other.luts for one, other in areas]
    return Measured(network, device, fold_ms / count, price_ms / count, _mean(shares), _mean(luts))


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What `work` gives, and the milliseconds of the processor that it takes."""
    start = process_time()
    return work(), 1e3 * (process_time() - start)


def _mean(ratios: list[float]) -> float:
    return float(np.exp(np.mean(np.log(ratios))))


def searched(trials: int) -> tuple[Result, Result]:
    """What the studies with the greedy and with the best folding find; they share their accuracies."""
    with tempfile.TemporaryDirectory() as folder:
        place, found = Path(folder), list[Result]()
        for folding in ("greedy", "optimal"):
            file = place / f"{folding}.toml"
            file.write_text(STUDY.format(folding=folding, trials=trials))
            found.append(run(load(file), place / folding, store=place / "store.sqlite"))
    return found[0], found[1]


def volumes(results: tuple[Result, ...]) -> list[float]:
    """The hypervolume of each front, up to the worst of all of them and a tenth of the range more."""
    fronts = [np.array([result.trial(number).values for number in result.front]) for result in results]
    every = np.concatenate(fronts)
    reference = every.max(0) + 0.1 * np.ptp(every, axis=0)
    return [pareto.hypervolume(front, reference) for front in fronts]


def best(result: Result) -> FpgaCost:
    """What the design costs that loses at most 1 %."""
    assert result.best is not None
    return result.trial(result.best).evaluation.fpga


def ratios(rows: list[Measured], studies: tuple[Result, Result]) -> dict[str, float]:
    """Of times to bars, and of what greedy foldings take to what best ones do."""
    found = dict[str, float]()
    for one in rows:
        where = f"{one.network}, {one.device}"
        found[f"{BARS[one.network]:g} ms to a folding, {where}"] = BARS[one.network] / one.fold_ms
        found[f"utilization, greedy to own, {where}"] = one.shares
        found[f"LUTs, greedy to own, {where}"] = one.luts
    greedy, optimal = volumes(studies)
    found["hypervolume of the front, own to greedy"] = optimal / greedy
    target = studies[0].fpga
    shares = [utilization(best(result).area, target) for result in studies]
    found["utilization of the best design, greedy to own"] = shares[0] / shares[1]
    return found


def show(one: Measured) -> None:
    """A line."""
    print(
        f"{one.network} on {one.device}: {one.fold_ms:.1f} ms to fold a design, {one.price_ms:.1f} ms to price it; "
        f"greedy to own: utilization {one.shares:.3f}, LUTs {one.luts:.3f}",
        flush=True,
    )


def show_study(name: str, result: Result, volume: float) -> None:
    """A line."""
    cost, accuracy = best(result), result.trial(result.best or 0).evaluation.accuracy("search")
    print(
        f"study with folding {name!r}: {len(result.front)} designs on the front, hypervolume {volume:.4g}; best: top-1 "
        f"{100 * accuracy.top1:.1f} %, utilization {100 * utilization(cost.area, result.fpga):.2f} %, "
        f"{cost.area.luts:,} LUT, {cost.area.dsps} DSP"
    )


def main() -> None:
    """Measures, and prints lines or the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one object instead of words")
    parser.add_argument("--designs", type=int, default=60, help="random designs of each network")
    parser.add_argument("--trials", type=int, default=100, help="of each study")
    arguments = parser.parse_args()
    rows = list[Measured]()
    for network, device, clock, rate in POINTS:
        rows.append(measured(network, device, clock, rate, arguments.designs))
        if not arguments.json:
            show(rows[-1])
    studies = searched(arguments.trials)
    found = ratios(rows, studies)
    if arguments.json:
        print(json.dumps({"benchmark": "refold", "ratios": found}))
        return
    for name, result, volume in zip(("greedy", "optimal"), studies, volumes(studies), strict=True):
        show_study(name, result, volume)
    for name, ratio in found.items():
        print(f"{name}: {ratio:.3f}")


if __name__ == "__main__":
    main()
