"""How much of a layer works at once, and the cycles that this costs: the time half of the accelerator.

A layer that multiplies works on PE outputs and SIMD terms of each in a cycle, as in FINN. Layers
without products (adds, pools, tables) work on PE channels in a cycle; their SIMD is 1. They keep up
with their stream by PE, which is a folding like any other, so that a design says it too: without
one they take a channel a cycle.
"""

from functools import cache
from math import ceil, prod

from hwdse.design import Folding
from hwdse.workload import OUTSIDE, Kind, Layer, Workload


def fold(workload: Workload, cycles_per_frame: int) -> dict[str, Folding]:
    """The cheapest folding of every layer in the accelerator that needs at most `cycles_per_frame`.

    Cheapest is the fewest lanes PE x SIMD, then the larger SIMD, because a sum of products is smaller
    than an output. ValueError names a layer that no folding makes fast enough.
    """
    inside = (layer for layer in workload.layers if layer.kind not in OUTSIDE)
    priced = (layer for layer in inside if workload.hardware or layer.macs > 0)
    return {layer.name: _cheapest(layer, cycles_per_frame) for layer in priced}


def _cheapest(layer: Layer, cycles_per_frame: int) -> Folding:
    fast = [folding for folding in legal(layer) if cycles(layer, folding) <= cycles_per_frame]
    if not fast:
        least = min(cycles(layer, folding) for folding in legal(layer))
        raise ValueError(f"layer {layer.name!r} needs at least {least} cycles per frame, more than {cycles_per_frame}")
    return min(fast, key=lambda folding: (folding.pe * folding.simd, -folding.simd))


@cache
def legal(layer: Layer) -> tuple[Folding, ...]:
    """Every folding of `layer`: PE divides the outputs that share inputs, SIMD the terms of one output.

    A window gives parts of a tap or whole taps, so SIMD divides the channels of a tap, or they divide it.
    """
    pes, simds = _divisors(_outputs(layer)), _divisors(layer.dot if multiplies(layer) else 1)
    return tuple(Folding(pe, simd) for pe in pes for simd in simds if _feeds(layer, simd))


def check(layer: Layer, folding: Folding) -> None:
    """ValueError with the rule that `folding` of `layer` breaks, if it breaks one."""
    terms = layer.dot if multiplies(layer) else 1
    for what, part, whole in (("PE", folding.pe, _outputs(layer)), ("SIMD", folding.simd, terms)):
        if whole % part:
            raise ValueError(f"{what} divides {whole} in layer {layer.name!r}, so its folding is not {folding.name}")
    if not _feeds(layer, folding.simd):
        raise ValueError(
            f"SIMD divides the {_tap(layer)} channels of a tap or is a multiple of them in layer {layer.name!r}, "
            f"so its folding is not {folding.name}"
        )


def _feeds(layer: Layer, simd: int) -> bool:
    """Whether a window, if there is one, can give `simd` terms in a cycle."""
    return layer.kind is not Kind.CONV or _tap(layer) % simd == 0 or simd % _tap(layer) == 0


def _tap(layer: Layer) -> int:
    """The channels of a pixel that one output sees."""
    return layer.dot // prod(layer.kernel)


def multiplies(layer: Layer) -> bool:
    """Whether the layer's outputs are dot products."""
    return layer.kind in (Kind.CONV, Kind.LINEAR, Kind.MATMUL)


@cache
def cycles(layer: Layer, folding: Folding) -> int:
    """Cycles between two frames: the work of the unit, or its input stream where that is longer.

    Work is FINN's: positions x rows / PE x dot / SIMD, over all groups. A window needs every pixel
    once, padding too, `stream_width` elements a cycle; a matmul loads its second operand at SIMD
    elements a cycle while it works on the operand before.
    """
    if layer.kind in (Kind.ADD, Kind.TABLE):
        return layer.positions * layer.rows // folding.pe
    work = layer.positions * layer.rows * layer.dot // (folding.pe * folding.simd)
    if layer.kind is Kind.MATMUL:
        return max(work, ceil(layer.rows * layer.dot / folding.simd))
    return max(work, ceil(_stream_elements(layer) / stream_width(layer, folding)))


def stream_width(layer: Layer, folding: Folding) -> int:
    """Elements that enter in one cycle: SIMD, at most a pixel's channels; PE where each output has its own channel."""
    if layer.depthwise or not multiplies(layer):
        return folding.pe
    return min(folding.simd, _tap(layer)) if layer.kind is Kind.CONV else folding.simd


def taps_at_once(layer: Layer, folding: Folding) -> int:
    """How many taps of a window are read in one cycle."""
    return folding.simd if layer.depthwise else max(1, folding.simd // stream_width(layer, folding))


@cache
def window_words(layer: Layer, folding: Folding) -> int:
    """Words, `stream_width` elements each, that a sliding window holds; 0 without a window.

    All rows but one of the kernel, and a kernel's width of the last. Unless all taps are read at
    once, what a stride skips is loaded in advance: get_buffer_depth of FINN's
    convolutioninputgenerator_rtl.py.
    """
    if layer.kernel == (1, 1) or len(layer.in_shape) != 3:
        return 0
    width, taps = layer.in_shape[2] + 2 * layer.padding[1], prod(layer.kernel)
    pixels = (layer.kernel[0] - 1) * width + layer.kernel[1]
    if taps_at_once(layer, folding) < taps:
        pixels += max(0, layer.stride[1] - 1 - taps) + max(0, (layer.stride[0] - 1) * width - taps)
    return pixels * ceil(_channels(layer) / stream_width(layer, folding))


def _channels(layer: Layer) -> int:
    return layer.in_shape[0] if len(layer.in_shape) == 3 else layer.dot * layer.groups


def _stream_elements(layer: Layer) -> int:
    """Elements of the input stream of a frame, zero padding included."""
    if len(layer.in_shape) != 3:
        return prod(layer.in_shape)
    channels, height, width = layer.in_shape
    return channels * (height + 2 * layer.padding[0]) * (width + 2 * layer.padding[1])


def _outputs(layer: Layer) -> int:
    """Outputs that PE divides: those of a group, which share inputs; all of them where every one has its own."""
    return layer.rows if layer.depthwise or not multiplies(layer) else layer.rows // layer.groups


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]
