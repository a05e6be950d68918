"""A real study on an FPGA and a GPU: what each part is, that accuracies are shared, what the two are joined to."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hwdse import accuracy
from hwdse.cli import main
from hwdse.cost import FpgaCost, GpuCost
from hwdse.cost_model import Run
from hwdse.design import Design
from hwdse.evaluation import Accuracy
from hwdse.result import Result
from hwdse.run import load, networks, parts, run, store_of, targets
from hwdse.run.folder import RunFolder
from hwdse.run.prices import prices
from hwdse.run.side_by_side import FILE, is_joined, join, load_joined
from hwdse.sides import Sides
from hwdse.study import Study, shipped
from hwdse.study import load as load_study

STUDY = """
question = "Do they agree?"
[model]
name = "digits-mlp"
[data]
name = "digits"
[formats]
weights = ["int8", "int3", "int4", "e2m1", "e3m2"]
[[target]]
device = "ecp5_25f"
clock_mhz = 100
frames_per_second = 1000
[[target]]
device = "h200"
batch = 256
[[objectives]]
metric = "top1"
[[objectives]]
metric = "lut"
[[objectives]]
metric = "weight_bytes"
[[objectives]]
metric = "latency"
device = "h200"
[search]
sampler = "random"
[budget]
trials = 12
"""
ONE = (
    STUDY.replace('[[target]]\ndevice = "h200"\nbatch = 256\n', "")
    .replace("weight_bytes", "dsp")
    .replace('device = "h200"\n', "")
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sides")


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    (folder / "both.toml").write_text(STUDY)
    return load_study(folder / "both.toml")


@pytest.fixture(scope="module")
def evaluated() -> list[tuple[str, str]]:
    """The digests and splits of what was evaluated, in order, once `done` is there."""
    return []


@pytest.fixture(scope="module")
def done(study: Study, folder: Path, evaluated: list[tuple[str, str]]) -> tuple[Path, int, tuple[Result, ...]]:
    """The folder of both runs, how many evaluations the first one took, and their results."""
    out = folder / "out"
    with pytest.MonkeyPatch.context() as patch:
        own = accuracy.Evaluator.accuracy

        def counted(self: accuracy.Evaluator, design: Design, split: str) -> Accuracy:
            evaluated.append((design.digest, split))
            return own(self, design, split)

        patch.setattr(accuracy.Evaluator, "accuracy", counted)
        store = store_of(study, out, None, None)
        first, second = targets(study, out)
        one = run(*first, store=store)
        spent = len(evaluated)
        return out, spent, (one, run(*second, store=store))


@pytest.fixture(scope="module")
def sides(study: Study, done: tuple[Path, int, tuple[Result, ...]]) -> Sides:
    return join(study, done[2], done[0])


def test_each_part_is_priced_on_its_own_target(done: tuple[Path, int, tuple[Result, ...]]) -> None:
    _, _, (on_fpga, on_gpu) = done
    assert (on_fpga.fpga.name, on_fpga.clock, on_fpga.run) == ("ecp5_25f", 100.0, None)
    assert (on_gpu.target.name, on_gpu.clock_mhz, on_gpu.run) == ("h200", None, Run(256))
    assert all(isinstance(trial.evaluation.predicted, FpgaCost) for trial in on_fpga.trials)
    assert all(trial.evaluation.gpu.batch == 256 for trial in on_gpu.trials)
    assert all(trial.evaluation.design.folding for trial in on_fpga.trials)
    assert not any(trial.evaluation.design.folding for trial in on_gpu.trials)


def test_no_accuracy_is_paid_for_twice(
    done: tuple[Path, int, tuple[Result, ...]], evaluated: list[tuple[str, str]]
) -> None:
    _, spent, (on_fpga, on_gpu) = done
    assert spent > 0
    assert len(set(evaluated)) == len(evaluated)
    numerics = [{t.evaluation.design.numerics.digest for t in result.trials} for result in (on_fpga, on_gpu)]
    assert numerics[0] & numerics[1], "the uniform designs at least"
    again = {digest for digest, split in evaluated[spent:] if split == "search"}
    assert not again & numerics[0], "the second part evaluates no design of the first"
    both = [{t.evaluation.design.numerics.digest: t.evaluation.accuracy("search") for t in r.trials} for r in done[2]]
    assert all(both[0][digest] == both[1][digest] for digest in numerics[0] & numerics[1])


def test_every_design_of_a_front_is_priced_on_both(sides: Sides, done: tuple[Path, int, tuple[Result, ...]]) -> None:
    _, _, results = done
    assert sides.folders == ("ecp5_25f", "h200")
    for side, result in enumerate(results):
        pairs = ((one.prices[side].trial, one) for one in sides.designs)
        trials = {number: one for number, one in pairs if number is not None}
        assert sorted(trials) == sorted(result.front)
        for number, one in trials.items():
            own = result.trial(number).evaluation
            assert one.design == replace(own.design, folding=())
            assert one.accuracies == own.accuracies
            assert one.prices[side].cost == own.predicted
    for one in sides.designs:
        on_fpga, on_gpu = (price.cost for price in one.prices)
        assert isinstance(on_fpga, FpgaCost)
        assert isinstance(on_gpu, GpuCost)
        assert {accuracy.split for accuracy in one.accuracies} == {"search", "test"}
    top1 = [one.evaluation.accuracy("search").top1 for one in sides.designs]
    assert top1 == sorted(top1, reverse=True)


def test_a_design_of_one_front_has_the_price_that_the_other_search_gave_it(
    sides: Sides, done: tuple[Path, int, tuple[Result, ...]]
) -> None:
    """Also where it is not on the front there: most uniform designs are on one front alone."""
    _, _, results = done
    checked = 0
    for side, result in enumerate(results):
        known = {replace(t.evaluation.design, folding=()): t.evaluation.predicted for t in result.trials}
        for one in sides.designs:
            if one.prices[side].trial is None and one.design in known:
                assert one.prices[side].cost == known[one.design]
                checked += 1
    assert checked > 0


def test_what_is_joined_is_kept(sides: Sides, done: tuple[Path, int, tuple[Result, ...]]) -> None:
    out, _, results = done
    assert is_joined(out)
    assert load_joined(out) == (sides, results)
    (broken := out.parent / "broken").mkdir()
    (broken / FILE).write_text("{}")
    message = (
        f"{broken / FILE} cannot be read: no Sides in this JSON: a Sides has study, question, folders, designs, not "
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load_joined(broken)


def test_a_folder_of_several_runs_names_them(done: tuple[Path, int, tuple[Result, ...]]) -> None:
    out, _, _ = done
    message = f"{out} holds 2 runs; name one: {out / 'ecp5_25f'}, {out / 'h200'}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load(out)


def test_folders(study: Study, folder: Path) -> None:
    assert [place for _, place in parts(study, "out")] == [Path("out/ecp5_25f"), Path("out/h200")]
    two = load_study(folder / "both.toml", ['model.name=["digits-mlp", "digits-cnn"]'])
    assert [str(place) for _, place in parts(two, "out")] == [
        "out/digits-mlp/ecp5_25f",
        "out/digits-mlp/h200",
        "out/digits-cnn/ecp5_25f",
        "out/digits-cnn/h200",
    ]
    assert [str(place) for _, place in networks(two, "out")] == ["out/digits-mlp", "out/digits-cnn"]
    with pytest.raises(ValueError, match=r"^study 'both' has 2 parts, a network on a target each; run them$"):
        run(study, "out")


def test_where_the_parts_keep_their_evaluations(study: Study, folder: Path, tmp_path: Path) -> None:
    (folder / "one.toml").write_text(ONE)
    one = load_study(folder / "one.toml")
    assert store_of(one, tmp_path / "x", None, None) is None
    assert not (tmp_path / "x").exists()
    assert store_of(study, tmp_path / "x", None, "mine.sqlite") == "mine.sqlite"
    assert store_of(study, tmp_path / "x", "postgresql://somewhere", None) is None
    assert store_of(study, tmp_path / "x", None, None) == RunFolder(tmp_path / "x").store
    assert store_of(study, tmp_path / "x", None, None) == RunFolder(tmp_path / "x").store, "it is empty"
    (tmp_path / "file").write_text("mine")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "other"):
        with pytest.raises(
            ValueError, match=f"^{re.escape(str(place))} exists and is no run folder; choose another folder$"
        ):
            store_of(study, place, None, None)
    (tmp_path / "x" / "study.toml").write_text(one.text)
    message = f"{tmp_path / 'x'} is the run folder of a study of one target; choose another folder"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        store_of(study, tmp_path / "x", None, None)


def test_prices_name_the_gpu_and_what_was_compiled_for_it(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpu = study.parts[1]
    other = on_gpu.model_copy(update={"targets": (on_gpu.target.model_copy(update={"device": "h100"}),)})
    before = prices(on_gpu)
    assert before != prices(other)
    monkeypatch.setattr("hwdse.compiled.table", lambda: ())
    assert prices(on_gpu) != before


def test_the_shipped_study_has_both_kinds() -> None:
    assert "side-by-side" in shipped()
    assert [target.kind for target in load_study("side-by-side").targets] == ["FPGA", "GPU"]


def test_the_command_runs_joins_and_reports(folder: Path, study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "commanded"
    command = ["run", str(folder / "both.toml"), "--out", str(out), "--set", "budget.trials=6", "--json"]
    assert main(command) == 0
    fronts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["title"] for one in fronts] == [
        "Pareto front of both-ecp5_25f",
        "Pareto front of both-h200",
        "The fronts of both, side by side",
    ]
    assert fronts[1]["device"] == "h200"
    assert fronts[1]["batch"] == 256
    rows = fronts[2]["rows"]
    assert all(row["ecp5_25f: lut"] > 0 and row["h200: weight_bytes"] > 0 for row in rows)
    assert {row["h200: trial"] for row in rows} - {None} == set(load(out / "h200").front)
    for file in ("report.html", "h200/report.html", "ecp5_25f/report.html", "evaluations.sqlite"):
        assert (out / file).is_file()
    assert not (out / "h200" / "evaluations.sqlite").exists()
    assert main(["show", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == rows
    (out / "report.html").unlink()
    assert main(["report", str(out)]) == 0
    assert capsys.readouterr().out.split() == [str(out / "report.html")]
    assert (out / "report.html").is_file()
    assert main(["show", str(out), "best"]) == 2
    assert capsys.readouterr().err == f"hwdse: {out} holds 2 runs; name one: {out / 'ecp5_25f'}, {out / 'h200'}\n"
