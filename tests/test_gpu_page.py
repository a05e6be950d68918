"""docs/gpu.md is what its command makes of the data sheets and the compiled kernels, and its numbers are possible."""

import re
from types import ModuleType

import pytest

from hwdse.target import gpu, gpus
from tests.page_scripts import DOCS, load


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script, as a module."""
    return load("gpu")


@pytest.fixture(scope="module")
def page(script: ModuleType) -> str:
    """What it writes."""
    return str(script.page())


def test_the_page_is_made_of_what_ships(page: str) -> None:
    assert (DOCS / "gpu.md").read_text() == page


def test_what_was_not_measured_says_so(page: str) -> None:
    for name in gpus():
        assert re.search(rf"^- (uncalibrated: nothing was measured on {name}|{name}: fitted to)", page, re.MULTILINE)


def test_it_is_near_what_q_palette_measured_on_an_rtx_4090(script: ModuleType) -> None:
    """Within 15 %: the kernels are others, and both are bound by the same memory."""
    rows = [one for one in script.anchors() if "Q-Palette" in one.source]
    assert len(rows) == 3
    for one in rows:
        assert float(one.predicted) == pytest.approx(float(one.published), rel=0.15), one.what


@pytest.mark.parametrize("name", gpus())
@pytest.mark.parametrize("network", ["Llama-3-8B", "Llama-3-70B"])
def test_a_speed_up_is_at_most_that_of_the_bytes(script: ModuleType, network: str, name: str) -> None:
    """Weights of b bits, with a scale of 16 for 128 of them, are 16 / (b + 1/8) times as small."""
    target = gpu(name)
    for m in (1, 16):
        wide = script.block(network, m, "bfloat16", "bfloat16", target)
        for weights, bits in (("int8", 8), ("int4", 4), ("int3", 3)):
            assert wide / script.block(network, m, weights, "float16", target) < 16 / (bits + 1 / 8)


def test_a_larger_network_takes_longer(script: ModuleType) -> None:
    """A block of the 70B has 3.9 times the weights of one of the 8B."""
    for name in gpus():
        small, large = (script.block(network, 1, "int4", "float16", gpu(name)) for network in script.NETWORKS)
        assert 2 < large / small < 3.93
