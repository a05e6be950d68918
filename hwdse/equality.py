"""A network in whole numbers beside the Brevitas model that it was made from: every code of every tensor.

In float64, with the weights and scales that it has in float32, the model gives the same codes. In float32 it rounds,
so that what is near the middle between two codes, or right there, may fall on its other side. Such codes are counted,
layer by layer and each on the codes that the model itself has before it, and for each it is asked whether roundings
explain it.
"""

from collections.abc import Mapping
from typing import Any

import brevitas.nn as qnn
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from hwdse.brevitas_layers import value
from hwdse.design import Design
from hwdse.folded import Folded
from hwdse.formats import decode, encode
from hwdse.network import Codes, Network, Node
from hwdse.proof import Compared
from hwdse.quantize import Bench
from hwdse.rearrange import walk
from hwdse.roundings import share
from hwdse.simulate import BATCH, apply, compute, simulate
from hwdse.workload import Kind

# Roundings of a term of a sum beside those of adding it, of which there are as many as terms, with the bias: of its
# weight and of its activation, which are codes times scales, and of their product. A mean has one of its values and at
# most two of its division in their place.
OF_A_TERM = 3

Values = Mapping[str, NDArray[np.float64]]  # tensor -> n x C x H x W or alike, as a model has them


def compare(bench: Bench, design: Design, network: Network, images: Tensor) -> Compared:
    """`network`, which is `design` lowered, and the Brevitas model on `images` (n x C x H x W float32)."""
    models = _Models(bench, design, network)
    return sum((_compare(network, models, batch) for batch in images.split(BATCH)), Compared())


def in_float64(model: fx.GraphModule) -> fx.GraphModule:
    """The Brevitas `model`, which is changed, in float64, with the quantised weights and scales that it has in float32.

    A weight over its scale can be halfway between two codes in float32 and beside it in float64.
    """
    with torch.no_grad():
        for module in list(model.modules()):
            if isinstance(module, qnn.QuantConv2d | qnn.QuantLinear):
                module.weight.copy_(value(module.quant_weight()))
            for proxy in (getattr(module, name, None) for name in ("weight_quant", "act_quant")):
                quantiser = _quantiser(proxy)
                if quantiser is not None:
                    assert proxy is not None
                    quantiser.scaling_impl = _Constant(proxy.scale().detach().clone())
    return model.double().eval()


def input_codes(network: Network, images: Tensor) -> Codes:
    """`n x positions x channels` codes of `images` (n x C x H x W): what enters the accelerator."""
    return _codes(network, network.input, images.double().numpy())


# ---- one batch -----------------------------------------------------------------------------------


class _Models:
    """What a network is held against, and what it has between its sums, or its codes, and the codes after them."""

    def __init__(self, bench: Bench, design: Design, network: Network) -> None:
        self.single, self.double = bench.quantize(design), in_float64(bench.quantize(design))
        inner, _ = bench.after_float_steps(design)
        self._traced, self._nodes = inner.traced, {node.name: node for node in inner.traced.graph.graph.nodes}

    def function(self, node: Node, tensor: str) -> Folded:
        """What is between the sums of `node`, or the codes that it reads, and what is quantised to make `tensor`."""
        by_code = node.layer.kind is Kind.TABLE
        start = self._nodes[node.inputs[0]] if by_code else self._traced.nodes[node.layer.name]
        _, path = walk(self._nodes[tensor], lambda one: one is start)
        return Folded(self._traced.graph, path, (1,) if by_code else node.layer.out_shape)


def _compare(network: Network, models: _Models, images: Tensor) -> Compared:
    found = simulate(network, input_codes(network, images))
    logits, values = _run(models.double, images.double())
    names = [tensor.name for tensor in network.tensors if tensor.name in values]
    wrong = sum(int((_codes(network, name, values[name]) != found.codes[name]).sum()) for name in names)
    _, rounded = _run(models.single, images)
    differ, unexplained = _rounded(network, models, rounded)
    return Compared(
        len(images),
        sum(values[name].size for name in names),
        wrong,
        differ,
        unexplained,
        float(abs(network.logits.numbers(found.sums) - logits).max()),
    )


class _Recorder(fx.Interpreter):
    """Keeps what is quantised, by the name of what it was before, and everything else by its own."""

    def __init__(self, model: fx.GraphModule) -> None:
        super().__init__(model)
        self.values: dict[str, NDArray[np.float64]] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            quantised = n.op == "call_module" and str(n.target).startswith("quant_")
            name = n.args[0].name if quantised and isinstance(n.args[0], fx.Node) else n.name
            self.values[name] = result.detach().double().numpy().copy()  # what follows may overwrite it
        return result


