"""Sums times their scales: to the last bit what torch makes of them one step at a time, and what `a8` writes."""

import re
from math import nan
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="needs triton")

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, make_backend
from triton.runtime.jit import create_function_from_signature

from hwdse.formats import parse
from hwdse.gemm import Tile
from hwdse.kernels import scale
from hwdse.kernels._packed8 import pack
from hwdse.kernels._sums import OUTPUTS
from tests.kernels.interpreted import interpreted

SHAPES = [(1, 1), (3, 33), (5, 512), (9, 700)]
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(scope="module")
def module() -> ModuleType:
    """The kernel as Python."""
    return interpreted("scale")


def drawn(m: int, n: int, sums: torch.dtype, device: str = "cpu") -> dict[str, Any]:
    """Sums of all sizes, most of them beyond the 24 bits of a float32, and their scales."""
    generator = torch.Generator().manual_seed(m + n)
    own = torch.randint(-(2**30), 2**30, (m, n), generator=generator)
    own >>= torch.randint(0, 24, (m, n), generator=generator)
    given = {
        "sums": own.to(sums),
        "scales": torch.rand(n, generator=generator) * 2.0**-20,
        "x_scales": torch.rand(m, generator=generator),
        "bias": torch.randn(n, generator=generator),
    }
    if sums == torch.int32:
        given["offsets"] = torch.randint(-(2**20), 2**20, (n,), generator=generator, dtype=torch.int32)
    return {"factor": 0.37} | {name: part.to(device) for name, part in given.items()}


def expected(given: dict[str, Any], dtype: torch.dtype) -> Tensor:
    """Triton's interpreter cuts bfloat16 off, where a GPU rounds."""
    if dtype != torch.bfloat16 or given["sums"].is_cuda:
        return scale.reference(**given, dtype=dtype)
    exact = scale.reference(**given)
    return (exact.view(torch.int32) >> 16).to(torch.int16).view(torch.bfloat16)


@pytest.mark.parametrize("dtype", OUTPUTS, ids=str)
@pytest.mark.parametrize("sums", scale.SUMS, ids=str)
@pytest.mark.parametrize(("m", "n"), SHAPES)
def test_every_step_rounds(module: ModuleType, m: int, n: int, sums: torch.dtype, dtype: torch.dtype) -> None:
    given = drawn(m, n, sums)
    assert torch.equal(module.run(**given, dtype=dtype), expected(given, dtype))


@pytest.mark.parametrize(
    "left_out", [("x_scales",), ("bias",), ("offsets",), ("x_scales", "offsets", "bias", "factor")], ids=str
)
def test_what_is_left_out_changes_nothing(module: ModuleType, left_out: tuple[str, ...]) -> None:
    given = {name: part for name, part in drawn(3, 33, torch.int32).items() if name not in left_out}
    found = module.run(**given)
    assert torch.equal(found, scale.reference(**given))
    ones = {"x_scales": torch.ones(3), "offsets": torch.zeros(33).int(), "bias": torch.zeros(33), "factor": 1.0}
    assert torch.equal(found, module.run(**ones | given))


def test_a_bias_may_be_of_16_bits(module: ModuleType) -> None:
    given = drawn(3, 33, torch.float32)
    given["bias"] = given["bias"].half()
    assert torch.equal(module.run(**given), scale.reference(**given))


def test_no_number_stays_in_its_vector(module: ModuleType) -> None:
    given = drawn(3, 33, torch.int32)
    given["x_scales"][1] = nan
    assert module.run(**given).isnan().all(1).tolist() == [False, True, False]


def test_nothing_beyond_is_written(module: ModuleType) -> None:
    given = drawn(5, 33, torch.int32)
    memory = torch.full((5 * 33 + 64,), 77.0)
    arguments = module.arguments(y=memory[32:-32].view(5, 33), **given)
    module.kernel[(2, 1)](**arguments)
    assert torch.equal(memory[32:-32].view(5, 33), scale.reference(**given))
    assert set(torch.cat((memory[:32], memory[-32:])).tolist()) == {77.0}


def test_no_vectors_no_work() -> None:
    assert scale.run(torch.zeros(0, 3, dtype=torch.int32), torch.ones(3)).shape == (0, 3)


