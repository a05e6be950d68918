"""The units in generated hardware, read off its text: the instances in a netlist, or the calls in the C++ of Vitis HLS.

Both are given under the names that the units of a netlist have: `<layer>_<role>`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hwdse.generator import identifier

NETLIST, CALLS = "top.sv", "top.cpp"  # the names of the files
_INSTANCE = re.compile(r"^  (\w+) #\((.*)\) (\w+) \($", re.MULTILINE)
_PARAMETER = re.compile(r"\.(\w+)\((\d+)\)")
_CALL = re.compile(r"^    (?:// (\S+)(?: again: output (\d+))?|(\w+)<(.*) >\(.*\);)$", re.MULTILINE)
_ARGUMENT = re.compile(r"/\* (\w+) \*/ (?:Format<(\d+), (\d+), (\d)>|(\d+))")
ROLES = {  # of a module, or of a template of Vitis HLS; where a number is wanted, one for each output
    "mvu": "matrix",
    "residual_add": "add",
    "max_pool": "pool",
    "sum_pool": "pool",
    "threshold_parallel": "thresholds{}",
    "threshold_search": "thresholds{}",
    "code_table": "table{}",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One unit: its module, and its parameters that are numbers."""

    module: str
    parameters: Mapping[str, int]


Instances = Mapping[str, Seen]  # by name, those of the modules in `ROLES`


def instances(name: str, text: str) -> Instances:
    """The units in the hardware with the file name `name`; ValueError where it is neither of the two kinds."""
    if name not in (NETLIST, CALLS):
        raise ValueError(f"hardware is read from {NETLIST} or {CALLS}, not from {name!r}")
    found = dict[str, Seen]()
    for own, unit in (_netlist if name == NETLIST else _calls)(text):
        if own in found:
            raise ValueError(f"the hardware has {own!r} twice")
        found[own] = unit
    return found


def _netlist(text: str) -> Iterator[tuple[str, Seen]]:
    for module, parameters, name in _INSTANCE.findall(text):
        if module in ROLES:
            yield name, Seen(module, {key: int(value) for key, value in _PARAMETER.findall(parameters)})


def _calls(text: str) -> Iterator[tuple[str, Seen]]:
    """A comment before calls says whose they are."""
    layer = output = ""
    for heading, number, template, arguments in _CALL.findall(text):
        if heading:
            layer, output = identifier(heading), number or "0"
        elif template in ROLES:
            yield f"{layer}_{ROLES[template].format(output)}", Seen(template, dict(_arguments(arguments)))


def _arguments(text: str) -> Iterator[tuple[str, int]]:
    for name, exponent, mantissa, signed, number in _ARGUMENT.findall(text):
        if number:
            yield name, int(number)
        else:
            side = "O" if name == "OUT" else name
            yield from (
                (f"{side}{key}", int(size)) for key, size in zip("EMS", (exponent, mantissa, signed), strict=True)
            )
