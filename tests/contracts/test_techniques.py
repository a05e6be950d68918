"""Every file in `hwdse/techniques/` keeps the contract of a technique."""

import re
from dataclasses import FrozenInstanceError, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, fx

from hwdse.brevitas_layers import quantised_weight
from hwdse.design import Design, Quantizer, Step
from hwdse.export import export
from hwdse.plugins import load, names
from hwdse.quantize import Bench, technique
from hwdse.technique import Sees, Technique
from tests.hwdse.networks import small_bench as bench
from tests.hwdse.networks import split, uniform

ROOT = Path(__file__).parents[2]
FOLDER = "hwdse.techniques"
CASES = [  # each network in each mode, with integers in one and minifloats in the other
    (network, fmt, hardware)
    for i, network in enumerate(("mlp", "cnn", "resnet", "vit"))
    for fmt, hardware in (("int4", i % 2 == 0), ("e2m1", i % 2 == 1))
]
NOTHING_TO_DO = {  # technique and network that has nothing for it to work on
    ("channel_splitting", "vit"),  # norms, matmuls and GELUs lie between all layers
    *(("rotation", network) for network in ("mlp", "cnn", "resnet")),  # no attention
}
KINDS = load(FOLDER, Technique)  # type: ignore[type-abstract]
LATE = [name for name in names(FOLDER) if KINDS[name].sees is Sees.QUANTIZED_INPUTS and not KINDS[name].rebuilds]
QUICK = {"auto_round": (("iterations", 10),), "learned_rounding": (("iterations", 10), ("lr", 0.5))}


def quick(name: str) -> Step:
    """The technique, with few iterations where it has some."""
    return Step(name, QUICK.get(name, ()))


@pytest.mark.parametrize("name", names(FOLDER))
def test_is_a_frozen_dataclass_whose_settings_have_defaults(name: str) -> None:
    kind = KINDS[name]
    assert is_dataclass(kind)
    method = technique(Step(name))
    assert isinstance(method, kind)
    assert method == technique(Step(name))
    assert isinstance(kind.sees, Sees)
    assert kind.__doc__
    for field in fields(kind):
        with pytest.raises(FrozenInstanceError):
            setattr(method, field.name, None)


def test_the_page_has_a_row_for_each() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "techniques.md").read_text(), re.MULTILINE)
    assert rows == sorted(names(FOLDER))


@pytest.mark.parametrize(("network", "fmt", "hardware"), CASES)
@pytest.mark.parametrize("name", names(FOLDER))
def test_changes_the_network_deterministically_and_leaves_the_bench_alone(
    name: str, network: str, fmt: str, hardware: bool
) -> None:
    on = bench(network, hardware)
    before = on.digest
    design = uniform(on, f"{fmt}:channel", fmt, recipe=(quick(name),))
    if (name, network) in NOTHING_TO_DO:
        with pytest.raises(ValueError, match=f"^step '{name}' changed nothing in network '{network}'$"):
            on.quantize(design)
        return
    images = split("search").images[:100]
    with torch.no_grad():
        first, again = on.quantize(design)(images), on.quantize(design)(images)
        plain = on.shell(uniform(on, f"{fmt}:channel", fmt))(images)
    assert torch.equal(first, again)
    assert torch.isfinite(first).all()
    assert not torch.equal(first, plain)
    assert on.digest == before
    assert [a.name for a in on.charged((Step(name),)).weighted] == [a.name for a in on.workload.weighted]


# ---- techniques that see quantised inputs --------------------------------------------------------


State = dict[str, Tensor]


def results(on: Bench, model: fx.GraphModule) -> dict[str, State]:
    """The tensors of every layer: weights, bias, and the scale where it is one."""
    layers: dict[str, Any] = {name: model.get_submodule(path) for name, path in on.traced.layers.items()}
    return {name: dict(layer.state_dict()) for name, layer in layers.items()}


