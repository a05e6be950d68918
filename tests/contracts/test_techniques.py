"""Every file in `hwdse/techniques/` keeps the contract of a technique."""

import re
from dataclasses import FrozenInstanceError, fields, is_dataclass
from pathlib import Path

import pytest
import torch

from hwdse.design import Step
from hwdse.plugins import load, names
from hwdse.quantize import technique
from hwdse.technique import Sees, Technique
from tests.hwdse.networks import bench, split, uniform

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
    design = uniform(on, f"{fmt}:channel", fmt, recipe=(Step(name),))
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
