"""SmoothQuant keeps the float network, follows its equation and tames outliers."""

import re

import pytest
import torch

from hwdse.design import Step
from hwdse.quantize import Bench
from hwdse.techniques.smooth_quant import SmoothQuant
from tests.hwdse.networks import bench, split, uniform
from tests.hwdse.techniques.floats import distance, noise, rounding_bound, vit_with_outliers

ROUNDINGS = 3  # of a weight: times a factor as a source, times one over a factor, itself rounded, as a sink


def smoothed(on: Bench, *scope: str, alpha: float = 0.5) -> Bench:
    """The bench after the step."""
    step = Step("smooth_quant", (("alpha", alpha),), scope or None)
    return on.after_float_steps(uniform(on, "int4", "int4", recipe=(step,)))[0]


@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet", "vit"])
def test_the_float_network_computes_the_same(name: str) -> None:
    on, images = bench(name), split("search").images[:3]
    after = smoothed(on)
    far = distance(on.traced.graph, after.traced.graph, images)
    assert after.digest != on.digest
    assert after.workload == on.workload, "it costs nothing"
    assert (far <= rounding_bound(on.traced.graph, images, ROUNDINGS)).all()


@pytest.mark.parametrize("alpha", [0.25, 0.5, 1.0])
def test_the_factors_are_those_of_the_equation(alpha: float) -> None:
    on = vit_with_outliers()
    graph, after = on.traced.graph, smoothed(on, alpha=alpha).traced.graph
    seen: list[torch.Tensor] = []
    norm = graph.get_submodule("blocks.0.norm2")
    hook = norm.register_forward_hook(lambda module, args, result: seen.append(result))
    with torch.no_grad():
        graph(split("calibration").images)
    hook.remove()
    inputs = seen[0].abs().amax((0, 1))
    weights = graph.get_submodule("blocks.0.fc1").get_parameter("weight").abs().amax(0)
    factors = inputs**alpha / weights ** (1 - alpha)  # Xiao et al. 2023, equation 4
    got = norm.get_parameter("weight") / after.get_submodule("blocks.0.norm2").get_parameter("weight")
    torch.testing.assert_close(got, factors, rtol=1e-5, atol=0)  # two powers, a quotient and a product in float32


@pytest.mark.parametrize("hardware", [True, False])
@pytest.mark.parametrize("fmt", ["int4", "e2m1"])
def test_outliers_cost_less(fmt: str, hardware: bool) -> None:
    on = vit_with_outliers(hardware=hardware)
    plain, smooth = (uniform(on, "int8:channel", fmt, recipe=r) for r in ((), (Step("smooth_quant"),)))
    assert noise(on, on.quantize(smooth)) < 0.7 * noise(on, on.quantize(plain))


def test_a_tensor_with_a_reader_outside_of_the_scope_stays_as_it_is() -> None:
    on, attention = bench("vit"), "blocks.0.attention"
    after = smoothed(on, f"{attention}.q", f"{attention}.k", f"{attention}.v", "blocks.1.attention.q")
    changed = {
        key.rpartition(".")[0]
        for key, tensor in on.traced.graph.state_dict().items()
        if not torch.equal(tensor, after.traced.graph.state_dict()[key])
    }
    assert changed == {"blocks.0.norm1", f"{attention}.q", f"{attention}.k", f"{attention}.v"}


def test_what_cannot_be_merged_is_nothing() -> None:
    step = Step("smooth_quant", scope=("blocks.0.fc2",))  # behind a GELU
    with pytest.raises(ValueError, match=f"^step '{re.escape(step.name)}' changed nothing in network 'vit'$"):
        bench("vit").quantize(uniform(bench("vit"), "int4", "int4", recipe=(step,)))


def test_alpha_is_a_share() -> None:
    with pytest.raises(ValueError, match=r"^alpha of smooth_quant is 0 to 1, not 1.5$"):
        SmoothQuant(alpha=1.5)
