"""`allocate` on made-up networks whose losses are known formulas, so that every front can be counted out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hwdse import pareto
from hwdse.cost import LayerCost, Resources, Term
from hwdse.cost_model import FpgaCostModel
from hwdse.design import Design, Quantizer
from hwdse.evaluation import Accuracy, pack
from hwdse.result import Constraint, Objective
from hwdse.search import Plan, search
from hwdse.search.allocate import Allocation
from hwdse.search.history import trials
from hwdse.search.problem import Problem
from hwdse.space import Space
from hwdse.store import Store
from hwdse.target import Device, FpgaTarget
from hwdse.where import OnFpga
from hwdse.workload import Kind, Layer, Site, Workload

FORMATS = ("int8", "int6", "int5", "int4")
LAYERS = ("a", "b", "c", "d")
DEVICE = FpgaTarget("toy", "toy", "toy", 10_000, 4, 10_000, 10, 18, 10, 0, "dsp", "this test")
OBJECTIVES = (Objective("loss", "minimize"), Objective("weight_bits", "minimize"))
Harm = Callable[[tuple[int, ...]], float]  # of the bits of each layer, the logarithm of the loss


def additive(bits: tuple[int, ...]) -> float:
    """Every layer adds."""
    rates = (0.3, 1.0, 0.05, 0.6)
    return sum(rate * {8: 0.0, 6: 0.7, 5: 1.3, 4: 2.0}[own] for rate, own in zip(rates, bits, strict=True))


def interacting(bits: tuple[int, ...]) -> float:
    """Layers b and c amplify each other, a and d make up for each other."""
    a, b, c, d = ((8 - own) / 4 for own in bits)
    return additive(bits) + 2.0 * b * c - 0.5 * min(a, d)


@dataclass
class Formula:
    """Evaluates designs by a formula; 200 images, of which fewer are right the larger the loss."""

    harm: Harm
    context: str = "formula"

    def float_accuracy(self, split: str) -> Accuracy:
        return self._of(split, 0.1, None)

    def accuracy(self, design: Design, split: str) -> Accuracy:
        loss = 0.1 * float(np.exp(self.harm(tuple(q.format.bits for _, q in design.weights))))
        return self._of(split, loss, -10 * float(np.log10(loss)))

    def _of(self, split: str, loss: float, sqnr: float | None) -> Accuracy:
        return Accuracy(split, 200, pack(np.arange(200) < 200 * np.exp(-loss)), loss, sqnr)


@dataclass(frozen=True)
class Free(FpgaCostModel):
    """A LUT a layer: what counts here is memory."""

    @property
    def name(self) -> str:
        return "free"

    def claims(self, device: Device) -> bool:
        return True

    def calibration(self, target: FpgaTarget) -> str:
        return "uncalibrated"

    def layer(self, layer: Layer, design: Design, target: FpgaTarget) -> LayerCost:
        bits = dict(design.weights)[layer.name].format.bits
        return LayerCost(layer.name, (Term("all", Resources(luts=bits * bits)),), 1, 1)


def space(formats: tuple[str, ...] = FORMATS, layers: tuple[str, ...] = LAYERS) -> Space:
    sizes = (16, 40, 100, 24)
    made = [Layer(name, Kind.LINEAR, ("x",), (), size, 1, 1) for name, size in zip(layers, sizes, strict=False)]
    workload = Workload("made-up", tuple(made), (Site("x", ("x",), layers, 1),), (1,))
    quantizers = tuple(map(Quantizer.parse, formats))
    return Space(workload, quantizers, quantizers[:1], tuple((q, q) for q in quantizers), frozenset(), ())


@contextmanager
def problem(folder: Path, harm: Harm, *constraints: Constraint, of: Space | None = None) -> Iterator[Problem]:
    with Store(folder / "store.sqlite") as store:
        yield Problem(of or space(), OBJECTIVES, constraints, OnFpga(Free(), DEVICE, 100.0), Formula(harm), store)


def searched(task: Problem, count: int | None, sampler: str = "allocate", seed: int = 0) -> list[FrozenTrial]:
    history = optuna.create_study(directions=[StudyDirection[o.direction.upper()] for o in task.objectives])
    search(task, Plan(sampler, seed, count, None), history, lambda progress: None)
    return trials(history)


def share(task: Problem, found: list[FrozenTrial], harm: Harm) -> float:
    """The hypervolume of what was found, of that of the whole front."""
    sizes = [layer.weights for layer in task.space.workload.layers]
    bits = [Quantizer.parse(name).format.bits for name in FORMATS]
    every = [(np.exp(harm(own)) / 10, np.dot(sizes, own)) for own in product(bits, repeat=4)]
    front = np.array(every)[pareto.front(every)]
    reference = front.max(axis=0) * 1.1
    return pareto.hypervolume([t.values for t in found], reference) / pareto.hypervolume(front, reference)


def test_it_finds_the_whole_front_of_an_additive_problem(tmp_path: Path) -> None:
    with problem(tmp_path, additive) as task:
        found = searched(task, 52)
        assert share(task, found, additive) == pytest.approx(1.0, abs=1e-12)  # rounding alone


def test_it_corrects_what_is_not_additive(tmp_path: Path) -> None:
    with problem(tmp_path, interacting) as task:
        found = searched(task, 64)
        assert share(task, found, interacting) == pytest.approx(1.0, abs=1e-12)
        assert share(task, searched(task, 64, "random"), interacting) < 0.99


def test_a_trial_follows_from_the_trials_before_it(tmp_path: Path) -> None:
    with problem(tmp_path, interacting) as task:
        found = searched(task, 22)
        for number in range(4, 22):
            again = Allocation(task, 0, 4)
            assert again.costs.choices(again.proposal(found[:number], number) or ()) == found[number].params


def test_a_seed_is_a_search(tmp_path: Path) -> None:
    with problem(tmp_path, interacting) as task:
        first, again = searched(task, 20, seed=3), searched(task, 20, seed=3)
    assert [t.params for t in first] == [t.params for t in again]


def test_sensitivities_come_after_the_uniform_designs(tmp_path: Path) -> None:
    with problem(tmp_path, additive) as task:
        found = searched(task, 9)
    assert [t.user_attrs["origin"] for t in found] == ["baseline"] + 3 * ["uniform"] + 5 * ["allocate"]
    alone = [{key: value for key, value in t.params.items() if value != "int8"} for t in found[4:8]]
    assert alone == [{f"weights.{layer}": "int4"} for layer in LAYERS]


def test_no_design_twice_and_an_end_where_all_were_tried(tmp_path: Path) -> None:
    with problem(tmp_path, additive, of=space(("int8", "int4"), ("a", "b", "c"))) as task:
        task = replace(task, evaluator=Formula(lambda bits: float(sum(bits))))
        found = searched(task, None)
    assert len(found) == 8
    assert len({frozenset(t.params.items()) for t in found}) == 8


def test_what_is_running_is_not_proposed_again(tmp_path: Path) -> None:
    with problem(tmp_path, interacting) as task:
        found = searched(task, 24)
        running = optuna.trial.create_trial(
            state=TrialState.RUNNING, params=found[23].params, distributions=found[23].distributions
        )
        running.number = 23
        history = [*found[:23], running]
        allocation = Allocation(task, 0, 4)
        following = allocation.proposal(history, 24)
        seen = {allocation.costs.point(t.params) for t in history}
        assert following is not None
        assert following not in seen
        assert allocation.proposal(history, 23) == allocation.costs.point(found[23].params)  # it does not count itself


def test_constraints_on_costs_are_met(tmp_path: Path) -> None:
    with problem(tmp_path, additive, Constraint("weight_bits", high=1080.0)) as task:
        found = searched(task, 40)
    assert all(t.values[1] <= 1080 for t in found[4:])
    assert len(found) == 40


@pytest.mark.parametrize("name", ["top1", "sqnr"])
def test_other_accuracies(tmp_path: Path, name: str) -> None:
    with problem(tmp_path, interacting) as task:
        task = replace(task, objectives=(Objective(name, "maximize"), OBJECTIVES[1], Objective("lut", "minimize")))
        found = searched(task, 20)
    assert len({frozenset(t.params.items()) for t in found}) == 20


def test_a_hybrid_hands_over(tmp_path: Path) -> None:
    with problem(tmp_path, interacting) as task:
        found = searched(task, 54, "hybrid")
    assert [t.user_attrs["origin"] for t in found[48:]] == ["allocate"] * 2 + ["nsga2"] * 4


@pytest.mark.parametrize(
    ("metrics", "shown"), [(("top1", "loss", "lut"), "top1 and loss and lut"), (("loss",), "loss"), (("lut",), "lut")]
)
def test_objectives_that_it_cannot_weigh(tmp_path: Path, metrics: tuple[str, ...], shown: str) -> None:
    known = "top1, loss, sqnr, perplexity"
    message = rf"^sampler 'allocate' weighs one accuracy \({known}\) against one or more costs, not {shown}$"
    with problem(tmp_path, additive) as task, pytest.raises(ValueError, match=message):
        Allocation(replace(task, objectives=tuple(Objective(name, "minimize") for name in metrics)), 0, 4)
