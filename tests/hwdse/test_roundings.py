"""The bounds of float32: they hold for torch on this machine, for every operator, and they are not far off."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own convention
from torch import Tensor, nn

from hwdse.operators import ADDS, BY_CHANNEL, FOLDS, KINDS, SCALES
from hwdse.roundings import ROUNDINGS, Ends, Rounding, between
from hwdse.workload import Kind

Function = Callable[[Tensor], Tensor]

FUNCTIONS: dict[str, tuple[object, Function]] = {  # what is called, and how
    "relu": (F.relu, torch.relu),
    "relu6": (F.relu6, F.relu6),
    "clamp": (torch.clamp, lambda x: torch.clamp(x, -0.3, 0.7)),
    "leaky": (F.leaky_relu, lambda x: F.leaky_relu(x, 0.1)),
    "sigmoid": (torch.sigmoid, torch.sigmoid),
    "tanh": (torch.tanh, torch.tanh),
    "hardsigmoid": (nn.Hardsigmoid, F.hardsigmoid),
    "hardswish": (F.hardswish, F.hardswish),
    "silu": (F.silu, F.silu),
    "gelu": (F.gelu, F.gelu),
    "gelu by tanh": (F.gelu, lambda x: F.gelu(x, approximate="tanh")),
    "times": ("mul", lambda x: x * -0.3),
    "over": ("div", lambda x: x / 0.3),
    "plus": ("add", lambda x: x + 0.3),
    "minus": ("add", lambda x: x + -7.1),
}


@cache
def samples() -> Tensor:
    """Float32 numbers of all sizes up to 1e4, and many where functions bend."""
    sizes = torch.arange(0, 0x7F000000, 3001, dtype=torch.int64).to(torch.int32).view(torch.float32)
    sizes = sizes[sizes < 1e4]
    return torch.cat([sizes, -sizes, torch.linspace(-20, 20, 1_000_001)])


def check(target: object, module: nn.Module | None, single: Tensor, operand: Ends, result: Ends) -> None:
    low, high = between(target, module, operand, result)
    assert bool(((low <= single.double()) & (single.double() <= high)).all())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_is_within_its_bound(name: str) -> None:
    target, function = FUNCTIONS[name]
    x = samples()
    exact = function(x.double())
    check(target, None, function(x), (x.double(), x.double()), (exact, exact))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_so_it_is_between_the_ends_of_an_interval(name: str) -> None:
    """Most of all where a function has its least value inside one."""
    target, function = FUNCTIONS[name]
    x = samples()[torch.isfinite(samples())].sort().values
    low, middle, high = x[:-2], x[1:-1], x[2:]
    check(
        target,
        None,
        function(middle),
        (low.double(), high.double()),
        (function(low.double()), function(high.double())),
    )


@pytest.mark.parametrize("name", ["hardswish", "silu", "gelu", "gelu by tanh"])
def test_no_slope_is_steeper(name: str) -> None:
    target, function = FUNCTIONS[name]
    x = torch.linspace(-20, 20, 1_000_001, dtype=torch.float64)
    steepest = float((function(x).diff() / x.diff()).abs().max())
    assert 0.98 * ROUNDINGS[target].steepest < steepest <= ROUNDINGS[target].steepest


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in ("gelu", "gelu by tanh", "relu", "relu6")])
def test_a_bound_is_at_most_four_times_what_there_is(name: str) -> None:
    """That of the GELU is measured, and of a ReLU there is nothing."""
    target, function = FUNCTIONS[name]
    x = samples()
    x = x[x.abs() > 1e-3]
    exact = function(x.double())
    low, high = between(target, None, (x.double(), x.double()), (exact, exact))
    assert float(((function(x).double() - exact).abs() / ((high - low) / 2)).max()) > 0.25


@pytest.mark.parametrize("affine", [True, False])
def test_norms_are_within_their_bound(affine: bool) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(64, affine=affine).eval()
    assert norm.running_mean is not None
    assert norm.running_var is not None
    nn.init.normal_(norm.running_mean, std=30)
    nn.init.uniform_(norm.running_var, 1e-3, 9)
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    x = norm.running_mean.reshape(-1, 1, 1) + torch.randn(50, 64, 20, 20)
    with torch.no_grad():
        single, exact = norm(x), norm.double()(x.double())
        check(nn.BatchNorm2d, norm, single, (x.double(), x.double()), (exact, exact))


def test_every_operator_has_a_bound() -> None:
    tables = {target for target, kind in KINDS.items() if kind is Kind.TABLE}
    assert ROUNDINGS.keys() == (FOLDS - BY_CHANNEL) | SCALES | ADDS | tables
    monotone = {target for target, rule in ROUNDINGS.items() if rule.steepest == 0}
    assert monotone == ROUNDINGS.keys() - tables
    assert Rounding(0) == ROUNDINGS[nn.ReLU]
