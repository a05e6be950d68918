"""FINN's own folding beside the exact one, by FINN's rules and costs, and how long FINN and the choice take.

    python benchmarks/finn.py [--cifar FOLDER] [--only NETWORK] [--json] [--page]

FINN's heuristic (`target_fps`) folds each network for several rates. At the interval that it reaches, the exact choice
of what the heuristic chooses, PE, SIMD and `parallel_window`, takes no more of any resource, and of such the smallest
sum of shares of the device: where it takes more of anything, this ends with 1. Beside it: the smallest sum of shares
where one resource may take the place of another, with the memories and multipliers of the folding file. Every folding
of ours is written as FINN's folding file, which FINN's own step applies: what FINN then says of each node is what was
expected. Weights of a PE are as wide as FINN's limit of 36 bits, or as the heuristic makes them where it does not keep
it. The environment of FINN+ is needed: `hwdse setup finn`. ResNet-20 is there with `--cifar`, the folder of its weights
and images (see studies/resnet20.toml), and takes FINN minutes. `--page` writes docs/finn-folding.md. Times are those of
the clock on the wall.
"""

import argparse
import json
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import exp, log
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TypeVar

warnings.filterwarnings("ignore", category=DeprecationWarning)  # Brevitas imports its own deprecated modules
warnings.filterwarnings("ignore", category=FutureWarning, module="brevitas")
warnings.filterwarnings("ignore", message="fast_hadamard_transform")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from jinja2 import Environment, StrictUndefined  # noqa: E402
from torch import nn  # noqa: E402

from hwdse import qonnx_command  # noqa: E402
from hwdse.data import Data, DataSpec, load  # noqa: E402
from hwdse.design import Design, Quantizer  # noqa: E402
from hwdse.finn import Environment as Finn  # noqa: E402
from hwdse.finn import FinnError, estimates, messages  # noqa: E402
from hwdse.finn.estimates import Wish  # noqa: E402
from hwdse.finn.messages import Estimated, Folded, Priced  # noqa: E402
from hwdse.finn.process import Worker  # noqa: E402
from hwdse.finn.refolding import folded_as, refolded  # noqa: E402
from hwdse.finn_estimate import IMAGES, estimate  # noqa: E402
from hwdse.finn_foldings import file, options, variants  # noqa: E402
from hwdse.finn_foldings.choice import fastest, front, limits_of, no_worse_than, shares, smallest, space, taken  # noqa: E402
from hwdse.finn_foldings.limits import Limits  # noqa: E402
from hwdse.finn_nodes.matrix_vector import WEIGHT_BITS_PER_PE  # noqa: E402
from hwdse.models import ModelSpec  # noqa: E402
from hwdse.models import load as load_model  # noqa: E402
from hwdse.quantize import Bench  # noqa: E402
from hwdse.target import FpgaTarget, fpga  # noqa: E402

DOCS = Path(__file__).parents[1] / "docs"
CLOCK_MHZ = 200.0
NAMES = ("LUT", "BRAM18", "URAM", "DSP")
RESNET20 = "cifar-resnet20"
PASSES = 3  # through FINN's flow, of which the fastest counts
REFOLDS = 20  # new foldings of which the median counts
FLOW_BARS = {"digits-mlp": 3.0, "digits-cnn": 6.0}  # seconds through FINN, with export
FRONT_BAR, REFOLD_BAR = 30.0, 0.05  # seconds

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Case:
    """A network with one pair of formats on a device, and the rates that are folded for, in frames a second."""

    network: str
    weights: str
    activations: str
    device: str
    rates: tuple[int, ...]

    @property
    def title(self) -> str:
        """In a few words."""
        return f"{self.network}, {self.weights} x {self.activations}, {self.device}"

    @property
    def target(self) -> FpgaTarget:
        """The device."""
        return fpga(self.device)


MLP_RATES, CNN_RATES = (20_000, 100_000, 500_000, 2_000_000), (2_000, 10_000, 100_000, 800_000)
CASES = (
    Case("digits-mlp", "int4:channel", "int4", "xczu3eg", MLP_RATES),
    Case("digits-mlp", "int3:channel", "int4", "xczu3eg", MLP_RATES),  # below 4 bits units are HLS
    Case("digits-cnn", "int4:channel", "int4", "xczu3eg", CNN_RATES),
    Case("digits-cnn", "int3:channel", "int8", "xczu3eg", CNN_RATES),
    Case("digits-resnet", "int4:channel", "int4", "xczu3eg", (1_000, 10_000, 50_000, 200_000)),
    Case(RESNET20, "int4:channel", "int4", "xczu7ev", (100, 1_000, 4_000, 20_000)),
)


