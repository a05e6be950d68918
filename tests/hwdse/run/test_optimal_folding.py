"""A study whose designs each have the best folding: what they cost, that they stay what they are, what they share."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from hwdse import accuracy
from hwdse.cli import main
from hwdse.cost_models.dataflow import Dataflow
from hwdse.design import Design
from hwdse.evaluation import Accuracy
from hwdse.folding import fast, fold
from hwdse.memory import utilization
from hwdse.result import Result
from hwdse.run import load, pick, run
from hwdse.run.prices import prices
from hwdse.study import load as load_study
from hwdse.target import fpga
from hwdse.terms import PLACEMENT
from hwdse.workers import Workers
from tests.hwdse.run import small
from tests.hwdse.test_hardware_commands import told

STUDY = small.study(
    """
[[constraints]]
metric = "utilization"
high = 0.3
[search]
sampler = "allocate"
choice = "layer"
sensitivity = true
[budget]
trials = 12
""",
    frames=200_000,
    target='folding = "optimal"',
    metrics=("loss", "utilization"),
)
CYCLES = 500
TARGET, MODEL = fpga("ecp5_25f"), Dataflow()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("optimal") / "small.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def done(study: Path) -> tuple[Path, Result]:
    """A finished run."""
    folder = study.parent / "run"
    return folder, run(study, folder)


def rank(result: Result, design: Design) -> tuple[float, int]:
    """What a folding minimises: the share of what is scarcest, then the LUTs."""
    area = MODEL.cost(result.workload, design, TARGET, 100.0).area
    return utilization(area, TARGET), area.luts


def designs(result: Result) -> Sequence[Design]:
    return [trial.evaluation.design for trial in result.trials]


def test_no_design_is_smaller_with_another_folding(done: tuple[Path, Result]) -> None:
    _, result = done
    greedy = tuple(sorted(fold(result.workload, CYCLES).items()))
    own = [rank(result, design) for design in designs(result)]
    others = [rank(result, replace(design, folding=greedy)) for design in designs(result)]
    assert all(mine <= other for mine, other in zip(own, others, strict=True))
    assert any(mine[0] < other[0] for mine, other in zip(own, others, strict=True))
    assert [trial.values[1] for trial in result.trials] == [share for share, _ in own]
    assert len({design.folding for design in designs(result)}) > 1
    assert {trial.evaluation.fpga.interval_cycles <= CYCLES for trial in result.trials} == {True}


def test_the_best_of_all_foldings_of_two_layers(done: tuple[Path, Result]) -> None:
    """Those of the third stay: there are thousands of all three."""
    _, result = done
    *two, last = result.workload.layers
    for design in (designs(result)[0], designs(result)[-1]):
        kept = dict(design.folding)[last.name]
        every = product(*(fast(layer, CYCLES)[::2] for layer in two))
        others = (dict(zip((layer.name for layer in two), some, strict=True)) for some in every)
        costs = (replace(design, folding=tuple(sorted({**one, last.name: kept}.items()))) for one in others)
        assert rank(result, design) <= min(rank(result, one) for one in costs)


def test_designs_that_are_too_large_are_told_as_any(done: tuple[Path, Result]) -> None:
    _, result = done
    assert result.failures == ()
    fits = [trial.evaluation.fpga for trial in result.trials]
    assert [trial.feasible for trial in result.trials] == [utilization(cost.area, TARGET) <= 0.3 for cost in fits]
    assert {trial.feasible for trial in result.trials} == {True, False}


def test_a_run_that_goes_on_is_the_same(done: tuple[Path, Result], study: Path, tmp_path: Path) -> None:
    _, result = done
    run(load_study(study, ["budget.trials=5"]), tmp_path)
    assert replace(run(study, tmp_path), manifest=()) == replace(result, manifest=())


def test_accuracies_are_shared_with_a_study_that_folds_all_alike(
    done: tuple[Path, Result], study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, result = done
    evaluated = list[str]()
    evaluate, together = accuracy.Evaluator.accuracy, accuracy.Evaluator.accuracies

    def counted(self: accuracy.Evaluator, design: Design, split: str) -> Accuracy:
        evaluated.append(split)
        return evaluate(self, design, split)

    def grouped(
        self: accuracy.Evaluator, some: Sequence[Design], split: str
    ) -> Iterator[tuple[int, Accuracy | ValueError]]:
        evaluated.append(split)
        return together(self, some, split)

    monkeypatch.setattr(accuracy.Evaluator, "accuracy", counted)
    monkeypatch.setattr(accuracy.Evaluator, "accuracies", grouped)
    changed = ["target.folding=greedy", "search.sampler=grid", "constraints=[]"]
    other = run(load_study(study, changed), tmp_path / "greedy", store=folder / "evaluations.sqlite")
    assert "search" not in evaluated
    for one, mine in zip(other.trials, result.trials, strict=False):
        assert one.evaluation.design.numerics == mine.evaluation.design.numerics
        assert one.evaluation.accuracies[0] == mine.evaluation.accuracies[0]
        assert one.values[1] >= mine.values[1]
    assert len({design.folding for design in designs(other)}) == 1


@pytest.mark.slow
def test_workers_find_the_same(done: tuple[Path, Result], study: Path, tmp_path: Path) -> None:
    """With `random`, whose proposals do not depend on how many are under way."""
    other = load_study(study, ["search.sampler=random"])
    alone = run(other, tmp_path / "alone")
    assert designs(run(other, tmp_path / "two", workers=Workers(2))) == designs(alone)


def test_the_folding_reaches_files_and_commands(
    done: tuple[Path, Result], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, result = done
    best = pick(load(folder), "best")
    assert best == result.trial(result.best)
    made = MODEL.elements(result.workload, best.evaluation.design, TARGET)
    folded = {name: (folding.pe, folding.simd) for name, folding in best.evaluation.design.folding}
    for layer, units in made.items():
        (matrix,) = (dict(unit.parameters) for unit in units if unit.role == "matrix")
        assert (matrix["PE"], matrix["SIMD"]) == folded[layer]
    shown = told(capsys, "show", str(folder), "best")
    assert {row["layer"]: row["folding"] for row in shown if row["folding"] is not None} == {
        name: folding.name for name, folding in best.evaluation.design.folding
    }
    rows = told(capsys, "synth", str(folder), "best", "--unit", "fc2", "--cache", str(tmp_path))
    (own,) = (layer for layer in best.evaluation.fpga.layers if layer.layer == "fc2")
    assert sum(row["LUT"] for row in rows[:-1]) == sum(t.area.luts for t in own.terms if t.name != PLACEMENT)


def test_other_foldings_are_other_prices(study: Path) -> None:
    assert prices(load_study(study)) != prices(load_study(study, ["target.folding=greedy"]))


def test_a_rate_that_no_folding_reaches(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("run", str(study), "--out", str(tmp_path / "out"), "--set", "target.clock_mhz=0.1")
    assert main([*arguments]) == 2
    said = capsys.readouterr().err
    assert said == f"hwdse: layer 'fc1' needs at least 1 cycles per frame, more than 0{os.linesep}"
    assert not (tmp_path / "out").exists()
    assert main(["run", str(study), "--out", str(tmp_path / "out"), "--set", "target.folding=best"]) == 2
    said = capsys.readouterr().err
    assert said == f"hwdse: {study}: 'target.folding' is one of 'greedy' or 'optimal', not 'best'{os.linesep}"
