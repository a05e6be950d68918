"""Every file in `cost_models/` is a cost model that keeps its contract."""

import re
from dataclasses import astuple, is_dataclass, replace
from pathlib import Path

import pytest

from hwdse.cost import FpgaCost, LayerCost
from hwdse.cost_model import CostModel, FpgaCostModel, GpuCostModel, Run, for_fpgas, for_gpus
from hwdse.design import Design, Quantizer
from hwdse.folding import fold
from hwdse.formats import Format, known_formats
from hwdse.memory import utilization
from hwdse.plugins import load, named
from hwdse.target import FpgaTarget, GpuTarget, devices, fpga, gpu, gpus
from hwdse.workload import OUTSIDE, Kind, Layer, Workload
from tests.cost_models.workloads import ALL_KINDS, CONV, LAYERS, LINEAR, SITES, design

FOLDER = Path(__file__).parents[2] / "cost_models"
EVERY = load("hwdse.cost_models", CostModel)  # type: ignore[type-abstract]
MODELS = {name: model for name, model in EVERY.items() if issubclass(model, FpgaCostModel)}
FOLDING = fold(ALL_KINDS, 20_000)

# Settings with which a format one bit wider never uses less of a device, where the default has exceptions that its
# docstring names.
MONOTONE = {"dataflow": {"multiplier": "lut"}}
UNEVEN = {"finn", "finn-corrected"}  # models of which one bit more may use less, whatever the settings: they say so
# What a model has no price for, in whole or in part: it names the layer.
OF_FINN = ("grouped", "gelu", "matmul", "norm", "softmax", "rotation", "embedding", "other", "low_rank")
REFUSED = {"finn": OF_FINN, "finn-corrected": OF_FINN}
INTEGER_ACTIVATIONS = {"finn", "finn-corrected"}  # models that price no minifloats between layers

each_of_all = pytest.mark.parametrize("name", EVERY)
each = pytest.mark.parametrize("name", MODELS)
each_even = pytest.mark.parametrize("name", [name for name in MODELS if name not in UNEVEN])


def model(name: str) -> FpgaCostModel:
    """The model with its default settings."""
    return MODELS[name]()


def monotone(name: str) -> FpgaCostModel:
    """The model with the settings that `MONOTONE` has for it."""
    return MODELS[name](**MONOTONE.get(name, {}))


def claimed(name: str) -> list[FpgaTarget]:
    """The devices that the model prices."""
    return [target for target in map(fpga, devices()) if model(name).claims(target)]


def network(name: str) -> Workload:
    """The network with a layer of every kind that the model prices."""
    layers = tuple(layer for layer in ALL_KINDS.layers if layer.name not in REFUSED.get(name, ()))
    return replace(ALL_KINDS, layers=layers)


def cost(name: str, how: Design, target: FpgaTarget) -> FpgaCost:
    """The price of that network."""
    return model(name).cost(network(name), how, target, clock_mhz=100)


def activations(name: str, fmt: str) -> str:
    """The format, or an integer where the model prices no other."""
    return "int8" if name in INTEGER_ACTIVATIONS and not re.fullmatch(r"u?int\d", fmt) else fmt


@each_of_all
def test_it_is_found_by_its_file_name(name: str) -> None:
    assert (FOLDER / f"{name.replace('-', '_')}.py").exists()
    assert named("hwdse.cost_models", CostModel, name) is EVERY[name]  # type: ignore[type-abstract]


@each_of_all
def test_it_is_a_frozen_dataclass(name: str) -> None:
    assert is_dataclass(EVERY[name])
    assert EVERY[name].__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert EVERY[name]() == EVERY[name]()


@each_of_all
def test_it_has_the_name_that_it_is_found_by(name: str) -> None:
    assert EVERY[name]().name.split("(")[0] == name


@each
def test_it_claims_a_device_and_says_how_far_to_trust_it(name: str) -> None:
    assert claimed(name)
    for target in claimed(name):
        words = model(name).calibration(target)
        assert target.name in words or f"calibrated on {target.family}" in words


