"""Searches over a small real network in numpy. Run as a script, this file searches and is killed again and again."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from threading import Timer

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray
from optuna.samplers import NSGAIISampler
from optuna.trial import FrozenTrial, Trial, TrialState

import hwdse.search as searches
from hwdse.claims import Claims
from hwdse.cost import LayerCost, Resources, Term
from hwdse.cost_model import FpgaCostModel
from hwdse.design import Design, Folding, Quantizer
from hwdse.evaluation import Accuracy, Evaluation, pack
from hwdse.formats import magnitude, quantise
from hwdse.result import Constraint, Objective
from hwdse.search import Plan, Progress, history, search
from hwdse.search.history import claims_of, lasting, open_history, trials
from hwdse.search.problem import DesignError, Problem
from hwdse.search.sampler import SAMPLERS
from hwdse.search.sensitivity import sensitivities
from hwdse.space import Space
from hwdse.store import Store
from hwdse.target import Device, FpgaTarget
from hwdse.where import OnFpga
from hwdse.workers import Job, Outcome, evaluate
from hwdse.workload import Kind, Layer, Site, Workload
from tests.hwdse.postgresql import PostgreSql

ROOT = Path(__file__).parents[3]
FORMATS = ("int3", "int4", "int8", "e2m1", "e3m2")
SIZES = (("fc1", "input", 8, 12), ("fc2", "hidden1", 12, 12), ("fc3", "hidden2", 12, 4))
DEVICE = FpgaTarget("toy", "toy", "toy", 10_000, 4, 10_000, 10, 18, 10, 0, "dsp", "this test")
PLAN = Plan("tpe", seed=7, trials=16, minutes=None)


def workload() -> Workload:
    layers = [Layer(name, Kind.LINEAR, (site,), (), outputs, inputs, 1) for name, site, inputs, outputs in SIZES]
    sites = [Site(site, (site,), (name,), inputs) for name, site, inputs, _ in SIZES]
    return Workload("mlp", tuple(layers), tuple(sites), (8,))


def space(*formats: str) -> Space:
    quantizers = tuple(map(Quantizer.parse, formats or FORMATS))
    uniform = tuple((q, q) for q in quantizers)
    return Space(workload(), quantizers, quantizers, uniform, frozenset({"hidden1", "hidden2"}), ())


def quantised(x: NDArray[np.float64], quantizer: Quantizer) -> NDArray[np.float64]:
    """`x` on the grid of `quantizer`, its largest value on the largest of the format."""
    scale = np.abs(x).max() / (magnitude(quantizer.format) * quantizer.format.lsb)
    values: NDArray[np.float64] = quantise(quantizer.format, x / scale) * scale
    return values


@dataclass
class Mlp:
    """A three-layer network with random weights, evaluated in numpy."""

    context: str = "mlp"
    broken: frozenset[str] = frozenset()  # weight formats of fc2 that fail
    evaluated: list[tuple[str, str]] = field(default_factory=list)

    @cached_property
    def weights(self) -> dict[str, NDArray[np.float64]]:
        random = np.random.RandomState(0)
        return {name: random.standard_t(3, (outputs, inputs)) for name, _, inputs, outputs in SIZES}

    def images(self, split: str) -> NDArray[np.float64]:
        return np.random.RandomState({"search": 1, "test": 2}[split]).randn(200, 8)

    def logits(self, split: str, design: Design | None) -> NDArray[np.float64]:
        x = self.images(split)
        for name, site, _, _ in SIZES:
            weight = self.weights[name]
            if design is not None:
                weight, x = quantised(weight, dict(design.weights)[name]), quantised(x, dict(design.activations)[site])
            x = np.maximum(x @ weight.T, 0) if name != "fc3" else x @ weight.T
        return x

    def measured(self, split: str, design: Design | None) -> Accuracy:
        logits, reference = self.logits(split, design), self.logits(split, None)
        labels = (reference + np.random.RandomState(3).randn(*reference.shape)).argmax(axis=1)
        shifted = logits - logits.max(axis=1, keepdims=True)
        loss = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]
        noise = ((logits - reference) ** 2).sum()
        sqnr = None if design is None else float(10 * np.log10((reference**2).sum() / noise))
        return Accuracy(split, len(labels), pack(logits.argmax(axis=1) == labels), float(loss.mean()), sqnr)

    def float_accuracy(self, split: str) -> Accuracy:
        return self.measured(split, None)

    def accuracy(self, design: Design, split: str) -> Accuracy:
        self.evaluated.append((design.digest, split))
        name = dict(design.weights)["fc2"].format.name
        if name in self.broken:
            raise ValueError(f"layer 'fc2' cannot be {name}")
        return self.measured(split, design)


@dataclass(frozen=True)
class BitProducts(FpgaCostModel):
    """One LUT per bit of weight and activation that meet."""

    @property
    def name(self) -> str:
        return "bit_products"

    def claims(self, device: Device) -> bool:
        return True

    def calibration(self, target: FpgaTarget) -> str:
        return "uncalibrated"

    def layer(self, layer: Layer, design: Design, target: FpgaTarget) -> LayerCost:
        bits = [dict(design.weights)[layer.name].format.bits, dict(design.activations)[layer.inputs[0]].format.bits]
        return LayerCost(layer.name, (Term("multipliers", Resources(luts=layer.macs * bits[0] * bits[1])),), 1, 1)


@contextmanager
def problem(folder: Path, evaluator: Mlp, *constraints: Constraint, of: Space | None = None) -> Iterator[Problem]:
    objectives = Objective("top1", "maximize"), Objective("lut", "minimize")
    with Store(folder / "evaluations.sqlite") as store:
        yield Problem(of or space(), objectives, constraints, OnFpga(BitProducts(), DEVICE, 100.0), evaluator, store)


@contextmanager
def searching(folder: Path, plan: Plan, evaluator: Mlp, *constraints: Constraint) -> Iterator[optuna.Study]:
    """The history after a search in `folder`."""
    with (
        problem(folder, evaluator, *constraints) as task,
        open_history(folder / "history.sqlite", "study", ["maximize", "minimize"]) as study,
    ):
        search(task, plan, study, lambda progress: None)
        yield study


def told(study: optuna.Study) -> list[object]:
    """What the trials of a search are, without their times."""
    kept = ("design", "origin", "failure")
    rows = study.get_trials(deepcopy=False)
    shown = [
        [t.number, t.state.name, t.params, t.values, sorted(t.constraints.items()), *map(t.user_attrs.get, kept)]
        for t in rows
    ]
    return list(json.loads(json.dumps(shown)))


def searched(folder: Path, plan: Plan, *constraints: Constraint, broken: frozenset[str] = frozenset()) -> list[object]:
    folder.mkdir(exist_ok=True)
    with searching(folder, plan, Mlp(broken=broken), *constraints) as study:
        return told(study)


def test_uniform_designs_come_first_then_the_sampler(tmp_path: Path) -> None:
    with searching(tmp_path, PLAN, Mlp()) as study:
        rows = trials(study, TrialState.COMPLETE)
    assert [t.user_attrs["origin"] for t in rows] == ["baseline"] + ["uniform"] * 4 + ["tpe"] * 11
    assert [set(t.params.values()) for t in rows[:5]] == [{name} for name in FORMATS]
    assert max(len(set(t.params.values())) for t in rows[5:]) > 2
    assert set(rows[0].params) == {f"weights.{n}" for n, *_ in SIZES} | {f"activations.{s}" for _, s, *_ in SIZES}


def test_values_are_those_of_the_metrics(tmp_path: Path) -> None:
    with searching(tmp_path, PLAN, Mlp()) as study:
        trial = trials(study, TrialState.COMPLETE)[1]
    int4 = Quantizer.parse("int4")
    uint4 = Quantizer.parse("uint4")
    layers = dict.fromkeys(("fc1", "fc2", "fc3"), int4)
    design = Design.of(layers, {"input": int4, "hidden1": uint4, "hidden2": uint4})
    luts = 16 * sum(layer.macs for layer in workload().layers)
    assert trial.values == [Mlp().accuracy(design, "search").top1, luts]
    assert trial.user_attrs["design"] == design.digest


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2"])
def test_a_seed_is_a_search(tmp_path: Path, sampler: str) -> None:
    plan = replace(PLAN, sampler=sampler)
    first = searched(tmp_path / "a", plan)
    assert searched(tmp_path / "b", plan) == first
    assert searched(tmp_path / "c", replace(plan, seed=8)) != first


def test_without_a_sampler_only_uniform_designs(tmp_path: Path) -> None:
    assert len(searched(tmp_path, Plan("grid", 0, 5, None))) == 5


def test_a_longer_search_begins_with_the_shorter_one(tmp_path: Path) -> None:
    short = searched(tmp_path / "a", replace(PLAN, trials=10))
    assert searched(tmp_path / "a", PLAN)[:10] == short
    assert searched(tmp_path / "a", PLAN) == searched(tmp_path / "b", PLAN)


def test_a_finished_search_evaluates_nothing(tmp_path: Path) -> None:
    searched(tmp_path, PLAN)
    idle = Mlp()
    with searching(tmp_path, PLAN, idle):
        assert idle.evaluated == []


def test_a_design_is_paid_for_once(tmp_path: Path) -> None:
    evaluator = Mlp()
    with searching(tmp_path, replace(PLAN, trials=40, sampler="nsga2"), evaluator) as study:
        designs = {t.user_attrs["design"] for t in trials(study, TrialState.COMPLETE)}
    assert sorted(digest for digest, _ in evaluator.evaluated) == sorted(designs)


def test_the_search_never_sees_the_test_split(tmp_path: Path) -> None:
    evaluator = Mlp()
    with searching(tmp_path, PLAN, evaluator):
        assert {split for _, split in evaluator.evaluated} == {"search"}


def test_constraints_are_kept_and_steer(tmp_path: Path) -> None:
    small = Constraint("lut", high=7000), Constraint("top1", low=0.3)
    with searching(tmp_path, replace(PLAN, trials=40), Mlp(), *small) as study:
        rows = trials(study, TrialState.COMPLETE)
    assert rows[1].constraints == {"0.lut": 0.0, "1.top1": 0.0}
    assert rows[2].constraints == {"0.lut": (18432 - 7000) / 7000, "1.top1": 0.0}
    feasible = [all(v <= 0 for v in t.constraints.values()) for t in rows]
    assert feasible[:5] == [True, True, False, True, False]
    assert sum(feasible[20:]) > 10


def test_a_design_that_fails_is_a_failed_trial(tmp_path: Path) -> None:
    with searching(tmp_path, PLAN, Mlp(broken=frozenset({"e2m1"}))) as study:
        (failed, *_) = trials(study, TrialState.FAIL)
        assert len(study.get_trials()) == 16
    assert failed.number == 3
    assert failed.user_attrs["failure"] == "layer 'fc2' cannot be e2m1"


def narrowest(workload: Workload, design: Design) -> Design:
    """As many lanes as a weight has bits; e2m1 cannot be folded."""
    bits = {name: quantizer.format for name, quantizer in design.weights}
    if bits["fc2"].name == "e2m1":
        raise ValueError("layer 'fc2' cannot be folded")
    return replace(design, folding=tuple((layer.name, Folding(1, bits[layer.name].bits)) for layer in workload.layers))


def test_a_design_that_the_space_leaves_unfolded_is_folded_before_it_is_priced(tmp_path: Path) -> None:
    with (
        problem(tmp_path, Mlp()) as plain,
        open_history(tmp_path / "history.sqlite", "study", ["maximize", "minimize"]) as study,
    ):
        task = replace(plain, refold=narrowest)
        search(task, Plan("grid", 0, 5, None), study, lambda progress: None)
        whole, (failed,) = trials(study, TrialState.COMPLETE), trials(study, TrialState.FAIL)
        designs = [task.store.design(t.user_attrs["design"]) for t in whole]
        bits = [dict(design.weights)["fc1"].format.bits for design in designs]
        assert [dict(design.folding)["fc1"] for design in designs] == [Folding(1, own) for own in bits]
        assert (failed.number, failed.user_attrs["failure"]) == (3, "layer 'fc2' cannot be folded")
        assert task.priced(task.space.design(whole[0].params)).design == designs[0]
        kept = replace(designs[0], folding=(("fc1", Folding(2, 2)),))
        assert task.folded(kept) == kept
        told = list(sensitivities(task, designs[0], lambda done, total, change: None))
    assert {one.loss for one in told if one.place == "fc2" and one.written == "e2m1"} == {None}
    assert all(one.loss is not None for one in told if one.written != "e2m1")


def test_a_failure_is_paid_for_once(tmp_path: Path) -> None:
    broken = Mlp(broken=frozenset({"int4"}))
    design = space().design(space().choices(space().uniform[1]))
    with problem(tmp_path, broken) as task:
        for _ in range(2):
            with pytest.raises(DesignError, match=r"^layer 'fc2' cannot be int4$"):
                task.evaluation(design, "search")
    assert len(broken.evaluated) == 1


def test_an_objective_that_is_not_finite_is_a_failure(tmp_path: Path) -> None:
    with problem(tmp_path, Mlp()) as task:
        task = replace(task, objectives=(Objective("sqnr", "maximize"),))
        evaluation = task.evaluation(space().design(space().choices(space().uniform[2])), "search")
        (accuracy,) = evaluation.accuracies
        endless = replace(evaluation, accuracies=(replace(accuracy, sqnr_db=float("inf")),))
        with pytest.raises(DesignError, match=r"^objective 'sqnr' is inf, which cannot be compared$"):
            task.values(endless)


def test_weight_bits(tmp_path: Path) -> None:
    with problem(tmp_path, Mlp()) as task:
        evaluation = task.evaluation(space().design(space().choices(space().uniform[2])))
    assert evaluation.weight_bits == 8 * (8 * 12 + 12 * 12 + 12 * 4)


def test_a_broken_evaluator_ends_the_search_and_is_taken_up_again(tmp_path: Path) -> None:
    class Fragile(Mlp):
        def accuracy(self, design: Design, split: str) -> Accuracy:
            if len(self.evaluated) == 9:
                raise KeyboardInterrupt
            return super().accuracy(design, split)

    with pytest.raises(KeyboardInterrupt), searching(tmp_path, PLAN, Fragile()):
        pass
    with open_history(tmp_path / "history.sqlite", "study", ["maximize", "minimize"]) as study:
        assert [t.state.name for t in study.get_trials()] == ["COMPLETE"] * 9 + ["RUNNING"]
    assert searched(tmp_path, PLAN) == searched(tmp_path / "whole", PLAN)


def test_minutes_count_evaluation_over_all_calls(tmp_path: Path) -> None:
    endless = replace(PLAN, trials=None, minutes=0.01)
    with searching(tmp_path, endless, Mlp()) as study:
        rows = trials(study, TrialState.COMPLETE)
        seconds = [t.user_attrs["seconds"] for t in rows]
    assert sum(seconds) >= 0.6 > sum(seconds[:-1])
    assert len(searched(tmp_path, endless)) == len(rows)


def test_progress(tmp_path: Path) -> None:
    seen: list[Progress] = []
    with (
        problem(tmp_path, Mlp(broken=frozenset({"int4"}))) as task,
        open_history(tmp_path / "history.sqlite", "study", ["maximize", "minimize"]) as study,
    ):
        search(task, Plan("grid", 0, 5, None), study, seen.append)
    assert [p.done for p in seen] == [1, 2, 3, 4, 5]
    assert seen[0] == Progress("search", 1, 5, "trial 0: top-1 accuracy 76.50 %, LUT 2,592")
    assert seen[1].text == "trial 1 failed: layer 'fc2' cannot be int4"


def test_nothing_to_search(tmp_path: Path) -> None:
    int8 = Quantizer.parse("int8")
    fixed = Space(
        Workload("one", workload().layers[:1], workload().sites[:1], (8,)),
        (int8,), (int8,), ((int8, int8),), frozenset(), (), first=((int8, int8),),
    )  # fmt: skip
    with (
        problem(tmp_path, Mlp(), of=fixed) as task,
        open_history(tmp_path / "history.sqlite", "study", ["maximize", "minimize"]) as study,
        pytest.raises(
            ValueError, match=r"^a search needs a layer or an activation that 'first' and 'last' leave free$"
        ),
    ):
        search(task, PLAN, study, lambda progress: None)


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        (
            "sqlite:////nowhere/x.sqlite",
            r"^the storage sqlite:////nowhere/x.sqlite cannot be used: "
            r"\(sqlite3.OperationalError\) unable to open database file$",
        ),
        (
            "redis://me:secret@host/0",
            r"^the storage redis://me:\*\*\*@host/0 cannot be used: Can't load plugin: sqlalchemy.dialects:redis$",
        ),
        ("no url", "^the storage no url cannot be used: Could not parse SQLAlchemy URL from given URL string$"),
    ],
)
def test_a_storage_that_cannot_be_reached(storage: str, message: str) -> None:
    with pytest.raises(ValueError, match=message), open_history(storage, "study", ["minimize"]):
        pass


def test_a_storage_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no database" * 100)
    with (
        pytest.raises(ValueError, match=rf"^the storage {tmp_path}/x cannot be used: .*file is not a database$"),
        open_history(tmp_path / "x", "study", ["minimize"]),
    ):
        pass


# ---- several workers ------------------------------------------------------------------------------


@dataclass
class Moody:
    """An executor of several jobs, which are done in an order that nobody can foresee."""

    evaluator: Mlp
    seed: int
    capacity: int = 4
    jobs: list[Job] = field(default_factory=list)
    most: int = 0

    @property
    def together(self) -> int:
        return self.capacity

    @cached_property
    def random(self) -> np.random.RandomState:
        return np.random.RandomState(self.seed)

    def submit(self, job: Job) -> None:
        if job not in self.jobs:
            self.jobs.append(job)
        self.most = max(self.most, len(self.jobs))

    def collect(self, seconds: float | None) -> list[Outcome]:
        count = self.random.randint(len(self.jobs) + 1)  # sometimes none, as if it took too long
        chosen = [self.jobs.pop(self.random.randint(len(self.jobs))) for _ in range(count)]
        return [evaluate(self.evaluator, job) for job in chosen]

    def close(self) -> None:
        self.jobs.clear()


def searched_by(hands: Moody, folder: Path, plan: Plan) -> list[object]:
    folder.mkdir(exist_ok=True)
    with (
        problem(folder, hands.evaluator) as task,
        open_history(folder / "history.sqlite", "study", ["maximize", "minimize"]) as study,
    ):
        search(replace(task, hands=hands), plan, study, lambda progress: None)
        return told(study)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_several_workers_are_the_same_search_whoever_is_faster(
    tmp_path: Path, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SAMPLERS, "nsga2", SAMPLERS["nsga2"])
    small_generations()
    plan = replace(SMALL, sampler=sampler)
    broken = frozenset({"e2m1"})
    hands = Moody(Mlp(broken=broken), 0)
    first = searched_by(hands, tmp_path / "a", plan)
    assert hands.most == 4
    assert searched_by(Moody(Mlp(broken=broken), 1), tmp_path / "b", plan) == first
    assert searched(tmp_path / "c", plan, broken=broken)[:5] == first[:5]  # the uniform designs


def test_the_memoryless_sampler_gives_one_search_for_any_number_of_workers(tmp_path: Path) -> None:
    plan = replace(PLAN, sampler="random")
    assert searched_by(Moody(Mlp(), 0), tmp_path / "a", plan) == searched(tmp_path / "b", plan)


def test_several_workers_that_are_interrupted_are_the_same_search(tmp_path: Path) -> None:
    class Fragile(Mlp):
        def accuracy(self, design: Design, split: str) -> Accuracy:
            if len(self.evaluated) == 9:
                raise KeyboardInterrupt
            return super().accuracy(design, split)

    with pytest.raises(KeyboardInterrupt):
        searched_by(Moody(Fragile(), 0), tmp_path / "a", PLAN)
    with open_history(tmp_path / "a" / "history.sqlite", "study", ["maximize", "minimize"]) as study:
        assert 1 <= len(trials(study, TrialState.RUNNING)) <= 4
    assert searched_by(Moody(Mlp(), 1), tmp_path / "a", PLAN) == searched_by(Moody(Mlp(), 2), tmp_path / "b", PLAN)


def test_equal_numerics_in_flight_are_one_job(tmp_path: Path) -> None:
    int8 = space().design(space().choices(space().uniform[2]))
    folded = replace(int8, folding=(("fc1", Folding(1, 2)),))
    hands = Moody(Mlp(), 0)
    with problem(tmp_path, hands.evaluator) as task:
        found = list(replace(task, hands=hands).evaluations([int8, folded, int8], "search", "test"))
    assert [f.design for f in found if isinstance(f, Evaluation)] == [int8, folded, int8]
    assert sorted(split for _, split in hands.evaluator.evaluated) == ["search", "test"]


def test_many_evaluations_come_in_their_order(tmp_path: Path) -> None:
    designs = [space().design(space().choices(pair)) for pair in space().uniform]
    hands = Moody(Mlp(broken=frozenset({"int4"})), 0, capacity=3)
    with problem(tmp_path, hands.evaluator) as task:
        found = list(replace(task, hands=hands).evaluations(designs, "search"))
    assert [f.design for f in found if isinstance(f, Evaluation)] == [d for d in designs if d != designs[1]]
    assert str(found[1]) == "layer 'fc2' cannot be int4"
    assert hands.most == 3


def test_a_design_over_which_workers_died_may_be_tried_again(tmp_path: Path) -> None:
    class Deadly(Moody):
        def collect(self, seconds: float | None) -> list[Outcome]:
            return [Outcome(job, failure="3 workers died", died=True) for job in self.jobs]

    design = space().design(space().choices(space().uniform[2]))
    with problem(tmp_path, Mlp()) as task:
        with pytest.raises(DesignError, match=r"^3 workers died$"):
            replace(task, hands=Deadly(Mlp(), 0)).evaluation(design, "search")
        assert task.evaluation(design, "search").design == design


# ---- several processes ----------------------------------------------------------------------------


def claimed(task: Problem, owner: str, patience_seconds: float = 60.0) -> Problem:
    return replace(task, claims=Claims(task.store.database, owner, patience_seconds))


def test_what_another_process_evaluates_is_waited_for(tmp_path: Path) -> None:
    design = space().design(space().choices(space().uniform[2]))
    job = Job(design.numerics, "search")
    with problem(tmp_path, Mlp()) as task, ThreadPoolExecutor(1) as thread:
        ours, theirs = claimed(task, "we"), claimed(task, "they")
        assert theirs.claim(job)
        waiting = thread.submit(ours.evaluation, design, "search")
        time.sleep(0.3)
        assert not waiting.done()
        theirs.keep(Outcome(job, replace(Mlp().measured("search", design), loss=123.0)))
        assert waiting.result(30).accuracies[0].loss == 123.0
        theirs.release(job)
        assert isinstance(task.evaluator, Mlp)
        assert task.evaluator.evaluated == []


@pytest.mark.parametrize("gone", ["dead", "without a result"])
def test_what_another_process_gave_up_is_taken_over(tmp_path: Path, gone: str) -> None:
    design = space().design(space().choices(space().uniform[2]))
    with problem(tmp_path, Mlp()) as task, ThreadPoolExecutor(1) as thread:
        ours, theirs = claimed(task, "we", 0.5 if gone == "dead" else 60.0), claimed(task, "they")
        assert theirs.claim(Job(design.numerics, "search"))
        waiting = thread.submit(ours.evaluation, design, "search")
        time.sleep(0.2)
        assert not waiting.done()
        if gone != "dead":
            theirs.release(Job(design.numerics, "search"))
        assert waiting.result(30).accuracies == (Mlp().accuracy(design, "search"),)
        assert theirs.claim(Job(design.numerics, "search"))  # ours was released


def test_a_trial_of_a_living_process_is_left_to_it(tmp_path: Path) -> None:
    """Its claim is renewed for a while, and what it leaves is finished by the others, but not before."""
    with (
        problem(tmp_path, Mlp()) as task,
        open_history(tmp_path / "history.sqlite", "study", ["maximize", "minimize"]) as study,
    ):
        ours, theirs = claims_of(study, "we", 1.0), claims_of(study, "they", 1.0)
        other = study.ask()
        assert theirs.claim(f"trial {other._trial_id}")
        seen: list[tuple[int, float]] = []
        start = time.monotonic()

        def report(progress: Progress) -> None:
            seen.append((int(progress.text.split()[1].rstrip(":")), time.monotonic() - start))
            theirs.beat()

        search(task, replace(PLAN, sampler="random"), study, report, ours)
        assert [t.state.name for t in study.get_trials()] == ["COMPLETE"] * 16
    assert seen[-1][0] == 0
    assert seen[-1][1] - seen[-2][1] >= 1.0


def test_a_trial_that_its_process_finishes_in_the_last_moment_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(study: optuna.Study, trial: FrozenTrial) -> Trial:
        taken = history.resume(study, trial)
        study.tell(trial.number, [0.5, 1.0])
        return taken

    monkeypatch.setattr(searches, "resume", late)
    with (
        problem(tmp_path, Mlp()) as task,
        open_history(tmp_path / "history.sqlite", "study", ["maximize", "minimize"]) as study,
    ):
        study.ask()
        search(task, PLAN, study, lambda progress: None, claims_of(study, "we", 60.0))
        assert [t.state.name for t in study.get_trials()] == ["COMPLETE"] * 16
        assert study.get_trials()[0].values == [0.5, 1.0]


def test_what_others_asked_for_counts(tmp_path: Path) -> None:
    """Another process takes the rest of the budget behind this one's back: one trial too many, not one each time."""
    with (
        problem(tmp_path, Mlp()) as task,
        open_history(tmp_path / "history.sqlite", "study", ["maximize", "minimize"]) as study,
    ):
        theirs = claims_of(study, "they", 1.0)

        def report(progress: Progress) -> None:
            while len(study.get_trials()) in range(5, 16):
                assert theirs.claim(f"trial {study.ask()._trial_id}")

        search(task, replace(PLAN, sampler="random"), study, report, claims_of(study, "we", 1.0))
        states = [t.state.name for t in study.get_trials()]
    assert states == ["COMPLETE"] * 16 + ["RUNNING"]


