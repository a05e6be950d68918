"""Every kernel compiles, within the bars of the tests here, with the oldest Triton that the package takes.

A new one forgives what an old one does not read, and makes other code of the same kernel. So it is installed beside,
and the tests that compile are run once more with it, in a process of their own. Triton's interpreter is not: that of
3.6 fails with numpy 2.4.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="needs triton")

ROOT = Path(__file__).parents[2]
COMPILED = (
    "test_machine_code.py",
    "test_a8.py::test_a_hopper_multiplies_weights_from_registers",
    "test_a8.py::test_other_gpus_have_it_too",
    "test_unpack8.py::test_a_gpu_reads_and_writes_whole_words",
    "test_scale.py::test_a_gpu_reads_16_bytes_at_a_time_and_rounds_every_step",
    "test_quantise.py::test_a_gpu_reads_16_bytes_at_a_time_and_rounds_as_it_should",
    "test_stream.py::test_memory_is_read_16_bytes_at_a_time",
    "test_fake_quantize.py::test_divisions_are_rounded_to_nearest",
    "test_fake_quantize.py::test_every_operation_rounds_and_none_flushes_subnormals",
    "test_fake_quantize.py::test_memory_is_read_and_written_16_bytes_at_a_time",
)


def oldest() -> str:
    """The version that the package asks for at least."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(one for some in project["optional-dependencies"].values() for one in some)]
    found = {match[1] for match in map(re.compile(r"triton>=([\d.]+)").match, wanted) if match}
    assert len(found) == 1
    return f"{found.pop()}.0"


def python(*arguments: str, first: Path) -> subprocess.CompletedProcess[str]:
    """Python, here, with the packages in `first` before its own."""
    found = {**os.environ, "PYTHONPATH": os.pathsep.join((str(first), str(ROOT)))}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=found, capture_output=True, text=True, timeout=600)


@pytest.mark.slow  # installs 600 MB, and compiles some fifty kernels
def test_the_oldest_triton_compiles_every_kernel(tmp_path: Path) -> None:
    version, beside = oldest(), tmp_path / "packages"
    asked = "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(beside), f"triton=={version}"
    installed = python(*asked, first=beside)
    if installed.returncode:
        pytest.skip(f"pip installs no triton {version} here: {installed.stderr.strip().splitlines()[-1]}")
    said = python("-c", "import triton; print(triton.__version__)", first=beside)
    assert said.stdout == f"{version}\n"
    tests = [f"tests/kernels/{name}" for name in COMPILED]
    ran = python("-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, first=beside)
    assert ran.returncode == 0, ran.stdout[-3000:]