def _run(model: fx.GraphModule, images: Tensor) -> tuple[NDArray[np.float64], Values]:
    """The logits, and the values of all nodes, quantised where they are."""
    recorder = _Recorder(model)
    with torch.no_grad():
        logits = recorder.run(images.clone())
    return logits.double().numpy(), recorder.values


def _codes(network: Network, name: str, values: NDArray[np.float64]) -> Codes:
    """`n x positions x channels` codes of the values of a tensor as the model has them: as its stream has them."""
    tensor = network.tensor(name)
    if len(tensor.shape) == 3:
        values = values.reshape(len(values), *tensor.shape).transpose(0, 2, 3, 1)
    numbers = values.reshape(len(values), tensor.positions, tensor.channels) / tensor.scale
    return encode(tensor.quantizer.format, numbers, narrow=tensor.quantizer.narrow).astype(np.int64)


def _rounded(network: Network, models: _Models, values: Values) -> tuple[int, int]:
    """Codes that differ from the float32 model's, each layer on the codes before it; and those without a reason."""
    known = {network.input: _codes(network, network.input, values[network.input])}
    differ = unexplained = 0
    for node in network.nodes:
        operands = [known[name] for name in node.inputs]
        result = compute(network, node, operands)
        for name, rule in node.outputs:
            known[name] = own = apply(rule, result)
            if name in values:
                known[name] = _codes(network, name, values[name]).reshape(own.shape)
                wrong = known[name] != own
                differ += int(wrong.sum())
                if wrong.any() and rule is not None:
                    wrong &= ~_explained(network, models, node, operands, name, (own, known[name]))
                unexplained += int(wrong.sum())
    return differ, unexplained


def _explained(
    network: Network, models: _Models, node: Node, operands: list[Codes], name: str, codes: tuple[Codes, Codes]
) -> NDArray[np.bool_]:
    """Where roundings explain that two `codes` of a tensor differ: where both are between the least and the greatest.

    What is before a function is off by its roundings, the function by what `Folded.rounded` says, and the quotient of
    it and the scale, which is rounded to a code, by one rounding more.
    """
    made, (numbers, off) = network.tensor(name), _numbers(network, node, operands)
    flat = -1, 1 if node.meaning is None else node.layer.rows
    ends = models.function(node, name).rounded((numbers - off).reshape(flat), (numbers + off).reshape(flat))
    fmt, narrow = made.quantizer.format, made.quantizer.narrow
    low, high = (
        decode(fmt, encode(fmt, (end + sign * share(1) * abs(end)) / made.scale, narrow=narrow)).reshape(numbers.shape)
        for sign, end in zip((-1, 1), ends, strict=True)
    )
    both = (decode(fmt, one).reshape(numbers.shape) for one in codes)
    return np.logical_and(*((low <= found) & (found <= high) for found in both)).reshape(codes[0].shape)


def _numbers(network: Network, node: Node, operands: list[Codes]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the sums of `node` stand for, or its codes where it has no sums, and how far float32 may be from them.

    A sum of n rounded products and a bias, in any order, is off by at most (n + k) u / (1 - (n + k) u) times the sum of
    their magnitudes, where k counts the roundings of each term (Higham, Accuracy and Stability of Numerical Algorithms,
    2002, equation 4.4). A code is a number times its scale, once rounded.
    """
    if node.meaning is None:
        numbers = network.tensor(node.inputs[0]).numbers(operands[0])
        return numbers, share(1) * abs(numbers)
    scales, biases = np.array(node.meaning.scales), np.array(node.meaning.biases)
    terms = compute(network, node, operands, absolute=True).astype(np.float64) * abs(scales) + abs(biases)
    return node.meaning.numbers(compute(network, node, operands)), share(node.layer.dot + OF_A_TERM) * terms


# ---- Brevitas in float64 -------------------------------------------------------------------------


class _Constant(nn.Module):
    """A scale that is not computed again."""

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor, threshold: Tensor | None = None) -> Any:
        """The scale."""
        return self.scale


def _quantiser(proxy: Any) -> Any:
    """The part of a Brevitas proxy that computes its scale."""
    inner = getattr(proxy, "fused_activation_quant_proxy", None)
    return getattr(proxy if inner is None else inner, "tensor_quant", None)
