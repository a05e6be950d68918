"""How much of the exhaustive front a search finds, and after how many evaluations: ours beside Optuna's.

    python benchmarks/search.py [--json] [--work FOLDER] [--page] [--resnet20 --cifar FOLDER]

All designs of a space are evaluated once and kept in FOLDER; then every sampler searches it with several seeds, and each
design that it evaluates is looked up. Uniform designs and sensitivities count as evaluations, a design that is
proposed again does not. Objectives are the loss on the search split and the logarithm of the predicted LUTs (products
in LUTs), both scaled so that the exhaustive front goes from 0 to 1; the reference point is 1.1 in both. A score is the
hypervolume of what was found over that of the exhaustive front. `--page` writes docs/search.md and docs/search.csv.
"""

import argparse
import csv
import json
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from math import prod
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
from hwdse.accuracy import Evaluator  # noqa: E402
from hwdse.cost_models.dataflow import Dataflow  # noqa: E402
from hwdse.data import DataSpec, load  # noqa: E402
from hwdse.design import Quantizer  # noqa: E402
from hwdse.folding import fold  # noqa: E402
from hwdse.models import ModelSpec  # noqa: E402
from hwdse.models import load as load_model  # noqa: E402
from hwdse.quantize import Bench  # noqa: E402
from hwdse.result import Objective  # noqa: E402
from hwdse.search import Plan, search  # noqa: E402
from hwdse.search.exhaustive import Table, Tabled, table  # noqa: E402
from hwdse.search.history import trials  # noqa: E402
from hwdse.search.problem import Problem  # noqa: E402
from hwdse.space import QuantizerPair, Space  # noqa: E402
from hwdse.store import Store  # noqa: E402
from hwdse.target import fpga  # noqa: E402

Array = NDArray[np.float64]

DOCS = Path(__file__).parents[1] / "docs"
DEVICE, CLOCK_MHZ, FRAMES = "ecp5_85f", 50.0, 50_000.0
SAMPLERS = ("allocate", "hybrid", "tpe", "nsga2", "random")
SHARES = (0.005, 0.01, 0.02, 0.05)  # of the designs of a space
BAR = 0.02  # the share at which the bar stands
SEEDS = 5
MARGIN = 0.1
OBJECTIVES = (Objective("loss", "minimize"), Objective("lut", "minimize"))


@dataclass(frozen=True, slots=True)
class Case:
    """A space small enough to evaluate all of it; formats are names, each for weights and activations."""

    name: str
    network: str
    formats: tuple[str, ...]
    ends: tuple[str, ...] = ()  # of the first and the last layer

    @property
    def words(self) -> str:
        """What layers choose."""
        ends = f"; first and last layer {', '.join(self.ends)}" if self.ends else ""
        return f"{self.network}, a pair of weights and activations per layer: {', '.join(self.formats)}{ends}"


PROOFS = (
    Case("cnn4", "digits-cnn", ("int8", "int6", "int5", "int4", "int3", "e3m2", "e2m1", "e2m0"), ("int8",)),
    Case("cnn6", "digits-cnn", ("int8", "int6", "int4", "e2m2", "e2m1", "int3"), ("int8", "int5", "int4", "e2m1")),
)
HELD_OUT = (
    Case("mlp3", "digits-mlp", ("int8", "int6", "int5", "int4", "int3", "e3m2", "e2m2", "e2m1", "e3m1", "e2m0")),
)


@dataclass(frozen=True, slots=True)
class Run:
    """One search: its scores after each evaluation of a new design, and its wall time."""

    sampler: str
    seed: int
    scores: tuple[float, ...]
    seconds: float  # without evaluations, which are looked up

    def at(self, count: int) -> float:
        """The score after `count` evaluations."""
        return self.scores[min(count, len(self.scores)) - 1]


@dataclass(frozen=True, slots=True)
class Outcome:
    """All searches of a space."""

    case: Case
    designs: int
    front: int
    runs: tuple[Run, ...]

    def scores(self, sampler: str, share: float) -> list[float]:
        """Of all seeds, the lowest first."""
        return sorted(run.at(round(share * self.designs)) for run in self.runs if run.sampler == sampler)


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
    return Problem(space, OBJECTIVES, (), Dataflow(multiplier="lut"), fpga(DEVICE), CLOCK_MHZ, evaluator, store)


def said(case: Case, done: int, total: int) -> None:
    """Progress, for people."""
    print(f"{case.name}: {done} of {total} designs evaluated", file=sys.stderr, flush=True)


# ---- searches ------------------------------------------------------------------------------------


def scaled(known: Table) -> tuple[Array, Array]:
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
    return Run(sampler, seed, tuple(map(float, pareto.attained(points[rows], reference) / whole)), seconds)


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


def measured(case: Case, work: Path, seeds: int, budget: float, samplers: Sequence[str] = SAMPLERS) -> Outcome:
    """All searches of a case, up to a share of its designs."""
    with Store(work / f"{case.name}.sqlite") as store:
        task = problem(case, store)
        known = table(task, work / f"{case.name}.npz", partial(said, case))
        size = prod(len(dimension.choices) for dimension in task.space.dimensions)
        count = round(budget * size)
        runs = [searched(task, known, s, seed, count) for s in samplers for seed in range(seeds)]
    return Outcome(case, size, int(scaled(known)[1].sum()), tuple(runs))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--work", type=Path, default=Path("runs/search"), help="where evaluations are kept")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for case in (*PROOFS, *HELD_OUT):
        outcome = measured(case, options.work, SEEDS, SHARES[-1])
        print(case.name, outcome.designs, outcome.front)
        for sampler in SAMPLERS:
            rows = [outcome.scores(sampler, share) for share in SHARES]
            print(sampler, [f"{median(row):.4f} ({row[0]:.4f} {row[-1]:.4f})" for row in rows])


if __name__ == "__main__":
    main()
