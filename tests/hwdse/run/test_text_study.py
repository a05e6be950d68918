"""The shipped study of a language model, in small: real searches on verses that are the same every time."""

import re
from itertools import product
from math import log
from pathlib import Path

import pytest

from hwdse import run, study
from hwdse.commands import front_of
from hwdse.evaluation import paired_loss, perplexity_ratio
from hwdse.report import write
from hwdse.result import Result

SEQUENCES = 4
SMALL = (
    "data.calibration=2",
    f"data.search={SEQUENCES}",
    f"data.test={SEQUENCES}",
    'formats.weights=["int3", "int8", "e2m1"]',
    'formats.activations="int8"',
)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 of the lines that can be made of these parts, in an order of which no period is seen: about 16 kB."""
    openings = (
        "The king",
        "My lord",
        "A stranger",
        "Thy brother",
        "This night",
        "The wind",
        "Her father",
        "Good night",
    )
    middles = ("hath broken", "doth remember", "will never leave", "shall answer for", "came to see", "must forget")
    ends = ("the crown of France.", "an honest man,", "what I have said;", "so fair a day!", "thy cousin's love.")
    lines = [" ".join(parts) for parts in product(openings, middles, ends)]
    path = tmp_path_factory.mktemp("text") / "verses.txt"
    path.write_text("".join(f"{lines[i * i * 7 % 239]}\n" for i in range(400)))  # 239: a prime below the 240 lines
    return path


def searched(text: Path, out: Path, *settings: str) -> Result:
    shared = text.parent / "evaluations.sqlite"  # nothing is paid for twice
    return run.run(study.load("text-lm", (f"data.path={text}", *SMALL, *settings)), out, store=shared)


@pytest.fixture(scope="module")
def done(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Three uniform designs and three that choose layer by layer, with races."""
    out = tmp_path_factory.mktemp("runs") / "lm"
    return searched(text, out, "budget.trials=6", "search.racing=0.9")


def test_the_front_is_of_perplexity_and_bits(done: Result) -> None:
    assert [objective.metric for objective in done.objectives] == ["perplexity", "weight_bits"]
    assert done.of_text
    assert len(done.trials) == 6
    for number in done.front:
        accuracy = done.trial(number).evaluation.accuracy("test")
        assert (accuracy.count, accuracy.samples) == (SEQUENCES * 128, SEQUENCES)
        assert done.trial(number).values[0] == done.trial(number).evaluation.accuracy("search").perplexity


def test_three_bits_are_worse_than_eight(done: Result) -> None:
    by = {done.trial(n).evaluation.weight_bits: done.trial(n).evaluation.accuracy("search") for n in range(3)}
    assert paired_loss(by[min(by)], by[max(by)]).value > 0  # by more than a few sequences leave open


def test_the_choice_is_by_perplexity(text: Path, done: Result, tmp_path: Path) -> None:
    goal = done.float_accuracy("search")
    for ratio in (1.0, 1.02, 3.0):
        kept = searched(text, tmp_path / str(ratio), "search.sampler=grid", f"choice.max_perplexity_ratio={ratio}")
        most = goal.loss + log(ratio)
        losses = {number: kept.trial(number).evaluation.accuracy("search").loss for number in kept.front}
        good = [number for number in kept.front if losses[number] <= most]  # cheapest first
        assert kept.best == (good[0] if good else min(losses, key=lambda number: losses[number]))
        assert kept.max_perplexity_ratio == ratio


def test_the_report(done: Result, tmp_path: Path) -> None:
    page = " ".join(re.sub("<[^>]+>", "", write(done, tmp_path).read_text()).split())
    assert f"On the test split ({SEQUENCES * 128} tokens in {SEQUENCES} sequences)" in page
    assert "of perplexity on the search split" in page
    assert f"Accuracy on the search split ({SEQUENCES * 128} tokens)" in page
    assert "perplexity, test" in page
    assert "top-1, " not in page


def test_the_front_in_a_terminal(done: Result) -> None:
    table = front_of(done, "report.html")
    keys = [column.key for column in table.columns]
    assert keys[3:] == ["perplexity", "weight_bits", "test_perplexity", "test_ratio", "ratio_low", "ratio_high"]
    for row, number in zip(table.rows, done.front, strict=True):
        test, goal = done.trial(number).evaluation.accuracy("test"), done.float_accuracy("test")
        ratio = perplexity_ratio(test, goal)
        assert row[5:] == (test.perplexity, ratio.value, *ratio.interval)
        shown = [column.show(cell) for column, cell in zip(table.columns[6:], row[6:], strict=True)]
        assert shown == [f"{100 * (value - 1):+.2f}" for value in row[6:]]  # type: ignore[operator]


def test_a_text_has_a_path(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^the data text needs 'path'$"):
        run.run(study.load("text-lm"), tmp_path / "run")