@pytest.mark.parametrize("dtype", OUTPUTS, ids=str)
@pytest.mark.parametrize(
    ("weights", "activations"), [("int8", "int8"), ("int4", "int8"), ("e2m3", "int6"), ("int8", "uint8")]
)
def test_the_bits_are_those_of_our_own_product(
    module: ModuleType, weights: str, activations: str, dtype: torch.dtype
) -> None:
    """Of the library's sums, which are the same int32."""
    torch.manual_seed(0)
    a8, decoded = interpreted("a8"), interpreted("unpack8")
    packed = pack(torch.randint(0, 16, (20, 300)).byte(), torch.rand(20), parse(weights), parse(activations), rows=16)
    x, bias = a8.activations(torch.randn(18, 300), packed), torch.randn(20)
    ours = a8.run(x, packed, Tile(16, 16, 32, 1), bias=bias, out=torch.full((18, 20), nan, dtype=dtype))
    sums, scales = torch._int_mm(x.codes, decoded.run(packed).T), packed.scales[0, :20]
    after = {"offsets": None if packed.offsets is None else packed.offsets[0, :20], "bias": bias}
    assert torch.equal(module.run(sums, scales, factor=packed.factor, x_scales=x.scales, **after, dtype=dtype), ours)
    one = torch.full_like(x.scales, 0.1)
    ours = a8.run(type(x)(x.codes, one, x.fmt, x.k, x.own), packed, Tile(16, 16, 32, 1), bias=bias)
    assert torch.equal(module.run(sums, scales, factor=packed.factor * 0.1, **after, dtype=torch.float16), ours)


# ---- what it does not take -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"sums": torch.zeros(4, 3, dtype=torch.int32).T},
            r"sums are dense m x n int32 or float32, not int32 of \(3, 4\) and strides \(1, 3\)",
        ),
        (
            {"sums": torch.zeros(3, 4, dtype=torch.float16)},
            r"sums are dense m x n int32 or float32, not float16 of \(3, 4\) and strides \(4, 1\)",
        ),
        ({"dtype": torch.float64}, r"results are float16, bfloat16, float32, not float64"),
        (
            {"scales": torch.ones(3)},
            r"there are 4 dense scales of outputs of float32, not float32 of \(3,\) and strides \(1,\)",
        ),
        (
            {"x_scales": torch.ones(3).half()},
            r"there are 3 dense scales of vectors of float32, not float16 of \(3,\) and strides \(1,\)",
        ),
        (
            {"sums": torch.zeros(3, 4), "offsets": torch.ones(4).int()},
            r"offsets are added to int32, not to float32",
        ),
        (
            {"bias": torch.ones(8)[::2]},
            r"there are 4 dense numbers of a bias of float16, bfloat16, float32,"
            r" not float32 of \(4,\) and strides \(2,\)",
        ),
        (
            {"scales": torch.ones(4, device="meta")},
            r"scales of outputs are on the device of the sums, cpu, not on meta",
        ),
    ],
)
def test_what_it_does_not_take(other: dict[str, Any], message: str) -> None:
    given = {"sums": torch.zeros(3, 4, dtype=torch.int32), "scales": torch.ones(4)}
    with pytest.raises(ValueError, match=f"^{message}$"):
        scale.run(**given | other)


# ---- compiled, and on a GPU ----------------------------------------------------------------------


def test_a_gpu_reads_16_bytes_at_a_time_and_rounds_every_step(tmp_path: Path) -> None:
    kernel, target = scale.kernel, GPUTarget("cuda", 90, 32)
    given = drawn(64, 1024, torch.int32)
    given = scale.arguments(y=torch.empty(64, 1024, dtype=torch.float16), **given) | scale.OPTIONS
    backend = make_backend(target)
    bound, key, options = create_function_from_signature(kernel.signature, kernel.params, backend)(**given)
    parsed, *parts = kernel._pack_args(backend, given, bound, key, options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", str(tmp_path))
        ptx = triton.compile(ASTSource(kernel, *parts), target=target, options=vars(parsed)).asm["ptx"]
    wide = re.findall(r"ld\.global\.\S*v4\.b32", ptx)
    assert len(wide) >= scale.VECTORS * scale.COLUMNS // (32 * scale.WARPS * 4)  # four sums of a thread at once
    assert set(re.findall(r"st\.global\.(\S+)", ptx)) <= {"v4.b32", "v2.b32"}
    assert "fma" not in ptx


@gpu
@pytest.mark.parametrize("dtype", OUTPUTS, ids=str)
@pytest.mark.parametrize("sums", scale.SUMS, ids=str)
@pytest.mark.parametrize(("m", "n"), [*SHAPES, (513, 4096)])
def test_a_gpu_gives_the_same_bits(m: int, n: int, sums: torch.dtype, dtype: torch.dtype) -> None:
    given = drawn(m, n, sums, "cuda")
    assert torch.equal(scale.run(**given, dtype=dtype), expected(given, dtype))
