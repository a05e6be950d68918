"""Qronos works where a depthwise channel never sees anything."""

import torch
from torch import Tensor, nn

from hwdse.design import Step
from hwdse.quantize import Bench
from tests.hwdse.networks import split, uniform


class Silent(nn.Module):
    """A depthwise layer, one of whose channels is always 0 behind the ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.relu = nn.ReLU()
        self.depthwise = nn.Conv2d(4, 4, 3, groups=4)
        self.fc = nn.Linear(64, 10)
        with torch.no_grad():
            self.first.bias[2] = -100.0  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(self.depthwise(self.relu(self.first(x))).flatten(1))
        return y


def test_a_channel_that_is_always_0_loses_its_weights_and_the_others_are_treated() -> None:
    torch.manual_seed(0)
    on = Bench.of(Silent().eval(), split("calibration"), "silent")
    plain = on.quantize(uniform(on, "int4:channel", "int8")).get_submodule("depthwise")
    treated = on.quantize(uniform(on, "int4:channel", "int8", recipe=(Step("qronos"),))).get_submodule("depthwise")
    before, after = (layer.quant_weight().value for layer in (plain, treated))  # type: ignore[operator]
    assert bool((after[2] == 0).all())
    assert not torch.equal(after[[0, 1, 3]], before[[0, 1, 3]])