def test_a_trial_beyond_the_budget_waits_for_a_larger_one(tmp_path: Path) -> None:
    """As two processes may ask for the last one at once."""
    with (
        problem(tmp_path, Mlp()) as task,
        open_history(tmp_path / "history.sqlite", "study", ["maximize", "minimize"]) as study,
    ):
        search(task, PLAN, study, lambda progress: None)
        study.ask()
        search(task, PLAN, study, lambda progress: None)
        assert [t.state.name for t in study.get_trials()[15:]] == ["COMPLETE", "RUNNING"]
        search(task, replace(PLAN, trials=18), study, lambda progress: None)
        assert [t.state.name for t in study.get_trials()[15:]] == ["COMPLETE"] * 3


def test_a_server_that_restarts_is_found_again(
    server: PostgreSql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a search, which goes on; trials that were told stay told."""
    crashes = [5, 9]

    def report(progress: Progress) -> None:
        if crashes and progress.done == crashes[0]:
            crashes.pop(0)
            server.crash()
            Timer(0.5, server.start).start()

    def work(study: optuna.Study) -> list[object]:
        search(task, PLAN, study, report, claims_of(study, "we", 60.0))
        return told(study)

    evaluator = Mlp()
    with problem(tmp_path, evaluator) as task:
        found = lasting(server.url, "restarted", ["maximize", "minimize"], work)
    assert crashes == []
    assert found == searched(tmp_path / "whole", PLAN)
    assert len(evaluator.evaluated) == len({digest for digest, _ in evaluator.evaluated})


def test_a_server_that_does_not_come_back(server: PostgreSql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PATIENCE_SECONDS", 0.1)

    def work(study: optuna.Study) -> None:
        server.crash()
        study.ask()

    message = rf"^the storage {re.escape(server.url)} was lost, run again to continue: .*$"
    try:
        with pytest.raises(ValueError, match=message):
            lasting(server.url, "lost", ["maximize", "minimize"], work)
    finally:
        server.start()


SMALL = replace(PLAN, trials=17)  # three generations


def small_generations() -> None:
    """Lets NSGA-II reach its third generation within a test."""
    SAMPLERS["nsga2"] = lambda seed: NSGAIISampler(seed=seed, population_size=6)


@pytest.mark.parametrize(
    ("sampler", "writes"),
    [("tpe", 29), ("nsga2", 23)]
    + [
        pytest.param(s, n, marks=pytest.mark.slow)
        for s in ("random", "tpe", "nsga2", "allocate")
        for n in (7, 8, 9, 11)
    ],
)
def test_a_search_that_is_killed_again_and_again_is_the_same_search(
    tmp_path: Path, sampler: str, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Children die by SIGKILL before or after every so many writes, until one of them finishes."""
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path), sampler, str(writes)],
        capture_output=True, text=True, timeout=1800, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.stderr == ""
    assert int(done.stdout) > 4
    with open_history(tmp_path / "history.sqlite", "study", ["maximize", "minimize"]) as study:
        interrupted = told(study)
    monkeypatch.setitem(SAMPLERS, "nsga2", SAMPLERS["nsga2"])  # put back afterwards
    small_generations()
    assert interrupted == searched(tmp_path / "whole", replace(SMALL, sampler=sampler), broken=frozenset({"e2m1"}))