def equal(one: State, other: State) -> bool:
    """Bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def downstream(on: Bench, layer: str) -> set[str]:
    """The layers with weights that the output of `layer` reaches."""
    nodes = list(on.traced.graph.graph.nodes)
    reached = {next(node for node in nodes if node.target == on.traced.layers[layer])}
    for node in nodes:  # users come later
        if reached & set(node.all_input_nodes):
            reached.add(node)
    return {name for name, path in on.traced.layers.items() if path in {node.target for node in reached}} - {layer}


@pytest.mark.parametrize(("network", "changed"), [("cnn", "conv2"), ("vit", "blocks.0.attention.q")])
@pytest.mark.parametrize("name", LATE)
def test_a_late_result_depends_on_what_is_upstream_alone(name: str, network: str, changed: str) -> None:
    """The engine keeps the results of a layer by its own quantiser and everything upstream of it."""
    on = bench(network)
    design = uniform(on, "int4:channel", "int4", recipe=(quick(name),))
    (site,) = on.workload.layer(changed).outputs
    activations = dict(design.activations)
    activations[site] = Quantizer(activations[site].format, calibration="mse")
    weights = dict(design.weights) | {changed: Quantizer.parse("e2m1:channel")}
    other = Design.of(weights, activations, recipe=design.recipe)
    first, second = results(on, on.quantize(design)), results(on, on.quantize(other))
    untouched = {layer for layer in first if equal(first[layer], second[layer])}
    after = downstream(on, changed)
    assert untouched >= set(first) - after - {changed}
    assert changed not in untouched
    assert after - untouched, "a technique that looks at quantised inputs sees that they changed"


@pytest.mark.parametrize(("network", "fmt"), [("cnn", "int4:channel"), ("vit", "e2m1:channel")])
@pytest.mark.parametrize("name", LATE)
def test_a_late_technique_may_go_on_from_final_layers(name: str, network: str, fmt: str) -> None:
    """The engine gives the first layers their final weights and biases and has only the others treated."""
    on = bench(network)
    recipe = (quick(name),)
    model = on.quantize(uniform(on, fmt, "int4", recipe=recipe))
    whole = results(on, model)
    rest = on.quantize(uniform(on, fmt, "int4"))
    order = list(on.traced.layers)
    first, others = order[: len(order) // 2], order[len(order) // 2 :]
    for layer in first:
        module: Any = rest.get_submodule(on.traced.layers[layer])
        if "bias" in whole[layer] and module.bias is None:
            module.bias = torch.nn.Parameter(whole[layer]["bias"].clone())
        module.load_state_dict(whole[layer])
    torch.manual_seed(1)  # not what it was
    random = torch.get_rng_state()
    technique(recipe[0]).apply(rest, on, {layer: on.traced.layers[layer] for layer in others})
    assert torch.equal(torch.get_rng_state(), random)
    assert [layer for layer in order if not equal(whole[layer], results(on, rest)[layer])] == []
    images = split("search").images
    with torch.no_grad():
        assert torch.equal(model(images), rest(images))


@pytest.mark.parametrize("quantizer", ["int3:channel:po2", "int4:mse:full", "e3m0", "e4m3:channel:po2"])
@pytest.mark.parametrize("name", LATE)
def test_late_weights_lie_on_the_grid_of_any_format(name: str, quantizer: str) -> None:
    on = bench("cnn")
    design = uniform(on, quantizer, "int8", recipe=(quick(name),))
    supported = [technique(quick(name)).supports(a, Quantizer.parse(quantizer)) for a in on.workload.weighted]
    if not any(supported):
        with pytest.raises(ValueError, match=f"^step '.*{name}.*' changed nothing in network 'cnn'$"):
            on.quantize(design)
        return
    model = on.quantize(design)
    for layer, chosen in design.weights:
        quantised_weight(model.get_submodule(on.traced.layers[layer]), layer, chosen)  # raises otherwise


@pytest.mark.parametrize("hardware", [True, False])
@pytest.mark.parametrize("name", LATE)
def test_a_late_model_is_exported_as_it_is(name: str, hardware: bool, tmp_path: Path) -> None:
    on = bench("cnn", hardware)
    design = uniform(on, "e2m1:channel", "int4", recipe=(quick(name),))
    model = on.quantize(design)
    assert model.state_dict().keys() >= on.quantize(uniform(on, "e2m1:channel", "int4")).state_dict().keys()
    export(on, design, tmp_path / "model", title="late")  # raises unless the written model gives equal logits
    assert (tmp_path / "model" / "model.py").is_file()
