"""Networks with what the built-in ones have not, small enough to be lowered and simulated in a moment."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from hwdse.data import Split
from hwdse.quantize import Bench

SIZE = 6  # pixels of an image, in both directions


class Shortcut(nn.Module):
    """A block with the shortcut of He et al. 2016, option A: every second pixel, and zeros for new channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 4, 3, padding=1)
        self.conv = nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.first(x).relu()
        y = (self.conv(x) + pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))).relu()
        logits: Tensor = self.head(y.mean((2, 3)))
        return logits


class Again(nn.Module):
    """A tensor that is added as it is, and multiplied after a ReLU: it is quantised twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 4, 3, padding=1)
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4 * SIZE * SIZE, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.first(x)
        x = x + self.conv(x.relu())
        logits: Tensor = self.head(x.flatten(1))
        return logits


class Falling(nn.Module):
    """A layer that a negative number is multiplied with."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 5, 3)
        self.head = nn.Conv2d(5, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.head(torch.sigmoid(self.conv(x) * -0.7))
        logits: Tensor = x.mean((2, 3))
        return logits


def _pools() -> nn.Module:
    """Max and average pools, with a window and without, and a norm that no layer takes in."""
    norm = nn.BatchNorm2d(6)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    pools = [nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(2), norm, nn.Tanh(), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(nn.Conv2d(4, 6, 3, padding=1, groups=2), nn.ReLU(), *pools, nn.Flatten(), nn.Linear(6, 3))


def _functions() -> nn.Module:
    """Functions that are no thresholds, and those that are; channels whose numbers do not divide each other."""
    layers = [nn.Conv2d(4, 6, 3), nn.GELU(), nn.Conv2d(6, 4, (1, 3), (2, 1)), nn.LeakyReLU(0.1), nn.Conv2d(4, 5, 1)]
    return nn.Sequential(*layers, nn.Hardtanh(-0.3, 0.2), nn.Flatten(), nn.Linear(5 * 2 * 2, 3))


def _depthwise() -> nn.Module:
    """A depthwise layer whose taps may be worked on together."""
    return nn.Sequential(
        nn.Conv2d(4, 4, 3, padding=1), nn.ReLU6(), nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3),
    )  # fmt: skip


def _multiplier() -> nn.Module:
    """Depthwise layers with two outputs for each channel: with a window and without."""
    return nn.Sequential(
        nn.Conv2d(4, 8, 3, 2, 1, groups=4), nn.ReLU(), nn.Conv2d(8, 16, 1, groups=8), nn.ReLU(),
        nn.Flatten(), nn.Linear(16 * 9, 3),
    )  # fmt: skip


class Vectors(nn.Module):
    """A shortcut and a function that is no threshold, first for the pixels of an image and then for a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 6, 3, 3)
        self.each, self.every = nn.Linear(6, 6), nn.Linear(24, 8)
        self.last, self.head = nn.Linear(8, 8), nn.Linear(8, 3)
        self.gelu, self.silu = nn.GELU(), nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        tokens = self.conv(x).flatten(2).transpose(1, 2)
        tokens = tokens + self.gelu(self.each(tokens))
        vector = self.every(tokens.flatten(1))
        logits: Tensor = self.head((vector + self.last(self.silu(vector))).relu())
        return logits


SMALL: dict[str, Callable[[], nn.Module]] = {
    "shortcut": Shortcut,
    "again": Again,
    "falling": Falling,
    "pools": _pools,
    "functions": _functions,
    "depthwise": _depthwise,
    "multiplier": _multiplier,
    "vectors": Vectors,
}


def images(count: int) -> Tensor:
    """`count` random images, the same every time."""
    return torch.rand(count, 4, SIZE, SIZE, generator=torch.Generator().manual_seed(count))


@cache
def small(name: str) -> Bench:
    """The bench of one of `SMALL` with random weights."""
    torch.manual_seed(1)
    model = SMALL[name]()
    with torch.no_grad():
        for _ in range(10):
            model(images(64))
    return Bench.of(model.eval(), Split("calibration", images(64), torch.zeros(64, dtype=torch.int64)), name)
