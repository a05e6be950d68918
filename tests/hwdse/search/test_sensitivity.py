"""What is evaluated to tell how sensitive the tensors are, in which order, and what comes back."""

from dataclasses import replace
from pathlib import Path

import pytest

from hwdse.accuracy import Evaluator
from hwdse.design import Design, Quantizer
from hwdse.search.problem import Problem
from hwdse.search.sensitivity import Change, changes, sensitivities
from hwdse.space import Space
from hwdse.store import Store
from hwdse.where import OnFpga
from hwdse.workers import in_process
from tests.hwdse.networks import bench, split
from tests.hwdse.search.test_search import DEVICE, BitProducts, Mlp, problem, space

ORDER = ["activations input", "weights fc1", "activations hidden1", "weights fc2", "activations hidden2", "weights fc3"]


def uniform(of: Space, name: str) -> Design:
    return of.design(of.choices((Quantizer.parse(name), Quantizer.parse(name))))


def quiet(done: int, total: int, change: Change) -> None:
    """Reports nothing."""


def test_late_places_come_first_and_one_tensor_changes(tmp_path: Path) -> None:
    with problem(tmp_path, Mlp()) as task:
        baseline = uniform(task.space, "int8")
        made = changes(task, baseline)
    assert list(dict.fromkeys(f"{c.kind} {c.place}" for c in made)) == ORDER[::-1]
    assert len(made) == 6 * 5
    for change in made:
        apart = set(change.design.weights) ^ set(baseline.weights)
        apart |= set(change.design.activations) ^ set(baseline.activations)
        assert len(apart) == (0 if change.design == baseline else 2)
        assert {name for name, _ in apart} <= {change.place}
    unsigned = next(c for c in made if (c.place, c.quantizer.name) == ("hidden1", "e2m1"))
    assert dict(unsigned.design.activations)["hidden1"].name == "ue2m2"


def test_they_are_those_of_the_evaluator_in_network_order(tmp_path: Path) -> None:
    evaluator, told = Mlp(), list[tuple[int, int]]()
    with problem(tmp_path, evaluator) as task:
        baseline = uniform(task.space, "int8")
        found = sensitivities(task, baseline, lambda done, total, change: told.append((done, total)))
        count = len(evaluator.evaluated)
        again = sensitivities(task, baseline, quiet)
    assert list(dict.fromkeys(f"{one.kind} {one.place}" for one in found)) == ORDER
    assert told == [(n, 30) for n in range(1, 31)]
    assert count == 6 * 4 + 1, "the baseline is evaluated once"
    assert (again, len(evaluator.evaluated)) == (found, count), "all is in the store"
    (one,) = [f for f in found if (f.kind, f.place, f.written) == ("activations", "hidden2", "int3")]
    activations = {**dict(baseline.activations), "hidden2": Quantizer.parse("uint3")}
    expected = Mlp().accuracy(Design.of(dict(baseline.weights), activations), "search")
    assert (one.quantizer, one.loss, one.top1, one.sqnr_db) == ("uint3", expected.loss, expected.top1, expected.sqnr_db)


def test_what_cannot_be_evaluated_is_there_without_numbers(tmp_path: Path) -> None:
    with problem(tmp_path, Mlp(broken=frozenset({"e3m2"}))) as task:
        found = sensitivities(task, uniform(task.space, "int8"), quiet)
    (failed,) = [one for one in found if one.loss is None]
    assert (failed.place, failed.written, failed.top1, failed.sqnr_db) == ("fc2", "e3m2", None, None)


def test_only_places_with_a_choice_and_their_own_menus(tmp_path: Path) -> None:
    int8, int4 = Quantizer.parse("int8"), Quantizer.parse("int4")
    ends = replace(space(), first=((int8, int8), (int4, int8)), last=((int8, int8),))
    with problem(tmp_path, Mlp(), of=ends) as task:
        made = changes(task, uniform(ends, "int8"))
    menus: dict[str, list[str]] = {}
    for change in made:
        menus.setdefault(f"{change.kind} {change.place}", []).append(change.quantizer.name)
    assert list(menus) == ["weights fc2", "activations hidden1", "weights fc1"]
    assert menus["weights fc1"] == ["int8", "int4"]


def test_pairs_are_taken_apart(tmp_path: Path) -> None:
    quantizers = tuple(map(Quantizer.parse, ("int8", "int3")))
    pairs = replace(space(), pairs=tuple((q, q) for q in quantizers))
    with problem(tmp_path, Mlp(), of=pairs) as task:
        made = changes(task, uniform(pairs, "int8"))
    assert [f"{c.kind} {c.place} {c.quantizer.name}" for c in made[:4]] == [
        "weights fc3 int8", "weights fc3 int3", "activations hidden2 int8", "activations hidden2 int3",
    ]  # fmt: skip
    assert len(made) == 6 * 2


def test_a_late_change_pays_for_the_rest_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a real network: no tensor is computed twice, however often its place is upstream of a change."""
    monkeypatch.setattr(in_process, "GROUP", 1000)
    on = bench("cnn")
    evaluator = Evaluator(on, {"search": split("search")})
    menu = tuple(map(Quantizer.parse, ("int8", "int4", "e2m1")))
    whole = Space(on.workload, menu, menu, tuple((q, q) for q in menu), on.nonnegative, ())
    with Store(tmp_path / "evaluations.sqlite") as store:
        task = Problem(whole, (), (), OnFpga(BitProducts(), DEVICE, 100.0), evaluator, store)
        sensitivities(task, uniform(whole, "int8"), quiet)
        shells = [on.shell(change.design) for change in changes(task, uniform(whole, "int8"))]
    batches = -(-len(split("search")) // evaluator.batch)
    different = {key for shell in shells for key in shell.kept}
    assert evaluator.traces.missed == batches * len(different) < evaluator.tensors
    assert evaluator.traces.evicted == 0
