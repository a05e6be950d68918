"""The cycles of one frame through a dataflow accelerator: the longest path, with every layer at its feeders' pace.

An estimate. It moves whole vectors (pixels, tokens), so a layer starts a vector when all that the
vector needs has arrived; FIFOs are deep enough that nobody waits for a reader; layers outside the
accelerator take no time; the frame itself lies ready beside the first layer.
"""

from collections.abc import Sequence
from functools import cache
from math import ceil

import numpy as np
from numpy.typing import NDArray

from hwdse.cost import LayerCost
from hwdse.workload import Kind, Layer, Workload

Times = NDArray[np.float64]  # when each vector of a tensor is there, in cycles and in the order of the stream
READY = np.zeros(1)  # the frame


def latency_cycles(workload: Workload, layers: Sequence[LayerCost]) -> int:
    """Cycles from the start of a frame to its last output; `layers` are those inside the accelerator."""
    costs = {cost.layer: cost for cost in layers}
    made: dict[str, Times] = {}  # by site
    last = READY  # of all tensors so far the one that ends last: what a layer outside reads
    for layer in workload.layers:
        times = last
        if layer.name in costs:
            times = _times(layer, costs[layer.name], [made.get(site, READY) for site in layer.inputs])
            last = max(last, times, key=lambda tensor: tensor[-1])
        # a max pool's result stays in the site of its input
        for site in layer.outputs or (layer.inputs if layer.kind is Kind.MAX_POOL else ()):
            made[site] = _later(made.get(site, times), times)
    return ceil(float(last[-1]))


def _later(before: Times, now: Times) -> Times:
    """Tensors of one site that are added arrive together; one of another length has replaced what was there."""
    return np.maximum(before, now) if len(before) == len(now) else now


def _times(layer: Layer, cost: LayerCost, operands: list[Times]) -> Times:
    """When each output is there: `out[j] = max(out[j - 1], ready[j]) + pace`, and the pipeline."""
    ready = [times[_needs(layer, operand, len(times))] for operand, times in enumerate(operands)]
    pace = cost.cycles / layer.positions
    worked = pace * np.arange(layer.positions)
    start = np.maximum.accumulate(np.maximum.reduce(ready) - worked)
    return np.asarray(start + worked + pace + cost.fill_cycles)


@cache
def _needs(layer: Layer, operand: int, made: int) -> NDArray[np.intp]:
    """The last of the operand's `made` vectors that each output needs."""
    outputs = np.arange(layer.positions)
    needed, whole = outputs + 1, layer.positions  # one for one, in order
    if layer.kind is Kind.MATMUL and operand == 1:
        needed = np.full(layer.positions, whole)
    elif len(layer.in_shape) == 3 and (layer.kind is Kind.CONV or layer.kernel != (1, 1)):
        needed, whole = _corners(layer, outputs) + 1, layer.in_shape[1] * layer.in_shape[2]
    return np.asarray(-(-needed * made // whole) - 1)


def _corners(layer: Layer, outputs: NDArray[np.intp]) -> NDArray[np.intp]:
    """The pixel in the last corner of each output's window, inside the image."""
    places = np.divmod(outputs, layer.out_shape[2])
    geometry = zip(places, layer.stride, layer.padding, layer.kernel, layer.in_shape[1:], strict=True)
    row, column = (np.minimum(at * step - before + taps - 1, size - 1) for at, step, before, taps, size in geometry)
    return np.asarray(row * layer.in_shape[2] + column)
