"""MagR makes the largest weights smaller and hardly moves what the layers compute."""

import pytest
import torch

from hwdse.design import Step
from hwdse.techniques.magr import Magr
from tests.hwdse.networks import bench, split, uniform


@pytest.mark.parametrize("hardware", [True, False])
def test_the_largest_weights_shrink_and_the_outputs_stay(hardware: bool) -> None:
    on = bench("mlp", hardware)
    after, _ = on.after_float_steps(uniform(on, "int4", "int4", recipe=(Step("magr", (("alpha", 0.1),)),)))
    inputs = split("calibration").images.flatten(1)
    before, now = (b.traced.graph.get_submodule("fc1") for b in (on, after))
    with torch.no_grad():
        largest = [module.get_parameter("weight").abs().amax(1) for module in (before, now)]
        error, signal = ((now(inputs) - before(inputs)) ** 2).sum(), (before(inputs) ** 2).sum()
        naive = before.get_parameter("weight").clamp(-largest[1][:, None], largest[1][:, None])
        clipped = ((inputs @ (naive - before.get_parameter("weight")).T) ** 2).sum()
    assert (largest[1] < 0.9 * largest[0]).float().mean() > 0.9
    assert error < 0.03 * signal
    assert error < clipped, "the other weights make up for what the largest lose"


def test_the_scope_limits_it() -> None:
    on = bench("cnn")
    step = Step("magr", scope=("depthwise", "fc2"))
    after, _ = on.after_float_steps(uniform(on, "int4", "int4", recipe=(step,)))
    old, new = on.traced.graph.state_dict(), after.traced.graph.state_dict()
    assert {key for key in old if not torch.equal(old[key], new[key])} == {"depthwise.weight", "fc2.weight"}


def test_brevitas_leaves_no_method_of_one_graph_in_another() -> None:
    """`magr_mode` binds the forward of the graph that it ran on to its class: copies would compute with it."""
    on = bench("mlp")
    after, _ = on.after_float_steps(uniform(on, "int4", "int4", recipe=(Step("magr"),)))
    copy = after.brevitas_model(uniform(on, "int2", "int2"))
    images = split("search").images[:10]
    with torch.no_grad():
        assert not torch.equal(copy(images), after.traced.graph(images))
    assert "forward" in vars(type(after.traced.graph))
    assert not hasattr(vars(type(after.traced.graph))["forward"], "__self__")


def test_the_penalty_is_positive() -> None:
    with pytest.raises(ValueError, match=r"^alpha of magr is above 0, not 0.0$"):
        Magr(alpha=0.0)
