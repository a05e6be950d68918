"""From a monotone function of an exact sum, and the quantiser after it, to thresholds on the sum.

Scale, bias, norm, activation function and rounding are one step function of a whole number, so that nothing of them is
left to compute but comparisons. They are evaluated in float64, where a sum times its scale keeps 53 bits.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwdse.design import Quantizer
from hwdse.formats import quantise
from hwdse.thresholds import Thresholds, levels

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]  # of n x channels sums, elementwise


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """Thresholds, and the channels in which the function falls, so that they are those of the negated sum."""

    thresholds: Thresholds
    falling: NDArray[np.bool_]


def steps(function: Function, quantizer: Quantizer, scale: float, largest: NDArray[np.object_]) -> Steps:
    """The sums from which on each level of the quantiser is reached, channel by channel.

    `function` gives what is quantised, `scale` times a number of the format; `largest`: for each channel, what no sum
    exceeds, up or down. A level that no sum reaches has the threshold after the largest.
    """
    numbers = np.array(levels(quantizer.format, quantizer.narrow))

    def level(sums: NDArray[np.object_] | NDArray[np.int64]) -> NDArray[np.intp]:
        value = quantise(quantizer.format, function(sums.astype(np.float64)) / scale, narrow=quantizer.narrow)
        return np.searchsorted(numbers, value)

    ends = level(np.stack([-largest, largest]))
    falling: NDArray[np.bool_] = ends[1] < ends[0]
    sign = np.where(falling, -1, 1)
    first = _first(lambda sums: level(sums * sign) >= np.arange(1, len(numbers))[:, np.newaxis], largest, len(numbers))
    top = int(max(largest))
    return Steps(Thresholds(quantizer.format, top.bit_length() + 1, first, quantizer.narrow, top), falling)


def _first(
    reached: Callable[[NDArray[np.object_] | NDArray[np.int64]], NDArray[np.bool_]],
    largest: NDArray[np.object_],
    count: int,
) -> tuple[tuple[int, ...], ...]:
    """For each channel the least sum that reaches each of `count - 1` levels, by bisection of all at once."""
    kind = np.int64 if int(max(largest)).bit_length() < 62 else object
    ends = np.repeat(largest[np.newaxis].astype(kind), count - 1, axis=0)
    low, high = -ends, ends + 1  # the answer is one of low, .. , high
    while (low < high).any():
        middle = (low + high) // 2
        there = reached(middle) | (low >= high)
        low, high = np.where(there, low, middle + 1), np.where(there, np.minimum(middle, high), high)
    return tuple(tuple(int(sum_) for sum_ in channel) for channel in high.T)
