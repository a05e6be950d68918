"""How well techniques do on trained networks: each layer's output on the calibration data, and the logits."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, fx

from hwdse.data import DataSpec, Split, load
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


@dataclass(frozen=True)
class Trained:
    """A trained network: its bench, and images that are not the calibration data's."""

    bench: Bench
    images: Tensor

    def sqnr(self, model: fx.GraphModule) -> float:
        """Of the logits of `model`, in dB."""
        with torch.no_grad():
            wanted, given = self.bench.traced.graph(self.images.clone()), model(self.images.clone())
        return float(10 * torch.log10(wanted.square().sum() / (given - wanted).square().sum()))

    def errors(self, model: fx.GraphModule, plain: fx.GraphModule, *, follow: bool) -> dict[str, LayerError]:
        """Of every layer on the calibration data, behind the layers of `model` before it.

        `plain` has the nearest weights. The distance is to the float layer's output for the same
        inputs, or with `follow` to the float network's.
        """
        on, found = self.bench, {}
        with torch.no_grad():
            for place in places(model, on, on.traced.layers, originals=True):
                nearest = plain.get_submodule(on.traced.layers[place.name])
                wanted = [place.original(x) for x in (place.original_inputs if follow else place.inputs)]
                found[place.name] = LayerError(
                    _distance([place.layer(x) for x in place.inputs], wanted),
                    _distance([nearest(x) for x in place.inputs], wanted),
                )
        return found


@cache
def trained(name: str) -> Trained:
    """digits-cnn, digits-vit, or cifar-resnet20 (skipped where its files are not)."""
    torch.set_num_threads(1)
    model, spec = ModelSpec(name), DataSpec("digits")
    if name == "cifar-resnet20":
        model = ModelSpec(name, checkpoint=cifar() / "resnet20-12fca82f.th")
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        paths = cifar() / "test-3000.npz", cifar() / "train-1000.npz"
        spec = DataSpec("archive", path=paths[0], calibration_path=paths[1], calibration=64, search=200, test=200,
                        mean=mean, std=std)  # fmt: skip
    images = load(spec)
    assert isinstance(images.search, Split)
    return Trained(Bench.of(load_model(model), images.calibration, name), images.search.images)


def design(on: Bench, weights: str, recipe: str = "") -> Design:
    """Weights with one scale per output channel, 8-bit activations, so that the weights' errors are the larger ones."""
    return uniform(on, f"{weights}:channel", "int8", recipe=(Step.parse(recipe),) if recipe else ())


@cache
def nearest_model(name: str, weights: str) -> fx.GraphModule:
    """The Brevitas model with each weight rounded to the nearest."""
    return trained(name).bench.quantize(design(trained(name).bench, weights))


def _distance(given: list[Tensor], wanted: list[Tensor]) -> float:
    return float((torch.cat(given).double() - torch.cat(wanted).double()).square().mean())
