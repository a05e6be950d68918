"""Two evaluations of a model agree as far as roundings explain, and no further."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import fx

from hwdse.agreement import Agreement, agreeing, compare, decided, tensors
from hwdse.equality import in_float64
from tests.hwdse.networks import bench, split, uniform

Values = dict[str, NDArray[np.float32]]
IMAGES = split("test").images[:20]


class Recorder(fx.Interpreter):
    """Keeps all tensors."""

    def __init__(self, model: fx.GraphModule) -> None:
        super().__init__(model)
        self.kept: Values = {}

    def run_node(self, n: fx.Node) -> object:
        result = super().run_node(n)
        if isinstance(result, torch.Tensor):
            self.kept[n.name] = result.detach().clone().float().numpy()
        return result


def model(name: str) -> fx.GraphModule:
    """A network in 4 bits."""
    return bench(name).quantize(uniform(bench(name), "int4:channel", "int4"))


def recorded(of: fx.GraphModule, images: torch.Tensor = IMAGES) -> Values:
    """What it computes."""
    recorder = Recorder(of)
    with torch.no_grad():
        recorder.run(images.clone())
    return {name: recorder.kept[name] for name in tensors(of)}


@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet"])
def test_the_bound_holds_in_float64(name: str) -> None:
    """The exact sums are nearer than two rounded ones can be, and the bound is no more than 2**-10 of the logits."""
    double = recorded(in_float64(model(name)), IMAGES.double())
    found = compare(model(name), IMAGES, double)
    assert found.images == found.followed == len(IMAGES)
    assert found.moved == 0
    assert 0 < found.difference < found.bound
    assert found.bound < 2.0**-10 * abs(double["head" if name == "resnet" else "fc3" if name == "mlp" else "fc2"]).max()


def test_another_weight_is_no_rounding() -> None:
    other = model("cnn")
    with torch.no_grad():
        other.get_submodule("conv2").bias[3] += 0.001  # type: ignore[index, operator]
    rule = r"^\d+ numbers of 'relu3' differ by up to 0\.000\d+ more than roundings can$"
    with pytest.raises(ValueError, match=rule):
        compare(model("cnn"), IMAGES, recorded(other))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (0.0, "the quantiser after 'relu1' gives other codes for equal numbers"),
        (0.1, "1 numbers of 'relu1' differ by up to 0.1 more than roundings can"),
    ],
)
def test_another_code_has_a_reason(change: float, rule: str) -> None:
    found = recorded(model("mlp"))
    active = int(np.argmax(found["quant_1"][2]))
    found["relu1"][2, active] += np.float32(change)
    found["quant_1"][2, active] *= np.float32(0.5)
    with pytest.raises(ValueError, match=f"^{re.escape(rule)}$"):
        compare(model("mlp"), IMAGES, found)


def test_a_code_that_roundings_move_is_counted_and_its_image_not_followed() -> None:
    found = recorded(model("mlp"))
    active = int(np.argmax(found["quant_1"][2]))
    found["relu1"][2, active] = np.nextafter(found["relu1"][2, active], np.float32(9))
    found["quant_1"][2, active] *= np.float32(0.5)
    found["relu2"][2] = found["quant_2"][2] = found["fc3"][2] = 99
    agreement = compare(model("mlp"), IMAGES, found)
    assert (agreement.moved, agreement.followed, agreement.difference) == (1, len(IMAGES) - 1, 0.0)


def test_an_image_near_a_threshold_is_not_decided() -> None:
    """One number is put on a threshold by the bias of its row."""
    whole = model("mlp")
    before = decided(whole, IMAGES)
    assert before.sum() > len(IMAGES) / 2
    image = int(np.flatnonzero(before)[0])
    quantiser: Any = whole.get_submodule("quant_1")
    found, scale = recorded(whole)["relu1"][image], float(quantiser.act_quant.scale().detach())
    row = int(np.argmax(found))
    with torch.no_grad():
        whole.get_submodule("fc1").bias[row] += 3.5 * scale - float(found[row])  # type: ignore[index, operator]
    assert not decided(whole, IMAGES)[image]


def test_images_with_other_logits_do_not_agree() -> None:
    logits = recorded(model("mlp"))["fc3"]
    assert agreeing(model("mlp"), IMAGES, logits).all()
    logits[3, 7] += 0.001
    assert np.flatnonzero(~agreeing(model("mlp"), IMAGES, logits)).tolist() == [3]
    with pytest.raises(ValueError, match=r"^the logits are \(20, 10\), not \(20, 9\)$"):
        agreeing(model("mlp"), IMAGES, logits[:, :9])


def test_agreements_add_up() -> None:
    both = Agreement(10, 100, 1, 9, 0.1, 0.3) + Agreement(5, 50, 0, 5, 0.2, 0.2)
    assert both == Agreement(15, 150, 1, 14, 0.2, 0.3)
    assert both.text == (
        "1 of 150 codes on 15 images differ, by roundings; "
        "the logits differ by 0.2 at most, and 0.3 is the bound of their roundings"
    )
