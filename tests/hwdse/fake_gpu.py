"""Builds on a GPU that is not there: torch knows what would be on which device, and refuses what is on two."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call

from hwdse.gpu_folder import loaded


def runs_on_a_gpu(folder: Path, given: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model by its reference on a GPU of which there are shapes and devices alone: two of them are refused.

    Decoding, which is done on the CPU, is left out.
    """

    def numbers(layer: Any) -> Tensor:
        return torch.empty(layer.rows, layer.inputs, dtype=torch.float64, device=layer.words.device)

    with loaded(folder) as module, FakeTensorMode(), torch.no_grad():
        monkeypatch.setattr(module.PackedLayer, "numbers", property(numbers))
        model = module.Model().eval()
        there = {
            name: torch.empty_like(one, device="cuda")
            for name, one in (*model.named_parameters(), *model.named_buffers())
        }
        result = functional_call(model, there, (torch.empty(given.shape, dtype=given.dtype, device="cuda"),))
        assert result.device.type == "cuda"
