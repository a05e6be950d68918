"""From the Brevitas model of a design to the nodes of a QONNX file, with the names of the design's layers.

Brevitas's own export traces the network with torch's, takes seconds, needs onnx in our environment, and gives nodes
the names of a compiler. The graph of a design is known here already: its quantisers, scales and weights are read off
the Brevitas modules, operation by operation, and whatever has no operation is refused by its name.
"""

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import brevitas.nn as qnn
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own convention
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from hwdse.brevitas_layers import value
from hwdse.design import Design, Quantizer
from hwdse.formats import BinaryFormat, FloatFormat, IntFormat, integer_bits
from hwdse.onnx_graph import Array, Graph, Grid, LayerGrids, Node, Setting
from hwdse.operators import ADDS, RELUS
from hwdse.quantize import Bench
from hwdse.trace import target_of, tensors

CLIPS = {nn.Hardtanh}
FLATTENS = {nn.Flatten, torch.flatten, "flatten"}
NOTHING = {nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d}  # in evaluation mode
EVERY = slice(None)
KNOWN = (
    "convolution, linear, ReLU, hard tanh, max pool, average pool, add, flatten, "
    "a shortcut of every n-th pixel and zeros"
)


def grids(bench: Bench, design: Design, *, integers: bool = False) -> tuple[LayerGrids, ...]:
    """What a file of `design` must say of each layer of the network; `integers` as in `graph`."""
    weights, sites = dict(design.weights), dict(design.activations)
    codes = _input_codes(design)

    def grid(site: str) -> Grid:
        found = Grid.of(sites[site])
        return replace(found, narrow=None) if site == codes else found

    return tuple(
        LayerGrids(
            layer.name,
            Grid.of(weights[layer.name], integer=integers) if layer.name in weights else None,
            tuple(grid(site) for site in layer.inputs),
        )
        for layer in bench.workload.layers
    )


def graph(bench: Bench, design: Design, model: fx.GraphModule, *, integers: bool = False) -> Graph:
    """`model`, which is `design` quantised, as QONNX; ValueError names the layer that cannot be expressed.

    An integer input enters as its codes, so that nothing of the accelerator quantises pixels. With `integers` weights
    in minifloats are written as what they are in units of their smallest value, which changes no number: FINN maps
    integers alone.
    """
    _refuse(bench, design)
    writer = _Writer(bench, design, model, integers)
    for node in model.graph.nodes:
        writer.write(node)
    return writer.graph


def input_codes(model: fx.GraphModule, images: Tensor) -> Tensor:
    """What enters a file whose input is codes, for images of the Brevitas `model`."""
    with torch.no_grad():
        first = next(n for n in model.graph.nodes if target_of(model, n) is qnn.QuantIdentity)
        quantiser = model.get_submodule(str(first.target))
        return (value(quantiser(images.clone())) / _scale(quantiser.act_quant)).round()


def _input_codes(design: Design) -> str | None:
    """The site of the input if its codes enter: integers, or bits as -1 and 1."""
    found = dict(design.activations).get("input")
    return "input" if found is not None and isinstance(found.format, IntFormat | BinaryFormat) else None


def _refuse(bench: Bench, design: Design) -> None:
    if not design.hardware:
        raise ValueError("a QONNX file quantises every tensor once, so that its design has hardware = true")
    for name, quantizer in (*design.weights, *design.activations):
        if quantizer.group is not None:
            raise ValueError(f"QONNX has a scale per tensor or channel, unlike {quantizer.name} of {name!r}")
        if quantizer.format.bits > 8:
            raise ValueError(f"a QONNX file is of formats of at most 8 bits, unlike {quantizer.name} of {name!r}")


