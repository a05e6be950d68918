"""Whole runs of a small real study: the digits, a trained network, Brevitas, an FPGA."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hwdse.run as runs
from hwdse import accuracy, pareto
from hwdse.design import Design
from hwdse.evaluation import Accuracy
from hwdse.result import Objective, Result
from hwdse.run import load, parts, pick, run
from hwdse.run.manifest import commit
from hwdse.run.outcome import cost_objective, reference_point
from hwdse.search import Progress
from hwdse.study import load as load_study
from tests.hwdse.run import small

ROOT = Path(__file__).parents[3]
STUDY = small.study(
    """
[search]
sampler = "tpe"
[budget]
trials = 20
""",
    weights=("int8", "int3", "int4", "e2m1", "e1m2", "e3m0"),
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "small.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def done(study: Path) -> tuple[Path, Result]:
    """A finished run."""
    folder = study.parent / "run"
    return folder, run(study, folder)


def evaluations(result: Result) -> list[object]:
    """What a run found, in a form that shows where two differ."""
    return [(t.number, t.origin, t.values, t.evaluation.accuracies, t.evaluation.design.text) for t in result.trials]


def test_the_result(done: tuple[Path, Result]) -> None:
    _, result = done
    assert (result.study, result.question) == ("small", "Does it hold together?")
    assert [trial.number for trial in result.trials] == list(range(20))
    assert [trial.origin for trial in result.trials] == ["baseline"] + 5 * ["uniform"] + 14 * ["tpe"]
    assert {q.format.name for q in dict(result.trials[0].evaluation.design.weights).values()} == {"int8"}
    assert [a.split for a in result.float_accuracies] == ["search", "test"]
    assert (result.baseline, result.failures) == (0, ())
    for trial in result.trials:
        shown = trial.evaluation.accuracy("search").top1, float(trial.evaluation.fpga.area.luts)
        assert trial.values == shown
        bits = {layer: q.format.bits for layer, q in trial.evaluation.design.weights}
        assert trial.evaluation.weight_bits == sum(x.weights * bits[x.name] for x in result.workload.weighted)


def test_the_front_against_brute_force(done: tuple[Path, Result]) -> None:
    _, result = done
    points = [(-t.values[0], t.values[1]) for t in result.trials]
    beaten = [any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points) for p in points]
    front = {t.evaluation.design.digest for t, lost in zip(result.trials, beaten, strict=True) if not lost}
    digests = [result.trial(n).evaluation.design.digest for n in result.front]
    assert sorted(digests) == sorted(front)
    luts = [result.trial(n).values[1] for n in result.front]
    assert luts == sorted(luts)


def test_only_the_front_and_the_baseline_see_the_test_split(done: tuple[Path, Result]) -> None:
    _, result = done
    seen = {t.number for t in result.trials if {a.split for a in t.evaluation.accuracies} == {"search", "test"}}
    assert seen == {*result.front, result.baseline}


def test_best_is_the_cheapest_that_loses_little(done: tuple[Path, Result]) -> None:
    _, result = done
    least = result.float_accuracy("search").top1 - result.max_loss
    good = [n for n in result.front if result.trial(n).values[0] >= least]
    assert good, "the study is too small to test this"
    assert result.best == good[0]


def test_the_hypervolume_is_that_of_all_trials(done: tuple[Path, Result]) -> None:
    _, result = done
    losses = np.array([(-t.values[0], t.values[1]) for t in result.trials])
    assert result.reference_point == tuple(losses.max(axis=0) + 0.1 * np.ptp(losses, axis=0))
    numbers, volumes = zip(*result.hypervolume, strict=True)
    assert numbers == tuple(range(20))
    whole = [pareto.hypervolume(losses[: n + 1], result.reference_point) for n in numbers]
    assert np.allclose(volumes, whole, rtol=1e-12)  # sums of at most 20 products in another order


def test_the_knee_is_on_the_front(done: tuple[Path, Result]) -> None:
    _, result = done
    losses = np.array([(-result.trial(n).values[0], result.trial(n).values[1]) for n in result.front])
    assert result.knee == result.front[pareto.knee(losses)]


def test_the_manifest(done: tuple[Path, Result]) -> None:
    folder, result = done
    manifest = dict(result.manifest)
    assert list(manifest) == [
        "study", "weights, data and versions", "seed", "commit", "python",
        "hwdse", "torch", "brevitas", "optuna", "numpy", "scikit-learn", "date",
        "evaluator of this process", "study file",
    ]  # fmt: skip
    assert re.fullmatch(r"small, digest [0-9a-f]{16}", manifest["study"])
    assert manifest["optuna"].startswith("5.")
    assert re.fullmatch(
        r"[\d,]+ accuracies in [\d.]+ s; \d+ % of tensors taken from memory, which held at most"
        r" [\d.]+ of 1,074 MB; let go for lack of room: 0 tensors, 0 weights, 0 networks, 0 predictions;"
        r" activations quantised by (one compiled kernel|Brevitas, because there is no g\+\+)",
        manifest["evaluator of this process"],
    )
    assert manifest["study file"] == (folder / "study.toml").read_text()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", manifest["date"])


def test_the_commit() -> None:
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", commit())


def test_a_run_can_be_loaded(done: tuple[Path, Result]) -> None:
    folder, result = done
    assert load(folder) == result


def test_a_finished_run_is_only_loaded(done: tuple[Path, Result], study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, result = done
    before = {f.name: f.read_bytes() for f in folder.iterdir()}
    monkeypatch.setattr(runs, "search", None)
    assert run(study, folder) == result
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == before


def test_a_finished_run_of_other_prices_is_refused(
    done: tuple[Path, Result], study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {f.name: f.read_bytes() for f in done[0].iterdir()}
    monkeypatch.setattr(runs, "prices", lambda study: "of another cost model")
    rule = "was made with other weights, data, prices or versions; choose another folder"
    with pytest.raises(ValueError, match=rf"^the run in {done[0]} {rule}$"):
        run(study, done[0])
    assert {f.name: f.read_bytes() for f in done[0].iterdir()} == before


def test_prices_name_the_device_and_the_cost_model(study: Path) -> None:
    here = runs.prices(load_study(study))
    assert here == runs.prices(load_study(study, ["seed=1"]))
    assert here != runs.prices(load_study(study, ["target.device=xczu3eg"]))


def test_the_same_study_gives_the_same_result(done: tuple[Path, Result], study: Path, tmp_path: Path) -> None:
    _, result = done
    seen: list[Progress] = []
    again = run(study, tmp_path / "again", report=seen.append)
    assert replace(again, manifest=()) == replace(result, manifest=())
    assert [(p.stage, p.done, p.total) for p in seen[:20]] == [("search", n, 20) for n in range(1, 21)]
    count = len({*result.front, 0})
    assert [(p.stage, p.done, p.total) for p in seen[20:]] == [("test", n, count) for n in range(1, count + 1)]


def test_a_budget_can_grow(done: tuple[Path, Result], study: Path, tmp_path: Path) -> None:
    """A run that was given fewer trials goes on where it stopped, and ends as if it had been given all."""
    _, result = done
    short = run(load_study(study, ["budget.trials=9"]), tmp_path)
    assert len(short.trials) == 9
    assert replace(run(study, tmp_path), manifest=()) == replace(result, manifest=())


def test_studies_share_evaluations(done: tuple[Path, Result], study: Path, tmp_path: Path) -> None:
    folder, result = done
    other = load_study(study, ["search.sampler=grid", "target.device=xczu3eg", "target.frames_per_second=5000"])
    calls: list[str] = []
    evaluate = accuracy.Evaluator.accuracy

    def counted(self: accuracy.Evaluator, design: Design, split: str) -> Accuracy:
        calls.append(split)
        return evaluate(self, design, split)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accuracy.Evaluator, "accuracy", counted)
        shared = run(other, tmp_path / "other", store=folder / "evaluations.sqlite")
    assert "search" not in calls
    for ours, theirs in zip(shared.trials, result.trials[:6], strict=True):
        assert ours.evaluation.accuracies[0] == theirs.evaluation.accuracies[0]
        assert ours.evaluation.fpga != theirs.evaluation.fpga


def test_a_storage_by_url(done: tuple[Path, Result], study: Path, tmp_path: Path) -> None:
    _, result = done
    url = f"sqlite:///{tmp_path}/history.db"
    out = tmp_path / "out"
    assert evaluations(run(study, out, storage=url)) == evaluations(result)
    assert sorted(f.name for f in out.iterdir()) == [
        "context",
        "evaluations.sqlite",
        "lock",
        "result.json",
        "study.toml",
    ]


def test_pick(done: tuple[Path, Result]) -> None:
    _, result = done
    assert pick(result, "best").number == result.best
    assert pick(result, "knee").number == result.knee
    assert pick(result, "baseline").number == 0
    assert pick(result, "3").number == 3
    digest = result.trials[3].evaluation.design.digest
    assert pick(result, digest[:8]).evaluation.design.digest == digest
    rule = "give best, knee, baseline, a trial number or the beginning of one digest"
    for name, message in (("worst", "no design is called 'worst'"), ("", r"\d+ designs are called ''")):
        with pytest.raises(ValueError, match=f"^{message}; {rule}$"):
            pick(result, name)


def test_parts(study: Path) -> None:
    one = load_study(study)
    assert parts(one, "out") == ((one, Path("out")),)
    two = load_study(study, ['model.name=["digits-mlp", "digits-cnn"]'])
    assert [(p.name, str(folder)) for p, folder in parts(two, "out")] == [
        ("small-digits-mlp", "out/digits-mlp"),
        ("small-digits-cnn", "out/digits-cnn"),
    ]
    with pytest.raises(ValueError, match=r"^study 'small' has 2 parts, a network on a target each; run them$"):
        run(two, "out")


def test_reference_point() -> None:
    points = np.array([[0.0, 5.0], [10.0, 5.0]])
    assert reference_point(points).tolist() == [11.0, 6.0]


def test_cost_objective() -> None:
    top1, loss, lut, dsp = (Objective(name, "minimize") for name in ("top1", "loss", "lut", "dsp"))
    assert cost_objective((top1, lut, dsp)) == lut
    assert cost_objective((loss, top1)) == loss


# ---- bad input: one sentence, and nothing is overwritten ------------------------------------------


def check_refused(out: Path, study: Path, settings: list[str], message: str) -> None:
    """`run` raises the sentence and leaves the folder as it was."""
    before = {f: f.read_bytes() for f in out.rglob("*") if f.is_file()}
    with pytest.raises(ValueError, match=message):
        run(load_study(study, settings), out)
    assert {f: f.read_bytes() for f in out.rglob("*") if f.is_file()} == before


@pytest.mark.parametrize("where", ["storage", "store"])
def test_what_cannot_be_reached_changes_nothing(
    done: tuple[Path, Result], study: Path, tmp_path: Path, where: str
) -> None:
    nowhere = tmp_path / "nowhere" / "x.sqlite"
    other = load_study(study, ["budget.trials=21"])
    place = {"storage": f"sqlite:///{nowhere}"} if where == "storage" else {"store": nowhere}
    before = {f.name: f.read_bytes() for f in done[0].iterdir()}
    for folder in (done[0], tmp_path / "fresh"):
        with pytest.raises(
            ValueError, match=rf"^the (storage sqlite:///|evaluation store ){nowhere} cannot be used: .*$"
        ):
            run(other, folder, **place)
    assert {f.name: f.read_bytes() for f in done[0].iterdir()} == before
    assert not (tmp_path / "fresh").exists()


def test_the_folder_of_another_study(done: tuple[Path, Result], study: Path) -> None:
    digests = [load_study(study, settings).digest for settings in ([], ["seed=1", "name=other"])]
    message = (
        rf"^{done[0]} is the run folder of another study, 'small' \({digests[0]}\),"
        rf" not of 'other' \({digests[1]}\); choose another folder$"
    )
    check_refused(done[0], study, ["seed=1", "name=other"], message)


def test_a_folder_of_something_else(study: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    check_refused(tmp_path, study, [], rf"^{tmp_path} exists and is no run folder; choose another folder$")
    with pytest.raises(
        ValueError, match=rf"^{tmp_path}/thesis.tex exists and is no run folder; choose another folder$"
    ):
        run(study, tmp_path / "thesis.tex")


def test_a_folder_that_cannot_be_made(study: Path) -> None:
    with pytest.raises(ValueError, match=r"^the run folder /proc/run cannot be made: No such file or directory$"):
        run(study, "/proc/run")


def test_other_weights_or_versions(done: tuple[Path, Result], study: Path) -> None:
    folder, _ = done
    kept = (folder / "context").read_text()
    (folder / "context").write_text("of another version")
    message = rf"^the run in {folder} was made with other weights, data, prices or versions; choose another folder$"
    check_refused(folder, study, ["budget.trials=21"], message)
    (folder / "context").write_text(kept)


def test_a_folder_in_use(done: tuple[Path, Result], study: Path) -> None:
    folder, _ = done
    hold = "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, 2); print(1, flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", hold, str(folder / "lock")], stdout=subprocess.PIPE)
    assert other.stdout is not None
    other.stdout.readline()
    check_refused(folder, study, ["budget.trials=21"], rf"^another process is working in the run folder {folder}$")
    other.kill()
    other.communicate()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["model.name=digits-mlpp"], r"^no model 'digits-mlpp'; known: .*, package.module:callable$"),
        (["model.checkpoint=/nowhere.safetensors"], r"^.*/nowhere.safetensors.*$"),
        (["data.name=digitz"], r"^no data 'digitz'; known: digits, archive, folder, text$"),
        (["target.frames_per_second=1e9"], r"^layer 'fc1' needs at least 1 cycles per frame, more than 0$"),
        (['techniques.recipe=["bias_correction @ fc9"]'], r"^no layer 'fc9'; known: fc1, fc2, fc3$"),
    ],
)
def test_what_the_parts_refuse(study: Path, tmp_path: Path, settings: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(load_study(study, settings), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_constraints_that_nothing_meets(study: Path, tmp_path: Path) -> None:
    settings = ["search.sampler=grid", 'constraints=[{metric="lut", high=1}]']
    text = STUDY.replace("trials = 20", "")
    (tmp_path / "x.toml").write_text(text)
    message = r"^none of the 6 designs of study 'x' meets the constraints on lut$"
    with pytest.raises(ValueError, match=message):
        run(load_study(tmp_path / "x.toml", settings), tmp_path / "out")


def test_when_every_design_fails(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, design: Design, split: str) -> Accuracy:
        raise ValueError("layer 'fc2' is too hot")

    monkeypatch.setattr(accuracy.Evaluator, "accuracy", fail)
    with pytest.raises(ValueError, match=r"^every design of study 'small' failed; the first: layer 'fc2' is too hot$"):
        run(study, tmp_path / "out")


def test_what_is_no_finished_run(study: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"^{tmp_path} is no run folder: it has no study.toml$"):
        load(tmp_path)
    (tmp_path / "study.toml").write_text(load_study(study).text)
    message = rf"^the run in {tmp_path} is not finished; the command that started it continues it$"
    with pytest.raises(ValueError, match=message):
        load(tmp_path)
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(ValueError, match=rf"^{tmp_path}/result.json cannot be read: no Result in this JSON: .*$"):
        load(tmp_path)


RUN = "import sys; from hwdse.run import run; run(sys.argv[1], sys.argv[2], report=lambda p: print(p.done, flush=True))"


def test_a_run_that_is_killed_again_and_again_is_the_same_run(
    done: tuple[Path, Result], study: Path, tmp_path: Path
) -> None:
    """Kill -9 after 5 trials, and at the test split; then to the end."""
    _, result = done
    command = [sys.executable, "-W", "ignore", "-c", RUN, str(study), str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for lines in (5, 17):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment)
        assert process.stdout is not None
        for _ in range(lines):
            assert process.stdout.readline()
        time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert not (tmp_path / "result.json").exists()
    final = run(study, tmp_path)
    assert evaluations(final) == evaluations(result)
    assert replace(final, manifest=()) == replace(result, manifest=())


def test_a_result_is_plain_json(done: tuple[Path, Result]) -> None:
    folder, result = done
    content = json.loads((folder / "result.json").read_text())
    assert content["best"] == result.best
    assert len(content["trials"]) == 20
