"""How accurate a design is: the Brevitas model's predictions, on a named data split.

Where a design's recipe allows, the evaluation goes through a shell of the bench, which gives the same logits as the
Brevitas model bit for bit (`tests/hwdse/test_accuracy.py`) without building it. Quantised tensors are kept and used
again by the designs that agree on everything upstream of them.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import version
from inspect import getsource
from time import perf_counter
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own convention
from torch import Tensor

from hwdse.bounded import Bounded
from hwdse.design import Design
from hwdse.evaluation import Accuracy, pack
from hwdse.plugins import load
from hwdse.program import Traces
from hwdse.quantize import Bench, Shell, technique
from hwdse.technique import Sees, Technique
from hwdse.workload import Workload

MOST_IMAGES, LEAST_IMAGES = 500, 8  # in a batch
TENSOR_BYTES = 1 << 20  # of the largest tensor of a batch: what works on it stays in a processor's cache
TRACE_BYTES = 1 << 30  # of quantised tensors that are kept


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


@dataclass(frozen=True, slots=True)
class _Known:
    """What every evaluation on a split is compared to."""

    labels: Tensor  # int64, n
    logits: Tensor  # float64, n x classes, of the float network
    power: Tensor  # of the float logits


class Evaluator:
    """Evaluates designs of one network on its data splits; the float logits are computed once."""

    def __init__(self, bench: Bench, splits: Mapping[str, Split], *, trace_bytes: int = TRACE_BYTES) -> None:
        self.bench = bench
        self.splits = dict(splits)
        self.batch = batch_size(bench.workload)
        self.traces: Traces = Bounded(trace_bytes)
        self.seconds = 0.0
        self.count = 0
        self._known: dict[str, _Known] = {}

    @property
    def context(self) -> str:
        """Names what an accuracy depends on beside the design: network, data, techniques' code, versions."""
        parts = [self.bench.digest, *(f"{name}:{split.digest}" for name, split in sorted(self.splits.items()))]
        kinds = load("hwdse.techniques", Technique)  # type: ignore[type-abstract]
        parts += [getsource(sys.modules[kind.__module__]) for kind in kinds.values()]
        parts += [f"{package}=={version(package)}" for package in ("torch", "brevitas", "hwdse")]
        parts += [f"batch={self.batch}"]  # a float sum may depend on it
        return blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()

    def accuracy(self, design: Design, split: str) -> Accuracy:
        """Of `design` on `split`."""
        known, start = self._reference(split), perf_counter()
        if self._rebuilds(design):
            model = self.bench.quantize(design)
            with torch.inference_mode():
                outputs = [model(images.clone()) for images, _ in self._batches(split)]
        else:
            outputs = self._outputs(self.bench.shell(design), split, None)
        self.count, self.seconds = self.count + 1, self.seconds + perf_counter() - start
        return _measure(split, outputs, known, reference=True)

    def accuracies(self, designs: Sequence[Design], split: str) -> Iterator[tuple[int, Accuracy]]:
        """Of all `designs`, with their places there, in an order in which neighbours share as much as they can.

        A quantised tensor is kept as long as another of the designs will read it: what has to be computed is computed
        once, as far as the memory goes.
        """
        plain = {i: self.bench.shell(d) for i, d in enumerate(designs) if not self._rebuilds(d)}
        order = sorted(plain, key=lambda i: plain[i].keys)
        left = Counter(key for shell in plain.values() for key in shell.keys)
        for i in order:
            start = perf_counter()
            outputs = self._outputs(plain[i], split, left)
            left.subtract(plain[i].keys)
            self._forget(split, plain[i], left)
            self.count, self.seconds = self.count + 1, self.seconds + perf_counter() - start
            yield i, _measure(split, outputs, self._reference(split), reference=True)
        yield from ((i, self.accuracy(design, split)) for i, design in enumerate(designs) if i not in plain)

    def float_accuracy(self, split: str) -> Accuracy:
        """Of the network before quantisation on `split`."""
        known = self._reference(split)
        return _measure(split, [known.logits], known, reference=False)

    def _outputs(self, shell: Shell, split: str, left: Mapping[bytes, int] | None) -> list[Tensor]:
        with torch.inference_mode():
            return [
                shell.program.run(
                    images,
                    shell.choice,
                    shell.keys,
                    self.traces,
                    (split, number),
                    (lambda key: True) if left is None else (lambda key: left[key] > 1),
                )
                for number, (images, _) in enumerate(self._batches(split))
            ]

    def _forget(self, split: str, shell: Shell, left: Mapping[bytes, int]) -> None:
        """Lets go of what none of the designs that are left will read."""
        for key in shell.keys:
            if left[key] == 0:
                for number in range(-(-len(self.splits[split]) // self.batch)):
                    self.traces.drop((split, number, key))

    def _rebuilds(self, design: Design) -> bool:
        return any(technique(s).rebuilds and technique(s).sees is Sees.QUANTIZED_INPUTS for s in design.recipe)

    def _batches(self, name: str) -> Iterator[tuple[Tensor, Tensor]]:
        if name not in self.splits:
            raise ValueError(f"no data split {name!r}; known: {', '.join(self.splits)}")
        return self.splits[name].batches(self.batch)

    def _reference(self, name: str) -> _Known:
        if name not in self._known:
            graph, outputs, labels = self.bench.traced.graph, [], []
            with torch.inference_mode():
                for images, right in self._batches(name):
                    outputs.append(graph(images.clone()).double())
                    labels.append(right)
            logits = torch.cat(outputs)
            _check(logits, torch.cat(labels))
            self._known[name] = _Known(torch.cat(labels), logits, (logits**2).sum())
        return self._known[name]


def batch_size(workload: Workload) -> int:
    """Images in a batch: a function of the network alone, because a float sum may depend on it."""
    largest = max([site.elements for site in workload.sites], default=1)
    return max(LEAST_IMAGES, min(MOST_IMAGES, TENSOR_BYTES // (4 * largest)))


def _measure(split: str, outputs: list[Tensor], known: _Known, *, reference: bool) -> Accuracy:
    logits = torch.cat(outputs).double()
    right = (logits.argmax(1) == known.labels).numpy()
    loss = float(F.cross_entropy(logits, known.labels))
    return Accuracy(split, len(known.labels), pack(right), loss, _sqnr(logits, known) if reference else None)


def _check(logits: Tensor, labels: Tensor) -> None:
    if logits.dim() != 2 or not 0 <= int(labels.min()) <= int(labels.max()) < logits.shape[1]:
        shape = " x ".join(str(size) for size in logits.shape[1:])
        raise ValueError(f"labels are 0 to {int(labels.max())}, but the network gives {shape} logits an image")


def _sqnr(logits: Tensor, known: _Known) -> float:
    """10 log10 of signal over error power; equal logits have no finite one and are an error of the caller."""
    error = ((logits - known.logits) ** 2).sum()
    if float(error) == 0:
        return float("inf")
    return float(10 * torch.log10(known.power / error))
