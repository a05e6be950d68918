"""Accuracies and their intervals: published numbers, the formula written a second time, and coverage by simulation."""

import math
import re
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest
from numpy.typing import NDArray

from hwdse.codec import decode, encode
from hwdse.cost import LayerCost, dataflow
from hwdse.design import Design
from hwdse.evaluation import (
    Z95,
    Accuracy,
    Difference,
    Evaluation,
    Interval,
    pack,
    paired,
    paired_loss,
    perplexity_ratio,
)

COST = dataflow([LayerCost("fc", (), 10, 1)], clock_mhz=100.0, device="d", model="m", calibration="none")


def accuracy(right: NDArray[np.bool_], split: str = "test") -> Accuracy:
    return Accuracy(split, len(right), pack(right), 0.5, 30.0)


def of_counts(hits: int, count: int) -> Accuracy:
    return accuracy(np.arange(count) < hits)


def pair(both: int, only_a: int, only_b: int, neither: int) -> tuple[Accuracy, Accuracy]:
    """Two accuracies with this table of agreements."""
    cells = [(True, True)] * both + [(True, False)] * only_a + [(False, True)] * only_b + [(False, False)] * neither
    a, b = np.array(cells).T
    return accuracy(a), accuracy(b)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 540, 1000])
def test_hits_pack_and_unpack(count: int) -> None:
    right = np.random.default_rng(count).random(count) < 0.9
    value = accuracy(right)
    np.testing.assert_array_equal(value.right, right)
    assert value.top1 == right.sum() / count
    assert len(value.hits) == 2 * math.ceil(count / 8)


def test_the_first_image_comes_first() -> None:
    assert pack(np.array([True, False, False, False, True, False, False, False, True])) == "8880"
    assert accuracy(np.array([False, True, True])).right.tolist() == [False, True, True]


@pytest.mark.parametrize(("count", "hits"), [(0, ""), (9, "ff"), (8, "ffff"), (8, "")])
def test_hits_have_their_length(count: int, hits: str) -> None:
    rule = "an accuracy has 1 or more images and 2 hex digits per 8"
    with pytest.raises(ValueError, match=f"^{rule}, not {count} images and {len(hits)} digits$"):
        Accuracy("test", count, hits, 0.5, None)


def test_hits_are_hexadecimal() -> None:
    with pytest.raises(ValueError, match=r"^non-hexadecimal number found in fromhex\(\) arg at position 0$"):
        _ = Accuracy("test", 8, "zz", 0.5, None).right


def test_z95() -> None:
    assert pytest.approx(NormalDist().inv_cdf(0.975), rel=1e-15) == Z95


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3 (score without continuity correction)
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_against_newcombe(hits: int, count: int, low: float, high: float) -> None:
    interval = of_counts(hits, count).interval
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)
    mirrored = of_counts(count - hits, count).interval
    assert mirrored == pytest.approx((1 - interval.high, 1 - interval.low), abs=1e-15)  # some roundings near 1


@pytest.mark.parametrize("count", [1, 3, 20, 2000])
def test_wilson_at_the_ends(count: int) -> None:
    """0 and 1 but for a few roundings of 2**-53, and never beyond them."""
    assert 0 <= of_counts(0, count).interval.low < 1e-15
    assert 1 - 1e-15 < of_counts(count, count).interval.high <= 1


@pytest.mark.parametrize("hits", [1, 50, 97])
def test_wilson_inverts_the_score_test(hits: int) -> None:
    """Its ends are the shares p at which |hits / n - p| is exactly Z95 standard errors of p."""
    for p in of_counts(hits, 100).interval:
        assert abs(hits / 100 - p) == pytest.approx(Z95 * math.sqrt(p * (1 - p) / 100), rel=1e-12)


def test_paired_by_hand() -> None:
    """The approval ratings of Agresti 2002, Categorical Data Analysis, table 10.1: 794, 150, 86, 570.

    (86 - 150) / 1602 = -0.03995; sqrt(237 - 64**2 / 1602) / 1602 = 0.009558; times 1.96 = 0.01873.
    """
    difference = paired(*pair(794, 86, 150, 570))
    assert difference.value == -64 / 1600
    assert [round(x, 4) for x in difference.interval] == [-0.0587, -0.0212]
    assert difference.interval.excludes_zero


