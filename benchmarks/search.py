"""How much of the exhaustive front a search finds, and after how many evaluations: ours beside Optuna's.

    python benchmarks/search.py [--json] [--page] [--work FOLDER] [--most EVALUATIONS]
                                [--resnet20 EVALUATIONS --cifar FOLDER]

All designs of a space are evaluated once and kept in FOLDER; then every sampler searches it with several seeds, and
each design that it evaluates is looked up. Uniform designs and sensitivities count as evaluations, a design that is
proposed again does not. Objectives are the loss on the search split and the logarithm of the predicted LUTs (products
in LUTs), both scaled so that the exhaustive front goes from 0 to 1; the reference point is 1.1 in both. A score is the
hypervolume of what was found over that of the exhaustive front.

`--json` is quick: the smallest space, one seed, and what `allocate` finds over what each other does. `--page` writes
docs/search.md and docs/search.csv. `--resnet20` adds the real network, on images in the folder of `--cifar`
(`train-1000.npz`, `test-3000.npz`, `resnet20-12fca82f.th`); it evaluates every design.
"""

import argparse
import csv
import json
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from hashlib import blake2b
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter

warnings.filterwarnings("ignore", category=DeprecationWarning)  # Brevitas imports its own deprecated modules
warnings.filterwarnings("ignore", category=FutureWarning, module="brevitas")
warnings.filterwarnings("ignore", message="fast_hadamard_transform")

import numpy as np  # noqa: E402
import optuna  # noqa: E402
import torch  # noqa: E402
from jinja2 import Environment, StrictUndefined  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from optuna.trial import TrialState  # noqa: E402

from hwdse import pareto  # noqa: E402
from hwdse import study as studies  # noqa: E402
from hwdse.accuracy import Evaluator  # noqa: E402
from hwdse.cost_models.dataflow import Dataflow  # noqa: E402
from hwdse.data import DataSpec, load  # noqa: E402
from hwdse.design import Quantizer  # noqa: E402
from hwdse.folding import fold  # noqa: E402
from hwdse.models import ModelSpec  # noqa: E402
from hwdse.models import load as load_model  # noqa: E402
from hwdse.quantize import Bench  # noqa: E402
from hwdse.result import Objective  # noqa: E402
from hwdse.run import network, space_of  # noqa: E402
from hwdse.search import Plan, search  # noqa: E402
from hwdse.search import problem as problem_module  # noqa: E402
from hwdse.search.exhaustive import Table, Tabled, table  # noqa: E402
from hwdse.search.history import trials  # noqa: E402
from hwdse.search.problem import Problem  # noqa: E402
from hwdse.space import QuantizerPair, Space  # noqa: E402
from hwdse.store import Store  # noqa: E402
from hwdse.target import fpga  # noqa: E402
from hwdse.where import OnFpga  # noqa: E402

Array = NDArray[np.float64]

DOCS = Path(__file__).parents[1] / "docs"
DEVICE, CLOCK_MHZ, FRAMES = "ecp5_85f", 50.0, 50_000.0
SAMPLERS = ("allocate", "hybrid", "tpe", "nsga2", "random")
SHARES = (0.005, 0.01, 0.02, 0.05)  # of the designs of a space
BAR, GOAL = 0.02, 0.99  # the share of the designs at which the bar stands, and the score there
SEEDS = 5
ENDLESS = 10**9  # evaluations
SLOW = {"tpe": 500}  # evaluations at most: the time that a sampler takes grows with the square of its trials
MARGIN = 0.1
REAL, IMAGES = ("allocate", "tpe", "nsga2"), 500  # samplers and images to search, on the real network
OBJECTIVES = (Objective("loss", "minimize"), Objective("lut", "minimize"))


LOOKED_AT = (
    "`allocate` was tuned on the others, but for how many designs it prices at least, which was raised after a look at"
    " this one."
)


@dataclass(frozen=True, slots=True)
class Case:
    """A space small enough to evaluate all of it; formats are names, each for weights and activations."""

    name: str
    network: str
    formats: tuple[str, ...]
    ends: tuple[str, ...] = ()  # of the first and the last layer
    role: str = LOOKED_AT

    @property
    def words(self) -> str:
        """What layers choose."""
        ends = f"; first and last layer {', '.join(self.ends)}" if self.ends else ""
        return f"{self.network}, a pair of weights and activations per layer: {', '.join(self.formats)}{ends}"


