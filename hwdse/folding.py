"""How much of a layer works at once, and the cycles that this costs: the time half of the accelerator.

A layer that multiplies works on PE outputs and SIMD terms of each in a cycle, as in FINN. Layers
without products (adds, pools, tables) work on PE channels in a cycle; their SIMD is 1. They keep up
with their stream by PE, which is a folding like any other, so that a design says it too: without
one they take a channel a cycle.
"""

from functools import cache
from math import ceil, prod

from hwdse.design import Folding
from hwdse.serial_window import serial_cycles
from hwdse.window import Window, parallel_cycles
from hwdse.workload import OUTSIDE, Kind, Layer, Workload


def fold(workload: Workload, cycles_per_frame: int) -> dict[str, Folding]:
    """The cheapest folding of every layer in the accelerator that needs at most `cycles_per_frame`.

    Cheapest is the fewest lanes PE x SIMD, then the larger SIMD, because a sum of products is smaller
    than an output. ValueError names a layer that no folding makes fast enough.
    """
    inside = (layer for layer in workload.layers if layer.kind not in OUTSIDE)
    priced = (layer for layer in inside if workload.hardware or layer.macs > 0)
    return {layer.name: cheapest(layer, cycles_per_frame) for layer in priced}


def cheapest(layer: Layer, cycles_per_frame: int) -> Folding:
    """The folding of one layer that `fold` takes."""
    return min(fast(layer, cycles_per_frame), key=lambda folding: (folding.pe * folding.simd, -folding.simd))


@cache
def fast(layer: Layer, cycles_per_frame: int) -> tuple[Folding, ...]:
    """The legal foldings of `layer` that need at most `cycles_per_frame`; ValueError where there is none."""
    found = tuple(folding for folding in legal(layer) if cycles(layer, folding) <= cycles_per_frame)
    if not found:
        least = min(cycles(layer, folding) for folding in legal(layer))
        raise ValueError(f"layer {layer.name!r} needs at least {least} cycles per frame, more than {cycles_per_frame}")
    return found


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
    if layer.kind is not Kind.CONV:
        return True
    if _tap(layer) % simd and simd % _tap(layer):
        return False
    return (
        _tap(layer) % simd == 0
        or all(
            pad == 0 or (2 * pad < taps and pad < size)  # what several taps at once need: see `window_parallel`
            for pad, taps, size in zip(layer.padding, layer.kernel, layer.in_shape[1:], strict=True)
        )
    )


def _tap(layer: Layer) -> int:
    """The channels of a pixel that one output sees."""
    return layer.dot // prod(layer.kernel)


def multiplies(layer: Layer) -> bool:
    """Whether the layer's outputs are dot products."""
    return layer.kind in (Kind.CONV, Kind.LINEAR, Kind.MATMUL)


@cache
def cycles(layer: Layer, folding: Folding) -> int:
    """Cycles between two frames: of the layer's slowest unit, each by its own exact count.

    Products take positions x rows / PE x dot / SIMD; a window what its buffer lets it (`hwdse.serial_window`); a
    matmul loads its second operand at SIMD elements a cycle while it works on the operand before.
    """
    if layer.kind in (Kind.ADD, Kind.TABLE):
        return layer.positions * layer.rows // folding.pe
    work = layer.positions * layer.rows * layer.dot // (folding.pe * folding.simd)
    if layer.kind is Kind.MATMUL:
        return max(work, ceil(layer.rows * layer.dot / folding.simd))
    moved = window(layer, folding)
    if moved is None:
        return max(work, ceil(prod(layer.in_shape) / stream_width(layer, folding)))
    taps = taps_at_once(layer, folding)
    if taps == 1:
        return max(work, serial_cycles(moved))
    passes = 1 if layer.depthwise else layer.rows // layer.groups // folding.pe
    return parallel_cycles(moved, passes, prod(moved.kernel) // taps)


def window(layer: Layer, folding: Folding, bits: int = 1) -> Window | None:
    """How a layer's pixels become the terms of its outputs; None where they are in the order of the stream."""
    kernel, stride = kernel_and_stride(layer)
    if len(layer.in_shape) != 3 or layer.kind is Kind.ADD:
        return None
    if (kernel, stride, layer.padding) == ((1, 1), (1, 1), (0, 0)):
        return None
    channels, height, width = layer.in_shape
    lanes = stream_width(layer, folding)
    beats = channels // lanes
    groups = beats if layer.depthwise or not multiplies(layer) else layer.groups
    try:
        return Window(height, width, kernel, stride, layer.padding, lanes, bits, beats, groups)
    except ValueError as error:
        raise ValueError(f"{error}, in layer {layer.name!r}") from None


def kernel_and_stride(layer: Layer) -> tuple[tuple[int, int], tuple[int, int]]:
    """Kernel and stride; a pool of an adaptive size has its share of the image, and of the whole image neither."""
    adaptive = layer.kind is Kind.AVG_POOL and layer.kernel == (1, 1) and layer.dot > 1 and layer.positions > 1
    if not adaptive or len(layer.in_shape) != 3:
        return layer.kernel, layer.stride
    (_, height, width), (_, rows, columns) = layer.in_shape, layer.out_shape
    if height % rows or width % columns:
        raise ValueError(
            f"an adaptive pool divides its image evenly, but layer {layer.name!r} makes "
            f"{rows} x {columns} of {height} x {width}"
        )
    share = height // rows, width // columns
    return share, share


def stream_width(layer: Layer, folding: Folding) -> int:
    """Elements that enter in one cycle: SIMD, at most a pixel's channels; PE where each output has its own channel."""
    if layer.depthwise or not multiplies(layer):
        return folding.pe
    return min(folding.simd, _tap(layer)) if layer.kind is Kind.CONV else folding.simd


def taps_at_once(layer: Layer, folding: Folding) -> int:
    """How many taps of a window are read in one cycle."""
    return folding.simd if layer.depthwise else max(1, folding.simd // stream_width(layer, folding))


def _outputs(layer: Layer) -> int:
    """Outputs that PE divides: those of a group, which share inputs; all of them where every one has its own."""
    return layer.rows if layer.depthwise or not multiplies(layer) else layer.rows // layer.groups


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]