@pytest.mark.parametrize("cells", [(794, 86, 150, 570), (0, 3, 0, 7), (50, 0, 0, 50), (9, 5, 5, 1)])
def test_paired_is_the_wald_interval_of_the_enlarged_table(cells: tuple[int, int, int, int]) -> None:
    """Written a second time, as the variance of a difference of the scores +1, 0 and -1."""
    difference = paired(*pair(*cells))
    shares = (np.array(cells) + 0.5) / (sum(cells) + 2)
    scores = np.array([0, 1, -1, 0])
    mean = shares @ scores
    half = Z95 * math.sqrt((shares @ scores**2 - mean**2) / (sum(cells) + 2))
    assert difference.interval == pytest.approx((mean - half, mean + half), abs=1e-14)
    assert difference.value == (cells[1] - cells[2]) / sum(cells)


def test_paired_is_antisymmetric_and_stays_in_range() -> None:
    a, b = pair(5, 9, 2, 4)
    there, back = paired(a, b), paired(b, a)
    assert (there.value, there.interval) == (-back.value, (-back.interval.high, -back.interval.low))
    assert paired(*pair(0, 3, 0, 0)).interval.high == 1
    assert paired(*pair(0, 0, 3, 0)).interval.low == -1
    assert not paired(a, a).interval.excludes_zero


@pytest.mark.parametrize(
    ("interval", "excludes"), [((0.1, 0.2), True), ((-0.2, -0.1), True), ((-0.1, 0.1), False), ((0.0, 0.1), False)]
)
def test_excludes_zero(interval: tuple[float, float], excludes: bool) -> None:
    assert Interval(*interval).excludes_zero == excludes


SIMULATIONS = 2000


def within_bounds(covered: int) -> bool:
    """Whether the simulated coverage is at least 93 %, less 4 standard errors of the simulation.

    93 and not 95 %, because counts are whole numbers and the coverage swings around 95 % with the share.
    """
    return covered / SIMULATIONS > 0.93 - 4 * math.sqrt(0.93 * 0.07 / SIMULATIONS)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_wilson_covers(share: float) -> None:
    counts = np.random.default_rng(0).binomial(540, share, SIMULATIONS)
    intervals = {int(hits): of_counts(int(hits), 540).interval for hits in np.unique(counts)}
    assert within_bounds(sum(intervals[int(hits)].low <= share <= intervals[int(hits)].high for hits in counts))


@pytest.mark.parametrize("shares", [(0.95, 0.01, 0.01, 0.03), (0.9, 0.03, 0.01, 0.06), (0.6, 0.2, 0.1, 0.1)])
def test_paired_covers(shares: tuple[float, float, float, float]) -> None:
    true = shares[1] - shares[2]
    tables = np.random.default_rng(0).multinomial(540, shares, SIMULATIONS)
    covered = 0
    for both, only_a, only_b, neither in tables.tolist():
        low, high = paired(*pair(both, only_a, only_b, neither)).interval
        covered += low <= true <= high
    assert within_bounds(covered)


def test_paired_needs_the_same_images() -> None:
    a, b = of_counts(3, 8), of_counts(3, 9)
    with pytest.raises(ValueError, match=r"^a paired difference needs the same images, not test/8 and test/9$"):
        paired(a, b)
    c = accuracy(b.right, "search")
    with pytest.raises(ValueError, match=r"^a paired difference needs the same images, not test/9 and search/9$"):
        paired(b, c)


def test_evaluation_finds_its_splits() -> None:
    search, test = accuracy(np.array([True]), "search"), accuracy(np.array([False]), "test")
    evaluation = Evaluation(Design(), (search, test), COST, (), 100)
    assert evaluation.accuracy("search") is search
    assert evaluation.accuracy("test") is test
    message = re.escape(f"design {Design().digest} was not evaluated on the calibration split")
    with pytest.raises(ValueError, match=f"^{message}$"):
        evaluation.accuracy("calibration")


# ---- text ------------------------------------------------------------------------------------


def text(losses: NDArray[np.float64], right: NDArray[np.bool_] | None = None, split: str = "test") -> Accuracy:
    """Of sequences of 8 tokens with these losses; all tokens right unless `right` (n x 8) says otherwise."""
    hits = np.ones((len(losses), 8), bool) if right is None else right
    return Accuracy(split, hits.size, pack(hits), float(losses.mean()), 20.0, tuple(losses.tolist()))


def test_what_was_kept_before_there_was_text_is_of_images() -> None:
    old = encode(of_counts(90, 100)).replace(',"sequence_losses":[]', "")
    assert "sequence" not in old
    assert decode(Accuracy, old) == of_counts(90, 100)
    new = text(np.array([1.0, 2.0, 1 / 3]))
    assert decode(Accuracy, encode(new)) == new
    assert (new.of_text, new.samples, new.count, new.goodness) == (True, 3, 24, -new.loss)
    assert (of_counts(90, 100).samples, of_counts(90, 100).goodness) == (100, 0.9)