@each
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_it_prices_every_kind_or_names_the_layer(name: str, layer: Layer) -> None:
    assert {one.kind for one in LAYERS} == set(Kind)
    how = design("int4:channel", "int4", FOLDING)
    for target in claimed(name):
        if layer.name in REFUSED.get(name, ()):
            with pytest.raises(ValueError, match=rf"\blayer '{layer.name}'"):
                model(name).layer(layer, how, target)
        elif layer.kind in OUTSIDE:
            message = f"layer '{layer.name}' ({layer.kind}) is outside the accelerator and has no price"
            with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
                model(name).layer(layer, how, target)
        else:
            assert_priced(model(name).layer(layer, how, target), layer)


def assert_priced(priced: LayerCost, layer: Layer) -> None:
    """Fails where a price is empty or negative."""
    assert priced.layer == layer.name
    assert priced.cycles > 0 <= priced.fill_cycles
    assert priced.area.luts + priced.area.dsps + priced.area.brams > 0
    assert all(min(t.area.luts, t.area.ffs, t.area.dsps, t.area.brams, t.area.urams) >= 0 for t in priced.terms)
    assert all(0 <= t.area.lutrams <= t.area.luts for t in priced.terms)
    assert len({t.name for t in priced.terms}) == len(priced.terms)
    assert all((t.low is None) == (t.high is None) for t in priced.terms)
    for t in priced.terms:
        counts = [astuple(area) for area in (t.low or t.area, t.area, t.high or t.area)]
        assert all(least <= said <= most for least, said, most in zip(*counts, strict=True))


@each
@pytest.mark.parametrize("fmt", known_formats(), ids=lambda fmt: fmt.name)
def test_it_prices_every_format(name: str, fmt: Format) -> None:
    for target in claimed(name):
        found = cost(name, design(f"{fmt.name}:channel", activations(name, fmt.name), FOLDING), target)
        assert found.area.luts > 0
        assert found.interval_cycles <= 20_000


@each
def test_it_is_pure(name: str) -> None:
    between = activations(name, "ue2m2")
    how = design("e2m1:channel", between, FOLDING)
    again = design("e2m1:channel", between, dict(reversed(FOLDING.items())))
    for target in claimed(name):
        first = cost(name, how, target)
        cost(name, design("int8", "int8", FOLDING), target)
        assert cost(name, again, target) == first


@each
def test_the_layers_of_a_network_are_those_inside(name: str) -> None:
    how = design("int4:channel", "int4", FOLDING)
    for target in claimed(name):
        found = model(name).layers(network(name), how, target)
        assert found == cost(name, how, target).layers
        assert [one.layer for one in found] == [layer.name for layer in model(name).inside(network(name))]
        assert [one.layer for one in found] == [layer for layer in FOLDING if layer not in REFUSED.get(name, ())]


@each_even
@pytest.mark.parametrize("signed", ["int", "uint"])
def test_more_bits_never_use_less(name: str, signed: str) -> None:
    for target in claimed(name):
        designs = [design(f"int{b}", f"{signed}{b}", FOLDING) for b in range(2, 9)]
        areas = [monotone(name).cost(ALL_KINDS, how, target, clock_mhz=100).area for how in designs]
        shares = [utilization(area, target) for area in areas]
        assert shares == sorted(shares)


def families() -> list[list[str]]:
    """Formats in steps of one bit: integers, and the mantissas of each exponent."""
    formats = (*known_formats(), *known_formats(signed=False))
    keys = dict.fromkeys((fmt.signed, fmt.exponent) for fmt in formats)
    found = [sorted((f for f in formats if (f.signed, f.exponent) == key), key=lambda f: f.bits) for key in keys]
    return [[fmt.name for fmt in steps] for steps in found if len(steps) > 1]


@each_even
@pytest.mark.parametrize("steps", families(), ids=lambda steps: steps[0])
@pytest.mark.parametrize("other", ["int4", "uint8", "e2m1", "ue3m3"])
def test_one_bit_more_in_a_layer_never_uses_less(name: str, steps: list[str], other: str) -> None:
    for target in claimed(name):
        for layer in (CONV, LINEAR):
            for names in ("{0} {1} {1}", "{1} {0} {1}", "{1} {1} {0}"):
                uses = [use(name, layer, names.format(step, other).split(), target) for step in steps]
                assert uses == sorted(uses)


def use(name: str, layer: Layer, formats: list[str], target: FpgaTarget) -> float:
    """The utilization of one layer with the formats of its weights, its input and its outputs."""
    weight, before, after = formats
    sites = {site: Quantizer.parse(before) for site in layer.inputs} | {
        site: Quantizer.parse(after) for site in layer.outputs
    }
    how = Design.of({layer.name: Quantizer.parse(weight)}, sites, {layer.name: FOLDING[layer.name]})
    return utilization(monotone(name).layer(layer, how, target).area, target)


