"""Products without tensor cores are those of `a16`, within the same bound.

Interpreted here, and run where there is a GPU.
"""

import re
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch

pytest.importorskip("triton", reason="needs triton")

from hwdse.gemm import Tile
from hwdse.kernels import gemv
from tests.kernels.interpreted import interpreted
from tests.kernels.products import Product
from tests.kernels.test_a16 import check

SMALL = Tile(16, 1, 8, 2)
BF16, HALF = "bfloat16", torch.float16
PRODUCTS = [
    Product("int3", 1, 33, 300, SMALL, out=HALF, bias=True),
    Product("int4", 4, 17, 129, replace(SMALL, split=4)),
    Product("int7", 2, 17, 260, SMALL, BF16),
    Product("uint8", 1, 20, 65, replace(SMALL, split=2), BF16, bias=True),
    Product("e2m1", 3, 16, 128, SMALL),
    Product("e2m2", 1, 20, 300, replace(SMALL, split=2), group=64, out=HALF),
    Product("e3m2", 1, 20, 129, SMALL, BF16, group=32, scales=torch.float32),
    Product("uint4", 2, 20, 200, SMALL, group=32, zeros=True),
    Product("uint5", 1, 20, 31, SMALL, zeros=True),
    Product("e5m1", 1, 20, 64, SMALL),
]
LARGE = [
    Product("int3", 1, 4096, 4096, Tile(16, 1, 32, 3, 2), out=HALF),
    Product("e2m1", 4, 1030, 4096, Tile(16, 1, 64, 3, 4), group=128, out=HALF),
]
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(scope="module")
def module() -> ModuleType:
    """The kernel as Python."""
    return interpreted("gemv")


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.name)
def test_sums_are_within_the_bound(module: ModuleType, product: Product) -> None:
    check(module, product)


def test_nan_stays_in_its_row(module: ModuleType) -> None:
    product = Product("int4", 2, 17, 130, SMALL)
    packed, (x, _) = product.packed(), product.inputs()
    clean = module.run(x, packed, product.tile)
    x[1, 129] = torch.nan
    found = module.run(x, packed, product.tile)
    assert found[1].isnan().all()
    assert torch.equal(found[0], clean[0])
    assert module.run(x[:0], packed, product.tile).shape == (0, 17)


@pytest.mark.parametrize(
    ("tile", "m", "message"),
    [
        (replace(SMALL, columns=16), 1, "a tile of one vector has 1 column, not 16: 16x16:w8:s2:k1:t4"),
        (SMALL, 5, "vectors are multiplied one by one up to 4, not 5; a16 takes any number"),
    ],
)
def test_what_cannot_be_multiplied(tile: Tile, m: int, message: str) -> None:
    product = Product("int4", m, 17, 130, tile)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        gemv.run(product.inputs()[0], product.packed(), tile)


@gpu
@pytest.mark.parametrize("product", [*PRODUCTS, *LARGE], ids=lambda product: product.name)
def test_a_gpu_gives_sums_within_the_bound(product: Product) -> None:
    kernel: Any = gemv
    check(kernel, product, "cuda")
