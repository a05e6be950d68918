"""Every code of every format that 8-bit tensor cores multiply decodes to the bits of its operand."""

import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="needs triton")

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, make_backend
from triton.runtime.jit import create_function_from_signature

from hwdse.formats import Format, known_formats, parse
from hwdse.kernels import unpack8
from hwdse.kernels._packed8 import Packed8, pack
from hwdse.paths import paths
from hwdse.stored import stored
from tests.kernels.interpreted import interpreted as as_python

FORMATS = (*known_formats(), *known_formats(signed=False), parse("e4m3fn"), parse("e5m2ieee"))
PAIRS = [
    (fmt, other)
    for fmt in FORMATS
    for other in map(parse, ("int8", "e4m3fn"))
    if paths(fmt, other)[0].arithmetic in ("int8", "fp8")
]

each_pair = pytest.mark.parametrize(("fmt", "other"), PAIRS, ids=lambda fmt: fmt.name)
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(scope="module")
def interpreted() -> ModuleType:
    return as_python("unpack8")


def all_codes(fmt: Format, other: Format, rows: int = 16, words: int = 8) -> Packed8:
    """At places that reach every field and lane of a block, in 21 outputs: more than one tile."""
    own = stored(fmt, paths(fmt, other)[0].weights.operand)
    assert own is not None
    known = np.array([code for code, kept in enumerate(own.codes) if kept >= 0], np.uint8)
    codes = np.resize(known, (21, 37 * 8 + 1))  # an odd length: each output begins with another code
    return pack(torch.from_numpy(codes), torch.ones(21), fmt, other, rows=rows, words=words)


def bits(x: Tensor) -> Tensor:
    return x.cpu().view(torch.uint8)


@each_pair
def test_all_codes_decode_to_the_bits_of_their_operand(interpreted: ModuleType, fmt: Format, other: Format) -> None:
    packed = all_codes(fmt, other)
    assert torch.equal(bits(interpreted.run(packed)), bits(unpack8.reference(packed)))


@pytest.mark.parametrize("name", ["int8", "uint8", "e4m3fn", "e5m2ieee"])
def test_weights_of_8_bits_are_not_copied(name: str) -> None:
    """No kernel runs: this one is not interpreted, and there need not be a GPU."""
    packed = all_codes(parse(name), parse("e4m3fn" if "e" in name else "int8"))
    found = unpack8.run(packed)
    assert torch.equal(bits(found), bits(unpack8.reference(packed)))
    assert found.data_ptr() == packed.words.data_ptr()


def test_nothing_beyond_is_written(interpreted: ModuleType) -> None:
    packed = all_codes(parse("int3"), parse("int8"))
    memory = torch.full((23, packed.inputs), 77, dtype=torch.int8)
    tiles, blocks, *_ = packed.words.shape
    interpreted.kernel[(tiles, blocks)](**interpreted.arguments(packed, memory[1:-1]))
    assert torch.equal(memory[1:-1], unpack8.reference(packed))
    assert set(memory[::22].flatten().tolist()) == {77}


def test_a_gpu_reads_and_writes_whole_words(tmp_path: Path) -> None:
    packed = all_codes(parse("int4"), parse("int8"), 64, 32)
    target = GPUTarget("cuda", 90, 32)
    kernel, backend = unpack8.kernel, make_backend(target)
    given = unpack8.arguments(packed, torch.empty(21, packed.inputs, dtype=torch.int8)) | {"enable_fp_fusion": False}
    bound, key, options = create_function_from_signature(kernel.signature, kernel.params, backend)(**given)
    parsed, *parts = kernel._pack_args(backend, given, bound, key, options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", str(tmp_path))
        ptx = triton.compile(ASTSource(kernel, *parts), target=target, options=vars(parsed)).asm["ptx"]
    assert re.search(r"ld\.global\.\S*v4\.b32", ptx)
    assert set(re.findall(r"st\.global\.(\S+)", ptx)) == {"v4.b32"}


@gpu
@each_pair
def test_a_gpu_gives_the_same_bits(fmt: Format, other: Format) -> None:
    packed = all_codes(fmt, other, 64, 16)
    assert torch.equal(bits(unpack8.run(packed.to("cuda"))), bits(unpack8.reference(packed)))
