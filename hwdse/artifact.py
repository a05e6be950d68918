"""A build folder read again: is what lies in it the hardware of the design that was chosen, layer by layer?

Of the manifest only the names of layers and sites are believed. Formats and foldings are read off the instances in the
netlist, or the calls in the C++ of Vitis HLS, and held against `design.toml`, which must be the chosen design with the
layers that were added to it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from hwdse.design import Design, Quantizer
from hwdse.formats import Format
from hwdse.generator import identifier
from hwdse.network import Network
from hwdse.structure.lanes import as_format

MANIFEST, DESIGN, NETLIST, CALLS = "manifest.json", "design.toml", "top.sv", "top.cpp"
_INSTANCE = re.compile(r"^  (\w+) #\((.*)\) (\w+) \($", re.MULTILINE)
_PARAMETER = re.compile(r"\.(\w+)\((\d+)\)")
_CALL = re.compile(r"^    (?:// (\S+)(?: again: output (\d+))?|(\w+)<(.*) >\(.*\);)$", re.MULTILINE)
_ARGUMENT = re.compile(r"/\* (\w+) \*/ (?:Format<(\d+), (\d+), (\d)>|(\d+))")
_ROLES = {  # of a template of Vitis HLS: as a netlist calls the unit; where a number is wanted, one for each output
    "mvu": "matrix",
    "residual_add": "add",
    "max_pool": "pool",
    "sum_pool": "pool",
    "threshold_parallel": "thresholds{}",
    "threshold_search": "thresholds{}",
    "code_table": "table{}",
}


class ArtifactError(ValueError):
    """A build folder is incomplete, or not the hardware of its design: one sentence."""


@dataclass(frozen=True, slots=True)
class Place:
    """A layer of an accelerator, and the sites between which it is."""

    layer: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    added: bool  # a shortcut, or a table, that the design has no choice for


@dataclass(frozen=True, slots=True)
class Found:
    """A format or a folding in an artifact, and the one that the design has there."""

    layer: str
    what: str
    there: str
    wanted: str


def places(network: Network, chosen: Design) -> tuple[Place, ...]:
    """The layers of `network`, which is `chosen` lowered."""
    known = {name for name, _ in (*chosen.weights, *chosen.folding)}
    layers = (node.layer for node in network.nodes)
    return tuple(Place(one.name, one.inputs, one.outputs, one.name not in known) for one in layers)


def digest_of(content: bytes) -> str:
    """Names the content of a file."""
    return blake2b(content, digest_size=16).hexdigest()


def verify(folder: Path) -> tuple[Found, ...]:
    """What was compared; ArtifactError says the first thing that is missing or not as it should be."""
    manifest = _manifest(folder)
    _check_files(folder, manifest["files"])
    design = Design.parse(_text(folder, DESIGN))
    layers = [Place(**{**one, "inputs": tuple(one["inputs"]), "outputs": tuple(one["outputs"])})
              for one in manifest["layers"]]  # fmt: skip
    _check_chosen(design, layers, str(manifest["chosen"]))
    hardware = str(manifest["hardware"])
    read = _calls if hardware.endswith(CALLS) else _instances
    instances = read(_text(folder, hardware))
    found = tuple(one for layer in layers for one in _compare(layer, design, instances))
    for one in found:
        if one.there != one.wanted:
            raise ArtifactError(f"{one.what} of layer {one.layer!r} is {one.wanted} in the design, not {one.there}")
    return found


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(_text(folder, MANIFEST))
    except json.JSONDecodeError as error:
        raise ArtifactError(f"{folder / MANIFEST} is no JSON: {error}") from None
    wanted = ("files", "layers", "chosen", "hardware")
    missing = [key for key in wanted if not isinstance(manifest, dict) or key not in manifest]
    if missing:
        raise ArtifactError(f"{folder / MANIFEST} is no manifest of a build: it has no {missing[0]!r}")
    return dict(manifest)


def _text(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ArtifactError(f"{folder} is no build: there is no {name} to read in it") from None


def _check_files(folder: Path, files: dict[str, str]) -> None:
    for name, digest in files.items():
        path = folder / name
        if not path.is_file():
            raise ArtifactError(f"the build in {folder} lacks the file {name!r}")
        if digest_of(path.read_bytes()) != digest:
            raise ArtifactError(f"the file {name!r} in {folder} is not the one that was built")


def _check_chosen(design: Design, layers: list[Place], chosen: str) -> None:
    """ArtifactError unless `design` is the one called `chosen`, but for what was added."""
    added = {layer.layer for layer in layers if layer.added}
    weights = tuple(pair for pair in design.weights if pair[0] not in added)
    folding = tuple(pair for pair in design.folding if pair[0] not in added)
    own = replace(design, weights=weights, folding=folding).digest
    if own != chosen:
        raise ArtifactError(f"the design of the build is {own}, and not {chosen}, which was chosen")


Instances = dict[str, tuple[str, dict[str, int]]]  # name -> module and parameters


def _instances(text: str) -> Instances:
    return {
        name: (module, {key: int(value) for key, value in _PARAMETER.findall(parameters)})
        for module, parameters, name in _INSTANCE.findall(text)
    }


def _calls(text: str) -> Instances:
    """The calls in C++, under the names that the units of a netlist have; a comment says whose they are."""
    found: Instances = {}
    layer = output = ""
    for heading, number, template, arguments in _CALL.findall(text):
        if heading:
            layer, output = identifier(heading), number or "0"
        elif template in _ROLES:
            found[f"{layer}_{_ROLES[template].format(output)}"] = (template, dict(_arguments(arguments)))
    return found


def _arguments(text: str) -> Iterator[tuple[str, int]]:
    for name, exponent, mantissa, signed, number in _ARGUMENT.findall(text):
        if number:
            yield name, int(number)
        else:
            side = "O" if name == "OUT" else name
            yield from (
                (f"{side}{key}", int(size)) for key, size in zip("EMS", (exponent, mantissa, signed), strict=True)
            )


def _compare(place: Place, design: Design, instances: Instances) -> Iterator[Found]:
    """The formats and the folding of one layer."""
    sites, own = dict(design.activations), identifier(place.layer)
    named = {name.removeprefix(f"{own}_"): one for name, one in instances.items() if name.startswith(f"{own}_")}
    for role in ("matrix", "add", "pool"):
        if role in named:
            yield _format(place, "the input's format", named[role][1], "A", sites[place.inputs[0]])
    if "matrix" in named:
        parameters = named["matrix"][1]
        yield _format(place, "the weights' format", parameters, "W", dict(design.weights)[place.layer])
        folding = dict(design.folding)[place.layer].name
        yield Found(place.layer, "the folding", f"{parameters['PE']}x{parameters['SIMD']}", folding)
    for i, site in enumerate(place.outputs):
        if f"thresholds{i}" in named:
            yield _format(place, "an output's format", named[f"thresholds{i}"][1], "O", sites[site])
        elif f"table{i}" in named:
            bits = named[f"table{i}"][1]["OUT"]
            yield Found(place.layer, "an output's width", str(bits), str(sites[site].format.bits))


def _format(place: Place, what: str, parameters: dict[str, int], side: str, quantizer: Quantizer) -> Found:
    """A format by the bits of its parts, which is all that hardware knows of it."""
    there = as_format(*(parameters[f"{side}{key}"] for key in "EMS"))
    return Found(place.layer, what, there.name, _bits_of(quantizer.format).name)


def _bits_of(fmt: Format) -> Format:
    """`fmt` without what its codes at the top stand for."""
    return as_format(fmt.exponent, fmt.mantissa, int(fmt.signed))
