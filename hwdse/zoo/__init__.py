"""The built-in networks: small, traceable, one per file.

A file `digits_mlp.py` is the network `digits-mlp`: it defines `build()`, and there is nothing to
register. Every network is plain torch that `torch.fx.symbolic_trace` reads, with each module used
once, so that a layer's name is enough to point at it.
"""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = Path(__file__).parent / "weights"  # what `hwdse train` made of the digits networks


def names() -> tuple[str, ...]:
    """The built-in networks, sorted."""
    return tuple(sorted(info.name.replace("_", "-") for info in iter_modules(__path__)))


def build(name: str) -> "nn.Module":
    """The network called `name`, with fresh weights."""
    if name not in names():
        raise ValueError(f"no built-in network {name!r}; known: {', '.join(names())}")
    return cast("nn.Module", import_module(f"{__name__}.{name.replace('-', '_')}").build())


def weights(name: str) -> Path | None:
    """The file of weights shipped for `name`, if there is one."""
    path = WEIGHTS / f"{name}.safetensors"
    return path if path.exists() else None
