"""How well techniques do on trained networks: each layer's output on the calibration data, and the logits."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from hwdse.accuracy import Evaluator
from hwdse.data import DataSpec, load
from hwdse.design import Design, Step
from hwdse.layer_inputs import places
from hwdse.models import ModelSpec
from hwdse.models import load as load_model
from hwdse.quantize import Bench
from tests.hwdse.networks import uniform
from tests.hwdse.real_data import cifar


@dataclass(frozen=True)
class LayerError:
    """Mean squared distances of one layer's output, for the same inputs, with treated and with nearest weights."""

    treated: float
    nearest: float


@cache
def evaluator(name: str) -> Evaluator:
    """Of a trained network: digits-cnn, digits-vit, or cifar-resnet20 (skipped where its files are not)."""
    torch.set_num_threads(1)
    model, spec = ModelSpec(name), DataSpec("digits")
    if name == "cifar-resnet20":
        model = ModelSpec(name, checkpoint=cifar() / "resnet20-12fca82f.th")
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        paths = cifar() / "test-3000.npz", cifar() / "train-1000.npz"
        spec = DataSpec("archive", path=paths[0], calibration_path=paths[1], calibration=128, search=256, test=256,
                        mean=mean, std=std)  # fmt: skip
    images = load(spec)
    return Evaluator(Bench.of(load_model(model), images.calibration, name), {"search": images.search})


def design(name: str, weights: str, recipe: str = "", activations: str = "int8") -> Design:
    """Uniform, with one scale per output channel."""
    steps = tuple(Step.parse(step) for step in recipe.split(" + ") if step)
    return uniform(evaluator(name).bench, f"{weights}:channel", activations, recipe=steps)


@cache
def sqnr(name: str, weights: str, recipe: str = "") -> float:
    """Of the logits on the search split, in dB."""
    value = evaluator(name).accuracy(design(name, weights, recipe), "search").sqnr_db
    assert value is not None
    return value


def layer_errors(on: Bench, treated: Design, *, follow: bool) -> dict[str, LayerError]:
    """Of every layer on the calibration data, behind the treated layers before it.

    The distance is to the float layer's output for the same inputs, or with `follow` to the float network's.
    """
    plain = on.quantize(Design(treated.weights, treated.activations, hardware=treated.hardware))
    found = {}
    with torch.no_grad():
        for place in places(on.quantize(treated), on, on.traced.layers, originals=True):
            nearest = plain.get_submodule(on.traced.layers[place.name])
            wanted = [place.original(x) for x in (place.original_inputs if follow else place.inputs)]
            found[place.name] = LayerError(
                _distance([place.layer(x) for x in place.inputs], wanted),
                _distance([nearest(x) for x in place.inputs], wanted),
            )
    return found


def _distance(given: list[Tensor], wanted: list[Tensor]) -> float:
    return float((torch.cat(given).double() - torch.cat(wanted).double()).square().mean())