TUNED = "The settings of `allocate` were chosen on this space, of a few tried."
PROOFS = (
    Case("cnn4", "digits-cnn", ("int8", "int6", "int5", "int4", "int3", "e3m2", "e2m1", "e2m0"), ("int8",), TUNED),
    Case(
        "cnn6", "digits-cnn", ("int8", "int6", "int4", "e2m2", "e2m1", "int3"), ("int8", "int5", "int4", "e2m1"), TUNED
    ),
)
SMALLEST = (
    Case("mlp3", "digits-mlp", ("int8", "int6", "int5", "int4", "int3", "e3m2", "e2m2", "e2m1", "e3m1", "e2m0")),
)


@dataclass(frozen=True, slots=True)
class Run:
    """One search: its scores after each evaluation of a new design, and its wall time."""

    sampler: str
    seed: int
    scores: Sequence[float]
    seconds: float  # without evaluations and prices, which are looked up

    asked: int  # evaluations; a search that repeats itself, or has found all there is, has fewer

    def at(self, count: int) -> float | None:
        """The score after `count` evaluations; None where no more than fewer were asked for."""
        return None if count > self.asked else self.scores[min(count, len(self.scores)) - 1]


@dataclass(frozen=True, slots=True)
class Outcome:
    """All searches of a space."""

    case: Case
    designs: int
    front: int
    runs: tuple[Run, ...]

    def scores(self, sampler: str, share: float) -> list[float]:
        """Of all seeds, the lowest first."""
        found = (run.at(round(share * self.designs)) for run in self.runs if run.sampler == sampler)
        return sorted(score for score in found if score is not None)

    def seconds(self, sampler: str) -> float:
        """The median wall time of a search."""
        return median(run.seconds for run in self.runs if run.sampler == sampler)


# ---- spaces --------------------------------------------------------------------------------------


def pairs(names: Sequence[str]) -> tuple[QuantizerPair, ...]:
    """Of one format each."""
    return tuple((Quantizer.parse(f"{name}:channel"), Quantizer.parse(name)) for name in names)


def problem(case: Case, store: Store) -> Problem:
    """The space of a case, evaluated by the network itself."""
    data = load(DataSpec("digits"))
    bench = Bench.of(load_model(ModelSpec(case.network)), data.calibration, case.network)
    folding = tuple(sorted(fold(bench.workload, int(CLOCK_MHZ * 1e6 / FRAMES)).items()))
    both, ends = pairs(case.formats), pairs(case.ends)
    space = Space(bench.workload, (), (), both, bench.nonnegative, folding, first=ends, last=ends, pairs=both)
    evaluator = Evaluator(bench, {"search": data.search})
    return Problem(space, OBJECTIVES, (), OnFpga(Dataflow(multiplier="lut"), fpga(DEVICE), CLOCK_MHZ), evaluator, store)


def said(case: Case, done: int, total: int) -> None:
    """Progress, for people."""
    print(f"{case.name}: {done} of {total} designs evaluated", file=sys.stderr, flush=True)


# ---- searches ------------------------------------------------------------------------------------


def scaled(known: Table) -> tuple[Array, NDArray[np.bool_]]:
    """All designs as `n x 2`, the exhaustive front from 0 to 1; and the mask of the front."""
    points = np.column_stack((known.losses, np.log(known.luts)))
    kept = pareto.front(points)
    low, high = points[kept].min(axis=0), points[kept].max(axis=0)
    return (points - low) / (high - low), kept


