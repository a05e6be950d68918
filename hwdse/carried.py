"""Modules of hwdse as files of another package, so that a folder runs without hwdse.

What the modules import of hwdse is carried too, and the imports of it name the other package. Nothing else is changed:
whoever reads a carried file reads the one that was tested.
"""

import ast
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path

OWN = "hwdse"


def carried(modules: Iterable[str], package: str) -> dict[str, bytes]:
    """`modules` (below hwdse, such as `kernels.a16`) and all of hwdse that they import, as files of `package`, by path.

    ValueError for a module that is none of hwdse.
    """
    left, found = list(modules), dict[str, str]()
    while left:
        module = left.pop()
        if module not in found:
            text = _text(module)
            found[module] = _renamed(text, package)
            left += [other for name in imported(text) if (other := _below(name)) is not None]
    return {f"{package}/{module.replace('.', '/')}.py": text.encode() for module, text in sorted(found.items())}


def imported(code: str) -> Iterator[str]:
    """Every name that `code` imports, with its module: `hwdse.kernels.a16`, `hwdse.formats.parse`."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _text(module: str) -> str:
    path = _path(module)
    if not path.is_file():
        raise ValueError(f"no module {module!r} of hwdse can be carried")
    return path.read_text(encoding="utf-8")


def _path(module: str) -> Path:
    return Path(str(files(OWN))).joinpath(*module.split(".")).with_suffix(".py")


def _below(name: str) -> str | None:
    """The module of hwdse that an imported `name` is, or is in; None where it is no name of hwdse."""
    top, _, rest = name.partition(".")
    if top != OWN or not rest:
        return None
    return rest if _path(rest).is_file() else rest.rpartition(".")[0] or rest


def _renamed(code: str, package: str) -> str:
    """`code` with `package` in place of hwdse in its imports."""
    lines = code.splitlines(keepends=True)
    for node in ast.walk(ast.parse(code)):
        own = isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == OWN
        if own or (isinstance(node, ast.Import) and any(alias.name.partition(".")[0] == OWN for alias in node.names)):
            assert isinstance(node, ast.Import | ast.ImportFrom)
            words = "from" if own else "import"
            lines[node.lineno - 1] = lines[node.lineno - 1].replace(f"{words} {OWN}", f"{words} {package}", 1)
    return "".join(lines)