# ---- networks ------------------------------------------------------------------------------------


def loaded(case: Case, cifar: Path | None) -> tuple[nn.Module, Data]:
    """The network with its weights, and its images."""
    if case.network != RESNET20:
        return load_model(ModelSpec(case.network)), load(DataSpec("digits"))
    assert cifar is not None
    paths = {"path": cifar / "test-3000.npz", "calibration_path": cifar / "train-1000.npz"}
    normal = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    spec = DataSpec("archive", **paths, **normal, search=1000, test=2000)  # type: ignore[arg-type]
    return load_model(ModelSpec(RESNET20, cifar / "resnet20-12fca82f.th")), load(spec)


def uniform(bench: Bench, case: Case) -> Design:
    """The same quantisers everywhere, unsigned where nothing is negative."""
    weights, activations = Quantizer.parse(case.weights), Quantizer.parse(case.activations)
    unsigned = replace(activations, format=activations.format.unsigned)
    return Design.of(
        {layer.name: weights for layer in bench.workload.weighted},
        {site.name: unsigned if site.name in bench.nonnegative else activations for site in bench.workload.sites},
    )


# ---- side by side --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Point:
    """A folded network by FINN's estimate."""

    cycles: int
    area: tuple[int, int, int, int]  # of NAMES
    share: float  # of the device, all resources together

    @classmethod
    def of(cls, priced: Priced, target: FpgaTarget) -> "Point":
        return cls(priced.interval_cycles, taken(priced), shares(taken(priced), target))


