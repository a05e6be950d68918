"""Choices: what may compute a product, which is taken, and what its price cannot undercut."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product

import pytest

from hwdse import compiled, dispatch, gpu_choice, gpu_points
from hwdse.decode_steps import layout_of
from hwdse.dispatch import NEAR, Price, arithmetics, best, choices, choose, kernels_for, price, ranked
from hwdse.formats import parse
from hwdse.gemm import Choice, Gemm, Tile
from hwdse.gpu_time import Constants, pass_over, time
from hwdse.gpu_work import dense, tops, unpacked, weight_bytes
from hwdse.packing import Layout
from hwdse.target import gpu, gpus
from hwdse.weight_codes import Packing

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
        ("int4", "int8", "h200", "int8 float16"),
        ("int4", "int8", "a100", "int8 float16"),
        ("e2m3", "e2m3", "h200", "int8 fp8 float16"),
        ("e2m3", "e2m3", "a100", "int8 float16"),
        ("e3m2", "e4m3fn", "h200", "fp8 float16"),
        ("e3m2", "e4m3fn", "l40s", "fp8 float16"),
        ("e3m2", "e4m3fn", "a100", "float16"),
        ("e3m4", "int8", "h200", "float16"),  # no 8-bit arithmetic has so many exponents and mantissas
        ("e6m1", "int8", "h200", "bfloat16"),
    ],
)
def test_all_that_multiplies_exactly_is_listed(weights: str, activations: str, name: str, expected: str) -> None:
    own = gemm(8, 4096, 4096, weights, activations)
    assert arithmetics(own, gpu(name)) == tuple(expected.split())
    known = kernels_for(own, gpu(name))
    assert tuple(dict.fromkeys(arithmetic for _, arithmetic in known)) == tuple(expected.split())
    assert all((kernel == "a8") == (arithmetic in ("int8", "fp8")) for kernel, arithmetic in known)


def test_sums_that_an_int32_does_not_hold_are_floats() -> None:
    assert arithmetics(gemm(1, 8, 2**20, "int8", "uint8"), H200) == ("float16",)
    assert arithmetics(gemm(1, 8, 2**20, "int8", "uint8", 128), H200) == ("int8", "float16")


def test_neither_zero_points_nor_full_ranges_are_on_8_bit_floats() -> None:
    whole = Gemm(8, 4096, 4096, parse("int3"), parse("e4m3fn"))
    assert arithmetics(whole, H200) == ("fp8", "float16")
    assert arithmetics(replace(whole, zero_points=True), H200) == ("float16",)
    assert arithmetics(replace(whole, full=True), H200) == ("float16",)


@pytest.mark.parametrize(("weights", "activations"), [("e2m1", "e2m1"), ("e2m3", "e2m3"), ("e2m1", "ue2m2")])
def test_what_decodes_in_fewer_instructions_is_chosen_though_int8_is_exact(weights: str, activations: str) -> None:
    """Minifloats become integers in several steps, and 8-bit floats in one or two."""
    own = gemm(16, 8192, 8192, weights, activations)
    prices = [price(own, choice, H200) for choice in choices(own, H200)]
    integers = min(one.seconds for one in prices if one.choice.arithmetic == "int8")
    chosen = best(own, H200)
    assert chosen.choice.arithmetic != "int8"
    assert chosen.seconds < 0.7 * integers


def test_of_times_that_are_near_sums_of_fp8_are_the_last() -> None:
    tile, seconds = Tile(64, 16, 16, 2), {"fp8": 1.0, "int8": 1.01, "float16": 1.03}
    prices = {
        own: Price(Choice("a8", own, tile), time, "memory", own == "fp8", 100, 100) for own, time in seconds.items()
    }
    assert ranked(list(prices.values())) == [prices["int8"], prices["fp8"], prices["float16"]]


def test_only_a_few_vectors_go_without_tensor_cores() -> None:
    found = [("gemv", "float16") in kernels_for(gemm(m, 4096, 4096, "int4"), H200) for m in (1, 4, 5)]
    assert found == [True, True, False]


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
        rows: Price(Choice("a16", "float16", Tile(rows, 16, 16, 2)), seconds, "memory", False, bytes_, bytes_)
        for rows, (seconds, bytes_) in times.items()
    }
    assert ranked(list(prices.values())) == [prices[256], prices[64], prices[128], prices[32]]
    assert ranked([]) == []


def test_large_products_are_unpacked() -> None:
    assert choose(gemm(8192, 8192, 8192, "int4"), H200) == Choice("unpack", "float16")
    assert choose(gemm(8192, 8192, 8192, "int8", "int8"), H200) == Choice("unpack8", "int8")
    for weights, activations in (("e4m3fn", "e4m3fn"), ("e4m3fn", "e5m2ieee")):
        assert choose(gemm(8192, 8192, 8192, weights, activations), H200) == Choice("unpack8", "fp8")
    assert choose(gemm(16, 8192, 8192, "int4"), H200).kernel == "a16"


@pytest.mark.parametrize("weights", ["int3", "int5", "e2m2", "e5m2"])
def test_groups_are_unpacked_where_decoding_again_and_again_takes_longer(weights: str) -> None:
    for group, floats in product((32, 64, 128), ("float16", "bfloat16")):
        assert choose(gemm(8192, 8192, 8192, weights, floats, group), H200) == Choice("unpack", floats)
        assert choose(gemm(16, 8192, 8192, weights, floats, group), H200).kernel == "a16"


@pytest.mark.parametrize("group", [None, 128])
def test_of_unpacked_weights_every_kernel_is_priced(group: int | None) -> None:
    """Decoding, and the library's product: scales are in the weights."""
    own, constants = gemm(512, 8192, 4096, "int4", group=group), Constants()
    (code,) = compiled.of("unpack", own.weights, "float16", group is not None, 90)
    assert code.grouped is (group is not None)
    packed = weight_bytes(own, layout_of(own.weights, "float16", code.tile.rows, code.tile.words))
    parts = (
        time(unpacked(own, code, packed, H200), H200, constants).seconds,
        dense(512, 8192, 4096, "float16", H200, constants).seconds,
    )
    assert price(own, Choice("unpack", "float16"), H200, constants).seconds == pytest.approx(sum(parts), rel=1e-12)


