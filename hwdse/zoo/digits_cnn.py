"""`digits-cnn`: a convolution, a depthwise one, two strided ones, each with batch norm; then two linear layers."""

from torch import Tensor, nn


class DigitsCnn(nn.Module):
    """Images `n x 1 x 8 x 8` in [0, 1] to logits `n x 10`."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(2 * channels)
        self.relu3 = nn.ReLU()
        self.conv3 = nn.Conv2d(2 * channels, 2 * channels, 3, stride=2, padding=1, bias=False)
        self.bn4 = nn.BatchNorm2d(2 * channels)
        self.relu4 = nn.ReLU()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(2 * channels * 4, 2 * channels)
        self.relu5 = nn.ReLU()
        self.fc2 = nn.Linear(2 * channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        """The logits of `x`."""
        x = self.relu1(self.bn1(self.conv1(x)))
        x = self.relu2(self.bn2(self.depthwise(x)))
        x = self.relu3(self.bn3(self.conv2(x)))
        x = self.flatten(self.relu4(self.bn4(self.conv3(x))))
        x = self.relu5(self.fc1(x))
        x = self.fc2(x)
        return x


def build() -> nn.Module:
    """A network from images `n x 1 x 8 x 8` in [0, 1] to logits `n x 10`."""
    return DigitsCnn()
