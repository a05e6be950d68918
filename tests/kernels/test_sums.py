"""What a product may write to, and what it refuses: a kernel is told addresses alone, of memory that must be there."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

pytest.importorskip("triton", reason="needs triton")

from hwdse.formats import parse
from hwdse.gemm import Tile
from hwdse.kernels import _packed8, a8, a16, gemv
from hwdse.kernels._sums import Workspace
from hwdse.kernels.quantise import Quantised
from hwdse.paths import embed
from tests.kernels.products import Product

N, K = 17, 130
SPLIT = Tile(16, 16, 8, 2, split=2)
Run = Callable[..., Any]


def of_a16() -> Run:
    """A product of three vectors, all but what is given."""
    product = Product("int4", 3, N, K, SPLIT)
    return lambda **given: a16.run(product.inputs()[0], product.packed(), SPLIT, **given)


def of_gemv() -> Run:
    """The same without tensor cores."""
    product = Product("int4", 3, N, K, replace(SPLIT, columns=1))
    return lambda **given: gemv.run(product.inputs()[0], product.packed(), product.tile, **given)


def of_a8() -> Run:
    """The same on 8 bits."""
    int4, int8 = parse("int4"), parse("int8")
    codes = torch.zeros(N, K, dtype=torch.uint8)
    packed = _packed8.pack(codes, torch.ones(N), int4, int8, rows=SPLIT.rows, words=SPLIT.words)
    own = embed(int8, "int8")
    assert own is not None
    x = Quantised(torch.zeros(3, packed.inputs, dtype=torch.int8), torch.ones(3), int8, K, own)
    return lambda **given: a8.run(x, packed, SPLIT, **given)


each = pytest.mark.parametrize("make", [of_a16, of_gemv, of_a8], ids=["a16", "gemv", "a8"])
NEAR = "all of a product is on the device of its weights, cpu, unlike"
BIAS = "a bias is dense float16, bfloat16 or float32 of shape (17,), not"


@each
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bias": torch.zeros(16)}, f"{BIAS} float32 of (16,) and strides (1,)"),
        ({"bias": torch.zeros(1, 17)}, f"{BIAS} float32 of (1, 17) and strides (17, 1)"),
        ({"bias": torch.zeros(17).double()}, f"{BIAS} float64 of (17,) and strides (1,)"),
        ({"bias": torch.zeros(34)[::2]}, f"{BIAS} float32 of (17,) and strides (2,)"),
        ({"bias": torch.zeros(17, device="meta")}, f"{NEAR} the bias, on meta"),
        ({"out": torch.zeros(3, 17, device="meta")}, f"{NEAR} the sums, on meta"),
        (
            {"out": torch.zeros(3, 17, dtype=torch.int32)},
            "sums are dense float16, bfloat16 or float32 of shape (3, 17), not int32 of (3, 17) and strides (17, 1)",
        ),
        (
            {"out": torch.zeros(17, 3).T},
            "sums are dense float16, bfloat16 or float32 of shape (3, 17), not float32 of (3, 17) and strides (1, 3)",
        ),
    ],
)
def test_what_cannot_be_written_or_added(make: Callable[[], Run], given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()(**given)


@each
def test_where_programs_cannot_meet(make: Callable[[], Run]) -> None:
    """Two tiles of 16 rows, by two programs each; a tile has 16 vectors, or one of three."""
    size, places = (192, 6) if make is of_gemv else (1024, 2)
    meet = f"programs of this product meet in {size} float32 and {places} int32 numbers, not in"
    partial, arrived = torch.zeros(size), torch.zeros(places, dtype=torch.int32)
    refused = [
        (Workspace(partial[1:], arrived), f"{meet} {size - 1} float32 and {places} int32"),
        (Workspace(partial, arrived[1:]), f"{meet} {size} float32 and {places - 1} int32"),
        (Workspace(partial.half(), arrived), f"{meet} {size} float16 and {places} int32"),
        (Workspace(partial, arrived.long()), f"{meet} {size} float32 and {places} int64"),
        (Workspace(partial.to("meta"), arrived), f"{NEAR} the workspace, on meta"),
        (Workspace(partial, arrived.to("meta")), f"{NEAR} the workspace, on meta"),
    ]
    for work, message in refused:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            make()(work=work)


def test_activations_are_where_the_weights_are() -> None:
    product = Product("int4", 3, N, K, SPLIT)
    with pytest.raises(ValueError, match=f"^{NEAR} the activations, on meta$"):
        a16.run(product.inputs()[0].to("meta"), product.packed(), SPLIT)


def test_a_workspace_is_of_float32_whatever_the_default() -> None:
    packed = Product("int4", 3, N, K, SPLIT).packed()
    torch.set_default_dtype(torch.float64)
    try:
        own = Workspace.of(3, packed, SPLIT)
    finally:
        torch.set_default_dtype(torch.float32)
    assert (own.partial.dtype, own.arrived.dtype) == (torch.float32, torch.int32)
    assert (len(own.partial), len(own.arrived)) == (1024, 2)
