"""`digits-mlp`: three linear layers, the smallest network that a format can spoil."""

from collections import OrderedDict

from torch import nn


def build() -> nn.Module:
    """A network from images `n x 1 x 8 x 8` in [0, 1] to logits `n x 10`."""
    layers: list[tuple[str, nn.Module]] = [
        ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(64, 64)),
        ("relu1", nn.ReLU()),
        ("fc2", nn.Linear(64, 64)),
        ("relu2", nn.ReLU()),
        ("fc3", nn.Linear(64, 10)),
    ]
    return nn.Sequential(OrderedDict(layers))
