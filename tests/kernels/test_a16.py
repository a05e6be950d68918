"""Products of packed weights with 16-bit activations are within a derived bound of their float64 reference.

Interpreted here, and run where there is a GPU.
"""

import re
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="needs triton")

from hwdse.gemm import Tile
from hwdse.kernels import a16
from hwdse.kernels._packed import Packed
from tests.kernels.interpreted import interpreted
from tests.kernels.products import Product, bound, poisoned

SMALL = Tile(16, 16, 8, 2)
BF16 = "bfloat16"
HALF, BRAIN = torch.float16, torch.bfloat16
PRODUCTS = [
    # every width, integers and minifloats, odd shapes, k less than a block and more than two
    Product("int2", 1, 5, 31, SMALL),
    Product("int3", 3, 33, 300, SMALL, out=HALF),
    Product("int4", 2, 17, 129, SMALL, bias=True, out=HALF),
    Product("int5", 5, 16, 257, replace(SMALL, split=2)),
    Product("int6", 7, 40, 200, SMALL, BF16, bias=True),
    Product("int7", 1, 20, 512, replace(SMALL, split=2), BF16, out=BRAIN),
    Product("int8", 9, 31, 65, SMALL),
    Product("int8", 9, 31, 65, SMALL, BF16),
    Product("uint8", 4, 18, 96, SMALL, BF16),
    Product("e2m0", 2, 9, 260, SMALL),
    Product("e2m1", 17, 33, 130, SMALL, bias=True),
    Product("e2m1", 33, 20, 64, replace(SMALL, columns=32, rows=32), BF16),
    Product("e2m2", 3, 20, 270, SMALL),
    Product("e3m2", 8, 20, 129, replace(SMALL, columns=8), out=HALF),
    Product("e3m3", 2, 20, 257, SMALL),
    Product("e4m3fn", 2, 19, 100, SMALL),
    Product("e5m2ieee", 2, 19, 64, SMALL),
    Product("e5m1", 2, 19, 300, SMALL),
    Product("e7m0", 2, 9, 33, SMALL, BF16),
    Product("e1m3", 2, 19, 100, SMALL),
    # programs that share an output: also more of them than blocks
    Product("int4", 1, 33, 512, replace(SMALL, split=4)),
    Product("e2m1", 19, 33, 300, replace(SMALL, split=4), bias=True, out=HALF),
    Product("int8", 2, 16, 64, replace(SMALL, split=4)),
    # groups, of one block or several; zero points
    Product("int4", 2, 18, 100, SMALL, group=32, out=HALF),
    Product("int4", 2, 18, 300, replace(SMALL, split=2), group=128),
    Product("uint4", 3, 18, 100, SMALL, group=64, zeros=True),
    Product("uint4", 3, 18, 160, replace(SMALL, split=2), BF16, 32, True),
    Product("int3", 2, 18, 400, SMALL, group=32, zeros=True),
    Product("e2m1", 2, 18, 130, SMALL, group=32, scales=torch.float32),
    Product("e3m2", 2, 18, 130, replace(SMALL, words=16), BF16, 32),
    Product("int8", 2, 18, 200, SMALL, group=128, zeros=True),
    Product("uint5", 2, 18, 300, SMALL, zeros=True),
    # fields side by side: as many as a product takes, a group or a block has
    Product("int5", 5, 16, 257, replace(SMALL, words=4, columns=32, split=2), out=HALF),
    Product("uint3", 2, 18, 400, replace(SMALL, words=4), group=32, zeros=True),
    Product("e2m2", 3, 18, 300, replace(SMALL, words=4), BF16, 128),
    Product("int8", 3, 18, 65, replace(SMALL, words=4), group=32),
    Product("int4", 3, 18, 300, replace(SMALL, words=64)),
]
LARGE = [  # of a size that a GPU takes at once and the interpreter does not
    Product("int3", 1, 4096, 4096, Tile(64, 16, 16, 4, 4), out=HALF),
    Product("e2m1", 16, 4096, 4096, Tile(128, 16, 32, 3, 4), group=128, out=HALF),
    Product("uint4", 33, 1000, 3000, Tile(64, 64, 32, 3, 2), BF16, 64, True, out=BRAIN),
    Product("e3m2", 300, 520, 1030, Tile(128, 128, 16, 3, 1, 8), out=HALF),
]

each_product = pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.name)
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(scope="module")
def module() -> ModuleType:
    """The kernel as Python."""
    return interpreted("a16")


def moved(x: Tensor | None, device: str) -> Any:
    """`x` on `device`."""
    return None if x is None else x.to(device)


