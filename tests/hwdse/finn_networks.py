"""FINN's own networks with seeded random weights, batch norms of real images, and images that they take."""

from functools import cache

import numpy as np
import torch
from torch.nn.functional import interpolate

from hwdse import zoo
from hwdse.data import Split
from hwdse.quantize import Bench
from tests.hwdse.networks import split
from tests.hwdse.real_data import cifar

FEW = 64  # images
NORMED = 10  # passes over the images, after which a batch norm has two thirds of its statistics from them


@cache
def large_digits(name: str) -> Split:
    """Some digits in 28 x 28 pixels from -1 to 1, as `finn-tfc` takes them."""
    small = split(name)
    images = interpolate(small.images[:FEW], size=28, mode="bilinear", antialias=True) * 2 - 1
    return Split(name, images, small.labels[:FEW])


@cache
def photos(archive: str) -> Split:
    """Some images of CIFAR-10 from -1 to 1, as `finn-cnv` takes them."""
    with np.load(cifar() / archive) as file:
        images, labels = torch.from_numpy(file["images"][:FEW]), torch.from_numpy(file["labels"][:FEW])
    return Split(archive, images.permute(0, 3, 1, 2).float() / 127.5 - 1, labels.long())


@cache
def tfc() -> Bench:
    """The bench of `finn-tfc`."""
    return _bench("finn-tfc", large_digits("calibration"))


@cache
def cnv() -> Bench:
    """The bench of `finn-cnv`; a test that asks is skipped where there are no images."""
    return _bench("finn-cnv", photos("train-1000.npz"))


def _bench(name: str, images: Split) -> Bench:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = zoo.build(name)
    with torch.no_grad():
        for _ in range(NORMED):
            model(images.images)
    return Bench.of(model.eval(), images, name)
