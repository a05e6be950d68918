"""Networks and data that several tests share: the built-in shapes with seeded random weights, real images."""

from functools import cache

import torch
from torch import nn

from hwdse.data import DataSpec, Split, load
from hwdse.design import Design, Quantizer, Step
from hwdse.quantize import Bench
from hwdse.zoo import digits_cnn, digits_mlp, digits_resnet, digits_vit

FEW = 64  # images
NETWORKS = {"mlp": digits_mlp, "cnn": digits_cnn, "resnet": digits_resnet, "vit": digits_vit}


@cache
def split(name: str) -> Split:
    """A split of the digits."""
    data = load(DataSpec("digits"))
    part = {"calibration": data.calibration, "search": data.search, "test": data.test}[name]
    assert isinstance(part, Split)
    return part


def network(name: str) -> nn.Module:
    """One of the built-in shapes with random weights and batch-norm statistics of real images."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model: nn.Module = NETWORKS[name].build()
    with torch.no_grad():
        for _ in range(20):
            model(split("calibration").images)
    return model.eval()


@cache
def bench(name: str, hardware: bool = True) -> Bench:
    """The bench of `network(name)` on the digits."""
    return Bench.of(network(name), split("calibration"), name, hardware=hardware)


@cache
def small_bench(name: str, hardware: bool = True) -> Bench:
    """The same with few calibration images, where a test asks what is done and not how well."""
    return Bench.of(network(name), few(), name, hardware=hardware)


def few() -> Split:
    """The first of the calibration images."""
    whole = split("calibration")
    return Split("calibration", whole.images[:FEW], whole.labels[:FEW])


def uniform(on: Bench, weights: str, activations: str, *, recipe: tuple[Step, ...] = ()) -> Design:
    """The design with the same quantisers everywhere, unsigned where nothing is negative."""
    return Design.of(
        {layer.name: Quantizer.parse(weights) for layer in on.workload.weighted},
        {site.name: fitting(on, site.name, Quantizer.parse(activations)) for site in on.workload.sites},
        recipe=recipe,
        hardware=on.workload.hardware,
    )


def fitting(on: Bench, site: str, quantizer: Quantizer) -> Quantizer:
    """`quantizer`, unsigned where calibration saw nothing negative."""
    if site not in on.nonnegative:
        return quantizer
    return Quantizer(quantizer.format.unsigned, calibration=quantizer.calibration, scale=quantizer.scale)