def searched(task: Problem, known: Table, sampler: str, seed: int, budget: int) -> Run:
    """One search over looked-up evaluations, until it has seen `budget` different designs."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    points, kept = scaled(known)
    reference = np.full(2, 1 + MARGIN)
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "store.sqlite") as store:
        own = {field.name: getattr(task, field.name) for field in fields(Problem)} | {"store": store}
        tabled = Tabled(**own, table=known)
        history = optuna.create_study(directions=["minimize", "minimize"])
        start = perf_counter()
        rows = list(visited(tabled, history, Plan(sampler, seed, None, None), budget))
        seconds = perf_counter() - start
    whole = pareto.hypervolume(points[kept], reference)
    return Run(sampler, seed, tuple(map(float, pareto.attained(points[rows], reference) / whole)), seconds, budget)


def visited(tabled: Tabled, history: optuna.Study, plan: Plan, budget: int) -> Iterator[int]:
    """The rows of the table that a search comes to, each once; it ends after three trials for each of the budget."""
    seen = dict[int, None]()
    for count in range(budget, 3 * budget, max(budget // 8, 1)):
        search(tabled, replace(plan, trials=count), history, lambda progress: None)
        done = trials(history, TrialState.COMPLETE)
        seen = dict.fromkeys(tabled.table.rows[str(trial.user_attrs["design"])] for trial in done)
        if len(seen) >= budget or len(done) < count:
            break
    yield from list(seen)[:budget]


def measured(case: Case, work: Path, seeds: int, most: int, samplers: Sequence[str] = SAMPLERS) -> Outcome:
    """All searches of a case, of at most so many evaluations; those that this code has done are kept in `work`."""
    with Store(work / f"{case.name}.sqlite") as store:
        task = problem(case, store)
        known = table(task, work / f"{case.name}.npz", partial(said, case))
        count = min(round(SHARES[-1] * len(known.losses)), most)
        runs = []
        for sampler, seed in product(samplers, range(seeds)):
            budget = min(count, SLOW.get(sampler, count))
            file = work / f"{case.name}-{sampler}-{seed}-{budget}-{code()}.json"
            if not file.exists():
                file.write_text(json.dumps(asdict(searched(task, known, sampler, seed, budget))))
            runs.append(Run(**json.loads(file.read_text())))
    return Outcome(case, len(known.losses), int(scaled(known)[1].sum()), tuple(runs))


def code() -> str:
    """Names what a search depends on beside its space."""
    folder = Path(problem_module.__file__).parent
    sources = [path.read_text() for path in sorted(folder.glob("*.py"))]
    return blake2b("\n".join([*sources, optuna.__version__]).encode(), digest_size=4).hexdigest()


# ---- a real network ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """One search of a space that nobody can enumerate."""

    sampler: str
    at_end: float  # scores
    at_time: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Searches beside each other, at equal evaluations and at equal time."""

    dimensions: int
    menu: str
    images: int
    evaluations: int
    seconds: float  # those of the fastest search
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """The designs of one search as `n x 2` (loss, log LUT), and when each was done, from its start."""

    points: Array
    seconds: Array


def resnet20(cifar: Path, store: Store) -> Problem:
    """The study of the real network, a pair of formats per layer."""
    settings = [
        f"model.checkpoint={cifar / 'resnet20-12fca82f.th'}",
        f"data.path={cifar / 'test-3000.npz'}",
        f"data.calibration_path={cifar / 'train-1000.npz'}",
        f"data.search={IMAGES}",
        f"formats.weights={json.dumps(PROOFS[0].formats)}",
        "search.choice=layer",
        "target.cost_settings={multiplier='lut'}",
    ]
    study = studies.load("resnet20", settings)
    evaluator, treated = network(study)
    space = space_of(study, treated)
    target = study.target
    return Problem(space, OBJECTIVES, (), target.where, evaluator, store)


def timed(task: Problem, sampler: str, evaluations: int) -> Timed:
    """One search, which evaluates all its designs."""
    history = optuna.create_study(directions=["minimize", "minimize"])
    start, stamps = perf_counter(), list[float]()
    search(task, Plan(sampler, 0, evaluations, None), history, lambda _: stamps.append(perf_counter() - start))
    losses, luts = np.array([trial.values for trial in trials(history, TrialState.COMPLETE)]).T
    return Timed(np.column_stack((losses, np.log(luts))), np.array(stamps))


