"""How many LUT6 sites a netlist for an AMD slice takes: an estimate of a good packer, and not Vivado's count.

A site is one LUT6 with two outputs: O6 of up to six inputs, or O6 and O5 of up to five inputs that both share. A bit
of a carry chain takes the O6 of its own site for its propagate input S, and the O5 for the other, DI, where the two
have at most five inputs together. LUTs that drive no carry are paired greedily, those with most inputs in common
first.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from hwdse.flows._netlist import Cell

_SHARED = 5  # inputs that two functions in one site may have
_TRIED = 60  # partners that are looked at for a LUT: those with most inputs in common

_Inputs = Mapping[int, frozenset[int]]  # a LUT's output net -> its input nets


def sites(cells: Sequence[Cell]) -> int:
    """The LUT6 sites of all LUTs, inverters and carries; RAMs and shift registers are not among them."""
    luts = {out: cell.nets("O") for cell in cells if _is_lut(cell.type) if isinstance(out := cell.bit("O"), int)}
    carried = [pair for cell in cells if cell.type in ("CARRY4", "CARRY8") for pair in _carry_bits(cell)]
    in_chain = set(_in_chain(carried, luts))
    return len(carried) + _paired({out: nets for out, nets in luts.items() if out not in in_chain})


def _is_lut(name: str) -> bool:
    return name == "INV" or (name.startswith("LUT") and name[3:].isdigit())


def _carry_bits(cell: Cell) -> Iterator[tuple[int, int | str]]:
    """(S, DI) of the bits that need a site: those whose S is no constant."""
    for propagate, other in zip(cell.ports["S"], cell.ports["DI"], strict=True):
        if isinstance(propagate, int):
            yield propagate, other


def _in_chain(carried: Sequence[tuple[int, int | str]], luts: _Inputs) -> Iterator[int]:
    """The LUTs that lie in the sites of carry chains."""
    for propagate, other in carried:
        if propagate in luts:
            yield propagate
        inputs = luts.get(propagate, frozenset([propagate]))  # without a LUT, one passes the net through
        if isinstance(other, int) and other in luts and len(inputs | luts[other]) <= _SHARED:
            yield other


def _paired(luts: _Inputs) -> int:
    """Sites of LUTs that are free to share."""
    small = sorted((out for out, nets in luts.items() if len(nets) <= _SHARED), key=lambda out: (-len(luts[out]), out))
    readers = defaultdict(list)
    for out in small:
        for net in sorted(luts[out]):
            readers[net].append(out)
    left, alone, pairs = set(small), list[int](), 0
    for out in small:
        if out in left:
            left.remove(out)
            partner = _partner(out, luts, Counter(o for net in sorted(luts[out]) for o in readers[net] if o in left))
            if partner is None:
                alone.append(len(luts[out]))
            else:
                left.remove(partner)
                pairs += 1
    return len(luts) - len(small) + pairs + _disjoint(alone)


def _partner(out: int, luts: _Inputs, candidates: Counter[int]) -> int | None:
    """The LUT that shares most inputs with `out`, and of those the largest, among those that fit with it."""
    fits = [(n, len(luts[o]), o) for o, n in candidates.most_common(_TRIED) if len(luts[out] | luts[o]) <= _SHARED]
    return max(fits, key=lambda fit: fit[:2])[2] if fits else None


def _disjoint(sizes: Sequence[int]) -> int:
    """Sites of LUTs that share no input: the largest with the smallest, where the two fit."""
    descending, taken, found = sorted(sizes, reverse=True), 0, 0
    while found + taken < len(descending):
        if descending[found] + descending[-1 - taken] <= _SHARED and found + taken + 1 < len(descending):
            taken += 1
        found += 1
    return found