def check(module: Any, product: Product, device: str = "cpu") -> None:
    """Two products in the same poisoned memory are the same, within the bound, and leave all else as it was."""
    packed = product.packed()
    x, bias = product.inputs()
    expected = a16.reference(x, packed, bias)
    here = packed.to(device)
    work = module.Workspace.of(product.m, here, product.tile)
    found = []
    for _ in range(2):
        out, after = poisoned(product.m, product.n, product.out, device)
        work.partial.fill_(torch.nan)
        given: dict[str, Any] = {"bias": moved(bias, device), "out": out, "work": work}
        assert module.run(moved(x, device), here, product.tile, **given) is out
        assert after.isnan().all()
        assert not work.arrived.any()
        found.append(out.cpu())
    assert torch.equal(*found)
    error = (found[0].double() - expected).abs()
    assert (error <= bound(product, x, packed, expected)).all()


@each_product
def test_sums_are_within_the_bound(module: ModuleType, product: Product) -> None:
    check(module, product)


def test_the_bound_notices_one_wrong_weight() -> None:
    product = PRODUCTS[1]
    packed, (x, _) = product.packed(), product.inputs()
    wrong = packed.dense()
    wrong[:, 7] += packed.scale[:, 0] * packed.fmt.lsb
    expected = a16.reference(x, packed)
    error = (x.double() @ wrong.T - expected).abs()
    assert (error > bound(product, x, packed, expected)).any(1).all()


@pytest.mark.parametrize("split", [1, 2])
def test_nan_and_infinity_stay_in_their_row(module: ModuleType, split: int) -> None:
    product = Product("int4", 4, 17, 130, replace(SMALL, split=split))
    packed, (x, _) = product.packed(), product.inputs()
    clean = module.run(x, packed, product.tile)
    x[1, 129], x[2, 0] = torch.nan, torch.inf
    with np.errstate(invalid="ignore"):  # a GPU gives NaN without a warning
        found = module.run(x, packed, product.tile)
    assert found[1].isnan().all()
    assert not found[2].isfinite().any()
    assert torch.equal(found[[0, 3]], clean[[0, 3]])


def test_activations_of_any_stride_and_count(module: ModuleType) -> None:
    product = Product("int4", 3, 17, 130, SMALL)
    packed, (x, _) = product.packed(), product.inputs()
    expected = module.run(x, packed, product.tile)
    for other in (x.T.contiguous().T, torch.cat((x, x), 1)[:, :130], x.repeat_interleave(2, 0)[::2]):
        assert torch.equal(module.run(other, packed, product.tile), expected)
    assert module.run(x[:0], packed, product.tile).shape == (0, 17)


def packed_and_x() -> tuple[Packed, Tensor]:
    """Something to call with."""
    product = Product("int4", 3, 17, 130, SMALL)
    return product.packed(), product.inputs()[0]


@pytest.mark.parametrize(
    ("tile", "given", "message"),
    [
        (
            Tile(32, 16, 16, 3),
            {},
            "weights are packed for tiles of 16 rows and 8 words, not for 32 and 16: those of 32x16:w16:s3:k1:t4",
        ),
        (Tile(16, 4, 8, 3), {}, "a tile has 8, 16, 32, 64, 128, 256 columns, not 4; the nearest is 8"),
        (
            SMALL,
            {"x": torch.zeros(1, 129).half()},
            "these weights multiply m x 130 float16 activations, not float16 of (1, 129)",
        ),
        (
            SMALL,
            {"x": torch.zeros(1, 130)},
            "these weights multiply m x 130 float16 activations, not float32 of (1, 130)",
        ),
        (
            SMALL,
            {"x": torch.zeros(130).half()},
            "these weights multiply m x 130 float16 activations, not float16 of (130,)",
        ),
        (
            SMALL,
            {"out": torch.zeros(3, 16)},
            "sums are dense float16, bfloat16 or float32 of shape (3, 17), not float32 of (3, 16) and strides (16, 1)",
        ),
        (
            SMALL,
            {"out": torch.zeros(3, 17, dtype=torch.int32)},
            "sums are dense float16, bfloat16 or float32 of shape (3, 17), not int32 of (3, 17) and strides (17, 1)",
        ),
    ],
)
def test_what_cannot_be_multiplied(tile: Tile, given: dict[str, Any], message: str) -> None:
    packed, x = packed_and_x()
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        a16.run(given.pop("x", x), packed, tile, **given)


@gpu
@pytest.mark.parametrize("product", [*PRODUCTS, *LARGE], ids=lambda product: product.name)
def test_a_gpu_gives_sums_within_the_bound(product: Product) -> None:
    check(a16, product, "cuda")
