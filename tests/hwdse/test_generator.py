"""Accelerators give the sums of their networks, bit for bit, whatever stalls, and at the pace that the model says."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hwdse.assembly import Assembly, prove
from hwdse.design import Design, Folding
from hwdse.equality import input_codes
from hwdse.folding import fold
from hwdse.quantize import Bench
from tests.hls_templates.leaves import cache_of
from tests.hwdse.accelerators import assembled
from tests.hwdse.networks import bench, split
from tests.hwdse.small_networks import SMALL, images, small
from tests.hwdse.test_lower import mixed

IMAGES = 100


@pytest.fixture
def cache(request: pytest.FixtureRequest) -> Path:
    return cache_of(request)


def folded(on: Bench, design: Design, pace: int, **own: str) -> Design:
    """`design` folded for `pace` cycles an image, but for some layers."""
    foldings = fold(on.workload, pace) | {name: Folding.parse(folding) for name, folding in own.items()}
    return replace(design, folding=tuple(sorted(foldings.items())))


def check(made: Assembly, seen: torch.Tensor, cache: Path) -> None:
    """Equal sums for every image, and at full speed an image in exactly the cycles of the model."""
    found = prove(made, input_codes(made.network, seen), cache)
    assert (found.images, found.sums, found.wrong) == (len(seen), 2 * len(seen) * len(made.network.logits.scales), 0)
    assert found.cycles == (found.predicted,)
    assert found.exact


@pytest.mark.parametrize(
    ("name", "pace"), [(name, pace) for i, name in enumerate(SMALL) for pace in ((2_000, 350)[i % 2],)]
)
def test_small_networks(name: str, pace: int, cache: Path) -> None:
    on = small(name)
    check(assembled(on, folded(on, mixed(on, pace), pace), cache), images(IMAGES), cache)


def test_all_taps_of_several_channels(cache: Path) -> None:
    on = small("depthwise")
    made = assembled(on, folded(on, mixed(on, 7), 2_000, **{"2": "2x9"}), cache)
    assert "transpose" in {one.unit.module for one in made.accelerator.netlist.instances}
    check(made, images(IMAGES), cache)


@pytest.mark.parametrize("folding", ["2x9", "1x3"])
def test_several_taps_of_a_channel_with_several_outputs(folding: str, cache: Path) -> None:
    on = small("multiplier")
    made = assembled(on, folded(on, mixed(on, 5), 2_000, **{"0": folding, "2": "2x1"}), cache)
    assert "window_parallel" in {one.unit.module for one in made.accelerator.netlist.instances}
    check(made, images(IMAGES), cache)


@pytest.mark.parametrize(("name", "seed"), [("mlp", 0), ("cnn", 1), pytest.param("resnet", 2, marks=pytest.mark.slow)])
def test_networks_on_digits(name: str, seed: int, cache: Path) -> None:
    on = bench(name)
    made = assembled(on, folded(on, mixed(on, seed), 4_000), cache)
    check(made, split("test").images[:IMAGES], cache)
