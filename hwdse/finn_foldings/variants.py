"""All that FINN lets one node be: every legal PE and SIMD, and what its folding file says of memories and multipliers.

Of the other settings of a folding file those are varied in which FINN's own estimate trades one resource for another:

- `resType` of matrix-vector and vector-vector units in HLS: LUTs or DSPs;
- `ram_style` of their weights, of window generators, of thresholds in HLS and of constants of elementwise operations:
  LUTs or block RAMs, and UltraRAMs for window generators;
- `parallel_window` of window generators: more area for fewer cycles.

A variant counts only if it takes more of one resource and less of another than the node that FINN made, at the same PE
and SIMD. What makes area vanish from the estimate alone is none: weights of units in RTL in LUTs, or window generators
whose block RAMs FINN does not count. Neither are weights outside of the accelerator, weights in UltraRAMs, which most
families cannot load from a bitstream (hwcustomop.py), and the depths from which thresholds in RTL are block RAMs, of
which estimate and RTL disagree: rtl/thresholding_rtl.py takes UltraRAMs wherever the second depth is 0, and
thresholding.sv none.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from hwdse.finn_nodes import (
    ConvolutionInputGenerator,
    Elementwise,
    Multiplier,
    MvauHls,
    MvauRtl,
    Node,
    RamStyle,
    ThresholdingHls,
    VvauHls,
)


def folded(node: Node) -> Iterator[Node]:
    """`node` with every legal PE and SIMD; a window generator also with all pixels of a window at once."""
    if isinstance(node, ConvolutionInputGenerator):
        yield from _windows(node)
        return
    for pe in _divisors(node.pe_of):
        for simd in _divisors(node.simd_of):
            yield node.with_folding(pe, simd)


def made(node: Node) -> Iterator[Node]:
    """`node` as it is, and with other memories or multipliers."""
    for one in (node, *_trades(node, _multiplied(node))):
        yield one
        yield from _trades(one, _stored(one))


def area(node: Node) -> tuple[int, int, int, int]:
    """LUTs, block RAMs of 18 Kb, UltraRAMs, DSP slices."""
    return node.luts, node.bram18s, node.urams, node.dsps


def settings(node: Node) -> dict[str, int | str]:
    """What is said of a node in FINN's folding file besides PE and SIMD, of all that is chosen here."""
    found = dict[str, int | str]()
    if isinstance(node, ConvolutionInputGenerator):
        found["parallel_window"] = int(node.parallel_window)
    if isinstance(node, MvauHls | VvauHls):
        found["resType"] = node.multiplier.value
    if isinstance(node, ConvolutionInputGenerator | MvauHls | VvauHls | ThresholdingHls | Elementwise):
        found["ram_style"] = node.ram_style.value
    return found


def weight_bits(node: Node) -> int:
    """Of the weights of one PE of a matrix-vector unit in a cycle; 0 elsewhere, where FINN has no limit.

    SetFolding holds MVAU alone to `mvau_wwidth_max`: finn/transformation/fpgadataflow/set_folding.py.
    """
    if isinstance(node, MvauHls | MvauRtl):
        return node.simd * node.weight_bits
    return 0


def _divisors(whole: int | None) -> Iterator[int | None]:
    """None where a node has no such attribute."""
    if whole is None:
        yield None
        return
    yield from (part for part in range(1, whole + 1) if whole % part == 0)


def _windows(node: ConvolutionInputGenerator) -> Iterator[Node]:
    """Not all at once with every SIMD, and all at once with all channels: FINN has no other."""
    for simd in _divisors(node.channels):
        assert simd is not None
        yield replace(node, simd=simd, parallel_window=False)
    yield replace(node, simd=node.channels, parallel_window=True)


def _trades(node: Node, others: Iterable[Node]) -> Iterator[Node]:
    """Those that take more of something and less of something else than `node`."""
    own = area(node)
    for other in others:
        pairs = list(zip(area(other), own, strict=True))
        if any(one > two for one, two in pairs) and any(one < two for one, two in pairs):
            yield other


def _multiplied(node: Node) -> Iterator[Node]:
    if isinstance(node, MvauHls | VvauHls):
        yield replace(node, multiplier=Multiplier.LUT if node.multiplier is Multiplier.DSP else Multiplier.DSP)


def _stored(node: Node) -> Iterator[Node]:
    """With other memories."""
    if isinstance(node, ConvolutionInputGenerator):
        styles: tuple[RamStyle, ...] = (RamStyle.BLOCK, RamStyle.DISTRIBUTED, RamStyle.ULTRA)
    elif isinstance(node, ThresholdingHls | Elementwise | MvauHls | VvauHls):
        styles = (RamStyle.BLOCK, RamStyle.DISTRIBUTED)
    else:
        return
    yield from (replace(node, ram_style=style) for style in styles if style is not node.ram_style)
