"""Training: the shipped weights are what the recipe gives, and bad requests are named."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from hwdse import zoo
from hwdse.data import DataSpec, Labelled
from hwdse.data import load as load_data
from hwdse.models import ModelSpec
from hwdse.models import load as load_model
from hwdse.train import Trained, train, trainable, write

SHIPPED = {"digits-mlp": 0.97, "digits-cnn": 0.98, "digits-resnet": 0.98, "digits-vit": 0.98}  # top-1, or better


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost small networks more than they bring them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def top1(name: str, split: Labelled) -> float:
    """Of the network `name` as it ships."""
    model = load_model(ModelSpec(name))
    with torch.inference_mode():
        return sum(int((model(x).argmax(1) == y).sum()) for x, y in split.batches(256)) / len(split)


def made(path: Path) -> dict[str, object]:
    """What a file of weights says about its making."""
    with safe_open(path, "pt") as file:
        found: dict[str, object] = json.loads(file.metadata()["made"])
    return found


def test_trainable() -> None:
    assert sorted(SHIPPED) == list(trainable())


@pytest.mark.parametrize("name", trainable())
def test_shipped_weights_reach_what_their_file_says(name: str) -> None:
    data = load_data(DataSpec("digits"))
    assert data.train is not None
    found = {split.name: top1(name, split) for split in (data.train, data.search, data.test)}
    says = made(zoo.WEIGHTS / f"{name}.safetensors")
    assert found == says["top1"]
    assert found["test"] >= SHIPPED[name]
    assert (says["command"], says["seed"]) == (f"hwdse train {name}", 0)
    assert isinstance(says["versions"], dict)
    assert sorted(says["versions"]) == ["numpy", "python", "scikit-learn", "torch"]


@pytest.fixture(scope="module")
def mlp() -> Trained:
    """The quickest network, trained for real, but for a shorter time."""
    return train("digits-mlp", epochs=60)


def test_training_learns(mlp: Trained) -> None:
    assert min(mlp.accuracies) >= 0.92


def test_what_is_written_loads(mlp: Trained, tmp_path: Path) -> None:
    path = tmp_path / "mlp.safetensors"
    write(mlp, path)
    model = load_model(ModelSpec("digits-mlp", path))
    assert all(torch.equal(tensor, mlp.state[name]) for name, tensor in model.state_dict().items())
    assert made(path)["top1"] == mlp.accuracies._asdict()


def test_what_is_written_is_deterministic(mlp: Trained, tmp_path: Path) -> None:
    contents = set()
    for name in "abcdef":
        write(mlp, tmp_path / f"{name}.safetensors")
        contents.add((tmp_path / f"{name}.safetensors").read_bytes())
    assert len(contents) == 1


@pytest.mark.parametrize("name", trainable())
def test_the_seed_decides_all(name: str) -> None:
    torch.rand(3)  # what was drawn before does not count
    states = [train(name, seed, epochs=1).state for seed in (1, 1, 2)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])


def test_training_leaves_random_state_and_threads_alone() -> None:
    torch.manual_seed(5)
    torch.set_num_threads(2)
    before = torch.get_rng_state()
    train("digits-mlp", epochs=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == 2


def test_another_seed_is_in_the_command(tmp_path: Path) -> None:
    write(train("digits-mlp", seed=3, epochs=1), tmp_path / "x.safetensors")
    assert made(tmp_path / "x.safetensors")["command"] == "hwdse train digits-mlp --seed 3"


@pytest.mark.parametrize("name", ["cifar-resnet20", "digits"])
def test_unknown_lists_known(name: str) -> None:
    known = "digits-cnn, digits-mlp, digits-resnet, digits-vit"
    with pytest.raises(ValueError, match=f"^no network {name!r} to train; known: {known}$"):
        train(name)


def test_a_negative_seed() -> None:
    with pytest.raises(ValueError, match=r"^the seed of a training is 0 to 2\*\*63 - 1, not -1$"):
        train("digits-mlp", seed=-1)


def test_files_that_cannot_be_written(mlp: Trained, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    with pytest.raises(ValueError, match=f"^weights are written to a .safetensors file, not {path}$"):
        write(mlp, path)
    path = tmp_path / "none" / "x.safetensors"
    with pytest.raises(ValueError, match=f"^weights cannot be written to {path}: No such file or directory$"):
        write(mlp, path)
