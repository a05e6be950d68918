"""A race drops designs that are no better, and hardly ever one that is."""

import math

import numpy as np
import pytest

from hwdse.evaluation import Accuracy
from hwdse.racing import FEWEST, Race, looks, mean_test, sign_test
from tests.hwdse.networks import bench, split, uniform


def test_looks_are_at_whole_batches_before_the_end() -> None:
    assert looks(16, 1000) == (64, 128, 256, 512)
    assert looks(100, 1000) == (100, 200, 300, 500)
    assert looks(256, 450) == (256,)
    assert looks(500, 450) == ()
    assert min(looks(1, 40)) == FEWEST


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (0, 1), (0, 10), (3, 17), (10, 10), (17, 3), (400, 500)])
def test_the_sign_test_is_a_tail_of_coin_tosses(better: int, worse: int) -> None:
    tail = sum(math.comb(better + worse, k) for k in range(better + 1)) / 2 ** (better + worse)
    assert sign_test(better, worse) == pytest.approx(tail, rel=1e-9)  # logarithms of factorials


def test_the_mean_test_grows_with_what_is_known() -> None:
    worse = np.tile([1.0, -0.8, 0.6, -0.2], 16)
    assert mean_test(worse, 10_000) > mean_test(worse, 100) > mean_test(worse, 65)
    assert mean_test(-worse, 100) == pytest.approx(1 - mean_test(worse, 100))
    assert mean_test(np.ones(5), 10) == 1.0  # no spread, no error to state
    assert mean_test(np.ones(1), 10) == 1.0


@pytest.mark.parametrize("confidence", [0.49, 1.0])
def test_a_confidence_is_one(confidence: float) -> None:
    with pytest.raises(ValueError, match=rf"^the confidence of a race is 0.5 or more and below 1, not {confidence}$"):
        Race("loss", np.zeros(3), confidence)


def test_only_sums_over_images_are_raced() -> None:
    with pytest.raises(ValueError, match=r"^a race is on one of top1, loss, sqnr, perplexity, not on 'lut'$"):
        Race("lut", np.zeros(3), 0.9)


def raced(metric: str, mine: np.ndarray, rival: np.ndarray, confidence: float) -> bool:
    """Whether `mine` is dropped on the way through all images."""
    stops = looks(10, len(rival))
    race = Race(metric, rival, confidence)
    return any(race.lost(mine[:stop], len(stops)) for stop in stops)


@pytest.mark.parametrize("confidence", [0.9, 0.99])
@pytest.mark.parametrize("metric", ["top1", "loss"])
def test_who_is_better_by_a_hair_is_dropped_no_more_often_than_said(metric: str, confidence: float) -> None:
    """The worst case: on all images the design wins by one image, or by next to nothing, in a random order."""
    random, count, races = np.random.default_rng(0), 600, 2000
    dropped = 0
    for _ in range(races):
        rival = (random.random(count) < 0.3).astype(float) if metric == "top1" else random.gamma(0.3, 2.0, count)
        differ = random.permutation(count)[:121]
        mine = rival.copy()
        if metric == "top1":
            mine[differ[:60]], rival[differ[:60]] = 1.0, 0.0
            mine[differ[60:]], rival[differ[60:]] = 0.0, 1.0
        else:
            mine += random.standard_t(5, count)
            mine += (rival.sum() - mine.sum()) / count - 1e-9
        dropped += raced(metric, mine, rival, confidence)
    assert dropped / races <= (1 - confidence) + 3 * math.sqrt(confidence * (1 - confidence) / races)


@pytest.mark.parametrize("metric", ["top1", "loss", "sqnr"])
def test_who_is_far_worse_is_dropped_early(metric: str) -> None:
    random = np.random.default_rng(0)
    rival = random.random(600) * 0.1 if metric != "top1" else np.zeros(600)
    mine = rival + 0.5 * (random.random(600) < 0.5)
    assert raced(metric, np.ceil(mine) if metric == "top1" else mine, rival, 0.99)


def test_the_evaluator_stops_where_a_race_is_lost_and_not_before() -> None:
    from hwdse.accuracy import Evaluator

    on, splits = bench("vit"), {"search": split("search")}
    evaluator = Evaluator(on, splits)
    good, bad = uniform(on, "int8:channel", "int8"), uniform(on, "e2m0", "e2m0")
    rival = evaluator.penalties(good, "search", "sqnr")
    lost, whole = evaluator.raced(bad, "search", Race("sqnr", rival, 0.99)), evaluator.accuracy(bad, "search")
    assert lost.count in looks(evaluator.batch, 450)
    assert lost.right.tolist() == whole.right[: lost.count].tolist()
    won = evaluator.raced(good, "search", Race("sqnr", evaluator.penalties(bad, "search", "sqnr"), 0.99))
    assert won == evaluator.accuracy(good, "search")


def test_penalties_add_up_to_the_metrics() -> None:
    from hwdse.accuracy import Evaluator

    on = bench("cnn")
    evaluator, design = Evaluator(on, {"search": split("search")}), uniform(on, "int4:channel", "int4")
    found: Accuracy = evaluator.accuracy(design, "search")
    sums = {metric: evaluator.penalties(design, "search", metric) for metric in ("top1", "loss", "sqnr")}
    assert {len(values) for values in sums.values()} == {450}
    assert 1 - sums["top1"].mean() == pytest.approx(found.top1, abs=1e-12)
    assert sums["loss"].mean() == pytest.approx(found.loss, rel=1e-12)
    power = float(evaluator._reference("search").signals.sum())
    assert 10 * math.log10(power / sums["sqnr"].sum()) == pytest.approx(found.sqnr_db, abs=1e-9)
