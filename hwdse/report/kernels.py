"""Where the time of a design on a GPU goes: one kernel for each layer that multiplies, and what bounds it."""

from dataclasses import dataclass

from hwdse.cost import GpuCost, KernelCost
from hwdse.design import Design
from hwdse.metrics import in_bytes
from hwdse.report.gpu_words import padding_in_words, shares
from hwdse.report.quantities import seconds
from hwdse.workload import Workload


@dataclass(frozen=True, slots=True)
class Bound:
    """What bounds kernels, with its share of the time and its colour."""

    name: str
    share: float  # of the whole time, 0 to 1
    colour: str  # a role of the palette


@dataclass(frozen=True, slots=True)
class Line:
    """One layer."""

    layer: str
    width: float  # of its bar: its time over that of the slowest layer
    colour: str  # of what bounds it
    time: str
    interval: str  # 90 %; '' where no error is known
    share: str  # of the whole time
    bound: str
    kernel: str
    shape: str  # m x n x k
    weights: str
    inputs: str
    weight_bytes: str
    moved_bytes: str


@dataclass(frozen=True, slots=True)
class Kernels:
    """All layers, and what bounds them in the order of their colours."""

    lines: tuple[Line, ...]
    legend: tuple[Bound, ...]
    time: str
    weight_bytes: str
    moved_bytes: str
    outside: tuple[str, ...]  # no part of the time
    known: bool  # whether there are intervals
    padding: str  # how much of the packed weights it is


def kernels(cost: GpuCost, design: Design, workload: Workload) -> Kernels:
    """One line for each kernel, in the order in which they run."""
    legend = tuple(Bound(name, share, f"part{i}") for i, (name, share) in enumerate(shares(cost)))
    colours = {bound.name: bound.colour for bound in legend}
    slowest = max(layer.seconds for layer in cost.layers)
    lines = tuple(_line(layer, cost, slowest, colours[layer.bound], design, workload) for layer in cost.layers)
    moved = sum(layer.moved_bytes for layer in cost.layers)
    return Kernels(
        lines,
        legend,
        seconds(cost.seconds),
        in_bytes(cost.weight_bytes),
        in_bytes(moved),
        cost.outside,
        any(line.interval for line in lines),
        padding_in_words(cost),
    )


def _line(layer: KernelCost, cost: GpuCost, slowest: float, colour: str, design: Design, workload: Workload) -> Line:
    weights, inputs = formats(design, workload, layer.layer)
    low, high = layer.low, layer.high
    return Line(
        layer=layer.layer,
        width=layer.seconds / slowest,
        colour=colour,
        time=seconds(layer.seconds),
        interval="" if low is None or high is None else f"{seconds(low)} to {seconds(high)}",
        share=f"{100 * layer.seconds / cost.seconds:.1f} %",
        bound=layer.bound,
        kernel=layer.kernel,
        shape=f"{layer.m:,} x {layer.n:,} x {layer.k:,}",
        weights=weights,
        inputs=inputs,
        weight_bytes=in_bytes(layer.weight_bytes),
        moved_bytes=in_bytes(layer.moved_bytes),
    )


def formats(design: Design, workload: Workload, layer: str) -> tuple[str, str]:
    """The quantisers of the weights of a layer and of what it reads, or that they are left as they are."""
    weights, sites = dict(design.weights), dict(design.activations)
    read = (site for site in workload.layer(layer).inputs)
    inputs = ", ".join(dict.fromkeys(sites[site].name if site in sites else "float" for site in read))
    return weights[layer].name if layer in weights else "float", inputs
