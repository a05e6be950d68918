"""Kernels as Python: Triton looks at its setting where a function is decorated, so their files are read again."""

import sys
from importlib import import_module
from types import ModuleType

import pytest

PACKAGE = "hwdse.kernels"


def interpreted(name: str) -> ModuleType:
    """A second copy of the kernel `name`, with copies of all that it imports of its folder."""
    import_module("triton")  # first: what it is made of is not to be interpreted
    package = import_module(PACKAGE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        for loaded in [module for module in sys.modules if module.startswith(f"{PACKAGE}.")]:
            patch.delitem(sys.modules, loaded)
            patch.delattr(package, loaded.removeprefix(f"{PACKAGE}."), raising=False)
        before = set(sys.modules)
        copy = import_module(f"{PACKAGE}.{name}")
        for own in set(sys.modules) - before:
            if own.startswith(f"{PACKAGE}."):
                del sys.modules[own]
                delattr(package, own.removeprefix(f"{PACKAGE}."))
    return copy
