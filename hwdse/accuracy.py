"""How accurate a design is: the Brevitas model's predictions, on a named data split.

Where a design's recipe allows, the evaluation goes through a shell of the bench, which gives the same logits as the
Brevitas model bit for bit (`tests/hwdse/test_accuracy.py`) without building it. Quantised tensors are kept and used
again by the designs that agree on everything upstream of them.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from hashlib import blake2b
from importlib.metadata import version
from time import perf_counter
from typing import Protocol

import torch
from torch import Tensor

from hwdse.bounded import Bounded
from hwdse.design import Design
from hwdse.evaluation import Accuracy
from hwdse.fused import available
from hwdse.plugins import load
from hwdse.program import Key, Traces
from hwdse.quantize import Bench, Shell, technique
from hwdse.racing import Penalties, Race, looks
from hwdse.scores import Known, penalties, score, scores
from hwdse.sources import code
from hwdse.technique import Sees, Technique
from hwdse.workload import Workload

MOST_IMAGES, LEAST_IMAGES = 500, 8  # in a batch
TENSOR_BYTES = 1 << 20  # of the largest tensor of a batch: what works on it stays in a processor's cache
TRACE_BYTES = 1 << 30  # of quantised tensors that are kept
LOGIT_BYTES = 1 << 26  # of logits of designs that are kept, for races


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

    def __init__(self, bench: Bench, splits: Mapping[str, Split], *, trace_bytes: int = TRACE_BYTES) -> None:
        self.bench = bench
        self.splits = dict(splits)
        self.batch = batch_size(bench.workload)
        self.traces: Traces = Bounded(trace_bytes)
        self.seconds = 0.0
        self.count = 0
        self.tensors = 0  # that all of these would compute if they shared nothing, of those that can be shared
        self._known: dict[str, Known] = {}
        self._logits: Bounded[tuple[Design, str], Tensor] = Bounded(LOGIT_BYTES)

    @cached_property  # a protocol that is asked whether this is one of its kind may read it
    def context(self) -> str:
        """Names what an accuracy depends on beside the design: network, data, code, versions."""
        parts = [self.bench.digest, *(f"{name}:{split.digest}" for name, split in sorted(self.splits.items()))]
        kinds = load("hwdse.techniques", Technique)  # type: ignore[type-abstract]
        parts.append(code(*sorted(kind.__module__ for kind in kinds.values())))
        parts += [f"{package}=={version(package)}" for package in ("torch", "brevitas", "hwdse")]
        parts += [f"batch={self.batch}"]  # a float sum may depend on it
        return blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()

    def accuracy(self, design: Design, split: str) -> Accuracy:
        """Of `design` on `split`."""
        return score(split, self._seen(design, split, None), self._reference(split))

    def raced(self, design: Design, split: str, race: Race) -> Accuracy:
        """Of `design` on `split`; of its first images alone, if they lose `race`."""
        return score(split, self._seen(design, split, race), self._reference(split))

    def _seen(self, design: Design, split: str, race: Race | None) -> Tensor:
        """The logits (float64) of all images, or of the first ones that lose `race`."""
        start = perf_counter()
        logits = self._run_race(self._outputs(design, split), split, race)
        self.count, self.seconds = self.count + 1, self.seconds + perf_counter() - start
        if len(logits) == len(self.splits[split]):
            self._logits.put((design.numerics, split), logits)
        return logits

    def accuracies(self, designs: Sequence[Design], split: str) -> Iterator[tuple[int, Accuracy | ValueError]]:
        """Of all `designs`, with their places there, in an order in which neighbours share as much as they can.

        What several of them have in common is computed once: a batch of images goes through all designs before the
        next one does, so that no more is kept than the tensors of a batch. A ValueError is a design that has none.
        """
        self._reference(split)  # checks the split's name
        shells = dict[int, Shell]()
        for i, design in enumerate(designs):
            try:
                if self._rebuilds(design):
                    yield i, self.accuracy(design, split)
                else:
                    shells[i] = self.bench.shell(design)
            except ValueError as error:
                yield i, error
        order = sorted(shells, key=lambda i: shells[i].keys)
        logits = self._together([shells[i] for i in order], split)
        for i, own, found in zip(order, logits, scores(split, logits, self._reference(split)), strict=True):
            self._logits.put((designs[i].numerics, split), own)
            yield i, found

    def float_accuracy(self, split: str) -> Accuracy:
        """Of the network before quantisation on `split`."""
        known = self._reference(split)
        return score(split, known.logits, known, reference=True)

    def penalties(self, design: Design, split: str, metric: str) -> Penalties:
        """What a race compares: of each image of `split`, in order; `metric` is one of `RACED`."""
        logits = self._logits.get((design.numerics, split))
        if logits is None:
            logits = self._seen(design, split, None)
        return penalties(logits, self._reference(split), metric)

    def notes(self) -> str:
        """What this process evaluated, and what its memory held and let go, in words."""
        kept, memory = self.traces, self.bench.memory
        share = f"{100 * (1 - kept.missed / self.tensors):.0f} % of" if self.tensors else "no"
        held = f"held at most {kept.most_bytes / 1e6:,.1f} of {kept.limit_bytes / 1e6:,.0f} MB"
        weights = memory.weights.evicted + memory.treatments.evicted
        gone = f"{kept.evicted:,} tensors, {weights:,} weights, {memory.dropped:,} networks, "
        gone += f"{self._logits.evicted:,} logits"
        kernel = "one compiled kernel" if available() else "Brevitas, because there is no g++"
        return (
            f"{self.count:,} accuracies in {self.seconds:.1f} s; {share} tensors taken from memory, which {held}; "
            f"let go for lack of room: {gone}; activations quantised by {kernel}"
        )

    def _run_race(self, outputs: Iterator[Tensor], split: str, race: Race | None) -> Tensor:
        """All logits (float64), or those of the first images if they lose."""
        if race is None:
            return torch.cat(list(outputs)).double()
        known, found = self._reference(split), Tensor(0, self._reference(split).logits.shape[1]).double()
        stops = looks(self.batch, len(known.labels))
        for output in outputs:
            found = torch.cat((found, output.double()))
            if len(found) in stops and race.lost(penalties(found, known, race.metric), len(stops)):
                break
        return found

    def _outputs(self, design: Design, split: str) -> Iterator[Tensor]:
        """Logits, batch by batch."""
        self._reference(split)  # checks the split's name
        if self._rebuilds(design):
            model = self.bench.quantize(design)
            run: Callable[[Tensor, int], Tensor] = lambda images, number: model(images.clone())  # noqa: E731
        else:
            run = partial(self._run, self.bench.shell(design), split)
        for number, (images, _) in enumerate(self._batches(split)):
            with torch.inference_mode():
                output = run(images, number)
            yield output

    def _run(
        self, shell: Shell, split: str, images: Tensor, number: int, worth: Callable[[Key], bool] = lambda key: True
    ) -> Tensor:
        self.tensors += shell.program.kept
        return shell.program.run(images, shell.choice, shell.keys, self.traces, (split, number), worth)

    def _together(self, shells: Sequence[Shell], split: str) -> list[Tensor]:
        """The logits (float64) of all `shells`."""
        start, outputs = perf_counter(), [list[Tensor]() for _ in shells]
        for number, (images, _) in enumerate(self._batches(split)):
            left = Counter(key for shell in shells for key in shell.kept)  # how often each is still wanted
            for shell, own in zip(shells, outputs, strict=True):
                with torch.inference_mode():
                    own.append(self._run(shell, split, images, number, lambda key: left[key] > 1))  # noqa: B023
                left.subtract(shell.kept)
                for key in shell.kept:
                    if left[key] == 0:
                        self.traces.drop((split, number, key))
        self.count, self.seconds = self.count + len(shells), self.seconds + perf_counter() - start
        return [torch.cat(own).double() for own in outputs]

    def _rebuilds(self, design: Design) -> bool:
        return any(technique(s).rebuilds and technique(s).sees is Sees.QUANTIZED_INPUTS for s in design.recipe)

    def _batches(self, name: str) -> Iterator[tuple[Tensor, Tensor]]:
        if name not in self.splits:
            raise ValueError(f"no data split {name!r}; known: {', '.join(self.splits)}")
        return self.splits[name].batches(self.batch)

    def _reference(self, name: str) -> Known:
        if name not in self._known:
            graph, outputs, labels = self.bench.traced.graph, [], []
            with torch.inference_mode():
                for images, right in self._batches(name):
                    outputs.append(graph(images.clone()).double())
                    labels.append(right)
            self._known[name] = Known(torch.cat(labels), torch.cat(outputs))
        return self._known[name]


def batch_size(workload: Workload) -> int:
    """Images in a batch: a function of the network alone, because a float sum may depend on it."""
    largest = max([site.elements for site in workload.sites], default=1)
    return max(LEAST_IMAGES, min(MOST_IMAGES, TENSOR_BYTES // (4 * largest)))