def mortal(writes: int) -> Callable[[Callable[[], None]], None]:
    """Does what it is given, until the process kills itself, just before or just after the write."""
    left = [writes]

    def count(write: Callable[[], None]) -> None:
        left[0] -= 1
        if left[0] == 0 and os.getpid() % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        write()
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return count


def search_and_die(folder: Path, plan: Plan, writes: int) -> None:
    """Searches in this process, which dies after so many writes to the history and the store."""
    count = mortal(writes)

    class Dying(sqlite3.Connection):
        written = 0

        def commit(self) -> None:
            if self.total_changes == self.written:
                return super().commit()  # it only read
            self.written = self.total_changes
            count(super().commit)

    def connect(path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=60, check_same_thread=False, factory=Dying)
        connection.execute("PRAGMA journal_mode = WAL")
        return connection

    plain = Store._write
    history._connect = connect
    Store._write = lambda self, *rest: count(lambda: plain(self, *rest))  # type: ignore[method-assign]
    searched(folder, plan, broken=frozenset({"e2m1"}))
    os._exit(0)


def deaths(folder: Path, plan: Plan, writes: int) -> int:
    """How many processes died until one could finish."""
    for count in range(1000):
        if (child := os.fork()) == 0:
            search_and_die(folder, plan, writes)
        _, status = os.waitpid(child, 0)
        if status == 0:
            return count
        assert os.WIFSIGNALED(status), status
    raise AssertionError(f"no progress with {writes} writes")


if __name__ == "__main__":
    small_generations()
    print(deaths(Path(sys.argv[1]), replace(SMALL, sampler=sys.argv[2]), int(sys.argv[3])))