@dataclass(frozen=True, slots=True)
class Row:
    """One rate: FINN's heuristic, what is no worse than it, and what takes the least of the device."""

    rate: int
    finn: Point
    exact: Point  # as FINN's heuristic, PE, SIMD and parallel windows
    least: Point  # with other memories and multipliers too
    weight_bits: int  # of a PE, the most that FINN's heuristic or its limit has

    @property
    def above(self) -> bool:
        """Whether FINN's heuristic goes above its own limit of the weights of a PE."""
        return self.weight_bits > WEIGHT_BITS_PER_PE

    @property
    def worse(self) -> list[str]:
        """What ours takes more of than FINN's heuristic."""
        both = zip((self.exact.cycles, *self.exact.area), (self.finn.cycles, *self.finn.area), strict=True)
        named = zip(both, ("cycles", *NAMES), strict=True)
        return [f"{ours} instead of {finn} {name}" for (ours, finn), name in named if ours > finn]

    @property
    def saves(self) -> bool:
        """Whether ours takes less of anything."""
        return any(ours < finn for ours, finn in zip(self.exact.area, self.finn.area, strict=True))


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long each takes."""

    export: float  # with both checks of the file
    steps: float  # of FINN, alone
    checked: float  # export, FINN's steps, and their checks
    front: float  # of all rates, from nothing
    fastest: float
    refold: float  # a new folding of all nodes, by FINN
    refold_one: float  # of one unit
    formulas: float  # a new folding of all nodes, by our formulas


@dataclass(frozen=True, slots=True)
class Compared:
    """One case."""

    case: Case
    nodes: int
    rows: tuple[Row, ...]
    front: int  # how many designs it has
    seconds: Seconds


def compare(worker: Worker, case: Case, cifar: Path | None) -> Compared:
    """All of it for one network."""
    network, data = loaded(case, cifar)
    bench = Bench.of(network, data.calibration, case.network)
    design, wish = uniform(bench, case), _wish(case, case.rates[0])
    passes = [flow(worker, bench, design, wish, data) for _ in range(PASSES if case.network in FLOW_BARS else 1)]
    found, flows = passes[0][0], zip(*(spent for _, spent in passes), strict=True)
    rows = tuple(row(worker, found, case, rate) for rate in case.rates)
    export, steps, checked = map(min, flows)
    return Compared(case, len(found.priced.units), rows, *_chosen(worker, found, case, (export, steps, checked)))


def flow(
    worker: Worker, bench: Bench, design: Design, wish: Wish, data: Data
) -> tuple[Estimated, tuple[float, float, float]]:
    """FINN's estimate, and the seconds of the export, of FINN's steps alone, and of all with every check."""
    with TemporaryDirectory(dir=worker.folder) as folder:
        place = Path(folder) / "model.onnx"
        _, export = timed(lambda: qonnx_command.write(worker, bench, design, place, data.test, IMAGES))
    found, checked = timed(lambda: estimate(worker, bench, design, wish, data.test).estimated)
    return found, (export, sum(step.seconds for step in found.steps), checked)


def _wish(case: Case, rate: int) -> Wish:
    return Wish(case.target.part, CLOCK_MHZ, frames_per_second=rate)


def row(worker: Worker, found: Estimated, case: Case, rate: int) -> Row:
    """One rate."""
    heuristic = estimates.fold_for(worker, found, _wish(case, rate))
    limits = limits_of(heuristic)
    plain, varied = (space(found.priced.units, case.target, limits, varied=varied) for varied in (False, True))
    exact, least = no_worse_than(plain, heuristic), smallest(varied, heuristic.interval_cycles)
    for one in (exact, least):
        check(worker, found, case, one)
    assert limits.weight_bits is not None
    own, ours, varied_too = (Point.of(one, case.target) for one in (heuristic, exact, least))
    return Row(rate, own, ours, varied_too, limits.weight_bits)


def check(worker: Worker, found: Estimated, case: Case, ours: Priced) -> None:
    """FinnError unless FINN prices the folding file of `ours` as we do, node by node."""
    place = worker.folder / "folding_config.json"
    place.write_text(file.text(ours))
    read = estimates.fold_as(worker, found, case.target.part, place)
    for one, other in zip(read.units, ours.units, strict=True):
        if one != other:
            raise FinnError(f"FINN reads {one} from a folding file, not {other}")
    if read != ours:
        raise FinnError(f"FINN reads an interval of {read.interval_cycles} cycles, not {ours.interval_cycles}")


# ---- times ---------------------------------------------------------------------------------------


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What `work` gives, and the seconds that it takes."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def _chosen(worker: Worker, found: Estimated, case: Case, flow: tuple[float, float, float]) -> tuple[int, Seconds]:
    """The designs of the front within the device, and all times."""
    units, limits = found.priced.units, Limits()
    options._options.cache_clear()
    whole, slow = timed(lambda: front(space(units, case.target, limits)))
    options._options.cache_clear()
    _, quick = timed(lambda: fastest(space(units, case.target, limits)))
    return len(whole), Seconds(*flow, slow, quick, *refolds(worker, found, case.target.part))


def refolds(worker: Worker, found: Estimated, part: str) -> tuple[float, float, float]:
    """Seconds for a new folding of all nodes and of one unit by FINN, and of all nodes by our formulas."""
    every, singles = list(foldings(found.priced)), list(foldings(found.priced, seed=1))
    theirs = [timed(partial(estimates.refold, worker, found, part, one)) for one in every]
    ours = [timed(partial(refolded, found.priced, one)) for one in every]
    if [priced for priced, _ in theirs] != [priced for priced, _ in ours]:
        raise FinnError("FINN prices a folding otherwise than its formulas")
    units = [unit.folded.node for unit in found.priced.units if unit.operation.startswith("MVAU")]
    few = [_only(one, units[at % len(units)]) for at, one in enumerate(singles)]
    single = [timed(partial(estimates.refold, worker, found, part, one)) for one in few]
    whole, one_unit, formulas = (median(spent for _, spent in each) for each in (theirs, single, ours))
    return whole, one_unit, formulas


def _only(folding: Iterable[Folded], node: str) -> tuple[Folded, ...]:
    return tuple(one for one in folding if one.node == node)


def foldings(priced: Priced, seed: int = 0) -> Iterator[tuple[Folded, ...]]:
    """Random legal PE and SIMD of all nodes, but not of window generators that are folded with what they feed."""
    random = np.random.default_rng(seed)
    alone = [group[0] for group in options.groups(priced.units) if len(group) == 1]
    for _ in range(REFOLDS):
        every = ((unit.folded.node, [*variants.folded(unit.node)]) for unit in alone if unit.node is not None)
        yield tuple(folded_as(name, nodes[random.integers(len(nodes))]) for name, nodes in every)


# ---- words ---------------------------------------------------------------------------------------


def ratios(found: Sequence[Compared]) -> dict[str, float]:
    """Of what FINN's heuristic takes to what ours does, geometric means of rates; and of times to their bars."""
    result = dict[str, float]()
    for one in found:
        title = f"{one.case.network} {one.case.weights}"
        result[f"{title}, shares, FINN to exact"] = _mean(row.finn.share / row.exact.share for row in one.rows)
        result[f"{title}, DSP, FINN to exact"] = _mean(
            max(row.finn.area[3], 1) / max(row.exact.area[3], 1) for row in one.rows
        )
        result[f"{title}, {FRONT_BAR:g} s to the front"] = FRONT_BAR / one.seconds.front
        result[f"{title}, {1000 * REFOLD_BAR:g} ms to a new folding of all nodes"] = REFOLD_BAR / one.seconds.refold
        result[f"{title}, {1000 * REFOLD_BAR:g} ms to a new folding of a unit"] = REFOLD_BAR / one.seconds.refold_one
        if one.case.network in FLOW_BARS:
            bar = FLOW_BARS[one.case.network]
            result[f"{title}, {bar:g} s to FINN's flow"] = bar / (one.seconds.export + one.seconds.steps)
            result[f"{title}, {bar:g} s to FINN's flow with checks"] = bar / one.seconds.checked
    return {name: round(value, 3) for name, value in result.items()}


