"""Runs a study: from its file to its `Result`, in a folder that can be continued after any interruption.

This is where the parts meet: the study, the network and its data, the search, the stores.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hwdse import heap
from hwdse import study as studies
from hwdse.claims import Claims, beating
from hwdse.cost_models.dataflow import Dataflow
from hwdse.design import Design, Folding, Step
from hwdse.folding import fold
from hwdse.foldings.refold import Refold
from hwdse.result import Result, Trial
from hwdse.run.folder import RunFolder
from hwdse.run.outcome import result_of
from hwdse.run.prices import prices as prices
from hwdse.search import Plan, Progress, search
from hwdse.search.history import claims_of, lasting
from hwdse.search.problem import Problem
from hwdse.space import Recipe, Space
from hwdse.store import Store
from hwdse.study import Study
from hwdse.study.targets import FpgaSection, Target
from hwdse.workers import Evaluator, Executor, Workers, hire
from hwdse.workload import Workload

if TYPE_CHECKING:
    import optuna

    from hwdse.data import Data
    from hwdse.quantize import Bench


ALONE = Workers()


def quiet(progress: Progress) -> None:
    """Reports nothing."""


def run(
    study: Study | str | Path,
    out: str | Path,
    *,
    storage: str | None = None,
    store: str | Path | None = None,
    workers: Workers = ALONE,
    report: Callable[[Progress], None] = quiet,
) -> Result:
    """Runs or continues `study` in the folder `out`; a finished run of the same network and data is only loaded.

    `storage` is the Optuna URL of the history and `store` the file or `postgresql://` URL of the evaluations,
    which studies may share; both are in `out` otherwise, but that the evaluations follow a history in
    PostgreSQL. Runs of one study with one `storage`, each with its own `out`, share its trials.
    ValueError is bad input, in one sentence.
    """
    study = study if isinstance(study, Study) else studies.load(study)
    if len(study.parts) > 1:
        raise ValueError(f"study {study.name!r} has {len(study.parts)} parts, a network on a target each; run them")
    folder = RunFolder(Path(out))
    folder.check_owner(study)  # before the network is loaded
    evaluator, treated = network(study)
    stamp = f"{evaluator.context} {prices(study)}"
    if folder.finished(study, stamp):
        return folder.load()
    space = space_of(study, treated)
    shared = folder.tensors if workers.executor == "processes" else None  # a cluster has other disks
    with (
        folder.claimed(study, stamp) as owner,
        Store(_place(folder, storage, store)) as opened,
        closing(hire(workers, evaluator, partial(one_thread_evaluator, study, shared))) as hands,
    ):
        claims = Claims(opened.database, owner, workers.patience_seconds)
        problem = _problem(study, space, evaluator, opened, hands, claims)
        task = _Task(study, problem, folder, stamp, owner, workers, report)
        name = f"{study.model.name[0]} {study.digest} {stamp}"
        with beating(claims):
            result = lasting(storage or folder.history, name, [o.direction for o in problem.objectives], task.work)
        folder.save(result)
    return result


@dataclass(frozen=True, slots=True)
class _Task:
    """What a run does once everything is open."""

    study: Study
    problem: Problem
    folder: RunFolder
    stamp: str
    owner: str
    workers: Workers
    report: Callable[[Progress], None]

    def work(self, history: "optuna.Study") -> Result:
        """Searches until the budget is spent, and gives the result."""
        self.folder.begin(self.study, self.stamp)
        claims = claims_of(history, self.owner, self.workers.patience_seconds)
        with beating(claims):
            search(self.problem, _plan(self.study), history, self.report, claims)
        return result_of(self.study, self.problem, history, self.report)


def _place(folder: RunFolder, storage: str | None, store: str | Path | None) -> str | Path:
    """Where the evaluations are."""
    if store is None:
        return storage if storage is not None and storage.startswith("postgresql") else folder.store
    return store if "://" in str(store) else Path(store)


def parts(study: Study, out: str | Path) -> tuple[tuple[Study, Path], ...]:
    """What to `run`, and where: the study itself, or one study per network and target, each in a folder in `out`."""
    return tuple(part for network, folder in networks(study, out) for part in targets(network, folder))


def networks(study: Study, out: str | Path) -> tuple[tuple[Study, Path], ...]:
    """One study per network, each in a folder inside `out` where there are several."""
    several = len(study.by_network) > 1
    return tuple((one, Path(out) / one.model.folder if several else Path(out)) for one in study.by_network)


def targets(study: Study, out: Path) -> tuple[tuple[Study, Path], ...]:
    """One study per target of a study of one network, each in a folder inside `out` where there are several."""
    if len(study.targets) == 1:
        return ((study, out),)
    return tuple((part, out / label) for label, part in zip(study.labels, study.by_target, strict=True))


def store_of(study: Study, out: Path, storage: str | None, store: str | Path | None) -> str | Path | None:
    """Where the parts of a study of several targets keep evaluations: together, so that none is paid for twice."""
    if store is not None or len(study.targets) == 1 or (storage is not None and storage.startswith("postgresql")):
        return store
    folder = RunFolder(out)
    if folder.study_file.exists():
        raise ValueError(f"{out} is the run folder of a study of one target; choose another folder")
    inside = {file.name for file in out.iterdir()} if out.is_dir() else set[str]()
    if (out.exists() and not out.is_dir()) or (inside and not inside & {folder.store.name, *study.labels}):
        raise ValueError(f"{out} exists and is no run folder; choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    return folder.store


def load(out: str | Path) -> Result:
    """The result of the finished run in the folder `out`; nothing is evaluated."""
    return RunFolder(Path(out)).load()


def keep(result: Result, out: str | Path) -> None:
    """Puts `result` in the place of what the finished run in the folder `out` has: with more that was measured."""
    RunFolder(Path(out)).save(result)


def pick(result: Result, design: str) -> Trial:
    """The trial that `design` names: `best`, `knee`, `baseline`, a trial number or the beginning of a digest."""
    roles = {"best": result.best, "knee": result.knee, "baseline": result.baseline}
    if (number := roles.get(design)) is not None:
        return result.trial(number)
    if design.isascii() and design.isdigit() and any(trial.number == int(design) for trial in result.trials):
        return result.trial(int(design))
    found = {t.evaluation.design.digest: t for t in result.trials if t.evaluation.design.digest.startswith(design)}
    if len(found) != 1:
        called = f"no design is called {design!r}" if not found else f"{len(found)} designs are called {design!r}"
        raise ValueError(f"{called}; give best, knee, baseline, a trial number or the beginning of one digest")
    return next(iter(found.values()))


def bench(study: Study) -> "Bench":
    """The study's network with its calibration data; ValueError if a step of its recipe is none."""
    return _bench(study)[0]


