"""GPTQ, GPFQ and Qronos give what Brevitas's own modes do, bit for bit, in one pass instead of one for every layer."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from brevitas.graph.gpfq import gpfq_mode
from brevitas.graph.gptq import gptq_mode
from brevitas.graph.qronos import Qronos
from torch import fx

from hwdse.design import Step
from hwdse.quantize import CALIBRATION_BATCH, Bench
from tests.hwdse.networks import bench, uniform

MODES: dict[str, Callable[[fx.GraphModule], Any]] = {
    "gptq": gptq_mode,
    "gptq(act_order=true, blocks=7)": partial(gptq_mode, act_order=True, num_blocks=7),
    "gpfq": gpfq_mode,
    "gpfq(act_order=true)": partial(gpfq_mode, act_order=True),
    "qronos": partial(gpfq_mode, act_order=True, algorithm_impl=partial(Qronos, alpha=1e-6)),
}
CASES = [("cnn", True, "int4:channel"), ("resnet", True, "e3m0:po2:mse"), ("mlp", False, "e2m1:channel")]


def with_brevitas(on: Bench, model: fx.GraphModule, mode: Callable[[fx.GraphModule], Any]) -> fx.GraphModule:
    """`model` after what a user of Brevitas would write."""
    with torch.no_grad(), mode(model) as running:
        for _ in range(running.num_layers):
            for images, _ in on.calibration.batches(CALIBRATION_BATCH):
                running.model(images)
            running.update()
    return model


@pytest.mark.parametrize(("network", "hardware", "weights"), CASES)
@pytest.mark.parametrize("step", MODES)
def test_equals_brevitas(step: str, network: str, hardware: bool, weights: str) -> None:
    on = bench(network, hardware)
    activations = weights.replace(":channel", "")
    ours = on.quantize(uniform(on, weights, activations, recipe=(Step.parse(step),)))
    theirs = with_brevitas(on, on.quantize(uniform(on, weights, activations)), MODES[step]).state_dict()
    assert [key for key, tensor in ours.state_dict().items() if not torch.equal(tensor, theirs[key])] == []