class _Writer:
    """Writes one node of the Brevitas model after the other; tensors have the names of its nodes."""

    def __init__(self, bench: Bench, design: Design, model: fx.GraphModule, integers: bool) -> None:
        self._bench, self._model, self._integers = bench, model, integers
        self._weights = {bench.traced.layers[layer]: (layer, quantizer) for layer, quantizer in design.weights}
        self._sites = {bench.site_path(site): (site, quantizer) for site, quantizer in design.activations}
        self._layers = {node.name: layer for layer, node in bench.traced.nodes.items()}
        self._codes = _input_codes(design)
        self._nodes: list[Node] = []
        self._arrays: dict[str, Array] = {}
        self._strided: dict[str, tuple[str, int]] = {}  # a node that takes every n-th pixel of a tensor
        self._same: dict[str, str] = {}  # a node that does nothing -> the tensor that it gives
        self._input = self._output = ""

    @property
    def graph(self) -> Graph:
        """What is written."""
        quantizer = dict(self._sites.values()).get(self._codes) if self._codes else None
        datatype = None if quantizer is None else Grid.of(quantizer).datatype
        shape = self._bench.workload.input_shape
        with torch.no_grad():
            logits = self._model(torch.zeros(1, *shape)).shape[1:]
        ends = (self._input, shape, datatype, self._output, tuple(logits))
        return Graph(self._bench.workload.name, tuple(self._nodes), self._arrays, *ends)

    def write(self, node: fx.Node) -> None:
        """Adds what `node` does."""
        if node.op == "placeholder":
            self._input = node.name
        elif node.op == "output":
            self._output = self._tensor(tensors(node)[0] if tensors(node) else node.args[0])
        else:
            rule = self._rule(node)
            if rule is None:
                what = getattr(target_of(self._model, node), "__name__", str(node.target))
                raise ValueError(f"QONNX is written of {KNOWN}, not of {what} at {self._name(node)!r}")
            rule(node)

    def _rule(self, node: fx.Node) -> Callable[[fx.Node], None] | None:
        target = target_of(self._model, node) if node.op.startswith("call") else None
        if isinstance(target, type) and issubclass(target, nn.Module):
            module = self._module(node)
            if isinstance(module, qnn.QuantConv2d | qnn.QuantLinear):
                return self._layer if str(node.target) in self._weights else None
            if isinstance(module, nn.MaxPool2d | nn.AvgPool2d | nn.AdaptiveAvgPool2d):
                return self._pool
            if isinstance(module, qnn.QuantIdentity):
                return self._quantiser if str(node.target) in self._sites else None
        if target in ADDS and len(tensors(node)) + len(self._quantised(node)) >= 2:
            return self._add
        if target is F.pad:
            return self._shortcut if str(node.args[0]) in self._strided else None
        if target is operator.getitem:
            return self._take if all(user.target is F.pad for user in node.users) and _step(node) else None
        simple = ((RELUS, self._relu), (CLIPS, self._clip), (FLATTENS, self._flatten), (NOTHING, self._nothing))
        return next((rule for targets, rule in simple if target in targets), None)

    # ---- parts -------------------------------------------------------------------------------

    def _quantiser(self, node: fx.Node) -> None:
        site, quantizer = self._sites[str(node.target)]
        scale = _scale(self._module(node).act_quant)
        source = self._operand(node)
        if site == self._codes:
            self._add_node("Mul", node.name, (source, self._array(f"{node.name}.scale", scale)), node.name)
        else:
            self._quant(source, node.name, node.name, quantizer, scale)

    def _layer(self, node: fx.Node) -> None:
        layer, quantizer = self._weights[str(node.target)]
        module = self._module(node)
        weight = value(module.quant_weight()).detach()
        scale = module.weight_quant.scale().detach()
        linear = isinstance(module, nn.Linear)
        if linear:
            weight, scale = weight.T, scale.T if scale.ndim == 2 else scale
        stored = self._array(f"{layer}.weight", weight)
        self._quant(stored, f"{layer}.weight", f"{layer}.weight.quantised", quantizer, scale, integer=self._integers)
        inputs = (self._operand(node), f"{layer}.weight.quantised")
        bias = () if module.bias is None else (self._array(f"{layer}.bias", module.bias.detach()),)
        if not linear:
            self._add_node("Conv", layer, inputs + bias, node.name, _convolution(module))
        elif not bias:
            self._add_node("MatMul", layer, inputs, node.name)
        else:
            self._add_node("MatMul", layer, inputs, f"{node.name}.sums")
            self._add_node("Add", f"{layer}.bias", (f"{node.name}.sums", *bias), node.name)

    def _pool(self, node: fx.Node) -> None:
        module, name, source = self._module(node), self._name(node), (self._operand(node),)
        if isinstance(module, nn.AdaptiveAvgPool2d):
            if module.output_size not in (1, (1, 1)):
                raise ValueError(f"QONNX has an adaptive pool of one pixel, not {module.output_size}, at {name!r}")
            self._add_node("GlobalAveragePool", name, source, node.name)
            return
        if module.ceil_mode or getattr(module, "dilation", 1) not in (1, (1, 1)):
            raise ValueError(f"a pool of QONNX rounds down and has no dilation, unlike {name!r}")
        settings = _window(module.kernel_size, module.stride, module.padding)
        if isinstance(module, nn.AvgPool2d):
            if module.divisor_override is not None:
                raise ValueError(f"an average pool of QONNX divides by its pixels, unlike {name!r}")
            settings = (*settings, ("count_include_pad", int(module.count_include_pad)))
        kind = "MaxPool" if isinstance(module, nn.MaxPool2d) else "AveragePool"
        self._add_node(kind, name, source, node.name, settings)

    def _add(self, node: fx.Node) -> None:
        first, second = node.args[:2]
        self._add_node("Add", self._name(node), (self._tensor(first), self._tensor(second)), node.name)

    def _take(self, node: fx.Node) -> None:
        self._strided[node.name] = (self._operand(node), _step(node))

    def _shortcut(self, node: fx.Node) -> None:
        """Every n-th pixel, then channels of zeros before and behind: as the 1 x 1 convolution of ones and zeros."""
        source, step = self._strided[str(node.args[0])]
        taken, pads, name = node.args[0], node.args[1], self._name(node)
        assert isinstance(taken, fx.Node)
        assert isinstance(pads, tuple | list)
        channels, more = taken.meta["tensor_meta"].shape[1], tuple(pads)
        if len(more) != 6 or more[:4] != (0, 0, 0, 0):
            raise ValueError(f"a shortcut of QONNX adds channels and no pixels, unlike {name!r}")
        weight = F.pad(torch.eye(channels), (0, 0, *more[4:])).reshape(-1, channels, 1, 1)
        stored = self._array(f"{name}.weight", weight)
        quantised = f"{name}.weight.quantised"
        self._quant(stored, f"{name}.weight", quantised, Quantizer(IntFormat(2)), torch.tensor(1.0))
        window = _window(1, step, 0)
        self._add_node("Conv", name, (source, quantised), node.name, (*window, ("dilations", (1, 1)), ("group", 1)))

    def _relu(self, node: fx.Node) -> None:
        self._add_node("Relu", self._name(node), (self._operand(node),), node.name)

    def _clip(self, node: fx.Node) -> None:
        module, name = self._module(node), self._name(node)
        ends = {"low": module.min_val, "high": module.max_val}
        given = tuple(self._array(f"{name}.{end}", torch.tensor(float(x))) for end, x in ends.items())
        self._add_node("Clip", name, (self._operand(node), *given), node.name)

    def _flatten(self, node: fx.Node) -> None:
        module = self._module(node) if node.op == "call_module" else None
        dims = (module.start_dim, module.end_dim) if isinstance(module, nn.Flatten) else node.args[1:]
        if tuple(dims) not in ((1,), (1, -1)):
            raise ValueError(f"a flatten of QONNX makes a row of each image, unlike {self._name(node)!r}")
        self._add_node("Flatten", self._name(node), (self._operand(node),), node.name, (("axis", 1),))

    def _nothing(self, node: fx.Node) -> None:
        self._same[node.name] = self._operand(node)

    # ---- words -------------------------------------------------------------------------------

    def _quant(
        self, source: str, name: str, output: str, quantizer: Quantizer, scale: Tensor, *, integer: bool = False
    ) -> None:
        """A quantiser; its node has `name` for a prefix of all that it reads."""
        fmt, grid = quantizer.format, Grid.of(quantizer, integer=integer)
        own: tuple[tuple[str, Setting], ...]
        if isinstance(fmt, BinaryFormat):
            pair = (source, self._array(f"{name}.scale", scale))
            self._add_node("BipolarQuant", f"{name}.quantiser", pair, output)
            return
        if isinstance(fmt, FloatFormat) and not integer:
            numbers = {"exponent": fmt.exponent, "mantissa": fmt.mantissa, "bias": fmt.bias, "largest": grid.largest}
            # The largest value is given, so that what the format reserves for Inf and NaN is left out.
            kind, own = "FloatQuant", (("has_inf", 0), ("has_nan", 0), ("has_subnormal", 1), ("saturation", 1))
        else:
            scale = scale * fmt.lsb  # a power of two: exact
            numbers = {"zero": 0, "bits": fmt.bits if isinstance(fmt, IntFormat) else integer_bits(fmt)}
            kind, own = "Quant", (("signed", int(fmt.signed)), ("narrow", int(bool(grid.narrow))))
        given = tuple(self._array(f"{name}.{key}", torch.tensor(float(x))) for key, x in numbers.items())
        inputs = (source, self._array(f"{name}.scale", scale), *given)
        self._add_node(kind, f"{name}.quantiser", inputs, output, (*own, ("rounding_mode", "ROUND")))

    def _add_node(
        self, op: str, name: str, inputs: tuple[str, ...], output: str, settings: tuple[tuple[str, Setting], ...] = ()
    ) -> None:
        self._nodes.append(Node(op, name, inputs, output, settings))

    def _array(self, name: str, tensor: Tensor) -> str:
        array: NDArray[np.float32] = tensor.detach().float().contiguous().numpy()
        self._arrays[name] = array
        return name

    def _module(self, node: fx.Node) -> Any:
        return self._model.get_submodule(str(node.target))

    def _name(self, node: fx.Node) -> str:
        return self._layers.get(node.name, str(node.target) if node.op == "call_module" else node.name)

    def _operand(self, node: fx.Node) -> str:
        return self._tensor(node.args[0])

    def _quantised(self, node: fx.Node) -> list[fx.Node]:
        """The operands that are quantised: nodes that `trace` has not seen."""
        return [arg for arg in node.args if isinstance(arg, fx.Node) and "tensor_meta" not in arg.meta]

    def _tensor(self, node: object) -> str:
        assert isinstance(node, fx.Node)
        return self._same.get(node.name, node.name)


def _scale(proxy: Any) -> Tensor:
    """Of a Brevitas activation quantiser, as one number."""
    scale: Tensor = proxy.scale().detach()
    return scale.reshape(())


def _step(node: fx.Node) -> int:
    """n where `node` takes every n-th pixel in both directions, 0 where it takes anything else."""
    match node.args[1]:
        case (first, second, slice(start=None, stop=None, step=int(step)), third) if first == second == EVERY:
            return step if third == slice(None, None, step) else 0
        case _:
            return 0


def _convolution(module: nn.Conv2d) -> tuple[tuple[str, Setting], ...]:
    window = _window(module.kernel_size, module.stride, module.padding)
    return (*window, ("dilations", (1, 1)), ("group", module.groups))


def _window(kernel: Any, stride: Any, padding: Any) -> tuple[tuple[str, Setting], ...]:
    sizes = [(x, x) if isinstance(x, int) else (int(x[0]), int(x[1])) for x in (kernel, stride, padding)]
    return ("kernel_shape", sizes[0]), ("strides", sizes[1]), ("pads", sizes[2] * 2)
