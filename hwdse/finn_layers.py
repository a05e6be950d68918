"""A build with FINN by the layers of its design: FINN's own estimate of it, and what was placed."""

from collections.abc import Mapping
from dataclasses import fields

from hwdse.cost import FpgaCost, LayerCost, Resources, Term
from hwdse.cost_models.finn import UNCOUNTED
from hwdse.design import Design
from hwdse.finn import FinnError
from hwdse.finn.correspondence import pairs
from hwdse.finn.messages import Unit
from hwdse.finn_fit import device_of
from hwdse.finn_folder import FinnManifest
from hwdse.finn_graph import graph
from hwdse.finn_nodes import dsp_of
from hwdse.finn_results import Results, placed_name
from hwdse.workload import Workload

OTHER, REST = "other nodes", "shell and rest"  # in the place of layers
SHELL = "top_"  # what names of parts of the shell begin with: finn/analysis/fpgadataflow/post_synth_res.py


def layers_of(manifest: FinnManifest, workload: Workload, design: Design) -> Mapping[str, str]:
    """Node of FINN -> layer.

    Where hwdse expects other nodes than FINN makes, only those with weights are of a layer, and the others `OTHER`.
    """
    units = manifest.estimate.units
    try:
        found = pairs(units, graph(workload, design, dsp_of(manifest.board.part)))
    except (FinnError, ValueError):
        return {unit.folded.node: unit.layer or OTHER for unit in units}
    return {unit.folded.node: one.layer for unit, one in found}


def estimated(manifest: FinnManifest, layers: Mapping[str, str]) -> FpgaCost:
    """FINN's own estimate of the accelerator that is built, in its folding."""
    units, part = manifest.estimate.units, manifest.board.part
    calibration = (
        f"FINN's own estimates of this build for {part}, without its shell. The folding: {manifest.folding}. "
        f"{UNCOUNTED[0].upper()}{UNCOUNTED[1:]}"
    )
    own = {name: [unit for unit in units if layers[unit.folded.node] == name] for name in layers.values()}
    return FpgaCost(
        tuple(_layer(name, found) for name, found in own.items()),
        manifest.estimate.interval_cycles,
        manifest.estimate.latency_cycles,
        manifest.clock_mhz,
        device_of(part) or part,
        f"finn-plus {manifest.versions.finn}",
        calibration,
    )


def measured(results: Results, manifest: FinnManifest, layers: Mapping[str, str]) -> FpgaCost:
    """The results as a cost; its device is the part where hwdse knows none with that die.

    `layers`: node of FINN -> layer. Every layer has the cycles of all, for only these are simulated.
    """
    device = device_of(manifest.board.part) or manifest.board.part
    calibration = (
        f"{results.area_of}; clock {results.mhz_of}; cycles simulated by FINN, of all layers together; "
        "LUTs as memory not counted apart"
    )
    if _overlap(results):
        calibration += "; not by layers, because the nodes share cells and sum to more than all"
    model = f"finn-plus {manifest.versions.finn}, Vivado {results.tool}"
    made = tuple(
        LayerCost(name, terms, results.interval_cycles, 0) for name, terms in _by_layer(results, layers).items()
    )
    return FpgaCost(made, results.interval_cycles, results.latency_cycles, results.mhz, device, model, calibration)


def _layer(name: str, units: list[Unit]) -> LayerCost:
    terms = tuple(Term(unit.folded.node, _area(unit), variant=unit.operation) for unit in units)
    return LayerCost(name, terms, max(unit.cycles for unit in units), 0)  # it says nothing of pipelines


def _area(unit: Unit) -> Resources:
    return Resources(luts=unit.luts, dsps=unit.dsps, brams=unit.bram18s, urams=unit.urams)


def _by_layer(results: Results, layers: Mapping[str, str]) -> Mapping[str, tuple[Term, ...]]:
    """A term for each node that is placed, and one for what is none; all of it as a whole where that cannot be said."""
    placed = _nodes(results)
    if not placed or _overlap(results):
        return {"whole": (Term("placed", results.area),)}
    known = {placed_name(results, node): layer for node, layer in layers.items()}
    found: dict[str, tuple[Term, ...]] = dict.fromkeys((*layers.values(), OTHER), ())
    for name, area in placed:
        layer = known.get(name, OTHER)
        found[layer] = (*found[layer], Term(name, area))
    return {name: terms for name, terms in found.items() if terms} | {REST: (Term("placed", _rest(results)),)}


def _nodes(results: Results) -> list[tuple[str, Resources]]:
    return [(name, area) for name, area in results.nodes if not name.startswith(SHELL)]


def _overlap(results: Results) -> bool:
    """Whether nodes are more than all: Vivado counts a LUT that two of them share in both."""
    return any(getattr(_rest(results), field.name) < 0 for field in fields(Resources))


def _rest(results: Results) -> Resources:
    """What is placed beside the nodes."""
    nodes = sum((area for _, area in _nodes(results)), Resources())
    return Resources(*(getattr(results.area, one.name) - getattr(nodes, one.name) for one in fields(Resources)))