def test_passes_over_the_sums_are_priced_where_there_are_any() -> None:
    """A bias, the scale of activations, in bfloat16 that of an output: 2 bytes more written, 4 read, 2 written."""
    own, constants = gemm(512, 8192, 4096, "int4"), Constants()
    grouped = replace(own, group=128)
    alone, more = (price(one, Choice("unpack", "float16"), H200, constants).seconds for one in (own, grouped))
    once = pass_over(512 * 8192 * 8, H200, constants)
    for other, least in ((own, alone), (grouped, more)):
        for changed in (replace(other, bias=True), replace(other, activations=parse("int8"))):
            found = price(changed, Choice("unpack", "float16"), H200, constants)
            assert found.seconds == pytest.approx(least + once)
            assert found.rough == (other.group is not None)
    brain = [
        price(gemm(512, 8192, 4096, "int4", "bfloat16", group), Choice("unpack", "bfloat16"), H200, constants)
        for group in (None, 128)
    ]
    assert [one.rough for one in brain] == [False, True]
    assert brain[0].seconds > brain[1].seconds


def test_scales_of_groups_are_part_of_the_price() -> None:
    for name in gpus():
        products = (gemm(512, 8192, 8192, "int4", group=group) for group in (None, 32))
        channel, group = (price(own, Choice("unpack", "float16"), gpu(name)) for own in products)
        assert channel.seconds < group.seconds < 1.1 * channel.seconds


@pytest.mark.parametrize(
    ("own", "known"),
    [
        (gemm(64, 64, 64, "int4"), ("a16", "unpack")),
        (gemm(4, 64, 64, "int4", group=64), ("a16", "gemv", "unpack")),
        (gemm(17, 64, 64, "int4", "int8"), ("a8", "unpack8")),
        (gemm(17, 64, 64, "e2m3", "uint7"), ("a8", "unpack8")),
        (gemm(16, 64, 64, "int4", "int8"), ("a8",)),  # torch._int_mm takes 17 vectors
        (gemm(17, 60, 64, "int4", "int8"), ("a8",)),  # and 8 outputs
        (gemm(17, 64, 64, "int4", "int8", 64), ("a8",)),
        (gemm(17, 64, 64, "uint8", "int8"), ("a8",)),  # stored less 128, which sums of activations correct
        (gemm(17, 64, 64, "int4", "uint8"), ("a8", "unpack8")),  # stored less 128, which a sum of weights corrects
        (Gemm(17, 64, 64, parse("int4"), parse("int8"), None, True), ("a8",)),
        (gemm(17, 64, 64, "e3m2", "e4m3fn"), ("a8", "unpack8")),
        (gemm(17, 64, 64, "e5m2ieee", "e4m3fn"), ("a8", "unpack8")),
        (gemm(17, 64, 64, "e5m2ieee", "e5m2ieee"), ("a8",)),  # cuBLAS does not multiply these two
        (gemm(17, 72, 64, "e3m2", "e4m3fn"), ("a8",)),  # torch._scaled_mm takes 16 outputs
        (gemm(17, 64, 64, "e3m2", "e4m3fn", 64), ("a8",)),
    ],
    ids=str,
)
def test_a_library_multiplies_what_it_adds_as_our_kernels_do(own: Gemm, known: tuple[str, ...]) -> None:
    """By what multiplies most narrowly."""
    found = kernels_for(own, H200)
    assert tuple(kernel for kernel, arithmetic in found if arithmetic == found[0][1]) == known


