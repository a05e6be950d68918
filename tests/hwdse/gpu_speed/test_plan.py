"""The plan has every product once, after what it is compared with, the most important first."""

from collections.abc import Sequence

import pytest

from hwdse.calibration.gpu import OTHERS
from hwdse.dispatch import arithmetics
from hwdse.gemm import FEWEST_INT8, FLOATS, Choice, Gemm, Tile
from hwdse.gpu_measurements import Point
from hwdse.gpu_speed.measuring import BUILDERS
from hwdse.gpu_speed.plan import (
    CEILINGS,
    DECODE,
    INTEGERS,
    LLAMA,
    PAIRS,
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
from hwdse.gpu_speed.ranking import ranked
from hwdse.target import gpu

KERNELS = ("a16", "a8", "unpack", "unpack8", "gemv")


def choices(own: Gemm) -> Sequence[Choice]:
    """As a dispatcher lists them, without a price: of each arithmetic many tiles, and what makes weights dense."""
    name = own.activations.name
    tiles = [Tile(128, 16, 16, stages, split) for stages in (2, 3, 4) for split in (1, 2, 4, 8)]
    if own.activations in FLOATS:
        return [*(Choice("a16", name, tile) for tile in tiles), Choice("unpack", name)]
    eight = "int8" if name == "int8" else "fp8"
    dense = [Choice("unpack8", eight)] if own.m >= FEWEST_INT8 else []
    sixteen = [*(Choice("a16", "float16", tile) for tile in tiles), Choice("unpack", "float16")]
    return [*(Choice("a8", eight, tile) for tile in tiles), *dense, *sixteen]


H200 = gpu("h200")
POINTS = plan(choices)
OF_H200 = plan(ranked(H200))


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
    names = {(one.kernel, one.tile) for one in own if one.arithmetic and one.activations == "float16" and not one.group}
    assert len(names) == SWEEP
    assert ("unpack", "") in names
    assert {kernel for kernel, tile in names if tile} == {"a16"}


@pytest.mark.parametrize("m", PREFILL)
def test_large_products_are_timed_fused_and_dequantised(m: int) -> None:
    own = [one for one in POINTS if (one.m, one.n, one.k) == (m, *SHAPES[1])]
    sixteen = {("a16", "float16"), ("unpack", "float16")}
    others = set() if m == PREFILL[-1] else sixteen  # what is not chosen takes too long
    assert _ways(own, "int4", "float16") == sixteen
    assert _ways(own, "int4", "int8") == {("a8", "int8"), ("unpack8", "int8")} | others
    assert _ways(own, "int8", "int8") == {("a8", "int8"), ("unpack8", "int8"), ("torch._int_mm", "")} | others
    assert _ways(own, "e4m3fn", "e4m3fn") == {("a8", "fp8"), ("unpack8", "fp8"), ("torch._scaled_mm", "")} | others


def _ways(points: Sequence[Point], weights: str, activations: str) -> set[tuple[str, str]]:
    """The kernels that a pair is timed with, each with its arithmetic; not those of other projects."""
    own = (one for one in points if (one.weights, one.activations) == (weights, activations))
    return {(one.kernel, one.arithmetic) for one in own if one.kernel not in OTHERS}


@pytest.mark.parametrize("pair", PAIRS)
def test_every_arithmetic_of_the_dispatcher_is_timed(pair: tuple[str, str]) -> None:
    for m in (DECODE[-1], PREFILL[1]):
        own = gemm(m, *SHAPES[0], *pair)
        timed = [one for one in OF_H200 if (one.m, one.n, one.k) == (m, *SHAPES[0])]
        listed = {(one.kernel, one.arithmetic) for one in ranked(H200)(own)}
        assert {arithmetic for _, arithmetic in listed} == set(arithmetics(own, H200))
        assert {way for way in _ways(timed, *pair) if way[1]} == listed


def test_what_the_plan_has_for_an_h200() -> None:
    assert max(len(arithmetics(gemm(16, 64, 64, *pair), H200)) for pair in PAIRS) == 3
    shape = (PREFILL[1], *SHAPES[0])
    assert Point("unpack", *shape, "int4", "bfloat16", arithmetic="bfloat16") in OF_H200
    assert Point("unpack8", *shape, "e4m3fn", "e4m3fn", arithmetic="fp8") in OF_H200


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
    assert not any(one.kernel in KERNELS for one in none)


def test_tiles_that_are_compared_differ_in_shape() -> None:
    tiles = [Tile(rows, 16, 16, stages) for rows in (128, 64) for stages in (2, 3, 4, 5, 6)]
    ranked = [Choice("a16", "float16", tile) for tile in tiles]
    names = [choice.tile.name for choice in varied(ranked) if choice.tile is not None]
    assert names[:5] == [tile.name for tile in (*tiles[:4], tiles[5])]
    assert sorted(names) == sorted(tile.name for tile in tiles)
    assert varied([Choice("unpack", "float16"), *ranked])[0] == Choice("unpack", "float16")


def test_a_point_says_its_product() -> None:
    own = gemm(16, 64, 128, "e2m1", "int8", 32)
    made = point(own, Choice("a8", "int8", Tile(128, 16, 16, 3, 4)))
    assert made == Point("a8", 16, 64, 128, "e2m1", "int8", 32, "128x16:w16:s3:k4:t4", "int8")
    assert made.gemm == own


def test_what_compiles_alike_is_compiled_once() -> None:
    tile = "128x16:w16:s3:k4:t4"
    same = [Point("a16", m, n, 8192, "int4", "float16", None, tile) for m in (16, 32) for n in (4096, 8192)]
    others = [
        Point("a16", 1, 4096, 8192, "int4", "float16", None, tile),
        Point("a16", 8, 64, 64, "int4", "float16", None, tile),
    ]
    numbers = [Point("a8", 16, 64, 64, "e2m1", "e2m1", None, tile, arithmetic) for arithmetic in ("int8", "fp8")]
    humming = [Point("humming", m, n, 8192, "int4", "float16") for m in (1, 16) for n in (4096, 8192)]
    library = [reference(1, 64, 64), Point("gemlite", 1, 64, 64, "int4", "float16"), Point("copy", 1, 1, 64)]
    assert compile_keys([*same, *others, *numbers, *humming, *library]) == (same[0], *others, *numbers, *humming)
    assert len(compile_keys(POINTS)) < len(POINTS) / 2
