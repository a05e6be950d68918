"""How far torch's float32 may be from what it computes: functions, norms and scales, each with its own bound.

Where a bound is a count of roundings it follows from the operations that torch makes, or from the error that its
library states; where none is stated, it is twice the largest error that was found, and the comment says so. A test
holds all of them against float64.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own convention
from torch import Tensor, nn

from hwdse.operators import ADDS, SCALES, Target

# Of roundoff: half of the distance of two float32 numbers from 1 to 2, and for the roundings of float64, which are
# 2**-53 each, a little more.
UNIT = 2.0**-24 * (1 + 2.0**-20)
# What is less may become zero: a number without all its bits is below 2**-126, and x / (1 + exp(-x)) is below 2**-121
# where the exponential overflows.
LEAST = 2.0**-120

Ends = tuple[Tensor, Tensor]  # float64, the lower first


@dataclass(frozen=True, slots=True)
class Rounding:
    """The error of a function: roundings of what it gives and of what it takes."""

    of_result: int
    of_operand: int = 0
    steepest: float = 0.0  # the largest slope, up or down, of a function that is not monotone; of others 0


EXACT = Rounding(0)
# Rounded bounds: float32 is what is compared, and the bound itself may be no float32 number.
CLAMP = Rounding(1)
LEAKY = Rounding(2)  # the slope and the product
# 1 / (1 + exp(-x)): 1 ulp, which is two roundings, of the exponential (SLEEF 3, `expf_u10`), and one each of sum and
# quotient.
SIGMOID = Rounding(4)
TANH = Rounding(2)  # 1 ulp (SLEEF 3, `tanhf_u10`)
HARD_SIGMOID = Rounding(3)  # sum, and the product with a rounded 1/6
HARD_SWISH = Rounding(4, steepest=1.5)  # as before, and a product; steepest at 3
SILU = Rounding(4, steepest=1.1)  # as the sigmoid, with x in place of 1; steepest, 1.0998, at 2.4
# x (1 + erf(x / sqrt 2)) / 2: torch states no error of its erf. It is Abramowitz and Stegun's 7.1.26, which is off by
# 1.5e-7 = 2.5 roundings of 1, where torch has it for the instructions at hand. The largest error that was found is 6.4
# roundings of x. Steepest, 1.129, at sqrt 2; the form with tanh is as steep and less far off.
GELU = Rounding(0, 13, steepest=1.13)
FACTOR = Rounding(3)  # of the factor, of one over it, and the product
SUMMAND = Rounding(2, 1)  # of the sum, and of the number that is added, which is at most sum and operand together

ROUNDINGS: Mapping[Target, Rounding] = {
    **dict.fromkeys((nn.ReLU, F.relu, torch.relu, "relu", "relu_"), EXACT),
    **dict.fromkeys((nn.ReLU6, F.relu6, nn.Hardtanh, F.hardtanh, torch.clamp, "clamp"), CLAMP),
    **dict.fromkeys((nn.LeakyReLU, F.leaky_relu), LEAKY),
    **dict.fromkeys((nn.Sigmoid, torch.sigmoid, "sigmoid"), SIGMOID),
    **dict.fromkeys((nn.Tanh, torch.tanh, "tanh"), TANH),
    nn.Hardsigmoid: HARD_SIGMOID,
    **dict.fromkeys((nn.Hardswish, F.hardswish), HARD_SWISH),
    **dict.fromkeys((nn.SiLU, F.silu), SILU),
    **dict.fromkeys((nn.GELU, F.gelu), GELU),
    **dict.fromkeys(SCALES, FACTOR),
    **dict.fromkeys(ADDS, SUMMAND),
}


def share(count: int) -> float:
    """What `count` roundings, one after the other, change at most of a number.

    Higham, Accuracy and Stability of Numerical Algorithms, 2002, lemma 3.1.
    """
    return count * UNIT / (1 - count * UNIT)


def between(target: Target, module: nn.Module | None, before: Ends, after: Ends) -> Ends:
    """What float32 gives at least and at most for operands between `before`, whose exact values are `after`.

    A monotone function is between its values at both ends. One that is not may leave them, but by no more than its
    steepest slope times the distance of the ends.
    """
    low, high = torch.minimum(*after), torch.maximum(*after)
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        error = _norm(module, before, after)
    else:
        rule = ROUNDINGS[target]
        beyond = rule.steepest * (before[1] - before[0])
        low, high = low - beyond, high + beyond
        error = share(rule.of_result) * _largest((low, high)) + share(rule.of_operand) * _largest(before)
        error = error + (LEAST if rule != EXACT else 0.0)
    return low - error, high + error


def _largest(ends: Ends) -> Tensor:
    return torch.maximum(ends[0].abs(), ends[1].abs())


def _norm(module: nn.BatchNorm1d | nn.BatchNorm2d, before: Ends, after: Ends) -> Tensor:
    """Of (x - mean) a + bias with a = gain / sqrt(variance + eps), or x a + (bias - mean a), which torch has too.

    The roundings of a are half of the two of variance + eps, and one each of root, quotient and gain. With those of the
    product and of the first difference that is at most 6 of x a and of mean a; and one of the bias and one of the sum.
    """
    assert module.running_mean is not None
    assert module.running_var is not None
    size = [-1, *[1] * (before[0].dim() - 2)]
    gain = torch.rsqrt(module.running_var + module.eps) * (1 if module.weight is None else module.weight)
    gain, mean = gain.abs().reshape(size), module.running_mean.abs().reshape(size)
    bias = torch.zeros(()) if module.bias is None else module.bias.abs().reshape(size)
    return share(6) * gain * (_largest(before) + mean) + share(1) * (bias + _largest(after)) + LEAST
