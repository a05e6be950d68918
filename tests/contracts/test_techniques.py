"""Every file in `hwdse/techniques/` keeps the contract of a technique."""

from dataclasses import FrozenInstanceError, fields, is_dataclass

import pytest
import torch

from hwdse.design import Step
from hwdse.plugins import load, names
from hwdse.quantize import technique
from hwdse.technique import Sees, Technique
from tests.hwdse.networks import bench, split, uniform

FOLDER = "hwdse.techniques"


@pytest.mark.parametrize("name", names(FOLDER))
def test_is_a_frozen_dataclass_whose_settings_have_defaults(name: str) -> None:
    kind = load(FOLDER, Technique)[name]  # type: ignore[type-abstract]
    assert is_dataclass(kind)
    method = technique(Step(name))
    assert isinstance(method, kind)
    assert method == technique(Step(name))
    assert isinstance(kind.sees, Sees)
    assert kind.__doc__
    for field in fields(kind):
        with pytest.raises(FrozenInstanceError):
            setattr(method, field.name, None)


@pytest.mark.parametrize("fmt", ["int4", "e2m1"])
@pytest.mark.parametrize("network", ["cnn", "resnet"])
@pytest.mark.parametrize("name", names(FOLDER))
def test_changes_the_network_deterministically_and_leaves_the_bench_alone(name: str, network: str, fmt: str) -> None:
    on = bench(network)
    before = on.digest
    design = uniform(on, fmt, fmt, recipe=(Step(name),))
    images = split("search").images[:100]
    with torch.no_grad():
        first, again = on.quantize(design)(images), on.quantize(design)(images)
        plain = on.quantize(uniform(on, fmt, fmt))(images)
    assert torch.equal(first, again)
    assert not torch.equal(first, plain)
    assert on.digest == before
