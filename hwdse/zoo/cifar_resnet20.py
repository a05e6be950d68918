"""`cifar-resnet20`: the ResNet-20 for CIFAR-10 of He et al. 2016 (arXiv 1512.03385, section 4.2).

Names and shortcuts are those of https://github.com/akamaster/pytorch_resnet_cifar10, whose
checkpoints therefore load. The shortcut is the paper's option A: no weights, every second pixel,
and zeros for the channels that are new.
"""

from torch import Tensor, nn
from torch.nn.functional import pad


class Block(nn.Module):
    """Two 3 x 3 convolutions added to a shortcut without weights."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()
        self.new_channels = outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        """`n x inputs x h x w` to `n x outputs x h/stride x w/stride`."""
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        result: Tensor = self.relu2(y + self._shortcut(x))
        return result

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.new_channels == 0:
            return x
        side = self.new_channels // 2  # half of the zeros before the channels, half after
        return pad(x[:, :, ::2, ::2], (0, 0, 0, 0, side, side))


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(Block(inputs, outputs, stride), Block(outputs, outputs, 1), Block(outputs, outputs, 1))


class CifarResnet20(nn.Module):
    """Normalised images `n x 3 x 32 x 32` to logits `n x 10`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.layer1 = _stage(16, 16, 1)
        self.layer2 = _stage(16, 32, 2)
        self.layer3 = _stage(32, 64, 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """The logits of `x`."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = self.linear(self.flatten(self.pool(x)))
        return x


def build() -> nn.Module:
    """A network from normalised images `n x 3 x 32 x 32` to logits `n x 10`."""
    return CifarResnet20()
