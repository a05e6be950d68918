"""GPUs: the numbers of the data sheets agree with each other, and files that are no GPU."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path

import pytest

from hwdse.target import GpuTarget, device, gpu, gpus

# Multiplications and additions of a streaming multiprocessor in a cycle, dense, sums in float32: (16 bits, 8-bit
# floats, 8-bit integers). Sources: A100, H100 and Ada white papers, tables of tensor cores; on GeForce sums in float32
# take twice as long.
OPERATIONS = {
    "h200": (4096, 8192, 8192),
    "h100": (4096, 8192, 8192),
    "a100": (2048, 0, 4096),
    "l40s": (1024, 2048, 2048),
    "rtx4090": (512, 1024, 2048),
}
# Width of the memory interface in bits and rate of a pin in Gb/s: 5 or 6 stacks of 1024 bits, 12 chips of 32 bits.
# Sources: A100 and H100 white papers; Ada white paper, appendix A; H200: 4.8 TB/s over 6144 bits.
PINS = {
    "h200": (6144, 6.25),
    "h100": (5120, 5.2),
    "a100": (5120, 3.2),
    "l40s": (384, 18.0),
    "rtx4090": (384, 21.0),
}
# KiB of a program and of a multiprocessor: CUDA Programming Guide, table of compute capabilities.
SHARED = {80: 163, 89: 99, 90: 227}


def test_known() -> None:
    assert {*OPERATIONS} == set(gpus())
    assert all(device(name) is gpu(name) for name in gpus())


@pytest.mark.parametrize("name", OPERATIONS)
def test_peaks_are_those_of_the_units_at_the_clock(name: str) -> None:
    target = gpu(name)
    peaks = (target.fp16_tflops, target.fp8_tflops, target.int8_tops)
    for peak, operations in zip(peaks, OPERATIONS[name], strict=True):
        # Within 2 %: the L40S's data sheet has a clock that is 1.2 % below the boost clock; the others round.
        assert peak * 1e6 == pytest.approx(target.sms * operations * target.boost_mhz, rel=0.02)


@pytest.mark.parametrize("name", PINS)
def test_bandwidth_is_that_of_the_pins(name: str) -> None:
    bits, rate = PINS[name]
    # Within 1 %: a rate of a pin has two digits.
    assert gpu(name).memory_gb_per_second == pytest.approx(bits * rate / 8, rel=0.01)


@pytest.mark.parametrize("name", OPERATIONS)
def test_shared_memory_is_that_of_the_architecture(name: str) -> None:
    target = gpu(name)
    assert target.shared_kib == SHARED[target.architecture]
    assert (target.fp8_tflops > 0) == (target.architecture >= 89)
    assert 1e-3 * target.memory_gb > 10 * target.l2_mb * 1e-6  # a cache is a small part of the memory


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_field_is_written_and_cited(name: str) -> None:
    text = (files("hwdse.cost_models") / "gpus" / f"{name}.toml").read_text()
    assert set(tomllib.loads(text)) == {field.name for field in fields(GpuTarget)} - {"name"}
    assert gpu(name).name == name
    assert re.search(r"^NVIDIA .*(data sheet \(\d+.*\)|white paper V\d\.\d\d), .*; shared memory: ", gpu(name).source)


def test_unknown_lists_known() -> None:
    with pytest.raises(ValueError, match=r"^no GPU 'h300'; known: a100, h100, h200, l40s, rtx4090$"):
        gpu("h300")
    with pytest.raises(ValueError, match=r"^no device 'h300'; known: .*xczu7ev, a100, h100, h200, l40s, rtx4090$"):
        device("h300")


# ---- files that are no GPU -----------------------------------------------------------------------

GOOD = """part = "p"
architecture = 90
sms = 1
boost_mhz = 1000
memory_gb = 1.0
memory_gb_per_second = 1.0
l2_mb = 1.0
shared_kib = 99
fp16_tflops = 1.0
fp8_tflops = 0.0
int8_tops = 1
source = "a test"
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of the only GPU, `mine`."""
    (tmp_path / "gpus").mkdir()
    monkeypatch.setattr("hwdse.described.files", lambda package: tmp_path)
    gpu.cache_clear()
    yield tmp_path / "gpus" / "mine.toml"
    gpu.cache_clear()


def test_a_file_is_a_gpu(mine: Path) -> None:
    mine.write_text(GOOD)
    assert gpus() == ("mine",)
    assert gpu("mine") == GpuTarget("mine", "p", 90, 1, 1000, 1.0, 1.0, 1.0, 99, 1.0, 0.0, 1, "a test")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sms = 1\n", "sms = 1.5\n", "a GPU's 'sms' is a whole number, not 1.5"),
        ("sms = 1\n", "sms = 0\n", "a GPU's 'sms' is positive, unlike 0"),
        ('part = "p"', "part = 7", "a GPU's 'part' is a text, not 7"),
        ("l2_mb = 1.0", "l2_mb = true", "a GPU's 'l2_mb' is a number, not True"),
        ("fp8_tflops = 0.0", "fp8_tflops = -1.0", "a GPU's 'fp8_tflops' is positive, unlike -1.0"),
    ],
)
def test_a_file_that_is_no_gpu(mine: Path, old: str, new: str, message: str) -> None:
    assert GOOD.count(old) == 1
    mine.write_text(GOOD.replace(old, new))
    with pytest.raises(ValueError, match=f"^{re.escape(f'{mine}: {message}')}$"):
        gpu("mine")


def test_a_gpu_is_checked_where_it_is_made() -> None:
    with pytest.raises(ValueError, match=r"^a GPU's 'boost_mhz' is positive, unlike 0$"):
        replace(gpu("h200"), boost_mhz=0)
