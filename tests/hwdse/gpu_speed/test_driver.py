"""A GPU has our name for it, and versions are those of what is installed."""

import pytest
import torch

from hwdse.gpu_speed import driver
from hwdse.target import gpus


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("NVIDIA H200", "h200"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA A100-SXM4-40GB", "a100-sxm4-40gb"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA GH200 480GB", "gh200-480gb"),  # no H200
        ("NVIDIA GeForce RTX 4090 D", "geforce-rtx-4090-d"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("Tesla T4", "tesla-t4"),
    ],
)
def test_the_name_of_a_gpu(name: str, own: str) -> None:
    assert driver.known(name, gpus()) == own


def test_versions_are_those_of_torch_and_what_is_there() -> None:
    found = driver.versions().split(", ")
    assert found[0] == f"torch {torch.__version__}"
    assert driver.installed("no such package") is None
    assert all(driver.installed(each.split()[0]) == each.split()[1] for each in found)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_driver_nothing_is_known() -> None:
    assert driver.mhz() is None
    assert driver.driver_version() == "unknown"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_driver_says_its_version_and_the_clock() -> None:
    clock = driver.mhz()
    assert clock is not None
    assert 100 < clock < 4000
    assert driver.driver_version()[0].isdigit()
    assert driver.origin().start.endswith("Z")
