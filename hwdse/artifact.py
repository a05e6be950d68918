"""A build folder read again: is what lies in it the hardware of the design that was chosen, layer by layer?

Of the manifest only the names of layers and sites are believed. Formats and foldings are read off the hardware and held
against `design.toml`, which must be the chosen design with the layers that were added to it; no layer of it, no tensor
that it quantises, no unit of the hardware and no file is left out.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from hwdse.delivery import ArtifactError, Manifest, Place, check_files, manifest_of, read
from hwdse.design import Design, Folding, Quantizer
from hwdse.formats import Format
from hwdse.generator import identifier
from hwdse.instances import ROLES, Instances, Seen, instances
from hwdse.network import Network
from hwdse.structure.lanes import as_format

DESIGN = "design.toml"


@dataclass(frozen=True, slots=True)
class Found:
    """A format or a folding in an artifact, and the one that the design has there."""

    layer: str
    what: str
    there: str
    wanted: str


def places(network: Network, chosen: Design) -> tuple[Place, ...]:
    """The layers of `network`, which is `chosen` lowered."""
    known = _layers(chosen)
    layers = (node.layer for node in network.nodes)
    return tuple(Place(one.name, one.inputs, one.outputs, one.name not in known) for one in layers)


def verify(folder: Path) -> tuple[Found, ...]:
    """What was compared; ArtifactError says the first thing that is missing or not as it should be."""
    manifest = manifest_of(folder)
    check_files(folder, manifest)
    text, hardware = read(folder, DESIGN), read(folder, manifest.hardware)
    try:
        design, units = Design.parse(text), instances(PurePosixPath(manifest.hardware).name, hardware)
    except ValueError as error:
        raise ArtifactError(f"the build in {folder} cannot be read: {error}") from None
    _check_chosen(design, manifest)
    _check_places(design, manifest.layers)
    own = {place: _own(place, units) for place in manifest.layers}
    _check_units(design, own, units)
    found = tuple(one for place in manifest.layers for one in _compare(place, design, own[place]))
    for one in found:
        if one.there != one.wanted:
            raise ArtifactError(f"{one.what} of layer {one.layer!r} is {one.wanted} in the design, not {one.there}")
    return found


# ---- the design ----------------------------------------------------------------------------------


def _layers(design: Design) -> set[str]:
    return {name for name, _ in (*design.weights, *design.folding)}


def _check_chosen(design: Design, manifest: Manifest) -> None:
    """ArtifactError unless `design` is the one that was chosen, but for what was added."""
    added = {place.layer for place in manifest.layers if place.added}
    weights = tuple(pair for pair in design.weights if pair[0] not in added)
    folding = tuple(pair for pair in design.folding if pair[0] not in added)
    own = replace(design, weights=weights, folding=folding).digest
    if own != manifest.chosen:
        raise ArtifactError(f"the design of the build is {own}, and not {manifest.chosen}, which was chosen")


def _check_places(design: Design, layers: tuple[Place, ...]) -> None:
    """ArtifactError unless `layers` are those of the design, each once, between sites of the design."""
    names, known, sites = [place.layer for place in layers], _layers(design), dict(design.activations)
    for name in names:
        if names.count(name) > 1:
            raise ArtifactError(f"the manifest has layer {name!r} {names.count(name)} times")
    for place in layers:
        if place.layer not in known and not place.added:
            raise ArtifactError(f"the manifest has layer {place.layer!r}, which is not in the design")
        if not place.inputs:
            raise ArtifactError(f"the manifest says of layer {place.layer!r} nothing that it reads")
        for site in (*place.inputs, *place.outputs):
            if site not in sites:
                raise ArtifactError(f"the manifest has {site!r} at layer {place.layer!r}, which is not in the design")
    for name in sorted(known - set(names)):
        raise ArtifactError(f"the manifest has no layer {name!r}, which is in the design")
    made = {site for place in layers for site in place.outputs}
    if len(entering := sorted(sites.keys() - made)) != 1:
        raise ArtifactError(f"one tensor of the design enters the hardware, not {_listed(entering)}")


# ---- the hardware --------------------------------------------------------------------------------


def _own(place: Place, units: Instances) -> Instances:
    """The units of a layer, by role."""
    own = f"{identifier(place.layer)}_"
    named = {name.removeprefix(own): unit for name, unit in units.items() if name.startswith(own)}
    return {role: unit for role, unit in named.items() if re.fullmatch(ROLES[unit.module].format(r"\d+"), role)}


def _check_units(design: Design, own: Mapping[Place, Instances], units: Instances) -> None:
    """ArtifactError unless every layer has the units that it needs, and every unit is of a layer."""
    for place, found in own.items():
        if not found:
            raise ArtifactError(f"the hardware has nothing of layer {place.layer!r}")
        needed = _needed(place, design, found)
        if needed != found.keys():
            has = f"in the hardware it has {_listed(sorted(found))}"
            raise ArtifactError(f"layer {place.layer!r} needs {_listed(sorted(needed))}, but {has}")
    known = {f"{identifier(place.layer)}_{role}" for place, found in own.items() for role in found}
    for name in sorted(units.keys() - known):
        raise ArtifactError(f"the hardware has {name!r}, which is of no layer")
    leaving = [place.layer for place, found in own.items() if not place.outputs and not _hands_on(found)]
    if len(leaving) != 1:
        raise ArtifactError(f"the sums of one layer leave the hardware, not those of {_listed(leaving)}")


def _needed(place: Place, design: Design, found: Instances) -> set[str]:
    """The roles of the units of a layer: what makes its results, and what makes codes of them."""
    outputs = range(len(place.outputs))
    if place.layer in dict(design.weights):
        body = "matrix"
    elif len(place.inputs) > 1:
        body = "add"
    elif "table0" in found:
        return {f"table{i}" for i in outputs}
    else:
        body = "pool"
    return {body} if _hands_on(found) else {body, *(f"thresholds{i}" for i in outputs)}


def _hands_on(found: Instances) -> bool:
    """Whether a layer gives codes that it has read."""
    return "pool" in found and found["pool"].module == "max_pool"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


def _compare(place: Place, design: Design, found: Instances) -> Iterator[Found]:
    """The formats and the folding of one layer."""
    sites = dict(design.activations)
    for role in ("matrix", "add", "pool"):
        if role in found:
            yield _format(place, "the input's format", found[role], "A", sites[place.inputs[0]])
    if "matrix" in found:
        yield _format(place, "the weights' format", found["matrix"], "W", dict(design.weights)[place.layer])
        pe, simd = (_number(place, found["matrix"], key) for key in ("PE", "SIMD"))
        folding = dict(design.folding).get(place.layer, Folding())
        yield Found(place.layer, "the folding", f"{pe}x{simd}", folding.name)
    for i, site in enumerate(place.outputs):
        if f"thresholds{i}" in found:
            yield _format(place, "an output's format", found[f"thresholds{i}"], "O", sites[site])
        elif f"table{i}" in found:
            bits = _number(place, found[f"table{i}"], "OUT")
            yield Found(place.layer, "an output's width", str(bits), str(sites[site].format.bits))


def _format(place: Place, what: str, unit: Seen, side: str, quantizer: Quantizer) -> Found:
    """A format by the bits of its parts, which is all that hardware knows of it."""
    parts = [_number(place, unit, f"{side}{key}") for key in "EMS"]
    try:
        there = as_format(*parts)
    except ValueError as error:
        raise ArtifactError(f"{what} of layer {place.layer!r} is none: {error}") from None
    return Found(place.layer, what, there.name, _bits_of(quantizer.format).name)


def _number(place: Place, unit: Seen, name: str) -> int:
    if name not in unit.parameters:
        raise ArtifactError(f"{unit.module} of layer {place.layer!r} has no {name} in the hardware")
    return unit.parameters[name]


def _bits_of(fmt: Format) -> Format:
    """`fmt` without what its codes at the top stand for."""
    return as_format(fmt.exponent, fmt.mantissa, int(fmt.signed))