def test_perplexity() -> None:
    assert text(np.full(3, math.log(7.5))).perplexity == pytest.approx(7.5, rel=1e-15)
    assert text(np.full(3, 1e6)).perplexity == math.inf


def test_sequences_have_one_length() -> None:
    with pytest.raises(ValueError, match=r"^sequences have one length, but 3 do not share 16$"):
        Accuracy("test", 16, "ffff", 1.0, None, (1.0, 1.0, 1.0))


# Quantiles of Student's t as tables print them (NIST/SEMATECH e-Handbook, 1.3.6.7.2, 0.975).
@pytest.mark.parametrize(("freedom", "t"), [(9, 2.262), (19, 2.093), (29, 2.045), (99, 1.984)])
def test_the_interval_of_a_mean_is_students(freedom: int, t: float) -> None:
    sample = np.random.default_rng(0).normal(size=freedom + 1)
    low, high = Interval.of_mean(sample)
    half = (high - low) / 2 / (sample.std(ddof=1) / math.sqrt(freedom + 1))
    assert half == pytest.approx(t, rel=1.5e-3)  # of Wallace's approximation 1e-3, and of the digits of the table 3e-4
    assert (low + high) / 2 == pytest.approx(sample.mean(), abs=1e-12)


def test_one_sequence_has_no_interval() -> None:
    with pytest.raises(ValueError, match=r"^the interval of a mean needs 2 or more sequences, not 1$"):
        paired_loss(text(np.ones(1)), text(np.ones(1)))


def test_losses_are_paired_by_the_sequence() -> None:
    random = np.random.default_rng(1)
    hard = random.gamma(4, 0.4, 200)  # sequences differ much more than models do
    a, b = text(hard + 0.03 + 0.02 * random.normal(size=200)), text(hard)
    found = paired_loss(a, b)
    assert found.value == pytest.approx(a.loss - b.loss, abs=1e-12)
    assert found.interval.excludes_zero
    assert found.interval.high - found.interval.low < 0.01 < np.std(hard) / math.sqrt(200)
    swapped = paired_loss(b, a)
    assert swapped == Difference(-found.value, Interval(-found.interval.high, -found.interval.low))
    ratio = perplexity_ratio(a, b)
    assert ratio.value == pytest.approx(a.perplexity / b.perplexity, rel=1e-12)
    assert ratio.interval == Interval(*map(math.exp, found.interval))
    assert ratio.excludes_one
    assert not perplexity_ratio(a, a).excludes_one


def test_what_differs_in_one_sequence_alone_shows_nothing() -> None:
    """The tokens of one sequence depend on each other: 8 right ones more are one observation."""
    right = np.zeros((40, 8), bool)
    other = right.copy()
    other[0] = True
    a, b = text(np.ones(40), other), text(np.ones(40), right)
    assert not paired(a, b).interval.excludes_zero
    assert paired(a, b).value == 8 / 320
    as_if_alone = paired(accuracy(other.ravel()), accuracy(right.ravel()))
    assert as_if_alone.interval.excludes_zero
    assert a.interval.high - a.interval.low > accuracy(other.ravel()).interval.high


@pytest.mark.parametrize("count", [10, 400])
def test_intervals_of_text_cover_the_truth(count: int) -> None:
    """95 % of 2,000, give or take 3 standard deviations of 0.5 %: of few normal differences, of many skewed ones."""
    random = np.random.default_rng(count)
    hits, true = 0, 0.1
    for _ in range(2000):
        losses = true + (random.normal(size=count) if count < 100 else random.gamma(2, 0.1, count) - 0.2)
        found = paired_loss(text(losses + 1), text(np.ones(count)))
        hits += found.interval.low <= true <= found.interval.high
    assert hits / 2000 == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("compare", [paired, paired_loss])
def test_pairs_need_the_same_sequences(compare: Callable[[Accuracy, Accuracy], Difference]) -> None:
    a, b = text(np.ones(4)), text(np.ones(2))
    with pytest.raises(ValueError, match=r"^a paired difference needs the same sequences, not test/32 and test/16$"):
        compare(a, b)


def test_images_have_no_losses_of_their_own() -> None:
    message = "losses are compared sequence by sequence: images have no losses of their own"
    with pytest.raises(ValueError, match=f"^{message}$"):
        paired_loss(of_counts(9, 10), of_counts(9, 10))
