"""A folding of FINN's nodes as FINN's folding file says it."""

from hwdse.finn import folding_file
from hwdse.finn.messages import Priced
from hwdse.finn_foldings import variants


def text(priced: Priced) -> str:
    """PE and SIMD of every node, and the memories and multipliers that were chosen."""
    others = {unit.folded.node: variants.settings(unit.node) for unit in priced.units if unit.node is not None}
    return folding_file.text([unit.folded for unit in priced.units], others)
