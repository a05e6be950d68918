"""Steps that designs share give the numbers of a network that runs alone."""

import random

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own convention
from torch import Tensor, nn

from hwdse.bounded import Bounded
from hwdse.design import Design, Quantizer
from hwdse.formats import known_formats
from hwdse.program import Traces
from hwdse.quantize import Bench, Shell
from tests.hwdse.networks import NETWORKS, bench, fitting, split, uniform

PLACE = ("search", 0)


def mixed(on: Bench, choose: random.Random) -> Design:
    """A random format for every layer and site."""
    formats = known_formats(bits=range(3, 9))
    return Design.of(
        {layer.name: Quantizer(choose.choice(formats), "channel") for layer in on.workload.weighted},
        {s.name: fitting(on, s.name, Quantizer(choose.choice(formats))) for s in on.workload.sites},
        hardware=on.workload.hardware,
    )


def neighbours(on: Bench, design: Design) -> list[Design]:
    """`design` with one choice changed, for each layer and site."""
    weights, activations = dict(design.weights), dict(design.activations)
    other, narrow = Quantizer.parse("e3m1:channel"), Quantizer.parse("int6")
    changed = [Design.of(weights | {a: other}, activations, hardware=on.workload.hardware) for a in weights]
    return changed + [
        Design.of(weights, activations | {s: fitting(on, s, narrow)}, hardware=on.workload.hardware)
        for s in activations
    ]


def run(shell: Shell, images: Tensor, traces: Traces) -> Tensor:
    """Logits, with what `traces` has."""
    with torch.inference_mode():
        return shell.program.run(images, shell.choice, shell.keys, traces, PLACE)


@pytest.mark.parametrize("hardware", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("limit", [1 << 30, 200_000], ids=["roomy", "tight"])
def test_what_designs_share_changes_no_bit(name: str, hardware: bool, limit: int) -> None:
    on, choose = bench(name, hardware), random.Random(name)
    images, traces = split("search").images[:64], Bounded[tuple[str, int, bytes], Tensor](limit)
    base = mixed(on, choose)
    for design in [base, *choose.sample(neighbours(on, base), 4), base, mixed(on, choose), base]:
        with torch.inference_mode():
            alone = on.quantize(design)(images.clone())
        assert torch.equal(run(on.shell(design), images, traces), alone)
    assert traces.found > 0 or limit < 1 << 30  # one tensor may be larger than a tight limit
    assert traces.most_bytes <= limit


@pytest.mark.parametrize("hardware", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_design_pays_for_what_comes_after_its_change_alone(name: str, hardware: bool) -> None:
    on = bench(name, hardware)
    images, traces = split("search").images[:16], Bounded[tuple[str, int, bytes], Tensor](1 << 30)
    base = uniform(on, "int8", "int8")
    run(on.shell(base), images, traces)
    ran: list[str] = []
    for step in on.program.steps:
        if step.layer is not None:

            def counted(values, choice, step=step, call=step.call):  # type: ignore[no-untyped-def]
                ran.append(step.layer)
                return call(values, choice)

            step.call = counted
    last = on.workload.weighted[-1].name
    changed = Design.of(dict(base.weights) | {last: Quantizer.parse("int3")}, dict(base.activations), hardware=hardware)
    run(on.shell(changed), images, traces)
    on._program = None  # its steps are counted no more
    assert ran == [last]


def test_equal_keys_are_equal_tensors_and_other_choices_have_other_keys() -> None:
    on = bench("resnet")
    first, again = on.shell(uniform(on, "int4", "int4")).keys, on.shell(uniform(on, "int4", "int4")).keys
    other = on.shell(uniform(on, "int5", "int4")).keys
    assert first == again
    assert len(set(first)) == len(first)
    layer = next(i for i, step in enumerate(on.program.steps) if step.layer is not None)
    assert first[:layer] == other[:layer]
    assert not set(first[layer:]) & set(other[layer:])


class InPlace(nn.Module):
    """A tensor that is read by two, one of which works in place on it."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.relu = how, nn.ReLU(inplace=True)
        self.a, self.b, self.c = nn.Linear(64, 32), nn.Linear(32, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.a(x.flatten(1))
        z: Tensor = self.b(y)
        if self.how == "module":
            y = self.relu(y)
        elif self.how == "function":
            y = F.hardtanh(y, 0.0, 0.5, True)
        elif self.how == "method":
            y = y.relu_()
        else:
            z += y
        result: Tensor = self.c(y + z)
        return result


@pytest.mark.parametrize("hardware", [True, False])
@pytest.mark.parametrize("how", ["module", "function", "method", "operator"])
def test_a_network_that_works_in_place_on_what_others_read_shares_nothing(how: str, hardware: bool) -> None:
    torch.manual_seed(0)
    on = Bench.of(InPlace(how).eval(), split("calibration"), "net", hardware=hardware)
    assert on.program.shares == (how == "operator")  # that one overwrites what nobody else reads
    design, images = uniform(on, "int4", "int4"), split("search").images[:64]
    traces: Traces = Bounded(1 << 30)
    with torch.inference_mode():
        alone = on.quantize(design)(images.clone())
    before = images.clone()
    for _ in range(2):
        assert torch.equal(run(on.shell(design), images, traces), alone)
    assert torch.equal(images, before)
    assert (len(traces) > 0) == on.program.shares
