"""Accelerators give the sums of their networks, bit for bit, whatever stalls, and at the pace that the model says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hwdse.assembly import Assembly, prove
from hwdse.design import Design, Folding
from hwdse.equality import input_codes
from hwdse.folding import fold
from hwdse.generator import generate
from hwdse.quantize import Bench
from hwdse.queues import most
from tests.hls_templates.leaves import cache_of
from tests.hwdse.accelerators import assembled
from tests.hwdse.networks import bench, split, uniform
from tests.hwdse.small_networks import SMALL, images, small
from tests.hwdse.test_lower import mixed, on_images

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


class Projected(nn.Module):
    """A block whose shortcut is a convolution, so that two of them read one stream."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 6, 3, padding=1)
        self.conv, self.shortcut = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 1)
        self.head = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        x = self.first(x).relu()
        logits: torch.Tensor = self.head((self.conv(x) + self.shortcut(x)).relu().mean((2, 3)))
        return logits


def test_readers_of_one_stream_that_wait_at_other_times(cache: Path) -> None:
    on, each = on_images(Projected()), {"first": "6x36", "conv": "1x54", "shortcut": "1x6", "add": "6x1", "mean": "6x1"}
    made = assembled(on, folded(on, uniform(on, "int4:channel", "int4"), 2_000, **each), cache)
    assert {name for name, depth in made.depths.items() if depth > 2} == {
        "conv_wait0",
        "shortcut_wait0",
        "shortcut_fifo0",
    }
    check(made, images(IMAGES), cache)
    shallow = generate(made.network, made.units, dict.fromkeys(made.depths, 2), block=True)
    found = prove(replace(made, accelerator=shallow), input_codes(made.network, images(10)), cache)
    assert found.wrong == 0
    assert min(found.cycles) > found.predicted
    assert not found.exact


def test_the_beats_that_lie_in_a_queue() -> None:
    """One that enters in the cycle in which the next is shown, and one that waits: counted until the cycle after."""
    enters = np.array([0, 1, 2, 3, 9])
    assert most(enters, np.array([1, 2, 3, 4, 10])) == 3
    assert most(enters, np.array([5, 6, 7, 8, 10])) == 4
    assert most(enters[:1], np.array([7])) == 1


@pytest.mark.parametrize(("name", "seed"), [("mlp", 0), ("cnn", 1), pytest.param("resnet", 2, marks=pytest.mark.slow)])
def test_networks_on_digits(name: str, seed: int, cache: Path) -> None:
    on = bench(name)
    made = assembled(on, folded(on, mixed(on, seed), 4_000), cache)
    check(made, split("test").images[:IMAGES], cache)
