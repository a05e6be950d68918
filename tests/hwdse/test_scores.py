"""Designs that are scored together have the scores that each has alone; text is counted in sequences."""

from math import inf

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own convention

from hwdse.evaluation import Accuracy
from hwdse.scores import TOGETHER_BYTES, Known, Seen, joined, look, penalties, score

IMAGES, CLASSES = 101, 7  # no multiple of the width of a vector instruction


def known(classes: int = CLASSES) -> Known:
    torch.manual_seed(0)
    return Known(torch.randint(classes, (IMAGES,)), torch.randn(IMAGES, classes))


def text() -> Known:
    """Of sequences of 9 tokens."""
    torch.manual_seed(0)
    return Known(torch.randint(CLASSES, (IMAGES, 9)), torch.randn(IMAGES, 9, CLASSES))


def designs(of: Known, count: int) -> list[torch.Tensor]:
    return [of.logits + (i + 1) / 8 * torch.randn_like(of.logits) for i in range(count)]


def alone(logits: torch.Tensor, of: Known) -> Seen:
    (seen,) = look([logits], of)
    return seen


def scored(seen: Seen) -> Accuracy:
    return score("search", seen)


@pytest.mark.parametrize("of", [known(2), known(), known(1000), text()], ids=["2", "7", "1000", "text"])
def test_together_as_alone(of: Known) -> None:
    """To the last bit: a search that is killed and goes on alone finds the same front."""
    several = max(3, TOGETHER_BYTES // (8 * of.logits.numel()) + 2)
    logits = designs(of, several)
    together = list(map(scored, look(logits, of)))
    assert together == [scored(alone(own, of)) for own in logits]
    halves = (Known(of.labels[part], of.logits[part]) for part in (slice(50), slice(50, None)))
    assert scored(joined([alone(logits[0][:50], next(halves)), alone(logits[0][50:], next(halves))])) == together[0]


def test_a_score_is_of_what_was_seen() -> None:
    of = known()
    (logits,) = designs(of, 1)
    part = scored(alone(logits[:40], Known(of.labels[:40], of.logits[:40])))
    assert part.count == 40
    assert part.right.tolist() == (logits[:40].argmax(1) == of.labels[:40]).tolist()
    assert (part.of_text, part.samples) == (False, 40)


@pytest.mark.parametrize("of", [known(), text()], ids=["images", "text"])
def test_the_mean_of_the_penalties_is_the_score(of: Known) -> None:
    (logits,) = designs(of, 1)
    seen = alone(logits, of)
    found = scored(seen)
    # Sums of at most 909 numbers in two orders: 2 * 909 roundings of 2^-53 of their sum.
    rel = 1818 * 2.0**-53
    assert penalties(seen, "loss").mean() == pytest.approx(found.loss, rel=rel, abs=0)
    assert penalties(seen, "perplexity").tolist() == penalties(seen, "loss").tolist()
    assert penalties(seen, "top1").mean() == pytest.approx(1 - found.top1, rel=rel, abs=0)
    errors, signal = float(penalties(seen, "sqnr").sum()), float((of.logits.double() ** 2).sum())
    assert found.sqnr_db is not None
    assert signal / errors == pytest.approx(10 ** (found.sqnr_db / 10), rel=1e-12)


def test_text_is_scored_by_the_byte_and_kept_by_the_sequence() -> None:
    of = text()
    (logits,) = designs(of, 1)
    found = scored(alone(logits, of))
    assert (found.count, found.samples, len(found.sequence_losses)) == (IMAGES * 9, IMAGES, IMAGES)
    assert found.right.tolist() == (logits.argmax(2) == of.labels).flatten().tolist()
    expected = F.cross_entropy(logits.double().flatten(0, 1), of.labels.flatten(), reduction="none").reshape(IMAGES, 9)
    # Each sums 7 exponentials and 9 losses of at most 2 max |logit| + 7: 16 roundings and 8 for the functions.
    bound = 24 * 2.0**-53 * (2 * float(logits.abs().max()) + CLASSES)
    worst = (torch.tensor(found.sequence_losses, dtype=torch.float64) - expected.mean(1)).abs().max()
    assert float(worst) <= bound
    assert penalties(alone(logits, of), "top1").tolist() == (~found.right.reshape(IMAGES, 9)).mean(1).tolist()


def test_equal_logits_have_no_finite_sqnr() -> None:
    of = known()
    assert scored(alone(of.logits, of)).sqnr_db == inf
    assert score("search", alone(of.logits, of), reference=True).sqnr_db is None


def test_ties_go_to_the_first_class() -> None:
    of = Known(torch.tensor([0, 1]), torch.zeros(2, 3))
    assert scored(alone(torch.ones(2, 3), of)).right.tolist() == [True, False]


def test_labels_that_the_network_has_no_class_for() -> None:
    with pytest.raises(ValueError, match=r"^labels are 0 to 3, but the network gives 3 logits an image$"):
        Known(torch.tensor([0, 3]), torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"^labels are 0 to 2, but the network gives 5 x 3 logits a sequence$"):
        Known(torch.tensor([[0, 2]]), torch.zeros(1, 5, 3))
