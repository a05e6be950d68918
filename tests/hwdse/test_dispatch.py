"""Choices: what may compute a product, which is taken, and what its price cannot undercut."""

import re
from collections.abc import Iterator
from itertools import pairwise, product

import pytest

from hwdse import dispatch, gpu_choice
from hwdse.decode_steps import layout_of
from hwdse.dispatch import NEAR, Price, arithmetic, best, choices, choose, kernels_for, price, ranked
from hwdse.formats import parse
from hwdse.gemm import Choice, Gemm, Tile
from hwdse.gpu_time import Constants
from hwdse.gpu_work import dense, tops, weight_bytes
from hwdse.packing import Layout
from hwdse.target import gpu, gpus

H200, A100, L40S = gpu("h200"), gpu("a100"), gpu("l40s")
SHAPES = ((4096, 4096), (28672, 8192), (1000, 1000))


def gemm(m: int, n: int, k: int, weights: str, activations: str = "float16", group: int | None = None) -> Gemm:
    """A product of formats by name."""
    return Gemm(m, n, k, parse(weights), parse(activations), group)


def some() -> Iterator[Gemm]:
    """Products of small and large sizes, and of several formats."""
    for (n, k), m in product(SHAPES, (1, 3, 16, 17, 128, 2048)):
        for weights, activations in (("int4", "float16"), ("e3m2", "bfloat16"), ("int3", "int8"), ("e2m1", "e4m3fn")):
            yield gemm(m, n, k, weights, activations)


@pytest.mark.parametrize(
    ("weights", "activations", "name", "expected"),
    [
        ("int4", "float16", "h200", "float16"),
        ("e3m4", "bfloat16", "h200", "bfloat16"),
        ("int4", "int8", "h200", "int8"),
        ("int4", "int8", "a100", "int8"),
        ("e2m3", "e2m3", "a100", "int8"),
        ("e3m2", "e4m3fn", "h200", "fp8"),
        ("e3m2", "e4m3fn", "l40s", "fp8"),
        ("e3m2", "e4m3fn", "a100", "float16"),
        ("e3m4", "int8", "h200", "float16"),  # no 8-bit arithmetic has so many exponents and mantissas
    ],
)
def test_arithmetic_is_the_narrowest_that_is_exact(weights: str, activations: str, name: str, expected: str) -> None:
    own = gemm(8, 4096, 4096, weights, activations)
    assert arithmetic(own, gpu(name)) == expected
    assert ("a8" in kernels_for(own, gpu(name))) == (expected in ("int8", "fp8"))


def test_sums_that_an_int32_does_not_hold_are_floats() -> None:
    assert arithmetic(gemm(1, 8, 2**20, "int8", "uint8"), H200) == "float16"
    assert arithmetic(gemm(1, 8, 2**20, "int8", "uint8", 128), H200) == "int8"


def test_zero_points_are_no_8_bit_floats() -> None:
    whole = Gemm(8, 4096, 4096, parse("int3"), parse("e4m3fn"))
    assert arithmetic(whole, H200) == "fp8"
    assert arithmetic(Gemm(8, 4096, 4096, parse("int3"), parse("e4m3fn"), None, True), H200) == "float16"


def test_only_a_few_vectors_go_without_tensor_cores() -> None:
    assert [("gemv" in kernels_for(gemm(m, 4096, 4096, "int4"), H200)) for m in (1, 4, 5)] == [True, True, False]


def test_every_choice_has_a_text_form_and_a_price() -> None:
    for own in some():
        for choice in choices(own, H200):
            assert Choice.parse(choice.name) == choice
            assert price(own, choice, H200).seconds > 0


def test_the_choice_is_the_cheapest_and_always_the_same() -> None:
    for own in some():
        chosen = choose(own, H200)
        prices = {choice: price(own, choice, H200) for choice in choices(own, H200)}
        near = [one for one in prices.values() if one.seconds <= NEAR * min(each.seconds for each in prices.values())]
        assert prices[chosen] in near
        assert prices[chosen].weight_bytes == min(one.weight_bytes for one in near)
        assert best(own, H200) == prices[chosen]
        best.cache_clear()
        assert choose(own, H200) == chosen


def test_of_times_that_are_near_the_fewest_bytes_count() -> None:
    times = {64: (1.0, 100), 128: (1.019, 90), 32: (1.021, 10), 256: (1.01, 90)}
    prices = {
        rows: Price(Choice("a16", Tile(rows, 16, 16, 2)), "float16", seconds, "memory", bytes_, bytes_)
        for rows, (seconds, bytes_) in times.items()
    }
    assert ranked(list(prices.values())) == [prices[256], prices[64], prices[128], prices[32]]
    assert ranked([]) == []


def test_large_products_are_unpacked() -> None:
    assert choose(gemm(8192, 8192, 8192, "int4"), H200) == Choice("unpack")
    assert choose(gemm(8192, 8192, 8192, "int8", "int8"), H200) == Choice("unpack8")
    assert choose(gemm(16, 8192, 8192, "int4"), H200).kernel == "a16"


@pytest.mark.parametrize(
    ("own", "known"),
    [
        (gemm(64, 64, 64, "int4"), ("a16", "unpack")),
        (gemm(4, 64, 64, "int4", group=64), ("a16", "gemv")),  # scales of groups would round the weights
        (gemm(17, 64, 64, "int4", "int8"), ("a8", "unpack8")),
        (gemm(17, 64, 64, "e2m3", "uint7"), ("a8", "unpack8")),
        (gemm(16, 64, 64, "int4", "int8"), ("a8",)),  # torch._int_mm takes 17 vectors
        (gemm(17, 60, 64, "int4", "int8"), ("a8",)),  # and 8 outputs
        (gemm(17, 64, 64, "int4", "int8", 64), ("a8",)),
        (gemm(17, 64, 64, "uint8", "int8"), ("a8",)),  # stored less 128, which sums of the other side correct
        (gemm(17, 64, 64, "int4", "uint8"), ("a8",)),
        (Gemm(17, 64, 64, parse("int4"), parse("int8"), None, True), ("a8",)),
        (gemm(17, 64, 64, "e3m2", "e4m3fn"), ("a8",)),  # the library rounds the sums
    ],
    ids=str,
)
def test_a_library_multiplies_what_it_adds_as_our_kernels_do(own: Gemm, known: tuple[str, ...]) -> None:
    assert kernels_for(own, H200) == known


