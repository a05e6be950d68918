"""Our kernels as the benchmark times them, interpreted on small shapes: built, run and compared for real."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from types import ModuleType

import pytest
import torch

pytest.importorskip("triton", reason="needs triton")

from hwdse.dispatch import DENSE
from hwdse.formats import Format, known_formats, limits, parse
from hwdse.gemm import Tile
from hwdse.gpu_measurements import Point
from hwdse.gpu_speed import passes
from hwdse.gpu_speed.measuring import built, checked, measure
from hwdse.gpu_speed.ours import deviation, random8, random16, some, spread, work
from hwdse.gpu_speed.plan import gemm
from hwdse.gpu_speed.work import AbsentError
from tests.kernels.interpreted import interpreted

CPU = torch.device("cpu")
TILE = "16x{columns}:w8:s2:k{split}:t4"
M, N, K = 3, 40, 192
PRODUCTS = (
    ("a16 float16", "int4", "float16", None, 1),
    ("a16 float16", "int3", "float16", 32, 2),
    ("a16 float16", "e3m2", "float16", None, 2),
    ("gemv float16", "int4", "float16", None, 2),
    ("unpack float16", "int8", "float16", None, 1),
    ("unpack float16", "e2m1", "float16", 64, 1),
    ("a8 int8", "int4", "int8", None, 2),
    ("unpack8 int8", "int4", "int8", None, 1),
    ("unpack8 int8", "int8", "int8", None, 1),
    ("unpack8 int8", "int4", "uint8", None, 1),
    ("a8 int8", "int4", "uint8", None, 2),
    ("unpack float16", "int4", "int8", None, 1),
    ("unpack8 fp8", "e4m3fn", "e4m3fn", None, 1),
    ("a8 int8", "e2m1", "int8", None, 1),
    ("a8 fp8", "e4m3fn", "e4m3fn", None, 1),
    ("a8 fp8", "e2m1", "e2m3", None, 1),
    ("a16 float16", "e2m1", "e2m3", None, 1),
    ("a8 fp8", "int4", "e4m3fn", None, 1),
    ("unpack8 fp8", "int4", "e4m3fn", None, 1),
    ("unpack float16", "int4", "float16", 32, 1),
)

GROUPED = "weights that are drawn have no groups where a library or uint8 activations multiply them"

load: Callable[[str], ModuleType] = cache(interpreted)
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def made(by: str, weights: str, activations: str, group: int | None, split: int) -> Point:
    """A small product by a kernel and its arithmetic; what makes weights dense has no tile, as of the dispatcher."""
    kernel, arithmetic = by.split()
    tile = "" if kernel in DENSE else TILE.format(columns=1 if kernel == "gemv" else 16, split=split)
    return Point(kernel, M, N, K, weights, activations, group, tile, arithmetic)


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: " ".join(map(str, product)))
def test_a_product_is_checked(product: tuple[str, str, str, int | None, int]) -> None:
    own = work(made(*product), lambda moved: 2, CPU, load)
    error = checked(own)
    assert error is not None
    assert error <= own.tolerance
    first, second = (call() for call in own.calls)
    assert torch.equal(first, second)  # of copies of the same weights
    assert first.shape == (M, N)
    assert 0.3 < float(first.float().std()) < 3  # normal numbers times weights that are made for this


def test_a_wrong_kernel_is_found() -> None:
    own = work(made("a16 float16", "int4", "float16", None, 1), lambda moved: 1, CPU, load)
    call = own.calls[0]
    assert checked(own) is not None
    own = type(own)((lambda: call() * 1.01,), own.moved, own.expected, own.tolerance)
    with pytest.raises(ArithmeticError, match=r"^wrong: relative error \d\.\d\de-0[23], not at most 1\.95e-03$"):
        checked(own)


@pytest.mark.parametrize(("kernel", "name"), [("quantise", "int4"), ("quantise", "e4m3fn"), ("fake_quantize", "e2m1")])
def test_a_pass_is_checked(monkeypatch: pytest.MonkeyPatch, kernel: str, name: str) -> None:
    monkeypatch.setattr(passes, "import_module", lambda name: load(name.rpartition(".")[2]))
    own = built(Point(kernel, 5, 1, 64, activations=name), lambda moved: 2, CPU)
    assert checked(own) == 0.0
    written = {"quantise": 5 * (64 * 1 + 4), "fake_quantize": 5 * 64 * 4}
    read = {"quantise": 5 * 64 * 2, "fake_quantize": 5 * 64 * 4}
    assert own.moved == read[kernel] + written[kernel]
    assert len(own.calls) == 2


def test_bytes_are_those_of_the_packed_weights_and_scales() -> None:
    own = work(replace(made("unpack float16", "int4", "float16", 32, 1), n=64, k=128), lambda moved: 1, CPU, load)
    assert own.moved == 64 * 128 // 2 + 2 * 64 * 128 // 32  # half a byte each, and a float16 for each group


@pytest.mark.parametrize("activations", ["float16", "int8"])
def test_the_words_of_some_outputs_are_theirs(activations: str) -> None:
    make = random16 if activations == "float16" else random8
    packed = make(gemm(1, N, K, "int5", activations), activations, Tile.parse(TILE.format(columns=16, split=1)), CPU)
    columns = spread(N, CPU)
    assert columns[[0, -1]].tolist() == [0, N - 1]
    assert torch.equal(some(packed, columns), packed.dense()[columns])


def test_weights_of_a_format_with_nan_have_none() -> None:
    packed = random8(gemm(1, N, K, "e4m3fn", "e4m3fn"), "fp8", Tile.parse(TILE.format(columns=16, split=1)), CPU)
    assert packed.dense().isfinite().all()
    assert packed.dense().unique().numel() > 200


@pytest.mark.parametrize("name", ["int4", "int3", "uint3"])
def test_integers_on_8_bit_floats_are_all_that_have_a_sign_and_a_magnitude(name: str) -> None:
    packed = random8(gemm(1, N, K, name, "e4m3fn"), "fp8", Tile.parse(TILE.format(columns=16, split=1)), CPU)
    whole = packed.dense()[0] / packed.scales[0, 0].double()
    low, high = limits(parse(name), narrow=True)
    assert whole.unique().tolist() == list(range(int(low), int(high) + 1))


@pytest.mark.parametrize("fmt", [fmt for fmt in known_formats(bits=range(3, 9)) if fmt.exponent < 6], ids=str)
def test_every_random_word_stands_for_numbers(fmt: Format) -> None:
    tile = Tile.parse(TILE.format(columns=16, split=1))
    packed = random16(gemm(1, 16, 512, fmt.name, "float16"), "float16", tile, CPU)
    dense = some(packed, spread(16, CPU))
    assert dense.isfinite().all()
    assert dense[0].unique().numel() > 2 ** (fmt.bits - 2)


def test_what_a_kernel_does_not_decode_for_says_so() -> None:
    with pytest.raises(AbsentError, match=r"^gemv does not decode for int8$"):
        work(made("gemv int8", "int4", "int8", None, 1), lambda moved: 1, CPU, load)


@pytest.mark.parametrize(
    ("by", "weights", "activations", "group", "message"),
    [
        ("unpack8 int8", "uint8", "int8", None, "weights that are drawn are not uint8, which have zero points"),
        ("a8 int8", "uint8", "int8", 128, "weights that are drawn are not uint8, which have zero points"),
        ("unpack8 int8", "int4", "int8", 64, GROUPED),
        ("a8 int8", "int4", "uint8", 128, GROUPED),
    ],
)
def test_what_drawn_weights_do_not_have(
    by: str, weights: str, activations: str, group: int | None, message: str
) -> None:
    point = replace(
        made(by, weights, activations, group, 1), tile="" if by.startswith("unpack") else "16x16:w32:s2:k1:t4"
    )
    with pytest.raises(AbsentError, match=f"^{message}$"):
        work(point, lambda moved: 1, CPU, load)


def test_the_deviation_of_a_format() -> None:
    assert deviation(parse("int2")) == pytest.approx((6 / 4) ** 0.5)  # -2, -1, 0, 1


TIMED = ("a16 float16", "gemv float16", "unpack float16", "a8 int8", "a8 fp8", "unpack8 int8", "unpack8 fp8")


@gpu
@pytest.mark.parametrize("by", TIMED)
def test_a_gpu_times_it(by: str) -> None:
    """Of as many vectors and outputs as every library takes."""
    if by.endswith("fp8") and torch.cuda.get_device_capability() < (8, 9):
        pytest.skip("needs a GPU with 8-bit floats")
    product = next(one for one in PRODUCTS if one[0] == by)
    answer = measure(replace(made(*product), m=1 if by.startswith("gemv") else 32, n=64), compile_only=False)
    assert answer.error is not None, answer.note
    assert answer.seconds is not None
    assert 0 < answer.seconds < 1e-2