@each
def test_it_lists_what_it_leaves_out(name: str) -> None:
    assert len(SITES) == 7
    outside = [
        layer
        for layer in ("norm", "softmax", "rotation", "embedding", "other", "low_rank")
        if layer not in REFUSED.get(name, ())
    ]
    for target in claimed(name):
        found = cost(name, design("int4", "int4", FOLDING), target)
        assert found.label == ("without " * bool(outside) + ", ".join(outside))


@pytest.mark.parametrize(("name", "layer"), [(name, layer) for name, refused in REFUSED.items() for layer in refused])
def test_a_network_with_what_it_refuses_is_refused(name: str, layer: str) -> None:
    with_one = replace(network(name), layers=(*network(name).layers, ALL_KINDS.layer(layer)))
    for target in claimed(name):
        with pytest.raises(ValueError, match=rf"\blayer '{layer}'"):
            model(name).cost(with_one, design("int4", "int4", FOLDING), target, clock_mhz=100)


@pytest.mark.parametrize("name", sorted(INTEGER_ACTIVATIONS))
def test_minifloats_between_layers_are_refused(name: str) -> None:
    for target in claimed(name):
        with pytest.raises(ValueError, match=r"unlike ue2m2 at site '\w+' of layer 'conv'$"):
            cost(name, design("int4", "ue2m2", FOLDING), target)


def test_an_unknown_one_lists_the_known() -> None:
    with pytest.raises(ValueError, match=f"^no cost model 'magic'; known: {', '.join(EVERY)}$"):
        named("hwdse.cost_models", CostModel, "magic")  # type: ignore[type-abstract]
    with pytest.raises(ValueError, match=f"^no cost model 'magic'; known: {', '.join(EVERY)}$"):
        for_fpgas("magic", {})


# ---- of GPUs -------------------------------------------------------------------------------------

GPU_MODELS = {name: model for name, model in EVERY.items() if issubclass(model, GpuCostModel)}
each_gpu_model = pytest.mark.parametrize("name", GPU_MODELS)


def claimed_gpus(name: str) -> list[GpuTarget]:
    """The GPUs that the model prices."""
    return [target for target in map(gpu, gpus()) if GPU_MODELS[name]().claims(target)]


def test_a_model_is_of_one_kind() -> None:
    assert {*MODELS, *GPU_MODELS} == {*EVERY}
    assert GPU_MODELS


@each_gpu_model
def test_it_claims_a_gpu_and_says_how_far_to_trust_it(name: str) -> None:
    assert claimed_gpus(name)
    assert all(target.name in for_gpus(name, {}).calibration(target) for target in claimed_gpus(name))


@each_gpu_model
@pytest.mark.parametrize("activations", ["int8", "e4m3fn", "uint4"])
@pytest.mark.parametrize("fmt", known_formats(bits=range(3, 9)), ids=lambda fmt: fmt.name)
def test_it_prices_every_format_on_every_gpu(name: str, fmt: Format, activations: str) -> None:
    how = design(f"{fmt.name}:channel", activations, {})
    for target in claimed_gpus(name):
        found = GPU_MODELS[name]().cost(ALL_KINDS, how, target, Run(batch=4))
        assert found.seconds > 0
        assert found.weight_bytes >= sum(layer.n * layer.k for layer in found.layers) * fmt.bits / 8
        assert found == GPU_MODELS[name]().cost(ALL_KINDS, how, target, Run(batch=4))


@each_gpu_model
def test_every_layer_is_priced_or_listed(name: str) -> None:
    for target in claimed_gpus(name):
        found = GPU_MODELS[name]().cost(ALL_KINDS, design("int4:channel", "int8", {}), target, Run())
        inside = [layer.layer for layer in found.layers]
        assert sorted([*inside, *found.outside]) == sorted(layer.name for layer in ALL_KINDS.layers)
        assert inside


@each_gpu_model
def test_a_larger_batch_is_never_faster(name: str) -> None:
    how = design("int4:channel", "int8", {})
    for target in claimed_gpus(name):
        times = [GPU_MODELS[name]().cost(ALL_KINDS, how, target, Run(batch)).seconds for batch in (1, 16, 256)]
        assert times == sorted(times)