def _mean(values: Iterable[float]) -> float:
    each = [log(value) for value in values]
    return exp(sum(each) / len(each))


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar beside the slowest time in one column."""

    what: str
    column: str
    most: float  # seconds
    seconds: float
    title: str  # of the slowest case

    @property
    def met(self) -> bool:
        """Whether even the slowest keeps it."""
        return self.seconds <= self.most


def bars(found: Sequence[Compared]) -> list[Bar]:
    """Every bar by every column that it could be read by."""
    again = f"a new folding in {1000 * REFOLD_BAR:g} ms"
    result = [
        _bar(f"a front in {FRONT_BAR:g} s", "front", FRONT_BAR, found, lambda s: s.front),
        _bar(again, "new folding: FINN, all nodes", REFOLD_BAR, found, lambda s: s.refold),
        _bar(again, "one node", REFOLD_BAR, found, lambda s: s.refold_one),
        _bar(again, "formulas, all nodes", REFOLD_BAR, found, lambda s: s.formulas),
    ]
    for network, most in FLOW_BARS.items():
        if own := [one for one in found if one.case.network == network]:
            what = f"{network} through FINN's flow in {most:g} s"
            result.append(_bar(what, "export + FINN's steps", most, own, lambda s: s.export + s.steps))
            result.append(_bar(what, "all, with checks", most, own, lambda s: s.checked))
    return result


def _bar(what: str, column: str, most: float, found: Sequence[Compared], taken: Callable[[Seconds], float]) -> Bar:
    slowest = max(found, key=lambda one: taken(one.seconds))
    return Bar(what, column, most, taken(slowest.seconds), slowest.case.title)


def page(found: Sequence[Compared]) -> str:
    """The whole page."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    made = environment.from_string((DOCS / "finn-folding.md.j2").read_text())
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    rows = [row for one in found for row in one.rows]
    return made.render(
        found=found, rows=rows, names=NAMES, clock=CLOCK_MHZ, passes=PASSES, machine=machine, bars=bars(found)
    )


def measured(arguments: argparse.Namespace) -> list[Compared]:
    """All networks that are asked for."""
    cases = [case for case in CASES if arguments.only in (None, case.network)]
    found = list[Compared]()
    with Worker(Finn.default()) as worker:
        worker.ask(messages.Hello(), 120)  # imports FINN
        for case in cases:
            if case.network != RESNET20 or arguments.cifar is not None:
                found.append(compare(worker, case, arguments.cifar))
                print(f"{case.title}: done", file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Prints the page, writes it, or with --json prints one object; ends with 1 where ours takes more of anything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar", type=Path, help="the folder with ResNet-20 and its images")
    parser.add_argument("--only", choices=sorted({case.network for case in CASES}), help="one network alone")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a page")
    parser.add_argument("--page", action="store_true", help="write docs/finn-folding.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    try:
        found = measured(arguments)
    except FinnError as error:
        sys.exit(str(error))
    if arguments.json:
        print(json.dumps({"benchmark": "finn", "ratios": ratios(found)}))
    elif arguments.page:
        (DOCS / "finn-folding.md").write_text(page(found))
    else:
        print(page(found))
    worse = [
        f"{one.case.title} at {row.rate:,} a second: {what}" for one in found for row in one.rows for what in row.worse
    ]
    if worse:
        sys.exit("\n".join(worse))


if __name__ == "__main__":
    main()
