"""Runs a network in whole numbers: the reference that an accelerator equals bit for bit.

Sums are exact. Where every one of a layer is below 2**53 a product of float64 matrices gives them, and gives them fast;
where not, Python's integers do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hwdse import reference
from hwdse.design import Quantizer
from hwdse.folding import kernel_and_stride
from hwdse.formats import decode_table, magnitude
from hwdse.network import Codes, Network, Node, Rule, Table, Tensor
from hwdse.thresholds import Thresholds
from hwdse.workload import Kind, Layer

EXACT = 2**53  # whole numbers up to this are float64 numbers
BATCH = 64  # images that are worked on at once

Numbers = NDArray[Any]  # whole ones: float64 where all are exact, else Python's; codes are int64


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a network computes for `n` images."""

    codes: Mapping[str, Codes]  # of every tensor: n x positions x channels
    sums: NDArray[np.object_]  # n x classes, in Python's integers

    @property
    def images(self) -> int:
        """`n`."""
        return len(self.sums)


def simulate(network: Network, codes: Codes) -> Simulated:
    """The codes of every tensor and the last sums, for `n x positions x channels` codes of the network's input."""
    parts = [_simulate(network, codes[start : start + BATCH]) for start in range(0, len(codes), BATCH)]
    names = [tensor.name for tensor in network.tensors]
    return Simulated(
        {name: np.concatenate([part.codes[name] for part in parts]) for name in names},
        np.concatenate([part.sums for part in parts]),
    )


def _simulate(network: Network, codes: Codes) -> Simulated:
    known = {network.input: codes}
    for node in network.nodes:
        result = compute(network, node, [known[name] for name in node.inputs])
        known |= {name: apply(rule, result) for name, rule in node.outputs}
    return Simulated(known, result.reshape(len(codes), -1).astype(object))


def compute(network: Network, node: Node, operands: list[Codes], *, absolute: bool = False) -> Numbers:
    """What leaves a layer before it becomes codes: `n x positions x rows` exact sums, or the codes that stay codes.

    `operands`: `n x positions x channels` codes each; `absolute`: sums of the magnitudes of the terms.
    """
    layer, tensors = node.layer, [network.tensor(name) for name in node.inputs]
    if layer.kind is Kind.TABLE:
        return operands[0]
    if layer.kind is Kind.MAX_POOL:
        return _largest(layer, tensors[0], operands[0])
    weight = dict(network.design.weights).get(layer.name)
    terms = layer.dot * (1 if weight is None else magnitude(weight.format, weight.narrow))
    values = [_values(tensor.quantizer, codes, terms) for tensor, codes in zip(tensors, operands, strict=True)]
    sign = abs if absolute else np.asarray
    if layer.kind is Kind.ADD:
        return np.asarray(sum(sign(value).reshape(len(value), layer.positions, -1) for value in values))
    taps = _taps(layer, sign(values[0]))
    if layer.kind is Kind.AVG_POOL:
        return np.asarray(taps.sum(axis=2))
    if weight is None or node.weights is None:
        raise ValueError(f"a {layer.kind} is no part of an accelerator, unlike layer {layer.name!r}")
    most = magnitude(tensors[0].quantizer.format, tensors[0].quantizer.narrow)
    return _products(layer, taps, sign(_values(weight, node.weights, layer.dot * most)))


def apply(rule: Rule, result: Numbers) -> Codes:
    """The codes that a result (`n x positions x channels`) becomes."""
    if rule is None:
        return np.asarray(result, np.int64)
    if isinstance(rule, Table):
        return np.array(rule.codes, np.int64)[np.asarray(result, np.int64)]
    flat = result.reshape(-1, result.shape[-1])
    codes = _threshold(rule, flat) if flat.dtype != object else reference.threshold(rule, flat)
    return codes.reshape(result.shape)


def _threshold(rule: Thresholds, sums: Numbers) -> Codes:
    """As `reference.threshold`, where sums are float64."""
    rows = np.array(rule.stored, np.float64)
    reached = np.stack([np.searchsorted(row, sums[:, i], side="right") for i, row in enumerate(rows)], axis=1)
    return reference.level_codes(rule)[reached]


def _values(quantizer: Quantizer, codes: Codes, terms: int) -> Numbers:
    """The values of `codes` in units of the format's smallest step, as exact as sums of `terms` of them must be."""
    fmt = quantizer.format
    if terms * magnitude(fmt, quantizer.narrow) <= EXACT:
        return np.asarray((decode_table(fmt) / fmt.lsb)[codes])
    return reference.fixed_point(fmt, codes)


def _products(layer: Layer, x: Numbers, weights: Numbers) -> Numbers:
    """`n x positions x rows` sums of `n x positions x taps x channels` values times `rows x dot` weights."""
    n, positions, taps, channels = x.shape
    groups, rows = layer.groups, layer.rows
    split = x.reshape(n, positions, taps, groups, channels // groups).transpose(3, 0, 1, 2, 4)
    vectors = split.reshape(groups, n * positions, layer.dot)
    sums = vectors @ weights.reshape(groups, rows // groups, layer.dot).swapaxes(1, 2)
    return np.asarray(sums.transpose(1, 0, 2).reshape(n, positions, rows))


def _largest(layer: Layer, tensor: Tensor, codes: Codes) -> Codes:
    """The code of the largest number under each window."""
    order = np.argsort(decode_table(tensor.quantizer.format), kind="stable")
    rank = np.argsort(order)
    return np.asarray(order[_taps(layer, rank[codes], int(rank[0])).max(axis=2)])


def _taps(layer: Layer, x: Numbers, padding: int = 0) -> Numbers:
    """`n x positions x taps x channels` elements under each window of `n x positions x channels` elements."""
    moved = layer.kind is not Kind.LINEAR and len(layer.in_shape) == 3
    if not moved:
        return x.reshape(len(x), layer.positions, 1, -1)
    channels, height, width = layer.in_shape
    if layer.kind is Kind.AVG_POOL and layer.dot == height * width and max(layer.padding) == 0:
        return x.reshape(len(x), 1, height * width, channels)
    kernel, stride = kernel_and_stride(layer)
    image = x.reshape(len(x), height, width, channels)
    pads = [(0, 0), *((pad, pad) for pad in layer.padding), (0, 0)]
    padded = np.pad(image, pads, constant_values=np.array(padding, image.dtype))  # of Python's integers one of them
    windows = sliding_window_view(padded, kernel, axis=(1, 2))
    strided = windows[:, :: stride[0], :: stride[1]].transpose(0, 1, 2, 4, 5, 3)
    return strided.reshape(len(x), -1, prod(kernel), channels)
