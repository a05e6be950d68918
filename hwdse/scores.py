"""What logits say of designs: predictions, cross entropy and SQNR, of several designs of a network in one pass.

On small networks these take as long as the network itself, so that designs which share most of it are scored together.
Logits are looked at batch by batch and let go: of a text they would take 256 numbers a byte.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, log10

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwdse.evaluation import Accuracy, pack
from hwdse.racing import Penalties

TOGETHER_BYTES = 1 << 18  # of the logits of designs that are scored together: what stays in a processor's cache


@dataclass(frozen=True, slots=True)
class Known:
    """What the logits of designs on a batch are compared to."""

    labels: Tensor  # int64: n classes of images, or n x positions of the tokens that come next
    logits: Tensor  # of the float network, the shape of `labels` x classes

    def __post_init__(self) -> None:
        logits, labels = self.logits, self.labels
        places = logits.shape[:-1] == labels.shape
        if not places or not 0 <= int(labels.min()) <= int(labels.max()) < logits.shape[-1]:
            shape = " x ".join(str(size) for size in logits.shape[1:])
            each = "an image" if labels.dim() == 1 else "a sequence"
            raise ValueError(f"labels are 0 to {int(labels.max())}, but the network gives {shape} logits {each}")


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the logits of a design say of each image, or of each sequence, whose tokens depend on each other."""

    right: NDArray[np.bool_]  # n of images; n x positions of sequences
    losses: NDArray[np.float64]  # n: cross entropy, nat, the mean over the positions of a sequence
    errors: NDArray[np.float64]  # n: power of the difference from the logits of the float network
    signals: NDArray[np.float64]  # n: power of the logits of the float network

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(array.nbytes for array in (self.right, self.losses, self.errors, self.signals))


def joined(parts: Sequence[Seen]) -> Seen:
    """Of batches, one after the other."""
    columns = zip(*((part.right, part.losses, part.errors, part.signals) for part in parts), strict=True)
    right, losses, errors, signals = map(np.concatenate, columns)
    return Seen(right, losses, errors, signals)


def look(logits: Sequence[Tensor], known: Known) -> Iterator[Seen]:
    """What the logits of each design (the shape of those of `known`) say of a batch."""
    count = max(1, TOGETHER_BYTES // (8 * known.logits.numel()))
    for start in range(0, len(logits), count):
        yield from _looked(torch.stack(list(logits[start : start + count])), known)


def score(split: str, seen: Seen, *, reference: bool = False) -> Accuracy:
    """Of one design, or of the `reference`, the float network."""
    of_text = seen.right.ndim == 2
    return Accuracy(
        split,
        seen.right.size,
        pack(seen.right),
        float(seen.losses.mean()),
        None if reference else _decibels(float(seen.signals.sum()), float(seen.errors.sum())),
        tuple(seen.losses.tolist()) if of_text else (),
    )


def penalties(seen: Seen, metric: str) -> Penalties:
    """Of each image or sequence: the share that is wrong, its cross entropy, or the power of its error."""
    if metric == "top1":
        wrong = ~seen.right
        return wrong.astype(np.float64) if wrong.ndim == 1 else wrong.mean(1)
    return seen.errors if metric == "sqnr" else seen.losses  # perplexity is a function of the loss


def _looked(logits: Tensor, known: Known) -> list[Seen]:
    """Of `logits`, designs x the shape of `known`."""
    shape, rows = (len(logits), *known.labels.shape), known.labels.numel()
    flat = logits.reshape(len(logits), rows, -1).double()
    signal = known.logits.reshape(1, rows, -1).double()
    right = (flat.argmax(2) == known.labels.flatten()).numpy().reshape(shape)
    losses = _losses(flat, known.labels.flatten()).numpy()
    errors, signals = _powers(flat - signal), np.broadcast_to(_powers(signal), (len(logits), rows))
    mean, error, signal_power = (column.reshape(*shape[:2], -1).sum(2) for column in (losses, errors, signals))
    return [Seen(*found) for found in zip(right, mean / (rows // shape[1]), error, signal_power, strict=True)]


def _losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy (nat) of each row, designs x rows, of logits designs x rows x classes.

    Classes come first, because torch takes 10 to 20 times as long over short rows that end each image.
    """
    logs = torch.log_softmax(logits.permute(2, 0, 1).contiguous(), 0)
    return -logs.gather(0, labels.expand(1, len(logits), -1))[0]


def _powers(numbers: Tensor) -> NDArray[np.float64]:
    """The sums of squares of the rows of `numbers`, designs x rows x classes."""
    # numpy adds class after class, so that a design has the same sums alone and beside others.
    powers: NDArray[np.float64] = np.add.reduce(numbers.permute(2, 0, 1).contiguous().square_().numpy(), 0)
    return powers


def _decibels(signal: float, error: float) -> float:
    """10 log10 of signal over error power; equal logits have no finite one, nor have errors without a signal."""
    if error == 0 or signal == 0:
        return inf if error == 0 else -inf
    return 10 * log10(signal / error)
