"""What Brevitas has no quantiser for: activations that are cast to 16 bits, and back."""

import torch
from torch import nn


class Cast(nn.Module):
    """The tensor quantiser of a float of 16 bits: the nearest one, Inf beyond the largest, and no scale."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
        """`x` through 16 bits, and None for the scale, after which Brevitas makes no `QuantTensor`."""
        return x.to(self.dtype).to(x.dtype), None
