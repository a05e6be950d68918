"""The Triton kernel gives the numbers of Brevitas and the bits of the loop in C++.

It is interpreted here, compiled for a GPU that need not be there, and run where there is one.
"""

import re
from collections.abc import Iterable
from importlib import import_module
from math import inf, nan
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

from hwdse import fused
from hwdse.activations import Activations, Visit, same
from hwdse.design import Quantizer
from hwdse.formats import Format
from hwdse.fused import Fused
from hwdse.kernels import fake_quantize
from tests.hwdse.test_fused import FORMATS, calibrated, numbers
from tests.kernels.interpreted import interpreted as as_python

HOPPER = GPUTarget("cuda", 90, 32)
SPECIAL = torch.tensor([0.0, -0.0, 1e-45, -1e-45, 1e-40, -1e-39, 8388607.5, 3.4e38, -3.4e38, inf, -inf, nan])
INTERPRETED_BLOCK = 1 << 14  # a program takes the interpreter as long whatever its size is

each_format = pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
some_formats = pytest.mark.parametrize("fmt", ["int2", "int8:full", "uint4", "e2m1", "ue3m1", "e7m0", "e5m2ieee"])
compiler = pytest.mark.skipif(not fused.available(), reason="needs g++")
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def bits(x: Tensor) -> Tensor:
    """What `x` is made of, one NaN as good as another."""
    return torch.where(x.isnan(), nan, x).view(torch.int32)


def own_of(name: str, scale: float = 0.3) -> Fused:
    """The quantiser called `name`, at a scale."""
    return Fused.of(Quantizer.parse(name), float(torch.tensor(scale)))


def inputs(quantizer: Quantizer, scale: float) -> Tensor:
    """The grid, its midpoints, their neighbours, random numbers, and those that are easily forgotten."""
    return torch.cat((numbers(quantizer, scale), SPECIAL, SPECIAL * scale))


# ---- interpreted: what it computes ---------------------------------------------------------------


@pytest.fixture(scope="module")
def interpreted() -> ModuleType:
    """The kernel as Python, with larger blocks."""
    module = as_python("fake_quantize")
    vars(module)["BLOCK"] = INTERPRETED_BLOCK
    return module


def result(module: ModuleType, own: Fused, x: Tensor, inside: tuple[float, float] = (-inf, inf)) -> Tensor:
    """What the kernel of `module` writes."""
    y = torch.full_like(x, 7.0)
    with np.errstate(over="ignore", invalid="ignore"):  # a GPU gives infinity and NaN without a warning
        module.run(own, x, y, inside)
    return y


@pytest.mark.parametrize("options", ["", ":po2"])
@each_format
def test_equals_brevitas_on_every_format(interpreted: ModuleType, fmt: Format, options: str) -> None:
    quantizer = Quantizer.parse(fmt.name + options)
    module: Any = calibrated(quantizer)
    with torch.no_grad():
        scale = float(module.act_quant.scale())
        x = inputs(quantizer, scale)
        assert len(x) > INTERPRETED_BLOCK  # a whole block, and a part of one
        own = Fused.of(quantizer, scale)
        found = result(interpreted, own, x)
        assert same(found, module(x))
        assert torch.equal(bits(found), bits(fake_quantize.reference(own, x)))


@compiler
@pytest.mark.parametrize("inside", [(-inf, inf), (0.0, inf), (0.0, 6.0)])
@some_formats
def test_equals_the_loop_in_every_bit(interpreted: ModuleType, fmt: str, inside: tuple[float, float]) -> None:
    own = own_of(fmt)
    x = inputs(Quantizer.parse(fmt), own.scale)
    assert torch.equal(bits(result(interpreted, own, x, inside)), bits(own(x, inside=inside)))
    assert same(fake_quantize.reference(own, x, inside), own(x, inside=inside))


@pytest.mark.parametrize("count", [0, 1, INTERPRETED_BLOCK, INTERPRETED_BLOCK + 1])
def test_any_count_and_nothing_beyond(interpreted: ModuleType, count: int) -> None:
    own, x = own_of("e2m1"), torch.randn(count)
    y = torch.full((count + 5,), 7.0)
    interpreted.run(own, x, y)
    assert torch.equal(y[:count], fake_quantize.reference(own, x))
    assert torch.equal(y[count:], torch.full((5,), 7.0))


