"""What the whole numbers of a layer stand for: its weights as codes, and the scale, bias and range of its sums."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwdse.brevitas_layers import quantised_weight
from hwdse.design import Quantizer
from hwdse.formats import decode_table, encode, magnitude, quantise
from hwdse.network import Codes, Tensor
from hwdse.workload import Kind, Layer


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What a layer multiplies with, and adds."""

    quantizer: Quantizer
    codes: Codes  # rows x dot, in the order of the stream
    scales: NDArray[np.float64]  # of the rows
    biases: NDArray[np.float64]

    def negated(self, rows: NDArray[np.bool_], name: str) -> Codes:
        """The codes with the weights of some rows negated; ValueError where a format has no such number."""
        fmt, narrow = self.quantizer.format, self.quantizer.narrow
        numbers = -decode_table(fmt)[self.codes]
        if not np.array_equal(quantise(fmt, numbers, narrow=narrow)[rows], numbers[rows]):
            raise ValueError(f"weights that are negated are numbers of their format, unlike those of layer {name!r}")
        return np.where(rows[:, np.newaxis], encode(fmt, numbers, narrow=narrow).astype(np.int64), self.codes)


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """`sum * scale / parts + bias`, channel by channel."""

    scales: NDArray[np.float64]
    biases: NDArray[np.float64]
    largest: NDArray[np.object_]  # what no sum exceeds, up or down
    parts: int = 1  # of a mean

    @property
    def largest_alike(self) -> NDArray[np.object_]:
        """`largest`, and the same for all channels where they stand for the same, so that they share thresholds."""
        same = len(set(self.scales)) == len(set(self.biases)) == 1
        return np.full(len(self.largest), max(self.largest), object) if same else self.largest

    def numbers(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of `n x channels` sums."""
        return np.asarray(sums * self.scales / self.parts + self.biases)


def weights_of(module: Any, layer: Layer, quantizer: Quantizer, order: NDArray[np.int64] | None) -> Weights:
    """Those of Brevitas's `module`; `order`: the place in the stream of each term, where they are not tap by tap."""
    with torch.no_grad():
        weight = quantised_weight(module, layer.name, quantizer).double()
        scale = module.weight_quant.scale().double()
        codes = encode(quantizer.format, (weight / scale).numpy(), narrow=quantizer.narrow).astype(np.int64)
        scales = scale.reshape(-1).expand(layer.rows).numpy()
        biases = np.zeros(layer.rows) if module.bias is None else module.bias.detach().double().numpy()
    if codes.ndim == 4:  # rows x channels x height x width: channels innermost
        codes = codes.transpose(0, 2, 3, 1)
    codes = codes.reshape(layer.rows, layer.dot)
    return Weights(quantizer, codes if order is None else codes[:, np.argsort(order)], scales, biases)


def sums_of(layer: Layer, source: Tensor, weights: Weights | None) -> Sums:
    """What the sums of `layer` stand for; `source` is what it reads."""
    fmt, rows = source.quantizer.format, layer.rows
    most, step = magnitude(fmt, source.quantizer.narrow), source.scale * fmt.lsb
    if weights is None:
        largest = np.full(rows, layer.dot * most, object)
        parts = layer.dot if layer.kind is Kind.AVG_POOL else 1
        return Sums(np.full(rows, step), np.zeros(rows), largest, parts)
    weight = weights.quantizer.format
    values = (decode_table(weight) / weight.lsb)[weights.codes]
    up, down = (np.where(sign * values > 0, abs(values), 0).sum(axis=1) for sign in (1, -1))
    worst = up + down if fmt.signed else np.maximum(up, down)
    largest = np.array([int(value) * most for value in worst], object)
    return Sums(weights.scales * weight.lsb * step, weights.biases, largest)
