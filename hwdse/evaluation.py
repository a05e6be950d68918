"""What is known of one design: its accuracy with the data that shows it, its predicted and its measured cost."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwdse.cost import LATER, Cost, FpgaCost, GpuCost
from hwdse.design import Design

Z95 = 1.959963984540054  # the 97.5 % point of the normal distribution
MOST_NATS = 700.0  # whose exponential is a float


class Interval(NamedTuple):
    """A 95 % confidence interval."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside."""
        return self.low > 0 or self.high < 0

    @classmethod
    def of_mean(cls, sample: NDArray[np.float64]) -> "Interval":
        """Of the mean of what `sample` is independent values of, two or more, by Student's t."""
        if len(sample) < 2:
            raise ValueError(f"the interval of a mean needs 2 or more sequences, not {len(sample)}")
        mean, error = float(sample.mean()), float(sample.std(ddof=1)) / math.sqrt(len(sample))
        half = _student95(len(sample) - 1) * error
        return cls(mean - half, mean + half)


def _student95(freedom: int) -> float:
    """The 97.5 % point of Student's t, by the normal deviate of equal probability (Wallace 1959, Annals of
    Mathematical Statistics 30:1124), which is within 0.1 % from 9 degrees of freedom on."""
    z = Z95 * (8 * freedom + 3) / (8 * freedom + 1)
    return math.sqrt(freedom * math.expm1(z * z / freedom))


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How a model does on one data split: of images, or of the tokens that come next in a text.

    Tokens of one sequence depend on each other, so that intervals of a text are over its sequences.
    """

    split: str  # calibration, search or test
    count: int  # images, or predicted tokens
    hits: str  # which of them are right: hex of the packed bits, the first one first
    loss: float  # mean cross entropy, nats
    sqnr_db: float | None  # 10 log10(sum logits**2 / sum error**2) against the float model; None is the float model
    sequence_losses: tuple[float, ...] = field(default=(), metadata=LATER)  # mean of each sequence; () of images

    def __post_init__(self) -> None:
        if self.count % max(1, len(self.sequence_losses)):
            raise ValueError(f"sequences have one length, but {len(self.sequence_losses)} do not share {self.count}")
        digits = 2 * -(-self.count // 8)
        if self.count < 1 or len(self.hits) != digits:
            raise ValueError(
                f"an accuracy has 1 or more images and 2 hex digits per 8, not {self.count} images"
                f" and {len(self.hits)} digits"
            )

    @property
    def right(self) -> NDArray[np.bool_]:
        """`count` booleans: the prediction is the label."""
        packed = np.frombuffer(bytes.fromhex(self.hits), np.uint8)
        return np.unpackbits(packed, count=self.count).astype(bool)

    @property
    def top1(self) -> float:
        """The share of images that are right, 0 to 1."""
        return float(self.right.mean())

    @property
    def of_text(self) -> bool:
        """Whether it is of the tokens of sequences, not of images."""
        return len(self.sequence_losses) > 0

    @property
    def samples(self) -> int:
        """What is independent of each other: images, or sequences."""
        return len(self.sequence_losses) or self.count

    @property
    def perplexity(self) -> float:
        """Among how many tokens the model is as unsure as if all were equally likely: exp(loss)."""
        return _exp(self.loss)

    @property
    def goodness(self) -> float:
        """What designs of one network are compared by, more is better: of images top-1, of a text the loss, negated."""
        return -self.loss if self.of_text else self.top1

    @property
    def interval(self) -> Interval:
        """Of `top1`: of images by Wilson's score (Wilson 1927, JASA 22:209), of a text over its sequences."""
        if self.of_text:
            low, high = Interval.of_mean(_shares(self))
            return Interval(max(low, 0.0), min(high, 1.0))
        n, p = self.count, self.top1
        centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
        half = Z95 / (1 + Z95**2 / n) * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n * n))
        return Interval(max(centre - half, 0.0), min(centre + half, 1.0))  # rounding alone passes the ends


def pack(right: NDArray[np.bool_]) -> str:
    """The `hits` of an `Accuracy`."""
    return np.packbits(right).tobytes().hex()


def _shares(accuracy: Accuracy) -> NDArray[np.float64]:
    """Of each sequence the share that is right."""
    shares: NDArray[np.float64] = accuracy.right.reshape(accuracy.samples, -1).mean(1)
    return shares


class Difference(NamedTuple):
    """A paired difference on the same images or sequences: of two top-1 accuracies, or of two losses."""

    value: float  # first minus second
    interval: Interval


