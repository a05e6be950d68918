"""Activations are quantised as `formats.quantise` rounds, into exactly the numbers that a tensor core reads.

Interpreted here for all formats, compiled for a GPU that need not be there, and run where there is one.
"""

import re
from collections.abc import Iterator
from math import inf, nan
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="needs triton")

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, make_backend
from triton.runtime.jit import create_function_from_signature

from hwdse.formats import Format, known_formats, limits, parse, values
from hwdse.formats import quantise as nearest
from hwdse.kernels import quantise
from hwdse.kernels.quantise import LONGEST, Quantised, shape, warps
from hwdse.paths import OPERANDS, embed
from tests.kernels.interpreted import interpreted as as_python

SIGNED = (*known_formats(bits=range(3, 9)), parse("e4m3fn"), parse("e5m2ieee"))
UNSIGNED = (parse("uint4"), parse("uint8"), parse("ue1m7"), parse("ue2m2"), parse("ue4m1"), parse("ue7m1"))
PAIRS = [(fmt, name) for fmt in (*SIGNED, *UNSIGNED) for name in OPERANDS if embed(fmt, name)]
SOME = [pair for pair in PAIRS if (pair[0].name, pair[1]) in {("int4", "int8"), ("e2m1", "e4m3fn"), ("uint8", "int8")}]
SCALE = float(np.float32(0.3))

each_pair = pytest.mark.parametrize(("fmt", "operand"), PAIRS, ids=lambda part: getattr(part, "name", part))
some_pairs = pytest.mark.parametrize(("fmt", "operand"), SOME, ids=lambda part: getattr(part, "name", part))
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(scope="module")
def interpreted() -> ModuleType:
    return as_python("quantise")


def inputs(fmt: Format, scale: float) -> Tensor:
    """Two rows: the grid, its midpoints and their neighbours, beyond it, and random numbers."""
    grid = np.array(values(fmt), np.float32)
    numbers = np.concatenate((grid, (grid[1:] + grid[:-1]) / 2)).astype(np.float32) * np.float32(scale)
    near = np.concatenate((numbers, np.nextafter(numbers, np.float32(inf)), np.nextafter(numbers, np.float32(-inf))))
    beyond = np.array([0.0, -0.0, 1e-40, -1e-40, 3e38, -3e38, 1.5 * grid[-1]], np.float32)
    spread = np.random.default_rng(0).normal(size=255).astype(np.float32) * grid[-1] * np.float32(scale)
    row = torch.from_numpy(np.concatenate((near, beyond, spread)))
    return torch.stack((row, -row.flip(0)))


