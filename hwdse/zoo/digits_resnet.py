"""`digits-resnet`: three residual blocks, two with an identity shortcut and one with a projection.

The blocks are the basic ones of He et al. 2016 (arXiv 1512.03385, figure 5 left; projection is
their option B). An add is where a dataflow accelerator must hold two branches on one grid.
"""

from torch import Tensor, nn


class Block(nn.Module):
    """Two 3 x 3 convolutions added to a shortcut; a 1 x 1 projection where the shapes differ."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.project: nn.Sequential | None = None
        if inputs != outputs or stride != 1:
            conv = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            self.project = nn.Sequential(conv, nn.BatchNorm2d(outputs))
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """`n x inputs x h x w` to `n x outputs x h/stride x w/stride`."""
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        shortcut = x if self.project is None else self.project(x)
        result: Tensor = self.relu2(y + shortcut)
        return result


class DigitsResnet(nn.Module):
    """Images `n x 1 x 8 x 8` in [0, 1] to logits `n x 10`."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.block1 = Block(channels, channels)
        self.block2 = Block(channels, 2 * channels, stride=2)
        self.block3 = Block(2 * channels, 2 * channels)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(2 * channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        """The logits of `x`."""
        x = self.relu(self.bn(self.conv(x)))
        x = self.block3(self.block2(self.block1(x)))
        x = self.head(self.flatten(self.pool(x)))
        return x


def build() -> nn.Module:
    """A network from images `n x 1 x 8 x 8` in [0, 1] to logits `n x 10`."""
    return DigitsResnet()