def paired(a: Accuracy, b: Accuracy) -> Difference:
    """Top-1 of `a` minus that of `b` on the same images.

    The interval adds half an image to each cell of the table of agreements, which keeps its
    coverage when few images differ (Agresti and Min 2005, Statistics in Medicine 24:729, 'Wald+2'),
    and ends at -1 and 1. Of a text it is that of the mean difference of its sequences.
    """
    _check_same(a, b)
    if a.of_text:
        low, high = Interval.of_mean(_shares(a) - _shares(b))
        return Difference(a.top1 - b.top1, Interval(max(low, -1.0), min(high, 1.0)))
    only_a, only_b = int((a.right & ~b.right).sum()), int((b.right & ~a.right).sum())
    n = a.count + 2
    centre = (only_a - only_b) / n
    half = Z95 * math.sqrt((only_a + only_b + 1) - (only_a - only_b) ** 2 / n) / n
    return Difference((only_a - only_b) / a.count, Interval(max(centre - half, -1.0), min(centre + half, 1.0)))


def paired_loss(a: Accuracy, b: Accuracy) -> Difference:
    """The loss of `a` minus that of `b` (nats) on the same sequences of a text, with the interval over sequences."""
    _check_same(a, b)
    if not a.of_text:
        raise ValueError("losses are compared sequence by sequence: images have no losses of their own")
    differences = np.subtract(a.sequence_losses, b.sequence_losses)
    return Difference(float(differences.mean()), Interval.of_mean(differences))


class Ratio(NamedTuple):
    """A perplexity divided by another one of the same sequences."""

    value: float
    interval: Interval

    @property
    def excludes_one(self) -> bool:
        """Whether the two differ: one lies outside the interval."""
        return self.interval.low > 1 or self.interval.high < 1


def perplexity_ratio(a: Accuracy, b: Accuracy) -> Ratio:
    """The perplexity of `a` over that of `b`: a difference of losses is the logarithm of it."""
    value, (low, high) = paired_loss(a, b)
    return Ratio(_exp(value), Interval(_exp(low), _exp(high)))


def _exp(nats: float) -> float:
    return math.exp(nats) if nats < MOST_NATS else math.inf


def _check_same(a: Accuracy, b: Accuracy) -> None:
    if (a.split, a.count, a.samples) != (b.split, b.count, b.samples):
        what = "sequences" if a.of_text else "images"
        raise ValueError(f"a paired difference needs the same {what}, not {a.split}/{a.count} and {b.split}/{b.count}")


@dataclass(frozen=True, slots=True)
class Built:
    """A design as the bitstream of a board, whose device may be another one than that of the study."""

    board: str
    board_mhz: float  # that it needs
    predicted: FpgaCost  # for the device of the board: by the model of the study, or of a build of FINN by FINN itself
    measured: FpgaCost  # as placed and routed, and the cycles as simulated
    seconds: tuple[tuple[str, float], ...]  # of the wall clock, by tool
    frames_per_second: float | None = field(default=None, metadata=LATER)  # measured on the board; None: it was not


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One design with everything that was paid for."""

    design: Design
    accuracies: tuple[Accuracy, ...]  # one per split
    predicted: Cost
    measured: tuple[FpgaCost, ...]  # on the device of the study
    weight_bits: int  # of all stored weights
    built: tuple[Built, ...] = field(default=(), metadata=LATER)  # one per board
    estimates: tuple[FpgaCost, ...] = field(default=(), metadata=LATER)  # FINN's and a corrected one

    @property
    def fpga(self) -> FpgaCost:
        """What is predicted for an FPGA; ValueError of a design that is priced on a GPU."""
        if isinstance(self.predicted, GpuCost):
            raise ValueError(f"design {self.design.digest} is priced on {self.predicted.device}, which is no FPGA")
        return self.predicted

    @property
    def gpu(self) -> GpuCost:
        """What is predicted for a GPU; ValueError of a design that is priced on an FPGA."""
        if isinstance(self.predicted, FpgaCost):
            raise ValueError(f"design {self.design.digest} is priced on {self.predicted.device}, which is no GPU")
        return self.predicted

    def accuracy(self, split: str) -> Accuracy:
        """The accuracy on `split`."""
        for accuracy in self.accuracies:
            if accuracy.split == split:
                return accuracy
        raise ValueError(f"design {self.design.digest} was not evaluated on the {split} split")
