"""The code that a result depends on: a module, with all that it imports of this project."""

import ast
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from inspect import getsource


@cache
def code(*modules: str) -> str:
    """The text of `modules` and of every module of hwdse that they import, directly or not."""
    names = sorted({name for module in modules for name in closure(module)})
    return "".join(getsource(import_module(name)) for name in names)


@cache
def closure(module: str) -> tuple[str, ...]:
    """`module` and every module of hwdse that it imports, and that those import, by name."""
    found, todo = set[str](), [module]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += _imported(name)
    return tuple(sorted(found))


def _imported(module: str) -> Iterator[str]:
    """The modules of hwdse that `module` imports."""
    for node in ast.walk(ast.parse(getsource(import_module(module)))):
        match node:
            case ast.ImportFrom(module=str(name), names=names) if name.split(".")[0] == "hwdse":
                yield name
                yield from (full for full in (f"{name}.{one.name}" for one in names) if _is_module(full))
            case ast.Import(names=names):
                yield from (one.name for one in names if one.name.split(".")[0] == "hwdse")


def _is_module(name: str) -> bool:
    try:
        import_module(name)
    except ModuleNotFoundError:
        return False
    return True
