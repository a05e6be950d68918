"""SVDQuant adds a float branch that is charged, and fits weights better than its rank says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import fx

from hwdse.design import Quantizer, Step
from hwdse.export import export
from hwdse.quantize import Bench
from hwdse.techniques.svd_quant import SvdQuant
from hwdse.workload import Kind
from tests.hwdse.networks import bench, split, uniform
from tests.hwdse.techniques.floats import noise


def corrected(on: Bench, weights: str, **settings: int | str) -> fx.GraphModule:
    """The Brevitas model after the step."""
    return on.quantize(uniform(on, weights, "int8", recipe=(Step("svd_quant", tuple(settings.items())),)))


@pytest.mark.parametrize("order", ["weight", "residual"])
@pytest.mark.parametrize("weights", ["int3:channel", "e2m1:channel", "e2m1:po2", "int4:channel:mse"])
def test_weights_and_branch_together_are_nearer_than_quantised_weights(weights: str, order: str) -> None:
    on = bench("mlp")
    model = corrected(on, weights, order=order, rank=4)
    for name in ("fc1", "fc2", "fc3"):
        wanted = on.traced.graph.get_submodule(name).get_parameter("weight")
        part: Any = model.get_submodule(name)
        with torch.no_grad():
            whole = part.layer.quant_weight().value + part.correction.l2.weight @ part.correction.l1.weight
        plain = on.weight(name, Quantizer.parse(weights))
        assert (whole - wanted).norm() < 0.97 * (plain - wanted).norm(), name


def test_the_branch_of_the_residual_holds_its_largest_singular_values() -> None:
    on = bench("mlp")
    part: Any = corrected(on, "int3:channel", order="residual", rank=4).get_submodule("fc1")
    error = on.traced.graph.get_submodule("fc1").get_parameter("weight") - on.weight(
        "fc1", Quantizer.parse("int3:channel")
    )
    singular = torch.linalg.svdvals(error.detach())
    left = (error - part.correction.l2.weight @ part.correction.l1.weight).norm() ** 2
    # Eckart and Young: what is left are the other singular values; rtol for float32 decompositions of 64 x 64
    torch.testing.assert_close(left.detach(), (singular[4:] ** 2).sum(), rtol=1e-4, atol=0)


@pytest.mark.parametrize("weights", ["int4:channel", "e2m1:channel"])
def test_the_scale_is_that_of_what_is_left(weights: str) -> None:
    """The scale is a parameter: one that stayed that of the whole weights would waste the grid."""
    layer: Any = corrected(bench("mlp"), weights).get_submodule("fc1").layer
    largest = 7 if weights.startswith("int") else 6
    torch.testing.assert_close(layer.weight_quant.scale().flatten(), layer.weight.abs().amax(1) / largest)


@pytest.mark.parametrize("hardware", [True, False])
def test_the_branch_reads_what_its_layer_reads_or_floats(hardware: bool) -> None:
    on = bench("mlp", hardware)
    model = corrected(on, "int4:channel")
    seen: list[torch.Tensor] = []
    hook = (
        model.get_submodule("fc1").get_submodule("correction").register_forward_pre_hook(lambda m, x: seen.append(x[0]))
    )
    images = split("search").images[:8]
    with torch.no_grad():
        model(images)
    hook.remove()
    assert torch.equal(seen[0], images.flatten(1)) is not hardware
    assert len(torch.unique(seen[0])) <= 256


@pytest.mark.parametrize("hardware", [True, False])
def test_less_noise_at_a_price_that_is_listed(hardware: bool) -> None:
    on, step = bench("vit", hardware), Step("svd_quant")
    plain = uniform(on, "int3:channel", "int8")
    assert noise(on, on.quantize(replace(plain, recipe=(step,)))) < 0.8 * noise(on, on.quantize(plain))
    paid = on.charged((step,))
    factors = [layer for layer in paid.layers if layer.kind is Kind.LOW_RANK]
    linear = [layer for layer in on.workload.layers if layer.kind is Kind.LINEAR]
    assert len(factors) == 2 * len(linear)
    assert paid.macs - on.workload.macs == sum(8 * a.positions * (a.rows + a.dot) for a in linear)
    assert paid.float_weights == sum(8 * (a.rows + a.dot) for a in linear)
    assert paid.weighted == on.workload.weighted
    assert [layer.name for layer in factors][:2] == [f"{linear[0].name}.low_rank_down", f"{linear[0].name}.low_rank_up"]


def test_small_layers_have_no_branch() -> None:
    on = bench("mlp")
    model = corrected(on, "int4", rank=12)  # fc3 has 10 outputs
    assert [path for path, _ in model.named_children() if hasattr(model.get_submodule(path), "correction")] == [
        "fc1",
        "fc2",
    ]
    assert {a.name for a in on.charged((Step("svd_quant", (("rank", 12),)),)).layers if a.kind is Kind.LOW_RANK} == {
        f"{layer}.low_rank_{way}" for layer in ("fc1", "fc2") for way in ("down", "up")
    }


def test_other_modules_alone_are_no_change() -> None:
    on = bench("mlp")
    step = Step("svd_quant", (("rank", 64),))  # of no layer
    with pytest.raises(ValueError, match=r"^step 'svd_quant\(rank=64\)' changed nothing in network 'mlp'$"):
        on.quantize(uniform(on, "int4", "int4", recipe=(step,)))


def test_it_is_not_exported(tmp_path: Path) -> None:
    on = bench("mlp")
    design = uniform(on, "int4", "int4", recipe=(Step("svd_quant"),))
    with pytest.raises(ValueError, match=r"^a layer that a technique rebuilt is not exported, unlike 'fc1'$"):
        export(on, design, tmp_path / "model", title="x")


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match=r"^order of svd_quant is weight or residual, not 'both'$"):
        SvdQuant(order="both")
    with pytest.raises(ValueError, match=r"^rank and iterations of svd_quant are at least 1, not 0, 10$"):
        SvdQuant(rank=0)
