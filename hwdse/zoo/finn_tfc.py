"""`finn-tfc`: the fully connected network for small images of FINN (Umuroglu et al. 2017, arXiv 1612.07119: `SFC`).

Its widths are those of `TFC` in https://github.com/Xilinx/finn-examples: three layers of 64, each with batch norm. The
activation is that of binary networks (Courbariaux et al. 2016, arXiv 1602.02830): a quantiser of any width saturates
where a hard tanh does.
"""

from collections import OrderedDict

from torch import nn

WIDTH = 64


def build() -> nn.Module:
    """A network from images `n x 1 x 28 x 28` in [-1, 1] to logits `n x 10`."""
    layers: list[tuple[str, nn.Module]] = [("flatten", nn.Flatten())]
    for number, inputs in enumerate((28 * 28, WIDTH, WIDTH), start=1):
        layers += [
            (f"fc{number}", nn.Linear(inputs, WIDTH, bias=False)),
            (f"bn{number}", nn.BatchNorm1d(WIDTH)),
            (f"tanh{number}", nn.Hardtanh()),
        ]
    return nn.Sequential(OrderedDict([*layers, ("fc4", nn.Linear(WIDTH, 10, bias=False))]))
