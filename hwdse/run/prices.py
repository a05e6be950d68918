"""What decides the price of a design, as a digest: a run that was made with other prices is not continued."""

import ast
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from importlib import import_module
from inspect import getsource

from hwdse import calibrated, energy_figures, placement
from hwdse.study import Study


def prices(study: Study) -> str:
    """A digest of the cost model with all code that it imports, the fits, the figures of energy, and the device."""
    code = "".join(getsource(import_module(name)) for name in closure(type(study.target.model).__module__))
    data = calibrated.content(), placement.content(), energy_figures.content()
    return blake2b("".join((code, *data, repr(study.target.fpga))).encode(), digest_size=8).hexdigest()


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
