"""The plan has every product once, after what it is compared with, the most important first."""

from collections.abc import Sequence

import pytest

from hwdse.gemm import FLOATS, Choice, Gemm, Tile
from hwdse.gpu_measurements import Point
from hwdse.gpu_speed.measuring import BUILDERS
from hwdse.gpu_speed.plan import (
    CEILINGS,
    DECODE,
    INTEGERS,
    LLAMA,
    PREFILL,
    REFERENCE,
    SHAPES,
    SWEEP,
    VECTORS,
    compile_keys,
    gemm,
    plan,
    point,
    reference,
    varied,
)

KERNELS = ("a16", "a8", "unpack", "unpack8", "gemv")


def choices(own: Gemm) -> Sequence[Choice]:
    """Tiles as a dispatcher lists them: of two kernels, many of the first."""
    first = "a16" if own.activations in FLOATS else "a8"
    tiles = [Tile(128, 16, 16, stages, split) for stages in (2, 3, 4) for split in (1, 2, 4, 8)]
    return [*(Choice(first, tile) for tile in tiles), Choice("unpack", tiles[0])]


POINTS = plan(choices)


def test_each_point_is_there_once_and_can_be_built() -> None:
    assert len(set(POINTS)) == len(POINTS)
    assert {one.kernel for one in POINTS} <= set(BUILDERS) | {"quantise"}


def test_ceilings_are_first() -> None:
    assert [one.kernel for one in POINTS[:3]] == list(CEILINGS)


def test_a_product_comes_after_what_it_is_compared_with() -> None:
    at = {one: number for number, one in enumerate(POINTS)}
    products = [one for one in POINTS if one.kernel in (*KERNELS, "humming")]
    assert len(products) > 1000
    assert all(at[reference(one.m, one.n, one.k)] < at[one] for one in products)


def test_the_bars_come_before_everything_else() -> None:
    wanted = {
        point(gemm(m, n, k, name, "float16"), choices(gemm(m, n, k, name, "float16"))[0])
        for m in (1, 16)
        for n, k in SHAPES
        for name in INTEGERS
    }
    assert wanted <= set(POINTS[:40])


@pytest.mark.parametrize("m", DECODE)
def test_humming_is_timed_on_every_bar(m: int) -> None:
    assert {Point("humming", m, n, k, name, "float16") for n, k in SHAPES for name in INTEGERS} <= set(POINTS)


def test_tiles_are_compared() -> None:
    own = [one for one in POINTS if (one.m, one.n, one.k) == (16, *SHAPES[0]) and one.weights == "int4"]
    tiles = {(one.kernel, one.tile) for one in own if one.tile and one.activations == "float16" and one.group is None}
    assert len(tiles) == SWEEP
    assert {kernel for kernel, _ in tiles} == {"a16", "unpack"}


@pytest.mark.parametrize("m", PREFILL)
def test_large_products_are_timed_fused_and_dequantised(m: int) -> None:
    own = [one for one in POINTS if (one.m, one.n, one.k) == (m, *SHAPES[1])]
    kernels = {(one.kernel, one.weights, one.activations) for one in own}
    assert {("a16", "int4", "float16"), ("unpack", "int4", "float16"), ("a8", "int4", "int8")} <= kernels
    assert {("torch._int_mm", "int8", "int8"), ("torch._scaled_mm", "e4m3fn", "e4m3fn")} <= kernels


def test_every_layer_is_timed_at_every_number_of_vectors() -> None:
    shapes = {(one.m, one.n, one.k) for one in POINTS if one.kernel == REFERENCE}
    assert {(m, own.n, own.k) for m in VECTORS for own in LLAMA} <= shapes
    # Parameters of Llama 3 in these products: 32 and 80 layers of 218 and 856 million.
    assert [sum(own.n * own.k for own in LLAMA if own.model == model) for model in ("8B", "70B")] == [
        218103808,
        855638016,
    ]


def test_a_product_that_no_kernel_takes_has_no_point() -> None:
    none = plan(lambda own: ())
    assert none
    assert not any(one.kernel in KERNELS[:3] for one in none)


def test_tiles_that_are_compared_differ_in_shape() -> None:
    tiles = [Tile(rows, 16, 16, stages) for rows in (128, 64) for stages in (2, 3, 4, 5, 6)]
    ranked = [Choice("a16", tile) for tile in tiles]
    names = [choice.tile.name for choice in varied(ranked) if choice.tile is not None]
    assert names[:5] == [tile.name for tile in (*tiles[:4], tiles[5])]
    assert sorted(names) == sorted(tile.name for tile in tiles)
    assert varied([Choice("unpack"), *ranked])[0] == Choice("unpack")


def test_a_point_says_its_product() -> None:
    own = gemm(16, 64, 128, "e2m1", "int8", 32)
    made = point(own, Choice("a8", Tile(128, 16, 16, 3, 4)))
    assert made == Point("a8", 16, 64, 128, "e2m1", "int8", 32, "128x16:w16:s3:k4:t4")
    assert made.gemm == own


def test_what_compiles_alike_is_compiled_once() -> None:
    tile = "128x16:w16:s3:k4:t4"
    same = [Point("a16", m, n, 8192, "int4", "float16", None, tile) for m in (16, 32) for n in (4096, 8192)]
    others = [
        Point("a16", 1, 4096, 8192, "int4", "float16", None, tile),
        Point("a16", 8, 64, 64, "int4", "float16", None, tile),
    ]
    humming = [Point("humming", m, n, 8192, "int4", "float16") for m in (1, 16) for n in (4096, 8192)]
    library = [reference(1, 64, 64), Point("gemlite", 1, 64, 64, "int4", "float16"), Point("copy", 1, 1, 64)]
    assert compile_keys([*same, *others, *humming, *library]) == (same[0], *others, *humming)
    assert len(compile_keys(POINTS)) < len(POINTS) / 2