def test_the_result_may_be_the_input(interpreted: ModuleType) -> None:
    own, x = own_of("int4"), torch.randn(3, 4, 5)
    expected = fake_quantize.reference(own, x)
    interpreted.run(own, x, x)
    assert torch.equal(x, expected)


# ---- compiled: what a GPU would run --------------------------------------------------------------


def asked(own: Fused, count: int) -> tuple[ASTSource, Any, list[Any]]:
    """What a launch asks Triton's compiler for, its options, and what it looks the answer up by."""
    kernel, backend, x = fake_quantize.kernel, make_backend(HOPPER), torch.empty(count)
    given = fake_quantize.arguments(own, x, x, (0.0, inf)) | fake_quantize.OPTIONS
    bound, key, options = create_function_from_signature(kernel.signature, kernel.params, backend)(**given)
    parsed, *parts = kernel._pack_args(backend, given, bound, key, options)
    return ASTSource(kernel, *parts), parsed, key


@pytest.fixture(scope="module")
def ptx(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The kernel for an sm_90."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.mktemp("triton")))
        source, options, _ = asked(own_of("e2m1"), 1 << 20)
        return str(triton.compile(source, target=HOPPER, options=vars(options)).asm["ptx"])


def test_all_formats_scales_and_sizes_are_one_kernel() -> None:
    first, *others = (
        asked(own_of(fmt.name, scale), count)[2] for fmt in FORMATS for scale in (1.0, 0.3) for count in (1, 16, 50)
    )
    assert len(others) > 400
    assert all(key == first for key in others)


def test_divisions_are_rounded_to_nearest(ptx: str) -> None:
    assert set(re.findall(r"\b(?:div|rcp)\.[\w.]+", ptx)) == {"div.rn.f32"}


def test_every_operation_rounds_and_none_flushes_subnormals(ptx: str) -> None:
    """`.rn` also forbids the assembler to make one operation of two."""
    found = set(re.findall(r"\b(?:add|sub|mul|fma|mad)\.[\w.]*f32\b", ptx))
    assert found == {"add.rn.f32", "mul.rn.f32"}
    assert "ftz" not in ptx


def test_memory_is_read_and_written_16_bytes_at_a_time(ptx: str) -> None:
    assert len(re.findall(r"ld\.global\.v4\.b32", ptx)) == len(re.findall(r"st\.global\.v4\.b32", ptx)) == 2


# ---- on a GPU ------------------------------------------------------------------------------------


def test_the_engine_calls_it_by_name() -> None:
    assert import_module(fused.KERNEL) is fake_quantize


@gpu
def test_a_gpu_gives_the_same_bits_on_every_format() -> None:
    differing = []
    for fmt in FORMATS:
        own = own_of(fmt.name)
        x = inputs(Quantizer.parse(fmt.name), own.scale)
        if not torch.equal(bits(own(x.cuda()).cpu()), bits(fake_quantize.reference(own, x))):
            differing.append(fmt.name)
    assert differing == []


@gpu
def test_a_gpu_takes_any_layout_and_place() -> None:
    own, x = own_of("int3"), torch.randn(6, 8).cuda()
    for y in (x.T, x[:, ::2], x[:1].expand(3, 8), x.flatten()[1:]):
        expected = fake_quantize.reference(own, y.cpu().relu())
        before = y.clone()
        assert torch.equal(own(y, inside=(0.0, inf)).cpu(), expected)
        assert torch.equal(y, before)
    assert own(x, in_place=True).data_ptr() == x.data_ptr()


@gpu
@pytest.mark.parametrize("name", ["uint4", "int8:po2", "e2m1", "ue3m2", "e4m3fn", "e2m1:group16"])
def test_a_quantiser_of_a_gpu_proves_itself_there(name: str) -> None:
    x, quantizer = torch.rand(64, 32).cuda(), Quantizer.parse(name)

    def watch(sites: Iterable[str], visit: Visit) -> None:
        for site in sites:
            visit(site, x)

    activations = Activations(watch, lambda site, own: 1, x.device)
    activations.calibrate([("in", quantizer)])
    own = activations.quantiser("in", quantizer)
    assert (own.fused is None) == (quantizer.group is not None)
    assert same(own(x), activations.module("in", quantizer)(x))
