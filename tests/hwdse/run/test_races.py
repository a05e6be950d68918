"""A study that races its designs finds the same front, says what it saw, and can be interrupted."""

from pathlib import Path

import pytest

from hwdse.result import Result
from hwdse.run import run
from hwdse.study import load
from tests.hwdse.run import small

STUDY = small.study(
    """
[search]
sampler = "random"
racing = 0.95
[choice]
baseline = "int6"
[budget]
trials = 40
""",
    weights=("int3..6", "e2m1", "e3m0"),
    network="digits-cnn",
    device="ecp5_85f",
    clock_mhz=50,
    metrics=("sqnr", "lut"),
)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result, Result]:
    """The study, what it finds, and what it finds without races."""
    folder = tmp_path_factory.mktemp("races")
    (folder / "races.toml").write_text(STUDY)
    (folder / "whole.toml").write_text(STUDY.replace("racing = 0.95\n", ""))
    return folder, run(folder / "races.toml", folder / "races"), run(folder / "whole.toml", folder / "whole")


def seen(result: Result) -> list[int]:
    """How many images of the search split each trial was evaluated on."""
    return [trial.evaluation.accuracy("search").count for trial in result.trials]


def test_the_front_is_evaluated_on_all_images_and_is_that_without_races(done: tuple[Path, Result, Result]) -> None:
    _, raced, whole = done
    assert set(seen(whole)) == {450}
    assert min(seen(raced)) < 450, "some trial lost its race"
    assert seen(raced)[0] == 450, "the baseline never races"
    assert {raced.trial(number).evaluation.accuracy("search").count for number in raced.front} == {450}
    assert raced.front == whole.front
    assert (raced.racing, whole.racing) == (0.95, None)
    for one, other in zip(raced.trials, whole.trials, strict=True):
        assert one.evaluation.design == other.evaluation.design
        if one.evaluation.accuracy("search").count == 450:
            assert one.evaluation.accuracy("search") == other.evaluation.accuracy("search")


def test_a_run_that_goes_on_has_the_same_races(done: tuple[Path, Result, Result]) -> None:
    folder, raced, _ = done
    run(load(folder / "races.toml", ["budget.trials=17"]), folder / "again")
    again = run(folder / "races.toml", folder / "again")
    assert [t.values for t in again.trials] == [t.values for t in raced.trials]
    assert seen(again) == seen(raced)


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [('metric = "sqnr"', 'metric = "bram"', "none"), ('metric = "lut"', 'metric = "loss"', "sqnr and loss")],
)
def test_a_race_is_on_one_accuracy(old: str, new: str, shown: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(STUDY.replace(old, new))
    rule = rf"^{file}: search.racing: a race is on one objective of top1, loss, sqnr, perplexity, not on {shown}$"
    with pytest.raises(ValueError, match=rule):
        load(file)
