"""Channel splitting keeps the float network, halves what it splits, and is priced as what it leaves."""

import pytest
import torch

from hwdse.design import Step
from hwdse.quantize import Bench
from hwdse.techniques.channel_splitting import ChannelSplitting
from tests.hwdse.networks import bench, split, uniform
from tests.hwdse.techniques.floats import distance

STEP = Step("channel_splitting", (("ratio", 0.1),))


def splitted(on: Bench, step: Step = STEP) -> Bench:
    """The bench after the step."""
    return on.after_float_steps(uniform(on, "int4", "int4", recipe=(step,)))[0]


@pytest.mark.parametrize("hardware", [True, False])
@pytest.mark.parametrize("inputs", [True, False])
@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet"])
def test_the_float_network_computes_the_same(name: str, inputs: bool, hardware: bool) -> None:
    on, images = bench(name, hardware), split("search").images[:20]
    step = Step("channel_splitting", (("inputs", inputs), ("ratio", 0.1)))
    # halves are exact, so that in float64 nothing is left but the order of sums: some 300 terms, 10 layers
    bound = 10 * 300 * 2.0**-53 * 100
    assert float(distance(on.traced.graph, splitted(on, step).traced.graph, images).max()) < bound


def test_shapes_are_the_new_ones_and_names_the_old() -> None:
    on = bench("mlp")
    after = splitted(on)
    assert [(a.rows, a.dot) for a in on.workload.weighted] == [(64, 64), (64, 64), (10, 64)]
    assert [(a.rows, a.dot) for a in after.workload.weighted] == [(71, 64), (71, 71), (10, 71)]  # ceil(64 / 10) more
    assert [site.name for site in after.workload.sites] == [site.name for site in on.workload.sites]
    assert after.workload.site("relu1").elements == 71
    assert on.charged((STEP,)) == after.workload


def test_the_largest_inputs_are_halved() -> None:
    on = bench("mlp")
    before = on.traced.graph.get_submodule("fc2").get_parameter("weight")
    after = splitted(on).traced.graph.get_submodule("fc2").get_parameter("weight")[:64]
    largest = set(before.abs().amax(0).topk(7).indices.tolist())
    halved = {i for i in range(64) if torch.equal(after[:, i], before[:, i] / 2)}
    assert halved == largest
    assert all(torch.equal(after[:, i], before[:, i]) for i in set(range(64)) - halved)


@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_the_shell_equals_the_brevitas_model(name: str) -> None:
    on, images = bench(name), split("search").images
    design = uniform(on, "int4:channel", "int4", recipe=(STEP, Step("cross_layer_equalization")))
    with torch.no_grad():
        assert torch.equal(on.shell(design)(images), on.quantize(design)(images))


def test_nothing_to_split_is_an_error() -> None:
    on = bench("vit")  # norms, matmuls and GELUs lie between all its layers
    with pytest.raises(ValueError, match=r"^step 'channel_splitting' changed nothing in network 'vit'$"):
        on.quantize(uniform(on, "int4", "int4", recipe=(Step("channel_splitting"),)))


def test_settings_and_scopes() -> None:
    with pytest.raises(ValueError, match=r"^ratio of channel_splitting is above 0 and at most 1, not 0$"):
        ChannelSplitting(ratio=0)
    on = bench("mlp")
    step = Step("channel_splitting", scope=("fc1",))
    with pytest.raises(ValueError, match=r"^channel_splitting works on the whole network: it takes no layers$"):
        on.quantize(uniform(on, "int4", "int4", recipe=(step,)))
