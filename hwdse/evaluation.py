"""What is known of one design: its accuracy with the data that shows it, its predicted and its measured cost."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwdse.cost import LATER, FpgaCost
from hwdse.design import Design

Z95 = 1.959963984540054  # the 97.5 % point of the normal distribution


class Interval(NamedTuple):
    """A 95 % confidence interval."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How a model does on one data split."""

    split: str  # calibration, search or test
    count: int  # images
    hits: str  # which images are right: hex of the packed bits, first image first
    loss: float  # mean cross entropy, nats
    sqnr_db: float | None  # 10 log10(sum logits**2 / sum error**2) against the float model; None is the float model

    def __post_init__(self) -> None:
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
    def interval(self) -> Interval:
        """Of `top1`, by Wilson's score (Wilson 1927, JASA 22:209)."""
        n, p = self.count, self.top1
        centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
        half = Z95 / (1 + Z95**2 / n) * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n * n))
        return Interval(max(centre - half, 0.0), min(centre + half, 1.0))  # rounding alone passes the ends


def pack(right: NDArray[np.bool_]) -> str:
    """The `hits` of an `Accuracy`."""
    return np.packbits(right).tobytes().hex()


class Difference(NamedTuple):
    """A paired difference of two top-1 accuracies on the same images."""

    value: float  # first minus second
    interval: Interval


def paired(a: Accuracy, b: Accuracy) -> Difference:
    """`a` minus `b` on the same images.

    The interval adds half an image to each cell of the table of agreements, which keeps its
    coverage when few images differ (Agresti and Min 2005, Statistics in Medicine 24:729, 'Wald+2'),
    and ends at -1 and 1.
    """
    if (a.split, a.count) != (b.split, b.count):
        raise ValueError(f"a paired difference needs the same images, not {a.split}/{a.count} and {b.split}/{b.count}")
    only_a, only_b = int((a.right & ~b.right).sum()), int((b.right & ~a.right).sum())
    n = a.count + 2
    centre = (only_a - only_b) / n
    half = Z95 * math.sqrt((only_a + only_b + 1) - (only_a - only_b) ** 2 / n) / n
    return Difference((only_a - only_b) / a.count, Interval(max(centre - half, -1.0), min(centre + half, 1.0)))


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
    predicted: FpgaCost
    measured: tuple[FpgaCost, ...]  # on the device of the study
    weight_bits: int  # of all stored weights
    built: tuple[Built, ...] = field(default=(), metadata=LATER)  # one per board
    estimates: tuple[FpgaCost, ...] = field(default=(), metadata=LATER)  # FINN's and a corrected one

    def accuracy(self, split: str) -> Accuracy:
        """The accuracy on `split`."""
        for accuracy in self.accuracies:
            if accuracy.split == split:
                return accuracy
        raise ValueError(f"design {self.design.digest} was not evaluated on the {split} split")
