"""Accelerators give the sums of their networks, bit for bit, whatever stalls, and at the pace that the model says."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hwdse.assembly import Assembly, prove
from hwdse.cost_models.dataflow import Dataflow
from hwdse.design import Design, Folding, Step
from hwdse.equality import input_codes
from hwdse.folding import fold
from hwdse.generator import generate
from hwdse.hls_calls import calls
from hwdse.lower import lower
from hwdse.quantize import Bench
from hwdse.queues import most
from tests.hls_templates.leaves import cache_of
from tests.hwdse.accelerators import TARGET, assembled
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


def words(units: Iterable[tuple[str, Mapping[str, int]]]) -> list[int]:
    """Sets of thresholds a lane, of those of modules and their parameters that have some."""
    return [parameters["WORDS"] for module, parameters in units if module.startswith("threshold")]


def without_biases(*between: nn.Module) -> nn.Module:
    """Layers without a bias, and what is between the first two."""
    return nn.Sequential(
        nn.Conv2d(4, 6, 3, bias=False), nn.ReLU(), *between, nn.Conv2d(6, 4, 3, bias=False),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3, bias=False),
    )  # fmt: skip


def dead(model: nn.Module) -> nn.Module:
    """A network with a channel whose sums are all zero, and so reach no level that others do."""
    nn.init.zeros_(model.get_parameter("0.weight")[1])
    return model


def norm(channels: int, *, affine: bool = True) -> nn.Module:
    """A batch norm whose channels differ."""
    made = nn.BatchNorm2d(channels, affine=affine)
    made.running_mean = torch.arange(channels) / channels
    return made


@pytest.mark.parametrize(
    ("model", "recipe", "expected"),
    [
        (without_biases(), (), [1, 1, 1]),
        (dead(without_biases()), (), [1, 1, 1]),
        (without_biases(norm(6)), (), [6, 1, 1]),
        (without_biases(norm(6, affine=False)), (), [6, 1, 1]),
        (without_biases(nn.AvgPool2d(2, 1, 1), norm(6)), (), [1, 6, 1, 1]),
        (without_biases(), (Step("bias_correction"),), [6, 4, 1]),
    ],
)
def test_channels_that_differ_have_thresholds_of_their_own_in_the_price_too(
    model: nn.Module, recipe: tuple[Step, ...], expected: list[int]
) -> None:
    on = on_images(model)
    network = lower(on, folded(on, uniform(on, "int8", "int8", recipe=recipe), 20_000))
    units = Dataflow().elements(network.workload, network.design, TARGET)
    priced = [(one.module, dict(one.parameters)) for layer in units.values() for one in layer]
    made = generate(network, units, {}, block=True).netlist.instances
    assert words(priced) == expected
    assert words((one.unit.module, dict(one.unit.parameters)) for one in made) == expected


class Alike(nn.Module):
    """Layers whose names differ in a dot alone."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(4, 4, 3))
        self.block_0, self.head = nn.Conv2d(4, 4, 3), nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        logits: torch.Tensor = self.head(self.block_0(self.block(x)).flatten(1))
        return logits


def test_layers_with_one_name_in_hardware() -> None:
    on = on_images(Alike())
    network = lower(on, folded(on, uniform(on, "int4:channel", "int4"), 20_000))
    units = Dataflow().elements(network.workload, network.design, TARGET)
    message = "^layers 'block.0' and 'block_0' are both 'block_0' in hardware: rename one$"
    with pytest.raises(ValueError, match=message):
        generate(network, units, {}, block=True)
    with pytest.raises(ValueError, match=message):
        calls(network)


def test_a_price_for_fewer_thresholds_is_refused() -> None:
    on = on_images(without_biases())
    network = lower(on, folded(on, uniform(on, "int4:channel", "int4"), 20_000))
    cheaper = lower(on, folded(on, uniform(on, "int4", "int4"), 20_000))
    units = Dataflow().elements(cheaper.workload, cheaper.design, TARGET)
    message = "thresholds of layer '0' are priced as 1 a lane, but there are 6"
    with pytest.raises(ValueError, match=f"^{message}$"):
        generate(network, units, {}, block=True)


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
