"""Networks by name: the built-in ones, torchvision's, and whatever the user's own code returns."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from types import ModuleType
from typing import Any

from torch import nn

from hwdse import huggingface, zoo
from hwdse.checkpoint import load_into
from hwdse.text import Encode, byte_codes

TORCHVISION_WEIGHTS = "IMAGENET1K_V1"  # what papers on quantisation start from: torchvision's old `pretrained=True`


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Which network a study explores.

    `digits-cnn` is built in; `torchvision:resnet18` comes with torchvision's own weights, of which
    `torchvision:mobilenet_v2:IMAGENET1K_V2` names others; `huggingface:NAME` is a causal language model of the Hub,
    or in the folder NAME; `package.module:callable` is the user's.
    """

    name: str
    checkpoint: Path | None = None  # weights to load instead

    def __post_init__(self) -> None:
        if ":" not in self.name and self.name not in known_models():
            others = "torchvision:NAME, huggingface:NAME, package.module:callable"
            raise ValueError(f"no model {self.name!r}; known: {', '.join(known_models())}, {others}")


def known_models() -> tuple[str, ...]:
    """The built-in networks."""
    return zoo.names()


def load(spec: ModelSpec) -> nn.Module:
    """The network of `spec` with its weights, in evaluation mode.

    What cannot be imported, built or loaded is a `ValueError`.
    """
    if ":" not in spec.name:
        model = _built_in(spec)
    elif spec.name.startswith("torchvision:"):
        model = _torchvision(spec)
    elif spec.name.startswith(huggingface.PREFIX):
        if spec.checkpoint is not None:
            raise ValueError(f"the weights of {spec.name!r} are its own, without a checkpoint")
        model = huggingface.load(spec.name)
    else:
        model = _own(spec.name)
        if spec.checkpoint is not None:
            load_into(model, spec.checkpoint, spec.name)
    return model.eval()


def encoder(name: str) -> Encode:
    """What makes tokens of a text for the network `name`: its tokenizer, or the bytes as they are."""
    return huggingface.encoder(name) if name.startswith(huggingface.PREFIX) else byte_codes


def _built_in(spec: ModelSpec) -> nn.Module:
    path = zoo.weights(spec.name) if spec.checkpoint is None else spec.checkpoint
    if path is None:
        raise ValueError(f"the model {spec.name} has no weights of its own: name a checkpoint")
    model = zoo.build(spec.name)
    load_into(model, path, spec.name)
    return model


def _torchvision(spec: ModelSpec) -> nn.Module:
    _, name, *version = spec.name.split(":")
    models = _import_torchvision(spec.name)
    known: list[str] = models.list_models(module=models)
    if name not in known:
        raise ValueError(f"no torchvision model {name!r}; known: {', '.join(known)}")
    if spec.checkpoint is None:
        return _pretrained(models, name, ":".join(version) or TORCHVISION_WEIGHTS)
    model: nn.Module = models.get_model(name, weights=None)
    load_into(model, spec.checkpoint, spec.name)
    return model


def _import_torchvision(name: str) -> Any:  # a module that may not be there has no types
    try:
        return import_module("torchvision.models")
    except (ImportError, RuntimeError):  # a torchvision built for another torch raises the latter
        raise ValueError(f"the model {name!r} needs a torchvision that fits torch: pip install torchvision") from None


def _pretrained(models: Any, name: str, version: str) -> nn.Module:
    weights = models.get_model_weights(name).__members__
    if version not in weights:
        raise ValueError(f"no weights {version!r} of torchvision's {name}; known: {', '.join(weights)}")
    try:
        # The builder reads its download without `weights_only`: so the file is first read with it.
        weights[version].get_state_dict(check_hash=True, weights_only=True)
        model: nn.Module = models.get_model(name, weights=weights[version])
    except (OSError, RuntimeError, UnpicklingError) as error:
        raise ValueError(f"no weights {version} of torchvision's {name}: {_one_line(error)}") from error
    return model


def _own(name: str) -> nn.Module:
    """What the user's `package.module:callable` returns."""
    path, _, attribute = name.partition(":")
    with _current_directory():
        module = _import_own(path, name)
        build = getattr(module, attribute, None)
        if not callable(build):
            raise ValueError(f"the module {path!r} has no callable {attribute!r} for the model {name!r}")
        try:
            model = build()
        except (Exception, SystemExit) as error:  # the user's code raises what it likes
            raise ValueError(f"the model {name!r} could not be built: {_one_line(error)}") from error
    if not isinstance(model, nn.Module):
        raise ValueError(f"a model is a torch.nn.Module, not {type(model).__name__} as {name!r} returned")
    return model


def _import_own(path: str, name: str) -> ModuleType:
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        rule = f"the model {name!r} is on the Python path or in {Path.cwd()}"
        raise ValueError(f"{rule}, but there is no module {error.name!r}") from None
    except (Exception, SystemExit) as error:  # the user's code raises what it likes
        raise ValueError(f"the module of the model {name!r} could not be imported: {_one_line(error)}") from error


@contextmanager
def _current_directory() -> Iterator[None]:
    """The current directory at the end of the Python path, where `python -m` has it and a command has not."""
    path = str(Path.cwd())
    if path in sys.path:
        yield
        return
    sys.path.append(path)
    try:
        yield
    finally:
        sys.path.remove(path)


def _one_line(error: BaseException) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"