def same(one: Quantised, other: Quantised) -> bool:
    """All bits; one NaN is as good as another, and there is one in the scales alone."""
    assert one.codes.dtype == other.codes.dtype
    kind = {1: torch.uint8, 2: torch.int16}[one.codes.element_size()]
    sums = one.sums is None or other.sums is None or torch.equal(one.sums.cpu(), other.sums.cpu())
    scales = torch.equal(one.scales.cpu().nan_to_num(-1.0), other.scales.cpu().nan_to_num(-1.0))
    return torch.equal(one.codes.cpu().view(kind), other.codes.cpu().view(kind)) and scales and sums


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A GPU gives infinity without a warning."""
    with np.errstate(over="ignore"):
        yield


@each_pair
def test_rounds_as_the_formats_do(interpreted: ModuleType, fmt: Format, operand: str) -> None:
    x = inputs(fmt, SCALE)
    padded = -(-x.shape[1] // 64) * 64
    found = interpreted.run(x, fmt, operand, SCALE, padded)
    expected = nearest(fmt, (x / torch.tensor(SCALE)).numpy())  # divided in float32, as Brevitas does
    assert np.array_equal(found.numbers().numpy() * 2.0**found.own.exponent, expected)
    assert found.codes.shape == (2, padded)
    assert not found.codes[:, x.shape[1] :].float().any()
    assert same(found, quantise.reference(x, fmt, operand, SCALE, padded))


@some_pairs
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("m", "k", "padded"), [(1, 1, 64), (5, 100, 128), (17, 256, 256), (2, 5000, 5120)])
def test_each_vector_has_the_scale_of_its_largest_number(
    interpreted: ModuleType, fmt: Format, operand: str, dtype: torch.dtype, m: int, k: int, padded: int
) -> None:
    torch.manual_seed(0)
    x = (torch.randn(m, k) * torch.logspace(-3, 3, m)[:, None]).to(dtype)
    x[-1] = 0
    sums = operand == "int8"
    found = interpreted.run(x, fmt, operand, None, padded, sums=sums)
    assert same(found, quantise.reference(x, fmt, operand, None, padded))
    high = limits(fmt)[1]
    largest = (x.float().abs() if fmt.signed else x.float().clamp_min(0)).amax(1)
    assert torch.equal(found.scales, (largest / high).clamp_min(2.0**-126))
    if sums:
        assert torch.equal(found.sums[:, 0].double(), found.numbers().sum(1))


@pytest.mark.parametrize("scale", [None, SCALE])
def test_long_vectors_take_two_passes_and_give_the_same(
    interpreted: ModuleType, monkeypatch: pytest.MonkeyPatch, scale: float | None
) -> None:
    x = torch.randn(3, 700)
    expected = quantise.reference(x, parse("uint8"), "int8", scale, 768, 64)
    for longest, once in ((LONGEST, True), (256, False)):
        vars(interpreted)["LONGEST"] = longest
        vars(interpreted)["TOGETHER"] = 256
        assert interpreted.shape(768)[2] == once
        assert same(interpreted.run(x, parse("uint8"), "int8", scale, 768, 64, sums=True), expected)
        whole = interpreted.run(x, parse("uint8"), "int8", scale, 768, sums=True)
        assert expected.sums is not None
        assert torch.equal(whole.sums[:, 0], expected.sums.sum(1).int())
    vars(interpreted)["LONGEST"], vars(interpreted)["TOGETHER"] = LONGEST, quantise.TOGETHER


@some_pairs
@pytest.mark.parametrize("scale", [None, SCALE])
def test_what_is_no_number_marks_its_vector(
    interpreted: ModuleType, fmt: Format, operand: str, scale: float | None
) -> None:
    x = torch.ones(4, 40)
    x[0, 3], x[1, 4], x[2, 5] = nan, inf, -inf
    found = interpreted.run(x, fmt, operand, scale)
    unbounded = scale is None
    assert found.scales.isnan().tolist() == [True, unbounded, unbounded and fmt.signed, False]
    assert same(found, quantise.reference(x, fmt, operand, scale))
    if not unbounded:
        assert found.dense()[1, 4] == limits(fmt)[1] * SCALE


def test_full_range_integers_have_their_lowest(interpreted: ModuleType) -> None:
    x = torch.tensor([[-9.0, -8.0, 7.0, 9.0]])
    found = interpreted.run(x, parse("int4"), "int8", 1.0, narrow=False)
    assert found.codes.tolist() == [[-8, -8, 7, 7]]
    assert same(found, quantise.reference(x, parse("int4"), "int8", 1.0, narrow=False))
    assert interpreted.run(x, parse("int4"), "int8", 1.0).codes.tolist() == [[-7, -7, 7, 7]]


def test_nothing_beyond_is_written(interpreted: ModuleType) -> None:
    """The launch that `run` makes, into the middle of poisoned tensors."""
    x, fmt = torch.randn(3, 50), parse("int8")
    codes, scales, sums = torch.full((5, 64), 99, dtype=torch.int8), torch.full((5,), 99.0), torch.full((5, 1), 99)
    within = Quantised(codes[1:4], scales[1:4], fmt, 50, quantise.reference(x, fmt, "int8").own, sums[1:4].int())
    interpreted.kernel[(1,)](**interpreted.arguments(x, within, None, 0, True))
    assert same(within, quantise.reference(x, fmt, "int8", None, 64))
    assert set(codes[::4].flatten().tolist()) == {99}
    assert scales[::4].tolist() == [99.0, 99.0]


def test_a_program_has_enough_numbers_and_not_too_many() -> None:
    assert shape(64) == (16, 64, True)
    assert shape(4096) == (1, 4096, True)
    assert shape(14336) == (1, 16384, True)
    assert shape(28672) == (1, 4096, False)
    assert [warps(padded) for padded in (64, 4096, 8192, 14336, 28672)] == [4, 4, 8, 16, 4]


@pytest.mark.parametrize(
    ("fmt", "operand", "options", "message"),
    [
        ("e2m5", "int8", {}, r"e2m5 activations are numbers of float16, bfloat16, not of int8"),
        ("int8", "int8", {"padded": 3}, r"vectors of 4 numbers are padded to at least as many, not 3"),
        ("e2m1", "e4m3fn", {"sums": True}, r"int8 numbers are summed up exactly, not those of e4m3fn"),
        ("int8", "int8", {"group": 48}, r"a group has a power of two of inputs, at most 4096, not 48"),
    ],
)
def test_what_it_does_not_take(fmt: str, operand: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        quantise.run(torch.zeros(2, 4), parse(fmt), operand, 1.0, **options)


def test_a_tensor_that_it_does_not_take() -> None:
    message = (
        r"^activations are m x k float16, bfloat16 or float32 with contiguous vectors, not float32"
        r" of shape \(4, 2\) and strides \(1, 4\)$"
    )
    with pytest.raises(ValueError, match=message):
        quantise.run(torch.zeros(2, 4).T, parse("int8"), "int8", 1.0)


# ---- compiled: what a GPU would run --------------------------------------------------------------


@pytest.mark.parametrize("k", [4096, 14336])
def test_a_gpu_reads_16_bytes_at_a_time_and_rounds_as_it_should(k: int, tmp_path: Path) -> None:
    x, fmt = torch.empty(50, k, dtype=torch.float16), parse("int8")
    codes = torch.empty(50, k, dtype=torch.int8)
    result = Quantised(codes, torch.empty(50), fmt, k, quantise.reference(x[:1], fmt, "int8", 1.0).own)
    target = GPUTarget("cuda", 90, 32)
    kernel, backend = quantise.kernel, make_backend(target)
    given = quantise.arguments(x, result, None, 0, True) | {"num_warps": warps(k)} | quantise.OPTIONS
    bound, key, options = create_function_from_signature(kernel.signature, kernel.params, backend)(**given)
    parsed, *parts = kernel._pack_args(backend, given, bound, key, options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", str(tmp_path))
        ptx = triton.compile(ASTSource(kernel, *parts), target=target, options=vars(parsed)).asm["ptx"]
    assert set(re.findall(r"\b(?:div|rcp|fma)\.[\w.]+", ptx)) == {"div.rn.f32"}
    assert len(re.findall(r"ld\.global\.v4\.b32", ptx)) == 4  # 32 numbers of each thread, 8 a load
    assert len(re.findall(r"st\.global\.v4\.b32", ptx)) == 2
    assert "cvt.rzi" not in ptx  # no conversions to integers: they would be four times as slow


# ---- on a GPU ------------------------------------------------------------------------------------


@gpu
@each_pair
def test_a_gpu_gives_the_same_bits(fmt: Format, operand: str) -> None:
    x = inputs(fmt, SCALE)
    for scale in (SCALE, None):
        assert same(
            quantise.run(x.cuda(), fmt, operand, scale, sums=operand == "int8"),
            quantise.reference(x, fmt, operand, scale),
        )
