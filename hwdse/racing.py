"""Racing: a design is dropped after some of the images when it is all but sure that it cannot join the front.

The costs of a design are known before its accuracy. So it can only join the front if it is more accurate than every
design that costs no more in anything, and of these the most accurate one is its rival. Both are compared image by
image on growing beginnings of the search split, in whose seeded order every beginning is a sample of the whole; each
comparison is a test of the hypothesis that on all images the design is better than its rival, and where that is
rejected the design is dropped. A design that belongs on the front is dropped with a probability of at most `1 -
confidence`, shared out evenly among the looks (Bonferroni): exactly so for top-1, approximately for losses.

Optuna prunes no multi-objective trials, and its pruners compare means without their errors; Hoeffding races (Maron and
Moore 1993, NIPS 6:59) and F-Race (Birattari et al. 2002, GECCO) are the ancestors of this one. What differs: the
hypothesis is that of the Pareto front, and pairs of images are what is compared.
"""

from dataclasses import dataclass, field
from math import exp, lgamma, log, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hwdse.metrics import ACCURACIES

Penalties = NDArray[np.float64]  # of each image, or sequence of a text, in order: less is better

RACED = ACCURACIES  # the metrics that are sums over images or sequences, or rise with one
LOOKS = (1 / 16, 1 / 8, 1 / 4, 1 / 2)  # shares of the images after which a design may be dropped
FEWEST = 32  # images at the first look: the approximation for losses wants some


@dataclass(frozen=True, slots=True)
class Race:
    """What a design must be better than, and how sure one must be that it is not."""

    metric: str  # one of `RACED`
    rival: Penalties = field(compare=False)  # on every image, or sequence, of the split
    confidence: float  # of a design that belongs on the front: the least probability that it is not dropped
    name: str = ""  # of the rival: equal names are equal penalties

    def __post_init__(self) -> None:
        if self.metric not in RACED:
            raise ValueError(f"a race is on one of {', '.join(RACED)}, not on {self.metric!r}")
        if not 0.5 <= self.confidence < 1:
            raise ValueError(f"the confidence of a race is 0.5 or more and below 1, not {self.confidence}")

    def lost(self, penalties: Penalties, looks: int) -> bool:
        """Whether `penalties`, of the first images, show that all of them would be no better than the rival's.

        `looks` is how often this is asked in all.
        """
        level = (1 - self.confidence) / looks
        worse = penalties - self.rival[: len(penalties)]
        if self.metric == "top1" and set(self.rival.tolist()) <= {0.0, 1.0}:  # of images; of sequences it is a share
            return sign_test(int((worse < 0).sum()), int((worse > 0).sum())) <= level
        return mean_test(worse, len(self.rival)) <= level


def looks(batch: int, count: int) -> tuple[int, ...]:
    """After how many of `count` images a design may be dropped: whole batches, fewer than all."""
    wanted = (max(FEWEST, share * count) for share in LOOKS)
    rounded = {-(-int(images) // batch) * batch for images in wanted}
    return tuple(sorted(images for images in rounded if images < count))


def sign_test(better: int, worse: int) -> float:
    """The probability of at most `better` among the images on which two designs differ, if on all images the first
    is the better one (McNemar 1947, Psychometrika 12:153; the exact form).

    Images are drawn without putting back, which makes extremes rarer than the binomial law that is used.
    """
    differ = better + worse
    logs = [_log_choose(differ, k) - differ * log(2) for k in range(better + 1)]
    return min(1.0, sum(exp(value) for value in logs))


def mean_test(worse: Penalties, count: int) -> float:
    """The probability of differences as large as `worse`, of some of `count` images, if the mean of all is below 0.

    Student's t, with the variance that is left where some of a finite number are known.
    """
    n = len(worse)
    spread = float(worse.std(ddof=1)) * sqrt((1 - n / count) / n) if n > 1 else 0.0
    if spread == 0:
        return 1.0  # equal differences on every image: nothing is known of their spread
    return 1 - NormalDist().cdf(_as_normal(float(worse.mean()) / spread, n - 1))


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def _as_normal(t: float, freedom: int) -> float:
    """The normal deviate of equal probability (Wallace 1959, Annals of Mathematical Statistics 30:1124)."""
    shrunk = sqrt(freedom * log(1 + t * t / freedom)) * (8 * freedom + 1) / (8 * freedom + 3)
    return shrunk if t > 0 else -shrunk
