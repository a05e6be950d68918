"""Seconds and bytes of a network's products on a GPU, with the kernels of `kernels/`, one kernel after the other.

A linear layer, or a convolution without groups, is one product (`hwdse.gemm`), by the kernel and tile that
`hwdse.dispatch` chooses. To its time are added, each as a pass over memory with a launch of its own:

- quantising its activations, where the design quantises them: 16-bit numbers in, the numbers that the kernel reads out;
- unfolding the input of a convolution whose kernel is larger than one pixel, or that skips pixels: each input is read
  once and written as often as a window has it.

Bytes of weights are those stored: packed words with their padding, zero points, and scales and biases in float32.
Everything else is outside and listed: depthwise and grouped convolutions, of which weights are counted and time is not,
products of two activations, norms, softmax, additions, pools and tables.
"""

from dataclasses import dataclass
from math import prod

from hwdse import dispatch, gpu_points
from hwdse.cost import GpuCost, KernelCost
from hwdse.cost_model import GpuCostModel, Run
from hwdse.design import Design, Quantizer
from hwdse.formats import HALVES, Format
from hwdse.gemm import FLOATS, Gemm
from hwdse.gpu_time import pass_over
from hwdse.gpu_work import code_bytes, operand_bytes, scale_bytes, weight_bytes
from hwdse.packing import Layout
from hwdse.target import Device, GpuTarget
from hwdse.weight_codes import read_by_torch
from hwdse.workload import WITH_WEIGHTS, Kind, Layer, Workload

FLOAT = HALVES[0]  # float16: what activations are where the design does not quantise them
FLOAT_BYTES = 2
BIAS_BYTES = 4  # float32
NOT_COUNTED = "everything outside, and what the framework does between kernels"


@dataclass(frozen=True)
class Gpu(GpuCostModel):
    """No settings: the constants are those measured on the device, or the assumed ones."""

    @property
    def name(self) -> str:
        """`gpu`."""
        return "gpu"

    def claims(self, device: Device) -> bool:
        """Every GPU."""
        return isinstance(device, GpuTarget)

    def calibration(self, target: GpuTarget) -> str:
        """What was measured, the error, and what has no price."""
        return f"{gpu_points.calibration(target.name)}. Not counted: {NOT_COUNTED}"

    def cost(self, workload: Workload, design: Design, target: GpuTarget, run: Run) -> GpuCost:
        """The cost of a batch; ValueError names a layer that no kernel takes as the design has it."""
        inside = [layer for layer in workload.layers if prices(layer)]
        outside = tuple(layer.name for layer in workload.layers if not prices(layer))
        layers = tuple(_layer(layer, design, target, run) for layer in inside)
        kept = sum(_outside_bytes(layer, design) for layer in workload.weighted if not prices(layer))
        return GpuCost(layers, run.batch, target.name, self.name, self.calibration(target), outside, kept)


def prices(layer: Layer) -> bool:
    """Whether a layer is one product of weights and activations."""
    return layer.kind in WITH_WEIGHTS and layer.groups == 1


def product(layer: Layer, design: Design, run: Run) -> Gemm:
    """The product that a layer is; ValueError names it where the design leaves it open or no kernel has its group."""
    weights = dict(design.weights).get(layer.name)
    if weights is None:
        raise ValueError(f"layer {layer.name!r} has no weight quantizer")
    if run.tokens == "one" and layer.kind is not Kind.LINEAR:
        raise ValueError(f"one token at a time is decoding, but layer {layer.name!r} is a {layer.kind}")
    positions = 1 if run.tokens == "one" else layer.positions
    own = _activations(layer, design)
    try:
        shape, group = (run.batch * positions, layer.rows, layer.dot), weights.group
        kinds = {"wide_scales": group is not None, "bias": layer.bias, "full": not weights.narrow}
        return Gemm(*shape, weights.format, own, group, **kinds)
    except ValueError as error:
        raise ValueError(f"layer {layer.name!r}: {error}") from None


def stored_bytes(gemm: Gemm, layout: Layout, bias: bool) -> int:
    """Of a layer's weights as kernels read them: words of whole tiles, scales, zero points, and biases in float32."""
    return weight_bytes(gemm, layout) + _bias_bytes(gemm, bias)


def _bias_bytes(gemm: Gemm, bias: bool) -> int:
    return BIAS_BYTES * gemm.n * bias


def _outside_bytes(layer: Layer, design: Design) -> int:
    """Of the weights of a convolution in groups."""
    gemm = product(layer, design, Run())
    try:
        return stored_bytes(gemm, read_by_torch(gemm.weights).layout, layer.bias)
    except ValueError as error:
        raise ValueError(f"layer {layer.name!r}: {error}") from None


def _activations(layer: Layer, design: Design) -> Format:
    known = dict(design.activations)
    quantizers: list[Quantizer] = [known[site] for site in layer.inputs if site in known]
    return quantizers[0].format if quantizers else FLOAT


def _layer(layer: Layer, design: Design, target: GpuTarget, run: Run) -> KernelCost:
    gemm = product(layer, design, run)
    try:
        price = dispatch.best(gemm, target)
    except ValueError as error:
        raise ValueError(f"layer {layer.name!r}: {error}") from None
    seconds = price.seconds + _passes(layer, gemm, price.choice.arithmetic, target, run.batch)
    beside, fitted = _bias_bytes(gemm, layer.bias), gpu_points.fitted(target.name)
    return KernelCost(
        layer.name,
        price.choice.name,
        seconds,
        price.bound,
        price.weight_bytes + beside,
        price.moved_bytes + beside,
        gemm.m,
        gemm.n,
        gemm.k,
        None if fitted is None else seconds * fitted.low,
        None if fitted is None else seconds * fitted.high,
        price.weight_bytes - scale_bytes(gemm) - code_bytes(gemm),
    )


def _passes(layer: Layer, gemm: Gemm, arithmetic: str, target: GpuTarget, batch: int) -> float:
    """Seconds before the product: of quantising activations, and of unfolding them."""
    constants, width = gpu_points.constants(target.name), operand_bytes(arithmetic)
    elements = batch * prod(layer.in_shape) if layer.kind is Kind.CONV else gemm.m * gemm.k
    seconds = 0.0
    if gemm.activations not in FLOATS:
        seconds += pass_over(elements * (FLOAT_BYTES + width), target, constants)
    if layer.kind is Kind.CONV and (layer.kernel != (1, 1) or layer.stride != (1, 1)):
        seconds += pass_over((elements + gemm.m * gemm.k) * width, target, constants)
    return seconds