def bench_and_data(study: Study) -> "tuple[Bench, Data]":
    """The same, and the splits of its data."""
    return _bench(study)


@dataclass(frozen=True, slots=True)
class Treated:
    """A network after a recipe."""

    workload: Workload  # what is paid for
    nonnegative: frozenset[str]  # sites without negative values


def network(study: Study) -> tuple[Evaluator, dict[tuple[Step, ...], Treated]]:
    """The study's network on its data: what evaluates designs, and what each recipe makes of the network."""
    evaluator, made = _evaluator(study)
    treated: dict[tuple[Step, ...], Treated] = {}
    for steps in study.techniques.menu:
        ready, _ = made.after_float_steps(Design(recipe=steps, hardware=study.model.hardware))
        treated[steps] = Treated(made.charged(steps), ready.nonnegative)  # signs are those that the recipe leaves
    return evaluator, treated


def one_thread_evaluator(study: Study, shared: Path | None) -> Evaluator:
    """What evaluates designs in a worker, which has one thread, and shares tensors with others by the folder."""
    import torch

    torch.set_num_threads(1)
    return _evaluator(study, shared)[0]


def _evaluator(study: Study, shared: Path | None = None) -> "tuple[Evaluator, Bench]":
    from hwdse.accuracy import Evaluator as BrevitasEvaluator  # torch and brevitas take seconds to import

    heap.keep()
    made, data = _bench(study, shared)
    return BrevitasEvaluator(made, {"search": data.search, "test": data.test}), made


def _bench(study: Study, shared: Path | None = None) -> "tuple[Bench, Data]":
    from hwdse.data import DataSpec
    from hwdse.data import load as load_data
    from hwdse.models import ModelSpec, encoder
    from hwdse.models import load as load_model
    from hwdse.quantize import Bench, technique

    for step in (step for recipe in study.techniques.menu for step in recipe):
        technique(step)  # a wrong setting is found before anything is loaded
    fields = study.data.model_dump()
    for key in ("path", "calibration_path"):
        fields[key] = None if fields[key] is None else Path(fields[key])
    fields = {key: value for key, value in fields.items() if (key, value) != ("context", None)}
    (name,) = study.model.name
    data = load_data(DataSpec(**fields), encoder(name))
    model = load_model(ModelSpec(name, None if study.model.checkpoint is None else Path(study.model.checkpoint)))
    return Bench.of(model, data.calibration, name, hardware=study.model.hardware, shared=shared), data


def space_of(study: Study, treated: Mapping[tuple[Step, ...], Treated]) -> Space:
    """The designs that `study` asks for, of its network."""
    formats = study.formats
    first, *others = (
        Recipe(steps, found.workload, found.nonnegative, _folding(study, found.workload))
        for steps, found in treated.items()
    )
    return Space(
        first.workload,
        weights=formats.weight_quantizers,
        activations=formats.activation_quantizers,
        uniform=study.uniform,
        nonnegative=first.nonnegative,
        folding=first.folding,
        recipe=first.steps,
        first=tuple(map(formats.pair, formats.first)),
        last=tuple(map(formats.pair, formats.last)),
        pairs=formats.uniform if study.search.choice == "layer" else (),
        others=tuple(others),
    )


def _folding(study: Study, workload: Workload) -> tuple[tuple[str, Folding], ...]:
    """Of all designs, or nothing where each has its own; ValueError names a layer that no folding makes fast enough."""
    if not isinstance(study.target, FpgaSection):
        return ()
    found = fold(workload, study.target.cycles_per_frame)
    return tuple(sorted(found.items())) if study.target.folding == "greedy" else ()


def refold(target: Target) -> Refold | None:
    """What folds each design of a study that asks for that."""
    if not isinstance(target, FpgaSection) or target.folding == "greedy":
        return None
    model = target.model
    assert isinstance(model, Dataflow), "as a study is checked"
    return Refold(target.fpga, model, target.cycles_per_frame)


def _problem(
    study: Study, space: Space, evaluator: Evaluator, store: Store, hands: Executor, claims: Claims
) -> Problem:
    target = study.target
    return Problem(
        space=space,
        objectives=study.objective_values,
        constraints=study.constraint_values,
        where=target.where,
        evaluator=evaluator,
        store=store,
        hands=hands,
        claims=claims,
        refold=refold(target),
    )


def _plan(study: Study) -> Plan:
    return Plan(study.search.sampler, study.seed, study.trials, study.budget.minutes, study.search.racing)
