"""Designs that are scored together have the scores that each has alone."""

from math import inf

import pytest
import torch

from hwdse.scores import TOGETHER_BYTES, Known, penalties, score, scores

IMAGES, CLASSES = 101, 7  # no multiple of the width of a vector instruction


def known(classes: int = CLASSES) -> Known:
    torch.manual_seed(0)
    return Known(torch.randint(classes, (IMAGES,)), torch.randn(IMAGES, classes).double())


def designs(of: Known, count: int) -> list[torch.Tensor]:
    return [of.logits + (i + 1) / 8 * torch.randn_like(of.logits) for i in range(count)]


@pytest.mark.parametrize("classes", [2, CLASSES, 1000])
def test_together_as_alone(classes: int) -> None:
    """To the last bit: a search that is killed and goes on alone finds the same front."""
    of = known(classes)
    several = max(3, TOGETHER_BYTES // of.logits.nbytes + 2)
    logits = designs(of, several)
    assert list(scores("search", logits, of)) == [score("search", own, of) for own in logits]


def test_a_score_is_of_the_first_images() -> None:
    of = known()
    (logits,) = designs(of, 1)
    part = score("search", logits[:40], of)
    assert part == score("search", logits[:40], Known(of.labels[:40], of.logits[:40]))
    assert part.count == 40
    assert part.right.tolist() == (logits[:40].argmax(1) == of.labels[:40]).tolist()


def test_the_mean_of_the_penalties_is_the_score() -> None:
    of = known()
    (logits,) = designs(of, 1)
    found = score("search", logits, of)
    # Sums of 101 numbers in two orders: 2 * 101 roundings of 2^-53 of their sum.
    assert penalties(logits, of, "loss").mean() == pytest.approx(found.loss, rel=202 * 2.0**-53, abs=0)
    assert penalties(logits, of, "top1").mean() == pytest.approx(1 - found.top1, rel=202 * 2.0**-53, abs=0)


def test_equal_logits_have_no_finite_sqnr() -> None:
    of = known()
    assert score("search", of.logits, of).sqnr_db == inf
    assert score("search", of.logits, of, reference=True).sqnr_db is None


def test_ties_go_to_the_first_class() -> None:
    of = Known(torch.tensor([0, 1]), torch.zeros(2, 3).double())
    assert score("search", torch.ones(2, 3).double(), of).right.tolist() == [True, False]


def test_labels_that_the_network_has_no_class_for() -> None:
    with pytest.raises(ValueError, match=r"^labels are 0 to 3, but the network gives 3 logits an image$"):
        Known(torch.tensor([0, 3]), torch.zeros(2, 3).double())
