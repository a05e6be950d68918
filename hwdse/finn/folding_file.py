"""`folding_config.json`: how each node of FINN is folded, in the file that FINN's builder reads.

FINN applies any numbers to any name and says nothing (finn/transformation/general.py: ApplyConfig), so that what is
written is read again here, and what the file says of a network is checked by the worker.
"""

import json
from collections.abc import Mapping, Sequence

from hwdse.finn.environment import FinnError
from hwdse.finn.messages import Folded

NAME = "folding_config.json"
WINDOW = "parallel_window"
DEFAULTS = "Defaults"  # of all nodes of a kind: FINN's format has it, and we leave it empty

Settings = Mapping[str, Mapping[str, object]]  # node -> attribute of FINN -> value


def text(folding: Sequence[Folded], others: Settings) -> str:
    """The file for `folding`; `others`: attributes of the same nodes besides PE and SIMD, such as `mem_mode`."""
    nodes = [one.node for one in folding]
    for name in others:
        if name not in nodes:
            raise FinnError(f"a folding has no node {name!r}; known: {', '.join(nodes)}")
    said = {one.node: _said(_own(one), others.get(one.node, {})) for one in folding}
    return json.dumps({DEFAULTS: {}, **said}, indent=2) + "\n"


def read(content: str) -> tuple[Folded, ...]:
    """The folding that such a file says."""
    return tuple(
        Folded(node, _number(node, "PE", values), _number(node, "SIMD", values), _flag(node, WINDOW, values))
        for node, values in settings(content).items()
    )


def settings(content: str) -> Settings:
    """All attributes that such a file says, node by node; FinnError where it is none."""
    try:
        said = json.loads(content)
    except json.JSONDecodeError as error:
        raise FinnError(f"a folding of FINN is JSON: {error}") from None
    if not isinstance(said, dict) or not all(isinstance(values, dict) for values in said.values()):
        raise FinnError("a folding of FINN is an object of JSON with an object for each node")
    if said.pop(DEFAULTS, {}):
        raise FinnError(f"a folding of FINN names each node, without {DEFAULTS!r}")
    return said


def _own(one: Folded) -> dict[str, object]:
    pairs = (("PE", one.pe), ("SIMD", one.simd), (WINDOW, None if one.at_once is None else int(one.at_once)))
    return {name: value for name, value in pairs if value is not None}


def _said(own: Mapping[str, object], others: Mapping[str, object]) -> dict[str, object]:
    besides = {name: value for name, value in others.items() if name not in ("PE", "SIMD", *own)}
    return {**own, **besides}


def _number(node: str, name: str, values: Mapping[str, object]) -> int | None:
    value = values.get(name)
    if value is not None and type(value) is not int:
        raise FinnError(f"{name} of {node!r} is a whole number, not {value!r}")
    return value


def _flag(node: str, name: str, values: Mapping[str, object]) -> bool | None:
    value = values.get(name)
    if value is None:
        return None
    if type(value) is not int or value not in (0, 1):
        raise FinnError(f"{name} of {node!r} is 0 or 1, not {value!r}")
    return bool(value)
