"""What the command line shows of GPUs: one kernel for each layer of a design, and all of them for one product."""

import re

from hwdse import dispatch, gpu_points, tables
from hwdse.cost import GpuCost
from hwdse.design import Design, Quantizer
from hwdse.gemm import Gemm
from hwdse.gpu_work import dense
from hwdse.metrics import in_bytes
from hwdse.report.gpu_words import bounds_in_words, padding_in_words
from hwdse.report.kernels import formats
from hwdse.target import gpu
from hwdse.workload import Workload


def layers_of(cost: GpuCost, design: Design, workload: Workload, unit: str = "frame") -> tables.Table:
    """One row per layer that multiplies and one for the total; a batch has so many of a unit."""
    columns: list[str | tables.Column] = ["layer", "weights", "inputs", "kernel", "m", "n", "k"]
    columns += [tables.Column("seconds", "us", _microseconds), "bound by"]
    columns += ["weight_bytes", "moved_bytes"]
    rows: list[tuple[tables.Cell, ...]] = []
    for one in cost.layers:
        sizes = one.m, one.n, one.k, one.seconds, one.bound, one.weight_bytes, one.moved_bytes
        rows.append((one.layer, *formats(design, workload, one.layer), one.kernel, *sizes))
    moved = sum(one.moved_bytes for one in cost.layers)
    rows.append(("total", None, None, None, None, None, None, cost.seconds, None, cost.weight_bytes, moved))
    title = f"{workload.name} as design {design.digest}"
    return tables.of(title, columns, rows, summary_of(cost, unit), facts_of(cost))


def kernels_of(device: str, shape: str, weights: str, activations: str, bias: bool, most: int) -> tables.Table:
    """The chosen kernel for a product and the next in time, `most` of them.

    `shape` is `16x8192x8192`: m, n and k; `weights` and `activations` are quantisers, as in a design.
    """
    sizes = re.fullmatch(r"(\d+)x(\d+)x(\d+)", shape)
    if sizes is None:
        raise ValueError(f"a product is written MxNxK, such as 16x8192x8192, not {shape!r}")
    if most < 1:
        raise ValueError(f"a table shows at least 1 kernel, not {most}")
    m, n, k = map(int, sizes.groups())
    own, other, target = Quantizer.parse(weights), Quantizer.parse(activations), gpu(device)
    if other.granularity != "tensor":
        raise ValueError(f"on a GPU activations share a scale per tensor, unlike {other.name}")
    kinds = {"wide_scales": own.group is not None, "bias": bias, "full": not own.narrow}
    gemm = Gemm(m, n, k, own.format, other.format, own.group, **kinds)
    dispatch.best(gemm, target)  # says why where there is none
    prices = dispatch.ranked([dispatch.price(gemm, one, target) for one in dispatch.choices(gemm, target)])
    library = dense(m, n, k, "bfloat16", target, gpu_points.constants(device)).seconds
    columns: list[str | tables.Column] = ["kernel", tables.Column("seconds", "us", _microseconds), "over bfloat16"]
    columns += ["bound by", "weight_bytes", "moved_bytes"]
    rows = [
        (one.choice.name, one.seconds, library / one.seconds, one.bound, one.weight_bytes, one.moved_bytes)
        for one in prices[:most]
    ]
    title = f"{shape} of {weights} weights and {activations} activations on {device}"
    note = (
        f"{len(rows)} of {len(prices)} kernels, the chosen one first. Over bfloat16: a library's time of"
        f" {_microseconds(library)} us over this. Quantising activations is not in it."
        f" Predicted, {gpu_points.calibration(device)}."
    )
    return tables.of(title, columns, rows, note, (("device", device), ("kernels", len(prices)), ("bfloat16", library)))


def _microseconds(cell: tables.Cell) -> str:
    assert isinstance(cell, int | float)
    return f"{1e6 * cell:,.4g}"


def summary_of(cost: GpuCost, unit: str = "frame") -> str:
    """What a price says, in words."""
    rate = f"{1e6 * cost.seconds:,.4g} us of products, {cost.frames_per_second:,.0f} {unit}s/s"
    taken = f"{in_bytes(cost.weight_bytes)} of the {gpu(cost.device).memory_gb:g} GB"
    weights = f"{taken} for weights ({padding_in_words(cost)})"
    kept = (
        f"; their weights, {in_bytes(cost.outside_bytes)}, are in the memory all the same" if cost.outside_bytes else ""
    )
    outside = f"The total is {cost.label}{kept}.\n" if cost.outside else ""
    return (
        f"{cost.device} with batches of {cost.batch}: {rate}; {weights}; {bounds_in_words(cost)}.\n"
        f"{outside}Predicted, {cost.calibration}"
    )


def facts_of(cost: GpuCost) -> tuple[tuple[str, tables.Cell], ...]:
    """What it says, for programs."""
    return (
        ("device", cost.device),
        ("batch", cost.batch),
        ("seconds", cost.seconds),
        ("frames_per_second", cost.frames_per_second),
        ("weight_bytes", cost.weight_bytes),
        ("padding", cost.padding),
        ("fits", cost.weight_bytes <= 1e9 * gpu(cost.device).memory_gb),
        ("outside", cost.label),
        ("calibration", cost.calibration),
    )
