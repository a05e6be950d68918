"""The kernel that reads memory adds up all of it, in loads of 16 bytes."""

import re
from types import ModuleType

import pytest
import torch

pytest.importorskip("triton", reason="needs triton")

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from hwdse.gpu_measurements import Point
from hwdse.gpu_speed import ceilings
from hwdse.kernels import stream
from tests.kernels.interpreted import interpreted

CPU = torch.device("cpu")
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(scope="module")
def module() -> ModuleType:
    """The kernel as Python."""
    return interpreted("stream")


@pytest.mark.parametrize(("blocks", "programs"), [(0, 1), (1, 3), (5, 2), (6, 3)])
def test_the_sums_are_those_of_all_words(module: ModuleType, blocks: int, programs: int) -> None:
    x = ceilings.words(blocks * stream.BLOCK, CPU)
    found = module.run(x, torch.full((programs,), 7, dtype=torch.int32))
    assert torch.equal(found, stream.reference(x, programs))
    assert int(found.long().sum() - x.long().sum()) % (1 << 32) == 0


def test_a_copy_is_one() -> None:
    made = ceilings.work(Point("copy", 1, 1, 64), lambda moved: 1, CPU)
    assert made.moved == 128  # read and written
    assert made.calls[0]().unique().numel() > 1


def test_memory_is_read_16_bytes_at_a_time(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    names = {"x": "*i32", "y": "*i32", "count": "i32", "block": "constexpr"}
    aligned = {(at,): [["tt.divisibility", 16]] for at in range(3)}
    source = ASTSource(stream.kernel, names, {"block": stream.BLOCK}, aligned)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=stream.OPTIONS)
    loads = re.findall(r"ld\.global\.(\S+)", made.asm["ptx"])
    assert loads
    assert set(loads) == {"v4.b32"}


@gpu
def test_a_gpu_gives_the_same_sums() -> None:
    x = ceilings.words(1000 * stream.BLOCK, torch.device("cuda"))
    found = stream.run(x, torch.zeros(96, dtype=torch.int32, device="cuda"))
    assert torch.equal(found.cpu(), stream.reference(x.cpu(), 96))
