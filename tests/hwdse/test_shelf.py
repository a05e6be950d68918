"""What one process makes, another one reads."""

from pathlib import Path

import pytest
import torch

from hwdse.design import Step
from hwdse.quantize import Bench
from hwdse.shelf import Shelf
from tests.hwdse.networks import network, split, uniform

RECIPES = [(), (Step("bias_correction"),), (Step("cross_layer_equalization"), Step("gptq"))]


def test_an_entry_is_whole_or_not_there(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "tensors")
    assert shelf.get("a") is None
    shelf.put("a", {"weight": torch.arange(3.0), "bias": None, "name": "int4"})
    found = Shelf(tmp_path / "tensors").get("a")
    assert found is not None
    assert (found["weight"].tolist(), found["bias"], found["name"]) == ([0.0, 1.0, 2.0], None, "int4")
    assert [file.suffix for file in (tmp_path / "tensors").iterdir()] == [""]


@pytest.mark.parametrize("recipe", RECIPES, ids=["plain", "late", "early and late"])
def test_a_bench_takes_what_another_one_made(
    tmp_path: Path, recipe: tuple[Step, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, images = Shelf(tmp_path), split("search").images[:32]
    design = uniform(Bench.of(network("cnn"), split("calibration"), "cnn"), "e2m1:channel", "int6", recipe=recipe)
    first, second = (Bench.of(network("cnn"), split("calibration"), "cnn", shelf=shelf) for _ in range(2))
    with torch.inference_mode():
        expected = first.shell(design)(images)
    second.after_float_steps(design)  # each process has the float networks itself

    def made(*arguments: object) -> None:
        raise AssertionError("this was made before")

    monkeypatch.setattr(Bench, "_brevitas_layer", made)
    with torch.inference_mode():
        assert torch.equal(second.shell(design)(images), expected)
