"""A network in whole numbers beside the Brevitas model that it was made from: every code of every tensor.

In float64, with the weights and scales that it has in float32, the model gives the same codes. In float32 it rounds as
it adds, so that a sum near a threshold may fall on its other side. Such codes are counted, layer by layer and each on
the codes that the model itself has before it, and for each it is asked whether the roundings of its sum can explain it.
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
from hwdse.formats import decode, encode
from hwdse.network import Codes, Network, Node, Rule
from hwdse.proof import Compared
from hwdse.quantize import Bench
from hwdse.simulate import BATCH, apply, compute, simulate
from hwdse.thresholds import Thresholds

UNIT = 2.0**-24  # of roundoff: half of the distance of two float32 numbers from 1 to 2
# Roundings of a float32 result beside those of its sum: of a weight, an activation, their product, the bias, and, with
# room to spare, of what comes between the sum and its code.
OTHERS = 12

Values = Mapping[str, NDArray[np.float64]]  # tensor -> n x C x H x W or alike, as a model has them


def compare(bench: Bench, design: Design, network: Network, images: Tensor) -> Compared:
    """`network`, which is `design` lowered, and the Brevitas model on `images` (n x C x H x W float32)."""
    single, double = bench.quantize(design), in_float64(bench.quantize(design))
    return sum((_compare(network, single, double, batch) for batch in images.split(BATCH)), Compared())


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


def _compare(network: Network, single: fx.GraphModule, double: fx.GraphModule, images: Tensor) -> Compared:
    found = simulate(network, input_codes(network, images))
    logits, values = _run(double, images.double())
    names = [tensor.name for tensor in network.tensors if tensor.name in values]
    wrong = sum(int((_codes(network, name, values[name]) != found.codes[name]).sum()) for name in names)
    _, rounded = _run(single, images)
    differ, unexplained = _rounded(network, rounded)
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


def _rounded(network: Network, values: Values) -> tuple[int, int]:
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
                unexplained += int((wrong & ~_explained(network, node, rule, operands, known[name])).sum())
    return differ, unexplained


def _explained(network: Network, node: Node, rule: Rule, operands: list[Codes], codes: Codes) -> NDArray[np.bool_]:
    """Which of the model's `codes` the roundings of its sums explain.

    A sum of n rounded products, in any order, is off by at most (n + k) u / (1 - (n + k) u) times the sum of their
    magnitudes, where k counts the roundings of each term (Higham, Accuracy and Stability of Numerical Algorithms, 2002,
    equation 4.4). Thresholds are whole numbers, so that a place between two of them is off by less than one more.
    """
    if not isinstance(rule, Thresholds) or node.meaning is None:
        return np.zeros(codes.shape, bool)
    roundings = (node.layer.dot + OTHERS) * UNIT
    magnitudes = compute(network, node, operands, absolute=True).astype(np.float64)
    magnitudes += np.abs(np.array(node.meaning.biases) / np.array(node.meaning.scales))
    most = np.floor(roundings / (1 - roundings) * magnitudes) + 1
    result = compute(network, node, operands)
    low, high = (decode(rule.format, apply(rule, result + sign * most)) for sign in (-1, 1))
    return np.asarray((low <= decode(rule.format, codes)) & (decode(rule.format, codes) <= high))


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