def test_weights_of_8_bits_are_no_pass_of_their_own() -> None:
    """A library multiplies them as they are; then its sums, of 4 bytes, become results of 2."""
    constants, m, n, k = gpu_points.constants(H200.name), 512, 8192, 8192
    library = dense(m, n, k, "int8", H200, constants).seconds
    scaled = pass_over(6 * m * n, H200, constants)
    ready, decoded = (
        price(gemm(m, n, k, fmt, "int8"), Choice("unpack8", "int8"), H200).seconds for fmt in ("int8", "int4")
    )
    assert ready == pytest.approx(library + scaled)
    assert decoded > library + scaled + pass_over(3 * n * k // 2, H200, constants)  # half a byte read, one written


def test_what_is_priced_is_what_a_build_runs() -> None:
    products = [*some(), gemm(2048, 8192, 8192, "int4", group=128), gemm(8192, 8192, 8192, "int8", "int8")]
    for own in products:
        assert gpu_choice.best(own, H200) == best(own, H200).choice
    assert {best(own, H200).choice.kernel for own in products} == {"a16", "a8", "unpack", "unpack8"}


PACKED = ("int8", "int4", "int3", "int5", "e2m1", "e2m2", "e3m2", "e4m3fn")


@pytest.mark.parametrize("name", gpus())
@pytest.mark.parametrize("weights", PACKED)
def test_what_is_packed_for_many_vectors_serves_a_few(weights: str, name: str) -> None:
    """By kernels that were compiled, at half the speed at least: minifloats take that long to become int8."""
    target = gpu(name)
    for activations, group in product(("float16", "bfloat16", "int8", "e4m3fn"), (None, 128)):
        many = gemm(2048, 4096, 4096, weights, activations, group)
        packing = gpu_choice.packing_of(many, target)
        assert dispatch.choices(many, target, packing)
        for m in (1, 16):
            few = replace(many, m=m)
            held, free = best(few, target, packing), best(few, target)
            assert held.choice.kernel not in dispatch.DENSE
            assert held.seconds < 2 * free.seconds


def test_how_weights_are_packed_holds_the_choice() -> None:
    """They are once, for few vectors and many."""
    for m in (1, 16, 64):
        tile = choose(gemm(m, 4096, 4096, "int4"), H200, Packing(parse("int4"), "float16 64:w16")).tile
        assert tile is None or (tile.rows, tile.words) == (64, 16)
    for operand, arithmetic in (("int8", "int8"), ("e4m3fn", "fp8"), ("float16", "float16")):
        packing = Packing(parse("e2m1"), f"{operand} 64:w8")
        found = choices(gemm(16, 4096, 4096, "e2m1", "e2m1"), H200, packing)
        assert {one.arithmetic for one in found} == {arithmetic}


def test_groups_are_of_whole_sub_tiles() -> None:
    for own in choices(gemm(1, 4096, 4096, "int4", group=32), H200):
        assert own.tile is None or own.tile.words <= 16


@pytest.mark.parametrize("name", gpus())
def test_no_price_is_below_the_data_sheet(name: str) -> None:
    target = gpu(name)
    for own in some():
        found = best(own, target)
        assert found.seconds > found.moved_bytes / (1e9 * target.memory_gb_per_second)
        assert found.seconds > own.flops / (1e12 * tops(found.choice.arithmetic, target))
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
    wide = replace(grouped, wide_scales=True)
    assert weight_bytes(wide, layout) == weight_bytes(grouped, layout) + 130 * 3 * 2


# ---- refusals ------------------------------------------------------------------------------------


def test_a_kernel_that_does_not_take_the_formats() -> None:
    message = r"^no kernel 'a8 int8' multiplies these formats; known: a16 float16, unpack float16$"
    with pytest.raises(ValueError, match=message):
        price(gemm(16, 4096, 4096, "int4"), Choice.parse("a8 int8 128x16:w32:s3:k1:t4"), H200)


def test_a_tile_that_was_not_compiled() -> None:
    own = gemm(16, 4096, 4096, "int4")
    known = ", ".join(one.name for one in choices(own, H200) if one.kernel == "a16")
    message = f"'a16 float16 256x16:w32:s3:k1:t4' does not compute this product; known: {known}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        price(own, Choice.parse("a16 float16 256x16:w32:s3:k1:t4"), H200)


def test_weights_that_no_kernel_packs() -> None:
    message = "packed weights have 2 to 8 bits, not those of binary; the nearest is int2"
    with pytest.raises(ValueError, match=f"^{message}$"):
        best(gemm(16, 4096, 4096, "binary"), H200)


def test_packed_weights_that_no_kernel_reads() -> None:
    own = gemm(16, 4096, 4096, "int4", "int8")
    message = (
        r"no kernel for int4 on int8 or float16 of h200 reads int8 tiles of 256 rows and 64 words;"
        r" the nearest has 128 rows and 32 words"
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        best(own, H200, Packing(parse("int4"), "int8 256:w64"))


def test_a_format_that_was_not_compiled() -> None:
    message = (
        "no kernel was compiled for int2 on int8 or float16 of h200; `python -m hwdse.kernels._table` compiles more"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        best(gemm(16, 4096, 4096, "int2", "int8"), H200)


def test_prices_are_values() -> None:
    found = best(gemm(1, 8192, 8192, "int4"), H200)
    assert isinstance(found, Price)
    assert found.bound in ("memory", "L2", "decoding", "tensor cores", "shared memory", "launch")
    assert dispatch.best(gemm(1, 8192, 8192, "int4"), H200) is found  # kept
