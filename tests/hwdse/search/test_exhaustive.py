"""Every design of a small space, kept in a file."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import optuna
import pytest

from hwdse.design import Design
from hwdse.evaluation import Accuracy
from hwdse.metrics import metric
from hwdse.result import Objective
from hwdse.search import Plan, search
from hwdse.search.exhaustive import Tabled, designs, table
from hwdse.search.history import trials
from hwdse.search.problem import Problem
from tests.hwdse.search.test_allocate import Formula, additive, problem, space

SMALL = space(("int8", "int5", "int4"), ("a", "b", "c"))


class Counting(Formula):
    """Counts, and breaks after so many."""

    left = 1000

    def accuracy(self, design: Design, split: str) -> Accuracy:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().accuracy(design, split)


def quiet(done: int, total: int) -> None:
    """Says nothing."""


def harm(bits: tuple[int, ...]) -> float:
    return additive((*bits, 8))


def test_the_last_dimension_changes_fastest() -> None:
    found = [tuple(q.format.bits for _, q in design.weights) for design in designs(SMALL)]
    assert found[:4] == [(8, 8, 8), (8, 8, 5), (8, 8, 4), (8, 5, 8)]
    assert len(set(found)) == 27


def test_a_table_has_what_an_evaluation_has_and_is_kept(tmp_path: Path) -> None:
    seen = []
    with problem(tmp_path, harm, of=SMALL) as task:
        known = table(task, tmp_path / "x.npz", lambda *progress: seen.append(progress))
        for row, design in enumerate(designs(SMALL)):
            evaluation = task.evaluation(design, "search")
            assert known.rows[design.digest] == row
            assert known.accuracy(design) == evaluation.accuracy("search")
            assert known.luts[row] == metric("lut").read(evaluation, "search")
        again = table(task, tmp_path / "x.npz", quiet)
    assert seen == [(27, 27)]
    assert np.array_equal(again.losses, known.losses)


def test_a_table_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwdse.search.exhaustive.KEPT_EVERY", 10)
    with problem(tmp_path, harm, of=SMALL) as task:
        counting = Counting(harm)
        counting.left = 15
        broken = Problem(**{f.name: getattr(task, f.name) for f in fields(Problem)} | {"evaluator": counting})
        with pytest.raises(KeyboardInterrupt):
            table(broken, tmp_path / "x.npz", quiet)
        counting.left = 17  # those of the 27 that were not kept
        assert len(table(broken, tmp_path / "x.npz", quiet).losses) == 27
        assert counting.left == 0


def test_the_table_of_another_space(tmp_path: Path) -> None:
    with problem(tmp_path, harm, of=SMALL) as task:
        table(task, tmp_path / "x.npz", quiet)
    other = space(("int8", "int6", "int4"), ("a", "b", "c"))
    with (
        problem(tmp_path, harm, of=other) as task,
        pytest.raises(
            ValueError,
            match=r"^.*x.npz has the designs of another space, network or price: formula .*, not formula .*$",
        ),
    ):
        table(task, tmp_path / "x.npz", quiet)


def test_a_search_looks_up(tmp_path: Path) -> None:
    with problem(tmp_path, harm, of=SMALL) as task:
        known = table(task, tmp_path / "x.npz", quiet)
        own = {f.name: getattr(task, f.name) for f in fields(Problem)}
        own["objectives"] = Objective("loss", "minimize"), Objective("lut", "minimize")
        own["evaluator"] = counting = Counting(harm)
        tabled = Tabled(**own, table=known)
        history = optuna.create_study(directions=["minimize", "minimize"])
        search(tabled, Plan("allocate", 0, 12, None), history, lambda progress: None)
    assert counting.left == Counting.left, "nothing is evaluated"
    for trial in trials(history):
        row = known.rows[str(trial.user_attrs["design"])]
        assert trial.values == [known.losses[row], known.luts[row]]
