"""How the nodes of a build with FINN are folded, of the three ways that one may wish for."""

from hwdse import finn_fit
from hwdse.design import Design
from hwdse.finn import FinnError
from hwdse.finn.estimates import refold
from hwdse.finn.messages import Board, Estimated, Folded, Priced
from hwdse.finn.process import Worker
from hwdse.finn_foldings.choice import limits_of, no_worse_than, space
from hwdse.target import fpga

FOLDINGS = ("finn", "exact", "design")


def folded(
    worker: Worker, found: Estimated, board: Board, design: Design, folding: str, rate: int
) -> tuple[Priced, str]:
    """The numbers for the folding that is wished for, one of `FOLDINGS`, and who chose it, in words."""
    heuristic = f"by FINN's heuristic for {rate:,} images a second"
    if folding == "finn":
        return found.priced, heuristic
    if folding == "exact":
        said = f"exact: no more of any resource than {heuristic}, as fast, by its estimates"
        return _exact(found.priced, board), said
    own = dict(design.folding)
    changed = tuple(
        Folded(unit.folded.node, own[unit.layer].pe, own[unit.layer].simd)
        for unit in found.priced.units
        if unit.operation.startswith("MVAU") and unit.layer in own
    )
    if not changed:
        raise FinnError(f"design {design.digest} says no folding of a matrix-vector unit; fold by FINN's heuristic")
    priced = refold(worker, found, board.part, changed)
    return priced, f"matrix-vector units as in the design, all else {heuristic}"


def _exact(heuristic: Priced, board: Board) -> Priced:
    """As little of the board's device as can be, as fast as FINN's heuristic and with no more of any resource."""
    device = finn_fit.device_of(board.part)
    if device is None:
        raise FinnError(f"the exact folding weighs the resources of a device, and hwdse knows none with {board.part}")
    return no_worse_than(space(heuristic.units, fpga(device), limits_of(heuristic)), heuristic)


def check_buildable(priced: Priced) -> None:
    """FinnError names a node that FINN estimates and cannot build."""
    for unit in priced.units:
        if unit.node is not None and (problem := unit.node.problem) is not None:
            where = f" of layer {unit.layer!r}" if unit.layer is not None else ""
            advice = "ask for another rate or folding"
            raise FinnError(f"FINN cannot build {unit.folded.node!r}{where}: {problem}; {advice}")
