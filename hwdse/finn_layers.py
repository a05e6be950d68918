"""Which layer of a design every node of a build with FINN is of, and FINN's own estimate of the build, by layers."""

from collections.abc import Mapping

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
from hwdse.finn_results import OTHER
from hwdse.workload import Workload


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


def _layer(name: str, units: list[Unit]) -> LayerCost:
    terms = tuple(Term(unit.folded.node, _area(unit), variant=unit.operation) for unit in units)
    return LayerCost(name, terms, max(unit.cycles for unit in units), 0)  # it says nothing of pipelines


def _area(unit: Unit) -> Resources:
    return Resources(luts=unit.luts, dsps=unit.dsps, brams=unit.bram18s, urams=unit.urams)
