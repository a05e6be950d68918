"""What logits say of designs: predictions, cross entropy and SQNR, of several designs of a network in one pass.

On small networks these take as long as the network itself, so that designs which share most of it are scored together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import torch
from torch import Tensor

from hwdse.evaluation import Accuracy, pack
from hwdse.racing import Penalties

TOGETHER_BYTES = 1 << 18  # of the logits of designs that are scored together: what stays in a processor's cache


@dataclass(frozen=True, slots=True)
class Known:
    """What the logits of designs on a split are compared to."""

    labels: Tensor  # int64, n
    logits: Tensor  # float64, n x classes, of the float network

    def __post_init__(self) -> None:
        logits, labels = self.logits, self.labels
        if logits.dim() != 2 or not 0 <= int(labels.min()) <= int(labels.max()) < logits.shape[1]:
            shape = " x ".join(str(size) for size in logits.shape[1:])
            raise ValueError(f"labels are 0 to {int(labels.max())}, but the network gives {shape} logits an image")

    def first(self, count: int) -> "Known":
        """Of the first images alone."""
        return self if count == len(self.labels) else Known(self.labels[:count], self.logits[:count])


def score(split: str, logits: Tensor, known: Known, *, reference: bool = False) -> Accuracy:
    """Of the logits (float64, n x classes) of one design, or of the `reference`; on the first n images of `known`."""
    (found,) = _scored(split, logits[None], known.first(len(logits)), reference=reference)
    return found


def scores(split: str, logits: Sequence[Tensor], known: Known) -> Iterator[Accuracy]:
    """Of the logits (float64, n x classes) of each design, on all images."""
    count = max(1, TOGETHER_BYTES // known.logits.nbytes)
    for start in range(0, len(logits), count):
        yield from _scored(split, torch.stack(list(logits[start : start + count])), known, reference=False)


def penalties(logits: Tensor, known: Known, metric: str) -> Penalties:
    """Of each image: wrong or not, its cross entropy, or the power of its error."""
    known = known.first(len(logits))
    found = {
        "top1": lambda: (logits.argmax(1) != known.labels).double(),
        "loss": lambda: _losses(logits[None], known.labels)[0],
        "sqnr": lambda: ((logits - known.logits) ** 2).sum(1),
    }[metric]()
    return np.asarray(found.numpy(), np.float64)


def _scored(split: str, logits: Tensor, known: Known, *, reference: bool) -> list[Accuracy]:
    """Of `logits`, designs x images x classes."""
    right = (logits.argmax(2) == known.labels).numpy()
    losses = _losses(logits, known.labels).mean(1).tolist()
    sqnrs = [None] * len(logits) if reference else _sqnr_db(logits, known.logits)
    rows = zip(right, losses, sqnrs, strict=True)
    return [Accuracy(split, len(known.labels), pack(hits), loss, sqnr) for hits, loss, sqnr in rows]


def _losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy (nat) of each image, designs x images.

    Classes come first, because torch takes 10 to 20 times as long over short rows that end each image.
    """
    logs = torch.log_softmax(logits.permute(2, 0, 1).contiguous(), 0)
    return -logs.gather(0, labels.expand(1, len(logits), -1))[0]


def _sqnr_db(logits: Tensor, signal: Tensor) -> list[float]:
    """10 log10 of signal over error power, of each design; equal logits have no finite one."""
    errors = (logits - signal).square_().flatten(1).sum(1)
    decibels = 10 * torch.log10((signal**2).sum() / errors)
    return [inf if error == 0 else found for error, found in zip(errors.tolist(), decibels.tolist(), strict=True)]
