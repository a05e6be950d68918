"""An exported model needs nothing of this project and gives the same logits."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hwdse.design import Step
from hwdse.export import export
from hwdse.quantize import Bench
from tests.hwdse.networks import bench, split, uniform

ALONE = """
import sys
sys.modules["hwdse"] = None  # importing it would fail
import torch, model
torch.set_num_threads(1)
torch.save(model.load()(torch.load(sys.argv[1])).detach(), sys.argv[2])
"""


@pytest.mark.parametrize("hardware", [True, False])
@pytest.mark.parametrize(
    ("name", "weights", "activations"), [("resnet", "int4:channel", "e2m1"), ("vit", "e3m2:po2", "int6")]
)
def test_the_exported_model_runs_alone(
    name: str, weights: str, activations: str, hardware: bool, tmp_path: Path
) -> None:
    on = bench(name, hardware)
    recipe = (Step("bias_correction"),) if hardware else ()
    design = uniform(on, weights, activations, recipe=recipe)
    folder = export(on, design, tmp_path / "model", title=f"Quantised {name}")
    assert sorted(f.name for f in folder.iterdir()) == ["design.toml", "model.py", "weights.safetensors"]
    images = split("search").images[:50]
    torch.save(images, tmp_path / "images.pt")
    command = [sys.executable, "-W", "ignore", "-c", ALONE, str(tmp_path / "images.pt"), str(tmp_path / "logits.pt")]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    with torch.no_grad():
        assert torch.equal(torch.load(tmp_path / "logits.pt"), on.quantize(design)(images))


class Nested(nn.Module):
    """A parameter of an inner module, and a pool with a setting that torch does not show."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Shift()
        self.pool = nn.AvgPool2d(3, 2, padding=1, count_include_pad=False)
        self.head = nn.Linear(16, 10)

    def forward(self, x: "torch.Tensor | None") -> Tensor:
        y: Tensor = self.head(self.pool(self.inner(x)).flatten(1))
        return y


class Shift(nn.Module):
    """Adds a stored image."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Parameter(torch.rand(1, 1, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.image


def test_what_torch_does_not_show_is_written_too(tmp_path: Path) -> None:
    on = Bench.of(Nested().eval(), split("calibration"), "nested", hardware=False)
    folder = export(on, uniform(on, "int8", "int8"), tmp_path / "model", title='A """title""" of three')
    text = (folder / "model.py").read_text()
    assert "count_include_pad=False" in text
    assert '_parameter(self, "inner.image", 1, 1, 8, 8)' in text


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(ValueError, match=rf"^the folder of an export is new or empty, unlike {tmp_path}$"):
        export(bench("mlp"), uniform(bench("mlp"), "int4", "int4"), tmp_path, title="x")
    assert [f.name for f in tmp_path.iterdir()] == ["mine"]