def compared(cifar: Path, work: Path, evaluations: int) -> Comparison:
    """`allocate` beside TPE and NSGA-II; each has a store of its own, so that none finds what another paid for."""
    found = dict[str, Timed]()
    for sampler in REAL:
        with tempfile.TemporaryDirectory(dir=work) as folder, Store(Path(folder) / "store.sqlite") as store:
            task = resnet20(cifar, store)
            found[sampler] = timed(task, sampler, evaluations)
            print(f"ResNet-20: {sampler} took {found[sampler].seconds[-1]:.0f} s", file=sys.stderr, flush=True)
    everything = np.concatenate([one.points for one in found.values()])
    kept = everything[pareto.front(everything)]
    low, span = kept.min(axis=0), np.ptp(kept, axis=0)
    whole = pareto.hypervolume((kept - low) / span, np.full(2, 1 + MARGIN))
    least = min(float(one.seconds[-1]) for one in found.values())
    rows = []
    for sampler, one in found.items():
        scores = pareto.attained((one.points - low) / span, np.full(2, 1 + MARGIN)) / whole
        in_time = int((one.seconds <= least).sum())
        rows.append(Row(sampler, float(scores[-1]), float(scores[in_time - 1]), float(one.seconds[-1])))
    menu = ", ".join(PROOFS[0].formats)
    return Comparison(len(task.space.dimensions), menu, IMAGES, evaluations, least, tuple(rows))


# ---- words ---------------------------------------------------------------------------------------


def spread(scores: Sequence[float]) -> str:
    """Median and range, in %; nothing where it was not asked for."""
    if not scores:
        return "-"
    return f"{100 * median(scores):.2f} ({100 * scores[0]:.2f} to {100 * scores[-1]:.2f})"


def verdict(outcome: Outcome) -> str:
    """Whether the bar is reached: 99 % at 2 % of the designs, and ahead of TPE and NSGA-II."""
    own, *others = (median(outcome.scores(sampler, BAR)) for sampler in ("allocate", "tpe", "nsga2"))
    reached = "reached" if own >= GOAL else "missed"
    ahead = "ahead of" if own > max(others) else "not ahead of"
    count = round(BAR * outcome.designs)
    return f"The bar of {GOAL:.0%} after {count} evaluations is {reached}; `allocate` is {ahead} TPE and NSGA-II there."


def page(outcomes: Sequence[Outcome], real: "Comparison | None") -> str:
    """The whole page."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    made = environment.from_string((DOCS / "search.md.j2").read_text())
    names = {
        "device": DEVICE,
        "frames": FRAMES,
        "clock": CLOCK_MHZ,
        "shares": SHARES,
        "samplers": SAMPLERS,
        "slow": SLOW,
    }
    return made.render(outcomes=outcomes, real=real, seeds=SEEDS, spread=spread, verdict=verdict, **names)


def rows(outcomes: Sequence[Outcome]) -> Iterator[tuple[object, ...]]:
    """The table of all runs."""
    yield "space", "designs", "sampler", "seed", *(f"score at {share:.1%}" for share in SHARES), "seconds"
    for outcome in outcomes:
        for run in outcome.runs:
            scores = (run.at(round(share * outcome.designs)) for share in SHARES)
            shown = ("" if score is None else f"{score:.5f}" for score in scores)
            yield outcome.case.name, outcome.designs, run.sampler, run.seed, *shown, f"{run.seconds:.1f}"


def quick(work: Path) -> dict[str, float]:
    """What `allocate` finds over what the others do, with one seed in the smallest space."""
    outcome = measured(SMALLEST[0], work, 1, ENDLESS)
    own, *others = (outcome.scores(sampler, SHARES[-1])[0] for sampler in SAMPLERS)
    ratios = {f"allocate to {name}": own / other for name, other in zip(SAMPLERS[1:], others, strict=True)}
    return {key: round(value, 4) for key, value in {"allocate to the front": own, **ratios}.items()}


def main() -> None:
    """Measures, and prints or writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table; quick")
    parser.add_argument("--page", action="store_true", help="write docs/search.md and docs/search.csv")
    parser.add_argument("--work", type=Path, default=Path("runs/search"), help="where evaluations are kept")
    parser.add_argument("--most", type=int, default=ENDLESS, help="evaluations of a search, at most")
    parser.add_argument("--resnet20", type=int, help="evaluations of each sampler on the real ResNet-20")
    parser.add_argument("--cifar", type=Path, help="the folder of its checkpoint and images")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    if options.json:
        print(json.dumps({"benchmark": "search", "ratios": quick(options.work)}))
        return
    outcomes = [measured(case, options.work, SEEDS, options.most) for case in (*PROOFS, *SMALLEST)]
    real = None if options.resnet20 is None else compared(options.cifar, options.work, options.resnet20)
    text = page(outcomes, real)
    if not options.page:
        print(text)
        return
    (DOCS / "search.md").write_text(text)
    with (DOCS / "search.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows(outcomes))


if __name__ == "__main__":
    main()
