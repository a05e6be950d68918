"""Words about text: 'higher' only where the interval over sequences excludes one."""

import re
from dataclasses import replace
from math import exp

import numpy as np
import pytest

from hwdse.cost_model import Run, Tokens
from hwdse.evaluation import Accuracy, pack, perplexity_ratio
from hwdse.report.claim import Claim
from hwdse.report.describe import unit_of
from hwdse.report.figures import hover, plots
from hwdse.report.page import render
from hwdse.report.rows import csv, rows
from hwdse.report.table import columns
from hwdse.report.words import answer, loss
from hwdse.result import Result, Trial

SEQUENCES, TOKENS = 50, 20  # 1,000 tokens


def text(split: str, more: float, noise: float = 0.01) -> Accuracy:
    """A loss of 1.6 nat and `more`, of sequences of which some are much harder than others."""
    random = np.random.default_rng(0)
    hard, own = random.gamma(4, 0.1, SEQUENCES), noise * np.random.default_rng(int(1e6 * more)).normal(size=SEQUENCES)
    losses = 1.6 + hard - hard.mean() + more + own - own.mean()
    return Accuracy(split, SEQUENCES * TOKENS, pack(np.ones(1000, bool)), 1.6 + more, 20.0, tuple(map(float, losses)))


def with_test(result: Result, number: int, test: Accuracy) -> Result:
    """The result with another test accuracy of one trial."""
    return replace(result, trials=tuple(_tested(t, test) if t.number == number else t for t in result.trials))


def _tested(trial: Trial, test: Accuracy) -> Trial:
    search = trial.evaluation.accuracy("search")
    return replace(trial, evaluation=replace(trial.evaluation, accuracies=(search, test)))


@pytest.fixture
def lm(result: Result) -> Result:
    """The study as one of text: each trial's loss grows with its number."""
    trials = tuple(
        replace(
            trial,
            evaluation=replace(
                trial.evaluation,
                accuracies=tuple(text(one.split, 0.002 * trial.number) for one in trial.evaluation.accuracies),
            ),
        )
        for trial in result.trials
    )
    floats = (replace(text("search", 0), sqnr_db=None), replace(text("test", 0), sqnr_db=None))
    return replace(result, trials=trials, float_accuracies=floats)


def test_a_loss_of_text(lm: Result) -> None:
    changed = with_test(lm, lm.best, text("test", 0.03))
    claim = loss(changed, changed.trial(changed.best).evaluation)
    assert claim.head == "3.05 % more perplexity"
    low, high = claim.text.partition("95 % interval +")[2].partition(" %)")[0].split(" % to +")
    assert 2.5 < float(low) < 3.05 < float(high) < 3.5  # 0.01 nat of 50 sequences: 0.28 % on both sides
    assert claim.text == (
        "On the test split (1,000 tokens in 50 sequences) its perplexity is 3.05 % higher than that of the float model "
        f"(5.104 against 4.953; 95 % interval +{low} % to +{high} %). "
        "The interval stays within the allowed 5.00 % of perplexity."
    )


def test_no_difference_of_text(lm: Result) -> None:
    changed = with_test(lm, lm.best, text("test", 0.001, noise=0.5))
    claim = loss(changed, changed.trial(changed.best).evaluation)
    assert claim.head == "no difference shown"
    assert "no difference from the float model could be shown (4.958 against 4.953; +0.10 %, 95 % int" in claim.text
    assert claim.text.endswith("The interval does not rule out more than the allowed 5.00 % of perplexity.")


def test_too_much_of_text(lm: Result) -> None:
    changed = with_test(lm, lm.best, text("test", 0.2))
    said = answer(changed)
    assert said.loss.head == "22.14 % more perplexity"
    assert said.loss.text.endswith("The interval lies beyond the allowed 5.00 % of perplexity.")
    assert "but on the test split it loses more than the study allows" in said.lead


def test_why_of_text(lm: Result) -> None:
    assert answer(lm).why == (
        "Of the 8 designs on the front it is the cheapest that lost at most 5.00 % of perplexity on the search split."
    )
    worst = max(trial.number for trial in lm.trials)
    assert answer(replace(lm, best=worst)).why == (
        "No design on the front lost at most 5.00 % of perplexity on the search split; this one lost 11.18 %."
    )


