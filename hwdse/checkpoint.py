"""Reads the weights of a checkpoint file, and puts them into a network.

A pickle is a program. Here none runs: safetensors hold none, and torch's `weights_only` refuses
whatever a pickle asks for beyond tensors and plain containers.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

TORCH = (".pt", ".pth", ".th")
SUFFIXES = (".safetensors", *TORCH)
COUNTER = ".num_batches_tracked"  # of batch norms; evaluation does not read it, and older checkpoints lack it


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of the checkpoint `path` by name, without a leading `module.` where all names have one."""
    if path.suffix not in SUFFIXES:
        raise ValueError(f"a checkpoint is a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file, not {path}")
    if not path.is_file():
        raise ValueError(f"no checkpoint {path}")
    state = _read_torch(path) if path.suffix in TORCH else _read_safetensors(path)
    for name, tensor in state.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(f"a checkpoint holds finite numbers, unlike {name!r} of {path}")
    if all(name.startswith("module.") for name in state):  # saved from within a DataParallel
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def load_into(model: nn.Module, path: Path, name: str) -> None:
    """Puts the tensors of the checkpoint `path` into `model`, which the errors call `name`.

    The checkpoint must hold every tensor of the model, in its shape, and nothing else.
    """
    state, wanted = read_state(path), model.state_dict()
    wanted = {key: tensor for key, tensor in wanted.items() if key in state or not key.endswith(COUNTER)}
    if missing := [key for key in wanted if key not in state]:
        raise ValueError(f"a checkpoint of {name} holds all its tensors, but {path} lacks {_list(missing)}")
    if unknown := [key for key in state if key not in wanted]:
        raise ValueError(f"a checkpoint of {name} holds its tensors alone, but {path} has {_list(unknown)}")
    for key, tensor in wanted.items():
        if tensor.shape != state[key].shape:
            shapes = f"{list(tensor.shape)}, not {list(state[key].shape)}"
            raise ValueError(f"the shape of {key!r} in {name} is {shapes} as in {path}")
    model.load_state_dict(state, strict=False)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError):
        raise ValueError(f"a .safetensors checkpoint is intact, unlike {path}") from None


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # broken bytes raise what they like, UnpicklingError and RuntimeError most often
        raise ValueError(f"a checkpoint is intact and holds no code to run, unlike {path}") from None
    if isinstance(content, Mapping) and "state_dict" in content:
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise ValueError(f"a checkpoint is a table of tensors, not {type(content).__name__} as in {path}")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ValueError(f"a checkpoint is a table of tensors, unlike {name!r} of {path}")
    return dict(content)


def _list(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]!r}{more}"
