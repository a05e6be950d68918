"""`finn-cnv`: the convolutional network for images of 32 x 32 of FINN (Umuroglu et al. 2017, arXiv 1612.07119: `CNV`).

Six convolutions without padding, two pools and three linear layers, as `CNV` in https://github.com/Xilinx/finn-examples;
activations as in `finn-tfc`.
"""

from collections import OrderedDict

from torch import nn

CHANNELS = (64, 64, 128, 128, 256, 256)  # of the convolutions
POOLED = (2, 4)  # the convolutions with a pool behind
LINEAR = 512


def build() -> nn.Module:
    """A network from images `n x 3 x 32 x 32` in [-1, 1] to logits `n x 10`."""
    layers: list[tuple[str, nn.Module]] = []
    inputs = 3
    for number, outputs in enumerate(CHANNELS, start=1):
        layers += [
            (f"conv{number}", nn.Conv2d(inputs, outputs, 3, bias=False)),
            (f"bn{number}", nn.BatchNorm2d(outputs)),
            (f"tanh{number}", nn.Hardtanh()),
            *([(f"pool{number}", nn.MaxPool2d(2))] if number in POOLED else []),
        ]
        inputs = outputs
    layers.append(("flatten", nn.Flatten()))  # one pixel is left
    for number in (1, 2):
        layers += [
            (f"fc{number}", nn.Linear(inputs, LINEAR, bias=False)),
            (f"fc{number}_bn", nn.BatchNorm1d(LINEAR)),
            (f"fc{number}_tanh", nn.Hardtanh()),
        ]
        inputs = LINEAR
    return nn.Sequential(OrderedDict([*layers, ("fc3", nn.Linear(LINEAR, 10, bias=False))]))
