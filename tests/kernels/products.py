"""Random products of packed weights and what may be asked of their sums: for the tests of several kernels."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hwdse.decoding import FLOATS, stored
from hwdse.formats import parse
from hwdse.gemm import Tile
from hwdse.kernels._packed import FLOATS_OF, Packed, pack

SUMS = 2.0**-23  # of a float32 addition that cuts off, as those of tensor cores do
# Of rounding to the nearest; Triton's interpreter cuts bfloat16 off, so that it may be a whole step.
ROUNDING = {torch.float32: 2.0**-24, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-7}
SMALLEST = {torch.float32: 2.0**-149, torch.float16: 2.0**-24, torch.bfloat16: 2.0**-133}


@dataclass(frozen=True, slots=True)
class Product:
    """One to test; its text form names the test."""

    weights: str
    m: int
    n: int
    k: int
    tile: Tile
    floats: str = FLOATS[0]
    group: int | None = None
    zeros: bool = False
    scales: torch.dtype = torch.float16
    bias: bool = False
    out: torch.dtype = torch.float32

    @property
    def name(self) -> str:
        """`uint4:g32:z 3x40x300 16x16:w8:s2:k1:t4 float16`."""
        extras = f"{f':g{self.group}' if self.group else ''}{':z' if self.zeros else ''}"
        return f"{self.weights}{extras} {self.m}x{self.n}x{self.k} {self.tile.name} {self.floats} {self.out}"

    def packed(self) -> Packed:
        """Random weights."""
        fmt, generator = parse(self.weights), torch.Generator().manual_seed(self.n + self.k)
        known = torch.from_numpy(np.flatnonzero(stored(fmt, self.floats) >= 0).astype(np.uint8))
        codes = known[torch.randint(0, len(known), (self.n, self.k), generator=generator)]
        shape = (self.n,) if self.group is None else (self.n, -(-self.k // self.group))
        scales = (torch.rand(shape, generator=generator) + 0.1).to(torch.float32 if self.group is None else self.scales)
        low = -(2 ** (fmt.bits - 1)) if fmt.signed else 0
        zeros = torch.randint(low, low + 2**fmt.bits, shape, generator=generator) if self.zeros else None
        tile = {"rows": self.tile.rows, "words": self.tile.words}
        return pack(codes, scales, fmt, floats=self.floats, group=self.group, zeros=zeros, **tile)

    def inputs(self) -> tuple[Tensor, Tensor | None]:
        """`m x k` activations, and `n` of a bias."""
        generator = torch.Generator().manual_seed(self.m)
        x = torch.randn(self.m, self.k, generator=generator).to(FLOATS_OF[self.floats])
        return x, torch.randn(self.n, generator=generator) if self.bias else None


def bound(product: Product, x: Tensor, packed: Packed, expected: Tensor) -> Tensor:
    """How far each of `m x n` sums may be from `expected`.

    A product of a weight and an activation is exact in float32: at most 8 and 11 significant bits. Its k products are
    added in some order, k additions and one for each program and group; then there is a product with the scale of each
    group, with the channel's, and a sum with the bias. Each of these errs by at most `SUMS` of what it adds up, which
    is never more than the sum of all absolute products. The result is rounded once.
    """
    operations = packed.k + 2 * packed.scales.shape[0] + product.tile.split + 4
    absolute = x.double().abs() @ packed.dense().abs().T
    error = operations * SUMS * (absolute + 1)  # no bias here is beyond a few units
    return error + ROUNDING[product.out] * (expected.abs() + error) + SMALLEST[product.out]


def poisoned(m: int, n: int, dtype: torch.dtype, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """`m x n` of NaN for a result, and what lies after it in memory, which nobody may touch."""
    memory = torch.full((m * n + 64,), torch.nan, dtype=dtype, device=device)
    return memory[: m * n].view(m, n), memory[m * n :]