def test_what_is_priced_is_what_a_build_runs() -> None:
    products = [*some(), gemm(2048, 8192, 8192, "int4", group=128), gemm(8192, 8192, 8192, "int8", "int8")]
    for own in products:
        assert gpu_choice.best(own, H200) == best(own, H200).choice
    assert {best(own, H200).choice.kernel for own in products} == {"a16", "a8", "unpack", "unpack8"}


def test_a_layout_holds_the_choice() -> None:
    """Weights are packed once, for few vectors and many."""
    layout = layout_of(parse("int4"), "float16", 64, 16)
    for m in (1, 16, 64):
        tile = choose(gemm(m, 4096, 4096, "int4"), H200, layout).tile
        assert tile is None or (tile.rows, tile.words) == (64, 16)


def test_groups_are_of_whole_sub_tiles() -> None:
    for own in choices(gemm(1, 4096, 4096, "int4", group=32), H200):
        assert own.tile is None or own.tile.words <= 16


@pytest.mark.parametrize("name", gpus())
def test_no_price_is_below_the_data_sheet(name: str) -> None:
    target = gpu(name)
    for own in some():
        found = best(own, target)
        assert found.seconds > found.moved_bytes / (1e9 * target.memory_gb_per_second)
        assert found.seconds > own.flops / (1e12 * tops(found.arithmetic, target))
        assert found.moved_bytes > found.weight_bytes > own.n * own.k * own.weights.bits / 8


@pytest.mark.parametrize("name", gpus())
@pytest.mark.parametrize(("n", "k"), [(8192, 8192), (28672, 8192)])
def test_no_speed_up_is_above_that_of_the_bits(name: str, n: int, k: int) -> None:
    target = gpu(name)
    for weights, m in product(("int3", "int4", "e2m1", "int6", "int8"), (1, 16)):
        own = gemm(m, n, k, weights)
        wide = dense(m, n, k, "float16", target, Constants()).seconds
        assert wide / best(own, target).seconds < 16 / own.weights.bits


@pytest.mark.parametrize("name", gpus())
def test_fewer_bits_are_never_slower_by_much(name: str) -> None:
    """Of one vector: what an odd width takes more to decode is less than what it saves."""
    found = [best(gemm(1, 28672, 8192, f"int{bits}"), gpu(name)).seconds for bits in range(3, 9)]
    assert all(fewer < NEAR * NEAR * more for fewer, more in pairwise(found))  # one of it for what is chosen


def test_bytes_of_the_weights_by_hand() -> None:
    layout = Layout(4, 2, 64, 16)
    # 130 outputs are 3 tiles of 64; 300 inputs 3 blocks of 128; 64 * 16 words of 4 bytes each
    plain = Gemm(1, 130, 300, parse("int4"), parse("float16"))
    assert weight_bytes(plain, layout) == 3 * 3 * 64 * 16 * 4 + 130 * 4
    grouped = Gemm(1, 130, 300, parse("int4"), parse("float16"), 128, True)
    assert weight_bytes(grouped, layout) == 3 * 3 * 64 * 16 * 4 + 130 * 3 * (2 + 2)


# ---- refusals ------------------------------------------------------------------------------------


def test_a_kernel_that_does_not_take_the_formats() -> None:
    with pytest.raises(ValueError, match=r"^no kernel 'a8' multiplies these formats; known: a16, unpack$"):
        price(gemm(16, 4096, 4096, "int4"), Choice.parse("a8 128x16:w32:s3:k1:t4"), H200)


def test_a_tile_that_was_not_compiled() -> None:
    own = gemm(16, 4096, 4096, "int4")
    known = ", ".join(one.name for one in choices(own, H200) if one.kernel == "a16")
    message = f"'a16 256x16:w32:s3:k1:t4' does not compute this product; known: {known}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        price(own, Choice.parse("a16 256x16:w32:s3:k1:t4"), H200)


def test_weights_that_no_kernel_packs() -> None:
    message = "packed weights have 2 to 8 bits, not those of binary; the nearest is int2"
    with pytest.raises(ValueError, match=f"^{message}$"):
        best(gemm(16, 4096, 4096, "binary"), H200)


def test_a_layout_that_no_kernel_reads() -> None:
    own = gemm(16, 4096, 4096, "int4", "int8")
    layout = layout_of(parse("int4"), "int8", 256, 64)
    message = (
        r"no kernel for int4 on int8 of h200 reads tiles of 256 rows and 64 words;"
        r" the nearest has 128 rows and 32 words"
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        best(own, H200, layout)


def test_a_format_that_was_not_compiled() -> None:
    message = "no kernel was compiled for int2 on int8 of h200; `python -m hwdse.kernels._table` compiles more"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        best(gemm(16, 4096, 4096, "int2", "int8"), H200)


def test_prices_are_values() -> None:
    found = best(gemm(1, 8192, 8192, "int4"), H200)
    assert isinstance(found, Price)
    assert found.bound in ("memory", "L2", "decoding", "tensor cores", "shared memory", "launch")
    assert dispatch.best(gemm(1, 8192, 8192, "int4"), H200) is found  # kept
