"""How accurate a design is: the Brevitas model's predictions, on a named data split.

Where a design's recipe allows, the evaluation goes through the bench's shell, which gives the
same logits as the Brevitas model bit for bit (`tests/hwdse/test_accuracy.py`) without building it.
"""

import sys
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from importlib.metadata import version
from inspect import getsource
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own convention
from torch import Tensor, fx

from hwdse.design import Design
from hwdse.evaluation import Accuracy, pack
from hwdse.plugins import load
from hwdse.quantize import Bench, technique
from hwdse.technique import Sees, Technique

BATCH = 500  # images; fixed, because a float sum may depend on it


class Split(Protocol):
    """A named, ordered set of labelled images."""

    @property
    def name(self) -> str:
        """calibration, search or test."""

    @property
    def digest(self) -> str:
        """Names the images and labels."""

    def __len__(self) -> int: ...

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (float32, n x C x H x W) and labels (int64, n), in order."""


class Evaluator:
    """Evaluates designs of one network on its data splits; the float logits are computed once."""

    def __init__(self, bench: Bench, splits: Mapping[str, Split]) -> None:
        self.bench = bench
        self.splits = dict(splits)
        self._reference: dict[str, list[Tensor]] = {}

    @property
    def context(self) -> str:
        """Names what an accuracy depends on beside the design: network, data, techniques' code, versions."""
        parts = [self.bench.digest, *(f"{name}:{split.digest}" for name, split in sorted(self.splits.items()))]
        kinds = load("hwdse.techniques", Technique)  # type: ignore[type-abstract]
        parts += [getsource(sys.modules[kind.__module__]) for kind in kinds.values()]
        parts += [f"{package}=={version(package)}" for package in ("torch", "brevitas", "hwdse")]
        return blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()

    def accuracy(self, design: Design, split: str) -> Accuracy:
        """Of `design` on `split`."""
        model = self.model(design)
        with torch.inference_mode():
            outputs = [model(images.clone()) for images, _ in self._split(split).batches(BATCH)]
        return self._measure(split, outputs, self._float_logits(split))

    def float_accuracy(self, split: str) -> Accuracy:
        """Of the network before quantisation on `split`."""
        return self._measure(split, self._float_logits(split), None)

    def model(self, design: Design) -> fx.GraphModule:
        """A graph whose logits are those of the Brevitas model of `design`; valid until the next call."""
        late = any(technique(step).sees is Sees.QUANTIZED_INPUTS for step in design.recipe)
        return self.bench.quantize(design) if late else self.bench.shell(design)

    def _split(self, name: str) -> Split:
        if name not in self.splits:
            raise ValueError(f"no data split {name!r}; known: {', '.join(self.splits)}")
        return self.splits[name]

    def _float_logits(self, split: str) -> list[Tensor]:
        if split not in self._reference:
            graph = self.bench.traced.graph
            with torch.inference_mode():
                self._reference[split] = [graph(images.clone()) for images, _ in self._split(split).batches(BATCH)]
        return self._reference[split]

    def _measure(self, split: str, outputs: list[Tensor], reference: list[Tensor] | None) -> Accuracy:
        labels = torch.cat([labels for _, labels in self._split(split).batches(BATCH)])
        logits = torch.cat(outputs).double()
        if logits.dim() != 2 or not 0 <= int(labels.min()) <= int(labels.max()) < logits.shape[1]:
            shape = " x ".join(str(size) for size in logits.shape[1:])
            raise ValueError(f"labels are 0 to {int(labels.max())}, but the network gives {shape} logits an image")
        right = (logits.argmax(1) == labels).numpy()
        loss = float(F.cross_entropy(logits, labels))
        return Accuracy(split, len(labels), pack(right), loss, None if reference is None else _sqnr(logits, reference))


def _sqnr(logits: Tensor, reference: list[Tensor]) -> float:
    """10 log10 of signal over error power; equal logits have no finite one and are an error of the caller."""
    signal = torch.cat(reference).double()
    error = float(((logits - signal) ** 2).sum())
    if error == 0:
        return float("inf")
    return float(10 * torch.log10((signal**2).sum() / error))
