"""Every file in `kernels/` is a kernel: a reference, what runs it, and a row in the table of its folder."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="needs triton")

from hwdse import plugins
from hwdse.dispatch import kernels_for
from hwdse.formats import parse
from hwdse.gemm import Gemm
from hwdse.target import gpu, gpus

FOLDER = Path(__file__).parents[2] / "kernels"
NAMES = plugins.names("hwdse.kernels")

each = pytest.mark.parametrize("name", NAMES)


def test_the_table_of_the_folder_has_each_kernel_once() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert sorted(rows) == list(NAMES)


@each
def test_a_kernel_has_a_reference_and_runs(name: str) -> None:
    module = import_module(f"hwdse.kernels.{name}")
    for what in ("reference", "run"):
        assert inspect.isfunction(getattr(module, what))
    assert inspect.getdoc(module.run)
    assert inspect.getdoc(module)


@pytest.mark.parametrize("device", gpus())
@pytest.mark.parametrize("activations", ["float16", "bfloat16", "int8", "uint8", "e4m3", "e4m3fn", "e2m5"])
def test_what_multiplies_is_a_kernel(device: str, activations: str) -> None:
    for weights in ("int3", "int8", "e2m1", "e3m2", "e3m4"):
        for m in (1, 16, 4096):
            found = kernels_for(Gemm(m, 4096, 4096, parse(weights), parse(activations)), gpu(device))
            assert found
            assert {kernel for kernel, _ in found} <= set(NAMES)