def test_the_baseline_of_text(lm: Result) -> None:
    best, first = with_test(lm, lm.best, text("test", 0.03)), text("test", 0.0)
    said = answer(with_test(best, 0, first)).saving
    assert isinstance(said, Claim)
    assert "On the test split its perplexity is 3.05 % higher than that of the baseline (95 % interval +" in said.text


def test_the_table_of_trials_of_text(lm: Result) -> None:
    shown = columns(lm)
    titles = [column.title for column in shown]
    assert titles[4:8] == ["perplexity, search", "perplexity, test", "to FP32, test", "LUT"]
    assert not any("top-1" in title for title in titles)
    table = {row.trial: row for row in rows(lm)}
    untested = next(row for number, row in table.items() if row.test_loss is None)
    best = table[lm.best]
    search, test, change = (column.cell(best) for column in shown[4:7])
    more = 0.002 * lm.best
    assert (search.text, test.text) == (f"{exp(1.6 + more):.4g}",) * 2
    ratio = perplexity_ratio(lm.trial(lm.best).evaluation.accuracy("test"), lm.float_accuracy("test"))
    low, high = (100 * (end - 1) for end in ratio.interval)
    assert change.text == f"{100 * (exp(more) - 1):+.2f} [{low:+.2f}, {high:+.2f}]"
    assert float(change.key) == pytest.approx(exp(more))
    assert [column.cell(untested).text for column in shown[5:7]] == ["", ""]


def test_the_files_of_text(lm: Result, result: Result) -> None:
    of_texts = {"search_perplexity", "test_perplexity", "test_ratio", "test_ratio_low", "test_ratio_high"}
    assert of_texts < set(csv(rows(lm)).partition("\n")[0].split(","))
    assert not of_texts & set(csv(rows(result)).partition("\n")[0].split(","))


def test_tokens_of_trials_that_lost_a_race(lm: Result) -> None:
    trial = lm.trials[5]
    whole = trial.evaluation.accuracy("search")
    few = replace(whole, count=200, hits=pack(np.ones(200, bool)), sequence_losses=whole.sequence_losses[:10])
    raced = lm.having(replace(trial, evaluation=replace(trial.evaluation, accuracies=(few,))))
    (added,) = [column for column in columns(raced) if column not in columns(lm)]
    assert added.title == "tokens"
    assert {added.cell(row).text for row in rows(raced)} == {"200", "1,000"}


def test_a_point_says_its_perplexity(lm: Result, result: Result) -> None:
    best = lm.trial(lm.best)
    said = f"perplexity {best.evaluation.accuracy('search').perplexity:.4g} (search split)"
    assert said in hover(lm, best).split("\n")
    assert "perplexity" not in hover(result, result.trial(result.best))


@pytest.mark.parametrize(("tokens", "unit"), [("all", "sequence"), ("one", "token")])
def test_a_text_has_no_frames_and_no_images(lm: Result, on_gpu: Result, tokens: Tokens, unit: str) -> None:
    """In the report of a GPU, its figures included."""
    known = {trial.number: trial.evaluation.accuracies for trial in lm.trials}
    trials = tuple(_texts(trial, known[trial.number]) for trial in on_gpu.trials)
    front = tuple(number for number in on_gpu.front if len(known[number]) > 1)
    assert front
    roles = {"front": front, "best": front[0], "knee": front[-1], "run": Run(16, tokens), "max_loss": 0.0}
    result = replace(on_gpu, trials=trials, float_accuracies=lm.float_accuracies, **roles)  # type: ignore[arg-type]
    assert unit_of(result) == unit
    page = render(result, plots(result), rows(result)).replace("\N{NO-BREAK SPACE}", " ")
    body = page[page.index("<main>") : page.index("</main>")]
    assert f" {unit}/s" in body
    assert f"16 {unit}s together take" in body
    assert "(1,000 tokens)" in body
    assert re.findall(r".{0,20}\b(?:frames?|images)\b.{0,20}", body) == []  # a site is called image


def _texts(trial: Trial, accuracies: tuple[Accuracy, ...]) -> Trial:
    return replace(trial, evaluation=replace(trial.evaluation, accuracies=accuracies))
