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
    """Every folding of `layer`: PE divides the outputs that share inputs, SIMD the terms of one output."""
    pes, simds = _divisors(_outputs(layer)), _divisors(layer.dot if multiplies(layer) else 1)
    return tuple(Folding(pe, simd) for pe in pes for simd in simds)


def check(layer: Layer, folding: Folding) -> None:
    """ValueError with the rule that `folding` of `layer` breaks, if it breaks one."""
    terms = layer.dot if multiplies(layer) else 1
    for what, part, whole in (("PE", folding.pe, _outputs(layer)), ("SIMD", folding.simd, terms)):
        if whole % part:
            raise ValueError(f"{what} divides {whole} in layer {layer.name!r}, so its folding is not {folding.name}")


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


@cache
def fill_cycles(layer: Layer, folding: Folding) -> int:
    """Cycles from the first input to the first finished sum, before the pipeline: the window, then one dot product."""
    if layer.kind in (Kind.ADD, Kind.TABLE):
        return 1
    if layer.kind is Kind.MATMUL:
        return ceil(layer.rows * layer.dot / folding.simd) + layer.dot // folding.simd
    if layer.kind is Kind.AVG_POOL and layer.kernel == (1, 1):  # over all pixels
        return layer.positions * layer.rows * layer.dot // folding.pe
    return window_words(layer, folding) + layer.dot // folding.simd


def stream_width(layer: Layer, folding: Folding) -> int:
    """Elements that enter in one cycle: SIMD, at most a pixel's channels; PE where each output has its own channel."""
    if layer.depthwise or not multiplies(layer):
        return folding.pe
    return min(folding.simd, _channels(layer) // layer.groups) if layer.kind is Kind.CONV else folding.simd


@cache
def window_words(layer: Layer, folding: Folding) -> int:
    """Words, `stream_width` elements each, that a sliding window holds; 0 without a window.

    All rows but one of the kernel, and a kernel's width of the last: FINN's ConvolutionInputGenerator.
    """
    if layer.kernel == (1, 1) or len(layer.in_shape) != 3:
        return 0
    pixels = (layer.kernel[0] - 1) * (layer.in_shape[2] + 2 * layer.padding[1]) + layer.kernel[1]
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
