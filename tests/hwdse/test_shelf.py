"""What one process makes, another one reads."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hwdse.design import Design, Quantizer, Step
from hwdse.quantize import Bench
from hwdse.shelf import Shelf
from tests.hwdse.networks import network, split, uniform

RECIPES = [(), (Step("bias_correction"),), (Step("cross_layer_equalization"), Step("gptq"))]
ENTRY = {"weight": torch.arange(3.0), "bias": None, "name": "int4"}


def shared(folder: Path, name: str = "cnn", *, hardware: bool = True) -> Bench:
    return Bench.of(network(name), split("calibration"), name, hardware=hardware, shared=folder)


def logits(bench: Bench, design: Design) -> torch.Tensor:
    with torch.inference_mode():
        return bench.shell(design)(split("search").images[:32])


def test_an_entry_is_whole_or_not_there(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "tensors")
    assert shelf.get("a") is None
    shelf.put("a", ENTRY)
    found = Shelf(tmp_path / "tensors").get("a")
    assert found is not None
    assert (found["weight"].tolist(), found["bias"], found["name"]) == ([0.0, 1.0, 2.0], None, "int4")
    assert [file.suffix for file in (tmp_path / "tensors").iterdir()] == [""]


def test_a_shelf_without_room_takes_nothing(tmp_path: Path) -> None:
    full, nowhere = Shelf(tmp_path, room_bytes=1), Shelf(tmp_path / "a" / "b")
    for shelf in (full, nowhere):
        shelf.put("a", ENTRY)
        shelf.put("b", ENTRY)
        assert shelf.get("b") is None
    assert full.get("a") is not None


@pytest.mark.parametrize("recipe", RECIPES, ids=["plain", "late", "early and late"])
def test_a_bench_takes_what_another_one_made(
    tmp_path: Path, recipe: tuple[Step, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = shared(tmp_path), shared(tmp_path)
    design = uniform(first, "e2m1:channel", "int6", recipe=recipe)
    expected = logits(first, design)
    second.after_float_steps(design)  # each process has the float networks itself

    def made(*arguments: object) -> None:
        raise AssertionError("this was made before")

    monkeypatch.setattr(Bench, "_brevitas_layer", made)
    assert torch.equal(logits(second, design), expected)


@pytest.mark.parametrize("recipe", RECIPES[1:], ids=["late", "early and late"])
def test_layers_that_another_bench_treated_are_the_start_of_others(tmp_path: Path, recipe: tuple[Step, ...]) -> None:
    first, second = shared(tmp_path), shared(tmp_path)
    design = uniform(first, "int4:channel", "int6", recipe=recipe)
    logits(first, design)
    (last, _) = sorted(design.weights, key=lambda pair: [a.name for a in first.workload.weighted].index(pair[0]))[-1]
    weights = tuple((name, Quantizer.parse("int3:channel") if name == last else q) for name, q in design.weights)
    changed = replace(design, weights=weights)
    assert torch.equal(logits(second, changed), logits(shared(tmp_path / "other"), changed))


def test_networks_on_one_shelf_do_not_mix(tmp_path: Path) -> None:
    """Layers of one name, of two networks and of one with and without the rules of hardware."""
    benches = [shared(tmp_path), shared(tmp_path, hardware=False), shared(tmp_path, "mlp")]
    alone = [shared(tmp_path / str(i), b.workload.name, hardware=b.workload.hardware) for i, b in enumerate(benches)]
    for bench, other in zip(benches, alone, strict=True):
        design = uniform(bench, "int4:channel", "int6")
        assert torch.equal(logits(bench, design), logits(other, design))
