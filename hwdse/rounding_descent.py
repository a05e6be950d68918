"""Learned rounding: which of its two neighbours on the grid of its format each weight becomes, found by gradients.

Brevitas's rounding functions (`LearnedRoundHardSigmoid` of AdaRound, `LearnedRoundIdentity` of
AutoRound) are driven here with the neighbours that Brevitas's own quantiser gives. Its own start divides
weights by the scale alone, which is wrong for a minifloat, whose steps differ from weight to weight; the place of
a weight between its neighbours is right for every format. The error of a layer's output is a
quadratic function of its weights, so all calibration data takes part in every step, in any order:
nothing is random.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from brevitas.core.function_wrapper import CeilSte, FloorSte
from brevitas.core.function_wrapper.learned_round import LearnedRoundHardSigmoid, LearnedRoundIdentity
from brevitas.graph.gpfq import GPFQ
from torch import Tensor, nn

from hwdse.layer_inputs import Place
from hwdse.layer_solver import observe

CLEAR = 1e-3  # of a step: what a start keeps away from the middle, where rounding could go either way


@dataclass(frozen=True)
class Grid:
    """The weights of a layer, and the values of its format below, above and nearest to each, all of the same shape."""

    weight: Tensor
    low: Tensor
    high: Tensor
    nearest: Tensor

    @property
    def step(self) -> Tensor:
        """From the value below to the one above; 0 where the weight is on the grid or beyond its end."""
        return self.high - self.low

    @property
    def position(self) -> Tensor:
        """Of each weight between its neighbours, 0 to 1, on that side of 1/2 that it is rounded to."""
        position = ((self.weight - self.low) / self.step).nan_to_num(0.0, 0.0, 0.0)
        up = self.nearest > self.low
        return torch.where(up, position.clamp(0.5 + CLEAR, 1), position.clamp(0, 0.5 - CLEAR))

    def rounded(self, place: Tensor) -> Tensor:
        """The neighbour that each `place` between the two is nearer to."""
        return torch.where(place > 0.5, self.high, self.low)


@dataclass(frozen=True)
class Objective:
    """The squared distance of a layer's outputs from the float network's, as a function of its weights.

    `energy` is the inputs' covariance X^ X^T and `drift` is W (X^ - X) X^T^, both by group: with the
    error D of the weights the distance is D X^ X^T^ D^T + 2 D drift^T and a constant.
    """

    weight: Tensor  # groups x outputs per group x inputs
    energy: Tensor  # groups x inputs x inputs
    drift: Tensor  # groups x outputs per group x inputs

    def error(self, weight: Tensor) -> Tensor:
        """Of each output channel with these weights, in the shape of the layer's; a vector."""
        off = weight.reshape(self.weight.shape) - self.weight
        return ((off @ self.energy + 2 * self.drift) * off).sum(-1).flatten()

    def unit(self, weight: Tensor) -> float:
        """The mean share of one weight in the error that these weights cause by themselves."""
        off = weight.reshape(self.weight.shape) - self.weight
        return float(((off @ self.energy) * off).mean())


def grid(layer: Any, weight: Tensor) -> Grid:
    """The neighbours of `weight` (in the shape of the layer's) on the grid of Brevitas's `layer`."""
    quantiser = layer.weight_quant.tensor_quant
    home = getattr(quantiser, "int_quant", quantiser)  # minifloats round in the quantiser itself
    usual, found = home.float_to_int_impl, {}
    with torch.no_grad():
        for name, rounding in (("low", FloorSte()), ("high", CeilSte()), ("nearest", usual)):
            home.float_to_int_impl = rounding
            found[name] = quantiser(weight)[0].detach()
    return Grid(weight, **found)


def objective(place: Place) -> Objective:
    """The objective of the layer at `place`."""
    weight = place.original.get_parameter("weight").detach()
    solver = GPFQ(place.layer, place.name, False, 1, True)
    observe(solver, place)
    scale = 1 / len(place.inputs)  # the solver adds the means of batches
    energy, mixed = scale * solver.H, scale * solver.G
    weights = weight.reshape(solver.groups, -1, weight[0].numel())
    return Objective(weights, energy, weights @ energy - weights @ mixed.transpose(1, 2))


def hard_sigmoid_start(position: Tensor, rounding: LearnedRoundHardSigmoid) -> Tensor:
    """The parameter for which `rounding` gives `position`: the inverse of its stretched sigmoid."""
    low, high = rounding.learned_round_gamma, rounding.learned_round_zeta
    return torch.logit((position - low) / (high - low))


@dataclass(frozen=True)
class Descent:
    """How the places between neighbours are learned: by which of Brevitas's functions, and by what steps."""

    rounding: LearnedRoundHardSigmoid | LearnedRoundIdentity
    base: Tensor  # what the function's value is added to before it is rounded: places, or 0
    optimizer: Callable[[list[nn.Parameter]], torch.optim.Optimizer]
    rates: Sequence[float]  # of each iteration: what the learning rate is multiplied by
    penalty: Callable[[int, Tensor], Tensor | float]  # of an iteration and the places; the error is about 1 a weight

    @torch.enable_grad()
    def run(self, start: Tensor, grid: Grid, target: Objective) -> Tensor:
        """The best weights on the way from `start`, each output channel by itself, the nearest values included."""
        value = nn.Parameter(start.clone())
        optimizer = self.optimizer([value])
        usual = optimizer.param_groups[0]["lr"]
        best, lowest = grid.nearest.clone(), target.error(grid.nearest)
        if (unit := target.unit(grid.nearest)) == 0:
            return best  # nothing is rounded, or nothing comes in
        for iteration, rate in enumerate(self.rates):
            optimizer.param_groups[0]["lr"] = usual * rate
            place: Tensor = self.rounding.round_forward(self.base, self.rounding(value))
            loss = target.error(grid.low + place * grid.step).sum() / unit + self.penalty(iteration, place)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                rounded = grid.rounded(place)
                error = target.error(rounded)
                better = error < lowest
                best[better], lowest[better] = rounded[better], error[better]
        return best
