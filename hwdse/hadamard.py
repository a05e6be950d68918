"""Products with a Hadamard matrix, which spread what is large in one channel over all channels."""

from functools import cache

import torch
from brevitas.graph.hadamard import get_hadK, matmul_hadU
from torch import Tensor, nn


@cache
def exists(size: int) -> bool:
    """Whether Brevitas has a Hadamard matrix of `size`: a power of two, or one of its tables times one."""
    try:
        get_hadK(size)
    except AssertionError:
        return False
    return True


class Hadamard(nn.Module):
    """Multiplies the last dimension by the orthogonal matrix `rotated` multiplies weights by."""

    matrix: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("matrix", rotated(torch.eye(size)))

    def forward(self, x: Tensor) -> Tensor:
        """`... x size` to `... x size`."""
        return x @ self.matrix


def rotated(weight: Tensor) -> Tensor:
    """`rows x size` times the matrix, by Brevitas: `rotated(w) @ rotated(x)` is `w @ x`."""
    result: Tensor = matmul_hadU(weight)
    return result
