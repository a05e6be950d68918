"""Trains the digits networks, each in well under a minute on one core; `hwdse.train_text` trains on text.

The weights that ship with the package came from here, and their files say so; anybody can make
them again. One recipe serves all networks. It was chosen on the search split: the test split was
looked at once, after that.
"""

import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample

from hwdse import zoo
from hwdse.data import Data, DataSpec, Labelled, Split, load

EPOCHS = 100
BATCH = 32  # images
RATE = 2e-3  # of AdamW at the start; a cosine takes it to zero
DECAY = 0.05  # of the weights, decoupled (Loshchilov and Hutter 2019, arXiv 1711.05101)
WARP = 0.08  # standard deviation of each entry of the affine map that an image goes through


class Top1(NamedTuple):
    """The share of images that are right, 0 to 1, by split."""

    train: float
    search: float
    test: float


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network and what made it."""

    name: str
    seed: int
    state: dict[str, Tensor]
    accuracies: Top1


def trainable() -> tuple[str, ...]:
    """The networks that `train` knows."""
    return tuple(name for name in zoo.names() if name.startswith("digits-"))


def train(name: str, seed: int = 0, epochs: int = EPOCHS) -> Trained:
    """The network `name` trained on the train split of digits.

    One machine gives one result per seed, bit for bit; the caller's random state stays as it was.
    """
    if name not in trainable():
        raise ValueError(f"no network {name!r} to train; known: {', '.join(trainable())}")
    check_seed(seed)
    data = load(DataSpec("digits"))
    assert data.train is not None  # digits has one
    with alone(seed):
        model = zoo.build(name)
        _fit(model, data.train, epochs)
        accuracies = _accuracies(model, data, data.train)
    return Trained(name, seed, model.state_dict(), accuracies)


def write(trained: Trained, path: Path) -> None:
    """Writes the weights to the .safetensors file `path`, with the command, seed and versions that made them."""
    made = {
        "command": f"hwdse train {trained.name}" + f" --seed {trained.seed}" * (trained.seed != 0),
        "seed": trained.seed,
        "top1": trained.accuracies._asdict(),
    }
    save_weights(trained.state, made, ("numpy", "scikit-learn", "torch"), path)


def save_weights(state: dict[str, Tensor], made: dict[str, object], packages: tuple[str, ...], path: Path) -> None:
    """Writes `state` to the .safetensors file `path`, with what made it and the versions of Python and `packages`."""
    if path.suffix != ".safetensors":
        raise ValueError(f"weights are written to a .safetensors file, not {path}")
    versions = {"python": platform.python_version()} | {package: version(package) for package in packages}
    made = made | {"versions": versions}
    content = save(state, {"made": json.dumps(made)})  # one key: safetensors writes several in any order
    try:
        path.write_bytes(content)
    except OSError as error:
        raise ValueError(f"weights cannot be written to {path}: {error.strerror}") from None


def check_seed(seed: int) -> None:
    """ValueError for a seed that torch does not take."""
    if not 0 <= seed < 2**63:
        raise ValueError(f"the seed of a training is 0 to 2**63 - 1, not {seed}")


@contextmanager
def alone(seed: int) -> Iterator[None]:
    """One thread and its own random state: sums have one order, and nobody else's draws count."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def _fit(model: nn.Module, split: Split, epochs: int) -> None:
    steps = epochs * -(-len(split) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(split)).split(BATCH):
            optimizer.zero_grad()
            loss = cross_entropy(model(_warped(split.images[batch])), split.labels[batch])
            loss.backward()
            optimizer.step()
            schedule.step()


def _warped(images: Tensor) -> Tensor:
    """`n x C x H x W` images, each a little turned, scaled, sheared and moved."""
    maps = torch.eye(2, 3) + WARP * torch.randn(len(images), 2, 3)
    grid = affine_grid(maps, list(images.shape), align_corners=False)
    return grid_sample(images, grid, align_corners=False)


def _accuracies(model: nn.Module, data: Data, train_split: Split) -> Top1:
    model.eval()
    return Top1(*(_top1(model, split) for split in (train_split, data.search, data.test)))


@torch.no_grad()
def _top1(model: nn.Module, split: Labelled) -> float:
    right = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in split.batches(256))
    return right / len(split)
