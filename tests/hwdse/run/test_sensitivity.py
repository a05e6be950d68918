"""A study that asks for sensitivities has them in its result, whenever it is asked."""

from dataclasses import replace
from pathlib import Path

import pytest

from hwdse.result import Result
from hwdse.run import load, run
from hwdse.search import Progress
from hwdse.study import load as load_study
from tests.hwdse.run import small

STUDY = small.study('[search]\nsampler = "grid"\nsensitivity = true\n', device="ecp5_85f")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The study, and what it finds."""
    file = tmp_path_factory.mktemp("sensitivity") / "sensitive.toml"
    file.write_text(STUDY)
    return file, run(file, file.parent / "run")


def test_every_tensor_in_every_format(done: tuple[Path, Result]) -> None:
    file, result = done
    places = [(one.kind, one.place) for one in result.sensitivities]
    sites = [site.name for site in result.workload.sites]
    layers = ["fc1", "fc2", "fc3"]
    assert list(dict.fromkeys(places)) == [
        pair for site, layer in zip(sites, layers, strict=True) for pair in (("activations", site), ("weights", layer))
    ]
    assert [one.written for one in result.sensitivities if one.place == "fc2"] == [
        "int8:channel", "int3:channel", "e2m1:channel",
    ]  # fmt: skip
    baseline = result.trial(0).evaluation.accuracy("search")
    same = [one for one in result.sensitivities if one.written.startswith("int8")]
    assert {(one.loss, one.top1, one.sqnr_db) for one in same} == {(baseline.loss, baseline.top1, baseline.sqnr_db)}
    worst = max(result.sensitivities, key=lambda one: one.loss or 0.0)
    assert worst.loss is not None
    assert worst.loss > baseline.loss
    assert worst.written != "int8:channel"
    assert load(file.parent / "run") == result


def test_a_finished_run_can_be_asked_later(done: tuple[Path, Result]) -> None:
    file, result = done
    folder, seen = file.parent / "later", list[Progress]()
    without = run(load_study(file, ["search.sensitivity=false"]), folder)
    assert (without.sensitivities, without.racing) == ((), None)
    assert replace(run(file, folder, report=seen.append), manifest=()) == replace(result, manifest=())
    told = [progress for progress in seen if progress.stage == "sensitivity"]
    assert [(p.done, p.total) for p in told] == [(n, 18) for n in range(1, 19)]
    assert told[0].text == "weights of fc3 as int8:channel"
